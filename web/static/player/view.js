// What the player element looks like: its shadow DOM, icons and styles. No behaviour beyond showing and hiding.
//
// Styles are a constructed sheet: a page with a strict Content-Security-Policy can embed the player.

const css = `
:host { display: block; position: relative; overflow: hidden; aspect-ratio: 16 / 9; background: #0b0d10; color: #eef1f4;
  font: 14px/1.4 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; border-radius: inherit; container-type: inline-size; }
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
video { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; background: inherit; }
button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
button:focus-visible { outline: 2px solid #7cc4ff; outline-offset: 2px; }
svg { display: block; width: 22px; height: 22px; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }

.face { position: absolute; inset: 0; display: grid; place-content: center; justify-items: center; gap: 14px; color: #aeb8c2; background: #10141a; }
.face .bars { display: flex; align-items: center; gap: 5px; height: 56px; }
.face .bars i { width: 5px; height: 14px; border-radius: 3px; background: #4fb3a5; }
:host([state=playing]) .bars i { animation: bar 1.1s ease-in-out infinite alternate; }
.bars i:nth-child(2) { animation-delay: -.7s !important; } .bars i:nth-child(3) { animation-delay: -.3s !important; }
.bars i:nth-child(4) { animation-delay: -.9s !important; } .bars i:nth-child(5) { animation-delay: -.5s !important; }
@keyframes bar { to { height: 52px; } }
@media (prefers-reduced-motion: reduce) { .bars i, .spinner { animation: none !important; } }

.veil { position: absolute; inset: 0; display: grid; place-content: center; justify-items: center; gap: 12px; padding: 20px 24px 56px;
  text-align: center; background: rgb(11 13 16 / .72); }
.veil.light { background: none; pointer-events: none; }
.veil p { margin: 0; max-width: 46ch; text-wrap: balance; overflow-wrap: anywhere; }
.veil .again { color: #aeb8c2; font-variant-numeric: tabular-nums; min-height: 1.4em; }
.spinner { width: 34px; height: 34px; border-radius: 50%; border: 3px solid rgb(255 255 255 / .22); border-top-color: #fff; animation: turn 1s linear infinite; }
@keyframes turn { to { transform: rotate(1turn); } }
.sign svg { width: 34px; height: 34px; color: #f0b35a; }
.pill { padding: 8px 16px; border-radius: 999px; background: rgb(255 255 255 / .14); min-height: 36px; }
.pill:hover { background: rgb(255 255 255 / .24); }
.big { width: 68px; height: 68px; border-radius: 50%; background: rgb(255 255 255 / .16); display: grid; place-content: center; pointer-events: auto; }
.big:hover { background: rgb(255 255 255 / .28); }
.big svg { width: 30px; height: 30px; fill: currentColor; }

.bar { position: absolute; inset: auto 0 0 0; display: flex; align-items: center; gap: 2px; padding: 28px 8px 6px;
  background: linear-gradient(transparent, rgb(0 0 0 / .66)); transition: opacity .2s; }
.bar button { width: 40px; height: 40px; display: grid; place-content: center; border-radius: 8px; flex: none; }
.bar button:hover { background: rgb(255 255 255 / .16); }
.bar button[aria-pressed=true] { color: #7cc4ff; }
.live { display: inline-flex; align-items: center; gap: 7px; padding: 0 8px; font-size: 13px; font-variant-numeric: tabular-nums; white-space: nowrap; }
.live b { font-weight: 600; font-size: 12px; letter-spacing: .05em; }
:host(:not([state=playing], [state=buffering])) .live { visibility: hidden; }
:host([state=error]) .stats, :host([state=retrying]) .stats { display: none; }
.live::before { content: ""; width: 8px; height: 8px; border-radius: 50%; background: #8b949e; }
:host([state=playing]) .live::before { background: #ff5a52; }
.live span { color: #d3dae0; }
.space { flex: 1; }
:host(.quiet[state=playing]) .face[hidden] ~ .bar { opacity: 0; pointer-events: none; }
:host(.quiet[state=playing]) video { cursor: none; }
.bar:focus-within { opacity: 1 !important; pointer-events: auto !important; }

.stats { position: absolute; inset: 10px auto auto 10px; margin: 0; padding: 9px 12px; border-radius: 8px; background: rgb(8 10 13 / .76);
  display: grid; grid-template-columns: auto auto; gap: 2px 14px; font-size: 12.5px; font-variant-numeric: tabular-nums; max-width: calc(100% - 20px); pointer-events: none; }
.stats dt { color: #aeb8c2; } .stats dd { margin: 0; overflow-wrap: anywhere; }
.said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@container (max-width: 560px) { .face:has(~ .stats:not([hidden])) { place-content: center end; padding-right: 24px; } .face:has(~ .stats:not([hidden])) .pill { display: none; } }
@container (max-width: 300px) { .live span, .stats, .again { display: none; } }
`;

const ICONS = {
  play: 'M7 4.5v15l12-7.5z',
  pause: 'M8 5v14M16 5v14',
  muted: 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5',
  sound: 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11',
  stats: 'M5 20v-7M12 20V4M19 20v-11',
  fullscreen: 'M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5',
  pip: 'M3 5h18v14H3zM12.5 12.5h5.5v3.5h-5.5z',
  warning: 'M12 4 2.8 19.5h18.4zM12 10.5v4M12 17.2v.1',
};

