//! Accessories of images: signatures by the name of a tag, and referrers.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::support::{OCI_MANIFEST, Registry, TestApp, WORLD, digest, trigger};

const REPO: &str = "/v2/manage/namespaces/group/repos/busybox";

async fn app() -> (TestApp, Registry) {
    let app = TestApp::seeded(WORLD).await;
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    (app, registry)
}

/// The tag under which cosign looks for something about a manifest.
fn tag_about(digest: &str, ending: &str) -> String {
    format!("{}{ending}", digest.replace(':', "-"))
}

/// Pushes a manifest that is about another one, by digest; its own digest.
async fn push_referrer(registry: &Registry, subject: &str, artifact_type: &str) -> String {
    let empty = registry.push_blob("group/busybox", b"{}").await;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": artifact_type,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2},
        "layers": [],
        "subject": {"mediaType": OCI_MANIFEST, "digest": subject, "size": 1},
    })
    .to_string();
    let own = digest(manifest.as_bytes());
    let path = format!("/v2/group/busybox/manifests/{own}");
    let headers = [("Content-Type", OCI_MANIFEST)];
    let answer = registry.send("PUT", &path, &headers, manifest).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    own
}

fn texts<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    let list = list.as_array().expect("a list").iter();
    list.map(|item| item[key].as_str().expect("text")).collect()
}

#[tokio::test]
async fn a_signature_is_an_accessory_with_all_of_its_fields() {
    let (app, registry) = app().await;
    let image = registry.push_image("group/busybox", "v1", b"image").await;
    let tag = tag_about(&image, ".sig");
    let signature = registry
        .push_image("group/busybox", &tag, b"signature")
        .await;

    let list = app.get(&format!("{REPO}/v1/accessories")).await;

    assert_eq!(list.status, 200, "{}", list.text());
    let shown = app.get(&format!("{REPO}/tags/{tag}")).await.json();
    assert_eq!(
        list.json(),
        json!({"total": 1, "accessories": [{
            "id": list.json()["accessories"][0]["id"].as_i64().expect("a number"),
            "domain_id": shown["domain_id"],
            "namespace_name": "group",
            "repo_name": "busybox",
            "sig_tag": tag,
            "sig_digest": signature,
            "target_digest": image,
            "size": shown["size"],
            "type": "signature.cosign",
            "created_at": shown["created"],
            "updated_at": shown["updated"],
        }]})
    );
}

#[tokio::test]
async fn accessories_are_found_by_tag_and_by_subject_and_each_once() {
    let (app, registry) = app().await;
    let image = registry.push_image("group/busybox", "v1", b"image").await;
    registry.push_image("group/busybox", "v2", b"another").await;
    for ending in [".sig", ".att", ".sbom"] {
        let tag = tag_about(&image, ending);
        registry
            .push_image("group/busybox", &tag, ending.as_bytes())
            .await;
    }
    let referrer = push_referrer(&registry, &image, "application/vnd.example.scan").await;
    // What is about another image, and a signature that is found both ways.
    push_referrer(&registry, &digest(b"nothing"), "application/vnd.example").await;
    let path = format!("/v2/group/busybox/manifests/{}", tag_about(&image, ".att"));
    let both = registry.get(&path).await.json();
    let mut both = both;
    both["subject"] = json!({"mediaType": OCI_MANIFEST, "digest": image, "size": 1});
    let headers = [("Content-Type", OCI_MANIFEST)];
    let answer = registry
        .send("PUT", &path, &headers, both.to_string())
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());

    let list = app.get(&format!("{REPO}/v1/accessories")).await.json();

    assert_eq!(list["total"], 4);
    assert_eq!(
        texts(&list["accessories"], "type"),
        [
            "signature.cosign",
            "sbom.cosign",
            "application/vnd.example.scan",
            "attestation.cosign"
        ]
    );
    assert_eq!(
        texts(&list["accessories"], "sig_tag"),
        [
            tag_about(&image, ".sig").as_str(),
            &tag_about(&image, ".sbom"),
            "",
            &tag_about(&image, ".att")
        ]
    );
    assert_eq!(list["accessories"][2]["sig_digest"], referrer);
    app.get(&format!("{REPO}/v2/accessories"))
        .await
        .is(200, r#"{"total":0,"accessories":null}"#);
}

#[tokio::test]
async fn accessories_come_in_pages() {
    let (app, registry) = app().await;
    let image = registry.push_image("group/busybox", "v1", b"image").await;
    for number in 0..12 {
        push_referrer(&registry, &image, &format!("application/vnd.{number}")).await;
    }
    let types = async |query: &str| {
        let path = format!("{REPO}/v1/accessories{query}");
        let list = app.get(&path).await.json();
        assert_eq!(list["total"], 12);
        let types = list["accessories"].as_array().cloned().unwrap_or_default();
        let types = types.iter().map(|item| item["type"].to_string());
        types.collect::<Vec<_>>()
    };

    let all = types("?limit=100").await;
    assert_eq!(all.len(), 12);
    assert_eq!(all[11], "\"application/vnd.11\"");
    assert_eq!(types("").await, all[..10]);
    assert_eq!(types("?limit=2&offset=3").await, all[3..5]);
    assert_eq!(types("?offset=11").await, all[11..]);
    assert_eq!(types("?offset=12").await, all[12..]);
    for query in ["limit=101", "limit=0", "limit=x", "offset=-1"] {
        let path = format!("{REPO}/v1/accessories?{query}");
        app.get(&path).await.refused(400, "4000056");
    }
}

