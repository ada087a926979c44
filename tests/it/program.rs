//! The program: its command line, its start, its end.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Client, Kept, Process, Registry, TOKEN, TRIGGERS, program, trigger};

/// Runs the program to its end; exit code and stderr.
fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    let output = program(arguments).output().expect("it runs");
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(message.lines().count(), 1, "{message}");
    (output.status.code(), message)
}

/// The lines of stderr that say this.
fn warnings<'a>(output: &'a std::process::Output, part: &str) -> Vec<&'a str> {
    let text = std::str::from_utf8(&output.stderr).expect("UTF-8");
    text.lines().filter(|line| line.contains(part)).collect()
}

#[test]
fn an_unusable_setting_is_told_in_one_line_with_exit_code_2() {
    for (arguments, part) in [
        (&["--listen", "nonsense"][..], "--listen"),
        (&["--region", "Not_a_region"][..], "must have 1 to 64"),
        (&["--auth", "lax"][..], "strict, any"),
        (
            &["--quota-namespaces", "x"][..],
            "--quota-namespaces: must be a whole number from 0",
        ),
        (
            &["--quota-namespaces", "-1"][..],
            "--quota-namespaces: must be a whole number from 0",
        ),
        (
            &["--deploy-timeout", "60s"][..],
            "--deploy-timeout: must be a whole number of seconds from 0 to 3600",
        ),
        (&["--registry-host", "host:99999"][..], "1 to 65535"),
        (
            &["--listen", ":7970"][..],
            "--listen: must be an address with a port, like 127.0.0.1:7970",
        ),
        (&["--registry-host", "http://x"][..], "HOST:PORT"),
        (
            &["--allow-host", "x:80"][..],
            "without a scheme, port or path",
        ),
        (
            &["--allow-host", "http://x"][..],
            "without a scheme, port or path",
        ),
        (
            &["--ephemeral", "--data-dir", "x"][..],
            "--ephemeral cannot be used with --data-dir",
        ),
        (&["--nonsense"][..], "--nonsense"),
        (&["nonsense"][..], "nonsense"),
    ] {
        let (code, message) = fails(arguments);
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_wrong_value_of_a_variable_is_told_under_the_name_of_the_variable() {
    for (variable, value, rule) in [
        ("SWR_EMULATOR_LISTEN", "x", "must be an address with a port"),
        ("SWR_EMULATOR_AUTH", "lax", "must be one of strict, any"),
        ("SWR_EMULATOR_EPHEMERAL", "maybe", "must be true, yes, on"),
        ("SWR_EMULATOR_STRICT_TARGETS", "", "must be true, yes, on"),
        (
            "SWR_EMULATOR_RECORD_BODIES",
            "no-body",
            "must be true, yes, on",
        ),
    ] {
        let output = program(&[]).env(variable, value).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{variable}");
        let message = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(
            message.starts_with(&format!("error: {variable}: {rule}")),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn a_variable_that_is_no_setting_is_a_warning_with_the_nearest_one() {
    let output = program(&["env"])
        .env("SWR_EMULATOR_LISTN", "127.0.0.1:0")
        .env("SWR_EMULATOR_URL", "http://127.0.0.1:1")
        .env("SWR_EMULATOR_BINARY", "x")
        .env("SWR_EMULATOR_TOKEN", "x")
        .env("SWR_EMULATOR_REGISTRY", "x")
        .env("SWR_EMULATOR_PORT", "tcp://10.0.0.1:7970")
        .env("SWR_EMULATOR_PORT_7970_TCP", "x")
        .env("SWR_EMULATOR_SERVICE_HOST", "x")
        .output()
        .expect("it runs");
    assert!(output.status.success());
    assert_eq!(
        warnings(&output, "is not a setting"),
        ["warning: SWR_EMULATOR_LISTN is not a setting; did you mean SWR_EMULATOR_LISTEN?"]
    );
}

#[test]
fn of_a_flag_given_twice_the_last_counts() {
    let arguments = ["--ephemeral", "--listen", "x:", "--listen", "127.0.0.1:0"];
    let (code, message) = fails(&arguments);
    assert_eq!(code, Some(2), "{message}");
    let arguments = ["--ephemeral", "--ephemeral", "--listen", "127.0.0.1:1"];
    let process = Process::start(&[&arguments[..], &["--listen", "127.0.0.1:0"]].concat());
    assert!(!process.url.ends_with(":1"), "{}", process.url);
}

#[test]
fn it_listens_on_a_name_of_the_loopback_address() {
    let process = Process::start(&["--ephemeral", "--listen", "localhost:0"]);
    let address = process.client().address;
    let address: std::net::SocketAddr = address.parse().expect("an address, not a name");
    assert!(address.ip().is_loopback());
}

#[test]
fn of_ephemeral_and_data_dir_the_flag_wins_over_the_variable() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("UTF-8");
    // Something wrong that is told before anything starts, so that both ends are quick.
    let wrong = ["--seed", "/nonexistent/seed.yaml"];
    for (arguments, variable, value, code) in [
        (
            vec!["--data-dir", data],
            "SWR_EMULATOR_EPHEMERAL",
            "false",
            1,
        ),
        (
            vec!["--data-dir", data],
            "SWR_EMULATOR_EPHEMERAL",
            "true",
            1,
        ),
        (vec!["--ephemeral"], "SWR_EMULATOR_DATA_DIR", data, 1),
        (
            vec!["--ephemeral", "--data-dir", data],
            "SWR_EMULATOR_EPHEMERAL",
            "true",
            2,
        ),
    ] {
        let mut command = program(&[&arguments[..], &wrong].concat());
        let output = command.env(variable, value).output().expect("it runs");
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?} {variable}={value}"
        );
    }
}

#[test]
fn a_taken_port_is_told_and_nothing_is_touched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let taken = Process::start(&["--ephemeral", "--listen", "127.0.0.1:0"]);
    let address = taken.url.strip_prefix("http://").expect("an address");

    let data_dir = data.to_str().expect("UTF-8");
    let (code, message) = fails(&["--listen", address, "--data-dir", data_dir]);

    assert_eq!(code, Some(1));
    assert!(message.contains("cannot listen on"), "{message}");
    assert!(message.contains("choose another --listen"), "{message}");
    assert!(!data.exists());
}

#[test]
fn a_folder_in_use_is_told_and_free_again_right_after_kill_9() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("UTF-8");
    let arguments = ["--listen", "127.0.0.1:0", "--data-dir", data];
    for _ in 0..3 {
        let first = Process::start(&arguments);
        let (code, message) = fails(&arguments);
        assert_eq!(code, Some(1));
        assert!(
            message.contains("is in use by another swr-emulator"),
            "{message}"
        );
        first.kill();
    }
    drop(Process::start(&arguments));
}

