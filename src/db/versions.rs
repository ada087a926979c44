//! When what can be read was last written, by which a kept answer is known to be current.
//!
//! Time is counted in commits. The writer notes, after a commit and **before** it answers, at which
//! count each [`Subject`] that the commit may have changed was last written. Whoever keeps what it
//! read takes the count ([`Versions::now`]) **before** it reads, and asks for it with that count
//! ([`Versions::is_current`]). Nothing stale passes:
//!
//! - Say that a write is acknowledged, then somebody asks. The writer has noted the write under a
//!   count C before it acknowledged it.
//! - What was kept under a count of C or more was read after the writer had noted C, so after the
//!   commit: it has the write.
//! - What was kept under less is not current: the subject was last written at C.
//!
//! Two subjects that share a slot only make each other look written.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many slots subjects are spread over.
const SLOTS: usize = 4096;

/// What can be read and written as a whole: a trigger with its history, a repository's list of
/// triggers. The chapter whose rows it is made of names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject(usize);

impl Subject {
    /// The subject of a kind with this key.
    pub fn new(kind: &'static str, key: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (kind, key).hash(&mut hasher);
        // The remainder is below the number of slots, which a usize holds.
        Self(usize::try_from(hasher.finish() % SLOTS as u64).unwrap_or_default())
    }
}

/// What a write may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// Anything.
    All,
    /// These.
    Subjects(Vec<Subject>),
}

/// A count of commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u64);

/// At which count each subject was last written. One writer notes, all others ask.
#[derive(Debug)]
pub struct Versions {
    now: AtomicU64,
    all: AtomicU64,
    slots: Box<[AtomicU64]>,
}

impl Default for Versions {
    fn default() -> Self {
        Self {
            now: AtomicU64::new(0),
            all: AtomicU64::new(0),
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Versions {
    /// The count to keep under what is read from now on.
    pub fn now(&self) -> Version {
        Version(self.now.load(Ordering::SeqCst))
    }

    /// Whether nothing that was read under this count was written since: neither everything, nor
    /// the subject.
    pub fn is_current(&self, subject: Option<Subject>, since: Version) -> bool {
        let written = |slot: &AtomicU64| slot.load(Ordering::SeqCst) > since.0;
        !written(&self.all) && !subject.is_some_and(|subject| written(&self.slots[subject.0]))
    }

    /// Notes a commit that may have changed all this.
    pub(super) fn note<'a>(&self, touched: impl Iterator<Item = &'a Touched>) {
        let count = self.now.load(Ordering::SeqCst) + 1;
        for touched in touched {
            match touched {
                Touched::All => self.all.store(count, Ordering::SeqCst),
                Touched::Subjects(subjects) => {
                    for subject in subjects {
                        self.slots[subject.0].store(count, Ordering::SeqCst);
                    }
                }
            }
        }
        // Last: under this count, all of them are noted.
        self.now.store(count, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row, and what a reader has kept of it.
    struct World {
        versions: Versions,
        subject: Subject,
        row: u64,
        acknowledged: u64,
        kept: Option<(Version, u64)>,
    }

    /// The steps of the writer and of a reader, in the order in which each takes them.
    const WRITER: [fn(&mut World); 3] = [
        |world| world.row += 1,
        |world| {
            let touched = Touched::Subjects(vec![world.subject]);
            world.versions.note([touched].iter());
        },
        |world| world.acknowledged = world.row,
    ];

    /// Runs every interleaving of two writes with one reader that takes the count, reads and keeps,
    /// and asks for what is kept between all steps.
    #[test]
    fn no_interleaving_of_a_write_and_a_reader_lets_something_stale_pass() {
        let steps = WRITER.len() * 2;
        let mut passed = 0;
        // Before which steps of the writer the reader takes the count, reads, and keeps.
        for count_at in 0..=steps {
            for read_at in count_at..=steps {
                for keep_at in read_at..=steps {
                    let mut world = World {
                        versions: Versions::default(),
                        subject: Subject::new("row", 1),
                        row: 0,
                        acknowledged: 0,
                        kept: None,
                    };
                    let (mut count, mut read) = (None, 0);
                    for at in 0..=steps {
                        if at == count_at {
                            count = Some(world.versions.now());
                        }
                        if at == read_at {
                            read = world.row;
                        }
                        if at == keep_at {
                            world.kept = count.map(|count| (count, read));
                        }
                        if let Some((since, value)) = world.kept
                            && world.versions.is_current(Some(world.subject), since)
                        {
                            assert!(
                                value >= world.acknowledged,
                                "counted before step {count_at}, read before {read_at}, kept \
                                 before {keep_at}: asked before {at}, it had {value} of {}",
                                world.acknowledged
                            );
                            passed += 1;
                        }
                        if at < steps {
                            WRITER[at % WRITER.len()](&mut world);
                        }
                    }
                }
            }
        }
        assert!(passed > 0, "nothing was ever current");
    }

    #[test]
    fn a_write_of_all_makes_everything_old_and_one_of_a_subject_only_that() {
        let versions = Versions::default();
        let [first, second] = [1, 2].map(|key| Subject::new("row", key));
        assert_ne!(first, second);
        let before = versions.now();
        versions.note([Touched::Subjects(vec![first])].iter());
        assert!(!versions.is_current(Some(first), before));
        assert!(versions.is_current(Some(second), before));
        assert!(versions.is_current(None, before));
        assert!(versions.is_current(Some(first), versions.now()));
        versions.note([Touched::All].iter());
        assert!(!versions.is_current(Some(second), before));
        assert!(!versions.is_current(None, before));
    }
}
