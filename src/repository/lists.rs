//! The lists of repositories: own and shared ones, in the pages of v2 and of v3.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::{JsonSchema, json_schema};
use serde::Serialize;

use super::api::{category_schema, path};
use super::store::{self};
use super::{Category, OrderColumn, Repository, RepositoryFilter, Scope};
use crate::answers::for_administrators;
use crate::app::{App, AppState};
use crate::auth::Caller;
use crate::error::{Error, Fault, Result};
use crate::http::{
    ContentRange, JsonResponse, OperationDoc, Param, Query, QueryParams, cut_to_page,
};
use crate::page::{Page, SortOrder};
use crate::schema::{number_schema, schema_of};

/// The values of `order_column`: the live service's words, and `updated_at` of older pages.
const ORDER_COLUMNS: [(&str, OrderColumn); 6] = [
    ("name", OrderColumn::Name),
    ("updated_time", OrderColumn::UpdatedTime),
    ("updated_at", OrderColumn::UpdatedTime),
    ("tag_count", OrderColumn::TagCount),
    ("namespace", OrderColumn::Namespace),
    ("is_public", OrderColumn::IsPublic),
];

/// The values of `order_column` in lists of shared repositories.
const SHARED_ORDER_COLUMNS: [(&str, OrderColumn); 7] = [
    ORDER_COLUMNS[0],
    ORDER_COLUMNS[1],
    ORDER_COLUMNS[2],
    ORDER_COLUMNS[3],
    ORDER_COLUMNS[4],
    ORDER_COLUMNS[5],
    ("domain_name", OrderColumn::AccountName),
];

/// The keys that `filter` knows.
const FILTER: [&str; 8] = [
    "namespace",
    "name",
    "category",
    "is_public",
    "limit",
    "offset",
    "order_column",
    "order_type",
];

/// The keys that `filter` knows in lists of shared repositories.
const SHARED_FILTER: [&str; 9] = [
    "center",
    "namespace",
    "name",
    "domain_name",
    "status",
    "limit",
    "offset",
    "order_column",
    "order_type",
];

pub(super) fn list_doc() -> OperationDoc {
    OperationDoc::new("Lists the repositories of the account, page by page.")
        .query(narrowing())
        .query([
            Param::limit(),
            Param::offset(),
            Param::order_column(&ORDER_COLUMNS),
            Param::order_type(),
            Param::filter(&FILTER),
        ])
        .answers::<Vec<RepositoryDetailsView>>(StatusCode::OK)
        .with_header("Content-Range", ContentRange::MEANING)
}

/// `ListReposDetails`
pub(super) async fn list(
    State(app): State<AppState>,
    caller: Caller,
    query: Query,
) -> Result<Response> {
    let criteria = query.criteria(&FILTER)?;
    let order = criteria.order(&ORDER_COLUMNS)?;
    let filter = filter(&app, &caller, &criteria, Scope::Own)?;
    let page = page_of(&app, &filter, order, criteria.page()?).await?;
    Ok(for_administrators(
        &caller,
        Some(store::list_subject()),
        page,
    ))
}

pub(super) fn list_shared_doc() -> OperationDoc {
    OperationDoc::new("Lists the repositories shared by or with the account.")
        .query(shared_narrowing("center"))
        .query([
            Param::limit(),
            Param::offset(),
            Param::order_column(&SHARED_ORDER_COLUMNS),
            Param::order_type(),
            Param::filter(&SHARED_FILTER),
        ])
        .answers::<Vec<RepositoryDetailsView>>(StatusCode::OK)
        .with_header(
            "Content-Range",
            "The position of the page: offset-count/total.",
        )
}

/// `ListSharedReposDetails`
pub(super) async fn list_shared(
    State(app): State<AppState>,
    caller: Caller,
    query: Query,
) -> Result<Response> {
    let criteria = query.criteria(&SHARED_FILTER)?;
    // Beside a filter, too: it says which list is asked for, and does not narrow it.
    let center = criteria.get("center").or_else(|| query.get("center"));
    let scope = shared_scope("center", center)?;
    let order = criteria.order(&SHARED_ORDER_COLUMNS)?;
    let filter = filter(&app, &caller, &criteria, scope)?;
    page_of(&app, &filter, order, criteria.page()?).await
}

