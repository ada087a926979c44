//! The requests that the Terraform provider sends for its resources of SWR, in its order, with the
//! answers that it needs: statuses and bodies exact.

use http::Request;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

const SEED: &str = "clusters: [{id: 5b28c12f-dc10-11e9-97b3-0255ac1001b5, name: demo}]";

/// Sends what the provider would: JSON that ends in a newline, a content type where it has one.
async fn send(app: &TestApp, method: &str, path: &str, body: Option<Value>) -> Answer {
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
    app.client
        .request(request.body(bytes.into()).expect("legal"))
        .await
}

#[tokio::test]
async fn apply_update_import_and_destroy_of_an_image_trigger() {
    let app = TestApp::seeded(SEED).await;
    let group = "/v2/manage/namespaces/group";
    let nginx = "/v2/manage/namespaces/group/repos/library$nginx";
    let triggers = "/v2/manage/namespaces/group/repos/library$nginx/triggers";
    let trig1 = "/v2/manage/namespaces/group/repos/library$nginx/triggers/trig1";

    // What it looks up by itself.
    let projects = send(&app, "GET", "/v3/projects?name=cn-north-4", None)
        .await
        .json();
    assert_eq!(projects["projects"].as_array().map(Vec::len), Some(1));
    let project_id = projects["projects"][0]["id"]
        .as_str()
        .expect("a string")
        .to_owned();
    let domains = send(&app, "GET", "/v3/auth/domains", None).await.json();
    assert_eq!(domains["domains"][0]["name"], "swr-emulator");

    // apply: organization
    let body = json!({"namespace": "group"});
    send(&app, "POST", "/v2/manage/namespaces", Some(body))
        .await
        .is(201, "{}");
    let read = send(&app, "GET", group, None).await;
    assert_eq!(read.status, 200);
    assert_eq!(
        read.json(),
        json!({"id": 1, "name": "group", "creator_name": "admin", "auth": 7})
    );

    // apply: repository
    let body = json!({"category": "linux", "is_public": false, "repository": "library/nginx"});
    send(
        &app,
        "POST",
        "/v2/manage/namespaces/group/repos",
        Some(body),
    )
    .await
    .is(200, "{}");
    let read = send(&app, "GET", nginx, None).await.json();
    assert_eq!(read["name"], "library/nginx");
    assert_eq!(read["category"], "linux");
    assert_eq!(read["is_public"], false);
    for number in ["id", "num_images", "size"] {
        assert!(read[number].is_i64(), "{number}");
    }

    // apply: trigger, whose cluster's name it looks up
    let cluster =
        format!("/api/v3/projects/{project_id}/clusters/5b28c12f-dc10-11e9-97b3-0255ac1001b5");
    let cluster = send(&app, "GET", &cluster, None).await.json();
    assert_eq!(cluster["metadata"]["name"], "demo");
    let body = json!({
        "action": "update", "app_type": "deployments", "application": "web",
        "cluster_id": "5b28c12f-dc10-11e9-97b3-0255ac1001b5", "cluster_name": "demo",
        "cluster_ns": "default", "condition": ".*", "enable": "true", "name": "trig1",
        "trigger_type": "all"
    });
    send(&app, "POST", triggers, Some(body)).await.is(201, "{}");
    let read = send(&app, "GET", trig1, None).await;
    let created_at = read.json()["created_at"].clone();
    assert_eq!(
        read.text(),
        json!({
            "action": "update", "app_type": "deployments", "application": "web",
            "cluster_id": "5b28c12f-dc10-11e9-97b3-0255ac1001b5", "cluster_name": "demo",
            "cluster_ns": "default", "condition": ".*", "container": "",
            "created_at": created_at, "creator_name": "admin", "enable": "true",
            "name": "trig1", "trigger_history": [], "trigger_mode": "cce", "trigger_type": "all"
        })
        .to_string()
    );

    // update in place
    let body = json!({"enable": "false"});
    send(&app, "PATCH", trig1, Some(body)).await.is(201, "{}");
    assert_eq!(
        send(&app, "GET", trig1, None).await.json()["enable"],
        "false"
    );
    let body = json!({"category": "linux", "description": "second", "is_public": false});
    send(&app, "PATCH", nginx, Some(body)).await.is(201, "{}");
    assert_eq!(
        send(&app, "GET", nginx, None).await.json()["description"],
        "second"
    );

    // data sources
    let list = "/v2/manage/namespaces?filter=mode%3A%3Avisible";
    let list = send(&app, "GET", list, None).await.json();
    assert_eq!(list["namespaces"][0]["repo_count"], 1);
    let mut offset = 0;
    loop {
        let path = format!("/v2/manage/repos?namespace=group&limit=10&offset={offset}");
        let page = send(&app, "GET", &path, None).await.json();
        let page = page.as_array().expect("a list");
        offset += page.len();
        if offset as u64 == page[0]["total_range"].as_u64().expect("a number") {
            break;
        }
    }
    let list = send(&app, "GET", triggers, None).await.json();
    assert_eq!(list[0]["trigger_history"], Value::Null);

    // destroy, in the reverse order; each is read until it is gone
    send(&app, "DELETE", trig1, None).await.is(204, "");
    assert_eq!(send(&app, "GET", trig1, None).await.status, 404);
    send(&app, "DELETE", nginx, None).await.is(204, "");
    assert_eq!(send(&app, "GET", nginx, None).await.status, 404);
    send(&app, "DELETE", group, None).await.is(204, "");
    assert_eq!(send(&app, "GET", group, None).await.status, 404);
}

