//! Triggers: creating, listing, showing, enabling, disabling, deleting.

use std::collections::HashSet;

use http::Request;
use serde_json::{Value, json};

use crate::support::{Answer, Process, TRIGGERS, TestApp, WORLD, trigger};

#[tokio::test]
async fn the_example_of_the_reference_is_created_and_shown() {
    let app = TestApp::with_repository().await;

    app.post(TRIGGERS, trigger("test")).await.is(201, "{}");

    let shown = app.get(&format!("{TRIGGERS}/test")).await.json();
    for (field, value) in trigger("test").as_object().expect("an object") {
        assert_eq!(shown[field], *value, "{field}");
    }
    assert_eq!(shown["trigger_history"], json!([]));
    let time = shown["created_at"].as_str().expect("a string");
    assert!(time.ends_with('Z') && time.contains('T'), "{time}");
}

#[tokio::test]
async fn what_is_left_out_is_shown_as_its_default() {
    let app = TestApp::with_repository().await;
    let body = json!({
        "action": "update", "app_type": "statefulsets", "application": "web",
        "cluster_ns": "default", "condition": "v1;v2", "enable": "false", "name": "t",
        "trigger_type": "tag", "unknown": [1, {"a": null}]
    });

    app.post(TRIGGERS, body).await.is(201, "{}");

    let shown = app.get(&format!("{TRIGGERS}/t")).await.json();
    let fields = [
        "trigger_mode",
        "cluster_id",
        "cluster_name",
        "container",
        "enable",
    ];
    let values: Vec<_> = fields.iter().map(|field| shown[field].clone()).collect();
    assert_eq!(values, ["cce", "", "", "", "false"]);
}

#[tokio::test]
async fn texts_come_back_as_they_were_sent() {
    let app = TestApp::with_repository().await;
    for (at, text) in [
        "漢字 \"x\" \\ /",
        "a\u{0}b",
        "\u{1F600}",
        "'; DROP TABLE triggers; --",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("t{at}");
        let mut body = trigger(&name);
        body["cluster_name"] = json!(text);
        app.post(TRIGGERS, body).await.is(201, "{}");
        let shown = app.get(&format!("{TRIGGERS}/{name}")).await.json();
        assert_eq!(shown["cluster_name"], json!(text));
    }
}

#[tokio::test]
async fn the_list_is_in_order_of_creation_and_has_null_for_the_history() {
    let app = TestApp::with_repository().await;
    app.get(TRIGGERS).await.is(200, "[]");
    for name in ["z", "a", "m"] {
        app.post(TRIGGERS, trigger(name)).await.is(201, "{}");
    }

    let list = app.get(TRIGGERS).await.json();

    let list = list.as_array().expect("a bare array");
    let names: Vec<_> = list.iter().map(|trigger| trigger["name"].clone()).collect();
    assert_eq!(names, ["z", "a", "m"]);
    assert!(
        list.iter()
            .all(|trigger| trigger["trigger_history"] == Value::Null)
    );
    assert!(
        list.iter()
            .all(|trigger| trigger.as_object().is_some_and(|t| t.len() == 15))
    );
}

#[tokio::test]
async fn update_enables_and_disables_and_nothing_else() {
    let app = TestApp::with_repository().await;
    app.post(TRIGGERS, trigger("t")).await.is(201, "{}");
    let one = format!("{TRIGGERS}/t");

    let change = json!({"enable": "false", "condition": "v1", "name": "other"});
    app.patch(&one, change).await.is(201, "{}");
    let shown = app.get(&one).await.json();
    assert_eq!([&shown["enable"], &shown["condition"]], ["false", ".*"]);

    app.patch(&one, json!({"enable": "true"}))
        .await
        .is(201, "{}");
    assert_eq!(app.get(&one).await.json()["enable"], "true");

    for (body, rule) in [
        (json!({}), "enable: is mandatory"),
        (json!({"enable": null}), "enable: must not be null"),
        (
            json!({"enable": true}),
            "enable: must be \"true\" or \"false\", in quotes",
        ),
        (
            json!({"enable": "yes"}),
            "enable: must be \"true\" or \"false\", in quotes",
        ),
    ] {
        assert_eq!(app.patch(&one, body).await.refused(400, "4000014"), rule);
    }
    let missing = format!("{TRIGGERS}/u");
    for body in [json!({"enable": "true"}), json!({"enable": 1}), json!([])] {
        let answer = app.patch(&missing, body).await;
        assert_eq!(answer.refused(404, "4040126"), "Not found trigger");
    }
}

