// The bytes of a connection in, picture and sound out: has them read, decides which tracks play, feeds the sink.
//
// It starts as soon as the tracks are known, remembers what came since the last key frame (so that it can start over
// with another set of tracks without asking the hub again), and keeps one missing track from holding up the other.
// Times are milliseconds: `wall` from performance.now(), the rest on the player's timeline.

import { audioConfig, sameConfig, videoConfig } from './codecs.js';
import { AudioMux, VideoMux } from './mux.js';
import { Sink, supports } from './sink.js';
import { Timeline } from './timeline.js';

const WAIT_FOR_TRACK = 1000; // how long one track waits for the other one that the header announced
const AUDIO_LATE = 400; // without sound for so long, silence is played
const AUDIO_GONE = 1500; // where silence cannot be made, the sound track is given up
const VIDEO_GONE = 5000; // without pictures for so long (or 4 frames of a slow camera), sound plays alone
const RECENT_FRAMES = 4000; // bounds of what is remembered; a key frame every minute at 60 fps still fits
const RECENT_BYTES = 48 * 1024 * 1024;

/**
 * What a reader of bytes says.
 * @typedef {object} ReaderHooks
 * @property {(tracks: {video: boolean, audio: boolean}) => void} onExpect
 * @property {(framesPerSecond: number) => void} onFrameRate
 * @property {(name: 'video'|'audio', item: object, timestamp: number) => void} onItem a configuration, a frame or the name of
 *   a codec that cannot be played, see `parseVideoTag`; `timestamp` is its decode time, ms modulo 2^32
 */

export class Pipeline {
  #reader;
  #timeline = new Timeline();
  #config = { video: null, audio: null };
  #expect = { video: true, audio: true };
  #seen = { video: null, audio: null }; // wall time of the newest frame of this connection
  #firstWall = null;
  #firstTime = null;
  #settled = false;
  #needKey = true;
  #recent = [];
  #recentBytes = 0;
  #frameMs = 0; // from the metadata
  #stopped = false;
  #strangeSound = null; // {codec, wall}: sound that cannot be played, and when it was first heard

  /** What plays, in words; '' where there is none. */
  formats = { video: '', audio: '' };

  /**
   * @param {HTMLVideoElement} video
   * @param {object} hooks
   * @param {() => void} hooks.onStart data of a new connection or of new tracks is on its way into the browser
   * @param {() => void} hooks.onProgress the browser took data
   * @param {(time: number, joins: number, wall: number) => void} hooks.onFrame presentation time of a frame that arrived
   * @param {(what: {name: string, codec: string}) => void} hooks.onUnsupported
   * @param {(error: Error) => void} hooks.onFault
   */
  constructor(video, hooks) {
    this.hooks = hooks;
    this.sink = new Sink(video, { onProgress: hooks.onProgress, onFault: hooks.onFault });
  }

