// Publishers by RTSP over TCP that ffmpeg cannot be: the demo clip with its picture late, and AV1.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const CLIP = new URL('../../../demo/clock.flv', import.meta.url);
const VIDEO = 0;
const AUDIO = 1;
/** Of AV1: payload bytes of a packet, and pictures a second. */
const MTU = 1200;
const RATE = 25;

/**
 * What is sent over and over.
 * @typedef {object} Script
 * @property {string[]} tracks the lines of the SDP from m= on, without control
 * @property {number} length of a round in ms
 * @property {Array<{track: number, ms: number, ticks: (ms: number) => number, payloads: Buffer[]}>} frames
 */

/** The clip's frames as [track, milliseconds, composition in milliseconds, NAL units or sound], and its AAC configuration. */
function readClip() {
  const file = readFileSync(CLIP);
  const frames = [];
  let sets = [];
  let config = '';
  for (let at = 13; at + 11 <= file.length;) {
    const [kind, size, ms] = [file[at], file.readUIntBE(at + 1, 3), file.readUIntBE(at + 4, 3)];
    const data = file.subarray(at + 11, at + 11 + size);
    at += 11 + size + 4;
    if (kind === 8 && data[1] === 0) config = data.subarray(2).toString('hex');
    else if (kind === 8) frames.push([AUDIO, ms, 0, [data.subarray(2)]]);
    else if (kind === 9 && data[1] === 0) {
      const sps = data.subarray(13, 13 + data.readUInt16BE(11));
      const pps = data.subarray(16 + sps.length);
      sets = [sps, pps.subarray(0, data.readUInt16BE(14 + sps.length))];
    } else if (kind === 9) {
      const units = data[0] >> 4 === 1 ? [...sets] : [];
      for (let unit = 5; unit + 4 < data.length;) {
        const length = data.readUInt32BE(unit);
        units.push(data.subarray(unit + 4, unit + 4 + length));
        unit += 4 + length;
      }
      frames.push([VIDEO, ms, data.readIntBE(2, 3), units]);
    }
  }
  return { frames, config };
}

/** Of the sound: one AU header of 16 bits (RFC 3640, section 3.2.1). */
const withHeader = (unit) => Buffer.concat([Buffer.from([0, 16, unit.length >> 5, (unit.length << 3) & 0xff]), unit]);

/** @returns {Script} */
function clockScript() {
  const { frames, config } = readClip();
  return {
    tracks: ['m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n',
      'm=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/48000/1\r\n'
      + `a=fmtp:97 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=${config}\r\n`],
    length: 480 * 40,
    frames: frames.map(([track, ms, composition, units]) => ({
      track, ms, ticks: (due) => (track === VIDEO ? (due + composition) * 90 : due * 48),
      payloads: track === VIDEO ? units : units.map(withHeader),
    })),
  };
}

/** Four seconds of AV1 and nothing else. @returns {Script} */
function av1Script() {
  const ivf = execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', `testsrc2=size=320x176:rate=${RATE}:duration=4`,
    '-c:v', 'libaom-av1', '-usage', 'realtime', '-cpu-used', '8', '-g', String(RATE), '-lag-in-frames', '0', '-f', 'ivf', '-'], { maxBuffer: 1 << 26 });
  const frames = [];
  for (let at = 32; at < ivf.length; at += 12 + ivf.readUInt32LE(at)) {
    const unit = ivf.subarray(at + 12, at + 12 + ivf.readUInt32LE(at));
    frames.push({ track: VIDEO, ms: frames.length * 1000 / RATE, ticks: (due) => due * 90, payloads: [...obus(unit)].flatMap(av1Payloads) });
  }
  return { tracks: ['m=video 0 RTP/AVP 96\r\na=rtpmap:96 AV1/90000\r\n'], length: frames.length * 1000 / RATE, frames };
}

