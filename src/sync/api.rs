//! The HTTP of image sync (API reference, image synchronization management).

use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;

use super::store::{self, CreateJobs, DeleteTask, PutTask};
use super::{SyncJob, SyncTarget, SyncTask};
use crate::app::{App, AppState, Routes};
use crate::auth::Caller;
use crate::error::{Error, Fault, Result};
use crate::http::{
    ContentRange, EmptyList, JsonResponse, OperationDoc, Param, Query, empty_object,
};
use crate::json::JsonObject;
use crate::page::SortOrder;
use crate::permission::{Editable, Viewable};
use crate::repository::RepositoryRef;
use crate::schema::schema_of;
use crate::tag::TagName;

const SYNC_REPO: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/sync_repo";
const SYNC_IMAGES: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/sync_images";
const SYNC_JOB: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/sync_job";
const REGIONS: &str = "/v2/manage/regions";

/// Tags that one request can have synced.
const MOST_TAGS: usize = 1000;

/// The keys of `filter` of `ShowSyncJob`.
const JOBS_FILTER: [&str; 3] = ["limit", "offset", "order"];

/// The operations of this chapter.
#[rustfmt::skip] // A table: one line an operation.
pub fn routes() -> Routes {
    Routes::of("Image sync")
        .post("CreateImageSyncRepo", SYNC_REPO, create, create_doc).with_recorded_body()
        .list("ListImageAutoSyncReposDetails", SYNC_REPO, list, list_doc)
        .delete("DeleteImageSyncRepo", SYNC_REPO, delete, delete_doc).with_recorded_body()
        .post("CreateManualImageSyncRepo", SYNC_IMAGES, sync_images, sync_images_doc).with_recorded_body()
        .list("ShowSyncJob", SYNC_JOB, jobs, jobs_doc)
        .list("ListSyncRegions", REGIONS, regions, regions_doc)
}

/// A repository whose images the caller may take elsewhere: syncing is for administrators only
/// (user guide, permissions).
struct Syncable(RepositoryRef);

impl FromRequestParts<AppState> for Syncable {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self> {
        let Editable(repository) =
            Editable::<RepositoryRef>::from_request_parts(parts, app).await?;
        let caller = Caller::from_request_parts(parts, app).await?;
        if caller.is_admin() {
            Ok(Self(repository))
        } else {
            Err(Error::Forbidden)
        }
    }
}

fn create_doc() -> OperationDoc {
    let sync_auto = flag_schema("Whether pushes are synced automatically.");
    OperationDoc::new("Sets up the sync of a repository to an organization in another region.")
        .remarks("For administrators only. An existing sync to the same target is changed.")
        .takes(json_schema!({
            "type": "object",
            "required": ["remoteRegionId", "remoteNamespace"],
            "properties": {
                "remoteRegionId": region_schema(),
                "remoteNamespace": SyncTarget::namespace_schema(),
                "syncAuto": sync_auto,
                "override": override_schema(),
            },
        }))
        .answers_empty_object(StatusCode::OK)
        .refuses([Error::UnknownSyncRegion])
}

/// `CreateImageSyncRepo`: a task that is there for the same target is changed.
async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Syncable(repository): Syncable,
    body: JsonObject,
) -> Result<Response> {
    let write = PutTask {
        repository_id: repository.id,
        target: target(&app, &body)?,
        sync_auto: body.optional_boolean("syncAuto")?.unwrap_or(false),
        overwrite: body.optional_boolean("override")?.unwrap_or(false),
        operator_id: caller.user().id.clone(),
        operator_name: caller.user_name().to_owned(),
        now: app.clock.now(),
    };
    app.db.write(write).await?;
    Ok(empty_object(StatusCode::OK))
}

fn list_doc() -> OperationDoc {
    OperationDoc::new("Lists the targets to which a repository is synced automatically.")
        .answers::<Vec<TaskView>>(StatusCode::OK)
}

/// `ListImageAutoSyncReposDetails`
async fn list(
    State(app): State<AppState>,
    Viewable(repository): Viewable<RepositoryRef>,
) -> Result<Response> {
    let tasks = store::list_auto_tasks(app.db.readers(), repository.id).await?;
    let views: Vec<_> = tasks.into_iter().map(TaskView::from).collect();
    Ok(JsonResponse(StatusCode::OK, views).into_response())
}

