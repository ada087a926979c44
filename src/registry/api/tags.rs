//! The list of a repository's tags.

use std::sync::Arc;

use axum::response::Response;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, LINK};
use serde::Serialize;

use super::super::access::Actions;
use super::super::error::RegistryError;
use super::{Call, add_headers};
use crate::answers::Answer;
use crate::db::Version;
use crate::http::cut_to_page;
use crate::image::ImagePath;
use crate::tag;

/// Tags on a page, at the most.
const MOST: u32 = 10_000;

impl Call<'_> {
    /// In the order of their names; `n` and `last` page, and the header `Link` leads on.
    pub(super) async fn list_tags(&self, path: &ImagePath) -> Result<Response, RegistryError> {
        let since = self.since();
        let admitted = self.admit(path, Actions::PULL).await?;
        let repository_id = admitted.repository()?.id;
        let answer = match self.ready(since) {
            Some(answer) => answer,
            None => self.read_tags(path, repository_id, since).await?,
        };
        Ok(self.send(&answer))
    }

    async fn read_tags(
        &self,
        path: &ImagePath,
        repository_id: i64,
        since: Version,
    ) -> Result<Arc<Answer>, RegistryError> {
        let limit = self.limit(MOST)?;
        let last = self.query("last").unwrap_or_default();
        let db = self.app.db.readers();
        let mut tags = tag::store::list_names(db, repository_id, &last, limit + 1).await?;
        let next = cut_to_page(&mut tags, limit, |last| {
            let last: String = form_urlencoded::byte_serialize(last.as_bytes()).collect();
            format!("</v2/{path}/tags/list?n={limit}&last={last}>; rel=\"next\"")
        });
        let name = path.to_string();
        let view =
            serde_json::to_vec(&TagsView { name, tags }).map_err(crate::error::Error::internal)?;
        let mut headers = HeaderMap::new();
        add_headers(
            &mut headers,
            &[(CONTENT_TYPE, "application/json".to_owned())],
        );
        if let Some(next) = next {
            add_headers(&mut headers, &[(LINK, next)]);
        }
        Ok(self.keep(repository_id, since, headers, view.into()))
    }
}

#[derive(Serialize)]
struct TagsView {
    name: String,
    tags: Vec<String>,
}
