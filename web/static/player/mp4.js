// Fragmented MP4 as the hub streams it -> what the pipeline plays, as from FLV: configurations and frames with milliseconds.
//
// Sources: ISO/IEC 14496-12 (boxes; 8.8 for fragments), 14496-15 (avcC, hvcC), 14496-1 (descriptors of esds), "Opus in ISO-BMFF",
// "AV1 Codec ISO Media File Format Binding".

const LARGEST_BOX = 64 * 1024 * 1024; // more than the hub's limits.frame_bytes would be no picture
const MOST_SAMPLES = 10_000;
const HEAD = 8;
const VISUAL_ENTRY = 78; // bytes of a sample entry before its boxes
const AUDIO_ENTRY = 28;

const NOT_KEY = 0x00010000; // sample_is_non_sync_sample
const DECODER_SPECIFIC = 5; // tag of the AudioSpecificConfig within esds

export class Mp4Reader {
  #rest = new Uint8Array(0);
  #tracks = new Map(); // track_ID -> {name, timescale}
  #runs = []; // of the newest moof: {track, dts, offset in the mdat, samples}
  #moofSize = 0;

  /** @param {import('./pipeline.js').ReaderHooks} hooks */
  constructor(hooks) {
    this.hooks = hooks;
  }

  /** @param {Uint8Array} bytes any part of the stream */
  push(bytes) {
    const data = this.#rest.length ? joined(this.#rest, bytes) : bytes;
    let at = 0;
    while (data.length - at >= HEAD) {
      const { type, size } = head(data, at);
      if (size > LARGEST_BOX) throw new Error(`a box ${type} of ${size} bytes`);
      if (data.length - at < size) break;
      this.#box(type, data.subarray(at + HEAD, at + size), size);
      at += size;
    }
    // Copied, so that a few left-over bytes do not keep a large message alive.
    this.#rest = at === data.length ? new Uint8Array(0) : data.slice(at);
  }

  #box(type, body, size) {
    if (type === 'moov') this.#movie(body);
    else if (type === 'moof') {
      this.#moofSize = size;
      this.#runs = [...children(body)].filter((box) => box.type === 'traf').map((box) => this.#run(box.body)).filter(Boolean);
    } else if (type === 'mdat') {
      for (const run of this.#runs) this.#frames(run, body);
      this.#runs = [];
    }
  }

  #movie(body) {
    const found = [...children(body)].filter(({ type }) => type === 'trak').map((trak) => readTrack(trak.body));
    this.#tracks = new Map(found.map((track) => [track.id, track]));
    const has = (name) => found.some((track) => track.name === name);
    this.hooks.onExpect({ video: has('video'), audio: has('audio') });
    for (const { name, codec, config, size } of found) {
      this.hooks.onItem(name, config ? { kind: 'config', codec, data: config, size } : { kind: 'unknown', codec }, 0);
    }
  }

  /** One `traf`, of which the hub writes one `trun`. */
  #run(body) {
    const { tfhd, tfdt, trun } = Object.fromEntries([...children(body)].map((box) => [box.type, view(box.body)]));
    const track = tfhd && this.#tracks.get(tfhd.getUint32(4));
    if (!track || !tfdt || !trun) return null;
    const dts = tfdt.getUint8(0) === 1 ? tfdt.getUint32(4) * 2 ** 32 + tfdt.getUint32(8) : tfdt.getUint32(4);
    const { offset, samples } = readRun(trun, defaults(tfhd));
    return { track, dts, offset: offset - this.#moofSize - HEAD, samples };
  }

  #frames({ track, dts, offset, samples }, body) {
    const { name, codec, timescale } = track;
    const ms = (ticks) => Math.round(ticks * 1000 / timescale);
    for (const { duration, size, flags, cts } of samples) {
      if (offset < 0 || offset + size > body.length) throw new Error('a sample that is not in its fragment');
      const data = body.subarray(offset, offset + size);
      const time = ms(dts);
      this.hooks.onItem(name, { kind: 'frame', codec, key: !(flags & NOT_KEY), cts: ms(dts + cts) - time, data }, time % 2 ** 32);
      offset += size;
      dts += duration;
    }
  }
}

