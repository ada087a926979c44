//! What each operation answers, as snapshots on record: its first success, and for those that
//! create something one refusal. One snapshot for each chapter, in the order of the reference.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use swr_emulator::internal::routes;

use crate::support::{
    CLUSTER, Client, Registry, TRIGGERS, TestApp, WORLD, redacted, snapshot, trigger,
};

const NAMESPACES: &str = "/v2/manage/namespaces";
const GROUP: &str = "/v2/manage/namespaces/group";
const REPO: &str = "/v2/manage/namespaces/group/repos/busybox";
const SHARES: &str = "/v2/manage/namespaces/group/repositories/busybox/access-domains";

/// The operations of a chapter, called in a world of their own, and what they answered.
struct Chapter {
    name: &'static str,
    app: TestApp,
    recorded: Vec<Recorded>,
}

struct Recorded {
    /// Where the operation is in the table of all.
    position: usize,
    is_refusal: bool,
    text: String,
}

impl Chapter {
    async fn start(name: &'static str) -> Self {
        let app = TestApp::seeded_with(WORLD, &["--registry-host", "swr.test"]).await;
        Self {
            name,
            app,
            recorded: Vec::new(),
        }
    }

    /// Calls an operation, which succeeds; the answer's body.
    async fn answers(&mut self, operation: &str, path: &str, body: Option<Value>) -> String {
        let client = self.app.client.clone();
        self.record(&client, operation, path, body, false).await
    }

    /// Calls an operation, which refuses.
    async fn refuses(&mut self, operation: &str, path: &str, body: Option<Value>) {
        let client = self.app.client.clone();
        self.record(&client, operation, path, body, true).await;
    }

    async fn record(
        &mut self,
        client: &Client,
        name: &str,
        path: &str,
        body: Option<Value>,
        is_refusal: bool,
    ) -> String {
        let routes = routes();
        let mut operations = routes.operations().iter().enumerate();
        let (position, operation) = operations
            .find(|(_, operation)| operation.name == name)
            .expect("an operation");
        let method = operation.method.as_str();
        let plain = path.split('?').next().expect("a path");
        assert!(operation.has_path(plain), "{name}: {path}");
        assert_eq!(operation.chapter, self.name, "{name}");
        let answer = client.send(method, path, body).await;
        assert_eq!(
            answer.status.is_success(),
            !is_refusal,
            "{name}: {} {}",
            answer.status,
            answer.text()
        );
        let title = title(name, is_refusal);
        self.recorded.push(Recorded {
            position,
            is_refusal,
            text: format!(
                "# {title}\n{method} {}\n\n{}\n",
                redacted(path),
                snapshot(&answer)
            ),
        });
        answer.text().to_owned()
    }

    /// Asserts that all answers are those on record.
    fn assert_on_record(mut self) {
        self.recorded
            .sort_by_key(|one| (one.position, one.is_refusal));
        let texts: Vec<_> = self.recorded.iter().map(|one| &*one.text).collect();
        let answers = texts.join("\n");
        let (name, _) = self.name.split_once(" (").unwrap_or((self.name, ""));
        insta::assert_snapshot!(name.to_lowercase().replace(' ', "_"), answers);
    }
}

fn title(operation: &str, is_refusal: bool) -> String {
    let ending = if is_refusal { ", refused" } else { "" };
    format!("{operation}{ending}")
}

async fn push(app: &TestApp, tag: &str) -> String {
    let registry = Registry::admin(&app.client, &["group/busybox"]).await;
    registry
        .push_image("group/busybox", tag, tag.as_bytes())
        .await
}

