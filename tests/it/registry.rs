//! The registry. Names and order follow the groups of the OCI conformance suite: pull, push,
//! content discovery, content management; then what the suite does not know: logging in.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};
use swr_emulator::internal::{Secret, long_term_password};
use swr_emulator::{BUILTIN_ACCESS_KEY, BUILTIN_SECRET_KEY};

use crate::support::{
    Answer, OCI_MANIFEST, Registry, TestApp, ask_for_token, ask_for_token_with, descriptor, digest,
    image,
};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

const SEED: &str = "
accounts:
  - name: partner
    users:
      - {name: dev, token: partner-dev, access_key: PARTNERAK, secret_key: PARTNERSK}
organizations:
  - name: group
    repositories: [{name: public, is_public: true}, {name: private}]
  - name: theirs
    account: partner
    repositories: [{name: secret}]
";

/// Asserts that the registry refused in the OCI envelope.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.json()["errors"][0]["code"],
        code,
        "{}",
        answer.text()
    );
}

async fn seeded() -> (TestApp, Registry) {
    let app = TestApp::seeded(SEED).await;
    let registry = Registry::admin(&app.client, &["group/a", "group/b", "group/x/y/z"]).await;
    (app, registry)
}

#[tokio::test]
async fn pull_blobs_whole_and_in_part() {
    let (_app, registry) = seeded().await;
    let digest = registry.push_blob("group/a", b"0123456789").await;
    let path = format!("/v2/group/a/blobs/{digest}");

    let whole = registry.get(&path).await;
    assert_eq!((whole.status.as_u16(), whole.text()), (200, "0123456789"));
    assert_eq!(whole.header("docker-content-digest"), Some(digest.as_str()));
    let head = registry.send("HEAD", &path, &[], "").await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), Some("10"));
    assert!(head.body.is_empty());
    for (range, status, part) in [
        ("bytes=0-3", 206, "0123"),
        ("bytes=5-", 206, "56789"),
        ("bytes=-2", 206, "89"),
        ("bytes=8-20", 206, "89"),
        ("bytes=0-1,3-4", 200, "0123456789"),
    ] {
        let answer = registry.send("GET", &path, &[("Range", range)], "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (status, part),
            "{range}"
        );
    }
    for range in ["bytes=10-", "bytes=500-0", "bytes=5000-10000"] {
        let answer = registry.send("GET", &path, &[("Range", range)], "").await;
        assert_eq!(answer.status, 416, "{range}");
    }
    let missing = format!("/v2/group/a/blobs/{}", self::digest(b"missing"));
    refused(&registry.get(&missing).await, 404, "BLOB_UNKNOWN");
    let empty = registry.push_blob("group/a", b"").await;
    let answer = registry.get(&format!("/v2/group/a/blobs/{empty}")).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));
}

#[tokio::test]
async fn pull_manifests_by_tag_and_by_digest() {
    let (_app, registry) = seeded().await;
    let digest = registry.push_image("group/a", "v1", b"layer").await;
    for reference in ["v1", &digest] {
        let path = format!("/v2/group/a/manifests/{reference}");
        let answer = registry.get(&path).await;
        assert_eq!(answer.text(), image(&[b"layer"]));
        assert_eq!(answer.header("content-type"), Some(OCI_MANIFEST));
        assert_eq!(
            answer.header("docker-content-digest"),
            Some(digest.as_str())
        );
        let head = registry.send("HEAD", &path, &[], "").await;
        assert_eq!(head.status, 200);
        let length = answer.body.len().to_string();
        assert_eq!(head.header("content-length"), Some(length.as_str()));
    }
    refused(
        &registry.get("/v2/group/a/manifests/v2").await,
        404,
        "MANIFEST_UNKNOWN",
    );
    let path = format!("/v2/group/b/manifests/{digest}");
    refused(&registry.get(&path).await, 404, "NAME_UNKNOWN");
    let path = "/v2/group/a/manifests/sha256:totallywrong";
    refused(&registry.get(path).await, 400, "DIGEST_INVALID");
}

#[tokio::test]
async fn push_blobs_in_one_post() {
    let (_app, registry) = seeded().await;
    let digest = digest(b"content");
    let path = format!("/v2/group/a/blobs/uploads/?digest={digest}");
    let answer = registry.send("POST", &path, &[], "content").await;
    assert_eq!(answer.status, 201);
    let location = answer.header("location").expect("a location").to_owned();
    assert_eq!(registry.get(&location).await.text(), "content");
}

