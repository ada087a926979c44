// Each screen shows what the API answers.

import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { assert, browse, cells, close, Emulator, factsOf, open } from './harness.mjs';

let emulator;
let browser;

before(async () => {
  emulator = await Emulator.start();
  browser = await browse();
  for (const tag of ['v1', 'v1.0', 'v3']) await emulator.push('busybox', tag);
  await emulator.push('library/nginx', 'latest');
});

after(async () => {
  await browser?.close();
  await emulator?.stop();
});

const at = (hash, options) => open(browser, emulator.console + hash, options);
const pushes = () => emulator.get('/_emulator/pushes?namespace=group&repository=busybox');
const text = (locator) => locator.evaluate((element) => element.textContent);

/** The state that the page shows for a trigger at a push. */
const shownState = ({ fires, result, rollout }) => (!fires ? 'skipped' : result === 'failed' ? 'failed' : rollout?.state ?? 'success');

test('the start line names the page, and a browser that opens the address is led to it', async () => {
  assert.ok(emulator.greeting.includes(`console      ${emulator.console}`), emulator.greeting.join('\n'));
  const page = await at('');
  await page.goto(`${emulator.url}/`);
  assert.equal(page.url(), emulator.console);
  await close(page);
});

test('before a token is given, the seven screens are there and nothing is asked that needs one', async () => {
  const page = await at('', { token: null });
  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  await page.reload();
  await page.getByRole('button', { name: 'Use the built-in account' }).waitFor();
  const screens = await page.locator('#screens a').allInnerTexts();
  assert.deepEqual(screens, ['Activity', 'Push', 'Trigger', 'Requests', 'Registry', 'Clusters', 'World']);
  for (const name of ['Activity', 'Requests', 'Push']) {
    await page.locator('#screens').getByRole('link', { name, exact: true }).click();
    await page.getByRole('heading', { name, level: 1 }).waitFor();
  }
  assert.deepEqual(asked.filter((path) => path !== '/_emulator/' && !path.startsWith('/_emulator/console/') && path !== '/favicon.ico'), []);

  await page.getByRole('button', { name: 'Use the built-in account' }).click();
  await page.goto(`${emulator.console}#/activity`);
  await page.locator('.row').first().waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.getItem('swr-emulator-token')), 'swr-emulator');
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  await close(page);
});

test('a wrong token is told with the words of the API, and can be given again', async () => {
  const page = await at('', { token: 'wrong' });
  const { status, json } = await emulator.ask('GET', '/_emulator/report', undefined, { 'X-Auth-Token': 'wrong' });
  assert.equal(status, 401);
  await page.getByText(json.error_msg).waitFor();
  await page.getByLabel('X-Auth-Token', { exact: true }).fill('swr-emulator');
  await page.getByRole('button', { name: 'Use this token' }).click();
  await page.locator('.row').first().waitFor();
  await close(page);
});

test('activity has a row for each push with its verdicts, and one for each refused request', async () => {
  const refused = await fetch(`${emulator.url}/v2/manage/namespaces/nobody-has-this`, { headers: { 'X-Auth-Token': 'swr-emulator' } });
  assert.equal(refused.status, 404);
  const page = await at('#/activity');
  await page.locator('.row').first().waitFor();
  await page.getByText('ShowNamespace').waitFor();
  const rows = await page.locator('.row').allInnerTexts();
  for (const push of await pushes()) {
    const row = rows.find((row) => row.includes(`group/busybox:${push.tag}\n`) || row.includes(`group/busybox:${push.tag} `));
    assert.ok(row, `${push.tag}: ${rows.join(' | ')}`);
    const counts = new Map();
    for (const decision of push.triggers) counts.set(shownState(decision), (counts.get(shownState(decision)) ?? 0) + 1);
    for (const [state, count] of counts) assert.ok(row.includes(`${count} ${state}`), `${state} in ${row}`);
    assert.ok(row.includes(push.digest.slice(7, 19)), row);
  }
  const [recorded] = await emulator.get('/_emulator/requests?operation=ShowNamespace&status=404');
  const row = rows.find((row) => row.includes('ShowNamespace'));
  assert.ok(row.includes('404') && row.includes(recorded.message), row);

  await page.getByRole('button', { name: 'Pushes' }).click();
  await page.waitForFunction(() => !document.querySelector('main').innerText.includes('ShowNamespace'));
  assert.ok(page.url().endsWith('#/activity?show=pushes'), page.url());
  await page.getByRole('searchbox').fill('v1.0');
  await page.waitForFunction(() => document.querySelectorAll('.row').length === 1);
  await close(page);
});

