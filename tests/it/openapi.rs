//! The document of the API: that it tells of every operation, and tells the truth.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use swr_emulator::internal::routes;

use crate::readme::documented_operations;
use crate::support::{Answer, TOKEN, TRIGGERS, TestApp, trigger};

const DOCUMENT: &str = "/_emulator/openapi.json";
const REPO: &str = "/v2/manage/namespaces/group/repos/busybox";

#[tokio::test]
async fn the_document_the_router_and_the_readme_have_the_same_operations() {
    let document = document(&TestApp::start().await).await;
    let described: BTreeSet<_> = operations(&document)
        .map(|(path, method, operation)| {
            let name = operation["operationId"].as_str().expect("an id");
            format!("{name} {} {path}", method.to_uppercase())
        })
        .collect();
    let routed: BTreeSet<_> = routes()
        .operations()
        .iter()
        .map(|operation| format!("{} {} {}", operation.name, operation.method, operation.path))
        .collect();

    assert_eq!(described, routed);
    assert_eq!(described, documented_operations());
}

/// Clients are generated from the document, so each of its changes is to be seen and approved.
#[tokio::test]
async fn the_document_is_the_one_on_record() {
    let mut document = document(&TestApp::start().await).await;
    document["info"]["version"] = json!("[version]");
    let mut lines = Vec::new();
    // One line for each parameter, each response and each schema of an operation or component.
    record_lines(&document, "", 5, &mut lines);
    insta::assert_snapshot!("document", lines.join("\n"));
}

/// Writes down a value, one line for each of its parts at a depth, each with its place before it.
fn record_lines(value: &Value, place: &str, depth: usize, lines: &mut Vec<String>) {
    let parts: Vec<(String, &Value)> = match value {
        Value::Object(fields) if depth > 0 => {
            fields.iter().map(|(name, v)| (name.clone(), v)).collect()
        }
        Value::Array(items) if depth > 0 => {
            let items = items.iter().enumerate();
            items.map(|(index, v)| (index.to_string(), v)).collect()
        }
        _ => Vec::new(),
    };
    if parts.is_empty() {
        lines.push(format!("{place} {value}"));
    }
    for (name, part) in parts {
        record_lines(part, &format!("{place}/{name}"), depth - 1, lines);
    }
}

#[tokio::test]
async fn document_and_page_need_no_credentials_and_no_other_host() {
    let app = TestApp::start().await;
    let nobody = app.as_nobody();

    let document = nobody.send("GET", DOCUMENT, None).await;
    assert_eq!(document.status, 200);
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert_eq!(document.json()["openapi"], "3.1.1");
    assert_eq!(document.json()["servers"][0]["url"], "/");

    let page = nobody.send("GET", "/_emulator/docs", None).await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.text().contains(&format!("data-builtin=\"{TOKEN}\"")));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; connect-src 'self'; script-src 'sha256-"));
    for outside in ["http:", "https:", "src=", "url(", "@import", "//cdn"] {
        assert!(!page.text().contains(outside), "{outside}");
    }
}

#[tokio::test]
async fn the_list_of_the_emulators_operations_is_the_documents() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let described: BTreeSet<_> = operations(&document)
        .filter(|(path, ..)| path.starts_with("/_emulator/"))
        .map(|(path, method, operation)| {
            let entry = json!({
                "operation": operation["operationId"],
                "method": method.to_uppercase(),
                "path": path,
                "summary": operation["summary"],
            });
            entry.to_string()
        })
        .collect();

    let answer = app.as_nobody().send("GET", "/_emulator/", None).await;

    fits(&document, "EmulatorListOperations", &answer);
    let list = answer.json();
    let listed: BTreeSet<_> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(Value::to_string)
        .collect();
    assert_eq!(listed, described);
    assert!(listed.len() > 10, "{list}");
}

