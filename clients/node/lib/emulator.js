// An emulator of one's own, from start to stop. index.d.ts says what each method does.

import { AssertionError } from 'node:assert';
import { randomBytes, randomUUID } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';

import { EmulatorError } from './errors.js';
import { ask, failure, json, refusal, send } from './http.js';
import { ImageName, push, registryLogin } from './image.js';
import { Process, printedVariables, seedText } from './process.js';
import { describePush, describeRequest, refused } from './records.js';

const PAGE = 1000;
const MOST_LINES = 20;
const TIMEOUT = 10_000;
const WAIT = '/_emulator/wait';

// The built-in account, whose keys everybody knows.
const CREDENTIALS = Object.freeze({
  accessKey: 'SWREMULATOR000000001',
  secretKey: 'SwrEmulatorExampleSecretKey0000000000001',
  projectId: '00000000000000000000000000000001',
  token: 'swr-emulator',
});

export async function start({ seed, args = [], ...unknown } = {}) {
  for (const name of Object.keys(unknown)) {
    throw new EmulatorError(`${name}: is unknown; start takes seed and args`);
  }
  const process = await Process.start(seed, args);
  try {
    const health = json(await send(process.url, 'GET', '/_emulator/health'));
    return new Emulator(process, health.region);
  } catch (error) {
    await process.stop();
    throw error;
  }
}

export class Emulator {
  #process;
  #env;
  credentials = CREDENTIALS;

  constructor(process, region) {
    this.#process = process;
    this.url = process.url;
    this.registry = new URL(process.url).host;
    this.region = region;
    this.registryLogin = registryLogin(CREDENTIALS, region);
  }

  get env() {
    if (this.#env === undefined) {
      this.#env = printedVariables(this.url);
      for (const name of ['NO_PROXY', 'no_proxy']) {
        const hosts = (globalThis.process.env[name] ?? '').split(',').filter((host) => host !== '');
        this.#env[name] = [...new Set([...hosts, '127.0.0.1', 'localhost'])].join(',');
      }
    }
    return this.#env;
  }

  async stop() {
    await this.#process.stop();
  }

  async [Symbol.asyncDispose]() {
    await this.stop();
  }