#[tokio::test]
async fn push_blobs_in_chunks_and_in_order() {
    let (_app, registry) = seeded().await;
    let location = registry.start("group/a").await;
    let patch = async |range: &str, body: &'static str| {
        registry
            .send("PATCH", &location, &[("Content-Range", range)], body)
            .await
    };
    let answer = patch("0-3", "0123").await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("range"), Some("0-3"));
    // Too early, too late, backwards: nothing is added.
    let endless = "0-18446744073709551615";
    for (range, body) in [
        ("0-3", "0123"),
        ("5-8", "5678"),
        ("8-4", "4567"),
        (endless, ""),
    ] {
        assert_eq!(patch(range, body).await.status, 416, "{range}");
    }
    let answer = patch("4-9", "45").await;
    refused(&answer, 400, "SIZE_INVALID");
    let status = registry.get(&location).await;
    assert_eq!(status.status, 204);
    assert_eq!(status.header("range"), Some("0-3"));
    assert_eq!(status.header("location"), Some(location.as_str()));
    assert_eq!(patch("4-6", "456").await.status, 202);
    let digest = digest(b"0123456789");
    let path = format!("{location}?digest={digest}");
    let answer = registry
        .send("PUT", &path, &[("Content-Range", "7-9")], "789")
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let blob = registry.get(&format!("/v2/group/a/blobs/{digest}")).await;
    assert_eq!(blob.text(), "0123456789");
    refused(&registry.get(&location).await, 404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn push_blobs_streamed_without_a_range() {
    let (_app, registry) = seeded().await;
    let location = registry.start("group/a").await;
    for piece in ["one ", "two ", "three"] {
        assert_eq!(
            registry.send("PATCH", &location, &[], piece).await.status,
            202
        );
    }
    let digest = digest(b"one two three");
    let answer = registry
        .send("PUT", &format!("{location}?digest={digest}"), &[], "")
        .await;
    assert_eq!(answer.status, 201);
}

#[tokio::test]
async fn push_blobs_by_sha512() {
    let (_app, registry) = seeded().await;
    let digest = format!("sha512:{}", hex::encode(Sha512::digest(b"content")));
    let location = registry.start("group/a").await;
    let answer = registry
        .send(
            "PUT",
            &format!("{location}?digest={digest}"),
            &[],
            "content",
        )
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let blob = registry.get(&format!("/v2/group/a/blobs/{digest}")).await;
    assert_eq!(blob.text(), "content");
}

#[tokio::test]
async fn push_blobs_with_a_wrong_digest_stores_nothing() {
    let (_app, registry) = seeded().await;
    for (digest, status) in [
        (digest(b"other"), 400),
        ("sha256:short".to_owned(), 400),
        ("nonsense".to_owned(), 400),
    ] {
        let location = registry.start("group/a").await;
        let path = format!("{location}?digest={digest}");
        let answer = registry.send("PUT", &path, &[], "content").await;
        assert_eq!(answer.status.as_u16(), status);
        refused(&answer, 400, "DIGEST_INVALID");
    }
    let location = registry.start("group/a").await;
    refused(
        &registry.send("PUT", &location, &[], "content").await,
        400,
        "DIGEST_INVALID",
    );
    for content in ["other", "content"] {
        let path = format!("/v2/group/a/blobs/{}", digest(content.as_bytes()));
        refused(&registry.get(&path).await, 404, "BLOB_UNKNOWN");
    }
}

#[tokio::test]
async fn push_can_be_cancelled() {
    let (_app, registry) = seeded().await;
    let location = registry.start("group/a").await;
    assert_eq!(
        registry
            .send("PATCH", &location, &[], "content")
            .await
            .status,
        202
    );
    assert_eq!(
        registry.send("DELETE", &location, &[], "").await.status,
        204
    );
    for method in ["GET", "DELETE", "PATCH"] {
        let answer = registry.send(method, &location, &[], "").await;
        refused(&answer, 404, "BLOB_UPLOAD_UNKNOWN");
    }
    // An upload belongs to its repository.
    let location = registry.start("group/a").await;
    registry.start("group/b").await;
    let elsewhere = location.replace("group/a", "group/b");
    refused(&registry.get(&elsewhere).await, 404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn push_mounts_a_blob_that_the_caller_may_pull() {
    let (app, registry) = seeded().await;
    let digest = registry.push_blob("group/a", b"content").await;
    let mount = async |registry: &Registry, from: &str| {
        let path = format!("/v2/group/b/blobs/uploads/?mount={digest}&from={from}");
        registry.send("POST", &path, &[], "").await
    };
    let unseen = format!("/v2/group/b/blobs/{digest}");

    // Not there, not legal, not in the token: an ordinary upload begins.
    for from in ["group/none", "NONSENSE", "group/private", "theirs/secret"] {
        assert_eq!(mount(&registry, from).await.status, 202, "{from}");
        refused(&registry.get(&unseen).await, 404, "BLOB_UNKNOWN");
    }
    let answer = mount(&registry, "group/a").await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), Some(unseen.as_str()));
    assert_eq!(registry.get(&unseen).await.text(), "content");
    // Another account's blob is out of reach even for a token that asked for it.
    let theirs = Registry::login(&app.client, "PARTNERAK", "PARTNERSK", &["theirs/secret"]).await;
    let secret = theirs.push_blob("theirs/secret", b"secret").await;
    let ours = Registry::admin(&app.client, &["group/b", "theirs/secret"]).await;
    let path = format!("/v2/group/b/blobs/uploads/?mount={secret}&from=theirs/secret");
    assert_eq!(ours.send("POST", &path, &[], "").await.status, 202);
    let answer = ours.get(&format!("/v2/group/b/blobs/{secret}")).await;
    refused(&answer, 404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn push_manifests_of_every_kind() {
    let (_app, registry) = seeded().await;
    registry.push_blob("group/a", b"{}").await;
    registry.push_blob("group/a", b"layer").await;
    let put = async |reference: &str, kind: &str, content: String| {
        let path = format!("/v2/group/a/manifests/{reference}");
        registry
            .send("PUT", &path, &[("Content-Type", kind)], content)
            .await
    };
    let oci = image(&[b"layer"]);
    let docker = oci.replace(OCI_MANIFEST, DOCKER_MANIFEST);
    assert_eq!(put("oci", OCI_MANIFEST, oci.clone()).await.status, 201);
    assert_eq!(
        put("docker", DOCKER_MANIFEST, docker.clone()).await.status,
        201
    );
    assert_eq!(
        put(&digest(oci.as_bytes()), OCI_MANIFEST, oci.clone())
            .await
            .status,
        201
    );
    let sha512 = format!("sha512:{}", hex::encode(Sha512::digest(&oci)));
    assert_eq!(put(&sha512, OCI_MANIFEST, oci.clone()).await.status, 201);
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX,
                       "manifests": [descriptor(oci.as_bytes()), descriptor(docker.as_bytes())]});
    assert_eq!(put("index", OCI_INDEX, index.to_string()).await.status, 201);
    let shown = registry.get("/v2/group/a/manifests/index").await;
    assert_eq!(shown.header("content-type"), Some(OCI_INDEX));
    assert_eq!(shown.json(), index);
}

#[tokio::test]
async fn push_refuses_a_manifest_that_is_not_whole() {
    let (_app, registry) = seeded().await;
    registry.push_blob("group/a", b"{}").await;
    let put = async |reference: &str, kind: &str, content: String| {
        let path = format!("/v2/group/a/manifests/{reference}");
        registry
            .send("PUT", &path, &[("Content-Type", kind)], content)
            .await
    };
    let missing = image(&[b"missing"]);
    refused(
        &put("v1", OCI_MANIFEST, missing).await,
        400,
        "MANIFEST_BLOB_UNKNOWN",
    );
    let index = json!({"schemaVersion": 2, "manifests": [descriptor(b"missing")]}).to_string();
    refused(
        &put("v1", OCI_INDEX, index).await,
        400,
        "MANIFEST_BLOB_UNKNOWN",
    );
    let whole = image(&[]);
    refused(
        &put("v1", "text/plain", whole.clone()).await,
        400,
        "MANIFEST_INVALID",
    );
    refused(
        &put("v1", OCI_MANIFEST, "{".to_owned()).await,
        400,
        "MANIFEST_INVALID",
    );
    refused(
        &put("-v1", OCI_MANIFEST, whole.clone()).await,
        400,
        "MANIFEST_INVALID",
    );
    let wrong = digest(b"other");
    refused(
        &put(&wrong, OCI_MANIFEST, whole.clone()).await,
        400,
        "DIGEST_INVALID",
    );
    refused(
        &put("sha256:x", OCI_MANIFEST, whole.clone()).await,
        400,
        "DIGEST_INVALID",
    );
    let padded = whole.replacen('{', &format!("{{{}", " ".repeat(4 * 1024 * 1024)), 1);
    assert_eq!(put("v1", OCI_MANIFEST, padded).await.status, 413);
    let list = registry.get("/v2/group/a/tags/list").await;
    assert_eq!(list.json()["tags"], json!([]));
    // Foreign layers and a subject need not be there.
    let mut foreign = descriptor(b"elsewhere");
    foreign["urls"] = json!(["http://elsewhere.test/layer"]);
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
                          "config": descriptor(b"{}"), "layers": [foreign],
                          "subject": descriptor(b"later")});
    assert_eq!(
        put("v1", OCI_MANIFEST, manifest.to_string()).await.status,
        201
    );
}

