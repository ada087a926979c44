//! The page with the record of a run inside: one file that needs no server.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{ASSETS, Asset, FRAME};
use crate::control::Report;

/// The most bytes that the record has, so that the file has at most 2 MB.
const MOST: usize = 1_850_000;

/// The instance that the record is of.
#[derive(Debug, Serialize)]
pub(crate) struct About {
    pub(crate) url: String,
    pub(crate) region: String,
    pub(crate) version: &'static str,
}

#[derive(Serialize)]
struct Run<'a, R> {
    about: &'a About,
    report: R,
}

/// The file. Of a record that is too large, the oldest parts are left out, and it says so.
pub(crate) fn report_file(report: &Report, about: &About) -> serde_json::Result<String> {
    let report = report.within(MOST, |text| escaped(text).len())?;
    let run = escaped(&serde_json::to_string(&Run { about, report })?);
    let styles = ASSETS.iter().filter(|asset| !asset.is_script());
    let style: String = styles.map(Asset::text).collect();
    let script = bundle();
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; \
         base-uri 'none'; form-action 'none'",
        hash(&script),
        hash(&style),
    );
    // What comes from outside is put in last, and is looked at for places no more.
    let html = FRAME
        .replace("<!-- builtin -->", "")
        .replace("<!-- version -->", env!("CARGO_PKG_VERSION"))
        .replace("<!-- site -->\n", "")
        .replace(
            "<!-- style -->",
            &format!(
                "<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
                 <style>{style}</style>"
            ),
        )
        .replace(
            "<!-- script -->",
            &format!("<script type=\"module\">{script}</script>"),
        );
    let run = format!("<script id=\"run\" type=\"application/json\">{run}</script>");
    Ok(html.replacen("<!-- run -->", &run, 1))
}

/// JSON in which no text can end the element that it stands in.
fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c")
}

/// All modules as one, each in a function of its own that returns what it exports.
fn bundle() -> String {
    let mut bundle = String::new();
    for asset in ASSETS.iter().filter(|asset| asset.is_script()) {
        let name = asset.name.trim_end_matches(".js");
        let (body, exported) = unwrapped(asset.text());
        let exported = exported.join(", ");
        let module = [
            "const $",
            name,
            " = (() => {\n",
            &body,
            "return { ",
            &exported,
            " };\n})();\n",
        ];
        bundle.extend(module);
    }
    bundle
}

/// A module without its imports and exports, and the names of the latter.
fn unwrapped(module: &str) -> (String, Vec<&str>) {
    const IMPORT: &str = "import ";
    let mut body = String::with_capacity(module.len());
    let mut exported = Vec::new();
    for line in module.lines() {
        let import = line
            .strip_prefix(IMPORT)
            .and_then(|rest| rest.split_once(" from \"./"));
        if let Some((names, module)) = import {
            let module = module.trim_end_matches(".js\";");
            body.extend(["const ", names, " = $", module, ";\n"]);
            continue;
        }
        let declared = line.strip_prefix("export ");
        if let Some(declared) = declared {
            let mut words = declared.split(|c: char| !c.is_alphanumeric() && c != '_');
            let name = words.find(|word| !["async", "function", "const", "class"].contains(word));
            exported.extend(name);
        }
        body.push_str(declared.unwrap_or(line));
        body.push('\n');
    }
    (body, exported)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_becomes_a_function_that_returns_its_exports() {
        let module = "import { a, b } from \"./x.js\";\nexport async function f() {}\n\
                      export const c = a;\nconst d = b;\n";
        let (body, exported) = unwrapped(module);
        assert_eq!(exported, ["f", "c"]);
        assert_eq!(
            body,
            "const { a, b } = $x;\nasync function f() {}\nconst c = a;\nconst d = b;\n"
        );
    }

    #[test]
    fn the_bundle_has_no_import_and_no_end_of_its_element() {
        let bundle = bundle();
        for word in ["\nimport ", "\nexport ", "</script", "<!--", "<!-- "] {
            assert!(!bundle.contains(word), "{word}");
        }
    }
}
