//! Which triggers a stored tag fires: decided and written in the transaction that stores it, so that
//! neither is there without the other. The rule itself is [`trigger::judge`].

use std::borrow::Cow;

use sqlx::{SqliteConnection, SqliteExecutor};

use super::LONGEST_REASON;
use super::matching::Verdicts;
use crate::error::{Error, Result};
use crate::excerpt::beginning;
use crate::tag::TagName;
use crate::trigger::{self, Candidate, Condition, Expression, Verdict};

/// Triggers that a push's record names as not fired.
const MOST_PASSED_OVER: u32 = 100;

/// What a push means for the triggers of its repository.
#[derive(Debug)]
pub struct Decided {
    /// Those that fire, in the order in which they were made.
    fired: Vec<i64>,
    /// Why others do not, as the record of the push has it.
    pub passed_over: String,
}

/// Decides, in the transaction that stores a tag, which triggers of the repository the tag fires
/// now, and why it does not fire the others.
pub async fn decide(
    transaction: &mut SqliteConnection,
    repository_id: i64,
    tag: &TagName,
    verdicts: &mut Verdicts,
) -> Result<Decided> {
    let candidates = trigger::store::list_candidates(&mut *transaction, repository_id).await?;
    let mut fired = Vec::new();
    for candidate in &candidates {
        let condition = condition(transaction, candidate).await?;
        if judge(candidate.enabled, &condition, tag, verdicts)?.fires() {
            fired.push(candidate.id);
        }
    }
    let mut reasons = Vec::new();
    if fired.len() == candidates.len() {
        return Decided::new(fired, &reasons);
    }
    let named =
        trigger::store::list_names_but(&mut *transaction, repository_id, &fired, MOST_PASSED_OVER);
    for (id, name) in named.await? {
        let at = candidates.binary_search_by_key(&id, |candidate| candidate.id);
        let candidate = &candidates[at.map_err(|_| Error::internal("an unread trigger"))?];
        let condition = condition(transaction, candidate).await?;
        let mut reason = judge(candidate.enabled, &condition, tag, verdicts)?.reason();
        reason.truncate(beginning(&reason, LONGEST_REASON).len());
        reasons.push((name, reason));
    }
    Decided::new(fired, &reasons)
}

impl Decided {
    fn new(fired: Vec<i64>, reasons: &[(String, String)]) -> Result<Self> {
        let passed_over = serde_json::to_string(reasons).map_err(Error::internal)?;
        Ok(Self { fired, passed_over })
    }

    /// Leaves one firing of the push for each trigger that fires.
    pub async fn fire(
        &self,
        db: impl SqliteExecutor<'_>,
        push_id: i64,
        tag: &TagName,
        digest: &str,
    ) -> Result<()> {
        if self.fired.is_empty() {
            return Ok(());
        }
        // In the order of the array, that of creation: firings of one workload run by their ids.
        sqlx::query(
            "INSERT INTO firings (push_id, trigger_id, tag, digest)
             SELECT ?1, t.value, ?2, ?3 FROM json_each(?4) t",
        )
        .bind(push_id)
        .bind(tag.as_str())
        .bind(digest)
        .bind(serde_json::to_string(&self.fired).map_err(Error::internal)?)
        .execute(db)
        .await?;
        Ok(())
    }
}

/// The condition of a trigger; a long one is in memory only while it is looked at.
async fn condition<'a>(
    transaction: &mut SqliteConnection,
    candidate: &'a Candidate,
) -> Result<Cow<'a, Condition>> {
    Ok(match &candidate.condition {
        Some(condition) => Cow::Borrowed(condition),
        None => {
            let found = trigger::store::find_condition(transaction, candidate.id).await?;
            let gone = || Error::internal("a trigger is gone within a transaction");
            Cow::Owned(found.ok_or_else(gone)?)
        }
    })
}

