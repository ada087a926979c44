//! Query parameters: paging, `filter` and order, the same for every list (API reference, paging).

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::error::{Error, Fault, Result};
use crate::excerpt::excerpt;
use crate::nearest::unknown;
use crate::page::{Page, SortOrder};

/// The most entries that a page may have, and how many it has when nothing is said.
pub(super) const MAX_LIMIT: u32 = 1000;
pub(super) const DEFAULT_LIMIT: u32 = 100;

/// How many characters of a parameter's name that nobody knows are repeated.
const MAX_NAME: usize = 64;

/// The query string of a request. Where a name comes twice, the first one counts; an empty value
/// is the same as none.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    /// Reads a query string, without `?`. There is none that cannot be read.
    pub fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.raw(name).filter(|value| !value.is_empty())
    }

    /// Refuses parameters that are not among those that are known.
    pub(crate) fn knows_only(&self, known: &[&'static str]) -> Result<()> {
        let mut names = self.0.iter().map(|(name, _)| name.as_str());
        match names.find(|name| !known.contains(name)) {
            None => Ok(()),
            Some(name) => {
                let field = excerpt(name, MAX_NAME).into_owned();
                Err(Error::fault(Fault::Query, field, unknown(name, known)))
            }
        }
    }

    /// The separate parameters, for lists that have no `filter`.
    pub fn parameters(&self) -> QueryParams<'_> {
        let pairs = self.0.iter();
        QueryParams {
            filtered: false,
            pairs: pairs
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect(),
        }
    }

    fn raw(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    /// What a list is narrowed by: the pairs of `filter` if it is there, else the separate
    /// parameters, which `filter` displaces. `keys` are the ones that the list knows.
    pub fn criteria<'a>(&'a self, keys: &[&'static str]) -> Result<QueryParams<'a>> {
        let Some(filter) = self.raw("filter") else {
            return Ok(self.parameters());
        };
        let wrong = |rule: String| Error::fault(Fault::Filter, "filter", rule);
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for pair in filter.split('|') {
            let (key, value) = pair
                .split_once("::")
                .ok_or_else(|| wrong("must be key::value pairs joined by |".to_owned()))?;
            if !keys.contains(&key) {
                return Err(wrong(format!(
                    "has an unknown key; must be one of {}",
                    keys.join(", ")
                )));
            }
            if pairs.iter().any(|(known, _)| *known == key) {
                return Err(wrong(format!("must not contain {key} twice")));
            }
            pairs.push((key, value));
        }
        Ok(QueryParams {
            filtered: true,
            pairs,
        })
    }
}

/// What narrows a list.
#[derive(Debug)]
pub struct QueryParams<'a> {
    /// Whether they come from `filter`.
    pub filtered: bool,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> QueryParams<'a> {
    /// The value of a key; empty is the same as absent.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.pairs
            .iter()
            .find_map(|(known, value)| (*known == key).then_some(*value))
            .filter(|value| !value.is_empty())
    }

    /// The value of a key that has to be there.
    pub fn mandatory(&self, key: &'static str) -> Result<&'a str> {
        let missing = || Error::fault(Fault::Query, key, "is mandatory");
        self.get(key).ok_or_else(missing)
    }

    /// `true` or `false` under a key.
    pub fn boolean(&self, key: &'static str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Error::fault(Fault::Query, key, "must be true or false")),
        }
    }

    /// `limit`: 1 to 1000, 100 when absent.
    pub fn limit(&self) -> Result<u32> {
        self.limit_within(DEFAULT_LIMIT, MAX_LIMIT)
    }

    /// `limit` of a list whose pages are smaller than those of others.
    pub fn limit_within(&self, default: u32, most: u32) -> Result<u32> {
        let Some(text) = self.get("limit") else {
            return Ok(default);
        };
        text.parse()
            .ok()
            .filter(|limit| (1..=most).contains(limit))
            .ok_or_else(|| {
                let rule = format!("must be a whole number from 1 to {most}");
                Error::fault(Fault::Page, "limit", rule)
            })
    }

    /// A number of 0 or more under a key: `offset`, `marker`.
    pub fn number(&self, key: &'static str) -> Result<Option<i64>> {
        let Some(text) = self.get(key) else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| *number >= 0);
        let rule = "must be a whole number of 0 or more";
        number
            .ok_or_else(|| Error::fault(Fault::Page, key, rule))
            .map(Some)
    }

    /// `limit` and `offset`.
    pub fn page(&self) -> Result<Page> {
        Ok(Page {
            limit: self.limit()?,
            offset: self.number("offset")?.unwrap_or(0),
        })
    }

    /// `order_column`, one of `columns`, and `order_type`.
    pub fn order<C: Copy>(&self, columns: &[(&str, C)]) -> Result<Option<(C, SortOrder)>> {
        let order = match self.get("order_type") {
            None | Some("asc") => SortOrder::Ascending,
            Some("desc") => SortOrder::Descending,
            Some(_) => {
                return Err(Error::fault(
                    Fault::Order,
                    "order_type",
                    "must be asc or desc",
                ));
            }
        };
        let Some(name) = self.get("order_column") else {
            return Ok(None);
        };
        let column = columns.iter().find(|(known, _)| *known == name);
        match column {
            Some((_, column)) => Ok(Some((*column, order))),
            None => {
                let known: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
                let rule = format!("must be one of {}", known.join(", "));
                Err(Error::fault(Fault::Order, "order_column", rule))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_defaults_to_the_first_hundred() {
        let check = |text: &str, expected: Option<(u32, i64)>| {
            let query = Query::parse(text);
            let page = query.criteria(&["limit", "offset"]).and_then(|c| c.page());
            let expected = expected.map(|(limit, offset)| Page { limit, offset });
            assert_eq!(page.ok(), expected, "{text}");
        };
        check("", Some((100, 0)));
        check("limit=1000", Some((1000, 0)));
        check("offset=7", Some((100, 7)));
        check("limit=10&offset=20", Some((10, 20)));
        check("limit=&offset=", Some((100, 0)));
        check("limit=0", None);
        check("limit=1001", None);
        check("limit=x", None);
        check("limit=-1", None);
        check("offset=-1", None);
        check("offset=99999999999999999999", None);
        check("filter=limit::10|offset::20", Some((10, 20)));
        check("filter=limit::10&offset=20", Some((10, 0)));
    }

    #[test]
    fn a_filter_holds_known_pairs_once_each() {
        let check = |text: &str, expected: Option<&str>| {
            let query = Query::parse(text);
            let criteria = query.criteria(&["namespace", "name"]);
            let found = criteria
                .as_ref()
                .ok()
                .and_then(|criteria| criteria.get("name"));
            assert_eq!(criteria.is_ok(), expected.is_some(), "{text}");
            assert_eq!(found, expected.filter(|name| !name.is_empty()), "{text}");
        };
        check("filter=name::a", Some("a"));
        check("filter=namespace::g|name::a/b", Some("a/b"));
        check("filter=name::", Some(""));
        check("filter=name::a&name=b", Some("a"));
        check("name=b", Some("b"));
        check("filter=", None);
        check("filter=name", None);
        check("filter=name:a", None);
        check("filter=nonsense::a", None);
        check("filter=name::a|name::b", None);
        check("filter=name::a|", None);
    }
}
