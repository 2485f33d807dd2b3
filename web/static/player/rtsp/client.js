// The requests of a player (RFC 2326): DESCRIBE, SETUP of the picture and the sound, PLAY; then a sign of life now and then.

import { parseSdp } from './sdp.js';

const ALIVE_MS = 25000; // the hub ends a session that is silent for a minute

export class RtspClient {
  #url;
  #send;
  #sequence = 0;
  #waiting = new Map(); // CSeq -> {resolve, reject}
  #session = '';
  #timer = 0;

  /** @param {string} url rtsp: @param {(text: string) => void} send */
  constructor(url, send) {
    this.#url = url;
    this.#send = send;
  }

  /** Plays. @returns {Promise<import('./sdp.js').Track[]>} tracks, the n-th on channels 2n and 2n+1; rejects with a trouble */
  async play() {
    const described = await this.#request('DESCRIBE', this.#url, { Accept: 'application/sdp' });
    const tracks = parseSdp(described.body);
    if (!tracks.length) throw { kind: 'rtsp', status: 200, text: 'it has neither picture nor sound' };
    const base = described.headers['content-base'] ?? `${this.#url}/`;
    for (const [n, { control }] of tracks.entries()) {
      const url = /^rtsps?:/.test(control) ? control : base + control;
      const { headers } = await this.#request('SETUP', url, { Transport: `RTP/AVP/TCP;unicast;interleaved=${2 * n}-${2 * n + 1}` });
      this.#session = (headers.session ?? '').split(';')[0];
    }
    await this.#request('PLAY', this.#url, { Range: 'npt=now-' });
    this.#timer = setInterval(() => this.#request('GET_PARAMETER', this.#url, {}).catch(() => {}), ALIVE_MS);
    return tracks;
  }

  /** @param {string} text a whole message of the hub */
  take(text) {
    const end = text.indexOf('\r\n\r\n');
    const [start, ...lines] = text.slice(0, end).split('\r\n');
    const [, status, reason] = /^RTSP\/1\.0 (\d{3}) ?(.*)$/.exec(start) ?? [];
    if (!status) return;
    const headers = Object.fromEntries(lines.map((line) => {
      const at = line.indexOf(':');
      return [line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim()];
    }));
    const waiting = this.#waiting.get(headers.cseq);
    this.#waiting.delete(headers.cseq);
    const body = text.slice(end + 4);
    if (status < 300) waiting?.resolve({ headers, body });
    else waiting?.reject(trouble(Number(status), body.trim() || reason));
  }

  close() {
    clearInterval(this.#timer);
    this.#waiting.clear();
  }

  #request(method, url, headers) {
    const sequence = String(++this.#sequence);
    const all = { CSeq: sequence, ...(this.#session && { Session: this.#session }), 'User-Agent': 'ipchub-player', ...headers };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    return new Promise((resolve, reject) => {
      this.#waiting.set(sequence, { resolve, reject });
      this.#send(`${method} ${url} RTSP/1.0\r\n${lines.join('')}\r\n`);
    });
  }
}

function trouble(status, text) {
  const kind = { 401: 'login', 403: 'denied', 404: 'not-live', 429: 'busy', 503: 'busy' }[status] ?? 'rtsp';
  return { kind, status, text };
}
