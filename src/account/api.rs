//! The HTTP of the account (API reference, quota management and other APIs).
//!
//! The `{project_id}` in paths is not looked at, here and at CCE: it is the caller who says which
//! account is meant, and the address which region.

use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use schemars::JsonSchema;
use serde::Serialize;

use super::store::{self, CreateAgency};
use super::{DayBytes, REPORT_DAYS, ResourceType, filled, stored_by_day};
use crate::app::{AppState, Routes};
use crate::auth::Caller;
use crate::error::{Error, Fault, Resource, Result};
use crate::http::{JsonResponse, OperationDoc, Segment};

const QUOTAS: &str = "/v2/manage/projects/{project_id}/quotas";
const OVERVIEW: &str = "/v2/manage/overview";
const REPORTS: &str = "/v2/manage/reports/{resource_type}/{frequency}";
const FEATURE_GATES: &str = "/v2/manage/projects/{project_id}/feature-gates";
const AGENCY: &str = "/v2/manage/agency";

/// The operations of this chapter.
#[rustfmt::skip] // A table: one line an operation.
pub fn routes() -> Routes {
    Routes::of("Account")
        .list("ListQuotas", QUOTAS, list_quotas, list_quotas_doc)
        .get("ShowDomainOverview", OVERVIEW, show_overview, show_overview_doc)
        .list("ShowDomainResourceReports", REPORTS, show_report, show_report_doc)
        .get("ShowShareFeatureGates", FEATURE_GATES, show_feature_gates, show_feature_gates_doc)
        .get("CheckAgency", AGENCY, check_agency, check_agency_doc)
        .post("CreateAgency", AGENCY, create_agency, create_agency_doc)
}

fn list_quotas_doc() -> OperationDoc {
    OperationDoc::new("Shows the quota of organizations and how many of them exist.")
        .answers::<QuotasView>(StatusCode::OK)
}

/// `ListQuotas`
async fn list_quotas(State(app): State<AppState>, caller: Caller) -> Result<Response> {
    let holdings = store::count(app.db.readers(), caller.account_id(), &app.region).await?;
    let view = QuotasView {
        quotas: [QuotaView {
            quota_key: "namespace",
            quota_limit: app.quota_namespaces,
            used: holdings.namespaces,
            unit: "",
        }],
    };
    Ok(JsonResponse(StatusCode::OK, view).into_response())
}

#[derive(Serialize, JsonSchema)]
struct QuotasView {
    quotas: [QuotaView; 1],
}

#[derive(Serialize, JsonSchema)]
struct QuotaView {
    quota_key: &'static str,
    quota_limit: u32,
    used: i64,
    unit: &'static str,
}

fn show_overview_doc() -> OperationDoc {
    OperationDoc::new("Shows the account's usage in the region.")
        .answers::<OverviewView>(StatusCode::OK)
}

/// `ShowDomainOverview`
async fn show_overview(State(app): State<AppState>, caller: Caller) -> Result<Response> {
    app.registry.downloads.flush().await;
    let db = app.db.readers();
    let account = &caller.user().account;
    let today = app.clock.now();
    let holdings = store::count(db, &account.id, &app.region).await?;
    let growth = store::list_growth(db, &account.id, &app.region, today).await?;
    let pulled = store::sum_pulled(db, &account.id, &app.region).await?;
    let view = OverviewView {
        domain_id: &account.id,
        domain_name: &account.name,
        namspace_num: holdings.namespaces,
        repo_num: holdings.repositories,
        image_num: holdings.images,
        store_space: double(growth.iter().map(|entry| entry.bytes).sum()),
        downflow_size: double(pulled),
    };
    Ok(JsonResponse(StatusCode::OK, view).into_response())
}

#[derive(Serialize, JsonSchema)]
struct OverviewView<'a> {
    domain_id: &'a str,
    domain_name: &'a str,
    // So it is spelled.
    namspace_num: i64,
    repo_num: i64,
    image_num: i64,
    // The reference names no unit for these two.
    /// In bytes.
    store_space: f64,
    /// In bytes.
    downflow_size: f64,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the reference has a double, which is exact up to 8 PiB"
)]
fn double(bytes: i64) -> f64 {
    bytes as f64
}

fn show_report_doc() -> OperationDoc {
    OperationDoc::new("Shows the bytes stored or pulled on each of the last 30 days.")
        .answers::<Vec<ReportView>>(StatusCode::OK)
}