#[tokio::test]
async fn push_that_is_refused_makes_no_repository() {
    let (app, registry) = seeded().await;
    let headers = [("Content-Type", OCI_MANIFEST)];
    let path = "/v2/group/a/manifests/v1";
    let manifest = registry
        .send("PUT", path, &headers, image(&[b"missing"]))
        .await;
    refused(&manifest, 400, "MANIFEST_BLOB_UNKNOWN");
    let path = "/v2/group/a/blobs/uploads/?digest=nonsense";
    refused(
        &registry.send("POST", path, &[], "x").await,
        400,
        "DIGEST_INVALID",
    );
    app.get("/v2/manage/namespaces/group/repos/a")
        .await
        .refused(404, "4040010");
}

#[tokio::test]
async fn push_that_is_refused_is_read_so_that_the_answer_arrives() {
    let (_app, registry) = seeded().await;
    let large = vec![7; 12 * 1024 * 1024];
    let path = "/v2/group/a/blobs/uploads/none";
    let answer = registry.send("PATCH", path, &[], large.clone()).await;
    refused(&answer, 404, "BLOB_UPLOAD_UNKNOWN");
    let nobody = Registry {
        client: registry.client.clone(),
        bearer: None,
    };
    refused(
        &nobody.send("PUT", path, &[], large).await,
        401,
        "UNAUTHORIZED",
    );
}

