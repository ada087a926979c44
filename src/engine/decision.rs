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

/// Decides, in the transaction that stores a tag, which triggers fire: one firing for each
/// trigger of the repository that the tag fires now, and a reason for each other one.
pub async fn decide(
    transaction: &mut SqliteConnection,
    push_id: i64,
    repository_id: i64,
    tag: &TagName,
    digest: &str,
    mut verdicts: Verdicts,
) -> Result<()> {
    let candidates = trigger::store::list_candidates(&mut *transaction, repository_id).await?;
    let mut fired = Vec::new();
    for candidate in &candidates {
        let condition = condition(transaction, candidate).await?;
        if judge(candidate.enabled, &condition, tag, &mut verdicts)?.fires() {
            fired.push(candidate.id);
        }
    }
    if !fired.is_empty() {
        insert_firings(&mut *transaction, push_id, tag, digest, &fired).await?;
    }
    if fired.len() == candidates.len() {
        return Ok(());
    }
    let named =
        trigger::store::list_names_but(&mut *transaction, repository_id, &fired, MOST_PASSED_OVER);
    let mut reasons = Vec::new();
    for (id, name) in named.await? {
        let at = candidates.binary_search_by_key(&id, |candidate| candidate.id);
        let candidate = &candidates[at.map_err(|_| Error::internal("an unread trigger"))?];
        let condition = condition(transaction, candidate).await?;
        let reason = judge(candidate.enabled, &condition, tag, &mut verdicts)?.to_string();
        reasons.push((name, beginning(&reason, LONGEST_REASON).to_owned()));
    }
    insert_passed_over(transaction, push_id, &reasons).await
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

async fn insert_firings(
    db: impl SqliteExecutor<'_>,
    push_id: i64,
    tag: &TagName,
    digest: &str,
    triggers: &[i64],
) -> Result<()> {
    // In the order of the array, that of creation: firings of one workload run by their ids.
    sqlx::query(
        "INSERT INTO firings (push_id, trigger_id, tag, digest)
         SELECT ?1, t.value, ?2, ?3 FROM json_each(?4) t",
    )
    .bind(push_id)
    .bind(tag.as_str())
    .bind(digest)
    .bind(serde_json::to_string(triggers).map_err(Error::internal)?)
    .execute(db)
    .await?;
    Ok(())
}

async fn insert_passed_over(
    db: impl SqliteExecutor<'_>,
    push_id: i64,
    reasons: &[(String, String)],
) -> Result<()> {
    sqlx::query(
        "INSERT INTO passed_over (push_id, trigger_name, reason)
         SELECT ?1, t.value->>0, t.value->>1 FROM jsonb_each(?2) t",
    )
    .bind(push_id)
    .bind(serde_json::to_string(reasons).map_err(Error::internal)?)
    .execute(db)
    .await?;
    Ok(())
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
            let push: i64 = sqlx::query_scalar(
                "INSERT INTO pushes (repository_id, tag, digest, pushed_by, pushed_at)
                 SELECT id, ?, 'd', 'u', 0 FROM repositories RETURNING id",
            )
            .bind(self.tag.as_str())
            .fetch_one(&mut *transaction)
            .await?;
            let repository: i64 = sqlx::query_scalar("SELECT id FROM repositories")
                .fetch_one(&mut *transaction)
                .await?;
            decide(transaction, push, repository, &self.tag, "d", self.verdicts).await?;
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
            "SELECT trigger_name, reason FROM passed_over WHERE push_id = ? ORDER BY trigger_name",
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
                    let reason = verdict.to_string();
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
