//! The meaning of each variable of a path, under its name.

use schemars::{Schema, json_schema};

use crate::error::{Error, Fault, Resource};
use crate::http::Param;
use crate::namespace::NamespaceName;
use crate::repository::RepositoryName;
use crate::retention::RetentionId;
use crate::schema::schema_of;
use crate::tag::TagName;
use crate::trigger::TriggerName;

/// The variable of this name, as most paths mean it.
pub(super) fn variable(name: &str) -> Option<Param> {
    let variable = match name {
        "namespace" => {
            let meaning = "The name of the organization.";
            let mut variable = Param::new("namespace", meaning, schema_of::<NamespaceName>())
                .refused(Fault::NamespaceName)
                .missing(Resource::Namespace);
            variable.refusals.push(Error::Forbidden);
            variable
        }
        "repository" => {
            let meaning = "The name of the repository, with `$` in place of each `/`.";
            Param::new("repository", meaning, RepositoryName::schema_in_path())
                .refused(Fault::RepositoryName)
                .missing(Resource::Repository)
        }
        "tag" => Param::new("tag", "The name of the tag.", schema_of::<TagName>())
            .refused(Fault::Parameter)
            .missing(Resource::Tag),
        "trigger" => Param::new(
            "trigger",
            "The name of the trigger.",
            schema_of::<TriggerName>(),
        )
        .refused(Fault::Parameter)
        .missing(Resource::Trigger),
        "access_domain" => {
            let meaning = "The name of the account that the image is shared with.";
            let schema = json_schema!({"type": "string", "minLength": 1, "maxLength": 64});
            Param::new("access_domain", meaning, schema).refused(Fault::Domain)
        }
        "retention_id" => {
            let meaning = "The number of the retention rule.";
            Param::new("retention_id", meaning, schema_of::<RetentionId>())
                .refused(Fault::Parameter)
                .missing(Resource::Retention)
        }
        "user_id" => {
            Param::new("user_id", "The id of a user.", id_schema()).missing(Resource::User)
        }
        "project_id" => Param::new(
            "project_id",
            "The id of the project; there is one for each account and region.",
            json_schema!({
                "type": "string",
                "minLength": 1,
                "examples": ["00000000000000000000000000000001"],
            }),
        ),
        "resource_type" => Param::new(
            "resource_type",
            "The subject of the report: `store`, the bytes stored at the end of each day; \
             `downflow`, the bytes pulled on that day.",
            json_schema!({"type": "string", "enum": ["store", "downflow"]}),
        )
        .refused(Fault::Parameter),
        "frequency" => {
            let meaning = "The interval of the report.";
            let schema = json_schema!({"type": "string", "enum": ["daily"]});
            Param::new("frequency", meaning, schema).refused(Fault::Parameter)
        }
        "cluster_id" => {
            let meaning = "The id of a cluster of the seed file.";
            Param::new("cluster_id", meaning, id_schema()).missing(Resource::Cluster)
        }
        _ => return None,
    };
    Some(variable)
}

fn id_schema() -> Schema {
    json_schema!({"type": "string", "minLength": 1})
}