#[test]
fn a_folder_or_database_that_is_not_ours_is_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("swr-emulator.db");
    std::fs::write(&file, "not ours").expect("written");
    let data = folder.path().to_str().expect("UTF-8");
    let (code, message) = fails(&["--listen", "127.0.0.1:0", "--data-dir", data]);
    assert_eq!(code, Some(1));
    assert!(
        message.contains("is not a SQLite database; move it away"),
        "{message}"
    );
    assert_eq!(std::fs::read(&file).expect("still there"), b"not ours");
    let entries = std::fs::read_dir(folder.path()).expect("there").count();
    assert_eq!(entries, 1);

    let inside = file.join("data");
    let inside = inside.to_str().expect("UTF-8");
    let (code, message) = fails(&["--listen", "127.0.0.1:0", "--data-dir", inside]);
    assert_eq!(code, Some(1));
    assert!(
        message.contains("cannot write to the data folder"),
        "{message}"
    );
}

#[test]
fn a_signal_ends_it_in_order_with_exit_code_0() {
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        let data_dir = data.to_str().expect("UTF-8");
        let process = Process::start(&["--listen", "127.0.0.1:0", "--data-dir", data_dir]);
        let url = process.url.clone();
        process.signal(signal);
        let (code, stdout) = process.wait();
        assert_eq!(code, Some(0), "{signal}");
        let expected = format!(
            "data folder  {data_dir}\n\
             account      swr-emulator, user admin, password swr-emulator, token swr-emulator\n\
             access key   SWREMULATOR000000001, secret key SwrEmulatorExampleSecretKey0000000000001\n\
             try          curl -H 'X-Auth-Token: swr-emulator' '{url}/v2/manage/namespaces'\n\
             console      {url}/_emulator/\n\
             docs         {url}/_emulator/docs\n"
        );
        assert_eq!(stdout, expected);
        let left: Vec<_> = std::fs::read_dir(&data)
            .expect("there")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert!(
            !left
                .iter()
                .any(|name| name.to_string_lossy().ends_with("-wal")),
            "{left:?}"
        );
    }
}

