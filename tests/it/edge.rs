//! What every request passes through: routes, bodies, sizes, ids.

use std::process::Command;
use std::time::Duration;

use http::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Kept, Process, Registry, TRIGGERS, TestApp, WORLD, program, trigger};

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
async fn a_path_that_leads_nowhere_is_told_the_one_that_was_meant() {
    let app = TestApp::with_repository().await;
    let check = async |method: &str, path: &str, meant: Option<&str>| {
        let answer = app.client.send(method, path, None).await;
        let message = answer.refused_by_gateway(404, "APIGW.0101");
        let (_, reason) = message.split_once(" (").expect("a reason");
        let hint = reason.split_once("; ").map(|(_, hint)| hint);
        let meant = meant.map(|meant| format!("{meant})"));
        assert_eq!(hint, meant.as_deref(), "{method} {path}: {message}");
    };
    let list = "without the trailing slash it is ListNamespaces";
    check("GET", "/v2/manage/namespaces/", Some(list)).await;
    let create = "without the trailing slash it is CreateNamespace";
    check("POST", "/v2/manage/namespaces/", Some(create)).await;
    let show = "without the trailing slash it is ShowNamespace";
    check("GET", "/v2/manage/namespaces/group/", Some(show)).await;
    let methods = "without the trailing slash it accepts POST, GET";
    check("DELETE", "/v2/manage/namespaces/", Some(methods)).await;
    let faults = "without the trailing slash it is EmulatorListFaults";
    check("GET", "/_emulator/faults/", Some(faults)).await;
    let own = "with a trailing slash it is EmulatorListOperations";
    check("GET", "/_emulator", Some(own)).await;
    for path in ["/health", "/health/", "/healthz", "/_emulator/healht"] {
        check("GET", path, Some("did you mean /_emulator/health?")).await;
    }
    check("GET", "/docs", Some("did you mean /_emulator/docs?")).await;
    let document = "did you mean /_emulator/openapi.json?";
    check("GET", "/openapi.json", Some(document)).await;
    check("GET", "/v9", None).await;
    check("GET", "/nonsense/", None).await;
    check("GET", "/v2/manage/nonsense", None).await;
    check("DELETE", "/_emulator/health", None).await;
}

#[tokio::test]
async fn a_misspelt_path_of_the_management_api_is_told_so_in_the_registrys_form() {
    let app = TestApp::start().await;
    let check = async |path: &str, expected: &str| {
        let answer = app.client.send("GET", path, None).await;
        assert_eq!(answer.status, 404, "{path}");
        let error = json!({"code": "UNSUPPORTED", "message": expected});
        assert_eq!(answer.json(), json!({"errors": [error]}), "{path}");
    };
    let hint = "the operation is not supported; did you mean /v2/manage/…?";
    check("/v2/mange/namespaces", hint).await;
    check("/v2/Manage/repos", hint).await;
    check("/v2/nonsense/namespaces", "the operation is not supported").await;
}

#[tokio::test]
async fn a_browser_is_led_to_the_console_and_other_clients_get_the_versions() {
    let app = TestApp::start().await;
    let check = async |accept: Option<&str>, status: u16, location: Option<&str>| {
        let mut request = Request::get("/");
        if let Some(accept) = accept {
            request = request.header("Accept", accept);
        }
        let request = request.body(bytes::Bytes::new()).expect("legal");
        let answer = app.client.request(request).await;
        assert_eq!(answer.status, status, "{accept:?}");
        assert_eq!(answer.header("location"), location, "{accept:?}");
    };
    let firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    check(Some(firefox), 303, Some("/_emulator/")).await;
    check(Some("Text/HTML;q=0.9"), 303, Some("/_emulator/")).await;
    for accept in ["*/*", "application/json", "application/json, text/html"] {
        check(Some(accept), 200, None).await;
    }
    check(None, 200, None).await;
}

