//! The format of the seed file (YAML, and so JSON too), and its checks. An error tells line,
//! field and rule; nothing is written before the whole file has passed.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use super::Seed;
use super::check::Checker;
use super::format::SeedFile;
use super::words::{self, MOST_VALUES};
use crate::auth::{Directory, DirectoryError};
use crate::config::SeedSource;
use crate::error::one_line;

/// What errors call a seed that is in no file.
const NO_FILE: &str = "seed";
/// What errors call standard input.
const INPUT: &str = "standard input";
/// The longest seed that is read from standard input, in bytes: 100,000 triggers are a tenth.
const MOST_INPUT: u64 = 256 * 1024 * 1024;

/// Why a seed file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The file cannot be read at all.
    #[error("cannot read the seed file {0}: {1}")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// Standard input cannot be read, or has no end.
    #[error("cannot read the seed from standard input: {0}")]
    Input(#[source] std::io::Error),
    /// The file is not YAML, or has a key or a type that the format does not.
    #[error("{}", syntax_line(.0, .1))]
    Syntax(PathBuf, #[source] Box<serde_saphyr::Error>),
    /// Something in the file breaks a rule.
    #[error("{}:{}: {}", .0.display(), .1, one_line(.2))]
    Rule(PathBuf, u64, String),
    /// Accounts cannot live beside each other.
    #[error("{}: accounts: {}", .0.display(), one_line(&.1.to_string()))]
    Accounts(PathBuf, #[source] DirectoryError),
}

impl SeedError {
    /// Line, field and rule of a seed that is in no file.
    pub fn in_no_file(&self) -> String {
        let text = self.to_string();
        match text
            .strip_prefix(NO_FILE)
            .and_then(|rest| rest.strip_prefix(':'))
        {
            Some(rest) if rest.starts_with(|first: char| first.is_ascii_digit()) => {
                format!("line {rest}")
            }
            Some(rest) => rest.trim_start().to_owned(),
            None => text,
        }
    }
}

pub(super) fn syntax_line(path: &Path, error: &serde_saphyr::Error) -> String {
    let line = error.location().map_or(0, |location| location.line());
    let words = words::of(error.without_snippet());
    format!("{}:{line}: {}", path.display(), one_line(&words))
}

/// Reads and checks a seed file for an instance with this home region.
pub fn read(source: &SeedSource, home: &str) -> Result<(Directory, Seed), SeedError> {
    match source {
        SeedSource::File(path) => {
            let bytes = std::fs::read(path)
                .map_err(|error| SeedError::Unreadable(path.to_owned(), error))?;
            read_bytes(path, bytes, home)
        }
        SeedSource::Input => {
            let bytes = read_input(std::io::stdin().lock(), MOST_INPUT);
            let bytes = bytes.map_err(SeedError::Input)?;
            read_bytes(Path::new(INPUT), bytes, home)
        }
        SeedSource::Text(text) => read_text(Path::new(NO_FILE), text, home),
    }
}

/// Reads and checks a seed that was posted to an instance with this home region, which started with
/// the seed `first`.
pub fn read_posted(text: &str, home: &str, first: &Seed) -> Result<(Directory, Seed), SeedError> {
    let path = Path::new(NO_FILE);
    let checker = Checker {
        path,
        text,
        home,
        first: Some(first),
    };
    checker.check(parse(path, text)?)
}

/// Reads the accounts of a seed for an instance with this home region, and leaves the rest of it.
pub fn read_accounts(text: &str, home: &str) -> Result<Directory, SeedError> {
    let (directory, _) = read_text(Path::new(NO_FILE), text, home)?;
    Ok(directory)
}

/// Reads an input to its end, which comes after `most` bytes at the latest.
pub(super) fn read_input(input: impl Read, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = input.take(most + 1).read_to_end(&mut bytes)?;
    if u64::try_from(length).is_ok_and(|length| length <= most) {
        return Ok(bytes);
    }
    let rule = format!("a seed must have at most {most} bytes");
    Err(std::io::Error::other(rule))
}

fn read_bytes(path: &Path, bytes: Vec<u8>, home: &str) -> Result<(Directory, Seed), SeedError> {
    let text = String::from_utf8(bytes).map_err(|error| not_utf8(path, &error))?;
    read_text(path, &text, home)
}

/// Reads a seed file's text; `path` is what its errors call it, and where its relative paths begin.
fn read_text(path: &Path, text: &str, home: &str) -> Result<(Directory, Seed), SeedError> {
    let checker = Checker {
        path,
        text,
        home,
        first: None,
    };
    checker.check(parse(path, text)?)
}

fn parse(path: &Path, text: &str) -> Result<SeedFile, SeedError> {
    let file: Option<SeedFile> = serde_saphyr::from_str_with_options(text, limits(MOST_VALUES))
        .map_err(|error| SeedError::Syntax(path.to_owned(), Box::new(error)))?;
    Ok(file.unwrap_or_else(|| SeedFile {
        builtin_account: true,
        regions: Vec::new(),
        accounts: Vec::new(),
        organizations: Vec::new(),
        clusters: Vec::new(),
    }))
}

fn not_utf8(path: &Path, error: &FromUtf8Error) -> SeedError {
    let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let lines = good.split(|byte| *byte == b'\n').count();
    let line = u64::try_from(lines).unwrap_or(u64::MAX);
    SeedError::Rule(path.to_owned(), line, "the file must be UTF-8".to_owned())
}

/// What keeps a file that means ill from taking all memory. A full trigger is 25 values.
pub(super) fn limits(values: usize) -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: values,
            max_events: 2 * values,
        },
    }
}
