//! A push fires its triggers: from the tag to the workload, the history, and the reason.

use serde_json::{Value, json};

use crate::support::{Kept, Registry, TRIGGERS, TestApp, WORLD, trigger};

const WORKLOAD: &str = "/_emulator/clusters/test/namespaces/default/deployments/adsfa";

async fn push(app: &TestApp, tag: &str, nonce: &str) -> String {
    let body = json!({"namespace": "group", "repository": "busybox", "tag": tag, "nonce": nonce});
    let answer = app.post("/_emulator/push", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["digest"]
        .as_str()
        .expect("a digest")
        .to_owned()
}

async fn idle(app: &TestApp) -> Value {
    let answer = app.get("/_emulator/idle?timeout=60s").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn history(app: &TestApp, name: &str) -> Vec<(String, String, String)> {
    let shown = app.get(&format!("{TRIGGERS}/{name}")).await.json();
    let entries = shown["trigger_history"].as_array().expect("a list").iter();
    let text = |entry: &Value, key: &str| entry[key].as_str().expect("a string").to_owned();
    entries
        .map(|entry| {
            (
                text(entry, "tag"),
                text(entry, "result"),
                text(entry, "detail"),
            )
        })
        .collect()
}

fn entry(tag: &str, result: &str, detail: &str) -> (String, String, String) {
    (tag.to_owned(), result.to_owned(), detail.to_owned())
}

/// What a push meant for triggers, without what came of the updates (`rollout.rs`).
fn without_rollouts(triggers: &Value) -> Value {
    let mut triggers = triggers.clone();
    for trigger in triggers.as_array_mut().expect("a list") {
        let trigger = trigger.as_object_mut().expect("an object");
        trigger.remove("rollout");
        trigger.remove("workload");
    }
    triggers
}

async fn with_trigger(changes: &[(&str, &str)]) -> TestApp {
    let app = TestApp::seeded(WORLD).await;
    add_trigger(&app, "t", changes).await;
    app
}

async fn add_trigger(app: &TestApp, name: &str, changes: &[(&str, &str)]) {
    let mut body = trigger(name);
    for (field, value) in changes {
        body[field] = json!(value);
    }
    app.post(TRIGGERS, body).await.is(201, "{}");
}

#[tokio::test]
async fn a_push_updates_the_workload_and_leaves_an_entry() {
    let app = with_trigger(&[]).await;
    let host = app.client.address.clone();

    let digest = push(&app, "v2", "one").await;

    assert_eq!(idle(&app).await, json!({"fired": 1, "failed": 0}));
    let workload = app.get(WORKLOAD).await.json();
    let after = format!("{host}/group/busybox:v2");
    assert_eq!(
        workload["containers"],
        json!([{"name": "busybox", "image": after}, {"name": "side", "image": "nginx:1"}])
    );
    assert_eq!(
        workload["annotations"],
        json!({"digest.swr-emulator/busybox": digest})
    );
    let rollout = &workload["rollouts"][0];
    assert_eq!(
        *rollout,
        json!({"at": rollout["at"], "trigger": "t", "tag": "v2", "digest": digest,
               "container": "busybox", "before": format!("{host}/group/busybox:1.0"),
               "after": after})
    );
    let shown = app.get(&format!("{TRIGGERS}/t")).await.json();
    let entry = &shown["trigger_history"][0];
    assert_eq!(
        *entry,
        json!({"action": "update", "app_type": "deployments", "application": "adsfa",
               "cluster_id": "5b28c12f-dc10-11e9-97b3-0255ac1001b5", "cluster_name": "test",
               "cluster_ns": "default", "condition": ".*", "container": "",
               "created_at": entry["created_at"], "creator_name": "admin", "detail": "",
               "result": "success", "tag": "v2"})
    );
    assert_eq!(
        app.get(TRIGGERS).await.json()[0]["trigger_history"],
        Value::Null
    );
}

#[tokio::test]
async fn a_real_push_by_tag_fires_and_one_by_digest_does_not() {
    let app = with_trigger(&[]).await;
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    let digest = registry.push_image("group/busybox", "v1", b"layer").await;
    idle(&app).await;
    assert_eq!(history(&app, "t").await, [entry("v1", "success", "")]);

    registry
        .push_image("group/busybox", &digest, b"layer")
        .await;
    let tags = "/v2/manage/namespaces/group/repos/busybox/tags";
    let copy = json!({"source_tag": "v1", "destination_tag": "v2"});
    app.post(tags, copy).await.is(201, "{}");
    idle(&app).await;
    let expected = [entry("v2", "success", ""), entry("v1", "success", "")];
    assert_eq!(history(&app, "t").await, expected);
}

#[tokio::test]
async fn each_condition_fires_on_its_tags_and_says_why_it_did_not() {
    let app = TestApp::seeded(WORLD).await;
    add_trigger(&app, "all", &[]).await;
    let tags = [("trigger_type", "tag"), ("condition", "v1;v2")];
    add_trigger(&app, "tags", &tags).await;
    let regular = [("trigger_type", "regular"), ("condition", "^v2.*")];
    add_trigger(&app, "regular", &regular).await;
    add_trigger(&app, "off", &[("enable", "false")]).await;

    for tag in ["v1", "v2", "v20", "w"] {
        push(&app, tag, tag).await;
    }
    assert_eq!(idle(&app).await["fired"], 8);

    let fired = async |name: &str| -> Vec<String> {
        history(&app, name)
            .await
            .into_iter()
            .map(|entry| entry.0)
            .collect()
    };
    assert_eq!(fired("all").await, ["w", "v20", "v2", "v1"]);
    assert_eq!(fired("tags").await, ["v2", "v1"]);
    assert_eq!(fired("regular").await, ["v20", "v2"]);
    assert!(fired("off").await.is_empty());
    let pushes = "/_emulator/pushes?namespace=group&repository=busybox";
    let newest = app.get(&format!("{pushes}&limit=1")).await.json();
    assert_eq!(newest[0]["tag"], "w");
    assert_eq!(
        without_rollouts(&newest[0]["triggers"]),
        json!([
            {"trigger": "all", "fires": true, "reason": "matched", "result": "success",
             "detail": "", "tries": 1},
            {"trigger": "off", "fires": false, "reason": "the trigger is disabled"},
            {"trigger": "regular", "fires": false, "reason": "^v2.* does not match w"},
            {"trigger": "tags", "fires": false, "reason": "tag w is not one of v1, v2"}
        ])
    );
    let of_tag = app.get(&format!("{pushes}&tag=v2")).await.json();
    assert_eq!(of_tag.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_push_remembers_the_first_hundred_triggers_by_name_that_did_not_fire() {
    let mut triggers: Vec<_> = (0..120).map(|at| trigger(&format!("t{at:03}"))).collect();
    for trigger in &mut triggers {
        trigger["enable"] = json!("false");
    }
    triggers.reverse();
    let repository = json!({"name": "busybox", "triggers": triggers});
    let seed = json!({"organizations": [{"name": "group", "repositories": [repository]}]});
    let app = TestApp::seeded(&seed.to_string()).await;

    push(&app, "v1", "one").await;

    let pushes = "/_emulator/pushes?namespace=group&repository=busybox";
    let pushes = app.get(pushes).await.json();
    let named = pushes[0]["triggers"].as_array().expect("a list").iter();
    let named: Vec<_> = named.map(|entry| entry["trigger"].clone()).collect();
    let expected: Vec<_> = (0..100).map(|at| json!(format!("t{at:03}"))).collect();
    assert_eq!(named, expected);
}

#[tokio::test]
async fn a_push_names_a_thousand_triggers_and_says_how_many_there_are() {
    let triggers: Vec<_> = (0..1100).map(|at| trigger(&format!("t{at}"))).collect();
    let repository = json!({"name": "busybox", "triggers": triggers});
    let seed = json!({"organizations": [{"name": "group", "repositories": [repository]}]});
    let app = TestApp::seeded(&seed.to_string()).await;

    push(&app, "v1", "one").await;

    let pushes = "/_emulator/pushes?namespace=group&repository=busybox";
    let pushes = app.get(pushes).await.json();
    assert_eq!(pushes[0]["triggers"].as_array().map(Vec::len), Some(1000));
    assert_eq!(pushes[0]["trigger_count"], 1100);
    // SWR's own list has no pages, however long it is.
    let listed = app.get(TRIGGERS).await;
    assert_eq!(listed.header("content-length"), None, "it is streamed");
    let listed = listed.json();
    let names = listed.as_array().expect("a list").iter();
    let names: Vec<_> = names.map(|trigger| trigger["name"].clone()).collect();
    let expected: Vec<_> = (0..1100).map(|at| json!(format!("t{at}"))).collect();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_reason_is_no_longer_than_a_line() {
    let many = vec!["x".repeat(100); 100].join(";");
    let app = with_trigger(&[("trigger_type", "tag"), ("condition", &many)]).await;
    push(&app, "v1", "one").await;
    let pushes = "/_emulator/pushes?namespace=group&repository=busybox";
    let reason = app.get(pushes).await.json()[0]["triggers"][0]["reason"].clone();
    let reason = reason.as_str().expect("text");
    assert!(reason.starts_with("tag v1 is not one of xxx"), "{reason}");
    assert_eq!(reason.len(), 1000);

    let image = "x".repeat(4_000);
    let body = json!({"containers": [{"name": "busybox", "image": image}]});
    app.client.send("PUT", WORKLOAD, Some(body)).await;
    add_trigger(&app, "u", &[("container", "busybox")]).await;
    push(&app, "v1", "two").await;
    idle(&app).await;
    let (_, _, detail) = history(&app, "u").await.remove(0);
    assert!(detail.starts_with("container busybox uses xxx"), "{detail}");
    assert!(detail.ends_with("xxx…, not group/busybox"), "{detail}");
    assert!(detail.chars().count() < 1000, "{detail}");
}

#[tokio::test]
async fn lists_of_the_emulator_come_in_pages() {
    let app = TestApp::seeded(WORLD).await;
    for name in ["a", "b", "c", "d", "e"] {
        let regular = [("trigger_type", "regular"), ("condition", "^never$")];
        add_trigger(&app, name, &regular).await;
        push(&app, &format!("v-{name}"), "one").await;
        let fault = json!({"operation": "ShowTrigger", "delay_ms": 1, "times": 1});
        app.post("/_emulator/faults", fault).await;
    }
    for place in [
        "a/namespaces/n/deployments/x",
        "b/namespaces/n/deployments/x",
    ] {
        for at in 0..3 {
            let path = format!("/_emulator/clusters/{place}{at}");
            let body = json!({"containers": [{"name": "c", "image": "x"}]});
            assert_eq!(app.client.send("PUT", &path, Some(body)).await.status, 200);
        }
    }
    app.delete("/_emulator/clusters/b/namespaces/n/deployments/x1")
        .await
        .is(204, "");
    let group = "namespace=group&repository=busybox&tag=";
    let every = |pages: Vec<Value>| -> Vec<Value> {
        let pages = pages.into_iter();
        pages
            .flat_map(|page| page.as_array().expect("a list").clone())
            .collect()
    };
    for (path, count) in [
        (format!("/_emulator/pushes?{group}"), 5),
        (format!("/_emulator/explain?{group}v1"), 5),
        ("/_emulator/faults?".to_owned(), 5),
        (
            "/_emulator/requests?operation=EmulatorPutWorkload".to_owned(),
            6,
        ),
    ] {
        let whole = app.pages(&path).await;
        assert_eq!(whole.len(), 1, "{path}");
        let pages = app.pages(&format!("{path}&limit=2")).await;
        assert_eq!(pages.len(), usize::div_ceil(count, 2), "{path}");
        let (whole, paged) = (every(whole), every(pages));
        assert_eq!(whole.len(), count, "{path}");
        assert_eq!(paged, whole, "{path}");
        for wrong in ["limit=0", "limit=1001", "marker=x", "marker=-1"] {
            app.get(&format!("{path}&{wrong}"))
                .await
                .refused(400, "4000056");
        }
    }

    let clusters = |pages: Vec<Value>| -> Vec<(Value, Value)> {
        let clusters = pages
            .into_iter()
            .flat_map(|page| page["clusters"].as_array().expect("a list").clone());
        clusters
            .flat_map(|cluster| {
                let workloads = cluster["workloads"].as_array().expect("a list").clone();
                workloads
                    .into_iter()
                    .map(move |workload| (cluster["id"].clone(), workload))
            })
            .collect()
    };
    let path = "/_emulator/clusters?";
    let whole = app.pages(path).await;
    let pages = app.pages(&format!("{path}limit=2")).await;
    assert_eq!((whole.len(), pages.len()), (1, 3));
    let whole = clusters(whole);
    assert_eq!(whole.len(), 6);
    assert_eq!(clusters(pages), whole);
    app.get(&format!("{path}marker=x"))
        .await
        .refused(400, "4000056");
}

#[tokio::test]
async fn the_same_content_again_rolls_nothing_and_new_content_does() {
    let app = with_trigger(&[]).await;
    for nonce in ["one", "one", "two"] {
        push(&app, "v1", nonce).await;
        idle(&app).await;
    }
    let unchanged = entry("v1", "success", "template unchanged, no rollout");
    let changed = entry("v1", "success", "");
    assert_eq!(
        history(&app, "t").await,
        [changed.clone(), unchanged, changed]
    );
    let rollouts = app.get(WORKLOAD).await.json()["rollouts"].clone();
    assert_eq!(rollouts.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_firing_that_cannot_be_done_fails_with_its_reason() {
    let app = TestApp::seeded(WORLD).await;
    let id = "5b28c12f-dc10-11e9-97b3-0255ac1001b5";
    for (name, changes, reason) in [
        (
            "c1",
            vec![("cluster_id", "none")],
            "there is no cluster with the id none; available: 5b28c12f-dc10-11e9-97b3-0255ac1001b5",
        ),
        (
            "c0",
            vec![("cluster_id", "test")],
            "there is no cluster with the id test; the cluster named test has the id \
             5b28c12f-dc10-11e9-97b3-0255ac1001b5",
        ),
        (
            "c2",
            vec![("cluster_id", ""), ("cluster_name", "none")],
            "there is no cluster named none; available: test",
        ),
        (
            "c3",
            vec![
                ("trigger_mode", "cci"),
                ("cluster_id", ""),
                ("cluster_name", ""),
            ],
            "there is no cluster named cci",
        ),
        (
            "w1",
            vec![("application", "none")],
            "deployments \"none\" not found in namespace default of cluster test; \
             available: adsfa",
        ),
        (
            "w4",
            vec![("app_type", "statefulsets")],
            "statefulsets \"adsfa\" not found in namespace default of cluster test; a Deployment \
             has this name",
        ),
        (
            "w5",
            vec![("cluster_ns", "prod")],
            "deployments \"adsfa\" not found in namespace prod of cluster test; the namespace has \
             no workloads",
        ),
        (
            "w2",
            vec![("container", "side")],
            "container side uses nginx:1, not group/busybox",
        ),
        (
            "w3",
            vec![("container", "none")],
            "there is no container none; available: busybox, side",
        ),
        ("ok", vec![("cluster_id", ""), ("cluster_name", "")], ""),
        (
            "id",
            vec![("cluster_id", id), ("cluster_name", "wrong")],
            "",
        ),
    ] {
        add_trigger(&app, name, &changes).await;
        push(&app, "v1", name).await;
        idle(&app).await;
        let newest = history(&app, name).await.remove(0);
        if reason.is_empty() {
            assert_eq!(newest.1, "success", "{name}");
        } else {
            assert_eq!(newest, entry("v1", "failed", reason), "{name}");
        }
    }
}

#[tokio::test]
async fn failures_of_the_cluster_are_tried_again_but_final_ones_not() {
    let app = with_trigger(&[]).await;
    let image = format!("{}/group/busybox:1", app.client.address);
    let set = async |fail: Value| {
        let body = json!({"containers": [{"name": "busybox", "image": image}], "fail": fail});
        let answer = app.client.send("PUT", WORKLOAD, Some(body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    set(json!({"status": 503, "times": 2})).await;
    push(&app, "v1", "one").await;
    idle(&app).await;
    set(json!({"status": 403, "times": 1})).await;
    push(&app, "v2", "two").await;
    idle(&app).await;
    let expected = [
        entry("v2", "failed", "the cluster answered 403"),
        entry("v1", "success", ""),
    ];
    assert_eq!(history(&app, "t").await, expected);
}

#[tokio::test]
async fn a_firing_gives_up_at_its_deadline() {
    let app = TestApp::seeded_with(WORLD, &["--deploy-timeout", "0"]).await;
    add_trigger(&app, "t", &[]).await;
    let image = format!("{}/group/busybox:1", app.client.address);
    let body = json!({"containers": [{"name": "busybox", "image": image}],
                      "fail": {"status": 503, "times": 1000}});
    app.client.send("PUT", WORKLOAD, Some(body)).await;
    push(&app, "v1", "one").await;
    assert_eq!(idle(&app).await, json!({"fired": 1, "failed": 1}));
    let detail = "gave up after 1 try: the cluster answered 503";
    assert_eq!(history(&app, "t").await, [entry("v1", "failed", detail)]);
}

#[tokio::test]
async fn a_slow_workload_holds_up_no_other_and_waiting_says_why() {
    let app = with_trigger(&[]).await;
    let image = format!("{}/group/busybox:1", app.client.address);
    let slow = json!({"containers": [{"name": "c", "image": image}], "delay_ms": 600_000});
    let path = "/_emulator/clusters/slow/namespaces/default/deployments/web";
    assert_eq!(app.client.send("PUT", path, Some(slow)).await.status, 200);
    let changes = [
        ("cluster_id", "slow"),
        ("cluster_name", ""),
        ("application", "web"),
    ];
    add_trigger(&app, "slow", &changes).await;

    push(&app, "v1", "one").await;

    let wait = "/_emulator/wait?namespace=group&repository=busybox&tag=v1";
    let settled = app.get(&format!("{wait}&trigger=t")).await;
    assert_eq!(settled.status, 200);
    assert_eq!(settled.json()["result"], "success");
    let open = app.get(&format!("{wait}&trigger=slow&timeout=1ms")).await;
    assert_eq!(open.status, 408);
    let waiting = json!({"trigger": "slow", "fires": true, "reason": "waiting or running"});
    assert!(
        open.json()["triggers"]
            .as_array()
            .is_some_and(|list| list.contains(&waiting))
    );
    let idle = app.get("/_emulator/idle?timeout=1ms").await;
    assert_eq!(idle.status, 408);
    assert_eq!(idle.json(), json!({"fired": 1, "failed": 0, "open": 1}));
    // Deleting the trigger drops what it had pending.
    app.delete(&format!("{TRIGGERS}/slow")).await.is(204, "");
    assert_eq!(app.get("/_emulator/idle").await.status, 200);
    for query in ["timeout=11m", "timeout=x", "timeout=-1s"] {
        app.get(&format!("/_emulator/idle?{query}"))
            .await
            .refused(400, "4001025");
    }
    let never = wait.replace("tag=v1", "tag=v9");
    let message = app
        .get(&format!("{never}&trigger=t&after=7&timeout=1ms"))
        .await
        .refused(408, "4040083");
    assert_eq!(
        message,
        "No push of group/busybox:v9 after the push 7 arrived in time"
    );
    for query in ["after=x", "after=-1", "trigger=1"] {
        let refused = app.get(&format!("{wait}&{query}")).await;
        assert_eq!(refused.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_trigger_that_could_mean_two_clusters_fails_and_waits_for_neither() {
    let app = with_trigger(&[]).await;
    let image = format!("{}/group/busybox:1", app.client.address);
    let slow = json!({"containers": [{"name": "c", "image": image}], "delay_ms": 600_000});
    let other = "/_emulator/clusters/other/namespaces/default/deployments/adsfa";
    for path in [WORKLOAD, other] {
        let put = app.client.send("PUT", path, Some(slow.clone())).await;
        assert_eq!(put.status, 200);
    }
    add_trigger(&app, "u", &[("cluster_id", ""), ("cluster_name", "")]).await;

    push(&app, "v1", "one").await;

    let settled = app.get(&format!("{WAIT}&tag=v1&trigger=u")).await;
    assert_eq!(settled.status, 200, "{}", settled.text());
    let settled = settled.json();
    assert_eq!(settled["result"], "failed");
    let detail = settled["detail"].as_str().expect("a text");
    assert!(
        detail.starts_with("the trigger names no cluster"),
        "{detail}"
    );
    // The first one has not ended.
    let open = app.get("/_emulator/idle?timeout=1ms").await;
    assert_eq!(open.json(), json!({"fired": 1, "failed": 1, "open": 1}));
}

#[tokio::test]
async fn what_is_taken_away_or_changed_does_not_hold_up_the_next_push() {
    let seed = WORLD.replace(
        "{name: busybox}]",
        &format!("{{name: busybox, triggers: [{}]}}]", trigger("t")),
    );
    let app = TestApp::seeded(&seed).await;
    let image = format!("{}/group/busybox:1", app.client.address);
    let slow = |delay: u32| json!({"containers": [{"name": "busybox", "image": image}], "delay_ms": delay});
    let put = async |delay: u32| {
        let put = app.client.send("PUT", WORKLOAD, Some(slow(delay))).await;
        assert_eq!(put.status, 200, "{}", put.text());
    };
    for case in [
        "reset",
        "repository",
        "trigger",
        "workload",
        "shorter delay",
    ] {
        put(600_000).await;
        for tag in ["v1", "v2", "v3"] {
            push(&app, tag, "one").await;
        }
        assert_eq!(app.get("/_emulator/idle?timeout=1ms").await.status, 408);

        let repository = "/v2/manage/namespaces/group/repos/busybox";
        let mut expected = "success";
        match case {
            "reset" => {
                app.post("/_emulator/reset", json!({})).await.is(204, "");
            }
            "repository" => {
                app.delete(repository).await.is(204, "");
                put(0).await;
                let body = json!({"repository": "busybox", "is_public": false});
                app.post("/v2/manage/namespaces/group/repos", body).await;
                add_trigger(&app, "t", &[]).await;
            }
            "trigger" => {
                app.delete(&format!("{TRIGGERS}/t")).await.is(204, "");
                put(0).await;
                add_trigger(&app, "t", &[]).await;
            }
            "workload" => {
                app.delete(WORKLOAD).await.is(204, "");
                expected = "failed";
            }
            _ => put(1).await,
        }
        push(&app, "v4", case).await;

        let wait = "/_emulator/wait?namespace=group&repository=busybox&tag=v4&trigger=t";
        let settled = app.get(wait).await;
        assert_eq!(settled.status, 200, "{case}: {}", settled.text());
        assert_eq!(settled.json()["result"], expected, "{case}");
    }
}

#[tokio::test]
async fn explain_tells_what_a_push_would_do() {
    let app = with_trigger(&[]).await;
    add_trigger(
        &app,
        "tags",
        &[("trigger_type", "tag"), ("condition", "v1;v2")],
    )
    .await;
    add_trigger(&app, "lost", &[("application", "none")]).await;
    let host = &app.client.address;
    let explain = "/_emulator/explain?namespace=group&repository=busybox&tag=v3";
    let patch = json!({"spec": {"template": {
        "metadata": {"annotations": {"digest.swr-emulator/busybox": "{digest}"}},
        "spec": {"containers": [
            {"name": "busybox", "image": format!("{host}/group/busybox:v3")}]}}}});
    assert_eq!(
        app.get(explain).await.json(),
        json!([
            {"trigger": "t", "fires": true, "outcome": "updates",
             "reason": "every tag matches .*", "patch": patch},
            {"trigger": "tags", "fires": false, "outcome": "skipped",
             "reason": "tag v3 is not one of v1, v2", "patch": null},
            {"trigger": "lost", "fires": true, "outcome": "fails", "patch": null, "reason":
             "deployments \"none\" not found in namespace default of cluster test; \
             available: adsfa"}
        ])
    );
    assert!(history(&app, "t").await.is_empty());

    push(&app, "v3", "one").await;
    idle(&app).await;
    let explained = app.get(explain).await.json();
    assert_eq!(explained[0]["outcome"], "unchanged");
    assert_eq!(explained[0]["reason"], "template unchanged, no rollout");
}

const WAIT: &str = "/_emulator/wait?namespace=group&repository=busybox";
const PUSHES: &str = "/_emulator/pushes?namespace=group&repository=busybox";

#[tokio::test]
async fn wait_waits_for_the_push_and_for_one_after_another() {
    let app = with_trigger(&[]).await;
    let other = "/_emulator/wait?namespace=group&repository=none&tag=v1&trigger=t";
    app.get(other).await.refused(404, "4040010");
    let push_later = async |tag: &str, nonce: &str| {
        // Something that takes longer than the way of a request to its wait.
        for _ in 0..20 {
            app.get(TRIGGERS).await;
        }
        push(&app, tag, nonce).await
    };
    for trigger in ["&trigger=t", ""] {
        let tag = format!("v1{}", trigger.len());
        let path = format!("{WAIT}&tag={tag}&timeout=60s{trigger}");
        let (first, _) = tokio::join!(app.get(&path), push_later(&tag, "one"));
        assert_eq!(first.status, 200, "{}", first.text());
        assert_eq!(app.get(&path).await.status, 200, "the newest one is there");
        let newest = app.get(PUSHES).await.json()[0]["id"].clone();

        let path = format!("{path}&after={newest}");
        app.get(&path.replace("60s", "1ms"))
            .await
            .refused(408, "4040083");
        let (second, digest) = tokio::join!(app.get(&path), push_later(&tag, "two"));

        assert_eq!(second.status, 200, "{}", second.text());
        let pushed = app.get(PUSHES).await.json()[0].clone();
        assert_eq!(
            (&pushed["digest"], &pushed["tag"]),
            (&json!(digest), &json!(tag))
        );
        if trigger.is_empty() {
            assert_eq!(second.json(), pushed);
            assert_eq!(pushed["triggers"][0]["result"], "success");
        } else {
            assert_eq!(second.json()["result"], "success");
        }
    }
}

#[tokio::test]
async fn a_wait_ends_with_its_repository() {
    let app = with_trigger(&[]).await;
    let image = format!("{}/group/busybox:1", app.client.address);
    let slow = json!({"containers": [{"name": "busybox", "image": image}], "delay_ms": 600_000});
    app.client.send("PUT", WORKLOAD, Some(slow)).await;
    push(&app, "v1", "one").await;
    let waits =
        ["tag=v1&trigger=t", "tag=v1", "tag=v2"].map(|query| format!("{WAIT}&timeout=60s&{query}"));
    let waits = waits.iter().map(|path| app.get(path));
    let delete = async {
        for _ in 0..20 {
            app.get(TRIGGERS).await;
        }
        app.delete("/v2/manage/namespaces/group/repos/busybox")
            .await
    };
    let (answers, deleted) = tokio::join!(futures_util::future::join_all(waits), delete);
    deleted.is(204, "");
    for answer in answers {
        answer.refused(404, "4040010");
    }
}

#[tokio::test]
async fn a_wait_for_all_triggers_ends_where_none_fires() {
    let app = with_trigger(&[("enable", "false")]).await;
    push(&app, "v1", "one").await;
    let settled = app.get(&format!("{WAIT}&tag=v1")).await;
    assert_eq!(settled.status, 200, "{}", settled.text());
    let disabled = json!({"trigger": "t", "fires": false, "reason": "the trigger is disabled"});
    assert_eq!(settled.json()["triggers"], json!([disabled]));
}

#[tokio::test]
async fn a_wait_for_a_trigger_that_leaves_no_entry_says_why_at_once() {
    let app = TestApp::seeded(WORLD).await;
    let regular = [("trigger_type", "regular"), ("condition", "^v2")];
    add_trigger(&app, "regular", &regular).await;
    add_trigger(&app, "off", &[("enable", "false")]).await;
    add_trigger(&app, "anew", &regular).await;
    add_trigger(&app, "fired", &[]).await;
    push(&app, "v1", "one").await;
    idle(&app).await;
    app.patch(&format!("{TRIGGERS}/off"), json!({"enable": "true"}))
        .await
        .is(201, "{}");
    // Earlier by the clock than the push.
    let body = json!({"advance": "-1h"});
    assert_eq!(app.post("/_emulator/clock", body).await.status, 200);
    for name in ["anew", "fired"] {
        app.delete(&format!("{TRIGGERS}/{name}")).await.is(204, "");
        add_trigger(&app, name, &[]).await;
    }
    add_trigger(&app, "later", &[]).await;

    let made_later = "the trigger was created after this push";
    for (name, reason) in [
        ("regular", "^v2 does not match v1"),
        ("off", "the trigger is disabled"),
        ("anew", made_later),
        ("fired", made_later),
        ("later", made_later),
    ] {
        let answer = app.get(&format!("{WAIT}&tag=v1&trigger={name}")).await;
        assert_eq!(answer.status, 409, "{name}: {}", answer.text());
        let expected = json!({"trigger": name, "fires": false, "reason": reason});
        assert_eq!(answer.json(), expected);
    }
    let answer = app.get(&format!("{WAIT}&tag=v1&trigger=none")).await;
    assert_eq!(answer.refused(404, "4040126"), "Not found trigger");
    app.get(&format!("{WAIT}&tag=v9&trigger=none&timeout=1ms"))
        .await
        .refused(408, "4040083");
}

#[tokio::test]
async fn a_wait_knows_triggers_that_the_record_of_a_push_no_longer_names() {
    let mut triggers: Vec<_> = (0..100).map(|at| trigger(&format!("a{at:03}"))).collect();
    for trigger in &mut triggers {
        trigger["enable"] = json!("false");
    }
    for (name, kind, condition, enable) in [
        ("no-match", "regular", "^w", "true"),
        ("no-tag", "tag", "w;x", "true"),
        ("off", "all", ".*", "false"),
        ("on", "all", ".*", "true"),
        ("on-now-off", "all", ".*", "true"),
    ] {
        let mut one = trigger(name);
        one["trigger_type"] = json!(kind);
        one["condition"] = json!(condition);
        one["enable"] = json!(enable);
        triggers.push(one);
    }
    let mut seed: Value = json!({"organizations": [{"name": "group",
        "repositories": [{"name": "busybox", "triggers": triggers}]}]});
    seed["clusters"] = json!([]);
    let app = TestApp::seeded(&seed.to_string()).await;
    push(&app, "v1", "one").await;
    let ask = async |name: &str| {
        let answer = app.get(&format!("{WAIT}&tag=v1&trigger={name}")).await;
        (answer.status.as_u16(), answer.json())
    };
    assert_eq!(ask("on").await.0, 200);
    assert_eq!(ask("on-now-off").await.0, 200);
    for name in ["off", "on-now-off"] {
        let enable = json!({"enable": if name == "off" { "true" } else { "false" }});
        app.patch(&format!("{TRIGGERS}/{name}"), enable)
            .await
            .is(201, "{}");
    }
    let passed_over = |name: &str, reason: &str| {
        (
            409,
            json!({"trigger": name, "fires": false, "reason": reason}),
        )
    };
    for (name, reason) in [
        (
            "no-match",
            "^w does not match v1: a match cannot start with v",
        ),
        ("no-tag", "tag v1 is not one of w, x"),
        ("off", "the trigger is disabled"),
    ] {
        assert_eq!(ask(name).await, passed_over(name, reason));
    }
    assert_eq!(ask("on-now-off").await.0, 200);

    for at in 0..100 {
        push(&app, "v2", &at.to_string()).await;
    }
    idle(&app).await;
    let forgotten = "matched, but the history of the trigger no longer reaches back to this push";
    let expected = json!({"trigger": "on", "fires": true, "reason": forgotten});
    assert_eq!(ask("on").await, (409, expected));
    assert_eq!(ask("on-now-off").await.0, 200);
}

#[tokio::test]
async fn a_firing_that_is_tried_again_tells_tries_answer_and_the_next_try() {
    let app = with_trigger(&[]).await;
    let image = format!("{}/group/busybox:1", app.client.address);
    let fail = async |times: u32| {
        let mut body = json!({"containers": [{"name": "busybox", "image": image}]});
        if times > 0 {
            body["fail"] = json!({"status": 503, "times": times});
        }
        let answer = app.client.send("PUT", WORKLOAD, Some(body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    fail(2).await;
    push(&app, "v1", "one").await;
    idle(&app).await;
    let ended = without_rollouts(&app.get(PUSHES).await.json()[0]["triggers"]);
    let expected = json!([{"trigger": "t", "fires": true, "reason": "matched",
                           "result": "success", "detail": "", "tries": 3}]);
    assert_eq!(ended, expected);

    fail(1_000_000).await;
    push(&app, "v2", "two").await;
    let open = loop {
        let path = format!("{WAIT}&tag=v2&trigger=t&timeout=10ms");
        let waiting = app.get(&path).await;
        assert_eq!(waiting.status, 408, "{}", waiting.text());
        let open = waiting.json()["triggers"][0].clone();
        let is_later = open["tries"].as_u64().is_some_and(|tries| tries >= 2);
        if is_later && open["next_try_at"].is_string() {
            break open;
        }
    };
    assert_eq!(open["last_answer"], "the cluster answered 503");
    let begins = format!(
        "waiting: {} tries, the cluster answered 503, next in ",
        open["tries"]
    );
    let reason = open["reason"].as_str().expect("text");
    assert!(
        reason.starts_with(&begins) && reason.ends_with('s'),
        "{reason}"
    );
    let shown = app.get(PUSHES).await.json()[0]["triggers"][0].clone();
    assert_eq!(shown["last_answer"], "the cluster answered 503");
    // Nothing of it is left once it has ended.
    fail(0).await;
    idle(&app).await;
    let ended = app.get(PUSHES).await.json()[0]["triggers"][0].clone();
    assert_eq!(
        (&ended["reason"], &ended["last_answer"]),
        (&json!("matched"), &Value::Null)
    );
}

#[tokio::test]
async fn simulated_workloads_are_put_shown_listed_and_deleted() {
    let app = TestApp::seeded(WORLD).await;
    let path = "/_emulator/clusters/new/namespaces/prod/statefulsets/db";
    let body = json!({"containers": [{"name": "c", "image": "x:1"}],
                      "init_containers": [{"name": "i", "image": "x:1"}]});
    let put = app.client.send("PUT", path, Some(body.clone())).await;
    assert_eq!(put.status, 200);
    let mut expected = body;
    expected["annotations"] = json!({});
    expected["rollouts"] = json!([]);
    let at = put.json()["status"]["since"].clone();
    assert!(at.is_string(), "{}", put.text());
    expected["status"] = json!({"state": "healthy", "reason": "", "message": "", "since": at});
    let images = json!({"c": "x:1", "i": "x:1"});
    expected["revisions"] =
        json!([{"revision": 1, "at": at, "images": images, "state": "healthy"}]);
    assert_eq!(put.json(), expected);
    assert_eq!(app.get(path).await.json(), expected);
    assert_eq!(
        app.get("/_emulator/clusters").await.json(),
        json!({"clusters": [
            {"id": "5b28c12f-dc10-11e9-97b3-0255ac1001b5", "name": "test",
             "workloads": ["default/deployments/adsfa"]},
            {"id": "new", "name": "new", "workloads": ["prod/statefulsets/db"]}]})
    );
    app.delete(path).await.is(204, "");
    assert_eq!(app.get(path).await.status, 404);
    assert_eq!(app.delete(path).await.status, 404);
    for body in [
        json!({}),
        json!({"containers": []}),
        json!({"containers": [{"name": "c"}]}),
        json!({"containers": [{"name": "c", "image": "x"}, {"name": "c", "image": "x"}]}),
        json!({"containers": [{"name": "c", "image": "x"}], "fail": {"status": 200, "times": 1}}),
        json!({"containers": [{"name": "c", "image": "x"}], "delay_ms": -1}),
    ] {
        app.client
            .send("PUT", path, Some(body))
            .await
            .refused(400, "4000014");
    }
}

#[tokio::test]
async fn a_workload_that_is_put_is_read_as_in_the_seed_file() {
    let app = TestApp::seeded(WORLD).await;
    let path = "/_emulator/clusters/new/namespaces/prod/statefulsets/db";
    let image = |image: &str| json!({"containers": [{"name": "c", "image": image}]});
    let body = image("{registry}/group/busybox:v1");
    let put = app.client.send("PUT", path, Some(body)).await;
    assert_eq!(put.status, 200, "{}", put.text());
    let named = app.get(WORKLOAD).await.json()["containers"][0]["image"].clone();
    let registry = named.as_str().and_then(|image| image.split_once('/'));
    let (registry, _) = registry.expect("the seed file's image has a registry");
    assert_eq!(
        put.json()["containers"][0]["image"],
        json!(format!("{registry}/group/busybox:v1"))
    );
    for (body, part) in [
        (json!({"contaners": []}), "contaners: is not a field"),
        (json!({}), "containers: is mandatory"),
        (
            json!({"containers": [{"name": "c", "imgae": "x"}]}),
            "containers[0].imgae: is not a field",
        ),
        (
            json!({"containers": [{"name": "c", "image": "x"}],
                   "init_containers": [{"name": "i", "image": 1}]}),
            "init_containers[0].image: must be a string",
        ),
        (
            json!({"containers": [{"name": "c", "image": "x"}],
                   "fail": {"status": 500, "times": 1, "often": 1}}),
            "fail.often: is not a field",
        ),
        (
            image("{regsitry}/group/a"),
            "containers[0].image: must be an image",
        ),
        (image("HTTP://x y"), "containers[0].image: must be an image"),
    ] {
        let answer = app.client.send("PUT", path, Some(body)).await;
        assert!(answer.text().contains(part), "{part}: {}", answer.text());
        answer.refused(400, "4000014");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_pushes_at_once_fire_fifty_triggers_each_exactly_once() {
    let app = TestApp::seeded(WORLD).await;
    for at in 0..50 {
        add_trigger(&app, &format!("t{at}"), &[]).await;
    }
    let pushes = (0..200).map(|at| {
        let app = &app;
        async move { push(app, &format!("v{at}"), "same").await }
    });
    futures_util::future::join_all(pushes).await;

    let answer = app.get("/_emulator/idle?timeout=5m").await;
    assert_eq!(answer.json(), json!({"fired": 10_000, "failed": 0}));
    // Of the fifty firings of a push, at one workload, the first one changes the image.
    let rollouts = app.get(WORKLOAD).await.json()["rollouts"].clone();
    let count = rollouts.as_array().map(Vec::len);
    assert_eq!(count, Some(100), "the last hundred are shown");
    for at in [0, 49] {
        assert_eq!(
            history(&app, &format!("t{at}")).await.len(),
            100,
            "the last hundred are kept"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_push_loses_its_firing_over_kill_9() {
    let kept = Kept::seeded(WORLD);
    let mut pushed = Vec::new();
    for round in 0..6 {
        let process = kept.start(&["--registry-host", "registry.test", "--log-level", "warn"]);
        let client = process.client();
        if round == 0 {
            client
                .send("POST", TRIGGERS, Some(trigger("t")))
                .await
                .is(201, "{}");
        }
        for at in 0..5 {
            let tag = format!("v{round}-{at}");
            let body = json!({"namespace": "group", "repository": "busybox", "tag": tag});
            let answer = client.send("POST", "/_emulator/push", Some(body)).await;
            assert_eq!(answer.status, 201);
            pushed.insert(0, tag);
        }
        process.kill();
    }
    let process = kept.start(&["--registry-host", "registry.test", "--log-level", "warn"]);
    let client = process.client();
    let idle = client
        .send("GET", "/_emulator/idle?timeout=60s", None)
        .await;
    assert_eq!(idle.status, 200, "{}", idle.text());
    let shown = client
        .send("GET", &format!("{TRIGGERS}/t"), None)
        .await
        .json();
    let entries = shown["trigger_history"].as_array().expect("a list").iter();
    let tags: Vec<_> = entries
        .map(|entry| entry["tag"].as_str().expect("a tag"))
        .collect();
    assert_eq!(tags, pushed, "one entry for each push, in order");
}