#[tokio::test]
async fn references_are_the_tags_that_a_signature_is_about() {
    let (app, registry) = app().await;
    let mut image = String::new();
    let mut names: Vec<_> = (0..12).map(|number| format!("v{number}")).collect();
    for name in &names {
        image = registry.push_image("group/busybox", name, b"image").await;
    }
    names.sort_unstable();
    registry
        .push_image("group/busybox", "other", b"other")
        .await;
    let tag = tag_about(&image, ".sig");
    registry
        .push_image("group/busybox", &tag, b"signature")
        .await;
    let path = format!("{REPO}/{tag}/references");

    let first = app.get(&path).await.json();
    assert_eq!(
        first,
        json!({"next_marker": names[9], "has_more": true, "tags": names[..10]})
    );
    let next = format!("{path}?marker={}", names[9]);
    let last = json!({"has_more": false, "tags": names[10..]});
    assert_eq!(app.get(&next).await.json(), last);
    let two = app.get(&format!("{path}?limit=2")).await.json();
    assert_eq!(
        two,
        json!({"next_marker": names[1], "has_more": true, "tags": names[..2]})
    );
    for query in ["limit=11", "limit=0"] {
        let path = format!("{path}?{query}");
        app.get(&path).await.refused(400, "4000056");
    }

    for name in &names {
        app.delete(&format!("{REPO}/tags/{name}")).await.is(204, "");
    }
    app.get(&path)
        .await
        .is(200, r#"{"has_more":false,"tags":[]}"#);
}

#[tokio::test]
async fn what_is_missing_or_no_signature_is_told() {
    let (app, registry) = app().await;
    let image = registry.push_image("group/busybox", "v1", b"image").await;
    let signature = tag_about(&image, ".sig");
    let attestation = tag_about(&image, ".att");

    for (operation, tag) in [("accessories", "v2"), ("references", &signature)] {
        let path = format!("/v2/manage/namespaces/none/repos/busybox/{tag}/{operation}");
        app.get(&path).await.refused(404, "4040058");
        let path = format!("/v2/manage/namespaces/group/repos/none/{tag}/{operation}");
        app.get(&path).await.refused(404, "4040010");
        let path = format!("{REPO}/{tag}/{operation}");
        app.get(&path).await.refused(404, "4040048");
        app.as_user("partner-dev")
            .send("GET", &path, None)
            .await
            .refused(404, "4040058");
        let path = format!("{REPO}/.x/{operation}");
        app.get(&path).await.refused(400, "4000014");
    }
    for tag in ["v1", &attestation] {
        let path = format!("{REPO}/{tag}/references");
        let message = app.get(&path).await.refused(400, "4000014");
        assert_eq!(
            message,
            "tag: must be the tag of a signature, sha256-{64 hex digits}.sig"
        );
    }
    for method in ["POST", "PATCH", "DELETE"] {
        let path = format!("{REPO}/v1/accessories");
        app.client
            .send(method, &path, None)
            .await
            .refused_by_gateway(404, "APIGW.0101");
    }
}

#[tokio::test]
async fn a_signatures_tag_says_so_in_its_type() {
    let (app, registry) = app().await;
    let image = registry.push_image("group/busybox", "v1", b"image").await;
    for ending in [".sig", ".att"] {
        let tag = tag_about(&image, ending);
        registry.push_image("group/busybox", &tag, b"x").await;
    }
    let list = app.get(&format!("{REPO}/tags")).await.json();
    let types: Vec<_> = list.as_array().expect("a list").iter().collect();
    let types: Vec<_> = types.iter().map(|tag| &tag["tag_type"]).collect();
    assert_json_snapshot!(types, @"
    [
      0,
      2,
      0
    ]
    ");
}

#[tokio::test]
async fn a_tag_may_be_named_like_another_operations_segment() {
    let (app, registry) = app().await;
    let names = [
        "tags",
        "triggers",
        "access",
        "retentions",
        "sync_repo",
        "histories",
        "accessories",
        "references",
    ];
    let mut image = String::new();
    for name in names {
        image = registry.push_image("group/busybox", name, b"image").await;
    }
    let tag = tag_about(&image, ".sig");
    registry
        .push_image("group/busybox", &tag, b"signature")
        .await;

    // A tag has the name that the literal's own operation looks for.
    let shown = app.get(&format!("{REPO}/tags/accessories")).await.json();
    assert_eq!(shown["tag"], "accessories");
    app.delete(&format!("{REPO}/tags/accessories"))
        .await
        .is(204, "");
    for name in names.iter().filter(|name| **name != "accessories") {
        let path = format!("{REPO}/{name}/accessories");
        let list = app.get(&path).await;
        assert_eq!(list.status, 200, "{name}: {}", list.text());
        assert_eq!(list.json()["accessories"][0]["sig_tag"], tag, "{name}");
        let shown = app.get(&format!("{REPO}/tags/{name}")).await.json();
        assert_eq!(shown["tag"], *name);
    }
    let path = format!("{REPO}/triggers/accessories?limit=101");
    app.get(&path).await.refused(400, "4000056");

    // So it is with triggers; and what nobody has is missing as before.
    let mut body = trigger("accessories");
    body["enable"] = json!("false");
    app.post(&format!("{REPO}/triggers"), body)
        .await
        .is(201, "{}");
    let path = format!("{REPO}/triggers/accessories");
    assert_eq!(app.get(&path).await.json()["name"], "accessories");
    app.delete(&path).await.is(204, "");
    assert_eq!(app.get(&path).await.json()["total"], 1);
    for name in ["tags", "triggers"] {
        app.delete(&format!("{REPO}/tags/{name}")).await.is(204, "");
    }
    app.get(&path).await.refused(404, "4040126");
    let path = format!("{REPO}/tags/accessories");
    app.get(&path).await.refused(404, "4040048");
}
