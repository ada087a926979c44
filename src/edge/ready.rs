//! Requests whose answers are ready (`crate::answers`): who asks, whether they may, the line in the
//! log and the record are as for any other; the router and the database are not asked.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::BodyExt;

use super::log::RequestLog;
use super::request_id::identify;
use super::requests::is_of_console;
use crate::answers::{Answer, Keep, is_short};
use crate::app::App;
use crate::auth::Caller;
use crate::db::Version;
use crate::http::Operation;

/// How many headers an answer gets besides those that are kept; HTTP keeps the map for the headers
/// of the next request.
const MORE_HEADERS: usize = 5;

/// The answer to a request, if there is one that is what its caller would be answered now. All
/// else, every refusal included, is for the router.
pub(super) fn answer(app: &App, request: &Request) -> Option<Response> {
    let started = Instant::now();
    if !may_be_ready(request.method(), request.uri().query()) || !request.body().is_end_stream() {
        return None;
    }
    let found = app.answers.find(request.uri().path())?;
    if app.faults.is_any() {
        return None;
    }
    let caller = caller(app, request)?;
    if !found.is_current(app.db.versions()) || !found.is_for(&caller) {
        return None;
    }
    let mut response = Response::new(Body::from(found.body.clone()));
    // With room for what comes to them: a clone would grow by a block of memory at a time.
    let mut headers = HeaderMap::with_capacity(found.headers.len() + MORE_HEADERS);
    for (name, value) in &found.headers {
        headers.append(name, value.clone());
    }
    *response.headers_mut() = headers;
    let request_id = app.request_ids.next();
    identify(&mut response, request_id);
    RequestLog {
        request_id,
        method: request.method(),
        uri: request.uri(),
        operation: found.operation,
        status: StatusCode::OK.as_u16(),
        started,
        caller: caller.user_name(),
        body_bytes: 0,
        body: None,
        failure: None,
        is_recorded: !is_of_console(request.headers()),
    }
    .write(&app.requests);
    Some(response)
}

/// Whether the answer to a request may be kept and sent again: a query would make too many of them.
fn may_be_ready(method: &Method, query: Option<&str>) -> bool {
    method == Method::GET && query.is_none()
}

fn caller(app: &App, request: &Request) -> Option<Caller> {
    let claim = app.authenticator().identify(request.headers()).ok()?;
    let (method, uri) = (request.method(), request.uri());
    let proven = claim.prove(method, uri, request.headers(), &Bytes::new());
    proven.ok()
}

/// What an answer is kept under, taken before its handler reads anything.
pub(super) struct Keeper {
    uri: Uri,
    operation: &'static str,
    since: Version,
}

impl Keeper {
    /// That of a request for an operation, if its answer may be kept.
    pub(super) fn of(app: &App, operation: &Operation, request: &Request) -> Option<Self> {
        let uri = request.uri();
        (app.answers.keeps() && may_be_ready(request.method(), uri.query())).then(|| Self {
            uri: uri.clone(),
            operation: operation.name,
            since: app.db.versions().now(),
        })
    }

