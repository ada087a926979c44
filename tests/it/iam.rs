//! IAM users that are made while the emulator runs.

use serde_json::{Value, json};

use crate::support::{Answer, Client, Kept, TestApp, WORLD};

const USERS: &str = "/v3.0/OS-USER/users";

async fn make(client: &Client, user: Value) -> Answer {
    client
        .send("POST", USERS, Some(json!({"user": user})))
        .await
}

async fn made(client: &Client, name: &str) -> String {
    let answer = make(client, json!({"name": name, "password": "first-1"})).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let id = answer.json()["user"]["id"]
        .as_str()
        .expect("text")
        .to_owned();
    assert_eq!(id.len(), 32);
    id
}

/// The token that a password gets, or the status of the refusal.
async fn log_in(client: &Client, name: &str, password: &str) -> Result<Client, u16> {
    let user = json!({"name": name, "password": password, "domain": {"name": "swr-emulator"}});
    let body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}});
    let answer = client.send("POST", "/v3/auth/tokens", Some(body)).await;
    let token = answer.header("x-subject-token").map(str::to_owned);
    match token {
        Some(token) => Ok(Client {
            address: client.address.clone(),
            token: Some(token),
        }),
        None => Err(answer.status.as_u16()),
    }
}

async fn organization(client: &Client) -> u16 {
    let path = "/v2/manage/namespaces/group";
    client.send("GET", path, None).await.status.as_u16()
}

/// Asserts that IAM refused in its own form, and gives the message back.
#[track_caller]
fn refused(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    let error = &answer.json()["error"];
    assert_eq!(error["code"], status);
    error["message"].as_str().expect("text").to_owned()
}

#[tokio::test]
async fn a_user_is_made_logs_in_is_granted_rights_and_deleted_with_all_of_them() {
    let app = TestApp::seeded(WORLD).await;
    let id = made(&app.client, "ann").await;
    let ann = log_in(&app.client, "ann", "first-1")
        .await
        .expect("a token");
    assert_eq!(log_in(&app.client, "ann", "other-1").await.err(), Some(401));
    assert_eq!(organization(&ann).await, 403);

    let access = "/v2/manage/namespaces/group/access";
    let grant = json!([{"user_id": id, "user_name": "ann", "auth": 1}]);
    let wrong = json!([{"user_id": id, "user_name": "bob", "auth": 1}]);
    app.post(access, wrong).await.refused(400, "4001067");
    app.post(access, grant).await.is(200, "{}");
    assert_eq!(organization(&ann).await, 200);
    let listed = app.get("/v3/users?name=ann").await.json();
    assert_eq!(listed["users"][0]["id"], id);
    let secret = ann.send("POST", "/v2/manage/utils/secret", None).await;
    let auths = secret.json()["auths"].clone();
    let login = auths.as_object().expect("an object").values().next();
    let login = login.expect("one")["auth"]
        .as_str()
        .expect("text")
        .to_owned();
    let registry = async || {
        let request = http::Request::get(
            "/swr/auth/v2/registry/auth/?service=dockyard&scope=repository:group/busybox:pull",
        )
        .header("Authorization", format!("Basic {login}"));
        let request = request.body("".into()).expect("legal");
        app.as_nobody().request(request).await
    };
    let bearer = registry().await.json()["token"]
        .as_str()
        .expect("text")
        .to_owned();
    let tags = async || {
        let request = http::Request::get("/v2/group/busybox/tags/list")
            .header("Authorization", format!("Bearer {bearer}"));
        let request = request.body("".into()).expect("legal");
        app.as_nobody().request(request).await.status.as_u16()
    };
    assert_eq!(tags().await, 200);

    app.delete(&format!("{USERS}/{id}")).await.is(204, "");
    assert_eq!(organization(&ann).await, 401);
    assert_eq!(log_in(&app.client, "ann", "first-1").await.err(), Some(401));
    assert_eq!(registry().await.status, 401);
    assert_eq!(tags().await, 401);
    assert_eq!(app.get(access).await.json()["others_auths"], json!([]));
    refused(&app.get(&format!("{USERS}/{id}")).await, 404);
    refused(&app.delete(&format!("{USERS}/{id}")).await, 404);
    // Terraform deletes by the other path.
    let id = made(&app.client, "ann").await;
    app.delete(&format!("/v3/users/{id}")).await.is(204, "");
    refused(&app.get(&format!("{USERS}/{id}")).await, 404);
}

