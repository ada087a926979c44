//! The HTTP of tags (API reference, image tag management).

use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use schemars::{JsonSchema, json_schema};
use serde::Serialize;

use super::accessory::{self, SignatureTag};
use super::manifest_text::{self, ShownManifest};
use super::store::{self, DeleteImage, DeleteTag, Marker, MarkerValue};
use super::{OrderColumn, Tag, TagName};
use crate::app::{App, AppState, Routes};
use crate::auth::Caller;
use crate::error::{Error, Fault, Resource, Result};
use crate::http::{
    ContentRange, OperationDoc, Param, Query, RequestId, Segment, cut_to_page, empty_object,
};
use crate::json::JsonObject;
use crate::page::SortOrder;
use crate::permission::{Editable, Manageable, Viewable};
use crate::push::{CopyTag, PushedBy};
use crate::repository::RepositoryRef;
use crate::schema::schema_of;

const TAGS: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/tags";
const TAG: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/tags/{tag}";
const TAGS_V3: &str = "/v3/manage/namespaces/{namespace}/repos/{repository}/tags";

const ORDER_COLUMNS: [(&str, OrderColumn); 3] = [
    ("updated_at", OrderColumn::UpdatedAt),
    ("updated_time", OrderColumn::UpdatedAt),
    ("tag", OrderColumn::Name),
];

/// The keys that `filter` knows.
const FILTER: [&str; 5] = ["tag", "limit", "offset", "order_column", "order_type"];

/// The operations of this chapter.
pub fn routes() -> Routes {
    Routes::of("Tags")
        .list("ListRepositoryTags", TAGS, list, list_doc)
        .get("ShowRepoTag", TAG, show, show_doc)
        .post("CreateRepoTag", TAGS, create, create_doc)
        .with_recorded_body()
        .delete("DeleteRepoTag", TAG, delete, delete_doc)
        .list("ListRepositoryTag", TAGS_V3, list_v3, list_v3_doc)
        .and(accessory::routes())
}

fn list_doc() -> OperationDoc {
    OperationDoc::new("Lists the tags of a repository, page by page.")
        .query([
            part(),
            Param::limit(),
            Param::offset(),
            Param::order_column(&ORDER_COLUMNS),
            Param::order_type(),
            Param::filter(&FILTER),
        ])
        .answers::<Vec<ListedTagView>>(StatusCode::OK)
        .with_header("Content-Range", ContentRange::MEANING)
}

/// `ListRepositoryTags`
async fn list(
    State(app): State<AppState>,
    Viewable(repository): Viewable<RepositoryRef>,
    query: Query,
) -> Result<Response> {
    let criteria = query.criteria(&FILTER)?;
    let page = criteria.page()?;
    let order = criteria.order(&ORDER_COLUMNS)?;
    let part = criteria.get("tag");
    let db = app.db.readers();
    let (found, total) = store::list(db, repository.id, part, order, page).await?;
    let range = ContentRange::of(page, found.len(), total);
    let shown = found.iter().map(ShownManifest::from).collect();
    let views: Vec<_> = found
        .into_iter()
        .map(|tag| ListedTagView {
            name: tag.name.clone(),
            deleted: None,
            scanned: false,
            tag: TagView::new(&app, &repository, tag),
        })
        .collect();
    let answer = manifest_text::answer(db, repository.id, &views, shown).await?;
    Ok(range.on(answer))
}

fn show_doc() -> OperationDoc {
    accessory::or_accessories::<NamedTagView>(OperationDoc::new("Shows a tag."), "tags")
}

/// `ShowRepoTag`
async fn show(
    State(app): State<AppState>,
    name: TagName,
    Viewable(repository): Viewable<RepositoryRef>,
    query: Query,
) -> Result<Response> {
    let found = store::find(app.db.lookups(), repository.id, &name).await?;
    let Some(found) = found else {
        let instead =
            accessory::instead_of(&app, &repository, "tags", name.as_str(), &query).await?;
        return instead.ok_or(Error::NotFound(Resource::Tag));
    };
    let shown = vec![ShownManifest::from(&found)];
    let view = NamedTagView::new(&app, &repository, found);
    manifest_text::answer(app.db.lookups(), repository.id, &view, shown).await
}

