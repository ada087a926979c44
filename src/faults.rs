//! Faults: failures on purpose, for people who test what their program does then.
//!
//! A fault belongs to an operation of SWR, of its registry, or of another service that the emulator
//! offers. It applies once a request's caller is known and before anything is written: the edge
//! asks here for each operation of the table, `registry::api` for each of the registry. People plan
//! faults with `/_emulator/faults` (`control::faults`).

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::StatusCode;
use parking_lot::{Mutex, MutexGuard};

use crate::error::{Error, Result};
use crate::events::{Event, Events};
use crate::http::{Operation, Stop};

/// How many faults there may be.
const MAX_FAULTS: usize = 1000;

/// The faults of an instance.
#[derive(Debug, Default)]
pub struct Faults {
    planned: Mutex<Vec<PlannedFault>>,
    /// Spares requests the lock as long as there is none.
    is_any: AtomicBool,
    /// Hears of those that are planned.
    events: Arc<Events>,
}

impl Faults {
    /// None yet; each that is planned will be an event.
    pub fn told_to(events: Arc<Events>) -> Self {
        Self {
            events,
            ..Self::default()
        }
    }

    /// The effect of the oldest fault that applies to a request; it counts as applied once more. At
    /// most one applies to a request.
    pub fn inject<'a>(&self, request: impl FnOnce() -> RequestFacts<'a>) -> Option<InjectedFault> {
        if !self.is_any() {
            return None;
        }
        let request = request();
        let mut faults = self.lock();
        faults.iter_mut().find_map(|fault| fault.inject(&request))
    }

    /// Whether there is any.
    pub fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Acquire)
    }

    /// Removes all of them.
    pub fn clear(&self) {
        let mut faults = self.lock();
        faults.clear();
        self.is_any.store(false, Ordering::Release);
    }

    /// Adds a fault.
    pub fn add(&self, fault: PlannedFault) -> Result<()> {
        let mut faults = self.lock();
        if faults.len() >= MAX_FAULTS {
            let rule = "the limit of 1,000 faults is reached; remove them with DELETE";
            return Err(Error::invalid("body", rule));
        }
        self.events
            .publish(|| Event::Fault(Box::new(fault.clone())));
        faults.push(fault);
        self.is_any.store(true, Ordering::Release);
        Ok(())
    }

    /// All but the `oldest` oldest ones.
    pub fn list_after(&self, oldest: i64) -> Vec<PlannedFault> {
        let oldest = usize::try_from(oldest).unwrap_or(usize::MAX);
        let faults = self.lock();
        faults.iter().skip(oldest).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PlannedFault>> {
        self.planned.lock()
    }
}

/// The facts of a request that decide which fault applies to it.
#[derive(Debug)]
pub struct RequestFacts<'a> {
    /// The operation's name.
    pub operation: &'a str,
    /// The organization that it names.
    pub namespace: Option<Cow<'a, str>>,
    pub repository: Option<Cow<'a, str>>,
    pub tag: Option<Cow<'a, str>>,
    pub digest: Option<Cow<'a, str>>,
    /// The user's name, or `-`.
    pub caller: &'a str,
    /// How many bytes of a blob it moves, at the most.
    pub bytes: u64,
}

impl<'a> RequestFacts<'a> {
    /// Those of a request for an operation of the table.
    pub fn of(operation: &'a Operation, path: &'a str, caller: &'a str) -> Self {
        let repository = operation.variable(path, "repository");
        Self {
            operation: operation.name,
            namespace: operation.variable(path, "namespace"),
            repository: repository.map(|name| name.replace('$', "/").into()),
            tag: operation.variable(path, "tag"),
            digest: None,
            caller,
            bytes: 0,
        }
    }
}

/// The effect of a fault on a request.
#[derive(Debug, Clone, PartialEq)]
pub struct InjectedFault {
    /// How long the request waits first; its deadline waits too.
    pub delay: Duration,
    /// What becomes of it then.
    pub action: FaultAction,
}

impl InjectedFault {
    /// Lets the delay pass; what then becomes of the request, or nothing where the instance stops
    /// before.
    pub async fn wait(self, stop: &Stop) -> Option<FaultAction> {
        tokio::select! {
            () = tokio::time::sleep(self.delay) => Some(self.action),
            () = stop.raised() => None,
        }
    }
}

/// What becomes of a request that a fault struck.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultAction {
    /// It is answered with an error.
    Respond {
        /// The HTTP status, 400 or more.
        status: StatusCode,
        /// The error code.
        code: Arc<str>,
        /// When to try again, in seconds.
        retry_after_s: Option<u32>,
    },
    /// Its connection is closed without an answer.
    Disconnect,
    /// Its connection is closed after so many bytes of a blob.
    DisconnectAfter(u64),
    /// It is served as ever.
    Continue,
}

/// A fault: the requests that it applies to, how often, and its effect.
#[derive(Debug, Clone)]
pub struct PlannedFault {
    /// The name of the operation.
    pub operation: &'static str,
    /// Narrows it to some of the operation's requests.
    pub only: Narrowing,
    /// Its effect on a request.
    pub effect: InjectedFault,
    /// How many times it applies; for ever where nothing is said.
    pub times: Option<u64>,
    /// How likely it is to apply; always where nothing is said.
    pub chance: Option<Chance>,
    /// How many times it applied so far.
    pub applied: u64,
}

