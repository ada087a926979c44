//! Repositories whose tags age, for the tests beside.

use super::store::{CreateRetention, DeleteRetention, UpdateRetention, list_histories};
use super::{HistoryEntry, Policy, RetentionId, Rule, Selector, Template, run_due};
use crate::app::App;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::image::SampleImage;
use crate::namespace::NamespaceName;
use crate::page::Page;
use crate::push::PushedBy;
use crate::repository::{RepositoryName, RepositoryRef};
use crate::tag::{self, TagName};

/// Two repositories and a clock that stands wherever a test puts it.
pub(super) struct World {
    pub(super) app: App,
    #[expect(dead_code, reason = "goes with the test")]
    folder: tempfile::TempDir,
}

impl World {
    pub(super) async fn start() -> Self {
        let seed = "organizations: [{name: g, repositories: [{name: a}, {name: b}]}]";
        let (app, folder) = App::seeded(seed).await;
        Self { app, folder }
    }

    pub(super) async fn repository(&self, name: &str) -> RepositoryRef {
        let group = NamespaceName::parse("g").expect("a legal name");
        let found = self.app.lookup.namespace(&group).await;
        let group = found.expect("read").expect("there");
        let name = RepositoryName::parse(name).expect("a legal name");
        let found = self.app.lookup.repository(&group, &name).await;
        found.expect("read").expect("there")
    }

    /// Pushes an image of this name, on a day at noon.
    pub(super) async fn push(&self, repository: &RepositoryRef, tag: &str, day: i64) {
        self.app.clock.set(noon(day));
        let tag = TagName::parse(tag).expect("a tag");
        let image = SampleImage::new(tag.as_str()).expect("made");
        let pusher = self.app.pusher();
        let pushed = pusher
            .push(repository, tag, image, PushedBy::user("user"))
            .await;
        pushed.expect("pushed");
    }

    pub(super) async fn run_due(&self) -> Result<()> {
        run_due(&self.app.db, &self.app.clock, &self.app.matcher).await
    }

    pub(super) async fn create(&self, repository_id: i64, policy: Policy) -> Result<i64> {
        let write = CreateRetention {
            repository_id,
            policy,
            matcher: self.app.matcher.clone(),
            now: self.app.clock.now(),
        };
        self.app.db.write(write).await
    }

    pub(super) async fn update(&self, repository_id: i64, id: i64, policy: Policy) -> Result<()> {
        let write = UpdateRetention {
            repository_id,
            id: RetentionId(id),
            policy,
            matcher: self.app.matcher.clone(),
            now: self.app.clock.now(),
        };
        self.app.db.write(write).await
    }

    pub(super) async fn delete(&self, repository_id: i64, id: i64) -> Result<()> {
        let write = DeleteRetention {
            repository_id,
            id: RetentionId(id),
        };
        self.app.db.write(write).await
    }

    /// The names of the tags, in their order.
    pub(super) async fn tags(&self, repository_id: i64) -> Vec<String> {
        let names = tag::store::list_names(self.app.db.readers(), repository_id, "", 1000);
        names.await.expect("read")
    }

    /// What was deleted, newest first.
    pub(super) async fn history(&self, repository_id: i64) -> Vec<HistoryEntry> {
        let page = Page {
            limit: 1000,
            offset: 0,
        };
        let found = list_histories(self.app.db.readers(), repository_id, page).await;
        found.expect("read").0
    }

    pub(super) async fn deleted(&self, repository_id: i64) -> Vec<String> {
        let history = self.history(repository_id).await;
        history.into_iter().map(|entry| entry.tag).collect()
    }
}

pub(super) fn noon(day: i64) -> Timestamp {
    Timestamp::from_microseconds(0).plus_hours(day * 24 + 12)
}

pub(super) fn date_rule(days: u16) -> Policy {
    let kept = TagName::parse("kept").expect("a tag");
    let rule = Rule::new(Template::Date { days }, vec![Selector::Label(kept)]);
    Policy::new(vec![rule.expect("legal")]).expect("legal")
}
