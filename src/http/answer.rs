//! Successful answers.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_RANGE, CONTENT_TYPE, LINK};
use http::{HeaderValue, StatusCode, Uri};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::error::Error;
use crate::page::Page;

/// The parameter that a page begins after.
const MARKER: &str = "marker";

/// A JSON body with its status.
#[derive(Debug)]
pub struct JsonResponse<T>(pub StatusCode, pub T);

impl<T: Serialize> IntoResponse for JsonResponse<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.1) {
            Ok(body) => json(self.0, body),
            Err(error) => Error::internal(error).into_response(),
        }
    }
}

/// `[]`, where nothing else is ever answered.
#[derive(Debug, Clone, Copy)]
pub struct EmptyList;

impl Serialize for EmptyList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq::<[(); 0]>([])
    }
}

impl JsonSchema for EmptyList {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "EmptyList".into()
    }

    // Generators of clients want to know of every list what it holds.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "array", "items": {}, "maxItems": 0})
    }
}

/// `{}`, which SWR answers to writes: an empty body breaks Terraform.
pub fn empty_object(status: StatusCode) -> Response {
    json(status, "{}")
}

/// A body that is JSON already.
pub fn json(status: StatusCode, body: impl IntoResponse) -> Response {
    let mut response = (status, body).into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The header `Content-Range: {offset}-{count on this page}/{total}` of SWR's lists.
#[derive(Debug, Clone, Copy)]
pub struct ContentRange {
    /// How many entries were skipped.
    offset: u64,
    /// How many are on this page.
    count: usize,
    /// How many there are in all.
    total: i64,
}

impl ContentRange {
    /// The header's text, for the document of the API.
    pub const MEANING: &str = "`{offset}-{count on this page}/{total}`";

    /// The range of a page that has `count` entries.
    pub fn of(page: Page, count: usize, total: i64) -> Self {
        Self {
            offset: page.offset.unsigned_abs(),
            count,
            total,
        }
    }

    /// The answer with the header set.
    pub fn on(self, answer: impl IntoResponse) -> Response {
        let mut response = answer.into_response();
        let value = format!("{}-{}/{}", self.offset, self.count, self.total);
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(CONTENT_RANGE, value);
        }
        response
    }
}

/// The header `Link: <…>; rel="next"`, which leads from a page of a list to the next one: the
/// same request with another `marker`.
#[derive(Debug)]
pub struct NextPage(Option<String>);

impl NextPage {
    /// What the header says, for the document of the API.
    pub const MEANING: &str = "`<…>; rel=\"next\"`: the next page, if there is one.";

    /// The page after the one that a request got, from a marker on; none where that was the last.
    pub fn of(request: &Uri, marker: Option<impl ToString>) -> Self {
        Self(marker.map(|marker| {
            let query = request.query().unwrap_or_default();
            let kept = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key != MARKER);
            let path = format!("{}?", request.path());
            let query_at = path.len();
            let mut next = form_urlencoded::Serializer::for_suffix(path, query_at);
            next.extend_pairs(kept);
            next.append_pair(MARKER, &marker.to_string());
            format!("<{}>; rel=\"next\"", next.finish())
        }))
    }

    /// The answer with the header set.
    pub fn on(self, answer: impl IntoResponse) -> Response {
        let mut response = answer.into_response();
        if let Some(value) = self.0.and_then(|link| HeaderValue::try_from(link).ok()) {
            response.headers_mut().insert(LINK, value);
        }
        response
    }
}

/// Cuts a list, which was read one entry further than its page, to the page; the marker of the
/// last entry where there is more.
pub fn cut_to_page<T, M>(
    entries: &mut Vec<T>,
    limit: u32,
    marker: impl FnOnce(&T) -> M,
) -> Option<M> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if entries.len() <= limit {
        return None;
    }
    entries.truncate(limit);
    entries.last().map(marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_same_request_with_another_marker() {
        let check = |uri: &str, marker: Option<&str>, expected: Option<&str>| {
            let uri = uri.parse().expect("a URI");
            let response = NextPage::of(&uri, marker).on(StatusCode::OK);
            let link = response.headers().get(LINK);
            let link = link.map(|value| value.to_str().expect("ASCII"));
            assert_eq!(link, expected, "{uri}");
        };
        check("/x?limit=1", None, None);
        check("/x", Some("7"), Some("</x?marker=7>; rel=\"next\""));
        check(
            "/x?tag=a%26b&marker=7&limit=1",
            Some("c/d e"),
            Some("</x?tag=a%26b&limit=1&marker=c%2Fd+e>; rel=\"next\""),
        );
    }

    #[test]
    fn a_list_is_cut_to_its_page_and_says_where_to_go_on() {
        let check = |length: u32, expected: (usize, Option<u32>)| {
            let mut entries: Vec<_> = (0..length).collect();
            let next = cut_to_page(&mut entries, 3, |last| *last);
            assert_eq!((entries.len(), next), expected, "{length}");
        };
        check(0, (0, None));
        check(3, (3, None));
        check(4, (3, Some(2)));
    }
}
