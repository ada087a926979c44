//! Which regular expressions a tag matches. Compiling is the dear part: it is done before the
//! write is queued, off the runtime, and remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use regex::Regex;

use crate::db::Db;
use crate::error::{Error, Result};
use crate::tag::TagName;
use crate::trigger::Expression;

/// How much the remembered expressions may weigh together; compiled, with the automata's states
/// that searches build, they take 170 MB at the most. Ten thousand ordinary ones are below.
const MOST: u64 = 2_000_000;
/// What an expression weighs beside its size: even the smallest one takes about 14 KB.
const OWN_WEIGHT: u64 = 150;

/// The compiled expressions of an instance.
#[derive(Debug, Clone, Default)]
pub struct Matcher(Arc<Mutex<Remembered>>);

#[derive(Debug, Default)]
struct Remembered {
    /// Shared and never cloned: a clone begins without the automaton's states, and building those
    /// takes longer than a search.
    compiled: HashMap<String, Arc<Regex>>,
    weight: u64,
}

/// What is known of a tag and the expressions of its repository when a write begins.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    matcher: Matcher,
    verdicts: HashMap<String, bool>,
}

impl Matcher {
    /// Judges a tag by the expressions that its repository has at this moment.
    pub async fn judge(&self, db: &Db, repository_id: i64, tag: &TagName) -> Result<Judgement> {
        let expressions = super::store::list_expressions(db.lookups(), repository_id).await?;
        let mut judgement = self.begin();
        if expressions.is_empty() {
            return Ok(judgement);
        }
        let tag = tag.clone();
        tokio::task::spawn_blocking(move || {
            for expression in expressions {
                judgement.judge(&expression, &tag)?;
            }
            Ok(judgement)
        })
        .await
        .map_err(Error::internal)?
    }

    /// That nothing is known of a tag yet.
    pub fn begin(&self) -> Judgement {
        Judgement {
            matcher: self.clone(),
            verdicts: HashMap::new(),
        }
    }

    /// Whether an expression is found in a text.
    pub fn is_match(&self, expression: &str, text: &str) -> Result<bool> {
        Ok(self.compiled(expression)?.is_match(text))
    }

    fn compiled(&self, expression: &str) -> Result<Arc<Regex>> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = remembered.compiled.get(expression) {
            return Ok(Arc::clone(compiled));
        }
        drop(remembered);
        let checked = Expression::parse(expression).map_err(Error::internal)?;
        let compiled = Arc::new(Regex::new(checked.as_str()).map_err(Error::internal)?);
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let weight = weight(&checked);
        if remembered.weight + weight > MOST {
            *remembered = Remembered::default();
        }
        remembered.weight += weight;
        let key = expression.to_owned();
        remembered.compiled.insert(key, Arc::clone(&compiled));
        Ok(compiled)
    }
}

impl Judgement {
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
}

/// What an expression costs to compile and to remember, in the units of [`Expression::size`].
pub(super) fn weight(expression: &Expression) -> u64 {
    expression.size() + OWN_WEIGHT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_small_expressions_is_remembered_without_bound() {
        let matcher = Matcher::default();
        let remembered = || matcher.0.lock().expect("unpoisoned").compiled.len();
        let mut most = 0;
        for at in 0..15_000 {
            matcher.compiled(&format!("{at}")).expect("compiled");
            most = most.max(remembered());
        }
        assert!(most > 10_000 && most < 14_000, "{most}");
    }

    #[test]
    fn an_expression_is_searched_for_and_anchors_itself() {
        let check = |expression: &str, tag: &str, expected: bool| {
            let tag = TagName::parse(tag).expect("a tag");
            let verdict = Judgement::default().judge(expression, &tag);
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
