//! Sharing: an account shares a private image with another one, which can then pull and list it.

use serde_json::{Value, json};

use crate::support::{Client, Registry, TestApp};

const SHARES: &str = "/v2/manage/namespaces/g/repositories/r/access-domains";

async fn app() -> (TestApp, Client, Client) {
    let app = TestApp::seeded(
        "
accounts:
  - name: ours
    users: [{name: boss, token: boss, admin: true, access_key: OURS, secret_key: ours}]
  - name: theirs
    users: [{name: eve, token: eve, admin: true, access_key: THEIRS, secret_key: theirs}]
organizations:
  - name: g
    account: ours
    repositories: [{name: r}, {name: public, is_public: true}, {name: kept}]
",
    )
    .await;
    let (boss, eve) = (app.as_user("boss"), app.as_user("eve"));
    (app, boss, eve)
}

fn terms(deadline: &str) -> Value {
    json!({"access_domain": "theirs", "permit": "read", "deadline": deadline, "description": "d"})
}

#[tokio::test]
async fn terraforms_sequence_makes_reads_changes_and_removes_a_share() {
    let (_app, boss, _) = app().await;
    let share = format!("{SHARES}/theirs");
    boss.send("POST", SHARES, Some(terms("2027-10-01T00:00:00Z")))
        .await
        .is(201, "{}");
    let shown = boss.send("GET", &share, None).await.json();
    for (field, value) in terms("2027-10-01T00:00:00Z").as_object().expect("terms") {
        assert_eq!(shown[field], *value, "{field}");
    }
    assert_eq!(shown["creator_name"], "boss");
    assert_eq!(shown["created"], shown["updated"]);
    let mut expected = shown;
    expected.as_object_mut().expect("an object").remove("exist");
    let listed = boss.send("GET", SHARES, None).await.json();
    assert_eq!(listed, json!([expected]));
    let change = json!({"permit": "read", "deadline": "forever", "description": ""});
    boss.send("PATCH", &share, Some(change)).await.is(201, "{}");
    let shown = boss.send("GET", &share, None).await.json();
    assert_eq!(
        (&shown["deadline"], &shown["description"]),
        (&json!("forever"), &json!(""))
    );
    boss.send("DELETE", &share, None).await.is(204, "");
    let shown = boss.send("GET", &share, None).await;
    assert_eq!(
        (shown.status.as_u16(), &shown.json()["exist"]),
        (200, &json!(false))
    );
}

#[tokio::test]
async fn a_faulty_share_is_refused() {
    let (_app, boss, _) = app().await;
    let check = async |path: &str, body: Value, code: &str, rule: &str| {
        let message = boss.send("POST", path, Some(body)).await.refused(400, code);
        assert!(message.starts_with(rule), "{message}");
    };
    let with = |field: &str, value: &str| {
        let mut body = terms("forever");
        body[field] = json!(value);
        body
    };
    check(
        SHARES,
        with("access_domain", "nobody"),
        "4001041",
        "access_domain: must be the name",
    )
    .await;
    check(
        SHARES,
        with("access_domain", "ours"),
        "4001041",
        "access_domain: must be another",
    )
    .await;
    check(
        SHARES,
        with("permit", "write"),
        "4000014",
        "permit: must be \"read\"",
    )
    .await;
    check(
        SHARES,
        with("deadline", "tomorrow"),
        "4000014",
        "deadline: must be forever",
    )
    .await;
    check(
        SHARES,
        with("description", &"x".repeat(1001)),
        "4000014",
        "description: must have",
    )
    .await;
    let public = SHARES.replace("/r/", "/public/");
    check(
        &public,
        terms("forever"),
        "4000014",
        "repository: must be private",
    )
    .await;
    boss.send("POST", SHARES, Some(terms("forever")))
        .await
        .is(201, "{}");
    boss.send("POST", SHARES, Some(terms("forever")))
        .await
        .refused(409, "4090089");
    let other = format!("{SHARES}/nobody");
    boss.send("PATCH", &other, Some(terms("forever")))
        .await
        .refused(400, "4001090");
    boss.send("DELETE", &other, None)
        .await
        .refused(400, "4001090");
}

