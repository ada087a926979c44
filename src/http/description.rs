//! What the document of the API tells of an operation beyond its method and path. It is made when
//! somebody asks for the document, and no request pays for it.
//!
//! How a chapter describes an operation is told in [`crate::openapi`].

use std::borrow::Cow;

use http::StatusCode;
use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema, json_schema};

use super::answer::NextPage;
use super::error_format::ErrorFormat;
use super::operation::Operation;
use super::query::{DEFAULT_LIMIT, MAX_LIMIT};
use crate::error::{Error, Fault, Resource};
use crate::schema::schema_of;

/// The media type of YAML.
pub const YAML: &str = "application/yaml";

/// What an operation does, takes, answers and refuses.
#[derive(Debug, Clone)]
pub struct OperationDoc {
    /// One line that says what it does.
    pub summary: &'static str,
    /// What there is to know besides.
    pub remarks: Cow<'static, str>,
    /// Variables of its path that mean something else here than elsewhere.
    pub variables: Vec<Param>,
    /// Query parameters.
    pub query: Vec<Param>,
    /// The body, if it takes one.
    pub body: Option<BodySchema>,
    /// The media types of a text or file that it takes as its body, or none.
    pub text_body: &'static [&'static str],
    /// Whether such a body has to be there.
    pub needs_body: bool,
    /// The answers of its success.
    pub answers: Vec<Success>,
    /// What it refuses besides what every operation with such a path does.
    pub refusals: Vec<Refusal>,
    /// Whether it takes a user and a password by Basic authentication, or nobody.
    pub takes_login: bool,
}

impl OperationDoc {
    /// An operation that does what the one line says.
    pub fn new(summary: &'static str) -> Self {
        Self {
            summary,
            remarks: Cow::default(),
            variables: Vec::new(),
            query: Vec::new(),
            body: None,
            text_body: &[],
            needs_body: false,
            answers: Vec::new(),
            refusals: Vec::new(),
            takes_login: false,
        }
    }

    /// What there is to know besides the summary.
    #[must_use]
    pub fn remarks(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.remarks = text.into();
        self
    }

    /// Variables of the path that mean something else here than elsewhere.
    #[must_use]
    pub fn variables(mut self, variables: impl IntoIterator<Item = Param>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Query parameters.
    #[must_use]
    pub fn query(mut self, parameters: impl IntoIterator<Item = Param>) -> Self {
        self.query.extend(parameters);
        self
    }

    /// The body that the operation has to be given.
    #[must_use]
    pub fn takes(mut self, body: impl Into<Schema>) -> Self {
        self.body = Some(BodySchema::Fixed(body.into()));
        self
    }

    /// The body that the operation has to be given, which depends on the operations that there are.
    #[must_use]
    pub fn takes_for_table(mut self, schema: fn(&[Operation]) -> Schema) -> Self {
        self.body = Some(BodySchema::ForTable(schema));
        self
    }

    /// The operation takes a text of one of these media types, or no body.
    #[must_use]
    pub fn may_take(mut self, media_types: &'static [&'static str]) -> Self {
        self.text_body = media_types;
        self
    }

