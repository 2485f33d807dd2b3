// A web site of another origin than the hub's, whose pages watch the hub. Scripts come from node_modules.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';

const SCRIPTS = {
  '/mpegts.js': 'mpegts.js/dist/mpegts.js', '/flv.js': 'flv.js/dist/flv.min.js', '/hls.js': 'hls.js/dist/hls.js',
};

const html = (body) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>test</title><link rel="icon" href="data:,">${body}</html>`;

/** One script tag of the hub and the element, as its README tells. */
function embedded(hub, src) {
  return html(`<script type="module" src="${hub}/player.js"></script><ipchub-player src="${src}" muted></ipchub-player>`);
}

function mpegts(src) {
  return html(`<video muted></video><script src="/mpegts.js"></script><script>
    const player = mpegts.createPlayer({ type: 'flv', isLive: true, url: ${JSON.stringify(src)} },
      { enableStashBuffer: false, liveBufferLatencyChasing: true, liveBufferLatencyMaxLatency: 1.5, liveBufferLatencyMinRemain: 0.5 });
    player.on(mpegts.Events.ERROR, (...what) => console.error('mpegts.js', JSON.stringify(what)));
    player.attachMediaElement(document.querySelector('video'));
    player.load();
    player.play();</script>`);
}

/** As many players as `count` says, beside each other. */
function wall(src, count) {
  return html(`${'<video muted width="320"></video>'.repeat(count)}<script src="/mpegts.js"></script><script>
    for (const video of document.querySelectorAll('video')) {
      const player = mpegts.createPlayer({ type: 'flv', isLive: true, url: ${JSON.stringify(src)} }, { enableStashBuffer: false });
      player.on(mpegts.Events.ERROR, (...what) => console.error('mpegts.js', JSON.stringify(what)));
      player.attachMediaElement(video);
      player.load();
      player.play();
    }</script>`);
}

function flvjs(src) {
  return html(`<video muted></video><script src="/flv.js"></script><script>
    const player = flvjs.createPlayer({ type: 'flv', isLive: true, cors: true, url: ${JSON.stringify(src)} },
      { enableStashBuffer: false, lazyLoad: false });
    player.on(flvjs.Events.ERROR, (...what) => console.error('flv.js', JSON.stringify(what)));
    player.attachMediaElement(document.querySelector('video'));
    player.load();
    player.play();</script>`);
}

/** It plays a little faster where the machine made it late, which hls.js does not by itself. `shown`: ms from the first request to the first picture. `trouble`: what hls.js says of stalls and errors that it got over. */
function hlsjs(src) {
  return html(`<video muted></video><script src="/hls.js"></script><script>
    const video = document.querySelector('video');
    globalThis.trouble = [];
    globalThis.shown = null;
    globalThis.hls = new Hls({ lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.2 });
    hls.on(Hls.Events.ERROR, (_, { fatal, details, response }) => {
      if (fatal) console.error('hls.js', details, response?.code ?? '');
      else trouble.push(details);
    });
    hls.attachMedia(video);
    hls.on(Hls.Events.MEDIA_ATTACHED, () => {
      const asked = performance.now();
      video.requestVideoFrameCallback(() => { globalThis.shown = performance.now() - asked; });
      hls.loadSource(${JSON.stringify(src)});
    });
    hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());</script>`);
}

export class Site {
  static async start() {
    const site = new Site();
    site.server = createServer((request, response) => site.#answer(request, response));
    await new Promise((resolve) => { site.server.listen(0, '127.0.0.1', resolve); });
    site.origin = `http://127.0.0.1:${site.server.address().port}`;
    return site;
  }

  /** The address of a page. @param {'embedded'|'mpegts'|'flvjs'|'hlsjs'|'wall'} kind @param {import('./hub.mjs').Hub} hub @param {string} src */
  page(kind, hub, src, count = 1) {
    return `${this.origin}/${kind}?${new URLSearchParams({ hub: hub.url('http', ''), src, count })}`;
  }

  async #answer(request, response) {
    const { pathname, searchParams } = new URL(request.url, this.origin);
    const script = SCRIPTS[pathname];
    if (script) {
      const text = await readFile(new URL(`../node_modules/${script}`, import.meta.url));
      return response.writeHead(200, { 'content-type': 'text/javascript' }).end(text);
    }
    const [hub, src] = [searchParams.get('hub'), searchParams.get('src')];
    const page = {
      '/embedded': () => embedded(hub, src),
      '/mpegts': () => mpegts(src),
      '/flvjs': () => flvjs(src),
      '/hlsjs': () => hlsjs(src),
      '/wall': () => wall(src, Number(searchParams.get('count'))),
    }[pathname];
    if (!page) return response.writeHead(404).end();
    return response.writeHead(200, { 'content-type': 'text/html' }).end(page());
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((resolve) => { this.server.close(resolve); });
  }
}
