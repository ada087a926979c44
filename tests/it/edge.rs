//! What every request passes through: routes, bodies, sizes, ids.

use http::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{TRIGGERS, TestApp, trigger};

#[tokio::test]
async fn an_unknown_path_or_method_is_answered_as_the_gateway_does() {
    let app = TestApp::with_repository().await;
    let check = async |method: &str, path: &str, allow: Option<&str>| {
        for client in [app.client.clone(), app.as_nobody()] {
            let answer = client.send(method, path, None).await;
            assert_eq!(answer.header("allow"), allow, "{method} {path}");
            let message = answer.refused_by_gateway(404, "APIGW.0101");
            assert!(message.contains(&format!("{method} {path}")), "{message}");
        }
    };
    // The registry answers below /v2/, but never for the management API.
    check("GET", "/v2/manage", None).await;
    check("PUT", "/v2/manage/a/manifests/v1", None).await;
    check("GET", "/v2/manage/a/tags/list", None).await;
    check("GET", "/v2/manage/", None).await;
    check("GET", "/v2/manage/nonsense", None).await;
    check("GET", "/v2/manage/repos/", None).await;
    check("GET", "/nonsense/x", None).await;
    check("GET", "/_emulator/nonsense", None).await;
    check("PUT", TRIGGERS, Some("POST, GET")).await;
    check("DELETE", TRIGGERS, Some("POST, GET")).await;
    check("TRACE", TRIGGERS, Some("POST, GET")).await;
    check("OPTIONS", TRIGGERS, Some("POST, GET")).await;
    check("POST", "/v2/manage/repos", Some("GET")).await;
    let head = app.client.send("HEAD", TRIGGERS, None).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (404, 0));
}

#[tokio::test]
async fn what_was_sent_is_repeated_in_part_at_the_most() {
    let app = TestApp::with_repository().await;
    let long = "x".repeat(30_000);
    let method = "M".repeat(30_000);
    let check = async |method: &str, path: &str, body: Option<Value>| {
        let answer = app.client.send(method, path, body).await;
        assert!(answer.status.is_client_error(), "{method} {path}");
        let length = answer.body.len();
        assert!(length < 16_000, "{length} bytes");
    };
    check(&method, TRIGGERS, None).await;
    check("GET", &format!("/{long}/x"), None).await;
    check("GET", &format!("/v2/group/busybox/blobs/{long}"), None).await;
    let mut fields = json!({});
    fields[&long] = json!(1);
    check("POST", "/_emulator/faults", Some(fields)).await;
    let mut fault = json!({"operation": "CreateTrigger", "status": 500});
    fault["code"] = json!(long);
    check("POST", "/_emulator/faults", Some(fault)).await;
    let mut body = trigger("t");
    body["condition"] = json!(long);
    body["trigger_type"] = json!(long);
    check("POST", TRIGGERS, Some(body)).await;
}

#[tokio::test]
async fn versions_need_no_credentials() {
    let app = TestApp::start().await;
    let nobody = app.as_nobody();
    let list = nobody.send("GET", "/", None).await.json();
    assert_eq!(list["versions"][0]["id"], "v2");
    assert!(list["versions"][0]["links"].is_object());
    let one = nobody.send("GET", "/v2", None).await.json();
    assert_eq!(one["version"], list["versions"][0]);
    nobody
        .send("GET", "/v9", None)
        .await
        .refused_by_gateway(404, "APIGW.0101");
    let health = nobody.send("GET", "/_emulator/health", None).await.json();
    assert_eq!(
        health,
        json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})
    );
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let app = TestApp::start().await;
    let mut ids = std::collections::HashSet::new();
    for path in [
        "/",
        "/v2/manage/repos",
        "/v2/manage/namespaces/none",
        "/nonsense/x",
    ] {
        let answer = app.get(path).await;
        let id = answer.header("x-request-id").expect("an id").to_owned();
        assert!(
            id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{id}"
        );
        assert!(ids.insert(id));
    }
}

#[tokio::test]
async fn a_body_may_have_a_mebibyte_and_not_a_byte_more() {
    const LIMIT: usize = 1024 * 1024;
    let app = TestApp::with_repository().await;
    let mut body = trigger("t");
    body["padding"] = json!("");
    let padding = LIMIT - body.to_string().len();
    body["padding"] = json!("x".repeat(padding));
    assert_eq!(body.to_string().len(), LIMIT);
    app.post(TRIGGERS, body.clone()).await.is(201, "{}");

    body["padding"] = json!("x".repeat(padding + 1));
    app.post(TRIGGERS, body).await.refused(413, "4131001");
}

