// Triggers.

import assert from 'node:assert/strict';
import { it } from 'node:test';

import {
  MOMENT,
  USER,
  assertEmptyObject,
  assertIs,
  assertRefused,
  assertStartsWith,
  names,
  swr,
} from './harness.mjs';

/** A trigger that is accepted, with some fields changed, or left out where undefined is given. */
function triggerBody(changes = {}) {
  return Object.assign(
    new swr.CreateTriggerRequestBody(),
    {
      action: 'update',
      app_type: 'deployments',
      application: 'web',
      cluster_id: '5b28c12f-dc10-11e9-97b3-0255ac1001b5',
      cluster_name: 'test',
      cluster_ns: 'default',
      condition: '.*',
      container: 'app',
      enable: 'true',
      name: 'deploy',
      trigger_mode: 'cce',
      trigger_type: 'all',
    },
    changes,
  );
}

export function triggers(harness) {
  const {
    client,
    newOrganization,
    newOrganizationWithRepository,
    createRepository,
    inRepository,
    deleteRepository,
  } = harness;

  // Acting

  function createTrigger(organization, body) {
    return client.createTrigger(
      inRepository(new swr.CreateTriggerRequest(), organization).withBody(body),
    );
  }

  function listTriggers(organization) {
    return client.listTriggersDetails(
      inRepository(new swr.ListTriggersDetailsRequest(), organization),
    );
  }

  function showTrigger(organization, name) {
    return client.showTrigger(
      inRepository(new swr.ShowTriggerRequest(), organization).withTrigger(name),
    );
  }

  function updateTrigger(organization, name, enable) {
    const body = new swr.UpdateTriggerRequestBody().withEnable(enable);
    return client.updateTrigger(
      inRepository(new swr.UpdateTriggerRequest(), organization).withTrigger(name).withBody(body),
    );
  }

  function deleteTrigger(organization, name) {
    return client.deleteTrigger(
      inRepository(new swr.DeleteTriggerRequest(), organization).withTrigger(name),
    );
  }

  // Tests

  it('creates a trigger and shows it with every field', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    const body = triggerBody();

    assertEmptyObject(201, await createTrigger(organization, body));

    const shown = await showTrigger(organization, 'deploy');
    assert.match(shown.created_at, MOMENT);
    assert.deepEqual(
      { ...shown },
      {
        ...body,
        created_at: shown.created_at,
        creator_name: USER,
        trigger_history: [],
        httpStatusCode: 200,
      },
    );
  });

  it('creates a trigger of each type', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    const bodies = [
      triggerBody({ name: 'every' }),
      triggerBody({ name: 'tags', trigger_type: 'tag', condition: 'v1;v1.1;latest' }),
      triggerBody({
        name: 'expression',
        trigger_type: 'regular',
        condition: '^v\\d+(\\.[0-9]+)?$',
        app_type: 'statefulsets',
        enable: 'false',
      }),
    ];
    for (const body of bodies) {
      await createTrigger(organization, body);
      assertIs(await showTrigger(organization, body.name), body);
    }
  });

  it('gives a trigger without its optional fields the defaults', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    const body = triggerBody({
      cluster_id: undefined,
      cluster_name: undefined,
      container: undefined,
      trigger_mode: undefined,
    });
    await createTrigger(organization, body);

    const shown = await showTrigger(organization, 'deploy');
    assertIs(shown, { trigger_mode: 'cce', cluster_id: '', cluster_name: '', container: '' });
  });

  it('creates a trigger for CCI, which names no cluster', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    const body = triggerBody({
      trigger_mode: 'cci',
      cluster_id: undefined,
      cluster_name: undefined,
    });
    await createTrigger(organization, body);

    const shown = await showTrigger(organization, 'deploy');
    assertIs(shown, body);
    assertIs(shown, { cluster_id: '', cluster_name: '' });
  });

  it('lists triggers without their history', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    assert.deepEqual(names(await listTriggers(organization)), []);
    const bodies = [
      triggerBody({ name: 'second' }),
      triggerBody({ name: 'first', enable: 'false' }),
    ];
    for (const body of bodies) {
      await createTrigger(organization, body);
    }

    const listed = await listTriggers(organization);
    assert.deepEqual(names(listed), ['second', 'first']);
    for (const [index, body] of bodies.entries()) {
      assertIs(listed[index], body);
      assertIs(listed[index], { creator_name: USER, trigger_history: null });
      const shown = await showTrigger(organization, body.name);
      assert.equal(listed[index].created_at, shown.created_at);
    }
  });

  it('disables and enables a trigger', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    const body = triggerBody();
    await createTrigger(organization, body);
    const created = await showTrigger(organization, 'deploy');

    for (const enable of ['false', 'true']) {
      assertEmptyObject(201, await updateTrigger(organization, 'deploy', enable));
      assert.deepEqual(await showTrigger(organization, 'deploy'), { ...created, enable });
    }
  });

  it('deletes a trigger', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    await createTrigger(organization, triggerBody({ name: 'kept' }));
    await createTrigger(organization, triggerBody());

    assertEmptyObject(204, await deleteTrigger(organization, 'deploy'));
    assert.deepEqual(names(await listTriggers(organization)), ['kept']);
  });

  it('reports a missing trigger from each operation', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    const code = 'SVCSTG.SWR.4040126';
    await assertRefused(404, code, showTrigger(organization, 'missing'));
    await assertRefused(404, code, updateTrigger(organization, 'missing', 'true'));
    await assertRefused(404, code, deleteTrigger(organization, 'missing'));
  });

  it('reports a missing repository or organization from each trigger operation', async (test) => {
    const missing = [
      [await newOrganization(test), 'SVCSTG.SWR.4040010'],
      ['node-missing', 'SVCSTG.SWR.4040058'],
    ];
    for (const [name, code] of missing) {
      await assertRefused(404, code, createTrigger(name, triggerBody()));
      await assertRefused(404, code, listTriggers(name));
      await assertRefused(404, code, showTrigger(name, 'deploy'));
      await assertRefused(404, code, updateTrigger(name, 'deploy', 'true'));
      await assertRefused(404, code, deleteTrigger(name, 'deploy'));
    }
  });

  it('does not create a trigger that exists', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    await createTrigger(organization, triggerBody());
    const again = createTrigger(organization, triggerBody());
    assertStartsWith(await assertRefused(400, 'SVCSTG.SWR.4000014', again), 'name: ');
  });

  it('refuses a faulty trigger by the name of its field', async (test) => {
    const organization = await newOrganizationWithRepository(test);

    const check = async (field, changes) => {
      const faulty = createTrigger(organization, triggerBody(changes));
      assertStartsWith(await assertRefused(400, 'SVCSTG.SWR.4000014', faulty), `${field}: `);
    };

    await check('condition', { condition: 'v1' });
    await check('condition', { trigger_type: 'tag', condition: 'v1;;v2' });
    await check('condition', { trigger_type: 'regular', condition: '(' });
    await check('condition', { condition: undefined });
    await check('enable', { enable: true });
    await check('name', { name: '1' });
    await check('cluster_id', { trigger_mode: 'cci' });
    assert.deepEqual(names(await listTriggers(organization)), []);
  });

  it('deletes triggers with their repository', async (test) => {
    const organization = await newOrganizationWithRepository(test);
    await createTrigger(organization, triggerBody());
    await deleteRepository(organization);
    await createRepository(organization);
    assert.deepEqual(names(await listTriggers(organization)), []);
  });
}
