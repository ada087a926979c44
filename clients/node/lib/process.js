// The program as a child of this process, which it does not outlive.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { findBinary } from './binary.js';
import { EmulatorError, StartError } from './errors.js';

const START_MILLISECONDS = 60_000;
const STOP_MILLISECONDS = 15_000;
const BEGIN = 'listening on ';
const MOST_LOG = 65_536;

/** A running emulator with a temporary data folder and a free port. */
export class Process {
  #child;
  #log = '';

  static async start(seed, args) {
    const folder = await mkdtemp(join(tmpdir(), 'swr-seed-'));
    try {
      const seedArguments = await asArguments(seed, folder);
      const process = new Process([...seedArguments, ...args]);
      process.url = await process.#firstLine(folder);
      return process;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  constructor(args) {
    const own = ['--ephemeral', '--listen=127.0.0.1:0', '--exit-with-stdin', '--log-level=warn'];
    // In a group of its own: Ctrl-C is for the test runner, whose end closes the standard input.
    const options = { env: environment(), stdio: 'pipe', detached: true };
    this.#child = spawn(findBinary(), [...own, ...args], options);
    // What has ended no longer reads.
    this.#child.stdin.on('error', () => {});
    this.#child.stderr.setEncoding('utf8').on('data', (text) => {
      this.#log = (this.#log + text).slice(-MOST_LOG);
    });
  }

  async #firstLine(folder) {
    const child = this.#child;
    const lines = createInterface({ input: child.stdout });
    const late = setTimeout(() => child.kill('SIGKILL'), START_MILLISECONDS);
    try {
      const closed = once(child, 'close');
      const first = await Promise.race([once(lines, 'line'), closed]);
      if (typeof first[0] === 'string' && first[0].startsWith(BEGIN)) {
        closed.catch(() => {});
        return first[0].slice(BEGIN.length).trim();
      }
      child.kill('SIGKILL');
      const [code] = await closed;
      const reason = this.#log.trim().replaceAll(`${folder}/`, '');
      throw new StartError(reason || `the emulator ended with ${code} before it was ready`);
    } catch (cause) {
      throw cause instanceof StartError ? cause : new StartError(cause.message, { cause });
    } finally {
      clearTimeout(late);
      lines.close();
      child.stdout.resume();
      // A test runner that is done need not wait for an emulator that nobody stopped.
      for (const held of [child, child.stdin, child.stdout, child.stderr]) {
        held.unref();
      }
    }
  }

  /** What it has written to its standard error lately: warnings, unless told otherwise. */
  get log() {
    return this.#log;
  }

  /** Ends it in order, which removes its data folder. */
  async stop() {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) {
      return;
    }
    child.ref();
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MILLISECONDS);
    const ended = once(child, 'exit');
    child.stdin.end();
    await ended;
    clearTimeout(late);
  }
}

async function asArguments(seed, folder) {
  if (seed === undefined) {
    return [];
  }
  if (seed instanceof URL) {
    return [`--seed=${fileURLToPath(seed)}`];
  }
  const file = join(folder, 'seed');
  await writeFile(file, await seedText(seed), { mode: 0o600 });
  return [`--seed=${file}`];
}

/** The text of a seed. */
export async function seedText(seed) {
  if (seed instanceof URL) {
    return readFile(seed, 'utf8');
  }
  if (typeof seed !== 'string') {
    // JSON is YAML.
    return JSON.stringify(seed);
  }
  if (seed !== '' && !/[:\n]/.test(seed)) {
    throw new EmulatorError(
      `seed: ${JSON.stringify(seed)} is not the text of a seed file; pass ` +
        `new URL(${JSON.stringify(seed)}, import.meta.url) for the path of one`,
    );
  }
  return seed;
}

/** Without the settings of an emulator that somebody else has started or is about to. */
function environment() {
  const all = Object.entries(process.env);
  return Object.fromEntries(all.filter(([name]) => !name.startsWith('SWR_EMULATOR_')));
}

/** The variables that `swr-emulator env` prints for the emulator at a URL. */
export function printedVariables(url) {
  const printed = execFileSync(findBinary(), ['env', '--for=shell', `--url=${url}`, '--check'], {
    env: environment(),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return Object.fromEntries([...printed.matchAll(/^export (\w+)='(.*)'$/gm)].map((one) => one.slice(1)));
}