  get hasVideo() { return this.sink.tracks.includes('video'); }
  get hasAudio() { return this.sink.tracks.includes('audio'); }
  get size() { return { width: this.#config.video?.width ?? 0, height: this.#config.video?.height ?? 0 }; }

  /** Milliseconds a frame lasts, of the track that sets the pace. */
  get frameMs() { return this.sink.lane('video')?.mux.frameMs ?? this.sink.lane('audio')?.mux.frameMs ?? 40; }

  /** A new connection, whose bytes `makeReader` reads. What plays goes on until its data comes. */
  begin(makeReader) {
    this.#timeline.restart();
    this.#seen = { video: null, audio: null };
    this.#config = { video: null, audio: null };
    this.#expect = { video: true, audio: true };
    this.#firstWall = this.#firstTime = null;
    this.#settled = this.#stopped = false;
    this.#needKey = true;
    this.#strangeSound = null;
    this.#forget();
    try {
      this.#reader = makeReader({
        onExpect: (tracks) => { this.#expect = tracks; },
        onFrameRate: (rate) => { this.#frameMs = 1000 / rate; },
        onItem: (name, item, timestamp) => this.#item(name, item, timestamp),
      });
    } catch (error) {
      this.hooks.onFault(error);
    }
  }

  /** Nothing more comes from this connection; what is buffered plays on. */
  end() {
    this.#stopped = true;
    this.#forget();
  }

  close() {
    this.end();
    this.sink.close();
    this.formats = { video: '', audio: '' };
  }

  /** @param {Uint8Array} bytes */
  push(bytes) {
    if (this.#stopped) return;
    try {
      this.#reader.push(bytes);
      this.#settle();
    } catch (error) {
      this.hooks.onFault(error);
    }
  }

  /** To be called a few times a second. */
  tick() {
    if (this.#stopped) return;
    this.#settle();
    this.sink.trim();
    const wall = performance.now();
    const strange = this.#strangeSound;
    if (strange && !this.#config.video && wall - strange.wall > 2 * WAIT_FOR_TRACK) return this.#refuse({ name: strange.codec, codec: '' });
    if (this.#settled && this.hasVideo && this.hasAudio && wall - this.#seen.audio < 1000
      && wall - this.#seen.video > Math.max(VIDEO_GONE, 4 * this.frameMs)) this.#lose('video');
  }

  #item(name, item, timestamp) {
    if (this.#stopped) return;
    if (item.kind === 'unknown') this.#unknown(name, item.codec);
    else if (item.kind === 'config') this.#configure(name, item);
    else this.#frame(name, item, timestamp);
  }

  #unknown(name, codec) {
    if (name === 'video') this.#refuse({ name: codec, codec });
    else if (this.#expect.audio) {
      this.#expect.audio = false;
      this.#strangeSound = { codec, wall: performance.now() };
      this.formats.audio = `${codec}, not playable`;
    }
  }

  #configure(name, tag) {
    const config = name === 'video' ? videoConfig(tag.codec, tag.data, tag.size) : audioConfig(tag.codec, tag.data);
    if (this.#config[name] && sameConfig(this.#config[name], config)) return;
    this.#config[name] = config;
    if (name === 'video') {
      this.#needKey = true;
      this.#forget();
    }
    const lane = this.#settled && this.sink.lane(name);
    if (lane) this.#change(name, lane);
  }

  #frame(name, tag, timestamp) {
    if (!this.#config[name]) return;
    if (name === 'video' && this.#needKey && !tag.key) return;
    const wall = performance.now();
    const dts = this.#timeline.map(name, timestamp, this.frameMs, wall);
    const frame = { dts, cts: tag.cts, key: tag.key, data: tag.data };
    if (name === 'video') this.#needKey = false;
    this.#firstWall ??= wall;
    this.#firstTime ??= dts;
    this.#seen[name] = wall;
    this.#remember(name, frame);
    if (name === 'video' || !this.#config.video) this.hooks.onFrame(dts + tag.cts, this.#timeline.joins, wall);
    if (!this.#settled) return;
    const lane = this.sink.lane(name);
    if (!lane) this.#trackCame(name);
    else {
      lane.push(lane.mux.samples(frame));
      if (name === 'video') this.#coverSilence(dts, wall);
    }
  }

  /** Starts when both tracks are there, or one of them and no other is to be expected. */
  #settle() {
    if (this.#settled || this.#firstWall === null) return;
    const missing = ['video', 'audio'].find((name) => this.#seen[name] === null);
    const newest = this.#recent.at(-1)?.frame.dts ?? this.#firstTime;
    const waited = performance.now() - this.#firstWall > WAIT_FOR_TRACK || newest - this.#firstTime > WAIT_FOR_TRACK;
    if (missing && this.#expect[missing] && !waited) return;
    this.#settled = true;
    this.#play(['video', 'audio'].filter((name) => this.#seen[name] !== null));
  }

  #trackCame(name) {
    if (name === 'audio' && !supports(new AudioMux(this.#config.audio).mime)) return;
    if (name === 'video' && !this.#recent[0]?.frame.key) return;
    this.#play([...new Set([...this.sink.tracks, name])]);
  }

  #lose(name) {
    this.formats[name] = '';
    this.#play(this.sink.tracks.filter((other) => other !== name));
  }

  /** Plays these tracks from the last key frame on: in the open sink if it has the same tracks, else in a new one. */
  #play(names) {
    const muxes = {};
    for (const name of names) {
      const config = this.#config[name];
      const mux = name === 'video' ? new VideoMux(config, this.#frameMs) : new AudioMux(config);
      if (supports(mux.mime)) muxes[name] = mux;
      else if (name === 'audio' && names.length > 1) this.formats.audio = `${config.name} (${config.codec}), not playable`;
      else return this.#refuse(config);
    }
    const kept = this.sink.tracks.length > 0 && this.sink.tracks.join() === Object.keys(muxes).join() && !this.sink.video.error;
    if (!kept) this.sink.open(muxes);
    for (const [name, mux] of Object.entries(muxes)) {
      const lane = this.sink.lane(name);
      if (kept && !sameConfig(lane.mux.config, mux.config)) this.#change(name, lane);
      this.#describe(name, mux.config);
    }
    if (!muxes.audio && !this.formats.audio.endsWith('not playable')) this.formats.audio = '';
    if (!muxes.video) this.formats.video = '';
    for (const { name, frame } of this.#recent) {
      const lane = this.sink.lane(name);
      lane?.push(lane.mux.samples(frame));
    }
    this.hooks.onStart();
  }

  #change(name, lane) {
    const config = this.#config[name];
    const mux = name === 'video' ? new VideoMux(config, this.#frameMs) : new AudioMux(config);
    if (!supports(mux.mime)) this.#refuse(config);
    else {
      lane.change(mux);
      this.#describe(name, config);
    }
  }

  #describe(name, config) {
    this.formats[name] = `${config.name} (${config.codec})`;
  }

  #refuse(config) {
    this.end();
    this.hooks.onUnsupported({ name: config.name, codec: config.codec });
  }

  /** Keeps the sound track as long as the picture when no sound comes. */
  #coverSilence(videoTime, wall) {
    const lane = this.sink.lane('audio');
    if (!lane || wall - this.#seen.audio < AUDIO_LATE) return;
    if (lane.mux.silence) lane.push(lane.mux.silenceTo(this.#recent[0]?.frame.dts ?? videoTime, videoTime));
    else if (wall - this.#seen.audio > AUDIO_GONE) this.#lose('audio');
  }

  #remember(name, frame) {
    if (name === 'video' && frame.key) {
      this.#recent = this.#recent.filter((e) => e.name === 'audio' && e.frame.dts >= frame.dts);
      this.#recentBytes = this.#recent.reduce((sum, e) => sum + e.frame.data.length, 0);
      this.#recent.unshift({ name, frame });
    } else {
      this.#recent.push({ name, frame });
    }
    this.#recentBytes += frame.data.length;
    if (!this.#config.video || this.#seen.video === null) this.#forgetBefore(frame.dts - 2 * WAIT_FOR_TRACK);
    if (this.#recent.length > RECENT_FRAMES || this.#recentBytes > RECENT_BYTES) this.#forget();
  }

  #forgetBefore(time) {
    while (this.#recent.length && this.#recent[0].frame.dts < time) {
      this.#recentBytes -= this.#recent.shift().frame.data.length;
    }
  }

  #forget() {
    this.#recent = [];
    this.#recentBytes = 0;
  }
}