#[tokio::test]
async fn discovery_lists_tags_in_pages() {
    let (_app, registry) = seeded().await;
    for tag in ["b", "a", "A", "v1.0", "d"] {
        registry.push_image("group/a", tag, b"layer").await;
    }
    let sorted = json!(["A", "a", "b", "d", "v1.0"]);
    let all = registry.get("/v2/group/a/tags/list").await.json();
    assert_eq!(all, json!({"name": "group/a", "tags": sorted}));
    let mut path = "/v2/group/a/tags/list?n=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = registry.get(&path).await;
        let tags = page.json()["tags"].clone();
        seen.extend(tags.as_array().expect("a list").clone());
        let Some(link) = page.header("link") else {
            break;
        };
        let next = link
            .strip_prefix('<')
            .and_then(|link| link.split_once(">; rel=\"next\""));
        next.expect("a link to the next page")
            .0
            .clone_into(&mut path);
    }
    assert_eq!(Value::from(seen), sorted);
    let rest = registry.get("/v2/group/a/tags/list?last=b").await.json();
    assert_eq!(rest["tags"], json!(["d", "v1.0"]));
    let none = registry.get("/v2/group/a/tags/list?n=0").await.json();
    assert_eq!(none["tags"], json!([]));
    refused(
        &registry.get("/v2/group/b/tags/list").await,
        404,
        "NAME_UNKNOWN",
    );
}

#[tokio::test]
async fn discovery_lists_referrers() {
    let (_app, registry) = seeded().await;
    let subject = registry.push_image("group/a", "v1", b"layer").await;
    let manifest = |kind: &str| {
        json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind,
               "config": descriptor(b"{}"), "layers": [],
               "subject": {"mediaType": OCI_MANIFEST, "digest": subject,
                           "size": image(&[b"layer"]).len()},
               "annotations": {"key": kind}})
        .to_string()
    };
    for kind in ["test/one", "test/two"] {
        let content = manifest(kind);
        let path = format!("/v2/group/a/manifests/{}", digest(content.as_bytes()));
        let headers = [("Content-Type", OCI_MANIFEST)];
        let answer = registry.send("PUT", &path, &headers, content).await;
        assert_eq!(answer.status, 201);
        assert_eq!(answer.header("oci-subject"), Some(subject.as_str()));
    }
    let path = format!("/v2/group/a/referrers/{subject}");
    let all = registry.get(&path).await;
    assert_eq!(all.header("content-type"), Some(OCI_INDEX));
    assert_eq!(all.json()["manifests"].as_array().map(Vec::len), Some(2));
    let one = registry.get(&format!("{path}?artifactType=test/two")).await;
    assert_eq!(one.header("oci-filters-applied"), Some("artifactType"));
    assert_eq!(
        one.json()["manifests"],
        json!([{"mediaType": OCI_MANIFEST, "digest": digest(manifest("test/two").as_bytes()),
                "size": manifest("test/two").len(), "artifactType": "test/two",
                "annotations": {"key": "test/two"}}])
    );
    let none = registry
        .get(&format!("/v2/group/a/referrers/{}", digest(b"none")))
        .await;
    assert_eq!(
        (none.status.as_u16(), &none.json()["manifests"]),
        (200, &json!([]))
    );
}

#[tokio::test]
async fn discovery_lists_no_referrers_before_the_first_push_to_those_who_may_pull() {
    let (app, registry) = seeded().await;
    registry.push_image("group/b", "v1", b"layer").await;
    let path = |name: &str| format!("/v2/{name}/referrers/{}", digest(b"x"));
    for query in ["", "?artifactType=test/one"] {
        let [missing, empty] = ["group/a", "group/b"].map(|name| path(name) + query);
        let missing = registry.get(&missing).await;
        let empty = registry.get(&empty).await;
        assert_eq!(missing.status, 200, "{}", missing.text());
        assert_eq!(missing.header("content-type"), Some(OCI_INDEX));
        assert_eq!(missing.body, empty.body);
        assert_eq!(missing.json()["manifests"], json!([]));
        let names = |answer: &Answer| -> Vec<_> { answer.headers.keys().cloned().collect() };
        assert_eq!(names(&missing), names(&empty));
    }
    // Nothing was made by that, and what is wrong with a question is told all the same.
    let shown = app.get("/v2/manage/namespaces/group/repos/a").await;
    assert_eq!(shown.status, 404);
    let wrong = registry.get(&(path("group/a") + "?last=x")).await;
    refused(&wrong, 400, "SIZE_INVALID");
    // Others are told what they were told before.
    let theirs = Registry::login(&app.client, "PARTNERAK", "PARTNERSK", &["group/a"]).await;
    refused(&theirs.get(&path("group/a")).await, 401, "UNAUTHORIZED");
    let anonymous = Registry::anonymous(&app.client, "scope=repository:group/a:pull").await;
    refused(&anonymous.get(&path("group/a")).await, 401, "UNAUTHORIZED");
    refused(
        &registry.get("/v2/group/a/tags/list").await,
        404,
        "NAME_UNKNOWN",
    );
}

