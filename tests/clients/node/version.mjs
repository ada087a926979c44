// Versions of the API.

import assert from 'node:assert/strict';
import { it } from 'node:test';

import { assertIs, swr } from './harness.mjs';

export function versions(harness) {
  const { client } = harness;

  it('lists and shows the version', async () => {
    const { versions } = await client.listApiVersions(new swr.ListApiVersionsRequest());
    const { version } = await client.showApiVersion(
      new swr.ShowApiVersionRequest().withApiVersion('v2'),
    );
    assert.deepEqual(versions, [version]);
    assertIs(version, { id: 'v2', status: 'CURRENT' });
    assert.equal(version.links.rel, 'self');
    for (const field of ['min_version', 'updated', 'version']) {
      assert.ok(version[field], field);
    }
  });
}
