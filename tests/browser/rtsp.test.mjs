// Our element over RTSP in websockets: alone and in WSP.

import assert from 'node:assert/strict';

import { figures, scene } from './support/stage.mjs';

for (const transport of ['rtsp', 'wsp']) {
  scene(`our page plays H.264 and AAC by ${transport}`, async (stage) => {
    const hub = await stage.hub({ demo: true });
    const page = await stage.openHome(hub, '/demo/clock');
    await page.page.locator('#way').selectOption(transport);
    await page.until('plays', ({ state }) => state === 'playing');
    const seen = await page.playsWell();
    stage.note(figures(seen));
    const { cs } = await hub.stream('/demo/clock');
    assert.deepEqual(cs.map(({ packet_type: type, extra }) => [type, extra]), [['RTP', transport === 'wsp' ? 'wsp' : 'net=rtsp-tcp']]);
    const { hasSound, codecs } = await page.page.evaluate(() => {
      const player = document.querySelector('ipchub-player');
      const { videoCodec, audioCodec } = player.stats;
      return { hasSound: player.video.webkitAudioDecodedByteCount > 0, codecs: [videoCodec, audioCodec] };
    });
    assert.ok(hasSound, 'sound is decoded');
    assert.match(codecs.join(), /^H\.264 \(avc1\..*\),AAC \(mp4a\.40\.2\)$/);
    await page.screenshot(`home-${transport}`);
  });

  scene(`${transport}: parameter sets and B-frames of a camera, a takeover, its end and its return`, async (stage) => {
    const hub = await stage.hub({});
    const first = stage.push(hub, '/room/door', { video: 'h264b', size: '640x360' });
    await hub.live('/room/door');
    const page = await stage.openHome(hub, '/room/door');
    await page.page.locator('#way').selectOption(transport);
    await page.until('plays', ({ state, width }) => state === 'playing' && width === 640);
    await page.playsWell();
    await first.kill();
    stage.push(hub, '/room/door', { size: '320x240' });
    await page.until('plays the next publisher', ({ state, width }) => state === 'playing' && width === 320);
    await page.playsOn();
  });

  scene(`${transport}: a path that is not live is said in words, and plays when it comes`, async (stage) => {
    const hub = await stage.hub({});
    const page = await stage.openHome(hub, '/room/none');
    await page.page.locator('#way').selectOption(transport);
    await page.until('says why', ({ message }) => /\/room\/none is not live/.test(message));
    stage.push(hub, '/room/none', { size: '320x240' });
    await page.until('plays', ({ state, width }) => state === 'playing' && width === 320);
  });
}
