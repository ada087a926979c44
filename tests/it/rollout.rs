//! What comes of an update in a simulated cluster: planned outcomes, the clock, revisions, and
//! waiting until a workload is healthy. Real clusters are in `kubernetes`.

use serde_json::{Value, json};

use crate::support::{Client, Kept, TRIGGERS, TestApp, WORLD, trigger};

const WORKLOAD: &str = "/_emulator/clusters/test/namespaces/default/deployments/adsfa";
const WAIT: &str = "/_emulator/wait?namespace=group&repository=busybox&timeout=60s";
const PUSHES: &str = "/_emulator/pushes?namespace=group&repository=busybox";
const TAGS: &str = "/v2/manage/namespaces/group/repos/busybox/tags";

/// Makes the workload anew: what its updates come to, and more of its body.
async fn put(client: &Client, rollout: Value, more: Value) {
    let image = "{registry}/group/busybox:1";
    let mut body = json!({"containers": [{"name": "busybox", "image": image}]});
    if !rollout.is_null() {
        body["rollout"] = rollout;
    }
    for (field, value) in more.as_object().expect("an object") {
        body[field] = value.clone();
    }
    let answer = client.send("PUT", WORKLOAD, Some(body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn push(client: &Client, tag: &str) {
    let body = json!({"namespace": "group", "repository": "busybox", "tag": tag});
    let answer = client.send("POST", "/_emulator/push", Some(body)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

async fn advance(client: &Client, by: &str) {
    let body = json!({"advance": by});
    let answer = client.send("POST", "/_emulator/clock", Some(body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Waits for the trigger `t`: the status, and the body.
async fn wait(client: &Client, tag: &str, until: &str) -> (u16, Value) {
    let path = format!("{WAIT}&trigger=t&tag={tag}&until={until}");
    let answer = client.send("GET", &path, None).await;
    (answer.status.as_u16(), answer.json())
}

async fn fired(client: &Client, tag: &str) {
    let (status, body) = wait(client, tag, "fired").await;
    assert_eq!(
        (status, &body["result"]),
        (200, &json!("success")),
        "{body}"
    );
}

/// The rollout of the trigger `t` at the newest push of a tag.
async fn rollout(client: &Client, tag: &str) -> Value {
    let path = format!("{PUSHES}&tag={tag}");
    client.send("GET", &path, None).await.json()[0]["triggers"][0]["rollout"].clone()
}

/// State, reason and message.
fn told(rollout: &Value) -> [&str; 3] {
    ["state", "reason", "message"].map(|field| rollout[field].as_str().expect("text"))
}

async fn world() -> TestApp {
    let app = TestApp::seeded(WORLD).await;
    app.post(TRIGGERS, trigger("t")).await.is(201, "{}");
    app
}

const SUPERSEDED: [&str; 3] = [
    "unknown",
    "Superseded",
    "a later update came before this rollout ended",
];

#[tokio::test]
async fn each_planned_outcome_is_answered_with_the_message_of_the_pod() {
    let app = world().await;
    let image = format!("{}/group/busybox:v1", app.client.address);
    let pull = format!("Back-off pulling image \"{image}\"");
    for (plan, status, expected) in [
        (Value::Null, 200, ["healthy", "", ""]),
        (json!({"outcome": "healthy"}), 200, ["healthy", "", ""]),
        (
            json!({"outcome": "ImagePullBackOff"}),
            409,
            ["degraded", "ImagePullBackOff", &pull],
        ),
        (
            json!({"outcome": "CrashLoopBackOff", "after": "0s", "message": "exit code 3"}),
            409,
            ["degraded", "CrashLoopBackOff", "exit code 3"],
        ),
        (
            json!({"outcome": "stalled"}),
            409,
            [
                "degraded",
                "ProgressDeadlineExceeded",
                "deployment \"adsfa\" exceeded its progress deadline",
            ],
        ),
    ] {
        put(&app.client, plan.clone(), json!({})).await;
        push(&app.client, "v1").await;
        let (found, body) = wait(&app.client, "v1", "healthy").await;
        assert_eq!(found, status, "{body}");
        assert_eq!(told(&body["rollout"]), expected);
        let workload = json!({
            "cluster": "5b28c12f-dc10-11e9-97b3-0255ac1001b5", "namespace": "default",
            "kind": "deployments", "name": "adsfa", "container": "",
        });
        assert_eq!(body["workload"], workload);
        assert_eq!(rollout(&app.client, "v1").await, body["rollout"]);
        // The cluster took the patch, which is all that SWR's own result tells.
        assert_eq!(body["result"], "success");
        let (found, entry) = wait(&app.client, "v1", "fired").await;
        assert_eq!((found, entry.get("rollout")), (200, None), "{entry}");
        let shown = app.get(WORKLOAD).await.json();
        assert_eq!(shown.get("rollout").cloned().unwrap_or_default(), plan);
        assert_eq!(told(&shown["status"]), expected);
        assert_eq!(shown["status"]["since"], body["rollout"]["since"]);
    }
}

#[tokio::test]
async fn a_rollout_ends_when_the_clock_of_the_instance_says_so() {
    let app = world().await;
    let plan = json!({"outcome": "CrashLoopBackOff", "after": "1h"});
    put(&app.client, plan, json!({})).await;
    push(&app.client, "v1").await;
    fired(&app.client, "v1").await;
    let path = format!("{WAIT}&trigger=t&tag=v1&until=healthy").replace("60s", "1ms");
    let late = app.get(&path).await;
    assert_eq!(late.status, 408, "{}", late.text());
    let open = late.json()["triggers"][0]["rollout"].clone();
    assert_eq!(told(&open)[..2], ["progressing", ""]);
    assert_eq!(
        app.get(WORKLOAD).await.json()["status"]["state"],
        "progressing"
    );
    advance(&app.client, "59m").await;
    assert_eq!(rollout(&app.client, "v1").await, open);

    let waits = wait(&app.client, "v1", "healthy");
    let (ended, ()) = tokio::join!(waits, advance(&app.client, "1m"));

    let (status, body) = ended;
    assert_eq!(status, 409, "{body}");
    let message = "back-off 10s restarting failed container=busybox";
    let expected = ["degraded", "CrashLoopBackOff", message];
    assert_eq!(told(&body["rollout"]), expected);
    let time = |value: &Value| -> jiff::Timestamp {
        let text = value.as_str().expect("text");
        text.parse().expect("a time")
    };
    let took = time(&body["rollout"]["since"]).duration_since(time(&open["since"]));
    assert_eq!(took.as_secs(), 3600);
    let shown = app.get(WORKLOAD).await.json();
    assert_eq!(told(&shown["status"]), expected);
    let states: Vec<_> = (0..2).map(|at| &shown["revisions"][at]["state"]).collect();
    assert_eq!(states, ["degraded", "healthy"]);
}

#[tokio::test]
async fn a_rollout_that_takes_a_moment_ends_by_itself() {
    let app = world().await;
    put(
        &app.client,
        json!({"outcome": "healthy", "after": "20ms"}),
        json!({}),
    )
    .await;
    push(&app.client, "v1").await;
    let (status, body) = wait(&app.client, "v1", "healthy").await;
    assert_eq!((status, &body["tag"]), (200, &json!("v1")), "{body}");
    assert_eq!(told(&body["rollout"]), ["healthy", "", ""]);
}

/// How the programs are started that share a data folder.
const KEPT: [&str; 4] = ["--registry-host", "registry.test", "--log-level", "warn"];

/// Starts a program, pushes to a workload with a plan, and kills the program once the trigger has
/// fired.
async fn fire_and_crash(kept: &Kept, plan: Value) {
    let process = kept.start(&KEPT);
    let client = process.client();
    let created = client.send("POST", TRIGGERS, Some(trigger("t"))).await;
    created.is(201, "{}");
    put(&client, plan, json!({})).await;
    push(&client, "v1").await;
    fired(&client, "v1").await;
    process.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_in_progress_goes_on_after_a_restart() {
    let kept = Kept::seeded(WORLD);
    fire_and_crash(&kept, json!({"outcome": "healthy", "after": "1h"})).await;

    let process = kept.start(&KEPT);
    let client = process.client();
    assert_eq!(told(&rollout(&client, "v1").await)[0], "progressing");
    advance(&client, "2h").await;
    let (status, body) = wait(&client, "v1", "healthy").await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_rollout_that_a_crash_interrupts_ends_by_itself_after_the_restart() {
    let kept = Kept::seeded(WORLD);
    fire_and_crash(&kept, json!({"outcome": "stalled", "after": "1s"})).await;

    let process = kept.start(&KEPT);
    let (status, body) = wait(&process.client(), "v1", "healthy").await;
    assert_eq!(status, 409, "{body}");
    assert_eq!(body["rollout"]["reason"], "ProgressDeadlineExceeded");
}

#[tokio::test]
async fn an_image_that_was_deleted_meanwhile_cannot_be_pulled() {
    let app = world().await;
    let check = async |tag: &str| {
        let (status, body) = wait(&app.client, tag, "healthy").await;
        assert_eq!(status, 409, "{body}");
        let image = format!("{}/group/busybox:{tag}", app.client.address);
        let message =
            format!("Back-off pulling image \"{image}\": ErrImagePull: {image}: not found");
        let expected = ["degraded", "ImagePullBackOff", &message];
        assert_eq!(told(&body["rollout"]), expected);
    };
    // Before the update.
    put(&app.client, Value::Null, json!({"delay_ms": 600_000})).await;
    push(&app.client, "v1").await;
    app.delete(&format!("{TAGS}/v1")).await;
    put(&app.client, Value::Null, json!({})).await;
    check("v1").await;
    // While its rollout goes on.
    let plan = json!({"outcome": "healthy", "after": "1h"});
    put(&app.client, plan, json!({})).await;
    push(&app.client, "v2").await;
    fired(&app.client, "v2").await;
    app.delete(&format!("{TAGS}/v2")).await;
    assert_eq!(told(&rollout(&app.client, "v2").await)[0], "progressing");
    advance(&app.client, "1h").await;
    check("v2").await;
    // Later it does not matter.
    put(&app.client, Value::Null, json!({})).await;
    push(&app.client, "v3").await;
    fired(&app.client, "v3").await;
    app.delete(&format!("{TAGS}/v3")).await;
    assert_eq!(told(&rollout(&app.client, "v3").await), ["healthy", "", ""]);
}

#[tokio::test]
async fn what_ends_a_rollout_early_leaves_it_unknown() {
    let app = world().await;
    let plan = json!({"outcome": "healthy", "after": "1h"});
    put(&app.client, plan, json!({})).await;
    push(&app.client, "v1").await;
    fired(&app.client, "v1").await;
    push(&app.client, "v2").await;
    fired(&app.client, "v2").await;
    let (status, body) = wait(&app.client, "v1", "healthy").await;
    assert_eq!((status, told(&body["rollout"])), (409, SUPERSEDED));
    let shown = app.get(WORKLOAD).await.json();
    let states: Vec<_> = (0..3).map(|at| &shown["revisions"][at]["state"]).collect();
    assert_eq!(states, ["progressing", "unknown", "healthy"]);
    assert_eq!(told(&rollout(&app.client, "v2").await)[0], "progressing");

    app.delete(WORKLOAD).await.is(204, "");
    let (status, body) = wait(&app.client, "v2", "healthy").await;
    let message = "the workload was deleted or replaced before this rollout ended";
    let expected = ["unknown", "Deleted", message];
    assert_eq!((status, told(&body["rollout"])), (409, expected));
}

#[tokio::test]
async fn a_firing_that_changes_nothing_has_the_rollout_of_the_one_that_did() {
    let app = world().await;
    app.post(TRIGGERS, trigger("u")).await.is(201, "{}");
    let plan = json!({"outcome": "ImagePullBackOff", "after": "1h"});
    put(&app.client, plan, json!({})).await;
    push(&app.client, "v1").await;
    fired(&app.client, "v1").await;
    let both = async || {
        let path = format!("{WAIT}&tag=v1");
        let push = app.get(&path).await.json();
        [0, 1].map(|at| push["triggers"][at].clone())
    };
    let [t, u] = both().await;
    assert_eq!(t["rollout"]["state"], "progressing");
    assert_eq!(t["rollout"]["since"], u["rollout"]["since"]);
    assert_eq!(u["detail"], "template unchanged, no rollout");
    advance(&app.client, "1h").await;
    let [t, u] = both().await;
    assert_eq!(t["rollout"]["reason"], "ImagePullBackOff");
    assert_eq!(t["rollout"], u["rollout"]);
}

#[tokio::test]
async fn waiting_for_all_triggers_ends_with_the_first_that_is_lost() {
    let app = world().await;
    let mut other = trigger("u");
    other["application"] = json!("other");
    app.post(TRIGGERS, other).await.is(201, "{}");
    let workload = WORKLOAD.replace("adsfa", "other");
    let put_other = async |more: Value| {
        let image = "{registry}/group/busybox:1";
        let mut body = json!({"containers": [{"name": "c", "image": image}]});
        for (field, value) in more.as_object().expect("an object") {
            body[field] = value.clone();
        }
        let answer = app.client.send("PUT", &workload, Some(body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let all = async |tag: &str| {
        let path = format!("{WAIT}&tag={tag}&until=healthy");
        let answer = app.get(&path).await;
        assert_eq!(answer.json()["tag"], tag, "{}", answer.text());
        answer.status
    };
    // One is degraded, the other one waits.
    put(&app.client, json!({"outcome": "stalled"}), json!({})).await;
    put_other(json!({"delay_ms": 600_000})).await;
    push(&app.client, "v1").await;
    assert_eq!(all("v1").await, 409);
    // One is healthy, the other one goes on, and then is healthy too.
    put(&app.client, Value::Null, json!({})).await;
    put_other(json!({"rollout": {"outcome": "healthy", "after": "1h"}})).await;
    push(&app.client, "v2").await;
    assert_eq!(app.get(&format!("{WAIT}&tag=v2")).await.status, 200);
    let (status, ()) = tokio::join!(all("v2"), advance(&app.client, "1h"));
    assert_eq!(status, 200);
    // A firing that fails has no rollout.
    put_other(json!({"fail": {"status": 403, "times": 1}})).await;
    push(&app.client, "v3").await;
    assert_eq!(all("v3").await, 409);
    let path = format!("{WAIT}&tag=v3&trigger=u&until=healthy");
    let failed = app.get(&path).await;
    assert_eq!(failed.status, 409, "{}", failed.text());
    let failed = failed.json();
    assert_eq!(failed["detail"], "the cluster answered 403");
    assert_eq!(failed.get("rollout"), None);
    assert_eq!(failed["workload"]["name"], "other");
    // A push that fires nothing is settled.
    for name in ["t", "u"] {
        app.delete(&format!("{TRIGGERS}/{name}")).await.is(204, "");
    }
    push(&app.client, "v4").await;
    assert_eq!(all("v4").await, 200);
    let refused = app.get(&format!("{WAIT}&tag=v4&until=ready")).await;
    let message = refused.refused(400, "4001025");
    assert!(
        message.contains("until: must be fired or healthy"),
        "{message}"
    );
}

#[tokio::test]
async fn a_workload_keeps_its_newest_hundred_revisions() {
    let app = world().await;
    put(&app.client, Value::Null, json!({})).await;
    let first = app.get(WORKLOAD).await.json()["revisions"].clone();
    let images =
        |tag: &str| json!({"busybox": format!("{}/group/busybox:{tag}", app.client.address)});
    assert_eq!(first.as_array().map(Vec::len), Some(1));
    assert_eq!(first[0]["images"], images("1"));
    for at in 1..=101 {
        push(&app.client, &format!("v{at}")).await;
        if at == 2 {
            fired(&app.client, "v2").await;
            let revisions = app.get(WORKLOAD).await.json()["revisions"].clone();
            assert_eq!(revisions[2], first[0]);
            assert_eq!(revisions[0]["images"], images("v2"));
        }
    }
    fired(&app.client, "v101").await;
    let revisions = app.get(WORKLOAD).await.json()["revisions"].clone();
    let numbers = revisions.as_array().expect("a list").iter();
    let numbers: Vec<_> = numbers
        .map(|one| one["revision"].as_i64().expect("a number"))
        .collect();
    assert_eq!(numbers, (3..=102).rev().collect::<Vec<_>>());
    assert_eq!(revisions[0]["images"], images("v101"));
}

#[tokio::test]
async fn a_plan_that_breaks_a_rule_is_refused() {
    let app = world().await;
    for (plan, expected) in [
        (
            json!({"outcome": "OOMKilled"}),
            "rollout.outcome: must be one of healthy, ImagePullBackOff, CrashLoopBackOff, stalled",
        ),
        (json!({}), "rollout.outcome: is mandatory"),
        (
            json!({"outcome": "healthy", "after": "soon"}),
            "rollout.after: must be a duration like 2s or 10m, less than 365d",
        ),
        (
            json!({"outcome": "healthy", "after": "-1s"}),
            "rollout.after: must be a duration",
        ),
        (
            json!({"outcome": "healthy", "message": "x".repeat(1001)}),
            "rollout.message: must have at most 1000 characters",
        ),
        (
            json!({"outcome": "healthy", "when": "now"}),
            "rollout.when: is not a field of a rollout; must be one of outcome, after, message",
        ),
        (json!("healthy"), "rollout: must be an object"),
    ] {
        let body = json!({"containers": [{"name": "c", "image": "x"}], "rollout": plan});
        let answer = app.client.send("PUT", WORKLOAD, Some(body)).await;
        let message = answer.refused(400, "4000014");
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[tokio::test]
async fn a_plan_of_the_seed_file_counts_and_is_exported() {
    let plan = json!({"outcome": "CrashLoopBackOff", "after": "2s", "message": "no: #1"});
    let workload = json!({
        "name": "adsfa", "rollout": plan,
        "containers": [{"name": "c", "image": "{registry}/group/busybox:1"}],
    });
    let seed = json!({"clusters": [
        {"name": "test", "namespaces": [{"name": "default", "deployments": [workload]}]},
    ]});
    let app = TestApp::seeded(&seed.to_string()).await;
    assert_eq!(app.get(WORKLOAD).await.json()["rollout"], plan);
    let exported = app.get("/_emulator/seed").await;
    let rollout = "            rollout:
              outcome: CrashLoopBackOff
              after: \"2s\"
              message: \"no: #1\"\n";
    assert!(exported.text().contains(rollout), "{}", exported.text());
}

#[tokio::test]
async fn a_rollout_of_a_snapshot_goes_on_where_it_is_loaded() {
    let app = world().await;
    put(
        &app.client,
        json!({"outcome": "healthy", "after": "1h"}),
        json!({}),
    )
    .await;
    push(&app.client, "v1").await;
    fired(&app.client, "v1").await;
    let snapshot = app.get("/_emulator/snapshot").await.body;
    let other = TestApp::seeded(WORLD).await;
    crate::snapshot::load(&other.client, snapshot)
        .await
        .is(204, "");

    advance(&other.client, "1h").await;

    let (status, body) = wait(&other.client, "v1", "healthy").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(told(&rollout(&app.client, "v1").await)[0], "progressing");
    let image = format!("{}/group/busybox:v1", other.client.address);
    let shown = other.get(WORKLOAD).await.json();
    assert_eq!(shown["revisions"][0]["images"], json!({"busybox": image}));
}

#[tokio::test]
async fn a_reset_ends_what_goes_on() {
    let app = world().await;
    put(
        &app.client,
        json!({"outcome": "stalled", "after": "1h"}),
        json!({}),
    )
    .await;
    push(&app.client, "v1").await;
    fired(&app.client, "v1").await;
    let path = format!("{WAIT}&trigger=t&tag=v1&until=healthy");
    let reset = async {
        app.post("/_emulator/reset", json!({})).await.is(204, "");
    };
    let (waited, ()) = tokio::join!(app.get(&path), reset);
    assert_eq!(waited.status, 404, "{}", waited.text());
    advance(&app.client, "1h").await;
    assert_eq!(app.get(WORKLOAD).await.json()["status"]["state"], "healthy");
}
