// Permissions of users in organizations and repositories.

import assert from 'node:assert/strict';
import { it } from 'node:test';

import { USER, assertEmptyObject, assertRefused, keys, swr } from './harness.mjs';

const FORBIDDEN = [403, 'SVCSTG.SWR.4030170'];

/** Permissions of the users of seed.yaml, who have no rights of their own. */
function dev(auth) {
  return { user_id: '000000000000000000000000000000d1', user_name: 'dev', auth };
}

function ops(auth) {
  return { user_id: '000000000000000000000000000000d2', user_name: 'ops', auth };
}

export function permissions(harness) {
  const { client, connect, newOrganization, newOrganizationWithRepository } = harness;
  const { createRepository, inRepository, showRepository } = harness;

  // Acting

  const asDev = () => connect(keys('DEV', 'dev-secret'));

  function inOrganization(request, organization, body) {
    return request.withNamespace(organization).withBody(body);
  }

  function createInOrganization(...to) {
    return client.createNamespaceAuth(inOrganization(new swr.CreateNamespaceAuthRequest(), ...to));
  }

  function updateInOrganization(...to) {
    return client.updateNamespaceAuth(inOrganization(new swr.UpdateNamespaceAuthRequest(), ...to));
  }

  function deleteInOrganization(...to) {
    return client.deleteNamespaceAuth(inOrganization(new swr.DeleteNamespaceAuthRequest(), ...to));
  }

  function showInOrganization(organization, by = client) {
    return by.showNamespaceAuth(new swr.ShowNamespaceAuthRequest().withNamespace(organization));
  }

  function createInRepository(organization, body) {
    const request = inRepository(new swr.CreateUserRepositoryAuthRequest(), organization);
    return client.createUserRepositoryAuth(request.withBody(body));
  }

  function updateInRepository(organization, body) {
    const request = inRepository(new swr.UpdateUserRepositoryAuthRequest(), organization);
    return client.updateUserRepositoryAuth(request.withBody(body));
  }

  function deleteInRepository(organization, body) {
    const request = inRepository(new swr.DeleteUserRepositoryAuthRequest(), organization);
    return client.deleteUserRepositoryAuth(request.withBody(body));
  }

  function showInRepository(organization, by = client) {
    const request = inRepository(new swr.ShowUserRepositoryAuthRequest(), organization);
    return by.showUserRepositoryAuth(request);
  }

  // Tests

  it('lets a user do in an organization what was granted', async (test) => {
    const organization = await newOrganization(test);
    const user = asDev();
    const show = () =>
      user.showNamespace(new swr.ShowNamespaceRequest().withNamespace(organization));
    const create = () => createRepository(organization, 'library/nginx', {}, user);
    await assertRefused(...FORBIDDEN, show());

    assertEmptyObject(200, await createInOrganization(organization, [dev(1), ops(7)]));
    assert.equal((await show()).auth, 1);
    await assertRefused(...FORBIDDEN, create());

    assertEmptyObject(201, await updateInOrganization(organization, [dev(3)]));
    assert.equal((await show()).auth, 3);
    await create();
    assert.equal((await showRepository(organization)).creator_name, 'dev');

    assertEmptyObject(204, await deleteInOrganization(organization, [dev().user_id]));
    await assertRefused(...FORBIDDEN, show());
    assert.deepEqual((await showInOrganization(organization)).others_auths, [ops(7)]);
  });

  it('shows the permissions of an organization from where one stands', async (test) => {
    const organization = await newOrganization(test);
    const nobody = await showInOrganization(organization);
    assert.deepEqual([nobody.name, nobody.creator_name], [organization, USER]);
    assert.deepEqual([nobody.self_auth.user_name, nobody.self_auth.auth], [USER, 7]);
    assert.deepEqual(nobody.others_auths, []);
    assert.ok(Number.isInteger(nobody.id));

    await createInOrganization(organization, [dev(1), ops(3)]);
    const seen = await showInOrganization(organization, asDev());
    // Who made the organization has a permission of the same kind.
    assert.deepEqual([seen.self_auth, seen.others_auths], [dev(1), [nobody.self_auth, ops(3)]]);
  });

  it('refuses a faulty permission of an organization', async (test) => {
    const organization = await newOrganization(test);
    const create = (grant) => createInOrganization(organization, [grant]);
    const stranger = { ...dev(1), user_name: 'somebody' };
    await assertRefused(400, 'SVCSTG.SWR.4001065', create(dev(2)));
    await assertRefused(400, 'SVCSTG.SWR.4001067', create(stranger));
    const missing = 'SVCSTG.SWR.4040078';
    await assertRefused(404, missing, updateInOrganization(organization, [dev(1)]));
    await assertRefused(404, missing, deleteInOrganization(organization, [dev().user_id]));
    await create(dev(1));
    await assertRefused(409, 'SVCSTG.SWR.4090076', create(dev(1)));
  });

  it('lets a user do in a repository what was granted', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    const user = asDev();
    const show = () =>
      user.showRepository(inRepository(new swr.ShowRepositoryRequest(), organization));
    const update = () => {
      const body = new swr.UpdateRepoRequestBody().withIsPublic(false).withDescription('by dev');
      const request = inRepository(new swr.UpdateRepoRequest(), organization);
      return user.updateRepo(request.withBody(body));
    };
    await assertRefused(...FORBIDDEN, show());

    assertEmptyObject(201, await createInRepository(organization, [dev(1), ops(3)]));
    assert.equal((await show()).name, 'library/nginx');
    await assertRefused(...FORBIDDEN, update());

    assertEmptyObject(201, await updateInRepository(organization, [dev(3)]));
    await update();
    assert.equal((await showRepository(organization)).description, 'by dev');

    assertEmptyObject(204, await deleteInRepository(organization, [dev().user_id]));
    await assertRefused(...FORBIDDEN, show());
    assert.deepEqual((await showInRepository(organization)).others_auths, [ops(3)]);
  });

  it('shows the permissions of a repository from where one stands', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    await createInRepository(organization, [dev(7), ops(1)]);
    const shown = await showInRepository(organization);
    assert.equal(shown.name, 'library/nginx');
    assert.equal(shown.id, (await showRepository(organization)).id);
    assert.deepEqual([shown.self_auth.user_name, shown.self_auth.auth], [USER, 7]);
    assert.deepEqual(shown.others_auths, [dev(7), ops(1)]);
    const seen = await showInRepository(organization, asDev());
    assert.deepEqual([seen.self_auth, seen.others_auths], [dev(7), [ops(1)]]);
  });

  it('refuses a faulty permission of a repository', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    const create = (grant) => createInRepository(organization, [grant]);
    await assertRefused(400, 'SVCSTG.SWR.4001066', create(dev(0)));
    const missing = 'SVCSTG.SWR.4040091';
    await assertRefused(404, missing, updateInRepository(organization, [dev(1)]));
    await assertRefused(404, missing, deleteInRepository(organization, [dev().user_id]));
    await create(dev(1));
    await assertRefused(409, 'SVCSTG.SWR.4090089', create(dev(1)));
  });
}