test('activity is live: a push appears without a reload, and by its event alone', async () => {
  const page = await at('#/activity?show=pushes');
  await page.locator('.row').first().waitFor();
  await page.locator('#state', { hasText: /^live$/ }).waitFor();
  let reports = 0;
  page.on('request', (request) => { if (request.url().endsWith('/_emulator/report')) reports += 1; });
  await emulator.push('busybox', 'live');
  await page.locator('.row', { hasText: 'group/busybox:live' }).waitFor();
  await page.locator('.row', { hasText: 'group/busybox:live' }).getByText('1 failed').waitFor();
  assert.equal(reports, 0);
  await close(page);
});

test('activity names the firings that are waiting now', async () => {
  const own = await Emulator.start();
  const path = '/_emulator/clusters/test/namespaces/default/deployments/api';
  const { containers } = await own.get(path);
  await own.ask('PUT', path, { containers, delay_ms: 600_000 });
  await own.ask('POST', '/_emulator/push', { namespace: 'group', repository: 'busybox', tag: 'v5' });
  const page = await open(browser, `${own.console}#/activity?show=waiting`);
  await page.getByRole('heading', { name: 'Waiting now: 1' }).waitFor();
  const waiting = await page.locator('.waiting li').innerText();
  const [push] = await own.get('/_emulator/pushes?namespace=group&repository=busybox');
  const pending = push.triggers.find((decision) => decision.fires && !decision.result);
  assert.equal(pending.trigger, 'loose');
  assert.ok(waiting.includes('loose for group/busybox:v5') && waiting.includes(pending.reason), waiting);
  await page.locator('.row', { hasText: 'group/busybox:v5' }).getByText('1 waiting').waitFor();
  await close(page);
  await own.stop();
});

test('push shows every decision with its clause and nearest miss, and the request that pushed', async () => {
  const push = (await pushes()).find((push) => push.tag === 'v1.0');
  const page = await at(`#/push/group/busybox/${push.id}`);
  await page.locator('.near').first().waitFor();
  const shown = await cells(page, 'Decisions');
  const explained = await emulator.get('/_emulator/explain?namespace=group&repository=busybox&tag=v1.0');
  assert.equal(shown.length, push.triggers.length);
  for (const [at, decision] of push.triggers.entries()) {
    const [trigger, verdict, why, outcome] = shown[at];
    assert.equal(trigger, decision.trigger);
    assert.equal(verdict, shownState(decision));
    if (decision.detail) assert.ok(outcome.includes(decision.detail), outcome);
    const { reason } = explained.find((entry) => entry.trigger === decision.trigger);
    // The clause of one that fired, as far as it is told: an outcome can be told in its place.
    if (decision.fires) assert.equal(why, / matches | is one of /.test(reason) ? reason : decision.reason);
    else assert.ok(why.startsWith(decision.reason), why);
    if (!decision.fires) assert.ok(why.replace(/\s+/g, ' ').includes(reason.slice(decision.reason.length).replace(/^[:;,]? */, '')), `${why} / ${reason}`);
  }
  const facts = await factsOf(page.locator('main'));
  assert.equal(facts.Digest, push.digest);
  assert.equal(facts['Pushed by'], push.pushed_by);
  const [recorded] = (await emulator.get('/_emulator/requests?operation=EmulatorPush&limit=1000')).filter((request) => request.request_id === push.request_id);
  // Those of the test itself are not recorded; then the id stands there.
  assert.equal(facts.Request, recorded ? `POST ${recorded.path}` : push.request_id);
  assert.ok(push.page.endsWith(`/_emulator/#/push/group/busybox/${push.id}`), push.page);
  await close(page);
});

test('push shows the patch of the pod template as the rollout of the workload has it', async () => {
  const push = (await pushes()).find((push) => push.tag === 'v1');
  const page = await at(`#/push/group/busybox/${push.id}`);
  const diff = page.getByLabel('Change of the pod template').first();
  await diff.waitFor();
  const { rollouts } = await emulator.get('/_emulator/clusters/test/namespaces/default/deployments/web');
  const rollout = rollouts.find((rollout) => rollout.tag === 'v1' && rollout.trigger === 'on-push');
  assert.equal((await text(diff.locator('del'))).trim(), `-       image: ${rollout.before}`);
  assert.equal((await text(diff.locator('ins'))).trim(), `+       image: ${rollout.after}`);
  await close(page);
});

