//! The versions of the API, which anyone may ask for.

use crate::support::TestApp;

#[tokio::test]
async fn versions_are_listed_and_shown_without_credentials() {
    let app = TestApp::start().await;
    let nobody = app.as_nobody();
    let listed = nobody.send("GET", "/", None).await;
    assert_eq!(listed.status, 200);
    let listed = listed.json();
    let versions = listed["versions"].as_array().expect("an array");
    let version = versions
        .iter()
        .find(|version| version["id"] == "v2")
        .expect("v2 is served");
    assert_eq!(version["status"], "CURRENT");
    assert_eq!(version["links"]["rel"], "self");
    for field in ["min_version", "updated", "version"] {
        assert!(version[field].is_string(), "{field}");
    }
    let shown = nobody.send("GET", "/v2", None).await;
    assert_eq!(shown.status, 200);
    assert_eq!(&shown.json()["version"], version);
    assert_eq!(nobody.send("GET", "/v9", None).await.status, 404);
}
