// The ways to a stream, all with one face: `new Link(url, hooks, video)`, `isOpen`, `close()`.
//
//   flv    one websocket, FLV in binary messages
//   mp4    one websocket, fragmented MP4 in binary messages
//   rtsp   one websocket of subprotocol `rtsp`: RTSP and its interleaved packets
//   wsp    two websockets: RTSP in WSP messages on `control`, the packets on `data`
//   hls    none: the browser plays the HLS by itself

import { httpUrl, outputUrl } from './address.js';
import { FlvReader } from './flv.js';
import { Mp4Reader } from './mp4.js';
import { RtspClient } from './rtsp/client.js';
import { RtpReader } from './rtsp/rtp.js';

/**
 * @typedef {object} LinkHooks
 * @property {() => void} onUp a websocket opened: the hub is there
 * @property {(reader: ((hooks: object) => {push: (bytes: Uint8Array) => void}) | null) => void} onOpen media comes; makes what reads it,
 *   `null` if the browser does
 * @property {(bytes: Uint8Array) => void} onData
 * @property {(how: {code: number, reason: string}) => void} onClose
 * @property {(trouble: {kind: string}) => void} onTrouble the hub refuses; no `onClose` follows
 */

class MuxedLink {
  #socket;

  /** @param {string} url @param {LinkHooks} hooks */
  constructor(url, hooks, Reader) {
    this.#socket = socket(url, [], hooks.onClose);
    this.#socket.onopen = () => {
      hooks.onUp();
      hooks.onOpen((readerHooks) => new Reader(readerHooks));
    };
    this.#socket.onmessage = ({ data }) => { if (data instanceof ArrayBuffer) hooks.onData(new Uint8Array(data)); };
  }

  get isOpen() { return this.#socket.readyState === WebSocket.OPEN; }

  close() { shut(this.#socket); }
}

class FlvLink extends MuxedLink {
  constructor(url, hooks) { super(outputUrl(url, 'flv'), hooks, FlvReader); }
}

class Mp4Link extends MuxedLink {
  constructor(url, hooks) { super(outputUrl(url, 'mp4'), hooks, Mp4Reader); }
}

const NOTHING = new Uint8Array(0);
const REST_MS = 1000;

/** The browser fetches and plays; what it says of that is all that is known. */
class HlsLink {
  #video;
  #listeners = new AbortController();
  #timer;
  #up = false;

  /** @param {string} url @param {LinkHooks} hooks @param {HTMLVideoElement} video */
  constructor(url, hooks, video) {
    this.#video = video;
    const on = (event, act) => video.addEventListener(event, act, { signal: this.#listeners.signal });
    const alive = () => hooks.onData(NOTHING);
    const up = () => {
      if (this.#up) return;
      this.#up = true;
      hooks.onUp();
      hooks.onOpen(null);
    };
    on('loadedmetadata', up);
    on('timeupdate', alive);
    on('ended', () => hooks.onClose({ code: 1000, reason: '' }));
    on('error', () => hooks.onClose({ code: 1006, reason: video.error?.message ?? '' }));
    // A video that rests, as browsers let those of hidden pages, is not silent.
    this.#timer = setInterval(() => { if (this.#up && (video.paused || document.hidden)) alive(); }, REST_MS);
    video.src = httpUrl(outputUrl(url, 'm3u8'));
    video.load();
    // iPhones fetch nothing before they are to play; where they may not, the viewer is asked to begin.
    video.play().catch((error) => { if (error.name === 'NotAllowedError') up(); });
  }

  get isOpen() { return this.#up; }

  close() {
    this.#listeners.abort();
    clearInterval(this.#timer);
    this.#video.removeAttribute('src');
    this.#video.load();
  }
}

/** What RTSP and WSP have in common: packets that come before the tracks are known wait. */
class RtspLink {
  #hooks;
  #client;
  #early = [];

  constructor(url, hooks, send) {
    const { host, pathname } = new URL(url);
    const path = pathname.replace(/^.*?\/streams(?=\/)/, '').replace(/\.flv$/i, '');
    this.#hooks = hooks;
    this.#client = new RtspClient(`rtsp://${host}${path}`, send);
  }

  async start() {
    try {
      const tracks = await this.#client.play();
      this.#hooks.onOpen((readerHooks) => new RtpReader(tracks, readerHooks));
      for (const packet of this.#early ?? []) this.#hooks.onData(packet);
      this.#early = null;
    } catch (trouble) {
      this.#hooks.onTrouble(trouble.kind ? trouble : { kind: 'damaged', reason: trouble.message });
    }
  }

  answer(text) { this.#client.take(text); }

  packet(bytes) {
    if (this.#early) this.#early.push(bytes);
    else this.#hooks.onData(bytes);
  }

  close() { this.#client.close(); }
}

class WebsocketRtspLink {
  #socket;
  #rtsp;

  constructor(url, hooks) {
    this.#socket = socket(url, ['rtsp'], hooks.onClose);
    this.#rtsp = new RtspLink(url, hooks, (text) => { if (this.isOpen) this.#socket.send(text); });
    this.#socket.onopen = () => {
      hooks.onUp();
      this.#rtsp.start();
    };
    this.#socket.onmessage = ({ data }) => {
      const bytes = new Uint8Array(data);
      if (bytes[0] === 0x24) this.#rtsp.packet(bytes);
      else this.#rtsp.answer(new TextDecoder().decode(bytes));
    };
  }

  get isOpen() { return this.#socket.readyState === WebSocket.OPEN; }

  close() {
    this.#rtsp.close();
    shut(this.#socket);
  }
}

class WspLink {
  #control;
  #data = null;
  #rtsp;
  #hooks;
  #url;
  #sequence = 0;

  constructor(url, hooks) {
    this.#url = url;
    this.#hooks = hooks;
    this.#control = socket(url, ['control'], (how) => this.#lost(how));
    this.#rtsp = new RtspLink(url, hooks, (text) => this.#say('WRAP', {}, text));
    this.#control.onopen = () => {
      hooks.onUp();
      this.#control.onmessage = ({ data }) => this.#init(parseWsp(data));
      this.#say('INIT', { proto: 'rtsp' });
    };
  }

  get isOpen() { return this.#control.readyState === WebSocket.OPEN; }

  close() {
    this.#rtsp.close();
    shut(this.#control);
    if (this.#data) shut(this.#data);
  }

  #say(command, headers, payload = '', to = this.#control) {
    if (to.readyState !== WebSocket.OPEN) return;
    const lines = Object.entries({ ...headers, seq: ++this.#sequence }).map(([name, value]) => `${name}: ${value}\r\n`);
    to.send(`WSP/1.1 ${command}\r\n${lines.join('')}\r\n${payload}`);
  }

  #init(reply) {
    if (!this.#accepted(reply)) return;
    this.#control.onmessage = ({ data }) => {
      const answer = parseWsp(data);
      if (this.#accepted(answer) && answer.payload) this.#rtsp.answer(answer.payload);
    };
    const data = socket(this.#url, ['data'], (how) => this.#lost(how));
    this.#data = data;
    data.onopen = () => this.#say('JOIN', { channel: reply.headers.channel }, '', data);
    data.onmessage = (joined) => {
      if (!this.#accepted(parseWsp(joined.data))) return;
      data.onmessage = (message) => { if (message.data instanceof ArrayBuffer) this.#rtsp.packet(new Uint8Array(message.data)); };
      this.#rtsp.start();
    };
  }

  #accepted(reply) {
    if (reply?.status < 300) return true;
    this.#hooks.onTrouble({ kind: 'rtsp', status: reply?.status ?? 0, text: reply?.reason ?? 'it does not speak WSP' });
    return false;
  }

  /** Whichever goes first says why. */
  #lost(how) {
    this.close();
    this.#hooks.onClose(how);
  }
}

function parseWsp(text) {
  if (typeof text !== 'string') return null;
  const end = text.indexOf('\r\n\r\n');
  const [start, ...lines] = text.slice(0, end).split('\r\n');
  const [, status, reason] = /^WSP\/1\.1 (\d{3}) ?(.*)$/.exec(start) ?? [];
  if (!status) return null;
  const headers = Object.fromEntries(lines.map((line) => {
    const at = line.indexOf(':');
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  }));
  return { status: Number(status), reason, headers, payload: text.slice(end + 4) };
}

function socket(url, protocols, onClose) {
  const opened = new WebSocket(url, protocols);
  opened.binaryType = 'arraybuffer';
  opened.onclose = ({ code, reason }) => onClose({ code, reason });
  return opened;
}

function shut(one) {
  one.onopen = one.onmessage = one.onclose = null;
  one.close();
}

/** By the name that the element's `transport` attribute has. */
export const LINKS = { flv: FlvLink, mp4: Mp4Link, rtsp: WebsocketRtspLink, wsp: WspLink, hls: HlsLink };
