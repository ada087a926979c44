//! `/_emulator/events`: what happens, as it happens, as server-sent events.
//!
//! Whoever listens may control the instance, and is asked for that again where everything may have
//! changed since: after a reset, and after events that were missed, of which a reset can have been
//! one. How events are kept is in `crate::events`.

use std::convert::Infallible;
use std::fmt::Write;
use std::time::Duration;

use async_stream::stream;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method};
use serde::Serialize;
use tokio::time::sleep;

use super::clock::ClockView;
use super::faults::FaultView;
use super::firing::LandedView;
use super::requests::RequestView;
use crate::app::{AppState, Routes};
use crate::auth::Controller;
use crate::engine::pushes::LocatedPush;
use crate::error::{Error, Result};
use crate::events::{ChangedRollout, Event, Gap, Listener};
use crate::http::{Operation, OperationDoc};

const EVENTS: &str = "/_emulator/events";
const MEDIA_TYPE: &str = "text/event-stream";
/// What a client sends that comes back: the number of the last event that it heard of.
const LAST_EVENT_ID: &str = "Last-Event-ID";

/// How long nothing may be sent: whoever does not read any more is found out by it.
const PAUSE: Duration = Duration::from_secs(15);
/// What is sent then, which means nothing.
const HEARTBEAT: &[u8] = b":\n\n";

const TOO_MANY_LISTEN: Error = Error::Unavailable("64 clients are already listening");

/// How the events look.
const REMARKS: &str = "\
Each event has an `id`, a type (`event`) and one line of JSON (`data`): `request` (as in \
`/_emulator/requests`), `push` (`id`, `namespace`, `repository`, `tag`, `digest`, `pushed_by`, \
`pushed_at`, `region`), `verdicts` (`push_id`, `fired`, `passed_over`), `firing` (`push_id`, \
`namespace`, `repository`, `tag`, `trigger`, `result`, `detail`, `tries`), `rollout` (`push_id`, \
`namespace`, `repository`, `tag`, `trigger`, `workload`, `rollout`), `clock` (as \
`/_emulator/clock`), `fault` (as in `/_emulator/faults`), `reset` (`{}`), and `gap` (`missed`) in \
place of events that are no longer available; `missed` is null if their number is not known. A \
client that sends the header `Last-Event-ID` continues after that event, out of the last 1,000. At \
most 64 clients can listen. After a reset, the stream ends for clients that may not control the \
new state.";

/// The operation that tells of what happens.
pub(super) fn routes() -> Routes {
    // It is about the requests, and not one of those that people look for.
    let operation = Operation::new("EmulatorListenToEvents", Method::GET, EVENTS).unrecorded();
    Routes::of("Emulator").route(operation, listen, listen_doc)
}

fn listen_doc() -> OperationDoc {
    OperationDoc::new("Reports events as they happen, as a stream of server-sent events.")
        .remarks(REMARKS)
        .answers_text(MEDIA_TYPE)
        .refuses([Error::invalid(LAST_EVENT_ID, "")])
        .needs_control()
}

async fn listen(State(app): State<AppState>, _: Controller, parts: Parts) -> Result<Response> {
    let after = last_event_id(&parts.headers)?;
    let listener = app.engine.listen(after).await?;
    let listener = listener.ok_or(TOO_MANY_LISTEN)?;
    let headers = [(CONTENT_TYPE, MEDIA_TYPE), (CACHE_CONTROL, "no-store")];
    let told = Body::from_stream(tell(app, listener, parts));
    Ok((headers, told).into_response())
}

/// The number of the last event that a client heard of, if it says so.
fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>> {
    let Some(value) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("-").trim();
    if text.is_empty() {
        return Ok(None);
    }
    let rule = "must be the id of an event, a whole number";
    let number = text
        .parse()
        .map_err(|_| Error::invalid(LAST_EVENT_ID, rule));
    number.map(Some)
}

/// Tells a listener, who asked for it with a request, of what happens, until the instance stops or
/// the listener may not hear of it any more.
fn tell(
    app: AppState,
    mut listener: Listener,
    request: Parts,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream! {
        // So that who goes before anything has happened can come back, too.
        yield Ok(format!("id: {}\n\n", listener.heard()).into());
        loop {
            let news = tokio::select! {
                biased;
                () = app.stop.raised() => return,
                news = listener.next() => Some(news),
                () = sleep(PAUSE) => None,
            };
            let Some(news) = news else {
                yield Ok(Bytes::from_static(HEARTBEAT));
                continue;
            };
            let mut text = String::new();
            let mut may_listen = true;
            if let Some(Gap { number, missed }) = news.gap {
                tell_of(&mut text, number, "gap", &GapView { missed });
                may_listen = Controller::again(&app, &request).is_ok();
            }
            for (number, event) in news.events {
                if !may_listen {
                    break;
                }
                write_event(&mut text, number, &event);
                if let Event::Reset = *event {
                    may_listen = Controller::again(&app, &request).is_ok();
                }
            }
            yield Ok(text.into());
            if !may_listen {
                return;
            }
        }
    }
}