fn delete_doc() -> OperationDoc {
    OperationDoc::new("Ends the sync of a repository to a target.")
        .remarks("For administrators only. Pending jobs are still executed.")
        .takes(json_schema!({
            "type": "object",
            "required": ["remoteRegionId", "remoteNamespace"],
            "properties": {
                "remoteRegionId": region_schema(),
                "remoteNamespace": SyncTarget::namespace_schema(),
            },
        }))
        .answers_empty_object(StatusCode::OK)
        .refuses([Error::NoSyncTask])
}

/// `DeleteImageSyncRepo`: jobs that wait already are still done.
async fn delete(
    State(app): State<AppState>,
    Syncable(repository): Syncable,
    body: JsonObject,
) -> Result<Response> {
    let (region, namespace) = target_names(&body)?;
    let write = DeleteTask {
        repository_id: repository.id,
        // Not parsed: whatever region it names, there is such a task or there is none.
        target: SyncTarget {
            region: region.to_owned(),
            namespace: namespace.to_owned(),
        },
    };
    app.db.write(write).await?;
    Ok(empty_object(StatusCode::OK))
}

fn sync_images_doc() -> OperationDoc {
    OperationDoc::new("Syncs some tags of a repository once.")
        .remarks(
            "For administrators only. The returned list is empty: a missing tag makes its job \
             fail.",
        )
        .takes(json_schema!({
            "type": "object",
            "required": ["remoteRegionId", "remoteNamespace", "imageTag"],
            "properties": {
                "remoteRegionId": region_schema(),
                "remoteNamespace": SyncTarget::namespace_schema(),
                "imageTag": {
                    "type": "array",
                    "items": schema_of::<TagName>(),
                    "minItems": 1,
                    "maxItems": MOST_TAGS,
                },
                "override": override_schema(),
            },
        }))
        .answers::<EmptyList>(StatusCode::OK)
        .refuses([Error::UnknownSyncRegion])
}

/// `CreateManualImageSyncRepo`: a tag that is not there is the business of its job.
async fn sync_images(
    State(app): State<AppState>,
    caller: Caller,
    Syncable(repository): Syncable,
    body: JsonObject,
) -> Result<Response> {
    let mut tags: Vec<TagName> = Vec::new();
    for text in body.strings("imageTag")? {
        let tag = TagName::parse_field("imageTag", text)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        if tags.len() > MOST_TAGS {
            break;
        }
    }
    if !(1..=MOST_TAGS).contains(&tags.len()) {
        let rule = format!("must name 1 to {MOST_TAGS} tags");
        return Err(Error::invalid("imageTag", rule));
    }
    let write = CreateJobs {
        repository_id: repository.id,
        target: target(&app, &body)?,
        overwrite: body.optional_boolean("override")?.unwrap_or(false),
        tags,
        operator_id: caller.user().id.clone(),
        operator_name: caller.user_name().to_owned(),
        now: app.clock.now(),
    };
    app.db.write(write).await?;
    // The tags that could not be asked for.
    Ok(JsonResponse(StatusCode::OK, EmptyList).into_response())
}

fn target(app: &App, body: &JsonObject) -> Result<SyncTarget> {
    let (region, namespace) = target_names(body)?;
    let is_region = |name: &str| app.regions.get(name).is_some();
    SyncTarget::parse(is_region, &app.region, region, namespace)
}

/// The region and the organization of a target, as they are given.
fn target_names(body: &JsonObject) -> Result<(&str, &str)> {
    let region = body.string("remoteRegionId")?;
    Ok((region, body.string("remoteNamespace")?))
}

/// A region of `remoteRegionId`, whichever the instance has.
fn region_schema() -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "examples": ["cn-east-3"],
        "description": "Another region of the instance.",
    })
}

fn override_schema() -> Schema {
    flag_schema("Whether a tag that refers to a different image at the target is replaced.")
}

fn flag_schema(meaning: &str) -> Schema {
    json_schema!({"type": "boolean", "default": false, "description": meaning})
}

