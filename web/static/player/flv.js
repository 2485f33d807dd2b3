// FLV byte stream -> tags, and tags -> configurations and frames.
//
// Sources: Adobe Flash Video File Format v10.1, annex E; Enhanced RTMP v1 (Veovera) for FourCC video;
// codec id 12 is the HEVC of FLV before Enhanced RTMP (`?hevc=legacy`).
// Timestamps are unsigned 32-bit milliseconds as they stand in the tag; `cts` is signed milliseconds.

export const TAG_AUDIO = 8;
export const TAG_VIDEO = 9;
export const TAG_SCRIPT = 18;

const TAG_HEADER = 11;
const PREVIOUS_TAG_SIZE = 4;

/** FLV bytes -> what the pipeline plays. */
export class FlvReader {
  #tags;

  /** @param {import('./pipeline.js').ReaderHooks} hooks */
  constructor(hooks) {
    this.#tags = new TagReader({
      onHeader: (flags) => hooks.onExpect({ video: (flags & 1) !== 0, audio: (flags & 4) !== 0 }),
      onTag: (type, timestamp, data) => {
        if (type === TAG_SCRIPT) {
          const metadata = parseMetadata(data);
          if (metadata?.framerate > 0) hooks.onFrameRate(metadata.framerate);
          return;
        }
        const name = type === TAG_VIDEO ? 'video' : 'audio';
        const item = name === 'video' ? parseVideoTag(data) : parseAudioTag(data);
        if (item) hooks.onItem(name, item, timestamp);
      },
    });
  }

  /** @param {Uint8Array} bytes */
  push(bytes) { this.#tags.push(bytes); }
}

/** Splits FLV bytes into tags. A message may hold any part of a tag, any number of them, or a new FLV header. */
export class TagReader {
  #rest = new Uint8Array(0);
  #position = 0;

  /** @param {{onHeader: (flags: number) => void, onTag: (type: number, timestamp: number, data: Uint8Array) => void}} hooks */
  constructor(hooks) {
    this.hooks = hooks;
  }

  /** @param {Uint8Array} bytes */
  push(bytes) {
    const data = this.#rest.length ? concat(this.#rest, bytes) : bytes;
    let at = 0;
    for (;;) {
      const used = this.#step(data, at);
      if (used === 0) break;
      at += used;
      this.#position += used;
    }
    // Copied, so that a few left-over bytes do not keep a large message alive.
    this.#rest = at === data.length ? new Uint8Array(0) : data.slice(at);
  }

  /** Consumes one header or tag at `at`; returns the bytes used, 0 when more are needed. */
  #step(data, at) {
    const left = data.length - at;
    if (left < TAG_HEADER) return 0;
    if (data[at] === 0x46 && data[at + 1] === 0x4c && data[at + 2] === 0x56) {
      const size = u32(data, at + 5) + PREVIOUS_TAG_SIZE;
      if (size < 13 || size > 1024) throw new Error(`FLV header of ${size} bytes at byte ${this.#position}`);
      if (left < size) return 0;
      this.hooks.onHeader(data[at + 4]);
      return size;
    }
    const type = data[at] & 0x1f;
    if (type !== TAG_AUDIO && type !== TAG_VIDEO && type !== TAG_SCRIPT) {
      throw new Error(`unknown FLV tag type ${data[at]} at byte ${this.#position}`);
    }
    const size = u24(data, at + 1);
    if (left < TAG_HEADER + size + PREVIOUS_TAG_SIZE) return 0;
    const timestamp = (u24(data, at + 4) | (data[at + 7] << 24)) >>> 0;
    this.hooks.onTag(type, timestamp, data.subarray(at + TAG_HEADER, at + TAG_HEADER + size));
    return TAG_HEADER + size + PREVIOUS_TAG_SIZE;
  }
}

/**
 * One video tag.
 * @returns {{kind: 'config'|'frame', codec: 'avc'|'hevc', key?: boolean, cts?: number, data: Uint8Array}
 *   | {kind: 'unknown', codec: string} | null} null: nothing to play in it
 */
