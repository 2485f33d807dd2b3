// The panel with the figures of the stream.

import { bitrateText } from './words.js';

/** @param {ReturnType<import('./view.js').buildView>} view @param {object} stats the player's @param {string} state */
export function showFigures({ delay, panel, figures }, stats, state) {
  delay.textContent = stats.delay === null || state !== 'playing' ? '' : `${stats.delay.toFixed(1)} s`;
  if (panel.hidden) return;
  figures.picture.textContent = stats.videoCodec ? `${stats.width} × ${stats.height}, ${stats.videoCodec}` : 'none';
  figures.sound.textContent = stats.audioCodec || 'none';
  figures.bitrate.textContent = stats.bitrate ? bitrateText(stats.bitrate) : '–';
  figures.delay.textContent = stats.delay === null ? '–' : `${stats.delay.toFixed(2)} s`;
  figures.dropped.textContent = `${stats.dropped} frames`;
  figures.reconnects.textContent = String(stats.reconnects);
}