/// Which repositories are meant by `self` and `thirdparty`.
fn shared_scope(parameter: &'static str, value: Option<&str>) -> Result<Scope> {
    match value {
        Some("self") => Ok(Scope::SharedByMe),
        Some("thirdparty") => Ok(Scope::SharedWithMe),
        _ => {
            let rule = "is mandatory and must be self or thirdparty";
            Err(Error::fault(Fault::Query, parameter, rule))
        }
    }
}

async fn page_of(
    app: &App,
    filter: &RepositoryFilter,
    order: Option<(OrderColumn, SortOrder)>,
    page: Page,
) -> Result<Response> {
    let (found, total) = store::list(app.db.readers(), filter, order, page).await?;
    let range = ContentRange::of(page, found.len(), total);
    let views: Vec<_> = found
        .into_iter()
        .map(|repository| RepositoryDetailsView::new(app, repository, total))
        .collect();
    Ok(range.on(JsonResponse(StatusCode::OK, views)))
}

pub(super) fn list_v3_doc() -> OperationDoc {
    OperationDoc::new("Lists the repositories of the account, starting at a marker.")
        .query(narrowing())
        .query([Param::limit(), Param::marker(number_schema())])
        .answers::<RepositoriesV3View>(StatusCode::OK)
}

/// `ListRepoDetails`
pub(super) async fn list_v3(
    State(app): State<AppState>,
    caller: Caller,
    query: Query,
) -> Result<Response> {
    let criteria = query.parameters();
    let filter = filter(&app, &caller, &criteria, Scope::Own)?;
    page_after(&app, &filter, &criteria).await
}

pub(super) fn list_shared_v3_doc() -> OperationDoc {
    let summary = "Lists the repositories shared by or with the account, starting at a marker.";
    OperationDoc::new(summary)
        .query(shared_narrowing("shared_by"))
        .query([Param::limit(), Param::marker(number_schema())])
        .answers::<RepositoriesV3View>(StatusCode::OK)
}

/// `ListSharedRepoDetails`
pub(super) async fn list_shared_v3(
    State(app): State<AppState>,
    caller: Caller,
    query: Query,
) -> Result<Response> {
    let criteria = query.parameters();
    let scope = shared_scope("shared_by", criteria.get("shared_by"))?;
    let filter = filter(&app, &caller, &criteria, scope)?;
    page_after(&app, &filter, &criteria).await
}

async fn page_after(
    app: &App,
    filter: &RepositoryFilter,
    criteria: &QueryParams<'_>,
) -> Result<Response> {
    let limit = criteria.limit()?;
    let after = criteria.number("marker")?.unwrap_or(0);
    // One more than asked for tells whether there is a next page.
    let mut found = store::list_after(app.db.readers(), filter, after, limit + 1).await?;
    let next_marker = cut_to_page(&mut found, limit, |last| last.id);
    let repos = found.into_iter().map(RepositoryV3View::from).collect();
    Ok(JsonResponse(StatusCode::OK, RepositoriesV3View { repos, next_marker }).into_response())
}

/// The parameters by which lists are narrowed.
fn narrowing() -> [Param; 4] {
    let text = schema_of::<String>;
    let category = category_schema();
    [
        Param::new("namespace", "The full name of the organization.", text()),
        Param::new("name", "Part of the repository's name.", text()),
        Param::new("category", "The repository's category.", category).refused(Fault::Query),
        Param::boolean(
            "is_public",
            "Whether everyone can pull from the repository.",
        ),
    ]
}