fn create_doc() -> OperationDoc {
    OperationDoc::new("Adds a tag to an image.")
        .takes(json_schema!({
            "type": "object",
            "required": ["source_tag", "destination_tag"],
            "properties": {
                "destination_tag": schema_of::<TagName>(),
                "override": {
                    "type": "boolean",
                    "default": false,
                    "description": "Whether an existing tag of that name is replaced.",
                },
                "source_tag": schema_of::<TagName>(),
            },
        }))
        .answers_empty_object(StatusCode::CREATED)
        .refuses([
            Error::NotFound(Resource::Tag),
            Error::AlreadyExists(Resource::Tag),
        ])
}

/// `CreateRepoTag`
async fn create(
    State(app): State<AppState>,
    request_id: RequestId,
    caller: Caller,
    Editable(repository): Editable<RepositoryRef>,
    body: JsonObject,
) -> Result<Response> {
    let source = TagName::parse_field("source_tag", body.string("source_tag")?)?;
    let destination = TagName::parse_field("destination_tag", body.string("destination_tag")?)?;
    let write = CopyTag {
        repository_id: repository.id,
        source,
        overwrite: body.optional_boolean("override")?.unwrap_or(false),
        verdicts: app
            .matcher
            .judge(&app.db, repository.id, &destination)
            .await?,
        destination,
        pushed_by: PushedBy::request(caller.user_name(), request_id.as_str()),
        now: app.clock.now(),
    };
    app.db.write(write).await?;
    Ok(empty_object(StatusCode::CREATED))
}

fn delete_doc() -> OperationDoc {
    OperationDoc::new("Deletes a tag, and the image together with its last tag.").answers_nothing()
}

/// `DeleteRepoTag`
async fn delete(
    State(app): State<AppState>,
    name: TagName,
    Manageable(repository): Manageable<RepositoryRef>,
) -> Result<StatusCode> {
    let write = DeleteImage(DeleteTag {
        repository_id: repository.id,
        name,
        now: app.clock.now(),
    });
    if app.db.write(write).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::NotFound(Resource::Tag))
    }
}

fn list_v3_doc() -> OperationDoc {
    let marker = json_schema!({"type": "string", "pattern": "^[^|]+\\|[0-9]{1,18}$"});
    OperationDoc::new("Lists the tags of a repository, starting at a marker.")
        .query([
            part(),
            Param::limit(),
            Param::marker(marker),
            Param::order_column(&ORDER_COLUMNS),
            Param::order_type(),
            Param::boolean("with_manifest", "Whether to include manifests."),
        ])
        .answers::<TagsV3View>(StatusCode::OK)
}

/// `ListRepositoryTag`
async fn list_v3(
    State(app): State<AppState>,
    Viewable(repository): Viewable<RepositoryRef>,
    query: Query,
) -> Result<Response> {
    let criteria = query.parameters();
    let limit = criteria.limit()?;
    let order = criteria.order(&ORDER_COLUMNS)?;
    let after = criteria
        .get("marker")
        .map(|text| read_marker(text, order))
        .transpose()?;
    let with_manifest = criteria.boolean("with_manifest")?.unwrap_or(false);
    let part = criteria.get("tag");
    let db = app.db.readers();
    // One more than asked for tells whether there is a next page.
    let mut found =
        store::list_after(db, repository.id, part, order, after.as_ref(), limit + 1).await?;
    let next_marker = cut_to_page(&mut found, limit, |last| write_marker(last, order));
    let shown = if with_manifest {
        found.iter().map(ShownManifest::from).collect()
    } else {
        Vec::new()
    };
    let tags = found
        .into_iter()
        .map(|tag| NamedTagView::new(&app, &repository, tag))
        .collect();
    let view = TagsV3View {
        tags,
        has_more: next_marker.is_some(),
        next_marker,
    };
    manifest_text::answer(db, repository.id, &view, shown).await
}

