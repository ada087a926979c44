//! Permissions: who may call what, from one table for all operations, and the operations that
//! grant rights.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, Client, TestApp};

/// The level that each operation on an organization or repository needs.
pub(crate) const RIGHTS: &[(&str, &str)] = &[
    ("CreateTrigger", "edit"),
    ("ListTriggersDetails", "read"),
    ("ShowTrigger", "read"),
    ("UpdateTrigger", "edit"),
    ("DeleteTrigger", "edit"),
    ("DeleteNamespaces", "manage"),
    ("ShowNamespace", "read"),
    ("CreateNamespaceAuth", "manage"),
    ("DeleteNamespaceAuth", "manage"),
    ("UpdateNamespaceAuth", "manage"),
    ("ShowNamespaceAuth", "read"),
    ("CreateRepo", "edit"),
    ("DeleteRepo", "manage"),
    ("UpdateRepo", "edit"),
    ("ShowRepository", "read"),
    ("ListRepositoryTags", "read"),
    ("ShowRepoTag", "read"),
    ("CreateRepoTag", "edit"),
    ("DeleteRepoTag", "manage"),
    ("ListRepositoryTag", "read"),
    ("ListRepoAccessories", "read"),
    ("ListReferences", "read"),
    ("CreateUserRepositoryAuth", "grant"),
    ("DeleteUserRepositoryAuth", "grant"),
    ("UpdateUserRepositoryAuth", "grant"),
    ("ShowUserRepositoryAuth", "read"),
    ("CreateRepoDomains", "manage"),
    ("DeleteRepoDomains", "manage"),
    ("UpdateRepoDomains", "manage"),
    ("ShowAccessDomain", "read"),
    ("ListRepoDomains", "read"),
    ("CreateImageSyncRepo", "admin"),
    ("ListImageAutoSyncReposDetails", "read"),
    ("DeleteImageSyncRepo", "admin"),
    ("CreateManualImageSyncRepo", "admin"),
    ("ShowSyncJob", "read"),
    ("CreateRetention", "manage"),
    ("ListRetentions", "read"),
    ("ShowRetention", "read"),
    ("UpdateRetention", "manage"),
    ("DeleteRetention", "manage"),
    ("ListRetentionHistories", "read"),
];

/// The operations that concern the instance as a whole.
pub(crate) const CONTROL: &[&str] = &[
    "EmulatorReset",
    "EmulatorShowSeed",
    "EmulatorSaveSnapshot",
    "EmulatorLoadSnapshot",
    "EmulatorMoveClock",
    "EmulatorCreateFault",
    "EmulatorDeleteFaults",
    "EmulatorDeleteRequests",
    "EmulatorListenToEvents",
    "EmulatorPutWorkload",
    "EmulatorDeleteWorkload",
    "EmulatorDoctor",
    "EmulatorReport",
];

/// One account with an admin and users of each level, and another account.
const USERS: &str = "
accounts:
  - name: ours
    users:
      - {name: boss, id: boss-id, token: boss, admin: true}
      - {name: none, id: none-id, token: none}
      - {name: read, id: read-id, token: read}
      - {name: edit, id: edit-id, token: edit}
      - {name: manage, id: manage-id, token: manage}
  - name: theirs
    users: [{name: eve, id: eve-id, token: eve, admin: true}]
";

fn grants() -> Value {
    json!([
        {"user_id": "read-id", "user_name": "read", "auth": 1},
        {"user_id": "edit-id", "user_name": "edit", "auth": 3},
        {"user_id": "manage-id", "user_name": "manage", "auth": 7},
    ])
}

/// A tag that could be a signature's.
const SIGNATURE: &str =
    "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.sig";

/// Whether somebody with `level` may do what needs `right`; `of_repository` says that the level
/// was granted in the repository, not in its organization.
fn may(level: &str, right: &str, of_repository: bool) -> bool {
    let rank = |level: &str| {
        ["none", "read", "edit", "manage", "boss"]
            .iter()
            .position(|known| *known == level)
    };
    let needed = match right {
        // Who edits in the organization may grant rights for its images.
        "grant" if of_repository => "manage",
        "grant" => "edit",
        "admin" => "boss",
        right => right,
    };
    rank(level) >= rank(needed)
}

