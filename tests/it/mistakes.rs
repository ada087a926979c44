//! Mistakes that people make, each of which leads to its cause and its fix. The table of the guide
//! tells the result of each; a test makes the mistake and compares.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use swr_emulator::{BUILTIN_PASSWORD, BUILTIN_SECRET_KEY};

use crate::fake_kubernetes::{FakeKubernetes, Proof};
use crate::support::{CLUSTER, TRIGGERS, TestApp, WORLD, ask_for_token_with, program, trigger};

const GUIDE: &str = include_str!("../../src/guide/mistakes.md");

/// The rows of the guide's table: mistake, command, result.
fn rows() -> Vec<[&'static str; 3]> {
    let lines = GUIDE.lines().filter(|line| line.starts_with("| "));
    let rows = lines.skip(1).map(|line| {
        let cells = line.trim_matches('|').split(" | ").map(str::trim);
        let cells: Vec<_> = cells.collect();
        <[&str; 3]>::try_from(cells).unwrap_or_else(|cells| panic!("{cells:?}"))
    });
    rows.collect()
}

/// Asserts that a mistake led to what the guide tells.
#[track_caller]
fn assert_told(mistake: &str, result: &str) {
    let rows = rows();
    let row = rows.iter().find(|[told, ..]| *told == mistake);
    let [_, _, expected] = row.unwrap_or_else(|| panic!("the guide lacks {mistake}"));
    let expected = expected
        .strip_prefix('`')
        .and_then(|text| text.strip_suffix('`'));
    let mut rest = result;
    for part in expected.expect("code").split('…') {
        let Some((_, after)) = rest.split_once(part.trim()) else {
            panic!("{mistake}: {part:?} is not told in:\n{result}");
        };
        rest = after;
    }
}

/// Runs a command of the guide's row beside an emulator in this process; exit code and output.
fn run(app: &TestApp, mistake: &str) -> (Option<i32>, String) {
    let rows = rows();
    let row = rows.iter().find(|[told, ..]| *told == mistake);
    let [_, command, _] = row.unwrap_or_else(|| panic!("the guide lacks {mistake}"));
    let words = command.trim_matches('`').split(' ').skip(1);
    let words: Vec<_> = words.collect();
    let url = format!("http://{}", app.client.address);
    let mut command = program(&[&words[..], &["--url", &url]].concat());
    for variable in std::env::vars_os().map(|(name, _)| name) {
        if variable.to_string_lossy().starts_with("HUAWEICLOUD_") {
            command.env_remove(variable);
        }
    }
    let output = command.output().expect("it runs");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    (output.status.code(), stdout + &stderr)
}

/// Runs the command of the row, and compares.
#[track_caller]
fn assert_found(app: &TestApp, mistake: &str, code: i32) {
    let (found, text) = run(app, mistake);
    assert_told(mistake, &text);
    assert_eq!(found, Some(code), "{text}");
}

/// The trigger `deploy` with other fields.
fn deploy(changes: &Value) -> Value {
    let mut deploy = trigger("deploy");
    for (field, value) in changes.as_object().expect("an object") {
        deploy[field] = value.clone();
    }
    deploy
}

async fn world(changes: &Value) -> TestApp {
    let app = TestApp::seeded(WORLD).await;
    app.post(TRIGGERS, deploy(changes)).await.is(201, "{}");
    app
}

