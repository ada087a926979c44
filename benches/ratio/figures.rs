//! From many measurements to one line of a table.

use std::fmt;

/// The measurements of one thing, one for each round.
#[derive(Debug)]
pub(crate) struct Figures(Vec<f64>);

impl FromIterator<f64> for Figures {
    fn from_iter<I: IntoIterator<Item = f64>>(measurements: I) -> Self {
        let mut sorted: Vec<_> = measurements.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self(sorted)
    }
}

impl Figures {
    pub(crate) fn median(&self) -> f64 {
        self.quantile(1, 2)
    }

    /// The measurement below which `part` of `whole` lie, between two if need be.
    fn quantile(&self, part: usize, whole: usize) -> f64 {
        let Some(last) = self.0.len().checked_sub(1) else {
            return f64::NAN;
        };
        let (index, rest) = (last * part / whole, last * part % whole);
        let below = self.0[index];
        let above = self.0[(index + 1).min(last)];
        below + (above - below) * ratio(rest, whole)
    }
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) figures: Figures,
    pub(crate) unit: &'static str,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            figures,
            unit,
        } = self;
        write!(
            f,
            "| {what} | {}{unit} | {} – {} |",
            Short(figures.median()),
            Short(figures.quantile(1, 4)),
            Short(figures.quantile(3, 4)),
        )
    }
}

/// A number with about three digits that count.
pub(crate) struct Short(pub(crate) f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.0.abs() {
            number if number >= 100.0 => 0,
            number if number >= 10.0 => 1,
            number if number >= 1.0 => 2,
            _ => 3,
        };
        write!(f, "{:.digits$}", self.0)
    }
}

/// A quotient of two counts.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^52")]
pub(crate) fn ratio(count: usize, of: usize) -> f64 {
    count as f64 / of as f64
}

/// The value below which `percent` of the values lie; the values get into another order.
pub(crate) fn percentile(values: &mut [u32], percent: usize) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let index = (values.len() * percent / 100).min(values.len() - 1);
    f64::from(*values.select_nth_unstable(index).1)
}
