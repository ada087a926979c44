// An emulator and a browser, and what both are asked.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(new URL('../../.node/package.json', import.meta.url));
const { chromium } = require('playwright-core');
export const AXE = require.resolve('axe-core/axe.min.js');

export const TOKEN = 'swr-emulator';
/** How long something may take that has no wait of its own, in milliseconds. */
const PATIENCE = 20_000;

/** A trigger on a Deployment of the cluster, with what is its own. */
const onDeployment = (application, own) => ({
  action: 'update', app_type: 'deployments', application, cluster_id: 'test', cluster_ns: 'default',
  trigger_mode: 'cce', enable: 'true', ...own,
});
const deployment = (name) => ({ name, containers: [{ name, image: '{registry}/group/busybox:v0' }] });

export const SEED = {
  organizations: [{
    name: 'group',
    repositories: [
      {
        name: 'busybox',
        triggers: [
          onDeployment('web', { name: 'on-push', trigger_type: 'regular', condition: '^v[0-9]$' }),
          onDeployment('web', { name: 'on-tag', trigger_type: 'tag', condition: 'v1;v2' }),
          onDeployment('wbe', { name: 'lost', trigger_type: 'all', condition: '.*' }),
          onDeployment('api', { name: 'loose', trigger_type: 'regular', condition: 'v[0-9]+' }),
        ],
      },
      { name: 'library/nginx' },
    ],
  }],
  clusters: [{ name: 'test', namespaces: [{ name: 'default', deployments: [deployment('web'), deployment('api')] }] }],
};

/** A running program. */
export class Emulator {
  static async start(seed = SEED, args = []) {
    const child = spawn(process.env.PROGRAM, ['--ephemeral', '--listen', '127.0.0.1:0', '--seed', '-', '--log-level', 'off', ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.end(JSON.stringify(seed));
    const lines = createInterface({ input: child.stdout });
    const greeting = [];
    for await (const line of lines) {
      greeting.push(line);
      if (line.startsWith('docs ')) break;
    }
    const url = greeting[0]?.replace('listening on ', '');
    assert.ok(url?.startsWith('http://'), greeting.join('\n'));
    return new Emulator(child, url, greeting);
  }

  constructor(child, url, greeting) {
    Object.assign(this, { child, url, greeting, isStopping: false });
    // Else each test after it would tell of a refused connection only.
    child.once('exit', (code, signal) => {
      if (!this.isStopping) console.error(`The emulator at ${url} ended with ${signal ?? code}`);
    });
  }

  get console() {
    return `${this.url}/_emulator/`;
  }

  /** The answer to a request, as the page's user would get it; not recorded. */
  async ask(method, path, body, headers = {}) {
    const sent = { 'X-Auth-Token': TOKEN, 'X-Emulator-Console': '1', ...(body ? { 'Content-Type': 'application/json' } : {}), ...headers };
    const response = await fetch(this.url + path, { method, headers: sent, body: body && JSON.stringify(body) });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : undefined };
  }

  async get(path) {
    const answer = await this.ask('GET', path);
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
    return answer.json;
  }

  async push(repository, tag) {
    const answer = await this.ask('POST', '/_emulator/push', { namespace: 'group', repository, tag });
    assert.equal(answer.status, 201, answer.text);
    const waited = await this.ask('GET', `/_emulator/wait?namespace=group&repository=${encodeURIComponent(repository)}&tag=${tag}`);
    assert.equal(waited.status, 200, waited.text);
    return waited.json;
  }

  async stop() {
    this.isStopping = true;
    const ended = new Promise((done) => this.child.once('exit', done));
    this.child.kill('SIGTERM');
    return ended;
  }
}

/** A browser for all tests of a file. */
export const browse = () => chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });

/** A page that fails its test where anything in it goes wrong. */
export async function open(browser, url, { token = TOKEN, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
  context.setDefaultTimeout(PATIENCE);
  if (token) await context.addInitScript((value) => { try { sessionStorage.setItem('swr-emulator-token', value); } catch { /* a file */ } }, token);
  const page = await context.newPage();
  page.troubles = [];
  page.on('pageerror', (error) => page.troubles.push(String(error)));
  page.on('console', (message) => {
    const isAnswer = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !isAnswer) page.troubles.push(message.text());
  });
  await page.goto(url);
  return page;
}

export async function close(page) {
  assert.deepEqual(page.troubles, []);
  await page.context().close();
}

/** The cells of a table, row by row. */
export const cells = (page, label) => page.getByRole('table', { name: label, exact: true }).locator('tbody tr').evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText.trim())));

/** The names and values of the first list of facts in something. */
export const factsOf = (place) => place.locator('dl.facts').first().evaluate((list) => Object.fromEntries([...list.querySelectorAll('dt')].map((term) => [term.innerText, term.nextElementSibling.innerText])));

export { assert };
