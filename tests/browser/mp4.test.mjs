// The player's reader of fragmented MP4: the same frames however the bytes come in pieces, and an error for what is damaged.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

import { Mp4Reader } from '../../web/static/player/mp4.js';

/** Half a second of pictures and sound, a fragment a frame as the hub sends it. */
function clip(audio) {
  const args = ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=size=64x48:rate=10', '-f', 'lavfi', '-i', 'sine=sample_rate=48000', '-t', '0.5',
    '-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2', '-c:a', audio, '-b:a', '24k', '-strict', '-2',
    '-movflags', 'empty_moov+default_base_moof+frag_every_frame', '-f', 'mp4', '-'];
  return new Uint8Array(execFileSync('ffmpeg', args, { maxBuffer: 1 << 24 }));
}

function read(pieces) {
  const seen = [];
  const reader = new Mp4Reader({
    onExpect: (tracks) => seen.push(tracks),
    onItem: (name, { kind, codec, key, cts, data }, time) => seen.push([name, kind, codec, key, cts, Buffer.from(data ?? []).toString('hex'), time]),
  });
  for (const piece of pieces) reader.push(piece);
  return seen;
}

/** A number from 0 to below 1, the same in each run. */
function* chance(seed) {
  for (let state = seed; ;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

for (const audio of ['aac', 'libopus']) {
  test(`frames of H.264 and ${audio} are the same at every split point`, () => {
    const bytes = clip(audio);
    const whole = read([bytes]);
    assert.deepEqual(whole[0], { video: true, audio: true });
    const of = (name, kind) => whole.slice(1).filter(([n, k]) => n === name && k === kind);
    assert.equal(of('video', 'config').length, 1);
    assert.equal(of('audio', 'config')[0][2], audio === 'aac' ? 'aac' : 'opus');
    const pictures = of('video', 'frame');
    assert.equal(pictures.length, 5);
    assert.equal(pictures[0][3], true, 'the first is a key frame');
    assert.ok(pictures.slice(1).every((picture) => !picture[3]));
    assert.deepEqual(pictures.map((picture) => picture[6]), pictures.map((_, n) => n * 100), 'decode times in ms');
    assert.ok(pictures.some((picture) => picture[4] > 0), 'B-frames have composition times');
    assert.ok(of('audio', 'frame').length > 20);
    const text = JSON.stringify(whole);
    for (let at = 0; at <= bytes.length; at++) {
      assert.ok(JSON.stringify(read([bytes.subarray(0, at), bytes.subarray(at)])) === text, `split at byte ${at} of ${bytes.length}`);
    }
    assert.deepEqual(read(Array.from(bytes, (byte) => Uint8Array.of(byte))), whole, 'byte by byte');
  });
}

test('damaged bytes are an error, or other frames, and never hang', () => {
  const bytes = clip('aac');
  const random = chance(7);
  let errors = 0;
  for (let round = 0; round < 3000; round++) {
    const damaged = bytes.slice();
    for (let n = 0; n < 3; n++) damaged[Math.floor(random.next().value * (round % 2 ? 1500 : damaged.length))] = random.next().value * 256;
    try {
      const seen = read([damaged]);
      assert.ok(seen.length < 20_000);
    } catch (error) {
      assert.ok(error instanceof Error && !(error instanceof assert.AssertionError), error);
      errors++;
    }
  }
  assert.ok(errors > 300, `${errors} of 3000 were noticed`);
});

test('a box without an end is not waited for', () => {
  assert.throws(() => read([Uint8Array.of(0xff, 0xff, 0xff, 0xff, 109, 100, 97, 116)]), /a box mdat of 4294967295 bytes/);
  assert.throws(() => read([new Uint8Array(8)]), /a box of 0 bytes/);
});
