//! Who is calling: tokens, accounts, and what needs no credentials.

use http::Request;
use serde_json::{Value, json};
use swr_emulator::internal::routes;

use crate::support::{Process, TRIGGERS, TestApp, WORLD, trigger};

const TOKENS: &str = "/v3/auth/tokens";

fn login(user: &str, password: &str) -> Value {
    json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "domain": {"name": "swr-emulator"}, "name": user, "password": password}}},
        "scope": {"project": {"domain": {"name": "swr-emulator"}, "name": "cn-north-4"}}
    }})
}

#[tokio::test]
async fn every_operation_but_the_open_ones_answers_401_without_credentials() {
    let app = TestApp::start().await;
    let nobody = app.as_nobody();
    let mut open = Vec::new();
    for operation in routes().operations() {
        let path: String = operation
            .path
            .split('/')
            .map(|segment| {
                if segment.starts_with('{') {
                    "x"
                } else {
                    segment
                }
            })
            .collect::<Vec<_>>()
            .join("/");
        let answer = nobody.send(operation.method.as_str(), &path, None).await;
        if operation.needs_credentials {
            let message = answer.refused_by_gateway(401, "APIGW.0301");
            assert_eq!(
                message,
                "Incorrect IAM authentication information: x-auth-token not found"
            );
        } else {
            assert_ne!(answer.status, 401, "{}", operation.name);
            open.push(format!("{} {}", operation.method, operation.path));
        }
    }
    open.sort();
    assert_eq!(
        open,
        [
            "GET /",
            "GET /_emulator/",
            "GET /_emulator/console/{file}",
            "GET /_emulator/docs",
            "GET /_emulator/docs/",
            "GET /_emulator/docs/{page}",
            "GET /_emulator/health",
            "GET /_emulator/openapi.json",
            "GET /swr/auth/v2/registry/auth/",
            "GET /{api_version}",
            "POST /v3/auth/tokens"
        ]
    );
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let app = TestApp::start().await;
    for token in ["", "wrong", "swr-emulator "] {
        // A header's value is trimmed on its way, so the last one is right.
        let answer = app
            .as_user(token)
            .send("GET", "/v2/manage/repos", None)
            .await;
        if token.trim() == "swr-emulator" {
            answer.is(200, "[]");
        } else {
            let message = answer.refused_by_gateway(401, "APIGW.0301");
            assert!(message.ends_with(": decrypt token fail"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_password_is_exchanged_for_a_token() {
    let app = TestApp::start().await;

    let answer = app
        .as_nobody()
        .send("POST", TOKENS, Some(login("admin", "swr-emulator")))
        .await;

    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let token = answer
        .header("x-subject-token")
        .expect("a token")
        .to_owned();
    let body = answer.json();
    let shown = &body["token"];
    assert_eq!(shown["methods"], json!(["password"]));
    assert_eq!(shown["project"]["id"], "00000000000000000000000000000001");
    assert_eq!(shown["project"]["name"], "cn-north-4");
    assert_eq!(shown["project"]["domain"]["name"], "swr-emulator");
    assert_eq!(shown["user"]["name"], "admin");
    assert_eq!(shown["user"]["domain"]["name"], "swr-emulator");
    assert_eq!(shown.get("domain"), None);
    for field in ["expires_at", "issued_at"] {
        let time = shown[field].as_str().expect("a string");
        assert_eq!(time.len(), "2026-11-24T10:00:00.000000Z".len(), "{time}");
    }
    let user = app.as_user(&token);
    user.send("GET", "/v2/manage/repos", None)
        .await
        .is(200, "[]");

    let exchange = json!({"auth": {
        "identity": {"methods": ["token"], "token": {"id": token}},
        "scope": {"domain": {"name": "swr-emulator"}}}});
    let answer = app.as_nobody().send("POST", TOKENS, Some(exchange)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let second = answer
        .header("x-subject-token")
        .expect("a token")
        .to_owned();
    assert_ne!(second, token);
    assert_eq!(answer.json()["token"]["domain"]["name"], "swr-emulator");
    assert_eq!(answer.json()["token"].get("project"), None);
    app.as_user(&second)
        .send("GET", "/v2/manage/repos", None)
        .await
        .is(200, "[]");
}

#[tokio::test]
async fn a_wrong_login_is_refused_in_iams_form() {
    let app =
        TestApp::seeded("accounts: [{name: swr-emulator, users: [{name: tokenless, token: x1}]}]")
            .await;
    let refused = json!({"error": {"code": 401, "title": "Unauthorized",
                                   "message": "The username or password is wrong."}});
    for (user, password) in [
        ("admin", "wrong"),
        ("nobody", "swr-emulator"),
        ("tokenless", "x"),
    ] {
        let answer = app
            .as_nobody()
            .send("POST", TOKENS, Some(login(user, password)))
            .await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.json(), refused);
    }
    let mut other_project = login("admin", "swr-emulator");
    other_project["auth"]["scope"]["project"]["name"] = json!("cn-east-3");
    let answer = app
        .as_nobody()
        .send("POST", TOKENS, Some(other_project))
        .await;
    assert_eq!(answer.status, 401);

    let answer = app
        .as_nobody()
        .send("POST", TOKENS, Some(json!({"auth": {}})))
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["message"], "identity: is mandatory");
}

#[tokio::test]
async fn an_issued_token_outlives_a_restart_and_a_reset_ends_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().to_str().expect("UTF-8");
    let arguments = ["--data-dir", data, "--listen", "127.0.0.1:0"];
    let first = Process::start(&arguments);
    let mut client = first.client();
    client.token = None;
    let answer = client
        .send("POST", TOKENS, Some(login("admin", "swr-emulator")))
        .await;
    let token = answer
        .header("x-subject-token")
        .expect("a token")
        .to_owned();
    first.kill();

    let second = Process::start(&arguments);
    let mut client = second.client();
    client.token = Some(token);
    client
        .send("GET", "/v2/manage/repos", None)
        .await
        .is(200, "[]");
    second
        .client()
        .send("POST", "/_emulator/reset", None)
        .await
        .is(204, "");
    let answer = client.send("GET", "/v2/manage/repos", None).await;
    answer.refused_by_gateway(401, "APIGW.0301");
}

#[tokio::test]
async fn the_folder_holds_no_token_and_no_secret() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let seed = folder.path().join("seed.yaml");
    let secrets = ["hidden-password", "HIDDENSECRETKEY", "hidden-token"];
    std::fs::write(
        &seed,
        "accounts: [{name: a, users: [{name: u, password: hidden-password, access_key: AK1, \
         secret_key: HIDDENSECRETKEY, token: hidden-token}]}]\norganizations: [{name: g, account: a}]",
    )
    .expect("written");
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let process = Process::start(&[
        "--data-dir",
        &text(&data),
        "--seed",
        &text(&seed),
        "--listen",
        "127.0.0.1:0",
    ]);
    let mut client = process.client();
    client.token = None;
    let body =
        json!({"auth": {"identity": {"methods": ["token"], "token": {"id": "hidden-token"}}}});
    let answer = client.send("POST", TOKENS, Some(body)).await;
    let issued = answer
        .header("x-subject-token")
        .expect("a token")
        .to_owned();
    process.signal("TERM");
    let (code, stdout) = process.wait();
    assert_eq!(code, Some(0));
    let files = std::fs::read_dir(&data)
        .expect("there")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.is_file());
    let mut all: Vec<u8> = stdout.into_bytes();
    for file in files {
        all.extend(std::fs::read(file).expect("readable"));
    }
    for secret in secrets.iter().copied().chain([issued.as_str()]) {
        let found = all
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "{secret}");
    }
}

