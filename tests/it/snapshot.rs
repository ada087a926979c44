//! The whole state as a file, and back from one: by the API, by the program, and at a start.

use std::path::Path;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use crate::support::{
    Answer, CLUSTER, Client, Process, Registry, TOKEN, TestApp, WORLD, digest, program, trigger,
};

const SNAPSHOT: &str = "/_emulator/snapshot";
const REPOSITORIES: &str = "/v2/manage/namespaces/group/repos/busybox";
const WAIT: &str = "/_emulator/wait?namespace=group&repository=busybox";

async fn save(client: &Client) -> Bytes {
    let answer = client.send("GET", SNAPSHOT, None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    answer.body
}

/// Loads a snapshot, or tries to.
pub(crate) async fn load(client: &Client, snapshot: impl Into<Bytes>) -> Answer {
    let request = Request::post(SNAPSHOT).body(snapshot.into());
    client.request(request.expect("a legal request")).await
}

fn workload() -> String {
    format!("/_emulator/clusters/{CLUSTER}/namespaces/default/deployments/adsfa")
}

/// The image of the workload's first container.
async fn image(client: &Client) -> String {
    let answer = client.send("GET", &workload(), None).await.json();
    let image = answer["containers"][0]["image"].as_str();
    image.expect("an image").to_owned()
}

async fn tags(client: &Client) -> Vec<String> {
    let path = format!("{REPOSITORIES}/tags");
    let answer = client.send("GET", &path, None).await;
    let tags = answer.json();
    let tags = tags
        .as_array()
        .unwrap_or_else(|| panic!("{}", answer.text()));
    let name = |tag: &Value| tag["Tag"].as_str().expect("a name").to_owned();
    let mut tags: Vec<_> = tags.iter().map(name).collect();
    tags.sort();
    tags
}

/// An instance of the usual world with a trigger that has fired once, and the digest of the image.
async fn fired() -> (TestApp, String) {
    let app = TestApp::seeded(WORLD).await;
    let triggers = format!("{REPOSITORIES}/triggers");
    app.post(&triggers, trigger("on-push")).await.is(201, "{}");
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    let digest = registry.push_image("group/busybox", "v1", b"first").await;
    let fired = app.get(&format!("{WAIT}&tag=v1&trigger=on-push")).await;
    assert_eq!(fired.status, 200, "{}", fired.text());
    (app, digest)
}

#[tokio::test]
async fn a_saved_instance_goes_on_at_another_address_with_all_that_it_held() {
    let (one, image_digest) = fired().await;
    let login = json!({"auth": {"identity": {"methods": ["token"], "token": {"id": TOKEN}}}});
    let issued = one.post("/v3/auth/tokens", login).await;
    let issued = issued
        .header("x-subject-token")
        .expect("a token")
        .to_owned();
    let user = json!({"user": {"name": "ann", "password": "sesame-7"}});
    assert_eq!(one.post("/v3.0/OS-USER/users", user).await.status, 201);
    let snapshot = save(&one.client).await;

    let other = TestApp::seeded(
        "regions: [{name: cn-east-3, listen: '127.0.0.1:0'}]
organizations: [{name: other}]",
    )
    .await;
    let registry_before = Registry::admin(&other.client, &["other/x"]).await;
    load(&other.client, snapshot).await.is(204, "");

    let shown = format!("{REPOSITORIES}/triggers/on-push");
    let shown = |app: &TestApp| {
        let (client, path) = (app.client.clone(), shown.clone());
        async move { client.send("GET", &path, None).await.json() }
    };
    assert_eq!(shown(&other).await, shown(&one).await);
    let gone = other.get("/v2/manage/namespaces/other").await;
    assert_eq!(gone.status, 404);
    let mirror = other.in_region("cn-east-3");
    let mirror = mirror
        .send("GET", "/v2/manage/namespaces/mirror", None)
        .await;
    assert_eq!(mirror.status, 200);
    // Those whom the seed made, whom IAM made, and a token that was issued.
    for token in ["partner-dev", &issued] {
        let caller = other.as_user(token);
        let namespaces = caller.send("GET", "/v2/manage/namespaces", None).await;
        assert_eq!(namespaces.status, 200, "{token}");
    }
    let login = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": "ann", "password": "sesame-7", "domain": {"name": "swr-emulator"}}}}}});
    assert_eq!(other.post("/v3/auth/tokens", login).await.status, 201);
    // Tokens of the registry end.
    assert_eq!(registry_before.get("/v2/").await.status, 401);

    let path = |app: &TestApp, tag: &str| format!("{}/group/busybox:{tag}", app.client.address);
    assert_eq!(image(&other.client).await, path(&other, "v1"));
    let rollouts = other.get(&workload()).await.json();
    assert_eq!(rollouts["rollouts"][0]["after"], path(&other, "v1"));
    let registry = Registry::admin(&other.client, &["group/busybox"]).await;
    let manifest = registry.get("/v2/group/busybox/manifests/v1").await;
    assert_eq!(digest(&manifest.body), image_digest);
    let blob = registry
        .get(&format!("/v2/group/busybox/blobs/{}", digest(b"first")))
        .await;
    assert_eq!(blob.body, &b"first"[..]);

    registry.push_image("group/busybox", "v2", b"second").await;
    let fired = other.get(&format!("{WAIT}&tag=v2&trigger=on-push")).await;
    assert_eq!(fired.status, 200, "{}", fired.text());
    assert_eq!(image(&other.client).await, path(&other, "v2"));
    assert_eq!(image(&one.client).await, path(&one, "v1"));
}

#[tokio::test]
async fn firings_that_were_open_go_on_where_the_snapshot_is_loaded() {
    let (one, _) = fired().await;
    let before = save(&one.client).await;
    let slow = |app: &TestApp, delay: u32| {
        let image = format!("{}/group/busybox:1.0", app.client.address);
        json!({"containers": [{"name": "busybox", "image": image}], "delay_ms": delay})
    };
    let put = one
        .client
        .send("PUT", &workload(), Some(slow(&one, 600_000)))
        .await;
    assert_eq!(put.status, 200, "{}", put.text());
    let push = json!({"namespace": "group", "repository": "busybox", "tag": "v2"});
    assert_eq!(one.post("/_emulator/push", push).await.status, 201);
    let snapshot = save(&one.client).await;

    let seed = "regions: [{name: cn-east-3, listen: '127.0.0.1:0'}]";
    let other = TestApp::seeded(seed).await;
    load(&other.client, snapshot.clone()).await.is(204, "");
    let quick = other
        .client
        .send("PUT", &workload(), Some(slow(&other, 0)))
        .await;
    assert_eq!(quick.status, 200, "{}", quick.text());
    let fired = other.get(&format!("{WAIT}&tag=v2&trigger=on-push")).await;
    assert_eq!(fired.status, 200, "{}", fired.text());
    let expected = format!("{}/group/busybox:v2", other.client.address);
    assert_eq!(image(&other.client).await, expected);

    // The firing of the world before holds up nobody.
    load(&one.client, before).await.is(204, "");
    let push = json!({"namespace": "group", "repository": "busybox", "tag": "v3"});
    assert_eq!(one.post("/_emulator/push", push).await.status, 201);
    let fired = one.get(&format!("{WAIT}&tag=v3&trigger=on-push")).await;
    assert_eq!(fired.status, 200, "{}", fired.text());

    // Loaded into the one that was saved, it waits there again.
    load(&one.client, snapshot).await.is(204, "");
    let quick = one
        .client
        .send("PUT", &workload(), Some(slow(&one, 0)))
        .await;
    assert_eq!(quick.status, 200, "{}", quick.text());
    let fired = one.get(&format!("{WAIT}&tag=v2&trigger=on-push")).await;
    assert_eq!(fired.status, 200, "{}", fired.text());
    let history = format!("{REPOSITORIES}/triggers/on-push");
    let history = one.get(&history).await.json()["trigger_history"].clone();
    let fired_tags: Vec<_> = history.as_array().expect("a list").iter().collect();
    assert_eq!(fired_tags.len(), 2, "{history}");
}

#[tokio::test]
async fn resets_without_a_body_go_back_to_the_snapshot_and_its_images() {
    let (app, digest) = fired().await;
    let snapshot = save(&app.client).await;
    load(&app.client, snapshot).await.is(204, "");
    for _ in 0..2 {
        app.delete(&format!("{REPOSITORIES}/tags/v1")).await;
        app.delete(&format!("{REPOSITORIES}/triggers/on-push"))
            .await;
        assert!(tags(&app.client).await.is_empty());
        app.post("/_emulator/reset", json!({})).await.is(204, "");
        assert_eq!(tags(&app.client).await, ["v1"]);
        let registry = Registry::admin(&app.client, &["group/busybox"]).await;
        let path = format!("/v2/group/busybox/manifests/{digest}");
        assert_eq!(registry.get(&path).await.status, 200);
        let layer = crate::support::digest(b"first");
        let blob = registry
            .get(&format!("/v2/group/busybox/blobs/{layer}"))
            .await;
        assert_eq!(blob.body, &b"first"[..]);
    }
    let shown = app.get(&format!("{REPOSITORIES}/triggers/on-push")).await;
    assert_eq!(
        shown.json()["trigger_history"].as_array().map(Vec::len),
        Some(1)
    );
    let seed = Request::post("/_emulator/reset").body(Bytes::from_static(b"organizations: []"));
    let seeded = app.client.request(seed.expect("a legal request")).await;
    // The regions are those of the start, which this seed leaves out.
    assert_eq!(seeded.status, 400);
}

#[tokio::test]
async fn what_is_no_whole_snapshot_is_refused_and_changes_nothing() {
    let (app, _) = fired().await;
    let good = save(&app.client).await.to_vec();
    let check = async |snapshot: Vec<u8>, rule: &str| {
        let refused = load(&app.client, snapshot).await.refused(400, "4000014");
        assert!(refused.starts_with(rule), "{refused}");
    };
    check(Vec::new(), "snapshot: it is not a snapshot").await;
    check(
        b"organizations: []".to_vec(),
        "snapshot: it is not a snapshot",
    )
    .await;
    check(
        good[..good.len() / 2].to_vec(),
        "snapshot: it is truncated: ",
    )
    .await;
    let mut damaged = good.clone();
    let mut bytes = good.windows(5);
    let at = bytes
        .rposition(|bytes| bytes == b"first")
        .expect("the layer");
    damaged[at] ^= 1;
    check(damaged, "snapshot: it is damaged: blobs/").await;

    let elsewhere = TestApp::with_arguments(&["--region", "cn-south-1"]).await;
    let refused = load(&elsewhere.client, good.clone()).await;
    let refused = refused.refused(400, "4000014");
    let rule = "snapshot: its home region cn-north-4 must be this one's: cn-south-1";
    assert_eq!(refused, rule);
    let alone = TestApp::start().await;
    let refused = load(&alone.client, good.clone())
        .await
        .refused(400, "4000014");
    assert_eq!(
        refused,
        "snapshot: its region cn-east-3 must be one of this instance"
    );
    let small = TestApp::with_arguments(&["--max-snapshot", "1"]).await;
    let large = load(&small.client, vec![0; 1024 * 1024 + 1]).await;
    large.refused(413, "4131001");

    assert_eq!(tags(&app.client).await, ["v1"]);
    let blobs = std::fs::read_dir(app.data_folder().join("blobs")).expect("there");
    assert_eq!(blobs.count(), 2);
    let left = std::fs::read_dir(app.data_folder().join("snapshots")).expect("there");
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn a_snapshot_that_is_saved_while_others_write_is_of_one_moment() {
    let app = TestApp::with_repository().await;
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let write = async |name: &str| {
        for number in 0.. {
            if is_over.load(std::sync::atomic::Ordering::Relaxed) {
                return;
            }
            let trigger = trigger(&format!("{name}-{number}"));
            let triggers = format!("{REPOSITORIES}/triggers");
            app.post(&triggers, trigger).await.is(201, "{}");
            let push = json!({"namespace": "group", "repository": "busybox",
                              "tag": format!("{name}-{number}")});
            assert_eq!(app.post("/_emulator/push", push).await.status, 201);
            let tag = format!("{REPOSITORIES}/tags/{name}-{number}");
            if number % 2 == 0 {
                assert_eq!(app.delete(&tag).await.status, 204);
            }
        }
    };
    let check = async {
        for _ in 0..5 {
            let snapshot = save(&app.client).await;
            let other = TestApp::start().await;
            load(&other.client, snapshot).await.is(204, "");
            // A tag is pushed after its trigger was made, and each of its parts is there.
            let triggers = other.get(&format!("{REPOSITORIES}/triggers")).await.json();
            let triggers = triggers.as_array().expect("a list").clone();
            let registry = Registry::admin(&other.client, &["group/busybox"]).await;
            for tag in tags(&other.client).await {
                assert!(
                    triggers.iter().any(|trigger| trigger["name"] == *tag),
                    "{tag}"
                );
                let path = format!("/v2/group/busybox/manifests/{tag}");
                let manifest = registry.get(&path).await.json();
                let layer = manifest["layers"][0]["digest"].as_str().expect("a digest");
                let blob = registry
                    .get(&format!("/v2/group/busybox/blobs/{layer}"))
                    .await;
                assert_eq!(digest(&blob.body), layer);
            }
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    tokio::join!(write("a"), write("b"), write("c"), check);
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_saves_loads_and_starts_from_a_file() {
    let (app, _) = fired().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("world.swr");
    let url = format!("http://{}", app.client.address);
    let run = |command: &str, url: &str| {
        let arguments = ["snapshot", command, "--url", url, text(&file)];
        let output = program(&arguments).output().expect("run");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        (output.status.code(), stderr)
    };
    assert_eq!(run("save", &url), (Some(0), String::new()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let names = std::fs::read_dir(folder.path()).expect("there").count();
    assert_eq!(names, 1, "nothing is left beside it");

    let data = folder.path().join("data");
    let from = ["--listen", "127.0.0.1:0", "--data-dir", text(&data)];
    let from = [&from[..], &["--from", text(&file)]].concat();
    let started = Process::start(&from);
    let there = started.client();
    assert_eq!(tags(&there).await, ["v1"]);
    let expected = format!("{}/group/busybox:v1", there.address);
    assert_eq!(image(&there).await, expected);
    there
        .send("DELETE", &format!("{REPOSITORIES}/tags/v1"), None)
        .await;
    assert!(tags(&there).await.is_empty());
    let reset = there.send("POST", "/_emulator/reset", None).await;
    reset.is(204, "");
    assert_eq!(tags(&there).await, ["v1"]);

    there
        .send("DELETE", &format!("{REPOSITORIES}/tags/v1"), None)
        .await;
    let loaded = run("load", &format!("http://{}", there.address));
    assert_eq!(loaded, (Some(0), String::new()));
    assert_eq!(tags(&there).await, ["v1"]);
    started.kill();
    // The data folder has it all, and is not empty any more.
    let refused = program(&from).output().expect("run");
    assert_eq!(refused.status.code(), Some(2));
    let stderr = String::from_utf8(refused.stderr).expect("UTF-8");
    assert!(stderr.contains("is not empty"), "{stderr}");
    let again = Process::start(&from[..4]);
    assert_eq!(tags(&again.client()).await, ["v1"]);
    drop(again);

    let (code, reason) = run("load", "http://127.0.0.1:1");
    assert_eq!(code, Some(1));
    assert!(
        reason.starts_with("error: no emulator answers at"),
        "{reason}"
    );
    std::fs::write(&file, "no snapshot").expect("written");
    let (code, reason) = run("load", &url);
    let expected = format!(
        "error: the emulator at {url} answered 400 Bad Request: snapshot: it is not a snapshot\n"
    );
    assert_eq!((code, reason), (Some(1), expected));
}

#[test]
fn a_start_from_what_is_no_snapshot_leaves_the_folder_as_it_was() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("world.swr");
    std::fs::write(&file, "no snapshot").expect("written");
    let data = folder.path().join("data");
    let fails = |arguments: &[&str]| {
        let own = ["--listen", "127.0.0.1:0", "--data-dir", text(&data)];
        let output = program(&[&own[..], arguments].concat()).output();
        let output = output.expect("run");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        (output.status.code(), stderr)
    };
    let (code, reason) = fails(&["--from", text(&file)]);
    let expected = format!(
        "error: cannot start from {}: it is not a snapshot\n",
        text(&file)
    );
    assert_eq!((code, reason), (Some(1), expected));
    assert!(!data.exists());
    let (code, reason) = fails(&["--from", text(&file), "--seed", "x.yaml"]);
    assert_eq!(code, Some(2));
    assert!(
        reason.contains("--seed cannot be used with --from"),
        "{reason}"
    );
    assert!(!data.exists());
}

/// `tests/folders/schema-15.swr` was saved by version 0.1.0: the world of these tests, with a trigger
/// that has fired once.
#[tokio::test]
async fn a_snapshot_of_schema_15_is_loaded_by_each_later_version() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/folders/schema-15.swr");
    let app = TestApp::with_arguments(&["--from", text(&file)]).await;
    assert_eq!(tags(&app.client).await, ["v1"]);
    let expected = format!("{}/group/busybox:v1", app.client.address);
    assert_eq!(image(&app.client).await, expected);
    let fired = app.get(&format!("{WAIT}&tag=v1&trigger=on-push")).await;
    assert_eq!(fired.status, 200, "{}", fired.text());
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    let blob = registry
        .get(&format!("/v2/group/busybox/blobs/{}", digest(b"first")))
        .await;
    assert_eq!(blob.body, &b"first"[..]);
}