fn jobs_doc() -> OperationDoc {
    OperationDoc::new("Lists the sync jobs of a repository, page by page.")
        .query([jobs_filter()])
        .answers::<Vec<JobView>>(StatusCode::OK)
        .with_header("Content-Range", ContentRange::MEANING)
        .refuses([
            Error::fault(Fault::Page, "limit", ""),
            Error::fault(Fault::Page, "offset", ""),
            Error::fault(Fault::Order, "order", ""),
        ])
}

/// `ShowSyncJob`: all jobs of a repository; newest first unless it asks for the oldest.
async fn jobs(
    State(app): State<AppState>,
    Viewable(repository): Viewable<RepositoryRef>,
    query: Query,
) -> Result<Response> {
    if query.get("filter").is_none() {
        return Err(Error::fault(Fault::Filter, "filter", "is mandatory"));
    }
    let criteria = query.criteria(&JOBS_FILTER)?;
    let page = criteria.page()?;
    let order = match criteria.get("order") {
        None | Some("desc") => SortOrder::Descending,
        Some("asc") => SortOrder::Ascending,
        Some(_) => {
            let rule = "must be asc or desc";
            return Err(Error::fault(Fault::Order, "order", rule));
        }
    };
    let (found, total) = store::list_jobs(app.db.readers(), repository.id, order, page).await?;
    let range = ContentRange::of(page, found.len(), total);
    let views: Vec<_> = found.into_iter().map(JobView::from).collect();
    Ok(range.on(JsonResponse(StatusCode::OK, views)))
}

fn jobs_filter() -> Param {
    let mut filter = Param::filter(&JOBS_FILTER);
    filter.is_mandatory = true;
    filter.meaning = "`key::value` pairs joined by `|`, each key at most once: `limit` (1 to \
                      1000), `offset`, and `order`, which is `desc` (newest first, the default) or \
                      `asc`."
        .into();
    filter
}

fn regions_doc() -> OperationDoc {
    OperationDoc::new("Lists the regions that images can be synced to.")
        .answers::<Vec<RegionView>>(StatusCode::OK)
}

/// `ListSyncRegions`: those that images of this region can be taken to.
async fn regions(State(app): State<AppState>) -> Response {
    let others = app
        .regions
        .iter()
        .filter(|region| region.name != app.region);
    let views: Vec<_> = others
        .map(|region| RegionView {
            region_id: region.name.clone(),
        })
        .collect();
    JsonResponse(StatusCode::OK, views).into_response()
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TaskView {
    created_at: String,
    #[serde(rename = "domainID")]
    domain_id: String,
    domain_name: String,
    id: i64,
    namespace: String,
    r#override: bool,
    remote_namespace: String,
    remote_region_id: String,
    repo_name: String,
    sync_auto: bool,
    updated_at: String,
}

impl From<SyncTask> for TaskView {
    fn from(task: SyncTask) -> Self {
        Self {
            created_at: task.created_at.to_string(),
            domain_id: task.account_id,
            domain_name: task.account_name,
            id: task.id,
            namespace: task.namespace,
            r#override: task.overwrite,
            remote_namespace: task.remote_namespace,
            remote_region_id: task.remote_region,
            repo_name: task.repository,
            sync_auto: task.sync_auto,
            updated_at: task.updated_at.to_string(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct JobView {
    created_at: String,
    #[serde(rename = "domainID")]
    domain_id: String,
    domain_name: String,
    id: i64,
    namespace: String,
    r#override: bool,
    remote_namespace: String,
    remote_region_id: String,
    repo_name: String,
    status: &'static str,
    sync_operator_id: String,
    sync_operator_name: String,
    tag: String,
    updated_at: String,
}

impl From<SyncJob> for JobView {
    fn from(job: SyncJob) -> Self {
        Self {
            created_at: job.created_at.to_string(),
            domain_id: job.account_id,
            domain_name: job.account_name,
            id: job.id,
            namespace: job.namespace,
            r#override: job.overwrite,
            remote_namespace: job.remote_namespace,
            remote_region_id: job.remote_region,
            repo_name: job.repository,
            status: job.status.as_str(),
            sync_operator_id: job.operator_id,
            sync_operator_name: job.operator_name,
            tag: job.tag,
            updated_at: job.updated_at.to_string(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct RegionView {
    #[serde(rename = "regionID")]
    region_id: String,
}
