//! The variables that point clients at an instance: `swr-emulator env --for shell` prints them, and
//! [`Emulator::env`](crate::Emulator::env) returns them.

use crate::auth::{BUILTIN_ACCESS_KEY, BUILTIN_PROJECT_ID, BUILTIN_SECRET_KEY, BUILTIN_TOKEN};

/// Names and values, for an emulator that has its APIs and its registry at this host and port.
/// Without the built-in account nobody's keys are known, and the reader keeps those that it has.
pub fn client_variables(
    authority: &str,
    region: &str,
    has_builtin_account: bool,
) -> Vec<(String, String)> {
    let url = &*format!("http://{authority}");
    let endpoint = format!(
        "HUAWEICLOUD_SDK_REGION_SWR_{}",
        region.to_uppercase().replace('-', "_")
    );
    let mut variables = vec![
        ("SWR_EMULATOR_URL", url),
        ("SWR_EMULATOR_REGISTRY", authority),
    ];
    if has_builtin_account {
        variables.extend([
            ("SWR_EMULATOR_TOKEN", BUILTIN_TOKEN),
            ("HUAWEICLOUD_SDK_AK", BUILTIN_ACCESS_KEY),
            ("HUAWEICLOUD_SDK_SK", BUILTIN_SECRET_KEY),
            ("HUAWEICLOUD_SDK_PROJECT_ID", BUILTIN_PROJECT_ID),
        ]);
    }
    variables.extend([("HUAWEICLOUD_SDK_IAM_ENDPOINT", url), (&*endpoint, url)]);
    let variables = variables.into_iter();
    variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
