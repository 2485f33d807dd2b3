// <ipchub-player src="ws://hub:1554/streams/room/door.flv">: a live stream in a custom element.
//
//   <script type="module" src="http://hub:1554/player.js"></script>
//
// Attributes: `src` (relative or absolute; http, https, ws, wss, rtsp, rtsps), `transport` (how it comes: "flv", "mp4" or "rtsp"
// over a websocket, "wsp", or "hls" by the browser itself; without it what this browser plays, see player/way.js), `muted` ("false" asks for sound at once; muted otherwise),
// `controls` ("false" hides them), `stats` (shows the figures), `target-latency` (seconds of buffer, 0.6).
// Event `statechange`, detail {state, message, kind}. Properties `state`, `message`, `way`, `stats`, `video`; methods `play()`, `pause()`.
//
// states: idle | connecting | buffering | playing | blocked | paused | retrying | error

import { websocketUrl } from './player/address.js';
import { Connection } from './player/connection.js';
import { showFigures } from './player/figures.js';
import { LiveControl, toLiveEdge } from './player/live.js';
import { Meter } from './player/meter.js';
import { Pipeline } from './player/pipeline.js';
import { buildView, fullScreen, showSound, showState, showTracks } from './player/view.js';
import { firstWay, fmp4Offers, playsNatively, wishOf } from './player/way.js';
import { again, words } from './player/words.js';

const TICK_MS = 100;
const DEFAULT_LATENCY = 0.6;
const UNSUPPORTED_PAUSE_MS = 30000; // someone may set the camera to another codec meanwhile
const QUIET_MS = 3000; // after so long without a touch the controls hide
const PLAYED_S = 1.5; // of media played on a connection make its next back-off short again
const SHOW_BUFFERING_MS = 400; // shorter waits show no spinner
const SHOW_NO_KEY_MS = 4000; // connected for so long without anything to start with: say so

export class IpchubPlayer extends HTMLElement {
  static observedAttributes = ['src', 'transport', 'muted', 'controls', 'stats', 'target-latency'];

