// One stream's websocket: opens it, says what is wrong when it cannot, and tries again with growing pauses.
//
//   connecting -> open -> (closed) -> probing? -> waiting -> connecting -> ...
//
// A browser does not tell why a websocket did not open, so the http-flv address of the same stream is asked for its status.
// Times are milliseconds.

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 15000;
const JITTER = 0.2; // share of the pause, so that a hundred viewers do not come back at once
const OPEN_TIMEOUT = 15000; // the hub itself waits up to 10 s for a camera that it pulls
const SILENCE_TIMEOUT = 12000; // longer than the frame interval of any camera of use

export class Connection {
  #url;
  #socket = null;
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
   * @param {object} hooks
   * @param {() => void} hooks.onConnecting
   * @param {() => void} hooks.onOpen
   * @param {(bytes: Uint8Array) => void} hooks.onData
   * @param {(trouble: {kind: string}) => void} hooks.onDown `retryAt` tells when it tries again
   */
  constructor(url, hooks) {
    this.#url = url;
    this.hooks = hooks;
  }

  get connected() { return this.#socket?.readyState === WebSocket.OPEN; }

  start() {
    const generation = this.#drop();
    this.hooks.onConnecting();
    let opened = false;
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    this.#timer = setTimeout(() => this.#unopened(this.#drop()), OPEN_TIMEOUT);
    socket.onopen = () => {
      opened = true;
      clearTimeout(this.#timer);
      this.#lastData = performance.now();
      this.hooks.onOpen();
    };
    socket.onmessage = ({ data }) => {
      this.#lastData = performance.now();
      if (data instanceof ArrayBuffer && generation === this.#generation) this.hooks.onData(new Uint8Array(data));
    };
    socket.onclose = ({ code, reason }) => {
      if (generation !== this.#generation) return;
      this.#drop();
      if (!opened) this.#unopened(this.#generation);
      else if (code === 1000 || code === 1001) this.#down({ kind: 'ended', reason });
      else if (code === 1005 || code === 1006) this.#down({ kind: 'lost' });
      else this.#down({ kind: 'closed', code, reason });
    };
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

  async #unopened(generation) {
    const trouble = await this.#ask();
    if (generation === this.#generation) this.#down(trouble);
  }

  /** Asks the http-flv address for its status, and reads nothing of it. */
  async #ask() {
    const probe = new AbortController();
    this.#probe = probe;
    const timeout = setTimeout(() => probe.abort(), OPEN_TIMEOUT);
    try {
      const { status } = await fetch(this.#url.replace(/^ws/, 'http'), { signal: probe.signal, cache: 'no-store', credentials: 'omit' });
      if (status === 404 || status === 410) return { kind: 'not-live' };
      if (status === 401) return { kind: 'login' };
      if (status === 403) return { kind: 'denied' };
      if (status === 429 || status === 503) return { kind: 'busy', status };
      return status < 400 ? { kind: 'no-websocket' } : { kind: 'hub-error', status };
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

  /** Forgets the socket, the probe and the timer; returns the number of the new generation. */
  #drop() {
    clearTimeout(this.#timer);
    this.#probe?.abort();
    this.retryAt = 0;
    if (this.#socket) {
      this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
      this.#socket.close();
      this.#socket = null;
    }
    return ++this.#generation;
  }
}

/** The websocket address of a stream; '' if `src` is none. */
export function websocketUrl(src) {
  try {
    const url = new URL(src, document.baseURI);
    const scheme = { 'http:': 'ws:', 'https:': 'wss:', 'ws:': 'ws:', 'wss:': 'wss:' }[url.protocol];
    if (!scheme) return '';
    url.protocol = scheme;
    url.hash = '';
    return url.href;
  } catch {
    return '';
  }
}
