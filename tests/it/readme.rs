//! The README and the guide tell the truth: every block works as it stands, the tables of
//! operations are the router's own list, with the rights that are enforced and the tests that
//! there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::Value;
use swr_emulator::internal::routes;

use crate::permission::{CONTROL, RIGHTS};
use crate::support::{Process, TRIGGERS, TestApp, forget_settings, program};

const README: &str = include_str!("../../README.md");
const OPERATIONS: &str = include_str!("../../src/guide/operations.md");
const TESTING: &str = include_str!("../../src/guide/testing.md");
const CLIENTS: &str = include_str!("../../src/guide/clients.md");
const SEED_FILE: &str = include_str!("../../src/guide/seed-file.md");
const REAL_CLUSTERS: &str = include_str!("../../src/guide/real-clusters.md");
const PERFORMANCE: &str = include_str!("../../src/guide/performance.md");

/// The address that the examples use.
const ADDRESS: &str = "127.0.0.1:7970";

/// How a reader uses a block, and so a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// As the command that builds and starts the emulator; the tests have built it already.
    Starts,
    /// As that command's output.
    IsPrinted,
    /// In a shell, after the blocks before it.
    InShell,
    /// As a program of Python, beside an emulator.
    InPython,
}

/// The blocks of the README: the language and the first line of each, and how it is used. One that
/// is not here fails the test below until somebody says how it is run.
const BLOCKS: [(&str, &str, How); 5] = [
    ("console", "cargo run --release", How::Starts),
    ("text", "listening on http://127.0.0.1:7970", How::IsPrinted),
    ("sh", "cat > seed.yaml <<'END'", How::InShell),
    (
        "python",
        "from huaweicloudsdkcore.auth.credentials import BasicCredentials",
        How::InPython,
    ),
    (
        "sh",
        "emulator 'explain?namespace=group&repository=busybox&tag=test'",
        How::InShell,
    ),
];

/// The blocks of a text: language and content of each.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let fences: Vec<_> = text.split("```").collect();
    let blocks = fences.iter().skip(1).step_by(2);
    blocks
        .map(|block| block.split_once('\n').expect("a language and a line"))
        .collect()
}

/// The blocks of the README that are used so.
fn blocks_used(wanted: How) -> String {
    let blocks = blocks(README).into_iter().zip(BLOCKS);
    blocks
        .filter(|(_, (.., how))| *how == wanted)
        .map(|((_, text), _)| text)
        .collect()
}

/// An address that no other test and no other process uses, at the port of the examples.
fn own_address() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("127.{}.{middle}.{low}:7970", 100 + next + (high & 63))
}

/// Runs a script in a folder as a reader's shell would, with the program on its path; what it
/// wrote to stdout. A command that fails ends it.
fn run_in_shell(script: &str, folder: &Path, address: &str) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_swr-emulator")).parent();
    let path = std::env::var("PATH").expect("a path");
    let path = format!("{}:{path}", bin.expect("a folder").display());
    let mut shell = Command::new("sh");
    forget_settings(&mut shell);
    let output = shell
        .args(["-e", "-c", script])
        .current_dir(folder)
        .env("PATH", path)
        .env("SWR_EMULATOR_LISTEN", address)
        .env("SWR_EMULATOR_URL", format!("http://{address}"))
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}{stderr}");
    stdout
}

#[test]
fn it_is_known_how_every_block_of_the_readme_is_run() {
    let found: Vec<_> = blocks(README)
        .into_iter()
        .map(|(language, text)| (language, text.lines().next().unwrap_or_default()))
        .collect();
    let known: Vec<_> = BLOCKS.map(|(language, line, _)| (language, line)).to_vec();
    assert_eq!(found, known);
}

/// `cargo run --release` would build the program anew, so the built one takes its place.
#[test]
fn the_first_command_prints_what_the_readme_shows() {
    let command = blocks_used(How::Starts);
    assert_eq!(command, "cargo run --release\n");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let address = own_address();

    let mut program = program(&[]);
    program
        .current_dir(folder.path())
        .env("SWR_EMULATOR_LISTEN", &address);
    let process = Process::of(&mut program);
    let first = format!("listening on {}\n", process.url);
    process.signal("TERM");
    let (code, rest) = process.wait();

    assert_eq!(code, Some(0));
    let shown = blocks_used(How::IsPrinted).replace(ADDRESS, &address);
    assert_eq!(first + &rest, shown);
}

