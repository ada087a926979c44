//! The seed file at a start, and at the next one.

use serde_json::json;

use crate::support::{Process, TRIGGERS, TestApp, program};

const SEED: &str = r#"
accounts:
  - name: partner
    users:
      - {name: dev, token: partner-dev}
organizations:
  - name: group
    repositories:
      - name: busybox
        is_public: true
        category: linux
        description: seeded
        triggers:
          - {name: on-push, action: update, app_type: deployments, application: adsfa,
             cluster_id: c1, cluster_name: test, cluster_ns: default, condition: ".*",
             enable: "true", trigger_mode: cce, trigger_type: all}
  - name: theirs
    account: partner
clusters:
  - {id: c1, name: test}
"#;

#[tokio::test]
async fn a_seed_makes_what_it_names() {
    let app = TestApp::seeded(SEED).await;
    let shown = app
        .get("/v2/manage/namespaces/group/repos/busybox")
        .await
        .json();
    assert_eq!(shown["is_public"], true);
    assert_eq!(shown["category"], "linux");
    assert_eq!(shown["description"], "seeded");
    let trigger = app.get(&format!("{TRIGGERS}/on-push")).await.json();
    assert_eq!(trigger["creator_name"], "admin");
    assert_eq!(trigger["cluster_id"], "c1");
    let theirs = app
        .as_user("partner-dev")
        .send("GET", "/v2/manage/namespaces/theirs", None)
        .await;
    assert_eq!(theirs.json()["creator_name"], "dev");
}

#[tokio::test]
async fn at_the_next_start_what_exists_is_left_alone_and_nothing_is_deleted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (data, seed) = (text("data"), text("seed.yaml"));
    let arguments = [
        "--data-dir",
        &data,
        "--seed",
        &seed,
        "--listen",
        "127.0.0.1:0",
    ];
    std::fs::write(&seed, SEED).expect("written");
    let first = Process::start(&arguments);
    let client = first.client();
    let patch = json!({"is_public": false, "description": "changed"});
    let repository = "/v2/manage/namespaces/group/repos/busybox";
    client
        .send("PATCH", repository, Some(patch))
        .await
        .is(201, "{}");
    let off = json!({"enable": "false"});
    client
        .send("PATCH", &format!("{TRIGGERS}/on-push"), Some(off))
        .await
        .is(201, "{}");
    let more = json!({"namespace": "more"});
    client
        .send("POST", "/v2/manage/namespaces", Some(more))
        .await
        .is(201, "{}");
    first.kill();

    let renamed = SEED
        .replace("{id: c1, name: test}", "{id: c1, name: renamed}")
        .replace("token: partner-dev", "token: another-token");
    std::fs::write(&seed, renamed).expect("written");
    let second = Process::start(&arguments);
    let client = second.client();

    let shown = client.send("GET", repository, None).await.json();
    assert_eq!(shown["description"], "changed");
    let trigger = client
        .send("GET", &format!("{TRIGGERS}/on-push"), None)
        .await
        .json();
    assert_eq!(trigger["enable"], "false");
    let more = client.send("GET", "/v2/manage/namespaces/more", None).await;
    assert_eq!(more.status, 200);
    let cluster = client
        .send("GET", "/api/v3/projects/p/clusters/c1", None)
        .await
        .json();
    assert_eq!(cluster["metadata"]["name"], "renamed");
    let mut partner = second.client();
    partner.token = Some("partner-dev".to_owned());
    let answer = partner
        .send("GET", "/v2/manage/namespaces/theirs", None)
        .await;
    answer.refused_by_gateway(401, "APIGW.0301");
    partner.token = Some("another-token".to_owned());
    let answer = partner
        .send("GET", "/v2/manage/namespaces/theirs", None)
        .await;
    assert_eq!(answer.status, 200);
}

#[test]
fn a_seed_that_breaks_a_rule_stops_the_start_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (data, seed) = (text("data"), text("seed.yaml"));
    std::fs::write(&seed, SEED.replace("condition: \".*\"", "condition: v1")).expect("written");

    let output = program(&["--data-dir", &data, "--seed", &seed])
        .output()
        .expect("it runs");

    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(
        message,
        format!(
            "error: {seed}:15: organizations[0].repositories[0].triggers[0].condition: must be .* \
             when trigger_type is all\n"
        )
    );
    assert!(!folder.path().join("data").exists());
}

#[tokio::test]
async fn without_the_built_in_account_its_credentials_are_worth_nothing() {
    let app = TestApp::seeded(
        "builtin_account: false\naccounts: [{name: own, users: [{name: u, token: own-token}]}]",
    )
    .await;
    let answer = app.get("/v2/manage/repos").await;
    answer.refused_by_gateway(401, "APIGW.0301");
    let own = app
        .as_user("own-token")
        .send("GET", "/v2/manage/repos", None)
        .await;
    own.is(200, "[]");
}

