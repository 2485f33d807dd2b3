// Addresses: a stream's own, and those of its outputs.

const OUTPUTS = /\.(flv|mp4|m3u8)$/i;

/** The websocket address of a stream; '' if `src` is none. `rtsp://hub/room/door` is that of `ws://hub/streams/room/door`. */
export function websocketUrl(src) {
  try {
    const url = new URL(src.replace(/^rtsp(s?):\/\/([^/]*)\//i, 'ws$1://$2/streams/'), document.baseURI);
    const scheme = { 'http:': 'ws:', 'https:': 'wss:', 'ws:': 'ws:', 'wss:': 'wss:' }[url.protocol];
    if (!scheme) return '';
    url.protocol = scheme;
    url.hash = '';
    return url.href;
  } catch {
    return '';
  }
}

/** The address of one of its outputs: `outputUrl(url, 'mp4')`, whichever output `url` names, if any. @param {string} url ws: or wss: */
export function outputUrl(url, ending) {
  const output = new URL(url);
  output.pathname = `${output.pathname.replace(OUTPUTS, '')}.${ending}`;
  return output.href;
}

/** The same over http or https. */
export function httpUrl(url) { return url.replace(/^ws/, 'http'); }

/** The path of a stream URL as people know it: "/room/door". */
export function pathOf(url) {
  try {
    return decodeURIComponent(new URL(url).pathname).replace(/^.*\/streams(?=\/)/, '').replace(OUTPUTS, '');
  } catch {
    return url;
  }
}
