// The console: what can be done without a login, routes and users, hundreds of sources, and how it is for keyboards and readers.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

import { scene } from './support/stage.mjs';
import { until } from './support/wait.mjs';

const CLIP = fileURLToPath(new URL('../../demo/clock.flv', import.meta.url));
const SECRET = 'p@ss/word%';

/** GET, as the default user. */
async function ask(hub, path) {
  const { access_token: token } = await hub.tokens();
  const response = await fetch(hub.url('http', `/api/v1/${path}`), { headers: { Authorization: `Bearer ${token}` } });
  return response.ok ? response.json() : null;
}

/** Controls without a name that a reader could say, in the page and in the player. */
const nameless = (page) => page.page.evaluate(() => {
  const all = (root) => [...root.querySelectorAll('a, button, input, select, summary')];
  const player = document.querySelector('ipchub-player');
  const name = (one) => one.getAttribute('aria-label') || one.textContent.trim() || one.title || [...(one.labels ?? [])].map((l) => l.textContent).join('').trim();
  return [...all(document), ...all(player.shadowRoot)].filter((one) => !name(one)).map((one) => one.outerHTML.slice(0, 120));
});

const focused = (page) => page.page.evaluate(() => {
  const inner = (root) => (root.activeElement?.shadowRoot ? inner(root.activeElement.shadowRoot) : root.activeElement);
  const one = inner(document);
  return one.getAttribute('aria-label') || one.name || one.textContent.trim();
});

const overflow = (page) => page.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

scene('without a login a path is played where the hub asks for none', async (stage) => {
  const hub = await stage.hub({ demo: true });
  await hub.live('/demo/clock');
  const page = await stage.openHome(hub, '', { anonymous: true });
  const go = page.page.locator('#go [name=path]');
  await page.page.locator('#welcome').waitFor();
  await page.screenshot('console-anonymous-1440x900');
  await go.fill('demo/Clock');
  await go.press('Enter');
  await page.until('plays', ({ state, time }) => state === 'playing' && time > 0);
  assert.equal(await page.page.evaluate(() => location.hash), '#/demo/clock');
  assert.ok(await page.page.locator('#login-form').isVisible(), 'the list still needs a login');
  assert.equal(await page.page.locator('#views').isVisible(), false);
  await page.playsOn();
  await page.isClean();
});

scene('where the hub asks for rights, a path needs a login', async (stage) => {
  const hub = await stage.hub({ demo: true, env: { IPCHUB_AUTH: 'true' } });
  const page = await stage.openHome(hub, '/demo/clock', { anonymous: true });
  const { message } = await page.until('says so', ({ state }) => state === 'error');
  assert.match(message, /needs a login \(401\)/);
  await page.page.locator('#login-form [name=username]').fill('admin');
  await page.page.locator('#login-form [name=password]').fill('admin');
  await page.page.locator('#login-form [name=password]').press('Enter');
  await page.until('plays', ({ state, time }) => state === 'playing' && time > 0);
  await page.page.locator('#logout').click();
  await page.until('plays no longer', ({ state }) => state === 'error');
});

scene('routes are added, changed and deleted', async (stage) => {
  const hub = await stage.hub();
  const page = await stage.openHome(hub, '');
  await page.page.locator('#views a', { hasText: 'Routes' }).click();
  const main = page.page.locator('#routes');
  const field = (name) => main.locator(`[name=${name}]`);
  const row = (path) => main.locator('tbody tr', { has: page.page.locator('th', { hasText: path }) });
  await field('pattern').fill('/room/door');
  await field('url').fill('nonsense');
  await field('pattern').press('Enter');
  const problem = main.locator('.record .error');
  await problem.filter({ hasText: /parameter url/ }).waitFor();
  stage.note(await problem.textContent());

  await field('url').fill('rtsp://127.0.0.1:1/main?channel=1');
  await field('user').fill('view:er');
  await field('password').fill(SECRET);
  await field('password').press('Enter');
  await row('/room/door').waitFor();
  const kept = 'rtsp://view%3Aer:p%40ss%2Fword%25@127.0.0.1:1/main?channel=1';
  assert.equal((await ask(hub, 'routes/room/door')).url, kept);

  await row('/room/door').locator('button', { hasText: 'Change' }).click();
  assert.equal(await field('url').inputValue(), 'rtsp://127.0.0.1:1/main?channel=1');
  assert.equal(await field('password').inputValue(), '');
  await field('keepalive').check();
  await field('url').press('Enter');
  await row('/room/door').locator('td', { hasText: 'always' }).waitFor();
  const { url, keepalive } = await ask(hub, 'routes/room/door');
  assert.deepEqual([url, keepalive], [kept, true], 'the password that was not written is kept');
  await row('/room/door').locator('td', { hasText: /waiting: / }).waitFor();
  const text = await page.page.evaluate(() => document.documentElement.outerHTML);
  assert.ok(!text.includes(SECRET) && !text.includes('p%40ss'), 'the password is never on the page');

  await field('pattern').fill('/sign/clock');
  await field('url').fill(`file://${CLIP}`);
  await field('url').press('Enter');
  await row('/sign/clock').waitFor();
  await page.screenshot('console-routes-1440x900');
  await page.page.setViewportSize({ width: 390, height: 844 });
  assert.ok(await overflow(page) <= 0, 'the page is too wide for a phone');
  await page.screenshot('console-routes-390x844');
  await row('/room/door').locator('button', { hasText: 'Delete' }).click();
  assert.ok(await ask(hub, 'routes/room/door'), 'it asks first');
  await row('/room/door').locator('button', { hasText: 'Really delete?' }).press('Enter');
  await row('/room/door').waitFor({ state: 'detached' });
  assert.equal(await ask(hub, 'routes/room/door'), null);
  assert.deepEqual(await nameless(page), []);

  await page.page.evaluate(() => { location.hash = '#/sign/clock'; });
  await page.until('plays', ({ state, width, time }) => state === 'playing' && width === 640 && time > 0);
  assert.deepEqual(await page.page.evaluate(() => globalThis.violations), []);
});

