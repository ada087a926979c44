// Images shared with other accounts.

import assert from 'node:assert/strict';
import { it } from 'node:test';

import {
  ACCOUNT,
  MOMENT,
  USER,
  assertEmptyObject,
  assertRefused,
  assertStartsWith,
  keys,
  names,
  swr,
} from './harness.mjs';

// The other account of seed.yaml.
const PARTNER = 'partner';

export function sharing(harness) {
  const { client, connect, newOrganization, newOrganizationWithRepository } = harness;
  const { createRepository, inRepository, showRepository } = harness;

  // Acting

  const asPartner = () => connect(keys('PARTNER', 'partner-secret'));

  function share(organization, terms = {}, repository = 'library/nginx') {
    const body = new swr.CreateRepoDomainsRequestBody(PARTNER, 'read', 'forever');
    const request = inRepository(new swr.CreateRepoDomainsRequest(), organization, repository);
    return client.createRepoDomains(request.withBody(Object.assign(body, terms)));
  }

  function updateShare(organization, deadline) {
    const body = new swr.UpdateRepoDomainsRequestBody('read', deadline);
    const request = inRepository(new swr.UpdateRepoDomainsRequest(), organization);
    return client.updateRepoDomains(request.withAccessDomain(PARTNER).withBody(body));
  }

  function showShare(organization) {
    const request = inRepository(new swr.ShowAccessDomainRequest(), organization);
    return client.showAccessDomain(request.withAccessDomain(PARTNER));
  }

  function listShares(organization) {
    return client.listRepoDomains(inRepository(new swr.ListRepoDomainsRequest(), organization));
  }

  function deleteShare(organization) {
    const request = inRepository(new swr.DeleteRepoDomainsRequest(), organization);
    return client.deleteRepoDomains(request.withAccessDomain(PARTNER));
  }

  function listShared(center, parameters, by = client) {
    const request = new swr.ListSharedReposDetailsRequest().withCenter(center);
    return by.listSharedReposDetails(Object.assign(request, parameters));
  }

  // Tests

  it('makes, shows, changes and removes a share', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    const deadline = '2999-10-01T16:00:00.000Z';
    assertEmptyObject(201, await share(organization, { deadline, description: 'for you' }));

    const { httpStatusCode, exist, ...shown } = await showShare(organization);
    assert.deepEqual([httpStatusCode, exist], [200, true]);
    assert.match(shown.creator_id, /^[0-9a-f]{32}$/);
    assert.match(shown.created, MOMENT);
    assertStartsWith(shown.deadline, '2999-10-01');
    assert.deepEqual(shown, {
      namespace: organization,
      repository: 'library/nginx',
      access_domain: PARTNER,
      permit: 'read',
      deadline: shown.deadline,
      description: 'for you',
      creator_id: shown.creator_id,
      creator_name: USER,
      created: shown.created,
      updated: shown.created,
      status: true,
    });
    assert.deepEqual([...(await listShares(organization))], [shown]);

    // Its last day is long over.
    assertEmptyObject(201, await updateShare(organization, '2020-01-01T00:00:00Z'));
    const changed = await showShare(organization);
    assertStartsWith(changed.deadline, '2020-01-01');
    assert.deepEqual([changed.description, changed.status], ['', false]);

    assertEmptyObject(204, await deleteShare(organization));
    assert.equal((await listShares(organization)).length, 0);
    assert.equal((await showShare(organization)).exist, false);
  });

  it('lists a shared image for both accounts', async (test) => {
    const organization = await newOrganization(test);
    for (const name of ['library/nginx', 'library/redis', 'library/kept']) {
      await createRepository(organization, name, { category: 'database' });
    }
    await share(organization);
    await share(organization, { deadline: '2020-01-01T00:00:00Z' }, 'library/redis');

    const check = async (by, center, parameters, expected) => {
      const listed = await listShared(center, { namespace: organization, ...parameters }, by);
      const found = listed.map((entry) => [entry.name, entry.status]);
      assert.deepEqual(found, expected);
      assert.equal(listed['Content-Range'], `0-${expected.length}/${expected.length}`);
      return listed;
    };

    const partner = asPartner();
    const [nginx, redis] = [
      ['library/nginx', true],
      ['library/redis', false],
    ];
    const order = { orderColumn: 'name', orderType: 'desc' };
    await check(client, 'self', order, [redis, ['library/nginx', false]]);
    await check(client, 'thirdparty', {}, []);
    await check(partner, 'self', {}, []);
    await check(partner, 'thirdparty', { filter: `namespace::${organization}|name::red` }, [redis]);
    const [entry] = await check(partner, 'thirdparty', { name: 'nginx' }, [nginx]);
    const shown = await showRepository(organization);
    assert.deepEqual([entry.domain_name, entry.namespace], [ACCOUNT, organization]);
    assert.deepEqual([entry.category, entry.is_public], ['database', false]);
    assert.deepEqual([entry.path, entry.total_range], [shown.path, 1]);
    assert.deepEqual([entry.created_at, entry.updated_at], [shown.created, shown.updated]);

    await deleteShare(organization);
    assert.deepEqual(names(await listShared('thirdparty', { namespace: organization }, partner)), [
      'library/redis',
    ]);
  });

  it('refuses a faulty or missing share', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    const refused = (status, code, promise) => assertRefused(status, `SVCSTG.SWR.${code}`, promise);
    await refused(400, '4001041', share(organization, { access_domain: 'nobody' }));
    const permit = await refused(400, '4000014', share(organization, { permit: 'write' }));
    assertStartsWith(permit, 'permit: ');
    const deadline = await refused(400, '4000014', share(organization, { deadline: 'tomorrow' }));
    assertStartsWith(deadline, 'deadline: ');
    await refused(400, '4001090', updateShare(organization, 'forever'));
    await refused(400, '4001090', deleteShare(organization));
    await share(organization);
    await refused(409, '4090089', share(organization));
    await refused(400, '4001025', listShared('everybody', {}));
  });
}
