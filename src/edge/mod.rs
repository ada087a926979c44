//! The way of a request to its handler and back: listener, router, and all that is around handlers.
//!
//! `server` is the listener; `connections` and `lingering` bound and close its connections, `hosts`
//! checks the host that a request names, `router` leads on. `management` wraps the operations of the
//! table: deadline, caller, bounded body, faults, format of errors. `registry` wraps the OCI
//! registry, which does most of that itself. `ready` answers what was answered before. All give the request its id (`request_id`), write its
//! line in the log (`log`) and record it for `/_emulator/requests` (`requests`), some of them with
//! their bodies (`body`).

mod body;
mod connections;
mod head_timer;
mod hosts;
mod lingering;
mod log;
mod management;
mod ready;
mod registry;
mod request_id;
mod requests;
mod router;
mod server;

pub use hosts::AllowedHosts;
pub use log::LinesForPeople;
pub use management::Edge;
pub use request_id::RequestIds;
pub use requests::{RecordedRequest, Requests};
pub use server::Server;
