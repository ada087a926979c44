//! The newest requests of an instance, for `/_emulator/requests` (`control::requests`).

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method};
use parking_lot::{Mutex, MutexGuard};
use percent_encoding::percent_decode_str;

use super::log::RequestLog;
use crate::clock::Timestamp;
use crate::events::{Event, Events};
use crate::excerpt::beginning;
use crate::http::RequestId;

/// How many requests are kept.
const KEPT: usize = 1000;
/// How many characters of a text are kept, and of a user's name or a code.
const MAX_TEXT: usize = 512;
const MAX_NAME: usize = 64;

/// Marks what the console asks: people look in it for the requests of their program.
const CONSOLE: HeaderName = HeaderName::from_static("x-emulator-console");

/// Whether a request is one of the console's own.
pub(super) fn is_of_console(headers: &HeaderMap) -> bool {
    headers.contains_key(CONSOLE)
}

/// The newest requests of an instance.
#[derive(Debug, Default)]
pub struct Requests {
    kept: Mutex<VecDeque<Arc<RecordedRequest>>>,
    recorded: AtomicI64,
    /// Who else hears of them.
    events: Arc<Events>,
}

impl Requests {
    /// None yet; each will be an event too.
    pub fn told_to(events: Arc<Events>) -> Self {
        Self {
            events,
            ..Self::default()
        }
    }

    /// Keeps a request in a few words, in the place of the oldest one where there are enough.
    /// `method` and `path` are those that the line in the log shows.
    pub fn record(
        &self,
        log: &RequestLog<'_>,
        method: Method,
        path: &str,
        took: Duration,
        time: Timestamp,
    ) {
        let mut requests = self.lock();
        let is_full = requests.len() >= KEPT;
        let mut request = if is_full { requests.pop_front() } else { None }.unwrap_or_default();
        // Under the lock, so that the list is in the order of the numbers. One that somebody looks
        // at is left to them.
        let number = self.recorded.fetch_add(1, Ordering::Relaxed);
        if Arc::get_mut(&mut request).is_none() {
            request = Arc::default();
        }
        if let Some(place) = Arc::get_mut(&mut request) {
            place.fill(number, log, method, path, took, time);
        }
        self.events.publish(|| Event::Request(Arc::clone(&request)));
        requests.push_back(request);
    }

    /// How many were recorded so far.
    pub fn count(&self) -> i64 {
        self.recorded.load(Ordering::Relaxed)
    }

    /// All that are kept.
    pub fn newest_first(&self) -> Vec<Arc<RecordedRequest>> {
        self.lock().iter().rev().cloned().collect()
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<RecordedRequest>>> {
        self.kept.lock()
    }
}

/// A request that was answered. Each text is bounded.
#[derive(Debug, Default)]
pub struct RecordedRequest {
    /// Later ones have larger ones.
    pub number: i64,
    /// The operation's name, or `-`.
    pub operation: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// With the query, secrets masked.
    pub path: String,
    /// The user's name, or `-`.
    pub caller: String,
    /// The answer's status; 0 where the connection was cut on purpose.
    pub status: u16,
    /// The error code.
    pub code: Option<String>,
    /// The reason of a failure.
    pub message: Option<String>,
    /// How many bytes of the body arrived.
    pub body_bytes: u64,
    /// The body, where it may be kept: without secrets, and cut.
    pub body: Option<Arc<str>>,
    /// How long the answer took.
    pub took: Duration,
    /// When it arrived.
    pub time: Timestamp,
    /// The request's id.
    pub id: RequestId,
}

impl RecordedRequest {
    /// Becomes another request; its texts keep their room.
    fn fill(
        &mut self,
        number: i64,
        log: &RequestLog<'_>,
        method: Method,
        path: &str,
        took: Duration,
        time: Timestamp,
    ) {
        let failure = log.failure.as_ref();
        self.number = number;
        self.operation = log.operation;
        self.method = method;
        replace(&mut self.path, path);
        replace(&mut self.caller, beginning(log.caller, MAX_NAME));
        self.status = log.status;
        self.code = failure.map(|failure| beginning(&failure.code, MAX_NAME).to_owned());
        self.message = failure.map(|failure| beginning(&failure.reason, MAX_TEXT).to_owned());
        self.body_bytes = log.body_bytes;
        self.body.clone_from(&log.body);
        self.took = took;
        self.time = time;
        self.id = log.request_id;
    }

