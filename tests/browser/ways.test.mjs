// Which way our element takes: by what the browser can, and by what the hub has of the stream. Browsers that lack something are
// this one without it.

import assert from 'node:assert/strict';

import { figures, scene } from './support/stage.mjs';

const PATH = '/room/door';

const way = (page) => page.page.evaluate(() => document.querySelector('ipchub-player').way);

async function types(hub, path) { return (await hub.stream(path)).cs.map(({ packet_type: type }) => type); }

/** As on iPhones: it is called otherwise, and wants the video not to be played elsewhere. */
function likeAnIPhone() {
  const { MediaSource } = globalThis;
  globalThis.ManagedMediaSource = class extends MediaSource {};
  delete globalThis.MediaSource;
}

/** As old iPhones, where only the browser's own player plays live streams. */
function withoutMse() {
  delete globalThis.MediaSource;
  delete ShadowRoot.prototype.adoptedStyleSheets;
}

/** Its pieces of media may be of anything but H.264, which only the browser's own player takes. */
function withoutH264InMse() {
  const { isTypeSupported } = MediaSource;
  MediaSource.isTypeSupported = (type) => !type.includes('avc1') && isTypeSupported.call(MediaSource, type);
}

function withoutHls() {
  HTMLMediaElement.prototype.canPlayType = () => '';
}

scene('FLV over a websocket where the browser plays it', async (stage) => {
  const hub = await stage.hub({ demo: true });
  const page = await stage.openForeign('embedded', hub, hub.flv('ws', '/demo/clock'));
  await page.playsOn();
  assert.deepEqual([await way(page), await types(hub, '/demo/clock')], ['flv', ['FLV']]);
});

scene('MP4 over a websocket, by the address', async (stage) => {
  const hub = await stage.hub();
  stage.push(hub, PATH, { video: 'h264b' });
  await hub.live(PATH);
  const page = await stage.openForeign('embedded', hub, hub.url('ws', `/streams${PATH}.mp4`));
  const seen = await page.playsWell();
  stage.note(figures(seen));
  assert.deepEqual([await way(page), await types(hub, PATH)], ['mp4', ['FMP4']]);
  const heard = await page.page.evaluate(() => document.querySelector('ipchub-player').video.webkitAudioDecodedByteCount);
  assert.ok(heard > 0, 'sound is decoded');
});

scene('Opus makes it MP4 over a websocket', async (stage) => {
  const hub = await stage.hub();
  stage.push(hub, PATH, { audio: 'opus' });
  await hub.live(PATH);
  const page = await stage.openForeign('embedded', hub, hub.flv('ws', PATH));
  await page.until('goes by MP4', ({ way: now }) => now === 'mp4');
  const seen = await page.playsWell();
  stage.note(figures(seen));
  const { bytes, codec } = await page.page.evaluate(() => {
    const player = document.querySelector('ipchub-player');
    return { bytes: player.video.webkitAudioDecodedByteCount, codec: player.stats.audioCodec };
  });
  assert.ok(bytes > 0 && codec === 'Opus (opus)', `sound is decoded: ${codec}`);
  assert.deepEqual(await types(hub, PATH), ['FMP4']);
});

scene('AV1 makes it MP4 over a websocket', async (stage) => {
  const hub = await stage.hub();
  await stage.pushAv1(hub, PATH);
  await hub.live(PATH);
  const page = await stage.openForeign('embedded', hub, hub.flv('ws', PATH));
  await page.until('goes by MP4', ({ way: now }) => now === 'mp4');
  // The browser itself notes that there is no FLV.
  await page.until('plays', ({ state, width, time }) => state === 'playing' && width === 320 && time > 0);
  await page.playsOn(5);
  const { videoCodec } = await page.page.evaluate(() => document.querySelector('ipchub-player').stats);
  assert.equal(videoCodec, 'AV1 (av01.0.00M.08)');
  assert.deepEqual(await types(hub, PATH), ['FMP4']);
});