#[tokio::test]
async fn delete_removes_a_trigger_once() {
    let app = TestApp::with_repository().await;
    app.post(TRIGGERS, trigger("t")).await.is(201, "{}");
    let one = format!("{TRIGGERS}/t");

    app.delete(&one).await.is(204, "");

    app.delete(&one).await.refused(404, "4040126");
    app.get(&one).await.refused(404, "4040126");
    app.get(TRIGGERS).await.is(200, "[]");
    app.post(TRIGGERS, trigger("t")).await.is(201, "{}");
}

#[tokio::test]
async fn a_name_is_taken_once_in_a_repository() {
    let app = TestApp::seeded(
        "organizations: [{name: group, repositories: [{name: busybox}, {name: other}]}]",
    )
    .await;
    app.post(TRIGGERS, trigger("t")).await.is(201, "{}");

    let message = app
        .post(TRIGGERS, trigger("t"))
        .await
        .refused(400, "4000014");

    assert_eq!(
        message,
        "name: a trigger with this name already exists in the repository"
    );
    app.post(TRIGGERS, trigger("T")).await.is(201, "{}");
    let other = TRIGGERS.replace("busybox", "other");
    app.post(&other, trigger("t")).await.is(201, "{}");
}

#[tokio::test]
async fn of_many_creations_of_one_name_exactly_one_succeeds() {
    let app = TestApp::with_repository().await;
    let requests = (0..40).map(|at| {
        let mut body = trigger(&format!("t{}", at % 4));
        body["application"] = json!(format!("app{at}"));
        app.post(TRIGGERS, body)
    });

    let answers = futures_util::future::join_all(requests).await;

    let created: Vec<_> = answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| answer.status == 201)
        .map(|(at, _)| at)
        .collect();
    assert_eq!(created.len(), 4);
    assert!(
        answers
            .iter()
            .all(|answer| [201, 400].contains(&answer.status.as_u16()))
    );
    // What is stored is what the successful one sent.
    let list = app.get(TRIGGERS).await.json();
    let stored: HashSet<_> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|trigger| {
            trigger["application"]
                .as_str()
                .expect("a string")
                .to_owned()
        })
        .collect();
    let expected: HashSet<_> = created.iter().map(|at| format!("app{at}")).collect();
    assert_eq!(stored, expected);
}

#[tokio::test]
async fn checks_come_in_the_order_credentials_names_existence_body() {
    let app = TestApp::with_repository().await;
    let path = |namespace: &str, repository: &str| {
        format!("/v2/manage/namespaces/{namespace}/repos/{repository}/triggers")
    };
    let bad_body = json!({"action": 1});

    let nobody = app.as_nobody();
    let answer = nobody
        .send("POST", &path("Bad", "BAD"), Some(bad_body.clone()))
        .await;
    answer.refused_by_gateway(401, "APIGW.0301");
    app.post(&path("Bad", "BAD"), bad_body.clone())
        .await
        .refused(400, "4001028");
    app.post(&path("none", "BAD"), bad_body.clone())
        .await
        .refused(400, "4001029");
    app.post(&path("none", "none"), bad_body.clone())
        .await
        .refused(404, "4040058");
    app.post(&path("group", "none"), bad_body.clone())
        .await
        .refused(404, "4040010");
    app.post(&path("group", "busybox"), bad_body)
        .await
        .refused(400, "4000014");
    app.get(&format!("{}/1", path("none", "none")))
        .await
        .refused(400, "4000014");
}

#[tokio::test]
async fn a_repository_with_slashes_is_written_with_dollar_signs() {
    let app =
        TestApp::seeded("organizations: [{name: group, repositories: [{name: a/b/c}]}]").await;
    for (at, segment) in ["a$b$c", "a%24b%24c", "a%2Fb%2fc"].into_iter().enumerate() {
        let path = format!("/v2/manage/namespaces/group/repos/{segment}/triggers");
        app.post(&path, trigger(&format!("t{at}")))
            .await
            .is(201, "{}");
        let list = app.get(&path).await.json();
        assert_eq!(list.as_array().map(Vec::len), Some(at + 1));
    }
}

