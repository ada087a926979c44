import { test } from 'node:test';
import { start } from 'swr-emulator';

const seed = `
organizations: [{name: group, repositories: [{name: busybox, triggers: [{name: on-push,
  action: update, app_type: deployments, application: web, cluster_name: test, cluster_ns: default,
  enable: "true", trigger_type: regular, condition: "^v[0-9]$"}]}]}]
clusters: [{name: test, namespaces: [{name: default, deployments: [{name: web,
  containers: [{name: web, image: "{registry}/group/busybox:v1"}]}]}]}]
`;

test('a push deploys', async (t) => {
  const swr = await start({ seed });
  t.after(() => swr.stop());
  await swr.push('group/busybox:v2');
  await swr.assertFired('group/busybox:v2', 'on-push');
});
