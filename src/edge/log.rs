//! The log line of a request, which `/_emulator/requests` tells again.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber, error, info};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::requests::Requests;
use crate::clock::{Clock, Timestamp};
use crate::error::one_line;
use crate::excerpt::beginning;
use crate::http::{Failure, RequestId};

/// How many characters of a method are told: all of those that there are, and not much of what
/// somebody made up.
const MAX_METHOD: usize = 64;
/// How many characters of a path are told, its query included.
const MAX_PATH: usize = 512;

/// What is logged of a request once it is answered, and what is recorded of it: never a credential,
/// and a body in the record only, without secrets.
#[derive(Debug)]
pub struct RequestLog<'a> {
    /// See [`RequestIds`](super::RequestIds).
    pub request_id: RequestId,
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
    /// The body, where the record may have it.
    pub body: Option<Arc<str>>,
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
    pub fn write(&self, requests: &Requests) {
        let Self {
            request_id,
            operation,
            status,
            caller,
            ..
        } = self;
        let (method, target) = (self.short_method(), self.short_path());
        let (path, query) = match self.uri.query().and_then(|_| target.split_once('?')) {
            Some((path, query)) => (path, Some(query)),
            None => (&*target, None),
        };
        let took = Took(self.started.elapsed());
        let (code, reason, is_ours) = match &self.failure {
            Some(failure) => (
                Some(failure.code.as_str()),
                Some(failure.reason.as_str()),
                failure.is_ours,
            ),
            None => (None, None, false),
        };
        let message = format_args!(
            "{status} {method} {target}  {operation} {took} {caller}{} {request_id}",
            FailureInLine(self.failure.as_ref())
        );
        // The names of OpenTelemetry's conventions for HTTP, and of our own where it has none.
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    http.request.method = method.as_str(),
                    url.path = path,
                    url.query = query,
                    http.response.status_code = status,
                    http.request.body.size = self.body_bytes,
                    http.server.request.duration = took.seconds(),
                    user.name = caller,
                    error.type = code,
                    error.message = reason,
                    swr.operation = operation,
                    request.id = request_id.as_str(),
                    "{message}"
                )
            };
        }
        if is_ours {
            line!(error);
        } else {
            line!(info);
        }
        if self.is_recorded {
            let elapsed = i64::try_from(took.0.as_micros()).unwrap_or(i64::MAX);
            let now = Clock::real_now().as_microsecond();
            let arrived = Timestamp::from_microseconds(now.saturating_sub(elapsed));
            requests.record(self, method, &target, took.0, arrived);
        }
    }
}

/// How long an answer took, which a line tells in milliseconds and their tenths.
struct Took(Duration);

impl Took {
    /// In seconds, to the microsecond.
    fn seconds(&self) -> f64 {
        (self.0.as_secs_f64() * 1e6).round() / 1e6
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0.as_micros() + 50) / 100;
        write!(f, "{}.{}ms", tenths / 10, tenths % 10)
    }
}

/// Code and reason of a failure, as they stand in a line.
struct FailureInLine<'a>(Option<&'a Failure>);

impl fmt::Display for FailureInLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Failure { code, reason, .. }) => write!(f, " {code}: {}", one_line(reason)),
            None => Ok(()),
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

/// Whether the name of a parameter or a field tells that its value is secret.
pub(super) fn is_secret(name: &str) -> bool {
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

/// The log's lines for people: the time of day (UTC), the level, the message, and the fields that
/// the message does not tell. Those that it tells have a dot in their names.
#[derive(Debug)]
pub struct LinesForPeople {
    /// Whether a line names the part of the program that wrote it.
    pub has_target: bool,
}

impl<S, N> FormatEvent<S, N> for LinesForPeople
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let time = TimeOfDay::now();
        if writer.has_ansi_escapes() {
            let color = match level {
                Level::ERROR => 31,
                Level::WARN => 33,
                Level::INFO => 32,
                _ => 34,
            };
            write!(writer, "\x1b[2m{time}\x1b[0m \x1b[{color}m{level}\x1b[0m ")?;
        } else {
            write!(writer, "{time} {level} ")?;
        }
        if self.has_target {
            write!(writer, "{}: ", event.metadata().target())?;
        }
        let mut line = Line::default();
        event.record(&mut line);
        line.write(&mut writer)?;
        writeln!(writer)
    }
}

/// The time of day (UTC), to the millisecond.
struct TimeOfDay(i64);

impl TimeOfDay {
    fn now() -> Self {
        const DAY: i64 = 24 * 60 * 60 * 1000;
        Self(Clock::real_now().as_millisecond().rem_euclid(DAY))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = *b"00:00:00.000";
        let mut rest = self.0;
        // From the last digit on, each by how many of its kind there are in the next one.
        for (at, base) in [
            (11, 10),
            (10, 10),
            (9, 10),
            (7, 10),
            (6, 6),
            (4, 10),
            (3, 6),
            (1, 10),
            (0, 10),
        ] {
            text[at] = b'0' + u8::try_from(rest % base).unwrap_or_default();
            rest /= base;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// The message, and the fields that it does not tell.
#[derive(Default)]
struct Line(String);

impl Line {
    /// Writes the line. A text that somebody else wrote does not command the terminal: control
    /// characters are written as escapes.
    fn write(&self, writer: &mut impl fmt::Write) -> fmt::Result {
        // Looked at as a whole, many bytes at once: nearly every line is plain.
        let is_plain = |byte: u8| byte.wrapping_sub(b' ') <= b'~' - b' ';
        if self
            .0
            .bytes()
            .fold(true, |plain, byte| plain & is_plain(byte))
        {
            return writer.write_str(&self.0);
        }
        for character in self.0.chars() {
            if character.is_control() {
                write!(writer, "{}", character.escape_default())?;
            } else {
                writer.write_char(character)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => {
                if self.0.is_empty() {
                    // Most are no longer than this.
                    self.0.reserve(192);
                }
                self.0.write_fmt(value)
            }
            told if told.contains('.') => Ok(()),
            name => write!(self.0, " {name}={value}"),
        };
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, format_args!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format_args!("{value:?}"));
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

    #[test]
    fn a_line_does_not_command_the_terminal() {
        let check = |text: &str, expected: &str| {
            let mut written = String::new();
            Line(text.to_owned()).write(&mut written).expect("written");
            assert_eq!(written, expected);
        };
        check("fired on-push: success", "fired on-push: success");
        check("größer → default", "größer → default");
        check("a\u{1b}[2Jb\u{9b}1m\n", "a\\u{1b}[2Jb\\u{9b}1m\\n");
    }

    #[test]
    fn a_time_of_day_has_milliseconds() {
        let check = |milliseconds: i64, expected: &str| {
            assert_eq!(TimeOfDay(milliseconds).to_string(), expected);
        };
        check(0, "00:00:00.000");
        check(86_399_999, "23:59:59.999");
        check(36_610_045, "10:10:10.045");
    }
}
