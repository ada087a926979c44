//! Which regular expressions a tag matches. Compiling is the dear part: it is done before the
//! write is queued, off the runtime, and remembered.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use regex::Regex;
use tokio::sync::Semaphore;

use crate::db::Db;
use crate::error::{Error, Result};
use crate::tag::TagName;
use crate::trigger::{self, Expression};

/// How much the remembered expressions may weigh together; compiled, with the automata's states
/// that searches build, they take 170 MB at the most. Ten thousand ordinary ones are below.
const MOST: u64 = 2_000_000;
/// What an expression weighs beside its size: even the smallest one takes about 14 KB.
const OWN_WEIGHT: u64 = 150;
/// Of how many new expressions one displaces others, once there is no room. Where each push needs
/// more than there is room for, most of what is remembered is then still there for the next one.
const ONE_DISPLACES_OF: u32 = 4;
/// What is compiled in one turn weighs as much as this, or is a single expression: a few hundredths
/// of a second.
const LOT: u64 = 100_000;

/// The compiled expressions of an instance.
#[derive(Debug, Clone)]
pub struct Matcher {
    remembered: Arc<Mutex<Remembered>>,
    /// So many lots are compiled at once; who has more waits in line between them.
    turns: Arc<Semaphore>,
}

impl Default for Matcher {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            remembered: Arc::default(),
            turns: Arc::new(Semaphore::new(cores)),
        }
    }
}

#[derive(Debug, Default)]
struct Remembered {
    entries: Vec<Entry>,
    /// Where in `entries` an expression is.
    places: HashMap<Arc<str>, usize>,
    weight: u64,
}

#[derive(Debug)]
struct Entry {
    expression: Arc<str>,
    /// Shared and never cloned: a clone begins without the automaton's states, and building those
    /// takes longer than a search.
    compiled: Arc<Regex>,
    weight: u64,
}

/// Which expressions of a repository's triggers match a tag, as far as they were known before the
/// write began; others are compiled in the write.
#[derive(Debug, Clone, Default)]
pub struct Verdicts {
    matcher: Matcher,
    verdicts: HashMap<String, bool>,
}

impl Matcher {
    /// Judges a tag by the expressions that its repository has at this moment.
    pub async fn judge(&self, db: &Db, repository_id: i64, tag: &TagName) -> Result<Verdicts> {
        let expressions = trigger::store::list_expressions(db.lookups(), repository_id).await?;
        self.judge_all(expressions, tag).await
    }

    /// Judges a tag by some expressions. They are compiled in lots: others get their turn in
    /// between, and where nobody waits any more, that is the end.
    pub(super) async fn judge_all(
        &self,
        mut expressions: Vec<String>,
        tag: &TagName,
    ) -> Result<Verdicts> {
        let mut verdicts = Verdicts {
            matcher: self.clone(),
            verdicts: HashMap::new(),
        };
        while !expressions.is_empty() {
            let turn = Arc::clone(&self.turns).acquire_owned().await;
            let turn = turn.map_err(Error::internal)?;
            let tag = tag.clone();
            let judge = move || {
                let _turn = turn;
                verdicts.judge_lot(&mut expressions, &tag)?;
                Ok::<_, Error>((verdicts, expressions))
            };
            let judged = tokio::task::spawn_blocking(judge).await;
            (verdicts, expressions) = judged.map_err(Error::internal)??;
        }
        Ok(verdicts)
    }

    /// Whether an expression is found in a text.
    pub fn is_match(&self, expression: &str, text: &str) -> Result<bool> {
        let (compiled, _) = self.compiled(expression)?;
        Ok(compiled.is_match(text))
    }

    /// A compiled expression, and the weight of what had to be compiled for it.
    pub(super) fn compiled(&self, expression: &str) -> Result<(Arc<Regex>, u64)> {
        if let Some(compiled) = self.remembered().find(expression) {
            return Ok((compiled, 0));
        }
        let size = Expression::size_of(expression).map_err(Error::internal)?;
        let compiled = Arc::new(Regex::new(expression).map_err(Error::internal)?);
        let weight = weight(size);
        let entry = Entry {
            expression: expression.into(),
            compiled: Arc::clone(&compiled),
            weight,
        };
        let chance = || getrandom::u32().map_err(Error::internal);
        let displaced = self.remembered().put(entry, chance)?;
        // Freed only now, so that nobody waits for it.
        drop(displaced);
        Ok((compiled, weight))
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock()
    }
}

impl Remembered {
    fn find(&self, expression: &str) -> Option<Arc<Regex>> {
        let place = *self.places.get(expression)?;
        Some(Arc::clone(&self.entries[place].compiled))
    }

    /// Remembers an expression; what is forgotten for it. Chance says what: in a round of more
    /// expressions than there is room for, the oldest or the least used is just the next one.
    fn put(&mut self, entry: Entry, chance: impl Fn() -> Result<u32>) -> Result<Vec<Entry>> {
        let is_known = self.places.contains_key(&entry.expression);
        let is_full = self.weight + entry.weight > MOST;
        if is_known || (is_full && !chance()?.is_multiple_of(ONE_DISPLACES_OF)) {
            return Ok(vec![entry]);
        }
        let mut displaced = Vec::new();
        while self.weight + entry.weight > MOST && !self.entries.is_empty() {
            let place = chance()? as usize % self.entries.len();
            let gone = self.entries.swap_remove(place);
            self.places.remove(&gone.expression);
            if let Some(moved) = self.entries.get(place) {
                self.places.insert(Arc::clone(&moved.expression), place);
            }
            self.weight -= gone.weight;
            displaced.push(gone);
        }
        self.weight += entry.weight;
        let place = self.entries.len();
        self.places.insert(Arc::clone(&entry.expression), place);
        self.entries.push(entry);
        Ok(displaced)
    }
}

