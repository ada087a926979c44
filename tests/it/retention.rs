//! Retention: its rules, what they delete at once and after a push, and their history. How they
//! age tags is tested beside the code.

use serde_json::{Value, json};

use crate::support::{OCI_MANIFEST, Registry, TestApp, WORLD, trigger};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

const REPOSITORY: &str = "/v2/manage/namespaces/group/repos/busybox";
const RETENTIONS: &str = "/v2/manage/namespaces/group/repos/busybox/retentions";
const HISTORIES: &str = "/v2/manage/namespaces/group/repos/busybox/retentions/histories";
const TAGS: &str = "/v2/manage/namespaces/group/repos/busybox/tags";

async fn push(app: &TestApp, tag: &str, nonce: &str) {
    let body = json!({"namespace": "group", "repository": "busybox", "tag": tag, "nonce": nonce});
    let answer = app.post("/_emulator/push", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

async fn tags(app: &TestApp) -> Vec<String> {
    let list = app.get(TAGS).await.json();
    let list = list.as_array().expect("a list").iter();
    list.map(|tag| tag["Tag"].as_str().expect("a name").to_owned())
        .collect()
}

/// The newest `num` stay, besides what the selectors match.
fn newest(num: u16, selectors: &Value) -> Value {
    let rule = json!({
        "template": "tag_rule", "params": {"num": num.to_string()}, "tag_selectors": selectors
    });
    json!({"algorithm": "or", "rules": [rule]})
}

fn rule(template: &str, params: &Value) -> Value {
    json!({"template": template, "params": params, "tag_selectors": []})
}

#[tokio::test]
async fn a_retention_is_created_listed_shown_updated_and_deleted() {
    let app = TestApp::with_repository().await;
    app.get(RETENTIONS).await.is(200, "[]");

    // Numbers come back as text.
    let selectors = json!([{"kind": "regexp", "pattern": "^123$"}]);
    let body = json!({"algorithm": "or", "rules": [
        {"template": "date_rule", "params": {"days": 30}, "tag_selectors": selectors},
        rule("tag_rule", &json!({"num": "10"})),
    ]});
    app.post(RETENTIONS, body).await.is(201, r#"{"id":1}"#);

    let one = format!("{RETENTIONS}/1");
    let shown = app.get(&one).await.json();
    assert_eq!(
        shown["rules"],
        json!([
            {"template": "date_rule", "params": {"days": "30"}, "tag_selectors": selectors},
            {"template": "tag_rule", "params": {"num": "10"}, "tag_selectors": []},
        ])
    );
    assert_eq!(app.get(RETENTIONS).await.json(), json!([shown]));

    let body = json!({"algorithm": "or", "rules": [
        rule("date_rule", &json!({"days": "7"})), rule("tag_rule", &json!({"num": 5})),
    ]});
    app.patch(&one, body).await.is(201, "{}");
    let rules = &app.get(&one).await.json()["rules"];
    assert_eq!(rules[0]["params"], json!({"days": "7"}));
    assert_eq!(rules[1]["params"], json!({"num": "5"}));

    app.delete(&one).await.is(200, "{}");
    app.get(RETENTIONS).await.is(200, "[]");
}

#[tokio::test]
async fn a_second_retention_is_refused_until_the_first_is_deleted() {
    let app = TestApp::with_repository().await;
    let body = || newest(3, &json!([]));
    app.post(RETENTIONS, body()).await.is(201, r#"{"id":1}"#);

    let message = app.post(RETENTIONS, body()).await.refused(400, "4000014");
    assert_eq!(
        message,
        "the repository already has a retention rule; delete it first"
    );
    app.delete(&format!("{RETENTIONS}/1")).await.is(200, "{}");
    app.post(RETENTIONS, body()).await.is(201, r#"{"id":2}"#);
}

#[tokio::test]
async fn each_fault_of_a_body_is_named() {
    let app = TestApp::with_repository().await;
    let body = |rule: Value| json!({"algorithm": "or", "rules": [rule]});
    let with_selectors = |selectors: Value| {
        body(json!({
            "template": "tag_rule", "params": {"num": "1"}, "tag_selectors": selectors
        }))
    };
    let check = async |body: Value, expected: &str| {
        let message = app.post(RETENTIONS, body).await.refused(400, "4000014");
        assert!(message.starts_with(expected), "{message}");
    };
    check(json!({}), "algorithm: is mandatory").await;
    check(json!({"algorithm": "and"}), "algorithm: must be \"or\"").await;
    check(json!({"algorithm": "or"}), "rules: is mandatory").await;
    check(
        json!({"algorithm": "or", "rules": {}}),
        "rules: must be an array",
    )
    .await;
    check(
        json!({"algorithm": "or", "rules": []}),
        "rules: must contain a rule",
    )
    .await;
    check(body(json!("x")), "rules: must contain only objects").await;
    check(body(json!({})), "template: is mandatory").await;
    check(
        body(rule("size_rule", &json!({}))),
        "template: must be date_rule or tag_rule",
    )
    .await;
    check(
        body(json!({"template": "tag_rule"})),
        "params: is mandatory",
    )
    .await;
    check(
        body(rule("date_rule", &json!({"num": "1"}))),
        "days: is mandatory",
    )
    .await;
    check(
        body(rule("tag_rule", &json!({"num": "1001"}))),
        "num: must be a whole number from 1 to 1000",
    )
    .await;
    check(
        body(json!({"template": "tag_rule", "params": {"num": "1"}})),
        "tag_selectors: is mandatory",
    )
    .await;
    check(
        with_selectors(json!([{"kind": "glob", "pattern": "v"}])),
        "kind: must be label or regexp",
    )
    .await;
    check(
        with_selectors(json!([{"kind": "label", "pattern": ""}])),
        "pattern: must not be empty",
    )
    .await;
    check(
        with_selectors(json!([{"kind": "regexp", "pattern": "("}])),
        "pattern: must be a regular expression when kind is regexp",
    )
    .await;
    check(
        with_selectors(json!(vec![json!({"kind": "label", "pattern": "v"}); 21])),
        "tag_selectors: must contain at most 20 selectors",
    )
    .await;
    let rule = rule("tag_rule", &json!({"num": "1"}));
    check(
        json!({"algorithm": "or", "rules": [rule, rule]}),
        "rules: must contain at most one date_rule and one tag_rule",
    )
    .await;
    app.get(RETENTIONS).await.is(200, "[]");
}

#[tokio::test]
async fn what_is_missing_is_told_in_the_order_of_the_path_and_before_the_body() {
    let app = TestApp::with_repository().await;
    let group = "/v2/manage/namespaces/group/repos";
    let check = async |path: &str, status: u16, code: &str| {
        for method in ["GET", "PATCH", "DELETE"] {
            let body = (method == "PATCH").then(|| json!({}));
            let answer = app.client.send(method, path, body).await;
            answer.refused(status, code);
        }
    };
    check(&format!("{RETENTIONS}/x"), 400, "4000014").await;
    check(
        "/v2/manage/namespaces/G/repos/busybox/retentions/1",
        400,
        "4001028",
    )
    .await;
    check(
        "/v2/manage/namespaces/none/repos/busybox/retentions/1",
        404,
        "4040058",
    )
    .await;
    check(&format!("{group}/none/retentions/1"), 404, "4040010").await;

    let missing = format!("{RETENTIONS}/7");
    app.get(&missing).await.refused(404, "4040083");
    app.patch(&missing, json!({})).await.refused(404, "4040083");
    let legal = newest(1, &json!([]));
    app.patch(&missing, legal).await.refused(404, "4040083");
    // Terraform takes this code, which is not a 404, for "gone".
    app.delete(&missing).await.refused(400, "4000306");

    for path in ["none/retentions", "none/retentions/histories"] {
        let answer = app.get(&format!("{group}/{path}")).await;
        answer.refused(404, "4040010");
    }
}

#[tokio::test]
async fn templates_cannot_be_changed() {
    let app = TestApp::with_repository().await;
    app.post(RETENTIONS, newest(3, &json!([])))
        .await
        .is(201, r#"{"id":1}"#);
    let other = json!({
        "algorithm": "or", "rules": [rule("date_rule", &json!({"days": "3"}))]
    });

    let message = app
        .patch(&format!("{RETENTIONS}/1"), other)
        .await
        .refused(400, "4000014");

    assert!(
        message.starts_with("template: cannot be changed"),
        "{message}"
    );
    let shown = app.get(&format!("{RETENTIONS}/1")).await.json();
    assert_eq!(shown["rules"][0]["template"], "tag_rule");
}

#[tokio::test]
async fn a_tag_rule_runs_when_it_is_set_and_after_each_push() {
    let app = TestApp::with_repository().await;
    for tag in ["v1", "v2", "keep", "v3", "release-1"] {
        push(&app, tag, tag).await;
    }
    let before = app.get(REPOSITORY).await.json();
    let selectors = json!([
        {"kind": "label", "pattern": "keep"}, {"kind": "regexp", "pattern": "^release-"}
    ]);

    app.post(RETENTIONS, newest(2, &selectors))
        .await
        .is(201, r#"{"id":1}"#);

    assert_eq!(tags(&app).await, ["v2", "keep", "v3", "release-1"]);
    let after = app.get(REPOSITORY).await.json();
    assert!(after["updated"].as_str() > before["updated"].as_str());
    push(&app, "v4", "v4").await;
    assert_eq!(tags(&app).await, ["keep", "v3", "release-1", "v4"]);
    // A push of a tag that is there makes it the newest.
    push(&app, "v3", "again").await;
    push(&app, "v5", "v5").await;
    assert_eq!(tags(&app).await, ["keep", "v3", "release-1", "v5"]);
    // A copied tag is pushed too.
    let copy = json!({"source_tag": "keep", "destination_tag": "v6"});
    app.post(TAGS, copy).await.is(201, "{}");
    assert_eq!(tags(&app).await, ["keep", "release-1", "v5", "v6"]);

    app.patch(&format!("{RETENTIONS}/1"), newest(1, &json!([])))
        .await
        .is(201, "{}");
    assert_eq!(tags(&app).await, ["v6"]);
}

#[tokio::test]
async fn an_image_goes_with_its_last_tag_and_no_trigger_fires() {
    let app = TestApp::with_repository().await;
    push(&app, "v1", "shared").await;
    push(&app, "v2", "other").await;
    push(&app, "v3", "shared").await;
    let digest = |tag| {
        let path = format!("{TAGS}/{tag}");
        let app = &app;
        async move {
            let digest = app.get(&path).await.json()["digest"].clone();
            digest.as_str().expect("a digest").to_owned()
        }
    };
    let (shared, other) = (digest("v3").await, digest("v2").await);
    let triggers = format!("{REPOSITORY}/triggers");
    app.post(&triggers, trigger("t")).await.is(201, "{}");
    let pushes = "/_emulator/pushes?namespace=group&repository=busybox";
    let before = app.get(pushes).await.json();

    app.post(RETENTIONS, newest(1, &json!([])))
        .await
        .is(201, r#"{"id":1}"#);

    assert_eq!(tags(&app).await, ["v3"]);
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    for (digest, status) in [(&shared, 200), (&other, 404)] {
        let path = format!("/v2/group/busybox/manifests/{digest}");
        assert_eq!(registry.get(&path).await.status, status);
    }
    assert_eq!(app.get(pushes).await.json(), before);
    let shown = app.get(&format!("{triggers}/t")).await.json();
    assert_eq!(shown["trigger_history"], json!([]));
}

#[tokio::test]
async fn an_image_stays_as_long_as_an_index_lists_it() {
    let app = TestApp::with_repository().await;
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    let image = registry
        .push_image("group/busybox", "image", b"layer")
        .await;
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        {"mediaType": OCI_MANIFEST, "digest": image, "size": 1}]});
    let answer = registry
        .send(
            "PUT",
            "/v2/group/busybox/manifests/index",
            &[("Content-Type", OCI_INDEX)],
            index.to_string(),
        )
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let by_digest = format!("/v2/group/busybox/manifests/{image}");

    // The image is older than the index: its tag goes first.
    app.post(RETENTIONS, newest(1, &json!([])))
        .await
        .is(201, r#"{"id":1}"#);
    assert_eq!(tags(&app).await, ["index"]);
    assert_eq!(registry.get(&by_digest).await.status, 200);

    // Tagged again by its digest, it goes together with the index.
    app.delete(&format!("{RETENTIONS}/1")).await.is(200, "{}");
    let again = registry
        .push_image("group/busybox", "image", b"layer")
        .await;
    assert_eq!(again, image);
    push(&app, "v1", "1").await;
    app.post(RETENTIONS, newest(1, &json!([])))
        .await
        .is(201, r#"{"id":2}"#);
    assert_eq!(tags(&app).await, ["v1"]);
    assert_eq!(registry.get(&by_digest).await.status, 404);
}

#[tokio::test]
async fn the_history_is_paged_newest_first_and_outlives_the_rule() {
    let app = TestApp::with_repository().await;
    let empty = app.get(HISTORIES).await;
    assert_eq!(empty.header("content-range"), Some("0-0/0"));
    empty.is(200, r#"{"retention_log":[],"total":0}"#);
    let selectors = json!([{"kind": "label", "pattern": "keep"}]);
    app.post(RETENTIONS, newest(1, &selectors))
        .await
        .is(201, r#"{"id":1}"#);
    for tag in ["v1", "v2", "v3", "v4"] {
        push(&app, tag, tag).await;
    }
    app.delete(&format!("{RETENTIONS}/1")).await.is(200, "{}");

    let page = app.get(&format!("{HISTORIES}?limit=1&offset=1")).await;
    let logged = |body: &Value| -> Vec<String> {
        let log = body["retention_log"].as_array().expect("a list").iter();
        log.map(|entry| entry["tag"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(page.header("content-range"), Some("1-1/3"));
    assert_eq!(logged(&page.json()), ["v2"]);
    assert_eq!(page.json()["total"], 3);
    let filtered = app
        .get(&format!("{HISTORIES}?filter=limit::2|offset::1"))
        .await
        .json();
    assert_eq!(logged(&filtered), ["v2", "v1"]);
    let beyond = app.get(&format!("{HISTORIES}?limit=10&offset=10")).await;
    assert_eq!(beyond.header("content-range"), Some("10-0/3"));
    assert_eq!(logged(&beyond.json()), Vec::<String>::new());

    for (query, code) in [
        ("limit=0", "4000056"),
        ("offset=-1", "4000056"),
        ("filter=tag::v1", "4001035"),
    ] {
        let answer = app.get(&format!("{HISTORIES}?{query}")).await;
        answer.refused(400, code);
    }
}

#[tokio::test]
async fn another_account_finds_no_retention() {
    let app = TestApp::seeded(WORLD).await;
    let stranger = app.as_user("partner-dev");
    for (method, path) in [
        ("GET", RETENTIONS),
        ("POST", RETENTIONS),
        ("GET", HISTORIES),
    ] {
        let body = (method == "POST").then(|| newest(1, &json!([])));
        let answer = stranger.send(method, path, body).await;
        answer.refused(404, "4040058");
    }
}

#[tokio::test]
async fn a_reset_forgets_rules_and_history() {
    let app = TestApp::with_repository().await;
    app.post(RETENTIONS, newest(1, &json!([])))
        .await
        .is(201, r#"{"id":1}"#);
    push(&app, "v1", "1").await;
    push(&app, "v2", "2").await;

    app.post("/_emulator/reset", json!({})).await.is(204, "");

    app.get(RETENTIONS).await.is(200, "[]");
    app.get(HISTORIES)
        .await
        .is(200, r#"{"retention_log":[],"total":0}"#);
}

#[tokio::test]
async fn a_move_of_the_clock_runs_what_is_due_before_it_is_answered() {
    let app = TestApp::with_repository().await;
    push(&app, "old", "old").await;
    push(&app, "kept", "kept").await;
    let rule = json!({"algorithm": "or", "rules": [{
        "template": "date_rule", "params": {"days": "30"},
        "tag_selectors": [{"kind": "label", "pattern": "kept"}],
    }]});
    let path = "/v2/manage/namespaces/group/repos/busybox/retentions";
    assert_eq!(app.post(path, rule).await.status, 201);
    let advance = async |by: &str| {
        let moved = app.post("/_emulator/clock", json!({"advance": by})).await;
        assert_eq!(moved.status, 200, "{}", moved.text());
    };
    advance("20d").await;
    push(&app, "new", "new").await;
    assert_eq!(tags(&app).await.len(), 3);
    advance("20d").await;
    let mut left = tags(&app).await;
    left.sort();
    assert_eq!(left, ["kept", "new"]);
}
