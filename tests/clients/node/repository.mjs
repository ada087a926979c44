// Repositories, and the account's list of them.

import assert from 'node:assert/strict';
import { it } from 'node:test';

import {
  ACCOUNT,
  MOMENT,
  USER,
  assertEmptyObject,
  assertRefused,
  assertStartsWith,
  names,
} from './harness.mjs';

export function repositories(harness) {
  const {
    newOrganization,
    newOrganizationWithRepository,
    showOrganization,
    createRepository,
    showRepository,
    deleteRepository,
    updateRepository,
    listRepositories,
  } = harness;

  it('creates, shows, changes and deletes a repository', async (test) => {
    const organization = await newOrganization(test);

    // Text outside ASCII and `/` in the name are what signatures stumble over.
    const attributes = { category: 'linux', description: 'Überall “Läuft” 镜像', is_public: true };
    assertEmptyObject(200, await createRepository(organization, 'library/nginx', attributes));

    const shown = await showRepository(organization);
    assert.equal(shown.name, 'library/nginx');
    assert.deepEqual([shown.category, shown.is_public], ['linux', true]);
    assert.equal(shown.description, attributes.description);
    assert.deepEqual([shown.creator_name, shown.url, shown.priority], [USER, '', 0]);
    assert.deepEqual([shown.num_images, shown.num_download, shown.size], [0, 0, 0]);
    assert.ok(shown.path.endsWith(`/${organization}/library/nginx`), shown.path);
    assert.equal(shown.internal_path, shown.path);
    assert.match(shown.created, MOMENT);
    assert.equal(shown.updated, shown.created);
    assert.ok(Number.isInteger(shown.id));
    assert.equal(shown.ns_id, (await showOrganization(organization)).id);

    const change = { category: 'other', description: 'second', is_public: false };
    assertEmptyObject(201, await updateRepository(change, organization));
    const changed = await showRepository(organization);
    assert.deepEqual([changed.category, changed.is_public], ['other', false]);
    assert.deepEqual([changed.description, changed.id], ['second', shown.id]);
    assert.equal(changed.created, shown.created);
    assert.match(changed.updated, MOMENT);

    assertEmptyObject(204, await deleteRepository(organization));
    await assertRefused(404, 'SVCSTG.SWR.4040010', showRepository(organization));
  });

  it('gives a repository without attributes the defaults', async (test) => {
    const organization = await newOrganizationWithRepository(test, 'nginx');
    const shown = await showRepository(organization, 'nginx');
    assert.deepEqual([shown.category, shown.description, shown.is_public], ['other', '', false]);
  });

  it('does not create a repository that exists', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    await assertRefused(409, 'SVCSTG.SWR.4090006', createRepository(organization));
  });

  it('does not create a repository with an unlawful name', async (test) => {
    const organization = await newOrganization(test);
    const message = await assertRefused(
      400,
      'SVCSTG.SWR.4001029',
      createRepository(organization, 'No'),
    );
    assertStartsWith(message, 'repository: ');
  });

  it('refuses a repository of a missing organization', async () => {
    await assertRefused(404, 'SVCSTG.SWR.4040058', createRepository('node-missing'));
    await assertRefused(404, 'SVCSTG.SWR.4040058', showRepository('node-missing'));
  });

  it('neither changes nor deletes a missing repository', async (test) => {
    const organization = await newOrganization(test);
    const code = 'SVCSTG.SWR.4040010';
    await assertRefused(404, code, updateRepository({ is_public: true }, organization));
    await assertRefused(404, code, deleteRepository(organization));
  });

  it('lists a repository with every field', async (test) => {
    const organization = await newOrganization(test);
    const attributes = { category: 'database', description: 'd', is_public: true };
    await createRepository(organization, 'library/nginx', attributes);

    const listed = await listRepositories({ namespace: organization });
    assert.deepEqual([listed.length, listed['Content-Range']], [1, '0-1/1']);
    const [entry] = listed;
    const shown = await showRepository(organization);
    assert.ok(entry.path.endsWith(`/${organization}/library/nginx`), entry.path);
    assert.deepEqual(entry, {
      ...attributes,
      name: 'library/nginx',
      namespace: organization,
      domain_name: ACCOUNT,
      path: shown.path,
      internal_path: shown.path,
      created_at: shown.created,
      updated_at: shown.updated,
      size: 0,
      num_images: 0,
      num_download: 0,
      logo: '',
      url: '',
      tags: [],
      status: false,
      total_range: 1,
    });
  });

  it('lists repositories page by page', async (test) => {
    const organization = await newOrganization(test);
    for (const name of ['a/one', 'b/two', 'c/three']) {
      await createRepository(organization, name);
    }

    const check = async (parameters, expected, contentRange) => {
      const listed = await listRepositories({ namespace: organization, ...parameters });
      assert.deepEqual(names(listed), expected);
      assert.ok(listed.every((entry) => entry.total_range === 3));
      assert.equal(listed['Content-Range'], contentRange);
    };

    await check({}, ['a/one', 'b/two', 'c/three'], '0-3/3');
    await check({ limit: '2', offset: '0' }, ['a/one', 'b/two'], '0-2/3');
    await check({ limit: '2', offset: '2' }, ['c/three'], '2-1/3');
    await check({ limit: '2', offset: '4' }, [], '4-0/3');
  });

  it('lists repositories in the order asked for', async (test) => {
    const organization = await newOrganization(test);
    for (const name of ['b', 'c', 'a']) {
      await createRepository(organization, name);
    }
    await updateRepository({ is_public: false, description: 'changed last' }, organization, 'c');

    const check = async (column, direction, expected) => {
      const order = { orderColumn: column, orderType: direction };
      const listed = await listRepositories({ namespace: organization, ...order });
      assert.deepEqual(names(listed), expected, `${column} ${direction}`);
    };

    await check('name', 'asc', ['a', 'b', 'c']);
    await check('name', 'desc', ['c', 'b', 'a']);
    await check('updated_time', 'asc', ['b', 'a', 'c']);
    await check('updated_at', 'desc', ['c', 'a', 'b']);
    const order = { orderColumn: 'colour', orderType: 'asc' };
    await assertRefused(400, 'SVCSTG.SWR.4001096', listRepositories(order));
  });

  it('lists repositories by filter', async (test) => {
    const organization = await newOrganization(test);
    await createRepository(organization, 'library/nginx', { category: 'linux' });
    await createRepository(organization, 'library/redis', { category: 'database' });
    await createRepository(organization, 'other/nginx', { category: 'database' });

    const check = async (pairs, expected, contentRange) => {
      // The filter displaces the separate parameter, which would match nothing.
      const filter = `namespace::${organization}|${pairs}`;
      const listed = await listRepositories({ filter, name: 'nothing' });
      assert.deepEqual(names(listed), expected, pairs);
      assert.equal(listed['Content-Range'], contentRange, pairs);
    };

    await check('name::nginx', ['library/nginx', 'other/nginx'], '0-2/2');
    await check('name::library/nginx', ['library/nginx'], '0-1/1');
    await check('name::nginx|limit::1|offset::1', ['other/nginx'], '1-1/2');
    await check('category::database', ['library/redis', 'other/nginx'], '0-2/2');
    await check('name::missing', [], '0-0/0');
    await assertRefused(400, 'SVCSTG.SWR.4001035', listRepositories({ filter: 'nonsense' }));
  });

  it('lists repositories by separate parameters', async (test) => {
    const organization = await newOrganization(test);
    await createRepository(organization, 'library/nginx', { category: 'linux' });
    await createRepository(organization, 'library/redis', { category: 'database' });

    const check = async (parameters, expected) => {
      const listed = await listRepositories({ namespace: organization, ...parameters });
      assert.deepEqual(names(listed), expected);
    };

    await check({ name: 'ngi' }, ['library/nginx']);
    await check({ category: 'database' }, ['library/redis']);
    await check({ name: 'nginx', category: 'database' }, []);
    // What the SDK sends as it stands, where others write %XX.
    await check({ name: "!*'()" }, []);
  });
}
