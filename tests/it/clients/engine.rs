//! What a push sets off, as real clients see it: skopeo pushes, the official Python SDK reads the
//! trigger's history, and the workload has the new image, in a simulated cluster and in one that
//! is reached through a kubeconfig.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use swr_emulator::{BUILTIN_ACCESS_KEY, BUILTIN_SECRET_KEY};

use super::image::Layout;
use super::registry::Registry;
use super::{Outcome, root};
use crate::fake_kubernetes::{FakeKubernetes, Proof};
use crate::support::trigger;

#[tokio::test]
#[ignore = "needs skopeo and the Python SDK; ./tests/run installs them"]
async fn a_push_by_skopeo_updates_a_simulated_workload_and_the_sdk_shows_its_history() {
    let container = json!({"name": "busybox", "image": "{registry}/group/busybox:v1"});
    let deployment = json!({"name": "adsfa", "containers": [container]});
    let namespace = json!({"name": "default", "deployments": [deployment]});
    let registry = Registry::seeded(&seed("namespaces", json!([namespace])));

    let digest = push(&registry, "v2");
    shows_history(&registry, "v2");

    let path = "/_emulator/clusters/test/namespaces/default/deployments/adsfa";
    let workload = registry.process.client().send("GET", path, None).await;
    let workload = workload.json();
    let image = format!("{}/group/busybox:v2", registry.host());
    assert_eq!(
        workload["containers"],
        json!([{"name": "busybox", "image": image}])
    );
    assert_eq!(
        workload["annotations"],
        json!({"digest.swr-emulator/busybox": digest})
    );
}

// The server of the cluster answers while the clients are waited for.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs skopeo and the Python SDK; ./tests/run installs them"]
async fn a_push_by_skopeo_updates_a_workload_of_kubernetes_and_the_sdk_shows_its_history() {
    for proof in [Proof::Certificate, Proof::Token] {
        let kubernetes = FakeKubernetes::start().await;
        let registry = Registry::seeded(&seed("kubeconfig", json!(kubernetes.kubeconfig(proof))));
        let image = |tag: &str| format!("{}/group/busybox:{tag}", registry.host());
        let containers = [("busybox", &*image("v1")), ("log", "fluentd:1")];
        kubernetes.put("deployments", "adsfa", &containers);

        let digest = push(&registry, "v2");
        shows_history(&registry, "v2");

        let images = kubernetes.images("deployments", "adsfa");
        assert_eq!(images, [&*image("v2"), "fluentd:1"]);
        let object = kubernetes.get("deployments", "adsfa");
        assert_eq!(
            object["spec"]["template"]["metadata"]["annotations"],
            json!({"digest.swr-emulator/busybox": digest})
        );
        assert_eq!(object["metadata"]["generation"], 2);
    }
}

/// The seed file of an emulator whose repository has the reference's example of a trigger, with
/// what makes its cluster the one that it is.
fn seed(key: &str, value: Value) -> String {
    let mut trigger = trigger("on-push");
    trigger["container"] = json!("busybox");
    let repository = json!({"name": "busybox", "triggers": [trigger]});
    let mut cluster = json!({"id": "5b28c12f-dc10-11e9-97b3-0255ac1001b5", "name": "test"});
    cluster[key] = value;
    json!({
        "organizations": [{"name": "group", "repositories": [repository]}],
        "clusters": [cluster],
    })
    .to_string()
}

/// Pushes a small image with skopeo; its digest.
#[track_caller]
fn push(registry: &Registry, tag: &str) -> String {
    let layout = Layout::of_image(registry.path("layout"));
    let image = format!("group/busybox:{tag}");
    registry.push(&layout, &image, &[]).succeeded();
    layout.digest()
}

/// Lets the SDK look at the entry that a push has to leave.
#[track_caller]
fn shows_history(registry: &Registry, tag: &str) {
    let python = root().join("tests/.venv/bin/python");
    let mut command = Command::new(python);
    command
        .arg(root().join(Path::new("tests/clients/python_history.py")))
        .env("SWR_EMULATOR_URL", &registry.process.url)
        .env("PUSHED_TAG", tag)
        .env("HUAWEICLOUD_SDK_AK", BUILTIN_ACCESS_KEY)
        .env("HUAWEICLOUD_SDK_SK", BUILTIN_SECRET_KEY)
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1");
    Outcome::of(&mut command).succeeded();
}
