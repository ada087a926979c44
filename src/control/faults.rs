//! `/_emulator/faults`: failures on purpose, for people who test what their program does then.
//!
//! A fault belongs to an operation of SWR, of its registry, or of another service that the emulator
//! plays. It strikes where a request's caller is known and nothing is written yet: for the table of
//! operations in `http::edge`, for those of the registry in `registry::api`. The operations of
//! `/_emulator/` cannot fail on purpose.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;
use serde_json::Value;

use super::number_schema;
use crate::app::{AppState, Routes};
use crate::auth::{Caller, Controller};
use crate::error::{Error, Fault, Result};
use crate::http::{
    ErrorFormat, JsonResponse, NextPage, Operation, OperationDoc, Query, Stop, cut_to_page,
};
use crate::json::JsonObject;
use crate::namespace::NamespaceName;
use crate::nearest::{unknown, unknown_operation};
use crate::registry::{Digest, OPERATIONS, RegistryOperation};
use crate::repository::RepositoryName;
use crate::schema::{described, schema_of};
use crate::tag::TagName;

const FAULTS: &str = "/_emulator/faults";

/// How many faults there may be.
const MAX_FAULTS: usize = 1000;
/// The longest delay, in milliseconds: ten minutes.
const MAX_DELAY: u32 = 600_000;
/// The most that `times` can say.
const MAX_TIMES: u32 = 1_000_000;
/// The statuses that a fault can answer with.
const LEAST_STATUS: u32 = 400;
const MOST_STATUS: u32 = 599;
/// The longest error code.
const MAX_CODE: usize = 64;
/// The longest name of a user.
const MAX_CALLER: usize = 255;
/// The longest time after which to try again, in seconds: an hour.
const MAX_RETRY_AFTER: u32 = 3600;
/// The statuses that can say when to try again.
const RETRIABLE: [u32; 2] = [429, 503];

/// The fields of a fault's body.
const KEYS: [&str; 15] = [
    "operation",
    "status",
    "code",
    "times",
    "delay_ms",
    "probability",
    "seed",
    "namespace",
    "repository",
    "tag",
    "digest",
    "caller",
    "cut",
    "cut_after_bytes",
    "retry_after_s",
];
/// Those of them that narrow a fault.
const NARROWING: [&str; 5] = ["namespace", "repository", "tag", "digest", "caller"];

/// The operations of this file.
pub(super) fn routes() -> Routes {
    Routes::of("Emulator")
        .post("EmulatorCreateFault", FAULTS, create, create_doc)
        .list("EmulatorListFaults", FAULTS, list, list_doc)
        .delete("EmulatorDeleteFaults", FAULTS, delete, delete_doc)
}

fn create_doc() -> OperationDoc {
    OperationDoc::new("Has an operation fail on purpose.")
        .remarks(
            "It fails after the check of credentials and before anything is written. There can be \
             1,000 faults, of which the oldest that applies strikes.",
        )
        .takes(PlannedFault::schema(crate::routes().operations()))
        .answers::<FaultView>(StatusCode::CREATED)
        .needs_control()
        .refuses([
            Error::fault(Fault::NamespaceName, "namespace", ""),
            Error::fault(Fault::RepositoryName, "repository", ""),
        ])
}

async fn create(State(app): State<AppState>, _: Controller, body: JsonObject) -> Result<Response> {
    // The table of the router itself, made anew: this is asked for rarely.
    let fault = PlannedFault::parse(&body, crate::routes().operations())?;
    let view = app.faults.add(fault)?;
    Ok(JsonResponse(StatusCode::CREATED, view).into_response())
}

fn list_doc() -> OperationDoc {
    OperationDoc::new("Lists all faults, the oldest first.")
        .answers::<Vec<FaultView>>(StatusCode::OK)
        .in_pages(number_schema())
}

/// All faults, the oldest first, with how many times each struck.
async fn list(State(app): State<AppState>, uri: Uri, query: Query) -> Result<Response> {
    let criteria = query.parameters();
    let limit = criteria.limit()?;
    // Faults go all at once, so that the number of those before stays right.
    let before = criteria.number("marker")?.unwrap_or(0);
    let mut page = app.faults.list_after(before);
    let next = cut_to_page(&mut page, limit, |_| before + i64::from(limit));
    Ok(NextPage::of(&uri, next).on(JsonResponse(StatusCode::OK, page)))
}

fn delete_doc() -> OperationDoc {
    OperationDoc::new("Removes all faults.")
        .answers_nothing()
        .needs_control()
}

async fn delete(State(app): State<AppState>, _: Controller) -> StatusCode {
    app.faults.clear();
    StatusCode::NO_CONTENT
}

/// The faults of an instance.
#[derive(Debug, Default)]
pub struct Faults {
    planned: Mutex<Vec<PlannedFault>>,
    /// Spares requests the lock as long as there is none.
    is_any: AtomicBool,
}