    /// The operation has to be given a file of one of these media types.
    #[must_use]
    pub fn takes_file(mut self, media_types: &'static [&'static str]) -> Self {
        self.needs_body = true;
        self.may_take(media_types)
    }

    /// The operation takes a user and a password by Basic authentication, or nobody.
    #[must_use]
    pub fn takes_login(mut self) -> Self {
        self.takes_login = true;
        self
    }

    /// An answer with such a body.
    #[must_use]
    pub fn answers<V: JsonSchema>(self, status: StatusCode) -> Self {
        self.answers_as(
            status,
            Some(("application/json", SchemaGenerator::subschema_for::<V>)),
        )
    }

    /// An answer with the one body or the other.
    #[must_use]
    pub fn answers_either<V: JsonSchema, W: JsonSchema>(self, status: StatusCode) -> Self {
        let either: Writer = |schemas| {
            let bodies = [schemas.subschema_for::<V>(), schemas.subschema_for::<W>()];
            json_schema!({ "anyOf": bodies })
        };
        self.answers_as(status, Some(("application/json", either)))
    }

    /// The answer `{}`.
    #[must_use]
    pub fn answers_empty_object(self, status: StatusCode) -> Self {
        let empty: Writer = |_| json_schema!({"type": "object", "maxProperties": 0});
        self.answers_as(status, Some(("application/json", empty)))
    }

    /// An answer without a body.
    #[must_use]
    pub fn answers_nothing(self) -> Self {
        self.answers_as(StatusCode::NO_CONTENT, None)
    }

    /// An answer without a body that leads to another path.
    #[must_use]
    pub fn redirects(self, meaning: &'static str) -> Self {
        self.answers_as(StatusCode::SEE_OTHER, None)
            .with_header("Location", meaning)
    }

    /// An answer that is not JSON.
    #[must_use]
    pub fn answers_text(self, media_type: &'static str) -> Self {
        let text: Writer = |_| json_schema!({"type": "string"});
        self.answers_as(StatusCode::OK, Some((media_type, text)))
    }

    /// An answer in YAML; one that has nothing to say is a comment.
    #[must_use]
    pub fn answers_yaml(self) -> Self {
        let yaml: Writer = |_| json_schema!({"type": ["object", "null"]});
        self.answers_as(StatusCode::OK, Some((YAML, yaml)))
    }

    fn answers_as(mut self, status: StatusCode, body: Option<(&'static str, Writer)>) -> Self {
        self.answers.push(Success {
            status,
            body,
            headers: Vec::new(),
        });
        self
    }

    /// A header of the answer that was told last.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, meaning: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push((name, meaning, true));
        }
        self
    }

    /// The answer that was told last may have this header.
    #[must_use]
    pub fn with_optional_header(mut self, name: &'static str, meaning: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push((name, meaning, false));
        }
        self
    }

    /// The answer that was told last is a page, and its header `Link` leads to the next one by a
    /// marker that looks so.
    #[must_use]
    pub fn in_pages(self, marker: impl Into<Schema>) -> Self {
        let paged = self.with_optional_header("Link", NextPage::MEANING);
        paged.query([
            Param::limit(),
            Param::new(
                "marker",
                "The `marker` in the previous page's `Link`; omitted for the first page.",
                marker,
            )
            .refused(Fault::Page),
        ])
    }

    /// The operation is for those who may control the instance ([`crate::auth::Controller`]).
    #[must_use]
    pub fn needs_control(mut self) -> Self {
        self.refusals.push(Error::Forbidden.into());
        let who = "For administrators of the built-in account (of any account if that one is \
                   removed), and for every user who sends `X-Emulator-Control-Token`.";
        self.remarks = format!("{} {who}", self.remarks).trim().to_owned().into();
        self
    }

    /// What the operation refuses besides what every operation with such a path, such parameters
    /// and such a body does.
    #[must_use]
    pub fn refuses<R: Into<Refusal>>(mut self, refusals: impl IntoIterator<Item = R>) -> Self {
        self.refusals.extend(refusals.into_iter().map(Into::into));
        self
    }
}

/// The schema of the body that an operation takes.
#[derive(Debug, Clone)]
pub enum BodySchema {
    /// Always the same.
    Fixed(Schema),
    /// Made from the table of all operations.
    ForTable(fn(&[Operation]) -> Schema),
}

impl BodySchema {
    /// The schema where these operations are all that there are.
    pub fn of(self, operations: &[Operation]) -> Schema {
        match self {
            Self::Fixed(schema) => schema,
            Self::ForTable(schema) => schema(operations),
        }
    }
}

/// Tells the shape of a type, and keeps what it refers to.
pub type Writer = fn(&mut SchemaGenerator) -> Schema;

/// An answer of an operation that did what it was asked.
#[derive(Debug, Clone)]
pub struct Success {
    pub status: StatusCode,
    /// Its media type and the shape of its body, if it has one.
    pub body: Option<(&'static str, Writer)>,
    /// Its headers, each with its meaning and whether it is always there.
    pub headers: Vec<(&'static str, &'static str, bool)>,
}

/// An answer of an operation that did not do what it was asked. It is made from the very error
/// that a handler returns, so that it cannot tell anything else.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// The error code; where there is none, the one of the operation's own failing step.
    pub code: Option<String>,
    /// How it is written, where that is not the operation's own format.
    pub format: Option<ErrorFormat>,
    /// The message; of a broken rule, the field.
    pub reason: String,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let code = error.code("");
        Self {
            status: error.status(),
            code: (!code.is_empty()).then(|| code.to_owned()),
            format: ErrorFormat::is_gateways(&error).then_some(ErrorFormat::Gateway),
            reason: match &error {
                Error::Invalid { field, .. } => format!("`{field}`"),
                error => error.to_string(),
            },
        }
    }
}