/** What holds for the samples of a fragment that say nothing else (8.8.7). */
function defaults(tfhd) {
  const present = tfhd.getUint32(0) & 0xffffff;
  let at = 8 + (present & 1 ? 8 : 0) + (present & 2 ? 4 : 0);
  const next = (flag) => (present & flag ? tfhd.getUint32((at += 4) - 4) : 0);
  return { duration: next(0x8), size: next(0x10), flags: next(0x20) };
}

/** 8.8.8: which values stand there, the flags tell. */
function readRun(trun, usual) {
  const present = trun.getUint32(0) & 0xffffff;
  const count = trun.getUint32(4);
  if (count > MOST_SAMPLES) throw new Error(`a run of ${count} samples`);
  let at = 8;
  const next = (flag, otherwise) => (present & flag ? trun.getUint32((at += 4) - 4) : otherwise);
  const offset = next(0x1, 0) | 0;
  const first = next(0x4, usual.flags);
  const samples = Array.from({ length: count }, (_, n) => ({
    duration: next(0x100, usual.duration),
    size: next(0x200, usual.size),
    flags: next(0x400, n === 0 ? first : usual.flags),
    cts: next(0x800, 0) | 0,
  }));
  return { offset, samples };
}

function readTrack(trak) {
  const media = within(trak, 'mdia');
  const mdhd = view(within(media, 'mdhd'));
  const tkhd = view(within(trak, 'tkhd'));
  const handler = text(within(media, 'hdlr'), 8);
  const entries = within(within(within(within(media, 'minf'), 'stbl'), 'stsd'), '', 8);
  const name = { vide: 'video', soun: 'audio' }[handler] ?? handler;
  return {
    id: tkhd.getUint32(tkhd.getUint8(0) === 1 ? 20 : 12),
    timescale: mdhd.getUint32(mdhd.getUint8(0) === 1 ? 20 : 12) || 1,
    name,
    ...sampleEntry(entries),
  };
}

/** Codec and configuration of the first sample entry. */
function sampleEntry(entries) {
  const { type, size } = head(entries, 0);
  const body = entries.subarray(HEAD, size);
  switch (type) {
    case 'avc1': return { codec: 'avc', config: within(body, 'avcC', VISUAL_ENTRY) };
    case 'hvc1': case 'hev1': return { codec: 'hevc', config: within(body, 'hvcC', VISUAL_ENTRY) };
    case 'av01': return { codec: 'av1', config: within(body, 'av1C', VISUAL_ENTRY), size: pictureSize(body) };
    case 'mp4a': return { codec: 'aac', config: specific(within(body, 'esds', AUDIO_ENTRY).subarray(4)) };
    case 'Opus': return { codec: 'opus', config: within(body, 'dOps', AUDIO_ENTRY) };
    default: return { codec: type, config: null };
  }
}

/** Of a visual sample entry (8.5.2). */
function pictureSize(entry) { return { width: view(entry).getUint16(24), height: view(entry).getUint16(26) }; }

/** The DecoderSpecificInfo in an esds: tags nest, each with its length in 7 bits a byte. */
function specific(data) {
  let at = 0;
  while (at + 2 <= data.length) {
    const tag = data[at++];
    let length = 0;
    for (let more = true; more && at < data.length; at++) {
      length = (length << 7) | (data[at] & 127);
      more = (data[at] & 128) !== 0;
    }
    if (tag === DECODER_SPECIFIC) return data.subarray(at, at + length);
    at += { 3: 3, 4: 13 }[tag] ?? length; // what stands before the tags within them
  }
  throw new Error('an esds without a configuration');
}

function* children(body, from = 0) {
  for (let at = from; body.length - at >= HEAD;) {
    const { type, size } = head(body, at);
    if (size > body.length - at) throw new Error(`a box ${type} that is longer than what it is in`);
    yield { type, body: body.subarray(at + HEAD, at + size) };
    at += size;
  }
}

/** The body of a box in another one, `from` bytes behind its begin; all from there on without a type. */
function within(body, type, from = 0) {
  if (!type) return body.subarray(from);
  for (const box of children(body, from)) if (box.type === type) return box.body;
  throw new Error(`there is no ${type} where it should be`);
}

function head(data, at) {
  const size = view(data).getUint32(at);
  if (size < HEAD) throw new Error(`a box of ${size} bytes`);
  return { size, type: text(data, at + 4) };
}

function text(data, at) { return String.fromCharCode(...data.subarray(at, at + 4)); }

function view(data) { return new DataView(data.buffer, data.byteOffset, data.byteLength); }

function joined(a, b) {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