impl Faults {
    /// The oldest fault that strikes a request, counted as having struck. A request is struck by
    /// one at the most.
    pub fn strike<'a>(&self, asked: impl FnOnce() -> Asked<'a>) -> Option<Strike> {
        if !self.is_any.load(Ordering::Acquire) {
            return None;
        }
        let asked = asked();
        let mut faults = self.lock();
        faults.iter_mut().find_map(|fault| fault.strike(&asked))
    }

    /// Removes all of them.
    pub fn clear(&self) {
        let mut faults = self.lock();
        faults.clear();
        self.is_any.store(false, Ordering::Release);
    }

    fn add(&self, fault: PlannedFault) -> Result<FaultView> {
        let mut faults = self.lock();
        if faults.len() >= MAX_FAULTS {
            let rule = format!(
                "must not be one more than the {MAX_FAULTS} faults there are; DELETE removes all"
            );
            return Err(Error::invalid("body", rule));
        }
        let view = FaultView::from(&fault);
        faults.push(fault);
        self.is_any.store(true, Ordering::Release);
        Ok(view)
    }

    /// All but the oldest ones.
    fn list_after(&self, oldest: i64) -> Vec<FaultView> {
        let oldest = usize::try_from(oldest).unwrap_or(usize::MAX);
        let faults = self.lock();
        faults.iter().skip(oldest).map(FaultView::from).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PlannedFault>> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request, as faults look at it.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The operation's name.
    pub operation: &'a str,
    /// The organization that it names.
    pub namespace: Option<Cow<'a, str>>,
    /// The repository.
    pub repository: Option<Cow<'a, str>>,
    /// The tag.
    pub tag: Option<Cow<'a, str>>,
    /// The digest.
    pub digest: Option<Cow<'a, str>>,
    /// The user's name, or `-`.
    pub caller: &'a str,
    /// How many bytes of a blob it moves, at the most.
    pub bytes: u64,
}

impl<'a> Asked<'a> {
    /// A request for an operation of the table.
    pub fn of(operation: &'a Operation, path: &'a str, caller: Option<&'a Caller>) -> Self {
        let repository = operation.variable(path, "repository");
        Self {
            operation: operation.name,
            namespace: operation.variable(path, "namespace"),
            repository: repository.map(|name| name.replace('$', "/").into()),
            tag: operation.variable(path, "tag"),
            digest: None,
            caller: caller.map_or("-", Caller::user_name),
            bytes: 0,
        }
    }
}

/// An operation that can fail on purpose.
#[derive(Debug, Clone, Copy)]
enum Target<'a> {
    Table(&'a Operation),
    Registry(&'static RegistryOperation),
}

impl<'a> Target<'a> {
    /// All of them.
    fn all(operations: &'a [Operation]) -> impl Iterator<Item = Self> {
        let table = operations.iter().filter(|operation| !operation.is_own());
        table
            .map(Self::Table)
            .chain(OPERATIONS.iter().map(Self::Registry))
    }

    /// The names of those that fit.
    fn names(operations: &'a [Operation], fits: impl Fn(Self) -> bool) -> Vec<&'static str> {
        let targets = Self::all(operations).filter(|target| fits(*target));
        targets.map(Self::name).collect()
    }

    fn parse(name: &str, operations: &'a [Operation]) -> Result<Self> {
        if let Some(target) = Self::all(operations).find(|target| target.name() == name) {
            return Ok(target);
        }
        let rule = if operations.iter().any(|operation| operation.name == name) {
            "must not be one of /_emulator/, which do not fail on purpose".to_owned()
        } else {
            unknown_operation(name, Self::all(operations).map(Self::name))
        };
        Err(Error::invalid("operation", rule))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Table(operation) => operation.name,
            Self::Registry(operation) => operation.name,
        }
    }

    /// Whether its requests tell this, which is one of [`NARROWING`].
    fn tells(self, key: &str) -> bool {
        match self {
            Self::Table(operation) if key == "caller" => operation.needs_credentials,
            Self::Table(operation) => operation.has_variable(key),
            Self::Registry(operation) => key == "caller" || operation.names.contains(&key),
        }
    }

    fn moves_bytes(self) -> bool {
        matches!(self, Self::Registry(operation) if operation.moves_bytes)
    }

    /// The code that comes with a status where no other is asked for (API reference, error codes;
    /// OCI distribution specification, error codes).
    fn code(self, status: u32) -> &'static str {
        let operation = match self {
            Self::Table(operation) if operation.form != ErrorFormat::Registry => operation,
            _ => {
                return match status {
                    401 => "UNAUTHORIZED",
                    403 => "DENIED",
                    429 => "TOOMANYREQUESTS",
                    503 => "UNAVAILABLE",
                    _ => "UNKNOWN",
                };
            }
        };
        match status {
            500.. => operation.failure,
            401 => "APIGW.0301",
            403 => "SVCSTG.SWR.4030170",
            413 => "SVCSTG.SWR.4131001",
            429 => "APIGW.0308",
            _ => "SVCSTG.SWR.4000014",
        }
    }
}