#[tokio::test]
async fn a_cci_trigger_without_a_cluster_reads_back_without_a_difference() {
    let app = TestApp::with_repository().await;
    let triggers = "/v2/manage/namespaces/group/repos/busybox/triggers";
    let body = json!({
        "action": "update", "app_type": "deployments", "application": "web",
        "cluster_ns": "default", "condition": ".*", "enable": "true", "name": "trig2",
        "trigger_mode": "cci", "trigger_type": "all"
    });
    send(&app, "POST", triggers, Some(body.clone()))
        .await
        .is(201, "{}");
    let read = send(&app, "GET", &format!("{triggers}/trig2"), None)
        .await
        .json();
    for (field, value) in body.as_object().expect("an object") {
        assert_eq!(&read[field], value, "{field}");
    }
    assert_eq!([&read["cluster_id"], &read["cluster_name"]], ["", ""]);
}

#[tokio::test]
async fn apply_update_import_and_destroy_of_an_image_retention_policy() {
    let app =
        TestApp::seeded("organizations: [{name: group, repositories: [{name: library/nginx}]}]")
            .await;
    let retentions = "/v2/manage/namespaces/group/repos/library$nginx/retentions";
    let body = |days: &str, selectors: Value| {
        json!({"algorithm": "or", "rules": [{
            "params": {"days": days}, "tag_selectors": selectors, "template": "date_rule"
        }]})
    };
    let selectors = json!([
        {"kind": "label", "pattern": "abc"}, {"kind": "regexp", "pattern": "abc*"}
    ]);

    // apply; the id has to be a number
    let created = send(
        &app,
        "POST",
        retentions,
        Some(body("20", selectors.clone())),
    )
    .await;
    assert_eq!(created.status, 201);
    let id = created.json()["id"].as_i64().expect("a number");
    let one = format!("{retentions}/{id}");
    // read; it crashes unless the number is text
    let check = async |days: &str, selectors: Value| {
        let read = send(&app, "GET", &one, None).await;
        assert_eq!(read.status, 200);
        assert_eq!(read.json()["rules"], body(days, selectors)["rules"]);
    };
    check("20", selectors).await;

    // update in place; everything is sent again
    send(&app, "PATCH", &one, Some(body("30", json!([]))))
        .await
        .is(201, "{}");
    check("30", json!([])).await;

    // data sources
    let list = send(&app, "GET", retentions, None).await.json();
    assert_eq!(list[0]["id"], id);
    let histories = format!("{retentions}/histories?limit=10&offset=0");
    let histories = send(&app, "GET", &histories, None).await.json();
    assert_eq!(histories["retention_log"], json!([]));

    // destroy; what somebody else deleted already is known by this code
    send(&app, "DELETE", &one, None).await.is(200, "{}");
    assert_eq!(send(&app, "GET", &one, None).await.status, 404);
    let again = send(&app, "DELETE", &one, None).await;
    assert_eq!(again.status, 400);
    assert_eq!(again.json()["errors"][0]["errorCode"], "SVCSTG.SWR.4000306");
}

