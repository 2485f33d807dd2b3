// Programs that a test starts; none outlives it.

import { spawn } from 'node:child_process';

const running = new Set();
process.on('exit', () => { for (const { child } of running) child.kill('SIGKILL'); });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

export class Program {
  /** What it has printed, by lines. */
  lines = [];
  #rest = '';

  constructor(command, args, options = {}) {
    this.name = command.split('/').pop();
    this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    running.add(this);
    for (const output of [this.child.stdout, this.child.stderr]) output.setEncoding('utf8').on('data', (text) => this.#take(text));
    this.ended = new Promise((resolve) => {
      const end = (how) => {
        running.delete(this);
        resolve(how);
      };
      this.child.once('error', (error) => { this.lines.push(String(error)); end('failed'); });
      this.child.once('close', (code, signal) => end(signal ?? code));
    });
  }

  get isRunning() { return running.has(this); }

  /** Ends it at once, as a power failure does. */
  kill() {
    this.child.kill('SIGKILL');
    return this.ended;
  }

  /** Asks it to end; kills it if it has not after ten seconds. */
  async stop() {
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
    await this.ended;
    clearTimeout(timer);
  }

  #take(text) {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop();
    this.lines.push(...lines);
  }
}
