//! Triggers at real clusters: what the emulator sends to a Kubernetes API server through the
//! `kube` crate over TLS, and what it makes of the answers.

use serde_json::{Value, json};

use crate::fake_kubernetes::{FakeKubernetes, Mishap, Proof};
use crate::support::{Kept, Process, TRIGGERS, TestApp, program, trigger};

const CLUSTER: &str = "5b28c12f-dc10-11e9-97b3-0255ac1001b5";

/// An emulator whose cluster `test` is this server.
async fn emulator(kubernetes: &FakeKubernetes, proof: Proof, arguments: &[&str]) -> TestApp {
    let seed = json!({
        "organizations": [{"name": "group", "repositories": [{"name": "busybox"}]}],
        "clusters": [{"id": CLUSTER, "name": "test", "kubeconfig": kubernetes.kubeconfig(proof)}],
    });
    let names = ["--registry-host", "registry.test"];
    TestApp::seeded_with(&seed.to_string(), &[&names[..], arguments].concat()).await
}

/// A server with the Deployment that the triggers name.
async fn with_deployment() -> FakeKubernetes {
    let kubernetes = FakeKubernetes::start().await;
    let images = [("web", "registry.test/group/busybox:v1")];
    kubernetes.put("deployments", "adsfa", &images);
    kubernetes
}

async fn add_trigger(app: &TestApp, changes: Value) {
    let mut trigger = trigger("t");
    for (field, value) in changes.as_object().expect("an object") {
        trigger[field] = value.clone();
    }
    app.post(TRIGGERS, trigger).await.is(201, "{}");
}

/// Pushes a tag and waits for the trigger `t`; result and detail of its entry.
async fn push(app: &TestApp, tag: &str, content: &str) -> (String, String) {
    let body = json!({"namespace": "group", "repository": "busybox", "tag": tag, "nonce": content});
    let pushed = app.post("/_emulator/push", body).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let path = "/_emulator/wait?namespace=group&repository=busybox&trigger=t&timeout=60s";
    let entry = app.get(&format!("{path}&tag={tag}")).await;
    assert_eq!(entry.status, 200, "{}", entry.text());
    let entry = entry.json();
    let text = |field: &str| entry[field].as_str().expect("text").to_owned();
    (text("result"), text("detail"))
}

/// Waits until the rollout of the trigger `t` is over: the status, and its body.
async fn healthy(app: &TestApp, tag: &str) -> (u16, Value) {
    let path = "/_emulator/wait?namespace=group&repository=busybox&trigger=t&timeout=60s";
    let answer = app.get(&format!("{path}&until=healthy&tag={tag}")).await;
    (answer.status.as_u16(), answer.json())
}

fn success() -> (String, String) {
    ("success".to_owned(), String::new())
}

#[tokio::test]
async fn a_push_updates_the_deployment_with_every_way_to_log_in() {
    for proof in [
        Proof::Certificate,
        Proof::Token,
        Proof::ExecPlugin,
        Proof::ExecCertificate,
    ] {
        let kubernetes = FakeKubernetes::start().await;
        let images = [
            ("web", "registry.test/group/busybox:v1"),
            ("log", "fluentd:1"),
        ];
        kubernetes.put("deployments", "adsfa", &images);
        let app = emulator(&kubernetes, proof, &[]).await;
        add_trigger(&app, json!({})).await;
        assert_eq!(push(&app, "v2", "a").await, success());
        let object = kubernetes.get("deployments", "adsfa");
        assert_eq!(
            kubernetes.images("deployments", "adsfa"),
            ["registry.test/group/busybox:v2", "fluentd:1"]
        );
        assert_eq!(object["metadata"]["generation"], 2);
        let annotations = &object["spec"]["template"]["metadata"]["annotations"];
        let digest = annotations["digest.swr-emulator/web"]
            .as_str()
            .expect("text");
        assert!(digest.starts_with("sha256:"), "{digest}");
        assert_eq!(annotations.as_object().expect("an object").len(), 1);
    }
}