/// The parameters by which lists of shared repositories are narrowed; `whose` is the one that says
/// which of the two lists is meant.
fn shared_narrowing(whose: &'static str) -> [Param; 5] {
    let meaning = "`self`: shared by the account; `thirdparty`: shared with it.";
    let scope = json_schema!({"type": "string", "enum": ["self", "thirdparty"]});
    let text = schema_of::<String>;
    [
        Param::new(whose, meaning, scope).mandatory(),
        Param::new("namespace", "The full name of the organization.", text()),
        Param::new("name", "Part of the repository's name.", text()),
        Param::new("domain_name", "Part of the owner's name.", text()),
        Param::boolean("status", "Whether the share is still valid."),
    ]
}

fn filter(
    app: &App,
    caller: &Caller,
    criteria: &QueryParams<'_>,
    scope: Scope,
) -> Result<RepositoryFilter> {
    let of_shared = scope != Scope::Own;
    let namespace = criteria.get("namespace").map(str::to_owned);
    let (namespace, namespace_part) = if criteria.filtered {
        (None, namespace)
    } else {
        (namespace, None)
    };
    let category = criteria.get("category");
    Ok(RepositoryFilter {
        region: app.region.clone(),
        account_id: caller.account_id().to_owned(),
        user_id: caller.restricted_id(),
        scope,
        now: app.clock.now(),
        is_shared: if of_shared {
            criteria.boolean("status")?
        } else {
            None
        },
        account_part: criteria
            .get("domain_name")
            .filter(|_| of_shared)
            .map(str::to_owned),
        namespace,
        namespace_part,
        name_part: criteria.get("name").map(str::to_owned),
        category: category
            .map(|text| Category::parse(text, Fault::Query))
            .transpose()?,
        is_public: criteria.boolean("is_public")?,
    })
}

/// The answer of `ListRepoDetails`.
#[derive(Serialize, JsonSchema)]
struct RepositoriesV3View {
    repos: Vec<RepositoryV3View>,
    #[serde(rename = "nextMarker", skip_serializing_if = "Option::is_none")]
    next_marker: Option<i64>,
}

#[derive(Serialize, JsonSchema)]
struct RepositoryV3View {
    id: i64,
    name: String,
    category: &'static str,
    description: String,
    size: i64,
    is_public: bool,
    num_images: i64,
    num_download: i64,
    created_at: String,
    updated_at: String,
    domain_name: String,
    namespace_name: String,
    status: bool,
}

impl From<Repository> for RepositoryV3View {
    fn from(repository: Repository) -> Self {
        Self {
            id: repository.id,
            name: repository.name,
            category: repository.category.as_str(),
            description: repository.description,
            size: repository.size,
            is_public: repository.is_public,
            num_images: repository.num_images,
            num_download: repository.num_download,
            created_at: repository.created_at.to_string(),
            updated_at: repository.updated_at.to_string(),
            domain_name: repository.account_name,
            namespace_name: repository.namespace,
            status: repository.is_shared,
        }
    }
}

/// An entry of `ListReposDetails`.
#[derive(Serialize, JsonSchema)]
struct RepositoryDetailsView {
    name: String,
    category: &'static str,
    description: String,
    size: i64,
    is_public: bool,
    num_images: i64,
    num_download: i64,
    created_at: String,
    updated_at: String,
    logo: &'static str,
    url: &'static str,
    path: String,
    internal_path: String,
    domain_name: String,
    namespace: String,
    tags: Vec<String>,
    /// Only meaningful for repositories shared by other accounts.
    status: bool,
    /// The total number of entries; the same in each of them. Terraform stops paging at it.
    total_range: i64,
}

impl RepositoryDetailsView {
    fn new(app: &App, repository: Repository, total: i64) -> Self {
        let path = path(app, &repository);
        Self {
            name: repository.name,
            category: repository.category.as_str(),
            description: repository.description,
            size: repository.size,
            is_public: repository.is_public,
            num_images: repository.num_images,
            num_download: repository.num_download,
            created_at: repository.created_at.to_string(),
            updated_at: repository.updated_at.to_string(),
            logo: "",
            url: "",
            internal_path: path.clone(),
            path,
            domain_name: repository.account_name,
            namespace: repository.namespace,
            tags: repository.tags,
            status: repository.is_shared,
            total_range: total,
        }
    }
}
