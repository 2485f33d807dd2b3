// Keeps a <video> close to the live edge: starts there, catches up gently, jumps when far behind, steps over holes.
//
// All times are seconds of media unless they end in `Ms`. "Ahead" is what is buffered beyond the playhead.

const CATCH_UP = 0.2; // more than the target plus this ahead: play faster
const FASTEST = 1.2; // still pleasant to the ear
const SLOWEST = 0.94; // when nearly starved
const JUMP = 3; // more than this ahead: jump
const SETTLE_MS = 1500; // after a start, jump instead of catching up: the opening may come in pieces
const HOLE_MS = 200; // the playhead rests before a hole for so long: step over it
const HOLE_EDGE = 0.3;
const STUCK_MS = 1500; // the playhead does not move although there is enough
const TARGET_MAX = 2;
const REBUFFER_WINDOW_MS = 20000;
const CALM_MS = 60000; // without a rebuffer for so long, the target comes down again

const FAR_BEHIND_S = 8; // behind the edge of the browser's own HLS, which it keeps near to but not while the page is hidden

/** For a video that the browser fetches by itself. @param {HTMLVideoElement} video */
export function toLiveEdge(video) {
  const { seekable, currentTime } = video;
  const edge = seekable.length ? seekable.end(seekable.length - 1) : 0;
  if (edge - currentTime > FAR_BEHIND_S) video.currentTime = edge;
}

export class LiveControl {
  #snap = true;
  #settleUntil = 0;
  #rebuffers = [];
  #calmSince = 0;
  #lastTime = -1;
  #movedAt = 0;
  #nudges = 0;
  #extra = 0; // added to the target after repeated rebuffering

  /**
   * @param {HTMLVideoElement} video
   * @param {{target: () => number, frameMs: () => number, idle: () => boolean, onStuck: () => void}} hooks
   */
  constructor(video, hooks) {
    this.video = video;
    this.hooks = hooks;
    video.addEventListener('waiting', () => this.#waiting());
  }

  /** Ahead to aim at: the wish, more for slow cameras (a frame must be there before the last one ends) and bad networks. */
  get target() {
    const wish = this.hooks.target();
    return Math.max(wish, this.hooks.frameMs() * 1.2 / 1000 + 0.25, Math.min(wish + this.#extra, TARGET_MAX));
  }

  /** Go to the live edge as soon as the browser has taken what arrived. */
  snap() {
    this.#snap = true;
  }

  tick(nowMs = performance.now()) {
    const { video } = this;
    const { buffered } = video;
    if (!buffered.length || video.readyState === 0) return;
    const start = buffered.start(buffered.length - 1);
    const end = buffered.end(buffered.length - 1);
    if (this.#snap) {
      if (!this.hooks.idle()) return;
      this.#snap = false;
      this.#settleUntil = nowMs + SETTLE_MS;
      this.#seek(Math.max(start, end - this.target), nowMs);
      return;
    }
    if (video.seeking || video.paused) {
      this.#movedAt = nowMs;
      return;
    }
    const ahead = end - video.currentTime;
    const jumpAt = nowMs < this.#settleUntil ? this.target + 0.7 : Math.max(JUMP, this.target + 1);
    if (ahead > jumpAt || this.#inHole(nowMs)) this.#seek(Math.max(start, end - this.target), nowMs);
    else if (this.#stuck(ahead, nowMs)) this.#nudge(Math.max(start, end - this.target), nowMs);
    else this.#pace(ahead, nowMs);
  }

  /** True when the playhead is in no range, or rests at the end of one that is not the last. */
  #inHole(nowMs) {
    const { buffered, currentTime } = this.video;
    const last = buffered.length - 1;
    if (currentTime >= buffered.start(last) - 0.01) return currentTime > buffered.end(last) + 0.5;
    const rests = currentTime === this.#lastTime && nowMs - this.#movedAt > HOLE_MS;
    for (let i = 0; i < last; i++) {
      // Browsers stop a few frames before the end of a range.
      const end = buffered.end(i) - (rests ? HOLE_EDGE : 0.02);
      if (currentTime >= buffered.start(i) - 0.01 && currentTime < end) return false;
    }
    return true;
  }

  #stuck(ahead, nowMs) {
    const { currentTime } = this.video;
    if (Math.abs(currentTime - this.#lastTime) > 0.001) {
      if (currentTime > this.#lastTime && nowMs - this.#movedAt < 300) this.#nudges = Math.max(0, this.#nudges - 0.01);
      this.#lastTime = currentTime;
      this.#movedAt = nowMs;
      return false;
    }
    return ahead > this.target + 0.3 && nowMs - this.#movedAt > STUCK_MS;
  }

  #nudge(to, nowMs) {
    this.#nudges++;
    if (this.#nudges >= 3) {
      this.#nudges = 0;
      this.hooks.onStuck();
    } else this.#seek(to, nowMs);
  }

  #pace(ahead, nowMs) {
    const { target } = this;
    const over = ahead - target;
    const rate = this.video.playbackRate;
    if (over > CATCH_UP) this.#rate(Math.min(FASTEST, 1.05 + (over - CATCH_UP) * 0.2));
    else if (rate > 1 && over < 0.03) this.#rate(1);
    else if (ahead < target * 0.4 && this.video.readyState >= 3) this.#rate(SLOWEST);
    else if (rate < 1 && ahead > target * 0.8) this.#rate(1);
    if (this.#extra > 0 && nowMs - this.#calmSince > CALM_MS) {
      this.#extra = Math.max(0, this.#extra - 0.2);
      this.#calmSince = nowMs;
    }
  }

  #rate(rate) {
    if (Math.abs(this.video.playbackRate - rate) > 0.009) this.video.playbackRate = rate;
  }

  #seek(to, nowMs) {
    this.#rate(1);
    this.#movedAt = nowMs;
    this.#lastTime = to;
    this.video.currentTime = to;
  }

  /** Twice within a while: the network needs a larger buffer. */
  #waiting() {
    const nowMs = performance.now();
    if (this.#snap || this.video.seeking || nowMs < this.#settleUntil || document.hidden) return;
    this.#calmSince = nowMs;
    this.#rebuffers = this.#rebuffers.filter((at) => nowMs - at < REBUFFER_WINDOW_MS);
    this.#rebuffers.push(nowMs);
    if (this.#rebuffers.length >= 2) {
      this.#extra = Math.min(TARGET_MAX, this.#extra + 0.2);
      this.#rebuffers = [];
    }
  }
}
