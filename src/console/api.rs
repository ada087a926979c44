//! The HTTP of the console. Frame, scripts and styles need no credentials: they hold no state.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use schemars::json_schema;
use sha2::{Digest, Sha256};

use super::{ASSETS, Asset, FRAME};
use crate::app::{App, Routes};
use crate::auth::BUILTIN_TOKEN;
use crate::error::{Error, Result};
use crate::guide::{Site, site_links};
use crate::http::{OWN_PATHS, Operation, OperationDoc, Param, Path};
use crate::nearest::nearest;

/// A script or a style of the page.
const FILE: &str = "/_emulator/console/{file}";
const FOLDER: &str = "/_emulator/console/";

/// The page may load from the emulator that it came from, and ask only that.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The operations of this chapter.
pub fn routes() -> Routes {
    let file_of_page = Operation::new("EmulatorConsoleFile", Method::GET, FILE);
    let file_of_page = file_of_page.open_to_all().unrecorded();
    Routes::of("Emulator").route(file_of_page, file, file_doc)
}

fn file_doc() -> OperationDoc {
    let names: Vec<_> = ASSETS.iter().map(|asset| asset.name).collect();
    let names = json_schema!({"type": "string", "enum": names});
    OperationDoc::new("Shows a script or a style of the console.")
        .variables([Param::new("file", "The name of the file.", names)])
        .answers_text("text/javascript")
        .answers_text("text/css")
        .refuses([no_file("x")])
}

/// `EmulatorConsoleFile`
async fn file(headers: HeaderMap, Path(name): Path<String>) -> Result<Response> {
    let found = SERVED.iter().find(|(asset, _)| asset.name == name);
    let (asset, tag) = found.ok_or_else(|| no_file(&name))?;
    let media_type = if asset.is_script() {
        "text/javascript; charset=utf-8"
    } else {
        "text/css; charset=utf-8"
    };
    let content = Bytes::from_static(asset.content);
    Ok(answer(&headers, tag, media_type, content))
}

fn no_file(name: &str) -> Error {
    let meant = nearest(name, ASSETS.iter().map(|asset| asset.name));
    let hint = meant.map_or_else(
        || format!("its files are named at {OWN_PATHS}"),
        |name| format!("did you mean {FOLDER}{name}?"),
    );
    Error::NoSuchApi(format!("the console has no such file; {hint}"))
}

/// The files with their entity tags.
static SERVED: LazyLock<Vec<(&Asset, HeaderValue)>> = LazyLock::new(|| {
    let assets = ASSETS.iter();
    assets
        .map(|asset| (asset, entity_tag(asset.content)))
        .collect()
});

/// What says that a content is the one that the browser has.
fn entity_tag(content: &[u8]) -> HeaderValue {
    let digest = hex::encode(&Sha256::digest(content)[..16]);
    HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// A content, or that it is still the same.
fn answer(
    headers: &HeaderMap,
    tag: &HeaderValue,
    media_type: &'static str,
    content: Bytes,
) -> Response {
    let known = headers.get_all(IF_NONE_MATCH).iter();
    let mut known = known.filter_map(|value| value.to_str().ok());
    let is_known = known.any(|tags| {
        let mut tags = tags
            .split(',')
            .map(|tag| tag.trim().trim_start_matches("W/"));
        tags.any(|known| known.as_bytes() == tag.as_bytes())
    });
    // Asked about each time, so that a new version of the program shows its own page.
    let same = [
        (ETAG, tag.clone()),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    if is_known {
        return (StatusCode::NOT_MODIFIED, same).into_response();
    }
    let of_content = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (same, of_content, content).into_response()
}

/// The page for a browser. It offers the token of the built-in account where everybody who reaches
/// the listener is on this machine anyway.
pub fn frame(app: &App, headers: &HeaderMap) -> Response {
    let region = app.regions.get(&app.region);
    let is_local = region.is_some_and(|region| region.address.ip().is_loopback());
    let token = if is_local && app.directory.builtin_admin().is_some() {
        BUILTIN_TOKEN
    } else {
        ""
    };
    let styles = ASSETS.iter().filter(|asset| !asset.is_script());
    let styles = styles.map(|asset| {
        let name = asset.name;
        format!("<link rel=\"stylesheet\" href=\"{FOLDER}{name}\">\n")
    });
    let html = FRAME
        .replace("<!-- builtin -->", token)
        .replace("<!-- version -->", env!("CARGO_PKG_VERSION"))
        .replace("<!-- style -->\n", &styles.collect::<String>())
        .replace("<!-- site -->", &site_links(Site::Console))
        .replace("<!-- run -->\n", "")
        .replace(
            "<!-- script -->",
            &format!("<script type=\"module\" src=\"{FOLDER}main.js\"></script>"),
        );
    let tag = entity_tag(html.as_bytes());
    let mut response = answer(headers, &tag, "text/html; charset=utf-8", html.into());
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        // The same path has a list for programs.
        (VARY, "Accept"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_that_the_browser_has_is_not_sent_again() {
        let tag = entity_tag(b"x");
        let asked = |known: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, known.parse().expect("a header"));
            answer(&headers, &tag, "text/css", Bytes::from_static(b"x")).status()
        };
        let tag = tag.to_str().expect("a text");
        assert_eq!(asked(tag), StatusCode::NOT_MODIFIED);
        assert_eq!(asked(&format!("\"a\", W/{tag}")), StatusCode::NOT_MODIFIED);
        assert_eq!(asked("\"a\""), StatusCode::OK);
    }
}
