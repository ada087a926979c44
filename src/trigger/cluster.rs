//! The cluster that a trigger means: `trigger_mode`, `cluster_id` and `cluster_name`.

use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::error::{Error, Result};

/// The longest `cluster_id` and `cluster_name`, in characters.
pub(super) const MAX_CLUSTER: usize = 128;

/// Which cluster runs the workload: `trigger_mode` with `cluster_id` and `cluster_name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ClusterRef {
    /// A CCE cluster. The API lets both be left out; each is `""` then.
    Cce {
        /// The cluster's id.
        id: String,
        /// The cluster's name.
        name: String,
    },
    /// The serverless service CCI: there is no cluster to name.
    Cci,
}

/// What `trigger_mode` may say.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, EnumString, IntoStaticStr, VariantNames,
)]
#[sqlx(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum TriggerMode {
    /// Cloud Container Engine.
    Cce,
    /// Cloud Container Instance.
    Cci,
}

impl TriggerMode {
    /// Reads `trigger_mode`; nothing means CCE.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::Cce);
        }
        let rule = "must be cce or cci";
        text.parse()
            .map_err(|_| Error::invalid("trigger_mode", rule))
    }

    /// The API's word.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl ClusterRef {
    /// The cluster that the three fields name, each of which was checked.
    pub fn new(mode: TriggerMode, id: String, name: String) -> Self {
        match mode {
            TriggerMode::Cce => Self::Cce { id, name },
            TriggerMode::Cci => Self::Cci,
        }
    }

    /// Its `trigger_mode`.
    pub fn trigger_mode(&self) -> TriggerMode {
        match self {
            Self::Cce { .. } => TriggerMode::Cce,
            Self::Cci => TriggerMode::Cci,
        }
    }

    /// `cluster_id`
    pub fn id(&self) -> &str {
        match self {
            Self::Cce { id, .. } => id,
            Self::Cci => "",
        }
    }

    /// `cluster_name`
    pub fn name(&self) -> &str {
        match self {
            Self::Cce { name, .. } => name,
            Self::Cci => "",
        }
    }
}

/// Checks one of the two fields that name a cluster, of which CCI has none.
pub(super) fn parse_cluster_field(
    mode: TriggerMode,
    field: &'static str,
    text: &str,
) -> Result<String> {
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    if mode == TriggerMode::Cci {
        return Err(Error::invalid(
            field,
            "must be left blank when trigger_mode is cci",
        ));
    }
    if text.chars().count() > MAX_CLUSTER {
        let rule = format!("must have at most {MAX_CLUSTER} characters");
        return Err(Error::invalid(field, rule));
    }
    Ok(text.to_owned())
}
