//! The variables of this shell: proxies that would stand between, and endpoints of the cloud.

use swr_emulator::internal::client_variables;

use super::ask::{Health, Url};
use super::{Finding, Target};

/// The variables that name a proxy for `http://`.
const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
/// Those that name hosts without one.
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// All checks.
pub(super) fn examine(target: &Target, health: Option<&Health>) -> Vec<Finding> {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let url = &target.url;
    let mut findings = vec![proxy(url, variable)];
    findings.extend(health.map(|health| endpoints(url, health, variable)));
    findings
}

/// Whether requests to the emulator would go to a proxy.
fn proxy(url: &Url, variable: impl Fn(&str) -> Option<String>) -> Finding {
    let check = "proxy";
    let proxies = PROXIES
        .into_iter()
        .find_map(|name| Some((name, variable(name)?)));
    let Some((name, _)) = proxies else {
        return Finding::fine(check, "no variable names one for http");
    };
    let host = url.host();
    let is_listed = |list: &str| {
        let mut hosts = list.split([',', ' ']).map(str::trim);
        hosts.any(|listed| listed == "*" || listed.trim_start_matches('.') == host)
    };
    if EXCEPTIONS
        .into_iter()
        .filter_map(variable)
        .any(|list| is_listed(&list))
    {
        return Finding::fine(check, format!("NO_PROXY names {host}"));
    }
    Finding::warning(
        check,
        format!("{name} is set, so clients ask the proxy for {host}"),
        format!("export NO_PROXY={host} no_proxy={host}"),
    )
}

/// Whether SDKs that know a region and no endpoint ask the emulator.
fn endpoints(url: &Url, health: &Health, variable: impl Fn(&str) -> Option<String>) -> Finding {
    let check = "client variables";
    let Health {
        region,
        builtin_account,
    } = health;
    let expected = client_variables(url.authority(), region, *builtin_account);
    let mut endpoints = expected
        .iter()
        .filter(|(name, _)| name.contains("_ENDPOINT") || name.contains("_REGION_"));
    let fix = format!("eval \"$(swr-emulator env --url {url})\"");
    let wrong = endpoints.find_map(|(name, expected)| match variable(name) {
        None => Some(format!(
            "{name} is not set, so an SDK with a region and no endpoint calls the cloud"
        )),
        Some(found) if found.contains("myhuaweicloud.") => {
            Some(format!("{name} is {found}, which is the cloud"))
        }
        Some(found) if found.trim_end_matches('/') != expected => {
            Some(format!("{name} is {found}, which is not this emulator"))
        }
        Some(_) => None,
    });
    match wrong {
        Some(finding) => Finding::warning(check, finding, fix),
        None => Finding::fine(
            check,
            "SDKs with a region and no endpoint call the emulator",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Severity, line};
    use super::*;

    fn url() -> Url {
        "http://127.0.0.1:7970".parse().expect("a URL")
    }

    #[test]
    fn a_proxy_is_told_unless_the_emulator_is_excepted() {
        let check = |variables: &[(&str, &str)], expected: Severity| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(proxy(&url(), variable).severity, expected, "{variables:?}");
        };
        let proxy = ("HTTP_PROXY", "http://proxy:3128");
        check(&[], Severity::None);
        check(&[proxy], Severity::Warning);
        check(
            &[proxy, ("NO_PROXY", "example.test, 127.0.0.1")],
            Severity::None,
        );
        check(&[proxy, ("no_proxy", "*")], Severity::None);
        check(&[proxy, ("NO_PROXY", "127.0.0.10")], Severity::Warning);
        check(&[("https_proxy", "http://proxy:3128")], Severity::None);
    }

    #[test]
    fn an_endpoint_that_is_missing_or_the_clouds_is_told() {
        let health = Health {
            region: "cn-north-4".to_owned(),
            builtin_account: true,
        };
        let check = |endpoint: Option<&str>, part: &str| {
            let variable = |name: &str| match name {
                "HUAWEICLOUD_SDK_IAM_ENDPOINT" => Some(url().to_string()),
                "HUAWEICLOUD_SDK_REGION_SWR_CN_NORTH_4" => endpoint.map(str::to_owned),
                _ => None,
            };
            let line = line(&endpoints(&url(), &health, variable));
            assert!(line.contains(part), "{line}");
        };
        check(None, "SWR_CN_NORTH_4 is not set, so an SDK with a region");
        check(
            Some("https://swr-api.cn-north-4.myhuaweicloud.com"),
            "which is the cloud; fix: eval",
        );
        check(
            Some("http://127.0.0.1:1"),
            "which is not this emulator; fix: eval",
        );
        check(Some("http://127.0.0.1:7970/"), "ok      client variables");
    }
}
