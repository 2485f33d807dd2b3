// The addresses of a source, each with a button that copies it.

import { element, encodePath } from './sources.js';

/** @param {HTMLElement} list a `dl` @param {string} path @param {HTMLElement} said tells what was copied */
export function showAddresses(list, path, said) {
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
  list.replaceChildren(...entries.flatMap(([label, text]) => {
    const value = element('dd');
    const button = element('button', '', 'Copy');
    button.type = 'button';
    button.setAttribute('aria-label', `Copy: ${label}`);
    button.onclick = () => copy(text, button, said);
    value.append(element('code', '', text), button);
    return [element('dt', '', label), value];
  }));
}

export async function copy(text, button, said) {
  const done = await copyText(text);
  button.textContent = done ? 'Copied' : 'Press Ctrl+C';
  button.classList.toggle('done', done);
  said.textContent = done ? 'Copied to the clipboard' : 'Could not copy';
  setTimeout(() => {
    button.textContent = 'Copy';
    button.classList.remove('done');
    said.textContent = '';
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