/// The effect of a fault on a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Strike {
    /// How long the request waits first; its deadline waits too.
    pub delay: Duration,
    /// What becomes of it then.
    pub effect: Effect,
}

impl Strike {
    /// Lets the delay pass; what then becomes of the request, or nothing where the instance stops
    /// before.
    pub async fn wait(self, stop: &Stop) -> Option<Effect> {
        tokio::select! {
            () = tokio::time::sleep(self.delay) => Some(self.effect),
            () = stop.raised() => None,
        }
    }
}

/// What becomes of a request that a fault struck.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// It is answered with an error.
    Refuse {
        /// The HTTP status, 400 or more.
        status: StatusCode,
        /// The error code.
        code: Arc<str>,
        /// When to try again, in seconds.
        retry_after_s: Option<u32>,
    },
    /// Its connection is closed without an answer.
    Cut,
    /// Its connection is closed after so many bytes of a blob.
    CutAfter(u64),
    /// It is served as ever.
    Serve,
}

/// A fault: which requests it strikes, how often, and with which effect.
#[derive(Debug)]
struct PlannedFault {
    operation: &'static str,
    namespace: Option<NamespaceName>,
    repository: Option<RepositoryName>,
    tag: Option<TagName>,
    digest: Option<Digest>,
    caller: Option<String>,
    strike: Strike,
    /// How many times it strikes; for ever where nothing is said.
    times: Option<u64>,
    chance: Option<Chance>,
    struck: u64,
}

