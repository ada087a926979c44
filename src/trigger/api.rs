//! The HTTP of triggers (API reference, trigger management).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use http::StatusCode;
use http::request::Parts;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;
use tracing::warn;

use super::store::{self, CreateTrigger, DeleteTrigger, EnableTrigger};
use super::{
    AppType, Cluster, Condition, MAX_CLUSTER, NewTrigger, Trigger, TriggerMode, TriggerName,
    TriggerType, parse_cluster_field,
};
use crate::account::NO_AGENCY;
use crate::app::{App, AppState, Routes};
use crate::auth::Caller;
use crate::engine::history::{self, HistoryEntry};
use crate::error::{Error, Fault, Resource, Result, one_line};
use crate::http::{JsonResponse, OperationDoc, Query, Segment, empty_object, json};
use crate::json::JsonObject;
use crate::permission::{Editable, Viewable};
use crate::repository::RepositoryRef;
use crate::schema::{described, schema_of};
use crate::tag::accessory;
use crate::workload::{label_schema, parse_label, parse_subdomain, subdomain_schema};

const TRIGGERS: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/triggers";
const TRIGGER: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/triggers/{trigger}";

/// How many triggers of a list are in memory at once.
const PIECE: u32 = 1000;

/// The fields of `CreateTrigger`, in the order of the reference's table, which is also the order
/// in which they are checked.
pub const FIELDS: [&str; 12] = [
    "action",
    "app_type",
    "application",
    "cluster_id",
    "cluster_name",
    "cluster_ns",
    "condition",
    "container",
    "enable",
    "name",
    "trigger_mode",
    "trigger_type",
];

/// The operations of this chapter.
pub fn routes() -> Routes {
    Routes::of("Triggers")
        .post("CreateTrigger", TRIGGERS, create, create_doc)
        .list("ListTriggersDetails", TRIGGERS, list, list_doc)
        .get("ShowTrigger", TRIGGER, show, show_doc)
        .patch("UpdateTrigger", TRIGGER, update, update_doc)
        .delete("DeleteTrigger", TRIGGER, delete, delete_doc)
}

fn create_doc() -> OperationDoc {
    OperationDoc::new("Adds a trigger to a repository.")
        .takes(body_schema())
        .answers_empty_object(StatusCode::CREATED)
        .refuses([
            Error::AlreadyExists(Resource::Trigger),
            Error::ClusterUnavailable(
                "deployment (with `--strict-targets` or `--require-agency`)".to_owned(),
            ),
        ])
}

/// `CreateTrigger`
async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Editable(repository): Editable<RepositoryRef>,
    body: JsonObject,
) -> Result<Response> {
    let trigger = read_body(&body)?;
    let hint = if app.strict_targets {
        app.engine.check_target(&repository, &trigger).await?
    } else {
        None
    };
    if app
        .engine
        .lacks_agency(&repository.namespace.account_id)
        .await?
    {
        return Err(refuse_without_agency(&app, &repository, &trigger).await?);
    }
    let name = hint.is_some().then(|| trigger.name.clone());
    let write = CreateTrigger {
        repository_id: repository.id,
        trigger,
        creator_name: caller.user_name().to_owned(),
        created_at: app.clock.now(),
    };
    app.db.write(write).await?;
    if let (Some(hint), Some(name)) = (hint, name) {
        let (name, hint) = (name.as_str(), one_line(&hint));
        warn!(
            trigger.name = name,
            "Trigger {name} cannot update anything yet: {hint}"
        );
    }
    Ok(empty_object(StatusCode::CREATED))
}

/// The refusal of a trigger that nothing could be deployed for, which is also what the live
/// service says. That the name is taken comes before it.
async fn refuse_without_agency(
    app: &App,
    repository: &RepositoryRef,
    trigger: &NewTrigger,
) -> Result<Error> {
    let taken = store::find(app.db.lookups(), repository.id, &trigger.name).await?;
    Ok(if taken.is_some() {
        Error::AlreadyExists(Resource::Trigger)
    } else {
        let kind = trigger.app_type.resource();
        Error::ClusterUnavailable(format!("{kind}: {NO_AGENCY}"))
    })
}

fn list_doc() -> OperationDoc {
    OperationDoc::new("Lists the triggers of a repository without their history.")
        .answers::<Vec<TriggerView>>(StatusCode::OK)
}