#[tokio::test]
async fn a_running_request_is_finished_before_the_end() {
    let process = Process::start(&["--ephemeral", "--listen", "127.0.0.1:0"]);
    let address = process.client().address;
    let mut stream = TcpStream::connect(&address).await.expect("a connection");
    let head = "POST /v2/manage/namespaces HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: swr-emulator\r\n\
                Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = [0; 12];
    stream
        .read_exact(&mut answer)
        .await
        .expect("the request is under way");
    assert_eq!(&answer, b"HTTP/1.1 100");
    process.signal("TERM");
    // New connections are refused once the signal has arrived. Meanwhile the body goes on.
    while TcpStream::connect(&address).await.is_ok() {
        stream.write_all(b"1\r\n \r\n").await.expect("sent");
    }
    let rest = b"15\r\n{\"namespace\":\"group\"}\r\n0\r\n\r\n";
    stream.write_all(rest).await.expect("sent");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("an answer");
    assert!(rest.contains("HTTP/1.1 201"), "{rest}");
    assert_eq!(process.wait().0, Some(0));
}

/// Sends the beginning of a request, or a whole one.
async fn send(address: &str, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(bytes.as_bytes()).await.expect("sent");
    stream
}

#[tokio::test]
async fn what_only_waits_ends_at_once_with_the_program() {
    let mut on_push = trigger("t");
    on_push["application"] = json!("web");
    let seed = json!({
        "organizations": [{"name": "group",
            "repositories": [{"name": "busybox", "triggers": [on_push]}]}],
        "clusters": [{"id": on_push["cluster_id"], "name": "test"}],
    });
    let kept = Kept::seeded(&seed.to_string());
    let process = kept.start(&[]);
    let client = process.client();
    let workload = "/_emulator/clusters/test/namespaces/default/deployments/web";
    let slow = json!({"containers": [{"name": "a", "image": "b"}], "delay_ms": 600_000});
    client.send("PUT", workload, Some(slow)).await;
    let push = json!({"namespace": "group", "repository": "busybox", "tag": "v1"});
    let pushed = client.send("POST", "/_emulator/push", Some(push)).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let registry = Registry::admin(&client, &["group/busybox"]).await;
    let bearer = registry.bearer.as_deref().expect("a token");

    let address = &client.address;
    let head =
        |line: &str| format!("{line} HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: {TOKEN}\r\n");
    let wait = "/_emulator/wait?namespace=group&repository=busybox&tag=v1&trigger=t&timeout=10m";
    let with_body = "Content-Length: 100\r\n\r\n{";
    let of_bearer = format!("Authorization: Bearer {bearer}\r\n{with_body}");
    let digest = format!("sha256:{}", "0".repeat(64));
    let requests = [
        head("GET /_emulator/idle?timeout=10m") + "\r\n",
        head(&format!("GET {wait}")) + "\r\n",
        head(&format!("GET {}", wait.replace("&trigger=t", ""))) + "\r\n",
        head(&format!("GET {}", wait.replace("v1", "v9"))) + "\r\n",
        head("GET /v2/manage/namespaces/group") + "\r\n",
        head("POST /v2/manage/namespaces") + with_body,
        head("PUT /v2/group/busybox/manifests/v2") + &of_bearer,
        head(&format!(
            "POST /v2/group/busybox/blobs/uploads/?digest={digest}"
        )) + &of_bearer,
    ];
    let fault = json!({"operation": "ShowNamespace", "delay_ms": 600_000});
    client.send("POST", "/_emulator/faults", Some(fault)).await;
    let mut waiting = Vec::new();
    for request in &requests {
        waiting.push((request, send(address, request).await));
    }
    let refused = head("PUT /v2/manage/namespaces") + with_body;
    let mut refused = send(address, &refused).await;
    let mut half_head = send(address, "GET / HTTP/1.1\r\nHo").await;
    let mut silent = send(address, "").await;
    // Later than all of these, on a connection that stays open.
    let mut connection = client.connect().await;
    loop {
        let request = http::Request::get("/_emulator/faults");
        let request = request.body(bytes::Bytes::new()).expect("legal");
        let answer = client.request_on(&mut connection, request).await;
        if answer.expect("an answer").json()[0]["struck"] == 1 {
            break;
        }
    }

    process.signal("TERM");

    let answers = async {
        for (request, mut stream) in waiting {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 503"), "{request}: {answer}");
            assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
        }
        let mut answer = String::new();
        refused
            .read_to_string(&mut answer)
            .await
            .expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        for stream in [&mut half_head, &mut silent] {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.expect("the end");
            assert_eq!(rest, b"");
        }
    };
    // Less than the ten seconds after which Docker kills, by far.
    let time = Duration::from_secs(6);
    tokio::time::timeout(time, answers)
        .await
        .expect("all ended");
    assert_eq!(process.wait_for(time), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_though_a_request_runs() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    for (first, second, code) in [("TERM", "INT", 130), ("INT", "TERM", 143)] {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let (log, writer) = std::io::pipe().expect("a pipe");
        let mut command = program(&["--ephemeral", "--listen", "127.0.0.1:0"]);
        let mut child = command
            .env("TMPDIR", parent.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(writer))
            .spawn()
            .expect("it starts");
        drop(command);
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("a line");
        let address = line.trim().trim_start_matches("listening on http://");
        let client = Client {
            address: address.to_owned(),
            token: Some(TOKEN.to_owned()),
        };
        let group = json!({"namespace": "group"});
        let made = client.send("POST", "/v2/manage/namespaces", Some(group));
        assert_eq!(made.await.status, 201);
        let registry = Registry::admin(&client, &["group/busybox"]).await;
        // More than the buffers between the two hold, so that it is under way until it is read.
        let digest = registry
            .push_blob("group/busybox", &vec![0; 32 * 1024 * 1024])
            .await;
        let bearer = registry.bearer.as_deref().expect("a token");
        let request = format!(
            "GET /v2/group/busybox/blobs/{digest} HTTP/1.1\r\nHost: localhost\r\n\
             Authorization: Bearer {bearer}\r\n\r\n"
        );
        let mut download = send(address, &request).await;
        let mut begin = [0; 12];
        download.read_exact(&mut begin).await.expect("an answer");
        assert_eq!(&begin, b"HTTP/1.1 200");

        let signal = |name: &str| {
            let pid = child.id().to_string();
            let sent = std::process::Command::new("kill")
                .args([&format!("-{name}"), &pid])
                .status();
            assert!(sent.expect("kill is there").success());
        };
        signal(first);
        let told = BufReader::new(log)
            .lines()
            .map(|line| line.expect("UTF-8"))
            .find(|line| line.contains("running requests"))
            .expect("it is told");
        // From here on nobody reads the log, which holds nothing up.
        assert!(told.contains("requests=1"), "{told}");
        signal(second);

        assert_eq!(child.wait().expect("ended").code(), Some(code), "{told}");
        let left = std::fs::read_dir(parent.path()).expect("there").count();
        assert_eq!(left, 0);
        drop(download);
    }
}

#[tokio::test]
async fn a_program_that_a_kubeconfig_runs_does_not_hold_up_the_end() {
    let mut on_push = trigger("t");
    on_push["application"] = json!("web");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let begun = folder.path().join("begun");
    let script = format!("echo $$ > {}; exec sleep 30", begun.display());
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "sh",
        "args": ["-c", script], "interactiveMode": "Never"});
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "main",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"exec": exec}}],
        "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u"}}],
    });
    let path = folder.path().join("kubeconfig.yaml");
    std::fs::write(&path, kubeconfig.to_string()).expect("written");
    let kept = Kept::seeded(
        &json!({
            "organizations": [{"name": "group",
                "repositories": [{"name": "busybox", "triggers": [on_push]}]}],
            "clusters": [{"id": on_push["cluster_id"], "name": "test", "kubeconfig": path}],
        })
        .to_string(),
    );
    let process = kept.start(&[]);
    let client = process.client();
    let push = json!({"namespace": "group", "repository": "busybox", "tag": "v1"});
    let pushed = client.send("POST", "/_emulator/push", Some(push)).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let pid = loop {
        // Each of these takes a moment.
        client
            .send("GET", "/_emulator/idle?timeout=10ms", None)
            .await;
        let pid = std::fs::read_to_string(&begun).unwrap_or_default();
        if pid.ends_with('\n') {
            break pid;
        }
    };

    process.signal("TERM");

    let code = process.wait_for(Duration::from_secs(8));
    // It may have ended with the emulator.
    let _ = std::process::Command::new("kill")
        .arg(pid.trim())
        .stderr(std::process::Stdio::null())
        .status();
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn beyond_the_machine_a_request_may_be_for_any_host() {
    let process = Process::start(&["--ephemeral", "--listen", "0.0.0.0:0"]);
    let port = process.url.rsplit(':').next().expect("a port");
    for (head, expected) in [
        ("Host: swr.example\r\n", "HTTP/1.1 200"),
        ("", "HTTP/1.1 400"),
        ("Host: a\r\nHost: b\r\n", "HTTP/1.1 400"),
    ] {
        let request = format!("GET / HTTP/1.1\r\n{head}Connection: close\r\n\r\n");
        let mut stream = send(&format!("127.0.0.1:{port}"), &request).await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with(expected), "{head}: {answer}");
    }
}

