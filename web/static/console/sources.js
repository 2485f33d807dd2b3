// The list of live sources: one link a source, kept in place between polls so that focus and scroll stay.

import { Pictures } from './pictures.js';

const FILTER_FROM = 8; // sources; fewer are found at a glance
const SHOWN = 100; // rows at once
const collator = new Intl.Collator(undefined, { numeric: true });

/** "H.264 · 1280×720 · 25 fps · AAC" @param {object} source an entry of GET /streams */
export function describe({ video, audio }) {
  const parts = [];
  if (video?.codec) parts.push(video.codec.replace(/^H(26[45])$/, 'H.$1'));
  if (video?.width) parts.push(`${video.width}×${video.height}`);
  if (video?.framerate) parts.push(`${Math.round(video.framerate * 10) / 10} fps`);
  if (audio?.codec) parts.push(audio.codec);
  return parts.join(' · ') || 'format not known yet';
}

export class SourceList {
  #rows = new Map();
  #pictures = new Pictures();
  #all = [];
  #limit = SHOWN;
  #chosen = '';

  /** @param {{list: HTMLElement, note: HTMLElement, filter: HTMLInputElement, more: HTMLButtonElement}} elements */
  constructor(elements) {
    Object.assign(this, elements);
    this.filter.addEventListener('input', () => {
      this.#limit = SHOWN;
      this.#render();
    });
    this.more.addEventListener('click', () => {
      this.#limit += SHOWN;
      this.#render();
    });
  }

  /** @param {object[]} sources @param {string} chosen path */
  show(sources, chosen) {
    this.#all = [...sources].sort((a, b) => collator.compare(a.path, b.path));
    this.#chosen = chosen;
    this.#render();
  }

  #render() {
    const wanted = this.filter.value.trim().toLowerCase();
    const found = this.#all.filter(({ path }) => path.toLowerCase().includes(wanted));
    const gone = new Set(this.#rows.keys());
    let before = null;
    for (const source of found.slice(0, this.#limit)) {
      gone.delete(source.path);
      const row = this.#rows.get(source.path) ?? this.#add(source.path);
      setText(row.formats, describe(source));
      setText(row.viewers, String(source.cc ?? 0));
      // Known, and frames of it have come.
      row.hasPicture = Boolean(source.video?.width && source.video.datarate) && source.outputs.fmp4.carries.includes(source.video.codec);
      const place = before ? before.nextSibling : this.list.firstChild;
      if (row.item !== place) this.list.insertBefore(row.item, place);
      before = row.item;
    }
    for (const path of gone) this.#remove(path);
    this.filter.hidden = this.#all.length < FILTER_FROM && !wanted;
    this.more.hidden = found.length <= this.#limit;
    setText(this.more, `Show more of ${found.length}`);
    this.note.hidden = found.length > 0;
    setText(this.note, this.#all.length ? 'No source has this in its path.' : 'None at the moment.');
    this.choose(this.#chosen);
  }

  choose(path) {
    this.#chosen = path;
    for (const [name, { link }] of this.#rows) {
      if (name === path) link.setAttribute('aria-current', 'true');
      else link.removeAttribute('aria-current');
    }
  }

  #add(path) {
    const name = element('span', 'path', path);
    const formats = element('span', 'formats');
    const viewers = element('span', 'viewers');
    const link = element('a', 'source');
    link.href = hashOf(path);
    const crowd = element('span', 'crowd');
    crowd.append(eye(), viewers, element('span', 'unseen', 'viewers'));
    const canvas = element('canvas', 'none');
    canvas.setAttribute('aria-hidden', 'true'); // the name beside it says what it shows
    link.append(canvas, name, formats, crowd);
    const item = element('li');
    item.append(link);
    const row = { item, link, canvas, formats, viewers, hasPicture: false };
    this.#rows.set(path, row);
    this.#pictures.add(canvas, () => (row.hasPicture ? snapshotUrl(path) : null));
    return row;
  }

  #remove(path) {
    const { item, link, canvas } = this.#rows.get(path);
    this.#pictures.remove(canvas);
    if (link === document.activeElement) (item.nextSibling ?? item.previousSibling)?.firstChild.focus();
    item.remove();
    this.#rows.delete(path);
  }
}

function snapshotUrl(path) { return new URL(`streams${encodePath(path)}.mp4?snapshot=1`, document.baseURI); }

function eye() {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 20 20');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', 'M1.5 10S4.5 4.5 10 4.5 18.5 10 18.5 10 15.5 15.5 10 15.5 1.5 10 1.5 10ZM10 7.6a2.4 2.4 0 1 0 0 4.8 2.4 2.4 0 0 0 0-4.8Z');
  svg.append(path);
  return svg;
}

/** `#/room/door` for a path, and back. */
export function hashOf(path) { return `#${encodePath(path)}`; }

export function pathFromHash(hash) {
  try {
    const path = decodeURIComponent(hash.slice(1));
    return path.startsWith('/') && path.length > 1 ? path : '';
  } catch {
    return '';
  }
}

export function encodePath(path) { return path.split('/').map(encodeURIComponent).join('/'); }

function setText(one, text) { if (one.textContent !== text) one.textContent = text; }

export function element(tag, className = '', textContent = '') {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (textContent) made.textContent = textContent;
  return made;
}
