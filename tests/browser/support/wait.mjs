// Waiting for conditions. Deadlines are wide: the machine may be busy with other things. All times are milliseconds.

/** For what takes a moment on an idle machine. */
export const SOON = 30_000;

const EVERY = 100;

/**
 * Waits until `probe` gives something true, and gives it.
 * @param {string} what is waited for, for the error
 * @param {() => any} probe may be async
 * @param {number} [deadline]
 * @param {() => any} [seen] what to show when it did not come
 */
export async function until(what, probe, deadline = SOON, seen = () => '') {
  const end = performance.now() + deadline;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (performance.now() > end) throw new Error(`after ${deadline / 1000} s still not: ${what}; ${show(await seen())}`);
    await new Promise((resolve) => { setTimeout(resolve, EVERY); });
  }
}

function show(value) { return typeof value === 'string' ? value : JSON.stringify(value); }