#[tokio::test]
async fn with_auth_any_every_token_and_key_is_the_admin() {
    let app = TestApp::seeded_with(WORLD, &["--auth", "any"]).await;
    let answer = app
        .as_user("anything")
        .send("POST", TRIGGERS, Some(trigger("t")))
        .await;
    answer.is(201, "{}");
    let signed = Request::get("/v2/manage/namespaces/group")
        .header(
            "Authorization",
            "SDK-HMAC-SHA256 Access=ANY, SignedHeaders=host, Signature=wrong",
        )
        .body(bytes::Bytes::new())
        .expect("legal");
    let shown = app.as_nobody().request(signed).await.json();
    assert_eq!(shown["creator_name"], "admin");
    let answer = app
        .as_nobody()
        .send("POST", TOKENS, Some(login("admin", "whatever")))
        .await;
    assert_eq!(answer.status, 201);

    let answer = app.as_nobody().send("GET", "/v2/manage/repos", None).await;
    answer.refused_by_gateway(401, "APIGW.0301");
}

#[tokio::test]
async fn an_unknown_access_key_and_a_wrong_signature_are_told_apart() {
    let app = TestApp::start().await;
    let ask = async |authorization: &str, date: &str| {
        let request = Request::get("/v2/manage/repos?limit=1")
            .header("Authorization", authorization)
            .header("X-Sdk-Date", date)
            .body(bytes::Bytes::new())
            .expect("legal");
        let answer = app.as_nobody().request(request).await;
        let message = answer.refused_by_gateway(401, "APIGW.0301");
        let start = "Incorrect IAM authentication information: ";
        message
            .strip_prefix(start)
            .expect("the gateway's words")
            .to_owned()
    };
    let now = jiff::Timestamp::now()
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string();
    let unknown = "SDK-HMAC-SHA256 Access=NOBODY, SignedHeaders=x-sdk-date, Signature=00";
    let known =
        "SDK-HMAC-SHA256 Access=SWREMULATOR000000001, SignedHeaders=x-sdk-date, Signature=00";
    assert_eq!(
        ask(unknown, &now).await,
        "Get secretKey failed,ak:NOBODY,err:ak not exist"
    );
    assert_eq!(
        ask(known, &now).await,
        format!(
            "verify aksk signature fail, canonicalRequest:GET|/v2/manage/repos/|limit=1|\
             x-sdk-date:{now}||x-sdk-date|\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        )
    );
    assert!(
        ask(known, "20200101T000000Z")
            .await
            .contains("signature expired")
    );
}

#[tokio::test]
async fn a_refusal_is_no_product_of_what_was_sent() {
    let app = TestApp::start().await;
    let ask = async |authorization: String| {
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let request = Request::get("/v2/manage/repos")
            .header("Authorization", authorization)
            .header("X-Sdk-Date", now.to_string())
            .header("H", "x".repeat(20_000))
            .body(bytes::Bytes::new())
            .expect("legal");
        let answer = app.as_nobody().request(request).await;
        assert!(answer.body.len() < 8000, "{} bytes", answer.body.len());
        answer.refused_by_gateway(401, "APIGW.0301")
    };
    let signed = |headers: &str| {
        let scheme = "SDK-HMAC-SHA256 Access=SWREMULATOR000000001";
        format!("{scheme}, SignedHeaders={headers}, Signature=00")
    };
    let twice = ask(signed(&vec!["h"; 500].join(";"))).await;
    assert!(twice.ends_with("SignedHeaders lists h twice"), "{twice}");
    let wrong = ask(signed("h")).await;
    assert!(wrong.contains("canonicalRequest:GET|"), "{wrong}");
    let long = "x".repeat(30_000);
    ask(format!("{long} Access=A, SignedHeaders=h, Signature=00")).await;
    ask(signed(&long)).await;
    ask(format!(
        "SDK-HMAC-SHA256 Access={long}, SignedHeaders=h, Signature=00"
    ))
    .await;
}

#[tokio::test]
async fn iam_knows_the_callers_account_only() {
    let app = TestApp::seeded(
        "accounts: [{name: partner, id: \"0000000000000000000000000000000a\",
                     users: [{name: dev, id: u1, token: partner-dev}, {name: ops, id: u2}]}]",
    )
    .await;
    let partner = app.as_user("partner-dev");
    let get = async |path: &str| partner.send("GET", path, None).await;

    let projects = get("/v3/projects?name=cn-north-4").await.json();
    assert_eq!(projects["projects"].as_array().map(Vec::len), Some(1));
    assert_eq!(projects["projects"][0]["name"], "cn-north-4");
    get("/v3/projects?name=cn-east-3")
        .await
        .is(200, "{\"projects\":[]}");
    let domains = get("/v3/auth/domains").await.json();
    assert_eq!(
        domains["domains"][0]["id"],
        "0000000000000000000000000000000a"
    );
    let users = get("/v3/users?name=ops").await.json();
    assert_eq!(
        users["users"],
        json!([{"id": "u2", "name": "ops", "enabled": true,
                                       "domain_id": "0000000000000000000000000000000a"}])
    );
    get("/v3/users?name=admin").await.is(200, "{\"users\":[]}");
    assert_eq!(
        get("/v3.0/OS-USER/users/u2").await.json()["user"]["name"],
        "ops"
    );
    let answer = get("/v3.0/OS-USER/users/u3").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"]["code"], 404);
    let ours = app.get("/v3.0/OS-USER/users/u2").await;
    assert_eq!(ours.status, 404);
}

#[tokio::test]
async fn cce_shows_the_clusters_of_the_seed_file() {
    let app = TestApp::seeded("clusters: [{id: c1, name: test}]").await;
    let path = "/api/v3/projects/00000000000000000000000000000001/clusters";
    let shown = app.get(&format!("{path}/c1")).await.json();
    assert_eq!(shown["metadata"]["name"], "test");
    let answer = app.get(&format!("{path}/c2")).await;
    assert_eq!(
        answer.refused_by_gateway(404, "CCE.01404001"),
        "Not found cluster"
    );
}
