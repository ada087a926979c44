//! Any world at any moment: a reset to a seed that is posted.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use crate::support::{Answer, Client, TOKEN, TestApp, trigger};

const RESET: &str = "/_emulator/reset";

/// Resets to a seed, or tries to.
async fn post(client: &Client, seed: &str) -> Answer {
    let request = Request::post(RESET).header("Content-Type", "application/yaml");
    let request = request.body(Bytes::from(seed.to_owned()));
    client.request(request.expect("a legal request")).await
}

/// The names of the caller's organizations, or the status of a refusal.
async fn organizations(client: &Client) -> Result<Vec<String>, u16> {
    let answer = client.send("GET", "/v2/manage/namespaces", None).await;
    if answer.status != 200 {
        return Err(answer.status.as_u16());
    }
    let body = answer.json();
    let list = body["namespaces"].as_array().expect("a list");
    let name = |one: &Value| one["name"].as_str().expect("a name").to_owned();
    Ok(list.iter().map(name).collect())
}

#[tokio::test]
async fn a_posted_seed_is_what_later_resets_return_to() {
    let app = TestApp::seeded("organizations: [{name: first}]").await;
    post(&app.client, "organizations:\n  - name: second\n")
        .await
        .is(204, "");
    assert_eq!(organizations(&app.client).await, Ok(vec!["second".into()]));
    let more = json!({"namespace": "more"});
    app.post("/v2/manage/namespaces", more).await.is(201, "{}");
    for empty in ["", "{}", " {} \n"] {
        post(&app.client, empty).await.is(204, "");
        let names = organizations(&app.client).await;
        assert_eq!(names, Ok(vec!["second".into()]), "{empty:?}");
    }
    let json = json!({"organizations": [{"name": "third"}]}).to_string();
    post(&app.client, &json).await.is(204, "");
    assert_eq!(organizations(&app.client).await, Ok(vec!["third".into()]));
    post(&app.client, "# nothing\n").await.is(204, "");
    assert_eq!(organizations(&app.client).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_wrong_seed_is_refused_with_line_and_field_and_changes_nothing() {
    let app = TestApp::seeded("organizations: [{name: first}]").await;
    let issued = json!({"auth": {"identity": {"methods": ["token"], "token": {"id": TOKEN}}}});
    let issued = app.post("/v3/auth/tokens", issued).await;
    let issued = issued
        .header("x-subject-token")
        .expect("a token")
        .to_owned();
    let clock = json!({"advance": "1h"});
    assert_eq!(app.post("/_emulator/clock", clock).await.status, 200);
    for (seed, message) in [
        (
            "organizations:\n  - name: Group\n",
            "seed: line 2: organizations[0].name: must start with",
        ),
        (
            "organizations:\n  - name: g\n    colour: red\n",
            "seed: line 3: colour: is unknown here",
        ),
        ("organizations: [", "seed: line 1: "),
        (
            "accounts: [{name: a}, {name: a}]",
            "seed: accounts: the account a appears twice",
        ),
        (
            "\nregions: [{name: cn-east-3, listen: '127.0.0.1:0'}]",
            "seed: line 2: regions: must be those of the seed that the instance started with",
        ),
        (
            "clusters:\n  - name: kind\n    kubeconfig: /etc/kubeconfig\n",
            "seed: line 3: clusters[0].kubeconfig: must be omitted, or be what the seed",
        ),
        (
            "clusters:\n  - name: here\n    in_cluster: true\n",
            "seed: line 3: clusters[0].in_cluster: must be omitted",
        ),
    ] {
        let refused = post(&app.client, seed).await.refused(400, "4000014");
        assert!(refused.starts_with(message), "{refused}");
    }
    let not_utf8 = Request::post(RESET).body(Bytes::from_static(b"\xff"));
    let refused = app.client.request(not_utf8.expect("legal")).await;
    assert_eq!(refused.refused(400, "4000014"), "seed: must be UTF-8");
    let large = format!("#{}\n", "x".repeat(16 * 1024 * 1024));
    assert_eq!(post(&app.client, &large).await.status, 413);

    let known = organizations(&app.as_user(&issued)).await;
    assert_eq!(known, Ok(vec!["first".into()]));
    let clock = app.get("/_emulator/clock").await.json();
    assert_eq!(clock["ahead_seconds"], 60 * 60);
    app.post(RESET, json!({})).await.is(204, "");
    assert_eq!(organizations(&app.client).await, Ok(vec!["first".into()]));
}

#[tokio::test]
async fn users_and_tokens_of_the_world_before_are_gone() {
    let app = TestApp::seeded(
        "accounts: [{name: ours, users: [{name: ann, token: ann, password: pw, admin: true}]}]
organizations: [{name: private, account: ours}]",
    )
    .await;
    let login = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": "ann", "password": "pw", "domain": {"name": "ours"}}}}}});
    let issued = app.post("/v3/auth/tokens", login.clone()).await;
    let issued = issued
        .header("x-subject-token")
        .expect("a token")
        .to_owned();
    let ann = app.as_user("ann");
    assert_eq!(organizations(&ann).await, Ok(vec!["private".into()]));

    // The same user, who is no administrator here, with another token.
    let seed = "accounts: [{name: ours, users: [{name: ann, token: other}]}]
organizations: [{name: private, account: ours, creator: boss}]"
        .replace("[{name: ann", "[{name: boss}, {name: ann");
    post(&app.client, &seed).await.is(204, "");
    assert_eq!(organizations(&ann).await, Err(401));
    assert_eq!(organizations(&app.as_user(&issued)).await, Err(401));
    assert_eq!(app.post("/v3/auth/tokens", login).await.status, 401);
    assert_eq!(organizations(&app.as_user("other")).await, Ok(Vec::new()));

    let without = format!("builtin_account: false\n{seed}").replace("{name: boss}", BOSS);
    post(&app.client, &without).await.is(204, "");
    assert_eq!(organizations(&app.client).await, Err(401));
    let health = app.as_nobody().send("GET", "/_emulator/health", None).await;
    assert_eq!(health.json()["builtin_account"], false);
    post(&app.client, "# nothing\n")
        .await
        .refused_by_gateway(401, "APIGW.0301");
    post(&app.as_user("boss"), "# nothing\n").await.is(204, "");
    assert_eq!(organizations(&app.client).await, Ok(Vec::new()));
}

/// Somebody who may reset where there is no built-in account.
const BOSS: &str = "{name: boss, token: boss, admin: true}";

#[tokio::test]
async fn only_who_may_control_the_instance_posts_a_seed() {
    let app = TestApp::seeded("accounts: [{name: ours, users: [{name: ann, token: ann}]}]").await;
    let refused = post(&app.as_user("ann"), "# nothing\n").await;
    refused.refused(403, "4030170");
    assert_eq!(organizations(&app.as_user("ann")).await, Ok(Vec::new()));
}

#[tokio::test]
async fn where_everybody_is_the_builtin_user_no_seed_leaves_it_out() {
    let app = TestApp::with_arguments(&["--auth", "any"]).await;
    let seed = "builtin_account: false\naccounts: [{name: a, users: [{name: b, admin: true}]}]";
    let refused = post(&app.client, seed).await.refused(400, "4000014");
    assert!(
        refused.starts_with("seed: builtin_account: must not be false"),
        "{refused}"
    );
    assert_eq!(
        organizations(&app.as_user("anything")).await,
        Ok(Vec::new())
    );
}

#[tokio::test]
async fn a_real_cluster_stays_what_the_start_made_it_and_regions_stay_where_they_are() {
    let regions = "regions: [{name: cn-east-3, listen: '127.0.0.1:0'}]\n";
    let first = format!("{regions}clusters: [{{id: c1, name: kind, kubeconfig: k}}]");
    let app = TestApp::seeded(&first).await;
    let is_real = async || {
        let path = "/_emulator/clusters/c1/namespaces/default/deployments/web";
        let body = json!({"containers": [{"name": "web", "image": "nginx"}]});
        app.client.send("PUT", path, Some(body)).await.status == 400
    };
    assert!(is_real().await);
    post(&app.client, regions).await.is(204, "");
    assert!(!is_real().await, "nothing names the cluster");
    let again = format!(
        "{regions}organizations: [{{name: east, region: cn-east-3}}]
clusters: [{{id: c1, name: another-name}}]"
    );
    post(&app.client, &again).await.is(204, "");
    assert!(is_real().await, "it has the access of the start");
    let east = app.in_region("cn-east-3");
    assert_eq!(organizations(&east).await, Ok(vec!["east".into()]));
    let relative = format!("{regions}clusters: [{{id: c1, name: kind, kubeconfig: k}}]");
    post(&app.client, &relative).await.refused(400, "4000014");
    let refused = post(&app.client, "clusters: []").await;
    let refused = refused.refused(400, "4000014");
    assert!(refused.contains("regions: must be those"), "{refused}");
}

/// A user who is an administrator in one world and nobody in the other, with one token, and the same
/// names in both.
const WORLDS: [&str; 2] = [
    "accounts: [{name: ours, users: [{name: boss, admin: true}, {name: ann, token: ann, admin: true}]}]
organizations: [{name: g, account: ours, repositories: [{name: r, description: open}]}]",
    "accounts: [{name: ours, users: [{name: boss, admin: true, token: boss}, {name: ann, token: ann}]}]
organizations: [{name: g, account: ours, repositories: [{name: r, description: secret}]}]",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_is_known_in_one_world_and_served_in_another() {
    let app = TestApp::seeded(WORLDS[0]).await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_over =
        |stop: &std::sync::atomic::AtomicBool| stop.load(std::sync::atomic::Ordering::Relaxed);
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..6 {
        let ann = app.as_user("ann");
        let stop = std::sync::Arc::clone(&stop);
        callers.spawn(async move {
            let repository = "/v2/manage/namespaces/g/repos/r";
            let mut served = 0;
            for at in 0.. {
                if is_over(&stop) {
                    break;
                }
                if caller % 2 == 0 {
                    let answer = ann.send("GET", repository, None).await;
                    assert!(!answer.text().contains("secret"), "{}", answer.text());
                    served += usize::from(answer.status == 200);
                } else {
                    let body = trigger(&format!("t-{caller}-{at}"));
                    let path = format!("{repository}/triggers");
                    let answer = ann.send("POST", &path, Some(body)).await;
                    let expected = [201, 403, 404, 503];
                    assert!(
                        expected.contains(&answer.status.as_u16()),
                        "{}",
                        answer.text()
                    );
                    served += usize::from(answer.status == 201);
                }
            }
            served
        });
    }
    for at in 1..60 {
        if at % 2 == 0 {
            // What ann made in a world where she may make nothing would stand here.
            let path = "/v2/manage/namespaces/g/repos/r/triggers";
            let made = app.as_user("boss").send("GET", path, None).await;
            assert_eq!((made.status.as_u16(), made.text()), (200, "[]"));
        }
        post(&app.client, WORLDS[at % 2]).await.is(204, "");
        let answer = app
            .as_user("ann")
            .send("GET", "/v2/manage/namespaces", None)
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let served: usize = callers.join_all().await.into_iter().sum();
    assert!(served > 0);
}

/// The state as a seed file.
async fn export(client: &Client) -> String {
    let answer = client.send("GET", "/_emulator/seed", None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/yaml"));
    answer.text().to_owned()
}

const EXPORTED: &str = "accounts: [{name: partner, users: [{name: dev, token: dev, admin: true}]}]
regions: [{name: cn-east-3, listen: '127.0.0.1:0'}]
organizations: [{name: group, repositories: [{name: busybox}]}]
";

#[tokio::test]
async fn what_the_api_made_is_exported_and_posted_again() {
    let app = TestApp::seeded(EXPORTED).await;
    let repository = "/v2/manage/namespaces/group/repos/busybox";
    let user = json!({"user": {"name": "ann", "password": "abc-123", "email": "a@b"}});
    let user = app.post("/v3.0/OS-USER/users", user).await;
    assert_eq!(user.status, 201, "{}", user.text());
    let id = user.json()["user"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let calls = [
        (format!("{repository}/triggers"), trigger("on-push")),
        (
            "/v2/manage/namespaces/group/access".to_owned(),
            json!([{"user_id": id, "user_name": "ann", "auth": 3}]),
        ),
        (
            "/v2/manage/namespaces/group/repositories/busybox/access-domains".to_owned(),
            json!({"access_domain": "partner", "permit": "read", "deadline": "forever"}),
        ),
        (
            format!("{repository}/retentions"),
            json!({"algorithm": "or", "rules": [{"template": "tag_rule",
                "params": {"num": "5"}, "tag_selectors": []}]}),
        ),
        (
            format!("{repository}/sync_repo"),
            json!({"remoteRegionId": "cn-east-3", "remoteNamespace": "group", "syncAuto": true}),
        ),
        ("/v2/manage/agency".to_owned(), json!({})),
        (
            "/_emulator/push".to_owned(),
            json!({"namespace": "group", "repository": "busybox", "tag": "v1"}),
        ),
    ];
    for (path, body) in calls {
        let answer = app.post(&path, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
    }
    let workload = "/_emulator/clusters/test/namespaces/default/deployments/web";
    let address = &app.client.address;
    let body =
        json!({"containers": [{"name": "c", "image": format!("{address}/group/busybox:v1")}]});
    let put = app.client.send("PUT", workload, Some(body)).await;
    assert_eq!(put.status, 200, "{}", put.text());

    let exported = export(&app.client).await;
    for part in [
        "- name: ann\n        id: ",
        "email: \"a@b\"",
        "agency: true",
        "- access_domain: partner",
        "remoteRegionId: cn-east-3",
        "num: \"5\"",
        "- name: on-push",
        "image: \"{registry}/group/busybox:v1\"",
        "token: dev",
    ] {
        assert!(exported.contains(part), "{part}: {exported}");
    }
    assert!(!exported.contains("abc-123"), "{exported}");
    post(
        &app.client,
        "regions: [{name: cn-east-3, listen: '127.0.0.1:0'}]",
    )
    .await
    .is(204, "");
    assert_ne!(export(&app.client).await, exported);
    post(&app.client, &exported).await.is(204, "");
    assert_eq!(export(&app.client).await, exported);
    let ann = app.get(&format!("/v3.0/OS-USER/users/{id}")).await.json();
    assert_eq!(ann["user"]["email"], "a@b");
    app.post(RESET, json!({})).await.is(204, "");
    assert_eq!(export(&app.client).await, exported);
}

#[tokio::test]
async fn a_user_of_iam_that_a_seed_describes_has_no_password_until_one_is_set() {
    let app =
        TestApp::seeded("accounts: [{name: swr-emulator, iam_users: [{name: ann, id: a1}]}]").await;
    let login = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": "ann", "password": "abc-123", "domain": {"name": "swr-emulator"}}}}}});
    let refused = app.post("/v3/auth/tokens", login.clone()).await;
    assert_eq!(refused.status, 401);
    let password = json!({"user": {"password": "abc-123"}});
    let path = "/v3.0/OS-USER/users/a1";
    let answer = app.client.send("PUT", path, Some(password)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(app.post("/v3/auth/tokens", login.clone()).await.status, 201);
    app.post(RESET, json!({})).await.is(204, "");
    assert_eq!(app.post("/v3/auth/tokens", login).await.status, 401);
    assert_eq!(app.get(path).await.status, 200);
}

#[test]
fn the_program_exports_for_those_who_may_reset() {
    let seed = format!("builtin_account: false\n{EXPORTED}")
        .replace("name: group", "name: group, account: partner");
    let process = crate::support::Process::of(
        crate::support::program(&["--ephemeral", "--listen", "127.0.0.1:0"])
            .args(["--control-token", "right"])
            .env("SWR_EMULATOR_SEED_YAML", &seed),
    );
    let run = |arguments: &[&str]| {
        let own = ["seed", "export", "--url", &process.url];
        let output = crate::support::program(&[&own, arguments].concat()).output();
        let output = output.expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (code, exported, _) = run(&["--token", "dev"]);
    assert_eq!(code, Some(0));
    assert!(exported.contains("\nbuiltin_account: false\nregions:\n  - name: cn-east-3\n"));
    assert!(exported.contains("\norganizations:\n  - name: group\n    account: partner\n"));
    let (code, nothing, message) = run(&[]);
    assert_eq!((code, nothing.as_str()), (Some(1), ""));
    assert!(message.contains("answered 401 Unauthorized: "), "{message}");
    let mut variable = crate::support::program(&["seed", "export", "--url", &process.url]);
    let output = variable.env("SWR_EMULATOR_TOKEN", "dev").output();
    assert_eq!(
        String::from_utf8(output.expect("it runs").stdout),
        Ok(exported)
    );
}

#[tokio::test]
async fn who_waits_when_another_world_begins_is_told_so_and_nothing_of_it() {
    let app = TestApp::seeded(WORLDS[0]).await;
    let ann = app.as_user("ann");
    let path = "/_emulator/wait?namespace=g&repository=r&tag=v1&timeout=3s";
    let waiting = tokio::spawn(async move { ann.send("GET", path, None).await });
    let mut resets = 0;
    while !waiting.is_finished() {
        post(&app.client, WORLDS[resets % 2]).await.is(204, "");
        resets += 1;
    }
    let answer = waiting.await.expect("an answer");
    assert!(resets > 0);
    // Refused at once where it arrives in the world in which ann is nobody; 408 would tell of r there.
    assert!(
        [403, 404, 503].contains(&answer.status.as_u16()),
        "{}",
        answer.text()
    );
}