#[tokio::test]
async fn management_deletes_tags_manifests_and_blobs() {
    let (_app, registry) = seeded().await;
    let digest = registry.push_image("group/a", "v1", b"layer").await;
    registry.push_image("group/a", "v2", b"layer").await;
    let delete = async |path: &str| registry.send("DELETE", path, &[], "").await;

    assert_eq!(delete("/v2/group/a/manifests/v1").await.status, 202);
    refused(
        &delete("/v2/group/a/manifests/v1").await,
        404,
        "MANIFEST_UNKNOWN",
    );
    let by_digest = format!("/v2/group/a/manifests/{digest}");
    assert_eq!(registry.get(&by_digest).await.status, 200);
    assert_eq!(delete(&by_digest).await.status, 202);
    refused(&registry.get(&by_digest).await, 404, "MANIFEST_UNKNOWN");
    refused(
        &registry.get("/v2/group/a/manifests/v2").await,
        404,
        "MANIFEST_UNKNOWN",
    );
    let blob = format!("/v2/group/a/blobs/{}", self::digest(b"layer"));
    assert_eq!(delete(&blob).await.status, 202);
    refused(&delete(&blob).await, 404, "BLOB_UNKNOWN");
    refused(&registry.get(&blob).await, 404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn names_may_be_deep_and_are_checked() {
    let (_app, registry) = seeded().await;
    registry.push_image("group/x/y/z", "v1", b"layer").await;
    let list = registry.get("/v2/group/x/y/z/tags/list").await.json();
    assert_eq!(list["name"], "group/x/y/z");
    for name in [
        "group",
        "GROUP/a",
        "group/../etc",
        "group/a..b",
        "manage/a",
        "group/%2e%2e",
    ] {
        let answer = registry.get(&format!("/v2/{name}/tags/list")).await;
        let status = answer.status.as_u16();
        assert!([400, 404].contains(&status), "{name}: {status}");
    }
    refused(&registry.get("/v2/_catalog").await, 404, "UNSUPPORTED");
}

#[tokio::test]
async fn without_a_token_the_challenge_leads_to_one() {
    let (app, _) = seeded().await;
    let nobody = Registry {
        client: app.as_nobody(),
        bearer: None,
    };
    let host = &app.client.address;
    let realm =
        format!("Bearer realm=\"http://{host}/swr/auth/v2/registry/auth/\",service=\"dockyard\"");
    let base = nobody.get("/v2/").await;
    refused(&base, 401, "UNAUTHORIZED");
    assert_eq!(base.header("www-authenticate"), Some(realm.as_str()));
    let digest = digest(b"");
    for (method, path, actions) in [
        ("GET", "/v2/group/a/manifests/v1".to_owned(), "pull,push"),
        ("PUT", "/v2/group/a/manifests/v1".to_owned(), "pull,push"),
        (
            "DELETE",
            "/v2/group/a/manifests/v1".to_owned(),
            "pull,push,delete",
        ),
        ("HEAD", format!("/v2/group/a/blobs/{digest}"), "pull,push"),
        ("GET", format!("/v2/group/a/blobs/{digest}"), "pull,push"),
        (
            "DELETE",
            format!("/v2/group/a/blobs/{digest}"),
            "pull,push,delete",
        ),
        ("POST", "/v2/group/a/blobs/uploads/".to_owned(), "pull,push"),
        ("GET", "/v2/group/a/blobs/uploads/x".to_owned(), "pull,push"),
        (
            "PATCH",
            "/v2/group/a/blobs/uploads/x".to_owned(),
            "pull,push",
        ),
        ("PUT", "/v2/group/a/blobs/uploads/x".to_owned(), "pull,push"),
        (
            "DELETE",
            "/v2/group/a/blobs/uploads/x".to_owned(),
            "pull,push",
        ),
        ("GET", "/v2/group/a/tags/list".to_owned(), "pull,push"),
        (
            "GET",
            format!("/v2/group/a/referrers/{digest}"),
            "pull,push",
        ),
    ] {
        let answer = nobody.send(method, &path, &[], "").await;
        assert_eq!(answer.status, 401, "{method} {path}");
        let challenge = format!("{realm},scope=\"repository:group/a:{actions}\"");
        assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()));
    }
    // Basic credentials are for the token service only.
    let login = BASE64_STANDARD.encode("x:y");
    let headers = [("Authorization", format!("Basic {login}"))];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    assert_eq!(nobody.send("GET", "/v2/", &headers, "").await.status, 401);
    let wrong = Registry {
        bearer: Some("x.y.z".to_owned()),
        ..nobody
    };
    assert_eq!(wrong.get("/v2/").await.status, 401);
}