#[tokio::test]
async fn a_taken_name_is_told() {
    let app = world(&json!({})).await;
    let answer = app.post(TRIGGERS, deploy(&json!({}))).await;
    assert_told("A second trigger with the same name", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_cluster_id_leads_to_the_right_one() {
    let app = world(&json!({"cluster_id": "test"})).await;
    let mistake = "A wrong `cluster_id`";
    assert_found(&app, mistake, 1);
    let (_, text) = run(&app, mistake);
    assert!(
        text.contains(&format!("with cluster_id {CLUSTER}\n")),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_workload_leads_to_the_nearest_one() {
    let app = world(&json!({"application": "adfsa"})).await;
    assert_found(&app, "A typo in the workload's name", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_namespace_or_name_of_the_cluster_is_found() {
    let app = world(&json!({"cluster_ns": "defualt"})).await;
    let mistake = "A typo in the workload's name";
    let (code, text) = run(&app, mistake);
    assert_eq!(code, Some(1));
    let line = "error   cluster_ns of trigger deploy: deployments \"adsfa\" not found";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("with cluster_ns default\n"), "{text}");
    let app = world(&json!({"cluster_name": "other"})).await;
    let (code, text) = run(&app, mistake);
    assert_eq!(code, Some(0), "a firing looks at the id: {text}");
    assert!(
        text.contains("warning cluster_name of trigger deploy: "),
        "{text}"
    );
    assert!(text.contains("is named test, not other; fix: "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_container_leads_to_the_nearest_one() {
    let app = world(&json!({"container": "busibox"})).await;
    assert_found(&app, "A typo in the container's name", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_under_another_registry_name_leads_to_the_setting() {
    let app = world(&json!({})).await;
    let place = format!("/_emulator/clusters/{CLUSTER}/namespaces/default/deployments/adsfa");
    let image = json!({"name": "busybox", "image": "other.test/group/busybox:1.0"});
    let put = app
        .client
        .send("PUT", &place, Some(json!({"containers": [image]})));
    assert_eq!(put.await.status, 200);
    let mistake = "The workload's image has another registry name";
    assert_found(&app, mistake, 1);
    let url = format!("http://{}", app.client.address);
    let whole = program(&["doctor", "--url", &url])
        .output()
        .expect("it runs");
    let whole = String::from_utf8(whole.stdout).expect("UTF-8");
    let line = "warning registry names: deployments/adsfa in namespace default runs \
                other.test/group/busybox:1.0, but other.test is not a name of this registry; fix: \
                start the emulator with --registry-host other.test, or change the image\n";
    assert!(whole.contains(line), "{whole}");
}

#[tokio::test]
async fn a_condition_that_is_not_anchored_is_hinted_at() {
    let app = TestApp::seeded(WORLD).await;
    let body = deploy(&json!({"trigger_type": "regular", "condition": "v1"}));
    let answer = app.post(TRIGGERS, body).await.is(201, "{}");
    let hint = answer.header("x-emulator-hint").expect("a hint");
    let told = format!("X-Emulator-Hint: {hint}");
    assert_told("The condition `v1` is not anchored", &told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_does_not_match_is_told_with_its_near_miss() {
    let app = world(&json!({"trigger_type": "regular", "condition": "^v[0-9]$"})).await;
    let body = json!({"namespace": "group", "repository": "busybox", "tag": "v1.0"});
    assert_eq!(app.post("/_emulator/push", body).await.status, 201);
    assert_found(&app, "The condition does not match the tag", 0);
    let url = format!("http://{}", app.client.address);
    let doctor = program(&["doctor", "group/busybox", "--url", &url]).output();
    let doctor = String::from_utf8(doctor.expect("it runs").stdout).expect("UTF-8");
    let line = "warning condition of trigger deploy: ^v[0-9]$ matches none of the 1 tags that were \
                pushed, like v1.0; fix: ";
    assert!(doctor.contains(line), "{doctor}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_trigger_leads_to_the_request_that_enables_it() {
    let app = world(&json!({"enable": "false"})).await;
    assert_found(&app, "The trigger is disabled", 0);
}

#[tokio::test]
async fn a_blank_in_a_list_of_tags_is_told() {
    let app = TestApp::seeded(WORLD).await;
    let body = deploy(&json!({"trigger_type": "tag", "condition": "v1; v2"}));
    let message = app.post(TRIGGERS, body).await.refused(400, "4000014");
    assert_told("A blank in a list of tags", &message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_agency_leads_to_its_request() {
    let seed = json!({"organizations": [{"name": "group", "repositories": [
        {"name": "busybox", "triggers": [deploy(&json!({}))]}]}]});
    let app = TestApp::seeded_with(&seed.to_string(), &["--require-agency"]).await;
    assert_found(&app, "The agency is missing (`--require-agency`)", 1);
}

/// An emulator whose cluster `test` is a real one, with the trigger `deploy`.
async fn with_real_cluster(kubernetes: &FakeKubernetes, proof: Proof) -> TestApp {
    let seed = json!({
        "organizations": [{"name": "group", "repositories": [
            {"name": "busybox", "triggers": [deploy(&json!({}))]}]}],
        "clusters": [{"id": CLUSTER, "name": "test", "kubeconfig": kubernetes.kubeconfig(proof)}],
    });
    TestApp::seeded(&seed.to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_to_get_or_patch_leads_to_the_role() {
    for (verb, mistake) in [
        ("get", "The kubeconfig's user may not get workloads"),
        ("patch", "The kubeconfig's user may not patch workloads"),
    ] {
        let kubernetes = FakeKubernetes::start().await;
        let app = with_real_cluster(&kubernetes, Proof::Token).await;
        let (code, text) = run(&app, mistake);
        assert_eq!(code, Some(0), "{text}");
        kubernetes.deny(verb);
        assert_found(&app, mistake, 1);
    }
    let kubernetes = FakeKubernetes::start().await;
    let app = with_real_cluster(&kubernetes, Proof::Token).await;
    kubernetes.deny("list");
    let (code, text) = run(&app, "The kubeconfig's user may not get workloads");
    assert_eq!(code, Some(0), "rollouts are an extra: {text}");
    let line =
        "warning rollouts in cluster test: the emulator may not list pods in namespace default";
    assert!(text.contains(line), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_kubeconfig_is_told_apart_from_one_that_is_gone() {
    let kubernetes = FakeKubernetes::start().await;
    let app = with_real_cluster(&kubernetes, Proof::WrongToken).await;
    assert_found(&app, "The kubeconfig is stale", 1);
    std::fs::remove_file(kubernetes.folder().join("kubeconfig")).expect("removed");
    let (code, text) = run(&app, "The kubeconfig is stale");
    assert_eq!(code, Some(1));
    assert!(
        text.contains("error   kubeconfig of cluster test: "),
        "{text}"
    );
    assert!(text.contains("; fix: correct /"), "{text}");
}

/// Puts the workload of the world with this plan for its rollouts, and pushes `v1`.
async fn roll_out(app: &TestApp, plan: Value) {
    let place = format!("/_emulator/clusters/{CLUSTER}/namespaces/default/deployments/adsfa");
    let image = json!({"name": "busybox", "image": "{registry}/group/busybox:1"});
    let body = json!({"containers": [image], "rollout": plan});
    let put = app.client.send("PUT", &place, Some(body)).await;
    assert_eq!(put.status, 200, "{}", put.text());
    let body = json!({"namespace": "group", "repository": "busybox", "tag": "v1"});
    assert_eq!(app.post("/_emulator/push", body).await.status, 201);
    let idle = app.get("/_emulator/idle?timeout=60s").await;
    assert_eq!(idle.status, 200, "{}", idle.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_fails_leads_to_the_message_of_the_pod() {
    let app = world(&json!({})).await;
    for (outcome, mistake) in [
        ("ImagePullBackOff", "The node cannot pull the image"),
        ("CrashLoopBackOff", "The new container crashes"),
        ("stalled", "The rollout makes no progress"),
    ] {
        roll_out(&app, json!({"outcome": outcome})).await;
        assert_found(&app, mistake, 1);
    }
    roll_out(&app, json!({"outcome": "healthy"})).await;
    let (code, text) = run(&app, "The rollout makes no progress");
    assert_eq!(code, Some(0), "only its latest rollout counts: {text}");
    assert!(text.contains("rollout healthy since "), "{text}");
    let (code, text) = run(&app, "The new container crashes");
    assert_eq!(code, Some(0), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_gone_is_to_be_pushed_again() {
    let app = world(&json!({})).await;
    roll_out(&app, json!({"outcome": "healthy", "after": "1h"})).await;
    let (code, text) = run(&app, "The tag was deleted before the pods started");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("rollout progressing since "), "{text}");
    let tag = "/v2/manage/namespaces/group/repos/busybox/tags/v1";
    let deleted = app.delete(tag).await;
    assert!(deleted.status.is_success(), "{}", deleted.text());
    let moved = app.post("/_emulator/clock", json!({"advance": "1h"})).await;
    assert_eq!(moved.status, 200);
    let path = "/_emulator/wait?namespace=group&repository=busybox&tag=v1&trigger=deploy\
                &until=healthy&timeout=60s";
    assert_eq!(app.get(path).await.status, 409);
    assert_found(&app, "The tag was deleted before the pods started", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_leads_to_the_setting() {
    let app = TestApp::seeded_with(WORLD, &["--quota-namespaces", "1"]).await;
    let body = json!({"namespace": "more"});
    let message = app.post("/v2/manage/namespaces", body).await;
    message.refused(400, "4000097");
    assert_found(&app, "The quota of organizations is used up", 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_another_region_leads_to_the_right_one() {
    let app = TestApp::seeded(WORLD).await;
    let mistake = "The address of another region";
    assert_found(&app, mistake, 1);
    let right = format!("http://{}\n", app.in_region("cn-east-3").address);
    let (_, text) = run(&app, mistake);
    assert!(text.ends_with(&right), "{text}");
}

#[tokio::test]
async fn a_login_of_the_wrong_form_is_told_with_who_was_meant_and_never_the_secret() {
    let seed = "accounts: [{name: own, users: [{name: dev, access_key: DEVKEY, \
                secret_key: dev-secret-1, password: dev-password-1, token: dev-token-1}]}]";
    let app = TestApp::seeded(seed).await;
    let told = async |user: &str, password: &str| {
        let login = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let answer = ask_for_token_with(&app.as_nobody(), Some(format!("Basic {login}")), "").await;
        let error = json!({"code": "DENIED", "message": "Authenticate Error"});
        assert_eq!(answer.json(), json!({"errors": [error]}));
        let path = "/_emulator/requests?operation=RegistryToken&limit=1";
        let requests = app.get(path).await;
        // The built-in account has the name of its password.
        let is_told = requests.text().contains(password) && password != BUILTIN_PASSWORD;
        assert!(!is_told, "{}", requests.text());
        let message = requests.json()[0]["message"].clone();
        message.as_str().expect("a message").to_owned()
    };
    let key = "cn-north-4@SWREMULATOR000000001";
    assert_told(
        "`docker login` with the user name of IAM",
        &told("admin", "some-secret").await,
    );
    assert_told(
        "`docker login` with the password of IAM",
        &told(key, BUILTIN_PASSWORD).await,
    );
    assert_told(
        "`docker login` with the secret key",
        &told(key, BUILTIN_SECRET_KEY).await,
    );
    for (user, password, part) in [
        (
            "r1@dev",
            "x-secret",
            "; the user dev of the account own logs in as PROJECT@DEVKEY",
        ),
        (
            "own/dev",
            "x-secret",
            "logs in as PROJECT@DEVKEY; see the command",
        ),
        (
            "DEVKEY@r1",
            "x-secret",
            "; the access key comes after the @: r1@DEVKEY",
        ),
        ("r1@DEVKEI", "x-secret", "; did you mean PROJECT@DEVKEY?"),
        (
            "r1@DEVKEY",
            "dev-password-1",
            ": it is the user's password for IAM (the user dev",
        ),
        (
            "r1@DEVKEY",
            "dev-token-1",
            ": it is a token of IAM (the user dev of the account own)",
        ),
        ("r1@DEVKEY", "dev-secret-1", ": it is the secret key itself"),
    ] {
        let message = told(user, password).await;
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn a_wrong_login_of_iam_is_told_by_part_in_the_record_only() {
    let seed = "accounts: [{name: own, users: [{name: dev, password: dev-password-1}]}]";
    let app = TestApp::seeded(seed).await;
    for (user, account, password, part) in [
        (
            "dev",
            "own",
            "wrong-1",
            "(the password of the user dev of the account own is wrong)",
        ),
        (
            "nobody",
            "own",
            "wrong-1",
            "(the account own has no user nobody)",
        ),
        (
            "dev",
            "swr-emulator",
            "wrong-1",
            "(the account swr-emulator has no user dev; the account own has one)",
        ),
        (
            "dev",
            "none",
            "wrong-1",
            "(there is no account none; the account own has one)",
        ),
    ] {
        let user = json!({"name": user, "password": password, "domain": {"name": account}});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let body = json!({"auth": {"identity": identity}});
        let answer = app
            .as_nobody()
            .send("POST", "/v3/auth/tokens", Some(body))
            .await;
        let wrong = "The username or password is wrong.";
        assert_eq!(answer.json()["error"]["message"], wrong);
        let requests = app
            .get("/_emulator/requests?status=401&limit=1")
            .await
            .json();
        assert_eq!(requests[0]["message"], format!("{wrong} {part}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sdk_that_would_have_called_the_cloud_leads_to_its_variables() {
    let app = TestApp::start().await;
    assert_found(&app, "An SDK with a region and no endpoint", 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_instance_passes_every_check_and_each_check_says_so() {
    let app = world(&json!({})).await;
    let url = format!("http://{}", app.client.address);
    let doctor = |arguments: &[&str]| {
        let mut command = program(&[&["doctor", "--url", &url], arguments].concat());
        command.env("HUAWEICLOUD_SDK_IAM_ENDPOINT", &url);
        command.env("HUAWEICLOUD_SDK_REGION_SWR_CN_NORTH_4", &url);
        for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        let output = command.output().expect("it runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(output.status.code(), Some(0), "{text}");
        for line in text.lines() {
            assert!(line.starts_with("ok      "), "{line}");
        }
        text.lines().count()
    };
    assert_eq!(doctor(&[]), 11);
    assert_eq!(doctor(&["group/busybox"]), 6);
    assert_eq!(doctor(&["group/busybox/deploy"]), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_emulator_the_doctor_says_what_is_there_instead() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let other = axum::Router::new().fallback(|| async { "another program" });
    let other = tokio::spawn(async move { axum::serve(listener, other).await });
    let url = format!("http://{address}");
    let doctor = || {
        let output = program(&["doctor", "--url", &url])
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let text = doctor();
    let line = format!("error   address: something else listens at {url}: ");
    assert!(text.starts_with(&line), "{text}");
    other.abort();
    assert!(other.await.is_err());
    let text = doctor();
    let line = format!("error   address: no emulator answers at {url}: ");
    assert!(text.starts_with(&line), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_file_that_no_longer_parses_is_an_error_before_the_next_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("seed.yaml");
    std::fs::write(&path, "organizations: []").expect("written");
    let path = path.to_str().expect("UTF-8");
    let app = TestApp::with_arguments(&["--seed", path]).await;
    std::fs::write(path, "organisations: []").expect("written");
    let url = format!("http://{}", app.client.address);
    let output = program(&["doctor", "--url", &url])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        text.contains("error   seed file: the next start would fail: "),
        "{text}"
    );
    assert!(text.contains(&format!("; fix: correct {path}\n")), "{text}");
}
