//! The HTTP of simulated clusters, for people who write tests.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, Uri};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::store::{self, DeleteWorkload, ListedWorkload, PutWorkload};
use super::{Container, IMAGE_PATTERN, MAX_IMAGE, Misbehaviour, PodTemplate, Rollout, WorkloadKey};
use crate::app::AppState;
use crate::auth::Controller;
use crate::cce;
use crate::error::{Error, Fault, Resource, Result};
use crate::http::{
    Answer, Fields, NextPage, Operation, OperationDoc, Param, Path, Query, Routes, Shape,
    cut_to_page,
};
use crate::trigger::{AppType, label_schema, parse_label, parse_subdomain, subdomain_schema};

const WORKLOAD: &str = "/_emulator/clusters/{cluster}/namespaces/{namespace}/{kind}/{name}";

/// The fields of a workload's body.
const FIELDS: [&str; 4] = ["containers", "init_containers", "fail", "delay_ms"];
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
pub fn routes() -> Routes {
    Routes::of("Emulator")
        .with(
            Operation::new("EmulatorListClusters", Method::GET, "/_emulator/clusters")
                .lists()
                .described(|| {
                    OperationDoc::new("Lists all clusters with their simulated workloads.")
                        .remarks(
                            "Workloads are counted, and clusters without any. A cluster whose \
                             workloads do not fit on the page comes again on the next one.",
                        )
                        .answers::<ClustersView>(StatusCode::OK)
                        .in_pages(Shape::text().pattern("^[^/]+(/[^/]*){3}$"))
                }),
            list,
        )
        .with(
            Operation::new("EmulatorPutWorkload", Method::PUT, WORKLOAD).described(|| {
                OperationDoc::new("Makes a simulated workload, or makes it anew.")
                    .remarks(
                        "A cluster that is missing is made too. `{registry}` at the beginning of \
                         an image stands for the first name of the home region's registry.",
                    )
                    .variables(place())
                    .takes(body_shape())
                    .answers::<WorkloadView>(StatusCode::OK)
                    .needs_control()
            }),
            put,
        )
        .with(
            Operation::new("EmulatorShowWorkload", Method::GET, WORKLOAD).described(|| {
                OperationDoc::new("Shows a simulated workload with what firings did to it.")
                    .remarks(format!(
                        "The newest {SHOWN_ROLLOUTS} changes of images, newest first."
                    ))
                    .variables(place())
                    .answers::<WorkloadView>(StatusCode::OK)
            }),
            show,
        )
        .with(
            Operation::new("EmulatorDeleteWorkload", Method::DELETE, WORKLOAD).described(|| {
                OperationDoc::new("Deletes a simulated workload.")
                    .variables(place())
                    .answers_nothing()
                    .needs_control()
            }),
            delete,
        )
}

type Place = Path<(String, String, String, String)>;

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
    Ok(NextPage::of(&uri, next).on(Answer(StatusCode::OK, ClustersView { clusters })))
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

    /// What the page after it begins with.
    fn marker(&self) -> String {
        let place = self.place().unwrap_or_else(|| "//".to_owned());
        format!("{}/{place}", self.cluster_id)
    }

    fn parse_marker(text: &str) -> Result<Self> {
        // From the end, since the id of a cluster may hold slashes.
        let mut parts = text.rsplitn(4, '/').map(str::to_owned);
        let [name, kind, namespace, cluster_id] = [(); 4].map(|()| parts.next());
        cluster_id.map_or_else(
            || Err(Error::fault(Fault::Page, "marker", "must be of a `Link`")),
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

/// Makes a workload, or makes it anew, with what is missing on the way to it.
async fn put(
    State(app): State<AppState>,
    _: Controller,
    place: Place,
    body: Fields,
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
        misbehaviour: misbehaviour(&body)?,
    };
    app.db.write(write).await?;
    view(&app, &cluster, key).await
}

/// A workload with what firings did to it.
async fn show(State(app): State<AppState>, place: Place) -> Result<Response> {
    let (cluster, key) = read_place(place)?;
    refuse_real(&app, &cluster).await?;
    view(&app, &cluster, key).await
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
        let rule = "must be a simulated one; this one has a kubeconfig or in_cluster";
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
    let view = WorkloadView {
        containers: found.template.containers,
        init_containers: found.template.init_containers,
        annotations: found.template.annotations,
        rollouts: rollouts.into_iter().map(RolloutView::from).collect(),
    };
    Ok(Answer(StatusCode::OK, view).into_response())
}

/// The variables of a workload's path.
fn place() -> [Param; 4] {
    let cluster = Shape::text().length(1, MAX_CLUSTER).example("build");
    let kind = Shape::one_of(["deployments", "statefulsets"]);
    [
        Param::new("cluster", "The id or the name of a cluster.", cluster)
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

/// What [`put`] takes.
fn body_shape() -> Shape {
    let container = || {
        Shape::object()
            .must("name", Shape::text().at_least(1))
            .must(
                "image",
                Shape::text().length(1, MAX_IMAGE).pattern(IMAGE_PATTERN),
            )
            .closed()
    };
    let fail = Shape::object()
        .must("status", Shape::integer(*STATUSES.start(), *STATUSES.end()))
        .must("times", Shape::integer(*TIMES.start(), *TIMES.end()))
        .closed()
        .says("Its next updates fail with this status, so many times.");
    let delay = Shape::integer(0, MAX_DELAY).says("How long each update takes.");
    Shape::object()
        .must("containers", Shape::array(container()).at_least(1))
        .may("init_containers", Shape::array(container()))
        .may("fail", fail)
        .may("delay_ms", delay)
        .closed()
        .example(json!({"containers": [{"name": "web", "image": "localhost/group/busybox:v1"}]}))
}

/// Reads the containers of a workload, in a body or in the seed file.
pub fn read_template(body: &Fields) -> Result<PodTemplate> {
    let init_containers = match body.value("init_containers") {
        None | Some(Value::Null) => Vec::new(),
        Some(_) => containers(body, "init_containers")?,
    };
    PodTemplate::new(containers(body, "containers")?, init_containers)
}

fn containers(body: &Fields, field: &'static str) -> Result<Vec<Container>> {
    let entries = body.objects(field)?;
    let containers = entries.iter().enumerate().map(|(at, entry)| {
        container(entry).map_err(|error| error.under(&format!("{field}[{at}]")))
    });
    containers.collect()
}

fn container(entry: &Fields) -> Result<Container> {
    entry.refuse_unknown("container", &["name", "image"])?;
    Ok(Container {
        name: entry.string("name")?.to_owned(),
        image: entry.string("image")?.to_owned(),
    })
}

fn misbehaviour(body: &Fields) -> Result<Misbehaviour> {
    let mut misbehaviour = Misbehaviour::default();
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
    rollouts: Vec<RolloutView>,
}

#[derive(Serialize, JsonSchema)]
struct RolloutView {
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