#[test]
fn what_the_seed_file_names_and_lacks_is_a_warning_in_the_log() {
    use std::io::{BufRead, BufReader, Read};
    let trigger = |name: &str, rest: &str| {
        format!(
            "{{name: {name}, action: update, app_type: deployments, cluster_ns: default, \
             condition: '.*', enable: 'true', trigger_type: all, {rest}}}"
        )
    };
    let triggers = [
        trigger("good", "cluster_id: c1, application: web, container: one"),
        trigger("real", "cluster_id: c2, application: any"),
        trigger("astray", "cluster_id: c3, application: web"),
        trigger("idle", "cluster_id: c1, application: wbe"),
        trigger("odd", "cluster_id: c1, application: web, container: two"),
    ];
    let seed = format!(
        "organizations: [{{name: g, repositories: [{{name: r, triggers: [{}]}}]}}]\n\
         clusters:\n  - {{name: c1, namespaces: [{{name: default, deployments: [{{name: web, \
         containers: [{{name: one, image: x}}]}}]}}]}}\n  - {{name: c2, kubeconfig: absent}}\n",
        triggers.join(", ")
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("seed.yaml");
    std::fs::write(&file, seed).expect("written");
    let file = file.to_str().expect("UTF-8");
    let mut child = program(&["--ephemeral", "--listen", "127.0.0.1:0", "--seed", file])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
    // The kubeconfig is read aside, so its warning is the last one.
    let mut text = String::new();
    while !text.contains("Cannot read the kubeconfig") {
        assert_ne!(log.read_line(&mut text).expect("UTF-8"), 0, "{text}");
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    log.read_to_string(&mut text).expect("UTF-8");
    for part in [
        "the trigger astray of g/r has nothing to update in the file: there is no cluster with the \
         id c3",
        "the trigger idle of g/r has nothing to update in the file: deployments \"wbe\" not found",
        "the trigger odd of g/r has nothing to update in the file: there is no container two",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for name in ["good", "real"] {
        assert!(!text.contains(&format!("trigger {name} ")), "{text}");
    }
}

/// How the program refuses these settings: exit code, and what it says in one line.
fn refused(command: &mut std::process::Command) -> (Option<i32>, String) {
    let output = command.output().expect("it runs");
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(message.lines().count(), 1, "{message}");
    (output.status.code(), message)
}

/// Whether an emulator has the organization `theirs`, which [`SEED`] makes.
async fn is_seeded(process: &Process) -> bool {
    let path = "/v2/manage/namespaces/theirs";
    let mut partner = process.client();
    partner.token = Some("partner-dev".to_owned());
    partner.send("GET", path, None).await.status == 200
}

const FRESH: [&str; 3] = ["--ephemeral", "--listen", "127.0.0.1:0"];

#[tokio::test]
async fn a_seed_comes_from_standard_input_or_from_a_variable() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("seed.yaml");
    std::fs::write(&path, SEED).expect("written");
    let mut input = program(&[&FRESH[..], &["--seed", "-"]].concat());
    input.stdin(std::fs::File::open(&path).expect("there"));
    assert!(is_seeded(&Process::of(&mut input)).await);

    let mut variable = program(&FRESH);
    variable.env("SWR_EMULATOR_SEED_YAML", SEED);
    assert!(is_seeded(&Process::of(&mut variable)).await);

    let nowhere = folder.path().join("nowhere");
    let mut flag_wins = program(&FRESH);
    flag_wins
        .env("SWR_EMULATOR_SEED", &nowhere)
        .args(["--seed-yaml", SEED]);
    assert!(is_seeded(&Process::of(&mut flag_wins)).await);
    let mut flag_wins = program(&[&FRESH[..], &["--seed"]].concat());
    flag_wins
        .arg(&path)
        .env("SWR_EMULATOR_SEED_YAML", "not: a seed");
    assert!(is_seeded(&Process::of(&mut flag_wins)).await);
}

#[test]
fn two_seeds_or_two_readers_of_standard_input_are_a_usage_error() {
    let mut both = program(&[]);
    both.env("SWR_EMULATOR_SEED", "x")
        .env("SWR_EMULATOR_SEED_YAML", "");
    let (code, message) = refused(&mut both);
    assert_eq!(code, Some(2), "{message}");
    assert!(
        message.contains("SWR_EMULATOR_SEED cannot be used with SWR_EMULATOR_SEED_YAML"),
        "{message}"
    );
    let mut both_of_exec = program(&["exec", "--seed", "x", "--seed-yaml", "", "--", "true"]);
    assert_eq!(refused(&mut both_of_exec).0, Some(2));
    let mut flag_wins = program(&["exec", "--seed-yaml", SEED, "--", "true"]);
    let flag_wins = flag_wins.env("SWR_EMULATOR_SEED", "nowhere").status();
    assert_eq!(flag_wins.expect("it runs").code(), Some(0));
    let (code, message) = refused(&mut program(&["--seed", "x", "--seed-yaml", ""]));
    assert_eq!(code, Some(2), "{message}");
    let (code, message) = refused(&mut program(&["--seed", "-", "--exit-with-stdin"]));
    assert_eq!(code, Some(2), "{message}");
    assert!(
        message.contains("--seed - cannot be used with --exit-with-stdin"),
        "{message}"
    );
}

#[test]
fn a_seed_that_is_in_no_file_is_refused_with_its_line_and_not_shown() {
    let mut variable = program(&FRESH);
    variable.env("SWR_EMULATOR_SEED_YAML", "accounts:\n  - name: ''\n");
    let (code, message) = refused(&mut variable);
    assert_eq!(code, Some(1));
    assert!(
        message.contains("seed:2: accounts[0].name: must not be empty"),
        "{message}"
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("seed.yaml");
    std::fs::write(&path, "accounts:\n  - name: ''\n").expect("written");
    let mut input = program(&[&FRESH[..], &["--seed", "-"]].concat());
    input.stdin(std::fs::File::open(&path).expect("there"));
    let (code, message) = refused(&mut input);
    assert_eq!(code, Some(1));
    assert!(message.contains("standard input:2: "), "{message}");
    let mut help = program(&["--help"]);
    let help = help.env("SWR_EMULATOR_SEED_YAML", "hidden").output();
    let help = String::from_utf8(help.expect("it runs").stdout).expect("UTF-8");
    assert!(help.contains("SWR_EMULATOR_SEED_YAML") && !help.contains("hidden"));
}
