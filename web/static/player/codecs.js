// Decoder configurations, of FLV's sequence headers or made of parameter sets: the codec string for MSE, the picture size, the sound format.
//
// Sources: ISO/IEC 14496-15 (avcC, hvcC), RFC 6381 and ISO/IEC 14496-15 annex E (codec strings),
// ITU-T H.264 7.3.2.1 and H.265 7.3.2.2 (SPS), ISO/IEC 14496-3 1.6.2 (AudioSpecificConfig).

/**
 * @typedef {object} VideoConfig
 * @property {'avc'|'hevc'|'av1'} kind
 * @property {string} name for people, "H.264"
 * @property {string} codec for MSE, "avc1.64001f"
 * @property {number} width in pixels, 0 when the SPS could not be read
 * @property {number} height
 * @property {Uint8Array} record avcC, hvcC or av1C
 */

/** @param {'avc'|'hevc'|'av1'} kind @param {{width: number, height: number}} [size] if the container says it @returns {VideoConfig} */
export function videoConfig(kind, record, size) {
  if (kind === 'av1') return av1Config(record, size);
  return kind === 'avc' ? avcConfig(record) : hevcConfig(record);
}

/** "AV1 Codec ISO Media File Format Binding", sections 2.3 and 5. */
function av1Config(record, size = { width: 0, height: 0 }) {
  if (record.length < 4 || record[0] !== 0x81) throw new Error('an AV1 track without a whole av1C');
  const level = String(record[1] & 31).padStart(2, '0') + (record[2] & 0x80 ? 'H' : 'M');
  const depth = record[2] & 0x40 ? (record[2] & 0x20 ? '12' : '10') : '08';
  return { kind: 'av1', name: 'AV1', codec: `av01.${record[1] >> 5}.${level}.${depth}`, ...size, record: record.slice() };
}

function avcConfig(record) {
  if (record.length < 7 || record[0] !== 1) throw new Error('H.264 sequence header is not an avcC record');
  const codec = `avc1.${hex(record[1])}${hex(record[2])}${hex(record[3])}`;
  const spsSize = (record[6] << 8) | record[7];
  const size = tryRead(() => h264Size(new Bits(rbsp(record.subarray(9, 8 + spsSize)))));
  return { kind: 'avc', name: 'H.264', codec, ...size, record: record.slice() };
}

function h264Size(bits) {
  const profile = bits.u(8);
  bits.skip(16);
  bits.ue();
  let chroma = 1;
  if ([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].includes(profile)) {
    chroma = bits.ue();
    if (chroma === 3) bits.skip(1);
    bits.ue();
    bits.ue();
    bits.skip(1);
    if (bits.u(1)) for (let i = 0; i < (chroma === 3 ? 12 : 8); i++) if (bits.u(1)) skipScalingList(bits, i < 6 ? 16 : 64);
  }
  bits.ue();
  const orderType = bits.ue();
  if (orderType === 0) bits.ue();
  else if (orderType === 1) {
    bits.skip(1);
    bits.ue();
    bits.ue();
    for (let n = Math.min(bits.ue(), 255); n > 0; n--) bits.ue();
  }
  bits.ue();
  bits.skip(1);
  const width = (bits.ue() + 1) * 16;
  const mapHeight = (bits.ue() + 1) * 16;
  const frameOnly = bits.u(1);
  if (!frameOnly) bits.skip(1);
  bits.skip(1);
  const crop = bits.u(1) ? [bits.ue(), bits.ue(), bits.ue(), bits.ue()] : [0, 0, 0, 0];
  const stepX = chroma === 1 || chroma === 2 ? 2 : 1;
  const stepY = (chroma === 1 ? 2 : 1) * (2 - frameOnly);
  return { width: width - (crop[0] + crop[1]) * stepX, height: mapHeight * (2 - frameOnly) - (crop[2] + crop[3]) * stepY };
}

function skipScalingList(bits, size) {
  for (let i = 0, last = 8, next = 8; i < size; i++) {
    if (next !== 0) next = (last + bits.se() + 256) & 255;
    last = next === 0 ? last : next;
  }
}

function hevcConfig(record) {
  if (record.length < 23) throw new Error('H.265 sequence header is not an hvcC record');
  const space = ['', 'A', 'B', 'C'][record[1] >> 6];
  const tier = record[1] & 0x20 ? 'H' : 'L';
  const compatibility = new DataView(record.buffer, record.byteOffset).getUint32(2);
  const constraints = [...record.subarray(6, 12)];
  while (constraints.length && constraints.at(-1) === 0) constraints.pop();
  const codec = ['hvc1', space + (record[1] & 31), reverse32(compatibility).toString(16), tier + record[12],
    ...constraints.map((c) => c.toString(16))].join('.').toUpperCase().replace('HVC1', 'hvc1');
  const sps = hevcSps(record);
  const size = tryRead(() => hevcSize(new Bits(rbsp(sps))));
  return { kind: 'hevc', name: 'H.265', codec, ...size, record: record.slice() };
}

function hevcSps(record) {
  let at = 23;
  for (let arrays = record[22]; arrays > 0 && at + 3 <= record.length; arrays--) {
    const type = record[at] & 63;
    const count = (record[at + 1] << 8) | record[at + 2];
    at += 3;
    for (let i = 0; i < count && at + 2 <= record.length; i++) {
      const size = (record[at] << 8) | record[at + 1];
      at += 2;
      if (type === 33) return record.subarray(at, at + size);
      at += size;
    }
  }
  return new Uint8Array(0);
}

