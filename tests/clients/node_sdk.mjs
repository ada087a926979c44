// The official Node SDK against a running emulator: every operation that it has. That is most of
// those of SWR's Basic Edition; the Python SDK has the others, too.
//
// Each test goes through the SDK's public interface only and judges what a program using the SDK
// would see: fields of responses and of exceptions. The emulator has the contents of seed.yaml; its
// URL comes from SWR_EMULATOR_URL, that of its other region from SWR_EMULATOR_EAST_URL. The tests
// run twice, by a client that was told its project and by one that asks IAM for it. Each test
// makes an organization of its own, so neither their order nor other contents of the emulator
// matter.
//
// The tests are in the folder node, chapter by chapter; this is who runs them, and the proof that
// no operation is left out.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { account } from './node/account.mjs';
import {
  ACCESS_KEY,
  PROJECT_ID,
  assertRefused,
  assertStartsWith,
  clientOfRegion,
  clientWithProject,
  harness,
  keys,
  swr,
} from './node/harness.mjs';
import { login } from './node/login.mjs';
import { organizations } from './node/namespace.mjs';
import { permissions } from './node/permission.mjs';
import { repositories } from './node/repository.mjs';
import { retention } from './node/retention.mjs';
import { sharing } from './node/sharing.mjs';
import { sync } from './node/sync.mjs';
import { tags } from './node/tag.mjs';
import { triggers } from './node/trigger.mjs';
import { versions } from './node/version.mjs';

const ACCESS_DENIED = 'Incorrect IAM authentication information: ';

// All methods of the SDK's client are operations, but for these.
const OTHERS = ['constructor', 'getPath'];
const OPERATIONS = Object.getOwnPropertyNames(swr.SwrClient.prototype).filter(
  (name) => !OTHERS.includes(name),
);

/** Has a client keep the operations that it called with success. */
function recorded(client, answered) {
  return new Proxy(client, {
    get(target, name) {
      if (!OPERATIONS.includes(name)) {
        return target[name];
      }
      return async (request) => {
        const response = await target[name](request);
        answered.add(name);
        return response;
      };
    },
  });
}

/** The tests that both clients must pass. `loneAccount` is one that nobody else uses. */
function operations(connectTo, loneAccount) {
  const answered = new Set();
  const connect = (...to) => recorded(connectTo(...to), answered);
  const shared = harness(connect);
  for (const chapter of [
    triggers,
    organizations,
    permissions,
    repositories,
    tags,
    sharing,
    sync,
    retention,
    login,
    versions,
  ]) {
    chapter(shared);
  }
  account(shared, loneAccount);

  // The SDK keeps the project it once found for an access key, so whether a client with a wrong
  // secret key asks IAM first would depend on the order of tests; it is told instead.

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

  // Looks back at all the tests above, which have run one after another.
  it('has called every operation', () => {
    assert.equal(OPERATIONS.length, 49);
    assert.deepEqual(
      OPERATIONS.filter((name) => !answered.has(name)),
      [],
    );
  });
}

describe('a client that was told its project', () => {
  operations(clientWithProject, 'lone-1');
});

describe('a client that asks IAM for its project', () => {
  operations(clientOfRegion, 'lone-2');

  it('finds the project of the region', async () => {
    const credentials = keys();
    await clientOfRegion(credentials).listApiVersions(new swr.ListApiVersionsRequest());
    assert.equal(credentials.projectId, PROJECT_ID);
  });
});