#[tokio::test]
async fn a_provider_with_a_password_asks_for_a_project_and_a_domain_token() {
    let app = TestApp::start().await;
    let identity = json!({"methods": ["password"], "password": {"user": {
        "domain": {"name": "swr-emulator"}, "name": "admin", "password": "swr-emulator"}}});
    let project = json!({"project": {"domain": {"name": "swr-emulator"}, "name": "cn-north-4"}});
    let domain = json!({"domain": {"name": "swr-emulator"}});
    for scope in [project, domain] {
        let body = json!({"auth": {"identity": identity, "scope": scope}});
        let answer = app
            .as_nobody()
            .send("POST", "/v3/auth/tokens", Some(body))
            .await;
        assert_eq!(answer.status, 201);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let token = answer
            .header("x-subject-token")
            .expect("a token")
            .to_owned();
        let list = app
            .as_user(&token)
            .send("GET", "/v2/manage/repos", None)
            .await;
        list.is(200, "[]");
    }
}

#[tokio::test]
async fn apply_update_and_destroy_of_permissions() {
    let seed = "
accounts:
  - name: swr-emulator
    users:
      - {name: ann, id: ann-id}
      - {name: bob, id: bob-id}
organizations: [{name: group, repositories: [{name: library/nginx}]}]
";
    let user = |name: &str, auth: u8| json!({"user_id": format!("{name}-id"), "user_name": name, "auth": auth});
    for (path, created) in [
        ("/v2/manage/namespaces/group/access", 200),
        (
            "/v2/manage/namespaces/group/repos/library$nginx/access",
            201,
        ),
    ] {
        let app = TestApp::seeded(seed).await;
        // A user that is given without a name is looked up.
        let looked_up = send(&app, "GET", "/v3.0/OS-USER/users/bob-id", None).await;
        assert_eq!(looked_up.json()["user"]["name"], "bob");
        let first = json!([user("bob", 3), user("ann", 1)]);
        send(&app, "POST", path, Some(first.clone()))
            .await
            .is(created, "{}");
        let read = send(&app, "GET", path, None).await.json();
        // In the order in which they were added; it is compared as a list.
        assert_eq!(read["others_auths"], first);
        assert_eq!(read["self_auth"]["user_name"], "admin");
        assert_eq!(read["self_auth"]["auth"], 7);
        // update: the old users go, the new ones come
        send(&app, "DELETE", path, Some(json!(["bob-id", "ann-id"])))
            .await
            .is(204, "");
        let second = json!([user("ann", 7)]);
        send(&app, "POST", path, Some(second.clone()))
            .await
            .is(created, "{}");
        let read = send(&app, "GET", path, None).await.json();
        assert_eq!(read["others_auths"], second);
        // destroy
        send(&app, "DELETE", path, Some(json!(["ann-id"])))
            .await
            .is(204, "");
        let read = send(&app, "GET", path, None).await.json();
        assert_eq!(read["others_auths"], json!([]));
    }
}

#[tokio::test]
async fn permissions_revoked_behind_its_back_are_granted_anew_and_destroyed() {
    let seed = "
accounts:
  - {name: swr-emulator, users: [{name: developer, id: developer-id}]}
organizations: [{name: group, repositories: [{name: web}]}]
";
    let app = TestApp::seeded(seed).await;
    for (access, created) in [
        ("/v2/manage/namespaces/group/access", 200),
        ("/v2/manage/namespaces/group/repos/web/access", 201),
    ] {
        let grant = json!([{"user_id": "developer-id", "user_name": "developer", "auth": 3}]);
        let send = async |method: &str, body: Value| send(&app, method, access, Some(body)).await;
        send("POST", grant.clone()).await.is(created, "{}");
        // By somebody else.
        send("DELETE", json!(["developer-id"])).await.is(204, "");
        // It reads that nobody has a right, so it takes none away before it grants anew.
        send("DELETE", json!([])).await.is(204, "");
        send("POST", grant).await.is(created, "{}");
        let shown = app.get(access).await.json();
        assert_eq!(shown["others_auths"][0]["auth"], 3);
        send("DELETE", json!(["developer-id"])).await.is(204, "");
        send("DELETE", json!([])).await.is(204, "");
    }
}

