//! Huawei Cloud SWR, the container image registry service, on your own machine.
//!
//! # Map
//!
//! One folder for each chapter of SWR's API reference: [`namespace`] (organizations),
//! [`permission`], [`repository`], [`tag`], [`trigger`], [`sharing`], [`sync`], [`retention`],
//! [`login`], [`account`], [`version`]. In each, `mod.rs` says what the thing is and which rules
//! hold, and knows neither HTTP nor SQL; `api.rs` is its HTTP; `store.rs` its SQL.
//! [`image`] has the images on disk, [`registry`] is the OCI registry that clients pull them from and
//! push them to, [`push`] what a stored tag sets off, [`engine`] what becomes of the firings,
//! [`workload`] the simulated clusters that they update, [`kubernetes`] the real ones.
//! Beside them: [`iam`] and [`cce`], what clients ask of other services; [`control`], what SWR
//! does not have (`/_emulator/`); [`openapi`], the document of all operations; [`guide`], the pages
//! for users; [`seed`], the seed file.
//!
//! What the chapters share: [`http`] (operations, bodies in, answers out, the server), [`auth`]
//! (who is calling and what they may touch), [`db`] (SQLite, and its one writer), [`lookup`]
//! (what names refer to), [`region`] (an instance can play several), [`error`], `excerpt`
//! (what is cut before it is repeated), [`clock`], [`config`], [`data_folder`].
//!
//! # The life of a request
//!
//! `edge::server` accepts the connection and checks for which host the request is.
//! `edge::management` finds the operation and who says to be the caller, reads the bounded body,
//! sets the deadline, and lets a fault happen that was asked for. The handler's extractors resolve
//! organization and repository (`permission::access`), then its body is parsed into domain types. A
//! read asks the chapter's `store` through the pool of readers; a write is queued to the writer,
//! which commits it together with what others queued, and answers once it is on disk. The edge
//! writes the answer, or the error in the operation's form, and one line in the log.
//!
//! # The life of a push
//!
//! `registry::api` takes blobs and the manifest, [`image`] stores them; the tag goes through
//! [`push`], which in the same transaction writes one firing for each trigger that the tag fires
//! ([`trigger::judge`]) and one job for each task that takes the image to another region, and
//! deletes what the repository's retention rules delete. The client is answered.
//! The writer wakes `engine`, which takes the firings from the table, in order for each workload;
//! each updates its workload, leaves an entry in the trigger's history and ends, in one
//! transaction. It wakes `sync` too, which does the jobs; a synced tag is a push there.
//!
//! # What always holds
//!
//! - What was answered with 2xx is on disk.
//! - Handlers reach organizations and repositories through `permission::access` only.
//! - Nothing but [`clock`] asks for the time; nothing but `db` opens the database.
//! - All state belongs to an [`Emulator`]; a process can run several.

#![forbid(unsafe_code)]

pub mod account;
pub mod app;
pub mod auth;
pub mod cce;
pub mod clock;
pub mod config;
pub mod control;
pub mod data_folder;
pub mod db;
pub mod edge;
mod emulator;
pub mod engine;
pub mod error;
mod excerpt;
pub mod faults;
pub mod guide;
pub mod http;
pub mod iam;
pub mod image;
pub mod json;
pub mod kubernetes;
pub mod login;
pub mod lookup;
pub mod namespace;
pub mod nearest;
pub mod openapi;
pub mod page;
pub mod permission;
pub mod push;
pub mod region;
pub mod registry;
pub mod repository;
pub mod retention;
mod schema;
pub mod seed;
pub mod sharing;
pub mod sync;
pub mod tag;
pub mod trigger;
pub mod version;
pub mod workload;

pub use config::Config;
pub use emulator::{Emulator, StartError, routes};
pub use error::Error;
