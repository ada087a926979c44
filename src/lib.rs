//! Huawei Cloud SWR, the container image registry service, on your own machine.
//!
//! To use the program, see the [`guide`]. In a test in Rust, an [`Emulator`] of its own runs in the
//! test's process ([`testing`]):
//!
//! ```
//! use swr_emulator::Emulator;
//!
//! const SEED: &str = r#"
//! organizations:
//!   - name: group
//!     repositories:
//!       - name: busybox
//!         triggers:
//!           - {name: on-push, action: update, app_type: deployments, application: web,
//!              cluster_id: test, cluster_ns: default, trigger_mode: cce,
//!              trigger_type: regular, condition: "^v[0-9]", enable: "true"}
//! clusters:
//!   - name: test
//!     namespaces:
//!       - name: default
//!         deployments:
//!           - {name: web, containers: [{name: web, image: "{registry}/group/busybox:v1"}]}
//! "#;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let emulator = Emulator::builder().seed(SEED).start().await?;
//!     // The program under test finds it by its URL or by these variables:
//!     assert!(emulator.env().contains(&("SWR_EMULATOR_URL".into(), emulator.url())));
//!
//!     let digest = emulator.push("group/busybox:v2").await?;
//!     assert!(digest.starts_with("sha256:"));
//!     let entry = emulator.wait("group/busybox:v2", "on-push").await?;
//!     assert_eq!(entry.workload, "web");
//!     emulator.assert_fired("group/busybox:v2", "on-push").await;
//!
//!     emulator.push("group/busybox:latest").await?;
//!     let reason = emulator.assert_not_fired("group/busybox:latest", "on-push").await;
//!     assert!(reason.contains("does not match"), "{reason}");
//!     Ok(())
//! }
//! ```
//!
//! The rest of this page is the map of the code.
//!
//! # Map
//!
//! One folder for each chapter of SWR's API reference: `namespace` (organizations), `permission`,
//! `repository`, `tag`, `trigger`, `sharing`, `sync`, `retention`, `login`, `account`, `version`. In
//! each, `mod.rs` says what the thing is and which rules hold, and knows neither HTTP nor the state
//! of handlers; `api.rs` is its HTTP, which begins with a table of its operations; `store.rs` is its
//! SQL.
//!
//! `image` has the images on disk; `registry` is the OCI registry, from which clients pull them and to
//! which they push them; `push` is what a stored tag sets off; `engine` fires triggers;
//! `workload` has the simulated clusters that it updates, `kubernetes` the real ones, `cce` what
//! clients ask of CCE about both.
//!
//! Beside them: `iam`, what clients ask of IAM; `control`, what SWR does not have (`/_emulator/`);
//! `console`, the page for a browser that shows all of it; `testing`, the same for a test in Rust; `faults`, failures on purpose; `openapi`, the document of all operations; `guide`, the text for
//! users; `seed`, the seed file; `snapshot`, the whole state in one file.
//!
//! What all of them share: `edge` (what a request passes through: listener, router, caller, log),
//! `http` (operations, bodies in, answers and errors out), `auth` (who is calling), `db` (SQLite, and
//! its one writer), `lookup` (what names refer to), `world` (who is let in while everything
//! changes), `answers` (bytes that are sent again), `region` (an instance can have several),
//! `error`, `events` (what happens, for those who listen), `client_variables` (what points clients at an instance), `json` (objects read field by
//! field), `page`, `schema`, `nearest` (the name that was meant),
//! `excerpt` (texts that are cut before they are repeated), `clock`, `config`, `data_folder`, `app`
//! (the state that handlers share), `emulator` (an instance from start to stop).
//!
//! # Where do I …
//!
//! - find the rule of a field or a name: `src/<chapter>/mod.rs`; in which order fields are checked:
//!   `read_body` of its `api.rs` or `body.rs`
//! - find the status and the code of an error: `src/error.rs`; of the registry: `src/registry/error.rs`
//! - find which tag fires which trigger: `judge` in `src/trigger/mod.rs`; what a firing does
//!   to a workload: `src/engine/plan.rs`; which cluster is meant: `src/engine/destination.rs`; what
//!   is hinted at: `src/trigger/lint.rs`; what can be wrong: `src/control/doctor`
//! - add a query parameter: its `…_doc` function, the handler, and, where `filter` takes it too, the
//!   list of the filter's keys in `src/<chapter>/api.rs`; the statements (page and count) in
//!   `store.rs`; then approve the snapshot of the document
//! - add an operation: `.github/CONTRIBUTING.md` lists all places
//! - find who may call an operation: the extractor of its handler (`src/permission/access.rs`), and
//!   the table in `tests/it/permission.rs`
//! - add a setting: `src/config.rs`; a key of the seed file: `src/seed/format.rs`, its
//!   rules in `check.rs`, its effect in `store.rs`, and the way back in `src/seed/export`
//! - change the tables: a new file in `migrations/`, and `.github/CONTRIBUTING.md` says what goes with it
//!
//! # The life of a request
//!
//! `edge::server` accepts the connection and checks for which host the request is. Where the answer
//! is ready from before, `edge::ready` sends it again. Else `edge::management` finds the operation and the caller, reads the bounded body, sets the deadline,
//! and applies a fault that somebody planned. The handler's extractors resolve organization and
//! repository (`permission::access`), then its body is parsed into domain types. A read asks the
//! chapter's `store` through the pool of readers; a write is queued to the writer, which commits it
//! together with what others queued, and answers once it is on disk. The edge writes the answer, or
//! the error in the operation's format, and one line in the log.
//!
//! # The life of a push
//!
//! `registry::api` takes blobs and the manifest, `image` stores them; the tag goes through
//! `push::put`, which in the same transaction writes one firing for each trigger that matches, one
//! job for each task that takes the image to another region, and deletes what the repository's
//! retention rules delete. The client is answered.
//! The writer wakes `engine`, which takes the firings from the table, for each workload in the order of the pushes, and within a push in the order in which the triggers
//! were created;
//! each updates its workload, leaves an entry in the trigger's history and ends, in one transaction.
//! The rollout that follows is noted with the entry: at once where it ends at once, else by
//! `engine::rollout`, which ends it when the clock says so, or looks at the real cluster.
//! `sync` works on the jobs, and a synced tag is a push there.
//!
//! # What always holds
//!
//! - What was answered with 2xx is on disk.
//! - Handlers reach organizations and repositories through `permission::access` only.
//! - Nothing but `clock` asks for the time of day; nothing but `db` opens the database.
//! - All state belongs to an [`Emulator`]; a process can run several.
//!
//! `tests/it/house.rs` holds which room may know of which.

