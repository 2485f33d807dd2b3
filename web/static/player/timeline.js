// FLV timestamps -> one continuous timeline in milliseconds that never goes back.
//
// A tag's time is an unsigned 32-bit number that may start anywhere, wrap (after 49.7 days), jump ahead or fall back
// when a publisher restarts. Each track is followed by an offset; when a track jumps, it first tries the offset of the
// other one (so that sound and picture stay together) and only then is set behind all that was played before.

const BASE = 1000; // ms; room for negative composition times, which MSE would cut off below 0
const BACKWARD = 300; // ms a track may go back by before it counts as a restart
const FORWARD = 1000; // ms of gap that are left alone in any case (slow cameras, lost packets)
const GAP_SLACK = 500; // ms by which a longer gap may exceed the time that has really passed
const OVERLAP = 250; // ms of the other track that may be played over where the timeline is joined
const FIRST_SKEW = 2000; // ms that sound and picture may be apart when the second of them begins

/** @typedef {{raw: number, out: number, offset: number, wall: number}} Follow times in ms; `raw` unwrapped */

export class Timeline {
  /** @type {{video: Follow|null, audio: Follow|null}} */
  #tracks = { video: null, audio: null };
  #edge = BASE;
  #ends = { video: null, audio: null }; // ms, of each track

  /** Number of times the timeline was joined anew; a change tells that arrival times cannot be compared. */
  joins = 0;

  /** A new connection: whatever comes next is set behind what was there. */
  restart() {
    this.#tracks = { video: null, audio: null };
  }

  /**
   * @param {'video'|'audio'} name
   * @param {number} timestamp of the tag, unsigned 32-bit ms
   * @param {number} step ms between the end of the timeline and what is joined to it
   * @param {number} wall now, ms
   * @returns {number} decode time, ms
   */
  map(name, timestamp, step, wall) {
    const own = this.#tracks[name];
    const other = this.#tracks[name === 'video' ? 'audio' : 'video'];
    const next = (own && continues(own, follow(own, timestamp), wall))
      ?? (other && joinsOther(own, follow(other, timestamp), other, wall))
      ?? this.#join(name, timestamp, step);
    this.#tracks[name] = { ...next, wall };
    this.#edge = Math.max(this.#edge, next.out);
    this.#ends[name] = next.out;
    return next.out;
  }

  /** Behind the track's own end, so that no hole is left in it, unless the other one is far ahead. */
  #join(name, timestamp, step) {
    const end = this.#ends[name];
    const last = end !== null && this.#edge - end < OVERLAP ? end : this.#edge;
    const out = this.joins === 0 ? BASE : last + step;
    this.joins++;
    return { raw: timestamp, out, offset: out - timestamp };
  }
}

function follow(track, timestamp) {
  const raw = track.raw + ((timestamp - track.raw) | 0);
  return { raw, out: raw + track.offset, offset: track.offset };
}

function continues(track, next, wall) {
  const delta = next.out - track.out;
  if (delta < -BACKWARD) return null;
  if (delta > FORWARD && delta > wall - track.wall + GAP_SLACK) return null;
  return next;
}

function joinsOther(own, next, other, wall) {
  if (own) return continues(own, next, wall);
  return Math.abs(next.out - other.out) <= FIRST_SKEW ? next : null;
}
