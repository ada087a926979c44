//! What happens, as it happens: `/_emulator/events`, and the bodies of recorded requests.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, CLUSTER, Client, TOKEN, TRIGGERS, TestApp, WORLD, trigger};

const EVENTS: &str = "/_emulator/events";
const REQUESTS: &str = "/_emulator/requests";
const CLOCK: &str = "/_emulator/clock";

/// A client that listens.
struct Listener {
    body: Incoming,
    /// What has come and was not looked at.
    text: String,
    /// The id of the last event.
    last: String,
    _connection: SendRequest<Full<Bytes>>,
}

/// An event as it came.
#[derive(Debug, PartialEq)]
struct Event {
    kind: String,
    data: Value,
}

/// Listens with more headers, unless that is refused.
async fn try_listen(client: &Client, headers: &[(&str, &str)]) -> Result<Listener, Answer> {
    let mut connection = client.connect().await;
    let mut request = Request::get(EVENTS).header("Host", &client.address);
    if let Some(token) = &client.token {
        request = request.header("X-Auth-Token", token);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::default()).expect("a legal request");
    let response = connection.send_request(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    if parts.status != 200 {
        let body = body.collect().await.expect("a body").to_bytes();
        return Err(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        });
    }
    assert_eq!(parts.headers["content-type"], "text/event-stream");
    assert_eq!(parts.headers["cache-control"], "no-store");
    let mut listener = Listener {
        body,
        text: String::new(),
        last: String::new(),
        _connection: connection,
    };
    // The first block says after which event it begins.
    let begin = listener.block().await.expect("a beginning");
    let begin = begin.strip_prefix("id: ").expect("an id");
    begin.clone_into(&mut listener.last);
    Ok(listener)
}

async fn listen(client: &Client) -> Listener {
    try_listen(client, &[]).await.expect("it may listen")
}

async fn listen_after(client: &Client, last: &str) -> Listener {
    let headers = [("Last-Event-ID", last)];
    try_listen(client, &headers).await.expect("it may listen")
}

impl Listener {
    /// The next block of the stream, or nothing at its end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block = self.text[..end].to_owned();
                self.text.drain(..end + 2);
                // A sign of life.
                if block.starts_with(':') {
                    continue;
                }
                return Some(block);
            }
            let frame = self.body.frame().await?.expect("a whole stream");
            let data = frame.into_data().expect("data");
            self.text += std::str::from_utf8(&data).expect("UTF-8");
        }
    }

    /// The next event, or nothing at the end.
    async fn next(&mut self) -> Option<Event> {
        let block = self.block().await?;
        let fields: BTreeMap<_, _> = block
            .lines()
            .map(|line| line.split_once(": ").expect("a field"))
            .collect();
        assert_eq!(
            fields.keys().copied().collect::<Vec<_>>(),
            ["data", "event", "id"],
            "{block}"
        );
        fields["id"].clone_into(&mut self.last);
        Some(Event {
            kind: fields["event"].to_owned(),
            data: serde_json::from_str(fields["data"]).expect("JSON"),
        })
    }

    /// The next event, which is of this kind.
    async fn expect(&mut self, kind: &str) -> Value {
        let event = self.next().await.expect("an event");
        assert_eq!(event.kind, kind, "{event:?}");
        event.data
    }

    /// The data of the next events, which are one of each of these kinds, in the order of `kinds`.
    async fn expect_all<const N: usize>(&mut self, kinds: [&str; N]) -> [Value; N] {
        let mut found = BTreeMap::new();
        for _ in kinds {
            let event = self.next().await.expect("an event");
            let before = found.insert(event.kind.clone(), event.data);
            assert_eq!(before, None, "{}", event.kind);
        }
        kinds.map(|kind| {
            let data = found.remove(kind);
            data.unwrap_or_else(|| panic!("no {kind}: {found:?}"))
        })
    }
}

async fn push(app: &TestApp, tag: &str) -> String {
    let push = json!({"namespace": "group", "repository": "busybox", "tag": tag});
    let answer = app.post("/_emulator/push", push).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let digest = answer.json()["digest"].as_str().map(str::to_owned);
    digest.expect("a digest")
}

