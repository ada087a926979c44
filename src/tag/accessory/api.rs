//! The HTTP of accessories (API reference, image tag management).

use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::json;

use super::super::TagName;
use super::super::store::find_digest;
use super::{Accessory, SignatureTag, store};
use crate::app::{App, AppState, Routes};
use crate::error::{Error, Fault, Resource, Result};
use crate::http::{JsonResponse, OperationDoc, Param, Query, cut_to_page};
use crate::image::Digest;
use crate::page::Page;
use crate::permission::Viewable;
use crate::repository::RepositoryRef;
use crate::schema::schema_of;

const ACCESSORIES: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/{tag}/accessories";
const REFERENCES: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/{tag}/references";

/// How many accessories a page has when nothing is said, and the most that it may have.
const ACCESSORIES_LIMIT: (u32, u32) = (10, 100);
/// The same of references.
const REFERENCES_LIMIT: (u32, u32) = (10, 10);

/// Tags in whose paths the operations on others find their own: see [`instead_of`].
const OTHERS: [&str; 3] = ["retentions", "tags", "triggers"];

/// The operations on accessories.
#[rustfmt::skip] // A table: one line an operation.
pub fn routes() -> Routes {
    Routes::of("Tags")
        .list("ListRepoAccessories", ACCESSORIES, list, list_doc)
        .list("ListReferences", REFERENCES, list_references, list_references_doc)
}

fn list_doc() -> OperationDoc {
    let (default, most) = ACCESSORIES_LIMIT;
    let mut tag = schema_of::<TagName>();
    tag.insert("not".to_owned(), json!({"enum": OTHERS}));
    OperationDoc::new("Lists the accessories of a tag's image, page by page.")
        .remarks(
            "Signatures and other manifests that refer to the image by the name of their tag or by \
             `subject`. For tags named `tags`, `triggers` or `retentions`, the path is that of \
             `ShowRepoTag`, `ShowTrigger` or `ShowRetention`, which answers first if a tag, a \
             trigger or a retention rule is named `accessories`.",
        )
        .variables([of_tag(tag)])
        .query([Param::limit_within(default, most), Param::offset()])
        .answers::<AccessoriesView>(StatusCode::OK)
        .refuses([Resource::Trigger, Resource::Retention].map(Error::NotFound))
}

/// `ListRepoAccessories`
async fn list(
    State(app): State<AppState>,
    name: TagName,
    Viewable(repository): Viewable<RepositoryRef>,
    query: Query,
) -> Result<Response> {
    let found = list_of(&app, &repository, &name, &query).await?;
    found.ok_or(Error::NotFound(Resource::Tag))
}

/// The variable `tag` where not every tag will do.
fn of_tag(schema: Schema) -> Param {
    Param::new("tag", "The name of the tag.", schema)
        .refused(Fault::Parameter)
        .missing(Resource::Tag)
}

/// Describes an operation that answers with `V`, or with [`instead_of`] where it finds none.
pub fn or_accessories<V: JsonSchema>(description: OperationDoc, segment: &str) -> OperationDoc {
    let remarks = format!(
        "If nothing is named `accessories`, `…/{segment}/accessories` is answered like \
         `ListRepoAccessories` for the tag `{segment}`."
    );
    description
        .remarks(remarks)
        .answers_either::<V, AccessoriesView>(StatusCode::OK)
        .refuses(["limit", "offset"].map(|name| Error::fault(Fault::Page, name, "")))
}

/// Answers for another operation that did not find its resource, where the last two segments of its
/// path mean a tag as well: `…/tags/accessories` is the tag `accessories`, else the accessories of
/// the tag `tags`. `…/references` needs no such care: no signature is named like an operation.
pub async fn instead_of(
    app: &App,
    repository: &RepositoryRef,
    segment: &'static str,
    last: &str,
    query: &Query,
) -> Result<Option<Response>> {
    match TagName::parse(segment) {
        Some(name) if last == "accessories" => list_of(app, repository, &name, query).await,
        _ => Ok(None),
    }
}