/// `ListTriggersDetails`, which has no pages. A long list is read and written piece by piece, so
/// that it is never in memory as a whole.
async fn list(
    State(app): State<AppState>,
    Viewable(repository): Viewable<RepositoryRef>,
) -> Result<Response> {
    let first = store::list(app.db.readers(), repository.id, 0, PIECE).await?;
    if first.len() < PIECE as usize {
        let views: Vec<_> = first.into_iter().map(TriggerView::listed).collect();
        return Ok(JsonResponse(StatusCode::OK, views).into_response());
    }
    let pieces = stream::try_unfold((first, b'['), move |(piece, opening)| {
        let app = Arc::clone(&app);
        async move { write_piece(&app, repository.id, piece, opening).await }
    });
    // The status is on its way by then: the client sees that the connection breaks.
    let pieces = pieces.inspect_err(|error| {
        warn!(chain = error.chain(), "A list of triggers was cut short");
    });
    Ok(json(StatusCode::OK, Body::from_stream(pieces)))
}

/// A piece of the list as JSON, after `[` or `,`, and what the next one begins with; nothing after
/// the end.
async fn write_piece(
    app: &App,
    repository_id: i64,
    piece: Vec<Trigger>,
    opening: u8,
) -> Result<Option<(Bytes, (Vec<Trigger>, u8))>> {
    let Some(last) = piece.last().map(|trigger| trigger.id) else {
        return Ok(None);
    };
    let mut text = Vec::new();
    let mut separator = opening;
    for trigger in piece {
        text.push(separator);
        serde_json::to_writer(&mut text, &TriggerView::listed(trigger)).map_err(Error::internal)?;
        separator = b',';
    }
    let next = store::list(app.db.readers(), repository_id, last, PIECE).await?;
    if next.is_empty() {
        text.push(b']');
    }
    Ok(Some((Bytes::from(text), (next, b','))))
}

fn show_doc() -> OperationDoc {
    let doc = OperationDoc::new("Shows a trigger with its history.");
    accessory::or_accessories::<TriggerView>(doc, "triggers")
}

/// `ShowTrigger`
async fn show(
    State(app): State<AppState>,
    name: TriggerName,
    Viewable(repository): Viewable<RepositoryRef>,
    query: Query,
) -> Result<Response> {
    let trigger = store::find(app.db.lookups(), repository.id, &name).await?;
    let Some(trigger) = trigger else {
        let instead =
            accessory::instead_of(&app, &repository, "triggers", name.as_str(), &query).await?;
        return instead.ok_or(Error::NotFound(Resource::Trigger));
    };
    let history = if trigger.has_history {
        history::list_history(app.db.lookups(), repository.id, name.as_str()).await?
    } else {
        Vec::new()
    };
    Ok(JsonResponse(StatusCode::OK, TriggerView::shown(trigger, history)).into_response())
}

fn update_doc() -> OperationDoc {
    OperationDoc::new("Enables or disables a trigger; nothing else can be changed.")
        .takes(json_schema!({
            "type": "object",
            "required": ["enable"],
            "properties": {"enable": enable_schema()},
        }))
        .answers_empty_object(StatusCode::CREATED)
}

/// `UpdateTrigger`: nothing but `enable` can be changed.
async fn update(
    State(app): State<AppState>,
    name: TriggerName,
    Editable(repository): Editable<RepositoryRef>,
    body: Result<JsonObject>,
) -> Result<Response> {
    let enabled = match body.and_then(|body| enabled(&body)) {
        Ok(enabled) => enabled,
        // That the trigger is missing is told before any fault of the body.
        Err(fault) => {
            let found = store::find(app.db.lookups(), repository.id, &name).await?;
            return Err(found.map_or(Error::NotFound(Resource::Trigger), |_| fault));
        }
    };
    let write = EnableTrigger {
        repository_id: repository.id,
        name,
        enabled,
    };
    app.db.write(write).await?;
    Ok(empty_object(StatusCode::CREATED))
}

fn delete_doc() -> OperationDoc {
    OperationDoc::new("Deletes a trigger with its history.").answers_nothing()
}

