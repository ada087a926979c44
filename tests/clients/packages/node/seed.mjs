export const SEED = `
organizations: [{name: group, repositories: [{name: busybox, triggers: [{name: on-push,
  action: update, app_type: deployments, application: web, cluster_name: test, cluster_ns: default,
  enable: "true", trigger_type: regular, condition: "^v[0-9]$"}]}]}]
clusters: [{name: test, namespaces: [{name: default, deployments: [{name: web,
  containers: [{name: web, image: "{registry}/group/busybox:v1"}]}]}]}]
`;
