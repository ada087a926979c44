//! What can be wrong with the names of an organization, a repository and its triggers.

use super::{Finding, trigger};
use crate::app::App;
use crate::error::Result;
use crate::namespace::{self, NamespaceName};
use crate::nearest::nearest;
use crate::repository::{RepositoryName, RepositoryRef};
use crate::trigger::{Trigger, TriggerName, store};

/// How many triggers of a repository are looked at.
const MOST_TRIGGERS: u32 = 100;

/// All checks of the triggers of a repository, or of one.
pub(super) async fn examine(
    app: &App,
    namespace: &NamespaceName,
    name: &RepositoryName,
    wanted: Option<TriggerName>,
) -> Result<Vec<Finding>> {
    let repository = match find(app, namespace, name).await? {
        Ok(repository) => repository,
        Err(finding) => return Ok(vec![finding]),
    };
    let mut findings = vec![Finding::fine(
        "repository",
        format!("{namespace}/{name} is in the region {}", app.region),
    )];
    let db = app.db.readers();
    let triggers = match wanted {
        None => store::list(db, repository.id, 0, MOST_TRIGGERS).await?,
        Some(wanted) => match store::find(db, repository.id, &wanted).await? {
            Some(trigger) => vec![trigger],
            None => {
                findings.push(missing(app, &repository, &wanted).await?);
                Vec::new()
            }
        },
    };
    if triggers.is_empty() && findings.len() == 1 {
        findings.push(Finding::warning(
            "triggers",
            format!("{namespace}/{name} has none, so a push updates nothing"),
            "create one with POST /v2/manage/namespaces/{namespace}/repos/{repository}/triggers",
        ));
    }
    let pushed = trigger::pushed_tags(app, &repository).await?;
    for found in &triggers {
        findings.extend(trigger::examine(app, &repository, found, &pushed).await?);
    }
    Ok(findings)
}

/// The repository, or the finding that there is none.
async fn find(
    app: &App,
    namespace: &NamespaceName,
    name: &RepositoryName,
) -> Result<std::result::Result<RepositoryRef, Finding>> {
    let Some(found) = app.lookup.namespace(namespace).await? else {
        return Ok(Err(elsewhere(app, namespace).await?));
    };
    Ok(match app.lookup.repository(&found, name).await? {
        Some(repository) => Ok(repository),
        None => Err(Finding::error(
            "repository",
            format!("the organization {namespace} has no repository {name}"),
            "correct the name, or push an image, which creates the repository",
        )),
    })
}

/// The finding that the region has no such organization, and which one has.
async fn elsewhere(app: &App, name: &NamespaceName) -> Result<Finding> {
    let finding = format!("the region {} has no organization {name}", app.region);
    for region in app.regions.iter() {
        let found = namespace::store::find(app.db.readers(), &region.name, name).await?;
        if found.is_some() {
            return Ok(Finding::error(
                "organization",
                format!("{finding}; the region {} has", region.name),
                format!("use the address of that region, {}", region.url()),
            ));
        }
    }
    Ok(Finding::error(
        "organization",
        finding,
        "correct the name, or create it with POST /v2/manage/namespaces",
    ))
}

async fn missing(app: &App, repository: &RepositoryRef, wanted: &TriggerName) -> Result<Finding> {
    let triggers: Vec<Trigger> =
        store::list(app.db.readers(), repository.id, 0, MOST_TRIGGERS).await?;
    let names = triggers.iter().map(|trigger| trigger.name.as_str());
    let fix = match nearest(wanted.as_str(), names) {
        Some(name) => format!("did you mean {name}?"),
        None => "correct the name, or create the trigger".to_owned(),
    };
    Ok(Finding::error(
        "trigger",
        format!("the repository has no trigger {}", wanted.as_str()),
        fix,
    ))
}
