//! The table of absolute figures, for the order of magnitude.

use std::fmt;

/// A line of the table of absolute figures.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) emulator: String,
    pub(crate) naive: Option<String>,
    pub(crate) bare: Option<String>,
    pub(crate) other: Option<String>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} | {} |", self.what, self.emulator)?;
        for cell in [&self.naive, &self.bare, &self.other] {
            write!(f, " {} |", cell.as_deref().unwrap_or("–"))?;
        }
        Ok(())
    }
}
