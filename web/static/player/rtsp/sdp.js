// The hub's descriptions (RFC 4566) -> the tracks that this player wants: the first picture and the first sound.

const NAMES = { PCMA: 'G.711 A-law', PCMU: 'G.711 µ-law', OPUS: 'Opus', 'MP4A-LATM': 'AAC (LATM)', H264: 'H.264', H265: 'H.265' };
const STATIC = { 0: ['PCMU', 8000], 8: ['PCMA', 8000], 14: ['MPA', 90000], 26: ['JPEG', 90000] }; // RFC 3551, table 4 and 5

/**
 * @typedef {object} Track
 * @property {'video'|'audio'} name
 * @property {string} encoding upper case: "H264"
 * @property {string} codec for people: "H.264"
 * @property {number} rate of the RTP clock, Hz
 * @property {Record<string, string>} parameters of `a=fmtp`, names in lower case
 * @property {string} control relative to the stream's URL, or a whole URL
 */

/** @param {string} text @returns {Track[]} */
export function parseSdp(text) {
  const tracks = [];
  let track = null;
  for (const line of text.split(/\r?\n/)) {
    const media = /^m=(\w+) \S+ \S+ (\d+)/.exec(line);
    if (media) {
      const [encoding, rate] = STATIC[media[2]] ?? ['', 90000];
      track = { name: media[1], type: media[2], encoding, rate, parameters: {}, control: '' };
      tracks.push(track);
    } else if (track && line.startsWith(`a=rtpmap:${track.type} `)) {
      const [encoding, rate] = line.slice(line.indexOf(' ') + 1).split('/');
      track.encoding = encoding.toUpperCase();
      track.rate = Number(rate) || track.rate;
    } else if (track && line.startsWith(`a=fmtp:${track.type} `)) {
      for (const pair of line.slice(line.indexOf(' ') + 1).split(';')) {
        const at = pair.indexOf('=');
        if (at > 0) track.parameters[pair.slice(0, at).trim().toLowerCase()] = pair.slice(at + 1).trim();
      }
    } else if (track && line.startsWith('a=control:')) track.control = line.slice(10).trim();
  }
  const first = ['video', 'audio'].map((name) => tracks.find((one) => one.name === name)).filter(Boolean);
  return first.map((one) => ({ ...one, codec: NAMES[one.encoding] ?? (one.encoding || `RTP type ${one.type}`) }));
}
