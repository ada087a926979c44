//! What people who write tests can do to an emulator: move its clock, let operations fail, and
//! look at what was asked.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use swr_emulator::{BUILTIN_ACCESS_KEY, BUILTIN_SECRET_KEY};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    self, Answer, Client, Kept, OCI_MANIFEST, Process, Registry, TOKEN, TRIGGERS, TestApp, WORLD,
    trigger,
};

const CLOCK: &str = "/_emulator/clock";
const FAULTS: &str = "/_emulator/faults";
const REQUESTS: &str = "/_emulator/requests";
const RESET: &str = "/_emulator/reset";
const TOKENS: &str = "/v3/auth/tokens";

const DAY: i64 = 24 * 3600;

fn time(value: &Value) -> Timestamp {
    let text = value.as_str().expect("a string");
    text.parse().expect("a time")
}

/// Moves the clock; how far it is ahead then, in seconds.
async fn move_clock(app: &TestApp, body: Value) -> i64 {
    let answer = app.post(CLOCK, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let shown = answer.json();
    let ahead = shown["ahead_seconds"].as_i64().expect("a number");
    let distance = time(&shown["now"]).duration_since(time(&shown["real"]));
    let error = (distance - SignedDuration::from_secs(ahead)).abs();
    assert!(error <= SignedDuration::from_millis(500), "{shown}");
    ahead
}

async fn reset(app: &TestApp) {
    app.client.send("POST", RESET, None).await.is(204, "");
}

async fn iam_token(app: &TestApp) -> String {
    let answer = app.as_nobody().send("POST", TOKENS, Some(login())).await;
    let token = answer.header("x-subject-token").expect("a token");
    token.to_owned()
}

fn login() -> Value {
    json!({"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "domain": {"name": "swr-emulator"}, "name": "admin", "password": "swr-emulator"}}}}})
}

#[tokio::test]
async fn the_clock_goes_ahead_and_back_and_to_a_moment_and_home() {
    let app = TestApp::start().await;
    let shown = app.get(CLOCK).await.json();
    assert_eq!(shown["ahead_seconds"], 0);
    assert_eq!(shown["now"], shown["real"]);

    assert_eq!(move_clock(&app, json!({"advance": "40d"})).await, 40 * DAY);
    assert_eq!(move_clock(&app, json!({"advance": "2w"})).await, 54 * DAY);
    assert_eq!(
        move_clock(&app, json!({"advance": "-90s"})).await,
        54 * DAY - 90
    );
    assert_eq!(app.get(CLOCK).await.json()["ahead_seconds"], 54 * DAY - 90);

    let then = Timestamp::now() + SignedDuration::from_hours(24 * 400);
    let body = json!({"set": then.to_string()});
    assert!((move_clock(&app, body.clone()).await - 400 * DAY).abs() <= 60);
    let shown = app.post(CLOCK, body).await.json();
    assert!(time(&shown["now"]) >= then, "{shown}");

    assert_eq!(move_clock(&app, json!({"reset": true})).await, 0);
    move_clock(&app, json!({"advance": "12h"})).await;
    reset(&app).await;
    assert_eq!(app.get(CLOCK).await.json()["ahead_seconds"], 0);
}

#[tokio::test]
async fn a_move_that_breaks_a_rule_is_refused_and_moves_nothing() {
    let app = TestApp::start().await;
    move_clock(&app, json!({"advance": "1h"})).await;
    let check = async |body: Value, expected: &str| {
        let message = app.post(CLOCK, body.clone()).await.refused(400, "4000014");
        assert_eq!(message, expected, "{body}");
    };
    let one = "body: must have exactly one of the keys advance, set and reset";
    check(json!({}), one).await;
    check(json!({"advance": "1d", "set": "2027-01-01T00:00:00Z"}), one).await;
    let duration = "advance: must be a duration like 90s, 1h30m, 40d or -2w";
    for text in ["40", "40 years", "99999999999999999999w"] {
        check(json!({ "advance": text }), duration).await;
    }
    let moment = "set: must be an RFC 3339 time, like 2027-01-01T00:00:00Z";
    check(json!({"set": "2027-01-01"}), moment).await;
    check(json!({"reset": false}), "reset: must be true").await;
    let reach = "must result in a time from 1970-01-01 onwards, at most 100 years from the real \
                 time";
    for far in ["36525d", "-36525d", "1000000w"] {
        check(json!({ "advance": far }), &format!("advance: {reach}")).await;
    }
    for far in ["1969-12-31T23:59:59Z", "9998-12-31T23:59:59Z"] {
        check(json!({ "set": far }), &format!("set: {reach}")).await;
    }
    assert_eq!(app.get(CLOCK).await.json()["ahead_seconds"], 3600);
}

#[tokio::test]
async fn the_clock_moves_what_is_made_and_every_expiry() {
    let app = TestApp::with_repository().await;
    let issued = app.as_user(&iam_token(&app).await);
    let secret = app
        .client
        .send("POST", "/v2/manage/utils/secret", None)
        .await;
    let secret = secret.json();
    let auths = secret["auths"].as_object().expect("an object");
    let auth = auths.values().next().expect("a login")["auth"].clone();
    let log_in = async || {
        let path = "/swr/auth/v2/registry/auth/?scope=repository:group/busybox:pull";
        let auth = auth.as_str().expect("a string");
        let request = Request::get(path).header("Authorization", format!("Basic {auth}"));
        let request = request.body(Bytes::new()).expect("a legal request");
        app.as_nobody().request(request).await.status.as_u16()
    };
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    let list_tags = async || {
        let answer = registry.send("GET", "/v2/group/busybox/tags/list", &[], "");
        answer.await.status.as_u16()
    };
    assert_eq!((log_in().await, list_tags().await), (200, 200));

    move_clock(&app, json!({"advance": "14m"})).await;
    assert_eq!((log_in().await, list_tags().await), (200, 200));
    move_clock(&app, json!({"advance": "2m"})).await;
    assert_eq!((log_in().await, list_tags().await), (200, 401));

    move_clock(&app, json!({"advance": "23h"})).await;
    assert_eq!(log_in().await, 200);
    issued.send("GET", "/v2/manage/repos", None).await.json();
    move_clock(&app, json!({"advance": "1h"})).await;
    assert_eq!(log_in().await, 401);
    let answer = issued.send("GET", "/v2/manage/repos", None).await;
    let message = answer.refused_by_gateway(401, "APIGW.0301");
    assert!(message.contains("token expires"), "{message}");

    move_clock(&app, json!({"advance": "40d"})).await;
    app.post(TRIGGERS, trigger("t")).await.is(201, "{}");
    let shown = app.get(&format!("{TRIGGERS}/t")).await.json();
    let ahead = time(&shown["created_at"]).duration_since(Timestamp::now());
    assert!(ahead > SignedDuration::from_hours(24 * 40), "{shown}");
}

/// How a token of the registry is answered.
async fn registry_status(registry: &Registry) -> u16 {
    registry
        .get("/v2/group/busybox/tags/list")
        .await
        .status
        .as_u16()
}

#[tokio::test]
async fn a_registry_token_holds_in_its_region_until_a_reset_or_until_the_clock_goes_back() {
    let seed = "
regions: [{name: cn-east-3, listen: '127.0.0.1:0'}]
organizations:
  - {name: group, repositories: [{name: busybox}]}
  - {name: group, region: cn-east-3, repositories: [{name: busybox}]}
";
    let app = TestApp::seeded(seed).await;
    let log_in = async || Registry::admin(&app.client, &["group/busybox"]).await;

    let home = log_in().await;
    let mut east = log_in().await;
    east.client.address = app.in_region("cn-east-3").address;
    assert_eq!(registry_status(&home).await, 200);
    assert_eq!(registry_status(&east).await, 401);
    assert_eq!(east.get("/v2/").await.status, 401);

    reset(&app).await;
    assert_eq!(registry_status(&home).await, 401);

    let expired = log_in().await;
    move_clock(&app, json!({"advance": "1h"})).await;
    assert_eq!(registry_status(&expired).await, 401);
    let later = log_in().await;
    assert_eq!(registry_status(&later).await, 200);
    move_clock(&app, json!({"advance": "-1h"})).await;
    for token in [expired, later] {
        assert_eq!(registry_status(&token).await, 401);
    }
    assert_eq!(registry_status(&log_in().await).await, 200);
}

#[tokio::test]
async fn a_registry_token_outlives_a_restart_but_not_a_reset_before_it() {
    let kept = Kept::seeded(WORLD);
    let log_in = async |client: &Client| Registry::admin(client, &["group/busybox"]).await;
    let mut process = kept.start(&[]);
    let mut before = log_in(&process.client()).await;
    process.client().send("POST", RESET, None).await.is(204, "");
    let mut after = log_in(&process.client()).await;

    process.kill();
    process = kept.start(&[]);
    for registry in [&mut before, &mut after] {
        registry.client.address = process.client().address;
    }

    assert_eq!(registry_status(&before).await, 401);
    assert_eq!(registry_status(&after).await, 200);
}

#[tokio::test]
async fn a_signature_is_dated_by_the_real_time_wherever_the_clock_is() {
    let app = TestApp::start().await;
    let ask = async |date: Timestamp| {
        let date = date.strftime("%Y%m%dT%H%M%SZ").to_string();
        let hash = |text: &[u8]| hex::encode(Sha256::digest(text));
        let canonical = format!(
            "GET\n/v2/manage/repos/\n\nx-sdk-date:{date}\n\nx-sdk-date\n{}",
            hash(b"")
        );
        let text = format!("SDK-HMAC-SHA256\n{date}\n{}", hash(canonical.as_bytes()));
        let key = Hmac::<Sha256>::new_from_slice(BUILTIN_SECRET_KEY.as_bytes());
        let mut mac = key.expect("a key of any length");
        mac.update(text.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let authorization = format!(
            "SDK-HMAC-SHA256 Access={BUILTIN_ACCESS_KEY}, SignedHeaders=x-sdk-date, \
             Signature={signature}"
        );
        let request = Request::get("/v2/manage/repos")
            .header("X-Sdk-Date", date)
            .header("Authorization", authorization)
            .body(Bytes::new())
            .expect("a legal request");
        app.as_nobody().request(request).await.status.as_u16()
    };
    let now = Timestamp::now();
    let emulated = now + SignedDuration::from_hours(24 * 40);
    assert_eq!((ask(now).await, ask(emulated).await), (200, 401));

    move_clock(&app, json!({"advance": "40d"})).await;

    assert_eq!((ask(now).await, ask(emulated).await), (200, 401));
}

#[tokio::test]
async fn a_restart_takes_the_clock_and_the_faults_away() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().to_str().expect("UTF-8");
    let arguments = ["--data-dir", data, "--listen", "127.0.0.1:0"];
    let first = Process::start(&arguments);
    let client = first.client();
    let body = json!({"advance": "40d"});
    let moved = client.send("POST", CLOCK, Some(body)).await;
    assert_eq!(moved.json()["ahead_seconds"], 40 * DAY);
    let fault = json!({"operation": "ListReposDetails", "status": 500});
    let planned = client.send("POST", FAULTS, Some(fault)).await;
    assert_eq!(planned.status, 201);
    first.kill();

    let second = Process::start(&arguments);
    let client = second.client();
    let shown = client.send("GET", CLOCK, None).await.json();
    assert_eq!(shown["ahead_seconds"], 0);
    client.send("GET", FAULTS, None).await.is(200, "[]");
}

/// Plans a fault.
async fn fault(app: &TestApp, body: Value) -> Value {
    let answer = app.post(FAULTS, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// How many times each fault struck.
async fn struck(app: &TestApp) -> Vec<u64> {
    let list = app.get(FAULTS).await.json();
    let list = list.as_array().expect("a list").iter();
    list.map(|fault| fault["struck"].as_u64().expect("a number"))
        .collect()
}

#[tokio::test]
async fn a_fault_fails_its_operation_as_often_as_it_says_and_nothing_is_written() {
    let app = TestApp::with_repository().await;
    let body = json!({"operation": "CreateTrigger", "status": 503, "times": 2,
                      "code": "SVCSTG.SWR.5000099"});
    let expected = json!({
        "operation": "CreateTrigger", "namespace": null, "repository": null, "status": 503,
        "tag": null, "digest": null, "caller": null, "retry_after_s": null,
        "cut_after_bytes": null, "code": "SVCSTG.SWR.5000099", "cut": false, "delay_ms": 0, "times": 2,
        "probability": null, "seed": null, "struck": 0});
    assert_eq!(fault(&app, body).await, expected);

    for _ in 0..2 {
        let answer = app.post(TRIGGERS, trigger("t")).await;
        let id = answer.header("x-request-id").expect("an id");
        assert_eq!(id.len(), 32);
        assert_eq!(answer.refused(503, "5000099"), "Injected fault");
        app.get(TRIGGERS).await.is(200, "[]");
    }
    assert_eq!(struck(&app).await, [2]);

    app.post(TRIGGERS, trigger("t")).await.is(201, "{}");
    assert_eq!(struck(&app).await, [2]);
}

#[tokio::test]
async fn a_fault_is_written_in_its_operations_form() {
    let app = TestApp::with_repository().await;
    let plan = async |operation: &str, status: u16| {
        fault(
            &app,
            json!({"operation": operation, "status": status, "times": 1}),
        )
        .await;
    };
    plan("CreateTrigger", 500).await;
    let answer = app.post(TRIGGERS, trigger("t")).await;
    assert_eq!(answer.refused(500, "5000046"), "Injected fault");
    plan("CreateTrigger", 400).await;
    let answer = app.post(TRIGGERS, trigger("t")).await;
    answer.refused(400, "4000014");
    plan("CreateTrigger", 429).await;
    let answer = app.post(TRIGGERS, trigger("t")).await;
    answer.refused_by_gateway(429, "APIGW.0308");

    plan("ShowCluster", 500).await;
    let path = "/api/v3/projects/p/clusters/c";
    app.get(path)
        .await
        .refused_by_gateway(500, "SVCSTG.SWR.5000007");

    plan("KeystoneCreateUserTokenByPassword", 401).await;
    let answer = app.as_nobody().send("POST", TOKENS, Some(login())).await;
    let title = "Unauthorized";
    let expected = json!({"error": {"code": 401, "message": "Injected fault", "title": title}});
    assert_eq!((answer.status.as_u16(), answer.json()), (401, expected));

    plan("RegistryToken", 503).await;
    let answer = app.get("/swr/auth/v2/registry/auth/").await;
    let expected = json!({"errors": [{"code": "UNAVAILABLE", "message": "Injected fault"}]});
    assert_eq!((answer.status.as_u16(), answer.json()), (503, expected));
}

#[tokio::test]
async fn a_fault_hides_no_refusal_of_credentials_and_does_not_count_it() {
    let app = TestApp::with_repository().await;
    fault(
        &app,
        json!({"operation": "CreateTrigger", "status": 500, "times": 1}),
    )
    .await;

    for client in [app.as_nobody(), app.as_user("wrong")] {
        let answer = client.send("POST", TRIGGERS, Some(trigger("t"))).await;
        answer.refused_by_gateway(401, "APIGW.0301");
    }
    assert_eq!(struck(&app).await, [0]);

    // What the handler would refuse, the fault comes before.
    let missing = TRIGGERS.replace("group", "missing");
    app.post(&missing, json!({})).await.refused(500, "5000046");
    assert_eq!(struck(&app).await, [1]);
}

#[tokio::test]
async fn a_fault_can_be_narrowed_to_an_organization_and_a_repository() {
    let app = TestApp::seeded(
        "organizations: [{name: a, repositories: [{name: x}, {name: team/y}]},
                         {name: b, repositories: [{name: x}]}]",
    )
    .await;
    let check = async |narrowed: Value, expected: [u16; 3]| {
        let mut body = json!({"operation": "ListTriggersDetails", "status": 500});
        for (key, value) in narrowed.as_object().expect("an object") {
            body[key] = value.clone();
        }
        fault(&app, body).await;
        for (repository, status) in ["a/repos/x", "a/repos/team$y", "b/repos/x"]
            .into_iter()
            .zip(expected)
        {
            let path = format!("/v2/manage/namespaces/{repository}/triggers");
            assert_eq!(app.get(&path).await.status, status, "{narrowed} {path}");
        }
        app.delete(FAULTS).await.is(204, "");
    };
    check(json!({}), [500, 500, 500]).await;
    check(json!({"namespace": "a"}), [500, 500, 200]).await;
    check(json!({"repository": "x"}), [500, 200, 500]).await;
    check(json!({"repository": "team/y"}), [200, 500, 200]).await;
    check(
        json!({"namespace": "b", "repository": "x"}),
        [200, 200, 500],
    )
    .await;
}

#[tokio::test]
async fn of_several_faults_the_oldest_that_applies_strikes_alone() {
    let app = TestApp::with_repository().await;
    for (status, times) in [(501, 1), (502, 2)] {
        let body = json!({"operation": "ListTriggersDetails", "status": status, "times": times});
        fault(&app, body).await;
    }

    for expected in [501, 502, 502, 200] {
        assert_eq!(app.get(TRIGGERS).await.status, expected);
    }
    assert_eq!(struck(&app).await, [1, 2]);
}

#[tokio::test]
async fn a_fault_with_a_seed_strikes_the_same_requests_in_every_run() {
    let run = async || {
        let app = TestApp::with_repository().await;
        let body = json!({"operation": "ListTriggersDetails", "status": 500,
                          "probability": 0.5, "seed": 7});
        fault(&app, body).await;
        let mut statuses = Vec::new();
        for _ in 0..32 {
            statuses.push(app.get(TRIGGERS).await.status.as_u16());
        }
        statuses
    };

    let first = run().await;

    assert!(first.contains(&200) && first.contains(&500), "{first:?}");
    assert_eq!(run().await, first);
}

#[tokio::test]
async fn a_fault_that_chose_its_own_seed_shows_it() {
    let app = TestApp::start().await;
    let body = json!({"operation": "ListTriggersDetails", "status": 500, "probability": 0.5});
    let seed = fault(&app, body).await["seed"].clone();
    assert!(seed.is_u64());
    assert_eq!(app.get(FAULTS).await.json()[0]["seed"], seed);
}

#[tokio::test]
async fn a_delay_alone_lets_the_operation_run_and_one_with_a_status_does_not() {
    let app = TestApp::with_repository().await;
    let operation = "CreateTrigger";
    fault(
        &app,
        json!({"operation": operation, "delay_ms": 1, "times": 1}),
    )
    .await;
    let refused = json!({"operation": operation, "delay_ms": 1, "status": 500, "times": 1});
    fault(&app, refused).await;

    app.post(TRIGGERS, trigger("t")).await.is(201, "{}");
    let answer = app.post(TRIGGERS, trigger("u")).await;
    answer.refused(500, "5000046");

    assert_eq!(struck(&app).await, [1, 1]);
}

#[tokio::test]
async fn a_cut_connection_ends_without_a_byte_and_nothing_is_written() {
    let app = TestApp::with_repository().await;
    fault(
        &app,
        json!({"operation": "CreateTrigger", "cut": true, "times": 1}),
    )
    .await;
    let body = trigger("t").to_string();
    let request = format!(
        "POST {TRIGGERS} HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: {TOKEN}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(&app.client.address)
        .await
        .expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await.expect("a clean end");

    assert_eq!((read, struck(&app).await), (0, vec![1]));
    app.get(TRIGGERS).await.is(200, "[]");
    app.post(TRIGGERS, trigger("t")).await.is(201, "{}");
    let list = app.get(&format!("{REQUESTS}?status=0")).await.json();
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list[0]["operation"], "CreateTrigger");
}

#[tokio::test]
async fn a_fault_that_breaks_a_rule_is_refused() {
    let app = TestApp::start().await;
    let check = async |body: Value, expected: &str| {
        let answer = app.post(FAULTS, body).await;
        assert_eq!(answer.refused(400, "4000014"), expected);
    };
    check(json!({"status": 500}), "operation: is mandatory").await;
    let own = "operation: must not be an operation under /_emulator/; faults do not apply to these";
    for name in [
        "EmulatorCreateFault",
        "EmulatorDeleteFaults",
        "EmulatorIdle",
    ] {
        check(json!({"operation": name, "status": 500}), own).await;
    }
    let unknown = "operation: is unknown; did you mean PutManifest?";
    check(json!({"operation": "putManifest", "status": 500}), unknown).await;
    let status = "status: must be a whole number from 400 to 599";
    check(json!({"operation": "CreateTrigger", "status": 399}), status).await;
    app.get(FAULTS).await.is(200, "[]");
}

/// A request to the registry that may be cut; the status of its answer, or 0.
async fn registry_call(registry: &Registry, method: &str, path: &str, body: &str) -> u16 {
    let mut request = Request::builder().method(method).uri(path);
    if method == "PUT" && path.contains("/manifests/") {
        request = request.header("Content-Type", OCI_MANIFEST);
    }
    if let Some(bearer) = &registry.bearer {
        request = request.header("Authorization", format!("Bearer {bearer}"));
    }
    let body = Bytes::copy_from_slice(body.as_bytes());
    let request = request.body(body).expect("a legal request");
    let mut connection = registry.client.connect().await;
    let answer = registry.client.request_on(&mut connection, request).await;
    answer.map_or(0, |answer| answer.status.as_u16())
}

#[tokio::test]
async fn a_push_fails_as_often_as_its_fault_says_and_stores_nothing_then() {
    let app = TestApp::with_repository().await;
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    registry.push_image("group/busybox", "v1", b"layer").await;
    let manifest = registry.get("/v2/group/busybox/manifests/v1").await;
    let headers = [("Content-Type", OCI_MANIFEST)];
    let path = "/v2/group/busybox/manifests/v2";
    let push = async || {
        let body = manifest.body.clone();
        registry.send("PUT", path, &headers, body).await
    };
    let refused = json!({"operation": "PutManifest", "status": 503, "times": 1});
    fault(&app, refused).await;
    let late = json!({"operation": "PutManifest", "status": 429, "times": 1, "tag": "v2",
                      "retry_after_s": 7});
    fault(&app, late).await;
    fault(
        &app,
        json!({"operation": "PutManifest", "cut": true, "times": 1}),
    )
    .await;

    let answer = push().await;
    let envelope = json!({"errors": [{"code": "UNAVAILABLE", "message": "Injected fault"}]});
    assert_eq!((answer.status.as_u16(), answer.json()), (503, envelope));
    assert_eq!(answer.header("retry-after"), None);
    let answer = push().await;
    let envelope = json!({"errors": [{"code": "TOOMANYREQUESTS", "message": "Injected fault"}]});
    assert_eq!((answer.status.as_u16(), answer.json()), (429, envelope));
    assert_eq!(answer.header("retry-after"), Some("7"));
    let manifest_text = manifest.text();
    assert_eq!(
        registry_call(&registry, "PUT", path, manifest_text).await,
        0
    );
    assert_eq!(registry.get(path).await.status, 404);

    assert_eq!(push().await.status, 201);
    assert_eq!(struck(&app).await, [1, 1, 1]);
    let told = requests(&app, "operation=PutManifest").await;
    let statuses: Vec<_> = told.iter().map(|told| told["status"].clone()).collect();
    assert_eq!(statuses, [201, 0, 429, 503, 201]);
}

#[tokio::test]
async fn a_management_operation_says_when_to_try_again_too() {
    let app = TestApp::with_repository().await;
    let body = json!({"operation": "ListTriggersDetails", "status": 503, "retry_after_s": 0});
    assert_eq!(fault(&app, body).await["retry_after_s"], 0);
    assert_eq!(app.get(TRIGGERS).await.header("retry-after"), Some("0"));
}

#[tokio::test]
async fn every_operation_of_the_registry_fails_on_purpose() {
    let app = TestApp::with_repository().await;
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    let digest = support::digest(b"missing");
    let uploads = "/v2/group/busybox/blobs/uploads/".to_owned();
    let upload = format!("{uploads}none");
    let blob = format!("/v2/group/busybox/blobs/{digest}");
    let manifest = "/v2/group/busybox/manifests/v1".to_owned();
    let tags = "/v2/group/busybox/tags/list".to_owned();
    let referrers = format!("/v2/group/busybox/referrers/{digest}");
    let base = "/v2/".to_owned();
    for (operation, method, path) in [
        ("Base", "GET", &base),
        ("StartUpload", "POST", &uploads),
        ("ShowUpload", "GET", &upload),
        ("AppendUpload", "PATCH", &upload),
        ("FinishUpload", "PUT", &upload),
        ("CancelUpload", "DELETE", &upload),
        ("GetBlob", "GET", &blob),
        ("DeleteBlob", "DELETE", &blob),
        ("GetManifest", "GET", &manifest),
        ("PutManifest", "PUT", &manifest),
        ("DeleteManifest", "DELETE", &manifest),
        ("ListTags", "GET", &tags),
        ("ListReferrers", "GET", &referrers),
    ] {
        let body = json!({"operation": operation, "status": 418, "caller": "admin"});
        fault(&app, body).await;
        let status = registry_call(&registry, method, path, "").await;
        assert_eq!(status, 418, "{operation}");
        // Who is not known is refused as ever.
        let nobody = Registry {
            client: registry.client.clone(),
            bearer: None,
        };
        let status = registry_call(&nobody, method, path, "").await;
        assert_eq!(status, 401, "{operation}");
        assert_eq!(struck(&app).await, [1], "{operation}");
        app.delete(FAULTS).await.is(204, "");
    }
}

#[tokio::test]
async fn a_pull_breaks_off_in_the_middle_of_a_blob_and_the_next_one_is_whole() {
    let app = TestApp::with_repository().await;
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    let layer = "0123456789".repeat(100_000);
    let digest = registry.push_blob("group/busybox", layer.as_bytes()).await;
    let small = registry.push_blob("group/busybox", b"{}").await;
    let body = json!({"operation": "GetBlob", "cut_after_bytes": 5, "times": 1});
    fault(&app, body).await;

    // What is no longer than that is left alone.
    let path = format!("/v2/group/busybox/blobs/{small}");
    assert_eq!(registry.get(&path).await.text(), "{}");
    let path = format!("/v2/group/busybox/blobs/{digest}");
    assert_eq!(registry.send("HEAD", &path, &[], "").await.status, 200);
    let bearer = registry.bearer.as_deref().expect("a token");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n\r\n");
    let mut stream = TcpStream::connect(&app.client.address)
        .await
        .expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("a clean end");
    let answer = String::from_utf8(answer).expect("UTF-8");
    let (head, part) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("content-length: 1000000"), "{head}");
    assert!(part == "01234", "{} bytes", part.len());

    assert_eq!(registry.get(&path).await.text(), layer);
    assert_eq!(struck(&app).await, [1]);
}

#[tokio::test]
async fn an_upload_breaks_off_in_the_middle_and_goes_on_where_it_was() {
    let app = TestApp::with_repository().await;
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    let whole = "0123456789".repeat(1000);
    let digest = support::digest(whole.as_bytes());
    let uploads = "/v2/group/busybox/blobs/uploads/";
    let started = registry.send("POST", uploads, &[], "").await;
    let upload = started.header("location").expect("a location").to_owned();
    let (first, second) = whole.split_at(4000);
    let append = async |part: &str| registry_call(&registry, "PATCH", &upload, part).await;
    assert_eq!(append(first).await, 202);
    for operation in ["StartUpload", "AppendUpload", "FinishUpload"] {
        let body = json!({"operation": operation, "cut_after_bytes": 100, "times": 1});
        fault(&app, body).await;
    }

    assert_eq!(append(second).await, 0);
    let shown = registry.get(&upload).await;
    assert_eq!(shown.header("range"), Some("0-3999"));
    let finish = format!("{upload}?digest={digest}");
    assert_eq!(registry_call(&registry, "PUT", &finish, second).await, 0);
    let at_once = format!("{uploads}?digest={digest}");
    assert_eq!(registry_call(&registry, "POST", &at_once, &whole).await, 0);
    let blob = format!("/v2/group/busybox/blobs/{digest}");
    assert_eq!(registry.get(&blob).await.status, 404);

    assert_eq!(append(second).await, 202);
    assert_eq!(registry_call(&registry, "PUT", &finish, "").await, 201);
    assert_eq!(registry.get(&blob).await.text(), whole);
    assert_eq!(struck(&app).await, [1, 1, 1]);
}

#[tokio::test]
async fn a_fault_of_the_registry_can_be_narrowed_by_all_that_a_request_names() {
    let seed = "organizations: [{name: group, repositories: [{name: a, is_public: true}]},
                                {name: other, repositories: [{name: a}]}]";
    let app = TestApp::seeded(seed).await;
    let registry = Registry::admin(&app.client, &["group/a", "group/b", "other/a"]).await;
    let nobody = Registry::anonymous(&app.client, "scope=repository:group/a:pull").await;
    let mut digest = String::new();
    for repository in ["group/a", "group/b", "other/a"] {
        for tag in ["v1", "v2"] {
            digest = registry.push_image(repository, tag, b"layer").await;
        }
    }
    let check = async |narrowed: Value, expected: [bool; 6]| {
        let mut body = json!({"operation": "GetManifest", "status": 500});
        for (key, value) in narrowed.as_object().expect("an object") {
            body[key] = value.clone();
        }
        fault(&app, body).await;
        let calls = [
            (&registry, "group/a", "v1"),
            (&registry, "group/a", "v2"),
            (&registry, "group/b", "v1"),
            (&registry, "other/a", "v1"),
            (&registry, "group/a", &digest),
            (&nobody, "group/a", "v1"),
        ];
        for ((client, repository, reference), strikes) in calls.into_iter().zip(expected) {
            let path = format!("/v2/{repository}/manifests/{reference}");
            let status = client.get(&path).await.status.as_u16();
            assert_eq!(status == 500, strikes, "{narrowed} {path} {status}");
        }
        app.delete(FAULTS).await.is(204, "");
    };
    check(json!({}), [true; 6]).await;
    let (yes, no) = (true, false);
    check(json!({"namespace": "group"}), [yes, yes, yes, no, yes, yes]).await;
    check(json!({"repository": "a"}), [yes, yes, no, yes, yes, yes]).await;
    check(json!({"tag": "v1"}), [yes, no, yes, yes, no, yes]).await;
    check(json!({ "digest": digest }), [no, no, no, no, yes, no]).await;
    check(json!({"caller": "admin"}), [yes, yes, yes, yes, yes, no]).await;
    check(json!({"caller": "-"}), [no, no, no, no, no, yes]).await;
}

#[tokio::test]
async fn a_fault_can_be_narrowed_to_a_caller() {
    let seed = "accounts: [{name: swr-emulator, users: [{name: dev, token: dev, admin: true}]}]";
    let app = TestApp::seeded(seed).await;
    let body = json!({"operation": "ListNamespaces", "status": 500, "caller": "dev"});
    fault(&app, body).await;
    let path = "/v2/manage/namespaces";
    assert_eq!(app.get(path).await.status, 200);
    let dev = app.as_user("dev");
    assert_eq!(dev.send("GET", path, None).await.status, 500);
}

#[tokio::test]
async fn delete_and_reset_remove_all_faults() {
    let app = TestApp::with_repository().await;
    let body = json!({"operation": "ListTriggersDetails", "status": 500});
    fault(&app, body.clone()).await;
    app.delete(FAULTS).await.is(204, "");
    app.get(TRIGGERS).await.is(200, "[]");

    fault(&app, body).await;
    reset(&app).await;
    app.get(TRIGGERS).await.is(200, "[]");
    app.get(FAULTS).await.is(200, "[]");
}

/// The requests that a query asks for.
async fn requests(app: &TestApp, query: &str) -> Vec<Value> {
    let answer = app.get(&format!("{REQUESTS}?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().expect("a list").clone()
}

fn operations(requests: &[Value]) -> Vec<&str> {
    let operations = requests.iter().map(|request| &request["operation"]);
    operations
        .map(|name| name.as_str().expect("a string"))
        .collect()
}

#[tokio::test]
async fn a_request_is_told_with_all_that_is_known_of_it() {
    let app = TestApp::with_repository().await;
    let mut body = trigger("t");
    body["condition"] = json!("v1");
    let refused = app.post(TRIGGERS, body.clone()).await;
    let id = refused.header("x-request-id").expect("an id").to_owned();
    let message = refused.refused(400, "4000014");

    let list = requests(&app, "").await;

    let [told] = &list[..] else {
        panic!("one request: {list:?}");
    };
    let mut told = told.clone();
    assert!(time(&told["time"]) <= Timestamp::now());
    assert!(told["milliseconds"].as_f64().expect("a number") > 0.0);
    told["time"].take();
    told["milliseconds"].take();
    let expected = json!({
        "operation": "CreateTrigger", "method": "POST", "path": TRIGGERS, "caller": "admin",
        "status": 400, "code": "SVCSTG.SWR.4000014", "message": message,
        "body_bytes": body.to_string().len(), "body": body.to_string(), "milliseconds": null, "time": null,
        "request_id": id});
    assert_eq!(told, expected);

    app.get(&format!("{TRIGGERS}?limit=7")).await.is(200, "[]");
    let told = &requests(&app, "").await[0];
    assert_eq!(told["path"], format!("{TRIGGERS}?limit=7"));
    assert_eq!(
        (&told["code"], &told["message"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (&told["status"], &told["body_bytes"]),
        (&json!(200), &json!(0))
    );
    app.as_nobody().send("GET", "/nonsense/x", None).await;
    let told = &requests(&app, "").await[0];
    assert_eq!(
        (&told["operation"], &told["caller"]),
        (&json!("-"), &json!("-"))
    );
}

#[tokio::test]
async fn a_body_that_is_refused_for_its_size_is_counted_too() {
    let app = TestApp::with_repository().await;
    // As much as is read of what is not wanted.
    let body = json!("x".repeat(1024 * 1024));
    let size = body.to_string().len();
    app.post(TRIGGERS, body).await.refused(413, "4131001");
    assert_eq!(requests(&app, "").await[0]["body_bytes"], size);
}

#[tokio::test]
async fn requests_are_filtered_and_the_newest_comes_first() {
    let app = TestApp::with_repository().await;
    app.post("/v2/manage/namespaces", json!({"namespace": "other"}))
        .await
        .is(201, "{}");
    app.get("/v2/manage/namespaces/other").await;
    app.get("/v2/manage/namespaces/missing").await;
    app.get("/v2/manage/repos?namespace=group").await;
    let check = async |query: &str, expected: &[&str]| {
        assert_eq!(
            operations(&requests(&app, query).await),
            expected,
            "{query}"
        );
    };
    let (list, show, create) = ("ListReposDetails", "ShowNamespace", "CreateNamespace");

    check("", &[list, show, show, create]).await;
    check("operation=", &[list, show, show, create]).await;
    check("operation=ShowNamespace", &[show, show]).await;
    check("operation=ShowRepository", &[]).await;
    check("operation=PutManifest", &[]).await;
    check("operation=-", &[]).await;
    check("status=404", &[show]).await;
    check("status=4xx", &[show]).await;
    check("status=2xx", &[list, show, create]).await;
    check("status=201", &[create]).await;
    check("namespace=other", &[show]).await;
    check("namespace=group", &[list]).await;
    check(
        "operation=ShowNamespace&status=2xx&namespace=other",
        &[show],
    )
    .await;
    let all = requests(&app, "").await;
    let newest = all[0]["time"].as_str().expect("a string");
    check(&format!("since={newest}"), &[list]).await;
    let oldest = all[3]["time"].as_str().expect("a string");
    check(&format!("since={oldest}"), &[list, show, show, create]).await;
    check("since=2100-01-01T00:00:00Z", &[]).await;

    for (query, code, field) in [
        ("status=abc", "4001025", "status"),
        ("status=6xx", "4001025", "status"),
        ("since=yesterday", "4001025", "since"),
        ("operation=CreateTriger", "4001025", "operation"),
        ("namespace=No", "4001028", "namespace"),
    ] {
        let answer = app.get(&format!("{REQUESTS}?{query}")).await;
        let message = answer.refused(400, code);
        assert!(message.starts_with(&format!("{field}: ")), "{message}");
    }
}

#[tokio::test]
async fn a_misspelt_parameter_or_operation_is_told_the_known_one() {
    let app = TestApp::with_repository().await;
    let check = async |path: &str, expected: &str| {
        let answer = app.get(&format!("/_emulator/{path}")).await;
        assert_eq!(answer.refused(400, "4001025"), expected, "{path}");
    };
    let operation = "operation: is unknown; did you mean CreateTrigger?";
    check("requests?operation=CreateTriger", operation).await;
    let registry = "operation: is unknown; did you mean PutManifest?";
    check("requests?operation=PutManifests", registry).await;
    let rule = "operation: must name an operation, like CreateTrigger or PutManifest";
    check("requests?operation=x", rule).await;
    let parameter = "operations: is unknown; did you mean operation?";
    check("requests?operations=CreateTrigger", parameter).await;
    check(
        "requests?limits=",
        "limits: is unknown; did you mean limit?",
    )
    .await;
    check(
        "faults?markers=1",
        "markers: is unknown; did you mean marker?",
    )
    .await;
    check(
        "clusters?page=1",
        "page: is unknown; must be one of limit, marker",
    )
    .await;
    check(
        "idle?timeouts=1s",
        "timeouts: is unknown; did you mean timeout?",
    )
    .await;
    let group = "namespace=group&repository=busybox&tag=v1";
    let trigger = "triger: is unknown; did you mean trigger?";
    check(&format!("wait?{group}&triger=t"), trigger).await;
    let repository = "repositories: is unknown; did you mean repository?";
    check("pushes?namespace=group&repositories=x", repository).await;
    check("explain?tags=v1", "tags: is unknown; did you mean tag?").await;
    for path in ["clock", "health", "docs", "openapi.json"] {
        check(
            &format!("{path}?x=1"),
            "x: is unknown; no parameters are accepted here",
        )
        .await;
    }
    let long = format!(
        "{}: is unknown; must be one of limit, marker",
        "é".repeat(64) + "…"
    );
    check(&format!("faults?{}", "%C3%A9".repeat(100)), &long).await;

    // What changes something is refused before it does.
    let path = "/_emulator/clock?x=1";
    let moved = app.post(path, json!({"advance": "40d"})).await;
    moved.refused(400, "4001025");
    assert_eq!(app.get("/_emulator/clock").await.json()["ahead_seconds"], 0);
    // The caller is known first, and the API of the cloud overlooks such parameters.
    let nobody = app.as_nobody();
    let answer = nobody.send("GET", "/_emulator/faults?x=1", None).await;
    assert_eq!(answer.status, 401);
    app.get(&format!("{TRIGGERS}?x=1")).await.is(200, "[]");
}

#[tokio::test]
async fn requests_outlive_a_reset_and_end_with_their_deletion() {
    let app = TestApp::with_repository().await;
    app.get(TRIGGERS).await.is(200, "[]");
    move_clock(&app, json!({"advance": "40d"})).await;
    reset(&app).await;

    let list = requests(&app, "").await;
    let expected = ["EmulatorReset", "EmulatorMoveClock", "ListTriggersDetails"];
    assert_eq!(operations(&list), expected);
    // Their times are real, wherever the clock was.
    assert!(
        list.iter()
            .all(|told| time(&told["time"]) <= Timestamp::now())
    );

    app.delete(REQUESTS).await.is(204, "");
    app.get(REQUESTS).await.is(200, "[]");
}

#[tokio::test]
async fn requests_to_the_registry_are_told_too() {
    let app = TestApp::with_repository().await;
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    let content = "content".repeat(1000);
    let digest = support::digest(content.as_bytes());
    let path = format!("/v2/group/busybox/blobs/uploads/?digest={digest}");
    let answer = registry.send("POST", &path, &[], content.clone()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let missing = registry.send("GET", "/v2/group/busybox/manifests/v1", &[], "");
    assert_eq!(missing.await.status, 404);

    let list = requests(&app, "namespace=group").await;
    assert_eq!(operations(&list), ["GetManifest", "StartUpload"]);
    assert_eq!(list[0]["code"], "MANIFEST_UNKNOWN");
    assert_eq!(list[1]["body_bytes"], content.len());
    assert_eq!(list[1]["caller"], "admin");
}

#[tokio::test]
async fn no_secret_is_told() {
    let app = TestApp::with_repository().await;
    let send = async |client: &Client, request: http::request::Builder, body: &str| -> Answer {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let request = request.body(body).expect("a legal request");
        client.request(request).await
    };
    let token = iam_token(&app).await;
    let issued = app.as_user(&token);
    send(
        &issued,
        Request::get("/v2/manage/repos?X-Auth-Token=hidden-1"),
        "",
    )
    .await;
    send(
        &app.as_user("hidden-2"),
        Request::get("/v2/manage/repos"),
        "",
    )
    .await;
    let path = "/swr/auth/v2/registry/auth/?account=hidden-3&service=s&scope=repository:a/b:pull";
    let request = Request::get(path).header("Authorization", "Basic b2ZmZXJlZDpoaWRkZW4tOA==");
    send(&app.as_nobody(), request, "").await;
    let request = Request::get("/v2/manage/repos?Signature=hidden-4")
        .header(
            "X-Sdk-Date",
            Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string(),
        )
        .header("X-Security-Token", "hidden-5")
        .header(
            "Authorization",
            format!(
                "SDK-HMAC-SHA256 Access={BUILTIN_ACCESS_KEY}, \
                 SignedHeaders=x-sdk-date;x-security-token, Signature=hidden-6"
            ),
        );
    let refused = send(&app.as_nobody(), request, "").await;
    refused.refused_by_gateway(401, "APIGW.0301");
    send(
        &app.client,
        Request::post(TRIGGERS),
        "{\"password\": \"hidden-7\"}",
    )
    .await;

    let told = app.get(REQUESTS).await;

    assert_eq!(
        told.json().as_array().map(Vec::len),
        Some(6),
        "{}",
        told.text()
    );
    for secret in [
        "hidden",
        "b2ZmZXJlZDpoaWRkZW4tOA",
        token.as_str(),
        TOKEN,
        BUILTIN_SECRET_KEY,
    ] {
        assert!(!told.text().contains(secret), "{secret}: {}", told.text());
    }
    for path in [
        "/v2/manage/repos?X-Auth-Token=***",
        "/swr/auth/v2/registry/auth/?***&service=s&scope=repository:a/b:pull",
    ] {
        assert!(told.text().contains(path), "{path}: {}", told.text());
    }
}
