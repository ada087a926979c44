//! `swr-emulator trace`: from a push to its effects, and from a workload back to its push.

use serde_json::{Value, json};

use crate::fake_kubernetes::{FakeKubernetes, Proof};
use crate::support::{CLUSTER, TRIGGERS, TestApp, WORLD, program, trigger};

/// Runs the command beside an emulator in this process; exit code and stdout.
fn trace(app: &TestApp, arguments: &[&str]) -> (Option<i32>, String) {
    let url = format!("http://{}", app.client.address);
    let output = program(&[&["trace", "--url", &url], arguments].concat()).output();
    let output = output.expect("it runs");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    (output.status.code(), stdout + &stderr)
}

fn json_of(app: &TestApp, arguments: &[&str]) -> (Option<i32>, Value) {
    let (code, text) = trace(app, &[arguments, &["--json"]].concat());
    let json = serde_json::from_str(&text);
    (code, json.unwrap_or_else(|_| panic!("no JSON: {text}")))
}

/// A world whose trigger `deploy` fires at `^v[0-9]$`.
async fn world() -> TestApp {
    let app = TestApp::seeded(WORLD).await;
    let mut deploy = trigger("deploy");
    deploy["trigger_type"] = json!("regular");
    deploy["condition"] = json!("^v[0-9]$");
    app.post(TRIGGERS, deploy).await.is(201, "{}");
    app
}