/// The newest request, as the list of requests shows it.
async fn newest_request(app: &TestApp) -> Value {
    let list = app.get(&format!("{REQUESTS}?limit=1")).await.json();
    list[0].clone()
}

#[tokio::test]
async fn a_push_is_told_before_what_was_decided_and_that_before_what_came_of_it() {
    let app = TestApp::seeded(WORLD).await;
    app.post(TRIGGERS, trigger("on-push")).await.is(201, "{}");
    let mut other = trigger("other");
    other["trigger_type"] = json!("tag");
    other["condition"] = json!("none");
    app.post(TRIGGERS, other).await.is(201, "{}");
    push(&app, "before").await;
    app.get("/_emulator/idle").await;
    let mut listener = listen(&app.client).await;

    let digest = push(&app, "v1").await;
    let kinds = ["push", "verdicts", "firing", "rollout"];
    let mut told = BTreeMap::new();
    let mut order = Vec::new();
    for _ in 0..=kinds.len() {
        let event = listener.next().await.expect("an event");
        if event.kind != "request" {
            order.push(event.kind.clone());
        }
        told.insert(event.kind, event.data);
    }
    assert_eq!(order, kinds);

    let pushes = "/_emulator/pushes?namespace=group&repository=busybox&limit=1";
    let shown = app.get(pushes).await.json()[0].clone();
    let expected = json!({
        "id": shown["id"], "namespace": "group", "repository": "busybox", "tag": "v1",
        "digest": digest, "pushed_by": "admin", "pushed_at": shown["pushed_at"],
        "region": "cn-north-4",
    });
    assert_eq!(told["push"], expected);
    let id = &shown["id"];
    let expected = json!({"push_id": id, "fired": 1, "passed_over": 1});
    assert_eq!(told["verdicts"], expected);
    let expected = json!({
        "push_id": id, "namespace": "group", "repository": "busybox", "tag": "v1",
        "trigger": "on-push", "result": "success", "detail": "", "tries": 1,
    });
    assert_eq!(told["firing"], expected);
    let decision = &shown["triggers"][0];
    let expected = json!({
        "push_id": id, "namespace": "group", "repository": "busybox", "tag": "v1",
        "trigger": "on-push", "workload": decision["workload"], "rollout": decision["rollout"],
    });
    assert_eq!(told["rollout"], expected);
    assert_eq!(told["rollout"]["rollout"]["state"], "healthy");
    assert_eq!(told["request"]["operation"], "EmulatorPush");
}

#[tokio::test]
async fn each_step_of_a_rollout_is_told() {
    let app = TestApp::seeded(WORLD).await;
    let workload = format!("/_emulator/clusters/{CLUSTER}/namespaces/default/deployments/adsfa");
    let body = json!({
        "containers": [{"name": "busybox", "image": "{registry}/group/busybox:1.0"}],
        "rollout": {"outcome": "CrashLoopBackOff", "after": "1h", "message": "exit code 1"},
    });
    let put = app.client.send("PUT", &workload, Some(body)).await;
    assert_eq!(put.status, 200, "{}", put.text());
    app.post(TRIGGERS, trigger("t")).await.is(201, "{}");
    let mut listener = listen(&app.client).await;
    push(&app, "v1").await;
    let kinds = ["request", "push", "verdicts", "firing", "rollout"];
    let [_, _, _, _, begun] = listener.expect_all(kinds).await;
    assert_eq!(begun["rollout"]["state"], "progressing", "{begun}");

    app.post(CLOCK, json!({"advance": "2h"})).await;
    let [_, _, ended] = listener.expect_all(["request", "clock", "rollout"]).await;
    let rollout = &ended["rollout"];
    assert_eq!(
        (&rollout["state"], &rollout["message"]),
        (&json!("degraded"), &json!("exit code 1"))
    );
    assert_eq!(ended["trigger"], "t");
    let pushes = "/_emulator/pushes?namespace=group&repository=busybox";
    let shown = app.get(pushes).await.json()[0]["triggers"][0].clone();
    assert_eq!(
        (&shown["workload"], &shown["rollout"]),
        (&ended["workload"], rollout)
    );
}

