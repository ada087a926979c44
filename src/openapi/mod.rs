//! The document of the API: one `OpenAPI` 3.1 description of every operation, made from the table
//! of operations that the router is made of, and a page to read it and to try calls.
//!
//! `document` puts the document together, `variables` knows what the variables of paths mean,
//! `api` is the HTTP (`/_emulator/openapi.json`, `/_emulator/docs`, and `/_emulator/`, a list of the
//! emulator's own operations).
//!
//! # How a chapter describes an operation
//!
//! Method, path, name and form of the errors stand in the chapter's table already, and the
//! chapter's name in [`Routes::of`](crate::http::Routes::of). The rest is an
//! [`OperationDoc`](crate::http::OperationDoc), made by a function that stands above the handler,
//! comes after it in the table and runs when somebody asks for the document:
//!
//! ```text
//! pub fn routes() -> Routes {
//!     Routes::of("Retention (aging)").post("CreateRetention", RETENTIONS, create, create_doc)
//! }
//!
//! fn create_doc() -> OperationDoc {
//!     OperationDoc::new("Adds a retention rule to a repository.")
//!         .takes(body_schema())                               // what the parser accepts
//!         .answers::<RetentionView>(StatusCode::CREATED)      // the type that is serialised
//!         .refuses([Error::AlreadyExists(Resource::Retention)])
//! }
//! ```
//!
//! - Answers: derive `schemars::JsonSchema` on the view and on what it holds; serde's attributes
//!   count. Two views of one name need `#[schemars(rename = "…")]` on one of them. `{}` is
//!   [`answers_empty_object`](crate::http::OperationDoc::answers_empty_object), 204
//!   [`answers_nothing`](crate::http::OperationDoc::answers_nothing).
//! - Bodies are read by hand, so their JSON Schema is written by hand (`json_schema!`), next to the
//!   parser and from its own constants. It may promise less than the parser takes, never more.
//!   Names of the domain implement `JsonSchema`: `schema_of::<TagName>()`.
//! - Query parameters are [`Param`](crate::http::Param)s; each says as what a bad value counts.
//! - Variables of the path come from `variables`; a new one needs an entry there. Where a name
//!   means something else than elsewhere, [`OperationDoc::variables`](crate::http::OperationDoc::variables)
//!   displaces it.
//! - Refusals need no mention when they follow from the rest: 401 where credentials are needed;
//!   400, 403 and 404 of the path's variables; 400 of parameters and of fields of the body (as
//!   `SVCSTG.SWR.4000014`); 413 and 500 everywhere. All others are given as the very errors that
//!   the handler returns, which is where status, code and form come from.
//!
//! `tests/it/openapi.rs` fails for an operation without a description, and schemathesis
//! (`./tests/run`) for an answer that the document does not promise; `tests/it/clients/openapi.rs`
//! has the things that it finds in place, which a new variable of a path should be able to name.

mod api;
mod document;
mod variables;

pub use api::{PAGE, routes};
