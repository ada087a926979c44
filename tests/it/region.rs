//! Several regions in one instance: each address is a region of its own, with what lies there.

use serde_json::{Value, json};

use crate::support::{Client, Process, Registry, TestApp, program};

const HOME: &str = "cn-north-4";
const EAST: &str = "cn-east-3";

const SEED: &str = r#"
regions: [{name: cn-east-3, listen: "127.0.0.1:0"}]
organizations:
  - {name: group, repositories: [{name: busybox}]}
  - {name: group, region: cn-east-3, repositories: [{name: busybox, description: east}]}
  - {name: only-there, region: cn-east-3}
"#;

const REPOSITORY: &str = "/v2/manage/namespaces/group/repos/busybox";

async fn get(client: &Client, path: &str) -> Value {
    let answer = client.send("GET", path, None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn organizations(client: &Client) -> Vec<String> {
    let list = get(client, "/v2/manage/namespaces").await;
    let list = list["namespaces"].as_array().expect("a list").iter();
    list.map(|namespace| namespace["name"].as_str().expect("a string").to_owned())
        .collect()
}

#[tokio::test]
async fn an_organization_of_the_same_name_in_two_regions_is_two() {
    let app = TestApp::seeded(SEED).await;
    let (home, east) = (app.client.clone(), app.in_region(EAST));

    assert_eq!(organizations(&home).await, ["group"]);
    assert_eq!(organizations(&east).await, ["group", "only-there"]);
    let (here, there) = (get(&home, REPOSITORY).await, get(&east, REPOSITORY).await);
    assert_ne!(here["id"], there["id"]);
    assert_eq!(
        (&here["description"], &there["description"]),
        (&json!(""), &json!("east"))
    );
    for (client, shown) in [(&home, here), (&east, there)] {
        let path = format!("{}/group/busybox", client.address);
        assert_eq!(shown["path"], path);
    }

    let body = json!({"namespace": "only-there"});
    let answer = home.send("POST", "/v2/manage/namespaces", Some(body)).await;
    answer.is(201, "{}");
    let path = "/v2/manage/namespaces/only-there";
    home.send("DELETE", path, None).await.is(204, "");
    assert_eq!(organizations(&east).await, ["group", "only-there"]);
}

#[tokio::test]
async fn an_image_is_in_the_region_whose_registry_it_was_pushed_to() {
    let app = TestApp::seeded(SEED).await;
    let (home, east) = (app.client.clone(), app.in_region(EAST));
    let registry = Registry::admin(&home, &["group/busybox"]).await;
    let digest = registry.push_image("group/busybox", "v1", b"layer").await;

    let there = Registry::admin(&east, &["group/busybox"]).await;
    let blob = crate::support::digest(b"layer");
    for path in [
        "/v2/group/busybox/manifests/v1".to_owned(),
        format!("/v2/group/busybox/manifests/{digest}"),
        format!("/v2/group/busybox/blobs/{blob}"),
    ] {
        assert_eq!(registry.get(&path).await.status, 200, "{path}");
        assert_eq!(there.get(&path).await.status, 404, "{path}");
    }
    assert_eq!(get(&east, &format!("{REPOSITORY}/tags")).await, json!([]));
}

#[tokio::test]
async fn iam_has_a_project_of_each_region_at_every_address() {
    let app = TestApp::seeded(&format!(
        "{SEED}accounts: [{{name: partner, users: [{{name: dev, password: p, token: partner-dev}}]}}]"
    ))
    .await;
    let mut ids = Vec::new();
    for client in [app.client.clone(), app.in_region(EAST)] {
        let partner = Client {
            token: Some("partner-dev".to_owned()),
            ..client
        };
        let list = get(&partner, "/v3/projects").await;
        let list = list["projects"].as_array().expect("a list").iter();
        let names: Vec<_> = list.map(|project| project["name"].clone()).collect();
        assert_eq!(names, [HOME, EAST]);
        for region in [HOME, EAST] {
            let found = get(&partner, &format!("/v3/projects?name={region}")).await;
            assert_eq!(found["projects"].as_array().map(Vec::len), Some(1));
            assert_eq!(found["projects"][0]["name"], region);
            ids.push(
                found["projects"][0]["id"]
                    .as_str()
                    .expect("a string")
                    .to_owned(),
            );
        }
    }
    assert_eq!(ids[..2], ids[2..]);
    assert_ne!(ids[0], ids[1]);

    let user = json!({"name": "dev", "password": "p", "domain": {"name": "partner"}});
    let identity = json!({"methods": ["password"], "password": {"user": user}});
    for project in [json!({"name": EAST}), json!({"id": ids[1]})] {
        let scope = json!({"project": project});
        let body = json!({"auth": {"identity": identity, "scope": scope}});
        let nobody = app.as_nobody();
        let answer = nobody.send("POST", "/v3/auth/tokens", Some(body)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.json()["token"]["project"]["name"], EAST);
        let token = answer.header("x-subject-token").expect("a token");
        for client in [app.client.clone(), app.in_region(EAST)] {
            let token = Some(token.to_owned());
            let client = Client { token, ..client };
            assert_eq!(organizations(&client).await, [""; 0]);
        }
    }
    let scope = json!({"project": {"name": "cn-south-1"}});
    let body = json!({"auth": {"identity": identity, "scope": scope}});
    let refused = app
        .as_nobody()
        .send("POST", "/v3/auth/tokens", Some(body))
        .await;
    assert_eq!(refused.status, 401);
}

#[tokio::test]
async fn a_reset_at_any_address_resets_all_regions() {
    let app = TestApp::seeded(SEED).await;
    let (home, east) = (app.client.clone(), app.in_region(EAST));
    for client in [&home, &east] {
        let body = json!({"namespace": "more"});
        let answer = client
            .send("POST", "/v2/manage/namespaces", Some(body))
            .await;
        answer.is(201, "{}");
    }
    let answer = east.send("POST", "/_emulator/reset", None).await;
    answer.is(204, "");
    assert_eq!(organizations(&home).await, ["group"]);
    assert_eq!(organizations(&east).await, ["group", "only-there"]);
}

#[tokio::test]
async fn a_registry_host_of_a_region_is_the_first_name_of_its_registry_only() {
    let seed = SEED.replace(
        "\"127.0.0.1:0\"",
        "\"127.0.0.1:0\", registry_host: swr.test",
    );
    let app = TestApp::seeded(&seed).await;
    let there = get(&app.in_region(EAST), REPOSITORY).await;
    assert_eq!(there["path"], "swr.test/group/busybox");
    let here = get(&app.client, REPOSITORY).await;
    assert_eq!(
        here["path"],
        format!("{}/group/busybox", app.client.address)
    );
}

#[tokio::test]
async fn the_start_tells_the_address_of_each_region_and_the_end_stops_all() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seed = folder.path().join("seed.yaml");
    std::fs::write(&seed, SEED).expect("written");
    let seed = seed.to_str().expect("UTF-8");
    let arguments = ["--ephemeral", "--listen", "127.0.0.1:0", "--seed", seed];
    let mut process = Process::start(&arguments);
    let east = process.next_region(EAST);
    assert_eq!(organizations(&process.client()).await, ["group"]);
    assert_eq!(organizations(&east).await, ["group", "only-there"]);

    process.signal("TERM");
    let (code, _) = process.wait();
    assert_eq!(code, Some(0));
    let connected = tokio::net::TcpStream::connect(&east.address).await;
    assert!(connected.is_err());
}

#[test]
fn a_taken_port_of_a_region_is_told_and_nothing_is_touched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (data, seed) = (text("data"), text("seed.yaml"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    std::fs::write(&seed, SEED.replace("127.0.0.1:0", &address)).expect("written");

    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        &data,
        "--seed",
        &seed,
    ];
    let output = program(&arguments).output().expect("it runs");

    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    let expected = format!("error: cannot listen on {address} for the region cn-east-3: ");
    assert!(message.starts_with(&expected), "{message}");
    assert!(
        message.contains("choose another listen in the seed file"),
        "{message}"
    );
    assert!(!folder.path().join("data").exists());
}
