//! The form in which a client wants an answer that there is in two.

use http::HeaderMap;
use http::header::ACCEPT;

/// Whether a client wants HTML rather than JSON, as a browser does that opens an address: it names
/// HTML first, or gives it more weight.
pub fn prefers_html(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let (mut html, mut json) = (None, None);
    for (place, range) in texts.flat_map(|text| text.split(',')).enumerate() {
        let mut parts = range.split(';').map(str::trim);
        let wanted = match parts.next() {
            Some(name) if name.eq_ignore_ascii_case("text/html") => &mut html,
            Some(name) if name.eq_ignore_ascii_case("application/json") => &mut json,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
        let weight: f32 = weight.unwrap_or(1.0);
        if weight > 0.0 && wanted.is_none() {
            *wanted = Some((weight, place));
        }
    }
    match (html, json) {
        (Some((of_html, at_html)), Some((of_json, at_json))) => {
            of_html > of_json || (of_html >= of_json && at_html < at_json)
        }
        (html, _) => html.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_for_those_who_name_it_before_json_or_weigh_it_more() {
        let check = |accept: &str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().expect("a header"));
            assert_eq!(prefers_html(&headers), expected, "{accept}");
        };
        check(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            true,
        );
        check("Text/HTML", true);
        check("text/html, application/json", true);
        check("application/json, text/html", false);
        check("application/json;q=0.5, text/html", true);
        check("text/html;q=0.5, application/json", false);
        check("text/html;q=0", false);
        check("application/json", false);
        check("*/*", false);
        check("", false);
        assert!(!prefers_html(&HeaderMap::new()));
    }
}
