//! What clients ask of IAM by themselves: tokens, projects, accounts and users, as far as the
//! emulator has them. The paths of IAM and SWR do not collide, so one port serves both.
//!
//! `token` issues tokens; `identity` answers look-ups.

mod identity;
mod token;

use crate::http::Routes;

/// The operations of IAM.
pub fn routes() -> Routes {
    token::routes().and(identity::routes())
}
