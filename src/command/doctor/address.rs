//! Whether an emulator is where it is looked for, and whether both clocks agree.

use std::time::Duration;

use serde::Deserialize;
use swr_emulator::internal::Clock;

use super::ask::{self, Health};
use super::{Finding, Target};

/// How long the emulator may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How far clocks may be apart before signatures are refused, in seconds.
const MOST_SKEW: i64 = 15 * 60;

/// What the emulator says of itself, where one answers.
pub(super) async fn examine(target: &Target) -> (Option<Health>, Vec<Finding>) {
    let (check, url) = ("address", &target.url);
    match ask::health(url, PATIENCE).await {
        Ok((status, health)) if status.is_success() => {
            let region = &health.region;
            let fine = format!("an emulator of the region {region} answers at {url}");
            (Some(health), vec![Finding::fine(check, fine)])
        }
        Ok((status, health)) => {
            let finding = format!("the emulator at {url} answers {status}");
            let fix = "look at its log: it cannot read or write its database";
            (Some(health), vec![Finding::error(check, finding, fix)])
        }
        Err(reason) if reason.starts_with("it answered") => {
            let finding = format!("something else listens at {url}: {reason}");
            let fix = "start the emulator with another --listen, and name it with --url";
            (None, vec![Finding::error(check, finding, fix)])
        }
        Err(reason) => {
            let finding = format!("no emulator answers at {url}: {reason}");
            let fix = "start one with swr-emulator, or name the right one with --url";
            (None, vec![Finding::error(check, finding, fix)])
        }
    }
}

/// Whether signatures of this machine are of now for the emulator.
pub(super) async fn clock(target: &Target) -> Result<Finding, String> {
    #[derive(Deserialize)]
    struct Times {
        real: String,
        ahead_seconds: i64,
    }
    let times: Times = target.read("/_emulator/clock").await?;
    let real: jiff::Timestamp = times
        .real
        .parse()
        .map_err(|_| format!("the time {} cannot be read", times.real))?;
    let apart = (Clock::real_now().as_second() - real.as_second()).abs();
    Ok(compared(apart, times.ahead_seconds))
}

fn compared(apart: i64, ahead: i64) -> Finding {
    let check = "clock";
    if apart > MOST_SKEW {
        let finding = format!(
            "this machine and that of the emulator are {apart} s apart, so signatures are refused"
        );
        return Finding::error(check, finding, "set the clocks of both machines");
    }
    let moved = match ahead {
        0 => String::new(),
        ahead => format!("; the instance's own time is moved by {ahead} s"),
    };
    Finding::fine(
        check,
        format!("this machine and that of the emulator agree{moved}"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[test]
    fn clocks_may_be_a_quarter_of_an_hour_apart() {
        assert_eq!(compared(900, 0).severity, Severity::None);
        assert_eq!(compared(901, 0).severity, Severity::Error);
        let moved = compared(0, -60);
        assert!(moved.finding.ends_with("moved by -60 s"), "{moved:?}");
    }
}
