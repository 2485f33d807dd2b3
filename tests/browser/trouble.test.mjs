// What our element says when it cannot play.

import assert from 'node:assert/strict';

import { scene } from './support/stage.mjs';

scene('the hub goes away and comes back on its port', async (stage) => {
  const hub = await stage.hub({ demo: true });
  const page = await stage.openHome(hub, '/demo/clock');
  await page.until('plays', ({ state, time }) => state === 'playing' && time > 0);
  await page.playsOn(2);
  await hub.kill();
  const gone = await page.until('says that the hub is gone', ({ message }) => message.includes('does not answer'));
  assert.ok(gone.message.startsWith(`The hub ${hub.address} does not answer.`), gone.message);
  assert.equal(gone.state, 'retrying');
  await page.page.locator('#hub-state', { hasText: 'The hub does not answer' }).waitFor();
  await page.screenshot('hub-gone');
  await hub.restart();
  const back = await page.until('plays again by itself', ({ state }) => state === 'playing');
  assert.ok(back.reconnects >= 1, JSON.stringify(back));
  assert.equal(back.message, '');
  await page.playsOn();
  await page.isSamePage();
});

scene('H.265 where the browser has no decoder for it', async (stage) => {
  const hub = await stage.hub();
  stage.push(hub, '/room/new', { video: 'h265' });
  await hub.live('/room/new');
  const page = await stage.openForeign('embedded', hub, hub.flv('ws', '/room/new'));
  const can = await page.page.evaluate(() => MediaSource.isTypeSupported('video/mp4; codecs="hvc1.1.6.L63.B0"'));
  if (can) {
    stage.note('this browser plays H.265');
    await page.playsWell();
    return;
  }
  const { message } = await page.until('says so', ({ state }) => state === 'error');
  assert.match(message, /cannot play H\.265/);
  stage.note(message);
  await page.screenshot('h265');
  await page.isClean();
});

scene('a path that is not live', async (stage) => {
  const hub = await stage.hub();
  const page = await stage.openHome(hub, '/no/such');
  const { message } = await page.until('says so', ({ state }) => state === 'retrying');
  assert.ok(message.startsWith('The stream /no/such is not live (404).'), message);
  await page.screenshot('not-live');
  stage.push(hub, '/no/such');
  await page.until('plays once it is', ({ state, time }) => state === 'playing' && time > 0);
  await page.isSamePage();
});