/// The accessories of a tag's image, if the tag is there.
async fn list_of(
    app: &App,
    repository: &RepositoryRef,
    name: &TagName,
    query: &Query,
) -> Result<Option<Response>> {
    let db = app.db.readers();
    let Some(target) = find_digest(db, repository.id, name).await? else {
        return Ok(None);
    };
    let criteria = query.parameters();
    let (default, most) = ACCESSORIES_LIMIT;
    let page = Page {
        limit: criteria.limit_within(default, most)?,
        offset: criteria.number("offset")?.unwrap_or(0),
    };
    let target = Digest::parse(&target).map_err(Error::internal)?;
    let (found, total) = store::list(db, repository.id, &target, page).await?;
    let views: Vec<_> = found
        .into_iter()
        .map(|accessory| AccessoryView::new(repository, &target, accessory))
        .collect();
    let view = AccessoriesView {
        total,
        accessories: (!views.is_empty()).then_some(views),
    };
    Ok(Some(JsonResponse(StatusCode::OK, view).into_response()))
}

#[derive(Serialize, JsonSchema)]
struct AccessoriesView {
    total: i64,
    /// Null if there are none, as on the live service.
    accessories: Option<Vec<AccessoryView>>,
}

#[derive(Serialize, JsonSchema)]
struct AccessoryView {
    id: i64,
    domain_id: String,
    namespace_name: String,
    repo_name: String,
    sig_tag: String,
    sig_digest: String,
    target_digest: String,
    size: i64,
    #[serde(rename = "type")]
    kind: String,
    created_at: String,
    updated_at: String,
}

impl AccessoryView {
    fn new(repository: &RepositoryRef, target: &Digest, accessory: Accessory) -> Self {
        Self {
            id: accessory.id,
            domain_id: repository.namespace.account_id.clone(),
            namespace_name: repository.namespace.name.to_string(),
            repo_name: repository.name.to_string(),
            kind: accessory.kind(),
            sig_tag: accessory.tag,
            sig_digest: accessory.digest,
            target_digest: target.to_string(),
            size: accessory.size,
            created_at: accessory.created_at.to_string(),
            updated_at: accessory.updated_at.to_string(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for SignatureTag {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        Self::parse(TagName::from_request_parts(parts, state).await?)
    }
}

fn list_references_doc() -> OperationDoc {
    let (default, most) = REFERENCES_LIMIT;
    let marker = "The `next_marker` of the previous page; omitted for the first page.";
    OperationDoc::new("Lists the tags that a signature refers to, starting at a marker.")
        .variables([of_tag(schema_of::<SignatureTag>())])
        .query([
            Param::limit_within(default, most),
            Param::new("marker", marker, schema_of::<String>()),
        ])
        .answers::<ReferencesView>(StatusCode::OK)
}

/// `ListReferences`
async fn list_references(
    State(app): State<AppState>,
    signature: SignatureTag,
    Viewable(repository): Viewable<RepositoryRef>,
    query: Query,
) -> Result<Response> {
    let db = app.db.readers();
    let is_there = find_digest(db, repository.id, &signature.name).await?;
    is_there.ok_or(Error::NotFound(Resource::Tag))?;
    let criteria = query.parameters();
    let (default, most) = REFERENCES_LIMIT;
    let limit = criteria.limit_within(default, most)?;
    let after = criteria.get("marker").unwrap_or_default();
    // One more than asked for tells whether there is a next page.
    let target = &signature.target;
    let mut tags = store::list_tags_of(db, repository.id, target, after, limit + 1).await?;
    let next_marker = cut_to_page(&mut tags, limit, String::clone);
    let view = ReferencesView {
        has_more: next_marker.is_some(),
        next_marker,
        tags,
    };
    Ok(JsonResponse(StatusCode::OK, view).into_response())
}

#[derive(Serialize, JsonSchema)]
struct ReferencesView {
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
    has_more: bool,
    tags: Vec<String>,
}