#[tokio::test]
async fn a_path_of_the_emulator_names_the_organization_that_is_not_there() {
    let app = TestApp::start().await;
    let push = json!({"namespace": "nowhere", "repository": "a", "tag": "v1"});
    let answer = app.post("/_emulator/push", push).await;
    assert_eq!(
        answer.refused(404, "4040058"),
        "Not found namespace nowhere"
    );
    let query = "namespace=nowhere&repository=a&tag=v1";
    let answer = app.get(&format!("/_emulator/explain?{query}")).await;
    assert_eq!(
        answer.refused(404, "4040058"),
        "Not found namespace nowhere"
    );
    let answer = app.get("/v2/manage/namespaces/nowhere").await;
    assert_eq!(answer.refused(404, "4040058"), "Not found namespace");
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
    let port = app.client.address.rsplit(':').next().expect("a port");
    let names = [
        &app.client.address,
        &format!("localhost:{port}"),
        "swr.cn-north-4.myhuaweicloud.com",
    ];
    assert_eq!(
        health,
        json!({"status": "ok", "version": env!("CARGO_PKG_VERSION"), "region": "cn-north-4",
            "builtin_account": true, "registry_names": names, "regions": ["cn-north-4"]})
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
async fn a_refused_client_that_first_sends_all_sees_its_answer() {
    let app = TestApp::with_repository().await;
    let length = 12 * 1024 * 1024;
    for (path, expected) in [
        (TRIGGERS, "HTTP/1.1 401"),
        ("/v2/manage/nonsense", "HTTP/1.1 404"),
        ("/v2/group/busybox/blobs/uploads/?digest=x", "HTTP/1.1 401"),
    ] {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        let mut request = head.into_bytes();
        request.resize(request.len() + length, b' ');
        let answer = raw(&app, &request).await;
        assert!(answer.starts_with(expected), "{path}: {answer}");
    }
    let head = format!("GET /{} HTTP/1.1\r\n", "x".repeat(length));
    let answer = raw(&app, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
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

/// The first bytes that the server sends back for raw bytes, after which it waits for more.
async fn first_line(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut line = [0; 12];
    stream.read_exact(&mut line).await.expect("an answer");
    String::from_utf8_lossy(&line).into_owned()
}

#[tokio::test]
async fn a_request_for_a_host_that_is_not_the_emulators_is_misdirected() {
    let app = TestApp::with_arguments(&[
        "--registry-host",
        "registry.test:5000",
        "--allow-host",
        "one.test,two.test",
        "--allow-host",
        "three.test",
    ])
    .await;
    let check = async |target: &str, host: &str, expected: u16| {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Auth-Token: swr-emulator\r\n\
             Connection: close\r\n\r\n"
        );
        let answer = raw(&app, request.as_bytes()).await;
        let status = answer.get(9..12).expect("a status");
        assert_eq!(status, expected.to_string(), "{target} for {host}");
        answer
    };
    for host in [
        "localhost",
        "SWR.localhost.:1",
        "127.0.0.1:7970",
        "[::1]",
        "registry.test",
        "swr-api.cn-north-4.myhuaweicloud.com",
        "one.test",
        "two.test:80",
        "three.test",
    ] {
        check("/v2/manage/repos", host, 200).await;
    }
    let host = "evil.example";
    for target in [
        "/v2/manage/repos",
        "/v2/",
        "/v2/group/busybox/manifests/v1",
        "/swr/auth/v2/registry/auth/",
        "/_emulator/health",
        "/_emulator/docs",
        "/nonsense",
        "http://127.0.0.1/v2/manage/repos",
    ] {
        check(target, host, 421).await;
    }
    check("http://evil.example/v2/manage/repos", "localhost", 421).await;
    let answer = check("/", host, 421).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let id = body["request_id"].as_str().expect("an id");
    assert!(head.contains(&format!("x-request-id: {id}")), "{head}");
    assert_eq!(body["error_code"], "APIGW.0201");
    let message = body["error_msg"].as_str().expect("a message");
    assert!(
        message.contains(host) && message.contains("--allow-host"),
        "{message}"
    );
    let long = check("/", &"x".repeat(30_000), 421).await;
    assert!(long.len() < 2000, "{} bytes", long.len());
    let recorded = app.get("/_emulator/requests?status=421").await.json();
    assert_eq!(recorded.as_array().map(Vec::len), Some(11), "{recorded}");
}

#[tokio::test]
async fn a_request_says_exactly_once_for_which_host_it_is() {
    let app = TestApp::start().await;
    let check = async |request: &str, expected: &str| {
        let answer = raw(&app, request.as_bytes()).await;
        assert_eq!(answer.get(9..12), Some(expected), "{request:?}: {answer}");
    };
    let end = "Connection: close\r\n\r\n";
    check(
        &format!("GET / HTTP/1.1\r\nHost: localhost\r\n{end}"),
        "200",
    )
    .await;
    check(&format!("GET / HTTP/1.1\r\n{end}"), "400").await;
    let twice = format!("GET /v2/ HTTP/1.1\r\nHost: localhost\r\nhost: localhost\r\n{end}");
    check(&twice, "400").await;
    check("GET / HTTP/1.0\r\n\r\n", "200").await;
}

#[tokio::test]
async fn what_the_head_is_enough_to_refuse_is_refused_before_the_body() {
    let app = TestApp::with_repository().await;
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let signed = |access_key: &str, headers: &str| {
        format!("Authorization: SDK-HMAC-SHA256 Access={access_key}, {headers}, Signature=00\r\n")
    };
    let (known, date) = ("SWREMULATOR000000001", "SignedHeaders=x-sdk-date");
    let manifest = "/v2/group/busybox/manifests/v1";
    let upload = "/v2/group/busybox/blobs/uploads/?digest=x";
    let token = "X-Auth-Token: swr-emulator\r\n".to_owned();
    for (method, path, headers, expected) in [
        ("POST", TRIGGERS, token.clone(), "HTTP/1.1 100"),
        (
            "POST",
            TRIGGERS,
            format!("X-Sdk-Date: {now}\r\n{}", signed(known, date)),
            "HTTP/1.1 100",
        ),
        ("POST", TRIGGERS, String::new(), "HTTP/1.1 401"),
        (
            "POST",
            TRIGGERS,
            "X-Auth-Token: wrong\r\n".to_owned(),
            "HTTP/1.1 401",
        ),
        (
            "POST",
            TRIGGERS,
            "Authorization: nonsense\r\n".to_owned(),
            "HTTP/1.1 401",
        ),
        (
            "POST",
            TRIGGERS,
            format!("X-Sdk-Date: {now}\r\n{}", signed("NOBODY", date)),
            "HTTP/1.1 401",
        ),
        (
            "POST",
            TRIGGERS,
            format!("X-Sdk-Date: 20200102T030405Z\r\n{}", signed(known, date)),
            "HTTP/1.1 401",
        ),
        ("POST", TRIGGERS, signed(known, date), "HTTP/1.1 401"),
        (
            "POST",
            TRIGGERS,
            format!(
                "X-Sdk-Date: {now}\r\n{}",
                signed(known, "SignedHeaders=x-sdk-date;x-missing")
            ),
            "HTTP/1.1 401",
        ),
        ("POST", "/v2/manage/nonsense", token.clone(), "HTTP/1.1 404"),
        ("PUT", TRIGGERS, token.clone(), "HTTP/1.1 404"),
        ("PUT", manifest, String::new(), "HTTP/1.1 401"),
        ("POST", upload, String::new(), "HTTP/1.1 401"),
        (
            "PUT",
            "/v2/group/busybox/nonsense",
            String::new(),
            "HTTP/1.1 404",
        ),
    ] {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: 1000\r\n\
             Expect: 100-continue\r\n\r\n"
        );
        let line = first_line(&app.client.address, &request).await;
        assert_eq!(line, expected, "{method} {path} {headers}");
    }
}

/// Sends requests that all lack the last byte of their bodies, and what a client sends meanwhile;
/// the most memory that the program had, in KiB.
async fn peak_with(head: &str, length: usize, clients: usize) -> u64 {
    let kept = Kept::seeded(WORLD);
    let process = kept.start(&[]);
    let client = process.client();
    let registry = Registry::admin(&client, &["group/busybox"]).await;
    let bearer = registry.bearer.as_deref().expect("a token");
    let head = head.replace("BEARER", bearer);
    let head = format!("{head}Host: localhost\r\nContent-Length: {length}\r\n\r\n");
    let mut streams = Vec::new();
    for _ in 0..clients {
        let mut stream = TcpStream::connect(&client.address)
            .await
            .expect("a connection");
        stream.write_all(head.as_bytes()).await.expect("sent");
        streams.push(stream);
    }
    let body = vec![b' '; length - 1];
    for stream in &mut streams {
        // Who is given up meanwhile may be closed before.
        let _ = stream.write_all(&body).await;
    }
    let answer = client.send("GET", "/v2/manage/repos", None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // Those that are held back were fast until a moment ago, and get slower with each try.
    let namespace = json!({"namespace": "x".repeat(100_000)});
    let path = "/v2/manage/namespaces";
    let answer = loop {
        let answer = client.send("POST", path, Some(namespace.clone())).await;
        if answer.status != 408 {
            break answer;
        }
    };
    answer.refused(400, "4001028");
    for mut stream in streams {
        drop(stream.shutdown().await);
        // To the end, so that all was read that was sent.
        drop(stream.read_to_end(&mut Vec::new()).await);
    }
    process.peak_memory()
}

#[tokio::test]
async fn bodies_of_nobody_take_no_memory() {
    for token in ["", "X-Auth-Token: wrong\r\n"] {
        let head = format!("POST /v2/manage/namespaces HTTP/1.1\r\n{token}");
        let peak = peak_with(&head, 1024 * 1024, 200).await;
        assert!(peak < 90 * 1024, "{token}: {peak} KiB");
    }
}

#[tokio::test]
async fn all_bodies_take_a_bounded_memory_and_an_honest_one_finds_room() {
    let head = "POST /v2/manage/namespaces HTTP/1.1\r\nX-Auth-Token: swr-emulator\r\n";
    let peak = peak_with(head, 1024 * 1024, 200).await;
    assert!(peak < 180 * 1024, "{peak} KiB");
    let head = "PUT /v2/group/busybox/manifests/v1 HTTP/1.1\r\nAuthorization: Bearer BEARER\r\n";
    let peak = peak_with(head, 4 * 1024 * 1024, 50).await;
    assert!(peak < 180 * 1024, "{peak} KiB");
}

#[tokio::test]
async fn a_new_client_finds_a_place_where_others_only_hold_theirs() {
    // Half of the files that it may open.
    const PLACES: usize = 128;
    let program = program(&["--ephemeral", "--listen", "127.0.0.1:0"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\""]);
    limited.arg(program.get_program()).args(program.get_args());
    let process = Process::of(&mut limited);
    let client = process.client();
    let request = "GET /_emulator/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut idle = Vec::new();
    for at in 0..PLACES {
        let mut stream = TcpStream::connect(&client.address)
            .await
            .expect("a connection");
        // Every other one was served; the rest sends half a head.
        let bytes = if at % 2 == 0 { request } else { &request[..30] };
        stream.write_all(bytes.as_bytes()).await.expect("sent");
        if at % 2 == 0 {
            stream.read_exact(&mut [0; 12]).await.expect("an answer");
        }
        idle.push(stream);
    }

    let newcomers = async {
        for _ in 0..10 {
            let answer = client.send("GET", "/v2/manage/repos", None).await;
            answer.is(200, "[]");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), newcomers)
        .await
        .expect("a place");

    // The one that was idle for the longest time has gone, the newest one has not.
    let mut rest = Vec::new();
    let oldest = &mut idle[0];
    oldest.read_to_end(&mut rest).await.expect("the end");
    let newest = &mut idle[PLACES - 2];
    newest.write_all(request.as_bytes()).await.expect("sent");
    let mut answers = vec![0; 400];
    let length = newest.read(&mut answers).await.expect("an answer");
    assert_ne!(length, 0, "the newest connection is gone");
}

#[tokio::test]
async fn half_of_the_connections_may_wait_and_the_others_are_told_to_try_again() {
    const MAX_WAITS: usize = 512;
    let mut on_push = trigger("t");
    on_push["application"] = json!("web");
    let seed = json!({
        "organizations": [{"name": "group",
            "repositories": [{"name": "busybox", "triggers": [on_push]}]}],
        "clusters": [{"id": on_push["cluster_id"], "name": "test"}],
    });
    let app = TestApp::seeded(&seed.to_string()).await;
    let workload = "/_emulator/clusters/test/namespaces/default/deployments/web";
    let slow = json!({"containers": [{"name": "a", "image": "b"}], "delay_ms": 600_000});
    let put = app.client.send("PUT", workload, Some(slow)).await;
    assert_eq!(put.status, 200, "{}", put.text());
    let push = json!({"namespace": "group", "repository": "busybox", "tag": "v1"});
    assert_eq!(app.post("/_emulator/push", push).await.status, 201);
    let wait = "GET /_emulator/idle?timeout=10m HTTP/1.1\r\nHost: localhost\r\n\
                X-Auth-Token: swr-emulator\r\n\r\n";
    let mut waiting = Vec::new();
    for _ in 0..MAX_WAITS {
        let mut stream = TcpStream::connect(&app.client.address)
            .await
            .expect("a connection");
        stream.write_all(wait.as_bytes()).await.expect("sent");
        waiting.push(stream);
    }
    // Until all of them wait, one more still finds a place.
    let refused = loop {
        let answer = app.get("/_emulator/idle?timeout=1ms").await;
        if answer.status != 408 {
            break answer;
        }
    };
    assert_eq!(refused.header("retry-after"), Some("1"));
    let message = refused.refused(503, "5000007");
    assert_eq!(
        message,
        "Too many requests are already waiting; try again later"
    );
    app.get("/v2/manage/namespaces/none")
        .await
        .refused(404, "4040058");
    // Who goes away makes room.
    drop(waiting);
    while app.get("/_emulator/idle?timeout=1ms").await.status != 408 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_head_may_have_64_kib_and_not_a_byte_more() {
    let app = TestApp::start().await;
    let check = async |length: usize, expected: &str| {
        let (front, end) = (
            "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Long: ",
            "\r\n\r\n",
        );
        let padding = "x".repeat(length - front.len() - end.len());
        let answer = raw(&app, format!("{front}{padding}{end}").as_bytes()).await;
        assert_eq!(answer.get(9..12), Some(expected), "{length}");
    };
    check(64 * 1024, "200").await;
    check(64 * 1024 + 1, "431").await;
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
