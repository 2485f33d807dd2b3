// Interleaved packets (RFC 2326, section 10.12) of a described stream -> what the pipeline plays, as from FLV: configurations
// and frames with milliseconds.
//
// The tracks' clocks begin anywhere; the hub's sender reports, which come before the first packets, place them against each
// other. A track without one is placed by its arrival.

import { depacketizer } from './depacketize.js';

const NTP_TO_UNIX_MS = 2208988800 * 1000;
const SENDER_REPORT = 200;
const REORDER_WINDOW = 20; // pictures; H.264 and H.265 reorder by 16 at most

export class RtpReader {
  #tracks;
  #now = null; // {ntp, wall} ms: what the hub's clock shows now

  /**
   * @param {import('./sdp.js').Track[]} tracks the n-th on channels 2n and 2n+1
   * @param {import('../pipeline.js').ReaderHooks} hooks
   */
  constructor(tracks, hooks) {
    this.hooks = hooks;
    const has = (name) => tracks.some((track) => track.name === name);
    hooks.onExpect({ video: has('video'), audio: has('audio') });
    this.#tracks = tracks.map((track) => new RtpTrack(track, hooks, () => this.#clock()));
  }

  /** @param {Uint8Array} bytes one packet with its head */
  push(bytes) {
    const track = this.#tracks[bytes[1] >> 1];
    if (bytes[0] !== 0x24 || !track) return;
    if (bytes[1] & 1) this.#report(track, bytes.subarray(4));
    else track.push(bytes.subarray(4));
  }

  #report(track, data) {
    if (data.length < 28 || data[1] !== SENDER_REPORT) return;
    const view = new DataView(data.buffer, data.byteOffset);
    const ntp = view.getUint32(8) * 1000 + view.getUint32(12) * 1000 / 2 ** 32;
    this.#now ??= { ntp, wall: performance.now() };
    track.report(ntp, view.getUint32(16));
  }

  #clock() {
    const wall = performance.now();
    this.#now ??= { ntp: Date.now() + NTP_TO_UNIX_MS, wall };
    return this.#now.ntp + wall - this.#now.wall;
  }
}

class RtpTrack {
  #hooks;
  #clock;
  #track;
  #depacketizer;
  #sequence = null;
  #ticks = null; // unwrapped time of the newest packet
  #place = null; // {ntp, ticks}
  #report = null; // {ntp, rtp}, not yet used
  #times = []; // newest presentation times, for decode times
  #depth = 0; // pictures that may come before earlier ones

  constructor(track, hooks, clock) {
    this.#track = track;
    this.#hooks = hooks;
    this.#clock = clock;
    const codec = { H264: 'avc', H265: 'hevc' }[track.encoding] ?? 'aac';
    const item = (time, fields) => hooks.onItem(track.name, { codec, ...fields }, time);
    this.#depacketizer = depacketizer(track, {
      config: (data) => item(0, { kind: 'config', data }),
      frame: (ticks, key, data) => {
        const time = this.#ms(ticks);
        const decode = track.name === 'video' ? this.#decodeTime(time) : time;
        item(Math.round(decode) % 2 ** 32, { kind: 'frame', key, cts: Math.round(time) - Math.round(decode), data });
      },
    });
    if (!this.#depacketizer) item(0, { kind: 'unknown', codec: track.codec });
  }

  report(ntp, rtp) {
    if (!this.#place) this.#report = { ntp, rtp };
  }

  /** One RTP packet (RFC 3550, section 5.1). */
  push(data) {
    if (data.length < 12 || data[0] >> 6 !== 2) return;
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    let from = 12 + 4 * (data[0] & 15);
    if (data[0] & 16 && from + 4 <= data.length) from += 4 + 4 * view.getUint16(from + 2);
    const until = data.length - (data[0] & 32 ? data.at(-1) : 0);
    const sequence = view.getUint16(2);
    const gap = this.#sequence !== null && sequence !== ((this.#sequence + 1) & 0xffff);
    this.#sequence = sequence;
    const time = this.#unwrap(view.getUint32(4));
    const packet = { marker: (data[1] & 128) !== 0, time, gap, payload: data.subarray(from, until) };
    if (from < until) this.#depacketizer?.push(packet);
  }

  #unwrap(rtp) {
    this.#ticks = this.#ticks === null ? rtp : this.#ticks + ((rtp - this.#ticks) | 0);
    if (!this.#place) {
      const { ntp, rtp: at } = this.#report ?? { ntp: this.#clock(), rtp };
      this.#place = { ntp, ticks: this.#ticks + ((at - this.#ticks) | 0) };
    }
    return this.#ticks;
  }

  #ms(ticks) { return this.#place.ntp + (ticks - this.#place.ticks) * 1000 / this.#track.rate; }

  /** With a reorder depth of n a picture is decoded when the n+1-latest of those that came so far is shown. */
  #decodeTime(time) {
    this.#depth = Math.max(this.#depth, Math.min(16, this.#times.filter((other) => other > time).length));
    this.#times.push(time);
    if (this.#times.length > REORDER_WINDOW) this.#times.shift();
    const latest = [...this.#times].sort((a, b) => b - a);
    return latest[Math.min(this.#depth, latest.length - 1)];
  }
}
