// <ipchub-player src="ws://hub:1554/streams/room/door.flv">: a live stream over a websocket in a custom element.
//
//   <script type="module" src="http://hub:1554/player.js"></script>
//
// Attributes: `src` (relative or absolute; http, https, ws, wss, rtsp, rtsps), `transport` (how it comes: "flv", "rtsp" over a
// websocket, or "wsp"; flv, but rtsp for an rtsp: address), `muted` ("false" asks for sound at once; muted otherwise),
// `controls` ("false" hides them), `stats` (shows the figures), `target-latency` (seconds of buffer, 0.6).
// Event `statechange`, detail {state, message, kind}. Properties `state`, `message`, `stats`, `video`; methods `play()`, `pause()`.
//
// states: idle | connecting | buffering | playing | blocked | paused | retrying | error

import { Connection, websocketUrl } from './player/connection.js';
import { LINKS } from './player/link.js';
import { LiveControl } from './player/live.js';
import { Meter } from './player/meter.js';
import { Pipeline } from './player/pipeline.js';
import { mseAvailable } from './player/sink.js';
import { buildView, setButton } from './player/view.js';
import { again, bitrateText, words } from './player/words.js';

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
    onUnsupported: (what) => this.#connection?.fail({ kind: 'unsupported', ...what }, UNSUPPORTED_PAUSE_MS),
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
  /** How the stream comes: the attribute, or what fits the address. */
  get transport() {
    const wish = this.getAttribute('transport')?.toLowerCase();
    if (wish && Object.hasOwn(LINKS, wish)) return wish;
    return /^rtsps?:/i.test(this.src) ? 'rtsp' : 'flv';
  }
  set transport(value) { this.setAttribute('transport', value); }
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
      videoCodec: formats.video,
      audioCodec: formats.audio,
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
    full.onclick = () => this.#fullscreen();
    video.ondblclick = () => this.#fullscreen();
    video.onvolumechange = () => this.#showSound();
    video.onplaying = () => this.#playing();
    video.onerror = () => this.#fault(video.error);
    // Paused by a media key or the picture-in-picture window; a hidden page is paused by the browser and goes on by itself.
    video.onpause = () => { if (!document.hidden && video.paused && this.#state === 'playing') this.pause(); };
    for (const event of ['pointermove', 'pointerdown', 'keydown', 'focusin']) this.addEventListener(event, () => this.#awake());
    this.#showSound();
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

  #open() {
    const wanted = `${this.transport} ${this.src}`;
    const resumes = this.#state === 'paused' && this.#openedSrc === wanted;
    if (resumes) this.#leave();
    else this.#shut();
    this.#openedSrc = wanted;
    if (!this.src) return this.#set('idle');
    if (!mseAvailable()) return this.#set('error', { kind: 'no-mse' });
    const url = websocketUrl(this.src);
    if (!url) return this.#set('error', { kind: 'bad-src', src: this.src });
    if (!resumes) this.#reconnects = 0;
    this.#connection = new Connection(url, this.transport, {
      onConnecting: () => {
        this.#openedAt = performance.now();
        if (this.#state !== 'retrying' || !this.#connection.reconnects) this.#set('connecting');
      },
      onOpen: (makeReader) => {
        this.#openedAt = performance.now();
        this.#pipeline.begin(makeReader);
      },
      onData: (bytes) => {
        this.#meter.bytes(bytes.length, performance.now());
        this.#pipeline.push(bytes);
      },
      onDown: (trouble) => this.#down(trouble),
    });
    this.#connection.reconnects = this.#reconnects;
    this.#connection.start();
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
    this.#leave();
    this.#pipeline.close();
    this.#showFormats();
  }

  #dataBegins() {
    this.#startTime = null;
    this.#live.snap();
    this.#showFormats();
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
    this.#live.snap();
    if (this.#connection.connected && this.video.paused && this.#state !== 'blocked') this.#startPlaying();
  }

  #tick() {
    this.#ticks++;
    const { video } = this;
    if (!this.#connection) return;
    this.#live.tick();
    if (this.#connection.connected) {
      this.#pipeline.tick();
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
    const { veil, text, said, spinner, sign, retry, start, toggle } = this.#view;
    const busy = state === 'connecting' || state === 'buffering';
    veil.hidden = state === 'playing' || state === 'idle';
    veil.classList.toggle('light', busy || state === 'paused');
    spinner.hidden = !busy;
    sign.hidden = state !== 'error' && state !== 'retrying';
    start.hidden = state !== 'paused' && state !== 'blocked';
    retry.hidden = state !== 'error' && state !== 'retrying';
    text.textContent = message;
    text.hidden = !message;
    said.textContent = message || { connecting: 'Connecting', playing: 'Playing', paused: 'Paused', blocked: 'Press play to start' }[state] || '';
    setButton(toggle, state === 'paused' ? 'play' : 'pause', state === 'paused' ? 'Play' : 'Pause');
    toggle.disabled = state === 'idle';
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
    const { face, sound, pip } = this.#view;
    const { hasVideo, hasAudio } = this.#pipeline;
    face.hidden = hasVideo || !hasAudio;
    sound.hidden = !hasAudio;
    pip.hidden = !hasVideo || !document.pictureInPictureEnabled;
    this.#showStats();
  }

  #showSound() {
    const { muted } = this.video;
    this.#view.listen.hidden = !muted;
    setButton(this.#view.sound, muted ? 'muted' : 'sound', muted ? 'Turn the sound on' : 'Turn the sound off');
  }

  #showStats() {
    const { delay, panel, figures } = this.#view;
    const s = this.stats;
    const late = s.delay === null || this.#state !== 'playing' ? '' : `${s.delay.toFixed(1)} s`;
    delay.textContent = late;
    if (panel.hidden) return;
    figures.picture.textContent = s.videoCodec ? `${s.width} × ${s.height}, ${s.videoCodec}` : 'none';
    figures.sound.textContent = s.audioCodec || 'none';
    figures.bitrate.textContent = s.bitrate ? bitrateText(s.bitrate) : '–';
    figures.delay.textContent = s.delay === null ? '–' : `${s.delay.toFixed(2)} s`;
    figures.dropped.textContent = `${s.dropped} frames`;
    figures.reconnects.textContent = String(s.reconnects);
  }

  #fullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.requestFullscreen) this.requestFullscreen().catch(() => {});
    else this.video.webkitEnterFullscreen?.(); // iPhones know full screen for videos only
  }

  #awake() {
    this.classList.remove('quiet');
    clearTimeout(this.#quietTimer);
    this.#quietTimer = setTimeout(() => this.classList.add('quiet'), QUIET_MS);
  }
}

if (!customElements.get('ipchub-player')) customElements.define('ipchub-player', IpchubPlayer);
