// A test with its own hub, publishers and pages; it ends them all, and shows what was on them if it failed.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

import { Hub, push } from './hub.mjs';
import { installProbe } from './probe.mjs';
import { Publisher } from './publisher.mjs';
import { Site } from './site.mjs';
import { SOON, until } from './wait.mjs';

const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome'];
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required'];
const OUT = fileURLToPath(new URL('../out/', import.meta.url));

const WINDOW = 10_000;
const WINDOWS = 3;
/** Seconds. A page whose own timers come so late tells how busy the machine is, not how the hub does. */
const STARVED = 0.7;

let browser;
after(() => browser?.close());

function chromiumPath() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const places = process.env.PATH.split(delimiter);
  const found = BROWSERS.flatMap((name) => places.map((place) => join(place, name))).find((path) => existsSync(path));
  assert.ok(found, `none of ${BROWSERS.join(', ')} is in PATH; tests/setup.sh installs one`);
  return found;
}

/** @param {string} name @param {(stage: Stage) => Promise<void>} body */
export function scene(name, body) {
  test(name, { timeout: 240_000 }, async (t) => {
    browser ??= await chromium.launch({ executablePath: chromiumPath(), args: FLAGS, headless: true });
    const stage = new Stage(t);
    try {
      await body(stage);
    } catch (error) {
      await stage.explain().catch((trouble) => t.diagnostic(`no more is known: ${trouble.message}`));
      throw error;
    } finally {
      await stage.end();
    }
  });
}

class Stage {
  #t;
  #hubs = [];
  #programs = [];
  #pages = [];
  #site = null;

  constructor(t) {
    this.#t = t;
  }

  /** A line for the report. */
  note(text) { this.#t.diagnostic(text); }

  async hub(options) {
    const hub = await Hub.start(options);
    this.#hubs.push(hub);
    return hub;
  }

  /** ffmpeg pushes to a path; see `push`. */
  push(hub, path, media) {
    const program = push(hub.url('rtsp', path), media);
    this.#programs.push(program);
    return program;
  }

  /** Pushes a clip whose picture comes so late; see `Publisher`. */
  async pushLate(hub, path, lateMs) {
    const publisher = await Publisher.latePicture(hub.url('rtsp', path), lateMs);
    this.#programs.push(publisher);
    return publisher;
  }

  /** Pushes AV1, 320x176. */
  async pushAv1(hub, path) {
    const publisher = await Publisher.av1(hub.url('rtsp', path));
    this.#programs.push(publisher);
    return publisher;
  }

  /** Opens the hub's own page at a path's hash, logged in unless `anonymous`. */
  async openHome(hub, path, { scheme = 'http', anonymous = false, ...options } = {}) {
    const tokens = anonymous ? null : await hub.tokens();
    return this.#open(hub.url(scheme, `/#${path}`), { ...options, tokens });
  }

  /** Opens a page of another origin; see `Site`. `before`: runs in it first of all. */
  async openForeign(kind, hub, src, { count, ...options } = {}) {
    this.#site ??= await Site.start();
    return this.#open(this.#site.page(kind, hub, src, count), options);
  }

  async #open(url, { width = 1440, height = 900, tokens = null, before = null } = {}) {
    // Under TLS the hub's certificate is its own.
    const context = await browser.newContext({ viewport: { width, height }, ignoreHTTPSErrors: true });
    const page = new Watched(await context.newPage());
    this.#pages.push(page);
    await page.hearAnswers(await context.newCDPSession(page.page));
    await page.page.addInitScript(installProbe);
    if (before) await page.page.addInitScript(before);
    if (tokens) {
      const text = JSON.stringify(tokens);
      await page.page.addInitScript((kept) => { sessionStorage['ipchub.tokens'] ??= kept; }, text);
    }
    await page.page.goto(url);
    await page.page.evaluate(() => { globalThis.loadedOnce = true; });
    return page;
  }

