// Which way a stream comes, where the page leaves that to the element:
//
// 1. A browser that plays pieces of media (MSE, or ManagedMediaSource of iPhones) gets FLV over a websocket: the least delay.
// 2. What FLV cannot carry and fragmented MP4 can (AV1, Opus) makes it MP4 over a websocket. The hub names the codecs of its MP4
//    when it is asked for the head of that address; it is asked only if FLV lacks sound or picture, or there is no FLV of the stream.
// 3. HLS by the browser itself (Safari) where neither can: no MSE at all, or a codec that only the browser's own player takes.

import { httpUrl, outputUrl } from './address.js';
import { LINKS } from './link.js';
import { mseAvailable, supports } from './sink.js';

const ASK_MS = 5000;

/** What the page asks for: by its attribute, or by the address; 'auto' where it does not. */
export function wishOf(attribute, src) {
  const wish = attribute?.toLowerCase() ?? '';
  if (Object.hasOwn(LINKS, wish)) return wish;
  if (/^rtsps?:/i.test(src)) return 'rtsp';
  const [, ending] = /\.(mp4|m3u8)(?:[?#]|$)/i.exec(src) ?? [];
  return { mp4: 'mp4', m3u8: 'hls' }[ending?.toLowerCase()] ?? 'auto';
}

/** The way to begin with; '' if there is none in this browser. */
export function firstWay(wish, explicit) {
  if (wish === 'hls') return playsHls() ? 'hls' : '';
  if (mseAvailable()) return wish === 'auto' ? 'flv' : wish;
  return !explicit && playsHls() ? 'hls' : '';
}

/** Whether the browser plays HLS without our help. */
export function playsHls() {
  const video = document.createElement('video');
  return ['application/vnd.apple.mpegurl', 'application/x-mpegurl'].some((type) => video.canPlayType(type) !== '');
}

/** Whether its own player takes a codec, by its RFC 6381 name, where MSE does not. */
export function playsNatively(codec) {
  return playsHls() && document.createElement('video').canPlayType(`video/mp4; codecs="${codec}"`) !== '';
}

/**
 * Whether MP4 over a websocket has a track of these kinds that this browser plays.
 * @param {string} url ws: or wss:
 * @param {RegExp} wanted of RFC 6381 names
 * @param {AbortSignal} signal
 */
export async function fmp4Offers(url, wanted, signal) {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS)]);
    const { ok, headers } = await fetch(httpUrl(outputUrl(url, 'mp4')), { method: 'HEAD', signal: limit, credentials: 'omit' });
    const [, codecs = ''] = /codecs="([^"]*)"/.exec(headers.get('Content-Type') ?? '') ?? [];
    return ok && codecs.split(',').some((codec) => wanted.test(codec) && supports(`video/mp4; codecs="${codec}"`));
  } catch {
    return false;
  }
}
