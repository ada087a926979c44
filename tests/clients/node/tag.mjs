// Tags.

import assert from 'node:assert/strict';
import { it } from 'node:test';

import { MOMENT, assertEmptyObject, assertRefused, swr } from './harness.mjs';

export function tags(harness) {
  const { client, newOrganization, inRepository, listTags, push, showRepository } = harness;

  // Acting

  function copyTag(organization, source, destination, override) {
    const body = new swr.CreateRepoTagRequestBody(source, destination).withOverride(override);
    return client.createRepoTag(
      inRepository(new swr.CreateRepoTagRequest(), organization).withBody(body),
    );
  }

  function deleteTag(organization, tag) {
    return client.deleteRepoTag(
      inRepository(new swr.DeleteRepoTagRequest(), organization).withTag(tag),
    );
  }

  const names = (listed) => listed.map((entry) => entry.Tag);

  // Tests

  it('lists a pushed tag with every field', async (test) => {
    const organization = await newOrganization(test);
    const digest = await push(organization, 'v1.0_A');

    const listed = await listTags(organization);
    assert.deepEqual([listed.length, listed['Content-Range']], [1, '0-1/1']);
    const [entry] = listed;
    const repository = await showRepository(organization);
    assert.equal(repository.num_images, 1);
    assert.ok(Number.isInteger(entry.id));
    assert.match(entry.created, MOMENT);
    assert.deepEqual(entry, {
      id: entry.id,
      repo_id: repository.id,
      Tag: 'v1.0_A',
      image_id: JSON.parse(entry.manifest).config.digest.replace('sha256:', ''),
      manifest: entry.manifest,
      digest,
      schema: 2,
      path: `${repository.path}:v1.0_A`,
      internal_path: `${repository.path}:v1.0_A`,
      size: repository.size,
      is_trusted: false,
      created: entry.created,
      updated: entry.created,
      deleted: null,
      domain_id: repository.domain_id,
      scanned: false,
      tag_type: 0,
    });
  });

  it('lists tags by page, order and filter', async (test) => {
    const organization = await newOrganization(test);
    for (const tag of ['b', 'a', 'ab']) {
      await push(organization, tag);
    }

    const check = async (parameters, expected, contentRange) => {
      const listed = await listTags(organization, parameters);
      assert.deepEqual(names(listed), expected);
      assert.equal(listed['Content-Range'], contentRange);
    };

    await check({ limit: '2', offset: '1' }, ['a', 'ab'], '1-2/3');
    await check({ orderColumn: 'updated_at', orderType: 'desc' }, ['ab', 'a', 'b'], '0-3/3');
    await check({ filter: 'tag::b|limit::1' }, ['b'], '0-1/2');
    const order = { orderColumn: 'colour' };
    await assertRefused(400, 'SVCSTG.SWR.4001096', listTags(organization, order));
  });

  it('copies, moves and deletes a tag', async (test) => {
    const organization = await newOrganization(test);
    const [first, second] = [await push(organization, 'v1'), await push(organization, 'v2')];
    const latest = async () => (await listTags(organization, { tag: 'latest' }))[0].digest;

    assertEmptyObject(201, await copyTag(organization, 'v1', 'latest'));
    assert.equal(await latest(), first);
    await assertRefused(409, 'SVCSTG.SWR.4090006', copyTag(organization, 'v2', 'latest'));
    await copyTag(organization, 'v2', 'latest', true);
    assert.equal(await latest(), second);

    assertEmptyObject(204, await deleteTag(organization, 'latest'));
    assert.deepEqual(names(await listTags(organization)), ['v1', 'v2']);
    await assertRefused(404, 'SVCSTG.SWR.4040048', deleteTag(organization, 'latest'));
    await assertRefused(404, 'SVCSTG.SWR.4040048', copyTag(organization, 'latest', 'v3'));
  });
}