  async explain() {
    for (const hub of this.#hubs) this.note(`log of the hub:\n${hub.log.flat().join('\n')}`);
    for (const { lines } of this.#programs) if (lines?.length) this.note(`ffmpeg:\n${lines.join('\n')}`);
    for (const page of this.#pages) {
      this.note(`page: ${JSON.stringify(await page.look())}\n${page.problems.join('\n')}`);
      await page.screenshot(`failed: ${this.#t.name}`.replace(/\W+/g, '-'));
    }
  }

  async end() {
    for (const { page } of this.#pages) await page.context().close();
    for (const program of this.#programs) await program.kill();
    for (const hub of this.#hubs) await hub.stop();
    await this.#site?.stop();
  }
}

/** A page with one player, or a wall of them. */
class Watched {
  /** What its console complained of. */
  problems = [];
  /** What was answered: `{ url, protocol, connection }`; for a websocket the protocol is `http/1.1 101`. */
  answers = [];

  constructor(page) {
    this.page = page;
    page.on('console', (message) => {
      const { url } = message.location();
      // The browser itself notes each picture of the list that is not there yet, or not any more.
      if (message.type() === 'error' && !url.includes('.mp4?snapshot=1')) this.problems.push(`${message.text()} (${url})`);
    });
    page.on('pageerror', (error) => this.problems.push(error.stack ?? String(error)));
  }

  async hearAnswers(session) {
    session.on('Network.responseReceived', ({ response: { url, protocol, connectionId: connection } }) => {
      this.answers.push({ url, protocol, connection });
    });
    const sockets = new Map();
    session.on('Network.webSocketCreated', ({ requestId, url }) => sockets.set(requestId, url));
    session.on('Network.webSocketHandshakeResponseReceived', ({ requestId, response: { status, headersText } }) => {
      this.answers.push({ url: sockets.get(requestId), protocol: `${headersText.split(' ')[0]} ${status}`.toLowerCase() });
    });
    await session.send('Network.enable');
  }

  /** The places of all its players, in seconds. */
  times() { return this.page.evaluate(() => Array.from(document.querySelectorAll('video'), ({ currentTime }) => currentTime)); }

  look() { return this.page.evaluate(() => globalThis.look()); }

  /** Waits until what `look` gives fulfils a condition. */
  async until(what, condition, deadline = SOON) {
    return until(what, async () => {
      const seen = await this.look();
      return seen && condition(seen) ? seen : null;
    }, deadline, () => this.look());
  }

  /** Waits until the playhead has gone on by some seconds from where it is now. */
  async playsOn(seconds = 3, deadline = SOON) {
    const from = await this.until('a player', () => true);
    return this.until(`plays on for ${seconds} s`, ({ time }) => time - from.time >= seconds, deadline);
  }

  /** Plays for ten seconds, live and without trouble. Gives the figures. */
  async playsWell({ width = 640, video = true, ahead = 2 } = {}) {
    await this.until('plays', ({ time, ahead }) => time > 0 && ahead > 0);
    await this.playsOn(1);
    let seen;
    for (let window = 0; window < WINDOWS; window++) {
      seen = await this.page.evaluate((length) => globalThis.watch(length), WINDOW);
      if (seen.lateness < STARVED) break;
    }
    const text = JSON.stringify(seen);
    assert.ok(seen.advance >= 0.9 * seen.seconds, `the playhead advances: ${text}`);
    assert.ok(seen.ahead < ahead && seen.delay < 2, `the delay stays under 2 s: ${text}`);
    assert.deepEqual(seen.widths, [video ? width : 0], `the picture's width: ${text}`);
    assert.deepEqual(seen.errors, [], text);
    assert.deepEqual(seen.states.filter((state) => state !== 'playing' && state !== 'buffering'), [], text);
    if (video) assert.ok(seen.frames >= 10 * seen.seconds, `the picture moves: ${text}`);
    await this.isClean();
    return seen;
  }

  /** No complaint in the console, no violation of the content security policy, never reloaded. */
  async isClean() {
    assert.deepEqual(this.problems, []);
    assert.deepEqual(await this.page.evaluate(() => globalThis.violations), []);
    await this.isSamePage();
  }

  async isSamePage() {
    assert.equal(await this.page.evaluate(() => globalThis.loadedOnce), true, 'the page was loaded again');
  }

  /** Into tests/browser/out. */
  async screenshot(name) {
    await mkdir(OUT, { recursive: true });
    await this.page.screenshot({ path: join(OUT, `${name}.png`) });
  }
}

/** "advanced 9.98 s of 10.05 s, ..." */
export function figures({ advance, seconds, ahead, delay, frames, lateness }) {
  const delayText = delay ? `delay at most ${delay.toFixed(2)} s, ` : '';
  return `advanced ${advance.toFixed(2)} s of ${seconds.toFixed(2)} s, ${delayText}at most ${ahead.toFixed(2)} s buffered, `
    + `${frames} frames, timers late by ${(lateness * 1000).toFixed(0)} ms`;
}