#[tokio::test]
async fn a_plug_in_is_asked_again_when_its_token_is_about_to_end() {
    let kubernetes = with_deployment().await;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(30);
    for (end, runs_more_than_once) in [("2999-01-01T00:00:00Z", false), (&soon.to_string(), true)] {
        let (kubeconfig, notes) = kubernetes.expiring_kubeconfig(end);
        let seed = json!({
            "organizations": [{"name": "group", "repositories": [{"name": "busybox"}]}],
            "clusters": [{"id": CLUSTER, "name": "test", "kubeconfig": kubeconfig}],
        });
        let names = ["--registry-host", "registry.test"];
        let app = TestApp::seeded_with(&seed.to_string(), &names).await;
        add_trigger(&app, json!({})).await;
        for tag in ["v2", "v3"] {
            assert_eq!(push(&app, tag, end).await.0, "success");
        }
        let runs = std::fs::read_to_string(&notes)
            .expect("notes")
            .lines()
            .count();
        assert_eq!(runs > 1, runs_more_than_once, "{end}: {runs}");
        std::fs::remove_file(notes).expect("it is there");
    }
}

#[tokio::test]
async fn the_same_content_again_rolls_nothing_and_new_content_does() {
    let kubernetes = FakeKubernetes::start().await;
    kubernetes.put(
        "statefulsets",
        "adsfa",
        &[("web", "registry.test/group/busybox:v1")],
    );
    let app = emulator(&kubernetes, Proof::Certificate, &[]).await;
    add_trigger(&app, json!({"app_type": "statefulsets"})).await;
    let generation = || kubernetes.get("statefulsets", "adsfa")["metadata"]["generation"].clone();
    assert_eq!(push(&app, "v2", "a").await, success());
    assert_eq!(generation(), 2);
    let unchanged = (
        "success".to_owned(),
        "template unchanged, no rollout".to_owned(),
    );
    assert_eq!(push(&app, "v2", "a").await, unchanged);
    assert_eq!((generation(), kubernetes.patches().len()), (json!(2), 1));
    assert_eq!(push(&app, "v2", "b").await, success());
    assert_eq!(generation(), 3);
}

#[tokio::test]
async fn what_was_overtaken_or_failed_for_a_while_is_tried_again() {
    let kubernetes = with_deployment().await;
    let app = emulator(&kubernetes, Proof::Token, &[]).await;
    add_trigger(&app, json!({})).await;
    kubernetes.mishaps(&[
        Mishap::Overtaken,
        Mishap::Status(503),
        Mishap::Status(429),
        Mishap::Status(500),
    ]);
    assert_eq!(push(&app, "v2", "a").await, success());
    let patches = kubernetes.patches();
    assert_eq!(patches.len(), 5);
    let version = |at: usize| patches[at]["metadata"]["resourceVersion"].clone();
    assert_eq!((version(0), version(1)), (json!("100"), json!("101")));
    let container = json!([{"name": "web", "image": "registry.test/group/busybox:v2"}]);
    assert_eq!(
        patches[4]["spec"]["template"]["spec"]["containers"],
        container
    );
}

#[tokio::test]
async fn what_will_not_change_is_final_at_once_and_says_why() {
    let check = async |proof: Proof, changes: Value, expected: &str| {
        let kubernetes = FakeKubernetes::start().await;
        let images = [
            ("web", "registry.test/group/busybox:v1"),
            ("log", "fluentd:1"),
        ];
        kubernetes.put("deployments", "adsfa", &images);
        let app = emulator(&kubernetes, proof, &[]).await;
        add_trigger(&app, changes).await;
        let (result, detail) = push(&app, "v2", "a").await;
        assert_eq!((result.as_str(), detail.as_str()), ("failed", expected));
        assert_eq!(kubernetes.patches().len(), 0);
        assert_eq!(kubernetes.images("deployments", "adsfa")[0], images[0].1);
    };
    check(
        Proof::PowerlessToken,
        json!({}),
        "the cluster answered 403: deployments.apps \"adsfa\" is forbidden: User \"system:serviceaccount:default:reader\" cannot get resource \"deployments\" in API group \"apps\" in the namespace \"default\"",
    )
    .await;
    check(
        Proof::WrongToken,
        json!({}),
        "the cluster answered 401: Unauthorized",
    )
    .await;
    check(
        Proof::Nothing,
        json!({}),
        "the cluster answered 403: deployments.apps \"adsfa\" is forbidden: User \"system:anonymous\" cannot get resource \"deployments\" in API group \"apps\" in the namespace \"default\"",
    )
    .await;
    check(
        Proof::Token,
        json!({"application": "other"}),
        "deployments \"other\" not found in namespace default of cluster test",
    )
    .await;
    check(
        Proof::Token,
        json!({"container": "log"}),
        "container log uses fluentd:1, not group/busybox",
    )
    .await;
    check(
        Proof::Token,
        json!({"container": "none"}),
        "there is no container none; available: web, log, init",
    )
    .await;
}

