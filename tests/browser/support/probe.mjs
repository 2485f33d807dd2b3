// Runs in every page: what its player shows at the moment, and what happened to it. Media times are seconds.

export function installProbe() {
  /** Violations of the page's content security policy. */
  globalThis.violations = [];
  document.addEventListener('securitypolicyviolation', (event) => {
    globalThis.violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
  });

  /** `null` before there is a player. */
  globalThis.look = () => {
    const player = document.querySelector('ipchub-player');
    const video = player ? player.video : document.querySelector('video');
    if (!video) return null;
    const { buffered } = video;
    const stats = player?.stats;
    return {
      time: video.currentTime,
      width: video.videoWidth,
      height: video.videoHeight,
      ahead: buffered.length ? buffered.end(buffered.length - 1) - video.currentTime : 0,
      frames: video.getVideoPlaybackQuality().totalVideoFrames,
      error: video.error?.message ?? '',
      state: player?.state ?? '',
      way: player?.way ?? '',
      message: player?.message ?? '',
      delay: stats?.delay ?? null,
      reconnects: stats?.reconnects ?? 0,
    };
  };

  /** Looks every 100 ms for `length` ms. Steps of the playhead beyond its speed (seeks) do not count as advance. */
  globalThis.watch = (length) => new Promise((resolve) => {
    const first = globalThis.look();
    const begin = performance.now();
    const seen = { advance: 0, ahead: 0, delay: 0, widths: [], states: [], errors: [], lateness: 0, frames: 0, seconds: 0 };
    let [last, lastWall] = [first, begin];
    const note = (list, value) => { if (value !== '' && !list.includes(value)) list.push(value); };
    const timer = setInterval(() => {
      const [now, wall] = [globalThis.look(), performance.now()];
      const step = (wall - lastWall) / 1000;
      seen.advance += Math.min(Math.max(0, now.time - last.time), step * 1.3 + 0.1);
      seen.ahead = Math.max(seen.ahead, now.ahead);
      seen.delay = Math.max(seen.delay, now.delay ?? 0);
      seen.lateness = Math.max(seen.lateness, step - 0.1);
      note(seen.widths, now.width);
      note(seen.states, now.state);
      note(seen.errors, now.error);
      [last, lastWall] = [now, wall];
      if (wall - begin < length) return;
      clearInterval(timer);
      resolve({ ...seen, frames: last.frames - first.frames, seconds: (wall - begin) / 1000 });
    }, 100);
  });
}
