// The hub's own page with the built-in clip.

import assert from 'node:assert/strict';

import { figures, scene } from './support/stage.mjs';

scene('our page plays /demo/clock and lists it', async (stage) => {
  const hub = await stage.hub({ demo: true });
  const page = await stage.openHome(hub, '/demo/clock');
  const seen = await page.playsWell();
  stage.note(figures(seen));
  const source = page.page.locator('#sources a', { hasText: '/demo/clock' });
  assert.equal(await source.getAttribute('aria-current'), 'true');
  assert.match(await source.textContent(), /H\.264.*640×360.*AAC/);
  assert.match(await page.page.locator('#subtitle').textContent(), /1 viewer$/);
  await page.screenshot('home-1440x900');
});

scene('our page fits a phone', async (stage) => {
  const hub = await stage.hub({ demo: true });
  const page = await stage.openHome(hub, '/demo/clock', { width: 390, height: 844 });
  await page.until('plays', ({ state, time }) => state === 'playing' && time > 0);
  await page.playsOn();
  await page.page.locator('#sources a canvas:not(.none)').first().waitFor();
  const overflow = await page.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} px too wide`);
  await page.screenshot('home-390x844');
  await page.isClean();
});

scene('a source is chosen in the list, and another path by the address', async (stage) => {
  const hub = await stage.hub({ demo: true });
  stage.push(hub, '/room/door', { size: '320x240', audio: false });
  await hub.live('/room/door');
  const page = await stage.openHome(hub, '');
  await page.page.locator('#sources a', { hasText: '/room/door' }).click();
  await page.until('the door plays', ({ state, width }) => state === 'playing' && width === 320);
  await page.page.evaluate(() => { location.hash = '#/demo/clock'; });
  await page.until('the clock plays', ({ state, width }) => state === 'playing' && width === 640);
  await page.playsOn();
  await page.isClean();
});

scene('nobody sees the sources without a login', async (stage) => {
  const hub = await stage.hub({ demo: true });
  await hub.live('/demo/clock');
  const page = await stage.openHome(hub, '/demo/clock', { anonymous: true });
  const form = page.page.locator('#login-form');
  await form.waitFor();
  assert.equal(await page.page.locator('#sources a').count(), 0);
  await form.locator('[name=username]').fill('Admin');
  await form.locator('[name=password]').fill('wrong');
  await form.locator('[name=password]').press('Enter');
  await page.page.locator('#login-error', { hasText: 'wrong' }).waitFor();
  await form.locator('[name=password]').fill('admin');
  await form.locator('[name=password]').press('Enter');
  await page.page.locator('#sources a', { hasText: '/demo/clock' }).waitFor();
  await page.until('plays', ({ state, time }) => state === 'playing' && time > 0);
  await page.page.locator('#logout').click();
  await form.waitFor();
});
