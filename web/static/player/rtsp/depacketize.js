// RTP payloads -> frames as MP4 wants them: H.264 (RFC 6184), H.265 (RFC 7798), AAC (RFC 3640).
//
// Over a websocket nothing is reordered or lost on the way; a gap in the numbers means that the hub left something out,
// and then nothing is worth having before the next key frame.

import { audioConfig } from '../codecs.js';
import { avcRecord, hevcRecord } from './records.js';

const LARGEST_FRAME = 16 * 1024 * 1024; // bytes of what is collected

/**
 * @typedef {{marker: boolean, time: number, gap: boolean, payload: Uint8Array}} Packet `time`: unwrapped ticks of the RTP clock
 * @typedef {object} Out
 * @property {(data: Uint8Array) => void} config avcC, hvcC or AudioSpecificConfig
 * @property {(time: number, key: boolean, data: Uint8Array) => void} frame
 */

/** @param {import('./sdp.js').Track} track @param {Out} out; null for what this player has no frames of */
export function depacketizer(track, out) {
  switch (track.encoding) {
    case 'H264': return new VideoDepacketizer(H264, track, out);
    case 'H265': return new VideoDepacketizer(H265, track, out);
    case 'MPEG4-GENERIC': return new AacDepacketizer(track, out);
    default: return null;
  }
}

const H264 = {
  headerBytes: 1,
  type: (nal) => nal[0] & 31,
  aggregate: 24,
  fragment: 28,
  header: (packet) => [(packet[0] & 0xe0) | (packet[1] & 31)],
  sets: [7, 8],
  isKey: (type) => type === 5,
  isKept: (type) => type >= 1 && type <= 6,
  parameters: ({ 'sprop-parameter-sets': sets }) => (sets ?? '').split(','),
  record: avcRecord,
};

const H265 = {
  headerBytes: 2,
  type: (nal) => (nal[0] >> 1) & 63,
  aggregate: 48,
  fragment: 49,
  header: (packet) => [(packet[0] & 0x81) | ((packet[2] & 63) << 1), packet[1]],
  sets: [32, 33, 34],
  isKey: (type) => type >= 16 && type <= 21,
  isKept: (type) => type < 32 || type === 39,
  parameters: (p) => ['sprop-vps', 'sprop-sps', 'sprop-pps'].flatMap((name) => (p[name] ?? '').split(',')),
  record: hevcRecord,
};

class VideoDepacketizer {
  #codec;
  #out;
  #sets = new Map(); // type -> NAL unit
  #units = [];
  #bytes = 0;
  #fragments = null;
  #time = null;
  #key = false;
  #needKey = true;
  #described = false;

  constructor(codec, track, out) {
    this.#codec = codec;
    this.#out = out;
    for (const text of codec.parameters(track.parameters)) {
      const nal = fromBase64(text.trim());
      if (nal.length > codec.headerBytes) this.#unit(nal);
    }
  }