#[tokio::test]
async fn the_challenge_of_a_mount_leads_to_a_token_that_mounts() {
    let (app, registry) = seeded().await;
    let digest = registry.push_blob("group/a", b"content").await;
    let nobody = Registry {
        client: app.as_nobody(),
        bearer: None,
    };
    let scope_of = async |query: &str| {
        let path = format!("/v2/group/b/blobs/uploads/?{query}");
        let answer = nobody.send("POST", &path, &[], "").await;
        refused(&answer, 401, "UNAUTHORIZED");
        let challenge = answer.header("www-authenticate").expect("a challenge");
        let (_, scope) = challenge.split_once(",scope=\"").expect("a scope");
        let scope = scope.strip_suffix('"').expect("quoted");
        scope.to_owned()
    };
    let target = "repository:group/b:pull,push";
    let both = scope_of(&format!("mount={digest}&from=group/a")).await;
    assert_eq!(both, format!("{target} repository:group/a:pull"));

    let password = long_term_password(BUILTIN_ACCESS_KEY, &Secret::new(BUILTIN_SECRET_KEY));
    let login = Some((BUILTIN_ACCESS_KEY, password.as_str()));
    let query: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("scope", &both)
        .finish();
    let token = ask_for_token(&app.as_nobody(), login, &query).await;
    let following = Registry {
        client: app.as_nobody(),
        bearer: token.json()["token"].as_str().map(str::to_owned),
    };
    let path = format!("/v2/group/b/blobs/uploads/?mount={digest}&from=group/a");
    let mounted = following.send("POST", &path, &[], "").await;
    assert_eq!(mounted.status, 201, "{}", mounted.text());

    // What can be no source is not named: an organization that does not exist would have the
    // token service refuse the whole list.
    for query in [
        "from=group/a",
        &format!("mount={digest}"),
        &format!("mount={digest}&from=NONSENSE"),
        &format!("mount={digest}&from=group/b"),
        &format!("mount={digest}&from=nowhere/a"),
        &format!("mount={digest}&from=group/a%22,error=%22x"),
    ] {
        assert_eq!(scope_of(query).await, target, "{query}");
    }
}

#[tokio::test]
async fn why_a_login_was_refused_is_told_in_the_log_and_not_to_the_client() {
    let app = TestApp::start().await;
    let made = app
        .client
        .send("POST", "/v2/manage/utils/secret?duration_seconds=900", None)
        .await;
    let command = made.header("x-swr-dockerlogin").expect("a command");
    let words: Vec<_> = command.split(' ').collect();
    let (temporary, password) = (words[3], words[5]);
    let check = async |user: &str, password: &str, expected: &str| {
        let login = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let login = Some(format!("Basic {login}"));
        let answer = ask_for_token_with(&app.client, login, "").await;
        assert_eq!(answer.status, 401, "{user}");
        let error = json!({"code": "DENIED", "message": "Authenticate Error"});
        assert_eq!(answer.json(), json!({"errors": [error]}), "{user}");
        let requests = app
            .get("/_emulator/requests?operation=RegistryToken&limit=1")
            .await;
        assert!(!requests.text().contains(password), "{}", requests.text());
        let told = requests.json()[0]["message"].clone();
        assert_eq!(told, format!("Authenticate Error: {expected}"));
    };
    check(
        "admin",
        "my-secret",
        "the user name \"admin\" is not PROJECT@AK; the user admin of the account swr-emulator logs \
         in as PROJECT@SWREMULATOR000000001; see the command env --for docker",
    )
    .await;
    check(
        "r1@NOBODY",
        "my-secret",
        "the access key in the user name \"r1@NOBODY\" belongs to no user and no temporary login",
    )
    .await;
    check(
        "r1@SWREMULATOR000000001",
        "my-secret",
        "the password of the user \"r1@SWREMULATOR000000001\" is wrong (the user admin of the \
         account swr-emulator); see the command env --for docker",
    )
    .await;
    check(
        temporary,
        "my-secret",
        &format!("the password of the temporary login {temporary:?} is wrong"),
    )
    .await;
    let long = "x".repeat(20_000);
    let cut = format!(
        "the user name \"{}…\" is not PROJECT@AK; see the command env --for docker",
        "x".repeat(128)
    );
    check(&long, "my-secret", &cut).await;
    app.post("/_emulator/clock", json!({"advance": "1h"})).await;
    check(
        temporary,
        password,
        &format!("the temporary login {temporary:?} has expired"),
    )
    .await;

    let bearer = Some("Bearer my-secret".to_owned());
    let answer = ask_for_token_with(&app.client, bearer, "").await;
    refused(&answer, 401, "DENIED");
    let requests = app.get("/_emulator/requests?limit=1").await;
    assert!(!requests.text().contains("my-secret"));
    let expected = "Authenticate Error: the Authorization header must be Basic with a user and a \
                    password";
    assert_eq!(requests.json()[0]["message"], expected);
}

