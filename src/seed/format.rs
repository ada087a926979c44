//! The form of the seed file: its keys and their kinds. Their rules are in `check`.

use std::path::PathBuf;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::words;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeedFile {
    #[serde(default = "yes", deserialize_with = "boolean")]
    pub(super) builtin_account: bool,
    #[serde(default)]
    pub(super) regions: Vec<RegionEntry>,
    #[serde(default)]
    pub(super) accounts: Vec<AccountEntry>,
    #[serde(default)]
    pub(super) organizations: Vec<NamespaceEntry>,
    #[serde(default)]
    pub(super) clusters: Vec<ClusterEntry>,
}

fn yes() -> bool {
    true
}

/// A boolean of YAML. The crate would take a text in quotes too.
fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct Boolean;

    impl Visitor<'_> for Boolean {
        type Value = bool;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(words::BOOLEAN)
        }

        fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }
    }

    deserializer.deserialize_any(Boolean)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegionEntry {
    pub(super) name: String,
    pub(super) listen: String,
    pub(super) registry_host: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountEntry {
    pub(super) name: String,
    pub(super) id: Option<String>,
    #[serde(default, deserialize_with = "boolean")]
    pub(super) agency: bool,
    #[serde(default)]
    pub(super) users: Vec<UserEntry>,
    #[serde(default)]
    pub(super) iam_users: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserEntry {
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) password: Option<String>,
    pub(super) access_key: Option<String>,
    pub(super) secret_key: Option<String>,
    pub(super) token: Option<String>,
    #[serde(default, deserialize_with = "boolean")]
    pub(super) admin: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamespaceEntry {
    pub(super) name: String,
    pub(super) region: Option<String>,
    pub(super) account: Option<String>,
    pub(super) creator: Option<String>,
    #[serde(default)]
    pub(super) permissions: Vec<PermissionEntry>,
    #[serde(default)]
    pub(super) repositories: Vec<RepositoryEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RepositoryEntry {
    pub(super) name: String,
    #[serde(default, deserialize_with = "boolean")]
    pub(super) is_public: bool,
    pub(super) category: Option<String>,
    #[serde(default)]
    pub(super) description: String,
    pub(super) creator: Option<String>,
    #[serde(default)]
    pub(super) permissions: Vec<PermissionEntry>,
    #[serde(default)]
    pub(super) triggers: Vec<Map<String, Value>>,
    pub(super) retention: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) shares: Vec<Map<String, Value>>,
    #[serde(default)]
    pub(super) sync: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PermissionEntry {
    pub(super) user: String,
    pub(super) id: Option<String>,
    pub(super) auth: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterEntry {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) context: Option<String>,
    #[serde(default, deserialize_with = "boolean")]
    pub(super) in_cluster: bool,
    #[serde(default)]
    pub(super) namespaces: Vec<KubernetesNamespaceEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KubernetesNamespaceEntry {
    pub(super) name: String,
    #[serde(default)]
    pub(super) deployments: Vec<Map<String, Value>>,
    #[serde(default)]
    pub(super) statefulsets: Vec<Map<String, Value>>,
}