#[tokio::test]
async fn a_rollout_is_told_when_it_begins_and_when_it_ends() {
    let app = TestApp::seeded(WORLD).await;
    app.post(TRIGGERS, trigger("t")).await.is(201, "{}");
    let workload = "/_emulator/clusters/test/namespaces/default/deployments/adsfa";
    let plan = json!({"outcome": "CrashLoopBackOff", "after": "1h", "message": "exit code 3"});
    let body = json!({
        "containers": [{"name": "c", "image": "{registry}/group/busybox:1"}], "rollout": plan,
    });
    let put = app.client.send("PUT", workload, Some(body)).await;
    assert_eq!(put.status, 200, "{}", put.text());
    let mut listener = listen(&app.client).await;
    push(&app, "v1").await;
    let kinds = ["request", "push", "verdicts", "firing", "rollout"];
    let [.., begun] = listener.expect_all(kinds).await;
    let pushes = "/_emulator/pushes?namespace=group&repository=busybox&limit=1";
    let shown = async || app.get(pushes).await.json()[0].clone();
    let expected = async || {
        let push = shown().await;
        let firing = &push["triggers"][0];
        json!({
            "push_id": push["id"], "namespace": "group", "repository": "busybox", "tag": "v1",
            "trigger": "t", "workload": firing["workload"], "rollout": firing["rollout"],
        })
    };
    assert_eq!(begun["rollout"]["state"], "progressing");
    assert_eq!(begun, expected().await);
    listener.expect("request").await;

    app.post(CLOCK, json!({"advance": "1h"})).await;

    let [ended, _, _] = listener.expect_all(["rollout", "clock", "request"]).await;
    assert_eq!(ended["rollout"]["message"], "exit code 3");
    assert_eq!(ended, expected().await);
}

#[tokio::test]
async fn a_failed_firing_is_told_with_its_reason_and_its_tries() {
    let app = TestApp::seeded(WORLD).await;
    let mut missing = trigger("t");
    missing["application"] = json!("none");
    app.post(TRIGGERS, missing).await.is(201, "{}");
    let mut listener = listen(&app.client).await;
    push(&app, "v1").await;
    let kinds = ["request", "push", "verdicts", "firing"];
    let [_, _, _, firing] = listener.expect_all(kinds).await;
    let history = app.get(&format!("{TRIGGERS}/t")).await.json();
    assert_eq!(firing["result"], "failed");
    assert_eq!(
        firing["detail"], history["trigger_history"][0]["detail"],
        "{history}"
    );
    assert_eq!(firing["tries"], 1);
}

#[tokio::test]
async fn a_request_is_told_as_the_list_of_requests_shows_it() {
    let app = TestApp::with_repository().await;
    let mut listener = listen(&app.client).await;
    let mut body = trigger("t");
    body["condition"] = json!("v1");
    app.post(TRIGGERS, body.clone())
        .await
        .refused(400, "4000014");

    let told = listener.expect("request").await;
    assert_eq!(told, newest_request(&app).await);
    assert_eq!(told["status"], 400);
    assert_eq!(told["body"], body.to_string());
    app.get("/v2/").await;
    assert_eq!(listener.expect("request").await["operation"], "Base");
    // Whoever looks at requests is not told of it.
    listen(&app.client).await;
    app.get("/nonsense").await;
    assert_eq!(listener.expect("request").await["path"], "/nonsense");
}

#[tokio::test]
async fn the_clock_a_fault_and_a_reset_are_told() {
    let app = TestApp::with_repository().await;
    let mut listener = listen(&app.client).await;

    let moved = app.post(CLOCK, json!({"advance": "40d"})).await.json();
    let [_, told] = listener.expect_all(["request", "clock"]).await;
    assert_eq!(told["ahead_seconds"], 40 * 24 * 3600);
    assert_eq!(told["ahead_seconds"], moved["ahead_seconds"]);
    assert!(
        told["now"].is_string() && told["real"].is_string(),
        "{told}"
    );
    app.post(CLOCK, json!({"advance": "1000y"})).await;
    listener.expect("request").await;

    let fault = json!({"operation": "ShowTrigger", "status": 503, "times": 2});
    let planned = app.post("/_emulator/faults", fault).await.json();
    let [_, told] = listener.expect_all(["request", "fault"]).await;
    assert_eq!(told, planned);
    app.post("/_emulator/faults", json!({})).await;
    listener.expect("request").await;

    app.post("/_emulator/reset", json!({})).await.is(204, "");
    let [request, told] = listener.expect_all(["request", "reset"]).await;
    assert_eq!((told, &request["status"]), (json!({}), &json!(204)));
    // Who may still control it goes on.
    push_is_refused(&app).await;
    assert_eq!(listener.expect("request").await["status"], 404);
}