#[test]
fn an_ephemeral_folder_is_gone_at_the_end() {
    let process = Process::start(&["--ephemeral", "--listen", "127.0.0.1:0"]);
    process.signal("TERM");
    let (_, stdout) = process.wait();
    let folder = stdout
        .lines()
        .find_map(|line| line.strip_prefix("data folder  "))
        .expect("the folder is told");
    assert!(!std::path::Path::new(folder).exists());
}

#[test]
fn the_folder_of_a_killed_ephemeral_instance_goes_with_the_next_start() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let start = || {
        let mut command = program(&["--ephemeral", "--listen", "127.0.0.1:0"]);
        Process::of(command.env("TMPDIR", parent.path()))
    };
    let folders = || std::fs::read_dir(parent.path()).expect("there").count();
    start().kill();
    assert_eq!(folders(), 1);
    let mine = parent.path().join("swr-emulator-mine");
    let arguments = ["--listen", "127.0.0.1:0", "--data-dir"];
    Process::start(&[&arguments[..], &[mine.to_str().expect("UTF-8")]].concat()).kill();

    let running = [start(), start()];
    assert_eq!(folders(), 3);
    for process in running {
        process.signal("TERM");
        assert_eq!(process.wait().0, Some(0));
    }
    assert_eq!(folders(), 1);
    assert!(mine.join("swr-emulator.db").is_file());
}

