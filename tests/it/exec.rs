//! `swr-emulator exec`: an emulator for as long as a command runs.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::{
    Client, Registry, TOKEN, ask_for_token_with, forget_settings, program, trigger,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_swr-emulator");

/// The program with this command under `exec`.
fn exec(options: &[&str], command: &[&str]) -> Command {
    program(&[&["exec"], options, &["--"], command].concat())
}

/// Exit code, stdout and stderr of a program that runs to its end.
fn output_of(command: &mut Command) -> (Option<i32>, String, String) {
    told(&command.output().expect("it runs"))
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    (output.status.code(), stdout, stderr)
}

/// A shell under `exec` that tells its environment and ends when the test says so.
struct Running {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    variables: BTreeMap<String, String>,
    /// Where temporary files go.
    folder: tempfile::TempDir,
}

impl Running {
    fn start(options: &[&str]) -> Self {
        Self::with(options, |_| ())
    }

    /// The same with more to set.
    fn with(options: &[&str], set: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = exec(options, &["sh", "-c", "env; echo; read code; exit $code"]);
        command
            .env("TMPDIR", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        set(&mut command);
        let mut child = command.spawn().expect("it starts");
        let stdin = child.stdin.take().expect("a pipe");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let lines = stdout.by_ref().lines().map(|line| line.expect("UTF-8"));
        let variables = lines
            .take_while(|line| !line.is_empty())
            .filter_map(|line| {
                let (name, value) = line.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect();
        Self {
            child,
            stdin,
            stdout,
            variables,
            folder,
        }
    }

    fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    fn client(&self) -> Client {
        Client {
            address: self.variable("SWR_EMULATOR_REGISTRY").to_owned(),
            token: Some(self.variable("SWR_EMULATOR_TOKEN").to_owned()),
        }
    }

    /// Lets the command end with a code; the lines of stderr.
    fn end(mut self, code: u8) -> Vec<String> {
        writeln!(self.stdin, "{code}").expect("written");
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("UTF-8");
        assert_eq!(rest, "");
        let output = self.child.wait_with_output().expect("ended");
        let (ended, _, stderr) = told(&output);
        assert_eq!(ended, Some(i32::from(code)), "{stderr}");
        let left: Vec<_> = std::fs::read_dir(&self.folder).expect("there").collect();
        assert!(left.is_empty(), "{left:?}");
        stderr.lines().map(str::to_owned).collect()
    }
}

/// A seed file in a folder of its own; its path.
fn seed_file(seed: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("seed.yaml");
    std::fs::write(&path, seed).expect("written");
    let path = path.to_str().expect("UTF-8").to_owned();
    (folder, path)
}

/// A world with a repository whose triggers `broken` (its workload is missing), `web` and `late`
/// fire at tags that begin with v.
fn world() -> String {
    let cluster = trigger("")["cluster_id"].clone();
    let triggers = ["broken", "web", "late"].map(|name| {
        let mut trigger = trigger(name);
        trigger["application"] = json!(name);
        trigger["trigger_type"] = json!("regular");
        trigger["condition"] = json!("^v");
        trigger
    });
    let container = json!({"name": "main", "image": "{registry}/group/busybox:1"});
    let web = json!({"name": "web", "containers": [container]});
    let seed = json!({
        "organizations": [{"name": "group",
            "repositories": [{"name": "busybox", "triggers": triggers}]}],
        "clusters": [{"id": cluster, "name": "test",
            "namespaces": [{"name": "default", "deployments": [web]}]}],
    });
    seed.to_string()
}

async fn push(client: &Client, tag: &str) {
    let body = json!({"namespace": "group", "repository": "busybox", "tag": tag});
    let pushed = client.send("POST", "/_emulator/push", Some(body)).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
}

#[tokio::test]
async fn the_command_has_a_ready_emulator_with_the_seed_and_nothing_is_left_of_it() {
    let (_folder, seed) = seed_file("organizations: [{name: group}]");
    let running = Running::start(&["--seed", &seed]);
    let client = running.client();
    let shown = client.send("GET", "/v2/manage/namespaces/group", None);
    assert_eq!(shown.await.status, 200);

    let stderr = running.end(0);

    assert_eq!(stderr, Vec::<String>::new());
    TcpStream::connect(&client.address).expect_err("nobody listens any more");
}

#[test]
fn a_seed_comes_from_wherever_that_of_an_emulator_comes_from_and_a_flag_counts_first() {
    let seed = "organizations: [{name: group, repositories: [{name: busybox}]}]";
    let (_folder, file) = seed_file(seed);
    // The seed without a built-in account has no token for the command.
    let other = "{builtin_account: false, accounts: [{name: a, users: [{name: u}]}]}";
    let script = "printenv SWR_EMULATOR_TOKEN; cat";
    for (options, variable, value, input) in [
        (&["--seed", "-"][..], "SWR_EMULATOR_SEED_YAML", other, seed),
        (&["--seed", &file], "SWR_EMULATOR_SEED_YAML", other, ""),
        (&["--seed-yaml", seed], "SWR_EMULATOR_SEED", "/none", ""),
        (&[], "SWR_EMULATOR_SEED_YAML", seed, ""),
    ] {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        writer.write_all(input.as_bytes()).expect("written");
        drop(writer);
        let mut command = exec(options, &["sh", "-c", script]);
        command.env(variable, value).stdin(Stdio::from(reader));
        let (code, stdout, stderr) = output_of(&mut command);
        assert_eq!((code, &*stderr), (Some(0), ""), "{options:?}");
        assert_eq!(stdout, format!("{TOKEN}\n"), "{options:?}");
    }
    let both = ["--seed", &file, "--seed-yaml", seed];
    let (code, _, stderr) = output_of(&mut exec(&both, &["true"]));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--seed cannot be used with --seed-yaml"));
}

#[test]
fn the_command_has_each_variable_that_env_prints() {
    let seed = r#"regions: [{name: cn-east-3, listen: "127.0.0.1:0"}]"#;
    let (_folder, seed) = seed_file(seed);
    let running = Running::start(&["--seed", &seed, "--region", "eu-west-101"]);
    let url = running.variable("SWR_EMULATOR_URL");
    let east = running.variable("HUAWEICLOUD_SDK_REGION_SWR_CN_EAST_3");
    assert!(
        east.starts_with("http://127.0.0.1:") && east != url,
        "{east}"
    );
    for (url, of_region) in [(url, false), (east, true)] {
        let mut env = program(&["env", "--check", "--url", url]);
        let (code, printed, stderr) = output_of(&mut env);
        assert_eq!((code, &*stderr), (Some(0), ""));
        let printed: Vec<_> = printed
            .lines()
            .map(|line| {
                let line = line.strip_prefix("export ").expect("a variable");
                let (name, value) = line.split_once('=').expect("a value");
                (name, value.trim_matches('\''))
            })
            .collect();
        assert!(printed.len() > 5, "{printed:?}");
        for (name, value) in printed {
            // What the regions share is the home region's.
            if !of_region || name.starts_with("HUAWEICLOUD_SDK_REGION_") {
                assert_eq!(running.variable(name), value, "{name}");
            }
        }
    }
    running.end(0);
}

#[test]
fn without_the_built_in_account_the_command_keeps_the_keys_that_it_has() {
    let seed = r#"{"builtin_account": false, "accounts": [{"name": "a",
        "users": [{"name": "u", "access_key": "AK", "secret_key": "not-to-be-shown"}]}]}"#;
    let (_folder, seed) = seed_file(seed);
    let running = Running::with(&["--seed", &seed], |command| {
        command.env("HUAWEICLOUD_SDK_AK", "mine");
        command.env("SWR_EMULATOR_TOKEN", "mine, too");
    });
    assert_eq!(running.variable("HUAWEICLOUD_SDK_AK"), "mine");
    assert_eq!(running.variable("SWR_EMULATOR_TOKEN"), "mine, too");
    assert!(running.variable("SWR_EMULATOR_URL").starts_with("http://"));
    let logins = std::fs::read_to_string(running.variable("REGISTRY_AUTH_FILE"));
    assert_eq!(logins.expect("readable"), r#"{"auths":{}}"#);
    // The record is told without anybody's keys.
    assert_eq!(running.end(1), Vec::<String>::new());
}

#[tokio::test]
async fn clients_of_registries_find_a_login_that_only_its_owner_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let seed = r#"regions: [{name: cn-east-3, listen: "127.0.0.1:0"}]"#;
    let (_folder, seed) = seed_file(seed);
    let running = Running::with(&["--seed", &seed], |command| {
        command.env("REGISTRY_AUTH_FILE", "/mine");
        command.env("DOCKER_CONFIG", "/docker");
    });
    assert_eq!(running.variable("DOCKER_CONFIG"), "/docker");
    let path = Path::new(running.variable("REGISTRY_AUTH_FILE"));
    let mode = path.metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let logins: Value =
        serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON");
    let east = running.variable("HUAWEICLOUD_SDK_REGION_SWR_CN_EAST_3");
    for (registry, region) in [
        (running.variable("SWR_EMULATOR_REGISTRY"), "cn-north-4"),
        (&east["http://".len()..], "cn-east-3"),
    ] {
        let login = logins["auths"][registry]["auth"].as_str().expect("a login");
        let plain = BASE64_STANDARD.decode(login).expect("Base64");
        assert!(plain.starts_with(format!("{region}@").as_bytes()));
        let client = Client {
            address: registry.to_owned(),
            token: None,
        };
        let answer = ask_for_token_with(&client, Some(format!("Basic {login}")), "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    running.end(0);
}

#[test]
fn no_proxy_is_between_the_command_and_the_emulator() {
    for (upper, lower, expected_upper, expected_lower) in [
        (None, None, "127.0.0.1,localhost", "127.0.0.1,localhost"),
        (
            Some("a.test"),
            None,
            "a.test,127.0.0.1,localhost",
            "a.test,127.0.0.1,localhost",
        ),
        (
            Some("*"),
            Some("localhost, b"),
            "*",
            "localhost, b,127.0.0.1",
        ),
    ] {
        let running = Running::with(&[], |command| {
            for (name, value) in [("NO_PROXY", upper), ("no_proxy", lower)] {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
        });
        assert_eq!(running.variable("NO_PROXY"), expected_upper);
        assert_eq!(running.variable("no_proxy"), expected_lower);
        running.end(0);
    }
    let running = Running::start(&["--listen", "[::1]:0"]);
    assert!(running.variable("NO_PROXY").ends_with(",::1"));
    running.end(0);
}

#[test]
fn it_ends_as_the_command_does_and_adds_nothing_to_its_output() {
    for (script, code) in [
        ("true", 0),
        ("exit 3", 3),
        ("kill -TERM $$", 128 + 15),
        ("kill -KILL $$", 128 + 9),
    ] {
        let mut input = exec(&[], &["sh", "-c", &format!("cat; echo oops >&2; {script}")]);
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        writer.write_all(b"input\n").expect("written");
        drop(writer);
        let (ended, stdout, stderr) = output_of(input.stdin(Stdio::from(reader)));
        assert_eq!(ended, Some(code), "{script}");
        assert_eq!((&*stdout, &*stderr), ("input\n", "oops\n"), "{script}");
    }
}

#[test]
fn a_command_that_cannot_be_run_is_told_as_a_shell_tells_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "no program").expect("written");
    let file = file.to_str().expect("UTF-8");
    for (command, code, line) in [
        (
            "no-such\nprogram",
            127,
            "error: command not found: no-such\\nprogram\n".to_owned(),
        ),
        (
            file,
            126,
            format!("error: cannot run {file}: Permission denied (os error 13)\n"),
        ),
    ] {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let mut run = exec(&[], &[command]);
        let (ended, stdout, stderr) = output_of(run.env("TMPDIR", temporary.path()));
        assert_eq!((ended, &*stdout, stderr), (Some(code), "", line));
        let left = std::fs::read_dir(&temporary).expect("there").count();
        assert_eq!(left, 0);
    }
}

#[test]
fn the_command_is_an_argv_that_begins_after_the_first_two_hyphens() {
    let words = ["--", "$HOME; echo", "--seed", "", "exec"];
    let command = [&["printf", "<%s>"][..], &words].concat();
    let (code, stdout, stderr) = output_of(&mut exec(&["--region", "r1"], &command));
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert_eq!(stdout, "<--><$HOME; echo><--seed><><exec>");
}

#[test]
fn what_is_no_choice_of_exec_is_a_usage_error() {
    for (arguments, part) in [
        (&["exec"][..], "COMMAND"),
        (&["exec", "--"], "COMMAND"),
        (&["exec", "true"], "unexpected argument 'true'"),
        (&["exec", "--nonsense", "--", "true"], "--nonsense"),
        (
            &["exec", "--data-dir", "x", "--", "true"],
            "exec takes no --data-dir",
        ),
        (
            &["exec", "--exit-with-stdin", "--", "true"],
            "exec takes no --exit-with-stdin",
        ),
        (
            &["exec", "--listen", "x", "--", "true"],
            "--listen: must be",
        ),
    ] {
        let (code, stdout, stderr) = output_of(&mut program(arguments));
        assert_eq!((code, &*stdout), (Some(2), ""), "{stderr}");
        assert!(stderr.contains(part), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    let (_folder, seed) = seed_file("nonsense: 1");
    let (code, stdout, stderr) = output_of(&mut exec(&["--seed", &seed], &["echo", "run"]));
    assert_eq!((code, &*stdout), (Some(1), ""), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn variables_are_settings_of_this_emulator_and_of_none_that_the_command_starts() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address").to_string();
    drop(taken);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let log = folder.path().join("log");
    let set = |command: &mut Command| {
        command
            .env("SWR_EMULATOR_LISTEN", &address)
            .env("SWR_EMULATOR_REGION", "r1")
            .env("SWR_EMULATOR_DATA_DIR", &data)
            .env("SWR_EMULATOR_EPHEMERAL", "true")
            .env("SWR_EMULATOR_EXIT_WITH_STDIN", "true")
            .env("SWR_EMULATOR_LOG_FILE", &log)
            .env("SWR_EMULATOR_CONTROL_TOKEN", "control");
    };
    let running = Running::with(&["--region", "r2"], set);
    let url = format!("http://{address}");
    assert_eq!(running.variable("SWR_EMULATOR_URL"), url);
    assert_eq!(running.variable("HUAWEICLOUD_SDK_REGION_SWR_R2"), url);
    let ours = running.variables.keys();
    let ours: Vec<_> = ours
        .filter_map(|name| name.strip_prefix("SWR_EMULATOR_"))
        .collect();
    assert_eq!(ours, ["CONTROL_TOKEN", "REGISTRY", "TOKEN", "URL"]);
    assert_eq!(running.variable("SWR_EMULATOR_CONTROL_TOKEN"), "control");
    running.end(0);
    assert!(!data.exists() && log.is_file());

    let script = "printenv SWR_EMULATOR_URL";
    let script = format!("{script}; exec \"$0\" exec -- {script}");
    let mut nested = exec(&[], &["sh", "-c", &script, PROGRAM]);
    set(&mut nested);
    let (code, stdout, stderr) = output_of(&mut nested);
    assert_eq!((code, &*stderr), (Some(0), ""));
    let urls: Vec<_> = stdout.lines().collect();
    assert!(
        urls.len() == 2 && urls[0] == url && urls[1] != url,
        "{urls:?}"
    );
}

#[test]
fn limits_and_ignored_signals_are_for_the_command_as_they_were() {
    let script = "ulimit -S -n 200; trap '' HUP; exec \"$0\" exec -- sh -c \
                  'ulimit -S -n; kill -HUP $$; kill -HUP $PPID; echo alive'";
    let mut command = Command::new("sh");
    command.args(["-c", script, PROGRAM]).stdin(Stdio::null());
    forget_settings(&mut command);
    let (code, stdout, stderr) = output_of(&mut command);
    assert_eq!((code, &*stdout, &*stderr), (Some(0), "200\nalive\n", ""));
}

/// A shell that tells its parent's id, then each of two signals; the second one ends it, wherever it
/// just is. It waits for a program to which the first one is nothing.
fn telling(first: &str, last: &str) -> String {
    format!(
        "trap '' {first}; sleep 60 & trap 'echo {first}' {first}; \
         trap 'echo {last}; kill -KILL $!; exit 5' {last}; \
         echo $PPID; while kill -0 $!; do wait $!; done; exit 9"
    )
}

fn kill(signal: &str, pid: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{signal}"), pid])
        .status();
    assert!(sent.expect("kill is there").success());
}

/// The same command with no signal ignored: a shell ignores some for whatever it runs in the
/// background, the tests included.
fn with_all_signals(command: &Command) -> Command {
    let mut with_all = Command::new("env");
    with_all.arg("--default-signal").arg(command.get_program());
    with_all.args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => with_all.env(name, value),
            None => with_all.env_remove(name),
        };
    }
    with_all
}

#[test]
fn a_signal_to_exec_alone_is_passed_on_to_the_command() {
    for signal in ["INT", "TERM", "HUP", "QUIT", "USR1"] {
        let command = exec(&[], &["sh", "-c", &telling(signal, "USR2")]);
        let mut command = with_all_signals(&command);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut lines = stdout.lines().map(|line| line.expect("UTF-8"));
        let pid = lines.next().expect("a line");
        assert_eq!(pid, child.id().to_string());
        // One at a time: the system keeps only one of a kind that waits.
        for _ in 0..3 {
            kill(signal, &pid);
            assert_eq!(lines.next().as_deref(), Some(signal));
        }
        kill("USR2", &pid);
        let rest: Vec<_> = lines.collect();
        assert_eq!(rest, ["USR2"], "{signal}");
        assert_eq!(child.wait().expect("ended").code(), Some(5));
    }
}

/// A terminal in which `exec` runs a script.
struct Terminal {
    process: Child,
    keyboard: ChildStdin,
    screen: BufReader<ChildStdout>,
    /// That of `exec`, which the script tells first.
    pid: String,
}

impl Terminal {
    /// With `sh`, or what begins with it, to run the script.
    fn run(shell: &str, script: &Path) -> Self {
        // Else a terminal throws away what the command says at once to its Ctrl-C.
        let line = format!(
            "stty noflsh && exec '{PROGRAM}' exec -- {shell} '{}'",
            script.display()
        );
        let mut terminal = Command::new("script");
        forget_settings(&mut terminal);
        terminal
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("SHELL", "/bin/sh");
        let mut process = with_all_signals(&terminal)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script, of util-linux, is there");
        let keyboard = process.stdin.take().expect("a pipe");
        let mut screen = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut pid = String::new();
        screen.read_line(&mut pid).expect("a line");
        Self {
            process,
            keyboard,
            screen,
            pid: pid.trim().to_owned(),
        }
    }

    /// Presses Ctrl-C and waits until the screen shows a text.
    fn press_ctrl_c(&mut self, text: &str) {
        self.keyboard.write_all(b"\x03").expect("pressed");
        let mut shown = Vec::new();
        while !shown.ends_with(text.as_bytes()) {
            let mut byte = [0];
            self.screen.read_exact(&mut byte).expect("it goes on");
            shown.extend(byte);
        }
    }

    /// Sends a signal to `exec` alone; what comes after that, and the exit code.
    fn end(mut self, signal: &str) -> (String, Option<i32>) {
        kill(signal, &self.pid);
        let mut rest = String::new();
        self.screen.read_to_string(&mut rest).expect("UTF-8");
        (rest, self.process.wait().expect("ended").code())
    }
}

#[test]
fn ctrl_c_at_a_terminal_reaches_the_command_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = folder.path().join("script.sh");
    std::fs::write(&script, telling("INT", "USR1")).expect("written");
    let ended = ("USR1\r\n".to_owned(), Some(5));

    // By itself …
    let mut terminal = Terminal::run("sh", &script);
    for _ in 0..3 {
        terminal.press_ctrl_c("INT\r\n");
    }
    assert_eq!(terminal.end("USR1"), ended);

    // … and not through `exec`, as a command tells that has left the terminal.
    let mut terminal = Terminal::run("setsid sh", &script);
    terminal.press_ctrl_c("^C");
    assert_eq!(terminal.end("USR1"), ended);
}

#[test]
fn a_killed_exec_takes_the_emulator_with_it() {
    let mut running = Running::start(&[]);
    let address = running.client().address;
    running.child.kill().expect("killed");
    running.child.wait().expect("ended");
    TcpStream::connect(&address).expect_err("nobody listens any more");
    let left = |running: &Running| std::fs::read_dir(&running.folder).expect("there").count();
    assert_eq!(left(&running), 1);
    let mut next = exec(&[], &["true"]);
    let next = next.env("TMPDIR", running.folder.path()).status();
    assert!(next.expect("it runs").success());
    assert_eq!(left(&running), 0);
}

#[tokio::test]
async fn where_the_command_failed_firings_and_refused_requests_are_told() {
    let (_folder, seed) = seed_file(&world());
    let running = Running::start(&["--seed", &seed]);
    let client = running.client();
    let at = format!(
        "/_emulator/clusters/{}/namespaces/default/deployments/late",
        trigger("")["cluster_id"].as_str().expect("a text")
    );
    let late = json!({"containers": [{"name": "a", "image": "b"}], "delay_ms": 600_000});
    assert_eq!(client.send("PUT", &at, Some(late)).await.status, 200);
    push(&client, "v1").await;
    let wait = "/_emulator/wait?namespace=group&repository=busybox&tag=v1&trigger=";
    for trigger in ["web", "broken"] {
        client.send("GET", &format!("{wait}{trigger}"), None).await;
    }
    // Every client of a registry begins like this.
    let registry = Registry::admin(&client, &["group/busybox"]).await;
    let missing = "/v2/group/busybox/manifests/v9";
    let asked = registry.send("HEAD", missing, &[], "").await;
    assert_eq!(asked.status, 404);
    let nobody = Client {
        token: None,
        ..client.clone()
    };
    assert_eq!(nobody.send("GET", "/v2/", None).await.status, 401);
    assert_eq!(registry.get(missing).await.status, 404);
    let organization = "/v2/manage/namespaces/none";
    client.send("DELETE", organization, None).await;

    let lines = running.end(7);

    let lines = lines.iter().map(|line| {
        line.strip_prefix("swr-emulator: ")
            .expect("it says whose line it is")
    });
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "firing broken for group/busybox:v1: failed: deployments \"broken\" not found in \
             namespace default of cluster test; available: late, web",
            "firing late for group/busybox:v1: still open: waiting or running",
            "request GET /v2/group/busybox/manifests/v9: 404 MANIFEST_UNKNOWN manifest unknown",
            "request DELETE /v2/manage/namespaces/none: 404 SVCSTG.SWR.4040058 Not found namespace",
        ]
    );
}