#[tokio::test]
async fn a_body_that_is_far_too_large_is_read_so_that_the_answer_arrives() {
    let app = TestApp::with_repository().await;
    let large = Value::String("x".repeat(15 * 1024 * 1024));

    app.post(TRIGGERS, large.clone())
        .await
        .refused(413, "4131001");

    let answer = app
        .as_nobody()
        .send("POST", TRIGGERS, Some(large.clone()))
        .await;
    answer.refused_by_gateway(401, "APIGW.0301");
    app.post("/v2/manage/nonsense", large)
        .await
        .refused_by_gateway(404, "APIGW.0101");
}

#[tokio::test]
async fn a_content_type_other_than_json_is_refused() {
    let app = TestApp::with_repository().await;
    for (at, (content_type, accepted)) in [
        (None, true),
        (Some("application/json;charset=utf-8"), true),
        (Some("application/json; charset=nonsense"), true),
        (Some("text/plain"), false),
        (Some("application/x-www-form-urlencoded"), false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut request = Request::post(TRIGGERS);
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        let body = trigger(&format!("t{at}")).to_string();
        let answer = app
            .client
            .request(request.body(body.into()).expect("legal"))
            .await;
        if accepted {
            answer.is(201, "{}");
        } else {
            let message = answer.refused(400, "4000014");
            assert_eq!(message, "Content-Type: must be application/json");
        }
    }
}

/// What the server sends back for raw bytes, to the end of the connection.
async fn raw(app: &TestApp, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(&app.client.address)
        .await
        .expect("a connection");
    stream.write_all(request).await.expect("sent");
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let app = TestApp::start().await;
    let long = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {}",
        "x".repeat(300_000)
    );
    assert!(raw(&app, long.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let many = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        "X-Many: x\r\n".repeat(200)
    );
    assert!(raw(&app, many.as_bytes()).await.starts_with("HTTP/1.1 431"));
    app.get("/v2/manage/repos").await.is(200, "[]");
}

#[tokio::test]
async fn a_body_that_breaks_off_stores_nothing() {
    let app = TestApp::with_repository().await;
    let body = trigger("t").to_string();
    let request = format!(
        "POST {TRIGGERS} HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: swr-emulator\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len() + 1
    );
    let mut stream = TcpStream::connect(&app.client.address)
        .await
        .expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream.shutdown().await.expect("closed for writing");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    app.get(TRIGGERS).await.is(200, "[]");
}

#[tokio::test]
async fn a_body_without_a_length_is_read_too() {
    let app = TestApp::with_repository().await;
    let body = trigger("t").to_string();
    let request = format!(
        "POST {TRIGGERS} HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: swr-emulator\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        10,
        &body[..10],
        body.len() - 10,
        &body[10..]
    );
    assert!(
        raw(&app, request.as_bytes())
            .await
            .starts_with("HTTP/1.1 201")
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_its_write_back() {
    let app = TestApp::with_repository().await;
    for at in 0..20 {
        let body = trigger(&format!("t{at}")).to_string();
        let request = format!(
            "POST {TRIGGERS} HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: swr-emulator\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(&app.client.address)
            .await
            .expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        drop(stream);
    }
    // Whatever became of those, the store is whole and goes on.
    app.post(TRIGGERS, trigger("last")).await.is(201, "{}");
    let list = app.get(TRIGGERS).await.json();
    let names: Vec<_> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|t| &t["name"])
        .collect();
    assert!(names.contains(&&json!("last")));
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_turn() {
    let app = TestApp::with_repository().await;
    let mut connection = app.client.connect().await;
    for at in 0..50 {
        let body = trigger(&format!("t{at}")).to_string();
        let request = Request::post(TRIGGERS).body(body.into()).expect("legal");
        let answer = app.client.request_on(&mut connection, request).await;
        answer.expect("an answer").is(201, "{}");
    }
}

#[tokio::test]
async fn reset_goes_back_to_the_seed_for_every_reader_at_once() {
    let app = TestApp::with_repository().await;
    for round in 0..5 {
        app.post(TRIGGERS, trigger("t")).await.is(201, "{}");
        app.post("/v2/manage/namespaces", json!({"namespace": "more"}))
            .await
            .is(201, "{}");
        app.delete("/v2/manage/namespaces/group/repos/busybox")
            .await
            .is(204, "");

        app.client
            .send("POST", "/_emulator/reset", None)
            .await
            .is(204, "");

        app.get(TRIGGERS).await.is(200, "[]");
        app.get("/v2/manage/namespaces/more")
            .await
            .refused(404, "4040058");
        let list = app.get("/v2/manage/repos").await.json();
        assert_eq!(list.as_array().map(Vec::len), Some(1), "round {round}");
    }
    let answer = app.as_nobody().send("POST", "/_emulator/reset", None).await;
    answer.refused_by_gateway(401, "APIGW.0301");
}
