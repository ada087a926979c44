//! Blobs whose files, clients or disks go wrong: what cannot be served is not there, and nothing
//! is left of what did not become a blob.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use sqlx::{ConnectOptions, Connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{self, Answer, Kept, OCI_MANIFEST, Registry, TestApp, WORLD};

const REPOSITORIES: [&str; 3] = ["group/a", "group/b", "group/c"];
/// What would take for ever without the mend takes this long in a test that fails.
const BOUND: Duration = Duration::from_secs(15);

async fn seeded() -> (TestApp, Registry) {
    let app = TestApp::seeded(WORLD).await;
    let registry = Registry::admin(&app.client, &REPOSITORIES).await;
    (app, registry)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .expect("there")
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// The file that holds some content.
fn file_of(data: &Path, content: &[u8]) -> PathBuf {
    files(&data.join("blobs"))
        .into_iter()
        .find(|file| std::fs::read(file).is_ok_and(|found| found == content))
        .expect("a blob's file")
}

async fn mount(registry: &Registry, digest: &str, from: &str, to: &str) -> StatusCode {
    let path = format!("/v2/{to}/blobs/uploads/?mount={digest}&from={from}");
    registry.send("POST", &path, &[], "").await.status
}

/// Pushes a manifest whose only part is this blob.
async fn put_manifest_of(registry: &Registry, repository: &str, digest: &str) -> Answer {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/octet-stream", "digest": digest, "size": 1},
        "layers": [],
    });
    let path = format!("/v2/{repository}/manifests/v1");
    let body = manifest.to_string();
    registry.send("PUT", &path, &[], body).await
}

/// Opens a connection and sends the head of a request of the registry.
async fn send_head(registry: &Registry, request: &str, headers: &str) -> TcpStream {
    let address = &registry.client.address;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let bearer = registry.bearer.as_deref().expect("a token");
    let head = format!(
        "{request} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n{headers}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream
}

#[tokio::test]
async fn an_upload_is_shown_and_cancelled_while_a_piece_stands_still() {
    let (_app, registry) = seeded().await;
    let start = "/v2/group/a/blobs/uploads/";
    let started = registry.send("POST", start, &[], "").await;
    let location = started.header("location").expect("a location").to_owned();
    registry.send("PATCH", &location, &[], "0123").await;

    let headers = "Content-Length: 10\r\nExpect: 100-continue";
    let mut standing = send_head(&registry, &format!("PATCH {location}"), headers).await;
    let mut answer = [0; 12];
    standing.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 100");

    let shown = tokio::time::timeout(BOUND, registry.get(&location)).await;
    let shown = shown.expect("nobody has to wait for the piece");
    assert_eq!(shown.status, 204);
    assert_eq!(shown.header("range"), Some("0-3"));
    let cancelled = registry.send("DELETE", &location, &[], "");
    let cancelled = tokio::time::timeout(BOUND, cancelled).await;
    assert_eq!(cancelled.expect("nor for this").status, 204);
    assert_eq!(registry.get(&location).await.status, 404);
}

#[tokio::test]
async fn a_blob_whose_file_is_damaged_is_not_there_until_a_push_heals_it_everywhere() {
    let (app, registry) = seeded().await;
    let content = b"0123456789";
    let remove = |file: &Path| std::fs::remove_file(file).expect("removed");
    let cut = |file: &Path| std::fs::write(file, "012").expect("written");
    let lengthen = |file: &Path| std::fs::write(file, "0123456789x").expect("written");
    let replace = |file: &Path| {
        std::fs::remove_file(file).expect("removed");
        std::fs::create_dir(file).expect("made");
    };
    for damage in [&remove as &dyn Fn(&Path), &cut, &lengthen, &replace] {
        let digest = registry.push_blob("group/a", content).await;
        assert_eq!(mount(&registry, &digest, "group/a", "group/b").await, 201);
        damage(&file_of(app.data_folder(), content));

        let [a, b] = ["a", "b"].map(|name| format!("/v2/group/{name}/blobs/{digest}"));
        for method in ["HEAD", "GET"] {
            let answer = registry.send(method, &a, &[], "").await;
            assert_eq!(answer.status, 404, "{method}");
        }
        assert_eq!(mount(&registry, &digest, "group/b", "group/c").await, 202);
        let manifest = put_manifest_of(&registry, "group/b", &digest).await;
        assert_eq!(manifest.status, 400);
        assert!(manifest.text().contains("MANIFEST_BLOB_UNKNOWN"));

        registry.push_blob("group/a", content).await;
        for path in [&a, &b] {
            let answer = registry.get(path).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, "0123456789"));
        }
        let manifest = put_manifest_of(&registry, "group/b", &digest).await;
        assert_eq!(manifest.status, 201);
    }
}

