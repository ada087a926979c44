// The package as a test author uses it with the test runner of Node.

import assert, { AssertionError } from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { EmulatorError, RequestError, StartError, findBinary, start } from 'swr-emulator';

import { SEED } from './seed.mjs';

const IMAGE = 'group/busybox:v2';

/** An emulator for one test. */
async function own(context, options = { seed: SEED }) {
  const emulator = await start(options);
  context.after(() => emulator.stop());
  return emulator;
}

/** Whether somebody answers there. */
function answers(url) {
  return new Promise((resolve) => {
    get(`${url}/_emulator/health`, { agent: false }, (response) => {
      response.resume();
      resolve(true);
    }).on('error', () => resolve(false));
  });
}

test('a push fires its trigger', async (context) => {
  const emulator = await own(context);
  const digest = await emulator.push(IMAGE);

  const entry = await emulator.wait(IMAGE, 'on-push');
  assert.deepEqual([entry.tag, entry.result, entry.application], ['v2', 'success', 'web']);
  assert.deepEqual(await emulator.assertFired(IMAGE, 'on-push'), entry);
  const push = await emulator.wait(IMAGE);
  assert.deepEqual([push.digest, push.triggers[0].tries], [digest, 1]);
  assert.deepEqual(await emulator.pushes(IMAGE), [push]);
  assert.deepEqual(await emulator.wait(`${emulator.registry}/${IMAGE}`, {}), push);
});

test('a pipeline pushes again after a fault', async (context) => {
  const emulator = await own(context);
  await emulator.fault('PutManifest', { status: 503, times: 1, tag: 'v2' });

  for (let tries = 0; tries < 3; tries += 1) {
    try {
      await emulator.push(IMAGE);
      break;
    } catch (error) {
      assert.ok(error instanceof RequestError);
      assert.deepEqual([error.status, error.code], [503, 'UNAVAILABLE']);
    }
  }

  await emulator.assertFired(IMAGE, 'on-push');
  const manifests = await emulator.requests({ operation: 'PutManifest' });
  assert.deepEqual(
    manifests.map(({ status }) => status),
    [201, 503],
  );
  assert.equal((await emulator.requests({ status: '5xx', namespace: 'group' })).length, 1);
  assert.deepEqual(await emulator.requests({ since: new Date(Date.now() + 3_600_000) }), []);
  assert.match(await emulator.report(), /^503 PUT \/v2\/group\/busybox\/manifests\/v2 PutManifest /m);
});