test('a rollout that fails is on the page of its push and of its workload, with the message of the pod', async () => {
  const own = await Emulator.start();
  const path = '/_emulator/clusters/test/namespaces/default/deployments/web';
  const { containers } = await own.get(path);
  const page = await open(browser, `${own.console}#/clusters/test/default/deployments/web`);
  await page.getByLabel('Rollout').selectOption('CrashLoopBackOff');
  await page.getByLabel('Message').fill('exit code 3');
  await page.getByRole('button', { name: 'Apply' }).click();
  await page.waitForFunction(() => document.querySelector('main [role="status"]')?.textContent.includes('behaves so') || document.querySelector('main dl.facts'));
  assert.deepEqual((await own.get(path)).rollout, { outcome: 'CrashLoopBackOff', after: '0s', message: 'exit code 3' });
  await own.push('busybox', 'v4');
  const waited = await own.ask('GET', '/_emulator/wait?namespace=group&repository=busybox&tag=v4&trigger=on-push&until=healthy');
  assert.equal(waited.status, 409, waited.text);
  const [push] = await own.get('/_emulator/pushes?namespace=group&repository=busybox');
  const { rollout } = push.triggers.find((decision) => decision.trigger === 'on-push');
  assert.equal(rollout.state, 'degraded');
  await page.goto(`${own.console}#/push/group/busybox/${push.id}`);
  const step = page.locator('section', { hasText: 'on-push' }).locator('.timeline li').last();
  await step.getByText('degraded').waitFor();
  const told = await step.innerText();
  assert.ok(told.includes(rollout.reason) && told.includes(rollout.message), told);
  const shown = await cells(page, 'Decisions');
  assert.equal(shown.find(([trigger]) => trigger === 'on-push')[1], 'degraded');

  await page.goto(`${own.console}#/clusters/test/default/deployments/web`);
  await page.getByRole('table', { name: 'Revisions' }).waitFor();
  const workload = await own.get(path);
  assert.equal((await factsOf(page.locator('main'))).State, workload.status.state);
  assert.deepEqual((await cells(page, 'Revisions')).map(([number, , state]) => [Number(number), state]), workload.revisions.map(({ revision, state }) => [revision, state]));
  assert.ok(containers.length === 1);
  await close(page);
  await own.stop();
});

test('push again makes a push that the page then shows', async () => {
  const [newest] = await pushes();
  const page = await at(`#/push/group/busybox/${newest.id}`);
  await page.getByRole('button', { name: 'Push again' }).click();
  await page.waitForURL((url) => url.hash === `#/push/group/busybox/${newest.id + 1}`);
  const again = (await pushes())[0];
  assert.equal(again.id, newest.id + 1);
  assert.equal(again.tag, newest.tag);
  await close(page);
});

test('trigger shows the fields of the reference, its history, and lints', async () => {
  const shown = await emulator.get('/v2/manage/namespaces/group/repos/busybox/triggers/loose');
  const page = await at('#/trigger/group/busybox/loose');
  await page.getByRole('heading', { name: 'Fields' }).waitFor();
  const facts = await factsOf(page.locator('main'));
  for (const name of ['name', 'enable', 'trigger_type', 'condition', 'app_type', 'application', 'cluster_id', 'cluster_ns', 'created_at', 'creator_name']) {
    assert.equal(facts[name], shown[name], name);
  }
  const history = await cells(page, 'History');
  assert.deepEqual(history.map(([, tag, result, detail]) => [tag, result, detail]), shown.trigger_history.map(({ tag, result, detail }) => [tag, result, detail]));
  assert.ok((await page.getByRole('list', { name: 'Lints' }).innerText()).includes('not anchored'));
  await close(page);
});

test('the tester shows the verdict of the engine as a tag is typed, and those of the repository\'s tags', async () => {
  const page = await at('#/trigger/group/busybox/on-push');
  for (const tag of ['v7', 'v7.1', 'latest']) {
    await page.getByLabel('Tag', { exact: true }).fill(tag);
    const entries = await emulator.get(`/_emulator/explain?namespace=group&repository=busybox&tag=${tag}`);
    const { outcome, reason } = entries.find((entry) => entry.trigger === 'on-push');
    await page.locator('.verdict', { hasText: reason }).waitFor();
    assert.ok((await page.locator('.verdict').innerText()).startsWith(outcome));
  }
  assert.ok(page.url().endsWith('?tag=latest'), page.url());
  await page.getByRole('button', { name: 'Try the repository\'s tags' }).click();
  const tags = await emulator.get('/v2/manage/namespaces/group/repos/busybox/tags');
  await page.waitForFunction((count) => document.querySelectorAll('table[aria-label^="Verdicts"] tbody tr').length === count, tags.length);
  for (const [tag, verdict, reason] of await cells(page, 'Verdicts on the repository\'s tags')) {
    const entries = await emulator.get(`/_emulator/explain?namespace=group&repository=busybox&tag=${tag}`);
    const entry = entries.find((entry) => entry.trigger === 'on-push');
    assert.deepEqual([verdict, reason], [entry.outcome, entry.reason]);
  }
  await close(page);
});

