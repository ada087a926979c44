//! The HTTP of the registry: finds a request's operation. One file for each noun; `ranges` parses
//! `Range` and `Content-Range`, `repository` finds the repository of a push or creates it.

mod blobs;
mod manifests;
mod ranges;
mod ready;
mod repository;
mod tags;
mod uploads;

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::access::{self, Actions, Admitted, Gate};
use super::error::RegistryError;
use super::operation::RegistryOperation;
use super::target::Target;
use crate::app::App;
use crate::clock::Clock;
use crate::faults::{FaultAction, RequestFacts};
use crate::http::{RequestId, SharedBody};
use crate::image::ImagePath;
use crate::nearest::nearest;
use crate::push::PushedBy;

static DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The operation and the caller of a request, as far as they are known.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    operation: OnceLock<&'static RegistryOperation>,
    caller: OnceLock<String>,
}

impl Trace {
    /// The operation's name, or `-`.
    pub(crate) fn operation(&self) -> &'static str {
        self.operation.get().map_or("-", |operation| operation.name)
    }

    /// The user's name, or `-`.
    pub(crate) fn caller(&self) -> &str {
        self.caller.get().map_or("-", String::as_str)
    }
}

/// Answers a request for anything below `/v2/` that is not the management API's.
pub(crate) async fn answer(
    app: &Arc<App>,
    parts: &Parts,
    body: &SharedBody,
    trace: &Trace,
) -> Result<Response, RegistryError> {
    let path = parts.uri.path().strip_prefix("/v2/").unwrap_or_default();
    let path = percent_decode_str(path).decode_utf8_lossy();
    let target = match Target::parse(&path) {
        Ok(Some(target)) => target,
        Ok(None) => return Err(unsupported(&path)),
        // Only those who have a token are told what is wrong with a name.
        Err(_) if !gate(app).has_token(&parts.headers) => return Err(challenged(parts, None)),
        Err(error) => return Err(error),
    };
    let call = Call {
        app,
        parts,
        trace,
        target: &target,
        body,
    };
    let stream = || Body::new(body.clone());
    match (&target, parts.method.clone()) {
        (Target::Base, Method::GET | Method::HEAD) => {
            call.named(&RegistryOperation::BASE).base().await
        }
        (Target::Uploads(path), Method::POST) => {
            call.named(&RegistryOperation::START_UPLOAD)
                .start_upload(path, stream())
                .await
        }
        (Target::Upload(path, id), Method::GET) => {
            call.named(&RegistryOperation::SHOW_UPLOAD)
                .show_upload(path, id)
                .await
        }
        (Target::Upload(path, id), Method::PATCH) => {
            call.named(&RegistryOperation::APPEND_UPLOAD)
                .append_upload(path, id, stream())
                .await
        }
        (Target::Upload(path, id), Method::PUT) => {
            call.named(&RegistryOperation::FINISH_UPLOAD)
                .finish_upload(path, id, stream())
                .await
        }
        (Target::Upload(path, id), Method::DELETE) => {
            call.named(&RegistryOperation::CANCEL_UPLOAD)
                .cancel_upload(path, id)
                .await
        }
        (Target::Blob(path, digest), Method::GET | Method::HEAD) => {
            call.named(&RegistryOperation::GET_BLOB)
                .get_blob(path, digest)
                .await
        }
        (Target::Blob(path, digest), Method::DELETE) => {
            call.named(&RegistryOperation::DELETE_BLOB)
                .delete_blob(path, digest.clone())
                .await
        }
        (Target::Manifest(path, reference), Method::GET | Method::HEAD) => {
            call.named(&RegistryOperation::GET_MANIFEST)
                .get_manifest(path, reference)
                .await
        }
        (Target::Manifest(path, reference), Method::PUT) => {
            call.named(&RegistryOperation::PUT_MANIFEST)
                .put_manifest(path, reference.clone(), body)
                .await
        }
        (Target::Manifest(path, reference), Method::DELETE) => {
            call.named(&RegistryOperation::DELETE_MANIFEST)
                .delete_manifest(path, reference.clone())
                .await
        }
        (Target::Tags(path), Method::GET) => {
            call.named(&RegistryOperation::LIST_TAGS)
                .list_tags(path)
                .await
        }
        (Target::Referrers(path, digest), Method::GET) => {
            call.named(&RegistryOperation::LIST_REFERRERS)
                .list_referrers(path, digest)
                .await
        }
        _ => Err(match target.path() {
            _ if gate(app).has_token(&parts.headers) => RegistryError::Unsupported,
            path => challenged(parts, path),
        }),
    }
}

fn gate(app: &App) -> Gate<'_> {
    Gate {
        key: &app.registry.key,
        world: &app.world,
        region: &app.region,
        directory: &app.directory,
        lookup: &app.lookup,
        now: app.clock.now(),
    }
}

/// A path that no operation has.
fn unsupported(path: &str) -> RegistryError {
    let first = path.split('/').next().unwrap_or_default();
    match nearest(first, ["manage"]) {
        Some(_) => RegistryError::MeantManagement,
        None => RegistryError::Unsupported,
    }
}

fn challenged(parts: &Parts, path: Option<&ImagePath>) -> RegistryError {
    let scope = path.map(|path| (path, Actions::PULL));
    RegistryError::Unauthorized {
        challenge: access::challenge(&parts.headers, scope, None),
    }
}