test('a tag that does not match fires nothing, and the reason is told', async (context) => {
  const emulator = await own(context);
  await emulator.push('group/busybox:v1.0');

  const reason = await emulator.assertNotFired('group/busybox:v1.0', 'on-push');
  assert.match(reason, /^\^v\[0-9\]\$ does not match v1\.0/);
  await assert.rejects(emulator.assertFired('group/busybox:v1.0', 'on-push'), (error) => {
    assert.ok(error instanceof AssertionError);
    const [told, push, ...decisions] = error.message.split('\n');
    assert.equal(told, `on-push did not fire for group/busybox:v1.0: ${reason}`);
    assert.match(push, /^push 1 of group\/busybox:v1\.0 by admin \(sha256:/);
    assert.deepEqual(decisions, [`  on-push did not fire: ${reason}`]);
    return true;
  });
  await assert.rejects(emulator.wait('group/busybox:v1.0', 'on-push'), AssertionError);
});

test('a misspelt trigger and a missing push prove nothing', async (context) => {
  const emulator = await own(context);
  for (const check of ['assertFired', 'assertNotFired']) {
    await assert.rejects(emulator[check]('group/busybox:none', 'on-push', { timeout: 50 }), {
      name: 'AssertionError',
      message: /No push of group\/busybox:none arrived in time/,
    });
    await emulator.push(IMAGE);
    await assert.rejects(emulator[check](IMAGE, 'on-psuh'), {
      name: 'AssertionError',
      message: /Not found trigger[^]*on-push fired/,
    });
  }
  await assert.rejects(emulator.assertNotFired(IMAGE, 'on-push'), /on-push fired: success/);
});

test('a firing that failed is no success', async (context) => {
  const emulator = await own(context, { seed: SEED.replace('/group/busybox:v1', '/group/other:v1') });
  await emulator.push(IMAGE);
  assert.equal((await emulator.wait(IMAGE, 'on-push')).result, 'failed');
  const told = /on-push fired for .*, but failed: no container uses/;
  await assert.rejects(emulator.assertFired(IMAGE, 'on-push'), told);
  assert.equal((await emulator.explain(IMAGE))[0].outcome, 'fails');
});

test('a later push is waited for', async (context) => {
  const emulator = await own(context);
  await emulator.push(IMAGE);
  const { id: after } = await emulator.wait(IMAGE);
  await assert.rejects(emulator.wait(IMAGE, { after, timeout: 50 }), /after the push/);
  await emulator.push(IMAGE);
  assert.ok((await emulator.wait(IMAGE, { after })).id > after);
});

test('the same content makes the same image', async (context) => {
  const emulator = await own(context);
  const digest = await emulator.push(IMAGE, { content: 'a' });
  assert.equal(await emulator.push(IMAGE, { content: 'a' }), digest);
  assert.notEqual(await emulator.push(IMAGE), await emulator.push(IMAGE));
});

test('the clock advances, and a reset takes everything back', async (context) => {
  const emulator = await own(context);
  await emulator.advance('40d');
  await emulator.advance(1500);
  await emulator.push(IMAGE);
  const day = 86_400_000;
  const pushed = Date.parse((await emulator.wait(IMAGE)).pushed_at);
  assert.ok(pushed > Date.now() + 39 * day);

  await emulator.reset();
  assert.deepEqual(await emulator.pushes(IMAGE), []);
});

test('a wait for a healthy rollout tells why it does not get through', async (context) => {
  const emulator = await own(context);
  const plan = ', rollout: {outcome: CrashLoopBackOff, after: 1h, message: exit code 3}}]}]}]';
  await emulator.reset(SEED.trimEnd().replace(/\}\]\}\]\}\]$/, plan));
  await emulator.push(IMAGE);
  await emulator.assertFired(IMAGE, 'on-push');
  const open = emulator.wait(IMAGE, 'on-push', { until: 'healthy', timeout: 1 });
  await assert.rejects(open, /rollout progressing/);
  await emulator.advance('1h');
  const lost = emulator.wait(IMAGE, 'on-push', { until: 'healthy' });
  await assert.rejects(lost, /^AssertionError.*: on-push fired for .*, but its rollout is not healthy/);
  const all = emulator.wait(IMAGE, { until: 'healthy' });
  await assert.rejects(all, /rollout degraded: CrashLoopBackOff: exit code 3$/);

  await emulator.reset(SEED);
  await emulator.push(IMAGE);
  const entry = await emulator.wait(IMAGE, 'on-push', { until: 'healthy' });
  assert.deepEqual([entry.rollout.state, entry.workload.name], ['healthy', 'web']);
});