export function parseVideoTag(data) {
  if (data.length < 5) return null;
  const key = ((data[0] >> 4) & 7) === 1;
  if (data[0] & 0x80) return parseEnhancedVideo(data, key);
  const codec = { 7: 'avc', 12: 'hevc' }[data[0] & 0x0f];
  if (!codec) return { kind: 'unknown', codec: `FLV video codec ${data[0] & 0x0f}` };
  const body = data.subarray(5);
  if (data[1] === 0) return { kind: 'config', codec, data: body };
  if (data[1] === 1 && body.length) return { kind: 'frame', codec, key, cts: i24(data, 2), data: body };
  return null;
}

function parseEnhancedVideo(data, key) {
  const fourcc = String.fromCharCode(data[1], data[2], data[3], data[4]);
  const codec = { avc1: 'avc', hvc1: 'hevc', hev1: 'hevc' }[fourcc];
  const packet = data[0] & 0x0f;
  if (packet > 3) return null;
  if (!codec) return { kind: 'unknown', codec: fourcc };
  if (packet === 0) return { kind: 'config', codec, data: data.subarray(5) };
  if (packet === 1 && data.length > 8) return { kind: 'frame', codec, key, cts: i24(data, 5), data: data.subarray(8) };
  if (packet === 3 && data.length > 5) return { kind: 'frame', codec, key, cts: 0, data: data.subarray(5) };
  return null;
}

const SOUND_FORMATS = { 0: 'PCM', 1: 'ADPCM', 2: 'MP3', 3: 'PCM', 7: 'G.711 A-law', 8: 'G.711 µ-law', 9: 'Enhanced RTMP audio', 11: 'Speex', 14: 'MP3' };

/** One audio tag, as `parseVideoTag`. */
export function parseAudioTag(data) {
  if (data.length < 2) return null;
  const format = data[0] >> 4;
  if (format !== 10) return { kind: 'unknown', codec: SOUND_FORMATS[format] ?? `FLV sound format ${format}` };
  const body = data.subarray(2);
  if (!body.length) return null;
  return { kind: data[1] === 0 ? 'config' : 'frame', codec: 'aac', key: true, cts: 0, data: body };
}

/** The values of `onMetaData` (AMF0), or null for another script tag. Broken ones give what was read so far. */
export function parseMetadata(data) {
  const reader = { data, view: new DataView(data.buffer, data.byteOffset, data.byteLength), at: 0, depth: 0 };
  try {
    if (amfValue(reader) !== 'onMetaData') return null;
    return amfValue(reader) ?? {};
  } catch {
    return {};
  }
}

const AMF_DEPTH = 8; // metadata is flat or nearly so; a bound against nesting without end

function amfValue(r) {
  const type = r.data[r.at++];
  switch (type) {
    case 0: return r.view.getFloat64((r.at += 8) - 8);
    case 1: return r.data[r.at++] !== 0;
    case 2: return amfText(r, 2);
    case 12: return amfText(r, 4);
    case 3: return amfProperties(r);
    case 8: r.at += 4; return amfProperties(r);
    case 10: {
      const items = r.view.getUint32((r.at += 4) - 4);
      if (items > 1000 || ++r.depth > AMF_DEPTH) throw new RangeError('AMF array');
      return Array.from({ length: items }, () => amfValue(r));
    }
    case 11: return r.view.getFloat64((r.at += 10) - 10);
    case 5: case 6: return null;
    default: throw new RangeError(`AMF type ${type}`);
  }
}

function amfProperties(r) {
  if (++r.depth > AMF_DEPTH) throw new RangeError('AMF depth');
  const found = new Map();
  while (r.at + 3 <= r.data.length) {
    const name = amfText(r, 2);
    if (name === '' && r.data[r.at] === 9) { r.at++; break; }
    found.set(name, amfValue(r));
  }
  r.depth--;
  return Object.fromEntries(found);
}

function amfText(r, lengthBytes) {
  const size = lengthBytes === 2 ? r.view.getUint16(r.at) : r.view.getUint32(r.at);
  r.at += lengthBytes + size;
  if (r.at > r.data.length) throw new RangeError('AMF text');
  return new TextDecoder().decode(r.data.subarray(r.at - size, r.at));
}

function concat(a, b) {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

function u24(d, at) { return (d[at] << 16) | (d[at + 1] << 8) | d[at + 2]; }
function u32(d, at) { return u24(d, at) * 256 + d[at + 3]; }
function i24(d, at) { return (u24(d, at) << 8) >> 8; }
