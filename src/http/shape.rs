//! Shapes of JSON values that a request brings, as the document of the API tells them: a few
//! words over JSON Schema. Shapes of answers follow from the types that write them.

use serde_json::{Map, Value, json};

/// What a value has to look like: a JSON Schema of the dialect of `OpenAPI` 3.1.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape(Map<String, Value>);

impl Shape {
    fn of(kind: &str) -> Self {
        Self(Map::new()).with("type", kind)
    }

    fn with(mut self, keyword: &str, value: impl Into<Value>) -> Self {
        self.0.insert(keyword.to_owned(), value.into());
        self
    }

    /// Any text.
    pub fn text() -> Self {
        Self::of("string")
    }

    /// One of these words.
    pub fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let words: Vec<_> = words.into_iter().collect();
        Self::text().with("enum", words)
    }

    /// One of these whole numbers.
    pub fn one_of_numbers(numbers: impl IntoIterator<Item = u8>) -> Self {
        let numbers: Vec<_> = numbers.into_iter().collect();
        Self::of("integer").with("enum", numbers)
    }

    /// A value that looks like one of these.
    pub fn any_of(shapes: impl IntoIterator<Item = Self>) -> Self {
        let shapes: Vec<_> = shapes.into_iter().map(Value::from).collect();
        Self(Map::new()).with("anyOf", shapes)
    }

    /// `true` or `false`.
    pub fn boolean() -> Self {
        Self::of("boolean")
    }

    /// `true` and nothing else.
    pub fn only_true() -> Self {
        Self::boolean().with("const", true)
    }

    /// Any value.
    pub fn any() -> Self {
        Self(Map::new())
    }

    /// No value: a field that the object must do without.
    pub fn never() -> Self {
        Self::any().with("not", json!({}))
    }

    /// A number within bounds.
    pub fn number(least: f64, most: f64) -> Self {
        Self::of("number")
            .with("minimum", least)
            .with("maximum", most)
    }

    /// A whole number within bounds.
    pub fn integer(least: impl Into<i64>, most: impl Into<i64>) -> Self {
        Self::of("integer")
            .with("minimum", least.into())
            .with("maximum", most.into())
    }

    /// A list of such values.
    pub fn array(items: impl Into<Self>) -> Self {
        Self::of("array").with("items", items.into())
    }

    /// An object; what it holds besides its fields does not matter.
    pub fn object() -> Self {
        Self::of("object")
    }

    /// A field that the object has to have.
    #[must_use]
    pub fn must(self, name: &str, shape: impl Into<Self>) -> Self {
        let mut object = self.may(name, shape);
        let required = object.0.entry("required").or_insert_with(|| json!([]));
        if let Some(required) = required.as_array_mut() {
            required.push(name.into());
        }
        object
    }

    /// A field that the object can do without.
    #[must_use]
    pub fn may(mut self, name: &str, shape: impl Into<Self>) -> Self {
        let properties = self.0.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.insert(name.to_owned(), shape.into().into());
        }
        self
    }

    /// The object may have no other field.
    #[must_use]
    pub fn closed(self) -> Self {
        self.with("additionalProperties", false)
    }

    /// The text has so many characters, or the array so many items.
    #[must_use]
    pub fn length(self, least: usize, most: usize) -> Self {
        let keyword = self.by_kind("maxItems", "maxLength");
        self.at_least(least).with(keyword, most)
    }

    /// The text has at least so many characters, or the array so many items.
    #[must_use]
    pub fn at_least(self, least: usize) -> Self {
        let keyword = self.by_kind("minItems", "minLength");
        self.with(keyword, least)
    }

    fn by_kind(&self, of_array: &'static str, of_text: &'static str) -> &'static str {
        match self.0.get("type") {
            Some(kind) if kind == "array" => of_array,
            _ => of_text,
        }
    }

    /// The text matches a regular expression.
    #[must_use]
    pub fn pattern(self, expression: &str) -> Self {
        self.with("pattern", expression)
    }

    /// The text is none of these.
    #[must_use]
    pub fn but(self, words: &[&str]) -> Self {
        self.with("not", json!({ "enum": words }))
    }

    /// The value also looks like one of these.
    #[must_use]
    pub fn either(self, shapes: impl IntoIterator<Item = Self>) -> Self {
        let shapes: Vec<_> = shapes.into_iter().map(Value::from).collect();
        self.with("anyOf", shapes)
    }

    /// What the value is when it is left out.
    #[must_use]
    pub fn default(self, value: impl Into<Value>) -> Self {
        self.with("default", value)
    }

    /// What the value means.
    #[must_use]
    pub fn says(self, text: &str) -> Self {
        self.with("description", text)
    }

    /// A value that fits.
    #[must_use]
    pub fn example(self, value: impl Into<Value>) -> Self {
        self.with("examples", vec![value.into()])
    }

    /// The value also looks like this.
    #[must_use]
    pub fn also(mut self, shape: Self) -> Self {
        let shapes = self.0.entry("allOf").or_insert_with(|| json!([]));
        if let Some(shapes) = shapes.as_array_mut() {
            shapes.push(shape.into());
        }
        self
    }

    /// The names of the object's fields.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let properties = self.0.get("properties").and_then(Value::as_object);
        properties
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str)
    }
}

impl From<Shape> for Value {
    fn from(shape: Shape) -> Self {
        Self::Object(shape.0)
    }
}

impl From<schemars::Schema> for Shape {
    fn from(schema: schemars::Schema) -> Self {
        let Value::Object(fields) = schema.to_value() else {
            return Self::any();
        };
        Self(fields)
    }
}

impl From<Shape> for schemars::Schema {
    fn from(shape: Shape) -> Self {
        shape.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_lists_the_fields_that_it_must_have() {
        let shape = Shape::object()
            .must("name", Shape::text().length(1, 64).but(&["library"]))
            .may(
                "kinds",
                Shape::array(Shape::one_of(["a", "b"])).length(1, 2),
            )
            .closed();
        assert_eq!(shape.fields().collect::<Vec<_>>(), ["kinds", "name"]);
        assert_eq!(
            Value::from(shape),
            json!({
                "type": "object",
                "required": ["name"],
                "additionalProperties": false,
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 64,
                             "not": {"enum": ["library"]}},
                    "kinds": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]},
                              "minItems": 1, "maxItems": 2},
                },
            })
        );
    }
}