#[test]
fn it_ends_in_order_with_its_standard_input_if_told_so() {
    use std::process::Stdio;
    for how in ["flag", "variable"] {
        let mut command = program(&["--ephemeral", "--listen", "127.0.0.1:0"]);
        if how == "flag" {
            command.arg("--exit-with-stdin");
        } else {
            command.env("SWR_EMULATOR_EXIT_WITH_STDIN", "yes");
        }
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let process = Process::of(command.stdin(Stdio::from(reader)));
        // The command would hold the reading end, but nobody else holds the writing one.
        std::io::Write::write_all(&mut writer, b"ignored\n").expect("written");
        let url = process.url.clone();
        let asked = program(&["healthcheck", "--url", &url]).status();
        assert!(asked.expect("it runs").success(), "{how}");
        drop(writer);
        let (code, stdout) = process.wait();
        assert_eq!(code, Some(0), "{how}");
        let mut lines = stdout.lines();
        let folder = lines.find_map(|line| line.strip_prefix("data folder  "));
        assert!(!std::path::Path::new(folder.expect("told")).exists());
    }
}

#[tokio::test]
async fn it_listens_on_ipv6_too_and_names_the_registry_by_what_reaches_it() {
    let process = Process::start(&["--ephemeral", "--listen", "[::1]:0"]);
    assert!(process.url.starts_with("http://[::1]:"), "{}", process.url);
    let answer = process.client().send("GET", "/v2/manage/repos", None).await;
    answer.is(200, "[]");

    let everywhere = Process::start(&["--ephemeral", "--listen", "0.0.0.0:0"]);
    let port = everywhere
        .url
        .rsplit(':')
        .next()
        .expect("a port")
        .to_owned();
    let mut client = everywhere.client();
    client.address = format!("127.0.0.1:{port}");
    let namespace = serde_json::json!({"namespace": "g"});
    client
        .send("POST", "/v2/manage/namespaces", Some(namespace))
        .await
        .is(201, "{}");
    let repository = serde_json::json!({"repository": "r", "is_public": false});
    let path = "/v2/manage/namespaces/g/repos";
    client
        .send("POST", path, Some(repository))
        .await
        .is(200, "{}");
    let shown = client
        .send("GET", "/v2/manage/namespaces/g/repos/r", None)
        .await
        .json();
    assert_eq!(shown["path"], format!("127.0.0.1:{port}/g/r"));
}

#[test]
fn healthcheck_tells_a_running_emulator_from_none() {
    let process = Process::start(&["--ephemeral", "--listen", "127.0.0.1:0"]);
    let url = process.url.clone();
    let status = program(&["healthcheck", "--url", &url])
        .status()
        .expect("it runs");
    assert_eq!(status.code(), Some(0));
    process.kill();
    let (code, message) = fails(&["healthcheck", "--url", &url]);
    assert_eq!(code, Some(1));
    assert!(message.contains("is not ready"), "{message}");
}

#[test]
fn healthcheck_waits_until_the_emulator_is_ready() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address").to_string();
    drop(taken);
    let url = format!("http://{address}");
    let mut waiting = program(&["healthcheck", "--url", &url, "--wait", "2m"])
        .spawn()
        .expect("it runs");
    assert!(waiting.try_wait().expect("a child").is_none());
    let process = Process::start(&["--ephemeral", "--listen", &address]);
    assert_eq!(waiting.wait().expect("ended").code(), Some(0));
    process.kill();

    let (code, message) = fails(&["healthcheck", "--url", &url, "--wait", "120ms"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("is not ready"), "{message}");
    let (code, message) = fails(&["healthcheck", "--wait", "11m"]);
    assert_eq!(code, Some(2));
    assert!(
        message.contains("--wait: must be a duration like 500ms"),
        "{message}"
    );
}

