// However somebody looks at it: by keyboard, in a narrow window, in the dark, from a disk.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import { assert, AXE, browse, cells, close, Emulator, open, SEED, TOKEN } from './harness.mjs';

const run = promisify(execFile);

let emulator;
let browser;
let folder;

before(async () => {
  emulator = await Emulator.start();
  browser = await browse();
  folder = await mkdtemp(join(tmpdir(), 'console-'));
  for (const tag of ['v1', 'v1.0', 'v2']) await emulator.push('busybox', tag);
  await fetch(`${emulator.url}/v2/manage/namespaces/nobody-has-this-organization-with-a-long-name`, { headers: { 'X-Auth-Token': TOKEN } });
  await fetch(`${emulator.url}/v2/manage/namespaces`, { headers: { 'X-Auth-Token': TOKEN } });
  await emulator.ask('POST', '/_emulator/faults', { operation: 'PutManifest', status: 502, times: 3 });
});

after(async () => {
  await browser?.close();
  await emulator?.stop();
  if (folder) await rm(folder, { recursive: true });
});

/** An address of each screen, and what is there once it is drawn. */
async function places() {
  const [newest] = await emulator.get('/_emulator/pushes?namespace=group&repository=busybox');
  const [request] = await emulator.get('/_emulator/requests?status=404&limit=1');
  return {
    activity: ['#/activity', '.row'],
    push: [`#/push/group/busybox/${newest.id}`, '.diff'],
    trigger: ['#/trigger/group/busybox/loose?tag=v1', '.lints'],
    triggers: ['#/trigger', '.links a'],
    requests: [`#/requests?id=${request.request_id}`, '.detail dl'],
    registry: ['#/registry/group/busybox/v1', '.facts'],
    repository: ['#/registry/group/busybox', 'table'],
    clusters: ['#/clusters/test/default/deployments/web', 'table'],
    world: ['#/world', '.facts'],
  };
}

async function go(page, [hash, drawn]) {
  await page.goto(emulator.console + hash);
  await page.locator(`main ${drawn}`).first().waitFor();
}

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds nothing on any screen in ${colorScheme} colors`, async () => {
    const page = await open(browser, `${emulator.console}#/activity`, { colorScheme, bypassCSP: true });
    const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const [red] = ground.match(/\d+/g).map(Number);
    assert.ok(colorScheme === 'light' ? red > 200 : red < 60, ground);
    for (const [name, place] of Object.entries(await places())) {
      await go(page, place);
      await page.addScriptTag({ path: AXE });
      const { violations } = await page.evaluate(() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
      assert.deepEqual(violations.map(({ id, nodes }) => [name, id, nodes.map((node) => node.html).slice(0, 3)]), []);
    }
    await close(page);
  });
}

test('axe finds nothing on the page that asks for a token', async () => {
  const page = await open(browser, `${emulator.console}#/activity`, { token: null, bypassCSP: true });
  await page.getByRole('button', { name: 'Use the built-in account' }).waitFor();
  await page.addScriptTag({ path: AXE });
  const { violations } = await page.evaluate(() => axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), []);
  await close(page);
});

test('at 380 pixels nothing is wider than the window, and all that can be pressed can be reached', async () => {
  const page = await open(browser, `${emulator.console}#/activity`, { viewport: { width: 380, height: 740 } });
  for (const [name, place] of Object.entries(await places())) {
    await go(page, place);
    const wide = await page.evaluate(() => [...document.querySelectorAll('body, main, main *')]
      .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5 && !element.closest('pre, .row, #screens'))
      .map((element) => `${element.tagName}.${element.className} ${element.textContent.slice(0, 40)}`));
    assert.deepEqual(wide, [], name);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), name);
  }
  await go(page, (await places()).requests);
  await page.getByRole('article', { name: 'Request' }).getByRole('button', { name: /Copy as curl/ }).scrollIntoViewIfNeeded();
  await close(page);
});

test('the keyboard searches, goes from row to row, opens one, copies curl and shows its keys', async () => {
  const page = await open(browser, `${emulator.console}#/activity?show=pushes`, { permissions: ['clipboard-read', 'clipboard-write'] });
  await page.locator('.row').first().waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('busybox:v2');
  await page.waitForFunction(() => document.querySelectorAll('.row').length === 1);
  await page.keyboard.press('Escape');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'group/busybox:v2' }).waitFor();
  await page.keyboard.press('c');
  await page.waitForFunction(() => document.getElementById('said').textContent !== '');
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(copied.startsWith('curl ') && copied.includes('"tag":"v2"') && copied.includes(emulator.url), copied);

  await page.goto(`${emulator.console}#/requests`);
  await page.locator('.row').first().waitFor();
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  const first = await page.locator('.row[aria-current]').innerText();
  await page.keyboard.press('k');
  assert.notEqual(await page.locator('.row[aria-current]').innerText(), first);
  await page.keyboard.press('Enter');
  await page.getByRole('article', { name: 'Request' }).getByRole('heading', { name: 'As curl' }).waitFor();
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await close(page);
});