/// `ShowDomainResourceReports`
async fn show_report(
    State(app): State<AppState>,
    caller: Caller,
    resource_type: ResourceType,
) -> Result<Response> {
    let db = app.db.readers();
    let (account_id, region) = (caller.account_id(), app.region.as_str());
    let now = app.clock.now();
    let first = now.day().back(REPORT_DAYS - 1);
    let days = first.through(now.day());
    let amounts = match resource_type {
        ResourceType::Store => {
            // In this order: what a removal between the two takes away was in the first already,
            // and its past is in the second.
            let growth = store::list_growth(db, account_id, region, now).await?;
            let snapshots = store::list_snapshots(db, account_id, region, now.day()).await?;
            stored_by_day(days, &snapshots, &growth)
        }
        ResourceType::Downflow => {
            app.registry.downloads.flush().await;
            let pulled = store::list_pulled(db, account_id, region, first).await?;
            filled(days, &pulled)
        }
    };
    let views: Vec<_> = amounts.into_iter().map(ReportView::from).collect();
    Ok(JsonResponse(StatusCode::OK, views).into_response())
}

impl<S: Sync> FromRequestParts<S> for ResourceType {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let resource_type = Segment::read(parts, "resource_type", Fault::Parameter).await?;
        let frequency = Segment::read(parts, "frequency", Fault::Parameter).await?;
        Self::of_report(&resource_type, &frequency)
    }
}

#[derive(Serialize, JsonSchema)]
struct ReportView {
    date: String,
    /// In bytes.
    value: f64,
}

impl From<DayBytes> for ReportView {
    fn from(amount: DayBytes) -> Self {
        Self {
            date: amount.day.to_string(),
            value: double(amount.bytes),
        }
    }
}

fn show_feature_gates_doc() -> OperationDoc {
    OperationDoc::new("Shows which features of SWR are enabled: those that are emulated.")
        .answers::<FeatureGatesView>(StatusCode::OK)
}

/// `ShowShareFeatureGates`: on is what is emulated.
async fn show_feature_gates(_: Caller) -> Response {
    JsonResponse(StatusCode::OK, FEATURE_GATES_VIEW).into_response()
}

#[derive(Serialize, JsonSchema)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the reference's object is a list of switches"
)]
struct FeatureGatesView {
    enable_experience: bool,
    enable_hss_service: bool,
    enable_image_scan: bool,
    enable_sm3: bool,
    enable_image_sync: bool,
    enable_cci_service: bool,
    enable_image_label: bool,
    enable_pipeline: bool,
    enable_authorization_token: bool,
    enable_resource: bool,
    enable_list_v3: bool,
    enable_image_quota: bool,
    // What follows was seen of the live service and is not in the reference.
    enable_cosign_signature: bool,
    enable_enterprise_edition_link: bool,
    enable_customize_validity_period: bool,
    swr_util_download_url: &'static str,
}

const FEATURE_GATES_VIEW: FeatureGatesView = FeatureGatesView {
    enable_experience: false,
    enable_hss_service: false,
    enable_image_scan: false,
    enable_sm3: false,
    enable_image_sync: true,
    enable_cci_service: true,
    enable_image_label: false,
    enable_pipeline: false,
    enable_authorization_token: true,
    enable_resource: false,
    enable_list_v3: true,
    enable_image_quota: false,
    enable_cosign_signature: true,
    enable_enterprise_edition_link: false,
    enable_customize_validity_period: true,
    swr_util_download_url: "",
};

fn check_agency_doc() -> OperationDoc {
    OperationDoc::new("Shows whether the account has delegated CCE and CCI to SWR.")
        .answers::<AgencyView>(StatusCode::OK)
}

/// `CheckAgency`
async fn check_agency(State(app): State<AppState>, caller: Caller) -> Result<Response> {
    let view = AgencyView {
        domain_id: caller.account_id(),
        is_agency: store::has_agency(app.db.lookups(), caller.account_id()).await?,
    };
    Ok(JsonResponse(StatusCode::OK, view).into_response())
}

#[derive(Serialize, JsonSchema)]
struct AgencyView<'a> {
    domain_id: &'a str,
    is_agency: bool,
}

fn create_agency_doc() -> OperationDoc {
    OperationDoc::new("Delegates the account's CCE and CCI to SWR.")
        .remarks("For administrators only.")
        .answers_nothing()
        .refuses([Error::Forbidden, Error::AlreadyExists(Resource::Agency)])
}

/// `CreateAgency`, which has no body.
async fn create_agency(State(app): State<AppState>, caller: Caller) -> Result<StatusCode> {
    if !caller.is_admin() {
        return Err(Error::Forbidden);
    }
    let write = CreateAgency {
        account_id: caller.account_id().to_owned(),
        created_at: app.clock.now(),
    };
    app.db.write(write).await?;
    Ok(StatusCode::NO_CONTENT)
}
