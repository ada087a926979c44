//! `swr-emulator env`: what points a client at an emulator, ready to paste or `eval`. The emulator
//! is asked for its region and account; before it runs, the defaults are printed.

use std::fmt::Write as _;
use std::time::Duration;

use clap::ValueEnum;
use swr_emulator::config;
use swr_emulator::internal::{BUILTIN_PROJECT_ID, Secret, client_variables, long_term_password};
use swr_emulator::{BUILTIN_ACCESS_KEY, BUILTIN_SECRET_KEY};

use super::ask::{self, Url};

/// The region of an emulator unless its settings name another.
const REGION: &str = "cn-north-4";
/// How long the emulator may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Client to print the settings for
    #[arg(long = "for", value_enum, default_value = "shell")]
    client: Client,
    /// URL of the emulator
    #[arg(
        long,
        env = "SWR_EMULATOR_URL",
        default_value = "http://127.0.0.1:7970"
    )]
    url: Url,
    /// Region for the client [default: the region of the emulator]
    #[arg(long, env = "SWR_EMULATOR_REGION", value_parser = config::parse_region)]
    region: Option<String>,
    /// Fail instead of warning if no emulator answers
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Client {
    Shell,
    Python,
    Node,
    Go,
    Terraform,
    Docker,
    Skopeo,
    Podman,
}

/// What is printed, and what the reader should know besides.
#[derive(Debug)]
pub(crate) struct JsonResponse {
    pub(crate) settings: String,
    pub(crate) warning: Option<String>,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<JsonResponse, String> {
    let Arguments { url, client, .. } = arguments;
    let asked = ask::health(url, PATIENCE).await;
    let (region, keys, warning) = match asked {
        Ok((_, health)) if health.builtin_account => (health.region, Keys::builtin(), None),
        Ok((_, health)) => {
            let warning = format!(
                "the emulator at {url} has no built-in account; {}",
                match client {
                    Client::Shell => "set the keys of a user of its seed file",
                    _ => "replace the placeholders with the keys of a user of its seed file",
                }
            );
            (health.region, Keys::unknown(), Some(warning))
        }
        Err(reason) if arguments.check => {
            return Err(format!("no emulator answers at {url}: {reason}"));
        }
        Err(reason) => {
            let warning =
                format!("no emulator answers at {url}, so the defaults are printed: {reason}");
            (REGION.to_owned(), Keys::builtin(), Some(warning))
        }
    };
    let region = arguments.region.as_deref().unwrap_or(&region);
    Ok(JsonResponse {
        settings: settings(*client, url, region, &keys),
        warning,
    })
}

/// Who the client is.
struct Keys {
    access_key: &'static str,
    secret_key: &'static str,
    /// The password of the registry that goes with them.
    password: String,
    project_id: &'static str,
    /// Whether they are the built-in account's, and no placeholders.
    are_known: bool,
}

impl Keys {
    fn builtin() -> Self {
        let (access_key, secret_key) = (BUILTIN_ACCESS_KEY, BUILTIN_SECRET_KEY);
        Self {
            access_key,
            secret_key,
            password: long_term_password(access_key, &Secret::new(secret_key)),
            project_id: BUILTIN_PROJECT_ID,
            are_known: true,
        }
    }

    fn unknown() -> Self {
        Self {
            access_key: "ACCESS_KEY",
            secret_key: "SECRET_KEY",
            password: "PASSWORD".to_owned(),
            project_id: "PROJECT_ID",
            are_known: false,
        }
    }
}

/// The settings for a client, as text.
fn settings(client: Client, url: &Url, region: &str, keys: &Keys) -> String {
    let registry = url.authority();
    let Keys {
        access_key,
        secret_key,
        password,
        project_id,
        are_known,
    } = keys;
    let login = format!("-u {region}@{access_key} -p {password} {registry}");
    match client {
        Client::Shell => {
            let mut exports = String::new();
            for (name, value) in client_variables(registry, region, *are_known) {
                let _ = writeln!(exports, "export {name}='{value}'");
            }
            exports
        }
        Client::Python => format!(
            "from huaweicloudsdkcore.auth.credentials import BasicCredentials\n\
             from huaweicloudsdkswr.v2 import SwrClient\n\n\
             credentials = BasicCredentials('{access_key}', '{secret_key}', '{project_id}')\n\
             client = (\n    SwrClient.new_builder()\n    .with_credentials(credentials)\n    \
             .with_endpoint('{url}')\n    .build()\n)\n"
        ),
        Client::Node => format!(
            "// The SDK for Node reads no endpoint from variables: without withEndpoint, the client\n\
             // calls the cloud.\n\
             const {{ BasicCredentials }} = require('@huaweicloud/huaweicloud-sdk-core');\n\
             const {{ SwrClient }} = require('@huaweicloud/huaweicloud-sdk-swr/v2/public-api');\n\n\
             const credentials = new BasicCredentials()\n  .withAk('{access_key}')\n  \
             .withSk('{secret_key}')\n  .withProjectId('{project_id}');\n\
             const client = SwrClient.newBuilder()\n  .withCredential(credentials)\n  \
             .withEndpoint('{url}')\n  .build();\n"
        ),
        Client::Go => format!(
            "package main\n\nimport (\n\t\"fmt\"\n\n\
             \t\"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic\"\n\
             \tswr \"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/swr/v2\"\n\
             \t\"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/swr/v2/model\"\n)\n\n\
             func main() {{\n\
             \tcredentials := basic.NewCredentialsBuilder().\n\t\tWithAk(\"{access_key}\").\n\t\t\
             WithSk(\"{secret_key}\").\n\t\tWithProjectId(\"{project_id}\").\n\t\tBuild()\n\
             \tclient := swr.NewSwrClient(swr.SwrClientBuilder().\n\t\t\
             WithEndpoints([]string{{\"{url}\"}}).\n\t\t\
             WithCredential(credentials).\n\t\tBuild())\n\
             \tfmt.Println(client.ListNamespaces(&model.ListNamespacesRequest{{}}))\n}}\n"
        ),
        Client::Terraform => format!(
            "provider \"huaweicloud\" {{\n  region     = \"{region}\"\n  \
             access_key = \"{access_key}\"\n  secret_key = \"{secret_key}\"\n  \
             auth_url   = \"{url}/v3\"\n  skip_check_website_type = true\n  max_retries = 0\n  \
             endpoints = {{\n    swr = \"{url}\"\n    iam = \"{url}\"\n    cce = \"{url}\"\n  }}\n}}\n"
        ),
        Client::Docker => format!("docker login {login}\n"),
        Client::Skopeo => format!("skopeo login --tls-verify=false {login}\n"),
        Client::Podman => format!("podman login --tls-verify=false {login}\n"),
    }
}