#[tokio::test]
async fn lists_tell_what_is_shared_by_and_with_an_account() {
    let (_app, boss, eve) = app().await;
    boss.send("POST", SHARES, Some(terms("forever")))
        .await
        .is(201, "{}");
    let kept = SHARES.replace("/r/", "/kept/");
    // Its day is over.
    boss.send("POST", &kept, Some(terms("2020-01-01T00:00:00Z")))
        .await
        .is(201, "{}");
    let check = async |client: &Client, query: &str, expected: &[(&str, bool)]| {
        let path = format!("/v2/manage/shared-repositories?{query}");
        let v2 = client.send("GET", &path, None).await;
        let total = format!("0-{0}/{0}", expected.len());
        assert_eq!(v2.header("content-range"), Some(total.as_str()), "{query}");
        let query = query.replace("center", "shared_by");
        let path = format!("/v3/manage/shared-repositories?{query}");
        let v3 = client.send("GET", &path, None).await.json();
        for listed in [v2.json(), v3["repos"].clone()] {
            let listed: Vec<_> = listed
                .as_array()
                .expect("an array")
                .iter()
                .map(|entry| {
                    (
                        entry["name"].as_str().expect("text"),
                        entry["status"] == true,
                    )
                })
                .collect();
            assert_eq!(listed, expected, "{query}");
        }
    };
    // What it says is for those whom it is shared with; its owner can ask for it all the same.
    let own = [("r", false), ("kept", false)];
    check(&boss, "center=self", &own).await;
    check(&boss, "center=self&status=true", &own[..1]).await;
    let both = [("r", true), ("kept", false)];
    check(&eve, "center=thirdparty", &both).await;
    check(&eve, "center=thirdparty&status=true", &both[..1]).await;
    check(&eve, "center=thirdparty&status=false", &both[1..]).await;
    check(&eve, "center=thirdparty&name=kep", &both[1..]).await;
    check(&eve, "center=self", &[]).await;
    check(&boss, "center=thirdparty", &[]).await;
    let path = "/v2/manage/shared-repositories";
    boss.send("GET", path, None).await.refused(400, "4001025");
    boss.send("GET", &format!("{path}?center=all"), None)
        .await
        .refused(400, "4001025");
    let filtered = format!("{path}?center=thirdparty&filter=name::r");
    assert_eq!(
        eve.send("GET", &filtered, None).await.json()[0]["domain_name"],
        "ours"
    );
}

#[tokio::test]
async fn the_other_account_pulls_until_the_day_is_over() {
    let (app, boss, eve) = app().await;
    let push = json!({"namespace": "g", "repository": "r", "tag": "v1"});
    boss.send("POST", "/_emulator/push", Some(push)).await;
    let pull = async || {
        let registry = Registry::login(&eve, "THEIRS", "theirs", &["g/r"]).await;
        registry.get("/v2/g/r/manifests/v1").await.status.as_u16()
    };
    assert_ne!(pull().await, 200);
    boss.send("POST", SHARES, Some(terms("forever")))
        .await
        .is(201, "{}");
    assert_eq!(pull().await, 200);
    let change = json!({"permit": "read", "deadline": "2020-01-01T00:00:00Z"});
    boss.send("PATCH", &format!("{SHARES}/theirs"), Some(change))
        .await
        .is(201, "{}");
    assert_ne!(pull().await, 200);
    // Pulling is all that sharing allows.
    eve.send("GET", "/v2/manage/namespaces/g/repos/r", None)
        .await
        .refused(404, "4040058");
    drop(app);
}

#[tokio::test]
async fn the_clock_ends_a_share_with_the_day_of_its_deadline() {
    let (app, boss, eve) = app().await;
    let set = async |time: &str| {
        let moved = app.post("/_emulator/clock", json!({"set": time})).await;
        assert_eq!(moved.status, 200, "{}", moved.text());
    };
    set("2027-03-01T12:00:00Z").await;
    boss.send("POST", SHARES, Some(terms("2027-03-02T09:00:00Z")))
        .await
        .is(201, "{}");
    let push = json!({"namespace": "g", "repository": "r", "tag": "v1"});
    boss.send("POST", "/_emulator/push", Some(push)).await;
    let check = async |valid: bool| {
        let registry = Registry::login(&eve, "THEIRS", "theirs", &["g/r"]).await;
        let pulled = registry.get("/v2/g/r/manifests/v1").await;
        assert_eq!(pulled.status == 200, valid, "{}", pulled.text());
        let shown = boss.send("GET", &format!("{SHARES}/theirs"), None).await;
        assert_eq!(shown.json()["status"], valid);
        let path = "/v2/manage/shared-repositories?center=thirdparty";
        let listed = eve.send("GET", path, None).await.json();
        assert_eq!(listed[0]["status"], valid);
    };
    check(true).await;
    set("2027-03-02T23:59:59Z").await;
    check(true).await;
    set("2027-03-03T00:00:00Z").await;
    check(false).await;
}