test('each kind of error is a record with its status, its code and the rule that refused', async () => {
  const ask = (method, path, body, headers = {}) => fetch(emulator.url + path, { method, body, headers: { 'X-Auth-Token': 'swr-emulator', 'Content-Type': 'application/json', ...headers } });
  await emulator.ask('POST', '/_emulator/faults', { operation: 'ListQuotas', status: 503, times: 1 });
  await emulator.ask('POST', '/_emulator/faults', { operation: 'ShowDomainOverview', cut: true, times: 1 });
  await ask('POST', '/v2/manage/namespaces', '{"namespace":"A"}');
  await ask('POST', '/v2/manage/namespaces', '{');
  await ask('GET', '/v2/manage/namespaces', undefined, { 'X-Auth-Token': 'wrong' });
  await ask('GET', '/v2/mange/namespaces');
  await ask('POST', '/v2/manage/namespaces', '{"namespace":"group"}');
  await ask('DELETE', '/v2/manage/namespaces/group');
  await ask('GET', '/v2/manage/projects/00000000000000000000000000000001/quotas');
  await ask('GET', '/v2/manage/overview').catch(() => {});
  await fetch(`${emulator.url}/v2/group/busybox/manifests/none`);
  const refused = (await emulator.get('/_emulator/requests?limit=50')).filter((request) => request.status === 0 || request.status >= 400);
  assert.deepEqual([...new Set(refused.map((request) => request.status))].sort(), [0, 400, 401, 404, 406, 409, 503]);
  const page = await at('#/requests');
  await page.locator('.row').first().waitFor();
  for (const request of refused) {
    await page.goto(`${emulator.console}#/requests?id=${request.request_id}`);
    const panel = page.getByRole('article', { name: 'Request' });
    await panel.getByText(request.request_id).waitFor();
    const facts = await factsOf(panel);
    assert.equal(facts.Request, `${request.method} ${request.path}`);
    assert.equal(facts.Caller, request.caller);
    assert.equal(facts.Code ?? null, request.code);
    assert.equal(facts['Refused by'] ?? null, request.message?.replace(/\s+/g, ' ').trim() ?? null);
    const heading = await panel.getByRole('heading', { level: 2 }).first().innerText();
    assert.ok(heading.endsWith(request.status === 0 ? 'cut' : String(request.status)), heading);
  }
  await close(page);
});

test('a request copied as curl is that request, and can be made a fault', async () => {
  await fetch(`${emulator.url}/v2/manage/namespaces/it's%20gone`, { headers: { 'X-Auth-Token': 'swr-emulator' } });
  const [request] = await emulator.get('/_emulator/requests?operation=ShowNamespace&limit=1');
  const page = await at(`#/requests?id=${request.request_id}`);
  const panel = page.getByRole('article', { name: 'Request' });
  await panel.getByRole('heading', { name: 'As curl' }).waitFor();
  const command = await panel.locator('section', { hasText: 'As curl' }).locator('pre').innerText();
  await promisify(execFile)('sh', ['-c', command]);
  const [again] = await emulator.get('/_emulator/requests?operation=ShowNamespace&limit=1');
  assert.notEqual(again.request_id, request.request_id);
  assert.deepEqual([again.method, again.path, again.status, again.caller], [request.method, request.path, request.status, request.caller]);

  await panel.getByLabel('Status').fill('507');
  await panel.getByRole('button', { name: 'Make this a fault' }).click();
  await panel.getByText('will fail with 507').waitFor();
  const faults = await emulator.get('/_emulator/faults');
  assert.deepEqual([faults.at(-1).operation, faults.at(-1).status, faults.at(-1).times], ['ShowNamespace', 507, 1]);
  await emulator.ask('DELETE', '/_emulator/faults');
  await close(page);
});

