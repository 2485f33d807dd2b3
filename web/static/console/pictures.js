// Pictures in the list of sources: the last key frame of each row that is seen, decoded by one hidden video and drawn.
//
// One row after the other, each seldom, and none while the page is hidden: a list costs the hub little, however long it is.

import { authorization } from './api.js';

const AGAIN_MS = 20_000; // after a picture, while its row is seen
const LATER_MS = 60_000; // after one that this browser cannot show
const SOON_MS = 4000; // after there was none yet
const KNOWN_MS = 1000; // while it is not known whether there is one; the hub is not asked
const DECODE_MS = 5000; // a picture that takes longer is given up
const WIDTH = 160; // pixels that are drawn; shown at half of it

export class Pictures {
  /** What can be seen: canvas -> {url, type, at, shows}. */
  #rows = new Map();
  #seen = new Set();
  #busy = false;
  #timer = 0;
  #video = document.createElement('video');
  #observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) this.#seen[isIntersecting ? 'add' : 'delete'](target);
    this.#next();
  }, { rootMargin: '80px' });

  constructor() {
    this.#video.muted = true;
    this.#video.playsInline = true;
    document.addEventListener('visibilitychange', () => this.#next());
  }

  /**
   * Shows the pictures of a source on a canvas until `remove`.
   * @param {HTMLCanvasElement} canvas
   * @param {() => URL|null} url where its picture is; `null`: it has none
   */
  add(canvas, url) {
    this.#rows.set(canvas, { url, at: 0 });
    this.#observer.observe(canvas);
  }

  remove(canvas) {
    this.#observer.unobserve(canvas);
    this.#rows.delete(canvas);
    this.#seen.delete(canvas);
  }

  async #next() {
    if (this.#busy || document.hidden) return;
    clearTimeout(this.#timer);
    const now = performance.now();
    const due = [...this.#seen].filter((canvas) => this.#rows.has(canvas)).sort((a, b) => this.#rows.get(a).at - this.#rows.get(b).at)[0];
    if (!due) return;
    const row = this.#rows.get(due);
    if (row.at > now) {
      this.#timer = setTimeout(() => this.#next(), row.at - now);
      return;
    }
    this.#busy = true;
    const next = await this.#show(due, row).catch(() => LATER_MS);
    due.classList.toggle('none', next !== AGAIN_MS);
    row.at = performance.now() + next;
    this.#busy = false;
    this.#next();
  }

  /** Answers when to look again. */
  async #show(canvas, row) {
    const url = row.url();
    if (!url) return KNOWN_MS;
    const answer = await fetch(url, { headers: authorization(), signal: AbortSignal.timeout(DECODE_MS) });
    const type = answer.headers.get('Content-Type') ?? '';
    if (!answer.ok || !this.#video.canPlayType(type)) {
      await answer.body?.cancel();
      return answer.status === 503 ? SOON_MS : LATER_MS;
    }
    const file = URL.createObjectURL(await answer.blob());
    try {
      await this.#decode(file);
      const until = performance.now() + DECODE_MS;
      // Data that is loaded may not be decoded yet: then nothing is drawn.
      while (!draw(canvas, this.#video)) {
        if (performance.now() > until) return LATER_MS;
        await new Promise((resolve) => { setTimeout(resolve, 50); });
      }
      return AGAIN_MS;
    } finally {
      this.#video.removeAttribute('src');
      this.#video.load();
      URL.revokeObjectURL(file);
    }
  }

  #decode(file) {
    const video = this.#video;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('it takes too long')), DECODE_MS);
      video.onloadeddata = () => { clearTimeout(timer); resolve(); };
      video.onerror = () => { clearTimeout(timer); reject(video.error); };
      video.src = file;
      // iPhones decode nothing before they are to play.
      video.play().catch(() => {});
    });
  }
}

/** False if there is nothing to draw yet; what was drawn before stays. */
function draw(canvas, video) {
  const { videoWidth, videoHeight } = video;
  const height = Math.max(1, Math.round(WIDTH * videoHeight / videoWidth)) || 0;
  const trial = Object.assign(document.createElement('canvas'), { width: WIDTH, height: height || 1 });
  const context = trial.getContext('2d');
  context.drawImage(video, 0, 0, WIDTH, height);
  if (!height || !context.getImageData(WIDTH / 2, height >> 1, 1, 1).data[3]) return false;
  [canvas.width, canvas.height] = [WIDTH, height];
  canvas.getContext('2d').drawImage(trial, 0, 0);
  return true;
}
