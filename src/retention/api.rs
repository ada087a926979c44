//! The HTTP of retention (API reference, image retention policy management).

use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use schemars::JsonSchema;
use serde::Serialize;

use super::notation::{self, PolicyView, RuleView};
use super::store::{self, CreateRetention, DeleteRetention, UpdateRetention};
use super::{HistoryEntry, Retention, RetentionId};
use crate::app::{AppState, Routes};
use crate::error::{Error, Fault, Resource, Result};
use crate::http::{ContentRange, JsonResponse, OperationDoc, Param, Query, Segment, empty_object};
use crate::json::JsonObject;
use crate::permission::{Manageable, Viewable};
use crate::repository::RepositoryRef;
use crate::schema::schema_of;
use crate::tag::accessory;

const RETENTIONS: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/retentions";
const RETENTION: &str =
    "/v2/manage/namespaces/{namespace}/repos/{repository}/retentions/{retention_id}";
/// Takes precedence over [`RETENTION`].
const HISTORIES: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/retentions/histories";

/// The last segment of a path that means `ListRepoAccessories`.
const ACCESSORIES: &str = "accessories";

/// The keys that `filter` of `ListRetentionHistories` knows.
const HISTORIES_FILTER: [&str; 2] = ["limit", "offset"];

/// The operations of this chapter.
#[rustfmt::skip] // A table: one line an operation.
pub fn routes() -> Routes {
    Routes::of("Retention (aging)")
        .post("CreateRetention", RETENTIONS, create, create_doc).with_recorded_body()
        .list("ListRetentions", RETENTIONS, list, list_doc)
        .get("ShowRetention", RETENTION, show, show_doc)
        .patch("UpdateRetention", RETENTION, update, update_doc).with_recorded_body()
        .delete("DeleteRetention", RETENTION, delete, delete_doc)
        .list("ListRetentionHistories", HISTORIES, list_histories, list_histories_doc)
}

fn create_doc() -> OperationDoc {
    OperationDoc::new("Adds a retention rule to a repository and runs it.")
        .remarks("A repository has at most one. Rules also run every day.")
        .takes(notation::schema())
        .answers::<CreatedView>(StatusCode::CREATED)
        .refuses(notation::refusals())
        .refuses([Error::AlreadyExists(Resource::Retention)])
}

