//! The HTTP of simulated clusters, for people who write tests.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;
use serde_json::Value;
use strum::VariantNames;

use super::health::{MAX_MESSAGE, MOST_DAYS, PlannedOutcome, parse_after};
use super::store::{self, DeleteWorkload, ListedWorkload, PutWorkload};
use super::{
    Container, FailureSettings, Health, IMAGE_PATTERN, MAX_IMAGE, PodTemplate, Revision, Rollout,
    RolloutPlan, RolloutState, WorkloadKey, label_schema, parse_label, parse_subdomain,
    subdomain_schema,
};
use crate::app::{AppState, Routes};
use crate::auth::Controller;
use crate::cce;
use crate::clock::Timestamp;
use crate::error::{Error, Fault, Resource, Result};
use crate::http::{JsonResponse, NextPage, OperationDoc, Param, Path, Query, cut_to_page};
use crate::json::JsonObject;
use crate::schema::described;
use crate::trigger::AppType;

const CLUSTERS: &str = "/_emulator/clusters";
const WORKLOAD: &str = "/_emulator/clusters/{cluster}/namespaces/{namespace}/{kind}/{name}";

/// The fields of a workload's body.
const FIELDS: [&str; 5] = [
    "containers",
    "init_containers",
    "fail",
    "delay_ms",
    "rollout",
];
/// The longest delay of an update, in milliseconds.
const MAX_DELAY: u32 = 600_000;
/// How many rollouts are shown.
const SHOWN_ROLLOUTS: u32 = 100;
/// The longest name or id of a cluster that is made, in characters.
const MAX_CLUSTER: usize = 128;
/// The statuses with which updates can be made to fail, and how often at the most.
const STATUSES: RangeInclusive<u32> = 400..=599;
const TIMES: RangeInclusive<u32> = 1..=1_000_000;

/// The operations of this chapter.
#[rustfmt::skip] // A table: one line an operation.
pub fn routes() -> Routes {
    Routes::of("Emulator")
        .list("EmulatorListClusters", CLUSTERS, list, list_doc)
        .put("EmulatorPutWorkload", WORKLOAD, put, put_doc).with_recorded_body()
        .get("EmulatorShowWorkload", WORKLOAD, show, show_doc)
        .delete("EmulatorDeleteWorkload", WORKLOAD, delete, delete_doc)
}

type Place = Path<(String, String, String, String)>;

fn list_doc() -> OperationDoc {
    let marker = json_schema!({"type": "string", "pattern": "^[^/]+(/[^/]*){3}$"});
    OperationDoc::new("Lists all clusters with their simulated workloads.")
        .remarks(
            "The limit counts workloads, and clusters without workloads. A cluster whose workloads \
             do not fit on a page is continued on the next one.",
        )
        .answers::<ClustersView>(StatusCode::OK)
        .in_pages(marker)
}

/// All clusters with their workloads, by id and by place.
async fn list(State(app): State<AppState>, uri: Uri, query: Query) -> Result<Response> {
    let criteria = query.parameters();
    let limit = criteria.limit()?;
    let after = criteria.get("marker").map(ListedWorkload::parse_marker);
    let after = after.transpose()?.unwrap_or_default();
    let mut page = store::list(app.db.readers(), &after, limit + 1).await?;
    let next = cut_to_page(&mut page, limit, ListedWorkload::marker);
    let mut clusters: Vec<ClusterView> = Vec::new();
    for listed in page {
        let place = listed.place();
        match clusters.last_mut() {
            Some(cluster) if cluster.id == listed.cluster_id => cluster.workloads.extend(place),
            _ => clusters.push(ClusterView {
                id: listed.cluster_id,
                name: listed.cluster_name,
                workloads: place.into_iter().collect(),
            }),
        }
    }
    Ok(NextPage::of(&uri, next).on(JsonResponse(StatusCode::OK, ClustersView { clusters })))
}

impl ListedWorkload {
    /// Where it is in its cluster; none for a cluster without workloads.
    fn place(&self) -> Option<String> {
        let Self {
            namespace,
            kind,
            name,
            ..
        } = self;
        (!name.is_empty()).then(|| format!("{namespace}/{kind}/{name}"))
    }

    /// The marker of the page after it.
    fn marker(&self) -> String {
        let place = self.place().unwrap_or_else(|| "//".to_owned());
        format!("{}/{place}", self.cluster_id)
    }