#[test]
#[ignore = "needs curl; ./tests/run installs it"]
fn pasted_in_a_fresh_folder_the_shell_blocks_of_the_readme_fire_a_trigger_and_ask_about_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = format!("trap 'kill $!' EXIT\n{}", blocks_used(How::InShell));

    let output = run_in_shell(&script, folder.path(), &own_address());

    let lines = output.lines().filter(|line| !line.is_empty());
    let answers: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    let [push, wait, workload, explain, pushes, clock, fault] = &answers[..] else {
        panic!("{output}")
    };
    assert!(push["digest"].is_string(), "{push}");
    assert_eq!(
        (&wait["tag"], &wait["result"]),
        (&"v2".into(), &"success".into())
    );
    let image = workload["containers"][0]["image"].as_str();
    assert!(image.is_some_and(|image| image.ends_with("/group/busybox:v2")));
    assert_eq!(explain[0]["outcome"], "skipped");
    assert_eq!(pushes[0]["triggers"][0]["result"], "success");
    assert_eq!(clock["ahead_seconds"], 40 * 24 * 60 * 60);
    assert_eq!(fault["operation"], "CreateTrigger");
}

#[test]
#[ignore = "needs the Python SDK; ./tests/run installs it"]
fn the_python_block_of_the_readme_lists_the_organizations() {
    let process = Process::start(&["--ephemeral", "--listen", "127.0.0.1:0"]);
    let address = &process.client().address;
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.venv/bin/python");
    let output = Command::new(python)
        .args(["-c", &blocks_used(How::InPython).replace(ADDRESS, address)])
        .output()
        .expect("./tests/run installs Python");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stdout.trim(), r#"{"namespaces": []}"#, "{stderr}");
}

#[test]
#[ignore = "needs curl; ./tests/run installs it"]
fn the_shell_blocks_of_the_guide_that_need_only_curl_get_the_answers_it_tells_of() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seed = folder.path().join("seed.yaml");
    let text = r#"
organizations: [{name: group, repositories: [{name: busybox, triggers: [{name: on-push,
  action: update, app_type: deployments, application: web, cluster_name: test, cluster_ns: default,
  enable: "true", trigger_type: all, condition: ".*"}]}]}]
clusters: [{name: test, namespaces: [{name: default, deployments: [{name: web,
  containers: [{name: web, image: "{registry}/group/busybox:v1"}]}]}]}]
