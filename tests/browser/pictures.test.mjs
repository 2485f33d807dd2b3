// The pictures in the list of sources: the last key frame of each, decoded by the browser, of the rows that are seen.

import assert from 'node:assert/strict';

import { scene } from './support/stage.mjs';
import { until } from './support/wait.mjs';

/** Many encoders on a busy machine. */
const PATIENT = 60_000;

/** What the list shows: for each path whether there is a picture, its size, and how bright it is from its darkest to its brightest. */
const rows = (page) => page.page.evaluate(() => Object.fromEntries(Array.from(document.querySelectorAll('#sources .source'), (row) => {
  const canvas = row.querySelector('canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const green = data.filter((_, n) => n % 4 === 1);
  const shows = !canvas.classList.contains('none');
  return [row.querySelector('.path').textContent, { shows, size: `${canvas.width}x${canvas.height}`, range: Math.max(...green) - Math.min(...green) }];
})));

const asked = (page) => page.answers.map(({ url }) => new URL(url)).filter(({ search }) => search.includes('snapshot'))
  .map(({ pathname }) => pathname);

scene('the list shows a picture of each source, and a mark where there is none', async (stage) => {
  const hub = await stage.hub({ demo: true });
  stage.push(hub, '/room/door', { size: '320x240', audio: false });
  stage.push(hub, '/room/new', { video: 'h265' });
  stage.push(hub, '/room/radio', { video: null });
  await Promise.all(['/room/door', '/room/new', '/room/radio', '/demo/clock'].map((path) => hub.live(path)));
  const page = await stage.openHome(hub, '');
  await page.page.locator('#sources .source').nth(3).waitFor();
  const plays265 = await page.page.evaluate(() => document.createElement('video').canPlayType('video/mp4; codecs="hvc1.1.6.L63.B0"') !== '');
  const seen = await until('pictures', async () => {
    const found = await rows(page);
    return found['/demo/clock'].shows && found['/room/door'].shows && asked(page).includes('/streams/room/new.mp4') ? found : null;
  });
  assert.equal(seen['/demo/clock'].size, '160x90');
  assert.equal(seen['/room/door'].size, '160x120');
  assert.ok(seen['/room/door'].range > 100 && seen['/demo/clock'].range > 60, `there is something on them: ${JSON.stringify(seen)}`);
  if (!plays265) assert.equal(seen['/room/new'].shows, false, 'this browser decodes no H.265');
  assert.equal(seen['/room/radio'].shows, false);
  assert.ok(!asked(page).includes('/streams/room/radio.mp4'), 'who has no picture is not asked for one');
  for (const path of ['/demo/clock', '/room/door']) assert.equal((await hub.stream(path)).cc, 0, 'nobody watches');
  await page.screenshot('pictures-1440x900');
  await page.isClean();
});

scene('only rows that are seen are asked for', async (stage) => {
  const hub = await stage.hub({ demo: true });
  const count = 8;
  const paths = Array.from({ length: count }, (_, n) => `/hall/${String(n).padStart(2, '0')}`);
  for (const path of paths) stage.push(hub, path, { size: '160x120', audio: false });
  await Promise.all(paths.map((path) => hub.live(path)));
  const page = await stage.openHome(hub, '', { width: 1000, height: 240 });
  await page.page.locator('#sources .source').nth(count).waitFor();
  await until('the first rows have pictures', async () => Object.values(await rows(page)).filter(({ shows }) => shows).length >= 2, PATIENT);
  const first = new Set(asked(page));
  stage.note(`${first.size} of ${count + 1} pictures were asked for`);
  assert.ok(!first.has(`/streams${paths.at(-1)}.mp4`), [...first].join());
  await page.page.locator('#sources .source', { hasText: paths.at(-1) }).scrollIntoViewIfNeeded();
  await until('the last row has one', async () => (await rows(page))[paths.at(-1)].shows, PATIENT);
  await page.isClean();
});
