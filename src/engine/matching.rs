//! Which regular expressions a tag matches. Compiling is the dear part: it is done before the
//! write is queued, off the runtime, and remembered.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use regex::{Regex, RegexBuilder};

use crate::db::Db;
use crate::error::{Error, Result};
use crate::tag::TagName;
use crate::trigger::COMPILED_SIZE_LIMIT;

/// Compiled expressions that are remembered, and how large their sources may be together.
const MOST: usize = 4096;

/// The compiled expressions of an instance.
#[derive(Debug, Clone, Default)]
pub struct Matcher(Arc<Mutex<HashMap<String, Regex>>>);

/// What is known of a tag and the expressions of its repository when a write begins.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    matcher: Matcher,
    verdicts: BTreeMap<String, bool>,
}

impl Matcher {
    /// Judges a tag by the expressions that its repository has at this moment.
    pub async fn judge(&self, db: &Db, repository_id: i64, tag: &TagName) -> Result<Judgement> {
        let expressions = super::store::list_expressions(db.readers(), repository_id).await?;
        let mut judgement = Judgement {
            matcher: self.clone(),
            verdicts: BTreeMap::new(),
        };
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

    fn compiled(&self, expression: &str) -> Result<Regex> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = known.get(expression) {
            return Ok(compiled.clone());
        }
        drop(known);
        let compiled = RegexBuilder::new(expression)
            .size_limit(COMPILED_SIZE_LIMIT)
            .build()
            .map_err(Error::internal)?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(expression.to_owned(), compiled.clone());
        Ok(compiled)
    }
}

impl Judgement {
    /// Whether an expression is found in the tag; one that came to be since is compiled now.
    pub(super) fn judge(&mut self, expression: &str, tag: &TagName) -> Result<bool> {
        if let Some(verdict) = self.verdicts.get(expression) {
            return Ok(*verdict);
        }
        let verdict = self.matcher.compiled(expression)?.is_match(tag.as_str());
        self.verdicts.insert(expression.to_owned(), verdict);
        Ok(verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