function hevcSize(bits) {
  bits.skip(16 + 4); // NAL header, VPS id
  const subLayers = bits.u(3);
  bits.skip(1 + 88 + 8); // general profile, tier and level
  const present = Array.from({ length: subLayers }, () => [bits.u(1), bits.u(1)]);
  if (subLayers) bits.skip(2 * (8 - subLayers));
  for (const [profile, level] of present) bits.skip((profile ? 88 : 0) + (level ? 8 : 0));
  bits.ue();
  const chroma = bits.ue();
  if (chroma === 3) bits.skip(1);
  const width = bits.ue();
  const height = bits.ue();
  const crop = bits.u(1) ? [bits.ue(), bits.ue(), bits.ue(), bits.ue()] : [0, 0, 0, 0];
  const stepX = chroma === 1 || chroma === 2 ? 2 : 1;
  const stepY = chroma === 1 ? 2 : 1;
  return { width: width - (crop[0] + crop[1]) * stepX, height: height - (crop[2] + crop[3]) * stepY };
}

const AAC_RATES = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];

/**
 * @typedef {object} AudioConfig
 * @property {'aac'|'opus'} kind
 * @property {string} name "AAC"
 * @property {string} codec for MSE, "mp4a.40.2"
 * @property {number} rate samples per second of the core coder: the track's timescale
 * @property {number} channels
 * @property {number} frameSamples samples per frame at `rate`
 * @property {Uint8Array} record AudioSpecificConfig or the body of dOps
 */

/** @param {'aac'|'opus'} kind @returns {AudioConfig} */
export function audioConfig(kind, record) {
  return kind === 'opus' ? opusConfig(record) : aacConfig(record);
}

/** "Opus in ISO-BMFF", section 4.3.2. */
function opusConfig(record) {
  if (record.length < 11) throw new Error('an Opus track without a whole dOps');
  return { kind: 'opus', name: 'Opus', codec: 'opus', rate: 48000, channels: record[1], frameSamples: 960, record: record.slice() };
}

/** Samples at 48 kHz in an Opus packet (RFC 6716, section 3.1). */
export function opusSamples(packet) {
  const config = packet[0] >> 3;
  const frame = config < 12 ? [480, 960, 1920, 2880][config & 3] : config < 16 ? [480, 960][config & 1] : [120, 240, 480, 960][config & 3];
  const count = [1, 2, 2, packet[1] & 63][packet[0] & 3];
  return frame * Math.max(1, count || 1);
}

function aacConfig(record) {
  const bits = new Bits(record);
  const objectType = () => { const t = bits.u(5); return t === 31 ? 32 + bits.u(6) : t; };
  const sampleRate = () => { const i = bits.u(4); return i === 15 ? bits.u(24) : AAC_RATES[i]; };
  const type = objectType();
  const rate = sampleRate();
  const channels = [0, 1, 2, 3, 4, 5, 6, 8][bits.u(4)] || 2;
  if (!rate) throw new Error('AAC sequence header without a sample rate');
  if (type === 5 || type === 29) { sampleRate(); objectType(); }
  const frameSamples = bits.left > 0 && bits.u(1) ? 960 : 1024;
  return { kind: 'aac', name: type === 5 || type === 29 ? 'HE-AAC' : 'AAC', codec: `mp4a.40.${type}`, rate, channels, frameSamples, record: record.slice() };
}

/** True when both configurations give the same init segment. */
export function sameConfig(a, b) {
  return a.codec === b.codec && a.record.length === b.record.length && a.record.every((v, i) => v === b.record[i]);
}

function tryRead(read) {
  try {
    const { width, height } = read();
    if (width > 0 && height > 0 && width <= 16384 && height <= 16384) return { width, height };
  } catch { /* an SPS that ends early: the decoder knows the size anyway */ }
  return { width: 0, height: 0 };
}

/** Removes emulation prevention bytes (H.264 7.4.1). */
export function rbsp(nal) {
  const out = [];
  for (let i = 0; i < nal.length; i++) {
    if (!(i >= 2 && nal[i] === 3 && nal[i - 1] === 0 && nal[i - 2] === 0)) out.push(nal[i]);
  }
  return Uint8Array.from(out);
}

function hex(byte) { return byte.toString(16).padStart(2, '0'); }

function reverse32(value) {
  let out = 0;
  for (let i = 0; i < 32; i++) out = (out << 1) | ((value >>> i) & 1);
  return out >>> 0;
}

/** Reads bits from the most significant on; throws past the end. */
export class Bits {
  constructor(data) {
    this.data = data;
    this.at = 0;
  }

  get left() { return this.data.length * 8 - this.at; }

  u(count) {
    if (count > this.left) throw new RangeError('bits end early');
    let value = 0;
    for (; count > 0; count--, this.at++) value = value * 2 + ((this.data[this.at >> 3] >> (7 - (this.at & 7))) & 1);
    return value;
  }

  skip(count) { this.at += count; }

  ue() {
    let zeros = 0;
    while (this.u(1) === 0) if (++zeros > 31) throw new RangeError('Exp-Golomb code too long');
    return 2 ** zeros - 1 + this.u(zeros);
  }

  se() {
    const v = this.ue();
    return v & 1 ? (v + 1) / 2 : -v / 2;
  }
}