/// `DeleteTrigger`
async fn delete(
    State(app): State<AppState>,
    name: TriggerName,
    Editable(repository): Editable<RepositoryRef>,
) -> Result<StatusCode> {
    let write = DeleteTrigger {
        repository_id: repository.id,
        name,
    };
    app.db.write(write).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl<S: Sync> FromRequestParts<S> for TriggerName {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let segment = Segment::read(parts, "trigger", Fault::Parameter).await?;
        Self::parse("trigger", &segment)
    }
}

/// Reads the body of `CreateTrigger`, also where the seed file holds one. Of several faults the
/// first in the order of [`FIELDS`] is reported.
pub fn read_body(body: &JsonObject) -> Result<NewTrigger> {
    // These two say how others are to be read; their own faults wait for their turn.
    let mode = body
        .optional_string("trigger_mode")
        .and_then(|text| TriggerMode::parse(text.unwrap_or_default()));
    let kind = body.string("trigger_type").and_then(TriggerType::parse);

    if body.string("action")? != "update" {
        return Err(Error::invalid("action", "must be update"));
    }
    let app_type = AppType::parse(body.string("app_type")?)?;
    let application = parse_subdomain("application", body.string("application")?)?;
    let cluster_field = |field| {
        let text = body.optional_string(field)?.unwrap_or_default();
        // A mode that is wrong is reported in its turn; until then the laxer one counts.
        parse_cluster_field(*mode.as_ref().unwrap_or(&TriggerMode::Cce), field, text)
    };
    let cluster_id = cluster_field("cluster_id")?;
    let cluster_name = cluster_field("cluster_name")?;
    let cluster_ns = parse_label("cluster_ns", body.string("cluster_ns")?)?;
    let condition = body.string("condition")?;
    let condition = match &kind {
        Ok(kind) => Some(Condition::parse(*kind, condition)?),
        Err(_) => None,
    };
    let container = match body.optional_string("container")?.unwrap_or_default() {
        blank if blank.trim().is_empty() => String::new(),
        name => parse_label("container", name)?,
    };
    let enabled = enabled(body)?;
    let name = TriggerName::parse("name", body.string("name")?)?;
    let cluster = Cluster::new(mode?, cluster_id, cluster_name);
    kind?;
    let condition = condition.ok_or_else(|| Error::internal("a known type left no condition"))?;
    Ok(NewTrigger {
        name,
        app_type,
        application,
        cluster_ns,
        condition,
        enabled,
        cluster,
        container,
    })
}

/// The bodies that [`read_body`] takes.
fn body_schema() -> Schema {
    let kinds = [TriggerType::All, TriggerType::Tag, TriggerType::Regular];
    let cluster = json_schema!({
        "type": "string",
        "minLength": 0,
        "maxLength": MAX_CLUSTER,
        "description": "Blank for `cci`.",
    });
    json_schema!({
        "type": "object",
        "required": [
            "action", "app_type", "application", "cluster_ns", "condition", "enable", "name",
            "trigger_type",
        ],
        "properties": {
            "action": {"type": "string", "enum": ["update"]},
            "app_type": {"type": "string", "enum": ["deployments", "statefulsets"]},
            "application": described(subdomain_schema(), "The name of the workload."),
            "cluster_id": cluster,
            "cluster_name": cluster,
            "cluster_ns": described(label_schema(), "The workload's Kubernetes namespace."),
            "condition": {
                "type": "string",
                "minLength": 1,
                "examples": [".*"],
                "description": "`.*` for the type `all`; tags joined by `;` for `tag`; a regular \
                                expression for `regular`.",
            },
            "container": {
                "type": "string",
                "anyOf": [{"type": "string", "enum": [""]}, label_schema()],
                "description": "The container to update; blank for all that use the image.",
            },
            "enable": enable_schema(),
            "name": schema_of::<TriggerName>(),
            "trigger_mode": {"type": "string", "enum": ["cce", "cci"], "default": "cce"},
            "trigger_type": {"type": "string", "enum": kinds.map(TriggerType::as_str)},
        },
        "anyOf": kinds.map(|kind| json_schema!({
            "type": "object",
            "required": ["trigger_type", "condition"],
            "properties": {
                "trigger_type": {"type": "string", "enum": [kind.as_str()]},
                "condition": Condition::schema(kind),
            },
        })),
    })
}

