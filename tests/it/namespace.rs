//! Organizations: creating, listing, showing, deleting.

use serde_json::json;

use crate::support::TestApp;

const NAMESPACES: &str = "/v2/manage/namespaces";

#[tokio::test]
async fn an_organization_is_created_shown_listed_and_deleted() {
    let app = TestApp::start().await;

    app.post(NAMESPACES, json!({"namespace": "group"}))
        .await
        .is(201, "{}");

    let shown = app.get("/v2/manage/namespaces/group").await.json();
    let id = shown["id"].as_i64().expect("a number");
    assert_eq!(
        shown,
        json!({"id": id, "name": "group", "creator_name": "admin", "auth": 7})
    );
    let list = app.get(NAMESPACES).await.json();
    assert_eq!(
        list,
        json!({"namespaces": [{"id": id, "name": "group", "creator_name": "admin", "auth": 7,
                               "access_user_count": 1, "repo_count": 0}]})
    );

    app.delete("/v2/manage/namespaces/group").await.is(204, "");
    app.get("/v2/manage/namespaces/group")
        .await
        .refused(404, "4040058");
    app.delete("/v2/manage/namespaces/group")
        .await
        .refused(404, "4040058");
    app.get(NAMESPACES).await.is(200, "{\"namespaces\":[]}");
}

#[tokio::test]
async fn a_name_is_checked_and_taken_once() {
    let app = TestApp::start().await;
    let create = |body| app.post(NAMESPACES, body);
    create(json!({"namespace": "group"})).await.is(201, "{}");

    create(json!({"namespace": "group"}))
        .await
        .refused(409, "4090060");
    for name in ["library", "manage", "Group", "a..b"] {
        let message = create(json!({"namespace": name}))
            .await
            .refused(400, "4001028");
        assert!(message.starts_with("namespace: must "), "{message}");
    }
    for body in [
        json!({}),
        json!({"namespace": null}),
        json!({"namespace": 1}),
    ] {
        let message = create(body).await.refused(400, "4000014");
        assert!(message.starts_with("namespace: "), "{message}");
    }
    app.get("/v2/manage/namespaces/a..b")
        .await
        .refused(400, "4001028");
    app.get("/v2/manage/namespaces/%FF")
        .await
        .refused(400, "4001028");
}

#[tokio::test]
async fn an_organization_with_repositories_is_not_deleted() {
    let app = TestApp::with_repository().await;

    app.delete("/v2/manage/namespaces/group")
        .await
        .refused(406, "4060074");

    app.delete("/v2/manage/namespaces/group/repos/busybox")
        .await
        .is(204, "");
    app.delete("/v2/manage/namespaces/group").await.is(204, "");
}

#[tokio::test]
async fn the_quota_is_counted_per_account() {
    let seed = "accounts: [{name: partner, users: [{name: dev, token: partner-dev}]}]";
    let app = TestApp::seeded_with(seed, &["--quota-namespaces", "2"]).await;
    let create = |name: &str| app.post(NAMESPACES, json!({"namespace": name}));
    create("one").await.is(201, "{}");
    create("two").await.is(201, "{}");

    create("three").await.refused(400, "4000097");
    // A taken name is told first: the quota would not help.
    create("two").await.refused(409, "4090060");

    app.get("/v2/manage/namespaces/three")
        .await
        .refused(404, "4040058");
    let partner = app.as_user("partner-dev");
    let answer = partner.send("POST", NAMESPACES, Some(json!({"namespace": "theirs"})));
    answer.await.is(201, "{}");
    app.delete("/v2/manage/namespaces/one").await.is(204, "");
    create("three").await.is(201, "{}");
}

#[tokio::test]
async fn another_accounts_organization_does_not_exist_but_its_name_is_taken() {
    let seed = "accounts: [{name: partner, users: [{name: dev, token: partner-dev}]}]\n\
                organizations: [{name: theirs, account: partner, repositories: [{name: app}]}]";
    let app = TestApp::seeded(seed).await;

    app.get("/v2/manage/namespaces/theirs")
        .await
        .refused(404, "4040058");
    app.get("/v2/manage/namespaces/theirs/repos/app")
        .await
        .refused(404, "4040058");
    app.delete("/v2/manage/namespaces/theirs")
        .await
        .refused(404, "4040058");
    app.get(NAMESPACES).await.is(200, "{\"namespaces\":[]}");
    app.get("/v2/manage/repos").await.is(200, "[]");
    app.post(NAMESPACES, json!({"namespace": "theirs"}))
        .await
        .refused(409, "4090060");

    let partner = app.as_user("partner-dev");
    let shown = partner
        .send("GET", "/v2/manage/namespaces/theirs", None)
        .await
        .json();
    assert_eq!(shown["creator_name"], "dev");
}

#[tokio::test]
async fn the_list_filters_by_name_exactly_or_in_part() {
    let app =
        TestApp::seeded("organizations: [{name: alpha}, {name: alphabet}, {name: beta}]").await;
    let check = async |query: &str, expected: &[&str]| {
        let answer = app.get(&format!("{NAMESPACES}?{query}")).await;
        let list = answer.json();
        let names: Vec<_> = list["namespaces"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|namespace| namespace["name"].as_str().expect("a string"))
            .collect();
        assert_eq!(names, expected, "{query}");
    };
    check("", &["alpha", "alphabet", "beta"]).await;
    check("namespace=alpha", &["alpha"]).await;
    check("namespace=none", &[]).await;
    check("filter=namespace::alpha", &["alpha", "alphabet"]).await;
    check("filter=mode%3A%3Avisible", &["alpha", "alphabet", "beta"]).await;
    check("filter=namespace::bet|mode::visible", &["alphabet", "beta"]).await;
    check(
        "filter=namespace::&namespace=beta",
        &["alpha", "alphabet", "beta"],
    )
    .await;

    for filter in ["", "namespace", "mode::all", "colour::red"] {
        let answer = app.get(&format!("{NAMESPACES}?filter={filter}")).await;
        answer.refused(400, "4001035");
    }
}
