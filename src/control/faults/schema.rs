//! The bodies of faults, for the document of the API: which fields there are, and which go
//! together.

use schemars::{Schema, json_schema};

use super::target::Target;
use super::{
    LEAST_STATUS, MAX_CALLER, MAX_CODE, MAX_DELAY, MAX_RETRY_AFTER, MAX_TIMES, MOST_STATUS,
    NARROWING, RETRIABLE,
};
use crate::http::Operation;
use crate::namespace::NamespaceName;
use crate::repository::RepositoryName;
use crate::schema::{described, schema_of};
use crate::tag::TagName;

/// The bodies that [`parse`](super::body::parse) takes.
pub(super) fn schema(operations: &[Operation]) -> Schema {
    let mut rules = vec![effect_rule(operations), retry_after_rule(), seed_rule()];
    rules.extend(NARROWING.map(|key| narrowing_rule(key, operations)));
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
                "description": "The error code; by default, one that fits the status.",
            },
            "retry_after_s": {
                "type": "integer",
                "minimum": 0,
                "maximum": MAX_RETRY_AFTER,
                "description": "The value of the header `Retry-After`; only with status 429 or \
                                503.",
            },
            "times": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_TIMES,
                "description": "How many times the fault applies; unlimited by default.",
            },
            "delay_ms": {
                "type": "integer",
                "minimum": 0,
                "maximum": MAX_DELAY,
                "default": 0,
                "description": "How long the request is delayed.",
            },
            "probability": {
                "type": "number",
                "minimum": 0.0,
                "maximum": 1.0,
                "description": "The probability that the fault applies; 1 by default.",
            },
            "seed": {
                "type": "integer",
                "minimum": 0,
                "maximum": u32::MAX,
                "description": "The seed of the random numbers; the same seed gives the same \
                                sequence.",
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
                "description": "Only requests of the user with this name; `-` means a pull without \
                                a login.",
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
                "description": "The connection is closed after this many bytes of a blob. A \
                                request that transfers no more bytes than that is served normally.",
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

/// No value: the object must do without the field.
fn absent_schema() -> Schema {
    json_schema!({"not": {}})
}
