//! The account as a whole: quota, overview, reports, switches and the agency.

use jiff::civil::Date;
use serde_json::{Value, json};

use crate::fake_kubernetes::{FakeKubernetes, Proof};
use crate::support::{Client, Registry, TRIGGERS, TestApp, trigger};

const SEED: &str = r#"
accounts:
  - name: swr-emulator
    users: [{name: second, token: second}]
  - name: partner
    id: "0000000000000000000000000000000a"
    users: [{name: dev, token: partner-dev, admin: true}]
organizations:
  - {name: group, repositories: [{name: one}, {name: two}]}
  - {name: empty}
  - {name: theirs, account: partner}
"#;

const OVERVIEW: &str = "/v2/manage/overview";
const AGENCY: &str = "/v2/manage/agency";
const PROJECT: &str = "00000000000000000000000000000001";

async fn get(client: &Client, path: &str) -> Value {
    let answer = client.send("GET", path, None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json()
}

async fn push(app: &TestApp, repository: &str, tag: &str, nonce: &str) {
    let body = json!({"namespace": "group", "repository": repository, "tag": tag, "nonce": nonce});
    let answer = app.post("/_emulator/push", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// Digest and size of an image's layer.
async fn layer(registry: &Registry, repository: &str, tag: &str) -> (String, u32) {
    let path = format!("/v2/{repository}/manifests/{tag}");
    let manifest = registry.get(&path).await.json();
    let layer = &manifest["layers"][0];
    let digest = layer["digest"].as_str().expect("a digest").to_owned();
    let size = layer["size"].as_u64().expect("a size");
    (digest, size.try_into().expect("a small layer"))
}

#[tokio::test]
async fn the_quota_is_the_setting_and_what_the_account_uses_of_it() {
    let app = TestApp::seeded_with(SEED, &["--quota-namespaces", "7"]).await;
    let partner = app.as_user("partner-dev");
    let quotas = async |client: &Client, project: &str| {
        get(client, &format!("/v2/manage/projects/{project}/quotas")).await
    };
    let expected = |used: u32| {
        json!({"quotas": [
            {"quota_key": "namespace", "quota_limit": 7, "used": used, "unit": ""}
        ]})
    };

    assert_eq!(quotas(&app.client, PROJECT).await, expected(2));
    assert_eq!(quotas(&partner, "any").await, expected(1));
    app.post("/v2/manage/namespaces", json!({"namespace": "third"}))
        .await
        .is(201, "{}");
    assert_eq!(quotas(&app.client, PROJECT).await, expected(3));
    // Whose project it is does not matter; whose credentials they are does.
    assert_eq!(quotas(&partner, PROJECT).await, expected(1));
}

#[tokio::test]
async fn the_overview_tells_what_the_account_has() {
    let app = TestApp::seeded(SEED).await;
    let nothing = get(&app.as_user("partner-dev"), OVERVIEW).await;
    assert_eq!(
        nothing,
        json!({"domain_id": "0000000000000000000000000000000a", "domain_name": "partner",
               "namspace_num": 1, "repo_num": 0, "image_num": 0,
               "store_space": 0.0, "downflow_size": 0.0})
    );

    push(&app, "one", "v1", "a").await;
    push(&app, "one", "latest", "a").await;
    push(&app, "two", "v1", "a").await;
    push(&app, "two", "v2", "b").await;
    let registry = Registry::admin(&app.client, &["group/one", "group/two"]).await;
    let (digest, size) = layer(&registry, "group/one", "v1").await;
    let blob = format!("/v2/group/one/blobs/{digest}");
    assert_eq!(registry.get(&blob).await.status, 200);
    let part = [("Range", "bytes=0-99")];
    assert_eq!(registry.send("GET", &blob, &part, "").await.status, 206);
    // What sends nothing counts for nothing.
    assert_eq!(registry.send("HEAD", &blob, &[], "").await.status, 200);

    let answer = app.get(OVERVIEW).await;
    let overview = answer.json();
    let sizes = async |path: &str| get(&app.client, path).await["size"].as_f64();
    let first = sizes("/v2/manage/namespaces/group/repos/two/tags/v1").await;
    let second = sizes("/v2/manage/namespaces/group/repos/two/tags/v2").await;
    let domains = get(&app.client, "/v3/auth/domains").await;
    assert_eq!(
        overview,
        json!({"domain_id": domains["domains"][0]["id"], "domain_name": "swr-emulator",
               "namspace_num": 2, "repo_num": 2, "image_num": 4,
               "store_space": first.expect("a size") + second.expect("a size"),
               "downflow_size": f64::from(size + 100)})
    );
    assert!(
        answer
            .text()
            .ends_with(&format!("\"downflow_size\":{}.0}}", size + 100))
    );
    // The second tag and the second repository still need the first image.
    for path in ["one/tags/v1", "one", "two/tags/v2"] {
        let path = format!("/v2/manage/namespaces/group/repos/{path}");
        app.delete(&path).await.is(204, "");
    }
    let overview = get(&app.client, OVERVIEW).await;
    let numbers = ["repo_num", "image_num"].map(|key| overview[key].as_i64());
    assert_eq!(numbers, [Some(1), Some(1)]);
    assert_eq!(overview["store_space"].as_f64(), first);
}

#[tokio::test]
async fn a_report_has_thirty_days_and_today_is_the_last() {
    let app = TestApp::seeded(SEED).await;
    push(&app, "one", "v1", "a").await;
    let registry = Registry::admin(&app.client, &["group/one"]).await;
    let (digest, size) = layer(&registry, "group/one", "v1").await;
    let blob = format!("/v2/group/one/blobs/{digest}");
    assert_eq!(registry.get(&blob).await.status, 200);
    let overview = get(&app.client, OVERVIEW).await;
    let tag = "/v2/manage/namespaces/group/repos/one/tags/v1";
    let pushed_at = get(&app.client, tag).await["created"].clone();
    let pushed_on = &pushed_at.as_str().expect("a time")[..10];

    for (resource_type, today) in [
        ("store", overview["store_space"].clone()),
        ("downflow", json!(f64::from(size))),
    ] {
        let path = format!("/v2/manage/reports/{resource_type}/daily");
        let report = get(&app.client, &path).await;
        let mut date: Date = pushed_on.parse().expect("a date");
        let mut expected = Vec::new();
        for days_ago in 0..30 {
            let value = if days_ago == 0 {
                today.clone()
            } else {
                json!(0.0)
            };
            expected.insert(0, json!({"date": date.to_string(), "value": value}));
            date = date.yesterday().expect("a date");
        }
        assert_eq!(report, json!(expected));
        let theirs = get(&app.as_user("partner-dev"), &path).await;
        assert_eq!(theirs[29], json!({"date": pushed_on, "value": 0.0}));
    }
}

#[tokio::test]
async fn a_report_that_does_not_exist_is_refused() {
    let app = TestApp::start().await;
    let message = app.get("/v2/manage/reports/uploads/daily").await;
    let message = message.refused(400, "4000014");
    assert_eq!(message, "resource_type: must be store or downflow");
    let message = app.get("/v2/manage/reports/store/hourly").await;
    let message = message.refused(400, "4000014");
    assert_eq!(message, "frequency: must be daily");
}

#[tokio::test]
async fn the_switches_are_on_for_what_is_emulated() {
    let app = TestApp::start().await;
    let path = format!("/v2/manage/projects/{PROJECT}/feature-gates");
    let switches = get(&app.client, &path).await;
    let switches = switches.as_object().expect("an object").iter();
    let on: Vec<_> = switches
        .filter(|(_, value)| **value == json!(true))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        on,
        [
            "enable_authorization_token",
            "enable_cci_service",
            "enable_cosign_signature",
            "enable_customize_validity_period",
            "enable_image_sync",
            "enable_list_v3",
        ]
    );
}

#[tokio::test]
async fn the_agency_is_made_once_for_each_account_and_forgotten_by_a_reset() {
    let app = TestApp::seeded(SEED).await;
    let partner = app.as_user("partner-dev");
    let check = async |mine: bool, theirs: bool| {
        let overview = get(&app.client, OVERVIEW).await;
        let expected = json!({"domain_id": overview["domain_id"], "is_agency": mine});
        assert_eq!(get(&app.client, AGENCY).await, expected);
        assert_eq!(get(&partner, AGENCY).await["is_agency"], theirs);
    };

    check(false, false).await;
    app.as_user("second")
        .send("POST", AGENCY, None)
        .await
        .refused(403, "4030170");
    check(false, false).await;
    app.client.send("POST", AGENCY, None).await.is(204, "");
    check(true, false).await;
    let again = app.client.send("POST", AGENCY, None).await;
    again.refused(409, "4090089");
    // Each user of the account sees it.
    let second = get(&app.as_user("second"), AGENCY).await;
    assert_eq!(second["is_agency"], true);
    partner.send("POST", AGENCY, None).await.is(204, "");
    check(true, true).await;
    app.post("/_emulator/reset", json!({})).await.is(204, "");
    check(false, false).await;
}

#[tokio::test]
async fn the_seed_file_can_grant_the_agency() {
    let app = TestApp::seeded("accounts: [{name: swr-emulator, agency: true}]").await;
    for _ in 0..2 {
        assert_eq!(get(&app.client, AGENCY).await["is_agency"], true);
        let again = app.client.send("POST", AGENCY, None).await;
        again.refused(409, "4090089");
        app.post("/_emulator/reset", json!({})).await.is(204, "");
    }
}

const TRIGGERED: &str = r#"
organizations:
  - name: group
    repositories:
      - name: busybox
        triggers:
          - {name: seeded, action: update, app_type: deployments, application: adsfa,
             cluster_id: 5b28c12f-dc10-11e9-97b3-0255ac1001b5, cluster_name: test,
             cluster_ns: default, condition: ".*", enable: "true", trigger_mode: cce,
             trigger_type: all}
clusters:
  - id: 5b28c12f-dc10-11e9-97b3-0255ac1001b5
    name: test
    namespaces:
      - name: default
        deployments:
          - {name: adsfa, containers: [{name: c, image: "{registry}/group/busybox:1.0"}]}
"#;

const REASON: &str =
    "the account has not delegated CCE and CCI to SWR; delegate them with POST /v2/manage/agency";

#[tokio::test]
async fn where_the_agency_is_required_a_trigger_is_refused_without_it_after_all_other_checks() {
    let app = TestApp::seeded_with(TRIGGERED, &["--require-agency"]).await;
    let create = async |body: Value| app.post(TRIGGERS, body).await;

    let mut faulty = trigger("t");
    faulty["condition"] = json!("v1");
    create(faulty).await.refused(400, "4000014");
    create(trigger("seeded")).await.refused(400, "4000014");
    let nowhere = "/v2/manage/namespaces/group/repos/none/triggers";
    let missing = app.post(nowhere, trigger("t")).await;
    missing.refused(404, "4040010");
    let message = create(trigger("t")).await.refused(500, "5004002");
    assert_eq!(
        message,
        format!("Server internal error: fail to get k8s deployment: {REASON}")
    );
    let mut stateful = trigger("t");
    stateful["app_type"] = json!("statefulsets");
    let message = create(stateful).await.refused(500, "5004002");
    assert!(message.contains("get k8s statefulset: "), "{message}");
    let list = get(&app.client, TRIGGERS).await;
    assert_eq!(list.as_array().map(Vec::len), Some(1));

    app.client.send("POST", AGENCY, None).await.is(204, "");
    create(trigger("t")).await.is(201, "{}");
}

#[tokio::test]
async fn where_the_agency_is_required_firings_fail_without_it_and_say_why() {
    let app = TestApp::seeded_with(TRIGGERED, &["--require-agency"]).await;
    let push = async |tag: &str| {
        let body = json!({"namespace": "group", "repository": "busybox", "tag": tag});
        let answer = app.post("/_emulator/push", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        get(&app.client, "/_emulator/idle?timeout=60s").await
    };
    let explained = async || {
        let path = "/_emulator/explain?namespace=group&repository=busybox&tag=v9";
        app.get(path).await.text().contains(REASON)
    };

    assert!(explained().await);
    assert_eq!(push("v1").await, json!({"fired": 1, "failed": 1}));
    app.client.send("POST", AGENCY, None).await.is(204, "");
    assert!(!explained().await);
    assert_eq!(push("v2").await, json!({"fired": 2, "failed": 1}));

    let shown = get(&app.client, &format!("{TRIGGERS}/seeded")).await;
    let history = shown["trigger_history"].as_array().expect("a list");
    let outcomes: Vec<_> = history
        .iter()
        .map(|entry| json!([entry["tag"], entry["result"], entry["detail"]]))
        .collect();
    assert_eq!(
        outcomes,
        [
            json!(["v2", "success", ""]),
            json!(["v1", "failed", REASON])
        ]
    );
}

#[tokio::test]
async fn where_the_agency_is_required_a_real_cluster_is_left_alone_without_it() {
    let kubernetes = FakeKubernetes::start().await;
    let image = ("c", "registry.test/group/busybox:1.0");
    kubernetes.put("deployments", "adsfa", &[image]);
    let cluster = json!({
        "id": "5b28c12f-dc10-11e9-97b3-0255ac1001b5", "name": "test",
        "kubeconfig": kubernetes.kubeconfig(Proof::Token),
    });
    let repository = json!({"name": "busybox", "triggers": [trigger("t")]});
    let seed = json!({
        "organizations": [{"name": "group", "repositories": [repository]}],
        "clusters": [cluster],
    });
    let arguments = ["--require-agency", "--registry-host", "registry.test"];
    let app = TestApp::seeded_with(&seed.to_string(), &arguments).await;
    let push = async |tag: &str| {
        let body = json!({"namespace": "group", "repository": "busybox", "tag": tag});
        app.post("/_emulator/push", body).await;
        let idle = get(&app.client, "/_emulator/idle?timeout=60s").await;
        let shown = get(&app.client, &format!("{TRIGGERS}/t")).await;
        (idle, shown["trigger_history"][0]["detail"].clone())
    };

    let refused = (json!({"fired": 1, "failed": 1}), json!(REASON));
    assert_eq!(push("v1").await, refused);
    assert_eq!(kubernetes.images("deployments", "adsfa"), [image.1]);
    app.client.send("POST", AGENCY, None).await.is(204, "");
    assert_eq!(
        push("v2").await,
        (json!({"fired": 2, "failed": 1}), json!(""))
    );
    assert_eq!(
        kubernetes.images("deployments", "adsfa"),
        ["registry.test/group/busybox:v2"]
    );
}

#[tokio::test]
async fn unless_the_agency_is_required_it_changes_nothing() {
    let app = TestApp::seeded(TRIGGERED).await;
    app.post(TRIGGERS, trigger("t")).await.is(201, "{}");
    let body = json!({"namespace": "group", "repository": "busybox", "tag": "v1"});
    app.post("/_emulator/push", body).await;
    let idle = get(&app.client, "/_emulator/idle?timeout=60s").await;
    assert_eq!(idle, json!({"fired": 2, "failed": 0}));
    assert_eq!(get(&app.client, AGENCY).await["is_agency"], false);
}