#[tokio::test]
async fn every_operation_asks_for_the_right_that_the_table_says() {
    let app = TestApp::seeded(USERS).await;
    let boss = app.as_user("boss");
    let routes = swr_emulator::internal::routes();
    let of_paths = routes
        .operations()
        .iter()
        .filter(|operation| operation.path.contains("{namespace}"));
    let mut checked = 0;
    for (at, operation) in of_paths
        .filter(|operation| operation.path.starts_with("/v"))
        .enumerate()
    {
        let right = RIGHTS.iter().find(|(name, _)| *name == operation.name);
        let right = right
            .unwrap_or_else(|| panic!("{} is in the table", operation.name))
            .1;
        checked += 1;
        for of_repository in [false, true] {
            if of_repository && !operation.path.contains("{repository}") {
                continue;
            }
            for level in ["none", "read", "edit", "manage", "boss"] {
                let namespace = format!("n{at}-{level}-{of_repository}");
                let status = call(
                    &boss,
                    &app.as_user(level),
                    operation,
                    &namespace,
                    of_repository,
                )
                .await;
                assert_eq!(
                    status != StatusCode::FORBIDDEN,
                    may(level, right, of_repository),
                    "{} as {level}, granted in the repository: {of_repository}: {status}",
                    operation.name
                );
            }
            let namespace = format!("n{at}-eve-{of_repository}");
            let status = call(
                &boss,
                &app.as_user("eve"),
                operation,
                &namespace,
                of_repository,
            )
            .await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{}", operation.name);
        }
    }
    assert_eq!(
        checked,
        RIGHTS.len(),
        "the table names operations that are not served"
    );
}

/// Calls an operation in an organization and a repository made for the purpose.
async fn call(
    boss: &Client,
    caller: &Client,
    operation: &swr_emulator::internal::Operation,
    namespace: &str,
    of_repository: bool,
) -> StatusCode {
    let base = format!("/v2/manage/namespaces/{namespace}");
    let made = async |path: &str, body: Value| {
        let answer = boss.send("POST", path, Some(body)).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
    };
    made("/v2/manage/namespaces", json!({"namespace": namespace})).await;
    made(
        &format!("{base}/repos"),
        json!({"repository": "r", "is_public": false}),
    )
    .await;
    let place = if of_repository {
        format!("{base}/repos/r/access")
    } else {
        format!("{base}/access")
    };
    made(&place, grants()).await;
    let mut path = operation.path.replace("{namespace}", namespace);
    for (variable, value) in [
        ("{repository}", "r"),
        ("{trigger}", "t"),
        ("{tag}", SIGNATURE),
        ("{access_domain}", "theirs"),
        ("{retention_id}", "1"),
    ] {
        path = path.replace(variable, value);
    }
    let body = (operation.method != http::Method::GET).then(|| json!({}));
    caller
        .send(operation.method.as_str(), &path, body)
        .await
        .status
}

#[tokio::test]
async fn the_instance_is_controlled_by_admins_and_with_the_control_token() {
    let without = format!("builtin_account: false{USERS}");
    let statuses = async |seed: &str, token: Option<&str>, control: Option<&str>| {
        let arguments = ["--control-token", "right-token"];
        let app = TestApp::seeded_with(seed, &arguments).await;
        let client = token.map_or_else(|| app.as_nobody(), |token| app.as_user(token));
        let routes = swr_emulator::internal::routes();
        let own = routes.operations().iter();
        let own = own.filter(|operation| CONTROL.contains(&operation.name));
        let mut statuses = Vec::new();
        for operation in own {
            let path = operation
                .path
                .replace("{cluster}", "c")
                .replace("{namespace}", "default")
                .replace("{kind}", "deployments")
                .replace("{name}", "web");
            let mut request = http::Request::builder()
                .method(operation.method.clone())
                .uri(path)
                .header("Content-Type", "application/json")
                // Who may listen is refused for it, in place of a stream without an end.
                .header("Last-Event-ID", "none");
            if let Some(control) = control {
                request = request.header("X-Emulator-Control-Token", control);
            }
            let request = request.body("{}".into()).expect("a legal request");
            let answer = client.request(request).await;
            if answer.status == 403 {
                answer.refused(403, "4030170");
                statuses.push(403);
            } else {
                statuses.push(answer.status.as_u16());
            }
        }
        assert_eq!(statuses.len(), CONTROL.len());
        statuses
    };
    let all = |status: u16| vec![status; CONTROL.len()];
    for (seed, token, control, is_let_in) in [
        (USERS, crate::support::TOKEN, None, true),
        (USERS, "boss", None, false),
        (USERS, "manage", None, false),
        (USERS, "manage", Some("right-token"), true),
        (USERS, "manage", Some("right-tokens"), false),
        (&without, "boss", None, true),
        (&without, "eve", None, true),
        (&without, "manage", None, false),
    ] {
        let found = statuses(seed, Some(token), control).await;
        if is_let_in {
            let refused = found.iter().filter(|status| [401, 403].contains(status));
            assert_eq!(refused.count(), 0, "{token} {control:?}: {found:?}");
        } else {
            assert_eq!(found, all(403), "{token} {control:?}");
        }
    }
    assert_eq!(statuses(USERS, None, Some("right-token")).await, all(401));
}

