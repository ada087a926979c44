//! Sub-commands of the program, none of which starts an emulator.

pub(crate) mod env;
pub(crate) mod healthcheck;