test('a reset goes to another seed, and later ones too', async (context) => {
  const emulator = await own(context);
  const other = { organizations: [{ name: 'other', repositories: [{ name: 'app' }] }] };
  const folder = mkdtempSync(join(tmpdir(), 'swr-test-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'seed.json');
  writeFileSync(file, JSON.stringify(other));
  for (const seed of [other, JSON.stringify(other), pathToFileURL(file), undefined]) {
    await emulator.reset(seed);
    assert.deepEqual(await emulator.pushes('other/app:v1'), []);
    await emulator.push('other/app:v1');
    await assert.rejects(emulator.explain(IMAGE), { status: 404 });
  }
  await assert.rejects(emulator.reset('oranizations: []'), { status: 400 });
  await emulator.reset(SEED);
  await emulator.push(IMAGE);
  await emulator.assertFired(IMAGE, 'on-push');
});

test('the state goes out as a file and comes back', async (context) => {
  const emulator = await own(context);
  await emulator.push(IMAGE);
  await emulator.assertFired(IMAGE, 'on-push');
  const folder = mkdtempSync(join(tmpdir(), 'swr-test-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'world.swr');
  await emulator.save(file);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  await emulator.reset();
  assert.deepEqual(await emulator.pushes(IMAGE), []);
  await emulator.load(file);
  await emulator.assertFired(IMAGE, 'on-push');
  writeFileSync(file, 'no snapshot');
  await assert.rejects(emulator.load(file), { status: 400 });
});

test('the variables point programs at it', async (context) => {
  // No setting of this emulator, nor of the one that prints the variables.
  process.env.SWR_EMULATOR_REGION = 'cn-east-3';
  context.after(() => delete process.env.SWR_EMULATOR_REGION);
  const emulator = await own(context);
  const program = 'console.log(process.env.SWR_EMULATOR_URL, process.env.HUAWEICLOUD_SDK_AK)';
  const env = { ...process.env, ...emulator.env };
  const printed = execFileSync(process.execPath, ['-e', program], { env, encoding: 'utf8' });
  assert.equal(printed.trim(), `${emulator.url} ${emulator.credentials.accessKey}`);
  assert.equal(emulator.env.SWR_EMULATOR_REGISTRY, emulator.registry);
  assert.ok(emulator.env.NO_PROXY.endsWith('127.0.0.1,localhost'));
  assert.equal(emulator.region, 'cn-north-4');
});

test('a seed is a text, a file or an object', async (context) => {
  const seed = { organizations: [{ name: 'group', repositories: [{ name: 'busybox' }] }] };
  const folder = mkdtempSync(join(tmpdir(), 'swr-test-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'seed file.json');
  writeFileSync(file, JSON.stringify(seed));
  for (const one of [seed, JSON.stringify(seed), pathToFileURL(file)]) {
    const emulator = await own(context, { seed: one, args: ['--region', 'cn-east-3'] });
    assert.deepEqual(await emulator.explain(IMAGE), []);
    assert.equal(emulator.region, 'cn-east-3');
  }
});

test('a start that fails says why', async () => {
  await assert.rejects(start({ seed: 'oranizations: []' }), {
    name: 'StartError',
    message: /^error: seed:1: oranizations: is unknown/,
  });
  await assert.rejects(start({ args: ['--sed'] }), StartError);
  await assert.rejects(start({ seed: 'seed.yaml' }), /pass new URL\("seed\.yaml", import\.meta\.url\)/);
  await assert.rejects(start({ sed: 'organizations: []' }), /sed: is unknown/);
});

test('no file is left behind', async (context) => {
  const { TMPDIR } = process.env;
  const folder = mkdtempSync(join(tmpdir(), 'swr-test-'));
  process.env.TMPDIR = folder;
  context.after(() => {
    rmSync(folder, { recursive: true });
    delete process.env.TMPDIR;
    Object.assign(process.env, TMPDIR === undefined ? {} : { TMPDIR });
  });
  const emulator = await start({ seed: SEED });
  await emulator.push(IMAGE);
  assert.notDeepEqual(readdirSync(folder), []);
  await emulator.stop();
  await assert.rejects(start({ seed: 'oranizations: []' }));
  assert.deepEqual(readdirSync(folder), []);
});

test('nothing answers after the end', async () => {
  const emulator = await start();
  assert.ok(await answers(emulator.url));
  await emulator.stop();
  assert.ok(!(await answers(emulator.url)));
  await emulator.stop();
  await assert.rejects(emulator.push(IMAGE), { name: 'RequestError', status: 0 });
  await assert.rejects(emulator.push('busybox'), /like group\/busybox:v2/);
});

test('an emulator outlives neither a killed test runner nor one that forgot it', async () => {
  const begin = "import { start } from 'swr-emulator'; console.log((await start()).url);";
  for (const end of ['setInterval(() => {}, 1000);', '']) {
    const program = ['--input-type=module', '-e', begin + end];
    const runner = spawn(process.execPath, program, { cwd: import.meta.dirname ?? '.' });
    const ended = once(runner, 'exit');
    const [url] = await once(createInterface({ input: runner.stdout }), 'line');
    if (end !== '') {
      assert.ok(await answers(url));
      runner.kill('SIGKILL');
    }
    await ended;
    const late = Date.now() + 60_000;
    while (await answers(url)) {
      assert.ok(Date.now() < late);
    }
  }
});

test('the program is that of the platform package or of the variable', (context) => {
  const installed = findBinary();
  assert.ok(installed.includes(join('node_modules', '@swr-emulator')), installed);
  assert.ok(existsSync(installed));
  context.after(() => delete process.env.SWR_EMULATOR_BINARY);
  process.env.SWR_EMULATOR_BINARY = installed;
  assert.equal(findBinary(), installed);
  process.env.SWR_EMULATOR_BINARY = '/nowhere';
  assert.throws(findBinary, /SWR_EMULATOR_BINARY names \/nowhere, which is not a file/);
  delete process.env.SWR_EMULATOR_BINARY;

  const { platform } = process;
  context.after(() => Object.defineProperty(process, 'platform', { value: platform }));
  Object.defineProperty(process, 'platform', { value: 'plan9' });
  assert.throws(findBinary, /no package with the emulator for plan9-/);
  Object.defineProperty(process, 'platform', { value: platform === 'darwin' ? 'linux' : 'darwin' });
  Object.defineProperty(process, 'arch', { value: 'arm64' });
  assert.throws(findBinary, (error) => {
    assert.ok(error instanceof EmulatorError);
    assert.match(error.message, /is not installed\. npm leaves it out with --omit=optional/);
    assert.match(error.message, /set SWR_EMULATOR_BINARY to a program/);
    return true;
  });
});
