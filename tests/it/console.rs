//! The console: its frame and files, who gets them, and the report that it shows.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use crate::support::{Answer, Client, TestApp};

const CONSOLE: &str = "/_emulator/";
const REPORT: &str = "/_emulator/report";
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn ask(client: &Client, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::new()).expect("a request");
    client.request(request).await
}

async fn frame(client: &Client) -> Answer {
    ask(client, "GET", CONSOLE, &[("Accept", BROWSER)]).await
}

#[tokio::test]
async fn a_browser_gets_the_console_without_credentials_and_programs_the_list_as_before() {
    let app = TestApp::start().await;
    let nobody = app.as_nobody();
    let answer = frame(&nobody).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.header("vary"), Some("Accept"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    for accept in ["*/*", "application/json", "application/json, text/html"] {
        let answer = ask(&nobody, "GET", CONSOLE, &[("Accept", accept)]).await;
        let list = answer.json();
        assert!(list.as_array().expect("a list").len() > 20, "{accept}");
    }
    let answer = ask(&nobody, "GET", "/", &[("Accept", BROWSER)]).await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), Some(CONSOLE));
}

#[tokio::test]
async fn the_frame_names_its_scripts_and_styles_by_absolute_addresses_that_need_no_credentials() {
    let app = TestApp::start().await;
    let nobody = app.as_nobody();
    let html = frame(&nobody).await;
    let html = html.text();
    assert!(!html.contains("<!-- "), "{html}");
    let addresses: Vec<_> = html
        .split('"')
        .filter(|text| text.starts_with("/_emulator/console/"))
        .collect();
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    for address in addresses {
        let answer = nobody.send("GET", address, None).await;
        assert_eq!(answer.status, 200, "{address}");
        let media_type = match address.rsplit_once('.').expect("a kind").1 {
            "js" => "text/javascript; charset=utf-8",
            _ => "text/css; charset=utf-8",
        };
        assert_eq!(answer.header("content-type"), Some(media_type));
        let tag = answer.header("etag").expect("a tag").to_owned();
        let again = ask(&nobody, "GET", address, &[("If-None-Match", &tag)]).await;
        assert_eq!((again.status.as_u16(), again.text()), (304, ""));
        assert_eq!(again.header("etag"), Some(&*tag));
    }
    let answer = nobody.send("GET", "/_emulator/console/mian.js", None).await;
    let message = answer.refused_by_gateway(404, "APIGW.0101");
    assert!(
        message.ends_with("did you mean /_emulator/console/main.js?)"),
        "{message}"
    );
}

#[tokio::test]
async fn the_built_in_token_is_offered_on_loopback_and_where_the_account_exists() {
    let offered = async |app: &TestApp| {
        let answer = frame(&app.as_nobody()).await;
        answer.text().contains("data-builtin=\"swr-emulator\"")
    };
    assert!(offered(&TestApp::start().await).await);
    let without = TestApp::seeded(
        "builtin_account: false\naccounts: [{name: a, users: [{name: u, token: t, admin: true}]}]",
    );
    assert!(!offered(&without.await).await);
}

#[tokio::test]
async fn the_report_has_what_pushes_and_requests_have() {
    let app = TestApp::with_repository().await;
    let push = json!({"namespace": "group", "repository": "busybox", "tag": "v1"});
    assert_eq!(app.post("/_emulator/push", push).await.status, 201);
    let report = app.get(REPORT).await.json();
    let pushes = "/_emulator/pushes?namespace=group&repository=busybox";
    let mut expected = app.get(pushes).await.json()[0].clone();
    for (name, value) in [
        ("namespace", "group"),
        ("repository", "busybox"),
        ("region", "cn-north-4"),
    ] {
        expected[name] = value.into();
    }
    assert_eq!(report["pushes"], json!([expected]));
    let address = &app.client.address;
    let page = format!("http://{address}/_emulator/#/push/group/busybox/1");
    assert_eq!(expected["page"], page);
    let requests = app.get("/_emulator/requests").await.json();
    // The list of pushes was asked for after the report.
    assert_eq!(
        report["requests"][0]["request_id"],
        requests[1]["request_id"]
    );
    assert_eq!(report["requests"][0]["request_id"], expected["request_id"]);
    assert_eq!(report["rollouts"], json!([]));
}

#[tokio::test]
async fn a_wait_that_ran_out_names_the_page_of_its_push() {
    let seed = "
organizations:
  - name: group
    repositories:
      - name: busybox
        triggers:
          - {name: slow, action: update, app_type: deployments, application: web, cluster_id: test,
             cluster_ns: default, trigger_mode: cce, trigger_type: all, condition: .*, enable: 'true'}
clusters:
  - name: test
    namespaces:
      - name: default
        deployments: [{name: web, containers: [{name: web, image: '{registry}/group/busybox:v0'}]}]
";
    let app = TestApp::seeded(seed).await;
    let workload = "/_emulator/clusters/test/namespaces/default/deployments/web";
    let slow = json!({"delay_ms": 600_000, "containers": [
        {"name": "web", "image": "{registry}/group/busybox:v0"},
    ]});
    assert_eq!(
        app.client.send("PUT", workload, Some(slow)).await.status,
        200
    );
    let push = json!({"namespace": "group", "repository": "busybox", "tag": "v1"});
    assert_eq!(app.post("/_emulator/push", push).await.status, 201);
    let wait = "/_emulator/wait?namespace=group&repository=busybox&tag=v1&timeout=1ms";
    let answer = app.get(wait).await;
    assert_eq!(answer.status, 408);
    let page = format!(
        "http://{}/_emulator/#/push/group/busybox/1",
        app.client.address
    );
    assert_eq!(answer.json()["page"], Value::from(page));
}

#[tokio::test]
async fn what_the_console_asks_is_not_among_the_recorded_requests() {
    let app = TestApp::start().await;
    let path = "/v2/manage/namespaces";
    // Twice, since the second answer may be one that was kept.
    for _ in 0..2 {
        let answer = ask(&app.client, "GET", path, &[("X-Emulator-Console", "1")]).await;
        assert_eq!(answer.status, 200);
    }
    frame(&app.client).await;
    app.get("/_emulator/console/main.js").await;
    app.get(REPORT).await;
    assert_eq!(app.get("/_emulator/requests").await.json(), json!([]));
    app.get(path).await;
    let recorded = app.get("/_emulator/requests").await.json();
    assert_eq!(recorded.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let app = TestApp::start().await;
    let own = format!("http://{}", app.client.address);
    let reset = async |origin: &str| {
        let headers = [("Origin", origin)];
        ask(&app.client, "POST", "/_emulator/reset", &headers).await
    };
    for origin in ["http://elsewhere.test", "null", "http://127.0.0.1:1", ""] {
        let message = reset(origin).await.refused(403, "4030170");
        assert!(message.contains(&format!("{origin:?}")), "{message}");
    }
    assert_eq!(reset(&own).await.status, 204);
    // SWR's own API is as it was, and reads change nothing.
    let headers = [("Origin", "http://elsewhere.test")];
    for path in ["/v2/manage/namespaces", "/_emulator/clock"] {
        assert_eq!(ask(&app.client, "GET", path, &headers).await.status, 200);
    }
}
