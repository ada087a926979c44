//! Pushing, and what comes of it.

use std::fmt::{self, Write as _};
use std::panic::Location;
use std::sync::Arc;

use tokio::time::Instant;

use super::Error;
use super::image::Image;
use super::record;
use crate::app::App;
use crate::auth::User;
use crate::emulator::Emulator;
use crate::engine::history::HistoryEntry;
use crate::engine::pushes::FiringState;
use crate::engine::{Until, Wait, Waited};
use crate::error;
use crate::image::{SampleImage, repository_for_push};
use crate::namespace::Namespace;
use crate::push::PushedBy;
use crate::trigger::TriggerName;

/// A trigger that fired, and what came of it: its entry in the trigger's history.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Firing {
    /// The trigger's name.
    pub trigger: String,
    /// The tag that fired it.
    pub tag: String,
    /// Whether the workload was updated.
    pub result: Outcome,
    /// Why it failed, or what was special; empty otherwise.
    pub reason: String,
    /// `deployments` or `statefulsets`.
    pub kind: String,
    /// The workload's name.
    pub workload: String,
    /// The container that the trigger names; empty for all.
    pub container: String,
    /// The workload's namespace in the cluster.
    pub cluster_namespace: String,
    /// The cluster's id.
    pub cluster_id: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// The trigger's condition.
    pub condition: String,
    /// Who created the trigger.
    pub creator: String,
    /// When the outcome was recorded, by the instance's clock.
    pub recorded_at: String,
}

/// What came of a trigger that fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The workload runs the tag, now or already before.
    Success,
    /// It could not be updated.
    Failed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "success",
            Self::Failed => "failed",
        })
    }
}

impl Firing {
    fn new(trigger: &TriggerName, entry: HistoryEntry) -> Self {
        Self {
            trigger: trigger.as_str().to_owned(),
            tag: entry.tag,
            result: if entry.result == "success" {
                Outcome::Success
            } else {
                Outcome::Failed
            },
            reason: entry.detail,
            kind: entry.app_type,
            workload: entry.application,
            container: entry.container,
            cluster_namespace: entry.cluster_ns,
            cluster_id: entry.cluster_id,
            cluster_name: entry.cluster_name,
            condition: entry.condition,
            creator: entry.creator_name,
            recorded_at: entry.created_at.to_string(),
        }
    }
}

impl Emulator {
    /// Pushes a small, real image to `organization/repository:tag`, through the same path as a push to
    /// the registry; the digest of its manifest. The first push makes the repository. The content is
    /// new each time, as after a build, even under the same tag.
    pub async fn push(&self, image: &str) -> Result<String, Error> {
        let content = getrandom::u64().map_err(error::Error::internal)?;
        self.push_content(image, &content.to_string()).await
    }

    /// The same with an image that follows from `content`: the same content has the same digest,
    /// wherever it is pushed.
    pub async fn push_content(&self, image: &str, content: &str) -> Result<String, Error> {
        let app = self.app();
        let image = Image::parse(image, app)?;
        let _stay = app.world.stay().await;
        let namespace = image.find_namespace(app).await?;
        let user =
            pusher(app, &namespace).ok_or_else(|| Error::NoUser(image.namespace.to_string()))?;
        let (db, now) = (&app.db, app.clock.now());
        let name = &image.repository;
        let found = repository_for_push(db, &app.lookup, &namespace, name, &user, now);
        let repository = found.await?;
        let by = PushedBy::user(&user.name);
        let content = SampleImage::new(content)?;
        let pushed = app.pusher().push(&repository, image.tag, content, by);
        Ok(pushed.await?.to_string())
    }

    /// Waits for the newest push of an image, or for the next one if there is none yet, and until a
    /// trigger has fired for it: its outcome, whatever that is. It is an error, at once, if the trigger
    /// does not fire for this push, and after [`patience`](super::Builder::patience) if no push arrived
    /// or there is no outcome yet.
    pub async fn wait(&self, image: &str, trigger: &str) -> Result<Firing, Error> {
        self.wait_until(Until::Fired, image, trigger).await
    }

    /// Waits as [`Self::wait`] does, and until the rollout of the update is healthy. It is an error, at
    /// once, if the trigger could not update its workload or the rollout does not get through.
    pub async fn wait_healthy(&self, image: &str, trigger: &str) -> Result<Firing, Error> {
        self.wait_until(Until::Healthy, image, trigger).await
    }

