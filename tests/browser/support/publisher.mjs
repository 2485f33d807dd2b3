// A publisher by RTSP over TCP that sends the demo clip, with its picture late.

import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const CLIP = new URL('../../../demo/clock.flv', import.meta.url);
const VIDEO = 0;
const AUDIO = 1;

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

export class LatePicture {
  #socket;
  #sequences = [0, 0];
  #stopped = false;

  /** @param {string} url rtsp: @param {number} lateMs so long there is sound only */
  static async start(url, lateMs) {
    const publisher = new LatePicture();
    const clip = readClip();
    publisher.#socket = connect(Number(new URL(url).port), new URL(url).hostname);
    publisher.#socket.on('error', () => { publisher.#stopped = true; });
    const sdp = 'v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n'
      + 'm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:0\r\n'
      + 'm=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/48000/1\r\n'
      + `a=fmtp:97 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=${clip.config}\r\na=control:1\r\n`;
    await publisher.#ask(`ANNOUNCE ${url}`, `Content-Type: application/sdp\r\nContent-Length: ${sdp.length}\r\n`, sdp);
    for (const track of [VIDEO, AUDIO]) {
      const channels = `${2 * track}-${2 * track + 1}`;
      await publisher.#ask(`SETUP ${url}/${track}`, `Transport: RTP/AVP/TCP;unicast;interleaved=${channels};mode=record\r\n`);
    }
    await publisher.#ask(`RECORD ${url}`);
    publisher.#socket.resume();
    publisher.ended = publisher.#send(clip.frames, lateMs);
    return publisher;
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

  async #send(frames, lateMs) {
    const start = performance.now();
    // 480 pictures of 40 ms.
    for (let round = 0; !this.#stopped; round++) {
      for (const [track, ms, composition, units] of frames) {
        const due = round * 19_200 + ms;
        const wait = due - (performance.now() - start);
        if (wait > 5) await pause(wait);
        if (this.#stopped) return;
        if (track === VIDEO && due < lateMs) continue;
        const ticks = track === VIDEO ? (due + composition) * 90 : due * 48;
        units.forEach((unit, n) => this.#packet(track, ticks, n === units.length - 1, unit));
      }
    }
  }

  #packet(track, ticks, marker, unit) {
    // Of the sound: one AU header of 16 bits (RFC 3640, section 3.2.1).
    const head = track === VIDEO ? [] : [0, 16, unit.length >> 5, (unit.length << 3) & 0xff];
    const packet = Buffer.alloc(16 + head.length);
    packet.set([0x24, 2 * track]);
    packet.writeUInt16BE(12 + head.length + unit.length, 2);
    packet.set([0x80, (marker ? 0x80 : 0) | (96 + track)], 4);
    packet.writeUInt16BE(this.#sequences[track]++ & 0xffff, 6);
    packet.writeUInt32BE(ticks >>> 0, 8);
    packet.writeUInt32BE(77 + track, 12);
    packet.set(head, 16);
    this.#socket.write(Buffer.concat([packet, unit]));
  }
}
