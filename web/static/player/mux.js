// Frames with milliseconds -> samples with ticks and durations, as MSE wants them: gapless, in decode order.
//
// Source: W3C Media Source Extensions, "Coded Frame Processing": a decode time more than twice the last duration ahead
// of the last one makes MSE drop everything up to the next key frame, so gaps are spread or filled here.

import { opusSamples } from './codecs.js';
import { audioInit, fragment, videoInit, VIDEO_TIMESCALE } from './fmp4.js';

/** @typedef {{dts: number, cts: number, key: boolean, data: Uint8Array}} Frame times in ms on the player's timeline */

const DEFAULT_FRAME_MS = 40;
const LONGEST_FRAME_MS = 5000;

export class VideoMux {
  #sequence = 0;
  #last = null; // {dts, duration} as muxed, {time} as it came
  #lead = 0; // ms by which decode times are moved ahead, so that none comes after its presentation time

  constructor(config, frameMs) {
    this.config = config;
    this.frameMs = clamp(frameMs || DEFAULT_FRAME_MS, 5, LONGEST_FRAME_MS);
  }

  get mime() { return `video/mp4; codecs="${this.config.codec}"`; }

  init() { return videoInit(this.config); }

  /** @param {Frame} frame @returns {import('./fmp4.js').Sample[]} */
  samples(frame) {
    this.#lead = Math.max(this.#lead, -frame.cts);
    const last = this.#last;
    let dts = frame.dts - this.#lead;
    if (last) {
      const delta = frame.dts - last.time;
      if (delta > 0 && delta <= LONGEST_FRAME_MS) this.frameMs += (clamp(delta, 5, LONGEST_FRAME_MS) - this.frameMs) / 8;
      // A late frame keeps its presentation time; only its decode time is held back, within what MSE takes as one run.
      if (!frame.key) dts = Math.min(dts, last.dts + 2 * last.duration);
      dts = Math.max(dts, last.dts + 1);
    }
    dts = Math.max(dts, 0);
    const duration = Math.max(1, Math.round(this.frameMs));
    this.#last = { dts, duration, time: frame.dts };
    return [{ dts, duration, cts: frame.dts + frame.cts - dts, key: frame.key, data: frame.data }];
  }

  fragment(samples) {
    for (let i = 0; i + 1 < samples.length; i++) samples[i].duration = samples[i + 1].dts - samples[i].dts;
    return fragment(++this.#sequence, samples);
  }

  get timescale() { return VIDEO_TIMESCALE; }
}

const AUDIO_SLACK = 2.5; // frames by which a time may be off before sound is filled or dropped: FLV rounds to ms, cameras jitter
const LONGEST_FILL_S = 10;

export class AudioMux {
  #sequence = 0;
  #next = null; // ticks

  constructor(config) {
    this.config = config;
    this.silence = silentFrame(config);
  }

  get mime() { return `audio/mp4; codecs="${this.config.codec}"`; }

  get timescale() { return this.config.rate; }

  get frameMs() { return this.config.frameSamples * 1000 / this.config.rate; }

  init() { return audioInit(this.config); }

  /** The frame, with silence before it where sound is missing; nothing where it comes twice. */
  samples(frame) {
    const time = Math.round(frame.dts * this.config.rate / 1000);
    const duration = this.#duration(frame.data);
    this.#next ??= time;
    const off = time - this.#next;
    if (off < -AUDIO_SLACK * duration) return [];
    const out = off > AUDIO_SLACK * duration ? this.#fillTo(time) : [];
    out.push(this.#sample(frame.data));
    return out;
  }

  /** Silence from the end of the sound (or `from`, if there was none) up to `to`, ms: missing sound must not hold up the picture. */
  silenceTo(from, to) {
    if (!this.silence) return [];
    this.#next ??= Math.round(from * this.config.rate / 1000);
    return this.#fillTo(Math.round(to * this.config.rate / 1000));
  }

  fragment(samples) { return fragment(++this.#sequence, samples); }

  #fillTo(ticks) {
    const out = [];
    if (!this.silence || ticks - this.#next > LONGEST_FILL_S * this.config.rate) this.#next = ticks;
    while (ticks - this.#next >= this.config.frameSamples) out.push(this.#sample(this.silence));
    return out;
  }

  #sample(data) {
    const dts = this.#next;
    const duration = this.#duration(data);
    this.#next += duration;
    return { dts, duration, cts: 0, key: true, data };
  }

  #duration(data) { return this.config.kind === 'opus' ? opusSamples(data) : this.config.frameSamples; }
}

/**
 * A silent frame of `frameSamples`, null for more channels than two. AAC-LC: one element with max_sfb 0, then ID_END (ISO/IEC
 * 14496-3 4.4.2). Opus: 20 ms of CELT that say nothing (RFC 6716, section 4.3).
 */
function silentFrame({ kind, channels }) {
  if (kind === 'opus') return channels > 2 ? null : Uint8Array.of(channels === 2 ? 0xfc : 0xf8, 0xff, 0xfe);
  if (channels === 1) return Uint8Array.of(0, 0, 0, 7);
  if (channels === 2) return Uint8Array.of(0x20, 0, 0, 0, 0, 0, 0x0e);
  return null;
}

function clamp(value, low, high) { return Math.min(high, Math.max(low, value)); }