#[tokio::test]
async fn without_a_control_token_none_is_right() {
    let app = TestApp::seeded(USERS).await;
    for sent in ["", "right-token"] {
        let request = http::Request::post("/_emulator/reset")
            .header("X-Emulator-Control-Token", sent)
            .body("".into())
            .expect("a legal request");
        let answer = app.as_user("manage").request(request).await;
        answer.refused(403, "4030170");
    }
}

#[test]
fn help_does_not_show_the_control_token() {
    let mut help = crate::support::program(&["--help"]);
    let help = help.env("SWR_EMULATOR_CONTROL_TOKEN", "hidden").output();
    let help = String::from_utf8(help.expect("it runs").stdout).expect("UTF-8");
    assert!(help.contains("SWR_EMULATOR_CONTROL_TOKEN") && !help.contains("hidden"));
}

#[tokio::test]
async fn the_other_operations_of_the_emulator_are_for_every_caller() {
    let app = TestApp::seeded(USERS).await;
    let routes = swr_emulator::internal::routes();
    let own = routes.operations().iter();
    let open = own.filter(|operation| {
        operation.path.starts_with("/_emulator/") && !CONTROL.contains(&operation.name)
    });
    for operation in open {
        let path = operation
            .path
            .replace("{cluster}", "c")
            .replace("{namespace}", "default")
            .replace("{kind}", "deployments")
            .replace("{name}", "web");
        let body = (operation.method != http::Method::GET).then(|| json!({}));
        let method = operation.method.as_str();
        let status = app.as_user("none").send(method, &path, body).await.status;
        assert_ne!(status, 403, "{}", operation.name);
    }
}

#[tokio::test]
async fn a_refusal_has_the_encoded_message() {
    let app = TestApp::seeded(&format!(
        "{USERS}organizations: [{{name: g, account: ours}}]"
    ))
    .await;
    let refused = app
        .as_user("none")
        .send("GET", "/v2/manage/namespaces/g", None)
        .await;
    assert_eq!(refused.status, 403);
    let body = refused.json();
    assert_eq!(body["error_code"], "SVCSTG.SWR.4030170");
    assert_eq!(body["error_msg"], "Insufficient permissions");
    let message = body["encoded_authorization_message"]
        .as_str()
        .expect("text");
    assert!(!message.is_empty());
    assert_eq!(body["errors"][0]["encoded_authorization_message"], message);
}

const ACCESS: &str = "/v2/manage/namespaces/g/access";
const IMAGE_ACCESS: &str = "/v2/manage/namespaces/g/repos/r/access";

async fn granted() -> (TestApp, Client) {
    let seed =
        "organizations: [{name: g, account: ours, repositories: [{name: r}, {name: other}]}]";
    let app = TestApp::seeded(&format!("{USERS}{seed}")).await;
    let boss = app.as_user("boss");
    (app, boss)
}

fn right(user: &str, auth: u8) -> Value {
    json!({"user_id": format!("{user}-id"), "user_name": user, "auth": auth})
}

#[tokio::test]
async fn rights_are_granted_shown_changed_and_taken_away() {
    for (path, created) in [(ACCESS, 200), (IMAGE_ACCESS, 201)] {
        let (_app, boss) = granted().await;
        boss.send(
            "POST",
            path,
            Some(json!([right("edit", 3), right("read", 1)])),
        )
        .await
        .is(created, "{}");
        let shown = boss.send("GET", path, None).await.json();
        assert_eq!(shown["self_auth"], right("boss", 7));
        assert_eq!(
            shown["others_auths"],
            json!([right("edit", 3), right("read", 1)])
        );
        boss.send("PATCH", path, Some(json!([right("edit", 7)])))
            .await
            .is(201, "{}");
        boss.send("DELETE", path, Some(json!(["read-id"])))
            .await
            .is(204, "");
        let shown = boss.send("GET", path, None).await.json();
        assert_eq!(shown["others_auths"], json!([right("edit", 7)]));
    }
}

