//! The emulator inside a test in Rust: `swr_emulator::testing`.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use swr_emulator::testing::{Error, Fault, Outcome, Requests};
use swr_emulator::{Config, Emulator, StartError};

use crate::support::{Client, OCI_MANIFEST, Registry, TOKEN, program};

const SEED: &str = include_str!("../clients/rust/tests/seed.yaml");
const SHORTEST: &str = include_str!("../clients/rust/tests/shortest.rs");
const IMAGE: &str = "group/busybox:v2";

async fn start() -> Emulator {
    let emulator = Emulator::builder().seed(SEED).start().await;
    emulator.expect("the emulator starts")
}

fn client(emulator: &Emulator) -> Client {
    Client {
        address: emulator.registry(),
        token: Some(TOKEN.to_owned()),
    }
}

/// The text that some work panics with.
async fn panic_of<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> String {
    let error = tokio::spawn(work).await.err().expect("it panics");
    let text = error.into_panic().downcast::<String>();
    *text.expect("a text")
}

#[test]
fn the_guide_shows_the_shortest_test_and_its_seed_as_they_are_run() {
    let guide = include_str!("../../src/guide/testing.md");
    assert!(guide.contains(&format!("```rust\n{SHORTEST}```\n")));
    assert!(guide.contains(&format!("```yaml\n{SEED}```\n")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_has_the_variables_that_the_program_prints() {
    let check = async |emulator: &Emulator| {
        let mut program = program(&["env", "--for", "shell"]);
        let printed = program.env("SWR_EMULATOR_URL", emulator.url());
        let printed = tokio::task::block_in_place(|| printed.output().expect("it runs"));
        let printed = String::from_utf8(printed.stdout).expect("UTF-8");
        let ours = emulator.env().into_iter();
        let ours = ours.map(|(name, value)| format!("export {name}='{value}'"));
        let printed: Vec<_> = printed.lines().collect();
        assert_eq!(ours.collect::<Vec<_>>(), printed);
    };
    let emulator = Emulator::builder().region("cn-east-3").start().await;
    let emulator = emulator.expect("it starts");
    check(&emulator).await;
    let variables = emulator.env();
    let get = |name: &str| {
        let mut found = variables.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| &**value)
    };
    assert_eq!(get("SWR_EMULATOR_REGISTRY"), Some(&*emulator.registry()));
    assert_eq!(get("SWR_EMULATOR_TOKEN"), emulator.token());
    assert_eq!(emulator.url(), format!("http://{}", emulator.registry()));
    let url = get("HUAWEICLOUD_SDK_REGION_SWR_CN_EAST_3");
    assert_eq!(url, Some(&*emulator.url()));

    let seed = "{builtin_account: false, accounts: [{name: a, users: [{name: u}]}]}";
    let other = Emulator::builder().seed(seed).start().await;
    let other = other.expect("it starts");
    check(&other).await;
    assert_eq!(other.token(), None);

    let seed = "{regions: [{name: r2, listen: '127.0.0.1:0'}]}";
    let two = Emulator::builder().seed(seed).start().await;
    let two = two.expect("it starts");
    let (_, address) = two.addresses().last().expect("the second one");
    let last = two.env().pop().expect("a variable");
    let url = format!("http://{address}");
    assert_eq!(last, ("HUAWEICLOUD_SDK_REGION_SWR_R2".to_owned(), url));
    assert!(
        two.env()
            .contains(&("SWR_EMULATOR_URL".to_owned(), two.url()))
    );
}

#[tokio::test]
async fn a_region_that_breaks_the_rule_does_not_start() {
    let refused = Emulator::builder().region("CN north").start().await;
    let refused = refused.expect_err("refused");
    assert!(matches!(refused, StartError::Region(_)));
    assert_eq!(
        refused.to_string(),
        "region: must have 1 to 64 lower-case letters, digits and hyphens"
    );
    assert_eq!(format!("{refused:?}"), refused.to_string());
}

#[tokio::test]
async fn other_settings_hold_and_the_builder_decides_on_address_and_folder() {
    let config = Config {
        quota_namespaces: 0,
        region: "r1".to_owned(),
        ..Config::default()
    };
    let build = || Emulator::builder().config(config.clone());
    let (one, other) = tokio::join!(build().start(), build().region("r2").start());
    let (one, other) = (one.expect("started"), other.expect("started"));
    assert_ne!(one.address().port(), 7970);
    let client = client(&one);
    let created = client.send(
        "POST",
        "/v2/manage/namespaces",
        Some(json!({"namespace": "a"})),
    );
    assert_ne!(created.await.status, 201);
    let region = |emulator: &Emulator| emulator.addresses().next().expect("one").0.to_owned();
    assert_eq!((&*region(&one), &*region(&other)), ("r1", "r2"));

    let folder = tempfile::tempdir().expect("a folder");
    let kept = build()
        .data_dir(folder.path())
        .start()
        .await
        .expect("started");
    assert_eq!(kept.data_folder(), folder.path());
    kept.stop().await;
    assert!(folder.path().join("swr-emulator.db").exists());
    let fresh = build().data_dir(folder.path()).ephemeral().start().await;
    assert_ne!(fresh.expect("started").data_folder(), folder.path());
}

#[tokio::test]
async fn a_push_stores_an_image_that_clients_pull() {
    let emulator = start().await;
    let digest = emulator.push("group/new/app:v1").await.expect("pushed");

    let registry = Registry::admin(&client(&emulator), &["group/new/app"]).await;
    let headers = [("Accept", OCI_MANIFEST)];
    let manifest = registry
        .send("GET", "/v2/group/new/app/manifests/v1", &headers, "")
        .await;
    assert_eq!(manifest.header("docker-content-digest"), Some(&*digest));
    let manifest = manifest.json();
    for part in [&manifest["config"], &manifest["layers"][0]] {
        let digest = part["digest"].as_str().expect("a digest");
        let blob = registry
            .get(&format!("/v2/group/new/app/blobs/{digest}"))
            .await;
        assert_eq!(crate::support::digest(&blob.body), digest);
    }
}

#[tokio::test]
async fn each_push_has_content_of_its_own_unless_it_is_given() {
    let emulator = start().await;
    let mut digests = BTreeSet::new();
    for image in [IMAGE, IMAGE, "group/busybox:v3"] {
        digests.insert(emulator.push(image).await.expect("pushed"));
    }
    assert_eq!(digests.len(), 3);
    let one = emulator.push_content(IMAGE, "a").await.expect("pushed");
    let named = format!("{}/group/other:v3", emulator.registry());
    assert_eq!(
        emulator.push_content(&named, "a").await.expect("pushed"),
        one
    );
    assert_ne!(
        emulator.push_content(IMAGE, "b").await.expect("pushed"),
        one
    );
}

#[tokio::test]
async fn a_push_is_in_the_name_of_an_administrator_of_the_account() {
    let seed = "
builtin_account: false
accounts: [{name: a, users: [{name: dev, token: t}, {name: boss, admin: true}]}, {name: empty}]
organizations: [{name: group, account: a, creator: dev}]";
    let emulator = Emulator::builder()
        .seed(seed)
        .start()
        .await
        .expect("started");
    emulator.push(IMAGE).await.expect("pushed");
    let dev = Client {
        token: Some("t".to_owned()),
        ..client(&emulator)
    };
    let path = "/_emulator/pushes?namespace=group&repository=busybox";
    let pushes = dev.send("GET", path, None).await.json();
    assert_eq!(pushes[0]["pushed_by"], "boss");
}

#[tokio::test]
async fn a_wait_returns_the_entry_of_the_push_that_is_there_or_comes() {
    let emulator = start().await;
    let (entry, pushed) = tokio::join!(emulator.wait(IMAGE, "on-push"), emulator.push(IMAGE));
    pushed.expect("pushed");
    let entry = entry.expect("fired");
    assert_eq!(
        (&*entry.trigger, &*entry.tag, entry.result, &*entry.reason),
        ("on-push", "v2", Outcome::Success, "")
    );
    assert_eq!(
        (&*entry.kind, &*entry.workload, &*entry.cluster_namespace),
        ("deployments", "web", "default")
    );
    assert_eq!((&*entry.cluster_id, &*entry.condition), ("test", "^v[0-9]"));
    assert!(entry.recorded_at.ends_with('Z'), "{}", entry.recorded_at);
    let workload = "/_emulator/clusters/test/namespaces/default/deployments/web";
    let workload = client(&emulator).send("GET", workload, None).await.json();
    assert!(
        workload.to_string().contains("/group/busybox:v2"),
        "{workload}"
    );
    assert_eq!(emulator.assert_fired(IMAGE, "on-push").await, entry);
}

#[tokio::test]
async fn what_cannot_be_waited_for_is_told_in_a_sentence() {
    let emulator = Emulator::builder().seed(SEED).patience(Duration::ZERO);
    let emulator = emulator.start().await.expect("started");
    emulator.push("group/busybox:latest").await.expect("pushed");
    let check = async |image: &str, trigger: &str, expected: &str| {
        let error = emulator.wait(image, trigger).await.expect_err("an error");
        assert_eq!(error.to_string(), expected);
        assert_eq!(format!("{error:?}"), expected);
    };
    check(
        "busybox",
        "t",
        "image: must be organization/repository:tag, like group/busybox:v2, not \"busybox\"",
    )
    .await;
    check(
        "group/busybox:",
        "t",
        "tag: must have 1 to 128 letters, digits, _ . - and not start with . or -",
    )
    .await;
    check(IMAGE, "", "trigger: must have 1 to 64 characters").await;
    check(
        "nobody/a:v1",
        "t",
        "the organization nobody does not exist; add it to the seed",
    )
    .await;
    check(
        "group/a:v1",
        "t",
        "the repository group/a does not exist; add it to the seed or push to it",
    )
    .await;
    check(
        IMAGE,
        "on-push",
        "no push of group/busybox:v2 arrived in time",
    )
    .await;
    check(
        "group/busybox:latest",
        "on-pull",
        "the repository of group/busybox:latest has no trigger named on-pull",
    )
    .await;
    check(
        "group/busybox:latest",
        "on-push",
        "group/busybox:latest did not fire the trigger on-push: ^v[0-9] does not match latest",
    )
    .await;
    let refused = emulator.push("nobody/a:v1").await.expect_err("refused");
    assert!(matches!(refused, Error::NoOrganization(name) if name == "nobody"));
}

#[tokio::test]
async fn a_failed_assertion_shows_its_place_and_what_became_of_each_trigger() {
    let seed = SEED.replace(
        "        triggers:\n",
        "        triggers:
          - {name: other, action: update, app_type: deployments, application: nothing,
             cluster_id: test, cluster_ns: default, trigger_mode: cce,
             trigger_type: all, condition: \".*\", enable: \"true\"}\n",
    );
    let emulator = Emulator::builder().seed(seed).start().await;
    let emulator = Arc::new(emulator.expect("started"));
    let latest = "group/busybox:latest";
    let digest = emulator.push(latest).await.expect("pushed");
    let failed = emulator.wait(latest, "other").await;
    assert_eq!(failed.expect("fired").result, Outcome::Failed);

    let missing = "deployments \"nothing\" not found in namespace default of cluster test; \
                   available: web";
    let shared = Arc::clone(&emulator);
    let line = line!() + 1;
    let text = panic_of(async move { shared.assert_fired(latest, "on-push").await }).await;

    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or_default();
    assert_eq!(
        next(),
        "group/busybox:latest did not fire the trigger on-push: ^v[0-9] does not match latest"
    );
    assert!(
        next().starts_with(&format!("  at tests/it/testing.rs:{line}:")),
        "{text}"
    );
    let head = next();
    assert!(
        head.starts_with("Push 1 of group/busybox:latest by admin, 20"),
        "{text}"
    );
    assert!(head.ends_with(&format!(", {digest}:")), "{text}");
    let mut decisions = [next(), next()];
    decisions.sort_unstable();
    assert_eq!(
        decisions,
        [
            "  on-push: did not fire: ^v[0-9] does not match latest",
            &format!("  other: failed: {missing}"),
        ]
    );
    assert_eq!(next(), "A push of latest now:");
    assert_eq!(next(), format!("  other: would fail: {missing}"));
    assert_eq!(
        next(),
        "  on-push: would not fire: ^v[0-9] does not match latest: a match cannot start with l"
    );
    assert_eq!(next(), "");

    let shared = Arc::clone(&emulator);
    let text = panic_of(async move { shared.assert_fired(latest, "other").await }).await;
    let head = format!("group/busybox:latest fired the trigger other, which failed: {missing}\n");
    assert!(text.starts_with(&head), "{text}");
    let shared = Arc::clone(&emulator);
    let line = line!() + 1;
    let text = panic_of(async move { shared.assert_not_fired(latest, "other").await }).await;
    let head = format!(
        "group/busybox:latest fired the trigger other: failed\n  at tests/it/testing.rs:{line}:"
    );
    assert!(text.starts_with(&head), "{text}");
    let reason = emulator.assert_not_fired(latest, "on-push").await;
    assert_eq!(reason, "^v[0-9] does not match latest");
}

#[tokio::test]
async fn a_failed_assertion_on_a_push_that_did_not_come_names_those_that_came() {
    let emulator = Emulator::builder().seed(SEED).patience(Duration::ZERO);
    let emulator = Arc::new(emulator.start().await.expect("started"));
    let shared = Arc::clone(&emulator);
    let text = panic_of(async move { shared.assert_not_fired(IMAGE, "on-push").await }).await;
    let told = "\nThe tag v2 was not pushed; group/busybox got nothing.\n";
    assert!(
        text.starts_with("no push of group/busybox:v2 arrived in time\n"),
        "{text}"
    );
    assert!(text.contains(told), "{text}");
    for tag in ["v1", "latest"] {
        let image = format!("group/busybox:{tag}");
        emulator.push(&image).await.expect("pushed");
    }
    let text = panic_of(async move { emulator.assert_not_fired(IMAGE, "typo").await }).await;
    let told = "\nThe tag v2 was not pushed; group/busybox got latest, v1.\nA push of v2 now:\n  \
                on-push: would update the workload: ";
    assert!(text.contains(told), "{text}");
}

#[tokio::test]
async fn a_firing_that_its_trigger_no_longer_remembers_is_still_one() {
    let emulator = Arc::new(start().await);
    emulator.push(IMAGE).await.expect("pushed");
    emulator.assert_fired(IMAGE, "on-push").await;
    let others: Vec<_> = (0..100)
        .map(|at| format!("group/busybox:v3-{at}"))
        .collect();
    let pushes = join_all(others.iter().map(|image| emulator.push(image))).await;
    assert!(pushes.iter().all(Result::is_ok));
    for image in &others {
        emulator.wait(image, "on-push").await.expect("fired");
    }
    let error = emulator
        .wait(IMAGE, "on-push")
        .await
        .expect_err("forgotten");
    let told = "group/busybox:v2 fired the trigger on-push, whose history no longer reaches back to \
                this push";
    assert_eq!(error.to_string(), told);
    let text = panic_of(async move { emulator.assert_not_fired(IMAGE, "on-push").await }).await;
    assert!(text.starts_with(told), "{text}");
}

#[tokio::test]
async fn a_firing_that_is_tried_again_is_no_outcome_yet() {
    let emulator = Emulator::builder()
        .seed(SEED)
        .patience(Duration::from_millis(300));
    let emulator = emulator.start().await.expect("started");
    let workload = "/_emulator/clusters/test/namespaces/default/deployments/web";
    let image = format!("{}/group/busybox:v1", emulator.registry());
    let failing = json!({
        "containers": [{"name": "web", "image": image}],
        "fail": {"status": 503, "times": 1000},
    });
    let put = client(&emulator).send("PUT", workload, Some(failing)).await;
    assert!(put.status.is_success(), "{}", put.text());
    emulator.push(IMAGE).await.expect("pushed");
    let error = emulator.wait(IMAGE, "on-push").await.expect_err("open");
    let text = error.to_string();
    assert!(
        text.starts_with("group/busybox:v2 fired the trigger on-push, which has no outcome yet: ")
            && text.contains("503"),
        "{text}"
    );
    let text = panic_of(async move { emulator.assert_not_fired(IMAGE, "on-push").await }).await;
    assert!(text.contains("\n  on-push: fired: "), "{text}");
}

#[tokio::test]
async fn a_rollout_is_waited_for_and_a_lost_one_is_an_error_at_once() {
    let emulator = start().await;
    emulator.push(IMAGE).await.expect("pushed");
    let firing = emulator.wait_healthy(IMAGE, "on-push").await;
    assert_eq!(firing.expect("healthy").workload, "web");

    let workload = "/_emulator/clusters/test/namespaces/default/deployments/web";
    let lost = json!({
        "containers": [{"name": "web", "image": "{registry}/group/busybox:v1"}],
        "rollout": {"outcome": "CrashLoopBackOff", "after": "1h", "message": "exit code 3"},
    });
    let put = client(&emulator).send("PUT", workload, Some(lost)).await;
    assert!(put.status.is_success(), "{}", put.text());
    emulator.push(IMAGE).await.expect("pushed");
    assert_eq!(emulator.assert_fired(IMAGE, "on-push").await.tag, "v2");
    let hour = Duration::from_hours(1);
    let (waited, moved) = tokio::join!(
        emulator.wait_healthy(IMAGE, "on-push"),
        emulator.advance(hour)
    );
    moved.expect("moved");
    let error = waited.expect_err("degraded");
    assert!(matches!(error, Error::Unhealthy { .. }), "{error}");
    let reason = "success; the rollout is degraded: CrashLoopBackOff: exit code 3";
    assert!(error.to_string().ends_with(reason), "{error}");
}

#[tokio::test]
async fn a_fault_applies_to_clients_and_its_mistakes_are_named() {
    let emulator = start().await;
    let fault = Fault::on("ListNamespaces")
        .status(503)
        .retry_after(1)
        .times(1);
    emulator.fault(fault).expect("legal");
    let ask = async || {
        client(&emulator)
            .send("GET", "/v2/manage/namespaces", None)
            .await
    };
    let failed = ask().await;
    assert_eq!(
        (failed.status.as_u16(), failed.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(ask().await.status, 200);
    let check = |fault: Fault, expected: &str| {
        let refused = emulator.fault(fault).expect_err("refused");
        assert_eq!(refused.to_string(), expected);
    };
    check(
        Fault::on("ListNamespace").status(500),
        "operation: is unknown; did you mean ListNamespaces?",
    );
    check(
        Fault::on("CreateTrigger").status(200),
        "status: must be a whole number from 400 to 599",
    );
    let all = Fault::on("GetBlob")
        .cut_after(10)
        .delay(Duration::from_millis(1))
        .probability(0.5, 7)
        .namespace("group")
        .repository("busybox")
        .digest(&format!("sha256:{}", "0".repeat(64)))
        .caller("admin");
    emulator.fault(all).expect("legal");
    emulator
        .fault(Fault::on("GetManifest").cut().tag("v1"))
        .expect("legal");
    emulator
        .fault(Fault::on("GetManifest").status(500).code("A.1"))
        .expect("legal");
    let faults = client(&emulator)
        .send("GET", "/_emulator/faults", None)
        .await
        .json();
    assert_eq!(faults.as_array().map(Vec::len), Some(4));
    assert_eq!(
        faults[1],
        json!({
            "operation": "GetBlob", "namespace": "group", "repository": "busybox", "tag": null,
            "digest": format!("sha256:{}", "0".repeat(64)), "caller": "admin", "status": null,
            "code": null, "retry_after_s": null, "cut": false, "cut_after_bytes": 10, "delay_ms": 1,
            "times": null, "probability": 0.5, "seed": 7, "struck": 0,
        })
    );
}

#[tokio::test]
async fn requests_are_those_of_clients_and_a_typo_is_no_empty_list() {
    let emulator = start().await;
    emulator.push(IMAGE).await.expect("pushed");
    assert_eq!(emulator.requests(Requests::all()).expect("legal"), []);
    let path = "/v2/manage/namespaces/nobody";
    client(&emulator).send("GET", path, None).await;
    client(&emulator)
        .send("GET", "/v2/manage/namespaces", None)
        .await;

    let refused = Requests::of("ShowNamespace")
        .status("4xx")
        .namespace("nobody");
    let refused = emulator.requests(refused).expect("legal");
    let [request] = &refused[..] else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (&*request.path, &*request.method, request.status),
        (path, "GET", 404)
    );
    assert_eq!(
        (&*request.operation, &*request.caller),
        ("ShowNamespace", "admin")
    );
    assert!(request.message.is_some() && request.code.is_some());
    assert_eq!(emulator.requests("ListNamespaces").expect("legal").len(), 1);
    assert_eq!(
        emulator
            .requests(Requests::all().status("404"))
            .expect("legal")
            .len(),
        1
    );
    assert_eq!(emulator.requests(Requests::all()).expect("legal").len(), 2);
    let typo = emulator.requests("ListNamespace").expect_err("refused");
    assert_eq!(
        typo.to_string(),
        "operation: is unknown; did you mean ListNamespaces?"
    );
}

#[tokio::test]
async fn time_goes_on_and_back_to_the_start() {
    let emulator = start().await;
    emulator.push(IMAGE).await.expect("pushed");
    let days = Duration::from_hours(40 * 24);
    emulator.advance(days).await.expect("moved");
    let ahead = async || {
        let clock = client(&emulator)
            .send("GET", "/_emulator/clock", None)
            .await;
        clock.json()["ahead_seconds"].as_u64()
    };
    assert_eq!(ahead().await, Some(days.as_secs()));
    for too_far in [Duration::MAX, 1000 * days] {
        let refused = emulator.advance(too_far).await.expect_err("refused");
        assert_eq!(
            refused.to_string(),
            "advance: must result in a time from 1970-01-01 onwards, at most 100 years from the \
             real time"
        );
    }
    emulator
        .fault(Fault::on("ListNamespaces").cut())
        .expect("legal");
    emulator.reset().await.expect("reset");
    assert_eq!(ahead().await, Some(0));
    let path = "/_emulator/pushes?namespace=group&repository=busybox";
    client(&emulator)
        .send("GET", path, None)
        .await
        .is(200, "[]");
    let wrong = emulator.reset_to("organizations: [{}]").await;
    let wrong = wrong.expect_err("refused").to_string();
    assert!(wrong.starts_with("seed: "), "{wrong}");
    let other = "organizations: [{name: other, repositories: [{name: a}]}]";
    emulator.reset_to(other).await.expect("reset");
    emulator.push("other/a:v1").await.expect("pushed");
    assert!(emulator.push(IMAGE).await.is_err());
    let listed = client(&emulator)
        .send("GET", "/v2/manage/namespaces", None)
        .await;
    assert_eq!(listed.status, 200);
}

#[tokio::test]
async fn a_saved_state_is_loaded_again_and_starts_another_instance() {
    let emulator = start().await;
    emulator.push(IMAGE).await.expect("pushed");
    emulator.assert_fired(IMAGE, "on-push").await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("world.swr");
    emulator.save(&file).await.expect("saved");
    emulator.reset().await.expect("reset");
    emulator.load(&file).await.expect("loaded");
    emulator.assert_fired(IMAGE, "on-push").await;
    let config = Config {
        from: Some(file.clone()),
        ..Config::default()
    };
    let other = Emulator::builder().config(config).start().await;
    other.expect("started").assert_fired(IMAGE, "on-push").await;

    std::fs::write(&file, "no snapshot").expect("written");
    let refused = emulator.load(&file).await.expect_err("refused").to_string();
    assert_eq!(refused, "snapshot: it is not a snapshot");
    let nowhere = folder.path().join("none/world.swr");
    let refused = emulator.save(&nowhere).await.expect_err("refused");
    assert!(
        refused.to_string().starts_with("cannot write "),
        "{refused}"
    );
}

#[tokio::test]
async fn many_run_at_once_and_none_knows_of_another() {
    let emulators = join_all((0..20).map(|_| start())).await;
    let ports: BTreeSet<_> = emulators.iter().map(|one| one.address().port()).collect();
    assert_eq!(ports.len(), 20);
    emulators[0].push(IMAGE).await.expect("pushed");
    emulators[0].assert_fired(IMAGE, "on-push").await;
    let path = "/_emulator/pushes?namespace=group&repository=busybox";
    for other in &emulators[1..] {
        client(other).send("GET", path, None).await.is(200, "[]");
    }
    join_all(emulators.into_iter().map(Emulator::stop)).await;
}

/// A started instance's folder and address.
fn traces(emulator: &Emulator) -> (PathBuf, String) {
    let folder = emulator.data_folder().to_owned();
    assert!(folder.is_dir());
    (folder, emulator.registry())
}

/// Waits until nobody listens at an address.
fn wait_until_free(address: &str) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_ok() {
        assert!(
            std::time::Instant::now() < deadline,
            "{address} is still served"
        );
        std::thread::yield_now();
    }
}

#[test]
fn a_dropped_one_leaves_no_folder_and_no_listener_wherever_it_is_dropped() {
    let runtime = || tokio::runtime::Runtime::new().expect("a runtime");
    let within = runtime();
    let (folder, address) = within.block_on(async {
        let emulator = start().await;
        traces(&emulator)
    });
    assert!(!folder.exists());
    wait_until_free(&address);

    let emulator = within.block_on(start());
    let (folder, address) = traces(&emulator);
    drop(emulator);
    assert!(!folder.exists());
    wait_until_free(&address);

    let gone = runtime();
    let emulator = gone.block_on(start());
    let (folder, address) = traces(&emulator);
    drop(gone);
    drop(emulator);
    assert!(!folder.exists());
    wait_until_free(&address);

    let (sender, traced) = std::sync::mpsc::channel();
    let test = std::thread::spawn(move || {
        runtime().block_on(async {
            let emulator = start().await;
            sender.send(traces(&emulator)).expect("somebody listens");
            emulator.assert_not_fired("none/none:v1", "t").await;
        });
    });
    assert!(test.join().is_err());
    let (folder, address) = traced.recv().expect("traces");
    assert!(!folder.exists());
    wait_until_free(&address);
}

#[test]
fn one_that_is_dropped_in_the_middle_of_pushes_leaves_no_folder() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for round in 0..20 {
        let folder = runtime.block_on(async {
            let emulator = start().await;
            let client = client(&emulator);
            for at in 0..4 {
                let name = format!("group/r{at}");
                let client = client.clone();
                // It fails once the emulator is gone.
                tokio::spawn(async move {
                    let registry = Registry::admin(&client, &[&name]).await;
                    for tag in 0.. {
                        let layer = vec![at; 100_000];
                        registry.push_image(&name, &format!("t{tag}"), &layer).await;
                    }
                });
            }
            for _ in 0..round % 4 {
                emulator.push(IMAGE).await.expect("pushed");
            }
            traces(&emulator).0
        });
        assert!(!folder.exists(), "{}", folder.display());
    }
}
