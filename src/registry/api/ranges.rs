//! The headers that name bytes: `Range` of a blob, and `Content-Range` of a piece of an upload.

use super::super::error::RegistryError;
use crate::image::Range;

/// The first and last byte that `Range` asks for; none where it is not a single range of bytes,
/// which RFC 9110 lets a server ignore.
pub(super) fn requested_part(text: &str, size: u64) -> Result<Option<(u64, u64)>, RegistryError> {
    let Some((first, last)) = text
        .trim()
        .strip_prefix("bytes=")
        .filter(|ranges| !ranges.contains(','))
        .and_then(|range| range.split_once('-'))
    else {
        return Ok(None);
    };
    let outside = || RegistryError::RangeOutside { size };
    let end = size.saturating_sub(1);
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (first, last) = match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            Some(length) => (size - length.min(size), end),
            None => return Ok(None),
        },
        (first, "") => match number(first) {
            Some(first) => (first, end),
            None => return Ok(None),
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => (first, last.min(end)),
            (Some(_), Some(_)) => return Err(outside()),
            _ => return Ok(None),
        },
    };
    if first >= size {
        return Err(outside());
    }
    Ok(Some((first, last)))
}

/// The bytes that a request says it brings: `Content-Range: {first}-{last}`.
pub(super) fn announced_range(text: &str) -> Result<Range, RegistryError> {
    let range = text.trim().trim_start_matches("bytes").trim();
    let range = range.split('/').next().unwrap_or_default();
    range
        .split_once('-')
        .and_then(|(first, last)| Range::new(first.parse().ok()?, last.parse().ok()?))
        .ok_or_else(|| {
            RegistryError::RangeInvalid(format!("Content-Range {text:?} must be first-last"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_range_of_bytes_is_understood() {
        let check = |text: &str, expected: Result<Option<(u64, u64)>, ()>| {
            assert_eq!(requested_part(text, 10).map_err(|_| ()), expected, "{text}");
        };
        check("bytes=0-0", Ok(Some((0, 0))));
        check("bytes=2-5", Ok(Some((2, 5))));
        check("bytes=2-", Ok(Some((2, 9))));
        check("bytes=-3", Ok(Some((7, 9))));
        check("bytes=-30", Ok(Some((0, 9))));
        check("bytes=5-50", Ok(Some((5, 9))));
        check("bytes=10-", Err(()));
        check("bytes=5-2", Err(()));
        check("bytes=5000-10000", Err(()));
        check("bytes=-0", Err(()));
        check("bytes=x-", Ok(None));
        check("bytes=a-b", Ok(None));
        check("bytes=0-1,3-4", Ok(None));
        check("items=0-1", Ok(None));
    }

    #[test]
    fn a_content_range_has_a_first_and_a_last_byte_in_order() {
        let check = |text: &str, accepted: bool| {
            assert_eq!(announced_range(text).is_ok(), accepted, "{text}");
        };
        check("0-0", true);
        check("5-10", true);
        check("bytes 5-10/20", true);
        check("10-5", false);
        check("5", false);
        check("-5", false);
        check("a-b", false);
        check("", false);
        check("0-18446744073709551615", false);
    }
}
