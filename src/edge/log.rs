//! The log line of a request, which `/_emulator/requests` tells again.

use std::borrow::Cow;
use std::fmt;
use std::time::Instant;

use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use tracing::field::{Field, Visit};
use tracing::{error, info};
use tracing_subscriber::field::{RecordFields, VisitOutput};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

use crate::clock::{Clock, Moment};
use crate::control::Requests;
use crate::excerpt::beginning;
use crate::http::Failure;

/// How many characters of a method are told: all of those that there are, and not much of what
/// somebody made up.
const MAX_METHOD: usize = 64;
/// How many characters of a path are told, its query included.
const MAX_PATH: usize = 512;

/// What is logged of a request once it is answered. Never a credential, never a body.
#[derive(Debug)]
pub struct RequestLog<'a> {
    /// See [`RequestIds`](super::RequestIds).
    pub request_id: &'a str,
    /// The HTTP method.
    pub method: &'a Method,
    /// Where the request went. Its query can hold credentials.
    pub uri: &'a Uri,
    /// The operation's name, or `-`.
    pub operation: &'static str,
    /// The answer's status; 0 where the connection was cut on purpose, as clients count it.
    pub status: u16,
    /// When the request arrived.
    pub started: Instant,
    /// The user's name, or `-`.
    pub caller: &'a str,
    /// How many bytes of the body arrived.
    pub body_bytes: u64,
    /// Why it was not served.
    pub failure: Option<Failure>,
    /// Whether `/_emulator/requests` tells of it.
    pub is_recorded: bool,
}

impl RequestLog<'_> {
    /// The method as it is told and remembered: a client can make one up that fills a head.
    pub fn short_method(&self) -> Method {
        let text = self.method.as_str();
        let short = beginning(text, MAX_METHOD);
        if short.len() == text.len() {
            return self.method.clone();
        }
        // The beginning of a token is a token.
        Method::from_bytes(short.as_bytes()).unwrap_or_default()
    }

    /// Path and query as they are told and remembered: without secrets, and cut.
    pub fn short_path(&self) -> Cow<'_, str> {
        match masked(self.uri) {
            Cow::Borrowed(path) => Cow::Borrowed(beginning(path, MAX_PATH)),
            Cow::Owned(path) => Cow::Owned(beginning(&path, MAX_PATH).to_owned()),
        }
    }

    /// Writes the line, a failure of ours as an error and all else as information, and lets the
    /// instance remember the request.
    pub fn write(&self, clock: &Clock, requests: &Requests) {
        let Self {
            request_id,
            operation,
            status,
            caller,
            ..
        } = self;
        let (method, path) = (self.short_method(), self.short_path());
        let elapsed = self.started.elapsed();
        let milliseconds = (elapsed.as_secs_f64() * 1e6).round() / 1e3;
        match &self.failure {
            Some(failure @ Failure { code, reason, .. }) if failure.is_ours => error!(
                %method, %path, status, operation, milliseconds, caller, code, reason, request_id,
                "{method} {path} {status}"
            ),
            Some(Failure { code, reason, .. }) => info!(
                %method, %path, status, operation, milliseconds, caller, code, reason, request_id,
                "{method} {path} {status}"
            ),
            None => info!(
                %method, %path, status, operation, milliseconds, caller, request_id,
                "{method} {path} {status}"
            ),
        }
        if self.is_recorded {
            let elapsed = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
            let now = clock.real_now().as_microsecond();
            let arrived = Moment::from_microseconds(now.saturating_sub(elapsed));
            requests.record(self, milliseconds, arrived);
        }
    }
}

/// Path and query without secrets: what asks for a token keeps what the token is for, every other
/// query all but the values whose names tell that they are secret.
fn masked(uri: &Uri) -> Cow<'_, str> {
    let path = uri.path();
    let Some(query) = uri.query() else {
        return Cow::Borrowed(path);
    };
    let is_for_token = path.starts_with("/swr/auth/") || path.starts_with("/v3/auth/");
    let mut text = format!("{path}?");
    for (at, pair) in query.split('&').enumerate() {
        if at > 0 {
            text.push('&');
        }
        match pair.split_once('=') {
            Some(("service" | "scope", _)) if is_for_token => text.push_str(pair),
            _ if is_for_token => text.push_str("***"),
            Some((name, _)) if is_secret(name) => {
                text.push_str(name);
                text.push_str("=***");
            }
            _ => text.push_str(pair),
        }
    }
    Cow::Owned(text)
}

fn is_secret(name: &str) -> bool {
    const TELLING: [&str; 6] = [
        "token",
        "password",
        "secret",
        "signature",
        "credential",
        "authorization",
    ];
    let name = percent_decode_str(name).decode_utf8_lossy();
    let name = name.to_ascii_lowercase();
    TELLING.iter().any(|word| name.contains(word))
}

/// How the log's lines for people write their fields: that of a request without those which its
/// message tells. Programs read each as a field of its own.
#[derive(Debug)]
pub struct FieldsForPeople;

impl<'writer> FormatFields<'writer> for FieldsForPeople {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut untold = Untold {
            fields: DefaultVisitor::new(writer, true),
            is_request: false,
        };
        fields.record(&mut untold);
        untold.fields.finish()
    }
}

/// Writes the fields that the message does not tell.
struct Untold<'writer> {
    fields: DefaultVisitor<'writer>,
    /// Whether it is the line of a request, which alone has a method, before all else.
    is_request: bool,
}

impl Visit for Untold<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.record_str(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.fields.record_error(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "method" => self.is_request = true,
            "path" | "status" if self.is_request => {}
            _ => self.fields.record_debug(field, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_keeps_its_query_but_for_secrets() {
        let check = |uri: &str, expected: &str| {
            let uri: Uri = uri.parse().expect("a URI");
            assert_eq!(masked(&uri), expected);
        };
        check("/v2/manage/repos", "/v2/manage/repos");
        check(
            "/v2/manage/repos?namespace=group&limit=1",
            "/v2/manage/repos?namespace=group&limit=1",
        );
        check(
            "/v2/manage/repos?X-Auth-Token=hidden&limit=1&sk_secret=hidden",
            "/v2/manage/repos?X-Auth-Token=***&limit=1&sk_secret=***",
        );
        check(
            "/x?X-Sdk-Signature=hidden=&pass%77ord=hidden&token",
            "/x?X-Sdk-Signature=***&pass%77ord=***&token",
        );
        check(
            "/swr/auth/v2/registry/auth/?account=hidden&service=s&scope=repository:a/b:pull&hidden",
            "/swr/auth/v2/registry/auth/?***&service=s&scope=repository:a/b:pull&***",
        );
        check("/v3/auth/tokens?nocatalog=1", "/v3/auth/tokens?***");
    }
}
