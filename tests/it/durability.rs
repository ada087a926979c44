//! What was answered with 2xx is there: after `kill -9`, and beside a disk that fails.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, StatusCode};
use serde_json::json;

use crate::support::{self, Kept, Process, Registry, TRIGGERS, WORLD, trigger};

/// Creates triggers over many connections until `most` were asked for or the emulator is gone;
/// the names of those that were answered 201.
async fn create_until_gone(process: &Process, prefix: &str, most: usize) -> HashSet<String> {
    const CONNECTIONS: usize = 32;
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (client, next, prefix) = (process.client(), Arc::clone(&next), prefix.to_owned());
        tasks.spawn(async move {
            let mut connection = client.connect().await;
            let mut acknowledged = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= most {
                    return acknowledged;
                }
                let name = format!("{prefix}-{at}");
                let body = trigger(&name).to_string();
                let request = Request::post(TRIGGERS).body(body.into()).expect("legal");
                match client.request_on(&mut connection, request).await {
                    Some(answer) if answer.status == 201 => acknowledged.push(name),
                    Some(answer) => panic!("{} {}", answer.status, answer.text()),
                    None => return acknowledged,
                }
            }
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

async fn stored(process: &Process) -> HashSet<String> {
    let list = process.client().send("GET", TRIGGERS, None).await.json();
    let names = list.as_array().expect("a list").iter();
    names
        .map(|trigger| trigger["name"].as_str().expect("a string").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_triggers_and_kill_9_lose_none_that_was_acknowledged() {
    let kept = Kept::seeded(WORLD);
    let mut acknowledged = HashSet::new();
    // Killed twice on the way, then run to the end.
    for round in 0..3 {
        let process = kept.start(&["--log-level", "warn"]);
        assert!(
            acknowledged.is_subset(&stored(&process).await),
            "round {round}"
        );
        let prefix = format!("r{round}");
        let load = create_until_gone(&process, &prefix, 10_000 - acknowledged.len());
        let done = if round < 2 {
            let killer = async {
                // In the middle: as soon as a fair part of this round is stored.
                while stored(&process).await.len() < acknowledged.len() + 2000 {}
                process.signal("KILL");
            };
            tokio::join!(load, killer).0
        } else {
            load.await
        };
        assert!(done.len() >= 2000 - 2 * 32, "{}", done.len());
        acknowledged.extend(done);
    }
    assert_eq!(acknowledged.len(), 10_000);
    let process = kept.start(&["--log-level", "warn"]);
    let found = stored(&process).await;
    let missing: Vec<_> = acknowledged.difference(&found).collect();
    assert!(
        missing.is_empty(),
        "{} of {} are gone",
        missing.len(),
        acknowledged.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn images_pushed_before_kill_9_are_whole_and_unfinished_uploads_leave_nothing() {
    let kept = Kept::seeded(WORLD);
    let mut pushed: Vec<(String, Vec<u8>)> = Vec::new();
    for round in 0..4 {
        let process = kept.start(&["--log-level", "warn"]);
        let registry = Registry::admin(&process.client(), &["group/busybox"]).await;
        for (tag, layer) in &pushed {
            let manifest = registry
                .get(&format!("/v2/group/busybox/manifests/{tag}"))
                .await;
            assert_eq!(manifest.status, 200, "{tag}");
            let blob = format!("/v2/group/busybox/blobs/{}", support::digest(layer));
            assert!(registry.get(&blob).await.body == layer.as_slice(), "{tag}");
        }
        // Some uploads are under way when the end comes, at every stage.
        let (acknowledge, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..8 {
            let client = process.client();
            let bearer = registry.bearer.clone();
            let acknowledge = acknowledge.clone();
            tasks.spawn(async move {
                let registry = Registry {
                    client: registry_client(client),
                    bearer,
                };
                for at in 0.. {
                    let tag = format!("r{round}-{worker}-{at}");
                    let layer = tag.repeat(20_000).into_bytes();
                    registry.push_image("group/busybox", &tag, &layer).await;
                    if acknowledge.send((tag, layer)).is_err() {
                        return;
                    }
                }
            });
        }
        for _ in 0..30 {
            pushed.extend(acknowledged.recv().await);
        }
        process.kill();
        while let Ok(more) = acknowledged.try_recv() {
            pushed.push(more);
        }
        // The workers fail now, as clients of a crashed server do.
        tasks.abort_all();
    }
    let process = kept.start(&["--log-level", "warn"]);
    let uploads = kept.data_folder().join("uploads");
    assert_eq!(std::fs::read_dir(uploads).expect("there").count(), 0);
    drop(process);
}

fn registry_client(mut client: crate::support::Client) -> crate::support::Client {
    client.token = None;
    client
}

#[tokio::test]
async fn a_large_layer_does_not_go_through_memory() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const PIECE: usize = 1024 * 1024;
    const PIECES: usize = 256;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seed = folder.path().join("seed.yaml");
    std::fs::write(&seed, WORLD).expect("written");
    let seed = seed.to_str().expect("UTF-8");
    let process = Process::start(&["--ephemeral", "--seed", seed, "--listen", "127.0.0.1:0"]);
    let registry = Registry::admin(&process.client(), &["group/busybox"]).await;
    registry.push_image("group/busybox", "v1", b"small").await;
    let before = process.peak_memory();

    let piece = vec![7; PIECE];
    let mut hash = <sha2::Sha256 as sha2::Digest>::new();
    (0..PIECES).for_each(|_| sha2::Digest::update(&mut hash, &piece));
    let digest = format!("sha256:{}", hex::encode(sha2::Digest::finalize(hash)));
    let bearer = registry.bearer.as_deref().expect("a token");
    let mut stream = tokio::net::TcpStream::connect(&registry.client.address)
        .await
        .expect("a connection");
    let head = format!(
        "POST /v2/group/busybox/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer {bearer}\r\nContent-Length: {}\r\n\r\n",
        PIECE * PIECES
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    for _ in 0..PIECES {
        stream.write_all(&piece).await.expect("sent");
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 201");
    let mut stream = tokio::net::TcpStream::connect(&registry.client.address)
        .await
        .expect("a connection");
    let head = format!(
        "GET /v2/group/busybox/blobs/{digest} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {bearer}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut received = 0;
    let mut buffer = vec![0; PIECE];
    loop {
        match stream.read(&mut buffer).await.expect("readable") {
            0 => break,
            bytes => received += bytes,
        }
    }
    assert!(received > PIECE * PIECES);

    let grown = process.peak_memory() - before;
    assert!(grown < 32 * 1024, "the peak of memory grew by {grown} KiB");
}

#[tokio::test]
async fn pulls_that_stand_still_hold_little_memory() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const PULLS: usize = 200;
    let kept = Kept::seeded(WORLD);
    let process = kept.start(&["--log-level", "warn"]);
    let registry = Registry::admin(&process.client(), &["group/busybox"]).await;
    let content = vec![7; 16 * 1024 * 1024];
    let digest = registry.push_blob("group/busybox", &content).await;
    let bearer = registry.bearer.as_deref().expect("a token");
    let head = format!(
        "GET /v2/group/busybox/blobs/{digest} HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer {bearer}\r\n\r\n"
    );
    let before = process.peak_memory();
    let mut pulls = Vec::new();
    for _ in 0..PULLS {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("set");
        let address = registry.client.address.parse().expect("an address");
        let mut stream = socket.connect(address).await.expect("a connection");
        stream.write_all(head.as_bytes()).await.expect("sent");
        pulls.push(stream);
    }
    for stream in &mut pulls {
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    registry.push_image("group/busybox", "v1", b"beside").await;
    let grown = process.peak_memory() - before;
    assert!(grown < 64 * 1024, "the peak of memory grew by {grown} KiB");
}

#[tokio::test]
#[ignore = "needs root to mount a small disk; ./tests/run runs it"]
async fn a_full_disk_is_a_500_and_the_emulator_goes_on_once_there_is_room() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let disk = SmallDisk::mount(folder.path(), "2m");
    let seed = folder.path().join("seed.yaml");
    std::fs::write(&seed, WORLD).expect("written");
    let data = disk.path.join("data");
    let process = Process::start(&[
        "--data-dir",
        data.to_str().expect("UTF-8"),
        "--seed",
        seed.to_str().expect("UTF-8"),
        "--listen",
        "127.0.0.1:0",
    ]);
    let client = process.client();
    let filler = disk.path.join("filler");
    SmallDisk::fill(&filler);

    let mut acknowledged = HashSet::new();
    let mut failed = None;
    for at in 0..2000 {
        let mut body = trigger(&format!("t{at}"));
        body["trigger_type"] = json!("regular");
        body["condition"] = json!("x".repeat(1000));
        let answer = client.send("POST", TRIGGERS, Some(body)).await;
        if answer.status == 201 {
            acknowledged.insert(format!("t{at}"));
        } else {
            let message = answer.refused(500, "5000046");
            assert_eq!(message, "Internal error");
            failed = Some(at);
            break;
        }
    }
    let failed = failed.expect("the disk is full at some point");
    // There is room for a blob, but not for its row.
    let registry = Registry::admin(&client, &["group/busybox"]).await;
    let (mut blobs, mut refused) = (0, 0);
    for at in 0..8 {
        SmallDisk::give_room(&filler, 1);
        let content = vec![at; 4096];
        let digest = support::digest(&content);
        let path = format!("/v2/group/busybox/blobs/uploads/?digest={digest}");
        match registry.send("POST", &path, &[], content).await.status {
            StatusCode::CREATED => blobs += 1,
            StatusCode::INTERNAL_SERVER_ERROR => refused += 1,
            status => panic!("{status}"),
        }
    }
    assert!(refused > 0);
    for (folder, expected) in [("blobs", blobs), ("uploads", 0)] {
        let left = std::fs::read_dir(data.join(folder)).expect("there").count();
        assert_eq!(left, expected, "{folder}");
    }
    std::fs::remove_file(&filler).expect("removed");
    // The same request again, now that there is room.
    let again = client
        .send("POST", TRIGGERS, Some(trigger(&format!("t{failed}"))))
        .await;
    again.is(201, "{}");
    let health = client.send("GET", "/_emulator/health", None).await;
    assert_eq!(health.status, 200);
    acknowledged.insert(format!("t{failed}"));
    assert_eq!(stored(&process).await, acknowledged);
    process.kill();
}

/// A file system in memory, of a size; unmounted when this value goes.
struct SmallDisk {
    path: std::path::PathBuf,
}

impl SmallDisk {
    fn mount(parent: &std::path::Path, size: &str) -> Self {
        let path = parent.join("disk");
        std::fs::create_dir(&path).expect("made");
        let text = path.to_str().expect("UTF-8");
        let options = format!("size={size},mode=777");
        let mounted = as_root(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs", text]);
        assert!(mounted, "a small disk can be mounted");
        Self { path }
    }

    /// Leaves room for a few pages.
    fn fill(file: &std::path::Path) {
        use std::io::Write;
        let mut file = std::fs::File::create(file).expect("made");
        let block = [0; 4096];
        let mut written = 0;
        while file.write_all(&block).is_ok() {
            written += 1;
        }
        assert!(written > 16);
        file.set_len(4096 * (written - 16)).expect("cut");
    }

    /// Leaves room for some more pages.
    fn give_room(file: &std::path::Path, pages: u64) {
        let file = std::fs::File::options().write(true).open(file);
        let file = file.expect("it is there");
        let length = file.metadata().expect("there").len();
        file.set_len(length - 4096 * pages).expect("cut");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        as_root(&["umount", "-l", self.path.to_str().expect("UTF-8")]);
    }
}

/// Runs a command as root, through sudo where the tests are not; whether it succeeded.
fn as_root(command: &[&str]) -> bool {
    let script = "if [ \"$(id -u)\" = 0 ]; then exec \"$@\"; else exec sudo -n \"$@\"; fi";
    let status = std::process::Command::new("sh")
        .args(["-c", script, "sh"])
        .args(command)
        .status();
    status.expect("there is a shell").success()
}
