// What the chapters share: clients, and how a test arranges, acts and asserts.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';

// The packages are installed in a folder next to these, where an import by name does not look.
const require = createRequire(new URL('../../.node/', import.meta.url));
const { BasicCredentials, Region } = require('@huaweicloud/huaweicloud-sdk-core');
const {
  ServiceResponseException,
} = require('@huaweicloud/huaweicloud-sdk-core/exception/ServiceResponseException');
export const swr = require('@huaweicloud/huaweicloud-sdk-swr/v2/public-api');

// The SDK prints each refusal at length on stdout, in between the results of the tests.
require('log4js').configure({
  appenders: { stdout: { type: 'stdout' } },
  categories: { default: { appenders: ['stdout'], level: 'off' } },
});

export const BASE_URL = process.env.SWR_EMULATOR_URL ?? 'http://127.0.0.1:7970';
export const ACCESS_KEY = process.env.HUAWEICLOUD_SDK_AK ?? 'SWREMULATOR000000001';
const SECRET_KEY = process.env.HUAWEICLOUD_SDK_SK ?? 'SwrEmulatorExampleSecretKey0000000000001';
export const REGION = 'cn-north-4';

// The other region of seed.yaml. It listens on a port that only its start tells.
export const EAST_URL = process.env.SWR_EMULATOR_EAST_URL;
export const EAST_REGION = 'cn-east-3';

// The built-in account, its project in the region, and its user.
export const ACCOUNT = 'swr-emulator';
export const PROJECT_ID = '00000000000000000000000000000001';
export const USER = 'admin';
const TOKEN = 'swr-emulator';

export const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/;
const REQUEST_ID = /^[0-9a-f]{32}$/;

export function keys(accessKey = ACCESS_KEY, secretKey = SECRET_KEY) {
  return new BasicCredentials().withAk(accessKey).withSk(secretKey);
}

/** A client that knows its project, so that it never asks IAM. */
export function clientWithProject(credentials, region = REGION, url = BASE_URL) {
  return swr.SwrClient.newBuilder()
    .withCredential(credentials.withProjectId(PROJECT_ID))
    .withEndpoint(url)
    .build();
}

/** A client that, not knowing its project, asks IAM for the one named as the region. */
export function clientOfRegion(credentials, region = REGION, url = BASE_URL) {
  return swr.SwrClient.newBuilder()
    .withCredential(credentials.withIamEndpoint(BASE_URL))
    .withRegion(new Region(region, url))
    .build();
}

/** Asks the emulator for what SWR does not have, and so neither its SDK. */
export async function control(method, path, body, token = TOKEN) {
  const answer = await fetch(`${BASE_URL}${path}`, {
    method,
    headers: { 'X-Auth-Token': token, 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.json();
}

export function newName() {
  return `node-${randomBytes(8).toString('hex')}`;
}

/** The SDK reports this status and code, and the request's id; returns the message. */
export async function assertRefused(status, code, promise) {
  const error = await promise.then(
    () => assert.fail('the request was not refused'),
    (reason) => reason,
  );
  assert.ok(error instanceof ServiceResponseException, String(error));
  assert.deepEqual([error.httpStatusCode, error.errorCode], [status, code], error.errorMsg);
  assert.match(error.requestId, REQUEST_ID);
  assert.ok(error.errorMsg);
  return error.errorMsg;
}

export function assertStartsWith(text, start) {
  assert.equal(text.slice(0, start.length), start, text);
}

/** A write's answer is `{}`, to which the SDK adds the status. */
export function assertEmptyObject(status, response) {
  assert.deepEqual({ ...response }, { httpStatusCode: status });
}

/** An object has each field that the body gave. */
export function assertIs(trigger, body) {
  for (const [field, value] of Object.entries(body)) {
    if (value !== undefined) {
      assert.equal(trigger[field], value, field);
    }
  }
}

/** The names in an answer that is a list. */
export function names(listed) {
  assert.ok(Array.isArray(listed));
  return listed.map((entry) => entry.name);
}

/** What the tests of one client have in common; `connect` makes another client of its kind. */
export function harness(connect) {
  const client = connect(keys());

  // Arranging

  async function newOrganization(test, by = client) {
    const name = newName();
    await createOrganization(name, by);
    test.after(() => removeOrganization(name, by));
    return name;
  }

  async function newOrganizationWithRepository(test, name = 'library/nginx') {
    const organization = await newOrganization(test);
    await createRepository(organization, name);
    return organization;
  }

  /** Removes what a test left behind; a test may have removed the organization itself. */
  async function removeOrganization(name, by = client) {
    try {
      for (const repository of names(await listRepositories({ namespace: name }, by))) {
        await by.deleteRepo(inRepository(new swr.DeleteRepoRequest(), name, repository));
      }
      await by.deleteNamespaces(new swr.DeleteNamespacesRequest().withNamespace(name));
    } catch (error) {
      assert.equal(error.httpStatusCode, 404, String(error));
    }
  }

  /** Pushes a small image, the same for the same nonce; its digest. */
  async function push(organization, tag, options = {}) {
    const { repository = 'library/nginx', nonce = tag, token } = options;
    const body = { namespace: organization, repository, tag, nonce };
    return (await control('POST', '/_emulator/push', body, token)).digest;
  }

  // Acting. The SDK takes repository names with `$` for `/` in paths.

  function createOrganization(name, by = client) {
    const body = new swr.CreateNamespaceRequestBody().withNamespace(name);
    return by.createNamespace(new swr.CreateNamespaceRequest().withBody(body));
  }

  function showOrganization(name) {
    return client.showNamespace(new swr.ShowNamespaceRequest().withNamespace(name));
  }

  function deleteOrganization(name) {
    return client.deleteNamespaces(new swr.DeleteNamespacesRequest().withNamespace(name));
  }

  function createRepository(organization, name = 'library/nginx', attributes = {}, by = client) {
    const body = Object.assign(
      new swr.CreateRepoRequestBody().withRepository(name).withIsPublic(false),
      attributes,
    );
    return by.createRepo(new swr.CreateRepoRequest().withNamespace(organization).withBody(body));
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

  function listRepositories(parameters, by = client) {
    return by.listReposDetails(Object.assign(new swr.ListReposDetailsRequest(), parameters));
  }

  function listTags(organization, parameters = {}) {
    const request = inRepository(new swr.ListRepositoryTagsRequest(), organization);
    return client.listRepositoryTags(Object.assign(request, parameters));
  }

  return {
    client,
    connect,
    newOrganization,
    newOrganizationWithRepository,
    removeOrganization,
    push,
    createOrganization,
    showOrganization,
    deleteOrganization,
    createRepository,
    inRepository,
    showRepository,
    deleteRepository,
    updateRepository,
    listRepositories,
    listTags,
  };
}