    fn parse_marker(text: &str) -> Result<Self> {
        // From the end, since the id of a cluster may hold slashes.
        let mut parts = text.rsplitn(4, '/').map(str::to_owned);
        let [name, kind, namespace, cluster_id] = [(); 4].map(|()| parts.next());
        cluster_id.map_or_else(
            || {
                Err(Error::fault(
                    Fault::Page,
                    "marker",
                    "must come from a `Link` header",
                ))
            },
            |cluster_id| {
                Ok(Self {
                    cluster_id,
                    cluster_name: String::new(),
                    namespace: namespace.unwrap_or_default(),
                    kind: kind.unwrap_or_default(),
                    name: name.unwrap_or_default(),
                })
            },
        )
    }
}

fn put_doc() -> OperationDoc {
    OperationDoc::new("Creates or replaces a simulated workload.")
        .remarks(
            "A missing cluster is created too. `{registry}` at the start of an image stands for \
             the first name of the home region's registry.",
        )
        .variables(place())
        .takes(body_schema())
        .answers::<WorkloadView>(StatusCode::OK)
        .needs_control()
}

/// Makes a workload, or makes it anew; also its cluster, where that is missing.
async fn put(
    State(app): State<AppState>,
    _: Controller,
    place: Place,
    body: JsonObject,
) -> Result<Response> {
    let (cluster, key) = read_place(place)?;
    if cluster.trim().is_empty() || cluster.chars().count() > MAX_CLUSTER {
        return Err(Error::invalid(
            "cluster",
            format!("must have 1 to {MAX_CLUSTER} characters"),
        ));
    }
    refuse_real(&app, &cluster).await?;
    body.refuse_unknown("workload", &FIELDS)?;
    let write = PutWorkload {
        cluster: cluster.clone(),
        key: key.clone(),
        template: read_template(&body)?.with_registry(app.regions.seed_registry()),
        misbehaviour: read_failures(&body)?,
        plan: read_plan(&body)?,
        now: app.clock.now(),
    };
    app.db.write(write).await?;
    view(&app, &cluster, key).await
}

fn show_doc() -> OperationDoc {
    OperationDoc::new("Shows a simulated workload and its rollouts.")
        .remarks(format!(
            "`rollout` is the plan as it was put, `status` the result of the last update, \
             `revisions` the last 100 pod templates, and `rollouts` the last {SHOWN_ROLLOUTS} \
             changes of images by triggers; both lists begin with the newest."
        ))
        .variables(place())
        .answers::<WorkloadView>(StatusCode::OK)
}

/// A workload with its rollouts.
async fn show(State(app): State<AppState>, place: Place) -> Result<Response> {
    let (cluster, key) = read_place(place)?;
    refuse_real(&app, &cluster).await?;
    view(&app, &cluster, key).await
}

fn delete_doc() -> OperationDoc {
    OperationDoc::new("Deletes a simulated workload.")
        .variables(place())
        .answers_nothing()
        .needs_control()
}

async fn delete(State(app): State<AppState>, _: Controller, place: Place) -> Result<StatusCode> {
    let (cluster, mut key) = read_place(place)?;
    refuse_real(&app, &cluster).await?;
    key.cluster_id = cluster_id(&app, &cluster).await?;
    app.db.write(DeleteWorkload(key)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn read_place(Path((cluster, namespace, kind, name)): Place) -> Result<(String, WorkloadKey)> {
    let kind = AppType::parse(&kind).map_err(|_| Error::NotFound(Resource::Workload))?;
    let key = WorkloadKey {
        cluster_id: String::new(),
        namespace: parse_label("namespace", &namespace)?,
        kind,
        name: parse_subdomain("name", &name)?,
    };
    Ok((cluster, key))
}

/// Workloads of a real cluster are its own.
async fn refuse_real(app: &AppState, cluster: &str) -> Result<()> {
    let found = cce::store::find_by_id_or_name(app.db.lookups(), cluster).await?;
    if found.is_some_and(|cluster| app.engine.real_clusters().get(&cluster.id).is_some()) {
        let rule = "must be a simulated cluster; this one has a kubeconfig or in_cluster";
        return Err(Error::invalid("cluster", rule));
    }
    Ok(())
}

async fn cluster_id(app: &AppState, cluster: &str) -> Result<String> {
    let found = cce::store::find_by_id_or_name(app.db.lookups(), cluster).await?;
    found
        .map(|cluster| cluster.id)
        .ok_or(Error::NotFound(Resource::Cluster))
}

async fn view(app: &AppState, cluster: &str, mut key: WorkloadKey) -> Result<Response> {
    key.cluster_id = cluster_id(app, cluster).await?;
    let found = store::find(app.db.lookups(), &key).await?;
    let found = found.ok_or(Error::NotFound(Resource::Workload))?;
    let rollouts = store::list_rollouts(app.db.readers(), found.id, SHOWN_ROLLOUTS).await?;
    let mut revisions = store::list_revisions(app.db.readers(), found.id).await?;
    if revisions.is_empty() {
        // The first update writes it down.
        revisions.push(found.first_revision());
    }
    let view = WorkloadView {
        rollout: found.plan,
        status: StatusView::new(found.health, found.since),
        revisions: revisions.into_iter().map(RevisionView::from).collect(),
        containers: found.template.containers,
        init_containers: found.template.init_containers,
        annotations: found.template.annotations,
        rollouts: rollouts.into_iter().map(RolloutView::from).collect(),
    };
    Ok(JsonResponse(StatusCode::OK, view).into_response())
}

/// The variables of a workload's path.
fn place() -> [Param; 4] {
    let cluster = json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_CLUSTER,
        "examples": ["build"],
    });
    let kind = json_schema!({"type": "string", "enum": ["deployments", "statefulsets"]});
    [
        Param::new("cluster", "The id or name of a cluster.", cluster)
            .refused(Fault::Parameter)
            .missing(Resource::Cluster),
        Param::new("namespace", "A Kubernetes namespace.", label_schema())
            .refused(Fault::Parameter),
        Param::new("kind", "The kind of workload.", kind).missing(Resource::Workload),
        Param::new("name", "The workload's name.", subdomain_schema())
            .refused(Fault::Parameter)
            .missing(Resource::Workload),
    ]
}

