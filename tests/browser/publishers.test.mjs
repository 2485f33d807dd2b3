// What our element does when publishers change, come back and go.

import assert from 'node:assert/strict';

import { figures, scene } from './support/stage.mjs';
import { SOON, until } from './support/wait.mjs';

const GRACE = 8;
const PATH = '/room/door';

scene('a takeover with another size, a restart and the end of the publisher', async (stage) => {
  const hub = await stage.hub({ env: { IPCHUB_TIMEOUTS_PUBLISHER_GRACE: GRACE } });
  const first = stage.push(hub, PATH, { size: '640x360' });
  await hub.live(PATH);
  const page = await stage.openForeign('embedded', hub, hub.flv('ws', PATH));
  await page.until('plays 640x360', ({ state, width, time }) => state === 'playing' && width === 640 && time > 0);
  await page.playsOn();

  const second = stage.push(hub, PATH, { size: '320x240' });
  await page.until('shows 320x240', ({ width, height }) => width === 320 && height === 240);
  await page.playsOn();
  await until('the first publisher has been closed', () => !first.isRunning);

  await second.kill();
  await page.until('has played what it had', ({ ahead, state }) => ahead < 0.2 && state === 'buffering');
  const third = stage.push(hub, PATH, { size: '320x240' });
  await page.playsOn();
  const played = await page.look();
  assert.deepEqual({ state: played.state, reconnects: played.reconnects }, { state: 'playing', reconnects: 0 });
  await page.isClean();

  await third.kill();
  const killed = performance.now();
  const { message } = await page.until('says that it is over', ({ state }) => state === 'retrying', GRACE * 1000 + SOON);
  const waited = (performance.now() - killed) / 1000;
  stage.note(`${waited.toFixed(1)} s after the publisher's end, with a grace of ${GRACE} s: "${message}"`);
  assert.match(message, /has ended|is not live/);
  assert.ok(waited > GRACE - 1, `viewers wait for the publisher: ${waited} s`);
  await page.until('says that it is not live', (seen) => /not live \(404\)/.test(seen.message));
  await page.isSamePage();

  stage.push(hub, PATH, { size: '640x360' });
  await page.until('plays again by itself', ({ state, width }) => state === 'playing' && width === 640);
  await page.playsOn();
  await page.isSamePage();
});

scene('the publisher comes back within the grace with another size', async (stage) => {
  const hub = await stage.hub({ env: { IPCHUB_TIMEOUTS_PUBLISHER_GRACE: GRACE } });
  const first = stage.push(hub, PATH, { size: '320x240', audio: false });
  await hub.live(PATH);
  const page = await stage.openForeign('embedded', hub, hub.flv('ws', PATH));
  await page.until('plays 320x240', ({ state, width, time }) => state === 'playing' && width === 320 && time > 0);
  await first.kill();
  stage.push(hub, PATH, { size: '640x360', audio: true });
  await page.until('plays 640x360', ({ state, width }) => state === 'playing' && width === 640);
  const { reconnects } = await page.playsOn();
  assert.equal(reconnects, 0);
  await page.isClean();
});

scene('video only and audio only', async (stage) => {
  const hub = await stage.hub();
  stage.push(hub, '/only/video', { audio: false });
  stage.push(hub, '/only/audio', { video: null });
  await Promise.all([hub.live('/only/video'), hub.live('/only/audio')]);
  const video = await stage.openForeign('embedded', hub, hub.flv('ws', '/only/video'));
  const audio = await stage.openForeign('embedded', hub, hub.flv('ws', '/only/audio'));
  const [seen, heard] = await Promise.all([video.playsWell(), audio.playsWell({ video: false })]);
  stage.note(`video only: ${figures(seen)}`);
  stage.note(`audio only: ${figures(heard)}`);
  await audio.screenshot('audio-only');
});

scene('an announced picture that comes late: sound alone, then both', async (stage) => {
  const hub = await stage.hub();
  await stage.pushLate(hub, '/late/picture', 15_000);
  await until('it is live', () => hub.stream('/late/picture'));
  const page = await stage.openForeign('embedded', hub, hub.flv('ws', '/late/picture'));
  const heard = await page.until('plays the sound', ({ state, time }) => state === 'playing' && time > 1);
  assert.equal(heard.width, 0, 'there is no picture yet');
  await page.until('shows the picture', ({ state, width }) => state === 'playing' && width === 640);
  const { reconnects } = await page.playsOn();
  assert.equal(reconnects, 0);
  await page.playsWell();
});
