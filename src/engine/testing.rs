//! A repository with triggers, and pushes of it, for the tests of the SQL beside.

use serde_json::json;
use sqlx::SqliteConnection;

use super::decision::decide;
use super::matching::Verdicts;
use crate::db::Write;
use crate::db::testing::TestDb;
use crate::error::{Error, Result};
use crate::tag::TagName;

/// One repository, `g/a`, whose triggers have these names, types and conditions, and are enabled or
/// not. They update the Deployment `default/web` and name no cluster.
pub(super) async fn seeded(triggers: &[(&str, &str, &str, bool)]) -> TestDb {
    let trigger = |(name, kind, condition, enabled): &(&str, &str, &str, bool)| {
        json!({
            "name": name, "action": "update", "app_type": "deployments", "application": "web",
            "cluster_ns": "default", "condition": condition, "enable": enabled.to_string(),
            "trigger_type": kind,
        })
    };
    let triggers: Vec<_> = triggers.iter().map(trigger).collect();
    let repositories = json!([{"name": "a", "triggers": triggers}]);
    let seed = json!({"organizations": [{"name": "g", "repositories": repositories}]});
    TestDb::seeded(&seed.to_string()).await
}

/// Fires the triggers of the repository, all of which have to match.
#[derive(Debug)]
pub(super) struct Fire {
    pub(super) push_id: i64,
    pub(super) tag: &'static str,
}

impl Write for Fire {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let tag = TagName::parse(self.tag).ok_or_else(|| Error::internal("not a tag"))?;
        let decided = decide(&mut *transaction, 1, &tag, &mut Verdicts::default()).await?;
        decided.fire(transaction, self.push_id, &tag, "d").await
    }
}
