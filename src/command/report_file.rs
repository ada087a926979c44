//! `--report`: the record of a run as a file, for whoever looks at it when the emulator is gone.

use std::path::Path;

use swr_emulator::Emulator;
use swr_emulator::internal::{report, report_page};

/// Makes sure that the file can be written.
pub(crate) fn claim(path: &Path) -> Result<(), String> {
    put(path, "")
}

/// Writes what the instance remembers: the console with the record inside if the name ends in
/// `.html`, else JSON.
pub(crate) async fn write(emulator: &Emulator, path: &Path) -> Result<(), String> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_page = extension.is_some_and(|extension| {
        ["html", "htm"]
            .iter()
            .any(|page| extension.eq_ignore_ascii_case(page))
    });
    let text = if is_page {
        report_page(emulator).await
    } else {
        let report = report(emulator).await;
        report.and_then(|report| {
            let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
            Ok(text + "\n")
        })
    };
    let text = text.map_err(|error| format!("cannot tell the record of the run: {error}"))?;
    put(path, &text)
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    let written = std::fs::write(path, text);
    written.map_err(|error| format!("cannot write the report to {}: {error}", path.display()))
}