/// The bodies that [`put`] takes.
fn body_schema() -> Schema {
    let container = json_schema!({
        "type": "object",
        "required": ["name", "image"],
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "image": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_IMAGE,
                "pattern": IMAGE_PATTERN,
            },
        },
        "additionalProperties": false,
    });
    let fail = json_schema!({
        "type": "object",
        "required": ["status", "times"],
        "properties": {
            "status": within(&STATUSES),
            "times": within(&TIMES),
        },
        "additionalProperties": false,
        "description": "The status with which the next updates fail, and how many of them do.",
    });
    json_schema!({
        "type": "object",
        "required": ["containers"],
        "properties": {
            "containers": {"type": "array", "items": container, "minItems": 1},
            "init_containers": {"type": "array", "items": container},
            "fail": fail,
            "delay_ms": described(within(&(0..=MAX_DELAY)), "How long each update takes."),
            "rollout": plan_schema(),
        },
        "additionalProperties": false,
        "examples": [{"containers": [{"name": "web", "image": "localhost/group/busybox:v1"}]}],
    })
}

fn plan_schema() -> Schema {
    json_schema!({
        "type": "object",
        "required": ["outcome"],
        "properties": {
            "outcome": {"type": "string", "enum": PlannedOutcome::VARIANTS},
            "after": {
                "type": "string",
                "pattern": "^[0-9]{1,2}[smhd]$",
                "default": "0s",
                "description": "How long the rollout takes on the clock of the instance.",
            },
            "message": {
                "type": "string",
                "maxLength": MAX_MESSAGE,
                "description": "The message of the pod; Kubernetes' where omitted.",
            },
        },
        "additionalProperties": false,
        "description": "What comes of each update; healthy at once where omitted.",
    })
}

fn within(bounds: &RangeInclusive<u32>) -> Schema {
    json_schema!({"type": "integer", "minimum": bounds.start(), "maximum": bounds.end()})
}

/// Reads the containers of a workload, in a body or in the seed file.
pub fn read_template(body: &JsonObject) -> Result<PodTemplate> {
    let init_containers = match body.value("init_containers") {
        None | Some(Value::Null) => Vec::new(),
        Some(_) => containers(body, "init_containers")?,
    };
    PodTemplate::new(containers(body, "containers")?, init_containers)
}

fn containers(body: &JsonObject, field: &'static str) -> Result<Vec<Container>> {
    let entries = body.objects(field)?;
    let containers = entries.iter().enumerate().map(|(at, entry)| {
        container(entry).map_err(|error| error.under(&format!("{field}[{at}]")))
    });
    containers.collect()
}

fn container(entry: &JsonObject) -> Result<Container> {
    entry.refuse_unknown("container", &["name", "image"])?;
    Ok(Container {
        name: entry.string("name")?.to_owned(),
        image: entry.string("image")?.to_owned(),
    })
}

