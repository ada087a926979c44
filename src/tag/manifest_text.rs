//! Answers that show tags with the text of their manifests. A page of tags can show gigabytes of
//! it, so the texts are read while the answer goes out: small ones together, a large one in slices.
//! What the answer says beside them is the business of `api`.

use std::collections::{HashMap, VecDeque};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use serde::Serialize;

use crate::db::Readers;
use crate::error::{Error, Result};
use crate::http::json;
use crate::image::store::{find_content_slice, list_contents};

/// How many bytes of manifests are in memory at once.
const AT_ONCE: i64 = 64 * 1024;
/// How many bytes of an answer are handed on together.
const PART: usize = 64 * 1024;
/// The field of a view that shows the text, as it is written while it is empty. No text in JSON
/// holds this: there, quotation marks are escaped.
const EMPTY_FIELD: &str = r#""manifest":"""#;

/// The manifest that a tag shows.
#[derive(Debug, Clone)]
pub(super) struct ShownManifest {
    pub(super) digest: String,
    pub(super) size: i64,
}

/// Answers with a view whose fields `manifest` are empty, and shows these manifests in their
/// place, in the order of the fields. One that goes away meanwhile is shown as empty.
pub(super) async fn answer(
    db: &Readers,
    repository_id: i64,
    view: &impl Serialize,
    shown: Vec<ShownManifest>,
) -> Result<Response> {
    let text = serde_json::to_string(view).map_err(Error::internal)?;
    let is_small = shown.iter().map(|manifest| manifest.size).sum::<i64>() <= AT_ONCE;
    let mut writer = Writer {
        db: db.clone(),
        repository_id,
        text,
        written: 0,
        shown: shown.into(),
        is_within: false,
        first: 0,
        contents: HashMap::new(),
    };
    if is_small {
        let mut body = Vec::new();
        while let Some(part) = writer.next().await? {
            body.extend_from_slice(&part);
        }
        return Ok(json(StatusCode::OK, body));
    }
    let parts = stream::try_unfold(writer, async |mut writer| {
        let part = writer.next().await?;
        Ok::<_, Error>(part.map(|part| (part, writer)))
    });
    Ok(json(StatusCode::OK, Body::from_stream(parts)))
}

/// What is left to be written of an answer.
struct Writer {
    db: Readers,
    repository_id: i64,
    /// The view, and how much of it is written.
    text: String,
    written: usize,
    /// The manifests whose fields are in there.
    shown: VecDeque<ShownManifest>,
    /// Whether the field of the first one comes next, which is written from one of its
    /// bytes on.
    is_within: bool,
    first: i64,
    /// Small manifests that were read ahead.
    contents: HashMap<String, Vec<u8>>,
}

impl Writer {
    /// The next part of the answer; none at its end.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let mut part = Vec::new();
        while part.len() < PART {
            if self.is_within {
                self.write_manifest(&mut part).await?;
                continue;
            }
            let rest = &self.text[self.written..];
            let end = match self.shown.front() {
                None => rest.len(),
                Some(_) => {
                    let at = rest.find(EMPTY_FIELD);
                    let at = at.ok_or_else(|| Error::internal("a view shows no manifest"))?;
                    self.is_within = true;
                    // Before the last quotation mark.
                    at + EMPTY_FIELD.len() - 1
                }
            };
            if end == 0 {
                break;
            }
            part.extend_from_slice(&rest.as_bytes()[..end]);
            self.written += end;
        }
        Ok((!part.is_empty()).then(|| part.into()))
    }

    /// Writes the first manifest, or as much of it as may be in memory.
    async fn write_manifest(&mut self, part: &mut Vec<u8>) -> Result<()> {
        let Some(manifest) = self.shown.front().cloned() else {
            self.is_within = false;
            return Ok(());
        };
        let next = if manifest.size <= AT_ONCE {
            if !self.contents.contains_key(&manifest.digest) {
                self.read_ahead().await?;
            }
            if let Some(content) = self.contents.get(&manifest.digest) {
                write_text(part, content)?;
            }
            None
        } else {
            self.write_slice(part, &manifest).await?
        };
        self.first = next.unwrap_or_default();
        if next.is_none() {
            self.shown.pop_front();
            self.is_within = false;
        }
        Ok(())
    }

    /// Reads the first manifest, a small one, and with it those that come next, as many as may be
    /// in memory.
    async fn read_ahead(&mut self) -> Result<()> {
        let mut bytes = 0;
        let mut digests: Vec<&str> = Vec::new();
        for manifest in &self.shown {
            if digests.contains(&manifest.digest.as_str()) {
                continue;
            }
            bytes += manifest.size;
            if bytes > AT_ONCE {
                break;
            }
            digests.push(&manifest.digest);
        }
        self.contents = list_contents(&self.db, self.repository_id, &digests).await?;
        Ok(())
    }

    /// Writes some of a large manifest; where the rest of it begins, if there is one.
    async fn write_slice(
        &self,
        part: &mut Vec<u8>,
        manifest: &ShownManifest,
    ) -> Result<Option<i64>> {
        let Self {
            db,
            repository_id,
            first,
            ..
        } = self;
        let slice =
            find_content_slice(db, *repository_id, &manifest.digest, *first, AT_ONCE).await?;
        let slice = slice.unwrap_or_default();
        // A character that goes on in the next slice is left to that one.
        let whole = match std::str::from_utf8(&slice) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => slice.len(),
        };
        write_text(part, &slice[..whole])?;
        let next = first + i64::try_from(whole).map_err(Error::internal)?;
        Ok((whole > 0 && next < manifest.size).then_some(next))
    }
}

/// Writes bytes as the inside of a string in JSON.
fn write_text(part: &mut Vec<u8>, content: &[u8]) -> Result<()> {
    let text = serde_json::to_vec(&String::from_utf8_lossy(content)).map_err(Error::internal)?;
    part.extend_from_slice(&text[1..text.len() - 1]);
    Ok(())
}
