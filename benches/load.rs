//! What is large or many, beside the same on a small instance: long lists of tags and referrers, an
//! index of many images, thousands of slow uploads, and clients that leave before their answer; and
//! the memory that all of it takes.
//!
//! Both emulators run as processes of their own, with their defaults, and are asked in turns. It
//! reads `/proc`, so it needs Linux.
//!
//! `cargo bench --bench load` prints a Markdown table; `-- --quick` is a tenth of it.

mod emulator;
#[path = "ratio/figures.rs"]
mod figures;

use std::io::Write;
use std::net::TcpStream;
use std::path::Path as Folder;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};

use emulator::{Connection, Emulator, MANAGEMENT, PROGRAM, Result, digest};
use figures::{Row, Short, percentile};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BLOB: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &[u8] = b"{}";

/// Layers of an image, which all images have in common.
const LAYERS: usize = 10;
/// Tags that point at the index of all images.
const INDEX_TAGS: usize = 200;
/// How long clients wait that leave.
const PATIENCE: Duration = Duration::from_millis(100);
/// Rounds of everything.
const ROUNDS: usize = 5;
/// How long memory has time to go down.
const REST: Duration = Duration::from_secs(10);

/// Measures what is large or many beside what is small
#[derive(Debug, Parser)]
struct Options {
    /// A tenth of everything, whose figures are rough
    #[arg(long)]
    quick: bool,
    /// What cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

/// How much an instance holds.
#[derive(Debug, Clone, Copy)]
struct Size {
    tags: usize,
    referrers: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    rlimit::increase_nofile_limit(u64::MAX)?;
    let part = if options.quick { 10 } else { 1 };
    let folder = tempfile::Builder::new()
        .prefix("load-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let small = Size {
        tags: 100,
        referrers: 100,
    };
    let large = Size {
        tags: 10_000 / part,
        referrers: 1000 / part,
    };
    let small = Instance::start(folder.path(), small)?;
    let large = Instance::start(folder.path(), large)?;
    let mut table = Table::default();
    for (what, path) in lists(large.size) {
        let left = (&small, path(small.size));
        let right = (&large, path(large.size));
        for _ in 0..ROUNDS {
            let (of_small, of_large) = compare(&left, &right, 20)?;
            table.add(
                &what,
                "of the small instance",
                of_large,
                of_large / of_small,
            );
        }
    }
    let uploads = 2000 / part;
    for round in 0..ROUNDS {
        let alone = large.neighbours(round)?;
        let slow = SlowUploads::start(&large, uploads)?;
        let beside = large.neighbours(round)?;
        slow.stop()?;
        table.add_neighbours(&format!("{uploads} slow uploads"), &alone, &beside);
        let leaving = Leaving::start(&large, 64);
        let beside = large.neighbours(round)?;
        leaving.stop()?;
        table.add_neighbours("64 clients that leave", &alone, &beside);
    }
    let highest = large.emulator.memory("VmHWM")?;
    thread::sleep(REST);
    let rest = large.emulator.memory("VmRSS")?;
    let mut out = std::io::stdout().lock();
    table.print(&mut out)?;
    writeln!(
        out,
        "\nThe most memory (RSS) of the large instance: {} MiB, {} s later {} MiB. {ROUNDS} \
         rounds, {} cores, shared with the clients.",
        Short(highest),
        REST.as_secs(),
        Short(rest),
        thread::available_parallelism()?,
    )?;
    drop((small, large));
    folder.close()?;
    Ok(())
}

/// A request whose path depends on how much the instance holds.
type Path = Box<dyn Fn(Size) -> String>;

/// The lists, and what looks at one of many.
fn lists(large: Size) -> Vec<(String, Path)> {
    let tags = "/v2/manage/namespaces/group/repos/app/tags";
    let always = |path: String| -> Path { Box::new(move |_| path.clone()) };
    let subject = digest(image(0).to_string().as_bytes());
    let Size {
        tags: all,
        referrers,
    } = large;
    vec![
        (
            format!("100 of {all} tags"),
            always(format!("{tags}?limit=100")),
        ),
        (
            "the last 100, by offset".to_owned(),
            Box::new(move |size| format!("{tags}?limit=100&offset={}", size.tags - 100)),
        ),
        (
            "the 100 that changed last".to_owned(),
            always(format!(
                "{tags}?limit=100&order_column=updated_at&order_type=desc&tag=v"
            )),
        ),
        ("ShowRepoTag".to_owned(), always(format!("{tags}/v50"))),
        (
            format!("ShowRepoTag, an index of {all}"),
            always(format!("{tags}/all")),
        ),
        (
            format!("100 of {referrers} accessories"),
            always("/v2/manage/namespaces/group/repos/app/v0/accessories?limit=100".to_owned()),
        ),
        (
            format!("100 of {referrers} referrers"),
            always(format!("/v2/group/app/referrers/{subject}?n=100")),
        ),
    ]
}

/// Times in milliseconds, and how many times those of something else they are.
#[derive(Default)]
struct Table(Vec<(String, &'static str, Vec<f64>)>);

impl Table {
    fn add(&mut self, what: &str, of: &str, time: f64, times: f64) {
        self.measured(what, " ms", time);
        self.measured(&format!("{what}, {of}"), " ×", times);
    }

    fn add_neighbours(&mut self, beside: &str, alone: &Neighbours, crowded: &Neighbours) {
        let pairs = alone.0.iter().zip(&crowded.0);
        for ((what, alone), (_, crowded)) in pairs {
            let what = format!("{what} beside {beside}");
            self.measured(&what, " ms", crowded.median);
            self.measured(
                &format!("{what}, of alone"),
                " ×",
                crowded.median / alone.median,
            );
            self.measured(&format!("{what}, the slowest"), " ms", crowded.slowest);
        }
    }

    fn measured(&mut self, what: &str, unit: &'static str, figure: f64) {
        match self.0.iter_mut().find(|(known, ..)| known == what) {
            Some((.., figures)) => figures.push(figure),
            None => self.0.push((what.to_owned(), unit, vec![figure])),
        }
    }

    fn print(self, out: &mut impl Write) -> Result<()> {
        writeln!(out, "| what | median | quartiles |\n|---|---|---|")?;
        for (what, unit, figures) in self.0 {
            let figures = figures.into_iter().collect();
            writeln!(
                out,
                "{}",
                Row {
                    what,
                    figures,
                    unit
                }
            )?;
        }
        Ok(())
    }
}

/// An emulator that holds images.
struct Instance {
    emulator: Emulator,
    size: Size,
}

impl Instance {
    fn start(folder: &Folder, size: Size) -> Result<Self> {
        let seed = json!({
            "organizations": [{"name": "group", "repositories": [
                {"name": "app", "triggers": [{
                    "name": "never", "action": "update", "app_type": "deployments",
                    "application": "web", "cluster_ns": "default", "condition": "^never$",
                    "enable": "true", "trigger_type": "regular",
                }]},
            ]}],
        });
        let emulator = Emulator::start(PROGRAM, folder, &seed, &[])?;
        let instance = Self { emulator, size };
        instance.fill()?;
        Ok(instance)
    }

    /// Pushes `v0`, `v1`, …, the referrers of `v0`, and an index of all under `all`, `all1`, ….
    fn fill(&self) -> Result<()> {
        let mut connection = self.emulator.registry("app")?;
        push_blob(&mut connection, CONFIG)?;
        for at in 0..LAYERS {
            push_blob(&mut connection, layer(at).as_bytes())?;
        }
        let mut parts = Vec::new();
        for at in 0..self.size.tags {
            let text = image(at).to_string();
            parts.push(descriptor(MANIFEST, text.as_bytes()));
            push_manifest(&mut connection, &format!("v{at}"), MANIFEST, &text)?;
        }
        let subject = image(0).to_string();
        for at in 0..self.size.referrers {
            let mut referrer = image(self.size.tags + at);
            referrer["subject"] = descriptor(MANIFEST, subject.as_bytes());
            referrer["artifactType"] = json!("application/spdx+json");
            let text = referrer.to_string();
            push_manifest(&mut connection, &digest(text.as_bytes()), MANIFEST, &text)?;
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": parts});
        push_manifest(&mut connection, "all", INDEX, &index.to_string())?;
        let mut management = self.emulator.management()?;
        for at in 1..INDEX_TAGS {
            let body = json!({"source_tag": "all", "destination_tag": format!("all{at}")});
            let path = "/v2/manage/namespaces/group/repos/app/tags";
            management
                .request(
                    "POST",
                    path,
                    "Content-Type: application/json\r\n",
                    body.to_string().as_bytes(),
                )?
                .is(201)?;
        }
        Ok(())
    }

    /// Times a look at a trigger, a push of an image, an upload and a pull.
    fn neighbours(&self, round: usize) -> Result<Neighbours> {
        let mut management = self.emulator.management()?;
        let mut registry = self.emulator.registry("app")?;
        let show = time(|_| {
            let path = "/v2/manage/namespaces/group/repos/app/triggers/never";
            management.request("GET", path, "", b"")?.is(200)
        })?;
        let started = Instant::now();
        let unique = |at: usize| format!("{round} {at} {:?}", started.elapsed());
        let push = time(|at| {
            let mut image = image(at);
            image["annotations"] = json!({"unique": unique(at)});
            push_manifest(&mut registry, "pushed", MANIFEST, &image.to_string())
        })?;
        let upload = time(|at| push_blob(&mut registry, unique(at).as_bytes()))?;
        let layer = digest(layer(0).as_bytes());
        let pull = time(|_| {
            let path = format!("/v2/group/app/blobs/{layer}");
            registry.request("GET", &path, "", b"")?.is(200)
        })?;
        Ok(Neighbours([
            ("ShowTrigger", show),
            ("a push", push),
            ("an upload", upload),
            ("a pull", pull),
        ]))
    }
}

/// What others get while something goes on.
struct Neighbours([(&'static str, Times); 4]);

/// In milliseconds.
struct Times {
    median: f64,
    slowest: f64,
}

/// Does a piece of work some times.
fn time<T>(mut work: impl FnMut(usize) -> Result<T>) -> Result<Times> {
    let mut measured = Vec::new();
    for at in 0..50 {
        let started = Instant::now();
        work(at)?;
        measured.push(u32::try_from(started.elapsed().as_micros())?);
    }
    Ok(Times {
        median: percentile(&mut measured, 50) / 1000.0,
        slowest: percentile(&mut measured, 100) / 1000.0,
    })
}

/// The median times of two requests that take turns, in milliseconds.
fn compare(
    left: &(&Instance, String),
    right: &(&Instance, String),
    times: usize,
) -> Result<(f64, f64)> {
    let mut sides = Vec::new();
    for (instance, path) in [left, right] {
        let connection = if path.starts_with("/v2/manage/") {
            instance.emulator.management()?
        } else {
            instance.emulator.registry("app")?
        };
        sides.push((connection, path, Vec::new()));
    }
    for turn in 0..times {
        for at in if turn % 2 == 0 { [0, 1] } else { [1, 0] } {
            let (connection, path, measured) = &mut sides[at];
            let started = Instant::now();
            connection.request("GET", path, "", b"")?.is(200)?;
            measured.push(u32::try_from(started.elapsed().as_micros())?);
        }
    }
    let mut medians = sides
        .into_iter()
        .map(|(.., mut measured)| percentile(&mut measured, 50) / 1000.0);
    Ok((
        medians.next().unwrap_or(f64::NAN),
        medians.next().unwrap_or(f64::NAN),
    ))
}

/// Uploads that send a byte now and then, in the background.
struct SlowUploads {
    streams: Vec<TcpStream>,
}

impl SlowUploads {
    /// Returns once each has sent its first byte.
    fn start(instance: &Instance, count: usize) -> Result<Self> {
        let bearer = instance.emulator.bearer("app")?;
        let mut streams = Vec::new();
        for at in 0..count {
            let mut stream = TcpStream::connect(&instance.emulator.address)?;
            let digest = digest(format!("slow {at}").as_bytes());
            write!(
                stream,
                "POST /v2/group/app/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: localhost\r\n\
                 {bearer}\r\nContent-Length: 1000000\r\n\r\nx"
            )?;
            streams.push(stream);
        }
        // All of them have arrived, and their files are made.
        thread::sleep(PATIENCE * 20);
        Ok(Self { streams })
    }

    /// Each sends another byte, to see that it is still there.
    fn stop(mut self) -> Result<()> {
        let mut gone = 0;
        for stream in &mut self.streams {
            gone += usize::from(stream.write_all(b"x").is_err());
        }
        if gone > 0 {
            return Err(format!("{gone} uploads were ended").into());
        }
        Ok(())
    }
}

/// Clients that ask for the dearest list there is, leave, and come again.
struct Leaving {
    is_over: Arc<AtomicBool>,
    clients: Vec<thread::JoinHandle<Result<()>>>,
}

impl Leaving {
    fn start(instance: &Instance, count: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let clients = (0..count).map(|_| {
            let is_over = Arc::clone(&is_over);
            let address = instance.emulator.address.clone();
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let mut connection = Connection::open(&address, MANAGEMENT)?;
                    let path = "/v2/manage/namespaces/group/repos/app/tags?limit=1000&tag=all";
                    connection.send("GET", path, "", b"")?;
                    thread::sleep(PATIENCE);
                }
                Ok(())
            })
        });
        let clients = clients.collect();
        // All of them have come once.
        thread::sleep(PATIENCE);
        Self { is_over, clients }
    }

    fn stop(self) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().map_err(|_| "a client panicked")??;
        }
        Ok(())
    }
}

fn push_blob(connection: &mut Connection, content: &[u8]) -> Result<()> {
    let digest = digest(content);
    let path = format!("/v2/group/app/blobs/uploads/?digest={digest}");
    let headers = "Content-Type: application/octet-stream\r\n";
    connection
        .request("POST", &path, headers, content)?
        .is(201)?;
    Ok(())
}

fn push_manifest(
    connection: &mut Connection,
    reference: &str,
    media_type: &str,
    text: &str,
) -> Result<()> {
    let path = format!("/v2/group/app/manifests/{reference}");
    let headers = format!("Content-Type: {media_type}\r\n");
    connection
        .request("PUT", &path, &headers, text.as_bytes())?
        .is(201)?;
    Ok(())
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(content), "size": content.len()})
}

fn layer(at: usize) -> String {
    format!("layer {at}").repeat(1000)
}

/// An ordinary image, but for its number.
fn image(at: usize) -> Value {
    let layers: Vec<_> = (0..LAYERS)
        .map(|at| descriptor(BLOB, layer(at).as_bytes()))
        .collect();
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", CONFIG),
        "layers": layers,
        "annotations": {"number": at.to_string()},
    })
}
