//! What the variables of paths mean, each under its name.

use crate::error::{Error, Fault, Resource};
use crate::http::{Param, Shape};
use crate::namespace::NamespaceName;
use crate::repository::RepositoryName;
use crate::retention::RetentionId;
use crate::tag::TagName;
use crate::trigger::TriggerName;

/// The variable of this name, as most paths mean it.
pub(super) fn variable(name: &str) -> Option<Param> {
    let variable = match name {
        "namespace" => {
            let meaning = "The name of the organization.";
            let mut variable = Param::new("namespace", meaning, NamespaceName::shape())
                .refused(Fault::NamespaceName)
                .missing(Resource::Namespace);
            variable.refusals.push(Error::Forbidden);
            variable
        }
        "repository" => {
            let meaning = "The name of the repository, with `$` for each `/` in it.";
            Param::new("repository", meaning, RepositoryName::shape_in_path())
                .refused(Fault::RepositoryName)
                .missing(Resource::Repository)
        }
        "tag" => Param::new("tag", "The name of the tag.", TagName::shape())
            .refused(Fault::Parameter)
            .missing(Resource::Tag),
        "trigger" => Param::new("trigger", "The name of the trigger.", TriggerName::shape())
            .refused(Fault::Parameter)
            .missing(Resource::Trigger),
        "access_domain" => {
            let meaning = "The name of the account that the image is shared with.";
            Param::new("access_domain", meaning, Shape::text().length(1, 64)).refused(Fault::Domain)
        }
        "retention_id" => {
            let meaning = "The number of the retention rule.";
            Param::new("retention_id", meaning, RetentionId::shape())
                .refused(Fault::Parameter)
                .missing(Resource::Retention)
        }
        "user_id" => Param::new("user_id", "The id of a user.", Shape::text().at_least(1))
            .missing(Resource::User),
        "project_id" => Param::new(
            "project_id",
            "The id of the project; there is one for each account and region.",
            Shape::text()
                .at_least(1)
                .example("00000000000000000000000000000001"),
        ),
        "resource_type" => Param::new(
            "resource_type",
            "The subject of the report: `store`, the bytes stored at the end of each day; \
             `downflow`, the bytes pulled on that day.",
            Shape::one_of(["store", "downflow"]),
        )
        .refused(Fault::Parameter),
        "frequency" => {
            let meaning = "The interval of the amounts in the report.";
            Param::new("frequency", meaning, Shape::one_of(["daily"])).refused(Fault::Parameter)
        }
        "cluster_id" => {
            let shape = Shape::text().at_least(1);
            Param::new("cluster_id", "The id of a cluster of the seed file.", shape)
                .missing(Resource::Cluster)
        }
        _ => return None,
    };
    Some(variable)
}
