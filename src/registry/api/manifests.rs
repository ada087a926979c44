//! Manifests: pushing, pulling, deleting, and what refers to them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LINK, LOCATION};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::super::access::Actions;
use super::super::error::RegistryError;
use super::{Call, DOCKER_CONTENT_DIGEST, add_headers, empty};
use crate::answers::Answer;
use crate::db::Version;
use crate::http::{Limits, SharedBody, gather};
use crate::image::store::{self, DeleteManifest, PutManifest, PutOutcome, Referrer};
use crate::image::{Digest, ImagePath, MAX_MANIFEST_SIZE, Manifest, MediaType, Reference};
use crate::tag::store::DeleteTag;

/// How much of a manifest is read, and for how long: half a minute, and as much more as a slow
/// line needs for what has arrived.
const LIMITS: Limits = Limits {
    bytes: MAX_MANIFEST_SIZE,
    time: Duration::from_secs(30),
    time_per_kib: Duration::from_millis(30),
};

/// Referrers on a page, at the most, and bytes of their annotations.
const MOST_REFERRERS: u32 = 1000;
const MOST_ANNOTATIONS: i64 = 2 * 1024 * 1024;

static OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
static OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

impl Call<'_> {
    pub(super) async fn get_manifest(
        &self,
        path: &ImagePath,
        reference: &Reference,
    ) -> Result<Response, RegistryError> {
        let since = self.since();
        let admitted = self.admit(path, Actions::PULL).await?;
        let repository = admitted.repository()?;
        let answer = match self.ready(since) {
            Some(answer) => answer,
            None => self.read_manifest(repository.id, reference, since).await?,
        };
        if !self.is_head() {
            self.app.registry.downloads.count(repository.id);
        }
        Ok(self.send(&answer))
    }

    async fn read_manifest(
        &self,
        repository_id: i64,
        reference: &Reference,
        since: Version,
    ) -> Result<Arc<Answer>, RegistryError> {
        let found = store::find_manifest(self.app.db.lookups(), repository_id, reference).await?;
        let found = found.ok_or(RegistryError::ManifestUnknown)?;
        let mut headers = HeaderMap::new();
        add_headers(
            &mut headers,
            &[
                (CONTENT_TYPE, found.media_type),
                (CONTENT_LENGTH, found.content.len().to_string()),
                (ETAG, format!("\"{}\"", found.digest)),
                (DOCKER_CONTENT_DIGEST.clone(), found.digest),
            ],
        );
        Ok(self.keep(repository_id, since, headers, found.content.into()))
    }

    pub(super) async fn put_manifest(
        &self,
        path: &ImagePath,
        reference: Reference,
        body: &SharedBody,
    ) -> Result<Response, RegistryError> {
        let admitted = self.admit(path, Actions::PUSH).await?;
        let (content, _room) = gather(body, LIMITS, &self.app.bodies).await?;
        let manifest = Manifest::parse(&content, self.header(CONTENT_TYPE.as_str()))?;
        let (digest, tag) = match reference {
            Reference::Tag(tag) => (Digest::of(&content), Some(tag)),
            Reference::Digest(digest) if digest.matches(&content) => (digest, None),
            Reference::Digest(digest) => {
                let reason = format!("the manifest does not have the digest {digest}");
                return Err(RegistryError::DigestInvalid(reason));
            }
        };
        if admitted.repository().is_err()
            && let Some(part) = manifest.blobs.iter().chain(&manifest.manifests).next()
        {
            // What is refused does not make the repository.
            return Err(RegistryError::ManifestBlobUnknown(part.to_string()));
        }
        let repository = self.existing_or_new(path, &admitted).await?;
        let tag = match tag {
            None => None,
            Some(tag) => {
                let judged = self
                    .app
                    .matcher
                    .judge(&self.app.db, repository.id, &tag)
                    .await?;
                Some((tag, judged))
            }
        };
        let subject = manifest.subject.clone();
        let write = PutManifest {
            repository_id: repository.id,
            manifest,
            digest: digest.clone(),
            content: content.to_vec(),
            tag,
            pushed_by: self.pushed_by(&admitted),
            now: self.app.clock.now(),
        };
        match self.app.db.write(write).await? {
            PutOutcome::Stored => {}
            PutOutcome::Missing(part) => {
                return Err(RegistryError::ManifestBlobUnknown(part.to_string()));
            }
        }
        let mut headers = vec![
            (LOCATION, format!("/v2/{path}/manifests/{digest}")),
            (DOCKER_CONTENT_DIGEST.clone(), digest.to_string()),
        ];
        if let Some(subject) = subject {
            headers.push((OCI_SUBJECT.clone(), subject.to_string()));
        }
        Ok(empty(StatusCode::CREATED, &headers))
    }

    /// By tag, only the tag goes; by digest, the manifest with all of its tags.
    pub(super) async fn delete_manifest(
        &self,
        path: &ImagePath,
        reference: Reference,
    ) -> Result<Response, RegistryError> {
        let admitted = self.admit(path, Actions::DELETE).await?;
        let repository_id = admitted.repository()?.id;
        let db = &self.app.db;
        let deleted = match reference {
            Reference::Digest(digest) => {
                let write = DeleteManifest {
                    repository_id,
                    digest,
                    now: self.app.clock.now(),
                };
                db.write(write).await?
            }
            Reference::Tag(name) => {
                let write = DeleteTag {
                    repository_id,
                    name,
                    now: self.app.clock.now(),
                };
                db.write(write).await?
            }
        };
        if deleted {
            Ok(empty(StatusCode::ACCEPTED, &[]))
        } else {
            Err(RegistryError::ManifestUnknown)
        }
    }

    /// In the order in which they were pushed; `n` and `last` page, and the header `Link` leads on.
    pub(super) async fn list_referrers(
        &self,
        path: &ImagePath,
        digest: &Digest,
    ) -> Result<Response, RegistryError> {
        let admitted = self.admit(path, Actions::PULL).await?;
        let limit = self.limit(MOST_REFERRERS)?;
        let after = match self.query("last") {
            None => 0,
            Some(text) => text.parse().map_err(|_| {
                let rule = "last must come from the Link header of a page";
                RegistryError::SizeInvalid(rule.to_owned())
            })?,
        };
        let wanted = self.query("artifactType").filter(|kind| !kind.is_empty());
        let (found, has_more) = match admitted.repository() {
            Ok(repository) => {
                let db = self.app.db.readers();
                store::list_referrers(db, repository.id, digest, after, limit, MOST_ANNOTATIONS)
                    .await?
            }
            // Clients take a 404 for a registry that cannot list referrers (distribution
            // specification, listing referrers).
            Err(_) => (Vec::new(), false),
        };
        let next = found.last().filter(|_| has_more).map(|last| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            if let Some(kind) = &wanted {
                query.append_pair("artifactType", kind);
            }
            query.append_pair("n", &limit.to_string());
            query.append_pair("last", &last.id.to_string());
            format!(
                "</v2/{path}/referrers/{digest}?{}>; rel=\"next\"",
                query.finish()
            )
        });
        let manifests = found
            .into_iter()
            .filter(|found| {
                wanted
                    .as_ref()
                    .is_none_or(|kind| *kind == found.artifact_type)
            })
            .map(ReferrerView::try_from)
            .collect::<Result<_, _>>()?;
        let view = IndexView {
            schema_version: 2,
            media_type: MediaType::OciIndex.as_str(),
            manifests,
        };
        let body = serde_json::to_vec(&view).map_err(crate::error::Error::internal)?;
        let mut response = Response::new(Body::from(body));
        let content_type = MediaType::OciIndex.as_str().to_owned();
        add_headers(response.headers_mut(), &[(CONTENT_TYPE, content_type)]);
        if wanted.is_some() {
            let filters = "artifactType".to_owned();
            add_headers(
                response.headers_mut(),
                &[(OCI_FILTERS_APPLIED.clone(), filters)],
            );
        }
        if let Some(next) = next {
            add_headers(response.headers_mut(), &[(LINK, next)]);
        }
        Ok(response)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IndexView {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<ReferrerView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReferrerView {
    media_type: String,
    digest: String,
    size: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    artifact_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Box<RawValue>>,
}

impl TryFrom<Referrer> for ReferrerView {
    type Error = RegistryError;

    fn try_from(referrer: Referrer) -> Result<Self, RegistryError> {
        let annotations = referrer.annotations.map(RawValue::from_string);
        Ok(Self {
            media_type: referrer.media_type,
            digest: referrer.digest,
            size: referrer.content_size,
            artifact_type: referrer.artifact_type,
            annotations: annotations
                .transpose()
                .map_err(crate::error::Error::internal)?,
        })
    }
}