#[tokio::test]
async fn a_right_is_for_the_whole_id_and_not_for_its_beginning() {
    let (app, boss) = granted().await;
    let none = app.as_user("none");
    for (path, created) in [(ACCESS, 200), (IMAGE_ACCESS, 201)] {
        let longer = json!([{"user_id": "none-id\u{0}", "user_name": "x", "auth": 7}]);
        boss.send("POST", path, Some(longer))
            .await
            .is(created, "{}");
        none.send("GET", path, None).await.refused(403, "4030170");
    }
}

#[tokio::test]
async fn a_request_grants_all_or_nothing() {
    for (path, exists, missing) in [
        (ACCESS, "4090076", "4040078"),
        (IMAGE_ACCESS, "4090089", "4040091"),
    ] {
        let (_app, boss) = granted().await;
        let send = async |method: &str, body: Value| boss.send(method, path, Some(body)).await;
        send("POST", json!([right("read", 1)])).await;
        send("POST", json!([right("edit", 3), right("read", 3)]))
            .await
            .refused(409, exists);
        send("PATCH", json!([right("read", 3), right("edit", 3)]))
            .await
            .refused(404, missing);
        send("DELETE", json!(["read-id", "edit-id"]))
            .await
            .refused(404, missing);
        let shown = boss.send("GET", path, None).await.json();
        assert_eq!(shown["others_auths"], json!([right("read", 1)]));
    }
}

#[tokio::test]
async fn a_faulty_grant_is_refused_with_its_own_code() {
    let (_app, boss) = granted().await;
    let check = async |path: &str, body: Value, code: &str, rule: &str| {
        let message = boss.send("POST", path, Some(body)).await.refused(400, code);
        assert_eq!(message, rule);
    };
    for (path, auth) in [(ACCESS, "4001065"), (IMAGE_ACCESS, "4001066")] {
        check(path, json!({}), "4000014", "body: must be a JSON array").await;
        let rule = "body: must name 1 to 500 users";
        check(path, json!([]), "4000014", rule).await;
        let many: Vec<_> = (0..501).map(|at| right(&at.to_string(), 1)).collect();
        check(path, json!(many), "4000014", rule).await;
        let changed = boss.send("PATCH", path, Some(json!([]))).await;
        assert_eq!(changed.refused(400, "4000014"), rule);
        check(
            path,
            json!(["x"]),
            "4000014",
            "body: must contain only objects",
        )
        .await;
        let user = json!({"user_name": "read", "auth": 1});
        check(path, json!([user]), "4000014", "user_id: is mandatory").await;
        let rule = "auth: must be 7 (manage), 3 (edit) or 1 (read)";
        check(path, json!([right("read", 2)]), auth, rule).await;
        let rule = "user_id: must not appear twice";
        check(
            path,
            json!([right("read", 1), right("read", 3)]),
            "4000014",
            rule,
        )
        .await;
        let user = json!({"user_id": "read-id", "user_name": "edit", "auth": 1});
        let rule = "user_name: must be the name of the user with this user_id";
        check(path, json!([user]), "4001067", rule).await;
        let rule = "user_name: must belong to a user of this account";
        check(path, json!([right("eve", 1)]), "4001067", rule).await;
    }
    let rule = "user_name: must not be the caller";
    check(IMAGE_ACCESS, json!([right("boss", 1)]), "4001067", rule).await;
    // IAM knows users of whom the seed file says nothing.
    let unknown = json!([{"user_id": "0123", "user_name": "somebody", "auth": 1}]);
    boss.send("POST", ACCESS, Some(unknown)).await.is(200, "{}");
}

#[tokio::test]
async fn rights_are_taken_away_from_no_user_up_to_500_by_those_who_may() {
    let (app, boss) = granted().await;
    for path in [ACCESS, IMAGE_ACCESS] {
        let nobody = async |client: &Client| client.send("DELETE", path, Some(json!([]))).await;
        nobody(&boss).await.is(204, "");
        nobody(&app.as_user("read")).await.refused(403, "4030170");
        assert_eq!(nobody(&app.as_user("eve")).await.status, 404);
        let many: Vec<_> = (0..501).map(|at| at.to_string()).collect();
        let refused = boss.send("DELETE", path, Some(json!(many))).await;
        let message = refused.refused(400, "4000014");
        assert_eq!(message, "body: must name 0 to 500 users");
    }
}

