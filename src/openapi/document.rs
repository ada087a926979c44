//! Puts the document together from the table of operations.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use schemars::Schema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::variables::variable;
use crate::error::{Error, Fault};
use crate::http::{ErrorFormat, Operation, OperationDoc, Param, Refusal, Success};

/// What the document says of the whole.
const ABOUT: &str = "\
Huawei Cloud SWR (Basic Edition) as `swr-emulator` serves it, with the operations of IAM and CCE \
that its clients call, and with the emulator's own under `/_emulator`. The registry itself \
(`/v2/…`) follows the OCI distribution specification and is not described here.

Every answer has the header `X-Request-Id`. SWR's errors have both generations of its fields; 401 \
and unknown paths are answered by the API gateway in its own format. Some requests are refused \
before their operation is determined: with 431 if the head has more than 64 KiB or 100 lines, with \
400 if the HTTP is malformed or does not name exactly one host, and with 421 on a loopback address \
if the host is not one of the emulator's. Under `/_emulator`, a page of another origin is \
refused with 403 if it asks for a change. An unknown path, or an unknown method on a path, is \
answered with 404 `APIGW.0101`. Empty query parameters and null in optional body fields count as \
omitted. Unknown query parameters are refused under `/_emulator` and ignored elsewhere.";

/// The document of these operations.
pub(super) fn document(operations: &[Operation]) -> Value {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
    let mut schemas = SchemaGenerator::from(settings);
    let mut paths: Map<String, Value> = Map::new();
    let mut tags: Vec<Value> = Vec::new();
    for operation in operations {
        let path = paths
            .entry(operation.path)
            .or_insert_with(|| Value::Object(Map::new()));
        path[operation.method.as_str().to_ascii_lowercase()] =
            describe(operation, operations, &mut schemas);
        let tag = json!({ "name": operation.chapter });
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "swr-emulator",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This emulator"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "headers": {"X-Request-Id": {
                "description": "The id of the request in the log.",
                "required": true,
                "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            }},
            "securitySchemes": {
                "token": {
                    "type": "apiKey", "in": "header", "name": "X-Auth-Token",
                    "description": "An IAM token.",
                },
                "signature": {
                    "type": "apiKey", "in": "header", "name": "Authorization",
                    "description": "An AK/SK signature: `SDK-HMAC-SHA256 …`.",
                },
                "login": {
                    "type": "http", "scheme": "basic",
                    "description": "`{project}@{AK}` and the login password.",
                },
            },
        },
    })
}

fn describe(
    operation: &Operation,
    operations: &[Operation],
    schemas: &mut SchemaGenerator,
) -> Value {
    let mut description = (operation.doc)();
    let body = description.body.take().map(|body| body.of(operations));
    let variables = variables(operation, &description);
    let refusals = refusals(operation, &description, &variables, body.as_ref());

    let mut responses: Map<String, Value> = Map::new();
    for answer in &description.answers {
        let status = answer.status.as_u16().to_string();
        let mut described = success(answer, schemas);
        // The same status in several forms.
        if let Some(other) = responses.remove(&status)
            && let (Value::Object(content), Value::Object(more)) =
                (&mut described["content"], &other["content"])
        {
            content.extend(more.clone());
        }
        responses.insert(status, described);
    }
    for (status, refusal) in refused(operation, refusals, schemas) {
        let response = match responses.remove(&status) {
            Some(answer) => either(answer, &refusal),
            None => refusal,
        };
        responses.insert(status, response);
    }
    let mut parameters: Vec<_> = variables
        .into_iter()
        .map(|variable| parameter("path", &variable))
        .collect();
    let query = description.query.into_iter();
    parameters.extend(query.map(|param| parameter("query", &param)));
    let mut described = json!({
        "operationId": operation.name,
        "tags": [operation.chapter],
        "summary": description.summary,
        "description": description.remarks,
        "security": security(operation, description.takes_login),
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(body) = body {
        described["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": body}},
        });
    } else if !description.text_body.is_empty() {
        let types = description.text_body.iter().map(|media_type| {
            let kind = if media_type.ends_with("json") {
                "object"
            } else {
                "string"
            };
            let content = json!({"schema": {"type": kind}});
            ((*media_type).to_owned(), content)
        });
        described["requestBody"] = json!({
            "required": description.needs_body,
            "content": types.collect::<Map<_, _>>(),
        });
    }
    described
}

/// The variables of a path, in its order. One that nobody described has no meaning, which a test
/// finds.
fn variables(operation: &Operation, description: &OperationDoc) -> Vec<Param> {
    let names = operation.path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(name)
    });
    names
        .filter_map(|name| {
            let own = description.variables.iter();
            own.clone()
                .find(|variable| variable.name == name)
                .cloned()
                .or_else(|| variable(name))
        })
        .collect()
}

fn parameter(place: &str, param: &Param) -> Value {
    json!({
        "name": param.name,
        "in": place,
        "required": place == "path" || param.is_mandatory,
        "description": param.meaning,
        "schema": param.schema,
    })
}

