//! Answers that show tags with the text of their manifests. A page of tags can show gigabytes of
//! it, so the texts are read while the answer goes out: small ones together, a large one in slices.
//! What the answer says beside them is the business of `api`.

use std::collections::{HashMap, VecDeque};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use serde::Serialize;

use crate::db::Readers;
use crate::error::{Error, Result};
use crate::http::json;
use crate::registry::store::{find_content_slice, list_contents};

/// How many bytes of manifests are in memory at once.
const AT_ONCE: i64 = 64 * 1024;
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
        pieces: pieces(&text, shown)?,
        contents: HashMap::new(),
    };
    if is_small {
        let mut body = Vec::with_capacity(text.len());
        while let Some(part) = writer.next().await? {
            body.extend_from_slice(&part);
        }
        return Ok(json(StatusCode::OK, body).into_response());
    }
    let parts = stream::try_unfold(writer, async |mut writer| {
        let part = writer.next().await?;
        Ok::<_, Error>(part.map(|part| (Bytes::from(part), writer)))
    });
    Ok(json(StatusCode::OK, Body::from_stream(parts)))
}

/// A piece of an answer.
#[derive(Debug)]
enum Piece {
    Text(String),
    /// A manifest's text, from one of its bytes on.
    Manifest {
        manifest: ShownManifest,
        first: i64,
    },
}

/// The answer as far as it is known, and between it the manifests.
fn pieces(text: &str, shown: Vec<ShownManifest>) -> Result<VecDeque<Piece>> {
    let mut pieces = VecDeque::with_capacity(2 * shown.len() + 1);
    let mut rest = text;
    for manifest in shown {
        let found = rest.find(EMPTY_FIELD);
        let at = found.ok_or_else(|| Error::internal("a view shows no manifest"))?;
        // Before the last quotation mark.
        let (before, after) = rest.split_at(at + EMPTY_FIELD.len() - 1);
        pieces.push_back(Piece::Text(before.to_owned()));
        pieces.push_back(Piece::Manifest { manifest, first: 0 });
        rest = after;
    }
    pieces.push_back(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

struct Writer {
    db: Readers,
    repository_id: i64,
    pieces: VecDeque<Piece>,
    /// Small manifests that were read ahead.
    contents: HashMap<String, Vec<u8>>,
}

impl Writer {
    /// The next part of the answer; none at its end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut part = Vec::new();
        while let Some(piece) = self.pieces.pop_front() {
            match piece {
                Piece::Text(text) => part.extend_from_slice(text.as_bytes()),
                Piece::Manifest { manifest, .. } if manifest.size <= AT_ONCE => {
                    if !self.contents.contains_key(&manifest.digest) {
                        self.read_ahead(&manifest).await?;
                    }
                    if let Some(content) = self.contents.get(&manifest.digest) {
                        write_text(&mut part, content)?;
                    }
                }
                Piece::Manifest { manifest, first } => {
                    let rest = self.write_slice(&mut part, manifest, first).await?;
                    if let Some(rest) = rest {
                        self.pieces.push_front(rest);
                    }
                }
            }
            if part.len() as i64 >= AT_ONCE {
                break;
            }
        }
        Ok((!part.is_empty()).then_some(part))
    }

    /// Reads a small manifest, and with it those that come next, as many as may be in memory.
    async fn read_ahead(&mut self, next: &ShownManifest) -> Result<()> {
        let mut bytes = next.size;
        let mut digests = vec![next.digest.as_str()];
        for piece in &self.pieces {
            let Piece::Manifest { manifest, .. } = piece else {
                continue;
            };
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

    /// Writes some of a large manifest; what is left of it.
    async fn write_slice(
        &self,
        part: &mut Vec<u8>,
        manifest: ShownManifest,
        first: i64,
    ) -> Result<Option<Piece>> {
        let slice = find_content_slice(
            &self.db,
            self.repository_id,
            &manifest.digest,
            first,
            AT_ONCE,
        )
        .await?;
        let slice = slice.unwrap_or_default();
        // A character that goes on in the next slice is left to that one.
        let whole = match std::str::from_utf8(&slice) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => slice.len(),
        };
        write_text(part, &slice[..whole])?;
        let first = first + i64::try_from(whole).map_err(Error::internal)?;
        let is_left = whole > 0 && first < manifest.size;
        Ok(is_left.then_some(Piece::Manifest { manifest, first }))
    }
}

/// Writes bytes as the inside of a string in JSON.
fn write_text(part: &mut Vec<u8>, content: &[u8]) -> Result<()> {
    let text = serde_json::to_vec(&String::from_utf8_lossy(content)).map_err(Error::internal)?;
    part.extend_from_slice(&text[1..text.len() - 1]);
    Ok(())
}