/// What `env` prints and the warnings with it, where it succeeds.
fn env(arguments: &[&str]) -> (String, String) {
    let output = program(&[&["env"], arguments].concat()).output();
    let output = output.expect("it runs");
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
    assert!(output.status.success(), "{stderr}");
    (stdout, stderr)
}

#[test]
fn env_prints_what_points_a_client_at_the_emulator_before_it_runs() {
    for (client, part) in [
        (
            "shell",
            "export HUAWEICLOUD_SDK_REGION_SWR_CN_NORTH_4='http://127.0.0.1:1'",
        ),
        ("shell", "export SWR_EMULATOR_REGISTRY='127.0.0.1:1'"),
        ("python", ".with_endpoint('http://127.0.0.1:1')"),
        ("node", ".withEndpoint('http://127.0.0.1:1')"),
        (
            "node",
            "// The SDK for Node reads no endpoint from variables",
        ),
        ("go", "WithEndpoints([]string{\"http://127.0.0.1:1\"})"),
        ("go", "package main\n\nimport ("),
        ("terraform", "auth_url   = \"http://127.0.0.1:1/v3\""),
        (
            "docker",
            "docker login -u cn-north-4@SWREMULATOR000000001 -p ",
        ),
        (
            "skopeo",
            "skopeo login --tls-verify=false -u cn-north-4@SWREMULATOR000000001 -p ",
        ),
        (
            "podman",
            "podman login --tls-verify=false -u cn-north-4@SWREMULATOR000000001 -p ",
        ),
    ] {
        let (settings, warning) = env(&["--for", client, "--url", "http://127.0.0.1:1/"]);
        assert!(settings.contains(part), "{settings}");
        let expected = "warning: no emulator answers at http://127.0.0.1:1, ";
        assert!(warning.starts_with(expected), "{warning}");
        assert_eq!(warning.lines().count(), 1, "{warning}");
    }
    let (code, message) = fails(&["env", "--check", "--url", "http://127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("no emulator answers"), "{message}");
}

#[test]
fn env_tells_the_region_that_the_emulator_plays_unless_one_is_given() {
    let seed = r#"{"regions": [{"name": "cn-east-3", "listen": "127.0.0.1:0"}]}"#;
    let kept = Kept::seeded(seed);
    let mut process = kept.start(&["--region", "eu-west-101"]);
    let east = format!("http://{}", process.next_region("cn-east-3").address);
    for (arguments, region) in [
        (vec!["--url", &*process.url], "EU_WEST_101"),
        (vec!["--url", &*process.url, "--check"], "EU_WEST_101"),
        (vec!["--url", &*east], "CN_EAST_3"),
        (vec!["--url", &*east, "--region", "r1"], "R1"),
    ] {
        let (settings, warning) = env(&arguments);
        let line = format!(
            "export HUAWEICLOUD_SDK_REGION_SWR_{region}='{}'\n",
            arguments[1]
        );
        assert!(settings.ends_with(&line), "{settings}");
        assert_eq!(warning, "");
    }
}

#[test]
fn env_invents_no_keys_where_the_builtin_account_is_left_out() {
    let seed = r#"{"builtin_account": false, "accounts": [{"name": "a",
        "users": [{"name": "u", "access_key": "AK", "secret_key": "not-to-be-shown"}]}]}"#;
    let process = Kept::seeded(seed);
    let process = process.start(&[]);
    for client in ["shell", "python", "node", "go", "terraform", "docker"] {
        let (settings, warning) = env(&["--for", client, "--url", &process.url]);
        assert!(!settings.contains("SWREMULATOR"), "{settings}");
        assert!(!settings.contains("not-to-be-shown"), "{settings}");
        assert!(
            !settings.contains("export HUAWEICLOUD_SDK_AK"),
            "{settings}"
        );
        assert!(warning.contains("has no built-in account"), "{warning}");
    }
}

#[test]
fn the_url_of_an_emulator_holds_nothing_that_a_shell_would_run() {
    for url in [
        "127.0.0.1:7970",
        "https://localhost",
        "http://a'b",
        "http://a$b",
        "http://a/b",
        "http://a?b",
        "http://u@a",
        "http://a:99999",
        "",
    ] {
        for command in ["env", "healthcheck"] {
            let (code, message) = fails(&[command, "--url", url]);
            assert_eq!(code, Some(2), "{message}");
            assert!(message.contains("--url: must be a URL like"), "{message}");
        }
    }
}