scene('sound alone that FLV cannot carry, and then another publisher with a picture', async (stage) => {
  const hub = await stage.hub();
  const first = stage.push(hub, PATH, { video: null, audio: 'opus' });
  await hub.live(PATH);
  const page = await stage.openForeign('embedded', hub, hub.flv('ws', PATH));
  await page.until('plays', ({ state, time }) => state === 'playing' && time > 0);
  await page.playsOn();
  assert.equal(await way(page), 'mp4');
  await first.kill();
  stage.push(hub, PATH, { size: '320x240' });
  await page.until('shows the picture', ({ state, width }) => state === 'playing' && width === 320);
  await page.playsOn();
  await page.isSamePage();
});

scene('what no browser plays is told in words', async (stage) => {
  const hub = await stage.hub();
  stage.push(hub, PATH, { video: null, audio: 'pcma' });
  await hub.live(PATH);
  const page = await stage.openForeign('embedded', hub, hub.flv('ws', PATH));
  const { message } = await page.until('says so', ({ message: text }) => text.includes('cannot be sent'));
  stage.note(message);
  assert.match(message, /\/room\/door cannot be sent as FLV: PCMA is not played by browsers/);
});

scene('ManagedMediaSource is as good as MediaSource', async (stage) => {
  const hub = await stage.hub({ demo: true });
  const page = await stage.openForeign('embedded', hub, hub.flv('ws', '/demo/clock'), { before: likeAnIPhone });
  const seen = await page.playsWell();
  stage.note(figures(seen));
  assert.deepEqual([await way(page), await types(hub, '/demo/clock')], ['flv', ['FLV']]);
  assert.equal(await page.page.evaluate(() => document.querySelector('ipchub-player').video.disableRemotePlayback), true);
});

for (const [name, before] of [['without Media Source Extensions', withoutMse], ['where MSE lacks the codec', withoutH264InMse]]) {
  scene(`HLS of the browser ${name}`, async (stage) => {
    const hub = await stage.hub();
    stage.push(hub, PATH, { size: '320x240' });
    await hub.live(PATH);
    const page = await stage.openForeign('embedded', hub, hub.flv('ws', PATH), { before });
    const plays = await page.page.evaluate(() => document.createElement('video').canPlayType('application/vnd.apple.mpegurl'));
    if (!plays) {
      // Then the choice is all that can be seen.
      stage.note('this browser plays no HLS by itself');
      await page.until('says so', ({ state }) => state === 'error');
      return;
    }
    await page.until('plays', ({ state, width, time }) => state === 'playing' && width === 320 && time > 0);
    await page.playsOn(5);
    assert.equal(await way(page), 'hls');
    assert.deepEqual([...new Set(await types(hub, PATH))], ['HLS']);
    const asked = await page.page.evaluate(() => document.querySelector('ipchub-player').video.src);
    assert.equal(asked, hub.hls(PATH));
    assert.equal(await page.page.evaluate(() => getComputedStyle(document.querySelector('ipchub-player').video).position), 'absolute', 'styled');
    await page.page.locator('ipchub-player').evaluate((player) => player.pause());
    await page.until('pauses', ({ state }) => state === 'paused');
    await page.page.locator('ipchub-player').evaluate((player) => player.play());
    await page.until('goes on', ({ state, time }) => state === 'playing' && time > 0);
    await page.isClean();
  });
}

scene('a browser that can neither', async (stage) => {
  const hub = await stage.hub({ demo: true });
  const neither = [withoutMse, withoutHls].map((one) => `(${one})()`).join(';');
  const page = await stage.openForeign('embedded', hub, hub.flv('ws', '/demo/clock'), { before: neither });
  const { message } = await page.until('says so', ({ state }) => state === 'error');
  assert.match(message, /cannot play live streams/);
});

scene('HLS of the browser when the stream is not live, comes, and goes', async (stage) => {
  const hub = await stage.hub({ env: { IPCHUB_TIMEOUTS_PUBLISHER_GRACE: 1 } });
  const page = await stage.openForeign('embedded', hub, hub.hls(PATH), { before: withoutMse });
  await page.until('says so', ({ message }) => message.includes('not live (404)'));
  const publisher = stage.push(hub, PATH, { size: '320x240' });
  await page.until('plays', ({ state, time }) => state === 'playing' && time > 0);
  await publisher.kill();
  const { message } = await page.until('says that it is over', ({ state }) => state === 'retrying', 60_000);
  stage.note(message);
  await page.isSamePage();
});
