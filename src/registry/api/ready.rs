//! Answers of the registry that are ready (`crate::answers`). Whether the caller may have one is
//! asked before, as for any other; who pulls a manifest is counted as ever.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;

use super::Call;
use crate::answers::{Answer, Keep};
use crate::db::Version;
use crate::repository;

impl Call<'_> {
    /// The count of commits to keep an answer under, taken before anything is looked up or read.
    pub(super) fn since(&self) -> Version {
        self.app.db.versions().now()
    }

    /// The answer to a request for this path, as it would be read now. The caller was let in since
    /// `since`: what was reset meanwhile is not what he was let in to.
    pub(super) fn ready(&self, since: Version) -> Option<Arc<Answer>> {
        let uri = &self.parts.uri;
        let found = self.app.answers.find(uri.path())?;
        let versions = self.app.db.versions();
        let is_of_now = found.is_current(versions) && versions.is_current(None, since);
        (uri.query().is_none() && is_of_now).then_some(found)
    }

    /// Keeps what was read from a repository for the next request for this path.
    pub(super) fn keep(
        &self,
        repository_id: i64,
        since: Version,
        headers: HeaderMap,
        body: Bytes,
    ) -> Arc<Answer> {
        let answer = Arc::new(Answer {
            operation: self.trace.operation(),
            headers,
            body,
            since,
            // The edge does not know who may have it.
            keep: Keep::for_nobody(repository::store::subject(repository_id)),
        });
        if self.parts.uri.query().is_none() {
            self.app
                .answers
                .put(self.parts.uri.path(), Arc::clone(&answer));
        }
        answer
    }

    /// An answer, for a HEAD without its body.
    pub(super) fn send(&self, answer: &Answer) -> Response {
        let body = if self.is_head() {
            Body::empty()
        } else {
            Body::from(answer.body.clone())
        };
        let mut response = Response::new(body);
        response.headers_mut().clone_from(&answer.headers);
        response
    }
}
