// Parameter sets -> the decoder configurations of MP4 (ISO/IEC 14496-15): avcC (5.3.3) and hvcC (8.3.3).

import { Bits, rbsp } from '../codecs.js';

/** @param {Uint8Array} sps @param {Uint8Array} pps */
export function avcRecord(sps, pps) {
  return Uint8Array.from([1, sps[1], sps[2], sps[3], 0xff, 0xe1, ...u16(sps.length), ...sps, 1, ...u16(pps.length), ...pps]);
}

/** @param {Uint8Array} vps @param {Uint8Array} sps @param {Uint8Array} pps */
export function hevcRecord(vps, sps, pps) {
  const raw = rbsp(sps);
  const { chroma, luma, color } = formats(raw);
  const head = [1, ...raw.subarray(3, 15), 0xf0, 0, 0xfc, 0xfc | chroma, 0xf8 | luma, 0xf8 | color, 0, 0, 0x0f, 3];
  const array = (type, nal) => [0x80 | type, 0, 1, ...u16(nal.length), ...nal];
  return Uint8Array.from([...head, ...array(32, vps), ...array(33, sps), ...array(34, pps)]);
}

/** Chroma format and bit depths less 8 of an SPS (H.265 7.3.2.2). */
function formats(raw) {
  try {
    const bits = new Bits(raw);
    bits.skip(16 + 4);
    const subLayers = bits.u(3);
    bits.skip(1 + 88 + 8);
    const present = Array.from({ length: subLayers }, () => [bits.u(1), bits.u(1)]);
    if (subLayers) bits.skip(2 * (8 - subLayers));
    for (const [profile, level] of present) bits.skip((profile ? 88 : 0) + (level ? 8 : 0));
    bits.ue();
    const chroma = bits.ue();
    if (chroma === 3) bits.skip(1);
    bits.ue();
    bits.ue();
    if (bits.u(1)) for (let i = 0; i < 4; i++) bits.ue();
    return { chroma: chroma & 3, luma: bits.ue() & 7, color: bits.ue() & 7 };
  } catch {
    return { chroma: 1, luma: 0, color: 0 }; // 8-bit 4:2:0: the decoder reads the SPS anyway
  }
}

function u16(value) { return [value >> 8, value & 255]; }