#[test]
fn help_explains_every_flag_with_its_variable() {
    let output = program(&["--help"]).output().expect("it runs");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    for flag in [
        "listen",
        "data-dir",
        "ephemeral",
        "exit-with-stdin",
        "region",
        "seed",
        "registry-host",
        "allow-host",
        "quota-namespaces",
        "auth",
        "log-format",
        "log-level",
        "log-file",
    ] {
        assert!(help.contains(&format!("--{flag}")), "{help}");
        let variable = format!("SWR_EMULATOR_{}", flag.to_uppercase().replace('-', "_"));
        assert!(help.contains(&variable), "{variable}: {help}");
    }
}

/// The log of a program, in JSON unless told otherwise, while a client did something.
fn log_of(arguments: &[&str], talk: impl AsyncFnOnce(Client)) -> String {
    use std::io::Read;
    use std::process::Stdio;
    let own = [
        "--ephemeral",
        "--listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
    ];
    let mut child = program(&[&own[..], arguments].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let mut stderr = child.stderr.take().expect("a pipe");
    // Beside the test, so that a full pipe holds nobody up.
    let log = std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).expect("UTF-8");
        log
    });
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("a line");
    let address = line
        .trim()
        .trim_start_matches("listening on http://")
        .to_owned();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(talk(Client {
        address,
        token: Some(TOKEN.to_owned()),
    }));
    let pid = child.id().to_string();
    std::process::Command::new("kill")
        .arg(&pid)
        .status()
        .expect("kill is there");
    child.wait().expect("ended");
    log.join().expect("the log is read")
}

#[test]
fn a_log_line_tells_the_request_and_no_secret() {
    let log = log_of(&[], async |client| {
        client.send("GET", "/v2/manage/namespaces/none", None).await;
        let client = Client {
            token: Some("wrong-but-secret".to_owned()),
            ..client
        };
        client.send("GET", "/v2/manage/repos?limit=1", None).await;
    });

    assert!(!log.contains("wrong-but-secret"), "{log}");
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let refused = lines
        .iter()
        .find(|line| line["http.response.status_code"] == 401)
        .expect("a line");
    assert_eq!(refused["error.type"], "APIGW.0301");
    assert_eq!(refused["url.query"], "limit=1");
    assert_eq!(refused["user.name"], "-");
    let missing = lines
        .iter()
        .find(|line| line["http.response.status_code"] == 404)
        .expect("a line");
    assert_eq!(missing["swr.operation"], "ShowNamespace");
    assert_eq!(missing["http.request.method"], "GET");
    assert_eq!(missing["url.path"], "/v2/manage/namespaces/none");
    assert_eq!(missing["url.query"], json!(null));
    assert_eq!(missing["user.name"], "admin");
    assert_eq!(missing["error.type"], "SVCSTG.SWR.4040058");
    assert_eq!(missing["error.message"], "Not found namespace");
    assert!(missing["http.server.request.duration"].is_f64());
    assert_eq!(missing["request.id"].as_str().map(str::len), Some(32));
}

#[tokio::test]
async fn the_log_is_added_to_a_file_where_one_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("log");
    std::fs::write(&file, "earlier\n").expect("written");
    let own = ["--ephemeral", "--listen", "127.0.0.1:0", "--log-file"];
    let path = file.to_str().expect("UTF-8");
    let process = Process::start(&[&own[..], &[path]].concat());
    process.client().send("GET", "/v2/manage/repos", None).await;
    process.signal("TERM");
    assert_eq!(process.wait().0, Some(0));
    let text = std::fs::read_to_string(&file).expect("written");
    assert!(
        text.starts_with("earlier\n") && text.contains(" INFO 200 GET /v2/manage/repos "),
        "{text}"
    );

    let (code, message) = fails(&[&own[..], &["/nonexistent/log"]].concat());
    assert_eq!(code, Some(1));
    let expected = "error: cannot start: cannot write to the log file /nonexistent/log: ";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn a_log_line_for_people_tells_each_thing_once() {
    let log = log_of(&["--log-format", "text"], async |client| {
        client.send("GET", "/v2/manage/repos?limit=1", None).await;
        let path = "/v2/manage/namespaces/none?X-Auth-Token=hidden";
        client.send("GET", path, None).await;
        client.send("PATCH", "/nonsense", None).await;
    });

    assert!(!log.contains("hidden"), "{log}");
    // A line without what is new in each: its time, the duration and the request's id.
    let lines: Vec<_> = log.lines().filter(|line| line.contains(" INFO ")).collect();
    let known: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("ms "))
        .map(|line| {
            let (time, rest) = line.split_once(' ').expect("a time");
            assert!(time.parse::<jiff::civil::Time>().is_ok(), "{line}");
            let (rest, id) = rest.rsplit_once(' ').expect("an id");
            assert!(
                id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{line}"
            );
            let words: Vec<_> = rest.split(' ').filter(|word| !is_duration(word)).collect();
            assert_eq!(words.len() + 1, rest.split(' ').count(), "{line}");
            words.join(" ")
        })
        .collect();
    assert_eq!(
        known,
        [
            "INFO 200 GET /v2/manage/repos?limit=1  ListReposDetails admin",
            "INFO 404 GET /v2/manage/namespaces/none?X-Auth-Token=***  ShowNamespace admin \
             SVCSTG.SWR.4040058: Not found namespace",
            "INFO 404 PATCH /nonsense  - - APIGW.0101: The API does not exist or has not been \
             published: PATCH /nonsense (this path accepts only GET)",
        ]
    );
}