impl PlannedFault {
    fn parse(body: &JsonObject, operations: &[Operation]) -> Result<Self> {
        // A key that is misspelt would make a fault that does something else than it says.
        if let Some(name) = body.names().find(|name| !KEYS.contains(name)) {
            return Err(Error::invalid(name.to_owned(), unknown(name, &KEYS)));
        }
        let target = Target::parse(body.string("operation")?, operations)?;
        let effect = effect(body, target)?;
        let delay = whole(body, "delay_ms", 0, MAX_DELAY)?.unwrap_or(0);
        if effect == Effect::Serve && delay == 0 {
            let rule = "is mandatory where none of cut, cut_after_bytes and delay_ms is given";
            return Err(Error::invalid("status", rule));
        }
        let narrowed = |name: &'static str| {
            let text = body.optional_string(name)?;
            if text.is_some() && !target.tells(name) {
                let rule = format!(
                    "must be absent, for a request for {} has none",
                    target.name()
                );
                return Err(Error::invalid(name, rule));
            }
            Ok(text)
        };
        Ok(Self {
            operation: target.name(),
            namespace: narrowed("namespace")?
                .map(NamespaceName::parse)
                .transpose()?,
            repository: narrowed("repository")?
                .map(RepositoryName::parse)
                .transpose()?,
            tag: narrowed("tag")?
                .map(|text| TagName::parse_field("tag", text))
                .transpose()?,
            digest: narrowed("digest")?
                .map(|text| {
                    Digest::parse(text).map_err(|error| Error::invalid("digest", error.to_string()))
                })
                .transpose()?,
            caller: narrowed("caller")?.map(checked_caller).transpose()?,
            strike: Strike {
                delay: Duration::from_millis(delay),
                effect,
            },
            times: whole(body, "times", 1, MAX_TIMES)?,
            chance: chance(body)?,
            struck: 0,
        })
    }

    /// The bodies that [`Self::parse`] takes.
    fn schema(operations: &[Operation]) -> Schema {
        let mut rules = vec![
            Self::effect_rule(operations),
            Self::retry_after_rule(),
            Self::seed_rule(),
        ];
        rules.extend(NARROWING.map(|key| Self::narrowing_rule(key, operations)));
        json_schema!({
            "type": "object",
            "required": ["operation"],
            "properties": {
                "operation": {
                    "type": "string",
                    "enum": Target::names(operations, |_| true),
                    "examples": ["CreateTrigger"],
                },
                "status": {"type": "integer", "minimum": LEAST_STATUS, "maximum": MOST_STATUS},
                "code": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": MAX_CODE,
                    "pattern": "^[A-Za-z0-9._-]+$",
                    "description": "The error code; one that fits the status where it is left out.",
                },
                "retry_after_s": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": MAX_RETRY_AFTER,
                    "description": "When to try again, for the header `Retry-After`; with 429 and \
                                    503.",
                },
                "times": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_TIMES,
                    "description": "How many times it strikes; for ever otherwise.",
                },
                "delay_ms": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": MAX_DELAY,
                    "default": 0,
                    "description": "How long the request waits first.",
                },
                "probability": {
                    "type": "number",
                    "minimum": 0.0,
                    "maximum": 1.0,
                    "description": "How likely it is to strike; always otherwise.",
                },
                "seed": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": u32::MAX,
                    "description": "With the same one, chance is the same.",
                },
                "namespace": described(
                    schema_of::<NamespaceName>(),
                    "Only requests that name this organization.",
                ),
                "repository": described(
                    schema_of::<RepositoryName>(),
                    "Only requests that name this repository.",
                ),
                "tag": described(schema_of::<TagName>(), "Only requests that name this tag."),
                "digest": {
                    "type": "string",
                    "pattern": "^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$",
                    "description": "Only requests that name this digest.",
                },
                "caller": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": MAX_CALLER,
                    "description": "Only requests of the user with this name; `-` is a pull \
                                    without a login.",
                },
                "cut": {
                    "type": "boolean",
                    "default": false,
                    "description": "Whether the connection is closed without an answer.",
                },
                "cut_after_bytes": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": u32::MAX,
                    "description": "The connection is closed after so many bytes of a blob; a \
                                    request that moves no more of them is left alone.",
                },
            },
            "additionalProperties": false,
            "examples": [{"operation": "CreateTrigger", "status": 503, "times": 1}],
            "allOf": rules,
        })
    }

    /// Its effect is one of four: an answer, none, half of one, or a late one.
    fn effect_rule(operations: &[Operation]) -> Schema {
        let absent = absent_schema();
        json_schema!({"anyOf": [
            {
                "type": "object",
                "required": ["status"],
                "properties": {"status": {}, "cut": absent, "cut_after_bytes": absent},
            },
            {
                "type": "object",
                "required": ["cut"],
                "properties": {
                    "status": absent,
                    "code": absent,
                    "cut_after_bytes": absent,
                    "cut": {"type": "boolean", "const": true},
                },
            },
            {
                "type": "object",
                "required": ["cut_after_bytes", "operation"],
                "properties": {
                    "cut_after_bytes": {},
                    "status": absent,
                    "code": absent,
                    "cut": absent,
                    "operation": {
                        "type": "string",
                        "enum": Target::names(operations, Target::moves_bytes),
                    },
                },
            },
            {
                "type": "object",
                "required": ["delay_ms"],
                "properties": {
                    "status": absent,
                    "code": absent,
                    "cut_after_bytes": absent,
                    "delay_ms": {"type": "integer", "minimum": 1, "maximum": MAX_DELAY},
                },
            },
        ]})
    }

    /// Only some statuses come with `retry_after_s`.
    fn retry_after_rule() -> Schema {
        let statuses = RETRIABLE
            .map(|status| json_schema!({"type": "integer", "minimum": status, "maximum": status}));
        json_schema!({"anyOf": [
            {"type": "object", "properties": {"retry_after_s": absent_schema()}},
            {
                "type": "object",
                "required": ["status"],
                "properties": {"status": {"anyOf": statuses}},
            },
        ]})
    }

    /// A seed is for a probability.
    fn seed_rule() -> Schema {
        json_schema!({"anyOf": [
            {"type": "object", "required": ["probability"], "properties": {"probability": {}}},
            {"type": "object", "properties": {"seed": absent_schema()}},
        ]})
    }

    /// A fault is narrowed only by names that the operation's requests tell.
    fn narrowing_rule(key: &str, operations: &[Operation]) -> Schema {
        let names = Target::names(operations, |target| target.tells(key));
        json_schema!({"anyOf": [
            {"type": "object", "properties": {key: absent_schema()}},
            {
                "type": "object",
                "required": ["operation"],
                "properties": {"operation": {"type": "string", "enum": names}},
            },
        ]})
    }

    fn strike(&mut self, asked: &Asked<'_>) -> Option<Strike> {
        let is_used_up = self.times.is_some_and(|times| self.struck >= times);
        if is_used_up || !self.is_about(asked) {
            return None;
        }
        if let Some(chance) = &mut self.chance
            && !chance.draw()
        {
            return None;
        }
        self.struck += 1;
        Some(self.strike.clone())
    }

    fn is_about(&self, asked: &Asked<'_>) -> bool {
        let fits = |wanted: Option<&str>, found: Option<&str>| {
            wanted.is_none_or(|wanted| found == Some(wanted))
        };
        let is_long_enough = match self.strike.effect {
            Effect::CutAfter(bytes) => asked.bytes > bytes,
            Effect::Refuse { .. } | Effect::Cut | Effect::Serve => true,
        };
        self.operation == asked.operation
            && is_long_enough
            && fits(
                self.namespace.as_ref().map(NamespaceName::as_str),
                asked.namespace.as_deref(),
            )
            && fits(
                self.repository.as_ref().map(RepositoryName::as_str),
                asked.repository.as_deref(),
            )
            && fits(self.tag.as_ref().map(TagName::as_str), asked.tag.as_deref())
            && fits(
                self.digest.as_ref().map(Digest::as_str),
                asked.digest.as_deref(),
            )
            && fits(self.caller.as_deref(), Some(asked.caller))
    }
}

/// No value: the object must do without the field.
fn absent_schema() -> Schema {
    json_schema!({"not": {}})
}