fn part() -> Param {
    Param::new("tag", "Part of the tag's name.", schema_of::<String>())
}

impl<S: Sync> FromRequestParts<S> for TagName {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let segment = Segment::read(parts, "tag", Fault::Parameter).await?;
        Self::parse_field("tag", &segment)
    }
}

impl From<&Tag> for ShownManifest {
    fn from(tag: &Tag) -> Self {
        Self {
            digest: tag.digest.clone(),
            size: tag.content_size,
        }
    }
}

type Order = Option<(OrderColumn, SortOrder)>;

/// `{value}|{id}` of the last tag on a page; a tag's name holds no `|`.
fn write_marker(tag: &Tag, order: Order) -> String {
    match order {
        None => format!("{0}|{0}", tag.id),
        Some((OrderColumn::UpdatedAt, _)) => {
            format!("{}|{}", tag.updated_at.as_microseconds(), tag.id)
        }
        Some((OrderColumn::Name, _)) => format!("{}|{}", tag.name, tag.id),
    }
}

fn read_marker(text: &str, order: Order) -> Result<Marker> {
    let marker = text.split_once('|').and_then(|(value, id)| {
        let value = match order {
            Some((OrderColumn::Name, _)) => MarkerValue::Text(value.to_owned()),
            _ => MarkerValue::Number(value.parse().ok()?),
        };
        let id = id.parse().ok()?;
        Some(Marker { value, id })
    });
    marker.ok_or_else(|| {
        let rule = "must be the nextMarker of a page in the same order";
        Error::fault(Fault::Page, "marker", rule)
    })
}

/// What all views of a tag share.
#[derive(Serialize, JsonSchema)]
struct TagView {
    id: i64,
    repo_id: i64,
    image_id: String,
    // Filled in by `manifest_text`.
    manifest: &'static str,
    digest: String,
    schema: i64,
    path: String,
    internal_path: String,
    size: i64,
    is_trusted: bool,
    created: String,
    updated: String,
    domain_id: String,
    tag_type: i64,
}

impl TagView {
    fn new(app: &App, repository: &RepositoryRef, tag: Tag) -> Self {
        let path = format!(
            "{}/{}/{}:{}",
            app.registry_host, repository.namespace.name, repository.name, tag.name
        );
        let tag_type = if SignatureTag::is_one(&tag.name) {
            2
        } else {
            i64::from(tag.media_type.is_index())
        };
        Self {
            id: tag.id,
            repo_id: tag.repository_id,
            image_id: tag.config.trim_start_matches("sha256:").to_owned(),
            manifest: "",
            digest: tag.digest,
            schema: 2,
            internal_path: path.clone(),
            path,
            size: tag.size,
            is_trusted: false,
            created: tag.created_at.to_string(),
            updated: tag.updated_at.to_string(),
            domain_id: repository.namespace.account_id.clone(),
            tag_type,
        }
    }
}

/// An entry of `ListRepositoryTags`, the only place where the name's key has a capital letter.
#[derive(Serialize, JsonSchema)]
struct ListedTagView {
    #[serde(rename = "Tag")]
    name: String,
    deleted: Option<()>,
    scanned: bool,
    #[serde(flatten)]
    tag: TagView,
}

/// The answer of `ShowRepoTag`, and an entry of `ListRepositoryTag`.
#[derive(Serialize, JsonSchema)]
struct NamedTagView {
    #[serde(rename = "tag")]
    name: String,
    #[serde(flatten)]
    tag: TagView,
}

impl NamedTagView {
    fn new(app: &App, repository: &RepositoryRef, tag: Tag) -> Self {
        Self {
            name: tag.name.clone(),
            tag: TagView::new(app, repository, tag),
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct TagsV3View {
    tags: Vec<NamedTagView>,
    #[serde(rename = "nextMarker", skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
    has_more: bool,
}