  /** @param {Packet} packet */
  push({ marker, time, gap, payload }) {
    if (gap) this.#lose();
    if (this.#time !== null && time !== this.#time) this.#finish();
    this.#time = time;
    const { headerBytes, type, aggregate, fragment } = this.#codec;
    if (payload.length > headerBytes) {
      const kind = type(payload);
      if (kind === aggregate) this.#aggregate(payload);
      else if (kind === fragment) this.#fragment(payload);
      else this.#unit(payload);
    }
    if (this.#bytes > LARGEST_FRAME) this.#lose();
    if (marker) this.#finish();
  }

  #aggregate(payload) {
    for (let at = this.#codec.headerBytes; at + 2 < payload.length;) {
      const size = (payload[at] << 8) | payload[at + 1];
      this.#unit(payload.subarray(at + 2, at + 2 + size));
      at += 2 + size;
    }
  }

  #fragment(payload) {
    const at = this.#codec.headerBytes;
    const flags = payload[at];
    if (flags & 0x80) this.#fragments = [Uint8Array.from(this.#codec.header(payload))];
    if (!this.#fragments) return;
    this.#fragments.push(payload.subarray(at + 1));
    this.#bytes += payload.length;
    if (flags & 0x40) {
      this.#unit(join(this.#fragments));
      this.#fragments = null;
    }
  }

  #unit(nal) {
    if (nal.length <= this.#codec.headerBytes) return;
    const type = this.#codec.type(nal);
    if (this.#codec.sets.includes(type)) {
      const known = this.#sets.get(type);
      if (known?.length === nal.length && known.every((byte, i) => byte === nal[i])) return;
      this.#sets.set(type, nal.slice());
      this.#described = false;
    } else if (this.#codec.isKept(type)) {
      this.#key ||= this.#codec.isKey(type);
      this.#units.push(nal);
      this.#bytes += nal.length;
    }
  }

  #finish() {
    const [units, key, time] = [this.#units, this.#key, this.#time];
    this.#clear();
    if (!units.length || (this.#needKey && !key)) return;
    // Sets may come one after the other: they are one configuration only with the picture that needs them.
    if (!this.#described && key && this.#codec.sets.every((type) => this.#sets.has(type))) {
      this.#out.config(this.#codec.record(...this.#codec.sets.map((type) => this.#sets.get(type))));
      this.#described = true;
    }
    this.#needKey = false;
    this.#out.frame(time, key, lengthPrefixed(units));
  }

  #lose() {
    this.#clear();
    this.#needKey = true;
  }

  #clear() {
    this.#units = [];
    this.#bytes = 0;
    this.#fragments = null;
    this.#key = false;
    this.#time = null;
  }
}

class AacDepacketizer {
  #out;
  #sizeBits;
  #indexBits;
  #ticks; // a frame
  #partial = null; // {size, parts, bytes}: a frame in several packets

  constructor(track, out) {
    const { parameters } = track;
    const config = fromHex(parameters.config ?? '');
    this.#out = out;
    this.#sizeBits = Number(parameters.sizelength ?? 13);
    this.#indexBits = Number(parameters.indexlength ?? 3);
    const { rate, frameSamples } = audioConfig('aac', config);
    this.#ticks = frameSamples * track.rate / rate;
    out.config(config);
  }

  /** @param {Packet} packet */
  push({ marker, time, gap, payload }) {
    if (gap) this.#partial = null;
    if (payload.length < 2) return;
    const headerBits = (payload[0] << 8) | payload[1];
    const width = this.#sizeBits + this.#indexBits;
    const count = width > 0 ? Math.floor(headerBits / width) : 0;
    let at = 2 + Math.ceil(headerBits / 8);
    if (at > payload.length) return;
    for (let n = 0; n < count; n++) {
      const size = bitsAt(payload, 16 + n * width, this.#sizeBits);
      const data = payload.subarray(at, at + size);
      at += size;
      if (data.length === size) this.#out.frame(time + n * this.#ticks, true, data.slice());
      else if (count === 1) this.#collect(size, data, time, marker);
    }
  }

  #collect(size, data, time, marker) {
    if (this.#partial?.size !== size) this.#partial = { size, parts: [], bytes: 0 };
    this.#partial.parts.push(data.slice());
    this.#partial.bytes += data.length;
    const { bytes, parts } = this.#partial;
    if (bytes >= size && marker) {
      if (bytes === size) this.#out.frame(time, true, join(parts));
      this.#partial = null;
    }
  }
}

function bitsAt(data, from, count) {
  let value = 0;
  for (let i = from; i < from + count; i++) value = value * 2 + (((data[i >> 3] ?? 0) >> (7 - (i & 7))) & 1);
  return value;
}

function lengthPrefixed(units) {
  const out = new Uint8Array(units.reduce((sum, nal) => sum + 4 + nal.length, 0));
  const view = new DataView(out.buffer);
  let at = 0;
  for (const nal of units) {
    view.setUint32(at, nal.length);
    out.set(nal, at + 4);
    at += 4 + nal.length;
  }
  return out;
}

function join(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { out.set(part, at); at += part.length; }
  return out;
}

function fromBase64(text) {
  try {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  } catch {
    return new Uint8Array(0);
  }
}

function fromHex(text) {
  return Uint8Array.from(text.match(/[0-9a-f]{2}/gi) ?? [], (pair) => Number.parseInt(pair, 16));
}