const STATS = { picture: 'Picture', sound: 'Sound', bitrate: 'Bitrate', delay: 'Delay', dropped: 'Dropped', reconnects: 'Reconnects' };

let sheet;

/** Builds the shadow DOM of a player. @param {HTMLElement} host */
export function buildView(host) {
  const root = host.attachShadow({ mode: 'open' });
  if ('adoptedStyleSheets' in root) {
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(css);
    }
    root.adoptedStyleSheets = [sheet];
  } else root.append(make('style', { textContent: css })); // iPhones before iOS 16.4

  const video = make('video', { part: 'video', playsInline: true, muted: true, preload: 'auto', tabIndex: -1 });
  video.setAttribute('playsinline', '');
  const listen = button('pill', 'Turn the sound on', null);
  const face = make('div', { className: 'face', hidden: true }, [
    make('div', { className: 'bars', ariaHidden: 'true' }, Array.from({ length: 5 }, () => make('i'))),
    make('div', { textContent: 'Sound only' }),
    listen,
  ]);

  const spinner = make('div', { className: 'spinner' });
  const sign = make('div', { className: 'sign' }, [icon('warning')]);
  const text = make('p');
  const again = make('p', { className: 'again' });
  const retry = button('pill', 'Try now', null);
  const start = button('big', '', 'play', 'Play');
  const veil = make('div', { className: 'veil', part: 'message' }, [spinner, sign, start, text, again, retry]);

  const toggle = button('', '', 'pause', 'Pause');
  const delay = make('span');
  const live = make('div', { className: 'live' }, [make('b', { textContent: 'LIVE' }), delay]);
  const sound = button('', '', 'muted', 'Turn the sound on');
  const stats = button('', '', 'stats', 'Figures of the stream');
  const pip = button('', '', 'pip', 'Picture in picture');
  const full = button('', '', 'fullscreen', 'Full screen');
  const bar = make('div', { className: 'bar', part: 'controls', role: 'group', ariaLabel: 'Player controls' },
    [toggle, live, make('div', { className: 'space' }), sound, stats, pip, full]);

  const figures = {};
  const panel = make('dl', { className: 'stats', part: 'stats', hidden: true });
  for (const [key, label] of Object.entries(STATS)) {
    figures[key] = make('dd', { textContent: '–' });
    panel.append(make('dt', { textContent: label }), figures[key]);
  }
  const said = make('div', { className: 'said', role: 'status', ariaLive: 'polite' });

  root.append(video, face, veil, panel, bar, said);
  return { root, video, face, veil, spinner, sign, text, again, retry, start, toggle, listen, live, delay, sound, stats, pip, full, bar, panel, figures, said };
}

/** What is said of a state, and what can be done in it. */
export function showState({ veil, text, said, spinner, sign, retry, start, toggle }, state, message) {
  const busy = state === 'connecting' || state === 'buffering';
  veil.hidden = state === 'playing' || state === 'idle';
  veil.classList.toggle('light', busy || state === 'paused');
  spinner.hidden = !busy;
  sign.hidden = state !== 'error' && state !== 'retrying';
  start.hidden = state !== 'paused' && state !== 'blocked';
  retry.hidden = state !== 'error' && state !== 'retrying';
  text.textContent = message;
  text.hidden = !message;
  said.textContent = message || { connecting: 'Connecting', playing: 'Playing', paused: 'Paused', blocked: 'Press play to start' }[state] || '';
  setButton(toggle, state === 'paused' ? 'play' : 'pause', state === 'paused' ? 'Play' : 'Pause');
  toggle.disabled = state === 'idle';
}

export function showTracks({ face, sound, pip }, hasVideo, hasAudio) {
  face.hidden = hasVideo || !hasAudio;
  sound.hidden = !hasAudio;
  pip.hidden = !hasVideo || !document.pictureInPictureEnabled;
}

export function showSound({ listen, sound }, muted) {
  listen.hidden = !muted;
  setButton(sound, muted ? 'muted' : 'sound', muted ? 'Turn the sound on' : 'Turn the sound off');
}

export function fullScreen(host, video) {
  if (document.fullscreenElement) document.exitFullscreen();
  else if (host.requestFullscreen) host.requestFullscreen().catch(() => {});
  else video.webkitEnterFullscreen?.(); // iPhones know full screen for videos only
}

/** Gives a button another icon and name, if they differ. */
export function setButton(element, name, label) {
  if (element.dataset.icon !== name) {
    element.dataset.icon = name;
    element.replaceChildren(icon(name));
  }
  if (element.title !== label) {
    element.setAttribute('aria-label', label);
    element.title = label;
  }
}

function button(className, textContent, iconName, label) {
  const element = make('button', { type: 'button', className, textContent });
  if (iconName) setButton(element, iconName, label);
  return element;
}

function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

function make(tag, properties = {}, children = []) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'part' || name === 'role') element.setAttribute(name, value);
    else if (name.startsWith('aria')) element.setAttribute(`aria-${name.slice(4).toLowerCase()}`, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}