scene('users are added, changed and deleted', async (stage) => {
  const hub = await stage.hub({ demo: true });
  const page = await stage.openHome(hub, '');
  await page.page.locator('#views a', { hasText: 'Users' }).click();
  const main = page.page.locator('#users');
  const field = (name) => main.locator(`[name=${name}]`);
  const row = (name) => main.locator('tbody tr', { has: page.page.locator('th', { hasText: name }) });
  await row('admin').waitFor();
  await field('name').fill('Bob');
  await field('password').fill(SECRET);
  await field('pull').fill('/demo/*');
  await field('pull').press('Enter');
  await row('bob').waitFor();
  await row('bob').locator('button', { hasText: 'Change' }).click();
  assert.equal(await field('password').inputValue(), '');
  await field('push').fill('/live/+');
  await field('push').press('Enter');
  await row('bob').locator('td', { hasText: '/live/+' }).waitFor();
  const { name, admin, push, pull } = await ask(hub, 'users/bob');
  assert.deepEqual({ name, admin, push, pull }, { name: 'bob', admin: false, push: '/live/+', pull: '/demo/*' });
  await page.screenshot('console-users-1440x900');
  assert.ok(!(await page.page.evaluate(() => document.documentElement.outerHTML)).includes(SECRET));

  const other = await stage.openHome(hub, '', { anonymous: true });
  await other.page.locator('#login-form [name=username]').fill('bob');
  await other.page.locator('#login-form [name=password]').fill(SECRET);
  await other.page.locator('#login-form [name=password]').press('Enter');
  await other.page.locator('#sources a', { hasText: '/demo/clock' }).waitFor();
  assert.equal(await other.page.locator('#views').isVisible(), false, 'who is no administrator sees no routes and users');

  const twice = async (user) => {
    await row(user).locator('button.delete').click();
    await row(user).locator('button.sure').click();
  };
  await twice('admin');
  await main.locator('> .error', { hasText: /admin/ }).waitFor();
  stage.note(await main.locator('> .error').textContent());
  await twice('bob');
  await row('bob').waitFor({ state: 'detached' });
  await other.page.locator('#login-form').waitFor();
  assert.equal(await ask(hub, 'users/bob'), null);
});

scene('hundreds of sources can be found', async (stage) => {
  const hub = await stage.hub({ demo: true });
  const { cs, ...one } = await hub.live('/demo/clock');
  const page = await stage.openHome(hub, '/none');
  const streams = Array.from({ length: 640 }, (_, n) => ({ ...one, path: `/hall/${n}`, video: { ...one.video, datarate: 0 } }));
  let asked = 0;
  await page.page.route('**/api/v1/streams?*', (route) => {
    asked++;
    return route.fulfill({ json: { total: streams.length, next_page_token: '', streams } });
  });
  await page.page.evaluate(() => { location.hash = ''; });
  const rows = page.page.locator('#sources .source');
  await until('a part of them is listed', async () => await rows.count() === 100);
  assert.equal(await rows.nth(2).locator('.path').textContent(), '/hall/2', 'in the order of numbers');
  await page.page.locator('#sources-more', { hasText: 'Show more of 640' }).click();
  assert.equal(await rows.count(), 200);
  await page.screenshot('console-640-1440x900');
  await page.page.locator('#filter').fill('hall/63');
  await until('the found ones are listed', async () => await rows.count() === 11);
  assert.equal(await page.page.locator('#sources-more').isVisible(), false);
  await page.page.locator('#filter').fill('nowhere');
  await page.page.locator('#sources-note', { hasText: 'No source has this in its path' }).waitFor();
  stage.note(`${asked} answers of 640 sources`);
  assert.ok(asked <= 2, 'long lists are asked for seldom');
});

scene('keyboards and readers', async (stage) => {
  const hub = await stage.hub({ demo: true });
  const page = await stage.openHome(hub, '/demo/clock');
  await page.until('plays', ({ state, time }) => state === 'playing' && time > 0);
  await page.page.locator('#sources a').first().waitFor();
  assert.deepEqual(await nameless(page), []);
  const order = [];
  for (let n = 0; n < 24; n++) {
    await page.page.keyboard.press('Tab');
    order.push(await focused(page));
  }
  stage.note(order.join(' | '));
  assert.equal(order[0], 'Skip to the player');
  for (const control of ['Routes', 'Log out', 'Pause', 'Turn the sound on', 'Full screen', 'Copy: HLS']) assert.ok(order.includes(control), control);
  await page.page.locator('#stage').focus();
  await page.page.keyboard.press('Tab');
  assert.equal(await focused(page), 'Pause');
  await page.page.keyboard.press('Enter');
  await page.until('pauses', ({ state }) => state === 'paused');
  assert.equal(await page.page.evaluate(() => document.querySelector('ipchub-player').shadowRoot.querySelector('[role=status]').textContent), 'Paused');
  await page.page.keyboard.press('Enter');
  await page.until('plays on', ({ state }) => state === 'playing');
  await page.isClean();
});
