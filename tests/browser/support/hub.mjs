// The hub under test, and ffmpeg pushing to it.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Program } from './process.mjs';
import { until } from './wait.mjs';

const BINARY = process.env.IPCHUB ?? fileURLToPath(new URL('../../../target/debug/ipchub', import.meta.url));

/** Its own variables only; and no config.toml, see `cwd` below. */
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('IPCHUB')));

export class Hub {
  #options;
  /** Of all its runs. */
  log = [];

  /**
   * @param {object} [options]
   * @param {boolean} [options.demo] publishes /demo/clock
   * @param {boolean} [options.tls] with a certificate of its own
   * @param {Record<string, string|number>} [options.env] IPCHUB_*
   */
  static async start(options = {}) {
    const hub = new Hub();
    hub.#options = options;
    hub.folder = await mkdtemp(join(tmpdir(), 'ipchub-browser-'));
    await hub.#run('127.0.0.1:0');
    return hub;
  }

  async #run(listen) {
    const { demo, tls } = this.#options;
    const args = ['--listen', listen, '--udp-port', '0', ...(demo ? ['--demo'] : []), ...(tls ? ['--self-signed'] : [])];
    const program = new Program(BINARY, args, { cwd: this.folder, env: { ...environment, ...this.#options.env } });
    this.program = program;
    this.log.push(program.lines);
    this.address = await until('the hub listens', () => {
      if (!program.isRunning) throw new Error(`the hub ended at its start:\n${program.lines.join('\n')}`);
      return program.lines.join('\n').match(/ listening on (\S+)/)?.[1];
    });
  }

  url(scheme, path) { return `${scheme}://${this.address}${path}`; }

  /** The address of a stream's FLV: `flv('ws', '/demo/clock')`. */
  flv(scheme, path) { return this.url(scheme, `/streams${path}.flv`); }

  /** The address of a stream's HLS. */
  hls(path) { return this.url('http', `/streams${path}.m3u8`); }

  kill() { return this.program.kill(); }

  /** On the port that it had. */
  restart() { return this.#run(this.address); }

  /** The tokens of the default user, as the page keeps them. They outlive a restart of the hub. */
  async tokens() {
    this.loggedIn ??= await this.#login();
    return this.loggedIn;
  }

  async #login() {
    const body = JSON.stringify({ username: 'admin', password: 'admin' });
    const response = await fetch(this.url('http', '/api/v1/login'), { method: 'POST', body });
    if (!response.ok) throw new Error(`POST /login: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** One stream as REST tells it, `null` if it is not live. */
  async stream(path) {
    const { access_token: token } = await this.tokens();
    const response = await fetch(this.url('http', `/api/v1/streams${path}?c=1&token=${token}`));
    if (response.status === 404) return null;
    if (!response.ok) throw new Error(`GET /streams${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** Waits until a stream is live and its formats are known. */
  live(path) {
    return until(`${path} is live`, async () => {
      const stream = await this.stream(path);
      return stream && (stream.video ? stream.video.width > 0 : stream.audio) ? stream : null;
    });
  }

  async stop() {
    await this.program.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

const VIDEO = {
  h264: '-c:v libx264 -preset ultrafast -tune zerolatency -g 25 -pix_fmt yuv420p',
  h264b: '-c:v libx264 -preset veryfast -bf 2 -g 25 -pix_fmt yuv420p',
  h265: '-c:v libx265 -preset ultrafast -tune zerolatency -x265-params log-level=error -g 25 -pix_fmt yuv420p',
};

const AUDIO = { aac: '-c:a aac -b:a 64k', opus: '-c:a libopus -ar 48000', pcma: '-c:a pcm_alaw -ar 8000 -ac 1' };

/**
 * ffmpeg pushes a test picture and a tone by RTSP until it is ended.
 * @param {string} url rtsp:
 * @param {object} [media]
 * @param {'h264'|'h264b'|'h265'|null} [media.video] `h264b`: with B-frames
 * @param {boolean|'aac'|'opus'|'pcma'} [media.audio]
 * @param {string} [media.size]
 */
export function push(url, { video = 'h264', audio = true, size = '640x360' } = {}) {
  const args = ['-nostdin', '-hide_banner', '-v', 'error'];
  if (video) args.push('-re', '-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=25`);
  if (audio) args.push('-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=44100');
  if (video) args.push(...VIDEO[video].split(' '));
  if (audio) args.push(...AUDIO[audio === true ? 'aac' : audio].split(' '));
  args.push('-f', 'rtsp', '-rtsp_transport', 'tcp', url);
  return new Program('ffmpeg', args);
}
