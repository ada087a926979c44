//! Sub-commands of the program, none of which starts an emulator, and the variables that all of it
//! reads.

mod ask;
pub(crate) mod env;
pub(crate) mod healthcheck;
pub(crate) mod seed;
pub(crate) mod variables;