test('the body of a request is shown, and is part of its curl', async () => {
  const sent = { namespace: 'it\'s', repository: 'x' };
  await fetch(`${emulator.url}/v2/manage/namespaces`, { method: 'POST', body: JSON.stringify(sent), headers: { 'X-Auth-Token': 'swr-emulator', 'Content-Type': 'application/json' } });
  const [request] = await emulator.get('/_emulator/requests?operation=CreateNamespace&limit=1');
  assert.deepEqual(JSON.parse(request.body), sent);
  const page = await at(`#/requests?id=${request.request_id}`);
  const panel = page.getByRole('article', { name: 'Request' });
  await panel.getByRole('heading', { name: 'Body' }).waitFor();
  assert.deepEqual(JSON.parse(await panel.locator('section', { hasText: 'Body' }).first().locator('pre').innerText()), sent);
  await promisify(execFile)('sh', ['-c', await panel.locator('section', { hasText: 'As curl' }).locator('pre').innerText()]);
  const [again] = await emulator.get('/_emulator/requests?operation=CreateNamespace&limit=1');
  assert.notEqual(again.request_id, request.request_id);
  assert.deepEqual([again.status, again.body, again.message], [request.status, request.body, request.message]);
  await close(page);
});

test('requests can be narrowed by status, operation and word, all in the address', async () => {
  const page = await at('#/requests?status=4xx&operation=ShowNamespace');
  await page.locator('.row').first().waitFor();
  const wanted = (await emulator.get('/_emulator/requests?status=4xx&operation=ShowNamespace')).length;
  await page.waitForFunction((count) => document.querySelectorAll('.row').length === count, wanted);
  await page.getByLabel('Operation').selectOption('');
  await page.waitForFunction((count) => document.querySelectorAll('.row').length > count, wanted);
  assert.ok(page.url().endsWith('#/requests?status=4xx'), page.url());
  await close(page);
});

test('the page\'s own requests are not among those that it shows', async () => {
  const page = await at('#/trigger/group/busybox/on-push?tag=v1');
  await page.getByRole('heading', { name: 'Fields' }).waitFor();
  const before = await emulator.get('/_emulator/requests?limit=1000');
  await page.getByRole('button', { name: 'Try the repository\'s tags' }).click();
  await page.locator('table[aria-label^="Verdicts"] tbody tr').nth(2).waitFor();
  const later = await emulator.get('/_emulator/requests?limit=1000');
  assert.deepEqual(later.map((request) => request.request_id), before.map((request) => request.request_id));
  await close(page);
});

test('registry goes from organization to repository to tag, with layers and the pull command', async () => {
  const page = await at('#/registry');
  await page.getByRole('link', { name: 'group', exact: true }).click();
  await page.getByRole('link', { name: 'library/nginx' }).click();
  await page.getByRole('link', { name: 'latest', exact: true }).click();
  await page.getByRole('heading', { name: 'Pull' }).waitFor();
  const tag = await emulator.get('/v2/manage/namespaces/group/repos/library$nginx/tags/latest');
  const facts = await factsOf(page.locator('main'));
  assert.equal(facts.Digest, tag.digest);
  assert.equal(await page.locator('section', { hasText: 'Pull' }).first().locator('pre').innerText(), `docker pull ${tag.path}`);
  const { layers } = JSON.parse(tag.manifest);
  const shown = await cells(page, 'Layers');
  assert.deepEqual(shown.map(([digest]) => digest), layers.map((layer) => layer.digest));
  assert.ok(page.url().endsWith('#/registry/group/library%2Fnginx/latest'), page.url());
  await page.getByRole('link', { name: 'Organizations' }).click();
  const { namespaces } = await emulator.get('/v2/manage/namespaces');
  await page.getByRole('table', { name: 'Organizations' }).waitFor();
  assert.deepEqual((await cells(page, 'Organizations')).map(([name, count]) => [name, Number(count)]), namespaces.map((one) => [one.name, one.repo_count]));
  await close(page);
});