#[tokio::test]
async fn credentials_that_were_renewed_in_the_meantime_save_the_push() {
    for proof in [Proof::Token, Proof::ExecPlugin] {
        let kubernetes = with_deployment().await;
        let app = emulator(&kubernetes, proof, &[]).await;
        add_trigger(&app, json!({})).await;
        assert_eq!(push(&app, "v2", "a").await, success());
        // Nobody asks about it any more.
        assert_eq!(healthy(&app, "v2").await.0, 200);
        kubernetes.renew_service_account();
        kubernetes.kubeconfig(proof);
        assert_eq!(push(&app, "v3", "a").await, success());
        assert_eq!(kubernetes.unknown_callers(), 1);
    }
}

#[tokio::test]
async fn a_caller_whom_the_cluster_does_not_know_tries_once_more_and_no_oftener() {
    let kubernetes = with_deployment().await;
    let app = emulator(&kubernetes, Proof::WrongToken, &[]).await;
    add_trigger(&app, json!({})).await;
    let unknown = "the cluster answered 401: Unauthorized";
    let expected = ("failed".to_owned(), unknown.to_owned());
    assert_eq!(push(&app, "v2", "a").await, expected);
    assert_eq!(kubernetes.unknown_callers(), 2);
    assert_eq!(push(&app, "v3", "a").await, expected);
    assert_eq!(kubernetes.unknown_callers(), 4);
}

#[tokio::test]
async fn a_client_certificate_of_version_1_is_told_in_words() {
    let kubernetes = with_deployment().await;
    let app = emulator(&kubernetes, Proof::CertificateOfVersion1, &[]).await;
    add_trigger(&app, json!({})).await;
    let reason =
        "the client certificate in the kubeconfig is X.509 version 1; version 3 is required";
    let expected = ("failed".to_owned(), reason.to_owned());
    assert_eq!(push(&app, "v2", "a").await, expected);
    // A kubeconfig with a better one is read for the next push.
    kubernetes.kubeconfig(Proof::Certificate);
    assert_eq!(push(&app, "v3", "a").await, success());
}

#[tokio::test]
async fn a_refused_patch_is_final_and_a_silent_cluster_is_given_up() {
    let kubernetes = with_deployment().await;
    let app = emulator(&kubernetes, Proof::Token, &["--deploy-timeout", "0"]).await;
    add_trigger(&app, json!({})).await;
    kubernetes.mishaps(&[Mishap::Status(422), Mishap::Status(503), Mishap::Silence]);
    let failed = |detail: &str| ("failed".to_owned(), detail.to_owned());
    assert_eq!(
        push(&app, "v2", "a").await,
        failed("the cluster answered 422: as the test wants")
    );
    assert_eq!(
        push(&app, "v3", "a").await,
        failed("gave up after 1 try: the cluster answered 503: as the test wants")
    );
    assert_eq!(
        push(&app, "v4", "a").await,
        failed("gave up after 1 try: the cluster took more than 2 s")
    );
    assert_eq!(push(&app, "v5", "a").await, success());
}

#[tokio::test]
async fn a_firing_that_went_away_is_not_tried_any_longer() {
    let kubernetes = with_deployment().await;
    let app = emulator(&kubernetes, Proof::Token, &[]).await;
    add_trigger(&app, json!({})).await;
    kubernetes.mishaps(&[Mishap::Silence]);
    let body = json!({"namespace": "group", "repository": "busybox", "tag": "v2"});
    assert_eq!(app.post("/_emulator/push", body).await.status, 201);
    kubernetes.patch_arrives().await;

    app.delete(&format!("{TRIGGERS}/t")).await.is(204, "");
    add_trigger(&app, json!({})).await;

    let body = json!({"namespace": "group", "repository": "busybox", "tag": "v3"});
    assert_eq!(app.post("/_emulator/push", body).await.status, 201);
    let wait = "/_emulator/wait?namespace=group&repository=busybox&trigger=t&tag=v3";
    let entry = app.get(wait).await;
    assert_eq!(entry.status, 200, "{}", entry.text());
    assert_eq!(entry.json()["result"], "success");
}