/// Reads what a workload does wrong, in a body or in the seed file.
pub fn read_failures(body: &JsonObject) -> Result<FailureSettings> {
    let mut misbehaviour = FailureSettings::default();
    if let Some(fail) = body.optional_object("fail")? {
        fail.refuse_unknown("failure", &["status", "times"])
            .map_err(|error| error.under("fail"))?;
        let number = |name: &'static str, bounds: RangeInclusive<u32>| {
            let number = fail.value(name).and_then(Value::as_u64);
            number
                .and_then(|number| u32::try_from(number).ok())
                .filter(|number| bounds.contains(number))
                .ok_or_else(|| {
                    let (least, most) = (bounds.start(), bounds.end());
                    let rule = format!("must be a whole number from {least} to {most}");
                    Error::invalid(name, rule)
                })
        };
        misbehaviour.fail_status =
            u16::try_from(number("status", STATUSES)?).map_err(Error::internal)?;
        misbehaviour.fail_times = number("times", TIMES)?;
    }
    if let Some(delay) = body.value("delay_ms") {
        misbehaviour.delay_ms = delay
            .as_u64()
            .and_then(|delay| u32::try_from(delay).ok())
            .filter(|delay| *delay <= MAX_DELAY)
            .ok_or_else(|| {
                Error::invalid(
                    "delay_ms",
                    format!("must be a whole number up to {MAX_DELAY}"),
                )
            })?;
    }
    Ok(misbehaviour)
}

/// Reads what the updates of a workload come to, in a body or in the seed file.
pub fn read_plan(body: &JsonObject) -> Result<Option<RolloutPlan>> {
    let plan = body.optional_object("rollout")?;
    let plan = plan.map(|plan| parse_plan(&plan)).transpose();
    plan.map_err(|error| error.under("rollout"))
}

fn parse_plan(plan: &JsonObject) -> Result<RolloutPlan> {
    plan.refuse_unknown("rollout", &["outcome", "after", "message"])?;
    let outcome = plan.string("outcome")?.parse().map_err(|_| {
        let known = PlannedOutcome::VARIANTS.join(", ");
        Error::invalid("outcome", format!("must be one of {known}"))
    })?;
    let after = plan.optional_string("after")?;
    if after.is_some_and(|after| parse_after(after).is_none()) {
        let rule = format!("must be a duration like 2s or 10m, less than {MOST_DAYS}d");
        return Err(Error::invalid("after", rule));
    }
    let message = plan.optional_string("message")?;
    if message.is_some_and(|message| message.chars().count() > MAX_MESSAGE) {
        let rule = format!("must have at most {MAX_MESSAGE} characters");
        return Err(Error::invalid("message", rule));
    }
    Ok(RolloutPlan {
        outcome,
        after: after.map(str::to_owned),
        message: message.map(str::to_owned),
    })
}

#[derive(Serialize, JsonSchema)]
struct ClustersView {
    clusters: Vec<ClusterView>,
}

#[derive(Serialize, JsonSchema)]
struct ClusterView {
    id: String,
    name: String,
    workloads: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct WorkloadView {
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    annotations: BTreeMap<String, String>,
    /// What comes of each update, as it was put.
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<RolloutPlan>,
    status: StatusView,
    /// At most 100.
    revisions: Vec<RevisionView>,
    rollouts: Vec<RolloutView>,
}

#[derive(Serialize, JsonSchema)]
struct StatusView {
    state: RolloutState,
    reason: String,
    message: String,
    since: String,
}

impl StatusView {
    fn new(health: Health, since: Timestamp) -> Self {
        Self {
            state: health.state,
            reason: health.reason,
            message: health.message,
            since: since.to_string(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct RevisionView {
    revision: i64,
    at: String,
    /// The image of each container.
    images: BTreeMap<String, String>,
    state: RolloutState,
}

impl From<Revision> for RevisionView {
    fn from(revision: Revision) -> Self {
        Self {
            revision: revision.revision,
            at: revision.at.to_string(),
            images: revision.images,
            state: revision.state,
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub struct RolloutView {
    at: String,
    trigger: String,
    tag: String,
    digest: String,
    container: String,
    before: String,
    after: String,
}

impl From<Rollout> for RolloutView {
    fn from(rollout: Rollout) -> Self {
        Self {
            at: rollout.at.to_string(),
            trigger: rollout.trigger_name,
            tag: rollout.tag,
            digest: rollout.digest,
            container: rollout.container,
            before: rollout.before,
            after: rollout.after,
        }
    }
}
