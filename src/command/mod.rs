//! Sub-commands of the program, and the variables that all of it reads.

mod ask;
pub(crate) mod doctor;
pub(crate) mod env;
pub(crate) mod exec;
pub(crate) mod healthcheck;
pub(crate) mod report_file;
pub(crate) mod seed;
pub(crate) mod snapshot;
pub(crate) mod trace;
pub(crate) mod variables;