  async push(image, { content = randomBytes(16).toString('hex') } = {}) {
    return push(this.url, this.registryLogin, this.#name(image), content);
  }

  async fault(operation, options = {}) {
    await this.#send('POST', '/_emulator/faults', { body: { operation, ...options } });
  }

  async advance(by) {
    const advance = typeof by === 'number' ? `${by}ms` : by;
    await this.#send('POST', '/_emulator/clock', { body: { advance } });
  }

  async reset(seed) {
    const options = {};
    if (seed !== undefined) {
      options.body = Buffer.from(await seedText(seed));
      options.headers = { 'Content-Type': 'application/yaml' };
    }
    await this.#send('POST', '/_emulator/reset', options);
  }

  async save(file) {
    const { body } = await this.#send('GET', '/_emulator/snapshot');
    // Beside the file first, so that it is never half there.
    const beside = `${file}.${randomUUID()}`;
    await writeFile(beside, body, { mode: 0o600 });
    await rename(beside, file);
  }

  async load(file) {
    await this.#send('POST', '/_emulator/snapshot', { body: await readFile(file) });
  }

  async wait(image, trigger, options) {
    if (typeof trigger === 'object') {
      [trigger, options] = [undefined, trigger];
    }
    const name = this.#name(image);
    const answer = await this.#wait(name, trigger, options);
    if (answer.status !== 200) {
      throw await this.#failed(name, trigger, answer, this.wait);
    }
    return json(answer);
  }

  async assertFired(image, trigger, options) {
    const name = this.#name(image);
    const answer = await this.#wait(name, trigger, options);
    if (answer.status !== 200) {
      throw await this.#failed(name, trigger, answer, this.assertFired);
    }
    const entry = json(answer);
    if (entry.result !== 'success') {
      const told = `${trigger} fired for ${name}, but failed: ${entry.detail}`;
      throw await this.#assertion(told, name, this.assertFired);
    }
    return entry;
  }

  async assertNotFired(image, trigger, options) {
    const name = this.#name(image);
    const answer = await this.#wait(name, trigger, options);
    const decision = answer.status === 409 ? json(answer) : undefined;
    if (decision?.fires === false) {
      return decision.reason;
    }
    if (answer.status !== 200 && answer.status !== 409) {
      throw await this.#failed(name, trigger, answer, this.assertNotFired);
    }
    throw await this.#assertion(`${trigger} fired for ${name}`, name, this.assertNotFired);
  }

  async pushes(image) {
    const query = { ...this.#name(image).query, limit: PAGE };
    return json(await this.#send('GET', '/_emulator/pushes', { query }));
  }

  async explain(image) {
    const query = { ...this.#name(image).query, limit: PAGE };
    return json(await this.#send('GET', '/_emulator/explain', { query }));
  }

  async requests({ operation, status, namespace, since } = {}) {
    const query = { operation, status, namespace, since: since?.toISOString(), limit: PAGE };
    return json(await this.#send('GET', '/_emulator/requests', { query }));
  }

  async report() {
    const pushes = [];
    const repositories = await this.#send('GET', '/v2/manage/repos', { query: { limit: 100 } });
    for (const { namespace, name: repository } of json(repositories)) {
      const query = { namespace, repository, limit: MOST_LINES };
      for (const push of json(await this.#send('GET', '/_emulator/pushes', { query }))) {
        pushes.push({ push, image: `${namespace}/${repository}:${push.tag}` });
      }
    }
    pushes.sort((one, other) => one.push.id - other.push.id);
    const newest = pushes.slice(-MOST_LINES).flatMap(({ image, push }) => describePush(image, push));
    const requests = refused(await this.requests()).slice(0, MOST_LINES).reverse();
    const log = this.#process.log.split('\n').filter((line) => line !== '');
    const parts = [
      ['pushes:', ...newest],
      ['refused requests:', ...requests.map(describeRequest)],
      ['log:', ...log.slice(-MOST_LINES)],
    ];
    const told = parts.filter((lines) => lines.length > 1);
    return told.map((lines) => lines.join('\n')).join('\n\n');
  }

  #name(image) {
    return ImageName.parse(image, this.registry);
  }

  #headers = { 'X-Auth-Token': CREDENTIALS.token };

  #send(method, path, options) {
    const headers = { ...this.#headers, ...options?.headers };
    return send(this.url, method, path, { ...options, headers });
  }

  /** The answer to a wait, whether it went well or not. */
  async #wait(name, trigger, { after, until, timeout = TIMEOUT } = {}) {
    const query = { ...name.query, trigger, after, until, timeout: `${Math.round(timeout)}ms` };
    const answer = await ask(this.url, 'GET', WAIT, { query, headers: this.#headers, wait: timeout });
    if (![200, 404, 408, 409].includes(answer.status)) {
      throw refusal('GET', WAIT, answer);
    }
    return answer;
  }

  /** The failure of an assertion, with the reason that the emulator gives. */
  #failed(name, trigger, answer, caller) {
    const body = json(answer);
    if (answer.status === 409 && (body.triggers ?? body.result) !== undefined) {
      const told = `${trigger ?? 'a trigger'} fired for ${name}, but its rollout is not healthy`;
      return this.#assertion(told, name, caller);
    }
    if (answer.status === 409 && !body.fires) {
      return this.#assertion(`${trigger} did not fire for ${name}: ${body.reason}`, name, caller);
    }
    let { reason } = failure(answer);
    if (answer.status === 409) {
      reason = body.reason;
    } else if (body.triggers !== undefined) {
      reason = 'its firings did not end in time';
    }
    const told = `whether ${trigger ?? 'a trigger'} fired for ${name} is not known: ${reason}`;
    return this.#assertion(told, name, caller);
  }

  async #assertion(told, name, stackStartFn) {
    const query = { ...name.query, limit: 1 };
    const answer = await ask(this.url, 'GET', '/_emulator/pushes', { query, headers: this.#headers });
    const pushes = answer.status === 200 ? json(answer) : [];
    const record = pushes.flatMap((push) => describePush(name, push));
    return new AssertionError({ message: [told, ...record].join('\n'), stackStartFn });
  }
}