fn enable_schema() -> Schema {
    json_schema!({"type": "string", "enum": ["true", "false"]})
}

fn enabled(body: &JsonObject) -> Result<bool> {
    let wrong = || Error::invalid("enable", "must be \"true\" or \"false\", in quotes");
    let is_text = |value: &serde_json::Value| value.is_string() || value.is_null();
    if !body.value("enable").is_none_or(is_text) {
        return Err(wrong());
    }
    match body.string("enable")? {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong()),
    }
}

/// The reference's trigger object.
#[derive(Serialize, JsonSchema)]
struct TriggerView {
    action: &'static str,
    app_type: &'static str,
    application: String,
    cluster_id: String,
    cluster_name: String,
    cluster_ns: String,
    condition: String,
    container: String,
    created_at: String,
    creator_name: String,
    enable: &'static str,
    name: String,
    trigger_history: Option<Vec<HistoryView>>,
    trigger_mode: &'static str,
    trigger_type: &'static str,
}

impl TriggerView {
    /// As `ListTriggersDetails` shows it: the history is null there.
    fn listed(trigger: Trigger) -> Self {
        Self {
            action: "update",
            app_type: trigger.app_type.as_str(),
            application: trigger.application,
            cluster_id: trigger.cluster.id().to_owned(),
            cluster_name: trigger.cluster.name().to_owned(),
            cluster_ns: trigger.cluster_ns,
            condition: trigger.condition.text().to_owned(),
            container: trigger.container,
            created_at: trigger.created_at.to_string(),
            creator_name: trigger.creator_name,
            enable: if trigger.enabled { "true" } else { "false" },
            name: trigger.name.as_str().to_owned(),
            trigger_history: None,
            trigger_mode: trigger.cluster.trigger_mode(),
            trigger_type: trigger.condition.trigger_type().as_str(),
        }
    }

    /// As `ShowTrigger` shows it.
    fn shown(trigger: Trigger, history: Vec<HistoryEntry>) -> Self {
        Self {
            trigger_history: Some(history.into_iter().map(HistoryView::from).collect()),
            ..Self::listed(trigger)
        }
    }
}

/// An entry of `trigger_history`: the trigger as it was when it fired, and the result.
#[derive(Serialize, JsonSchema)]
pub(crate) struct HistoryView {
    action: &'static str,
    app_type: String,
    application: String,
    cluster_id: String,
    cluster_name: String,
    cluster_ns: String,
    condition: String,
    container: String,
    created_at: String,
    creator_name: String,
    detail: String,
    result: String,
    tag: String,
}

