// Temporary logins to the registry, which accepts them.

import assert from 'node:assert/strict';
import { it } from 'node:test';

import { BASE_URL, REGION, assertRefused, assertStartsWith, swr } from './harness.mjs';

export function login(harness) {
  const { client } = harness;

  function createSecret(project) {
    return client.createSecret(Object.assign(new swr.CreateSecretRequest(), project));
  }

  it('makes a secret that logs in', async () => {
    const check = async (parameters, project) => {
      const {
        auths,
        httpStatusCode,
        'X-Swr-Dockerlogin': command,
      } = await createSecret(parameters);
      assert.equal(httpStatusCode, 200);
      const [, user, password, host] = command.match(/^docker login -u (\S+) -p (\S+) (\S+)$/);
      assertStartsWith(user, `${project}@`);
      const auth = Buffer.from(`${user}:${password}`).toString('base64');
      assert.deepEqual(auths, { [host]: { auth } });
      const service = `${BASE_URL}/swr/auth/v2/registry/auth/`;
      const answer = await fetch(service, { headers: { Authorization: `Basic ${auth}` } });
      assert.equal(answer.status, 200);
    };
    await check({}, REGION);
    await check({ projectname: 'my-project' }, 'my-project');
  });

  it('refuses an unlawful name of a project', async () => {
    await assertRefused(400, 'SVCSTG.SWR.4001025', createSecret({ projectname: 'a b' }));
  });
}