/// `CreateRetention`: a repository has one at the most. The real service's code for a second one
/// is not published.
async fn create(
    State(app): State<AppState>,
    Manageable(repository): Manageable<RepositoryRef>,
    body: JsonObject,
) -> Result<Response> {
    let write = CreateRetention {
        repository_id: repository.id,
        policy: notation::read(&body)?,
        matcher: app.matcher.clone(),
        now: app.clock.now(),
    };
    let id = app.db.write(write).await?;
    Ok(JsonResponse(StatusCode::CREATED, CreatedView { id }).into_response())
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CreatedRetentionView")]
struct CreatedView {
    id: i64,
}

fn list_doc() -> OperationDoc {
    OperationDoc::new("Lists the retention rule of a repository, if it has one.")
        .answers::<Vec<RetentionView>>(StatusCode::OK)
}

/// `ListRetentions`
async fn list(
    State(app): State<AppState>,
    Viewable(repository): Viewable<RepositoryRef>,
) -> Result<Response> {
    let found = store::find_any(app.db.lookups(), repository.id).await?;
    let views: Vec<_> = found.iter().map(RetentionView::from).collect();
    Ok(JsonResponse(StatusCode::OK, views).into_response())
}

fn show_doc() -> OperationDoc {
    let doc = OperationDoc::new("Shows a retention rule.");
    accessory::or_accessories::<RetentionView>(doc, "retentions")
}

/// `ShowRetention`
async fn show(
    State(app): State<AppState>,
    last: LastSegment,
    Viewable(repository): Viewable<RepositoryRef>,
    query: Query,
) -> Result<Response> {
    let LastSegment::Id(id) = last else {
        let accessories =
            accessory::instead_of(&app, &repository, "retentions", ACCESSORIES, &query).await?;
        return accessories.ok_or(Error::NotFound(Resource::Retention));
    };
    let found = store::find(app.db.lookups(), repository.id, id).await?;
    let found = found.ok_or(Error::NotFound(Resource::Retention))?;
    Ok(JsonResponse(StatusCode::OK, RetentionView::from(&found)).into_response())
}

fn update_doc() -> OperationDoc {
    OperationDoc::new("Changes the parameters of a retention rule and runs it.")
        .remarks("The templates cannot be changed.")
        .takes(notation::schema())
        .answers_empty_object(StatusCode::CREATED)
        .refuses(notation::refusals())
}

/// `UpdateRetention`: other rules of the same templates.
async fn update(
    State(app): State<AppState>,
    id: RetentionId,
    Manageable(repository): Manageable<RepositoryRef>,
    body: Result<JsonObject>,
) -> Result<Response> {
    let policy = match body.and_then(|body| notation::read(&body)) {
        Ok(policy) => policy,
        // That the rule is missing is told before any fault of the body.
        Err(fault) => {
            let found = store::find(app.db.lookups(), repository.id, id).await?;
            return Err(found.map_or(Error::NotFound(Resource::Retention), |_| fault));
        }
    };
    let write = UpdateRetention {
        repository_id: repository.id,
        id,
        policy,
        matcher: app.matcher.clone(),
        now: app.clock.now(),
    };
    app.db.write(write).await?;
    Ok(empty_object(StatusCode::CREATED))
}

fn delete_doc() -> OperationDoc {
    let meaning = "The number of the retention rule.";
    OperationDoc::new("Deletes a retention rule; its history is kept.")
        .variables([
            Param::new("retention_id", meaning, schema_of::<RetentionId>())
                .refused(Fault::Parameter)
                .refused(Fault::RetentionId),
        ])
        .answers_empty_object(StatusCode::OK)
}

/// `DeleteRetention`
async fn delete(
    State(app): State<AppState>,
    id: RetentionId,
    Manageable(repository): Manageable<RepositoryRef>,
) -> Result<Response> {
    let write = DeleteRetention {
        repository_id: repository.id,
        id,
    };
    app.db.write(write).await?;
    Ok(empty_object(StatusCode::OK))
}

fn list_histories_doc() -> OperationDoc {
    OperationDoc::new("Lists the tags deleted by retention rules, newest first.")
        .query([
            Param::limit(),
            Param::offset(),
            Param::filter(&HISTORIES_FILTER),
        ])
        .answers::<HistoriesView>(StatusCode::OK)
        .with_header("Content-Range", ContentRange::MEANING)
}

/// `ListRetentionHistories`
async fn list_histories(
    State(app): State<AppState>,
    Viewable(repository): Viewable<RepositoryRef>,
    query: Query,
) -> Result<Response> {
    let page = query.criteria(&HISTORIES_FILTER)?.page()?;
    let (found, total) = store::list_histories(app.db.readers(), repository.id, page).await?;
    let range = ContentRange::of(page, found.len(), total);
    let view = HistoriesView {
        retention_log: found
            .into_iter()
            .map(|entry| HistoryView::new(&repository, entry))
            .collect(),
        total,
    };
    Ok(range.on(JsonResponse(StatusCode::OK, view)))
}

impl<S: Sync> FromRequestParts<S> for RetentionId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let segment = Segment::read(parts, "retention_id", Fault::Parameter).await?;
        Self::parse(&segment)
    }
}

/// The last segment of the path of `ShowRetention`, which can also ask for the accessories of a tag
/// named `retentions`.
enum LastSegment {
    Id(RetentionId),
    Accessories,
}

impl<S: Sync> FromRequestParts<S> for LastSegment {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let segment = Segment::read(parts, "retention_id", Fault::Parameter).await?;
        if segment == ACCESSORIES {
            return Ok(Self::Accessories);
        }
        RetentionId::parse(&segment).map(Self::Id)
    }
}

/// The reference's retention object.
#[derive(Serialize, JsonSchema)]
struct RetentionView<'a> {
    algorithm: &'static str,
    id: i64,
    rules: Vec<RuleView<'a>>,
    /// Reserved.
    scope: &'static str,
}

impl<'a> From<&'a Retention> for RetentionView<'a> {
    fn from(retention: &'a Retention) -> Self {
        let PolicyView { algorithm, rules } = PolicyView::from(&retention.policy);
        Self {
            algorithm,
            id: retention.id,
            rules,
            scope: "",
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RetentionHistoriesView")]
struct HistoriesView {
    retention_log: Vec<HistoryView>,
    total: i64,
}

/// An entry of `retention_log`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RetentionHistoryView")]
struct HistoryView {
    created_at: String,
    id: i64,
    namespace: String,
    repo: String,
    retention_id: i64,
    /// The rule as JSON in a string.
    rule_type: String,
    tag: String,
}

impl HistoryView {
    fn new(repository: &RepositoryRef, entry: HistoryEntry) -> Self {
        Self {
            created_at: entry.created_at.to_string(),
            id: entry.id,
            namespace: repository.namespace.name.as_str().to_owned(),
            repo: repository.name.as_str().to_owned(),
            retention_id: entry.retention_id,
            rule_type: entry.rule,
            tag: entry.tag,
        }
    }
}