#[tokio::test]
async fn every_operation_is_described_in_full() {
    let document = document(&TestApp::start().await).await;
    let mut names = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let at = format!("{method} {path}");
        let name = operation["operationId"].as_str().expect("an id");
        assert!(names.insert(name.to_owned()), "{name} comes twice");
        for member in ["summary", "tags"] {
            let text = match &operation[member] {
                Value::Array(texts) => &texts[0],
                text => text,
            };
            assert_ne!(text, "", "{at} has no {member}");
        }
        let variables: Vec<_> = path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        let parameters = operation["parameters"].as_array().expect("parameters");
        let described: Vec<_> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().expect("a name"))
            .collect();
        assert_eq!(described, variables, "{at}");
        for parameter in parameters {
            assert_ne!(parameter["description"], "", "{at} {}", parameter["name"]);
            assert!(parameter["schema"]["type"].is_string(), "{at}");
        }
        let with_body = [
            "DeleteNamespaceAuth",
            "DeleteUserRepositoryAuth",
            "DeleteImageSyncRepo",
        ];
        let takes_body = ["post", "put", "patch"].contains(&method) || with_body.contains(&name);
        let bodiless = ["CreateAgency", "CreateSecret", "CreateAuthorizationToken"];
        assert_eq!(
            operation.get("requestBody").is_some(),
            takes_body && !bodiless.contains(&name),
            "{at}"
        );
        let statuses: Vec<_> = responses(operation).keys().cloned().collect();
        assert!(
            statuses.iter().any(|status| status.starts_with('2')),
            "{at}"
        );
        for status in ["400", "413", "500"] {
            assert!(
                statuses.iter().any(|known| known == status),
                "{at} {status}"
            );
        }
        let is_open = operation["security"]
            .as_array()
            .is_some_and(|ways| ways.is_empty() || ways.contains(&json!({})));
        assert!(is_open || statuses.contains(&"401".to_owned()), "{at}");
        for (status, response) in responses(operation) {
            let text = response["description"].as_str().expect("a description");
            assert!(!text.is_empty(), "{at} {status}");
            let is_empty = ["204", "303"].contains(&status.as_str());
            assert_eq!(response.get("content").is_none(), is_empty, "{at}");
        }
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_every_schema_is_one() {
    let document = document(&TestApp::start().await).await;
    check_references(&document, &document);
    let schemas = document["components"]["schemas"].as_object();
    for (name, schema) in schemas.expect("schemas") {
        assert!(
            !name.ends_with(|letter: char| letter.is_ascii_digit()),
            "{name}: two types have this name; one needs #[schemars(rename = \"…\")]"
        );
        jsonschema::draft202012::meta::validate(schema)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (path, method, operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().expect("parameters");
        let mut schemas: Vec<_> = parameters.iter().map(|param| &param["schema"]).collect();
        let described = responses(operation);
        for described in operation
            .get("requestBody")
            .into_iter()
            .chain(described.values())
        {
            let contents = described["content"].as_object();
            let contents = contents.into_iter().flatten();
            schemas.extend(contents.map(|(_, body)| &body["schema"]));
        }
        for schema in schemas {
            jsonschema::draft202012::meta::validate(schema)
                .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        }
    }
}

#[tokio::test]
async fn answers_on_sync_the_account_and_the_emulator_look_as_the_document_says() {
    const SYNC: &str = "/v2/manage/namespaces/group/repos/busybox/sync_repo";
    const IMAGES: &str = "/v2/manage/namespaces/group/repos/busybox/sync_images";
    const JOBS: &str = "/v2/manage/namespaces/group/repos/busybox/sync_job";
    const PROJECT: &str = "/v2/manage/projects/1";
    const CLOCK: &str = "/_emulator/clock";
    const FAULTS: &str = "/_emulator/faults";
    const REQUESTS: &str = "/_emulator/requests";
    let app = TestApp::with_repository().await;
    let document = document(&app).await;
    let target = json!({"remoteRegionId": "nowhere", "remoteNamespace": "group"});
    let images = json!({"remoteRegionId": "nowhere", "remoteNamespace": "group",
        "imageTag": ["v1"]});
    let fault = json!({"operation": "ShowTrigger", "status": 503, "probability": 0.5});
    let calls = [
        (
            "POST",
            SYNC,
            "CreateImageSyncRepo",
            Some(target.clone()),
            500,
        ),
        ("GET", SYNC, "ListImageAutoSyncReposDetails", None, 200),
        ("DELETE", SYNC, "DeleteImageSyncRepo", Some(target), 400),
        (
            "POST",
            IMAGES,
            "CreateManualImageSyncRepo",
            Some(images),
            500,
        ),
        ("GET", JOBS, "ShowSyncJob", None, 400),
        (
            "GET",
            &format!("{JOBS}?filter=limit::0"),
            "ShowSyncJob",
            None,
            400,
        ),
        (
            "GET",
            &format!("{JOBS}?filter=order::x"),
            "ShowSyncJob",
            None,
            400,
        ),
        (
            "GET",
            &format!("{JOBS}?filter=limit::9|order::asc"),
            "ShowSyncJob",
            None,
            200,
        ),
        ("GET", "/v2/manage/regions", "ListSyncRegions", None, 200),
        ("GET", &format!("{PROJECT}/quotas"), "ListQuotas", None, 200),
        (
            "GET",
            &format!("{PROJECT}/feature-gates"),
            "ShowShareFeatureGates",
            None,
            200,
        ),
        (
            "GET",
            "/v2/manage/overview",
            "ShowDomainOverview",
            None,
            200,
        ),
        (
            "GET",
            "/v2/manage/reports/store/daily",
            "ShowDomainResourceReports",
            None,
            200,
        ),
        (
            "GET",
            "/v2/manage/reports/x/daily",
            "ShowDomainResourceReports",
            None,
            400,
        ),
        ("GET", "/v2/manage/agency", "CheckAgency", None, 200),
        ("POST", "/v2/manage/agency", "CreateAgency", None, 204),
        ("POST", "/v2/manage/agency", "CreateAgency", None, 409),
        ("GET", CLOCK, "EmulatorShowClock", None, 200),
        (
            "POST",
            CLOCK,
            "EmulatorMoveClock",
            Some(json!({"advance": "1d"})),
            200,
        ),
        ("POST", CLOCK, "EmulatorMoveClock", Some(json!({})), 400),
        ("POST", FAULTS, "EmulatorCreateFault", Some(fault), 201),
        ("POST", FAULTS, "EmulatorCreateFault", Some(json!({})), 400),
        ("GET", FAULTS, "EmulatorListFaults", None, 200),
        ("GET", REQUESTS, "EmulatorListRequests", None, 200),
        (
            "GET",
            &format!("{REQUESTS}?status=9"),
            "EmulatorListRequests",
            None,
            400,
        ),
        (
            "GET",
            &format!("{REQUESTS}?namespace=-"),
            "EmulatorListRequests",
            None,
            400,
        ),
    ];
    for (method, path, operation, body, status) in calls {
        let answer = app.client.send(method, path, body).await;
        assert_eq!(answer.status, status, "{operation}: {}", answer.text());
        if status != 204 {
            fits(&document, operation, &answer);
        }
    }
}

#[tokio::test]
async fn answers_look_as_the_document_says() {
    let app = TestApp::with_repository().await;
    let document = document(&app).await;
    let check = async |method: &str, path: &str, operation: &str, body: Option<Value>| {
        let answer = app.client.send(method, path, body).await;
        fits(&document, operation, &answer);
        answer.status.as_u16()
    };
    let push = json!({"namespace": "group", "repository": "busybox", "tag": "v1"});
    let tags = format!("{REPO}/tags");
    let tag = format!("{tags}/v1");
    let one = format!("{TRIGGERS}/t");
    let off = json!({"enable": "false"});
    let none = "/v2/manage/namespaces/none";
    let calls = [
        ("POST", TRIGGERS, "CreateTrigger", Some(trigger("t")), 201),
        ("POST", TRIGGERS, "CreateTrigger", Some(trigger("t")), 400),
        ("POST", "/_emulator/push", "EmulatorPush", Some(push), 201),
        ("GET", "/_emulator/idle", "EmulatorIdle", None, 200),
        ("GET", TRIGGERS, "ListTriggersDetails", None, 200),
        ("GET", &one, "ShowTrigger", None, 200),
        ("PATCH", &one, "UpdateTrigger", Some(off), 201),
        ("GET", &tags, "ListRepositoryTags", None, 200),
        ("GET", &tag, "ShowRepoTag", None, 200),
        (
            "GET",
            "/v3/manage/namespaces/group/repos/busybox/tags",
            "ListRepositoryTag",
            None,
            200,
        ),
        ("GET", REPO, "ShowRepository", None, 200),
        ("GET", "/v2/manage/repos", "ListReposDetails", None, 200),
        ("GET", "/v3/manage/repos", "ListRepoDetails", None, 200),
        ("GET", "/v2/manage/namespaces", "ListNamespaces", None, 200),
        (
            "GET",
            "/v2/manage/namespaces/group",
            "ShowNamespace",
            None,
            200,
        ),
        ("GET", none, "ShowNamespace", None, 404),
        (
            "DELETE",
            "/v2/manage/namespaces/group",
            "DeleteNamespaces",
            None,
            406,
        ),
        ("POST", "/v2/manage/utils/secret", "CreateSecret", None, 200),
        ("GET", "/v3/projects", "KeystoneListProjects", None, 200),
        ("GET", "/v3.0/OS-USER/users/none", "ShowUser", None, 404),
        (
            "POST",
            "/v3/auth/tokens",
            "KeystoneCreateUserTokenByPassword",
            Some(json!({})),
            400,
        ),
        (
            "GET",
            "/swr/auth/v2/registry/auth/",
            "RegistryToken",
            None,
            200,
        ),
        (
            "GET",
            "/swr/auth/v2/registry/auth/?scope=repository:none/a:pull",
            "RegistryToken",
            None,
            403,
        ),
        ("GET", "/", "ListApiVersions", None, 200),
        ("GET", "/v9", "ShowApiVersion", None, 404),
        ("GET", DOCUMENT, "EmulatorOpenApi", None, 200),
    ];
    for (method, path, operation, body, status) in calls {
        assert_eq!(
            check(method, path, operation, body).await,
            status,
            "{operation}"
        );
    }
    let refused = app.as_nobody().send("GET", none, None).await;
    fits(&document, "ShowNamespace", &refused);
}

#[tokio::test]
async fn every_answer_to_a_wait_looks_as_the_document_says() {
    let app = TestApp::seeded(
        "
organizations: [{name: group, repositories: [{name: busybox}]}]
clusters:
  - name: test
    namespaces:
      - {name: default, deployments: [{name: slow, containers: [{name: a, image: b}]}]}
",
    )
    .await;
    let document = document(&app).await;
    let slow = "/_emulator/clusters/test/namespaces/default/deployments/slow";
    let body = json!({"containers": [{"name": "a", "image": "b"}], "delay_ms": 600_000});
    app.client.send("PUT", slow, Some(body)).await;
    let add = async |name: &str, application: &str| {
        let mut body = trigger(name);
        body["application"] = json!(application);
        body["cluster_id"] = json!("test");
        app.post(TRIGGERS, body).await.is(201, "{}");
    };
    let push = async |tag: &str| {
        let push = json!({"namespace": "group", "repository": "busybox", "tag": tag});
        assert_eq!(app.post("/_emulator/push", push).await.status, 201);
    };
    add("ends", "none").await;
    push("v1").await;
    add("waits", "slow").await;
    push("v2").await;
    let wait = "/_emulator/wait?namespace=group&repository=busybox";
    for (query, status) in [
        ("tag=v1&trigger=ends", 200),
        ("tag=v1", 200),
        ("tag=v1&trigger=waits", 409),
        ("tag=v1&trigger=none", 404),
        ("tag=v2&trigger=waits&timeout=1ms", 408),
        ("tag=v2&timeout=1ms", 408),
        ("tag=v3&timeout=1ms", 408),
        ("tag=v1&after=x", 400),
    ] {
        let answer = app.get(&format!("{wait}&{query}")).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        fits(&document, "EmulatorWait", &answer);
    }
}

#[tokio::test]
async fn a_variable_of_a_path_that_is_not_utf_8_is_refused_in_the_form_of_the_operation() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    for (path, operation) in [
        ("/%FF", "ShowApiVersion"),
        ("/v3.0/OS-USER/users/%FF", "ShowUser"),
        ("/api/v3/projects/%FF/clusters/x", "ShowCluster"),
        ("/v2/manage/namespaces/%FF", "ShowNamespace"),
        (
            "/_emulator/clusters/%FF/namespaces/default/deployments/web",
            "EmulatorShowWorkload",
        ),
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        fits(&document, operation, &answer);
    }
}

