import { test } from 'node:test';
import { start } from 'swr-emulator';

const seed = `
organizations: [{name: group, repositories: [{name: web, triggers: [{name: deploy, action: update,
  app_type: deployments, application: web, cluster_name: test, cluster_ns: default, enable: "true",
  trigger_type: regular, condition: "^v[0-9]$"}]}]}]
clusters: [{name: test, namespaces: [{name: default, deployments: [{name: web,
  containers: [{name: web, image: "{registry}/group/web:v1"}]}]}]}]
`;

test('a push deploys', async (t) => {
  const swr = await start({ seed });
  t.after(() => swr.stop());
  await swr.push('group/web:v2');
  await swr.assertFired('group/web:v2', 'deploy');
});
