//! The operations that can fail on purpose.

use crate::error::{Error, Result};
use crate::http::{ErrorFormat, Operation};
use crate::nearest::unknown_operation;
use crate::registry::{OPERATIONS, RegistryOperation};

/// An operation that can fail on purpose.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    Table(&'a Operation),
    Registry(&'static RegistryOperation),
}

impl<'a> Target<'a> {
    /// All of them.
    pub(super) fn all(operations: &'a [Operation]) -> impl Iterator<Item = Self> {
        let table = operations.iter().filter(|operation| !operation.is_own());
        table
            .map(Self::Table)
            .chain(OPERATIONS.iter().map(Self::Registry))
    }

    /// The names of those that fit.
    pub(super) fn names(
        operations: &'a [Operation],
        fits: impl Fn(Self) -> bool,
    ) -> Vec<&'static str> {
        let targets = Self::all(operations).filter(|target| fits(*target));
        targets.map(Self::name).collect()
    }

    pub(super) fn parse(name: &str, operations: &'a [Operation]) -> Result<Self> {
        if let Some(target) = Self::all(operations).find(|target| target.name() == name) {
            return Ok(target);
        }
        let rule = if operations.iter().any(|operation| operation.name == name) {
            "must not be an operation under /_emulator/; faults do not apply to these".to_owned()
        } else {
            unknown_operation(name, Self::all(operations).map(Self::name))
        };
        Err(Error::invalid("operation", rule))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Table(operation) => operation.name,
            Self::Registry(operation) => operation.name,
        }
    }

    /// Whether its requests tell this, which is one of [`NARROWING`](super::NARROWING).
    pub(super) fn tells(self, key: &str) -> bool {
        match self {
            Self::Table(operation) if key == "caller" => operation.needs_credentials,
            Self::Table(operation) => operation.has_variable(key),
            Self::Registry(operation) => key == "caller" || operation.names.contains(&key),
        }
    }

    pub(super) fn moves_bytes(self) -> bool {
        matches!(self, Self::Registry(operation) if operation.moves_bytes)
    }

    /// The code that comes with a status where no other is asked for (API reference, error codes;
    /// OCI distribution specification, error codes).
    pub(super) fn code(self, status: u32) -> &'static str {
        let operation = match self {
            Self::Table(operation) if operation.form != ErrorFormat::Registry => operation,
            _ => {
                return match status {
                    401 => "UNAUTHORIZED",
                    403 => "DENIED",
                    429 => "TOOMANYREQUESTS",
                    503 => "UNAVAILABLE",
                    _ => "UNKNOWN",
                };
            }
        };
        match status {
            500.. => operation.failure,
            401 => "APIGW.0301",
            403 => "SVCSTG.SWR.4030170",
            413 => "SVCSTG.SWR.4131001",
            429 => "APIGW.0308",
            _ => "SVCSTG.SWR.4000014",
        }
    }
}
