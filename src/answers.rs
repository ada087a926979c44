//! Answers that are ready: the bytes of successful GETs, kept for the next request for the same
//! path.
//!
//! A handler says that its answer may be kept, what it was read from, and who may see it
//! ([`keep`]). The edge keeps it under the count of commits from before the handler read anything,
//! and sends it again for as long as nothing of that was written ([`crate::db::Versions`] has the
//! proof). The rights of a caller are asked at each request: those that an organization or a
//! repository grants are part of what was read, so an answer is old as soon as one of them changes.

use std::fmt;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter};

use crate::auth::Caller;
use crate::db::{Subject, Version, Versions};

/// The largest answer that is kept, in bytes: a longer one is not worth the room of many others.
const MAX_BODY: usize = 256 * 1024;
/// How much room an answer takes besides its body and its path, in bytes.
const OVERHEAD: u64 = 512;
/// How many answers are expected; there is room for as many as fit.
const EXPECTED: usize = 128;

/// That an answer may be kept, which a handler leaves with it.
#[derive(Clone)]
pub struct Keep {
    /// The subject that it was read from; none where only a write of all can change it.
    subject: Option<Subject>,
    /// Whether a caller may see it.
    allows: Arc<dyn Fn(&Caller) -> bool + Send + Sync>,
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keep").field(&self.subject).finish()
    }
}

impl Keep {
    /// An answer whose callers are nobody that the management API knows.
    pub fn for_nobody(subject: Subject) -> Self {
        Self {
            subject: Some(subject),
            allows: Arc::new(|_| false),
        }
    }
}

/// An answer that may be kept: it is the same for all callers whom it may be shown to, and changes
/// only when the subject is written, or something is that does not say what it touches.
pub fn keep(
    subject: Option<Subject>,
    allows: impl Fn(&Caller) -> bool + Send + Sync + 'static,
    answer: impl IntoResponse,
) -> Response {
    let allows = Arc::new(allows);
    let mut response = answer.into_response();
    response.extensions_mut().insert(Keep { subject, allows });
    response
}

/// An answer that may be kept if the caller is an administrator: it is the same for all of the
/// account.
pub fn for_administrators(
    caller: &Caller,
    subject: Option<Subject>,
    answer: impl IntoResponse,
) -> Response {
    if !caller.is_admin() {
        return answer.into_response();
    }
    let account_id = caller.account_id().to_owned();
    let allows = move |asking: &Caller| asking.is_admin() && asking.account_id() == account_id;
    keep(subject, allows, answer)
}

/// An answer that was kept.
#[derive(Debug)]
pub struct Answer {
    /// The operation's name.
    pub operation: &'static str,
    /// Its headers, but for those of a single request.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The count of commits from before it was read.
    pub since: Version,
    /// What its handler said.
    pub keep: Keep,
}

impl Answer {
    /// Whether it would be read the same now.
    pub fn is_current(&self, versions: &Versions) -> bool {
        versions.is_current(self.keep.subject, self.since)
    }

    /// Whether this caller may see it.
    pub fn is_for(&self, caller: &Caller) -> bool {
        (self.keep.allows)(caller)
    }
}

/// The answers of one listener that are ready, up to a number of bytes; of more, those go that were
/// not asked for lately.
#[derive(Debug)]
pub struct Answers(Option<Cache<Path, Arc<Answer>, Weight>>);

impl Answers {
    /// Room for so many bytes; 0 keeps nothing.
    pub fn new(bytes: u64) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(EXPECTED)
            .weight_capacity(bytes)
            // One lock: what is done under it takes less than it takes to find the right one.
            .shards(1)
            .build()
            .ok()
            .filter(|_| bytes > 0);
        Self(options.map(|options| {
            Cache::with_options(
                options,
                Weight,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            )
        }))
    }

    /// Whether anything is ever kept.
    pub fn keeps(&self) -> bool {
        self.0.is_some()
    }

    /// The answer to a GET of this path.
    pub fn find(&self, path: &str) -> Option<Arc<Answer>> {
        self.0.as_ref()?.get(&Asked(path))
    }

    /// Keeps the answer to a GET of this path, unless it is too large.
    pub fn put(&self, path: &str, answer: Arc<Answer>) {
        if let Some(kept) = &self.0
            && is_short(answer.body.len() as u64)
        {
            kept.insert(Path(path.into()), answer);
        }
    }

    /// Forgets all, for what they take to be used for something else.
    pub fn clear(&self) {
        if let Some(kept) = &self.0 {
            kept.clear();
        }
    }
}

/// Whether an answer of so many bytes is worth keeping.
pub fn is_short(bytes: u64) -> bool {
    bytes <= MAX_BODY as u64
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Path(Box<str>);

#[derive(Hash)]
struct Asked<'a>(&'a str);

impl Equivalent<Path> for Asked<'_> {
    fn equivalent(&self, key: &Path) -> bool {
        *self.0 == *key.0
    }
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Path, Arc<Answer>> for Weight {
    fn weight(&self, path: &Path, answer: &Arc<Answer>) -> u64 {
        (path.0.len() + answer.body.len()) as u64 + OVERHEAD
    }
}
