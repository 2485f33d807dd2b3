// The home page: figures of the hub, the live sources, the player and the addresses of the chosen source; for administrators
// the routes and users too.
//
// The choice is the URL's hash (`#/room/door`, `#routes`), so that it can be kept, sent and gone back to. Nobody must log in to
// play a path that the hub shows to anybody.

import { copy, showAddresses } from './console/addresses.js';
import { ApiError, get, loggedIn, login, logout, refresh, withToken } from './console/api.js';
import { Records } from './console/records.js';
import { routes } from './console/routes.js';
import { describe, encodePath, hashOf, pathFromHash, SourceList } from './console/sources.js';
import { users } from './console/users.js';

const POLL_MS = 2000; // while the page is seen
const SLOWEST_MS = 20_000; // for thousands of sources
const SOURCES_A_POLL = 50; // more are asked for as much more seldom
const PAGE_SIZE = 1000; // the largest that the API gives
const PAGES = 5; // sources beyond those are found by their address

const $ = (id) => document.getElementById(id);
const player = $('player');
const way = $('way');
const list = new SourceList({ list: $('sources'), note: $('sources-note'), filter: $('filter'), more: $('sources-more') });
const records = { routes: new Records($('routes'), routes), users: new Records($('users'), users) };

let chosen = '';
let admin = null; // whether who is logged in is one; null before that is known
let sources = null; // of the last answer; null before the first
let timer = 0;
let polling = false;
let playedToken = '';

async function poll() {
  clearTimeout(timer);
  if (document.hidden || polling) return;
  polling = true;
  try {
    const [runtime, found] = await Promise.all([get('runtime'), loggedIn() ? streams() : null]);
    sources = found;
    showFigures(runtime);
    showHubState('');
    showLogin(!found);
    if (found) list.show(found, chosen);
    if (found && admin === null) await learnRights();
    show();
  } catch (error) {
    if (error.status === 401) showLogin(true);
    else if (error instanceof ApiError) showHubState(`The hub answered with an error: ${error.message}`);
    else showHubState('The hub does not answer');
  } finally {
    polling = false;
    timer = setTimeout(poll, Math.min(SLOWEST_MS, POLL_MS * Math.max(1, (sources?.length ?? 0) / SOURCES_A_POLL)));
  }
}

async function streams() {
  const all = [];
  for (let page = 0, token = ''; page < PAGES && (page === 0 || token); page++) {
    const answer = await get(`streams?page_size=${PAGE_SIZE}&page_token=${encodeURIComponent(token)}`);
    all.push(...answer.streams);
    token = answer.next_page_token;
  }
  return all;
}

/** Routes and users are for administrators; others are not shown that there are any. */
async function learnRights() {
  try {
    await get('routes?page_size=1');
    admin = true;
  } catch (error) {
    if (error.status !== 403) throw error;
    admin = false;
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

/** The login stands where the list does; what plays without one goes on. */
function showLogin(needed) {
  const appears = needed && $('login').hidden;
  $('login').hidden = !needed;
  $('listed').hidden = needed;
  $('logout').hidden = needed || !loggedIn();
  if (needed) admin = null;
  if (appears && !chosen) $('login-form').elements.username.focus();
  choose();
  show();
}

/** Plays what the hash says, or shows what else it names. */
function choose() {
  const path = pathFromHash(location.hash);
  if (path === chosen) return;
  chosen = path;
  list.choose(path);
  if (path) {
    player.src = play(path);
    showAddresses($('addresses'), path, $('said'));
    if (matchMedia('(max-width: 820px)').matches) scrollTo({ top: 0 });
  } else {
    player.src = '';
  }
  show();
}

function play(path) {
  const url = withToken(new URL(`streams${encodePath(path)}.flv`, document.baseURI));
  playedToken = url.searchParams.get('token') ?? '';
  return url.href;
}

/** Shows one of: routes, users, the player, "choose", "nothing is live", "log in". */
function show() {
  const managed = admin ? location.hash.slice(1) : '';
  for (const [name, one] of Object.entries(records)) one.show(name === managed);
  $('console').hidden = managed in records;
  $('views').hidden = !admin;
  for (const link of $('views').children) {
    const current = link.hash.slice(1) === (managed in records ? managed : '');
    if (current) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  $('watch').hidden = !chosen;
  $('choose').hidden = Boolean(chosen) || !sources?.length;
  $('empty').hidden = Boolean(chosen) || sources?.length !== 0;
  $('welcome').hidden = Boolean(chosen) || $('login').hidden;
  document.body.classList.toggle('watching', Boolean(chosen));
  document.body.classList.toggle('none', sources?.length === 0);
  document.title = `${chosen || records[managed]?.title || ''}${chosen || records[managed] ? ' – ' : ''}ipchub`;
  if (!chosen) return;
  const source = sources?.find(({ path }) => path === chosen);
  const text = source ? `${describe(source)} · ${source.cc === 1 ? '1 viewer' : `${source.cc ?? 0} viewers`}` : sources ? 'not live' : '';
  $('title').textContent = chosen;
  if ($('subtitle').textContent !== text) $('subtitle').textContent = text;
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
  else {
    logout();
    showLogin(true);
    $('login-form').elements.username.focus();
  }
});

$('login-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const { username, password } = event.target.elements;
  $('login-error').textContent = '';
  try {
    await login(username.value, password.value);
    password.value = '';
    if (chosen && player.state === 'error') player.src = play(chosen);
    poll();
  } catch (error) {
    $('login-error').textContent = error instanceof ApiError ? error.message : 'The hub does not answer.';
    password.select();
  }
});

$('logout').addEventListener('click', () => {
  logout();
  sources = null;
  chosen = ''; // what plays is asked for anew, without the token
  list.show([], '');
  showLogin(true);
});

$('go').addEventListener('submit', (event) => {
  event.preventDefault();
  const path = event.target.elements.path.value.trim().toLowerCase();
  location.hash = hashOf(path.startsWith('/') ? path : `/${path}`);
});

way.addEventListener('change', () => {
  player.transport = way.value;
  localStorage.setItem('way', way.value);
});

$('push-copy').addEventListener('click', (event) => copy($('push-command').textContent, event.target, $('said')));
$('push-command').textContent = `ffmpeg -re -i file.mp4 -c copy -f rtsp rtsp://${location.host}/room/door`;
addEventListener('hashchange', () => {
  choose();
  show();
});
document.addEventListener('visibilitychange', poll);
if (matchMedia('(max-width: 820px)').matches) $('share').open = false;

way.value = localStorage.getItem('way') ?? '';
if (!way.value) way.value = 'auto';
player.transport = way.value;
choose();
showVersion();
poll();
