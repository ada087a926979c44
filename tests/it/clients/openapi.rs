//! Programs that read the document of the API.
//!
//! schemathesis makes up requests from it, and judges every answer by it: no answer may have a
//! status, a media type, a header or a body that the document does not promise, none may be a 500,
//! and no operation that needs credentials may do without. Two generators make clients from it,
//! which have to be whole, and a linter reads it.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::{Outcome, root};
use crate::support::{Process, TOKEN, TestApp};

const CHECKS: &str = "status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,ignored_auth";

/// These wait, have no end, or change what all other calls find.
const LEFT_OUT: &str = "^/_emulator/(clock|events|faults|idle|reset|wait)(/|$)";

/// A sync to a region that the instance does not have is 500, as on the live service, and
/// documented so; and all regions that are made up are such.
const SYNC: &str = "/sync_(images|repo)$";

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
    check("", &[]).await;
}

/// Names that are made up are seldom there; here they always are.
#[tokio::test]
#[ignore = "needs schemathesis; ./tests/run installs it"]
async fn no_request_for_what_exists_gets_an_answer_that_the_document_does_not_promise() {
    check(KNOWN, &["--exclude-method", "DELETE"]).await;
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

    let run = |checks: &str, selection: [&str; 2]| {
        let mut command = schemathesis(folder.path());
        command
            .args(["run", "openapi.json", "--url", &process.url])
            .args(["--header", &format!("X-Auth-Token: {TOKEN}")])
            .args(["--checks", checks])
            .args(["--phases", "examples,coverage,fuzzing"])
            .args(["--max-examples", "100", "--seed", "1"])
            // Python 3.11 cannot parse in two threads at once (AST constructor recursion depth).
            .args(["--workers", "1"])
            .args(selection)
            .args(["--continue-on-failure", "--no-color"])
            .args(arguments);
        Outcome::of(&mut command).succeeded();
    };
    let rest = format!("{LEFT_OUT}|{SYNC}");
    let checks = format!("not_a_server_error,{CHECKS}");
    run(&checks, ["--exclude-path-regex", &rest]);
    run(CHECKS, ["--include-path-regex", SYNC]);
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

#[tokio::test]
#[ignore = "needs openapi-python-client; ./tests/run installs it"]
async fn a_python_client_of_every_operation_is_generated_and_can_be_imported() {
    let folder = folder_with_document().await;
    let bin = root().join("tests/.venv/bin");
    // Operations that it cannot make anything of are warnings.
    let mut generate = in_folder(&bin.join("openapi-python-client"), folder.path());
    generate.args(["generate", "--path", "openapi.json", "--fail-on-warning"]);
    generate.args(["--meta", "none", "--output-path", "generated"]);
    // It knows no YAML; a seed file is bytes to it.
    let config = "content_type_overrides: {application/yaml: application/octet-stream}";
    std::fs::write(folder.path().join("config.yaml"), config).expect("written");
    generate.args(["--config", "config.yaml"]);
    // The formatter that it runs afterwards stands beside it.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(bin.clone()).chain(std::env::split_paths(&path));
    generate.env(
        "PATH",
        std::env::join_paths(path).expect("a list of folders"),
    );
    Outcome::of(&mut generate).succeeded();

    let import = "import importlib, pkgutil, generated
names = [found.name for found in pkgutil.walk_packages(generated.__path__, 'generated.')]
modules = [importlib.import_module(name) for name in names]
print(sum(hasattr(module, 'sync_detailed') for module in modules))";
    let mut python = in_folder(&bin.join("python"), folder.path());
    let operations = Outcome::of(python.args(["-c", import])).succeeded();
    let expected = swr_emulator::internal::routes().operations().len();
    assert_eq!(operations.trim(), expected.to_string());
}

#[tokio::test]
#[ignore = "needs openapi-typescript; ./tests/run installs it"]
async fn types_of_typescript_are_generated_and_compile() {
    let folder = folder_with_document().await;
    let mut generate = npm("openapi-typescript", folder.path());
    generate.args(["openapi.json", "--output", "types.ts"]);
    Outcome::of(&mut generate).succeeded();
    let call = "import type { operations } from './types';
const body: operations['CreateNamespace']['requestBody']['content']['application/json'] =
  { namespace: 'group' };
// @ts-expect-error An organization is named by a text.
body.namespace = 1;
";
    std::fs::write(folder.path().join("call.ts"), call).expect("the file is written");
    let mut compile = npm("tsc", folder.path());
    compile.args(["--strict", "--noEmit", "call.ts"]);
    Outcome::of(&mut compile).succeeded();
}

#[tokio::test]
#[ignore = "needs redocly; ./tests/run installs it"]
async fn redocly_finds_no_error_in_the_document() {
    let folder = folder_with_document().await;
    let mut lint = npm("redocly", folder.path());
    lint.args(["lint", "openapi.json"])
        // Registry clients are sent to a path that ends in a slash, and so is the live service's.
        .args(["--skip-rule", "no-path-trailing-slash"])
        .envs([
            ("REDOCLY_TELEMETRY", "off"),
            ("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true"),
        ]);
    Outcome::of(&mut lint).succeeded();
}

/// A folder with the document, as an emulator serves it.
async fn folder_with_document() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let document = TestApp::start()
        .await
        .as_nobody()
        .send("GET", "/_emulator/openapi.json", None)
        .await;
    let path = folder.path().join("openapi.json");
    std::fs::write(path, &document.body).expect("the file is written");
    folder
}

fn npm(program: &str, folder: &Path) -> Command {
    let programs = root().join("tests/.node/node_modules/.bin");
    in_folder(&programs.join(program), folder)
}

fn in_folder(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    command
}