test('clusters shows a workload, and its switches make updates fail', async () => {
  const path = '/_emulator/clusters/test/namespaces/default/deployments/web';
  const page = await at('#/clusters');
  await page.getByRole('link', { name: 'default/deployments/web' }).click();
  await page.getByRole('table', { name: 'Containers' }).waitFor();
  const workload = await emulator.get(path);
  assert.deepEqual(await cells(page, 'Containers'), workload.containers.map(({ name, image }) => [name, image]));
  const rollouts = await cells(page, 'Rollouts');
  assert.equal(rollouts.length, workload.rollouts.length);
  for (const [at, rollout] of workload.rollouts.entries()) {
    const [, trigger, tag, container, image] = rollouts[at];
    assert.deepEqual([trigger, tag, container], [rollout.trigger, rollout.tag, rollout.container]);
    assert.ok(image.includes(rollout.before) && image.includes(rollout.after), image);
  }
  await page.getByLabel('Updates fail with status').fill('403');
  await page.getByLabel('How often').fill('100');
  await page.getByRole('button', { name: 'Apply' }).click();
  await page.getByText('behaves so from its next update on').or(page.getByRole('table', { name: 'Containers' })).first().waitFor();
  await page.waitForFunction(() => document.querySelector('[role="status"]') !== null);
  const { triggers } = await emulator.push('busybox', 'v8');
  const decision = triggers.find((decision) => decision.trigger === 'on-push');
  assert.equal(decision.result, 'failed', JSON.stringify(decision));
  await emulator.ask('PUT', path, { containers: workload.containers });
  await close(page);
});

test('world shows and moves the clock, lists faults, and exports the seed', async () => {
  await emulator.ask('POST', '/_emulator/faults', { operation: 'PutManifest', status: 502, times: 3, namespace: 'group' });
  const page = await at('#/world');
  await page.getByRole('table', { name: 'Faults' }).waitFor();
  const [fault] = await emulator.get('/_emulator/faults');
  const [[operation, effect, only, struck]] = await cells(page, 'Faults');
  assert.deepEqual([operation, only, struck], [fault.operation, 'namespace group', '0 of 3']);
  assert.ok(effect.includes('502'), effect);
  await page.getByRole('button', { name: 'Remove all faults' }).click();
  await page.getByText('Nothing fails on purpose').waitFor();
  assert.deepEqual(await emulator.get('/_emulator/faults'), []);

  await page.getByLabel('Advance by').fill('40d');
  await page.getByRole('button', { name: 'Advance', exact: true }).click();
  await page.getByText('The clock moved.').waitFor();
  const { ahead_seconds: ahead } = await emulator.get('/_emulator/clock');
  assert.ok(ahead >= 40 * 86400);
  assert.equal((await factsOf(page.locator('main'))).Ahead, `${ahead} s`);
  await page.getByRole('button', { name: 'Real time' }).click();
  await page.getByText('The clock shows the real time.').waitFor();

  await page.getByRole('button', { name: 'Show', exact: true }).click();
  const seed = page.locator('section', { hasText: 'Seed file' }).locator('pre').first();
  await page.getByText('This is the present state.').waitFor();
  assert.equal((await seed.evaluate((element) => element.textContent)).trim(), (await emulator.ask('GET', '/_emulator/seed')).text.trim());
  const [saved] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save world.swr' }).click()]);
  assert.equal(saved.suggestedFilename(), 'world.swr');
  await close(page);
});

test('reset asks first, and then the page shows the fresh start', async () => {
  const own = await Emulator.start();
  await own.push('busybox', 'v1');
  const page = await open(browser, `${own.console}#/world`);
  await page.getByRole('button', { name: 'Reset', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  assert.equal((await own.get('/_emulator/pushes?namespace=group&repository=busybox')).length, 1);
  await page.getByRole('button', { name: 'Reset', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Reset' }).click();
  await page.getByText('The instance is as after a fresh start.').waitFor();
  assert.equal((await own.get('/_emulator/pushes?namespace=group&repository=busybox')).length, 0);
  await page.goto(`${own.console}#/activity?show=pushes`);
  await page.getByText('Nothing here matches.').or(page.getByText('Nothing was pushed yet')).first().waitFor();
  await close(page);
  await own.stop();
});

test('empty screens give the next command with the address of this instance', async () => {
  const empty = await Emulator.start({ organizations: [] });
  const page = await open(browser, `${empty.console}#/activity`);
  for (const screen of ['activity', 'push', 'trigger', 'registry', 'clusters', 'world']) {
    await page.goto(`${empty.console}#/${screen}`);
    await page.locator('main pre', { hasText: empty.url }).first().waitFor();
  }
  // They work as they stand.
  await page.goto(`${empty.console}#/activity`);
  await page.locator('main .empty pre').nth(1).waitFor();
  for (const command of await page.locator('main .empty pre').allInnerTexts()) await promisify(execFile)('sh', ['-c', command]);
  await page.locator('.row', { hasText: 'group/busybox:v1' }).waitFor();
  await close(page);
  await empty.stop();
});