/// The names that a request has to tell for a fault to apply to it, each where it is given.
#[derive(Debug, Clone, Default)]
pub struct Narrowing {
    /// The organization.
    pub namespace: Option<String>,
    pub repository: Option<String>,
    pub tag: Option<String>,
    pub digest: Option<String>,
    /// The user's name, or `-`.
    pub caller: Option<String>,
}

impl PlannedFault {
    fn inject(&mut self, request: &RequestFacts<'_>) -> Option<InjectedFault> {
        let is_used_up = self.times.is_some_and(|times| self.applied >= times);
        if is_used_up || !self.applies_to(request) {
            return None;
        }
        if let Some(chance) = &mut self.chance
            && !chance.draw()
        {
            return None;
        }
        self.applied += 1;
        Some(self.effect.clone())
    }

    fn applies_to(&self, request: &RequestFacts<'_>) -> bool {
        let fits = |wanted: Option<&str>, found: Option<&str>| {
            wanted.is_none_or(|wanted| found == Some(wanted))
        };
        let is_long_enough = match self.effect.action {
            FaultAction::DisconnectAfter(bytes) => request.bytes > bytes,
            FaultAction::Respond { .. } | FaultAction::Disconnect | FaultAction::Continue => true,
        };
        let only = &self.only;
        self.operation == request.operation
            && is_long_enough
            && fits(only.namespace.as_deref(), request.namespace.as_deref())
            && fits(only.repository.as_deref(), request.repository.as_deref())
            && fits(only.tag.as_deref(), request.tag.as_deref())
            && fits(only.digest.as_deref(), request.digest.as_deref())
            && fits(only.caller.as_deref(), Some(request.caller))
    }
}

/// How likely a fault is to apply.
#[derive(Debug, Clone)]
pub struct Chance {
    /// From 0, never, to 1, always.
    pub probability: f64,
    /// With the same one, the outcomes are the same.
    pub seed: u64,
    generator: fastrand::Rng,
}

impl Chance {
    /// Before its first outcome.
    pub fn new(probability: f64, seed: u64) -> Self {
        Self {
            probability,
            seed,
            generator: fastrand::Rng::with_seed(seed),
        }
    }

    /// The next outcome.
    fn draw(&mut self) -> bool {
        self.generator.f64() < self.probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault() -> PlannedFault {
        PlannedFault {
            operation: "CreateTrigger",
            only: Narrowing::default(),
            effect: InjectedFault {
                delay: Duration::ZERO,
                action: FaultAction::Disconnect,
            },
            times: None,
            chance: None,
            applied: 0,
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_outcomes_and_the_probability_their_share() {
        let draws = |probability: f64, seed: u64| -> Vec<bool> {
            let mut chance = Chance::new(probability, seed);
            (0..1000).map(|_| chance.draw()).collect()
        };
        let share = |drawn: &[bool]| drawn.iter().filter(|applies| **applies).count();
        assert_eq!(draws(0.25, 7), draws(0.25, 7));
        assert_ne!(draws(0.25, 7), draws(0.25, 8));
        let quarter = share(&draws(0.25, 7));
        assert!((200..300).contains(&quarter), "{quarter}");
        assert_eq!(share(&draws(0.0, 7)), 0);
        assert_eq!(share(&draws(1.0, 7)), 1000);
    }

    #[test]
    fn a_narrowed_fault_applies_to_what_its_path_names_and_nothing_else() {
        let show = Operation::new(
            "ShowRepository",
            http::Method::GET,
            "/v2/manage/namespaces/{namespace}/repos/{repository}",
        );
        let check = |only: Narrowing, namespace: &str, repository: &str, expected: bool| {
            let mut fault = PlannedFault {
                operation: "ShowRepository",
                only,
                ..fault()
            };
            let path = format!("/v2/manage/namespaces/{namespace}/repos/{repository}");
            let injected = fault.inject(&RequestFacts::of(&show, &path, "-"));
            assert_eq!(injected.is_some(), expected, "{fault:?} {path}");
            let other = Operation::new("DeleteRepo", http::Method::DELETE, show.path);
            assert!(
                fault
                    .inject(&RequestFacts::of(&other, &path, "-"))
                    .is_none()
            );
        };
        let only = |namespace: Option<&str>, repository: Option<&str>| Narrowing {
            namespace: namespace.map(str::to_owned),
            repository: repository.map(str::to_owned),
            ..Narrowing::default()
        };
        check(only(None, None), "group", "busybox", true);
        check(only(Some("group"), None), "group", "busybox", true);
        check(only(Some("group"), None), "g%72oup", "busybox", true);
        check(only(Some("group"), None), "other", "busybox", false);
        check(only(None, Some("a/b")), "group", "a$b", true);
        check(only(None, Some("a/b")), "group", "a%24b", true);
        check(only(None, Some("a/b")), "group", "a", false);
        check(only(Some("group"), Some("a")), "group", "a", true);
        check(only(Some("group"), Some("a")), "group", "b", false);
        check(only(Some("group"), Some("a")), "other", "a", false);
    }

    #[test]
    fn a_thousand_faults_and_no_more() {
        let faults = Faults::default();
        for _ in 0..MAX_FAULTS {
            faults.add(fault()).expect("there is room");
        }
        assert!(faults.add(fault()).is_err());
        faults.clear();
        assert!(faults.add(fault()).is_ok());
    }
}
