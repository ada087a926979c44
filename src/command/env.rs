//! `swr-emulator env`: what points a client at a running emulator, ready to paste or `eval`.

use clap::ValueEnum;
use swr_emulator::auth::{
    BUILTIN_ACCESS_KEY, BUILTIN_SECRET_KEY, BUILTIN_TOKEN, Secret, long_term_password,
};

/// The built-in account's project.
const PROJECT_ID: &str = "00000000000000000000000000000001";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which client
    #[arg(long = "for", value_enum, default_value = "shell")]
    client: Client,
    /// Where the emulator is
    #[arg(
        long,
        env = "SWR_EMULATOR_URL",
        default_value = "http://127.0.0.1:7970"
    )]
    url: String,
    /// Region that the emulator plays
    #[arg(long, env = "SWR_EMULATOR_REGION", default_value = "cn-north-4")]
    region: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Client {
    Shell,
    Python,
    Node,
    Go,
    Terraform,
    Docker,
}

/// The settings for a client, as text.
pub(crate) fn settings(arguments: &Arguments) -> String {
    let url = arguments.url.trim_end_matches('/');
    let region = &arguments.region;
    let (access_key, secret_key) = (BUILTIN_ACCESS_KEY, BUILTIN_SECRET_KEY);
    match arguments.client {
        Client::Shell => format!(
            "export SWR_EMULATOR_URL='{url}'\n\
             export SWR_EMULATOR_TOKEN='{BUILTIN_TOKEN}'\n\
             export HUAWEICLOUD_SDK_AK='{access_key}'\n\
             export HUAWEICLOUD_SDK_SK='{secret_key}'\n\
             export HUAWEICLOUD_SDK_PROJECT_ID='{PROJECT_ID}'\n\
             export HUAWEICLOUD_SDK_IAM_ENDPOINT='{url}'\n\
             export HUAWEICLOUD_SDK_REGION_SWR_{}='{url}'\n",
            region.to_uppercase().replace('-', "_")
        ),
        Client::Python => format!(
            "from huaweicloudsdkcore.auth.credentials import BasicCredentials\n\
             from huaweicloudsdkswr.v2 import SwrClient\n\n\
             credentials = BasicCredentials('{access_key}', '{secret_key}', '{PROJECT_ID}')\n\
             client = (\n    SwrClient.new_builder()\n    .with_credentials(credentials)\n    \
             .with_endpoint('{url}')\n    .build()\n)\n"
        ),
        Client::Node => format!(
            "const {{ BasicCredentials }} = require('@huaweicloud/huaweicloud-sdk-core');\n\
             const {{ SwrClient }} = require('@huaweicloud/huaweicloud-sdk-swr/v2/public-api');\n\n\
             const credentials = new BasicCredentials()\n  .withAk('{access_key}')\n  \
             .withSk('{secret_key}')\n  .withProjectId('{PROJECT_ID}');\n\
             const client = SwrClient.newBuilder()\n  .withCredential(credentials)\n  \
             .withEndpoint('{url}')\n  .build();\n"
        ),
        Client::Go => format!(
            "credentials := basic.NewCredentialsBuilder().\n\tWithAk(\"{access_key}\").\n\t\
             WithSk(\"{secret_key}\").\n\tWithProjectId(\"{PROJECT_ID}\").\n\tBuild()\n\
             client := swr.NewSwrClient(swr.SwrClientBuilder().\n\tWithEndpoints([]string{{\"{url}\"}}).\n\t\
             WithCredential(credentials).\n\tBuild())\n"
        ),
        Client::Terraform => format!(
            "provider \"huaweicloud\" {{\n  region     = \"{region}\"\n  \
             access_key = \"{access_key}\"\n  secret_key = \"{secret_key}\"\n  \
             auth_url   = \"{url}/v3\"\n  skip_check_website_type = true\n  max_retries = 0\n  \
             endpoints = {{\n    swr = \"{url}\"\n    iam = \"{url}\"\n    cce = \"{url}\"\n  }}\n}}\n"
        ),
        Client::Docker => {
            let host = url.split_once("://").map_or(url, |(_, host)| host);
            let password = long_term_password(access_key, &Secret::new(secret_key));
            format!("docker login -u {region}@{access_key} -p {password} {host}\n")
        }
    }
}