test('the page loads from the emulator only, and its policy forbids all else', async () => {
  const page = await open(browser, `${emulator.console}#/activity`);
  await page.locator('.row').first().waitFor();
  const { headers } = await emulator.ask('GET', '/_emulator/', undefined, { Accept: 'text/html' });
  assert.equal(headers.get('content-security-policy'), "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
  const loaded = await page.evaluate(() => performance.getEntriesByType('resource').map((entry) => entry.name));
  assert.ok(loaded.length > 10);
  assert.deepEqual(loaded.filter((url) => !url.startsWith(emulator.url)), []);
  await close(page);
});

test('a record of a user\'s text never becomes markup', async () => {
  await fetch(`${emulator.url}/v2/manage/namespaces/%3Cimg%20src=x%20onerror=alert(1)%3E`, { headers: { 'X-Auth-Token': TOKEN } });
  const page = await open(browser, `${emulator.console}#/requests`);
  await page.locator('.row').first().waitFor();
  assert.equal(await page.locator('main img').count(), 0);
  await close(page);
});

/** The record of a run in a file, and a way to put another one in its place. */
const RECORD = /(<script id="run" type="application\/json">)(.*?)(<\/script>)/s;
const recordOf = (html) => JSON.parse(RECORD.exec(html)[2]);
const withRecord = (html, record) => html.replace(RECORD, (_, begin, __, end) => begin + JSON.stringify(record).replaceAll('<', '\\u003c') + end);

/** A report as `exec` leaves it after a run that pushed and failed. */
async function reportFile(name, script) {
  const file = join(folder, name);
  const seed = join(folder, 'seed.json');
  await writeFile(seed, JSON.stringify(SEED));
  await run(process.env.PROGRAM, ['exec', '--seed', seed, '--report', file, '--', process.execPath, '--input-type=module', '-e', script], { maxBuffer: 1 << 24 }).catch((error) => error);
  return file;
}

const PUSH = `
const url = process.env.SWR_EMULATOR_URL;
const headers = { 'X-Auth-Token': process.env.SWR_EMULATOR_TOKEN, 'Content-Type': 'application/json' };
const push = (tag) => fetch(url + '/_emulator/push', { method: 'POST', headers, body: JSON.stringify({ namespace: 'group', repository: 'busybox', tag }) });
`;

test('a report file opened from a disk shows the run without a server', async () => {
  const file = await reportFile('report.html', `${PUSH}
    await push('v1'); await push('v1.0');
    await fetch(url + '/_emulator/idle', { headers });
    await fetch(url + '/v2/manage/namespaces/none', { headers });
    process.exit(3);`);
  const page = await open(browser, `${pathToFileURL(file)}#/activity`);
  await page.locator('.row', { hasText: 'group/busybox:v1.0' }).waitFor();
  await page.locator('.row', { hasText: 'ShowNamespace' }).waitFor();
  const { about, report } = recordOf(await readFile(file, 'utf8'));
  assert.equal(report.pushes.length, 2);
  for (const push of report.pushes) {
    await page.goto(`${pathToFileURL(file)}#/push/group/busybox/${push.id}`);
    await page.getByRole('heading', { level: 1, name: `group/busybox:${push.tag}`, exact: true }).waitFor();
    const shown = await cells(page, 'Decisions');
    assert.deepEqual(shown.map(([trigger]) => trigger), push.triggers.map(({ trigger }) => trigger));
    for (const [at, { reason }] of push.triggers.entries()) assert.ok(shown[at][2].includes(reason), shown[at][2]);
    assert.equal(push.page, `${about.url}/_emulator/#/push/group/busybox/${push.id}`);
  }
  for (const hash of ['#/trigger', '#/trigger/group/busybox/on-push', '#/requests', '#/registry', '#/clusters', '#/world']) {
    await page.goto(pathToFileURL(file) + hash);
    await page.getByRole('heading', { level: 1 }).waitFor();
  }
  assert.deepEqual(await page.evaluate(() => performance.getEntriesByType('resource').map((entry) => entry.name)), []);
  await close(page);
});

test('a report file has no secret of the run', async () => {
  const file = await reportFile('secrets.html', `${PUSH}
    await push('v1');
    await fetch(url + '/v2/manage/utils/secret', { method: 'POST', headers });
    await fetch(url + '/v2/manage/namespaces?token=hunter2hunter2', { headers: { 'X-Auth-Token': 'hunter2hunter2' } });`);
  const record = JSON.stringify(recordOf(await readFile(file, 'utf8')));
  for (const secret of ['SwrEmulatorExampleSecretKey', 'hunter2hunter2']) assert.ok(!record.includes(secret), secret);
});

test('a report of 1,000 pushes has at most 2 MB', async () => {
  const file = await reportFile('large.html', `${PUSH}
    let left = 1000;
    await Promise.all(Array.from({ length: 8 }, async () => { while (left-- > 0) await push('v' + left % 10); }));
    await fetch(url + '/_emulator/idle?timeout=60s', { headers });`);
  const { size } = await stat(file);
  assert.ok(size <= 2_000_000, `${size} bytes`);
  const { report } = recordOf(await readFile(file, 'utf8'));
  assert.ok(report.pushes.length > 500, `${report.pushes.length} pushes`);
  assert.equal(report.pushes.length + report.left_out.pushes, 1000);
  const page = await open(browser, `${pathToFileURL(file)}#/activity`);
  await page.locator('.row').first().waitFor();
  if (report.left_out.pushes) await page.getByText(`no room for ${report.left_out.pushes} older pushes`).waitFor();
  await close(page);
});

test('of 10,000 pushes only those in sight are in the document, and each can be scrolled to', async () => {
  const html = await readFile(await reportFile('many.html', `${PUSH} await push('v1');`), 'utf8');
  const record = recordOf(html);
  const [one] = record.report.pushes;
  record.report.pushes = Array.from({ length: 10_000 }, (_, at) => ({ ...one, id: 10_000 - at, tag: `t${10_000 - at}` }));
  const file = join(folder, 'many.html');
  await writeFile(file, withRecord(html, record));
  const page = await open(browser, `${pathToFileURL(file)}#/activity?show=pushes`);
  await page.locator('.row', { hasText: 'group/busybox:t10000' }).waitFor();
  assert.ok(await page.locator('.row').count() < 80);
  await page.locator('.scroller').evaluate((scroller) => scroller.scrollTo(0, scroller.scrollHeight));
  await page.locator('.row', { hasText: /busybox:t1 / }).waitFor();
  assert.ok(await page.locator('.row').count() < 80);
  assert.equal(await page.locator('.row', { hasText: /busybox:t1 / }).locator('xpath=..').getAttribute('aria-posinset'), '10000');
  await close(page);
});

test('an odd record blanks neither the list nor a screen', async () => {
  const html = await readFile(await reportFile('odd.html', `${PUSH} await push('v1');`), 'utf8');
  const record = recordOf(html);
  const [one] = record.report.pushes;
  record.report.pushes = [
    { ...one, id: 9, triggers: null }, { ...one, id: 8, triggers: [null, 7, { trigger: {}, fires: 'x', reason: [], rollout: 5 }] },
    { id: 7 }, null, 'x', { ...one, id: 6, digest: 5, pushed_at: {} }, { ...one, id: 5, tag: '<b>&"\'' }, one,
  ];
  record.report.requests = [null, { request_id: 1 }, { ...record.report.requests[0], path: null, status: 'x' }];
  record.report.rollouts = [null, {}, { ...record.report.rollouts[0], after: null }];
  const file = join(folder, 'odd.html');
  await writeFile(file, withRecord(html, record));
  const page = await open(browser, `${pathToFileURL(file)}#/activity`);
  await page.locator('.row', { hasText: 'group/busybox:v1' }).first().waitFor();
  for (const id of [9, 8, 7, 6, 5]) {
    await page.goto(`${pathToFileURL(file)}#/push/group/busybox/${id}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
  }
  for (const hash of ['#/trigger', '#/trigger/group/busybox/on-push', '#/requests?id=1', '#/clusters', '#/activity']) {
    await page.goto(pathToFileURL(file) + hash);
    await page.getByRole('heading', { level: 1 }).waitFor();
  }
  page.troubles = page.troubles.filter((trouble) => !trouble.includes('TypeError'));
  await close(page);
});

test('the server writes the same report at its exit', async () => {
  const file = join(folder, 'server.html');
  const own = await Emulator.start(SEED, ['--report', file]);
  await own.push('busybox', 'v1');
  assert.equal(await own.stop(), 0);
  const page = await open(browser, `${pathToFileURL(file)}#/activity`);
  await page.locator('.row', { hasText: 'group/busybox:v1' }).waitFor();
  await close(page);
});

/** The files that the page is made of, as one number. */
async function pageDigest() {
  const root = new URL('../../../src/', import.meta.url);
  const hash = createHash('sha256');
  const names = (await readdir(new URL('console/page/', root))).sort();
  for (const name of names) hash.update(await readFile(new URL(`console/page/${name}`, root)));
  return hash.update(await readFile(new URL('guide/base.css', root))).digest('hex');
}

test('the screenshots of the guide are of this page', async () => {
  const guide = new URL('../../../src/guide/', import.meta.url);
  const noted = new URL('console-screenshots.sha256', guide);
  if (process.env.SCREENSHOTS === 'write') {
    const page = await open(browser, `${emulator.console}#/activity`, { viewport: { width: 1000, height: 620 }, colorScheme: 'light' });
    const all = await places();
    for (const name of ['activity', 'push', 'trigger']) {
      await go(page, all[name]);
      await page.screenshot({ path: fileURLToPath(new URL(`console-${name}.png`, guide)), animations: 'disabled' });
    }
    await close(page);
    await writeFile(noted, `${await pageDigest()}\n`);
  }
  const made = (await readFile(noted, 'utf8').catch(() => '')).trim();
  assert.equal(made, await pageDigest(), 'the page has changed: run SCREENSHOTS=write tests/clients/page/run, and look at src/guide/console-*.png');
  let size = 0;
  for (const name of ['activity', 'push', 'trigger']) size += (await stat(new URL(`console-${name}.png`, guide))).size;
  assert.ok(size < 400_000, `${size} bytes`);
});
