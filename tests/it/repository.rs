//! Repositories: creating, listing, showing, updating, deleting.

use serde_json::{Value, json};

use crate::support::TestApp;

const REPOSITORIES: &str = "/v2/manage/namespaces/group/repos";

async fn app_with_organization() -> TestApp {
    TestApp::seeded_with(
        "organizations: [{name: group}]",
        &["--registry-host", "swr.example.test:5000"],
    )
    .await
}

#[tokio::test]
async fn a_repository_is_created_and_shown() {
    let app = app_with_organization().await;
    let body = json!({"repository": "library/nginx", "is_public": true, "category": "linux",
                      "description": "first"});

    app.post(REPOSITORIES, body.clone()).await.is(200, "{}");

    let shown = app
        .get("/v2/manage/namespaces/group/repos/library$nginx")
        .await
        .json();
    for field in ["is_public", "category", "description"] {
        assert_eq!(shown[field], body[field], "{field}");
    }
    assert_eq!(shown["name"], body["repository"]);
    assert_eq!(shown["path"], "swr.example.test:5000/group/library/nginx");
    assert_eq!(shown["created"], shown["updated"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_new_repository_is_named() {
    let app = app_with_organization().await;
    let create = |body| app.post(REPOSITORIES, body);
    create(json!({"repository": "a", "is_public": false}))
        .await
        .is(200, "{}");

    create(json!({"repository": "a", "is_public": false}))
        .await
        .refused(409, "4090006");
    create(json!({"repository": "A", "is_public": false}))
        .await
        .refused(400, "4001029");
    for (body, rule) in [
        (json!({"is_public": false}), "repository: is mandatory"),
        (json!({"repository": "b"}), "is_public: is mandatory"),
        (
            json!({"repository": "b", "is_public": "true"}),
            "is_public: must be true or false",
        ),
        (
            json!({"repository": "b", "is_public": true, "category": "Linux"}),
            "category: must be",
        ),
        (
            json!({"repository": "b", "is_public": true, "category": 1}),
            "category: must be a",
        ),
        (
            json!({"repository": "b", "is_public": true, "description": 1}),
            "description: must",
        ),
    ] {
        let message = create(body).await.refused(400, "4000014");
        assert!(message.starts_with(rule), "{message}");
    }
    let long = json!({"repository": "b", "is_public": true, "description": "x".repeat(30_001)});
    create(long).await.refused(413, "4131012");
    let body = json!({"repository": "a", "is_public": false});
    app.post("/v2/manage/namespaces/none/repos", body)
        .await
        .refused(404, "4040058");
    app.get("/v2/manage/namespaces/group/repos/b")
        .await
        .refused(404, "4040010");
}

#[tokio::test]
async fn an_update_leaves_absent_fields_as_they_are() {
    let app = app_with_organization().await;
    let body = json!({"repository": "a", "is_public": false, "category": "lang",
                      "description": "first"});
    app.post(REPOSITORIES, body).await.is(200, "{}");
    let one = "/v2/manage/namespaces/group/repos/a";
    let check = async |change: Value, expected: (bool, &str, &str)| {
        app.patch(one, change).await.is(201, "{}");
        let shown = app.get(one).await.json();
        let (is_public, category, description) = expected;
        assert_eq!(shown["is_public"], is_public);
        assert_eq!(shown["category"], category);
        assert_eq!(shown["description"], description);
    };
    check(json!({"is_public": true}), (true, "lang", "first")).await;
    let change = json!({"is_public": true, "category": null, "description": null});
    check(change, (true, "lang", "first")).await;
    let change = json!({"is_public": false, "description": ""});
    check(change, (false, "lang", "")).await;
    let change = json!({"is_public": false, "category": "arm", "description": "x"});
    check(change, (false, "arm", "x")).await;

    app.patch(one, json!({"category": "arm"}))
        .await
        .refused(400, "4000014");
    let missing = app.patch(
        "/v2/manage/namespaces/group/repos/b",
        json!({"is_public": true}),
    );
    missing.await.refused(404, "4040010");
}

#[tokio::test]
async fn a_deleted_repository_is_gone() {
    let app = TestApp::with_repository().await;
    let one = "/v2/manage/namespaces/group/repos/busybox";
    app.delete(one).await.is(204, "");
    app.delete(one).await.refused(404, "4040010");
    app.get(one).await.refused(404, "4040010");
}

async fn app_with_many() -> TestApp {
    TestApp::seeded(
        "organizations:
  - name: alpha
    repositories: [{name: one, category: linux}, {name: two, is_public: true}, {name: three}]
  - name: alphabet
    repositories: [{name: one, is_public: true, category: linux}, {name: four}]",
    )
    .await
}

fn names(list: &Value, namespace: &str) -> Vec<String> {
    list.as_array()
        .expect("a list")
        .iter()
        .map(|entry| {
            let text = |key: &str| entry[key].as_str().expect("a string").to_owned();
            format!("{}/{}", text(namespace), text("name"))
        })
        .collect()
}

#[tokio::test]
async fn the_list_filters_orders_and_pages() {
    let app = app_with_many().await;
    let all = [
        "alpha/one",
        "alpha/two",
        "alpha/three",
        "alphabet/one",
        "alphabet/four",
    ];
    let check = async |query: &str, range: &str, expected: &[&str]| {
        let answer = app.get(&format!("/v2/manage/repos?{query}")).await;
        assert_eq!(answer.header("content-range"), Some(range), "{query}");
        let list = answer.json();
        assert_eq!(names(&list, "namespace"), expected, "{query}");
        let total: i64 = range
            .split('/')
            .next_back()
            .expect("a total")
            .parse()
            .expect("a number");
        for entry in list.as_array().expect("a list") {
            assert_eq!(entry["total_range"], total, "{query}");
        }
    };
    check("", "0-5/5", &all).await;
    check("limit=2&offset=0", "0-2/5", &all[..2]).await;
    check("limit=2&offset=1", "1-2/5", &all[1..3]).await;
    check("limit=2&offset=4", "4-1/5", &all[4..]).await;
    check("limit=2&offset=6", "6-0/5", &[]).await;
    check("namespace=alpha", "0-3/3", &all[..3]).await;
    check("namespace=alph", "0-0/0", &[]).await;
    check(
        "filter=namespace::alph|limit::1|offset::1",
        "1-1/5",
        &all[1..2],
    )
    .await;
    check("filter=namespace::bet", "0-2/2", &all[3..]).await;
    check(
        "filter=name::one&namespace=alpha&limit=1",
        "0-2/2",
        &[all[0], all[3]],
    )
    .await;
    check("name=o", "0-4/4", &[all[0], all[1], all[3], all[4]]).await;
    check("category=linux", "0-2/2", &[all[0], all[3]]).await;
    check("is_public=true", "0-2/2", &[all[1], all[3]]).await;
    check(
        "is_public=false&namespace=alpha",
        "0-2/2",
        &[all[0], all[2]],
    )
    .await;
    let by_name = [all[4], all[0], all[3], all[2], all[1]];
    check("order_column=name&order_type=asc", "0-5/5", &by_name).await;
    let by_name = [all[1], all[2], all[0], all[3], all[4]];
    check("order_column=name&order_type=desc", "0-5/5", &by_name).await;
    check("order_column=tag_count&order_type=desc", "0-5/5", &all).await;
    let by_namespace = [all[3], all[4], all[0], all[1], all[2]];
    check(
        "order_column=namespace&order_type=desc",
        "0-5/5",
        &by_namespace,
    )
    .await;
    let by_public = [all[1], all[3], all[0], all[2], all[4]];
    check(
        "order_column=is_public&order_type=desc",
        "0-5/5",
        &by_public,
    )
    .await;
    let latest = json!({"is_public": false});
    app.patch("/v2/manage/namespaces/alpha/repos/two", latest)
        .await
        .is(201, "{}");
    check(
        "order_column=updated_time&order_type=desc&limit=1",
        "0-1/5",
        &all[1..2],
    )
    .await;
    check(
        "order_column=updated_at&order_type=desc&limit=1",
        "0-1/5",
        &all[1..2],
    )
    .await;

    for (query, code) in [
        ("limit=0", "4000056"),
        ("limit=1001", "4000056"),
        ("offset=-1", "4000056"),
        ("filter=limit::x", "4000056"),
        ("filter=x", "4001035"),
        ("filter=", "4001035"),
        ("order_column=size", "4001096"),
        ("order_column=name&order_type=up", "4001096"),
        ("category=nonsense", "4001025"),
        ("is_public=1", "4001025"),
    ] {
        app.get(&format!("/v2/manage/repos?{query}"))
            .await
            .refused(400, code);
    }
}

#[tokio::test]
async fn the_v3_list_pages_by_marker() {
    let app = app_with_many().await;
    let mut seen = Vec::new();
    let mut marker = String::new();
    let mut pages = 0;
    loop {
        let page = app
            .get(&format!("/v3/manage/repos?limit=2{marker}"))
            .await
            .json();
        seen.extend(names(&page["repos"], "namespace_name"));
        pages += 1;
        match page.get("nextMarker") {
            Some(next) => marker = format!("&marker={next}"),
            None => break,
        }
    }
    assert_eq!(pages, 3);
    let all = [
        "alpha/one",
        "alpha/two",
        "alpha/three",
        "alphabet/one",
        "alphabet/four",
    ];
    assert_eq!(seen, all);

    let exact = app.get("/v3/manage/repos?limit=5").await.json();
    assert_eq!(exact.get("nextMarker"), None);
    let filtered = app
        .get("/v3/manage/repos?namespace=alpha&name=t&is_public=false")
        .await
        .json();
    assert_eq!(names(&filtered["repos"], "namespace_name"), ["alpha/three"]);
    for query in ["marker=x", "marker=-1", "limit=0"] {
        app.get(&format!("/v3/manage/repos?{query}"))
            .await
            .refused(400, "4000056");
    }
}
