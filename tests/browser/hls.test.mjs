// hls.js with low latency on, and our element where the browser plays HLS itself.

import assert from 'node:assert/strict';

import { figures, scene } from './support/stage.mjs';

const PATH = '/room/door';
/** A live stream shows its first picture so soon, in ms; the machine may be busy, so the best of some tries counts. */
const FIRST_PICTURE = 1000;
const TRIES = 4;
/** Seconds from what the hub was sent to what is shown. */
const DELAY = 2;

/** `playingDate` is the hub's wall clock when the frame came in; page and hub share the machine's. */
const delay = (page) => page.page.evaluate(() => (Date.now() - globalThis.hls.playingDate?.getTime()) / 1000);

async function firstPicture(stage, hub, path) {
  const shown = [];
  for (let n = 0; n < TRIES; n++) {
    const page = await stage.openForeign('hlsjs', hub, hub.hls(path));
    await page.until('a picture', ({ frames, time }) => frames > 0 && time > 0);
    shown.push(Math.round(await page.page.evaluate(() => globalThis.shown)));
    if (shown.at(-1) < FIRST_PICTURE) break;
    await page.page.context().close();
  }
  stage.note(`first picture after ${shown.join(', ')} ms`);
  assert.ok(shown.at(-1) < FIRST_PICTURE, `first picture after ${shown} ms`);
}

scene('hls.js plays for 30 s with little delay and no stall', async (stage) => {
  const hub = await stage.hub();
  stage.push(hub, PATH, { size: '640x360' });
  await hub.live(PATH);
  const page = await stage.openForeign('hlsjs', hub, hub.hls(PATH));
  await page.until('plays', ({ time, ahead }) => time > 0 && ahead > 0);
  await page.playsOn(2);
  const delays = [];
  for (let window = 0; window < 3; window++) {
    const seen = await page.playsWell({ ahead: 3 });
    delays.push(await delay(page));
    stage.note(`${figures(seen)}, delay ${delays.at(-1).toFixed(2)} s`);
  }
  assert.ok(Math.max(...delays) < DELAY, `delay: ${delays} s`);
  assert.deepEqual(await page.page.evaluate(() => globalThis.trouble), []);
  assert.equal(await page.page.evaluate(() => globalThis.hls.latestLevelDetails.canBlockReload), true);
  const { cs } = await hub.stream(PATH);
  assert.deepEqual(cs.map(({ packet_type: type }) => type), ['HLS']);
  assert.ok(cs[0].flow.outbytes > 100, JSON.stringify(cs));
});

scene('hls.js plays MPEG-TS', async (stage) => {
  const hub = await stage.hub();
  stage.push(hub, PATH, { size: '640x360' });
  await hub.live(PATH);
  const open = async () => {
    const page = await stage.openForeign('hlsjs', hub, `${hub.hls(PATH)}?type=ts`);
    await page.until('plays', ({ time, ahead, width }) => time > 0 && ahead > 0 && width === 640);
    await page.playsOn(10);
    return page.page.evaluate(() => globalThis.trouble);
  };
  // The first of all begins with the little that there is, in the middle of a GOP, and then waits for whole segments.
  const atFirst = ['bufferStalledError', 'bufferSeekOverHole'];
  assert.deepEqual((await open()).filter((trouble) => !atFirst.includes(trouble)), []);
  assert.deepEqual(await open(), []);
});

scene('hls.js plays AV1', async (stage) => {
  const hub = await stage.hub();
  await stage.pushAv1(hub, PATH);
  await hub.live(PATH);
  const page = await stage.openForeign('hlsjs', hub, hub.hls(PATH));
  await page.until('plays', ({ time, ahead, width }) => time > 0 && ahead > 0 && width === 320);
  await page.playsOn(5);
  assert.deepEqual(await page.page.evaluate(() => globalThis.trouble), []);
});

scene('hls.js shows the first picture of a live stream within a second', async (stage) => {
  const hub = await stage.hub();
  stage.push(hub, PATH, { size: '640x360' });
  await hub.live(PATH);
  await firstPicture(stage, hub, PATH);
});

scene('hls.js plays on through another publisher', async (stage) => {
  const hub = await stage.hub();
  const first = stage.push(hub, PATH, { size: '640x360' });
  await hub.live(PATH);
  const page = await stage.openForeign('hlsjs', hub, hub.hls(PATH));
  await page.until('plays 640x360', ({ width, time }) => width === 640 && time > 0);
  await page.playsOn();
  await first.kill();
  stage.push(hub, PATH, { size: '320x240' });
  await page.until('shows 320x240', ({ width, height }) => width === 320 && height === 240);
  await page.playsOn();
  await page.isSamePage();
});