/// Asks for what is not there.
async fn push_is_refused(app: &TestApp) {
    let path = "/v2/manage/namespaces/none";
    app.get(path).await.refused(404, "4040058");
}

#[tokio::test]
async fn who_comes_back_hears_what_happened_meanwhile() {
    let app = TestApp::start().await;
    let mut listener = listen(&app.client).await;
    push_is_refused(&app).await;
    let first = listener.expect("request").await;
    let last = listener.last.clone();
    drop(listener);
    app.get("/v2/manage/namespaces").await;

    let mut listener = listen_after(&app.client, &last).await;
    let missed = listener.expect("request").await;
    assert_eq!(missed["operation"], "ListNamespaces");
    // Of an earlier run: all that there is, and that there was more.
    for unknown in ["1", "18446744073709551615"] {
        let mut listener = listen_after(&app.client, unknown).await;
        assert_eq!(listener.expect("gap").await, json!({"missed": null}));
        assert_eq!(listener.expect("request").await, first);
        assert_eq!(listener.expect("request").await, missed);
    }
    let wrong = try_listen(&app.client, &[("Last-Event-ID", "x")]).await;
    let message = wrong.err().expect("refused").refused(400, "4000014");
    assert_eq!(
        message,
        "Last-Event-ID: must be the id of an event, a whole number"
    );
}

#[tokio::test]
async fn a_slow_reader_is_told_how_much_it_missed_and_goes_on() {
    const SENT: usize = 2500;
    let app = TestApp::start().await;
    // It reads nothing for a while.
    let address = &app.client.address;
    let mut slow = TcpStream::connect(address).await.expect("a connection");
    let head = format!("GET {EVENTS} HTTP/1.1\r\nHost: {address}\r\nX-Auth-Token: {TOKEN}\r\n\r\n");
    slow.write_all(head.as_bytes()).await.expect("sent");
    let mut begin = [0; 15];
    slow.read_exact(&mut begin).await.expect("an answer");
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    let mut connection = app.client.connect().await;
    // More than the buffers of both sides and the last 1,000 events hold.
    let body = json!({"x": "x".repeat(4000)}).to_string();
    for _ in 0..SENT {
        let request = Request::post(CLOCK).header("Content-Type", "application/json");
        let request = request.body(Bytes::from(body.clone()));
        let request = request.expect("a legal request");
        let answer = app.client.request_on(&mut connection, request).await;
        assert_eq!(answer.expect("an answer").status, 400);
    }
    push_is_refused(&app).await;

    let mut heard = String::new();
    let mut piece = vec![0; 64 * 1024];
    while !heard.contains("/v2/manage/namespaces/none") {
        let length = slow.read(&mut piece).await.expect("more");
        assert_ne!(length, 0, "the stream has ended");
        heard += &String::from_utf8_lossy(&piece[..length]);
    }
    let told = heard.matches("event: request\n").count();
    let gaps = heard.split("event: gap\ndata: ").skip(1);
    let missed = gaps.map(|gap| {
        let line = gap.lines().next().expect("a line");
        let gap: Value = serde_json::from_str(line).expect("JSON");
        let missed = gap["missed"].as_u64().expect("a number");
        usize::try_from(missed).expect("not many")
    });
    let missed: usize = missed.sum();
    assert!(missed > 0);
    assert_eq!(told + missed, SENT + 1, "{missed}");
}

