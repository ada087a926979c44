//! The HTTP of simulated clusters, for people who write tests.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::store::{self, DeleteWorkload, PutWorkload};
use super::{Container, Misbehaviour, PodTemplate, Rollout, WorkloadKey};
use crate::app::AppState;
use crate::cce;
use crate::error::{Error, Resource, Result};
use crate::http::{Answer, Fields, Operation, Routes};
use crate::trigger::{AppType, parse_label, parse_subdomain};

const WORKLOAD: &str = "/_emulator/clusters/{cluster}/namespaces/{namespace}/{kind}/{name}";

/// The longest delay of an update, in milliseconds.
const MAX_DELAY: u64 = 600_000;

/// The operations of this chapter.
pub fn routes() -> Routes {
    Routes::new()
        .with(
            Operation::new("EmulatorListClusters", Method::GET, "/_emulator/clusters").lists(),
            list,
        )
        .with(
            Operation::new("EmulatorPutWorkload", Method::PUT, WORKLOAD),
            put,
        )
        .with(
            Operation::new("EmulatorShowWorkload", Method::GET, WORKLOAD),
            show,
        )
        .with(
            Operation::new("EmulatorDeleteWorkload", Method::DELETE, WORKLOAD),
            delete,
        )
}

type Place = Path<(String, String, String, String)>;

/// All clusters with their workloads.
async fn list(State(app): State<AppState>) -> Result<Response> {
    let clusters = cce::store::list(app.db.readers()).await?;
    let workloads = store::list(app.db.readers()).await?;
    let clusters = clusters
        .into_iter()
        .map(|cluster| ClusterView {
            workloads: workloads
                .iter()
                .filter(|workload| workload.cluster_id == cluster.id)
                .map(|workload| {
                    format!("{}/{}/{}", workload.namespace, workload.kind, workload.name)
                })
                .collect(),
            id: cluster.id,
            name: cluster.name,
        })
        .collect();
    Ok(Answer(StatusCode::OK, ClustersView { clusters }).into_response())
}

/// Makes a workload, or makes it anew, with what is missing on the way to it.
async fn put(State(app): State<AppState>, place: Place, body: Fields) -> Result<Response> {
    let (cluster, key) = read_place(place)?;
    if cluster.trim().is_empty() || cluster.chars().count() > 128 {
        return Err(Error::invalid("cluster", "must have 1 to 128 characters"));
    }
    refuse_real(&app, &cluster).await?;
    let write = PutWorkload {
        cluster: cluster.clone(),
        key: key.clone(),
        template: PodTemplate::new(
            containers(&body, "containers")?,
            containers(&body, "init_containers")?,
        )?,
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

async fn delete(State(app): State<AppState>, place: Place) -> Result<StatusCode> {
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
    let found = cce::store::find_by_id_or_name(app.db.readers(), cluster).await?;
    if found.is_some_and(|cluster| app.engine.real_clusters().get(&cluster.id).is_some()) {
        let rule = "must be a simulated one; this one has a kubeconfig or in_cluster";
        return Err(Error::invalid("cluster", rule));
    }
    Ok(())
}

async fn cluster_id(app: &AppState, cluster: &str) -> Result<String> {
    let found = cce::store::find_by_id_or_name(app.db.readers(), cluster).await?;
    found
        .map(|cluster| cluster.id)
        .ok_or(Error::NotFound(Resource::Cluster))
}

async fn view(app: &AppState, cluster: &str, mut key: WorkloadKey) -> Result<Response> {
    key.cluster_id = cluster_id(app, cluster).await?;
    let found = store::find(app.db.readers(), &key).await?;
    let found = found.ok_or(Error::NotFound(Resource::Workload))?;
    let rollouts = store::list_rollouts(app.db.readers(), found.id).await?;
    let view = WorkloadView {
        containers: found.template.containers,
        init_containers: found.template.init_containers,
        annotations: json!(found.template.annotations),
        rollouts: rollouts.into_iter().map(RolloutView::from).collect(),
    };
    Ok(Answer(StatusCode::OK, view).into_response())
}

fn containers(body: &Fields, field: &'static str) -> Result<Vec<Container>> {
    match body.value(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(value) => serde_json::from_value(value.clone()).map_err(|error| {
            Error::invalid(
                field,
                format!("must be an array of {{name, image}}: {error}"),
            )
        }),
    }
}

fn misbehaviour(body: &Fields) -> Result<Misbehaviour> {
    let mut misbehaviour = Misbehaviour::default();
    if let Some(fail) = body.optional_object("fail")? {
        let number = |name: &'static str, least: u64, most: u64| {
            let number = fail.value(name).and_then(Value::as_u64);
            number
                .filter(|number| (least..=most).contains(number))
                .ok_or_else(|| {
                    Error::invalid(
                        name,
                        format!("must be a whole number from {least} to {most}"),
                    )
                })
        };
        misbehaviour.fail_status = narrow(number("status", 400, 599)?)?;
        misbehaviour.fail_times = narrow(number("times", 1, 1_000_000)?)?;
    }
    if let Some(delay) = body.value("delay_ms") {
        let delay = delay
            .as_u64()
            .filter(|delay| *delay <= MAX_DELAY)
            .ok_or_else(|| {
                Error::invalid(
                    "delay_ms",
                    format!("must be a whole number up to {MAX_DELAY}"),
                )
            })?;
        misbehaviour.delay_ms = narrow(delay)?;
    }
    Ok(misbehaviour)
}

fn narrow<T: TryFrom<u64, Error: std::error::Error + Send + Sync + 'static>>(
    number: u64,
) -> Result<T> {
    T::try_from(number).map_err(Error::internal)
}

#[derive(Serialize)]
struct ClustersView {
    clusters: Vec<ClusterView>,
}

#[derive(Serialize)]
struct ClusterView {
    id: String,
    name: String,
    workloads: Vec<String>,
}

#[derive(Serialize)]
struct WorkloadView {
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    annotations: Value,
    rollouts: Vec<RolloutView>,
}

#[derive(Serialize)]
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
