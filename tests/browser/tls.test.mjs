// Pages under TLS: our own with wss, and more players by http-flv than a browser opens connections to one host.

import assert from 'node:assert/strict';

import { figures, scene } from './support/stage.mjs';
import { SOON, until } from './support/wait.mjs';

/** Six HTTP/1.1 connections to a host are the limit of Chromium, Firefox and Safari. */
const PLAYERS = 8;

scene('our page plays over https and wss', async (stage) => {
  const hub = await stage.hub({ demo: true, tls: true });
  const page = await stage.openHome(hub, '/demo/clock', { scheme: 'https' });
  stage.note(figures(await page.playsWell()));
  // Without the query, where the token is.
  const protocol = (url) => page.answers.find((answer) => answer.url.split('?')[0] === url)?.protocol;
  assert.equal(protocol(hub.url('https', '/')), 'h2');
  assert.equal(protocol(hub.url('https', '/api/v1/runtime')), 'h2');
  // Websockets are not offered on HTTP/2: the browser opens a connection of their own.
  assert.equal(protocol(hub.flv('wss', '/demo/clock')), 'http/1.1 101');
  assert.match((await hub.stream('/demo/clock')).cs[0].extra, /^net=websocket-flv,/);
});

scene(`${PLAYERS} players by http-flv on one page, over one connection`, async (stage) => {
  const hub = await stage.hub({ demo: true, tls: true });
  const url = hub.flv('https', '/demo/clock');
  const page = await stage.openForeign('wall', hub, url, { count: PLAYERS });
  const from = await until('all play', async () => {
    const times = await page.times();
    return times.length === PLAYERS && times.every((time) => time > 0) ? times : null;
  }, SOON, () => page.times());
  const to = await until('all play on for 3 s', async () => {
    const times = await page.times();
    return times.every((time, n) => time - from[n] >= 3) ? times : null;
  }, SOON, () => page.times());
  stage.note(`from ${from.map((time) => time.toFixed(1))} to ${to.map((time) => time.toFixed(1))} s`);
  const answers = page.answers.filter((answer) => answer.url === url);
  assert.deepEqual(answers.map(({ protocol }) => protocol), Array(PLAYERS).fill('h2'));
  assert.equal(new Set(answers.map(({ connection }) => connection)).size, 1, JSON.stringify(answers));
  const { cc, cs } = await hub.stream('/demo/clock');
  assert.equal(cc, PLAYERS);
  assert.ok(cs.every(({ extra }) => extra.startsWith('net=http-flv,')), JSON.stringify(cs));
  await page.isClean();
});

for (const way of ['rtsp', 'wsp']) {
  scene(`our page plays over wss by ${way}`, async (stage) => {
    const hub = await stage.hub({ demo: true, tls: true });
    const page = await stage.openHome(hub, '/demo/clock', { scheme: 'https' });
    await page.page.locator('#way').selectOption(way);
    await page.until('plays', ({ state }) => state === 'playing');
    stage.note(figures(await page.playsWell()));
    // The one by which it watched first, and its own.
    const opened = page.answers.filter(({ url }) => url?.startsWith('wss:')).map(({ protocol }) => protocol);
    assert.deepEqual(opened, Array(way === 'wsp' ? 3 : 2).fill('http/1.1 101'));
    const { cs } = await hub.stream('/demo/clock');
    assert.deepEqual(cs.map(({ packet_type: type, extra }) => [type, extra]), [['RTP', way === 'wsp' ? 'wsp' : 'net=rtsp-tcp']]);
  });
}