#![forbid(unsafe_code)]

// The chapters of SWR's API reference.
mod account;
mod login;
mod namespace;
mod permission;
mod repository;
mod retention;
mod sharing;
mod sync;
mod tag;
mod trigger;
mod version;

// Images, their registry, and what a push sets off.
mod cce;
mod engine;
mod image;
mod kubernetes;
mod push;
mod registry;
mod workload;

// What clients ask of other services, and what SWR does not have.
mod console;
mod control;
mod faults;
pub mod guide;
mod iam;
mod openapi;
mod seed;
mod snapshot;
pub mod testing;

// What all of them share.
mod answers;
mod app;
mod auth;
mod client_variables;
mod clock;
pub mod config;
mod data_folder;
mod db;
mod edge;
mod emulator;
mod error;
mod events;
mod excerpt;
mod http;
mod json;
mod lookup;
mod nearest;
mod page;
mod region;
mod schema;
mod world;

pub use auth::{
    BUILTIN_ACCESS_KEY, BUILTIN_ACCOUNT, BUILTIN_PASSWORD, BUILTIN_SECRET_KEY, BUILTIN_TOKEN,
    BUILTIN_USER,
};
pub use config::Config;
pub use emulator::{Emulator, StartError};

/// Used by the program, the tests and the fuzz targets of this repository; changes without notice.
#[doc(hidden)]
pub mod internal {
    pub use crate::auth::signature::{Authorization, SignedRequest};
    pub use crate::auth::{BUILTIN_PROJECT_ID, Secret, long_term_password};
    pub use crate::client_variables::client_variables;
    pub use crate::clock::Clock;
    pub use crate::control::{Finding, Report, Severity};
    pub use crate::data_folder::PlacedFile;
    pub use crate::db::Db;
    pub use crate::edge::LinesForPeople;
    pub use crate::emulator::{report, report_page, routes};
    pub use crate::error::one_line;
    pub use crate::http::{OWN_PATHS, Operation, Query, file_body};
    pub use crate::image::{Digest, ImagePath, Manifest, MediaType, Reference};
    pub use crate::json::JsonObject;
    pub use crate::nearest::nearest;
    pub use crate::openapi::PAGE;
    pub use crate::registry::Target;
    pub use crate::seed::{EXAMPLE as SEED_EXAMPLE, read as read_seed};
    pub use crate::snapshot::MEDIA_TYPE as SNAPSHOT_MEDIA_TYPE;
    pub use crate::tag::TagName;
    pub use crate::trigger::{Condition, NewTrigger, TriggerName, read_body};
}
