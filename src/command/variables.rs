//! The variables of the environment: which name no setting, and which one a wrong value came from.

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::{Command, Error};
use swr_emulator::internal::nearest;

/// What all our variables begin with.
const PREFIX: &str = "SWR_EMULATOR_";
/// What others set under our prefix: `env` for shells, the reader of the packages in `clients/`, and
/// Kubernetes for a Service of our name.
const OTHERS: [&str; 3] = ["BINARY", "REGISTRY", "TOKEN"];

/// A warning for each variable with our prefix that no setting has.
pub(crate) fn warnings(command: &Command) -> Vec<String> {
    let known: Vec<_> = with_subcommands(command)
        .into_iter()
        .flat_map(Command::get_arguments)
        .filter_map(|argument| argument.get_env()?.to_str()?.strip_prefix(PREFIX))
        .collect();
    let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut warnings: Vec<_> = set
        .filter_map(|name| {
            let name = name.strip_prefix(PREFIX)?;
            (!known.contains(&name) && !is_of_others(name)).then(|| warning(name, &known))
        })
        .collect();
    warnings.sort_unstable();
    warnings
}

fn is_of_others(name: &str) -> bool {
    OTHERS.contains(&name) || name.starts_with("SERVICE_") || name.starts_with("PORT")
}

fn warning(name: &str, known: &[&str]) -> String {
    let nearest = nearest(name, known.iter().copied());
    let name: String = name.escape_debug().take(100).collect();
    match nearest {
        Some(nearest) => {
            format!("{PREFIX}{name} is not a setting; did you mean {PREFIX}{nearest}?")
        }
        None => format!("{PREFIX}{name} is not a setting"),
    }
}

/// Which setting a refused value was given for: its flag, or the variable that it came from.
pub(crate) fn setting(command: &Command, error: &Error) -> Option<String> {
    let argument = argument(error)?;
    let flag = argument.split(' ').next()?;
    let without = without_variables(command.clone());
    let refused = without.try_get_matches().err();
    if refused.is_some_and(|refused| self::argument(&refused) == Some(argument)) {
        // The command line comes first, so this is where the value was.
        return Some(flag.to_owned());
    }
    let variable = with_subcommands(command).into_iter().find_map(|command| {
        let mut arguments = command.get_arguments();
        let found = arguments.find(|one| one.get_long() == flag.strip_prefix("--"))?;
        found.get_env()?.to_str().map(str::to_owned)
    });
    Some(variable.unwrap_or_else(|| flag.to_owned()))
}

/// A command with all below it.
fn with_subcommands(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().flat_map(with_subcommands);
    std::iter::once(command).chain(below).collect()
}

fn argument(error: &Error) -> Option<&str> {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => Some(argument),
        _ => None,
    }
}

fn without_variables(command: Command) -> Command {
    command
        .mut_args(|argument| argument.env(Resettable::Reset))
        .mut_subcommands(without_variables)
}