impl From<HistoryEntry> for HistoryView {
    fn from(entry: HistoryEntry) -> Self {
        Self {
            action: "update",
            app_type: entry.app_type,
            application: entry.application,
            cluster_id: entry.cluster_id,
            cluster_name: entry.cluster_name,
            cluster_ns: entry.cluster_ns,
            condition: entry.condition,
            container: entry.container,
            created_at: entry.created_at.to_string(),
            creator_name: entry.creator_name,
            detail: entry.detail,
            result: entry.result,
            tag: entry.tag,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The reference's own example.
    fn example() -> Value {
        json!({
            "action": "update", "app_type": "deployments", "application": "adsfa",
            "cluster_id": "5b28c12f-dc10-11e9-97b3-0255ac1001b5", "cluster_name": "test",
            "cluster_ns": "default", "condition": ".*", "container": "", "enable": "true",
            "name": "test", "trigger_mode": "cce", "trigger_type": "all"
        })
    }

    fn read(body: &Value) -> Result<NewTrigger> {
        read_body(&JsonObject::parse(body.to_string().as_bytes())?)
    }

    /// The example with some fields set, or left out where the value is `Absent`.
    fn changed(changes: &[(&str, Option<Value>)]) -> Value {
        let mut body = example();
        let fields = body.as_object_mut().expect("an object");
        for (field, value) in changes {
            match value {
                Some(value) => fields.insert((*field).to_owned(), value.clone()),
                None => fields.remove(*field),
            };
        }
        body
    }

    #[test]
    fn the_example_of_the_reference_is_accepted() {
        let trigger = read(&example()).expect("accepted");
        assert_eq!(trigger.condition, Condition::All);
        assert_eq!(trigger.cluster.id(), "5b28c12f-dc10-11e9-97b3-0255ac1001b5");
    }

    #[test]
    fn optional_fields_may_be_null_absent_or_blank() {
        let optional = ["cluster_id", "cluster_name", "container", "trigger_mode"];
        for value in [None, Some(Value::Null), Some(json!(""))] {
            let changes: Vec<_> = optional
                .iter()
                .map(|field| (*field, value.clone()))
                .collect();
            let trigger = read(&changed(&changes)).expect("accepted");
            assert_eq!(trigger.cluster.trigger_mode(), "cce");
            assert_eq!((trigger.cluster.id(), trigger.container.as_str()), ("", ""));
        }
    }

    #[test]
    fn unknown_fields_are_ignored() {
        assert!(read(&changed(&[("colour", Some(json!({"a": [1]})))])).is_ok());
    }

    #[test]
    fn each_faulty_field_is_named_with_its_rule() {
        let check = |field: &'static str, value: Option<Value>, rule: &str| {
            let error = read(&changed(&[(field, value.clone())])).expect_err("refused");
            assert!(
                error.to_string().starts_with(&format!("{field}: {rule}")),
                "{field} {value:?}: {error}"
            );
            assert_eq!(error.code("-"), "SVCSTG.SWR.4000014");
        };
        let mandatory = [
            "action",
            "app_type",
            "application",
            "cluster_ns",
            "condition",
            "enable",
            "name",
            "trigger_type",
        ];
        for field in mandatory {
            check(field, None, "is mandatory");
            check(field, Some(Value::Null), "must not be null");
            check(field, Some(json!("")), "must not be empty");
            for value in [json!(true), json!(1), json!([]), json!({})] {
                let rule = match field {
                    "enable" => "must be \"true\" or \"false\", in quotes",
                    _ => "must be a string",
                };
                check(field, Some(value), rule);
            }
        }
        for field in ["cluster_id", "cluster_name", "container", "trigger_mode"] {
            check(field, Some(json!(7)), "must be a string");
        }
        check("action", Some(json!("Update")), "must be update");
        check(
            "app_type",
            Some(json!("daemonsets")),
            "must be deployments or",
        );
        check(
            "application",
            Some(json!("Web")),
            "must be an RFC 1123 subdomain",
        );
        check(
            "cluster_id",
            Some(json!("x".repeat(129))),
            "must have at most 128",
        );
        check(
            "cluster_name",
            Some(json!("x".repeat(129))),
            "must have at most 128",
        );
        check(
            "cluster_ns",
            Some(json!("a.b")),
            "must be an RFC 1123 label",
        );
        check(
            "condition",
            Some(json!("v1")),
            "must be .* when trigger_type is all",
        );
        check("container", Some(json!("a_b")), "must be an RFC 1123 label");
        check(
            "enable",
            Some(json!("True")),
            "must be \"true\" or \"false\", in quotes",
        );
        check("name", Some(json!("1")), "must start with a letter");
        check("trigger_mode", Some(json!("CCE")), "must be cce or cci");
        check(
            "trigger_type",
            Some(json!("regex")),
            "must be all, tag or regular",
        );
    }

    #[test]
    fn cci_has_no_cluster_to_name() {
        let check = |field: &'static str, value: &str, accepted: bool| {
            let mut changes = vec![
                ("trigger_mode", Some(json!("cci"))),
                ("cluster_id", None),
                ("cluster_name", None),
            ];
            changes.push((field, Some(json!(value))));
            let result = read(&changed(&changes));
            assert_eq!(result.is_ok(), accepted, "{field} {value:?}: {result:?}");
        };
        for field in ["cluster_id", "cluster_name"] {
            check(field, "", true);
            check(field, " ", true);
            check(field, "x", false);
        }
    }

    #[test]
    fn of_several_faults_the_first_in_the_order_of_the_reference_is_reported() {
        let mut faulty = Vec::new();
        for field in FIELDS.iter().rev() {
            faulty.push((*field, Some(json!(1))));
            let error = read(&changed(&faulty)).expect_err("refused");
            assert!(
                error.to_string().starts_with(&format!("{field}: ")),
                "{field}: {error}"
            );
        }
    }
}
