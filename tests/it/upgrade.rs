//! Data folders of earlier versions. `tests/folders/schema-8` was made by version 0.1.0: images, an
//! index of two of them and an index of that one, a foreign layer, referrers, a signature, a
//! trigger and its history; and the manifest of the tag `unreadable` was damaged by hand.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Registry, TestApp};

const REPOSITORY: &str = "/v2/manage/namespaces/group/repos/busybox";

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("read");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("known").is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}

#[tokio::test]
async fn a_data_folder_of_schema_8_shows_what_it_showed_before() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/folders/schema-8");
    copy(&old, &data);
    let data = data.to_str().expect("UTF-8");

    let app = TestApp::kept(data).await;

    let tags = app
        .get(&format!("{REPOSITORY}/tags?limit=100"))
        .await
        .json();
    let tags = tags.as_array().expect("an array");
    let sizes: Vec<_> = tags.iter().map(|tag| (&tag["Tag"], &tag["size"])).collect();
    let signature = "sha256-9bac1d752362e1200a947a4bb13294e77406ab2f7bb256b6fc5246613895cd86.sig";
    // Where version 0.1.0 counted no more of `outer` than its own manifest, and of `unreadable` the
    // manifest that it was.
    let of_multi = 1168 - 409;
    let expected = json!([
        ["1.0", 569],
        ["2.0", 1264],
        ["multi", 1168],
        ["outer", 247 + of_multi],
        ["foreign", 586],
        [signature, 421],
        ["unreadable", 3 + 39],
        ["1.0-again", 569]
    ]);
    assert_eq!(json!(sizes), expected);
    let text: Value =
        serde_json::from_str(tags[0]["manifest"].as_str().expect("text")).expect("JSON");
    assert_eq!(text["layers"].as_array().expect("an array").len(), 2);

    let image = tags[0]["digest"].as_str().expect("a digest");
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    let referrers = registry
        .get(&format!("/v2/group/busybox/referrers/{image}"))
        .await;
    let kinds: Vec<_> = referrers.json()["manifests"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|manifest| json!([manifest["artifactType"], manifest["annotations"]]))
        .collect();
    let expected = json!([
        ["application/spdx+json", {"org.example.kind": "sbom"}],
        ["application/vnd.oci.image.config.v1+json", null]
    ]);
    assert_eq!(json!(kinds), expected);
    let accessories = app
        .get(&format!("{REPOSITORY}/1.0/accessories"))
        .await
        .json();
    assert_eq!(accessories["total"], 3);

    // What an index lists stays with it.
    assert_eq!(
        app.delete(&format!("{REPOSITORY}/tags/2.0")).await.status,
        204
    );
    let pulled = registry
        .get("/v2/group/busybox/manifests/multi")
        .await
        .json();
    for part in pulled["manifests"].as_array().expect("an array") {
        let part = part["digest"].as_str().expect("a digest");
        let path = format!("/v2/group/busybox/manifests/{part}");
        assert_eq!(registry.get(&path).await.status, 200);
    }
    let history = app
        .get(&format!("{REPOSITORY}/triggers/on-push"))
        .await
        .json();
    assert!(
        !history["trigger_history"]
            .as_array()
            .expect("an array")
            .is_empty()
    );
    // Made before its pushes, and tried once each.
    let fired = &history["trigger_history"][0];
    let tag = fired["tag"].as_str().expect("a tag");
    let of_tag = format!("namespace=group&repository=busybox&tag={tag}");
    let waited = app
        .get(&format!("/_emulator/wait?{of_tag}&trigger=on-push"))
        .await;
    assert_eq!(waited.json(), *fired);
    let pushes = app.get(&format!("/_emulator/pushes?{of_tag}")).await.json();
    assert_eq!(pushes[0]["triggers"][0]["tries"], 1);
    // All blobs are where they were.
    let layer = pulled_layer(&registry, image).await;
    assert_eq!(layer, b"shared layer");
}

async fn pulled_layer(registry: &Registry, image: &str) -> Vec<u8> {
    let manifest = registry
        .get(&format!("/v2/group/busybox/manifests/{image}"))
        .await
        .json();
    let layer = manifest["layers"][0]["digest"].as_str().expect("a digest");
    let blob = registry
        .get(&format!("/v2/group/busybox/blobs/{layer}"))
        .await;
    assert_eq!(blob.status, 200);
    blob.body.to_vec()
}
