//! `swr-emulator doctor`: everything that can be wrong, one line a check. `client` and `address`
//! check what only this side knows, and the emulator checks the rest.

mod address;
mod client;

use std::process::ExitCode;

use serde_json::Value;
use swr_emulator::internal::{Finding, Severity, one_line};

use super::ask::{self, Target, with_query};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Repository like group/busybox, or trigger like group/busybox/on-push, to check in place of
    /// the emulator as a whole
    #[arg(value_name = "REPOSITORY[/TRIGGER]", value_parser = parse_subject)]
    subject: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// What was found, as lines, and the code to end with: 1 where something cannot work.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) text: String,
    pub(crate) code: ExitCode,
}

/// A finding in one line; what others wrote in it does not command the terminal.
fn line(finding: &Finding) -> String {
    let Finding {
        check,
        severity,
        finding,
        fix,
        ..
    } = finding;
    let mark = match severity {
        Severity::None => "ok     ",
        Severity::Warning => "warning",
        Severity::Error => "error  ",
    };
    let fix = if fix.is_empty() {
        String::new()
    } else {
        format!("; fix: {fix}")
    };
    one_line(&format!("{mark} {check}: {finding}{fix}"))
}

fn parse_subject(text: &str) -> Result<String, &'static str> {
    let rule = "must be a repository like group/busybox, or a trigger like group/busybox/on-push";
    let is_whole = text.split('/').all(|part| !part.is_empty());
    if text.contains('/') && is_whole && !text.contains(':') {
        Ok(text.to_owned())
    } else {
        Err(rule)
    }
}

/// Runs all checks.
pub(crate) async fn run(arguments: &Arguments) -> Result<Examined, String> {
    let Arguments { subject, target } = arguments;
    let (health, mut findings) = address::examine(target).await;
    if subject.is_none() {
        findings.extend(client::examine(target, health.as_ref()));
    }
    if health.is_some() {
        let path = match subject {
            None => "/_emulator/doctor".to_owned(),
            Some(subject) => path_of(target, subject).await?,
        };
        findings.extend(target.read::<Vec<Finding>>(&path).await?);
        if subject.is_none() {
            findings.push(address::clock(target).await?);
        }
    }
    let lines = findings.iter().map(|finding| line(finding) + "\n");
    let is_broken = findings.iter().any(|one| one.severity == Severity::Error);
    Ok(Examined {
        text: lines.collect(),
        code: if is_broken {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        },
    })
}

/// Where the checks of a repository or trigger are. A name with a `/` may be either, and the
/// emulator knows.
async fn path_of(target: &Target, subject: &str) -> Result<String, String> {
    let (namespace, rest) = subject.split_once('/').unwrap_or((subject, ""));
    let whole = [("namespace", namespace), ("repository", rest)];
    let path = with_query("/_emulator/doctor", &whole);
    let Some((repository, trigger)) = rest.rsplit_once('/') else {
        return Ok(path);
    };
    let escaped = rest.replace('/', "$");
    let shown = format!("/v2/manage/namespaces/{namespace}/repos/{escaped}");
    if target.find::<Value>(&shown).await?.is_some() {
        return Ok(path);
    }
    let parts = [
        ("namespace", namespace),
        ("repository", repository),
        ("trigger", trigger),
    ];
    Ok(with_query("/_emulator/doctor", &parts))
}