impl Verdicts {
    /// The compiled expressions of the instance.
    pub fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    /// Whether an expression is found in the tag; one that came to be since is compiled now.
    pub(super) fn judge(&mut self, expression: &str, tag: &TagName) -> Result<bool> {
        if let Some(verdict) = self.verdicts.get(expression) {
            return Ok(*verdict);
        }
        let verdict = self.matcher.is_match(expression, tag.as_str())?;
        self.verdicts.insert(expression.to_owned(), verdict);
        Ok(verdict)
    }

    /// Judges expressions from the last one on, until a lot was compiled.
    fn judge_lot(&mut self, expressions: &mut Vec<String>, tag: &TagName) -> Result<()> {
        let mut done = 0;
        while let Some(expression) = expressions.pop() {
            if !self.verdicts.contains_key(&expression) {
                let (compiled, weight) = self.matcher.compiled(&expression)?;
                let verdict = compiled.is_match(tag.as_str());
                self.verdicts.insert(expression, verdict);
                done += weight;
            }
            if done >= LOT {
                break;
            }
        }
        Ok(())
    }
}

/// What an expression of a size costs to compile and to remember, in the units of
/// [`Expression::size_of`].
pub(super) fn weight(size: u64) -> u64 {
    size + OWN_WEIGHT
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn remembered(matcher: &Matcher) -> usize {
        let remembered = matcher.remembered();
        let weights = remembered.entries.iter().map(|entry| entry.weight);
        assert_eq!(weights.sum::<u64>(), remembered.weight);
        assert!(remembered.weight <= MOST, "{}", remembered.weight);
        assert_eq!(remembered.places.len(), remembered.entries.len());
        for (place, entry) in remembered.entries.iter().enumerate() {
            assert_eq!(remembered.places[&entry.expression], place);
        }
        remembered.entries.len()
    }

    #[test]
    fn of_more_expressions_than_there_is_room_for_most_are_remembered() {
        let matcher = Matcher::default();
        let mut compiled = Vec::new();
        for _push in 0..4 {
            let weights = (0..15_000).map(|at| {
                let (_, weight) = matcher.compiled(&format!("{at}")).expect("compiled");
                weight
            });
            compiled.push(weights.filter(|weight| *weight > 0).count());
            let remembered = remembered(&matcher);
            assert!((12_000..14_000).contains(&remembered), "{remembered}");
        }
        assert_eq!(compiled[0], 15_000);
        assert!(compiled[3] < 5_000, "{compiled:?}");
    }

    #[test]
    fn a_large_expression_displaces_as_many_small_ones_as_it_must() {
        let matcher = Matcher::default();
        for at in 0..14_000 {
            matcher.compiled(&format!("{at}")).expect("compiled");
        }
        let before = remembered(&matcher);
        let large = Entry {
            expression: "large".into(),
            compiled: Arc::new(Regex::new("large").expect("compiled")),
            weight: MOST / 2,
        };
        let displaced = matcher.remembered().put(large, || Ok(8)).expect("chance");
        let after = remembered(&matcher);
        assert_eq!(after, before + 1 - displaced.len());
        assert!((before / 2).abs_diff(after) < 100, "{before} {after}");
        assert!(matcher.remembered().find("large").is_some());
    }

    #[tokio::test]
    async fn all_expressions_are_judged_however_many_lots_they_are() {
        let matcher = Matcher::default();
        let tag = TagName::parse("v7").expect("a tag");
        let expressions: Vec<_> = (0..10)
            .map(|at| format!("^v{at}$|(a{{1000}}){{40}}"))
            .collect();

        let mut verdicts = matcher
            .judge_all(expressions.clone(), &tag)
            .await
            .expect("judged");

        assert_eq!(verdicts.verdicts.len(), 10);
        for (at, expression) in expressions.iter().enumerate() {
            assert_eq!(verdicts.judge(expression, &tag).ok(), Some(at == 7));
        }
    }

    #[tokio::test]
    async fn pushes_with_many_expressions_take_turns() {
        let matcher = Matcher {
            turns: Arc::new(Semaphore::new(1)),
            ..Matcher::default()
        };
        let tag = TagName::parse("v1").expect("a tag");
        let heavy: Vec<_> = (0..50)
            .map(|at| format!("(a{{1000}}){{100}}{at}"))
            .collect();
        let many = matcher.judge_all(heavy, &tag);
        tokio::pin!(many);
        // The first lot has begun when the second caller gets in line.
        assert!(many.as_mut().now_or_never().is_none());
        let few = matcher.judge_all(vec!["^v1$".to_owned()], &tag);

        tokio::select! {
            biased;
            judged = few => assert!(judged.is_ok()),
            _ = &mut many => panic!("whoever has few waited for all of the other"),
        }
    }

    #[test]
    fn an_expression_is_searched_for_and_anchors_itself() {
        let check = |expression: &str, tag: &str, expected: bool| {
            let tag = TagName::parse(tag).expect("a tag");
            let verdict = Verdicts::default().judge(expression, &tag);
            assert_eq!(verdict.ok(), Some(expected), "{expression} {tag:?}");
        };
        check("^v2.*", "v2.0.0", true);
        check("^v2.*", "v1.0.0", false);
        check("2", "v1.2", true);
        check("^2$", "v1.2", false);
        check(r"^release-\w{1,40}$", "release-candidate", true);
        check("(?i)^RC", "rc1", true);
    }
}