    async fn wait_until(&self, until: Until, image: &str, trigger: &str) -> Result<Firing, Error> {
        let app = self.app();
        let image = Image::parse(image, app)?;
        let trigger = TriggerName::parse("trigger", trigger)?;
        let wait = Wait {
            tag: &image.tag,
            trigger: Some(&trigger),
            until,
            after: 0,
            deadline: Instant::now() + self.patience,
        };
        let locate = || image.find_repository(app);
        let waited = app.engine.wait(wait, &app.matcher, locate).await;
        let (name, trigger_name) = (image.to_string(), trigger.as_str().to_owned());
        match waited {
            Ok(Waited::Ended(ended)) => Ok(Firing::new(&trigger, ended.entry)),
            Ok(Waited::Without(decision)) => Err(match decision.state {
                FiringState::PassedOver { reason } => Error::NotFired {
                    image: name,
                    trigger: trigger_name,
                    reason,
                },
                state @ FiringState::Ended { .. } => Error::Unhealthy {
                    image: name,
                    trigger: trigger_name,
                    reason: record::state(app, &state),
                },
                _ => Error::Forgotten {
                    image: name,
                    trigger: trigger_name,
                },
            }),
            Ok(Waited::Unsettled(push) | Waited::Settled(push) | Waited::Lost(push)) => {
                Err(Error::Unsettled {
                    image: name,
                    reason: record::open_state(app, push.id, &trigger_name).await?,
                    trigger: trigger_name,
                })
            }
            Ok(Waited::NoPush) => Err(Error::NoPush(name)),
            Err(error::Error::NotFound(error::Resource::Trigger)) => Err(Error::NoTrigger {
                image: name,
                trigger: trigger_name,
            }),
            Err(error::Error::NotFound(error::Resource::Repository)) => {
                Err(Error::NoRepository(image.path()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits as [`Self::wait`] does, and panics unless the trigger fired and updated its workload. The
    /// panic shows what became of the push, trigger by trigger, and what a push would do now.
    #[track_caller]
    pub fn assert_fired(&self, image: &str, trigger: &str) -> impl Future<Output = Firing> + Send {
        let caller = Location::caller();
        async move {
            let problem = match self.wait(image, trigger).await {
                Ok(firing) if firing.result == Outcome::Success => return firing,
                Ok(firing) => format!(
                    "{image} fired the trigger {trigger}, which failed: {}",
                    firing.reason
                ),
                Err(error) => error.to_string(),
            };
            self.fail(caller, problem, image).await
        }
    }

    /// Waits for the push as [`Self::wait`] does, and panics unless the trigger did not fire for it;
    /// the reason why it did not. The panic shows the same as that of [`Self::assert_fired`]. A trigger
    /// that does not exist is no proof: that panics too.
    #[track_caller]
    pub fn assert_not_fired(
        &self,
        image: &str,
        trigger: &str,
    ) -> impl Future<Output = String> + Send {
        let caller = Location::caller();
        async move {
            let problem = match self.wait(image, trigger).await {
                Err(Error::NotFired { reason, .. }) => return reason,
                Ok(firing) => format!("{image} fired the trigger {trigger}: {}", firing.result),
                Err(error) => error.to_string(),
            };
            self.fail(caller, problem, image).await
        }
    }

    /// Panics with a problem, the place of the test that it came up at, and what is known of the image.
    async fn fail<T>(&self, caller: &Location<'_>, problem: String, image: &str) -> T {
        let mut text = format!("{problem}\n  at {caller}\n");
        let app = self.app();
        if let Ok(image) = Image::parse(image, app) {
            match record::of(app, &image).await {
                Ok(record) => text.push_str(&record),
                Err(error) => {
                    let _ = writeln!(text, "No more is known: {}", Error::from(error));
                }
            }
        }
        panic!("{text}")
    }
}

/// In whose name a push is recorded: that of an administrator of the organization's account, or of
/// another of its users.
fn pusher(app: &App, namespace: &Namespace) -> Option<Arc<User>> {
    let account = app.directory.account_with_id(&namespace.account_id)?;
    let mut users: Vec<_> = app.directory.users_of(&account).collect();
    // Stable: the first one of its kind stays in front.
    users.sort_by_key(|user| !user.admin);
    users.into_iter().next()
}