#[tokio::test]
async fn sixty_four_may_listen_and_who_goes_makes_room() {
    let app = TestApp::start().await;
    let mut listeners = Vec::new();
    for _ in 0..64 {
        listeners.push(listen(&app.client).await);
    }
    let refused = try_listen(&app.client, &[]).await.err().expect("refused");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let message = refused.refused(503, "5000007");
    assert_eq!(message, "64 clients are already listening; try again later");

    listeners.pop();
    let mut listener = loop {
        match try_listen(&app.client, &[]).await {
            Ok(listener) => break listener,
            Err(refused) => assert_eq!(refused.status, 503),
        }
    };
    push_is_refused(&app).await;
    listener.expect("request").await;
    for listener in &mut listeners {
        listener.expect("request").await;
    }
}

#[tokio::test]
async fn the_stream_ends_with_the_instance() {
    let app = TestApp::start().await;
    let mut listener = listen(&app.client).await;
    drop(app);
    assert_eq!(listener.next().await, None);
}

#[tokio::test]
async fn after_a_reset_to_another_seed_only_who_may_control_it_hears_more() {
    const OTHER: &str = "
builtin_account: false
accounts: [{name: a, users: [{name: ann, token: ann}, {name: boss, token: boss, admin: true}]}]
";
    let seed = "accounts: [{name: a, users: [{name: ann, token: ann}]}]";
    let app = TestApp::seeded_with(seed, &["--control-token", "right"]).await;
    let control = [("X-Emulator-Control-Token", "right")];
    let mut admin = listen(&app.client).await;
    let ann = try_listen(&app.as_user("ann"), &control).await;
    let mut ann = ann.expect("it may listen");
    let refused = try_listen(&app.as_user("ann"), &[]).await.err();
    refused.expect("refused").refused(403, "4030170");

    let reset = Request::post("/_emulator/reset").body(Bytes::from(OTHER));
    let reset = app.client.request(reset.expect("a legal request")).await;
    reset.is(204, "");
    assert_eq!(admin.expect("reset").await, json!({}));
    assert_eq!(admin.next().await, None);
    let [_, _] = ann.expect_all(["reset", "request"]).await;
    let boss = app.as_user("boss");
    boss.send("GET", "/v2/manage/namespaces", None)
        .await
        .is(200, r#"{"namespaces":[]}"#);
    let request = ann.expect("request").await;
    assert_eq!(request["caller"], "boss");
}

#[tokio::test]
async fn pushes_that_a_snapshot_brings_are_not_new() {
    let app = TestApp::with_repository().await;
    push(&app, "v1").await;
    let snapshot = app.get("/_emulator/snapshot").await.body;
    let mut listener = listen(&app.client).await;
    let load = Request::post("/_emulator/snapshot").body(snapshot);
    let loaded = app.client.request(load.expect("a legal request")).await;
    loaded.is(204, "");
    let [_, _] = listener.expect_all(["reset", "request"]).await;
    push(&app, "v2").await;
    let [push, _, _] = listener.expect_all(["push", "verdicts", "request"]).await;
    assert_eq!(push["tag"], "v2");
}

/// The operations whose bodies may be recorded. None of them takes a secret.
const RECORDED: &[&str] = &[
    "CreateTrigger",
    "UpdateTrigger",
    "CreateNamespace",
    "CreateNamespaceAuth",
    "DeleteNamespaceAuth",
    "UpdateNamespaceAuth",
    "CreateUserRepositoryAuth",
    "DeleteUserRepositoryAuth",
    "UpdateUserRepositoryAuth",
    "CreateRepo",
    "UpdateRepo",
    "CreateRepoTag",
    "CreateRepoDomains",
    "UpdateRepoDomains",
    "CreateImageSyncRepo",
    "DeleteImageSyncRepo",
    "CreateManualImageSyncRepo",
    "CreateRetention",
    "UpdateRetention",
    "EmulatorPush",
    "EmulatorMoveClock",
    "EmulatorCreateFault",
    "EmulatorPutWorkload",
];

#[test]
fn bodies_are_recorded_for_operations_that_take_no_secrets() {
    let routes = swr_emulator::internal::routes();
    let recorded = routes.operations().iter();
    let recorded = recorded.filter(|operation| operation.records_body);
    let recorded: Vec<_> = recorded.map(|operation| operation.name).collect();
    assert_eq!(recorded, RECORDED);
}

#[tokio::test]
async fn no_body_of_another_operation_is_recorded() {
    let app = TestApp::with_repository().await;
    let routes = swr_emulator::internal::routes();
    let others = routes.operations().iter();
    let others = others.filter(|operation| !RECORDED.contains(&operation.name));
    let mut listener = listen(&app.client).await;
    let mut asked = 0;
    for operation in others.filter(|operation| operation.method != http::Method::GET) {
        if !operation.is_recorded {
            continue;
        }
        let path = operation.path.replace(['{', '}'], "");
        let body = json!({"a": "hidden"});
        app.client
            .send(operation.method.as_str(), &path, Some(body))
            .await;
        asked += 1;
        loop {
            let event = listener.next().await.expect("an event");
            assert!(!event.data.to_string().contains("hidden"), "{event:?}");
            if event.kind == "request" {
                assert_eq!(event.data["operation"], operation.name);
                break;
            }
        }
    }
    assert!(asked > 10, "{asked}");
    let manifest = Request::put("/v2/group/busybox/manifests/v1").body(Bytes::from(r#"{"a":1}"#));
    app.client.request(manifest.expect("a legal request")).await;
    assert!(!app.get(REQUESTS).await.text().contains(r#""body":"#));
}

#[tokio::test]
async fn a_body_is_told_without_secrets_to_those_who_may_control_the_instance() {
    let app = TestApp::seeded("accounts: [{name: a, users: [{name: ann, token: ann}]}]").await;
    let path = "/v2/manage/namespaces";
    let body = json!({"namespace": "N", "my_token": "hidden", "x": {"Password": ["hidden"]}});
    app.post(path, body).await;
    let masked = r#"{"my_token":"***","namespace":"N","x":{"Password":"***"}}"#;
    assert_eq!(newest_request(&app).await["body"], masked);
    // What is not JSON could hold anything, and nobody knows who an unknown caller is.
    for (token, body) in [(TOKEN, r#"{"my_token": "hidden""#), ("wrong", r#"{"a":1}"#)] {
        let request = Request::post(path).header("Content-Type", "application/json");
        let request = request.body(Bytes::from(body));
        let request = request.expect("a legal request");
        app.as_user(token).request(request).await;
        let told = newest_request(&app).await;
        assert_eq!(told["body_bytes"], body.len());
        assert!(told.get("body").is_none(), "{told}");
    }
    assert!(!app.get(REQUESTS).await.text().contains("hidden"));

    let ann = app.as_user("ann");
    let list = ann.send("GET", REQUESTS, None).await;
    assert_eq!(list.json().as_array().map(Vec::len), Some(3));
    assert!(!list.text().contains(r#""body":"#), "{}", list.text());
    ann.send("POST", path, Some(json!({"namespace": "N"})))
        .await;
    assert_eq!(newest_request(&app).await["body"], r#"{"namespace":"N"}"#);
}

#[tokio::test]
async fn a_long_body_is_told_up_to_4_kib() {
    let app = TestApp::with_repository().await;
    let mut body = trigger("t");
    body["condition"] = json!("\u{e9}".repeat(5000));
    app.post(TRIGGERS, body.clone()).await;
    let told = newest_request(&app).await;
    let kept = told["body"].as_str().expect("a body");
    assert!((4090..=4096).contains(&kept.len()), "{}", kept.len());
    let (beginning, _) = kept.split_at(kept.len() - '\u{2026}'.len_utf8());
    assert!(kept.ends_with('\u{2026}') && body.to_string().starts_with(beginning));
    assert_eq!(told["body_bytes"], body.to_string().len());
}

#[tokio::test]
async fn bodies_are_not_recorded_where_that_is_switched_off() {
    let app = TestApp::with_arguments(&["--record-bodies", "off"]).await;
    let mut listener = listen(&app.client).await;
    app.post("/v2/manage/namespaces", json!({"namespace": "group"}))
        .await
        .is(201, "{}");
    let told = newest_request(&app).await;
    assert_eq!(told["operation"], "CreateNamespace");
    assert!(told.get("body").is_none(), "{told}");
    assert_eq!(listener.expect("request").await, told);
}
