// Measures what arrives: bits a second, and how far behind the source the viewer is.
//
// Delay: the frame that arrived fastest sets how wall time and media time belong together; everything that is shown
// later than that has waited in the network, in the buffer or in a hidden tab. What even the fastest frame needed to
// get here is not known to a page and not counted. Units: milliseconds in, bit/s and seconds out.

const RATE_WINDOW = 3000;
const OPENING = 300; // what comes so early is the opening: seconds of media at once
const BASE_WINDOW = 30000; // the fastest frame of the last one to two windows counts, so that clock drift is forgotten

export class Meter {
  #arrivals = []; // [wall, bytes]
  #first = null; // wall
  #joins = -1;
  #base = Infinity; // smallest (wall - media time) of this window and of the one before
  #previousBase = Infinity;
  #windowStart = 0;

  reset() {
    this.#arrivals = [];
    this.#first = null;
    this.#joins = -1;
  }

  bytes(count, wall) {
    this.#first ??= wall;
    this.#arrivals.push([wall, wall - this.#first < OPENING ? 0 : count]);
    while (this.#arrivals[0][0] < wall - RATE_WINDOW) this.#arrivals.shift();
  }

  frame(time, joins, wall) {
    if (joins !== this.#joins) {
      this.#joins = joins;
      this.#base = this.#previousBase = Infinity;
      this.#windowStart = wall;
    }
    if (wall - this.#windowStart > BASE_WINDOW) {
      this.#previousBase = this.#base;
      this.#base = Infinity;
      this.#windowStart = wall;
    }
    this.#base = Math.min(this.#base, wall - time);
  }

  /** bit/s over the last seconds. */
  bitrate(wall) {
    const recent = this.#arrivals.filter(([at, bytes]) => bytes && at > wall - RATE_WINDOW);
    const span = wall - (recent[0]?.[0] ?? wall);
    if (span < 500) return 0;
    return Math.round(recent.slice(1).reduce((sum, [, bytes]) => sum + bytes, 0) * 8000 / span);
  }

  /** Seconds between the source and what is on the screen at `currentTime` (s); null when nothing came yet. */
  delay(currentTime, wall) {
    const base = Math.min(this.#base, this.#previousBase);
    return Number.isFinite(base) ? Math.max(0, (wall - base) / 1000 - currentTime) : null;
  }
}
