//! Failures on purpose.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Error;
use crate::control::read_fault;
use crate::emulator::Emulator;
use crate::json::JsonObject;

/// A failure on purpose, as `/_emulator/faults` takes it:
/// `Fault::on("CreateTrigger").status(500).times(1)`.
#[derive(Debug, Clone)]
#[must_use = "a fault does nothing until an emulator has it"]
pub struct Fault(Map<String, Value>);

impl Fault {
    /// One of an operation of SWR, IAM or CCE, or of the registry, like `PutManifest`.
    pub fn on(operation: &str) -> Self {
        Self(Map::new()).with("operation", operation)
    }

    /// Answers with this status, 400 to 599.
    pub fn status(self, status: u16) -> Self {
        self.with("status", status)
    }

    /// The error code; by default, one that fits the status.
    pub fn code(self, code: &str) -> Self {
        self.with("code", code)
    }

    /// `Retry-After`, in seconds, with status 429 or 503.
    pub fn retry_after(self, seconds: u32) -> Self {
        self.with("retry_after_s", seconds)
    }

    /// How many times it applies; always by default.
    pub fn times(self, times: u32) -> Self {
        self.with("times", times)
    }

    /// Delays the request, to whole milliseconds; ten minutes at most.
    pub fn delay(self, delay: Duration) -> Self {
        let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.with("delay_ms", milliseconds)
    }

    /// Closes the connection without an answer.
    pub fn cut(self) -> Self {
        self.with("cut", true)
    }

    /// Closes the connection after this many bytes of a blob.
    pub fn cut_after(self, bytes: u32) -> Self {
        self.with("cut_after_bytes", bytes)
    }

    /// Applies with this probability, 0 to 1; the same seed gives the same sequence.
    pub fn probability(self, probability: f64, seed: u32) -> Self {
        self.with("probability", probability).with("seed", seed)
    }

    /// Applies only to requests that name this organization.
    pub fn namespace(self, name: &str) -> Self {
        self.with("namespace", name)
    }

    /// Applies only to requests that name this repository.
    pub fn repository(self, name: &str) -> Self {
        self.with("repository", name)
    }

    /// Applies only to requests that name this tag.
    pub fn tag(self, tag: &str) -> Self {
        self.with("tag", tag)
    }

    /// Applies only to requests that name this digest.
    pub fn digest(self, digest: &str) -> Self {
        self.with("digest", digest)
    }

    /// Applies only to requests of the user with this name; `-` means a pull without a login.
    pub fn caller(self, name: &str) -> Self {
        self.with("caller", name)
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }
}

impl Emulator {
    /// Makes an operation fail from now on. The oldest fault that applies to a request counts.
    pub fn fault(&self, fault: Fault) -> Result<(), Error> {
        let app = self.app();
        let planned = read_fault(&JsonObject::from(fault.0), &app.operations)?;
        Ok(app.faults.add(planned)?)
    }
}
