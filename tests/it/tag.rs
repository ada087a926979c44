//! Tags in the management API, and pushes without an image.

use serde_json::{Value, json};

use crate::support::{Registry, TestApp};

const TAGS: &str = "/v2/manage/namespaces/group/repos/app/tags";
const PUSH: &str = "/_emulator/push";

async fn app() -> TestApp {
    TestApp::seeded_with(
        "organizations: [{name: group}]",
        &["--registry-host", "swr.test"],
    )
    .await
}

async fn push(app: &TestApp, tag: &str, nonce: &str) -> String {
    let body = json!({"namespace": "group", "repository": "app", "tag": tag, "nonce": nonce});
    let answer = app.post(PUSH, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["digest"]
        .as_str()
        .expect("a digest")
        .to_owned()
}

fn names(list: &Value, key: &str) -> Vec<String> {
    let list = list.as_array().expect("a list").iter();
    list.map(|tag| tag[key].as_str().expect("a name").to_owned())
        .collect()
}

#[tokio::test]
async fn a_pushed_image_is_listed_shown_and_pullable() {
    let app = app().await;
    let digest = push(&app, "v1", "one").await;

    let list = app.get(TAGS).await;
    assert_eq!(list.header("content-range"), Some("0-1/1"));
    let list = list.json();
    assert_eq!(names(&list, "Tag"), ["v1"]);
    assert_eq!(list[0]["digest"], digest);
    assert_eq!(list[0]["path"], "swr.test/group/app:v1");
    let shown = app.get(&format!("{TAGS}/v1")).await.json();
    assert_eq!(
        (&shown["tag"], &shown["digest"]),
        (&json!("v1"), &json!(digest))
    );
    for key in ["Tag", "deleted", "scanned"] {
        assert_eq!(shown.get(key), None);
    }
    let registry = Registry::admin(&app.client, &["group/app"]).await;
    let pulled = registry.get("/v2/group/app/manifests/v1").await;
    assert_eq!(shown["manifest"], pulled.text());
    let layer = pulled.json()["layers"][0]["digest"]
        .as_str()
        .expect("a digest")
        .to_owned();
    assert_eq!(
        registry
            .get(&format!("/v2/group/app/blobs/{layer}"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn the_counters_of_the_repository_are_true() {
    let app = app().await;
    push(&app, "v1", "one").await;
    push(&app, "v2", "two").await;
    push(&app, "v3", "one").await;
    let one = "/v2/manage/namespaces/group/repos/app";
    let shown = app.get(one).await.json();
    assert_eq!(shown["num_images"], 3);
    let list = app.get("/v2/manage/repos").await.json();
    assert_eq!(list[0]["tags"], json!(["v3", "v2", "v1"]));
    assert_eq!(list[0]["size"], shown["size"]);
    // Three tags, but two images: the blobs of each are counted once.
    let sizes: Vec<i64> = app
        .get(TAGS)
        .await
        .json()
        .as_array()
        .expect("a list")
        .iter()
        .map(|tag| tag["size"].as_i64().expect("a number"))
        .collect();
    assert_eq!(shown["size"], sizes[0] + sizes[1]);
    assert!(shown["updated"].as_str() > shown["created"].as_str());

    app.delete(&format!("{TAGS}/v3")).await.is(204, "");
    assert_eq!(app.get(one).await.json()["num_images"], 2);
}

#[tokio::test]
async fn a_tag_is_copied_moved_and_deleted() {
    let app = app().await;
    let first = push(&app, "v1", "one").await;
    let second = push(&app, "v2", "two").await;
    let copy = |body| app.post(TAGS, body);

    copy(json!({"source_tag": "v1", "destination_tag": "latest"}))
        .await
        .is(201, "{}");
    let latest = async || app.get(&format!("{TAGS}/latest")).await.json()["digest"].clone();
    assert_eq!(latest().await, first.as_str());
    let again = json!({"source_tag": "v2", "destination_tag": "latest"});
    copy(again.clone()).await.refused(409, "4090006");
    assert_eq!(latest().await, first.as_str());
    let mut moved = again;
    moved["override"] = json!(true);
    copy(moved).await.is(201, "{}");
    assert_eq!(latest().await, second.as_str());

    let missing = json!({"source_tag": "none", "destination_tag": "x"});
    copy(missing).await.refused(404, "4040048");
    for body in [
        json!({"destination_tag": "x"}),
        json!({"source_tag": "v1"}),
        json!({"source_tag": "v1", "destination_tag": "-x"}),
        json!({"source_tag": "v1", "destination_tag": "x", "override": "true"}),
    ] {
        copy(body).await.refused(400, "4000014");
    }
    app.delete(&format!("{TAGS}/latest")).await.is(204, "");
    app.delete(&format!("{TAGS}/latest"))
        .await
        .refused(404, "4040048");
    app.get(&format!("{TAGS}/latest"))
        .await
        .refused(404, "4040048");
    app.get(&format!("{TAGS}/-x")).await.refused(400, "4000014");
    app.get(&TAGS.replace("app", "none"))
        .await
        .refused(404, "4040010");
}

#[tokio::test]
async fn an_image_goes_with_its_last_tag() {
    let app = app().await;
    let digest = push(&app, "v1", "one").await;
    push(&app, "v2", "one").await;
    let registry = Registry::admin(&app.client, &["group/app"]).await;
    let manifest = format!("/v2/group/app/manifests/{digest}");
    app.delete(&format!("{TAGS}/v1")).await.is(204, "");
    assert_eq!(registry.get(&manifest).await.status, 200);
    app.delete(&format!("{TAGS}/v2")).await.is(204, "");
    assert_eq!(registry.get(&manifest).await.status, 404);
    let shown = app
        .get("/v2/manage/namespaces/group/repos/app")
        .await
        .json();
    assert_eq!(
        (&shown["num_images"], &shown["size"]),
        (&json!(0), &json!(0))
    );
    // A tag that is missing changes nothing.
    app.delete(&format!("{TAGS}/v2"))
        .await
        .refused(404, "4040048");
    let again = app
        .get("/v2/manage/namespaces/group/repos/app")
        .await
        .json();
    assert_eq!(again["updated"], shown["updated"]);
}

#[tokio::test]
async fn lists_filter_order_and_page() {
    let app = app().await;
    for tag in ["b", "a", "ab"] {
        push(&app, tag, tag).await;
    }
    let check = async |query: &str, range: &str, expected: &[&str]| {
        let answer = app.get(&format!("{TAGS}?{query}")).await;
        assert_eq!(answer.header("content-range"), Some(range), "{query}");
        assert_eq!(names(&answer.json(), "Tag"), expected, "{query}");
    };
    check("", "0-3/3", &["b", "a", "ab"]).await;
    check("limit=2&offset=1", "1-2/3", &["a", "ab"]).await;
    check("limit=2&offset=4", "4-0/3", &[]).await;
    check("tag=b", "0-2/2", &["b", "ab"]).await;
    check("filter=tag::b|limit::1", "0-1/2", &["b"]).await;
    check(
        "order_column=tag&order_type=asc",
        "0-3/3",
        &["a", "ab", "b"],
    )
    .await;
    check(
        "order_column=updated_at&order_type=desc",
        "0-3/3",
        &["ab", "a", "b"],
    )
    .await;
    app.get(&format!("{TAGS}?order_column=size"))
        .await
        .refused(400, "4001096");

    let v3 = TAGS.replace("/v2/", "/v3/");
    for (order, expected) in [
        ("", ["b", "a", "ab"]),
        ("&order_column=tag&order_type=desc", ["b", "ab", "a"]),
        ("&order_column=updated_at&order_type=desc", ["ab", "a", "b"]),
    ] {
        let mut seen = Vec::new();
        let mut marker = String::new();
        loop {
            let page = app
                .get(&format!("{v3}?limit=1{order}{marker}"))
                .await
                .json();
            seen.extend(names(&page["tags"], "tag"));
            let Some(next) = page.get("nextMarker") else {
                assert_eq!(page["has_more"], false);
                break;
            };
            assert_eq!(page["has_more"], true);
            let next = next.as_str().expect("a string").replace('|', "%7C");
            marker = format!("&marker={next}");
        }
        assert_eq!(seen, expected, "{order}");
    }
    let plain = app.get(&format!("{v3}?tag=ab")).await.json();
    assert_eq!(plain["tags"][0]["manifest"], "");
    let full = app
        .get(&format!("{v3}?tag=ab&with_manifest=true"))
        .await
        .json();
    assert_ne!(full["tags"][0]["manifest"], "");
    app.get(&format!("{v3}?marker=x"))
        .await
        .refused(400, "4000056");
}

#[tokio::test]
async fn a_push_without_an_image_follows_its_nonce_and_the_rules() {
    let app = app().await;
    let digest = push(&app, "v1", "same").await;
    assert_eq!(push(&app, "v2", "same").await, digest);
    assert_ne!(push(&app, "v3", "other").await, digest);
    let without = json!({"namespace": "group", "repository": "app", "tag": "v4"});
    let first = app.post(PUSH, without.clone()).await.json();
    assert_ne!(app.post(PUSH, without).await.json(), first);

    let missing = json!({"namespace": "none", "repository": "app", "tag": "v1"});
    app.post(PUSH, missing).await.refused(404, "4040058");
    let bad = json!({"namespace": "group", "repository": "app", "tag": "-"});
    app.post(PUSH, bad).await.refused(400, "4000014");
    let answer = app.as_nobody().send("POST", PUSH, Some(json!({}))).await;
    answer.refused_by_gateway(401, "APIGW.0301");
}
