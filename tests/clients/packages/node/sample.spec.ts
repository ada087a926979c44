// The same with vitest, in TypeScript.

import { expect, test } from 'vitest';
import { type Emulator, type HistoryEntry, type Push, RequestError, start } from 'swr-emulator';

import { SEED } from './seed.mjs';

const IMAGE = 'group/busybox:v2';

test('a push fires its trigger', async () => {
  await using swr: Emulator = await start({ seed: SEED });
  const digest: string = await swr.push(IMAGE);
  const entry: HistoryEntry = await swr.wait(IMAGE, 'on-push');
  expect(entry.result).toBe('success');
  const push: Push = await swr.wait(IMAGE);
  expect(push).toMatchObject({ digest, triggers: [{ trigger: 'on-push', fires: true }] });
  await swr.assertFired(IMAGE, 'on-push', { timeout: 5000 });
});

test('a pipeline pushes again after a fault', async () => {
  await using swr = await start({ seed: SEED });
  await swr.fault('PutManifest', { status: 503, times: 1 });
  const failed: unknown = await swr.push(IMAGE).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(RequestError);
  expect((failed as RequestError).status).toBe(503);
  await swr.push(IMAGE);
  await swr.assertFired(IMAGE, 'on-push');
});

test('a tag that does not match fires nothing, and the reason is told', async () => {
  await using swr = await start({ seed: SEED });
  await swr.push('group/busybox:v1.0');
  const reason: string = await swr.assertNotFired('group/busybox:v1.0', 'on-push');
  expect(reason).toContain('does not match v1.0');
  await expect(swr.assertFired('group/busybox:v1.0', 'on-push')).rejects.toThrow(/push 1 of group\/busybox:v1.0/);
});

test('what it disposes of has ended', async () => {
  let url: string;
  {
    await using swr = await start();
    url = swr.url;
  }
  await expect(fetch(url)).rejects.toThrow();
});

test('mistakes are found by the compiler', async () => {
  // @ts-expect-error A seed is no number.
  await expect(start({ seed: 1 })).rejects.toThrow();
  // @ts-expect-error There is no such option.
  await expect(start({ sed: '' })).rejects.toThrow();
});