#[tokio::test]
async fn a_fault_of_the_body_is_a_400_that_names_it() {
    let app = TestApp::with_repository().await;
    let valid = trigger("t").to_string();
    let doubled = valid.replacen('{', "{\"name\":\"u\",", 1);
    let trailing = format!("{valid}x");
    let bodies: [(&[u8], &str); 11] = [
        (b"", "body: must be a JSON object, not empty"),
        (b"{", "body: must be JSON: "),
        (b"null", "body: must be a JSON object"),
        (b"[]", "body: must be a JSON object"),
        (b"7", "body: must be a JSON object"),
        (b"\xff", "body: must be UTF-8"),
        (b"{\"x\": \"\\ud800\"}", "body: must be JSON: "),
        (b"{}", "action: is mandatory"),
        (
            doubled.as_bytes(),
            "body: must be JSON: the key \"name\" appears twice",
        ),
        (
            trailing.as_bytes(),
            "body: must be JSON: trailing characters",
        ),
        (&b"[".repeat(100_000), "body: must be JSON: recursion limit"),
    ];
    for (body, rule) in bodies {
        let request = Request::post(TRIGGERS)
            .body(body.to_vec().into())
            .expect("legal");
        let message = app.client.request(request).await.refused(400, "4000014");
        assert!(message.starts_with(rule), "{message}");
    }
    app.get(TRIGGERS).await.is(200, "[]");
}