/// A query parameter, or a variable of a path.
#[derive(Debug, Clone)]
pub struct Param {
    pub name: &'static str,
    /// What it means.
    pub meaning: Cow<'static, str>,
    /// Its values.
    pub schema: Schema,
    /// Whether it has to be there; a variable of a path always has.
    pub is_mandatory: bool,
    /// What an operation that has it can refuse.
    pub refusals: Vec<Error>,
}

impl Param {
    /// A parameter that can be left out and with which nothing can be wrong.
    pub fn new(
        name: &'static str,
        meaning: impl Into<Cow<'static, str>>,
        schema: impl Into<Schema>,
    ) -> Self {
        Self {
            name,
            meaning: meaning.into(),
            schema: schema.into(),
            is_mandatory: false,
            refusals: Vec::new(),
        }
    }

    /// It has to be there.
    #[must_use]
    pub fn mandatory(mut self) -> Self {
        self.is_mandatory = true;
        self.refused(Fault::Query)
    }

    /// What it counts as when it breaks its rule.
    #[must_use]
    pub fn refused(mut self, fault: Fault) -> Self {
        let error = Error::fault(fault, self.name, "");
        self.refusals.push(error);
        self
    }

    /// What it names may not be there.
    #[must_use]
    pub fn missing(mut self, resource: Resource) -> Self {
        self.refusals.push(Error::NotFound(resource));
        self
    }

    /// `true` or `false`.
    pub fn boolean(name: &'static str, meaning: &'static str) -> Self {
        Self::new(name, meaning, schema_of::<bool>()).refused(Fault::Query)
    }

    /// `limit`
    pub fn limit() -> Self {
        Self::limit_within(DEFAULT_LIMIT, MAX_LIMIT)
    }

    /// `limit` of a list whose pages are smaller than those of others.
    pub fn limit_within(default: u32, most: u32) -> Self {
        let schema = json_schema!({
            "type": "integer", "minimum": 1, "maximum": most, "default": default,
        });
        Self::new("limit", "The maximum number of entries on a page.", schema).refused(Fault::Page)
    }

    /// `offset`
    pub fn offset() -> Self {
        let schema = json_schema!({
            "type": "integer", "minimum": 0, "maximum": i64::MAX, "default": 0,
        });
        Self::new(
            "offset",
            "The number of entries to skip before the page.",
            schema,
        )
        .refused(Fault::Page)
    }

    /// `marker`
    pub fn marker(schema: impl Into<Schema>) -> Self {
        let meaning = "The `nextMarker` of the previous page; omitted for the first page.";
        Self::new("marker", meaning, schema).refused(Fault::Page)
    }

    /// `order_column`
    pub fn order_column<C>(columns: &[(&str, C)]) -> Self {
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        let schema = json_schema!({"type": "string", "enum": names});
        Self::new("order_column", "The column to sort by.", schema).refused(Fault::Order)
    }

    /// `order_type`
    pub fn order_type() -> Self {
        let schema = json_schema!({"type": "string", "enum": ["asc", "desc"], "default": "asc"});
        Self::new("order_type", "Ascending or descending.", schema).refused(Fault::Order)
    }

    /// `filter` of a list that knows these keys.
    pub fn filter(keys: &[&str]) -> Self {
        let meaning = format!(
            "`key::value` pairs joined by `|`, each key at most once; replaces the separate \
             parameters. Keys: {}.",
            keys.join(", ")
        );
        let keys = keys.join("|");
        let pair = format!("(?:{keys})::[^|]*");
        let pattern = format!("^{pair}(?:\\|{pair})*$");
        let schema = json_schema!({"type": "string", "pattern": pattern});
        Self::new("filter", meaning, schema).refused(Fault::Filter)
    }
}