#[tokio::test]
async fn a_pull_whose_file_ends_too_early_breaks_off_and_the_blob_is_not_there_any_more() {
    let (app, registry) = seeded().await;
    let content = vec![7; 48 * 1024 * 1024];
    let digest = registry.push_blob("group/a", &content).await;
    let path = format!("/v2/group/a/blobs/{digest}");
    let file = files(&app.data_folder().join("blobs")).remove(0);
    let mut pull = send_head(&registry, &format!("GET {path}"), "Connection: close").await;
    pull.read_exact(&mut [0; 12]).await.expect("an answer");

    let shortened = std::fs::File::options().write(true).open(&file);
    let shortened = shortened.expect("it is there");
    shortened.set_len(1024 * 1024).expect("cut");
    let mut received = Vec::new();
    // Whether the connection is closed or reset does not matter.
    let _ = pull.read_to_end(&mut received).await;
    assert!(received.len() < content.len(), "{}", received.len());
    // Also when the size is right again.
    shortened.set_len(content.len() as u64).expect("lengthened");
    let head = registry.send("HEAD", &path, &[], "").await;
    assert_eq!(head.status, 404);
}

#[tokio::test]
async fn a_push_replaces_the_file_of_the_same_content() {
    let (app, registry) = seeded().await;
    registry.push_blob("group/a", b"content").await;
    let first = file_of(app.data_folder(), b"content");
    registry.push_blob("group/b", b"content").await;
    let second = file_of(app.data_folder(), b"content");
    assert_ne!(first, second);
    assert_eq!(files(&app.data_folder().join("blobs")), [second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_notices_files_that_are_gone_and_those_that_are_back() {
    let kept = Kept::seeded(WORLD);
    let arguments = ["--log-level", "error"];
    let digest = {
        let process = kept.start(&arguments);
        let registry = Registry::admin(&process.client(), &REPOSITORIES).await;
        registry.push_blob("group/a", b"content").await
    };
    let file = file_of(&kept.data_folder(), b"content");
    let aside = kept.data_folder().join("aside");
    std::fs::rename(&file, &aside).expect("moved");
    {
        let process = kept.start(&arguments);
        let registry = Registry::admin(&process.client(), &REPOSITORIES).await;
        // Nobody asked for the blob before.
        let manifest = put_manifest_of(&registry, "group/a", &digest).await;
        assert_eq!(manifest.status, 400, "{}", manifest.text());
    }
    std::fs::rename(&aside, &file).expect("moved back");
    let process = kept.start(&arguments);
    let registry = Registry::admin(&process.client(), &REPOSITORIES).await;
    let manifest = put_manifest_of(&registry, "group/a", &digest).await;
    assert_eq!(manifest.status, 201, "{}", manifest.text());
    let path = format!("/v2/group/a/blobs/{digest}");
    assert_eq!(registry.get(&path).await.text(), "content");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_whose_clients_go_away_leave_no_file_without_a_blob() {
    const CLIENTS: usize = 120;
    let (app, registry) = seeded().await;
    registry.push_blob("group/a", b"first").await;
    let contents: Vec<_> = (0..CLIENTS).map(|at| format!("content {at:0>4}")).collect();
    for (at, content) in contents.iter().enumerate() {
        let digest = support::digest(content.as_bytes());
        let request = if at % 2 == 0 {
            format!("POST /v2/group/a/blobs/uploads/?digest={digest}")
        } else {
            let start = "/v2/group/a/blobs/uploads/";
            let started = registry.send("POST", start, &[], "").await;
            let location = started.header("location").expect("a location");
            format!("PUT {location}?digest={digest}")
        };
        let headers = format!("Content-Length: {}", content.len());
        let mut stream = send_head(&registry, &request, &headers).await;
        stream.write_all(content.as_bytes()).await.expect("sent");
        // Another moment each time: from at once to a while after the upload has ended.
        for _ in 0..at {
            tokio::task::yield_now().await;
        }
        drop(stream);
    }
    let settled = async {
        loop {
            let mut blobs = 1;
            for content in &contents {
                let digest = support::digest(content.as_bytes());
                let path = format!("/v2/group/a/blobs/{digest}");
                blobs += usize::from(registry.get(&path).await.status == 200);
            }
            let left = files(&app.data_folder().join("uploads")).len();
            if left == 0 && files(&app.data_folder().join("blobs")).len() == blobs {
                return;
            }
        }
    };
    let settled = tokio::time::timeout(BOUND, settled).await;
    settled.expect("in the end each file has a blob");
}

#[tokio::test]
async fn a_blob_that_the_database_does_not_take_leaves_no_file() {
    let (app, registry) = seeded().await;
    registry.push_blob("group/a", b"first").await;
    let database = app.data_folder().join("swr-emulator.db");
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(database)
        .connect()
        .await
        .expect("opened");
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON blobs
                  BEGIN SELECT RAISE(ABORT, 'refused'); END";
    sqlx::raw_sql(refuse)
        .execute(&mut connection)
        .await
        .expect("made");
    connection.close().await.expect("closed");

    let digest = support::digest(b"second");
    let path = format!("/v2/group/a/blobs/uploads/?digest={digest}");
    let answer = registry.send("POST", &path, &[], "second").await;
    assert_eq!(answer.status, 500);
    assert_eq!(files(&app.data_folder().join("blobs")).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_comes_back_finds_its_blobs_and_nothing_of_others_is_swept() {
    let kept = Kept::seeded(WORLD);
    let data = kept.data_folder();
    // Names like the MD5 of something.
    let theirs = ["uploads", "blobs"].map(|folder| data.join(folder).join("0".repeat(32)));
    for file in &theirs {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, "theirs").expect("written");
    }
    let arguments = ["--log-level", "error"];
    let digest = {
        let process = kept.start(&arguments);
        let registry = Registry::admin(&process.client(), &REPOSITORIES).await;
        registry.push_blob("group/a", b"content").await
    };
    std::fs::create_dir(data.join("aside")).expect("made");
    let database = data.join("swr-emulator.db");
    let aside = data.join("aside/swr-emulator.db");
    std::fs::rename(&database, &aside).expect("moved away");
    for _ in 0..3 {
        drop(kept.start(&arguments));
    }
    std::fs::rename(&aside, &database).expect("moved back");
    let process = kept.start(&arguments);
    let registry = Registry::admin(&process.client(), &REPOSITORIES).await;
    let path = format!("/v2/group/a/blobs/{digest}");
    assert_eq!(registry.get(&path).await.text(), "content");
    assert!(theirs.iter().all(|file| file.exists()));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn in_a_folder_that_all_may_look_into_only_the_owner_reads_what_the_emulator_keeps() {
    use std::os::unix::fs::PermissionsExt;
    let kept = Kept::seeded(WORLD);
    let data = kept.data_folder();
    std::fs::create_dir(&data).expect("made");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&data, open.clone()).expect("set");
    let check = |folder: &Path| {
        for file in files(folder) {
            let mode = file.metadata().expect("there").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{} {mode:o}", file.display());
        }
    };
    for round in 0..2 {
        let process = kept.start(&["--log-level", "error"]);
        let registry = Registry::admin(&process.client(), &REPOSITORIES).await;
        registry.push_blob("group/a", b"content").await;
        let start = "/v2/group/a/blobs/uploads/";
        let started = registry.send("POST", start, &[], "").await;
        let location = started.header("location").expect("a location").to_owned();
        registry.send("PATCH", &location, &[], "0123").await;
        assert!(
            files(&data)
                .iter()
                .any(|file| file.ends_with("swr-emulator.db-wal"))
        );
        for folder in ["", "blobs", "uploads"] {
            check(&data.join(folder));
        }
        process.kill();
        if round == 0 {
            // As an earlier version left them.
            for file in files(&data).into_iter().filter(|file| file.is_file()) {
                let open = std::fs::Permissions::from_mode(0o644);
                std::fs::set_permissions(file, open).expect("set");
            }
            for folder in ["blobs", "uploads"] {
                std::fs::set_permissions(data.join(folder), open.clone()).expect("set");
            }
        }
    }
}