#[tokio::test]
async fn lists_show_only_what_the_caller_may_see() {
    let (app, boss) = granted().await;
    boss.send(
        "POST",
        "/v2/manage/namespaces",
        Some(json!({"namespace": "h"})),
    )
    .await
    .is(201, "{}");
    boss.send("POST", ACCESS, Some(json!([right("read", 1)])))
        .await
        .is(200, "{}");
    boss.send("POST", IMAGE_ACCESS, Some(json!([right("edit", 3)])))
        .await
        .is(201, "{}");
    let namespaces = async |user: &str, query: &str| {
        let path = format!("/v2/manage/namespaces{query}");
        let listed = app.as_user(user).send("GET", &path, None).await.json();
        let listed = listed["namespaces"].as_array().expect("an array").iter();
        listed
            .map(|entry| (entry["name"].clone(), entry["auth"].clone()))
            .collect::<Vec<_>>()
    };
    let visible = "?filter=mode::visible";
    assert_eq!(
        namespaces("boss", "").await,
        [(json!("g"), json!(7)), (json!("h"), json!(7))]
    );
    assert_eq!(namespaces("read", "").await, [(json!("g"), json!(1))]);
    assert_eq!(namespaces("edit", "").await, []);
    assert_eq!(namespaces("edit", visible).await, [(json!("g"), json!(1))]);
    assert_eq!(namespaces("none", visible).await, []);
    let repositories = async |user: &str| {
        let v2 = app
            .as_user(user)
            .send("GET", "/v2/manage/repos", None)
            .await;
        assert_eq!(
            v2.header("content-range")
                .map(|range| range.ends_with("/0")),
            Some(v2.text() == "[]")
        );
        let v3 = app
            .as_user(user)
            .send("GET", "/v3/manage/repos", None)
            .await
            .json();
        let names = |listed: &Value| -> Vec<Value> {
            listed
                .as_array()
                .expect("an array")
                .iter()
                .map(|entry| entry["name"].clone())
                .collect()
        };
        assert_eq!(names(&v2.json()), names(&v3["repos"]));
        names(&v2.json())
    };
    assert_eq!(repositories("boss").await, ["r", "other"]);
    assert_eq!(repositories("read").await, ["r", "other"]);
    assert_eq!(repositories("edit").await, ["r"]);
    assert!(repositories("none").await.is_empty());
}

#[tokio::test]
async fn who_makes_an_organization_manages_it() {
    let (app, _) = granted().await;
    let user = app.as_user("none");
    let made = user.send(
        "POST",
        "/v2/manage/namespaces",
        Some(json!({"namespace": "mine"})),
    );
    made.await.is(201, "{}");
    let shown: Answer = user.send("GET", "/v2/manage/namespaces/mine", None).await;
    assert_eq!(shown.json()["auth"], 7);
    user.send("DELETE", "/v2/manage/namespaces/mine", None)
        .await
        .is(204, "");
}

#[tokio::test]
async fn the_seed_file_grants_rights_and_names_what_is_wrong_with_one() {
    let seed = "
organizations:
  - name: g
    account: ours
    permissions: [{user: edit, auth: 3}]
    repositories:
      - {name: r, permissions: [{user: read, auth: 1}]}
";
    let app = TestApp::seeded(&format!("{USERS}{seed}")).await;
    let status =
        async |user: &str, path: &str| app.as_user(user).send("GET", path, None).await.status;
    assert_eq!(status("edit", "/v2/manage/namespaces/g").await, 200);
    assert_eq!(status("read", "/v2/manage/namespaces/g").await, 403);
    assert_eq!(status("read", "/v2/manage/namespaces/g/repos/r").await, 200);
    assert_eq!(status("none", "/v2/manage/namespaces/g/repos/r").await, 403);
}

#[tokio::test]
async fn pushing_and_pulling_follow_the_same_rights() {
    let (app, boss) = granted().await;
    boss.send("POST", ACCESS, Some(grants()))
        .await
        .is(200, "{}");
    let push = async |user: &str| {
        let body = json!({"namespace": "g", "repository": "r", "tag": "v1"});
        app.as_user(user)
            .send("POST", "/_emulator/push", Some(body))
            .await
            .status
    };
    assert_eq!(push("none").await, 403);
    assert_eq!(push("read").await, 403);
    assert_eq!(push("edit").await, 201);
    assert_eq!(push("manage").await, 201);
    assert_eq!(push("eve").await, 404);
}