/** The OBUs of a temporal unit but its delimiter. They keep their sizes, which RTP allows. */
function* obus(unit) {
  for (let at = 0; at < unit.length;) {
    let [end, size] = [at + (unit[at] & 4 ? 2 : 1), 0];
    for (let shift = 0, more = true; more; shift += 7, end++) {
      size += (unit[end] & 127) * 2 ** shift;
      more = unit[end] >= 128;
    }
    if (((unit[at] >> 3) & 15) !== 2) yield unit.subarray(at, end + size);
    at = end + size;
  }
}

/** One element a packet, which then needs no length ("RTP Payload Format For AV1", section 4.4). */
function av1Payloads(obu) {
  const count = Math.ceil(obu.length / MTU);
  return Array.from({ length: count }, (_, n) => {
    const head = (n > 0 ? 0x80 : 0) | (n + 1 < count ? 0x40 : 0) | 0x10;
    return Buffer.concat([Buffer.from([head]), obu.subarray(n * MTU, (n + 1) * MTU)]);
  });
}

export class Publisher {
  #socket;
  #sequences = [0, 0];
  #stopped = false;

  /** The demo's clip. @param {string} url rtsp: @param {number} lateMs so long there is sound only */
  static latePicture(url, lateMs) { return new Publisher().#start(url, clockScript(), lateMs); }

  /** @param {string} url rtsp: */
  static av1(url) { return new Publisher().#start(url, av1Script(), 0); }

  async #start(url, script, lateMs) {
    this.#socket = connect(Number(new URL(url).port), new URL(url).hostname);
    this.#socket.on('error', () => { this.#stopped = true; });
    const sdp = `v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n${script.tracks.map((lines, n) => `${lines}a=control:${n}\r\n`).join('')}`;
    await this.#ask(`ANNOUNCE ${url}`, `Content-Type: application/sdp\r\nContent-Length: ${sdp.length}\r\n`, sdp);
    for (const track of script.tracks.keys()) {
      const channels = `${2 * track}-${2 * track + 1}`;
      await this.#ask(`SETUP ${url}/${track}`, `Transport: RTP/AVP/TCP;unicast;interleaved=${channels};mode=record\r\n`);
    }
    await this.#ask(`RECORD ${url}`);
    this.#socket.resume();
    this.ended = this.#send(script, lateMs);
    return this;
  }

  async kill() {
    this.#stopped = true;
    this.#socket.destroy();
    await this.ended;
  }

  async #ask(request, headers = '', body = '') {
    this.#socket.write(`${request} RTSP/1.0\r\nCSeq: 1\r\n${headers}\r\n${body}`);
    const reply = await new Promise((resolve, reject) => {
      this.#socket.once('data', resolve);
      this.#socket.once('close', () => reject(new Error(`${request}: closed`)));
    });
    if (!String(reply).startsWith('RTSP/1.0 200')) throw new Error(`${request}: ${reply}`);
  }

  async #send({ frames, length }, lateMs) {
    const start = performance.now();
    for (let round = 0; !this.#stopped; round++) {
      for (const { track, ms, ticks, payloads } of frames) {
        const due = round * length + ms;
        const wait = due - (performance.now() - start);
        if (wait > 5) await pause(wait);
        if (this.#stopped) return;
        if (track === VIDEO && due < lateMs) continue;
        payloads.forEach((payload, n) => this.#packet(track, ticks(due), n === payloads.length - 1, payload));
      }
    }
  }

  #packet(track, ticks, marker, payload) {
    const head = Buffer.alloc(16);
    head.set([0x24, 2 * track]);
    head.writeUInt16BE(12 + payload.length, 2);
    head.set([0x80, (marker ? 0x80 : 0) | (96 + track)], 4);
    head.writeUInt16BE(this.#sequences[track]++ & 0xffff, 6);
    head.writeUInt32BE(ticks >>> 0, 8);
    head.writeUInt32BE(77 + track, 12);
    this.#socket.write(Buffer.concat([head, payload]));
  }
}