#[tokio::test]
async fn answers_on_rights_shares_retentions_and_accessories_look_as_the_document_says() {
    let app = TestApp::seeded(
        "
accounts: [{name: partner, users: [{name: dev, token: partner-dev}]}]
organizations: [{name: group, repositories: [{name: busybox}, {name: open, is_public: true}]}]
",
    )
    .await;
    let document = document(&app).await;
    let push = async |tag: &str| {
        let push = json!({"namespace": "group", "repository": "busybox", "tag": tag});
        let answer = app.client.send("POST", "/_emulator/push", Some(push)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["digest"]
            .as_str()
            .expect("a digest")
            .replace(':', "-")
    };
    let signature = format!("{}.sig", push("tags").await);
    for tag in ["triggers", "retentions", "v1", &signature] {
        push(tag).await;
    }
    let grant = |auth: u8| Some(json!([{"user_id": "1", "user_name": "ann", "auth": auth}]));
    let nobody = || Some(json!(["1"]));
    let terms = |account: &str| {
        Some(json!({"access_domain": account, "permit": "read", "deadline": "forever"}))
    };
    let policy = |template: &str, param: &str| {
        let rule = json!({
            "template": template, "params": {param: "1"},
            "tag_selectors": [{"kind": "regexp", "pattern": "^v.*"}],
        });
        Some(json!({"algorithm": "or", "rules": [rule]}))
    };
    let newest = || policy("tag_rule", "num");
    let shares = "/v2/manage/namespaces/group/repositories/busybox/access-domains";
    let open_shares = "/v2/manage/namespaces/group/repositories/open/access-domains";
    let share = &format!("{shares}/partner");
    let in_group = "/v2/manage/namespaces/group/access";
    let for_image = &format!("{REPO}/access");
    let retentions = &format!("{REPO}/retentions");
    let retention = &format!("{retentions}/1");
    let no_retention = &format!("{retentions}/2");
    let histories = &format!("{retentions}/histories");
    let calls = [
        ("PATCH", in_group, "UpdateNamespaceAuth", grant(3), 404),
        ("POST", in_group, "CreateNamespaceAuth", grant(2), 400),
        ("POST", in_group, "CreateNamespaceAuth", grant(7), 200),
        ("POST", in_group, "CreateNamespaceAuth", grant(7), 409),
        ("PATCH", in_group, "UpdateNamespaceAuth", grant(3), 201),
        ("GET", in_group, "ShowNamespaceAuth", None, 200),
        ("DELETE", in_group, "DeleteNamespaceAuth", nobody(), 204),
        ("DELETE", in_group, "DeleteNamespaceAuth", nobody(), 404),
        (
            "PATCH",
            for_image,
            "UpdateUserRepositoryAuth",
            grant(3),
            404,
        ),
        ("POST", for_image, "CreateUserRepositoryAuth", grant(2), 400),
        ("POST", for_image, "CreateUserRepositoryAuth", grant(7), 201),
        ("POST", for_image, "CreateUserRepositoryAuth", grant(7), 409),
        (
            "PATCH",
            for_image,
            "UpdateUserRepositoryAuth",
            grant(3),
            201,
        ),
        ("GET", for_image, "ShowUserRepositoryAuth", None, 200),
        (
            "DELETE",
            for_image,
            "DeleteUserRepositoryAuth",
            nobody(),
            204,
        ),
        (
            "DELETE",
            for_image,
            "DeleteUserRepositoryAuth",
            nobody(),
            404,
        ),
        ("GET", share, "ShowAccessDomain", None, 200),
        ("PATCH", share, "UpdateRepoDomains", terms("partner"), 400),
        ("POST", shares, "CreateRepoDomains", terms("none"), 400),
        (
            "POST",
            open_shares,
            "CreateRepoDomains",
            terms("partner"),
            400,
        ),
        ("POST", shares, "CreateRepoDomains", terms("partner"), 201),
        ("POST", shares, "CreateRepoDomains", terms("partner"), 409),
        ("PATCH", share, "UpdateRepoDomains", terms("partner"), 201),
        ("GET", share, "ShowAccessDomain", None, 200),
        ("GET", shares, "ListRepoDomains", None, 200),
        ("DELETE", share, "DeleteRepoDomains", None, 204),
        ("DELETE", share, "DeleteRepoDomains", None, 400),
        (
            "GET",
            &format!("{REPO}/v1/accessories"),
            "ListRepoAccessories",
            None,
            200,
        ),
        (
            "GET",
            &format!("{REPO}/none/accessories"),
            "ListRepoAccessories",
            None,
            404,
        ),
        (
            "GET",
            &format!("{REPO}/tags/accessories"),
            "ShowRepoTag",
            None,
            200,
        ),
        (
            "GET",
            &format!("{REPO}/tags/accessories?limit=x"),
            "ShowRepoTag",
            None,
            400,
        ),
        (
            "GET",
            &format!("{REPO}/triggers/accessories"),
            "ShowTrigger",
            None,
            200,
        ),
        (
            "GET",
            &format!("{REPO}/retentions/accessories"),
            "ShowRetention",
            None,
            200,
        ),
        (
            "GET",
            &format!("{REPO}/{signature}/references"),
            "ListReferences",
            None,
            200,
        ),
        (
            "GET",
            &format!("{REPO}/v1/references"),
            "ListReferences",
            None,
            400,
        ),
        ("POST", retentions, "CreateRetention", newest(), 201),
        ("POST", retentions, "CreateRetention", newest(), 400),
        ("GET", retentions, "ListRetentions", None, 200),
        ("GET", retention, "ShowRetention", None, 200),
        ("GET", no_retention, "ShowRetention", None, 404),
        ("PATCH", retention, "UpdateRetention", newest(), 201),
        (
            "PATCH",
            retention,
            "UpdateRetention",
            policy("date_rule", "days"),
            400,
        ),
        ("PATCH", no_retention, "UpdateRetention", newest(), 404),
        ("GET", histories, "ListRetentionHistories", None, 200),
        ("DELETE", no_retention, "DeleteRetention", None, 400),
        ("DELETE", retention, "DeleteRetention", None, 200),
    ];
    for (method, path, operation, body, status) in calls {
        let answer = app.client.send(method, path, body).await;
        assert_eq!(answer.status, status, "{operation}: {}", answer.text());
        if status != 204 {
            fits(&document, operation, &answer);
        }
    }
}

async fn document(app: &TestApp) -> Value {
    app.get(DOCUMENT).await.json()
}

/// Every operation with its path and its method.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods");
        methods
            .iter()
            .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn responses(operation: &Value) -> &Map<String, Value> {
    operation["responses"].as_object().expect("responses")
}

fn check_references(value: &Value, document: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let pointer = reference
                    .strip_prefix('#')
                    .expect("a place in the document");
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            for member in members.values() {
                check_references(member, document);
            }
        }
        Value::Array(values) => {
            for value in values {
                check_references(value, document);
            }
        }
        _ => {}
    }
}

/// Asserts that the operation may give this answer.
#[track_caller]
fn fits(document: &Value, operation_id: &str, answer: &Answer) {
    let (.., operation) = operations(document)
        .find(|(.., operation)| operation["operationId"] == operation_id)
        .expect("the operation is described");
    let status = answer.status.as_str();
    let response = responses(operation).get(status);
    let response = response.unwrap_or_else(|| panic!("{operation_id}: {status}"));
    let schema = &response["content"]["application/json"]["schema"];
    let errors: Vec<_> = validator(document, schema)
        .iter_errors(&answer.json())
        .map(|error| error.to_string())
        .collect();
    assert!(
        errors.is_empty(),
        "{operation_id} {status}: {errors:?} in {}",
        answer.text()
    );
}

/// Checks bodies against a schema that stands in the document.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    jsonschema::draft202012::new(&schema).expect("a schema")
}
