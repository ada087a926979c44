// The official Node SDK against a running emulator: every operation that both of them have, which
// is all but the list of repositories by markers.
//
// Each test goes through the SDK's public interface only and judges what a program using the SDK
// would see: fields of responses and of exceptions. The URL comes from SWR_EMULATOR_URL. The tests
// run twice, by a client that was told its project and by one that asks IAM for it. Each test
// makes an organization of its own, so neither their order nor other contents of the emulator
// matter.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { before, describe, it } from 'node:test';

// The packages are installed beside this folder, where an import by name does not look.
const require = createRequire(new URL('../.node/', import.meta.url));
const { BasicCredentials, Region } = require('@huaweicloud/huaweicloud-sdk-core');
const {
  ClientRequestException,
} = require('@huaweicloud/huaweicloud-sdk-core/exception/ClientRequestException');
const swr = require('@huaweicloud/huaweicloud-sdk-swr/v2/public-api');

// The SDK prints each refusal at length on stdout, in between the results of the tests.
require('log4js').configure({
  appenders: { stdout: { type: 'stdout' } },
  categories: { default: { appenders: ['stdout'], level: 'off' } },
});

const BASE_URL = process.env.SWR_EMULATOR_URL ?? 'http://127.0.0.1:7970';
const ACCESS_KEY = process.env.HUAWEICLOUD_SDK_AK ?? 'SWREMULATOR000000001';
const SECRET_KEY = process.env.HUAWEICLOUD_SDK_SK ?? 'SwrEmulatorExampleSecretKey0000000000001';
const REGION = 'cn-north-4';

// The built-in account, its project in the region, and its user.
const ACCOUNT = 'swr-emulator';
const PROJECT_ID = '00000000000000000000000000000001';
const USER = 'admin';

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/;
const REQUEST_ID = /^[0-9a-f]{32}$/;

const ACCESS_DENIED = 'Incorrect IAM authentication information: ';

function keys(accessKey = ACCESS_KEY, secretKey = SECRET_KEY) {
  return new BasicCredentials().withAk(accessKey).withSk(secretKey);
}

/** A client that knows its project, so that it never asks IAM. */
function clientWithProject(credentials) {
  return swr.SwrClient.newBuilder()
    .withCredential(credentials.withProjectId(PROJECT_ID))
    .withEndpoint(BASE_URL)
    .build();
}

/** A client that, not knowing its project, asks IAM for the one named as the region. */
function clientOfRegion(credentials) {
  return swr.SwrClient.newBuilder()
    .withCredential(credentials.withIamEndpoint(BASE_URL))
    .withRegion(new Region(REGION, BASE_URL))
    .build();
}

function newName() {
  return `node-${randomBytes(8).toString('hex')}`;
}

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

/** The SDK reports this status and code, and the request's id; returns the message. */
async function assertRefused(status, code, promise) {
  const error = await promise.then(
    () => assert.fail('the request was not refused'),
    (reason) => reason,
  );
  assert.ok(error instanceof ClientRequestException, String(error));
  assert.deepEqual([error.httpStatusCode, error.errorCode], [status, code], error.errorMsg);
  assert.match(error.requestId, REQUEST_ID);
  assert.ok(error.errorMsg);
  return error.errorMsg;
}

function assertStartsWith(text, start) {
  assert.equal(text.slice(0, start.length), start, text);
}

/** A write's answer is `{}`, to which the SDK adds the status. */
function assertEmptyObject(status, response) {
  assert.deepEqual({ ...response }, { httpStatusCode: status });
}

/** The trigger has each field that the body gave. */
function assertIs(trigger, body) {
  for (const [field, value] of Object.entries(body)) {
    if (value !== undefined) {
      assert.equal(trigger[field], value, field);
    }
  }
}

/** The names in an answer that is a list. */
function names(listed) {
  assert.ok(Array.isArray(listed));
  return listed.map((entry) => entry.name);
}