async fn idle(app: &TestApp) {
    let answer = app.get("/_emulator/idle?timeout=60s").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn answers_on_triggers_are_those_on_record() {
    let mut chapter = Chapter::start("Triggers").await;
    let one = format!("{TRIGGERS}/test");
    let create = || Some(trigger("test"));
    chapter.answers("CreateTrigger", TRIGGERS, create()).await;
    chapter.refuses("CreateTrigger", TRIGGERS, create()).await;
    push(&chapter.app, "v1").await;
    idle(&chapter.app).await;
    chapter.answers("ListTriggersDetails", TRIGGERS, None).await;
    chapter.answers("ShowTrigger", &one, None).await;
    let off = json!({"enable": "false"});
    chapter.answers("UpdateTrigger", &one, Some(off)).await;
    chapter.answers("DeleteTrigger", &one, None).await;
    chapter.assert_on_record();
}

#[tokio::test]
async fn answers_on_organizations_are_those_on_record() {
    let mut chapter = Chapter::start("Organizations").await;
    let create = || Some(json!({"namespace": "new"}));
    chapter
        .answers("CreateNamespace", NAMESPACES, create())
        .await;
    chapter
        .refuses("CreateNamespace", NAMESPACES, create())
        .await;
    chapter.answers("ListNamespaces", NAMESPACES, None).await;
    chapter.answers("ShowNamespace", GROUP, None).await;
    let new = format!("{NAMESPACES}/new");
    chapter.answers("DeleteNamespaces", &new, None).await;
    chapter.assert_on_record();
}

/// A list with one grant.
fn grant(auth: u8) -> Value {
    json!([{"user_id": "developer-id", "user_name": "developer", "auth": auth}])
}

#[tokio::test]
async fn answers_on_permissions_of_organizations_are_those_on_record() {
    let mut chapter = Chapter::start("Organization permissions").await;
    let access = format!("{GROUP}/access");
    chapter
        .answers("CreateNamespaceAuth", &access, Some(grant(1)))
        .await;
    chapter
        .refuses("CreateNamespaceAuth", &access, Some(grant(1)))
        .await;
    chapter
        .answers("UpdateNamespaceAuth", &access, Some(grant(3)))
        .await;
    chapter.answers("ShowNamespaceAuth", &access, None).await;
    let user = json!(["developer-id"]);
    chapter
        .answers("DeleteNamespaceAuth", &access, Some(user))
        .await;
    chapter.assert_on_record();
}

#[tokio::test]
async fn answers_on_permissions_of_images_are_those_on_record() {
    let mut chapter = Chapter::start("Image permissions").await;
    let access = format!("{REPO}/access");
    chapter
        .answers("CreateUserRepositoryAuth", &access, Some(grant(1)))
        .await;
    chapter
        .refuses("CreateUserRepositoryAuth", &access, Some(grant(1)))
        .await;
    chapter
        .answers("UpdateUserRepositoryAuth", &access, Some(grant(3)))
        .await;
    chapter
        .answers("ShowUserRepositoryAuth", &access, None)
        .await;
    let user = json!(["developer-id"]);
    chapter
        .answers("DeleteUserRepositoryAuth", &access, Some(user))
        .await;
    chapter.assert_on_record();
}

#[tokio::test]
async fn answers_on_repositories_are_those_on_record() {
    let mut chapter = Chapter::start("Repositories").await;
    let repositories = format!("{GROUP}/repos");
    let new = format!("{repositories}/library$nginx");
    let create = || {
        Some(json!({
            "repository": "library/nginx", "is_public": true, "category": "linux", "description": "web"
        }))
    };
    chapter.answers("CreateRepo", &repositories, create()).await;
    chapter.refuses("CreateRepo", &repositories, create()).await;
    push(&chapter.app, "v1").await;
    chapter.app.post(SHARES, share()).await.is(201, "{}");
    chapter.answers("ShowRepository", &new, None).await;
    chapter
        .answers("ListReposDetails", "/v2/manage/repos", None)
        .await;
    let shared = "/v2/manage/shared-repositories?center=self";
    chapter
        .answers("ListSharedReposDetails", shared, None)
        .await;
    chapter
        .answers("ListRepoDetails", "/v3/manage/repos", None)
        .await;
    let shared = "/v3/manage/shared-repositories?shared_by=self";
    chapter.answers("ListSharedRepoDetails", shared, None).await;
    let private = json!({"is_public": false});
    chapter.answers("UpdateRepo", &new, Some(private)).await;
    chapter.answers("DeleteRepo", &new, None).await;
    chapter.assert_on_record();
}

#[tokio::test]
async fn answers_on_tags_are_those_on_record() {
    let mut chapter = Chapter::start("Tags").await;
    let tags = format!("{REPO}/tags");
    let signature = push(&chapter.app, "v1").await.replace(':', "-") + ".sig";
    push(&chapter.app, &signature).await;
    let copy = || Some(json!({"source_tag": "v1", "destination_tag": "latest"}));
    chapter.answers("ListRepositoryTags", &tags, None).await;
    chapter
        .answers("ShowRepoTag", &format!("{tags}/v1"), None)
        .await;
    let v3 = "/v3/manage/namespaces/group/repos/busybox/tags";
    chapter.answers("ListRepositoryTag", v3, None).await;
    let accessories = format!("{REPO}/v1/accessories");
    chapter
        .answers("ListRepoAccessories", &accessories, None)
        .await;
    let references = format!("{REPO}/{signature}/references");
    chapter.answers("ListReferences", &references, None).await;
    chapter.answers("CreateRepoTag", &tags, copy()).await;
    chapter.refuses("CreateRepoTag", &tags, copy()).await;
    chapter
        .answers("DeleteRepoTag", &format!("{tags}/latest"), None)
        .await;
    chapter.assert_on_record();
}

/// A share with the other account.
fn share() -> Value {
    json!({"access_domain": "partner", "permit": "read", "deadline": "forever", "description": "d"})
}

#[tokio::test]
async fn answers_on_sharing_are_those_on_record() {
    let mut chapter = Chapter::start("Sharing").await;
    let one = format!("{SHARES}/partner");
    chapter
        .answers("CreateRepoDomains", SHARES, Some(share()))
        .await;
    chapter
        .refuses("CreateRepoDomains", SHARES, Some(share()))
        .await;
    chapter
        .answers("UpdateRepoDomains", &one, Some(share()))
        .await;
    chapter.answers("ShowAccessDomain", &one, None).await;
    chapter.answers("ListRepoDomains", SHARES, None).await;
    chapter.answers("DeleteRepoDomains", &one, None).await;
    chapter.assert_on_record();
}

#[tokio::test]
async fn answers_on_image_sync_are_those_on_record() {
    let mut chapter = Chapter::start("Image sync").await;
    push(&chapter.app, "v1").await;
    let task = format!("{REPO}/sync_repo");
    let to = |region: &str| json!({"remoteRegionId": region, "remoteNamespace": "mirror"});
    let mut east = to("cn-east-3");
    east["syncAuto"] = json!(true);
    chapter
        .answers("CreateImageSyncRepo", &task, Some(east.clone()))
        .await;
    chapter
        .refuses("CreateImageSyncRepo", &task, Some(to("nowhere")))
        .await;
    chapter
        .answers("ListImageAutoSyncReposDetails", &task, None)
        .await;
    chapter
        .answers("DeleteImageSyncRepo", &task, Some(to("cn-east-3")))
        .await;
    let images = format!("{REPO}/sync_images");
    let image = |region: &str| {
        let mut body = to(region);
        body["imageTag"] = json!(["v1"]);
        Some(body)
    };
    chapter
        .answers("CreateManualImageSyncRepo", &images, image("cn-east-3"))
        .await;
    chapter
        .refuses("CreateManualImageSyncRepo", &images, image("nowhere"))
        .await;
    idle(&chapter.app).await;
    let jobs = format!("{REPO}/sync_job?filter=limit::10|offset::0");
    chapter.answers("ShowSyncJob", &jobs, None).await;
    chapter
        .answers("ListSyncRegions", "/v2/manage/regions", None)
        .await;
    chapter.assert_on_record();
}

#[tokio::test]
async fn answers_on_retention_are_those_on_record() {
    let mut chapter = Chapter::start("Retention (aging)").await;
    let retentions = format!("{REPO}/retentions");
    let one = format!("{retentions}/1");
    let rule = |num: &str| {
        let selector = json!({"kind": "regexp", "pattern": "^123$"});
        let rule = json!({
            "template": "tag_rule", "params": {"num": num}, "tag_selectors": [selector]
        });
        Some(json!({"algorithm": "or", "rules": [rule]}))
    };
    chapter
        .answers("CreateRetention", &retentions, rule("1"))
        .await;
    chapter
        .refuses("CreateRetention", &retentions, rule("1"))
        .await;
    for tag in ["v1", "v2"] {
        push(&chapter.app, tag).await;
    }
    chapter.answers("ListRetentions", &retentions, None).await;
    chapter.answers("ShowRetention", &one, None).await;
    let histories = format!("{retentions}/histories");
    chapter
        .answers("ListRetentionHistories", &histories, None)
        .await;
    chapter.answers("UpdateRetention", &one, rule("2")).await;
    chapter.answers("DeleteRetention", &one, None).await;
    chapter.assert_on_record();
}

#[tokio::test]
async fn answers_on_login_are_those_on_record() {
    let mut chapter = Chapter::start("Login").await;
    let secret = "/v2/manage/utils/secret";
    chapter.answers("CreateSecret", secret, None).await;
    let wrong = format!("{secret}?projectname=!");
    chapter.refuses("CreateSecret", &wrong, None).await;
    let token = "/v2/manage/utils/authorizationtoken";
    chapter
        .answers("CreateAuthorizationToken", token, None)
        .await;
    let nobody = chapter.app.as_nobody();
    chapter
        .record(&nobody, "CreateAuthorizationToken", token, None, true)
        .await;
    let bearer = "/swr/auth/v2/registry/auth/";
    chapter
        .record(&nobody, "RegistryToken", bearer, None, false)
        .await;
    chapter.assert_on_record();
}

#[tokio::test]
async fn answers_on_the_account_are_those_on_record() {
    let mut chapter = Chapter::start("Account").await;
    let project = "/v2/manage/projects/1";
    let agency = "/v2/manage/agency";
    chapter
        .answers("ListQuotas", &format!("{project}/quotas"), None)
        .await;
    chapter
        .answers("ShowDomainOverview", "/v2/manage/overview", None)
        .await;
    let report = "/v2/manage/reports/store/daily";
    chapter
        .answers("ShowDomainResourceReports", report, None)
        .await;
    let gates = format!("{project}/feature-gates");
    chapter.answers("ShowShareFeatureGates", &gates, None).await;
    chapter.answers("CheckAgency", agency, None).await;
    chapter.answers("CreateAgency", agency, None).await;
    chapter.refuses("CreateAgency", agency, None).await;
    chapter.assert_on_record();
}

#[tokio::test]
async fn answers_on_versions_are_those_on_record() {
    let mut chapter = Chapter::start("Versions").await;
    chapter.answers("ListApiVersions", "/", None).await;
    chapter.answers("ShowApiVersion", "/v2", None).await;
    chapter.assert_on_record();
}

#[tokio::test]
async fn answers_of_iam_are_those_on_record() {
    let mut chapter = Chapter::start("IAM").await;
    let users = "/v3.0/OS-USER/users";
    let user = |name: &str| Some(json!({"user": {"name": name, "password": "first-1"}}));
    let body = chapter.answers("CreateUser", users, user("ann")).await;
    chapter.refuses("CreateUser", users, user("ann")).await;
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let id = body["user"]["id"].as_str().expect("an id");
    let tokens = "/v3/auth/tokens";
    let login = |password: &str| {
        let user = json!({"name": "ann", "password": password, "domain": {"name": "swr-emulator"}});
        Some(json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}))
    };
    let name = "KeystoneCreateUserTokenByPassword";
    chapter.answers(name, tokens, login("first-1")).await;
    chapter.refuses(name, tokens, login("wrong")).await;
    chapter
        .answers("KeystoneListProjects", "/v3/projects", None)
        .await;
    chapter
        .answers("KeystoneListAuthDomains", "/v3/auth/domains", None)
        .await;
    chapter
        .answers("KeystoneListUsers", "/v3/users", None)
        .await;
    let one = format!("{users}/{id}");
    chapter.answers("ShowUser", &one, None).await;
    let change = json!({"user": {"name": "eve"}});
    chapter.answers("UpdateUser", &one, Some(change)).await;
    chapter.answers("DeleteUser", &one, None).await;
    let other = chapter
        .app
        .post(users, user("bob").expect("a body"))
        .await
        .json();
    let id = other["user"]["id"].as_str().expect("an id");
    let one = format!("/v3/users/{id}");
    chapter.answers("KeystoneDeleteUser", &one, None).await;
    chapter.assert_on_record();
}

#[tokio::test]
async fn answers_of_cce_are_those_on_record() {
    let mut chapter = Chapter::start("CCE").await;
    let cluster = format!("/api/v3/projects/1/clusters/{CLUSTER}");
    chapter.answers("ShowCluster", &cluster, None).await;
    chapter.assert_on_record();
}

/// The record has all operations but those of the emulator itself, and nothing else.
#[test]
fn every_operation_has_its_answers_on_record() {
    let routes = routes();
    let clouds = routes.operations().iter().filter(|one| !one.is_own());
    let expected: BTreeSet<_> = clouds
        .flat_map(|operation| {
            let creates = operation.name.contains("Create");
            let refusal = creates.then(|| title(operation.name, true));
            [title(operation.name, false)].into_iter().chain(refusal)
        })
        .collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/snapshots");
    let mut recorded = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("UTF-8");
        let is_answers = name.starts_with("it__answers__");
        if !is_answers || entry.path().extension() != Some("snap".as_ref()) {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).expect("UTF-8");
        for title in text.lines().filter_map(|line| line.strip_prefix("# ")) {
            assert!(recorded.insert(title.to_owned()), "{title} comes twice");
        }
    }
    assert_eq!(recorded, expected);
}
