// What the player says: every trouble in words, with what to do about it. One place, so that it can be translated.

import { pathOf } from './address.js';

/**
 * @param {{kind: string, [key: string]: any}} trouble
 * @param {string} url of the stream
 */
export function words(trouble, url) {
  const path = pathOf(url);
  switch (trouble.kind) {
    case 'not-live': return `The stream ${path} is not live (404).`;
    case 'no-output': return sentence(trouble.reason);
    case 'hub-gone': return `The hub ${hostOf(url)} does not answer.`;
    case 'lost': return 'The connection to the hub was lost.';
    case 'silent': return `The hub has sent nothing for ${trouble.seconds} seconds.`;
    case 'ended': return trouble.reason && trouble.reason !== 'ended' ? sentence(`The stream has ended: ${trouble.reason}`) : 'The stream has ended.';
    case 'closed': return sentence(`The hub closed the stream: ${trouble.reason || `code ${trouble.code}`}`);
    case 'login': return `The stream ${path} needs a login (401). Log in, or add a valid ?token= to the address.`;
    case 'denied': return `You have no right to watch ${path} (403). Ask the administrator of the hub for it.`;
    case 'busy': return `The hub refuses more viewers or tries for now (${trouble.status}).`;
    case 'no-websocket': return 'The hub answers, but its websocket does not open. A proxy in between may block websockets.';
    case 'hub-error': return `The hub answered with an error (${trouble.status}).`;
    case 'rtsp': return sentence(`The hub refuses the stream ${path} (${trouble.status}): ${trouble.text}`);
    case 'damaged': return sentence(`The stream is damaged: ${trouble.reason}`);
    case 'decoder': return sentence(`The browser stopped decoding${trouble.codec ? ` ${trouble.codec}` : ''}: ${trouble.reason}`);
    case 'unsupported': return unsupported(trouble);
    case 'no-key': return 'Connected. Waiting for the next key frame of the camera.';
    case 'hls': return sentence(`The browser cannot play the HLS of ${path}${trouble.reason ? `: ${trouble.reason}` : ''}`);
    case 'no-hls': return 'This browser plays no HLS by itself. Without transport="hls" the player takes another way.';
    case 'no-mse': return 'This browser cannot play live streams (it has no Media Source Extensions). Try a current Chrome, Edge, Firefox or Safari.';
    case 'bad-src': return `The address "${trouble.src}" is no stream address. It should look like ws://hub:1554/streams/room/door.flv`;
    default: return 'Something went wrong.';
  }
}

function unsupported({ name, codec }) {
  const what = codec && codec !== name ? `${name} (${codec})` : name;
  const advice = name === 'H.264' ? 'Try another browser, or set the camera to 8-bit 4:2:0 H.264.'
    : /AAC|G\.711|PCM|MP3|Speex|audio|sound/.test(name) ? 'Try another browser, or set the camera to AAC-LC.'
      : 'Try another browser, or set the camera to H.264.';
  return `This browser cannot play ${what}. ${advice}`;
}

/** "Trying again in 4 s." */
export function again(milliseconds) {
  return milliseconds > 0 ? `Trying again in ${Math.max(1, Math.round(milliseconds / 1000))} s.` : 'Trying again…';
}

/** 1843210 -> "1.8 Mbit/s" */
export function bitrateText(bitsPerSecond) {
  if (bitsPerSecond >= 999500) return `${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s`;
  return `${Math.round(bitsPerSecond / 1000)} kbit/s`;
}

function hostOf(url) {
  try { return new URL(url).host; } catch { return ''; }
}

function sentence(text) { return /[.!?…]$/.test(text) ? text : `${text}.`; }
