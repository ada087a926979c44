//! What every request passes through on its way to a handler and back: the listener with its
//! bounds, the router, the caller, the body, the faults that somebody asked for, the form of errors,
//! and the line in the log.
//!
//! `management` wraps the operations of the table, `registry` those of the OCI registry. Nothing
//! below knows of this room but what it leaves in a request.

mod connections;
mod hosts;
mod lingering;
mod log;
mod management;
mod registry;
mod request_id;
mod requests;
mod router;
mod server;

pub use hosts::AllowedHosts;
pub use log::LinesForPeople;
pub use request_id::RequestIds;
pub use requests::{RecordedRequest, Requests};
pub use router::router;
pub use server::Server;