fn judge<'a>(
    enabled: bool,
    condition: &'a Condition,
    tag: &'a TagName,
    verdicts: &mut Verdicts,
) -> Result<Verdict<'a>> {
    let is_match = |expression: &Expression| verdicts.judge(expression.as_str(), tag);
    trigger::judge(enabled, condition, tag, is_match)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Write;
    use crate::db::testing::TestDb;
    use crate::engine::Matcher;
    use crate::engine::testing::seeded;
    use crate::trigger::store::{DeleteTrigger, EnableTrigger};
    use crate::trigger::{TriggerName, TriggerType, judge};

    /// What is written of a push that stands for all else that a push stores.
    #[derive(Debug)]
    struct Decide {
        tag: TagName,
        verdicts: Verdicts,
    }

    impl Write for Decide {
        type Output = i64;

        async fn run(self, transaction: &mut SqliteConnection) -> Result<i64> {
            let Self { tag, mut verdicts } = self;
            let repository: i64 = sqlx::query_scalar("SELECT id FROM repositories")
                .fetch_one(&mut *transaction)
                .await?;
            let decided = decide(&mut *transaction, repository, &tag, &mut verdicts).await?;
            let push: i64 = sqlx::query_scalar(
                "INSERT INTO pushes (repository_id, tag, digest, pushed_by, pushed_at, passed_over)
                 VALUES (?, ?, 'd', 'u', 0, ?) RETURNING id",
            )
            .bind(repository)
            .bind(tag.as_str())
            .bind(&decided.passed_over)
            .fetch_one(&mut *transaction)
            .await?;
            decided.fire(transaction, push, &tag, "d").await?;
            Ok(push)
        }
    }

    fn tag(text: &str) -> TagName {
        TagName::parse(text).expect("a tag")
    }

    /// The triggers that a push fired, in the order of their firings, and those that it did not,
    /// each with the reason.
    async fn decided(test: &TestDb, push: i64) -> (Vec<String>, Vec<(String, String)>) {
        let fired = sqlx::query_scalar(
            "SELECT t.name FROM firings f JOIN triggers t ON t.id = f.trigger_id
             WHERE f.push_id = ? AND f.digest = 'd' ORDER BY f.id",
        )
        .bind(push)
        .fetch_all(test.db.readers())
        .await;
        let skipped = sqlx::query_as(
            "SELECT r.value->>0, r.value->>1 FROM pushes, jsonb_each(passed_over) r
             WHERE pushes.id = ?",
        )
        .bind(push)
        .fetch_all(test.db.readers())
        .await;
        (fired.expect("read"), skipped.expect("read"))
    }

    #[tokio::test]
    async fn a_push_does_with_each_trigger_what_the_rule_says() {
        let many = ["v1", &";x".repeat(3000)].concat();
        let rules = [
            ("all", ".*"),
            ("tag", many.as_str()),
            ("tag", "v1"),
            ("tag", "v1;v2"),
            ("tag", "v10;1"),
            ("regular", "^v1"),
            ("regular", "1$"),
            ("regular", "\"|';\\.\n"),
        ];
        let names: Vec<_> = (0..rules.len())
            .map(|at| [format!("on{at}"), format!("off{at}")])
            .collect();
        let triggers: Vec<_> = rules
            .iter()
            .zip(&names)
            .flat_map(|((kind, condition), [on, off])| {
                [(on, true), (off, false)]
                    .map(|(name, enabled)| (name.as_str(), *kind, *condition, enabled))
            })
            .collect();
        let test = seeded(&triggers).await;
        let matcher = Matcher::default();
        for text in ["v1", "v2", "v10", "1", "w", "V1"] {
            let verdicts = Verdicts::default();
            let write = Decide {
                tag: tag(text),
                verdicts,
            };
            let push = test.db.write(write).await.expect("decided");

            let (mut fired, mut skipped) = (Vec::new(), Vec::new());
            for (name, kind, condition, enabled) in &triggers {
                let kind = TriggerType::parse(kind).expect("a type");
                let condition = Condition::parse(kind, condition).expect("a condition");
                let is_match =
                    |expression: &Expression| matcher.is_match(expression.as_str(), text);
                let tag = tag(text);
                let verdict = judge(*enabled, &condition, &tag, is_match).expect("judged");
                if verdict.fires() {
                    fired.push((*name).to_owned());
                } else {
                    let reason = verdict.reason();
                    let reason = beginning(&reason, LONGEST_REASON).to_owned();
                    skipped.push(((*name).to_owned(), reason));
                }
            }
            skipped.sort();
            assert_eq!(decided(&test, push).await, (fired, skipped), "{text}");
        }
    }

    #[tokio::test]
    async fn the_triggers_that_there_are_as_the_tag_is_stored_decide() {
        let test = seeded(&[
            ("stays", "regular", "^v", true),
            ("disabled", "regular", "^v", true),
            ("enabled", "regular", "^v1", false),
            ("deleted", "all", ".*", true),
        ])
        .await;
        let verdicts = Matcher::default().judge(&test.db, 1, &tag("v1")).await;
        let name = |text| TriggerName::parse("name", text).expect("a name");
        for (text, enabled) in [("disabled", false), ("enabled", true)] {
            let write = EnableTrigger {
                repository_id: 1,
                name: name(text),
                enabled,
            };
            test.db.write(write).await.expect("changed");
        }
        let write = DeleteTrigger {
            repository_id: 1,
            name: name("deleted"),
        };
        test.db.write(write).await.expect("deleted");

        let write = Decide {
            tag: tag("v1"),
            verdicts: verdicts.expect("judged"),
        };
        let push = test.db.write(write).await.expect("decided");

        let disabled = "the trigger is disabled".to_owned();
        let skipped = vec![("disabled".to_owned(), disabled)];
        let fired = vec!["stays".to_owned(), "enabled".to_owned()];
        assert_eq!(decided(&test, push).await, (fired, skipped));
    }
}