fn is_duration(word: &str) -> bool {
    let number = word.strip_suffix("ms");
    number.is_some_and(|number| number.parse::<f64>().is_ok())
}

#[test]
fn a_log_line_is_bounded_whatever_was_sent() {
    let log = log_of(&[], async |client| {
        let (method, path) = ("M".repeat(25_000), format!("/{}/x", "p".repeat(25_000)));
        for path in ["/v2/manage/repos", "/v2/group/busybox/nonsense", &path] {
            client.send(&method, path, None).await;
        }
    });
    let lines = log.lines().filter(|line| line.contains("MMM"));
    let lengths: Vec<_> = lines.map(str::len).collect();
    assert_eq!(lengths.len(), 3, "{log}");
    assert!(lengths.iter().all(|length| *length < 3500), "{lengths:?}");
}

#[test]
fn the_log_tells_what_a_trigger_did_and_warns_of_what_it_could_not() {
    let log = log_of(&["--strict-targets"], async |client| {
        let at = "/_emulator/clusters/5b28c12f-dc10-11e9-97b3-0255ac1001b5/namespaces/default";
        let workload = format!("{at}/deployments/adsfa");
        let put = async |image: &str, fail: u32| {
            let mut body = json!({"containers": [{"name": "web", "image": image}]});
            if fail > 0 {
                body["fail"] = json!({"status": 503, "times": fail});
            }
            let put = client.send("PUT", &workload, Some(body)).await;
            assert_eq!(put.status, 200, "{}", put.text());
        };
        let body = json!({"namespace": "group"});
        client
            .send("POST", "/v2/manage/namespaces", Some(body))
            .await;
        let push = async |tag: &str| {
            let body = json!({"namespace": "group", "repository": "busybox", "tag": tag});
            client.send("POST", "/_emulator/push", Some(body)).await;
            client.send("GET", "/_emulator/idle", None).await;
        };
        push("v0").await;
        put("nginx:1", 0).await;
        let mut on_push = trigger("on-push");
        on_push["cluster_name"] = json!("");
        let made = client.send("POST", TRIGGERS, Some(on_push)).await;
        made.is(201, "{}");
        push("v1").await;
        put(&format!("{}/group/busybox:1", client.address), 2).await;
        push("v2").await;
    });
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let told: Vec<_> = lines
        .filter(|line| line["trigger.name"] == "on-push")
        .map(|line| {
            let message = line["message"].as_str().expect("text");
            let message = message.split("; next try in").next();
            // The id that the push's own line has.
            if let Some(id) = line["request.id"].as_str() {
                assert_eq!(
                    log.matches(&format!("\"request.id\":\"{id}\"")).count(),
                    2,
                    "{log}"
                );
            }
            let message = message.map(|text| text.split(" (").next().unwrap_or(text));
            format!(
                "{} {}",
                line["level"].as_str().expect("text"),
                message.expect("a part")
            )
        })
        .collect();
    let reason = "no container uses group/busybox; available: nginx:1";
    let workload = "\u{2192} default/deployments/adsfa";
    let passing = "of trigger on-push for tag v2 failed: the cluster answered 503";
    assert_eq!(
        told,
        [
            format!("WARN Trigger on-push cannot update anything yet: {reason}"),
            format!("WARN fired on-push for group/busybox:v1 {workload}: failed: {reason}"),
            format!("WARN Try 1 {passing}"),
            format!("WARN Try 2 {passing}"),
            format!("INFO fired on-push for group/busybox:v2 {workload}: success"),
        ],
        "{log}"
    );
    // The one that failed tells where the console shows its push.
    let pages: Vec<_> = log.match_indices("/_emulator/#/push/").collect();
    let [(at, _)] = pages[..] else {
        panic!("{log}")
    };
    assert!(
        log[at..].starts_with("/_emulator/#/push/group/busybox/2"),
        "{log}"
    );
}