fn effect(body: &JsonObject, target: Target) -> Result<Effect> {
    let cut = body.optional_boolean("cut")?.unwrap_or(false);
    let cut_after = whole(body, "cut_after_bytes", 0, u32::MAX)?;
    let status = whole(body, "status", LEAST_STATUS, MOST_STATUS)?;
    let code = body.optional_string("code")?;
    let retry_after_s = whole(body, "retry_after_s", 0, MAX_RETRY_AFTER)?;
    let refused = |field, rule: &str| Err(Error::invalid(field, rule.to_owned()));
    if let Some(bytes) = cut_after {
        if !target.moves_bytes() {
            let rule = "must be absent, for only GetBlob, StartUpload, AppendUpload and \
                        FinishUpload move the bytes of a blob";
            return refused("cut_after_bytes", rule);
        }
        if cut {
            return refused("cut", "must be absent where cut_after_bytes is given");
        }
        if status.is_some() {
            return refused("status", "must be absent where cut_after_bytes is given");
        }
        if code.is_some() {
            return refused("code", "must be absent where status is");
        }
        if retry_after_s.is_some() {
            return refused(
                "retry_after_s",
                "must be absent unless status is 429 or 503",
            );
        }
        return Ok(Effect::CutAfter(bytes));
    }
    if cut && status.is_some() {
        let rule = "must be absent where cut is true, for nothing is answered";
        return refused("status", rule);
    }
    let status = status
        .map(u32::try_from)
        .transpose()
        .map_err(Error::internal)?;
    if retry_after_s.is_some() && !status.is_some_and(|status| RETRIABLE.contains(&status)) {
        return refused(
            "retry_after_s",
            "must be absent unless status is 429 or 503",
        );
    }
    let Some(status) = status else {
        if code.is_some() {
            return refused("code", "must be absent where status is");
        }
        return Ok(if cut { Effect::Cut } else { Effect::Serve });
    };
    let code = match code {
        Some(code) => checked_code(code)?,
        None => target.code(status),
    };
    let number = u16::try_from(status).map_err(Error::internal)?;
    Ok(Effect::Refuse {
        status: StatusCode::from_u16(number).map_err(Error::internal)?,
        code: code.into(),
        retry_after_s: retry_after_s
            .map(u32::try_from)
            .transpose()
            .map_err(Error::internal)?,
    })
}

fn checked_caller(name: &str) -> Result<String> {
    if (1..=MAX_CALLER).contains(&name.chars().count()) {
        return Ok(name.to_owned());
    }
    let rule = format!("must have 1 to {MAX_CALLER} characters");
    Err(Error::invalid("caller", rule))
}

fn checked_code(code: &str) -> Result<&str> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=MAX_CODE).contains(&code.len()) && code.bytes().all(legal) {
        return Ok(code);
    }
    let rule = format!("must have 1 to {MAX_CODE} letters, digits, dots, hyphens and underscores");
    Err(Error::invalid("code", rule))
}

/// How likely a fault is to strike.
#[derive(Debug)]
struct Chance {
    probability: f64,
    seed: u64,
    state: u64,
}

impl Chance {
    fn new(probability: f64, seed: u64) -> Self {
        Self {
            probability,
            seed,
            state: seed,
        }
    }

    /// The next outcome; with the same seed they are the same (`SplitMix64`).
    fn draw(&mut self) -> bool {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let drawn = ((mixed ^ (mixed >> 31)) >> 32) as u32;
        f64::from(drawn) / (f64::from(u32::MAX) + 1.0) < self.probability
    }
}

fn chance(body: &JsonObject) -> Result<Option<Chance>> {
    let seed = whole(body, "seed", 0, u32::MAX)?;
    let Some(probability) = body.value("probability").filter(|value| !value.is_null()) else {
        return match seed {
            Some(_) => Err(Error::invalid(
                "seed",
                "must be absent where probability is",
            )),
            None => Ok(None),
        };
    };
    let probability = probability.as_f64();
    let probability = probability.filter(|probability| (0.0..=1.0).contains(probability));
    let probability =
        probability.ok_or_else(|| Error::invalid("probability", "must be a number from 0 to 1"))?;
    let seed = match seed {
        Some(seed) => seed,
        // Shown in the list, so that this run can be repeated too.
        None => getrandom::u32().map_err(Error::internal)?.into(),
    };
    Ok(Some(Chance::new(probability, seed)))
}

