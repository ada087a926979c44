// Retention rules, what they delete, and its history.

import assert from 'node:assert/strict';
import { it } from 'node:test';

import { MOMENT, assertEmptyObject, assertRefused, assertStartsWith, swr } from './harness.mjs';

function rule(template, params, ...selectors) {
  return { template, params, tag_selectors: selectors };
}

function newest(num, ...selectors) {
  return rule('tag_rule', { num }, ...selectors);
}

export function retention(harness) {
  const { client, newOrganization, newOrganizationWithRepository } = harness;
  const { inRepository, listTags, push } = harness;

  // Acting

  function createRetention(organization, rules, algorithm = 'or') {
    const body = new swr.CreateRetentionRequestBody(algorithm, rules);
    const request = inRepository(new swr.CreateRetentionRequest(), organization);
    return client.createRetention(request.withBody(body));
  }

  function listRetentions(organization) {
    return client.listRetentions(inRepository(new swr.ListRetentionsRequest(), organization));
  }

  function showRetention(organization, id) {
    const request = inRepository(new swr.ShowRetentionRequest(), organization);
    return client.showRetention(request.withRetentionId(id));
  }

  function updateRetention(organization, id, rules) {
    const body = new swr.UpdateRetentionRequestBody('or', rules);
    const request = inRepository(new swr.UpdateRetentionRequest(), organization);
    return client.updateRetention(request.withRetentionId(id).withBody(body));
  }

  function deleteRetention(organization, id) {
    const request = inRepository(new swr.DeleteRetentionRequest(), organization);
    return client.deleteRetention(request.withRetentionId(id));
  }

  function listHistories(organization, filter) {
    const request = inRepository(new swr.ListRetentionHistoriesRequest(), organization);
    return client.listRetentionHistories(Object.assign(request, filter && { filter }));
  }

  const tags = async (organization) => (await listTags(organization)).map((entry) => entry.Tag);

  // Tests

  it('creates, shows, changes and deletes a retention', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    assert.equal((await listRetentions(organization)).length, 0);
    const keep = { kind: 'label', pattern: 'keep' };
    const rules = [rule('date_rule', { days: '30' }, keep), newest('10')];

    const { id, httpStatusCode } = await createRetention(organization, rules);
    assert.ok(Number.isInteger(id));
    assert.equal(httpStatusCode, 201);
    const expected = { algorithm: 'or', id, rules, scope: '' };
    const shown = await showRetention(organization, id);
    assert.deepEqual({ ...shown }, { ...expected, httpStatusCode: 200 });
    assert.deepEqual([...(await listRetentions(organization))], [expected]);

    // Numbers come back as text.
    const changes = [rule('date_rule', { days: 7 }), newest(5, keep)];
    assertEmptyObject(201, await updateRetention(organization, id, changes));
    const changed = [rule('date_rule', { days: '7' }), newest('5', keep)];
    assert.deepEqual((await showRetention(organization, id)).rules, changed);

    assertEmptyObject(200, await deleteRetention(organization, id));
    assert.equal((await listRetentions(organization)).length, 0);
  });

  it('deletes at once and after each push, and tells what', async (test) => {
    const organization = await newOrganization(test);
    for (const tag of ['keep', 'v1', 'v2', 'v3']) {
      await push(organization, tag);
    }
    const keep = { kind: 'regexp', pattern: '^keep$' };

    const { id } = await createRetention(organization, [newest('2', keep)]);
    assert.deepEqual(await tags(organization), ['keep', 'v2', 'v3']);
    await push(organization, 'v4');
    assert.deepEqual(await tags(organization), ['keep', 'v3', 'v4']);

    const history = await listHistories(organization);
    assert.deepEqual([history.total, history['Content-Range']], [2, '0-2/2']);
    const [second, first] = history.retention_log;
    assert.equal(second.tag, 'v2');
    assert.ok(Number.isInteger(first.id));
    assert.match(first.created_at, MOMENT);
    assert.deepEqual(JSON.parse(first.rule_type), newest('2', keep));
    assert.deepEqual(first, {
      created_at: first.created_at,
      id: first.id,
      namespace: organization,
      repo: 'library/nginx',
      retention_id: id,
      rule_type: first.rule_type,
      tag: 'v1',
    });
    const page = await listHistories(organization, 'limit::1|offset::1');
    assert.deepEqual([page.retention_log, page.total], [[first], 2]);
  });

  it('refuses a faulty, second or missing retention', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    const check = async (start, rules, algorithm) => {
      const faulty = createRetention(organization, rules, algorithm);
      assertStartsWith(await assertRefused(400, 'SVCSTG.SWR.4000014', faulty), start);
    };
    await check('algorithm: ', [newest('1')], 'and');
    await check('rules: ', []);
    await check('template: ', [rule('size_rule', { num: '1' })]);
    await check('num: ', [newest('1001')]);
    const missing = 2 ** 52;
    const code = 'SVCSTG.SWR.4040083';
    await assertRefused(404, code, showRetention(organization, missing));
    await assertRefused(404, code, updateRetention(organization, missing, [newest('1')]));
    // The real service was seen to answer this, and Terraform to rely on it.
    await assertRefused(400, 'SVCSTG.SWR.4000306', deleteRetention(organization, missing));
    await createRetention(organization, [newest('1')]);
    await check('the repository already has a retention rule', [newest('1')]);
  });
}
