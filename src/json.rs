//! JSON objects and arrays, read field by field and more strictly than serde does by itself: a key
//! comes once, text is text.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::map::{Entry, Map};
use serde_json::{Number, Value};

use crate::error::{Error, Result};

/// The fields of a JSON object, read one by one so that the first fault in the API reference's
/// order is the one that is reported.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonObject(Map<String, Value>);

/// The entries of a body that is a JSON array.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonArray(Vec<Value>);

impl JsonArray {
    /// Reads a body that must be one JSON array.
    pub fn parse(body: &[u8]) -> Result<Self> {
        match parse(body, "a JSON array")? {
            Value::Array(items) => Ok(Self(items)),
            _ => Err(Error::invalid("body", "must be a JSON array")),
        }
    }

    /// The entries, each of which must be an object.
    pub fn objects(&self) -> Result<Vec<JsonObject>> {
        let objects = self.0.iter().map(|item| match item {
            Value::Object(fields) => Ok(JsonObject(fields.clone())),
            _ => Err(Error::invalid("body", "must contain only objects")),
        });
        objects.collect()
    }

    /// The entries, each of which must be a string.
    pub fn strings(&self) -> Result<Vec<&str>> {
        let texts: Option<_> = self.0.iter().map(Value::as_str).collect();
        texts.ok_or_else(|| Error::invalid("body", "must contain only strings"))
    }
}

/// Reads a body of JSON; `what` it must be is told when there is none.
fn parse(body: &[u8], what: &str) -> Result<Value> {
    let text = std::str::from_utf8(body).map_err(|_| Error::invalid("body", "must be UTF-8"))?;
    if text.trim().is_empty() {
        let rule = format!("must be {what}, not empty");
        return Err(Error::invalid("body", rule));
    }
    serde_json::from_str::<Strict>(text)
        .map(|Strict(value)| value)
        .map_err(|error| Error::invalid("body", format!("must be JSON: {error}")))
}

impl From<Map<String, Value>> for JsonObject {
    fn from(fields: Map<String, Value>) -> Self {
        Self(fields)
    }
}

impl JsonObject {
    /// Reads a body that must be one JSON object.
    pub fn parse(body: &[u8]) -> Result<Self> {
        match parse(body, "a JSON object")? {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(Error::invalid("body", "must be a JSON object")),
        }
    }

    /// The names of all fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Refuses a field that is none of the known ones of this thing.
    pub fn refuse_unknown(&self, thing: &str, known: &[&str]) -> Result<()> {
        match self.names().find(|name| !known.contains(name)) {
            None => Ok(()),
            Some(unknown) => {
                let rule = format!(
                    "is not a field of a {thing}; must be one of {}",
                    known.join(", ")
                );
                Err(Error::invalid(unknown.to_owned(), rule))
            }
        }
    }

    /// A field's value as it stands.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A mandatory string: there, not null, not empty.
    pub fn string(&self, name: &'static str) -> Result<&str> {
        match self.present(name)? {
            Value::String(text) if text.is_empty() => {
                Err(Error::invalid(name, "must not be empty"))
            }
            Value::String(text) => Ok(text),
            _ => Err(Error::invalid(name, "must be a string")),
        }
    }

    /// An optional string as it stands; null is the same as absent.
    pub fn optional_string(&self, name: &'static str) -> Result<Option<&str>> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Error::invalid(name, "must be a string")),
        }
    }

    /// A mandatory number.
    pub fn number(&self, name: &'static str) -> Result<&Number> {
        match self.present(name)? {
            Value::Number(number) => Ok(number),
            _ => Err(Error::invalid(name, "must be a number")),
        }
    }

    /// A mandatory boolean.
    pub fn boolean(&self, name: &'static str) -> Result<bool> {
        match self.present(name)? {
            Value::Bool(value) => Ok(*value),
            _ => Err(Error::invalid(name, "must be true or false")),
        }
    }

    /// An optional boolean; null is the same as absent.
    pub fn optional_boolean(&self, name: &'static str) -> Result<Option<bool>> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.boolean(name).map(Some),
        }
    }

    /// A mandatory object.
    pub fn object(&self, name: &'static str) -> Result<Self> {
        match self.present(name)? {
            Value::Object(fields) => Ok(Self(fields.clone())),
            _ => Err(Error::invalid(name, "must be an object")),
        }
    }

    /// An optional object; null is the same as absent.
    pub fn optional_object(&self, name: &'static str) -> Result<Option<Self>> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.object(name).map(Some),
        }
    }

    /// A mandatory array of strings.
    pub fn strings(&self, name: &'static str) -> Result<Vec<&str>> {
        let Value::Array(values) = self.present(name)? else {
            return Err(Error::invalid(name, "must be an array"));
        };
        let texts: Option<_> = values.iter().map(Value::as_str).collect();
        texts.ok_or_else(|| Error::invalid(name, "must contain only strings"))
    }

    /// A mandatory array of objects.
    pub fn objects(&self, name: &'static str) -> Result<Vec<Self>> {
        let Value::Array(values) = self.present(name)? else {
            return Err(Error::invalid(name, "must be an array"));
        };
        let objects: Option<_> = values
            .iter()
            .map(|value| value.as_object().cloned().map(Self))
            .collect();
        objects.ok_or_else(|| Error::invalid(name, "must contain only objects"))
    }

    fn present(&self, name: &'static str) -> Result<&Value> {
        match self.0.get(name) {
            None => Err(Error::invalid(name, "is mandatory")),
            Some(Value::Null) => Err(Error::invalid(name, "must not be null")),
            Some(value) => Ok(value),
        }
    }
}

/// A JSON value in which no object, at any depth, has a key twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = access.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            match fields.entry(key) {
                Entry::Vacant(place) => {
                    let Strict(value) = access.next_value()?;
                    place.insert(value);
                }
                Entry::Occupied(field) => {
                    let key = field.key();
                    return Err(serde::de::Error::custom(format!(
                        "the key {key:?} appears twice"
                    )));
                }
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_json_object_of_utf8_without_double_keys() {
        let check = |body: &[u8], accepted: bool| {
            let parsed = JsonObject::parse(body);
            assert_eq!(
                parsed.is_ok(),
                accepted,
                "{}",
                String::from_utf8_lossy(body)
            );
        };
        check(b"{}", true);
        check(b" {\"a\": [1, {\"b\": null}]}\n", true);
        check("{\"a\": \"漢\"}".as_bytes(), true);
        check(br#"{"a": "\ud83d\ude00"}"#, true);
        check(b"", false);
        check(b"  \n", false);
        check(b"null", false);
        check(b"[]", false);
        check(b"\"text\"", false);
        check(b"{", false);
        check(b"{} {}", false);
        check(b"{}x", false);
        check(b"\xef\xbb\xbf{}", false);
        check(b"{\"a\": \"\xff\"}", false);
        check(br#"{"a": "\ud800"}"#, false);
        check(br#"{"a": 1, "a": 1}"#, false);
        check(br#"{"x": {"a": 1, "a": 1}}"#, false);
        check(br#"{"a": 1e999}"#, false);
        check("[".repeat(100_000).as_bytes(), false);
        let nested = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        check(nested.as_bytes(), false);
    }
}