#[tokio::test]
async fn an_answer_is_read_up_to_a_limit_and_told_in_one_line() {
    let kubernetes = with_deployment().await;
    let app = emulator(&kubernetes, Proof::Token, &[]).await;
    add_trigger(&app, json!({})).await;
    kubernetes.mishaps(&[Mishap::Flood, Mishap::Refusal("no\n1970 ERROR all is lost")]);
    let failed = |detail: &str| ("failed".to_owned(), detail.to_owned());
    assert_eq!(
        push(&app, "v2", "a").await,
        failed("the cluster answered with more than 8 MiB")
    );
    assert_eq!(
        push(&app, "v3", "a").await,
        failed("the cluster answered 422: no\\n1970 ERROR all is lost")
    );
    assert_eq!(push(&app, "v4", "a").await, success());
}

#[tokio::test]
async fn a_cluster_that_is_nowhere_delays_no_other() {
    let kubernetes = with_deployment().await;
    let path = kubernetes.kubeconfig(Proof::Certificate);
    let name = path.file_name().expect("a name");
    // Written beside the kubeconfig: a relative path is relative to the seed file.
    let seed = json!({
        "organizations": [{"name": "group", "repositories": [{"name": "busybox"}]}],
        "clusters": [
            {"id": CLUSTER, "name": "test", "kubeconfig": name.to_str().expect("UTF-8")},
            {"name": "down", "kubeconfig": path, "context": "broken"},
            {"name": "lost", "kubeconfig": "missing.yaml"},
        ],
    });
    let file = kubernetes.folder().join("seed.yaml");
    std::fs::write(&file, seed.to_string()).expect("written");
    let file = file.to_str().expect("UTF-8");
    let app = TestApp::with_arguments(&["--seed", file, "--registry-host", "registry.test"]).await;
    add_trigger(
        &app,
        json!({"name": "d", "cluster_id": "", "cluster_name": "down"}),
    )
    .await;
    add_trigger(&app, json!({})).await;
    add_trigger(
        &app,
        json!({"name": "l", "cluster_id": "", "cluster_name": "lost"}),
    )
    .await;
    assert_eq!(push(&app, "v2", "a").await, success());
    let idle = app.get("/_emulator/idle?timeout=0s").await;
    assert_eq!(idle.status, 408, "{}", idle.text());
    let lost = app
        .get("/_emulator/wait?namespace=group&repository=busybox&trigger=l&tag=v2&timeout=60s")
        .await
        .json();
    let detail = lost["detail"].as_str().expect("text");
    assert!(detail.contains("missing.yaml"), "{detail}");
    let explained = app
        .get("/_emulator/explain?namespace=group&repository=busybox&tag=v3")
        .await
        .json();
    let reason = explained[0]["reason"].as_str().expect("text");
    assert!(
        reason.starts_with("the cluster cannot be reached: "),
        "{reason}"
    );
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used() {
    let kubernetes = with_deployment().await;
    let seed = json!({
        "organizations": [{"name": "group", "repositories":
            [{"name": "busybox", "triggers": [trigger("t")]}]}],
        "clusters": [{"id": CLUSTER, "name": "test",
                      "kubeconfig": kubernetes.kubeconfig(Proof::Token)}],
    });
    let file = kubernetes.folder().join("seed.yaml");
    std::fs::write(&file, seed.to_string()).expect("written");
    let file = file.to_str().expect("UTF-8");
    let arguments = [
        "--ephemeral",
        "--listen",
        "127.0.0.1:0",
        "--registry-host",
        "registry.test",
        "--seed",
        file,
    ];
    let process = Process::of(
        program(&arguments)
            .env("HTTPS_PROXY", "http://127.0.0.1:1")
            .env("https_proxy", "http://127.0.0.1:1"),
    );
    let client = process.client();
    let body = json!({"namespace": "group", "repository": "busybox", "tag": "v2"});
    client.send("POST", "/_emulator/push", Some(body)).await;
    let path = "/_emulator/wait?namespace=group&repository=busybox&trigger=t&tag=v2&timeout=60s";
    let entry = client.send("GET", path, None).await;
    assert_eq!(entry.status, 200, "{}", entry.text());
    assert_eq!(entry.json()["result"], "success", "{}", entry.text());
}

#[tokio::test]
async fn a_signal_ends_the_program_and_a_plug_in_that_hangs() {
    use std::io::Read;

    let kubernetes = FakeKubernetes::start().await;
    let (kubeconfig, pipe) = kubernetes.hanging_kubeconfig();
    let seed = json!({
        "organizations": [{"name": "group", "repositories":
            [{"name": "busybox", "triggers": [trigger("t")]}]}],
        "clusters": [{"id": CLUSTER, "name": "test", "kubeconfig": kubeconfig}],
    });
    let kept = Kept::seeded(&seed.to_string());
    let process = kept.start(&[]);
    let client = process.client();
    let body = json!({"namespace": "group", "repository": "busybox", "tag": "v2"});
    let pushed = client.send("POST", "/_emulator/push", Some(body));
    assert_eq!(pushed.await.status, 201);

    let ended = tokio::task::spawn_blocking(move || {
        // Opened as soon as the plug-in runs, and at its end when that is gone.
        let mut plug_in = std::fs::File::open(pipe).expect("the plug-in runs");
        process.signal("TERM");
        let (code, _) = process.wait();
        plug_in.read_to_end(&mut Vec::new()).expect("its end");
        code
    });
    assert_eq!(ended.await.expect("no panic"), Some(0));
}

#[tokio::test]
async fn a_silent_cluster_of_cci_says_nothing_about_the_one_of_cce() {
    let kubernetes = FakeKubernetes::start().await;
    let image = "registry.test/group/busybox:v1";
    let seed = json!({
        "organizations": [{"name": "group", "repositories": [{"name": "busybox"}]}],
        "clusters": [
            {"name": "cci", "kubeconfig": kubernetes.kubeconfig(Proof::Token), "context": "broken"},
            {"name": "test", "namespaces": [{"name": "default", "deployments":
                [{"name": "adsfa", "containers": [{"name": "web", "image": image}]}]}]},
        ],
    });
    let app = TestApp::seeded_with(&seed.to_string(), &["--registry-host", "registry.test"]).await;
    let unnamed = json!({"cluster_id": "", "cluster_name": ""});
    let mut cci = unnamed.clone();
    cci["trigger_mode"] = json!("cci");
    cci["name"] = json!("c");
    add_trigger(&app, cci).await;
    add_trigger(&app, unnamed).await;
    let explained = app
        .get("/_emulator/explain?namespace=group&repository=busybox&tag=v2")
        .await
        .json();
    let reason = explained[0]["reason"].as_str().expect("text");
    assert!(
        reason.starts_with("the cluster cannot be reached: "),
        "{reason}"
    );
    assert_eq!(explained[1]["reason"], "every tag matches .*");
}

#[tokio::test]
async fn explain_shows_the_patch_that_would_be_sent() {
    let kubernetes = with_deployment().await;
    let app = emulator(&kubernetes, Proof::Token, &[]).await;
    add_trigger(&app, json!({})).await;
    let explain = "/_emulator/explain?namespace=group&repository=busybox&tag=v2";
    let explained = app.get(explain).await.json();
    let mut patch = explained[0]["patch"].clone();
    let annotation = &mut patch["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotation["digest.swr-emulator/web"], "{digest}");
    assert_eq!(kubernetes.patches().len(), 0);
    assert_eq!(push(&app, "v2", "a").await, success());
    let sent = kubernetes.patches().remove(0);
    patch["spec"]["template"]["metadata"] = sent["spec"]["template"]["metadata"].clone();
    assert_eq!(patch, sent);
    let explained = app.get(explain).await.json();
    assert_eq!(explained[0]["reason"], "template unchanged, no rollout");
}

#[tokio::test]
async fn workloads_of_a_real_cluster_are_its_own() {
    let kubernetes = FakeKubernetes::start().await;
    let app = emulator(&kubernetes, Proof::Token, &[]).await;
    for cluster in [CLUSTER, "test"] {
        let path = format!("/_emulator/clusters/{cluster}/namespaces/default/deployments/web");
        let body = json!({"containers": [{"name": "a", "image": "b"}]});
        let put = app.client.send("PUT", &path, Some(body)).await;
        let message = put.refused(400, "4000014");
        assert!(
            message.starts_with("cluster: must be a simulated cluster"),
            "{message}"
        );
        app.delete(&path).await.refused(400, "4000014");
        app.get(&path).await.refused(400, "4000014");
    }
}

#[tokio::test]
async fn strict_targets_refuse_a_trigger_that_could_update_nothing() {
    let kubernetes = with_deployment().await;
    let app = emulator(&kubernetes, Proof::Token, &["--strict-targets"]).await;
    let check = async |changes: Value, expected: &str| {
        let mut body = trigger("t");
        for (field, value) in changes.as_object().expect("an object") {
            body[field] = value.clone();
        }
        let message = app.post(TRIGGERS, body).await.refused(400, "4000014");
        assert_eq!(message, expected);
    };
    check(
        json!({"application": "other"}),
        "application: deployments \"other\" not found in namespace default of cluster test",
    )
    .await;
    check(
        json!({"cluster_id": "c2"}),
        &format!("cluster_id: there is no cluster with the id c2; available: {CLUSTER}"),
    )
    .await;
    check(
        json!({"cluster_name": "other"}),
        &format!("cluster_name: the cluster with the id {CLUSTER} is named test, not other"),
    )
    .await;
    check(
        json!({"cluster_id": "", "cluster_name": "other"}),
        "cluster_name: there is no cluster named other; available: test",
    )
    .await;
    check(
        json!({"container": "x"}),
        "container: there is no container x; available: web, init",
    )
    .await;
    app.post(TRIGGERS, trigger("t")).await.is(201, "{}");
    let mut unnamed = trigger("unnamed");
    unnamed["cluster_name"] = json!("");
    app.post(TRIGGERS, unnamed).await.is(201, "{}");
}

#[tokio::test]
async fn strict_targets_take_a_workload_that_does_not_use_the_image_yet() {
    let kubernetes = FakeKubernetes::start().await;
    kubernetes.put("deployments", "adsfa", &[("web", "nginx:1")]);
    let app = emulator(&kubernetes, Proof::Token, &["--strict-targets"]).await;
    for (name, container, reason) in [
        (
            "any",
            "",
            "no container uses group/busybox; available: nginx:1, busybox:1",
        ),
        (
            "named",
            "web",
            "container web uses nginx:1, not group/busybox",
        ),
    ] {
        let mut body = trigger(name);
        body["container"] = json!(container);
        app.post(TRIGGERS, body).await.is(201, "{}");
        let explain = "/_emulator/explain?namespace=group&repository=busybox&tag=v2";
        let explained = app.get(explain).await.json();
        let explained = explained.as_array().and_then(|all| all.last()).cloned();
        let expected = json!({"trigger": name, "fires": true, "outcome": "fails",
                              "reason": reason, "patch": null});
        assert_eq!(explained, Some(expected));
    }
}

#[tokio::test]
async fn strict_targets_say_which_part_of_a_simulated_target_is_missing() {
    let image = "registry.test/group/busybox:v1";
    let seed = json!({
        "organizations": [{"name": "group", "repositories": [{"name": "busybox"}]}],
        "clusters": [{"id": CLUSTER, "name": "test", "namespaces": [{"name": "default",
            "deployments": [{"name": "adsfa", "containers": [{"name": "web", "image": image}]}]}]}],
    });
    let app = TestApp::seeded_with(&seed.to_string(), &["--strict-targets"]).await;
    for (field, value, expected) in [
        (
            "cluster_ns",
            "prod",
            "cluster_ns: deployments \"adsfa\" not found in namespace prod of cluster test; the \
             namespace has no workloads",
        ),
        (
            "application",
            "other",
            "application: deployments \"other\" not found in namespace default of cluster test; \
             available: adsfa",
        ),
    ] {
        let mut body = trigger("t");
        body[field] = json!(value);
        let message = app.post(TRIGGERS, body).await.refused(400, "4000014");
        assert_eq!(message, expected);
    }
}

#[tokio::test]
async fn strict_targets_tell_of_a_silent_cluster_in_the_words_of_the_live_service() {
    let kubernetes = FakeKubernetes::start().await;
    let seed = json!({
        "organizations": [{"name": "group", "repositories": [{"name": "busybox"}]}],
        "clusters": [{"id": CLUSTER, "name": "test",
                      "kubeconfig": kubernetes.kubeconfig(Proof::Token), "context": "broken"}],
    });
    let app = TestApp::seeded_with(&seed.to_string(), &["--strict-targets"]).await;
    for (kind, word) in [
        ("deployments", "deployment"),
        ("statefulsets", "statefulset"),
    ] {
        let mut body = trigger("t");
        body["app_type"] = json!(kind);
        let message = app.post(TRIGGERS, body).await.refused(500, "5004002");
        let begins = format!(
            "Server internal error: fail to get k8s {word}: the cluster cannot be reached: "
        );
        assert!(message.starts_with(&begins), "{message}");
    }
}

/// A server whose controller is the test, and an emulator with a trigger at it.
async fn by_hand() -> (FakeKubernetes, TestApp) {
    let kubernetes = with_deployment().await;
    kubernetes.by_hand();
    let app = emulator(&kubernetes, Proof::Token, &[]).await;
    add_trigger(&app, json!({})).await;
    (kubernetes, app)
}

/// The rollout of the trigger `t` at the newest push of a tag, once it is as somebody wants it.
async fn rollout_that(app: &TestApp, tag: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/_emulator/pushes?namespace=group&repository=busybox&tag={tag}");
    let begun = std::time::Instant::now();
    loop {
        let pushes = app.get(&path).await.json();
        let rollout = &pushes[0]["triggers"][0]["rollout"];
        if is_wanted(rollout) {
            return rollout.clone();
        }
        assert!(begun.elapsed().as_secs() < 60, "{rollout}");
    }
}

fn says(text: &str) -> impl Fn(&Value) -> bool {
    move |rollout| {
        rollout["message"]
            .as_str()
            .is_some_and(|message| message.contains(text))
    }
}

/// The status of a Deployment with two replicas.
fn progress(generation: i64, updated: i64, all: i64) -> Value {
    json!({
        "observedGeneration": generation, "updatedReplicas": updated, "replicas": all,
        "availableReplicas": all,
    })
}

/// Puts the `ReplicaSet` of a revision, and a pod of it that waits.
fn put_pod(kubernetes: &FakeKubernetes, hash: &str, revision: &str, reason: &str) {
    let labels = json!({"app": "adsfa", "pod-template-hash": hash});
    let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "adsfa", "uid": "u"});
    let set = json!({"metadata": {
        "labels": labels, "annotations": {"deployment.kubernetes.io/revision": revision},
        "ownerReferences": [owner],
    }});
    kubernetes.put_object("replicasets", &format!("adsfa-{hash}"), set);
    let message = format!("the message of {hash}");
    let container = json!({
        "name": "web", "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": reason, "message": message}},
    });
    let pod = json!({
        "metadata": {"labels": labels}, "status": {"containerStatuses": [container]},
    });
    kubernetes.put_object("pods", &format!("adsfa-{hash}-1"), pod);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_healthy_once_the_controller_has_seen_and_finished_it() {
    let (kubernetes, app) = by_hand().await;
    kubernetes.status("deployments", "adsfa", &progress(1, 1, 1));
    assert_eq!(push(&app, "v2", "a").await, success());
    // What the controller knows is of before.
    rollout_that(&app, "v2", says("has not observed the update yet")).await;
    kubernetes.status("deployments", "adsfa", &progress(2, 0, 1));
    rollout_that(&app, "v2", says("0 of 1 replicas are updated")).await;
    kubernetes.status("deployments", "adsfa", &progress(2, 1, 2));
    let left = rollout_that(&app, "v2", says("1 old replicas are left")).await;
    assert_eq!(left["state"], "progressing");

    kubernetes.status("deployments", "adsfa", &progress(2, 1, 1));

    let (status, body) = healthy(&app, "v2").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["rollout"]["state"], "healthy");
    let workload = json!({
        "cluster": CLUSTER, "namespace": "default", "kind": "deployments", "name": "adsfa",
        "container": "",
    });
    assert_eq!(body["workload"], workload);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_cannot_start_is_told_with_its_message() {
    let (kubernetes, app) = by_hand().await;
    let mut object = kubernetes.get("deployments", "adsfa");
    object["metadata"]["uid"] = json!("u");
    object["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "2"});
    kubernetes.put_object("deployments", "adsfa", object);
    assert_eq!(push(&app, "v2", "a").await, success());
    // A pod of the old template does not count, nor does one that is only on its way.
    kubernetes.status("deployments", "adsfa", &progress(2, 0, 1));
    put_pod(&kubernetes, "old", "1", "CrashLoopBackOff");
    put_pod(&kubernetes, "new", "2", "ContainerCreating");
    kubernetes.status("deployments", "adsfa", &progress(2, 1, 2));
    rollout_that(&app, "v2", says("1 old replicas are left")).await;

    put_pod(&kubernetes, "new", "2", "ImagePullBackOff");

    let (status, body) = healthy(&app, "v2").await;
    assert_eq!(status, 409, "{body}");
    let rollout = &body["rollout"];
    let told = ["state", "reason", "message"].map(|field| rollout[field].as_str());
    let expected = ["degraded", "ImagePullBackOff", "the message of new"];
    assert_eq!(told, expected.map(Some));
    assert_eq!(body["result"], "success");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_see_pods_the_rollout_says_so_and_still_ends() {
    let (kubernetes, app) = by_hand().await;
    kubernetes.hide_pods();
    assert_eq!(push(&app, "v2", "a").await, success());
    kubernetes.status("deployments", "adsfa", &progress(2, 0, 1));
    let told = rollout_that(&app, "v2", says("0 of 1 replicas are updated")).await;
    let hidden = "0 of 1 replicas are updated; the pods may not be read: the cluster answered 403: replicasets is forbidden";
    assert!(says(hidden)(&told), "{told}");

    let mut late = progress(2, 0, 1);
    late["conditions"] = json!([{
        "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
        "message": "ReplicaSet \"adsfa-new\" has timed out progressing.",
    }]);
    kubernetes.status("deployments", "adsfa", &late);

    let (status, body) = healthy(&app, "v2").await;
    assert_eq!(status, 409, "{body}");
    assert_eq!(body["rollout"]["reason"], "ProgressDeadlineExceeded");
    assert!(says("has timed out progressing.; the pods may not be read")(&body["rollout"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_is_followed_too() {
    let kubernetes = FakeKubernetes::start().await;
    let images = [("web", "registry.test/group/busybox:v1")];
    kubernetes.put("statefulsets", "adsfa", &images);
    kubernetes.by_hand();
    let app = emulator(&kubernetes, Proof::Certificate, &[]).await;
    add_trigger(&app, json!({"app_type": "statefulsets"})).await;
    assert_eq!(push(&app, "v2", "a").await, success());
    let status = |current: &str| {
        json!({
            "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1,
            "availableReplicas": 1, "currentRevision": current, "updateRevision": "b",
        })
    };
    kubernetes.status("statefulsets", "adsfa", &status("a"));
    rollout_that(&app, "v2", says("the last old replica is about to end")).await;
    kubernetes.status("statefulsets", "adsfa", &status("b"));
    assert_eq!(healthy(&app, "v2").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_another_one_or_a_deletion_ends_is_unknown() {
    let (kubernetes, app) = by_hand().await;
    assert_eq!(push(&app, "v2", "a").await, success());
    assert_eq!(push(&app, "v3", "a").await, success());
    let (status, body) = healthy(&app, "v2").await;
    assert_eq!(
        (status, &body["rollout"]["reason"]),
        (409, &json!("Superseded"))
    );
    kubernetes.remove("deployments", "adsfa");
    let (status, body) = healthy(&app, "v3").await;
    assert_eq!(
        (status, &body["rollout"]["reason"]),
        (409, &json!("Deleted"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_in_a_real_cluster_is_followed_again_after_a_restart() {
    let kubernetes = with_deployment().await;
    kubernetes.by_hand();
    let seed = json!({
        "organizations": [{"name": "group", "repositories": [
            {"name": "busybox", "triggers": [trigger("t")]},
        ]}],
        "clusters": [
            {"id": CLUSTER, "name": "test", "kubeconfig": kubernetes.kubeconfig(Proof::Token)},
        ],
    });
    let kept = Kept::seeded(&seed.to_string());
    let arguments = ["--registry-host", "registry.test", "--log-level", "error"];
    let process = kept.start(&arguments);
    let client = process.client();
    let body = json!({"namespace": "group", "repository": "busybox", "tag": "v2"});
    let pushed = client.send("POST", "/_emulator/push", Some(body)).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let path = "/_emulator/wait?namespace=group&repository=busybox&trigger=t&tag=v2&timeout=60s";
    let fired = client.send("GET", path, None).await;
    assert_eq!(fired.json()["result"], "success", "{}", fired.text());
    process.kill();
    kubernetes.status("deployments", "adsfa", &progress(2, 1, 1));

    let process = kept.start(&arguments);
    let path = format!("{path}&until=healthy");
    let healthy = process.client().send("GET", &path, None).await;
    assert_eq!(healthy.status, 200, "{}", healthy.text());
}