  #view = buildView(this);
  #meter = new Meter();
  #live = new LiveControl(this.video, {
    target: () => this.#targetLatency,
    frameMs: () => this.#pipeline.frameMs,
    idle: () => this.#pipeline.sink.idle,
    onStuck: () => this.#fault(new Error('the picture does not move')),
  });
  #pipeline = new Pipeline(this.video, {
    onStart: () => this.#dataBegins(),
    onProgress: () => this.#live.tick(),
    onFrame: (time, joins, wall) => this.#meter.frame(time, joins, wall),
    onUnsupported: (what) => this.#unsupported(what),
    onFault: (error) => this.#fault(error),
  });
  #connection = null;
  #listeners = null;
  #timer = 0;
  #quietTimer = 0;
  #state = 'idle';
  #message = '';
  #reconnects = 0;
  #openedSrc = '';
  #way = '';
  #asking = null; // whether the hub's MP4 has more than its FLV
  #openedAt = 0;
  #startTime = null; // currentTime when this connection began to play
  #waitingSince = 0;
  #ticks = 0;

  get video() { return this.#view.video; }
  get state() { return this.#state; }
  /** What is wrong and what happens next, in words; '' while all is well. */
  get message() { return `${this.#message} ${this.#view.again.textContent}`.trim(); }
  get src() { return this.getAttribute('src') ?? ''; }
  set src(value) { this.setAttribute('src', value); }
  /** How the stream should come: as the attribute or the address says, else 'auto'. */
  get transport() { return wishOf(this.getAttribute('transport'), this.src); }
  set transport(value) { this.setAttribute('transport', value); }
  /** How it comes: 'flv', 'mp4', 'rtsp', 'wsp' or 'hls'; '' before that is known. */
  get way() { return this.#way; }
  get muted() { return this.video.muted; }
  set muted(value) { this.video.muted = Boolean(value); }

  /** Figures of the moment: pixels, bit/s, seconds. */
  get stats() {
    const now = performance.now();
    const quality = this.video.getVideoPlaybackQuality?.();
    const { formats, size, sink } = this.#pipeline;
    return {
      width: this.video.videoWidth || size.width,
      height: this.video.videoHeight || size.height,
      videoCodec: this.#native ? 'HLS of the browser' : formats.video,
      audioCodec: this.#native ? 'HLS of the browser' : formats.audio,
      bitrate: this.#meter.bitrate(now),
      delay: this.video.readyState > 0 ? this.#meter.delay(this.video.currentTime, now) : null,
      dropped: (quality?.droppedVideoFrames ?? 0) + sink.dropped,
      reconnects: this.#connection?.reconnects ?? this.#reconnects,
    };
  }

  constructor() {
    super();
    const { video, retry, start, toggle, listen, sound, stats, pip, full } = this.#view;
    retry.onclick = () => this.play();
    start.onclick = () => this.play();
    toggle.onclick = () => (this.#state === 'paused' ? this.play() : this.pause());
    sound.onclick = listen.onclick = () => { video.muted = !video.muted; };
    stats.onclick = () => this.toggleAttribute('stats');
    pip.onclick = () => (document.pictureInPictureElement ? document.exitPictureInPicture() : video.requestPictureInPicture()).catch(() => {});
    full.onclick = () => fullScreen(this, video);
    video.ondblclick = () => fullScreen(this, video);
    video.onvolumechange = () => showSound(this.#view, video.muted);
    video.onplaying = () => this.#playing();
    video.onerror = () => { if (!this.#native) this.#fault(video.error); };
    // Paused by a media key or the picture-in-picture window; a hidden page is paused by the browser and goes on by itself.
    video.onpause = () => { if (!document.hidden && video.paused && this.#state === 'playing') this.pause(); };
    for (const event of ['pointermove', 'pointerdown', 'keydown', 'focusin']) this.addEventListener(event, () => this.#awake());
    showSound(this.#view, video.muted);
    this.#showFormats();
  }

  connectedCallback() {
    this.#listeners = new AbortController();
    const { signal } = this.#listeners;
    document.addEventListener('visibilitychange', () => this.#seen(), { signal });
    window.addEventListener('online', () => this.#connection?.retryNow(), { signal });
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#awake();
    this.#open();
  }

  disconnectedCallback() {
    this.#listeners.abort();
    clearInterval(this.#timer);
    clearTimeout(this.#quietTimer);
    this.#shut();
    this.#set('idle');
  }

  attributeChangedCallback(name, before, value) {
    const { bar, panel, stats } = this.#view;
    if ((name === 'src' || name === 'transport') && before !== value && this.isConnected) this.#open();
    if (name === 'muted') this.video.muted = value !== 'false';
    if (name === 'controls') bar.hidden = value === 'false';
    if (name === 'stats') {
      panel.hidden = value === null || value === 'false';
      stats.setAttribute('aria-pressed', String(!panel.hidden));
      this.#showStats();
    }
  }

  /** Plays, or tries again at once. */
  play() {
    if (!this.#connection) this.#open();
    else if (this.#connection.retryAt) this.#connection.retryNow();
    else if (this.#state === 'error') this.#connection.start();
    else this.#startPlaying();
  }

  /** Stops and gives the connection back; the last picture stays. */
  pause() {
    if (!this.#connection) return;
    this.#leave();
    this.video.pause();
    this.#set('paused');
  }

  get #targetLatency() {
    const wish = Number.parseFloat(this.getAttribute('target-latency'));
    return wish > 0 ? Math.min(Math.max(wish, 0.1), 10) : DEFAULT_LATENCY;
  }

  /** The browser fetches and decodes by itself. */
  get #native() { return this.#way === 'hls'; }

  #open() {
    const wanted = `${this.transport} ${this.src}`;
    const resumes = this.#state === 'paused' && this.#openedSrc === wanted;
    if (resumes) this.#leave();
    else this.#shut();
    if (this.#openedSrc !== wanted) this.#way = '';
    this.#openedSrc = wanted;
    if (!this.src) return this.#set('idle');
    this.#way ||= firstWay(this.transport, this.hasAttribute('transport') && this.transport !== 'auto');
    if (!this.#way) return this.#set('error', { kind: this.transport === 'hls' ? 'no-hls' : 'no-mse' });
    const url = websocketUrl(this.src);
    if (!url) return this.#set('error', { kind: 'bad-src', src: this.src });
    if (!resumes) this.#reconnects = 0;
    this.#connect(url);
  }

  #connect(url) {
    this.#connection = new Connection(url, this.#way, this.video, {
      onConnecting: () => {
        this.#openedAt = performance.now();
        if (this.#state !== 'retrying' || !this.#connection.reconnects) this.#set('connecting');
      },
      onOpen: (makeReader) => {
        this.#openedAt = performance.now();
        if (makeReader) this.#pipeline.begin(makeReader);
        else this.#dataBegins();
      },
      onData: (bytes) => {
        if (this.#native) return;
        this.#meter.bytes(bytes.length, performance.now());
        this.#pipeline.push(bytes);
      },
      onDown: (trouble) => this.#down(trouble),
    });
    this.#connection.reconnects = this.#reconnects;
    this.#connection.start();
  }

  /** Goes on another way, if the page left that to us and it is not the way that it is on. */
  #take(way) {
    if (this.transport !== 'auto' || this.#way === way) return false;
    this.#shut();
    this.#way = way;
    this.#connect(websocketUrl(this.src));
    return true;
  }

  /** FLV lacks these kinds of tracks: asks whether MP4 has them. `trouble` is told if it has not. */
  async #askForMore(wanted, trouble) {
    if (this.transport !== 'auto' || this.#way !== 'flv' || this.#asking) return;
    const asking = new AbortController();
    this.#asking = asking;
    const more = await fmp4Offers(websocketUrl(this.src), wanted, asking.signal);
    if (this.#asking !== asking) return;
    if (more) this.#take('mp4');
    else if (trouble) this.#asking = null;
  }

  #unsupported(what) {
    if (playsNatively(what.codec) && this.#take('hls')) return;
    this.#connection?.fail({ kind: 'unsupported', ...what }, UNSUPPORTED_PAUSE_MS);
  }

  /** Leaves the connection; what is buffered and shown stays. */
  #leave() {
    this.#reconnects = this.#connection?.reconnects ?? this.#reconnects;
    this.#connection?.stop();
    this.#connection = null;
    this.#pipeline.end();
    this.#meter.reset();
  }

  #shut() {
    this.#asking?.abort();
    this.#asking = null;
    this.#leave();
    this.#pipeline.close();
    this.#showFormats();
  }

  #dataBegins() {
    this.#startTime = null;
    this.#live.snap();
    this.#showFormats();
    // Video of another codec than AV1 FLV would have: where that does not come, it does not come by MP4 either.
    const { hasAudio, hasVideo } = this.#pipeline;
    if (!this.#native && !hasVideo) this.#askForMore(/^av01/i);
    else if (!this.#native && !hasAudio) this.#askForMore(/^(?:opus|mp4a)/i);
    if (this.#state !== 'playing') this.#set('buffering');
    this.#startPlaying();
  }

  async #startPlaying() {
    const { video } = this;
    try {
      await video.play();
    } catch (error) {
      if (error.name !== 'NotAllowedError' || !this.#connection) return;
      if (!video.muted) {
        video.muted = true; // without sound a browser lets a page begin by itself
        this.#startPlaying();
      } else this.#set('blocked');
    }
  }

  #playing() {
    this.#waitingSince = 0;
    if (!this.#connection?.connected) return;
    this.#startTime ??= this.video.currentTime;
    this.#set('playing');
  }

  #down(trouble) {
    this.#pipeline.end();
    this.#meter.reset();
    if (trouble.kind === 'unsupported') this.#pipeline.close();
    if (trouble.kind === 'no-output') this.#askForMore(/./, trouble);
    this.#showFormats();
    const final = ['unsupported', 'login', 'denied'].includes(trouble.kind);
    this.#set(final ? 'error' : 'retrying', trouble);
  }

  #fault(error) {
    if (!this.#connection) return;
    const broken = this.video.error;
    const reason = error?.message || `media error ${error?.code ?? ''}`;
    const codec = this.#pipeline.formats.video;
    this.#pipeline.close();
    this.#connection.fail(broken ? { kind: 'decoder', codec, reason } : { kind: 'damaged', reason });
  }

  /** The page is seen again: timers and video may have slept. */
  #seen() {
    if (document.hidden || !this.#connection) return;
    this.#connection.retryNow();
    if (this.#native) toLiveEdge(this.video);
    else this.#live.snap();
    if (this.#connection.connected && this.video.paused && this.#state !== 'blocked') this.#startPlaying();
  }

  #tick() {
    this.#ticks++;
    const { video } = this;
    if (!this.#connection) return;
    if (!this.#native) this.#live.tick();
    if (this.#connection.connected) {
      if (!this.#native) this.#pipeline.tick();
      if (this.#startTime !== null && video.currentTime - this.#startTime > PLAYED_S) this.#connection.played();
      this.#watchBuffering();
      if (this.#state === 'connecting' && performance.now() - this.#openedAt > SHOW_NO_KEY_MS) this.#set('connecting', { kind: 'no-key' });
    }
    if (this.#ticks % 5 === 0) {
      this.#connection.tick();
      this.#showAgain();
      this.#showStats();
    }
  }

  #watchBuffering() {
    if (document.hidden || (this.#state !== 'playing' && this.#state !== 'buffering')) return;
    const now = performance.now();
    if (this.video.readyState >= 3 && !this.video.paused) {
      this.#waitingSince = 0;
      if (this.#state === 'buffering' && this.#startTime !== null) this.#set('playing');
    } else {
      this.#waitingSince ||= now;
      const patience = Math.max(SHOW_BUFFERING_MS, 2 * this.#pipeline.frameMs);
      if (this.#state === 'playing' && now - this.#waitingSince > patience) this.#set('buffering');
    }
  }

  /** @param {{kind: string}} [trouble] */
  #set(state, trouble) {
    const message = trouble ? words(trouble, websocketUrl(this.src)) : '';
    if (state === this.#state && message === this.#message) return this.#showAgain();
    this.#state = state;
    this.#message = message;
    this.setAttribute('state', state);
    showState(this.#view, state, message);
    this.#showAgain();
    const detail = { state, message: this.message, kind: trouble?.kind ?? '' };
    this.dispatchEvent(new CustomEvent('statechange', { bubbles: true, composed: true, detail }));
  }

  #showAgain() {
    const { again: line } = this.#view;
    const trying = this.#state === 'retrying';
    line.hidden = !trying;
    const retryAt = this.#connection?.retryAt;
    line.textContent = trying ? again(retryAt ? retryAt - performance.now() : 0) : '';
  }

  #showFormats() {
    const { hasVideo, hasAudio } = this.#native ? { hasVideo: this.video.videoWidth > 0, hasAudio: true } : this.#pipeline;
    showTracks(this.#view, hasVideo, hasAudio);
    this.#showStats();
  }

  #showStats() { showFigures(this.#view, this.stats, this.#state); }

  #awake() {
    this.classList.remove('quiet');
    clearTimeout(this.#quietTimer);
    this.#quietTimer = setTimeout(() => this.classList.add('quiet'), QUIET_MS);
  }
}

if (!customElements.get('ipchub-player')) customElements.define('ipchub-player', IpchubPlayer);
