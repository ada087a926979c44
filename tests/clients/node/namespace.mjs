// Organizations.

import assert from 'node:assert/strict';
import { it } from 'node:test';

import {
  USER,
  assertEmptyObject,
  assertRefused,
  assertStartsWith,
  names,
  newName,
  swr,
} from './harness.mjs';

export function organizations(harness) {
  const {
    client,
    newOrganization,
    newOrganizationWithRepository,
    removeOrganization,
    createOrganization,
    showOrganization,
    deleteOrganization,
  } = harness;

  it('creates, shows and deletes an organization', async (test) => {
    const name = newName();
    test.after(() => removeOrganization(name));

    assertEmptyObject(201, await createOrganization(name));

    const shown = await showOrganization(name);
    assert.ok(Number.isInteger(shown.id));
    assert.deepEqual(
      { ...shown },
      { id: shown.id, name, creator_name: USER, auth: 7, httpStatusCode: 200 },
    );

    assertEmptyObject(204, await deleteOrganization(name));
    await assertRefused(404, 'SVCSTG.SWR.4040058', showOrganization(name));
  });

  it('lists organizations all or by name', async (test) => {
    const [first, second] = [await newOrganization(test), await newOrganization(test)];

    const all = await client.listNamespaces(new swr.ListNamespacesRequest());
    assert.ok(names(all.namespaces).includes(first) && names(all.namespaces).includes(second));
    const named = await client.listNamespaces(new swr.ListNamespacesRequest().withNamespace(first));
    assert.equal(named.namespaces.length, 1);
    const [found] = named.namespaces;
    assert.deepEqual([found.name, found.creator_name, found.auth], [first, USER, 7]);
    assert.equal(found.id, (await showOrganization(first)).id);
  });

  it('lists organizations by filter', async (test) => {
    const name = await newOrganization(test);

    const visible = await client.listNamespaces(
      new swr.ListNamespacesRequest().withFilter('mode::visible'),
    );
    assert.ok(names(visible.namespaces).includes(name));
    const named = await client.listNamespaces(
      new swr.ListNamespacesRequest().withFilter(`namespace::${name}|mode::visible`),
    );
    assert.deepEqual(names(named.namespaces), [name]);
  });

  it('does not create an organization that exists', async (test) => {
    const name = await newOrganization(test);
    await assertRefused(409, 'SVCSTG.SWR.4090060', createOrganization(name));
  });

  it('does not create an organization with an unlawful name', async () => {
    const message = await assertRefused(400, 'SVCSTG.SWR.4001028', createOrganization('No'));
    assertStartsWith(message, 'namespace: ');
  });

  it('does not delete an organization with repositories', async (test) => {
    const name = await newOrganizationWithRepository(test);
    await assertRefused(406, 'SVCSTG.SWR.4060074', deleteOrganization(name));
  });
}