#[tokio::test]
async fn apply_update_import_and_destroy_of_a_repository_sharing() {
    let seed = "
accounts: [{name: partner, users: [{name: dev, token: dev}]}]
organizations: [{name: group, repositories: [{name: library/nginx}]}]
";
    let app = TestApp::seeded(seed).await;
    let shares = "/v2/manage/namespaces/group/repositories/library$nginx/access-domains";
    let partner = format!("{shares}/partner");
    let body = json!({"access_domain": "partner", "permit": "read", "deadline": "forever",
                      "description": "d"});
    send(&app, "POST", shares, Some(body)).await.is(201, "{}");
    let read = send(&app, "GET", &partner, None).await.json();
    for (field, value) in [
        ("exist", json!(true)),
        ("namespace", json!("group")),
        ("repository", json!("library/nginx")),
        ("access_domain", json!("partner")),
        ("permit", json!("read")),
        ("deadline", json!("forever")),
        ("description", json!("d")),
        ("status", json!(true)),
    ] {
        assert_eq!(read[field], value, "{field}");
    }
    let body = json!({"permit": "read", "deadline": "2099-01-01T00:00:00Z", "description": ""});
    send(&app, "PATCH", &partner, Some(body))
        .await
        .is(201, "{}");
    let read = send(&app, "GET", &partner, None).await.json();
    // It takes the first ten characters.
    assert_eq!(
        &read["deadline"].as_str().expect("text")[..10],
        "2099-01-01"
    );
    // data sources
    let accounts = send(&app, "GET", shares, None).await.json();
    assert_eq!(accounts[0]["access_domain"], "partner");
    let path = "/v2/manage/shared-repositories?center=self&limit=10&offset=0";
    let shared = send(&app, "GET", path, None).await.json();
    assert_eq!(
        (&shared[0]["total_range"], &shared[0]["status"]),
        (&json!(1), &json!(false))
    );
    // destroy
    send(&app, "DELETE", &partner, None).await.is(204, "");
    let read = send(&app, "GET", &partner, None).await;
    assert_eq!(
        (read.status.as_u16(), &read.json()["exist"]),
        (200, &json!(false))
    );
}

#[tokio::test]
async fn apply_and_destroy_of_a_repository_tag() {
    let app =
        TestApp::seeded("organizations: [{name: group, repositories: [{name: library/nginx}]}]")
            .await;
    let push = json!({"namespace": "group", "repository": "library/nginx", "tag": "v1"});
    assert_eq!(app.post("/_emulator/push", push).await.status, 201);
    let tags = "/v2/manage/namespaces/group/repos/library$nginx/tags";
    let stable = format!("{tags}/stable");
    let body = json!({"source_tag": "v1", "destination_tag": "stable", "override": true});
    send(&app, "POST", tags, Some(body)).await.is(201, "{}");
    let read = send(&app, "GET", &stable, None).await.json();
    for field in [
        "id",
        "repo_id",
        "image_id",
        "manifest",
        "digest",
        "schema",
        "path",
        "internal_path",
        "size",
        "is_trusted",
        "created",
        "updated",
        "tag_type",
    ] {
        assert!(!read[field].is_null(), "{field}");
    }
    // data source: read until a page is empty
    let page = |offset: u32| format!("{tags}?limit=10&offset={offset}");
    let listed = send(&app, "GET", &page(0), None).await.json();
    let names: Vec<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|tag| tag["Tag"].clone())
        .collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&json!("stable")));
    assert_eq!(send(&app, "GET", &page(2), None).await.json(), json!([]));
    send(&app, "DELETE", &stable, None).await.is(204, "");
    assert_eq!(send(&app, "GET", &stable, None).await.status, 404);
}
