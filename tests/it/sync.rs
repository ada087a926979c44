//! Image sync between the regions of one instance: tasks, jobs, and that images really arrive.

use http::Request;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Kept, OCI_MANIFEST, Registry, TestApp, digest, trigger};

const HOME: &str = "cn-north-4";
const EAST: &str = "cn-east-3";

const SEED: &str = r#"
regions: [{name: cn-east-3, listen: "127.0.0.1:0"}, {name: cn-south-1, listen: "127.0.0.1:0"}]
accounts:
  - {name: swr-emulator, users: [{name: dev, token: dev}]}
  - {name: partner, users: [{name: boss, admin: true, token: partner-boss}]}
organizations:
  - {name: group, repositories: [{name: busybox, category: linux, is_public: true}]}
  - {name: mirror, region: cn-east-3}
  - {name: theirs, region: cn-east-3, account: partner}
"#;

const REPOSITORY: &str = "/v2/manage/namespaces/group/repos/busybox";
const SYNC_REPO: &str = "/v2/manage/namespaces/group/repos/busybox/sync_repo";
const SYNC_IMAGES: &str = "/v2/manage/namespaces/group/repos/busybox/sync_images";
const MIRROR: &str = "/v2/manage/namespaces/mirror/repos/busybox";

async fn push(client: &Client, namespace: &str, tag: &str, nonce: &str) -> String {
    let body = json!({"namespace": namespace, "repository": "busybox", "tag": tag, "nonce": nonce});
    let answer = client.send("POST", "/_emulator/push", Some(body)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let answer = answer.json();
    answer["digest"].as_str().expect("a digest").to_owned()
}

async fn idle(client: &Client) -> Value {
    let answer = client
        .send("GET", "/_emulator/idle?timeout=60s", None)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The jobs of the example repository, newest first: tag and status.
async fn jobs(client: &Client) -> Vec<(String, String)> {
    let path = format!("{REPOSITORY}/sync_job?filter=limit::1000|offset::0");
    let list = client.send("GET", &path, None).await.json();
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let list = list.as_array().expect("a list").iter();
    list.map(|job| (text(&job["tag"]), text(&job["status"])))
        .collect()
}

fn job(tag: &str, status: &str) -> (String, String) {
    (tag.to_owned(), status.to_owned())
}

/// The digest of a tag of the mirror.
async fn mirrored(east: &Client, tag: &str) -> Option<String> {
    let answer = east
        .send("GET", &format!("{MIRROR}/tags/{tag}"), None)
        .await;
    let digest = answer.json()["digest"].as_str().map(str::to_owned);
    assert_eq!(answer.status == 200, digest.is_some(), "{}", answer.text());
    digest
}

fn task(region: &str, namespace: &str, overwrite: bool) -> Value {
    json!({"remoteRegionId": region, "remoteNamespace": namespace, "syncAuto": true,
           "override": overwrite})
}

fn images(tags: &[&str], namespace: &str, overwrite: bool) -> Value {
    json!({"imageTag": tags, "remoteRegionId": EAST, "remoteNamespace": namespace,
           "override": overwrite})
}

/// An instance with a task that takes the example repository to the mirror.
async fn with_task(overwrite: bool) -> (TestApp, Client) {
    let app = TestApp::seeded(SEED).await;
    let body = task(EAST, "mirror", overwrite);
    app.post(SYNC_REPO, body).await.is(200, "{}");
    let east = app.in_region(EAST);
    (app, east)
}

#[tokio::test]
async fn what_is_pushed_after_the_task_was_made_arrives_whole_in_the_other_region() {
    let app = TestApp::seeded(SEED).await;
    let east = app.in_region(EAST);
    push(&app.client, "group", "before", "one").await;
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    let part = registry.push_image("group/busybox", "part", b"layer").await;
    let body = task(EAST, "mirror", false);
    app.post(SYNC_REPO, body).await.is(200, "{}");
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": OCI_MANIFEST, "digest": part, "size": 1}]});
    let index = index.to_string();
    let media_type = "application/vnd.oci.image.index.v1+json";
    let path = "/v2/group/busybox/manifests/v2";
    let headers = [("Content-Type", media_type)];
    let answer = registry.send("PUT", path, &headers, index.clone()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());

    assert_eq!(idle(&east).await, json!({"fired": 0, "failed": 0}));

    // What the index lists comes with it, but not under the tag that it has at home.
    for tag in ["before", "part"] {
        assert_eq!(mirrored(&east, tag).await, None, "{tag}");
    }
    assert_eq!(mirrored(&east, "v2").await, Some(digest(index.as_bytes())));
    let there = Registry::admin(&east, &["mirror/busybox"]).await;
    let answer = there.get("/v2/mirror/busybox/manifests/v2").await;
    assert_eq!(
        (answer.text(), answer.header("content-type")),
        (index.as_str(), Some(media_type))
    );
    let path = format!("/v2/mirror/busybox/manifests/{part}");
    assert_eq!(there.get(&path).await.status, 200);
    for (content, text) in [(&b"layer"[..], "layer"), (b"{}", "{}")] {
        let path = format!("/v2/mirror/busybox/blobs/{}", digest(content));
        there.get(&path).await.is(200, text);
    }
    let shown = east.send("GET", MIRROR, None).await.json();
    assert_eq!(
        (&shown["category"], &shown["is_public"]),
        (&json!("linux"), &json!(false))
    );
    let pushes = "/_emulator/pushes?namespace=mirror&repository=busybox&tag=v2";
    let pushes = east.send("GET", pushes, None).await.json();
    assert_eq!(pushes[0]["pushed_by"], "admin");
}

#[tokio::test]
async fn a_synced_image_fires_the_triggers_of_its_region_under_that_regions_name() {
    let seed = format!(
        "{SEED}
clusters:
  - id: 5b28c12f-dc10-11e9-97b3-0255ac1001b5
    name: test
    namespaces: [{{name: default}}]
"
    );
    let app = TestApp::seeded(&seed).await;
    let east = app.in_region(EAST);
    let workload = "/_emulator/clusters/test/namespaces/default/deployments/adsfa";
    let image = |tag: &str| format!("{}/mirror/busybox:{tag}", east.address);
    // The other region's registry is another one, whatever the path.
    let foreign = format!("{}/mirror/busybox:v0", app.client.address);
    let body = json!({"containers": [{"name": "c", "image": image("v0")},
                                     {"name": "foreign", "image": foreign}]});
    let answer = app.client.send("PUT", workload, Some(body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    push(&east, "mirror", "first", "one").await;
    let triggers = format!("{MIRROR}/triggers");
    let answer = east.send("POST", &triggers, Some(trigger("t"))).await;
    answer.is(201, "{}");
    let body = task(EAST, "mirror", false);
    app.post(SYNC_REPO, body).await.is(200, "{}");

    push(&app.client, "group", "v1", "one").await;

    assert_eq!(idle(&app.client).await, json!({"fired": 1, "failed": 0}));
    let shown = app.get(workload).await.json();
    assert_eq!(
        shown["containers"],
        json!([{"name": "c", "image": image("v1")}, {"name": "foreign", "image": foreign}])
    );
}

#[tokio::test]
async fn a_tag_that_the_target_has_is_replaced_only_with_override() {
    let (app, east) = with_task(false).await;
    let first = push(&app.client, "group", "v1", "one").await;
    idle(&app.client).await;
    push(&app.client, "group", "v1", "one").await;
    idle(&app.client).await;
    let second = push(&app.client, "group", "v1", "two").await;
    idle(&app.client).await;
    assert_ne!(first, second);
    assert_eq!(mirrored(&east, "v1").await.as_ref(), Some(&first));
    assert_eq!(
        jobs(&app.client).await,
        [
            job("v1", "existed"),
            job("v1", "existed"),
            job("v1", "success")
        ]
    );

    app.post(SYNC_REPO, task(EAST, "mirror", true))
        .await
        .is(200, "{}");
    push(&app.client, "group", "v1", "two").await;
    idle(&app.client).await;
    assert_eq!(mirrored(&east, "v1").await, Some(second));
    assert_eq!(jobs(&app.client).await[0], job("v1", "success"));
}

#[tokio::test]
async fn a_manual_sync_takes_the_tags_that_it_names_and_fails_for_others() {
    let app = TestApp::seeded(SEED).await;
    let east = app.in_region(EAST);
    let digest = push(&app.client, "group", "v1", "one").await;
    push(&app.client, "group", "v2", "two").await;

    let body = images(&["v1", "missing", "v1"], "mirror", false);
    app.post(SYNC_IMAGES, body).await.is(200, "[]");
    idle(&app.client).await;

    assert_eq!(
        jobs(&app.client).await,
        [job("missing", "failed"), job("v1", "success")]
    );
    assert_eq!(mirrored(&east, "v1").await, Some(digest));
    assert_eq!(mirrored(&east, "v2").await, None);
    for namespace in ["nowhere", "theirs"] {
        let body = images(&["v2"], namespace, true);
        app.post(SYNC_IMAGES, body).await.is(200, "[]");
        idle(&app.client).await;
        assert_eq!(
            jobs(&app.client).await[0],
            job("v2", "failed"),
            "{namespace}"
        );
    }
    let theirs = Client {
        token: Some("partner-boss".to_owned()),
        ..east
    };
    let list = theirs.send("GET", "/v2/manage/repos", None).await;
    list.is(200, "[]");
}

#[tokio::test]
async fn regions_that_sync_to_each_other_come_to_rest() {
    let (app, east) = with_task(true).await;
    push(&app.client, "group", "v1", "one").await;
    idle(&app.client).await;
    let back = format!("{MIRROR}/sync_repo");
    let answer = east
        .send("POST", &back, Some(task(HOME, "group", true)))
        .await;
    answer.is(200, "{}");

    let digest = push(&app.client, "group", "v1", "two").await;
    idle(&app.client).await;
    assert_eq!(mirrored(&east, "v1").await, Some(digest));
    let path = format!("{MIRROR}/sync_job?filter=limit::10|offset::0");
    east.send("GET", &path, None).await.is(200, "[]");

    let third = push(&east, "mirror", "v1", "three").await;
    idle(&app.client).await;
    let shown = app.get(&format!("{REPOSITORY}/tags/v1")).await.json();
    assert_eq!(shown["digest"], third);
    assert_eq!(jobs(&app.client).await.len(), 2);
}

#[tokio::test]
async fn a_task_shows_what_it_was_made_with_until_it_is_deleted() {
    let (app, _) = with_task(false).await;
    let listed = app.get(SYNC_REPO).await.json();
    let (id, created) = (&listed[0]["id"], &listed[0]["createdAt"]);
    assert!(id.is_i64());
    for (field, value) in task(EAST, "mirror", false).as_object().expect("a task") {
        assert_eq!(listed[0][field], *value, "{field}");
    }
    let account = app.get("/v3/auth/domains").await.json()["domains"][0]["id"].clone();
    assert_eq!(listed[0]["domainID"], account);
    assert_eq!(listed[0]["updatedAt"], *created);

    app.post(SYNC_REPO, task(EAST, "mirror", true))
        .await
        .is(200, "{}");
    let changed = app.get(SYNC_REPO).await.json();
    assert_eq!(changed.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&changed[0]["id"], &changed[0]["override"]),
        (id, &json!(true))
    );
    // Nobody looks whether the organization is there.
    let other = json!({"remoteRegionId": "cn-south-1", "remoteNamespace": "nowhere"});
    app.post(SYNC_REPO, other.clone()).await.is(200, "{}");
    assert_eq!(
        app.get(SYNC_REPO).await.json(),
        changed,
        "without syncAuto it is not listed"
    );

    let delete = |body: Value| app.client.send("DELETE", SYNC_REPO, Some(body));
    delete(other.clone()).await.is(200, "{}");
    delete(other).await.refused(400, "4001158");
    let mine = json!({"remoteRegionId": EAST, "remoteNamespace": "mirror"});
    delete(mine).await.is(200, "{}");
    app.get(SYNC_REPO).await.is(200, "[]");
    push(&app.client, "group", "v1", "one").await;
    assert_eq!(jobs(&app.client).await, []);
}

#[tokio::test]
async fn what_names_no_other_region_of_the_instance_is_refused() {
    let app = TestApp::seeded(SEED).await;
    for path in [SYNC_REPO, SYNC_IMAGES] {
        let post = async |changes: Value| {
            let mut body = images(&["v1"], "mirror", false);
            for (field, value) in changes.as_object().expect("an object") {
                body[field] = value.clone();
            }
            app.post(path, body).await
        };
        let message = post(json!({"remoteRegionId": "eu-west-0"}))
            .await
            .refused(500, "5001101");
        assert_eq!(message, "Internal error");
        for (changes, wrong) in [
            (
                json!({"remoteRegionId": HOME}),
                "remoteRegionId: must not be the repository's own region",
            ),
            (
                json!({"remoteRegionId": null}),
                "remoteRegionId: must not be null",
            ),
            (
                json!({"remoteNamespace": ""}),
                "remoteNamespace: must not be empty",
            ),
            (
                json!({"override": "true"}),
                "override: must be true or false",
            ),
        ] {
            let message = post(changes).await.refused(400, "4000014");
            assert!(message.starts_with(wrong), "{message}");
        }
    }
    for tags in [
        json!([]),
        json!("v1"),
        json!(["-"]),
        json!([1]),
        Value::Null,
    ] {
        let mut body = images(&[], "mirror", false);
        body["imageTag"] = tags;
        let message = app.post(SYNC_IMAGES, body).await.refused(400, "4000014");
        assert!(message.starts_with("imageTag: "), "{message}");
    }
}

#[tokio::test]
async fn only_administrators_sync_and_others_of_the_account_may_look() {
    let (app, _) = with_task(false).await;
    let dev = app.as_user("dev");
    let body = task(EAST, "mirror", true);
    for (method, path, body) in [
        ("POST", SYNC_REPO, body.clone()),
        ("POST", SYNC_REPO, json!({})),
        ("DELETE", SYNC_REPO, body.clone()),
        ("POST", SYNC_IMAGES, images(&["v1"], "mirror", false)),
    ] {
        let answer = dev.send(method, path, Some(body)).await;
        answer.refused(403, "4030170");
    }
    assert_eq!(
        dev.send("GET", SYNC_REPO, None).await.json()[0]["override"],
        false
    );
    let stranger = app.as_user("partner-boss");
    let answer = stranger.send("POST", SYNC_REPO, Some(body)).await;
    answer.refused(404, "4040058");
    let answer = stranger.send("GET", SYNC_REPO, None).await;
    answer.refused(404, "4040058");
    let missing = "/v2/manage/namespaces/group/repos/missing/sync_repo";
    app.get(missing).await.refused(404, "4040010");
}

#[tokio::test]
async fn jobs_are_listed_page_by_page_newest_first_or_oldest_first() {
    let app = TestApp::seeded(SEED).await;
    app.post(SYNC_IMAGES, images(&["v1", "v2", "v3"], "mirror", true))
        .await
        .is(200, "[]");
    idle(&app.client).await;
    let check = async |filter: &str, range: &str, expected: &[&str]| {
        let answer = app
            .get(&format!("{REPOSITORY}/sync_job?filter={filter}"))
            .await;
        assert_eq!(answer.header("content-range"), Some(range), "{filter}");
        let list = answer.json();
        let list = list.as_array().expect("a list").iter();
        let tags: Vec<_> = list.map(|job| job["tag"].clone()).collect();
        assert_eq!(tags, expected, "{filter}");
    };
    check("limit::10|offset::0", "0-3/3", &["v3", "v2", "v1"]).await;
    check("limit::2|offset::0|order::desc", "0-2/3", &["v3", "v2"]).await;
    check("limit::2|offset::2|order::desc", "2-1/3", &["v1"]).await;
    check("limit::2|offset::0|order::asc", "0-2/3", &["v1", "v2"]).await;
    check("limit::10|offset::10", "10-0/3", &[]).await;

    for (query, code) in [
        ("", "4001035"),
        ("?limit=10&offset=0", "4001035"),
        ("?filter=", "4001035"),
        ("?filter=status::failed", "4001035"),
        ("?filter=limit::0|offset::0", "4000056"),
        ("?filter=limit::1|offset::0|order::newest", "4001096"),
    ] {
        let answer = app.get(&format!("{REPOSITORY}/sync_job{query}")).await;
        answer.refused(400, code);
    }

    let shown = app
        .get(&format!("{REPOSITORY}/sync_job?filter=limit::1|offset::0"))
        .await;
    let shown = shown.json();
    let account = app.get("/v3/auth/domains").await.json()["domains"][0]["id"].clone();
    let user = app.get("/v3/users?name=admin").await.json()["users"][0]["id"].clone();
    for (field, value) in [
        ("domainID", account),
        ("override", json!(true)),
        ("remoteRegionId", json!(EAST)),
        ("status", json!("failed")),
        ("syncOperatorId", user),
        ("tag", json!("v3")),
    ] {
        assert_eq!(shown[0][field], value, "{field}");
    }
}

#[tokio::test]
async fn the_regions_to_sync_to_are_all_others() {
    let app = TestApp::seeded(SEED).await;
    let regions = "/v2/manage/regions";
    let list = app.get(regions).await;
    list.is(
        200,
        r#"[{"regionID":"cn-east-3"},{"regionID":"cn-south-1"}]"#,
    );
    let list = app.in_region(EAST).send("GET", regions, None).await;
    list.is(
        200,
        r#"[{"regionID":"cn-north-4"},{"regionID":"cn-south-1"}]"#,
    );
    TestApp::start().await.get(regions).await.is(200, "[]");
}

#[tokio::test]
async fn an_acknowledged_push_is_synced_also_over_kill_9() {
    let kept = Kept::seeded(SEED);
    let first = kept.start(&[]);
    let client = first.client();
    let answer = client
        .send("POST", SYNC_REPO, Some(task(EAST, "mirror", false)))
        .await;
    answer.is(200, "{}");
    let mut digests = Vec::new();
    for tag in ["v1", "v2", "v3", "v4", "v5"] {
        digests.push((tag, push(&client, "group", tag, tag).await));
    }
    first.kill();

    let mut second = kept.start(&[]);
    let east = second.next_region(EAST);
    idle(&second.client()).await;

    for (tag, digest) in digests {
        assert_eq!(mirrored(&east, tag).await, Some(digest), "{tag}");
    }
    let jobs = jobs(&second.client()).await;
    assert_eq!(jobs.len(), 5);
    assert!(
        jobs.iter().all(|(_, status)| status == "success"),
        "{jobs:?}"
    );
}

/// As the provider sends it: JSON that ends in a newline.
async fn terraform(app: &TestApp, method: &str, path: &str, body: Option<Value>) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("Accept", "application/json")
        .header("User-Agent", "terraform-provider-iac golangsdk/2.0.0");
    let mut bytes = String::new();
    if let Some(body) = body {
        request = request.header("Content-Type", "application/json");
        bytes = format!("{body}\n");
    }
    let request = request.body(bytes.into()).expect("legal");
    app.client.request(request).await
}

#[tokio::test]
async fn terraform_applies_reads_and_destroys_an_auto_sync() {
    let seed = SEED.replace("busybox", "library/nginx");
    let app = TestApp::seeded(&seed).await;
    let sync = "/v2/manage/namespaces/group/repos/library$nginx/sync_repo";
    let body = json!({"override": false, "remoteNamespace": "g2", "remoteRegionId": EAST,
                      "syncAuto": true});
    terraform(&app, "POST", sync, Some(body))
        .await
        .is(200, "{}");
    let read = terraform(&app, "GET", sync, None).await;
    assert_eq!(read.status, 200);
    let read = read.json();
    let found = &read.as_array().expect("a list")[0];
    for (field, value) in [
        ("remoteRegionId", json!(EAST)),
        ("remoteNamespace", json!("g2")),
        ("namespace", json!("group")),
        ("repoName", json!("library/nginx")),
        ("override", json!(false)),
    ] {
        assert_eq!(found[field], value, "{field}");
    }
    assert!(found["createdAt"].is_string() && found["updatedAt"].is_string());

    // data sources
    let jobs =
        "/v2/manage/namespaces/group/repos/library$nginx/sync_job?filter=limit::10|offset::0";
    terraform(&app, "GET", jobs, None).await.is(200, "[]");
    let regions = terraform(&app, "GET", "/v2/manage/regions", None)
        .await
        .json();
    assert_eq!(regions[0]["regionID"], EAST);

    // destroy, and once more when it is gone already
    let body = json!({"remoteNamespace": "g2", "remoteRegionId": EAST});
    terraform(&app, "DELETE", sync, Some(body.clone()))
        .await
        .is(200, "{}");
    terraform(&app, "GET", sync, None).await.is(200, "[]");
    let gone = terraform(&app, "DELETE", sync, Some(body)).await;
    assert_eq!(gone.json()["errors"][0]["errorCode"], "SVCSTG.SWR.4001158");
    gone.refused(400, "4001158");
}