async fn push(app: &TestApp, tag: &str) {
    let body = json!({"namespace": "group", "repository": "busybox", "tag": tag});
    let pushed = app.post("/_emulator/push", body).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let idle = app.get("/_emulator/idle?timeout=60s").await;
    assert_eq!(idle.status, 200, "{}", idle.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_traced_to_what_its_workload_got_and_to_its_request() {
    let app = world().await;
    push(&app, "v2").await;

    let (code, found) = json_of(&app, &["group/busybox:v2"]);

    assert_eq!(code, Some(0), "{found}");
    assert_eq!(found["healthy"], true);
    assert_eq!(found["push"]["tag"], "v2");
    assert_eq!(found["push"]["pushed_by"], "admin");
    let request = &found["push"]["request"];
    assert_eq!(request["operation"], "EmulatorPush");
    let (id, address) = (&found["push"]["id"], &app.client.address);
    let page = format!("http://{address}/_emulator/#/push/group/busybox/{id}");
    assert_eq!(found["page"], page);
    let deploy = &found["triggers"][0];
    assert_eq!(deploy["trigger"], "deploy");
    assert_eq!(deploy["result"], "success");
    let place = json!({"cluster": CLUSTER, "namespace": "default", "kind": "deployments",
                       "name": "adsfa"});
    assert_eq!(deploy["workload"], place);
    let change = &deploy["changes"][0];
    assert_eq!(change["container"], "busybox");
    assert_eq!(change["before"], format!("{address}/group/busybox:1.0"));
    assert_eq!(change["after"], format!("{address}/group/busybox:v2"));
    let (code, tree) = trace(&app, &["group/busybox:v2"]);
    assert_eq!(code, Some(0), "{tree}");
    for line in [
        "group/busybox:v2\n",
        &format!("├── push {id} by admin at "),
        "├── request POST /_emulator/push (EmulatorPush, 201) by admin at ",
        "└── deploy fired: success\n",
        "    ├── deployments/adsfa in namespace default of cluster ",
        "    └── rollout healthy since ",
        &format!("container busybox: {address}/group/busybox:1.0 -> {address}/group/busybox:v2"),
    ] {
        assert!(tree.contains(line), "{line}\n{tree}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_did_not_fire_is_told_with_its_near_miss_and_a_younger_one_apart() {
    let app = world().await;
    push(&app, "v1.0").await;
    app.post(TRIGGERS, trigger("younger")).await.is(201, "{}");

    let (code, found) = json_of(&app, &["group/busybox:v1.0"]);

    assert_eq!(code, Some(0), "nothing that fired is unhealthy: {found}");
    let deploy = &found["triggers"][0];
    assert_eq!(deploy["reason"], "^v[0-9]$ does not match v1.0");
    assert_eq!(
        deploy["near_miss"],
        "after v1 a match cannot continue with .0"
    );
    let younger = &found["younger"][0];
    assert_eq!(younger["trigger"], "younger");
    assert_eq!(younger["outcome"], "updates");
    let (_, tree) = trace(&app, &["group/busybox:v1.0"]);
    let line = "younger was made after this push; a push of v1.0 now: updates";
    assert!(tree.contains(line), "{tree}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firing_that_failed_or_is_open_ends_with_1() {
    let app = world().await;
    let mut lost = trigger("lost");
    lost["application"] = json!("nowhere");
    app.post(TRIGGERS, lost).await.is(201, "{}");
    push(&app, "latest").await;

    let (code, tree) = trace(&app, &["group/busybox:latest"]);

    assert_eq!(code, Some(1), "{tree}");
    assert!(
        tree.contains("lost fired: failed: deployments \"nowhere\" not found"),
        "{tree}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_was_not_pushed_is_told_the_tag_that_was_meant() {
    let app = world().await;
    let none = "error: no push of group/busybox:v2 is remembered\n".to_owned();
    assert_eq!(trace(&app, &["group/busybox:v2"]), (Some(1), none));
    push(&app, "release-1").await;
    let (code, told) = trace(&app, &["group/busybox:release1"]);
    assert_eq!(code, Some(1));
    assert!(
        told.ends_with("is remembered; did you mean release-1?\n"),
        "{told}"
    );
    let (_, told) = trace(&app, &["group/busybox:zzz"]);
    assert!(
        told.ends_with("; the newest pushes are of release-1\n"),
        "{told}"
    );
    let (_, told) = trace(&app, &["group/busybox"]);
    assert!(told.starts_with("group/busybox:release-1\n"), "{told}");
    let (code, told) = trace(&app, &["nonsense/busybox:v1"]);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("answered 404 Not Found: Not found namespace"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_is_traced_back_to_the_push_the_trigger_and_the_request() {
    let app = world().await;
    let (code, before) = json_of(&app, &["deployment/adsfa"]);
    assert_eq!(code, Some(0), "{before}");
    assert_eq!(before["containers"][0]["change"], Value::Null);
    push(&app, "v2").await;
    push(&app, "v3.0").await;

    let (code, found) = json_of(&app, &["deployments/adsfa", "--namespace", "default"]);

    assert_eq!(code, Some(0), "{found}");
    let container = &found["containers"][0];
    assert_eq!(container["change"]["trigger"], "deploy");
    let push = &container["push"];
    assert_eq!(push["image"], "group/busybox:v2");
    assert_eq!(push["request"]["operation"], "EmulatorPush");
    let newer = &container["newer"];
    assert_eq!(newer["image"], "group/busybox:v3.0");
    assert_eq!(
        newer["triggers"][0]["reason"],
        "^v[0-9]$ does not match v3.0"
    );
    assert_eq!(found["containers"][1]["image"], "nginx:1");
    let (_, tree) = trace(&app, &["deployment/adsfa", "--cluster", "test"]);
    for line in [
        "deployments/adsfa in namespace default of cluster ",
        "├── set by the trigger deploy at ",
        "├── push 1 of group/busybox:v2 by admin at ",
        "the newest push 2 is of group/busybox:v3.0 at ",
        "    └── deploy did not fire: ^v[0-9]$ does not match v3.0",
    ] {
        assert!(tree.contains(line), "{line}\n{tree}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_of_a_real_cluster_is_traced_back_to_its_newest_update() {
    let kubernetes = FakeKubernetes::start().await;
    let images = [("web", "registry.test/group/busybox:v1")];
    kubernetes.put("deployments", "adsfa", &images);
    let kubeconfig = kubernetes.kubeconfig(Proof::Token);
    let seed = json!({
        "organizations": [{"name": "group", "repositories": [
            {"name": "busybox", "triggers": [trigger("deploy")]}]}],
        "clusters": [{"id": CLUSTER, "name": "test", "kubeconfig": kubeconfig}],
    });
    let names = ["--registry-host", "registry.test"];
    let app = TestApp::seeded_with(&seed.to_string(), &names).await;
    let (code, told) = trace(&app, &["deployment/adsfa"]);
    assert_eq!(code, Some(1));
    let none = "no push that is remembered updated it in a real one";
    assert!(told.contains(none), "{told}");
    push(&app, "v2").await;
    let path = "/_emulator/wait?namespace=group&repository=busybox&tag=v2&trigger=deploy\
                &until=healthy&timeout=60s";
    assert_eq!(app.get(path).await.status, 200);

    let (code, found) = json_of(&app, &["deployment/adsfa", "--cluster", "test"]);

    assert_eq!(code, Some(0), "{found}");
    assert_eq!(found["update"]["trigger"], "deploy");
    assert_eq!(found["update"]["push"]["image"], "group/busybox:v2");
    assert_eq!(
        found["update"]["push"]["request"]["operation"],
        "EmulatorPush"
    );
    assert_eq!(found["status"]["state"], "healthy");
    let (_, tree) = trace(&app, &["deployment/adsfa"]);
    assert!(tree.contains("├── deploy fired: success"), "{tree}");
    let (code, _) = trace(&app, &["deployment/adsfa", "--cluster", "other"]);
    assert_eq!(code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_that_is_missing_or_there_twice_is_told_its_places() {
    let app = world().await;
    let (code, told) = trace(&app, &["deployment/adfsa"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("deployments/adfsa"), "{told}");
    assert!(told.ends_with("; did you mean adsfa?\n"), "{told}");
    let (code, _) = trace(&app, &["statefulset/adsfa"]);
    assert_eq!(code, Some(1));
    let other = "/_emulator/clusters/other/namespaces/default/deployments/adsfa";
    let body = json!({"containers": [{"name": "a", "image": "nginx:1"}]});
    let put = app.client.send("PUT", other, Some(body)).await;
    assert_eq!(put.status, 200, "{}", put.text());
    let (code, told) = trace(&app, &["deployment/adsfa"]);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("choose one with --namespace and --cluster"),
        "{told}"
    );
    let (code, told) = trace(&app, &["deployment/adsfa", "--cluster", "other"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("no trigger has set this image"), "{told}");
}
