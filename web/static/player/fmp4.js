// Fragmented MP4 boxes: one init segment a track, one moof+mdat a batch of frames.
//
// Source: ISO/IEC 14496-12 (boxes), 14496-14 (esds), 14496-15 (avc1, hvc1), "Opus in ISO-BMFF",
// "AV1 Codec ISO Media File Format Binding", the W3C "ISO BMFF Byte Stream
// Format".

/** @typedef {{dts: number, duration: number, cts: number, key: boolean, data: Uint8Array}} Sample times in ticks of the track */

export const VIDEO_TIMESCALE = 1000; // FLV times are milliseconds: nothing is rounded

const TRACK_ID = 1; // every track has a SourceBuffer and so a file of its own
const KEY_FLAGS = 0x02000000; // depends on no other sample
const DELTA_FLAGS = 0x01010000; // depends on others, is no sync sample

/** @param {import('./codecs.js').VideoConfig} config */
export function videoInit(config) {
  const [type, decoder] = { avc: ['avc1', 'avcC'], hevc: ['hvc1', 'hvcC'], av1: ['av01', 'av1C'] }[config.kind];
  const entry = box(type,
    zeros(6), u16(1), zeros(16), u16(config.width || 1280), u16(config.height || 720),
    u32(0x00480000), u32(0x00480000), u32(0), u16(1), zeros(32), u16(24), u16(0xffff),
    box(decoder, config.record));
  return init({
    timescale: VIDEO_TIMESCALE,
    handler: 'vide',
    mediaHeader: full('vmhd', 0, 1, zeros(8)),
    entry,
    tkhd: [u16(0), u16(0), matrix(), u16(config.width), u16(0), u16(config.height), u16(0)],
  });
}

/** @param {import('./codecs.js').AudioConfig} config */
export function audioInit(config) {
  const [type, decoder] = config.kind === 'opus' ? ['Opus', box('dOps', config.record)] : ['mp4a', esds(config.record)];
  const entry = box(type, zeros(6), u16(1), zeros(8), u16(config.channels), u16(16), u32(0),
    u16(Math.min(config.rate, 65535)), u16(0), decoder);
  return init({
    timescale: config.rate,
    handler: 'soun',
    mediaHeader: full('smhd', 0, 0, u32(0)),
    entry,
    tkhd: [u16(0x0100), u16(0), matrix(), u32(0), u32(0)],
  });
}

function esds(audioSpecificConfig) {
  const decoder = descriptor(4, [0x40, 0x15, 0, 0, 0, ...u32(0), ...u32(0), ...descriptor(5, [...audioSpecificConfig])]);
  return full('esds', 0, 0, descriptor(3, [0, TRACK_ID, 0, ...decoder, ...descriptor(6, [2])]));
}

function init({ timescale, handler, mediaHeader, entry, tkhd }) {
  const empty = (type) => full(type, 0, 0, u32(0));
  const stbl = box('stbl', full('stsd', 0, 0, u32(1), entry), empty('stts'), empty('stsc'), full('stsz', 0, 0, zeros(8)), empty('stco'));
  const dinf = box('dinf', full('dref', 0, 0, u32(1), full('url ', 0, 1)));
  const mdia = box('mdia',
    full('mdhd', 0, 0, zeros(8), u32(timescale), u32(0), u16(0x55c4), u16(0)),
    full('hdlr', 0, 0, u32(0), text(handler), zeros(12), text('ipchub'), [0]),
    box('minf', mediaHeader, dinf, stbl));
  const trak = box('trak', full('tkhd', 0, 7, zeros(8), u32(TRACK_ID), zeros(16), u16(0), u16(0), ...tkhd), mdia);
  const moov = box('moov',
    full('mvhd', 0, 0, zeros(8), u32(timescale), u32(0), u32(0x00010000), u16(0x0100), zeros(10), matrix(), zeros(24), u32(TRACK_ID + 1)),
    trak,
    box('mvex', full('trex', 0, 0, u32(TRACK_ID), u32(1), u32(0), u32(0), u32(0))));
  return join([box('ftyp', text('iso6'), u32(1), text('iso6mp41')), moov]);
}

/**
 * One moof+mdat.
 * @param {number} sequence number of the fragment, from 1
 * @param {Sample[]} samples at least one, in decode order
 */
export function fragment(sequence, samples) {
  const moofSize = 8 + 16 + 8 + 16 + 20 + 20 + 16 * samples.length;
  const dataSize = samples.reduce((sum, s) => sum + s.data.length, 0);
  const out = new Uint8Array(moofSize + 8 + dataSize);
  const view = new DataView(out.buffer);
  let at = 0;
  const put = (value) => { view.setUint32(at, value >>> 0); at += 4; };
  const head = (size, type) => { put(size); for (const c of type) out[at++] = c.charCodeAt(0); };

  head(moofSize, 'moof');
  head(16, 'mfhd'); put(0); put(sequence);
  head(moofSize - 24, 'traf');
  head(16, 'tfhd'); put(0x020000); put(TRACK_ID); // default-base-is-moof
  head(20, 'tfdt'); put(0x01000000); put(Math.floor(samples[0].dts / 2 ** 32)); put(samples[0].dts % 2 ** 32);
  head(20 + 16 * samples.length, 'trun'); put(0x01000f01); put(samples.length); put(moofSize + 8);
  for (const s of samples) {
    put(s.duration); put(s.data.length); put(s.key ? KEY_FLAGS : DELTA_FLAGS); put(s.cts);
  }
  head(8 + dataSize, 'mdat');
  for (const s of samples) { out.set(s.data, at); at += s.data.length; }
  return out;
}

function box(type, ...parts) {
  const body = join(parts);
  return join([u32(body.length + 8), text(type), body]);
}

function full(type, version, flags, ...parts) { return box(type, u32(version * 2 ** 24 + flags), ...parts); }

function descriptor(tag, body) { return [tag, 0x80, 0x80, 0x80, body.length, ...body]; }

function join(parts) {
  const out = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) { out.set(part, at); at += part.length; }
  return out;
}

function matrix() { return join([0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000].map(u32)); }
function zeros(count) { return new Uint8Array(count); }
function text(value) { return Array.from(value, (c) => c.charCodeAt(0)); }
function u16(value) { return [(value >> 8) & 255, value & 255]; }
function u32(value) { return [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]; }