    /// The organization that the path names, or else the query.
    pub fn namespace(&self) -> Option<Cow<'_, str>> {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let management = path
            .strip_prefix("/v2/manage/")
            .or_else(|| path.strip_prefix("/v3/manage/"));
        let named = match management {
            Some(rest) => rest.strip_prefix("namespaces/"),
            None => path
                .strip_prefix("/v2/")
                .filter(|image| image.contains('/')),
        };
        if let Some(named) = named {
            let segment = named.split('/').next().unwrap_or_default();
            return Some(percent_decode_str(segment).decode_utf8_lossy());
        }
        form_urlencoded::parse(query.as_bytes())
            .find_map(|(name, value)| (name == "namespace").then_some(value))
    }
}

fn replace(text: &mut String, with: &str) {
    text.clear();
    text.push_str(with);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use http::Uri;

    use super::*;

    fn log(uri: &Uri) -> RequestLog<'_> {
        RequestLog {
            request_id: RequestId::new(0, 1),
            method: &Method::GET,
            uri,
            operation: "X",
            status: 200,
            started: Instant::now(),
            caller: "admin",
            body_bytes: 0,
            body: None,
            failure: None,
            is_recorded: true,
        }
    }

    fn kept(log: &RequestLog<'_>) -> RecordedRequest {
        let requests = Requests::default();
        record(&requests, log);
        let kept = requests.newest_first().pop().expect("it is kept");
        drop(requests);
        Arc::into_inner(kept).expect("nobody else has it")
    }

    fn record(requests: &Requests, log: &RequestLog<'_>) {
        let (method, path) = (log.short_method(), log.short_path());
        let time = Timestamp::from_microseconds(0);
        requests.record(log, method, &path, Duration::ZERO, time);
    }

    fn recorded(uri: &str) -> RecordedRequest {
        let uri = uri.parse().expect("a URI");
        kept(&log(&uri))
    }

    #[test]
    fn what_is_kept_of_a_request_is_bounded() {
        let long = recorded(&format!("/{}?{}", "x".repeat(600), "y".repeat(600)));
        assert_eq!(long.path.len(), 512);
        let method = Method::from_bytes("M".repeat(50_000).as_bytes()).expect("a method");
        let uri = Uri::from_static("/");
        let log = RequestLog {
            method: &method,
            ..log(&uri)
        };
        let kept = kept(&log);
        assert_eq!(kept.method.as_str(), "M".repeat(64));
    }

    #[test]
    fn the_organization_of_a_request_is_in_its_path_or_its_query() {
        let check = |uri: &str, expected: Option<&str>| {
            assert_eq!(recorded(uri).namespace().as_deref(), expected, "{uri}");
        };
        check("/v2/manage/namespaces/group", Some("group"));
        check("/v2/manage/namespaces/group/repos?limit=1", Some("group"));
        check("/v3/manage/namespaces/g%72oup/repos/a/tags", Some("group"));
        check("/v2/manage/namespaces", None);
        check("/v2/manage/repos?limit=1&namespace=group", Some("group"));
        check("/v2/manage/repos", None);
        check("/v2/group/a/b/tags/list", Some("group"));
        check("/v2/", None);
        check("/v2", None);
        check("/_emulator/explain?namespace=group&tag=1", Some("group"));
        let workload = "/_emulator/clusters/c/namespaces/default/deployments/a";
        check(workload, None);
    }

    #[test]
    fn the_newest_thousand_are_kept() {
        let requests = Requests::default();
        let uri = Uri::from_static("/");
        let ids = (0..KEPT as u64 + 5).map(|at| RequestId::new(0, at));
        for request_id in ids.clone() {
            let log = RequestLog {
                request_id,
                ..log(&uri)
            };
            record(&requests, &log);
        }
        let kept = requests.newest_first();
        let kept: Vec<_> = kept.iter().map(|request| request.id).collect();
        let newest: Vec<_> = ids.skip(5).collect();
        assert_eq!(kept, newest.into_iter().rev().collect::<Vec<_>>());
        requests.clear();
        assert!(requests.newest_first().is_empty());
    }

    #[test]
    fn a_request_that_somebody_looks_at_stays_what_it_is() {
        let requests = Requests::default();
        let uri = Uri::from_static("/");
        record(&requests, &log(&uri));
        let looked_at = requests.newest_first();
        let other = RequestLog {
            operation: "Y",
            ..log(&uri)
        };
        for _ in 0..KEPT {
            record(&requests, &other);
        }
        assert_eq!(looked_at[0].operation, "X");
        let kept = requests.newest_first();
        assert_eq!(kept.len(), KEPT);
        assert!(kept.iter().all(|request| request.operation == "Y"));
    }
}