/// An optional whole number; null is the same as absent.
fn whole(body: &JsonObject, name: &'static str, least: u32, most: u32) -> Result<Option<u64>> {
    let allowed = u64::from(least)..=u64::from(most);
    match body.value(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_u64();
            let number = number.filter(|number| allowed.contains(number));
            let rule = || format!("must be a whole number from {least} to {most}");
            number.map(Some).ok_or_else(|| Error::invalid(name, rule()))
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct FaultView {
    operation: &'static str,
    namespace: Option<String>,
    repository: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
    caller: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    retry_after_s: Option<u32>,
    cut: bool,
    cut_after_bytes: Option<u64>,
    delay_ms: u128,
    times: Option<u64>,
    probability: Option<f64>,
    seed: Option<u64>,
    struck: u64,
}

impl From<&PlannedFault> for FaultView {
    fn from(fault: &PlannedFault) -> Self {
        let (status, code, retry_after_s) = match &fault.strike.effect {
            Effect::Refuse {
                status,
                code,
                retry_after_s,
            } => (
                Some(status.as_u16()),
                Some(code.to_string()),
                *retry_after_s,
            ),
            Effect::Cut | Effect::CutAfter(_) | Effect::Serve => (None, None, None),
        };
        let cut_after_bytes = match fault.strike.effect {
            Effect::CutAfter(bytes) => Some(bytes),
            Effect::Refuse { .. } | Effect::Cut | Effect::Serve => None,
        };
        let chance = fault.chance.as_ref();
        Self {
            operation: fault.operation,
            namespace: fault.namespace.as_ref().map(ToString::to_string),
            repository: fault.repository.as_ref().map(ToString::to_string),
            tag: fault.tag.as_ref().map(|tag| tag.as_str().to_owned()),
            digest: fault.digest.as_ref().map(ToString::to_string),
            caller: fault.caller.clone(),
            status,
            code,
            retry_after_s,
            cut_after_bytes,
            cut: fault.strike.effect == Effect::Cut,
            delay_ms: fault.strike.delay.as_millis(),
            times: fault.times,
            probability: chance.map(|chance| chance.probability),
            seed: chance.map(|chance| chance.seed),
            struck: fault.struck,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use axum::body::Body;
    use http::{Method, Request};
    use serde_json::json;
    use tower::ServiceExt;

    use super::*;
    use crate::app::App;
    use crate::auth::BUILTIN_TOKEN;
    use crate::db::testing::TestDb;

    fn parse(body: &Value) -> Result<PlannedFault, String> {
        let body = JsonObject::parse(body.to_string().as_bytes()).expect("an object");
        PlannedFault::parse(&body, crate::routes().operations()).map_err(|error| error.to_string())
    }

    fn operation(name: &str) -> Operation {
        let routes = crate::routes();
        let found = routes.operations().iter().find(|known| known.name == name);
        found.expect("an operation").clone()
    }

    #[test]
    fn what_the_document_says_of_a_fault_is_what_is_taken() {
        let schema = PlannedFault::schema(crate::routes().operations());
        let schema = jsonschema::draft202012::new(schema.as_value()).expect("a schema");
        let narrow = json!({"namespace": "group"});
        let narrower = json!({"namespace": "group", "repository": "busybox"});
        let only_repository = json!({"repository": "busybox"});
        let mut seen = [0, 0];
        for operation in [
            "CreateTrigger",
            "ShowNamespace",
            "ListQuotas",
            "EmulatorIdle",
            "PutManifest",
            "GetBlob",
            "ListTags",
        ] {
            for place in [
                &json!({}),
                &narrow,
                &narrower,
                &only_repository,
                &json!({"tag": "v1"}),
                &json!({"digest": format!("sha256:{}", "0".repeat(64))}),
                &json!({"caller": "admin"}),
                &json!({"caller": ""}),
            ] {
                for effect in [
                    json!({}),
                    json!({"status": 500}),
                    json!({"status": 399}),
                    json!({"status": 500, "code": "A.1"}),
                    json!({"status": 500, "code": "ä"}),
                    json!({"code": "A.1"}),
                    json!({"cut": true}),
                    json!({"cut": true, "status": 500}),
                    json!({"delay_ms": 0}),
                    json!({"delay_ms": 1}),
                    json!({"delay_ms": 1, "cut": true}),
                    json!({"delay_ms": 600_001}),
                    json!({"status": 429, "retry_after_s": 7}),
                    json!({"status": 500, "retry_after_s": 7}),
                    json!({"cut": true, "retry_after_s": 7}),
                    json!({"cut_after_bytes": 7}),
                    json!({"cut_after_bytes": 7, "cut": true}),
                    json!({"cut_after_bytes": 7, "status": 500}),
                    json!({"cut_after_bytes": 7, "delay_ms": 1}),
                    json!({"cut_after_bytes": -1}),
                ] {
                    for chance in [
                        json!({}),
                        json!({"probability": 0.5, "times": 1}),
                        json!({"probability": 1, "seed": 7}),
                        json!({"probability": 1.5}),
                        json!({"seed": 7}),
                        json!({"unknown": 1}),
                    ] {
                        let mut body = json!({ "operation": operation });
                        let fields = body.as_object_mut().expect("an object");
                        for part in [place, &effect, &chance] {
                            fields.extend(part.as_object().expect("an object").clone());
                        }
                        let taken = parse(&body);
                        assert_eq!(schema.is_valid(&body), taken.is_ok(), "{body} {taken:?}");
                        seen[usize::from(taken.is_ok())] += 1;
                    }
                }
            }
        }
        assert!(seen[0] > 100 && seen[1] > 100, "{seen:?}");
    }

    #[test]
    fn no_two_operations_have_the_same_name() {
        let routes = crate::routes();
        let mut names = HashSet::new();
        for operation in routes.operations() {
            assert!(names.insert(operation.name), "{}", operation.name);
        }
    }

    #[test]
    fn a_fault_that_breaks_a_rule_is_refused_by_field_and_rule() {
        let check = |change: Value, expected: &str| {
            let mut body = json!({"operation": "CreateTrigger", "status": 500});
            for (key, value) in change.as_object().expect("an object") {
                body[key] = value.clone();
            }
            assert_eq!(parse(&body).expect_err("refused"), expected);
        };
        let name = "operation: is unknown; did you mean CreateTrigger?";
        check(json!({"operation": "createTrigger"}), name);
        check(json!({"operation": "CreateTriger"}), name);
        let name = "operation: is unknown; did you mean PutManifest?";
        check(json!({"operation": "PutManifests"}), name);
        let name = "operation: must name an operation, like CreateTrigger or PutManifest";
        check(json!({"operation": "x"}), name);
        check(json!({"operation": null}), "operation: must not be null");
        let own = "operation: must not be one of /_emulator/, which do not fail on purpose";
        check(json!({"operation": "EmulatorReset"}), own);
        check(json!({"operation": "EmulatorDeleteFaults"}), own);
        let status = "status: must be a whole number from 400 to 599";
        for value in [json!(200), json!(399), json!(600), json!("500"), json!(-1)] {
            check(json!({ "status": value }), status);
        }
        let none = "status: is mandatory where none of cut, cut_after_bytes and delay_ms is given";
        check(json!({"status": null}), none);
        check(json!({"status": null, "cut": false, "delay_ms": 0}), none);
        check(
            json!({"cut": true}),
            "status: must be absent where cut is true, for nothing is answered",
        );
        check(json!({"cut": 1}), "cut: must be true or false");
        let code = "code: must be absent where status is";
        check(json!({"status": null, "code": "X", "delay_ms": 1}), code);
        let code = "code: must have 1 to 64 letters, digits, dots, hyphens and underscores";
        for value in ["", "a b", "\u{e4}", &"x".repeat(65)] {
            check(json!({ "code": value }), code);
        }
        let times = "times: must be a whole number from 1 to 1000000";
        check(json!({"times": 0}), times);
        check(json!({"times": 1.5}), times);
        let delay = "delay_ms: must be a whole number from 0 to 600000";
        check(json!({"delay_ms": 600_001}), delay);
        let probability = "probability: must be a number from 0 to 1";
        for value in [json!(-0.1), json!(1.1), json!("1")] {
            check(json!({ "probability": value }), probability);
        }
        let seed = "seed: must be absent where probability is";
        check(json!({"seed": 1}), seed);
        let seed = "seed: must be a whole number from 0 to 4294967295";
        check(json!({"probability": 1, "seed": -1}), seed);
        let absent = "must be absent, for a request for CreateNamespace has none";
        let create = json!({"operation": "CreateNamespace", "namespace": "group"});
        check(create, &format!("namespace: {absent}"));
        let create = json!({"operation": "CreateNamespace", "repository": "busybox"});
        check(create, &format!("repository: {absent}"));
        check(
            json!({"namespace": "library"}),
            "namespace: must not be library or manage, which are reserved",
        );
        let error = parse(&json!({"operation": "CreateTrigger", "delay": 1})).expect_err("refused");
        assert_eq!(error, "delay: is unknown; did you mean delay_ms?");
        let later = "retry_after_s: must be absent unless status is 429 or 503";
        check(json!({"retry_after_s": 1}), later);
        check(
            json!({"status": null, "cut": true, "retry_after_s": 1}),
            later,
        );
        let later = "retry_after_s: must be a whole number from 0 to 3600";
        check(json!({"status": 429, "retry_after_s": 3601}), later);
        let middle = "cut_after_bytes: must be absent, for only GetBlob, StartUpload, AppendUpload \
                      and FinishUpload move the bytes of a blob";
        check(json!({"status": null, "cut_after_bytes": 1}), middle);
        let blob = json!({"operation": "GetBlob", "cut_after_bytes": 1});
        let status = "status: must be absent where cut_after_bytes is given";
        check(blob, status);
        let token = json!({"operation": "RegistryToken", "caller": "admin"});
        let absent = "caller: must be absent, for a request for RegistryToken has none";
        check(token, absent);
        let digest = json!({"operation": "GetBlob", "digest": "sha256:x"});
        let rule = "digest: a digest must be sha256: or sha512: and lower-case hex digits";
        check(digest, rule);
        check(
            json!({"operation": "ListTags", "tag": "v1"}),
            "tag: must be absent, for a request for ListTags has none",
        );
        check(
            json!({"caller": ""}),
            "caller: must have 1 to 255 characters",
        );
    }

    #[test]
    fn the_code_of_a_status_is_the_operations_where_it_fails_and_the_references_else() {
        let check = |operation: &str, status: u16, expected: &str| {
            let fault = parse(&json!({"operation": operation, "status": status})).expect("legal");
            let Effect::Refuse { code, .. } = fault.strike.effect else {
                panic!("{operation} is not refused");
            };
            assert_eq!(&*code, expected, "{operation} {status}");
        };
        check("CreateTrigger", 500, "SVCSTG.SWR.5000046");
        check("ListTriggersDetails", 503, "SVCSTG.SWR.5000008");
        check("CreateTrigger", 400, "SVCSTG.SWR.4000014");
        check("CreateTrigger", 401, "APIGW.0301");
        check("CreateTrigger", 403, "SVCSTG.SWR.4030170");
        check("CreateTrigger", 429, "APIGW.0308");
        check("RegistryToken", 500, "UNKNOWN");
        check("RegistryToken", 429, "TOOMANYREQUESTS");
        check("PutManifest", 429, "TOOMANYREQUESTS");
        check("PutManifest", 503, "UNAVAILABLE");
        check("GetBlob", 500, "UNKNOWN");
    }

    #[test]
    fn a_narrowed_fault_strikes_what_its_path_names_and_nothing_else() {
        let check = |narrowed: Value, namespace: &str, repository: &str, expected: bool| {
            let mut body = json!({"operation": "ShowRepository", "status": 500});
            for (key, value) in narrowed.as_object().expect("an object") {
                body[key] = value.clone();
            }
            let mut fault = parse(&body).expect("legal");
            let path = format!("/v2/manage/namespaces/{namespace}/repos/{repository}");
            let show = operation("ShowRepository");
            let strike = fault.strike(&Asked::of(&show, &path, None));
            assert_eq!(strike.is_some(), expected, "{narrowed} {path}");
            let delete = operation("DeleteRepo");
            let strike = fault.strike(&Asked::of(&delete, &path, None));
            assert!(strike.is_none());
        };
        check(json!({}), "group", "busybox", true);
        check(json!({"namespace": "group"}), "group", "busybox", true);
        check(json!({"namespace": "group"}), "g%72oup", "busybox", true);
        check(json!({"namespace": "group"}), "other", "busybox", false);
        check(json!({"repository": "a/b"}), "group", "a$b", true);
        check(json!({"repository": "a/b"}), "group", "a%24b", true);
        check(json!({"repository": "a/b"}), "group", "a", false);
        let both = json!({"namespace": "group", "repository": "a"});
        check(both.clone(), "group", "a", true);
        check(both.clone(), "group", "b", false);
        check(both, "other", "a", false);
    }

    #[test]
    fn the_same_seed_gives_the_same_strikes_and_the_probability_their_share() {
        let draws = |probability: f64, seed: u64| -> Vec<bool> {
            let mut chance = Chance::new(probability, seed);
            (0..1000).map(|_| chance.draw()).collect()
        };
        let share = |drawn: &[bool]| drawn.iter().filter(|strikes| **strikes).count();
        assert_eq!(draws(0.25, 7), draws(0.25, 7));
        assert_ne!(draws(0.25, 7), draws(0.25, 8));
        let quarter = share(&draws(0.25, 7));
        assert!((200..300).contains(&quarter), "{quarter}");
        assert_eq!(share(&draws(0.0, 7)), 0);
        assert_eq!(share(&draws(1.0, 7)), 1000);
    }

    #[tokio::test]
    async fn a_delay_does_not_count_towards_the_deadline_of_its_request() {
        let TestDb {
            db,
            directory,
            folder,
        } = TestDb::seeded("").await;
        let app = Arc::new(App::for_tests(db, directory, folder.path()).await);
        let delayed = json!({"operation": "CreateTrigger", "delay_ms": MAX_DELAY});
        let delayed = parse(&delayed).expect("legal");
        app.faults.add(delayed).map(drop).expect("there is room");
        let operation = Operation::new("CreateTrigger", Method::POST, "/x");
        assert!(operation.deadline < Duration::from_millis(MAX_DELAY.into()));
        // One that is ready at once would never be asked for its deadline.
        let handler = async || {
            tokio::task::yield_now().await;
            StatusCode::CREATED
        };
        let routes = Routes::of("").route(operation, handler, || OperationDoc::new(""));
        let router = crate::edge::router(routes, app);
        let request = Request::post("/x").header("X-Auth-Token", BUILTIN_TOKEN);
        let request = request.body(Body::empty()).expect("a legal request");
        tokio::time::pause();

        let response = router.oneshot(request).await.expect("an answer");

        assert_eq!(response.status(), StatusCode::CREATED);
    }

    #[test]
    fn a_thousand_faults_and_no_more() {
        let faults = Faults::default();
        let fault = || parse(&json!({"operation": "CreateTrigger", "status": 500})).expect("legal");
        for _ in 0..MAX_FAULTS {
            faults.add(fault()).map(drop).expect("there is room");
        }
        assert!(faults.add(fault()).is_err());
        faults.clear();
        assert!(faults.add(fault()).is_ok());
    }
}
