//! What is asked: the repositories, the triggers that are there from the start, and for each
//! workload which request comes next.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::client::{ONE_OF_MANY, Request};
use crate::servers::LIST;

/// Repositories of which each gets few triggers.
pub(crate) const MANY: u32 = 200;
/// Triggers of the busy repository before anything is measured; one of them is shown.
const SEEDED: u32 = 5000;
/// Triggers of many repositories together before anything is measured.
const SEEDED_IN_MANY: u32 = 10 * MANY;
/// Of so many requests one writes.
const WRITES: u32 = 10;

/// Where triggers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// One repository with many triggers.
    Busy,
    /// One that holds as many as a list shows.
    Listed,
    /// Many repositories; a trigger's number says in which it is.
    Many,
    /// One whose triggers are read once each.
    Cold,
}

impl Place {
    const ALL: [Self; 4] = [Self::Busy, Self::Listed, Self::Many, Self::Cold];

    /// The repository, as it stands in a [`Request`].
    fn repository(self) -> &'static str {
        match self {
            Self::Busy => "busybox",
            Self::Listed => "listed",
            Self::Many => ONE_OF_MANY,
            Self::Cold => "cold",
        }
    }

    /// The repository of a trigger, as SQLite's `printf` makes it from the trigger's number.
    pub(crate) fn format(self) -> &'static str {
        match self {
            Self::Many => "r%03d",
            Self::Busy | Self::Listed | Self::Cold => self.repository(),
        }
    }

    fn path(self) -> String {
        let repository = self.repository();
        format!("/v2/manage/namespaces/group/repos/{repository}/triggers")
    }
}

/// The names of all repositories.
pub(crate) fn repositories() -> impl Iterator<Item = String> {
    Place::ALL.into_iter().flat_map(|place| {
        let count = if place == Place::Many { MANY } else { 1 };
        let numbered = move |number| match place {
            Place::Many => format!("r{number:03}"),
            Place::Busy | Place::Listed | Place::Cold => place.repository().to_owned(),
        };
        (0..count).map(numbered)
    })
}

/// How many triggers are where before anything is measured.
pub(crate) fn seeded(cold: u32) -> [(Place, u32); 4] {
    [
        (Place::Busy, SEEDED),
        (Place::Listed, LIST),
        (Place::Many, SEEDED_IN_MANY),
        (Place::Cold, cold),
    ]
}

/// What is asked again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workload {
    Create(Place),
    Show,
    List,
    /// Shows and some creates over many repositories.
    Mixed,
    /// One trigger is shown, while one connection creates others in its repository.
    Hot,
    /// Each trigger is shown once.
    Cold,
}

/// The numbers that the connections to a server share.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// Of the next trigger that is created.
    pub(crate) create: AtomicU32,
    /// Of the next trigger that is read for the first time.
    pub(crate) read: AtomicU32,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            create: AtomicU32::new(SEEDED),
            read: AtomicU32::new(0),
        }
    }
}

/// The requests of one connection, as one workload wants them.
#[derive(Debug)]
pub(crate) struct Requests {
    workload: Workload,
    /// Whether it is the connection that writes where only one does.
    writes: bool,
    create: Request,
    read: Request,
}

/// A request whose turn it is.
#[derive(Debug)]
pub(crate) struct Next<'a> {
    pub(crate) request: &'a Request,
    /// The number of the trigger that it is about.
    pub(crate) number: u32,
    /// Whether it is one of those that are measured.
    pub(crate) counts: bool,
}

impl Requests {
    pub(crate) fn new(workload: Workload, writes: bool) -> Self {
        let place = match workload {
            Workload::Create(place) => place,
            Workload::Show | Workload::Hot => Place::Busy,
            Workload::List => Place::Listed,
            Workload::Mixed => Place::Many,
            Workload::Cold => Place::Cold,
        };
        let path = place.path();
        let read = match workload {
            Workload::List => Request::list(&path),
            _ => Request::show(&path),
        };
        Self {
            workload,
            writes,
            create: Request::create(&path),
            read,
        }
    }

    pub(crate) fn next(&mut self, numbers: &Numbers, random: &mut Random) -> Next<'_> {
        let creates = match self.workload {
            Workload::Create(_) => true,
            Workload::Show | Workload::List | Workload::Cold => false,
            Workload::Mixed => random.below(WRITES) == 0,
            Workload::Hot => self.writes,
        };
        let number = match self.workload {
            _ if creates => numbers.create.fetch_add(1, Ordering::Relaxed),
            Workload::Cold => numbers.read.fetch_add(1, Ordering::Relaxed),
            Workload::Show => random.below(SEEDED),
            Workload::Mixed => random.below(SEEDED_IN_MANY),
            Workload::Create(_) | Workload::List | Workload::Hot => 0,
        };
        let request = if creates {
            &mut self.create
        } else {
            &mut self.read
        };
        request.name(number);
        request.repository(number % MANY);
        Next {
            request,
            number,
            counts: self.workload != Workload::Hot || !creates,
        }
    }
}

/// A xorshift sequence.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u32);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % bound
    }
}