#[tokio::test]
async fn a_login_is_checked_and_an_unknown_organization_refused() {
    let (app, registry) = seeded().await;
    assert_eq!(registry.get("/v2/").await.status, 200);
    let nobody = app.as_nobody();
    let wrong = ask_for_token(&nobody, Some((BUILTIN_ACCESS_KEY, "wrong")), "").await;
    assert_eq!(wrong.status, 401);
    assert_eq!(
        wrong.json(),
        json!({"errors": [{"code": "DENIED", "message": "Authenticate Error"}]})
    );
    let password = long_term_password(BUILTIN_ACCESS_KEY, &Secret::new(BUILTIN_SECRET_KEY));
    let unknown = ask_for_token(&nobody, Some(("NOBODY", &password)), "").await;
    refused(&unknown, 401, "DENIED");
    let login = Some((BUILTIN_ACCESS_KEY, password.as_str()));
    let refusal = ask_for_token(&nobody, login, "scope=repository:none/a:pull,push").await;
    refused(&refusal, 403, "DENIED");
}

#[tokio::test]
async fn a_token_holds_all_scopes_that_the_caller_has_rights_to() {
    let (app, _) = seeded().await;
    let password = long_term_password(BUILTIN_ACCESS_KEY, &Secret::new(BUILTIN_SECRET_KEY));
    let login = Some((BUILTIN_ACCESS_KEY, password.as_str()));
    let query = "scope=repository:group/a:push,pull&\
                 scope=repository:group/private:pull%20repository:theirs/secret:pull&\
                 scope=registry:catalog:*";
    let answer = ask_for_token(&app.as_nobody(), login, query).await;
    let token = answer.json()["token"].as_str().expect("a token").to_owned();
    let payload = token.split('.').nth(1).expect("three parts");
    let payload = base64::prelude::BASE64_URL_SAFE_NO_PAD
        .decode(payload)
        .expect("base64");
    let claims: Value = serde_json::from_slice(&payload).expect("JSON");
    assert_eq!(
        claims["access"],
        json!([
            {"type": "repository", "name": "group/a", "actions": ["pull", "push"]},
            {"type": "repository", "name": "group/private", "actions": ["pull"]}
        ])
    );
    assert_eq!(claims["aud"], "dockyard");
    assert_eq!(answer.json()["expires_in"], 900);
}

#[tokio::test]
async fn a_push_makes_the_repository_private_and_of_no_category() {
    let (app, registry) = seeded().await;
    registry.push_image("group/a", "v1", b"layer").await;
    let shown = app.get("/v2/manage/namespaces/group/repos/a").await.json();
    assert_eq!(
        (&shown["is_public"], &shown["category"]),
        (&json!(false), &json!("other"))
    );
    assert_eq!(shown["creator_name"], "admin");
}

#[tokio::test]
async fn anyone_pulls_from_a_public_repository_and_nobody_else_from_a_private_one() {
    let (app, _) = seeded().await;
    let admin = Registry::admin(&app.client, &["group/public", "group/private"]).await;
    admin.push_image("group/public", "v1", b"layer").await;
    admin.push_image("group/private", "v1", b"layer").await;
    let scope = "scope=repository:group/public:pull,push&scope=repository:group/private:pull";
    let nobody = Registry::anonymous(&app.client, scope).await;
    let partner = Registry::login(
        &app.client,
        "PARTNERAK",
        "PARTNERSK",
        &["group/public", "group/private"],
    )
    .await;
    for registry in [nobody, partner] {
        let public = registry.get("/v2/group/public/manifests/v1").await;
        assert_eq!(public.status, 200, "{}", public.text());
        let private = registry.get("/v2/group/private/manifests/v1").await;
        assert_eq!(private.status, 401);
        let push = registry
            .send("POST", "/v2/group/public/blobs/uploads/", &[], "")
            .await;
        assert_eq!(push.status, 401);
    }
    // What a token grants is looked up again when it is used.
    let nobody = Registry::anonymous(&app.client, "scope=repository:group/public:pull").await;
    let patch = json!({"is_public": false});
    app.patch("/v2/manage/namespaces/group/repos/public", patch)
        .await
        .is(201, "{}");
    let denied = nobody.get("/v2/group/public/manifests/v1").await;
    refused(&denied, 403, "DENIED");
}

#[tokio::test]
async fn temporary_logins_work_until_they_expire_and_after_a_reset_no_more() {
    let (app, _) = seeded().await;
    for (path, start) in [
        ("/v2/manage/utils/secret", "cn-north-4@"),
        (
            "/v2/manage/utils/secret?projectname=cn-east-3",
            "cn-east-3@",
        ),
        ("/v2/manage/utils/authorizationtoken", "bearertoken@"),
    ] {
        let answer = app.client.send("POST", path, None).await;
        assert_eq!(answer.status, 200);
        let host = app.client.address.clone();
        let auth = answer.json()["auths"][&host]["auth"]
            .as_str()
            .expect("a login")
            .to_owned();
        let login = BASE64_STANDARD.decode(&auth).expect("base64");
        let login = String::from_utf8(login).expect("UTF-8");
        let (user, password) = login.split_once(':').expect("user and password");
        assert!(user.starts_with(start), "{user}");
        let command = answer.header("x-swr-dockerlogin").expect("a command");
        assert_eq!(
            command,
            format!("docker login -u {user} -p {password} {host}")
        );
        assert!(
            answer
                .header("x-swr-expireat")
                .is_some_and(|time| time.ends_with('Z'))
        );

        let (_, access_key) = user.split_once('@').expect("project and key");
        let nobody = app.as_nobody();
        let scope = "scope=repository:group/a:pull,push";
        let token = ask_for_token(&nobody, Some((access_key, password)), scope).await;
        assert_eq!(token.status, 200);
        let wrong = ask_for_token(&nobody, Some((access_key, "wrong")), scope).await;
        assert_eq!(wrong.status, 401);
        app.client
            .send("POST", "/_emulator/reset", None)
            .await
            .is(204, "");
        let gone = ask_for_token(&nobody, Some((access_key, password)), scope).await;
        assert_eq!(gone.status, 401);
    }
    for query in [
        "projectname=a%20b",
        "duration_seconds=1",
        "duration_seconds=x",
    ] {
        let path = format!("/v2/manage/utils/secret?{query}");
        app.client
            .send("POST", &path, None)
            .await
            .refused(400, "4001025");
    }
}

