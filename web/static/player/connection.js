// One stream's connection: opens it, says what is wrong when it cannot, and tries again with growing pauses.
//
//   connecting -> up -> open -> (closed) -> probing? -> waiting -> connecting -> ...
//
// A browser does not tell why a websocket did not open, so the http address of the same output is asked for its status.
// Times are milliseconds.

import { httpUrl, outputUrl } from './address.js';
import { LINKS } from './link.js';

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 15000;
const JITTER = 0.2; // share of the pause, so that a hundred viewers do not come back at once
const OPEN_TIMEOUT = 15000; // the hub itself waits up to 10 s for a camera that it pulls
const SILENCE_TIMEOUT = 12000; // longer than the frame interval of any camera of use

/** The output whose address tells why a link does not open. */
const ASKED = { flv: 'flv', mp4: 'mp4', rtsp: 'flv', wsp: 'flv', hls: 'm3u8' };

export class Connection {
  #url;
  #transport;
  #video;
  #link = null;
  #attempt = 0; // since it last played
  #generation = 0; // tells late answers of an earlier try
  #timer = 0;
  #probe = null;
  #lastData = 0;

  /** Times it had to connect again. */
  reconnects = 0;

  /** When the next try is, performance.now() clock; 0 while none is planned. */
  retryAt = 0;

  /**
   * @param {string} url ws: or wss:
   * @param {keyof LINKS} transport
   * @param {HTMLVideoElement} video what the browser plays by itself is played there
   * @param {object} hooks
   * @param {() => void} hooks.onConnecting
   * @param {(reader: ((hooks: object) => object) | null) => void} hooks.onOpen gets what makes a reader of the bytes
   * @param {(bytes: Uint8Array) => void} hooks.onData
   * @param {(trouble: {kind: string}) => void} hooks.onDown `retryAt` tells when it tries again
   */
  constructor(url, transport, video, hooks) {
    this.#url = url;
    this.#transport = transport;
    this.#video = video;
    this.hooks = hooks;
  }

  get connected() { return Boolean(this.#link?.isOpen); }

  start() {
    const generation = this.#drop();
    this.hooks.onConnecting();
    let up = false;
    const current = (act) => (...what) => { if (generation === this.#generation) act(...what); };
    this.#timer = setTimeout(() => this.#unopened(this.#drop()), OPEN_TIMEOUT);
    this.#link = new LINKS[this.#transport](this.#url, {
      onUp: current(() => {
        up = true;
        clearTimeout(this.#timer);
        this.#lastData = performance.now() + OPEN_TIMEOUT - SILENCE_TIMEOUT;
      }),
      onOpen: current((reader) => {
        this.#lastData = performance.now();
        this.hooks.onOpen(reader);
      }),
      onData: current((bytes) => {
        this.#lastData = performance.now();
        this.hooks.onData(bytes);
      }),
      onTrouble: current((trouble) => this.fail(trouble)),
      onClose: current(({ code, reason }) => {
        this.#drop();
        if (!up) this.#unopened(this.#generation, reason);
        else if (code === 1000 || code === 1001) this.#down({ kind: 'ended', reason });
        else if (code === 1005 || code === 1006) this.#down({ kind: 'lost' });
        else this.#down({ kind: 'closed', code, reason });
      }),
    }, this.#video);
  }

  stop() {
    this.#drop();
  }

  /** Gives the connection up because of what came over it, and tries again; `pause` instead of the back-off, if given. */
  fail(trouble, pause) {
    this.#drop();
    this.#down(trouble, pause);
  }

  /** Tries now if it waits: the viewer asked, the network is back, the page is seen again. */
  retryNow() {
    if (this.retryAt) this.#retry();
  }

  /** It played: the next pause is short again. */
  played() {
    this.#attempt = 0;
  }

  /** To be called about once a second: a connection whose other end is gone sends nothing and does not close. */
  tick() {
    if (this.connected && performance.now() - this.#lastData > SILENCE_TIMEOUT) {
      this.fail({ kind: 'silent', seconds: SILENCE_TIMEOUT / 1000 });
    }
  }

  #retry() {
    this.reconnects++;
    this.start();
  }

  async #unopened(generation, reason) {
    const trouble = await this.#ask(reason);
    if (generation === this.#generation) this.#down(trouble);
  }

  /** Asks the output's address for its status; of media nothing is read. */
  async #ask(said) {
    const probe = new AbortController();
    this.#probe = probe;
    const timeout = setTimeout(() => probe.abort(), OPEN_TIMEOUT);
    try {
      const url = httpUrl(outputUrl(this.#url, ASKED[this.#transport]));
      const answer = await fetch(url, { signal: probe.signal, cache: 'no-store', credentials: 'omit' });
      const { status } = answer;
      if (status === 404 || status === 410) return notThere(await answer.json().catch(() => null));
      if (status === 401) return { kind: 'login' };
      if (status === 403) return { kind: 'denied' };
      if (status === 429 || status === 503) return { kind: 'busy', status };
      if (status >= 400) return { kind: 'hub-error', status };
      return this.#transport === 'hls' ? { kind: 'hls', reason: said } : { kind: 'no-websocket' };
    } catch {
      return { kind: 'hub-gone' };
    } finally {
      clearTimeout(timeout);
      probe.abort();
    }
  }

  #down(trouble, pause) {
    if (trouble.kind !== 'login' && trouble.kind !== 'denied') {
      pause ??= trouble.kind === 'busy' ? LONGEST_PAUSE : Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#attempt);
      this.#attempt++;
      pause *= 1 + JITTER * (Math.random() - 0.5);
      this.retryAt = performance.now() + pause;
      this.#timer = setTimeout(() => this.#retry(), pause);
    }
    this.hooks.onDown(trouble);
  }

  /** Forgets the link, the probe and the timer; returns the number of the new generation. */
  #drop() {
    clearTimeout(this.#timer);
    this.#probe?.abort();
    this.retryAt = 0;
    this.#link?.close();
    this.#link = null;
    return ++this.#generation;
  }
}

/** A stream that is live and has no such output is told apart from one that is not live by the hub's words. */
function notThere(body) {
  const reason = String(body?.error ?? '');
  return reason.includes('cannot be sent') ? { kind: 'no-output', reason } : { kind: 'not-live' };
}