#[tokio::test]
async fn a_user_is_shown_and_changed_and_what_it_logged_in_with_ends_where_it_must() {
    let app = TestApp::seeded(WORLD).await;
    let sent = json!({
        "name": "ann", "domain_id": app.get("/v3/auth/domains").await.json()["domains"][0]["id"],
        "password": "first-1", "enabled": true, "pwd_status": false, "email": "a@b.example",
        "areacode": "0086", "phone": "123", "xuser_id": "x", "xuser_type": "TenantIdp",
        "access_mode": "programmatic", "description": "one",
    });
    let created = make(&app.client, sent.clone()).await.json();
    let path = format!("{USERS}/{}", created["user"]["id"].as_str().expect("text"));
    let shown = app.get(&path).await.json();
    assert_eq!(shown, created);
    for (field, value) in sent.as_object().expect("an object") {
        if field != "password" {
            assert_eq!(shown["user"][field], *value, "{field}");
        }
    }
    assert!(shown["user"]["create_time"].is_string());
    let put = async |user: Value| {
        let answer = app
            .client
            .send("PUT", &path, Some(json!({"user": user})))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let ann = log_in(&app.client, "ann", "first-1")
        .await
        .expect("a token");
    assert_eq!(
        put(json!({"name": "bea", "description": ""})).await["user"]["name"],
        "bea"
    );
    assert_eq!(organization(&ann).await, 403);
    put(json!({"password": "second-2"})).await;
    assert_eq!(organization(&ann).await, 401);
    assert_eq!(log_in(&app.client, "bea", "first-1").await.err(), Some(401));
    let bea = log_in(&app.client, "bea", "second-2")
        .await
        .expect("a token");
    put(json!({"enabled": false})).await;
    assert_eq!(organization(&bea).await, 401);
    assert_eq!(
        log_in(&app.client, "bea", "second-2").await.err(),
        Some(401)
    );
    put(json!({"enabled": true})).await;
    assert_eq!(organization(&bea).await, 401);
    log_in(&app.client, "bea", "second-2")
        .await
        .expect("a token");
}

#[tokio::test]
async fn users_are_made_and_changed_by_administrators_of_their_account_only() {
    let app = TestApp::seeded(WORLD).await;
    let id = made(&app.client, "ann").await;
    let path = format!("{USERS}/{id}");
    let (developer, partner) = (app.as_user("developer"), app.as_user("partner-dev"));
    refused(&make(&developer, json!({"name": "x"})).await, 403);
    let change = || Some(json!({"user": {"description": "x"}}));
    refused(&developer.send("PUT", &path, change()).await, 403);
    refused(&developer.send("DELETE", &path, None).await, 403);
    refused(&partner.send("GET", &path, None).await, 404);
    refused(&partner.send("PUT", &path, change()).await, 404);
    refused(&partner.send("DELETE", &path, None).await, 404);
    let other = json!({"name": "x", "domain_id": "partner-id"});
    refused(&make(&app.client, other).await, 403);
    // The same name in another account is another user.
    made(&partner, "ann").await;
    let seeded = format!("{USERS}/developer-id");
    let message = refused(&app.delete(&seeded).await, 400);
    assert!(
        message.starts_with("user_id: must be the id of a user"),
        "{message}"
    );
    refused(&app.client.send("PUT", &seeded, change()).await, 400);
}

#[tokio::test]
async fn a_faulty_user_is_refused_and_a_name_is_given_once() {
    let app = TestApp::seeded(WORLD).await;
    let check = async |user: Value, field: &str| {
        let message = refused(&make(&app.client, user).await, 400);
        assert!(message.starts_with(&format!("{field}: ")), "{message}");
    };
    check(json!({}), "name").await;
    check(json!({"name": "1a"}), "name").await;
    check(json!({"name": "a", "password": "simple"}), "password").await;
    check(json!({"name": "a", "enabled": "yes"}), "enabled").await;
    check(json!({"name": "a", "phone": "1"}), "phone").await;
    check(json!({"name": "a", "xuser_id": "1"}), "xuser_id").await;
    check(json!({"name": "a", "access_mode": "any"}), "access_mode").await;
    check(json!({"name": "a", "email": "e".repeat(256)}), "email").await;
    let id = made(&app.client, "ann").await;
    for taken in ["ann", "developer"] {
        refused(&make(&app.client, json!({"name": taken})).await, 409);
    }
    let change = Some(json!({"user": {"name": "developer"}}));
    let path = format!("{USERS}/{id}");
    refused(&app.client.send("PUT", &path, change).await, 409);
}

#[tokio::test]
async fn users_are_kept_over_a_restart_and_gone_with_a_reset() {
    let kept = Kept::seeded(WORLD);
    let process = kept.start(&[]);
    let client = process.client();
    let id = made(&client, "ann").await;
    let token = log_in(&client, "ann", "first-1")
        .await
        .expect("a token")
        .token;
    process.kill();

    let process = kept.start(&[]);
    let client = process.client();
    let ann = Client {
        token,
        ..client.clone()
    };
    assert_eq!(organization(&ann).await, 403);
    log_in(&client, "ann", "first-1").await.expect("a token");
    client
        .send("POST", "/_emulator/reset", None)
        .await
        .is(204, "");
    assert_eq!(organization(&ann).await, 401);
    assert_eq!(log_in(&client, "ann", "first-1").await.err(), Some(401));
    refused(
        &client.send("GET", &format!("{USERS}/{id}"), None).await,
        404,
    );
}
