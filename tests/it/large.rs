//! Lists of what is large or many: they show it page by page and hold little of it in memory.

use serde_json::{Value, json};

use crate::support::{
    Client, Kept, OCI_MANIFEST, Process, Registry, TestApp, WORLD, descriptor, digest,
};

const TAGS: &str = "/v2/manage/namespaces/group/repos/busybox/tags";

/// A manifest without layers; its configuration is `{}`.
fn manifest(more: &Value) -> String {
    let mut manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
                              "config": descriptor(b"{}"), "layers": []});
    for (key, value) in more.as_object().expect("an object") {
        manifest[key] = value.clone();
    }
    manifest.to_string()
}

async fn registry(client: &Client) -> Registry {
    let registry = Registry::admin(client, &["group/busybox"]).await;
    registry.push_blob("group/busybox", b"{}").await;
    registry
}

async fn put(registry: &Registry, reference: &str, manifest: &str) {
    let path = format!("/v2/group/busybox/manifests/{reference}");
    let headers = [("Content-Type", OCI_MANIFEST)];
    let answer = registry
        .send("PUT", &path, &headers, manifest.to_owned())
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

#[tokio::test]
async fn a_list_of_large_manifests_is_written_with_little_memory() {
    // 60 × 2 MB of text that takes three bytes a character, so that slices end within some.
    const TEXT: usize = 700_000;
    let kept = Kept::seeded(WORLD);
    let process: Process = kept.start(&[]);
    let client = process.client();
    let registry = registry(&client).await;
    let large = manifest(&json!({"annotations": {"text": "漢".repeat(TEXT), "quoted": "\"\\\n"}}));
    put(&registry, "t00", &large).await;
    for at in 1..60 {
        let body = json!({"source_tag": "t00", "destination_tag": format!("t{at:02}")});
        let answer = client.send("POST", TAGS, Some(body)).await;
        assert_eq!(answer.status, 201);
    }
    let before = process.peak_memory();

    let whole = client.send("GET", &format!("{TAGS}?limit=60"), None).await;

    let more = process.peak_memory().saturating_sub(before);
    assert!(more < 20_000, "{more} KiB more");
    let tags = whole.json();
    let tags = tags.as_array().expect("an array");
    assert_eq!(tags.len(), 60);
    assert!(tags.iter().all(|tag| tag["manifest"] == large.as_str()));
    let shown = client.send("GET", &format!("{TAGS}/t07"), None).await;
    assert_eq!(shown.json()["manifest"], large.as_str());
    assert_eq!(shown.json()["tag"], "t07");
}

#[tokio::test]
async fn small_and_large_manifests_of_one_page_each_stand_with_their_tag() {
    let app = TestApp::seeded(WORLD).await;
    let registry = registry(&app.client).await;
    let mut expected = Vec::new();
    for (at, length) in [10, 70_000, 30_000, 40_000, 200_000, 0, 65_536]
        .into_iter()
        .enumerate()
    {
        let text = manifest(&json!({"annotations": {"text": "x\"".repeat(length / 2)}}));
        let tag = format!("t{at}");
        put(&registry, &tag, &text).await;
        expected.push((tag, text));
    }
    // One that another tag of the page has, too.
    put(&registry, "t7", &expected[2].1).await;
    expected.push(("t7".to_owned(), expected[2].1.clone()));

    let v2 = app.get(TAGS).await.json();
    let v3 = format!("{}?with_manifest=true", TAGS.replace("/v2/", "/v3/"));
    let v3 = app.get(&v3).await.json();

    for (list, name) in [(&v2, "Tag"), (&v3["tags"], "tag")] {
        let list = list.as_array().expect("an array");
        let found: Vec<_> = list
            .iter()
            .map(|tag| {
                let text = |key: &str| tag[key].as_str().expect("a text").to_owned();
                (text(name), text("manifest"))
            })
            .collect();
        assert!(found == expected, "{name}");
    }
    let without = app.get(&TAGS.replace("/v2/", "/v3/")).await.json();
    let without = without["tags"].as_array().expect("an array");
    assert!(without.iter().all(|tag| tag["manifest"] == ""));
}

#[tokio::test]
async fn referrers_are_listed_in_pages_that_the_header_link_joins() {
    let app = TestApp::seeded(WORLD).await;
    let registry = registry(&app.client).await;
    let image = manifest(&json!({}));
    put(&registry, "v1", &image).await;
    let subject = digest(image.as_bytes());
    let mut expected = Vec::new();
    for at in 0..7 {
        let kind = if at % 2 == 0 { "a/even" } else { "a/odd" };
        let referrer = manifest(&json!({
            "subject": descriptor(image.as_bytes()), "artifactType": kind,
            "annotations": {"at": at.to_string()}
        }));
        let of_it = digest(referrer.as_bytes());
        put(&registry, &of_it, &referrer).await;
        expected.push(json!({
            "mediaType": OCI_MANIFEST, "digest": of_it, "size": referrer.len(),
            "artifactType": kind, "annotations": {"at": at.to_string()}
        }));
    }
    let even: Vec<_> = expected.iter().step_by(2).cloned().collect();

    for (query, expected, pages) in [
        ("", &expected, 1),
        ("?n=3", &expected, 3),
        ("?n=7", &expected, 1),
        ("?n=2&artifactType=a%2Feven", &even, 4),
        ("?artifactType=a%2Fnone", &Vec::new(), 1),
    ] {
        let mut path = format!("/v2/group/busybox/referrers/{subject}{query}");
        let mut found = Vec::new();
        let mut seen = 0;
        loop {
            let answer = registry.get(&path).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            seen += 1;
            let page = answer.json();
            found.extend(page["manifests"].as_array().expect("an array").clone());
            let Some(link) = answer.header("link") else {
                break;
            };
            let next = link
                .strip_prefix('<')
                .and_then(|link| link.strip_suffix(">; rel=\"next\""));
            path = next.expect("a link to the next page").to_owned();
        }
        assert_eq!((&found, seen), (expected, pages), "{query}");
    }
    let refused = registry
        .get(&format!("/v2/group/busybox/referrers/{subject}?last=x"))
        .await;
    assert_eq!(refused.status, 400, "{}", refused.text());
}

#[tokio::test]
async fn a_page_of_referrers_ends_early_where_their_annotations_are_large() {
    let app = TestApp::seeded(WORLD).await;
    let registry = registry(&app.client).await;
    let image = manifest(&json!({}));
    put(&registry, "v1", &image).await;
    // 16 KB each, of which 2 MiB are shown at once; and one of which nothing is.
    for (at, length) in (0..150).map(|at| (at, 16_000)).chain([(150, 17_000)]) {
        let referrer = manifest(&json!({
            "subject": descriptor(image.as_bytes()), "annotations": {"text": "x".repeat(length), "at": at.to_string()}
        }));
        put(&registry, &digest(referrer.as_bytes()), &referrer).await;
    }
    let path = format!("/v2/group/busybox/referrers/{}", digest(image.as_bytes()));
    let first = registry.get(&path).await;
    assert!(first.body.len() < 2_200_000, "{}", first.body.len());
    let count = first.json()["manifests"]
        .as_array()
        .expect("an array")
        .len();
    assert!((100..150).contains(&count), "{count}");
    let next = first.header("link").expect("more");
    let next = next[1..].split('>').next().expect("a path");
    let rest = registry.get(next).await.json();
    let rest = rest["manifests"].as_array().expect("an array");
    assert_eq!(count + rest.len(), 151);
    let last = rest.last().expect("the last one");
    assert_eq!(last.get("annotations"), None);
}

#[tokio::test]
async fn the_size_of_an_index_counts_all_that_it_is_made_of_at_any_depth() {
    let app = TestApp::seeded(WORLD).await;
    let registry = registry(&app.client).await;
    let index = |parts: &[&str]| {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| descriptor(part.as_bytes()))
            .collect();
        json!({"schemaVersion": 2, "manifests": parts}).to_string()
    };
    let headers = [("Content-Type", "application/vnd.oci.image.index.v1+json")];
    let (a, b) = (
        manifest(&json!({"annotations": {"x": "a"}})),
        manifest(&json!({})),
    );
    put(&registry, "a", &a).await;
    put(&registry, "b", &b).await;
    let inner = index(&[&a, &a, &b]);
    let outer = index(&[&inner, &a]);
    for (tag, text) in [("inner", &inner), ("outer", &outer)] {
        let path = format!("/v2/group/busybox/manifests/{tag}");
        let answer = registry.send("PUT", &path, &headers, text.clone()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    let size = async |tag: &str| {
        let tag = app.get(&format!("{TAGS}/{tag}")).await.json();
        tag["size"].as_u64().expect("a number")
    };
    // The configuration has two bytes.
    assert_eq!(size("a").await, a.len() as u64 + 2);
    assert_eq!(size("inner").await, inner.len() as u64 + 2 * 2);
    assert_eq!(size("outer").await, outer.len() as u64 + 2 * 2);
}