#[tokio::test]
async fn at_most_twenty_lines_tell_of_a_failure_the_newest_of_each_kind() {
    let (_folder, seed) = seed_file(&world());
    let running = Running::start(&["--seed", &seed]);
    let client = running.client();
    for at in 0..30 {
        push(&client, &format!("v{at}")).await;
        let path = format!("/v2/manage/namespaces/none{at}");
        client.send("GET", &path, None).await;
    }
    client.send("GET", "/_emulator/idle", None).await;

    let lines = running.end(1);

    assert_eq!(lines.len(), 20, "{lines:?}");
    let firing = lines[9].starts_with("swr-emulator: firing ") && lines[9].contains(":v29: failed");
    let request = lines[18].contains("request GET /v2/manage/namespaces/none29: 404 ");
    assert!(firing && request, "{lines:?}");
    assert_eq!(lines[19], "swr-emulator: 71 more; --report FILE writes all");
}

#[tokio::test]
async fn the_report_has_pushes_with_their_reasons_rollouts_and_requests() {
    for code in [0, 1] {
        let (folder, seed) = seed_file(&world());
        let file = folder.path().join("report.json");
        let path = file.to_str().expect("UTF-8");
        let running = Running::start(&["--seed", &seed, "--report", path]);
        let client = running.client();
        push(&client, "v1").await;
        push(&client, "w1").await;
        client.send("GET", "/_emulator/idle", None).await;
        client.send("GET", "/v2/manage/namespaces/none", None).await;
        let lines = running.end(code);
        assert_eq!(lines.is_empty(), code == 0, "{lines:?}");

        let text = std::fs::read_to_string(&file).expect("written");
        let report: Value = serde_json::from_str(&text).expect("JSON");
        let pushes = report["pushes"].as_array().expect("pushes");
        let [passed, fired] = &pushes[..] else {
            panic!("{report}")
        };
        let image = ["region", "namespace", "repository", "tag", "pushed_by"];
        assert_eq!(
            image.map(|key| fired[key].as_str().expect("a text")),
            ["cn-north-4", "group", "busybox", "v1", "admin"]
        );
        let triggers = fired["triggers"].as_array().expect("triggers");
        let web = triggers
            .iter()
            .find(|decision| decision["trigger"] == "web");
        assert_eq!(web.expect("it fired")["result"], "success");
        assert_eq!(passed["triggers"][0]["reason"], "^v does not match w1");
        let [rollout] = &report["rollouts"].as_array().expect("rollouts")[..] else {
            panic!("{report}")
        };
        let place = [
            "cluster_name",
            "namespace",
            "kind",
            "name",
            "trigger",
            "tag",
        ];
        assert_eq!(
            place.map(|key| rollout[key].as_str().expect("a text")),
            ["test", "default", "deployments", "web", "web", "v1"]
        );
        let requests = report["requests"].as_array().expect("requests");
        assert_eq!(requests[0]["path"], "/v2/manage/namespaces/none");
        assert_eq!(requests[0]["status"], 404);
        assert_eq!(requests.last().expect("some")["operation"], "EmulatorPush");
        assert!(!text.contains(TOKEN), "{text}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_the_command_runs() {
    let mut command = exec(&["--report", "/nonexistent/report"], &["echo", "run"]);
    let (code, stdout, stderr) = output_of(&mut command);
    assert_eq!((code, &*stdout), (Some(1), ""));
    let expected = "error: cannot write the report to /nonexistent/report: ";
    assert!(stderr.starts_with(expected), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[tokio::test]
async fn the_log_goes_to_a_file_where_one_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("log");
    let path = file.to_str().expect("UTF-8");
    for (options, is_logged) in [
        (&["--log-file", path][..], true),
        (&["--log-file", path, "--log-level", "warn"], false),
    ] {
        let running = Running::start(options);
        running.client().send("GET", "/v2/manage/repos", None).await;
        assert_eq!(running.end(0), Vec::<String>::new());
        let text = std::fs::read_to_string(&file).expect("written");
        assert_eq!(text.contains(" INFO 200 GET /v2/manage/repos "), is_logged);
        std::fs::write(&file, "").expect("emptied");
    }
    let running = Running::start(&["--log-level", "info"]);
    running.client().send("GET", "/v2/manage/repos", None).await;
    let lines = running.end(0);
    assert!(
        lines.iter().any(|line| line.contains("INFO 200 GET")),
        "{lines:?}"
    );

    let mut command = exec(&["--log-file", "/nonexistent/log"], &["echo", "run"]);
    let (code, stdout, stderr) = output_of(&mut command);
    assert_eq!((code, &*stdout), (Some(1), ""), "{stderr}");
}