/** The tests that both clients must pass. */
function operations(connect) {
  let client;
  before(() => {
    client = connect(keys());
  });

  // Arranging

  async function newOrganization(test) {
    const name = newName();
    await createOrganization(name);
    test.after(() => removeOrganization(name));
    return name;
  }

  async function newOrganizationWithRepository(test, name = 'library/nginx') {
    const organization = await newOrganization(test);
    await createRepository(organization, name);
    return organization;
  }

  /** Removes what a test left behind; a test may have removed the organization itself. */
  async function removeOrganization(name) {
    try {
      for (const repository of names(await listRepositories({ namespace: name }))) {
        await deleteRepository(name, repository);
      }
      await deleteOrganization(name);
    } catch (error) {
      assert.equal(error.httpStatusCode, 404, String(error));
    }
  }

  // Acting. The SDK takes repository names with `$` for `/` in paths.

  function createOrganization(name) {
    const body = new swr.CreateNamespaceRequestBody().withNamespace(name);
    return client.createNamespace(new swr.CreateNamespaceRequest().withBody(body));
  }

  function showOrganization(name) {
    return client.showNamespace(new swr.ShowNamespaceRequest().withNamespace(name));
  }

  function deleteOrganization(name) {
    return client.deleteNamespaces(new swr.DeleteNamespacesRequest().withNamespace(name));
  }

  function createRepository(organization, name = 'library/nginx', attributes = {}) {
    const body = Object.assign(
      new swr.CreateRepoRequestBody().withRepository(name).withIsPublic(false),
      attributes,
    );
    return client.createRepo(
      new swr.CreateRepoRequest().withNamespace(organization).withBody(body),
    );
  }

  function inRepository(request, organization, name = 'library/nginx') {
    return request.withNamespace(organization).withRepository(name.replaceAll('/', '$'));
  }

  function showRepository(...path) {
    return client.showRepository(inRepository(new swr.ShowRepositoryRequest(), ...path));
  }

  function deleteRepository(...path) {
    return client.deleteRepo(inRepository(new swr.DeleteRepoRequest(), ...path));
  }

  function updateRepository(attributes, ...path) {
    const body = Object.assign(new swr.UpdateRepoRequestBody(), attributes);
    return client.updateRepo(inRepository(new swr.UpdateRepoRequest(), ...path).withBody(body));
  }

  function listRepositories(parameters) {
    return client.listReposDetails(Object.assign(new swr.ListReposDetailsRequest(), parameters));
  }

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

  // Organizations

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

  // Repositories

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

  // Triggers

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

  // Versions

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

  // Credentials. The SDK keeps the project it once found for an access key, so whether a client
  // with a wrong secret key asks IAM first would depend on the order of tests; it is told instead.

  it('is refused with a wrong secret key', async () => {
    const stranger = connect(keys(ACCESS_KEY, 'wrong').withProjectId(PROJECT_ID));
    const listing = stranger.listReposDetails(new swr.ListReposDetailsRequest());
    const message = await assertRefused(401, 'APIGW.0301', listing);
    assertStartsWith(message, `${ACCESS_DENIED}verify aksk signature fail`);
  });

  it('is refused with an unknown access key', async () => {
    const stranger = connect(keys('UNKNOWN0000000000001'));
    const listing = stranger.listReposDetails(new swr.ListReposDetailsRequest());
    const message = await assertRefused(401, 'APIGW.0301', listing);
    assertStartsWith(message, `${ACCESS_DENIED}Get secretKey failed`);
  });
}

describe('a client that was told its project', () => {
  operations(clientWithProject);
});

describe('a client that asks IAM for its project', () => {
  operations(clientOfRegion);

  it('finds the project of the region', async () => {
    const credentials = keys();
    await clientOfRegion(credentials).listApiVersions(new swr.ListApiVersionsRequest());
    assert.equal(credentials.projectId, PROJECT_ID);
  });
});