#[tokio::test]
async fn with_auth_any_every_login_is_the_admin() {
    let app = TestApp::seeded_with(SEED, &["--auth", "any"]).await;
    let scope = "scope=repository:group/a:pull,push";
    let answer = ask_for_token(&app.as_nobody(), Some(("ANY", "thing")), scope).await;
    let registry = Registry {
        client: app.as_nobody(),
        bearer: answer.json()["token"].as_str().map(str::to_owned),
    };
    registry.push_image("group/a", "v1", b"layer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pushes_of_the_same_and_of_different_layers_all_succeed() {
    let (app, registry) = seeded().await;
    let pushes = (0..48).map(|at| {
        let layer = format!("layer {}", at % 6);
        let (tag, registry) = (format!("t{at}"), &registry);
        async move { registry.push_image("group/a", &tag, layer.as_bytes()).await }
    });
    let digests = futures_util::future::join_all(pushes).await;
    for (at, digest) in digests.iter().enumerate() {
        let answer = registry.get(&format!("/v2/group/a/manifests/t{at}")).await;
        assert_eq!(
            answer.header("docker-content-digest"),
            Some(digest.as_str())
        );
        let layer = format!("layer {}", at % 6);
        let blob = format!("/v2/group/a/blobs/{}", self::digest(layer.as_bytes()));
        assert_eq!(registry.get(&blob).await.text(), layer);
    }
    let shown = app.get("/v2/manage/namespaces/group/repos/a").await.json();
    assert_eq!(shown["num_images"], 48);
}

#[tokio::test]
async fn a_pull_under_way_outlives_the_deletion_of_its_blob() {
    let (app, registry) = seeded().await;
    let content = vec![7; 8 * 1024 * 1024];
    let digest = registry.push_blob("group/a", &content).await;
    let path = format!("/v2/group/a/blobs/{digest}");
    let mut connection = registry.client.connect().await;
    let request = Request::get(&path)
        .header("Host", "localhost")
        .header(
            "Authorization",
            format!("Bearer {}", registry.bearer.as_deref().expect("one")),
        )
        .body(http_body_util::Full::new(Bytes::new()))
        .expect("legal");
    let response = connection.send_request(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    // The answer has begun; now everything goes, file included.
    app.client
        .send("POST", "/_emulator/reset", None)
        .await
        .is(204, "");
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .expect("whole");
    assert_eq!(self::digest(&body.to_bytes()), digest);
    let registry = Registry::admin(&app.client, &["group/a"]).await;
    assert_eq!(registry.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_manifest_that_is_ready_is_as_it_was_read_and_for_those_with_its_token_only() {
    let app = TestApp::with_repository().await;
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    let digest = registry.push_image("group/busybox", "v1", b"layer").await;
    let path = "/v2/group/busybox/manifests/v1";
    let read = registry.get(path).await;
    let ready = registry.get(path).await;
    assert_eq!((read.status, &read.body), (ready.status, &ready.body));
    for name in [
        "content-type",
        "content-length",
        "etag",
        "docker-content-digest",
    ] {
        assert_eq!(read.headers.get(name), ready.headers.get(name), "{name}");
    }
    let head = registry.send("HEAD", path, &[], "").await;
    assert_eq!(
        head.headers.get("docker-content-digest"),
        ready.headers.get("docker-content-digest")
    );
    assert!(head.body.is_empty());
    let tags = "/v2/group/busybox/tags/list";
    assert_eq!(
        registry.get(tags).await.json(),
        registry.get(tags).await.json()
    );
    for path in [path, tags] {
        assert_eq!(app.get(path).await.status, 401, "{path}");
    }

    let other = registry
        .push_image("group/busybox", "v1", b"another layer")
        .await;
    assert_ne!(digest, other);
    let read = registry.get(path).await;
    assert_eq!(
        read.headers.get("docker-content-digest").expect("sent"),
        other.as_str()
    );
    let delete = registry.send("DELETE", path, &[], "").await;
    assert_eq!(delete.status, 202);
    assert_eq!(registry.get(path).await.status, 404);
    assert_eq!(registry.get(tags).await.json()["tags"], json!([]));
}