/// A request whose target is known, but for its body.
struct Call<'a> {
    app: &'a Arc<App>,
    parts: &'a Parts,
    trace: &'a Trace,
    target: &'a Target,
    body: &'a SharedBody,
}

impl Call<'_> {
    /// Notes what is served.
    fn named(&self, operation: &'static RegistryOperation) -> &Self {
        self.trace.operation.get_or_init(|| operation);
        self
    }

    fn gate(&self) -> Gate<'_> {
        gate(self.app)
    }

    /// Who pushes with this request.
    fn pushed_by(&self, admitted: &Admitted) -> PushedBy {
        let user = admitted.user_name();
        match RequestId::of(&self.parts.extensions) {
            Some(id) => PushedBy::request(user, id.as_str()),
            None => PushedBy::user(user),
        }
    }

    /// `GET /v2/`: any token will do.
    async fn base(&self) -> Result<Response, RegistryError> {
        let name = self
            .gate()
            .name_of_any(&self.parts.headers)
            .ok_or_else(|| challenged(self.parts, None))?;
        self.trace.caller.get_or_init(|| name);
        self.inject_fault(0).await?;
        let mut response = Response::new(Body::from("{}"));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    /// Lets in who may do this, unless a fault applies to the request.
    async fn admit(
        &self,
        path: &ImagePath,
        needed: Actions,
    ) -> Result<access::Admitted, RegistryError> {
        self.admit_with_source(path, needed, None).await
    }

    /// The same, where the client could use a right to pull from `source`.
    async fn admit_with_source(
        &self,
        path: &ImagePath,
        needed: Actions,
        source: Option<&ImagePath>,
    ) -> Result<access::Admitted, RegistryError> {
        let admitted = self.recognize(path, needed, source).await?;
        let size = self.upload_size();
        if let Some(bytes) = self.inject_fault(size).await? {
            self.body.cut_after(bytes);
        }
        Ok(admitted)
    }

    /// Lets in who may do this; the challenge to others names `source` too.
    async fn recognize(
        &self,
        path: &ImagePath,
        needed: Actions,
        source: Option<&ImagePath>,
    ) -> Result<access::Admitted, RegistryError> {
        let headers = &self.parts.headers;
        let admitted = self.gate().admit(headers, path, needed, source).await?;
        self.trace
            .caller
            .get_or_init(|| admitted.user_name().to_owned());
        Ok(admitted)
    }

    /// Applies a fault that somebody planned; after how many of the `size` bytes of a blob
    /// the transfer has to end.
    async fn inject_fault(&self, size: u64) -> Result<Option<u64>, RegistryError> {
        let facts = || RequestFacts {
            operation: self.trace.operation(),
            namespace: self
                .target
                .path()
                .map(|path| path.namespace.as_str().into()),
            repository: self
                .target
                .path()
                .map(|path| path.repository.as_str().into()),
            tag: self.target.tag().map(Into::into),
            digest: match self.target.digest() {
                Some(digest) => Some(digest.into()),
                None => self
                    .query("digest")
                    .or_else(|| self.query("mount"))
                    .map(Into::into),
            },
            caller: self.trace.caller(),
            bytes: size,
        };
        let Some(fault) = self.app.faults.inject(facts) else {
            return Ok(None);
        };
        let stopping = RegistryError::Unavailable("the emulator is stopping");
        match fault.wait(&self.app.stop).await.ok_or(stopping)? {
            FaultAction::Respond {
                status,
                code,
                retry_after_s,
            } => Err(RegistryError::Injected {
                status,
                code,
                retry_after_s,
            }),
            FaultAction::Disconnect => Err(RegistryError::Cut),
            FaultAction::DisconnectAfter(bytes) => Ok(Some(bytes)),
            FaultAction::Continue => Ok(None),
        }
    }

    /// How many bytes of a blob the request brings; as many as there may be where it does not say.
    fn upload_size(&self) -> u64 {
        // Without a digest, the start of an upload takes no bytes.
        let is_only_start =
            matches!(self.target, Target::Uploads(_)) && self.query("digest").is_none();
        if is_only_start {
            return 0;
        }
        http_body::Body::size_hint(self.body)
            .upper()
            .unwrap_or(u64::MAX)
    }

    fn is_head(&self) -> bool {
        self.parts.method == Method::HEAD
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    }

    /// A query parameter, decoded; of several the first.
    fn query(&self, name: &str) -> Option<String> {
        let query = self.parts.uri.query().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// How many entries a page may have: `n`, and `most` at the most.
    fn limit(&self, most: u32) -> Result<u32, RegistryError> {
        let Some(text) = self.query("n") else {
            return Ok(most);
        };
        let limit: Result<u32, _> = text.parse();
        let rule = || RegistryError::SizeInvalid("n must be a whole number".to_owned());
        Ok(limit.map_err(|_| rule())?.min(most))
    }
}

/// The machine's time in seconds since 1970, by which files are collected.
fn real_seconds() -> i64 {
    Clock::real_now().as_second()
}

/// A response without a body.
fn empty(status: StatusCode, headers: &[(HeaderName, String)]) -> Response {
    let mut response = status.into_response();
    add_headers(response.headers_mut(), headers);
    let length = HeaderValue::from_static("0");
    if status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    response
}

fn add_headers(into: &mut HeaderMap, headers: &[(HeaderName, String)]) {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            into.insert(name, value);
        }
    }
}
