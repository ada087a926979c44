//! `swr-emulator seed`: help with seed files.

use swr_emulator::internal::SEED_EXAMPLE;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    // The only thing to ask for so far, so nobody has to look whether it was.
    /// Print a commented example that has every key
    #[arg(long = "example", required = true)]
    _example: bool,
}

/// The text that was asked for.
pub(crate) fn run(_: &Arguments) -> &'static str {
    SEED_EXAMPLE
}