fn write_event(text: &mut String, number: u64, event: &Event) {
    match event {
        Event::Request(request) => {
            tell_of(text, number, "request", &RequestView::from(&**request));
        }
        Event::Push(push) => tell_of(text, number, "push", &PushedView::from(push)),
        Event::Verdicts {
            push_id,
            fired,
            passed_over,
        } => {
            let view = VerdictsView {
                push_id: *push_id,
                fired: *fired,
                passed_over: *passed_over,
            };
            tell_of(text, number, "verdicts", &view);
        }
        Event::Firing(firing) => tell_of(text, number, "firing", firing),
        Event::Rollout(changed) => tell_of(text, number, "rollout", &RolloutView::from(changed)),
        Event::Clock { real, ahead } => {
            tell_of(text, number, "clock", &ClockView::of(*real, *ahead));
        }
        Event::Fault(fault) => tell_of(text, number, "fault", &FaultView::from(&**fault)),
        Event::Reset => tell_of(text, number, "reset", &ResetView {}),
    }
}

fn tell_of(text: &mut String, number: u64, kind: &str, data: &impl Serialize) {
    // What cannot be written as JSON is left out; there is nothing of the kind.
    if let Ok(data) = serde_json::to_string(data) {
        // Writing to a String cannot fail.
        let _ = write!(text, "id: {number}\nevent: {kind}\ndata: {data}\n\n");
    }
}

#[derive(Serialize)]
struct PushedView<'a> {
    id: i64,
    namespace: &'a str,
    repository: &'a str,
    tag: &'a str,
    digest: &'a str,
    pushed_by: &'a str,
    pushed_at: String,
    region: &'a str,
}

impl<'a> From<&'a LocatedPush> for PushedView<'a> {
    fn from(located: &'a LocatedPush) -> Self {
        let LocatedPush {
            push,
            region,
            namespace,
            repository,
        } = located;
        Self {
            id: push.id,
            namespace,
            repository,
            tag: &push.tag,
            digest: &push.digest,
            pushed_by: &push.pushed_by,
            pushed_at: push.pushed_at.to_string(),
            region,
        }
    }
}

#[derive(Serialize)]
struct VerdictsView {
    push_id: i64,
    fired: i64,
    passed_over: i64,
}

#[derive(Serialize)]
struct RolloutView<'a> {
    push_id: i64,
    namespace: &'a str,
    repository: &'a str,
    tag: &'a str,
    trigger: &'a str,
    #[serde(flatten)]
    landed: LandedView,
}

impl<'a> From<&'a ChangedRollout> for RolloutView<'a> {
    fn from(changed: &'a ChangedRollout) -> Self {
        Self {
            push_id: changed.push_id,
            namespace: &changed.namespace,
            repository: &changed.repository,
            tag: &changed.tag,
            trigger: &changed.trigger,
            landed: changed.landed.clone().into(),
        }
    }
}

#[derive(Serialize)]
struct ResetView {}

#[derive(Serialize)]
struct GapView {
    missed: Option<u64>,
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use http::HeaderValue;

    use super::*;
    use crate::app::App;

    async fn app() -> (AppState, tempfile::TempDir) {
        let (app, folder) = App::seeded("").await;
        (AppState::new(app), folder)
    }

    /// What is told to somebody who sent no credentials, but for the beginning.
    async fn told(
        app: &AppState,
        after: Option<u64>,
    ) -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin {
        let listener = app.events.listen(after).expect("there is room");
        let begin = format!("id: {}\n\n", listener.heard());
        let (parts, ()) = http::Request::new(()).into_parts();
        let mut told = Box::pin(tell(AppState::clone(app), listener, parts));
        assert_eq!(told.next().await, Some(Ok(begin.into())));
        told
    }

    #[tokio::test]
    async fn where_nothing_happens_a_comment_is_sent_each_fifteen_seconds() {
        let (app, _folder) = app().await;
        let mut told = told(&app, None).await;
        tokio::time::pause();
        let started = tokio::time::Instant::now();
        for at in 1..=3 {
            let beat = told.next().await;
            assert_eq!(beat, Some(Ok(Bytes::from_static(HEARTBEAT))));
            assert_eq!(started.elapsed().as_secs(), 15 * at);
        }
        app.stop.raise();
        assert_eq!(told.next().await, None);
    }

    #[tokio::test]
    async fn after_what_could_have_been_a_reset_nothing_is_told_to_whom_nobody_knows() {
        let (app, _folder) = app().await;
        for (after, expected) in [
            (Some(7), "event: gap\ndata: {\"missed\":null}\n\n"),
            (None, "event: reset\ndata: {}\n\n"),
        ] {
            let mut told = told(&app, after).await;
            app.events.publish(|| Event::Reset);
            app.events.publish(|| Event::Reset);
            let Some(Ok(last)) = told.next().await else {
                panic!("nothing was told")
            };
            let last = std::str::from_utf8(&last).expect("UTF-8");
            assert!(last.ends_with(expected), "{last}");
            assert_eq!(last.matches("event: ").count(), 1, "{last}");
            assert_eq!(told.next().await, None);
        }
    }

    #[test]
    fn the_last_event_is_a_whole_number_or_nothing() {
        let check = |value: &'static str, expected: Option<Option<u64>>| {
            let value = HeaderValue::from_static(value);
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("last-event-id"),
                value.clone(),
            )]);
            assert_eq!(last_event_id(&headers).ok(), expected, "{value:?}");
        };
        check("", Some(None));
        check("0", Some(Some(0)));
        check("18446744073709551615", Some(Some(u64::MAX)));
        for wrong in ["x", "-1", "1.5", "18446744073709551616", "1 2"] {
            check(wrong, None);
        }
        assert_eq!(last_event_id(&HeaderMap::new()).ok(), Some(None));
    }
}
