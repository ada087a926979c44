//! `swr-emulator trace`: one push with its effects, trigger by trigger, or the push that gave a
//! workload its images. `record` has what the emulator answers, `image` and `workload` ask for it,
//! `tree` shows it to people.

mod image;
mod record;
mod subject;
mod tree;
mod workload;

use std::process::ExitCode;

use serde::Serialize;

use self::subject::Subject;
use self::tree::Tree;
use super::ask::Target;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// An image like group/busybox:v2, for its newest push, or a workload like deployment/web, for
    /// the push that it runs
    #[arg(value_name = "IMAGE|WORKLOAD", value_parser = Subject::parse)]
    subject: Subject,
    /// Kubernetes namespace of the workload
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Cluster of the workload, by id or name
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// What was found, as text, and the code to end with: 1 where something did not reach healthy.
#[derive(Debug)]
pub(crate) struct Traced {
    pub(crate) text: String,
    pub(crate) code: ExitCode,
}

/// Asks the emulator.
pub(crate) async fn run(arguments: &Arguments) -> Result<Traced, String> {
    let Arguments {
        subject,
        namespace,
        cluster,
        target,
        ..
    } = arguments;
    match subject {
        Subject::Image(_) if namespace.is_some() || cluster.is_some() => {
            Err("--namespace and --cluster choose a workload, not an image".to_owned())
        }
        Subject::Image(image) => {
            let trace = image::trace(target, image).await?;
            arguments.show(&trace, &trace.tree(), trace.is_healthy())
        }
        Subject::Workload(wanted) => {
            let place = workload::Chosen {
                wanted,
                namespace: namespace.as_deref(),
                cluster: cluster.as_deref(),
            };
            let trace = workload::trace(target, &place).await?;
            arguments.show(&trace, &trace.tree(), trace.is_healthy())
        }
    }
}

impl Arguments {
    fn show(
        &self,
        trace: &impl Serialize,
        tree: &Tree,
        is_healthy: bool,
    ) -> Result<Traced, String> {
        let text = if self.json {
            let text = serde_json::to_string_pretty(trace).map_err(|error| error.to_string())?;
            format!("{text}\n")
        } else {
            tree.to_string()
        };
        let code = if is_healthy {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
        Ok(Traced { text, code })
    }
}
