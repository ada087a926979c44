//! What the tests share, by what it starts: an emulator in this process (`app`) or as a program of
//! its own (`process`), a client of the registry (`registry`), and the requests of all (`client`).
//! Then the seed of most tests (`world`), answers as snapshots show them (`snapshot`), and the
//! program's own source (`sources`).

mod app;
mod client;
mod process;
mod registry;
mod snapshot;
mod sources;
mod world;

use serde_json::{Value, json};

pub(crate) use app::TestApp;
pub(crate) use client::{Answer, Client};
pub(crate) use process::{Kept, Process, forget_settings, program};
pub(crate) use registry::{
    OCI_MANIFEST, Registry, ask_for_token, ask_for_token_with, descriptor, digest, image,
};
pub(crate) use snapshot::{redacted, snapshot};
pub(crate) use sources::sources;
pub(crate) use world::{CLUSTER, WORLD};

/// The token of the built-in admin.
pub(crate) const TOKEN: &str = "swr-emulator";

/// Where the triggers of the example repository are.
pub(crate) const TRIGGERS: &str = "/v2/manage/namespaces/group/repos/busybox/triggers";

/// The reference's example of a trigger, under a name.
pub(crate) fn trigger(name: &str) -> Value {
    json!({
        "action": "update", "app_type": "deployments", "application": "adsfa",
        "cluster_id": CLUSTER, "cluster_name": "test",
        "cluster_ns": "default", "condition": ".*", "container": "", "enable": "true",
        "name": name, "trigger_mode": "cce", "trigger_type": "all"
    })
}