    /// Keeps the answer if its handler said so.
    pub(super) async fn keep(self, app: &App, mut response: Response) -> Response {
        let Some(keep) = response.extensions_mut().remove::<Keep>() else {
            return response;
        };
        let is_known = response.body().size_hint().exact().is_some_and(is_short);
        if response.status() != StatusCode::OK || !is_known {
            return response;
        }
        let (parts, body) = response.into_parts();
        let Ok(body) = body.collect().await else {
            // A body of a known length is in memory as a whole: it cannot break off.
            return Response::from_parts(parts, Body::empty());
        };
        let body = body.to_bytes();
        let answer = Answer {
            operation: self.operation,
            headers: parts.headers.clone(),
            body: body.clone(),
            since: self.since,
            keep,
        };
        app.answers.put(self.uri.path(), Arc::new(answer));
        Response::from_parts(parts, Body::from(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::Answers;
    use crate::app::AppState;
    use crate::auth::BUILTIN_TOKEN;
    use crate::edge::Edge;
    use crate::engine::Verdicts;
    use crate::engine::store::{End, Ending, Landing, Outcome};
    use crate::image::SampleImage;
    use crate::namespace::NamespaceName;
    use crate::push::{CopyTag, PushedBy};
    use crate::repository::RepositoryName;
    use crate::tag::TagName;
    use crate::trigger::{self, TriggerName};

    const SEED: &str = "
accounts: [{name: a, users: [{name: boss, admin: true, token: boss}, {name: ann, token: ann}]}]
organizations:
  - name: g
    account: a
    permissions: [{user: ann, auth: 1}]
    repositories:
      - name: r
        triggers: [{name: t, app_type: deployments, application: web, cluster_ns: default,
                    trigger_type: all, condition: '.*', enable: 'true', action: update}]
";
    const TRIGGERS: &str = "/v2/manage/namespaces/g/repos/r/triggers";

    async fn app(seed: &str, answer_cache: u64) -> (AppState, tempfile::TempDir) {
        let (mut app, folder) = App::seeded(seed).await;
        app.answers = Answers::new(answer_cache);
        (AppState::new(app), folder)
    }

    fn request(method: Method, path: &str, token: &str) -> Request {
        Request::builder()
            .method(method)
            .uri(path)
            .header("X-Auth-Token", token)
            .body(Body::empty())
            .expect("a legal request")
    }

    fn get(path: &str, token: &str) -> Request {
        request(Method::GET, path, token)
    }

    async fn routed(app: &AppState, request: Request) -> (StatusCode, Bytes) {
        let edge = Edge::new(crate::emulator::routes(), AppState::clone(app));
        let response = edge.serve(request).await;
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body");
        (status, body.to_bytes())
    }

    #[tokio::test]
    async fn an_answer_is_ready_until_its_subject_is_written_and_for_those_who_may_see_it() {
        let (app, _folder) = app(SEED, 1024 * 1024).await;
        let path = format!("{TRIGGERS}/t");
        let is_ready = |token: &str| answer(&app, &get(&path, token)).is_some();
        assert!(!is_ready("boss"));
        let (status, _) = routed(&app, get(&path, "boss")).await;
        assert_eq!(status, StatusCode::OK);
        assert!(is_ready("boss") && is_ready("ann"));
        assert!(!is_ready("wrong") && !is_ready(BUILTIN_TOKEN));

        let other = request(Method::DELETE, &format!("{TRIGGERS}/other"), "boss");
        assert_eq!(routed(&app, other).await.0, StatusCode::NOT_FOUND);
        assert!(is_ready("boss"));
        let delete = request(Method::DELETE, &path, "boss");
        assert_eq!(routed(&app, delete).await.0, StatusCode::NO_CONTENT);
        assert!(!is_ready("boss"));
    }

    #[tokio::test]
    async fn a_push_and_a_firing_make_old_what_they_change_and_nothing_else() {
        let (app, _folder) = app(SEED, 1024 * 1024).await;
        let group = NamespaceName::parse("g").expect("a name");
        let group = app.lookup.namespace(&group).await.expect("read");
        let name = RepositoryName::parse("r").expect("a name");
        let repository = app.lookup.repository(&group.expect("there"), &name).await;
        let repository = repository.expect("read").expect("there");
        let tag = |text| TagName::parse(text).expect("a tag");
        let by = PushedBy::user("boss");
        let image = SampleImage::new("one").expect("made");
        let pushed = app.pusher().push(&repository, tag("v1"), image, by.clone());
        pushed.await.expect("pushed");
        let [list, shown, one, all] = [
            TRIGGERS.to_owned(),
            format!("{TRIGGERS}/t"),
            "/v2/manage/namespaces/g/repos/r".to_owned(),
            "/v2/manage/repos".to_owned(),
        ];
        let paths = [&list, &shown, &one, &all];
        let ask_all = async || {
            for path in paths {
                assert_eq!(routed(&app, get(path, "boss")).await.0, StatusCode::OK);
            }
        };
        let are_ready = || paths.map(|path| answer(&app, &get(path, "boss")).is_some());
        ask_all().await;
        assert_eq!(are_ready(), [true; 4]);

        let copy = CopyTag {
            repository_id: repository.id,
            source: tag("v1"),
            destination: tag("v2"),
            overwrite: false,
            pushed_by: by,
            verdicts: Verdicts::default(),
            now: app.clock.now(),
        };
        app.db.write(copy).await.expect("copied");
        assert_eq!(are_ready(), [true, true, false, false]);

        ask_all().await;
        let name = TriggerName::parse("name", "t").expect("a name");
        let end = End {
            outcome: Outcome::Success(String::new()),
            landing: Landing::default(),
            ending: Ending {
                firing_id: 1,
                trigger: trigger::store::subject(repository.id, &name),
                tries: 1,
                now: app.clock.now(),
            },
        };
        app.db.write(end).await.expect("ended");
        assert_eq!(are_ready(), [true, false, true, true]);
    }

    #[tokio::test]
    async fn what_is_ready_is_what_the_router_answers() {
        let (app, _folder) = app(SEED, 1024 * 1024).await;
        let paths = [
            TRIGGERS,
            &format!("{TRIGGERS}/t"),
            "/v2/manage/namespaces",
            "/v2/manage/namespaces/g",
            "/v2/manage/namespaces/g/repos/r",
            "/v2/manage/repos",
        ];
        for path in paths {
            let (status, expected) = routed(&app, get(path, "boss")).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            let found = answer(&app, &get(path, "boss"));
            let found = found.unwrap_or_else(|| panic!("{path} is not ready"));
            assert_eq!(found.headers()["content-type"], "application/json");
            assert!(found.headers().contains_key("x-request-id"));
            let found = found.into_body().collect().await.expect("a body");
            assert_eq!(found.to_bytes(), expected, "{path}");
        }
        // A list of one's own is not everybody's.
        assert!(answer(&app, &get("/v2/manage/repos", "ann")).is_none());
    }

    #[tokio::test]
    async fn no_answer_is_kept_without_room_for_it() {
        let (app, _folder) = app(SEED, 0).await;
        let path = format!("{TRIGGERS}/t");
        assert_eq!(routed(&app, get(&path, "boss")).await.0, StatusCode::OK);
        assert!(answer(&app, &get(&path, "boss")).is_none());
    }
}
