// The home page: figures of the hub, the live sources, the player and the addresses of the chosen source.
//
// The choice is the URL's hash (`#/room/door`), so that it can be kept, sent and gone back to.

import { ApiError, get, loggedIn, login, logout, refresh, withToken } from './console/api.js';
import { describe, element, encodePath, pathFromHash, SourceList } from './console/sources.js';

const POLL_MS = 2000; // while the page is seen
const PAGE_SIZE = 1000; // the largest that the API gives

const $ = (id) => document.getElementById(id);
const player = $('player');
const way = $('way');
const list = new SourceList({ list: $('sources'), note: $('sources-note'), filter: $('filter') });

let chosen = '';
let sources = null; // of the last answer; null before the first
let timer = 0;
let polling = false;
let playedToken = '';

async function poll() {
  clearTimeout(timer);
  if (document.hidden || polling) return;
  polling = true;
  try {
    const [runtime, answer] = await Promise.all([get('runtime'), get(`streams?page_size=${PAGE_SIZE}`)]);
    sources = answer.streams ?? [];
    showFigures(runtime);
    showHubState('');
    showLogin(false);
    list.show(sources, chosen);
    show();
  } catch (error) {
    if (error.status === 401) showLogin(true);
    else if (error instanceof ApiError) showHubState(`The hub answered with an error: ${error.message}`);
    else showHubState('The hub does not answer');
  } finally {
    polling = false;
    timer = setTimeout(poll, POLL_MS);
  }
}

async function showVersion() {
  try {
    const { name, version, os, arch, start_on: since } = await get('server');
    $('version').textContent = version;
    $('version').title = `${name} ${version}, ${os} ${arch}, running since ${new Date(since).toLocaleString()}`;
  } catch { /* shown at the next start of the page; the state line already says that the hub is gone */ }
}

function showFigures({ streams, proc }) {
  $('figure-sources').textContent = streams?.sources ?? '–';
  $('figure-viewers').textContent = streams?.consumers ?? '–';
  if (!proc) return;
  $('figure-cpu').textContent = `${Math.round(proc.cpu * 10) / 10} %`;
  $('figure-memory').textContent = `${Math.round(proc.priv / 1024)} MB`;
  $('figure-uptime').textContent = duration(proc.uptime);
}

function showHubState(text) {
  if ($('hub-state').textContent !== text) $('hub-state').textContent = text;
  document.body.classList.toggle('gone', text !== '');
}

function showLogin(needed) {
  if (needed && $('login').hidden) player.src = '';
  const appears = needed && $('login').hidden;
  $('login').hidden = !needed;
  $('console').hidden = needed;
  $('logout').hidden = needed || !loggedIn();
  if (appears) $('login-form').elements.username.focus();
  if (needed) playedToken = chosen = '';
  else choose();
}

/** Plays what the hash says. */
function choose() {
  const path = pathFromHash(location.hash);
  if (path === chosen) return;
  chosen = path;
  list.choose(path);
  if (path) {
    player.src = play(path);
    showAddresses(path);
    if (matchMedia('(max-width: 820px)').matches) scrollTo({ top: 0 });
  } else {
    player.src = '';
  }
  document.title = path ? `${path} – ipchub` : 'ipchub';
  show();
}

function play(path) {
  const url = withToken(new URL(`streams${encodePath(path)}.flv`, document.baseURI));
  playedToken = url.searchParams.get('token') ?? '';
  return url.href;
}

/** Shows one of: the player, "choose", "nothing is live". */
function show() {
  $('watch').hidden = !chosen;
  $('choose').hidden = Boolean(chosen) || !sources?.length;
  $('empty').hidden = Boolean(chosen) || sources === null || sources.length > 0;
  document.body.classList.toggle('watching', Boolean(chosen));
  document.body.classList.toggle('none', sources?.length === 0);
  if (!chosen) return;
  const source = sources?.find(({ path }) => path === chosen);
  const text = source ? `${describe(source)} · ${source.cc === 1 ? '1 viewer' : `${source.cc ?? 0} viewers`}` : sources ? 'not live' : '';
  $('title').textContent = chosen;
  if ($('subtitle').textContent !== text) $('subtitle').textContent = text;
}

function showAddresses(path) {
  const page = new URL(document.baseURI);
  const secure = page.protocol === 'https:';
  const http = new URL(`streams${encodePath(path)}.flv`, page).href;
  const websocket = http.replace(/^http/, 'ws');
  const entries = [
    ['Websocket FLV', websocket],
    ['HTTP FLV', http],
    ['HLS', http.replace(/flv$/, 'm3u8')],
    ['MP4 over a websocket or HTTP', websocket.replace(/flv$/, 'mp4')],
    ['Picture of now, as MP4', http.replace(/flv$/, 'mp4?snapshot')],
    ['RTSP over a websocket, or WSP', websocket.replace(/\.flv$/, '')],
    ['RTSP', `${secure ? 'rtsps' : 'rtsp'}://${page.host}${encodePath(path)}`],
    ['Embed', `<script type="module" src="${new URL('player.js', page).href}"></script>\n<ipchub-player src="${websocket}"></ipchub-player>`],
  ];
  $('addresses').replaceChildren(...entries.flatMap(([label, text]) => {
    const value = element('dd');
    const copyButton = element('button', '', 'Copy');
    copyButton.type = 'button';
    copyButton.setAttribute('aria-label', `Copy: ${label}`);
    copyButton.onclick = () => copy(text, copyButton);
    value.append(element('code', '', text), copyButton);
    return [element('dt', '', label), value];
  }));
}

async function copy(text, button) {
  const done = await copyText(text);
  button.textContent = done ? 'Copied' : 'Press Ctrl+C';
  button.classList.toggle('done', done);
  $('said').textContent = done ? 'Copied to the clipboard' : 'Could not copy';
  setTimeout(() => {
    button.textContent = 'Copy';
    button.classList.remove('done');
    $('said').textContent = '';
  }, 1600);
}

/** The clipboard interface works on https and localhost only; hubs are mostly plain http. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element('textarea', 'unseen');
    area.value = text;
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    focused?.focus();
    return done;
  }
}

function duration(seconds) {
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

// The token in the player's address may have expired while it played: renew it, and go on.
player.addEventListener('statechange', async ({ detail }) => {
  if (detail.kind !== 'login' || !chosen) return;
  const url = withToken(new URL(location.href));
  const newer = url.searchParams.get('token') ?? '';
  if (newer !== playedToken) player.src = play(chosen);
  else if (await refresh().catch(() => false)) player.src = play(chosen);
  else showLogin(true);
});

$('login-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const { username, password } = event.target.elements;
  $('login-error').textContent = '';
  try {
    await login(username.value, password.value);
    password.value = '';
    poll();
  } catch (error) {
    $('login-error').textContent = error instanceof ApiError ? error.message : 'The hub does not answer.';
    password.select();
  }
});

$('logout').addEventListener('click', () => {
  logout();
  sources = null;
  list.show([], '');
  showLogin(true);
});

way.addEventListener('change', () => {
  player.transport = way.value;
  localStorage.setItem('way', way.value);
});

$('push-copy').addEventListener('click', (event) => copy($('push-command').textContent, event.target));
$('push-command').textContent = `ffmpeg -re -i file.mp4 -c copy -f rtsp rtsp://${location.host}/room/door`;
addEventListener('hashchange', choose);
document.addEventListener('visibilitychange', poll);
if (matchMedia('(max-width: 820px)').matches) $('share').open = false;

way.value = localStorage.getItem('way') ?? '';
if (!way.value) way.value = 'auto';
player.transport = way.value;
choose();
showVersion();
poll();