"#;
    std::fs::write(&seed, text).expect("written");
    let seed = seed.to_str().expect("UTF-8");
    let own = ["--ephemeral", "--listen", "127.0.0.1:0"];
    let run = |arguments: &[&str], blocks: &[&str]| {
        let process = Process::start(&[&own, arguments].concat());
        let address = process.client().address;
        // Not every answer ends its line.
        let script = blocks.join("echo\n") + "echo\n";
        run_in_shell(&script.replace(ADDRESS, &address), folder.path(), &address)
    };
    let in_shell = |text| {
        let blocks = blocks(text).into_iter();
        let blocks = blocks.filter(|(language, _)| *language == "sh");
        blocks.map(|(_, text)| text).collect::<Vec<_>>()
    };

    let answers = run(&["--seed", seed], &in_shell(TESTING));
    // The reset between them answers nothing.
    let lines = answers.lines().filter(|line| !line.is_empty());
    let [push, healthy, clock, fault, registry_fault] = lines.collect::<Vec<_>>()[..] else {
        panic!("{answers}")
    };
    assert!(push.starts_with(r#"{"digest":"sha256:"#), "{push}");
    assert!(healthy.contains(r#""state":"healthy""#), "{healthy}");
    assert!(clock.contains(r#""ahead_seconds":3456000"#), "{clock}");
    assert!(fault.contains(r#""operation":"CreateTrigger""#), "{fault}");
    assert!(registry_fault.contains(r#""retry_after_s":1"#), "{fault}");

    let [tour] = in_shell(SEED_FILE)[..] else {
        panic!("a block of seed-file.md is new: say how it is run")
    };
    let own = own_address();
    let tour = run_in_shell(&tour.replace("127.0.0.1:7972", &own), folder.path(), &own);
    let group = "organizations:\n  - name: group\n    repositories:\n      - name: busybox\n";
    let exported = format!("{group}        is_public: true\n");
    assert!(tour.contains(&exported), "{tour}");

    let [create, fail, _log_in, _push] = in_shell(CLIENTS)[..] else {
        panic!("a block of clients.md is new: say how it is run")
    };
    let answers = run(&[], &[create, fail]);
    let statuses: Vec<_> = answers
        .split_whitespace()
        .filter(|word| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit()))
        .collect();
    assert_eq!(statuses, ["201", "200", "201", "200", "400", "401", "404"]);
    assert!(answers.contains("condition: must be .* when trigger_type is all"));
}

#[tokio::test]
async fn the_seed_files_that_the_guide_shows_are_accepted() {
    let mut read = 0;
    for text in [SEED_FILE, REAL_CLUSTERS] {
        for (language, seed) in blocks(text) {
            if language == "yaml" && seed.starts_with("organizations:") {
                TestApp::seeded(seed).await;
                read += 1;
            }
        }
    }
    assert_eq!(read, 2);
}

#[tokio::test]
async fn the_program_prints_the_example_of_the_guide_and_it_seeds_an_emulator() {
    let output = program(&["seed", "--example"]).output().expect("it runs");
    let example = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(blocks(SEED_FILE)[0], ("yaml", &*example));

    let listen = "127.0.0.1:7971";
    assert!(example.contains(listen));
    let app = TestApp::seeded(&example.replace(listen, "127.0.0.1:0")).await;

    let trigger = app.get(&format!("{TRIGGERS}/on-push")).await;
    assert_eq!(trigger.status, 200, "{}", trigger.text());
    let workload = "/_emulator/clusters/test/namespaces/default/deployments/adsfa";
    assert_eq!(app.get(workload).await.status, 200);
    let developer = app.as_user("developer");
    let repository = "/v2/manage/namespaces/group/repos/busybox";
    assert_eq!(developer.send("GET", repository, None).await.status, 200);
}

/// `tests/clients/packages/run` runs them where the packages are installed.
#[test]
fn the_tests_that_the_pages_on_the_packages_show_are_those_that_are_run() {
    let check = |language: &str, sample: &str, pages: [&str; 2]| {
        for page in pages {
            let shown = blocks(page).into_iter().find(|block| block.0 == language);
            assert_eq!(shown, Some((language, sample)));
        }
    };
    let python = include_str!("../clients/packages/python/test_shortest.py");
    let of_python = include_str!("../../clients/python/README.md");
    check("python", python, [TESTING, of_python]);
    let node = include_str!("../clients/packages/node/shortest.test.mjs");
    let of_node = include_str!("../../clients/node/README.md");
    check("js", node, [TESTING, of_node]);
    for (sample, told) in [(python, "This file of 12 lines"), (node, "has 15 lines")] {
        let lines = sample.lines().filter(|line| !line.is_empty()).count();
        let number = told.split(' ').find_map(|word| word.parse().ok());
        assert!(TESTING.contains(told) && number == Some(lines), "{lines}");
    }
}

#[test]
fn the_links_of_the_readme_lead_to_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let links = README.split("](").skip(1);
    let mut count = 0;
    for link in links {
        let (link, _) = link.split_once(')').expect("the end of a link");
        let file = link.split('#').next().unwrap_or_default();
        assert!(root.join(file).is_file(), "{link}");
        count += 1;
    }
    assert!(count > 8);
}

#[test]
fn the_figures_of_the_readme_are_those_of_the_guide() {
    let (_, table) = README.split_once("| measurement |").expect("the table");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut count = 0;
    for cell in rows.flat_map(|row| row.split('|').skip(2)) {
        for word in cell.split_whitespace().filter(|word| word.contains('.')) {
            let is_there = PERFORMANCE.contains(&format!(" {word} ")) || cell.contains("docker");
            assert!(is_there, "{word} of {cell}");
            count += 1;
        }
    }
    assert!(count > 4);
}

#[test]
fn the_table_of_operations_is_what_the_router_serves() {
    let documented = documented_operations();
    let served: BTreeSet<_> = routes()
        .operations()
        .iter()
        .map(|operation| format!("{} {} {}", operation.name, operation.method, operation.path))
        .collect();
    assert_eq!(documented, served);
}

#[test]
fn the_table_has_all_59_operations_with_their_rights_and_a_test_for_each() {
    let rows: Vec<_> = rows().filter(|row| row.len() == 5).collect();
    assert_eq!(rows.len(), 59);
    let rights: BTreeMap<_, _> = RIGHTS.iter().copied().collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for row in rows {
        let &[name, _, path, right, test] = &row[..] else {
            panic!("{row:?}")
        };
        if path.contains("{namespace}") {
            assert_eq!(rights.get(name), Some(&right), "{name}");
        }
        let test = test.trim_matches('`');
        let (file, function) = test.split_once("::").expect("file::function");
        let text = std::fs::read_to_string(folder.join(format!("{file}.rs")));
        let text = text.unwrap_or_else(|error| panic!("{name}: {test}: {error}"));
        assert!(text.contains(&format!("fn {function}()")), "{name}: {test}");
    }
}

#[test]
fn the_table_says_which_operations_need_control() {
    let own = rows().filter(|row| row[2].starts_with("`/_emulator/"));
    let mut marked = 0;
    for row in own {
        let is_marked = row[3].contains("[control](#control)");
        assert_eq!(is_marked, CONTROL.contains(&row[0]), "{}", row[0]);
        marked += usize::from(is_marked);
    }
    assert_eq!(marked, CONTROL.len());
}

/// The operations of the guide, each as `name method path`.
pub(crate) fn documented_operations() -> BTreeSet<String> {
    rows()
        .map(|row| format!("{} {} {}", row[0], row[1], row[2].trim_matches('`')))
        .collect()
}

/// The rows of all tables of operations: name, method, path and what follows.
fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    OPERATIONS.lines().filter_map(|line| {
        // | CreateTrigger | POST | `/v2/…` | …
        let row = line.strip_prefix('|')?.strip_suffix('|')?;
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let is_operation = cells.get(2).is_some_and(|path| path.starts_with("`/"));
        is_operation.then_some(cells)
    })
}