#[tokio::test]
async fn regular_expressions_are_judged_by_their_size() {
    let app = TestApp::with_repository().await;
    let regular = |name: &str, condition: &str| {
        let mut body = trigger(name);
        body["trigger_type"] = json!("regular");
        body["condition"] = json!(condition);
        body
    };

    app.post(TRIGGERS, regular("a", r"^release-\w{1,40}$"))
        .await
        .is(201, "{}");

    for condition in ["(((a{1000}){1000}){1000})", "(", &"a".repeat(1025)] {
        let answer = app.post(TRIGGERS, regular("b", condition)).await;
        let message = answer.refused(400, "4000014");
        assert!(
            message.starts_with("condition: must be a regular expression"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn triggers_go_with_their_repository() {
    let app = TestApp::with_repository().await;
    app.post(TRIGGERS, trigger("t")).await.is(201, "{}");
    let repository = "/v2/manage/namespaces/group/repos/busybox";

    app.delete(repository).await.is(204, "");

    app.get(&format!("{TRIGGERS}/t"))
        .await
        .refused(404, "4040010");
    let again = json!({"repository": "busybox", "is_public": false});
    app.post("/v2/manage/namespaces/group/repos", again)
        .await
        .is(200, "{}");
    app.get(TRIGGERS).await.is(200, "[]");
}

#[tokio::test]
async fn a_trigger_raced_by_the_deletion_of_its_repository_is_created_or_not_found() {
    let app = TestApp::with_repository().await;
    let repository = "/v2/manage/namespaces/group/repos/busybox";
    let again = json!({"repository": "busybox", "is_public": false});
    for round in 0..30 {
        let creations = (0..8).map(|at| app.post(TRIGGERS, trigger(&format!("t{round}-{at}"))));
        let deletion = app.delete(repository);
        let (answers, deleted) = tokio::join!(futures_util::future::join_all(creations), deletion);
        deleted.is(204, "");
        for answer in answers {
            if answer.status != 201 {
                answer.refused(404, "4040010");
            }
        }
        app.post("/v2/manage/namespaces/group/repos", again.clone())
            .await
            .is(200, "{}");
        app.get(TRIGGERS).await.is(200, "[]");
    }
}

#[tokio::test]
async fn a_trigger_that_may_not_be_meant_is_made_and_its_answer_hints_at_it() {
    let app = TestApp::seeded(WORLD).await;
    let hint = |answer: Answer| answer.header("x-emulator-hint").map(str::to_owned);
    let create = async |changes: Value| {
        let mut body = trigger("t");
        for (field, value) in changes.as_object().expect("an object") {
            body[field] = value.clone();
        }
        hint(app.post(TRIGGERS, body).await.is(201, "{}"))
    };
    assert_eq!(create(json!({"name": "plain"})).await, None);
    assert_eq!(
        create(json!({"name": "rival"})).await.as_deref(),
        Some("application: the trigger plain updates the same container of deployments/adsfa")
    );
    let lost = json!({"name": "lost", "cluster_id": "é", "application": "b",
                      "trigger_type": "regular", "condition": ".*"});
    assert_eq!(
        create(lost).await.as_deref(),
        Some(
            "condition: .* matches every tag; trigger_type all says so plainly; \
             cluster_id: there is no cluster with the id \\u{e9}"
        )
    );
    let named = json!({"name": "named", "cluster_id": "", "cluster_name": "tset",
                       "application": "c"});
    let told = create(named).await;
    assert_eq!(
        told.as_deref(),
        Some("cluster_name: there is no cluster named tset")
    );
    let long = json!({"name": "long", "application": "d", "trigger_type": "regular",
                      "condition": "é".repeat(1000), "cluster_id": "é".repeat(128)});
    let told = create(long).await.expect("a hint");
    assert_eq!(told.len(), 512);
    let enable = async |enable: &str| {
        let path = format!("{TRIGGERS}/lost");
        let answer = app.patch(&path, json!({"enable": enable})).await;
        hint(answer.is(201, "{}"))
    };
    assert_eq!(enable("false").await, None);
    let told = enable("true").await.expect("a hint");
    assert!(
        told.starts_with("condition: .* matches every tag"),
        "{told}"
    );
}

#[tokio::test]
async fn hints_are_about_what_there_is_now() {
    let app = TestApp::seeded(WORLD).await;
    let create = async |name: &str, cluster: &str| {
        let mut body = trigger(name);
        body["cluster_id"] = json!("");
        body["cluster_name"] = json!(cluster);
        let answer = app.post(TRIGGERS, body).await.is(201, "{}");
        answer.header("x-emulator-hint").map(str::to_owned)
    };
    let delete = async |name: &str| {
        let answer = app.delete(&format!("{TRIGGERS}/{name}")).await;
        assert_eq!(answer.status, 204);
    };
    let rival = |name: &str| {
        let rule = "updates the same container of deployments/adsfa";
        Some(format!("application: the trigger {name} {rule}"))
    };
    assert_eq!(create("a", "test").await, None);
    assert_eq!(create("b", "test").await, rival("a"));
    assert_eq!(create("c", "test").await, rival("b"));
    delete("c").await;
    assert_eq!(create("d", "test").await, rival("b"));
    delete("a").await;
    delete("b").await;
    delete("d").await;
    assert_eq!(create("e", "test").await, None);

    let missing = Some("cluster_name: there is no cluster named other".to_owned());
    assert_eq!(create("f", "other").await, missing);
    delete("f").await;
    let place = "/_emulator/clusters/other/namespaces/default/deployments/web";
    let body = json!({"containers": [{"name": "a", "image": "nginx:1"}]});
    let put = app.client.send("PUT", place, Some(body)).await;
    assert_eq!(put.status, 200);
    assert_eq!(create("g", "other").await, None);
}

#[tokio::test]
async fn a_hint_is_one_line_of_the_log() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("log");
    let log = log.to_str().expect("UTF-8");
    let mut seed = tempfile::NamedTempFile::new().expect("a file");
    std::io::Write::write_all(&mut seed, WORLD.as_bytes()).expect("written");
    let seed = seed.path().to_str().expect("UTF-8");
    let arguments = ["--ephemeral", "--listen", "127.0.0.1:0"];
    let more = ["--seed", seed, "--log-file", log];
    let process = Process::start(&[&arguments[..], &more].concat());
    let mut body = trigger("t");
    body["trigger_type"] = json!("regular");
    body["condition"] = json!("v1");
    let client = process.client();
    client
        .send("POST", TRIGGERS, Some(body))
        .await
        .is(201, "{}");
    drop(process);
    let told = std::fs::read_to_string(log).expect("a log");
    let line = "INFO Hint for the trigger t: condition: v1 is not anchored, so it also matches \
                old-v1-rc1; ^ and $ anchor it";
    let lines = told.lines().filter(|told| told.ends_with(line));
    assert_eq!(lines.count(), 1, "{told}");
}

#[tokio::test]
async fn with_hints_off_no_answer_hints_at_anything() {
    let app = TestApp::seeded_with(WORLD, &["--hints", "off"]).await;
    let mut body = trigger("t");
    body["trigger_type"] = json!("regular");
    body["condition"] = json!("v1");
    let answer = app.post(TRIGGERS, body).await.is(201, "{}");
    assert_eq!(answer.header("x-emulator-hint"), None);
    let path = format!("{TRIGGERS}/t");
    let answer = app.patch(&path, json!({"enable": "true"})).await;
    let answer = answer.is(201, "{}");
    assert_eq!(answer.header("x-emulator-hint"), None);
}
