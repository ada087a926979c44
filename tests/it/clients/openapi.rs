//! schemathesis, which reads the document of the API, makes up requests from it, and judges every
//! answer by it: no answer may have a status, a media type, a header or a body that the document
//! does not promise, none may be a 500, and no operation that needs credentials may do without.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{Outcome, root};
use crate::support::{Process, TOKEN};

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,ignored_auth";

/// These wait, or change what all other calls find.
const LEFT_OUT: &str = "^/_emulator/(clock|faults|idle|reset|wait)(/|$)";

/// The Kubernetes namespace is named as the organization, since both are `{namespace}` in paths.
const SEED: &str = r#"
organizations:
  - name: group
    repositories:
      - name: busybox
        triggers:
          - {name: deploy, action: update, app_type: deployments, application: web,
             cluster_name: build, cluster_ns: group, condition: ".*", enable: "true",
             trigger_type: all}
clusters:
  - id: build
    name: build
    namespaces:
      - name: group
        deployments:
          - name: web
            containers: [{name: web, image: "{registry}/group/busybox:1.0"}]
"#;

/// A sync to a region that the instance does not have is 500, as on the live service, and documented
/// so; and all regions that are made up are such.
const SETTINGS: &str = r#"
[[operations]]
include-path-regex = "/sync_(images|repo)$"
include-method = "POST"
[operations.checks]
not_a_server_error.enabled = false
"#;

/// What the seed file and a push have made.
const KNOWN: &str = r#"
[parameters]
"path.cluster" = "build"
"path.cluster_id" = "build"
"path.kind" = "deployments"
"path.name" = "web"
"path.namespace" = "group"
"path.repository" = "busybox"
"path.tag" = "v1"
"path.trigger" = "deploy"
"query.namespace" = "group"
"query.repository" = "busybox"
"query.tag" = "v1"
"#;

#[tokio::test]
#[ignore = "needs schemathesis; ./tests/run installs it"]
async fn no_request_gets_an_answer_that_the_document_does_not_promise() {
    check(SETTINGS, &[]).await;
}

/// Names that are made up are seldom there; here they always are.
#[tokio::test]
#[ignore = "needs schemathesis; ./tests/run installs it"]
async fn no_request_for_what_exists_gets_an_answer_that_the_document_does_not_promise() {
    check(
        &format!("{KNOWN}{SETTINGS}"),
        &["--exclude-method", "DELETE"],
    )
    .await;
}

/// Runs schemathesis with its settings against a fresh emulator.
async fn check(settings: &str, arguments: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("the file is written");
        path
    };
    let seed = write("seed.yaml", SEED.as_bytes());
    let seed = seed.to_str().expect("a path that is UTF-8");
    let process = Process::start(&["--ephemeral", "--listen", "127.0.0.1:0", "--seed", seed]);
    let client = process.client();
    let push = json!({"namespace": "group", "repository": "busybox", "tag": "v1"});
    let pushed = client.send("POST", "/_emulator/push", Some(push)).await;
    assert_eq!(pushed.status, 201);
    // From a file, since an operation by which it reads the document itself is not tried.
    let document = client.send("GET", "/_emulator/openapi.json", None).await;
    write("openapi.json", &document.body);
    write("schemathesis.toml", settings.as_bytes());

    let mut command = schemathesis(folder.path());
    command
        .args(["run", "openapi.json", "--url", &process.url])
        .args(["--header", &format!("X-Auth-Token: {TOKEN}")])
        .args(["--checks", CHECKS])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", "100", "--seed", "1"])
        // Python 3.11 cannot parse in two threads at once (AST constructor recursion depth).
        .args(["--workers", "1"])
        .args(["--exclude-path-regex", LEFT_OUT])
        .args(["--continue-on-failure", "--no-color"])
        .args(arguments);
    Outcome::of(&mut command).succeeded();
}

/// schemathesis in a folder for what it writes, without settings of whoever runs the tests.
fn schemathesis(folder: &Path) -> Command {
    let mut command = Command::new(root().join("tests/.venv/bin/schemathesis"));
    command
        .current_dir(folder)
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1");
    command
}
