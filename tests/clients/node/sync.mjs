// Image sync to the other region of seed.yaml, where images really arrive.

import assert from 'node:assert/strict';
import { it } from 'node:test';

import {
  ACCOUNT,
  EAST_REGION,
  EAST_URL,
  MOMENT,
  USER,
  assertEmptyObject,
  assertRefused,
  control,
  keys,
  newName,
  swr,
} from './harness.mjs';

// The organization there.
const MIRROR = 'mirror';

export function sync(harness) {
  const { client, connect, newOrganization, createRepository, inRepository } = harness;
  const { push, showRepository } = harness;

  // Arranging

  /** An organization and a repository in it, of a name that the mirror does not have. */
  async function newSyncedRepository(test) {
    const path = [await newOrganization(test), `library/${newName()}`];
    await createRepository(...path);
    return path;
  }

  // Acting

  function createTask(path, region = EAST_REGION) {
    const body = new swr.CreateImageSyncRepoRequestBody(region, MIRROR);
    const request = inRepository(new swr.CreateImageSyncRepoRequest(), ...path);
    return client.createImageSyncRepo(request.withBody(body.withSyncAuto(true).withOverride(true)));
  }

  function listTasks(path) {
    return client.listImageAutoSyncReposDetails(
      inRepository(new swr.ListImageAutoSyncReposDetailsRequest(), ...path),
    );
  }

  function deleteTask(path) {
    const body = new swr.DeleteImageSyncRepoRequestBody(EAST_REGION, MIRROR);
    const request = inRepository(new swr.DeleteImageSyncRepoRequest(), ...path);
    return client.deleteImageSyncRepo(request.withBody(body));
  }

  function syncImages(path, tags) {
    const body = new swr.CreateManualImageSyncRepoRequestBody(tags, MIRROR, EAST_REGION);
    const request = inRepository(new swr.CreateManualImageSyncRepoRequest(), ...path);
    return client.createManualImageSyncRepo(request.withBody(body));
  }

  function listJobs(path, filter = 'limit::10|offset::0') {
    const request = inRepository(new swr.ShowSyncJobRequest(), ...path);
    return client.showSyncJob(request.withFilter(filter));
  }

  const idle = () => control('GET', '/_emulator/idle?timeout=60s');

  /** The digests that the repository's tags have in the other region. */
  async function arrived(test, repository) {
    const east = connect(keys(), EAST_REGION, EAST_URL);
    test.after(() =>
      east.deleteRepo(inRepository(new swr.DeleteRepoRequest(), MIRROR, repository)),
    );
    const request = inRepository(new swr.ListRepositoryTagsRequest(), MIRROR, repository);
    return (await east.listRepositoryTags(request)).map((entry) => [entry.Tag, entry.digest]);
  }

  // Tests

  it('takes what is pushed to the other region', async (test) => {
    const path = await newSyncedRepository(test);
    const [organization, repository] = path;
    assertEmptyObject(200, await createTask(path));
    const digest = await push(organization, 'v1', { repository });
    await idle();

    assert.deepEqual(await arrived(test, repository), [['v1', digest]]);
    const common = {
      domainID: (await showRepository(...path)).domain_id,
      domainName: ACCOUNT,
      namespace: organization,
      repoName: repository,
      remoteNamespace: MIRROR,
      remoteRegionId: EAST_REGION,
      override: true,
    };
    const [task, ...others] = await listTasks(path);
    assert.deepEqual(others, []);
    const jobs = await listJobs(path);
    assert.deepEqual([jobs.length, jobs['Content-Range']], [1, '0-1/1']);
    const [job] = jobs;
    for (const { id, createdAt, updatedAt } of [task, job]) {
      assert.ok(Number.isInteger(id));
      assert.match(createdAt, MOMENT);
      assert.match(updatedAt, MOMENT);
    }
    const { id, createdAt, updatedAt } = task;
    assert.deepEqual(task, { ...common, id, createdAt, updatedAt, syncAuto: true });
    assert.match(job.syncOperatorId, /^[0-9a-f]{32}$/);
    assert.deepEqual(job, {
      ...common,
      id: job.id,
      createdAt: job.createdAt,
      updatedAt: job.updatedAt,
      status: 'success',
      syncOperatorId: job.syncOperatorId,
      syncOperatorName: USER,
      tag: 'v1',
    });

    assertEmptyObject(200, await deleteTask(path));
    assert.equal((await listTasks(path)).length, 0);
    await push(organization, 'v2', { repository });
    await idle();
    assert.equal((await listJobs(path)).length, 1);
  });

  it('takes tags by hand', async (test) => {
    const path = await newSyncedRepository(test);
    const [organization, repository] = path;
    const digest = await push(organization, 'v1', { repository });

    const failed = await syncImages(path, ['v1', 'missing']);
    assert.deepEqual([...failed], []);
    await idle();

    assert.deepEqual(await arrived(test, repository), [['v1', digest]]);
    const oldest = await listJobs(path, 'limit::10|offset::0|order::asc');
    assert.equal(oldest['Content-Range'], '0-2/2');
    assert.deepEqual(
      oldest.map((job) => [job.tag, job.status]),
      [
        ['v1', 'success'],
        ['missing', 'failed'],
      ],
    );
  });

  it('refuses what cannot be synced', async (test) => {
    const path = await newSyncedRepository(test);
    await assertRefused(500, 'SVCSTG.SWR.5001101', createTask(path, 'eu-west-0'));
    await assertRefused(400, 'SVCSTG.SWR.4001158', deleteTask(path));
    await assertRefused(400, 'SVCSTG.SWR.4001035', listJobs(path, 'nonsense'));
    const missing = [path[0], 'missing'];
    await assertRefused(404, 'SVCSTG.SWR.4040010', syncImages(missing, ['v1']));
    await assertRefused(404, 'SVCSTG.SWR.4040010', listTasks(missing));
  });
}
