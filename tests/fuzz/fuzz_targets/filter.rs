//! Query strings: a filter gives keys that the list knows and nothing else, and what is read from
//! it is within its bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use swr_emulator::internal::Query;

const KEYS: [&str; 7] = [
    "namespace",
    "name",
    "is_public",
    "limit",
    "offset",
    "order_column",
    "order_type",
];

fuzz_target!(|text: &[u8]| {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let query = Query::parse(text);
    let Ok(criteria) = query.criteria(&KEYS) else {
        return;
    };

    let decoded = text.replace("%3A", ":").replace("%7C", "|");
    for word in decoded.split(|letter| "&=:|".contains(letter)) {
        let is_known = KEYS.contains(&word);
        let value = criteria.get(word);
        assert!(
            is_known || !criteria.filtered || value.is_none(),
            "{word:?}"
        );
        assert_ne!(value, Some(""));
        if !criteria.filtered {
            assert_eq!(value, query.get(word));
        }
    }
    if let Ok(page) = criteria.page() {
        assert!((1..=1000).contains(&page.limit), "{page:?}");
        assert!(page.offset >= 0, "{page:?}");
    }
    if let Ok(Some(number)) = criteria.number("offset") {
        assert!(number >= 0, "{number}");
    }
    if let Ok(Some((column, _))) = criteria.order(&[("name", "name"), ("updated_at", "updated_at")])
    {
        assert_eq!(criteria.get("order_column"), Some(column));
    }
    if let Ok(Some(value)) = criteria.boolean("is_public") {
        assert_eq!(
            criteria.get("is_public"),
            Some(if value { "true" } else { "false" })
        );
    }
});