fn security(operation: &Operation, takes_login: bool) -> Value {
    match (operation.needs_credentials, takes_login) {
        (true, _) => json!([{"token": []}, {"signature": []}]),
        (false, true) => json!([{}, {"login": []}]),
        (false, false) => json!([]),
    }
}

fn success(answer: &Success, schemas: &mut SchemaGenerator) -> Value {
    let mut headers = headers();
    for (name, meaning, is_required) in &answer.headers {
        headers[*name] = json!({"description": meaning, "required": is_required,
            "schema": {"type": "string"}});
    }
    let mut response = json!({
        "description": answer.status.canonical_reason().unwrap_or_default(),
        "headers": headers,
    });
    if let Some((media_type, write)) = answer.body {
        response["content"] = json!({ media_type: {"schema": write(schemas)} });
    }
    response
}

/// An answer and a refusal that have the same status.
fn either(mut answer: Value, refusal: &Value) -> Value {
    let schema = |response: &Value| response["content"]["application/json"]["schema"].clone();
    answer["content"]["application/json"]["schema"] =
        json!({ "anyOf": [schema(&answer), schema(refusal)] });
    answer["description"] = refusal["description"].clone();
    answer
}

fn headers() -> Value {
    json!({"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}})
}

/// All that an operation can refuse.
fn refusals(
    operation: &Operation,
    description: &OperationDoc,
    variables: &[Param],
    body: Option<&Schema>,
) -> Vec<Refusal> {
    let mut errors = vec![
        Error::invalid("body", ""),
        Error::BodyTooLarge(operation.max_body),
        Error::internal("ours to fix"),
        Error::Unavailable("The emulator is overloaded or stopping"),
    ];
    if operation.needs_credentials {
        let reason = "missing, expired or wrong credentials";
        errors.push(Error::Unauthenticated(reason.to_owned()));
    }
    if operation.is_own() {
        errors.push(Error::fault(Fault::Query, "unknown parameter", ""));
    }
    let params = variables.iter().chain(&description.query);
    errors.extend(params.flat_map(|param| param.refusals.iter().cloned()));
    if !description.text_body.is_empty() {
        errors.push(Error::BodyTooSlow("did not arrive in time".into()));
    }
    if let Some(body) = body {
        errors.push(Error::invalid("Content-Type", ""));
        errors.push(Error::BodyTooSlow("did not arrive in time".into()));
        errors.extend(fields(body).map(|name| Error::invalid(name.to_owned(), "")));
    }
    let own = description.refusals.iter().cloned();
    errors.into_iter().map(Refusal::from).chain(own).collect()
}

/// The names of an object's fields.
fn fields(object: &Schema) -> impl Iterator<Item = &String> {
    let properties = object.get("properties").and_then(Value::as_object);
    properties.into_iter().flat_map(Map::keys)
}

/// What is answered under one status.
#[derive(Default)]
struct Refused {
    /// The reasons under each code.
    reasons: BTreeMap<String, BTreeSet<String>>,
    /// The codes that each form can show.
    codes: Vec<(ErrorFormat, BTreeSet<String>)>,
}

fn refused(
    operation: &Operation,
    refusals: Vec<Refusal>,
    schemas: &mut SchemaGenerator,
) -> Map<String, Value> {
    let mut by_status: BTreeMap<StatusCode, Refused> = BTreeMap::new();
    for refusal in refusals {
        let Refusal {
            status,
            code,
            format,
            reason,
        } = refusal;
        let code = code.unwrap_or_else(|| operation.failure.to_owned());
        let form = format.unwrap_or(operation.form);
        let refused = by_status.entry(status).or_default();
        refused
            .reasons
            .entry(code.clone())
            .or_default()
            .insert(reason);
        match refused.codes.iter_mut().find(|(known, _)| *known == form) {
            Some((_, codes)) => {
                codes.insert(code);
            }
            None => refused.codes.push((form, BTreeSet::from([code]))),
        }
    }
    let responses = by_status.into_iter().map(|(status, refused)| {
        let mut bodies: Vec<_> = refused
            .codes
            .into_iter()
            .map(|(form, codes)| form.schema(status, &codes, schemas))
            .collect();
        let body = if bodies.len() == 1 {
            bodies.remove(0)
        } else {
            json!({ "anyOf": bodies })
        };
        let response = json!({
            "description": reasons(&refused.reasons),
            "headers": headers(),
            "content": {"application/json": {"schema": body}},
        });
        (status.as_u16().to_string(), response)
    });
    responses.collect()
}

fn reasons(by_code: &BTreeMap<String, BTreeSet<String>>) -> String {
    let lines = by_code.iter().map(|(code, reasons)| {
        let reasons: Vec<_> = reasons.iter().map(String::as_str).collect();
        format!("- `{code}`: {}", reasons.join(", "))
    });
    lines.collect::<Vec<_>>().join("\n")
}
