// MediaSource with one SourceBuffer a track: queues, init segments, eviction. Knows nothing of FLV or of latency.
//
// Source: W3C Media Source Extensions (and ManagedMediaSource, the only one on iPhones).

const KEEP_BEHIND_S = 10;
const TRIM_SLACK_S = 4; // trimmed in steps, not at every frame
const KEEP_AT_MOST_S = 30; // before the live edge, also while a hidden or paused video does not move
const QUEUE_FRAMES = 1500; // a minute at 25 fps; more means MSE does not keep up
const QUEUE_BYTES = 32 * 1024 * 1024;

const Source = globalThis.ManagedMediaSource && !globalThis.MediaSource ? globalThis.ManagedMediaSource : globalThis.MediaSource;

export function mseAvailable() { return Boolean(Source); }
export function supports(mime) { return Boolean(Source?.isTypeSupported(mime)); }

export class Sink {
  #source = null;
  #url = '';
  /** @type {Map<string, Lane>} */
  #lanes = new Map();

  /** Frames thrown away because the browser did not take them in time. */
  dropped = 0;

  /**
   * @param {HTMLVideoElement} video
   * @param {{onProgress: () => void, onFault: (error: Error) => void}} hooks
   */
  constructor(video, hooks) {
    this.video = video;
    this.hooks = hooks;
  }

  /** Names of the tracks it plays. */
  get tracks() { return [...this.#lanes.keys()]; }

  /** True when all that was given has been taken by the browser. */
  get idle() { return [...this.#lanes.values()].every((lane) => lane.idle); }

  lane(name) { return this.#lanes.get(name); }

  /** Starts anew with these tracks. @param {Record<string, import('./mux.js').VideoMux|import('./mux.js').AudioMux>} muxes */
  open(muxes) {
    this.close();
    const source = new Source();
    this.#source = source;
    for (const [name, mux] of Object.entries(muxes)) this.#lanes.set(name, new Lane(this, name, mux));
    source.addEventListener('sourceopen', () => {
      if (this.#source !== source) return;
      try {
        for (const lane of this.#lanes.values()) lane.attach(source.addSourceBuffer(lane.mux.mime));
      } catch (error) {
        this.hooks.onFault(error);
      }
    }, { once: true });
    if (Source !== globalThis.MediaSource) this.video.disableRemotePlayback = true;
    this.#url = URL.createObjectURL(source);
    this.video.src = this.#url;
  }

  close() {
    if (!this.#source) return;
    this.#source = null;
    for (const lane of this.#lanes.values()) lane.detach();
    this.#lanes.clear();
    this.video.removeAttribute('src');
    this.video.load();
    URL.revokeObjectURL(this.#url);
  }

  /** Drops what lies far behind the playhead. */
  trim() {
    for (const lane of this.#lanes.values()) lane.trim(this.video.currentTime);
  }

  /** @internal */
  report(error) {
    if (this.#source) this.hooks.onFault(error);
  }
}

/** One track: what waits for its SourceBuffer, in order. Entries are init segments and samples. */
class Lane {
  #buffer = null;
  #queue = [];
  #frames = 0;
  #bytes = 0;
  #mime;
  #needKey = false;

  constructor(sink, name, mux) {
    this.sink = sink;
    this.name = name;
    this.mux = mux;
    this.#mime = mux.mime;
    this.#queue.push({ init: mux.init(), mime: mux.mime });
  }

  get idle() { return Boolean(this.#buffer) && !this.#buffer.updating && this.#queue.length === 0; }

  attach(buffer) {
    this.#buffer = buffer;
    buffer.addEventListener('updateend', () => {
      this.flush();
      this.sink.hooks.onProgress();
    });
    buffer.addEventListener('error', () => this.sink.report(new Error(`the browser refused the ${this.name} data`)));
    this.flush();
  }

  detach() {
    this.#buffer = null;
    this.#queue = [];
  }

  /** A new configuration from here on. Its type must be supported. */
  change(mux) {
    this.mux = mux;
    this.#queue.push({ init: mux.init(), mime: mux.mime });
    this.flush();
  }

  /** @param {import('./fmp4.js').Sample[]} samples */
  push(samples) {
    for (const sample of samples) {
      if (this.#needKey && !sample.key) { this.sink.dropped++; continue; }
      this.#needKey = false;
      this.#queue.push({ sample, mux: this.mux });
      this.#frames++;
      this.#bytes += sample.data.length;
    }
    if (this.#frames > QUEUE_FRAMES || this.#bytes > QUEUE_BYTES) this.#overflow();
    this.flush();
  }

  flush() {
    const buffer = this.#buffer;
    if (!buffer || buffer.updating || !this.#queue.length || this.sink.video.error) return;
    try {
      const first = this.#queue[0];
      if (first.init) {
        if (first.mime !== this.#mime) buffer.changeType(first.mime);
        this.#mime = first.mime;
        buffer.appendBuffer(first.init);
        this.#queue.shift();
      } else {
        let count = 1;
        while (count < this.#queue.length && this.#queue[count].sample && this.#queue[count].mux === first.mux) count++;
        const samples = this.#queue.slice(0, count).map((entry) => entry.sample);
        buffer.appendBuffer(first.mux.fragment(samples));
        this.#queue.splice(0, count);
        this.#frames -= count;
        this.#bytes -= samples.reduce((sum, s) => sum + s.data.length, 0);
      }
    } catch (error) {
      if (error.name === 'QuotaExceededError') this.#makeRoom(error);
      else this.sink.report(error);
    }
  }

  trim(now) {
    const buffer = this.#buffer;
    if (!buffer || buffer.updating || !buffer.buffered.length) return;
    const start = buffer.buffered.start(0);
    const end = buffer.buffered.end(buffer.buffered.length - 1);
    const keepFrom = Math.max(now - KEEP_BEHIND_S, end - KEEP_AT_MOST_S);
    if (keepFrom - start > TRIM_SLACK_S) this.#remove(start, keepFrom);
  }

  /** The quota is full: what was played goes first; if there is nothing of it, what waits goes. */
  #makeRoom(error) {
    const ranges = this.#buffer.buffered;
    const until = Math.max(this.sink.video.currentTime - 1, ranges.length ? ranges.end(ranges.length - 1) - KEEP_AT_MOST_S / 2 : 0);
    if (ranges.length && until - ranges.start(0) > 0.5) this.#remove(ranges.start(0), until);
    else if (this.#frames) this.#overflow();
    else this.sink.report(error);
  }

  #remove(start, end) {
    try {
      this.#buffer.remove(start, end);
    } catch (error) {
      this.sink.report(error);
    }
  }

  /** Throws away what waits, up to the newest key frame in it or else up to the next one to come. */
  #overflow() {
    const lastKey = this.name === 'video' ? this.#queue.findLastIndex((e) => e.sample?.key) : -1;
    const keep = this.#queue.filter((entry, i) => entry.init || (lastKey > 0 && i >= lastKey));
    this.sink.dropped += this.#queue.length - keep.length;
    this.#queue = keep;
    this.#frames = keep.filter((e) => e.sample).length;
    this.#bytes = keep.reduce((sum, e) => sum + (e.sample?.data.length ?? 0), 0);
    if (!this.#frames) this.#needKey = true;
    if (this.#bytes > QUEUE_BYTES) { this.#queue = keep.filter((e) => e.init); this.#frames = this.#bytes = 0; this.#needKey = true; }
  }
}
