//! JSON Schemas of the values that a request brings, as the document of the API tells them. Each
//! name says its own, beside its rule.

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema, json_schema};

/// The schema of a type, by itself.
pub(crate) fn schema_of<T: JsonSchema>() -> Schema {
    T::json_schema(&mut SchemaGenerator::default())
}

/// The schema with a description of what the value means where it stands.
pub(crate) fn described(mut schema: Schema, meaning: &str) -> Schema {
    schema.insert("description".to_owned(), meaning.into());
    schema
}

/// A whole number of 0 or more: an id, or the marker of a list that is in the order of one.
pub(crate) fn number_schema() -> Schema {
    json_schema!({"type": "integer", "minimum": 0, "maximum": i64::MAX})
}
