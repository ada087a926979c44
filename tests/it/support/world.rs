//! The world in which most tests play.

/// The cluster of the reference's example of a trigger.
pub(crate) const CLUSTER: &str = "5b28c12f-dc10-11e9-97b3-0255ac1001b5";

/// A seed file: an organization with a repository, the workload that the reference's example of a
/// trigger updates, a user without rights, the administrator of another account, and an
/// organization in another region.
pub(crate) const WORLD: &str = r#"
regions: [{name: cn-east-3, listen: "127.0.0.1:0"}]
accounts:
  - {name: swr-emulator, users: [{name: developer, id: developer-id, token: developer}]}
  - {name: partner, id: partner-id, users: [{name: dev, id: dev-id, token: partner-dev, admin: true}]}
organizations:
  - {name: group, repositories: [{name: busybox}]}
  - {name: mirror, region: cn-east-3}
clusters:
  - id: 5b28c12f-dc10-11e9-97b3-0255ac1001b5
    name: test
    namespaces:
      - name: default
        deployments:
          - name: adsfa
            containers:
              - {name: busybox, image: "{registry}/group/busybox:1.0"}
              - {name: side, image: "nginx:1"}
"#;
