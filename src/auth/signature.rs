//! AK/SK request signatures: `SDK-HMAC-SHA256`, its older scoped form, and `V11-HMAC-SHA256`.
//!
//! Pure: a request, a secret key and a time in, a verdict out. Who owns an access key is looked
//! up elsewhere. Source of the rules: the API signing guide; every official client's own signer
//! is in the tests.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write as _;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::excerpt::excerpt;

/// How far `X-Sdk-Date` may be from the clock, either way.
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(15);

/// All but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// How many characters are repeated of what a client made up, and of its canonical request.
const MAX_WORD: usize = 64;
const MAX_CANONICAL: usize = 4096;

/// Signed headers whose values are secrets; the answer to a wrong signature does not repeat them.
const SECRET_HEADERS: [&str; 4] = [
    "authorization",
    "cookie",
    "x-auth-token",
    "x-security-token",
];

/// The header `Authorization` of a signed request.
#[derive(Debug, PartialEq, Eq)]
pub struct Authorization {
    scheme: Scheme,
    access_key: String,
    signed_headers: Vec<String>,
    signature: String,
}

/// How the signing key and the string to sign are made.
#[derive(Debug, PartialEq, Eq)]
enum Scheme {
    /// `SDK-HMAC-SHA256 Access=…`: the secret key itself.
    Plain,
    /// `SDK-HMAC-SHA256 Credential=AK/date/region/service/sdk_request`: a chain of keys.
    Scoped {
        date: String,
        region: String,
        service: String,
    },
    /// `V11-HMAC-SHA256 Credential=AK/date/region/service`: an HKDF key.
    Derived { info: String },
}

/// What was signed, as it arrived.
#[derive(Debug)]
pub struct SignedRequest<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path as on the wire, percent-encoded.
    pub path: &'a str,
    /// The query as on the wire, without `?`.
    pub query: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The raw body.
    pub body: &'a [u8],
}

impl Authorization {
    /// Reads the header's value; an error is the text of the refusal.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (algorithm, fields) = text
            .split_once(' ')
            .ok_or("the Authorization header has no algorithm")?;
        let field = |name: &str| {
            fields.split(',').find_map(|field| {
                let (key, value) = field.trim().split_once('=')?;
                (key == name && !value.is_empty()).then_some(value)
            })
        };
        let missing = |name| format!("the Authorization header has no {name}");
        let (scheme, access_key) = match algorithm {
            "SDK-HMAC-SHA256" => match (field("Access"), field("Credential")) {
                (Some(access_key), _) => (Scheme::Plain, access_key),
                (None, Some(credential)) => scoped(credential)?,
                (None, None) => return Err(missing("Access")),
            },
            "V11-HMAC-SHA256" => {
                let credential = field("Credential").ok_or_else(|| missing("Credential"))?;
                let (access_key, info) = credential
                    .split_once('/')
                    .ok_or("Credential must be AK/date/region/service")?;
                let info = info.to_owned();
                (Scheme::Derived { info }, access_key)
            }
            _ => {
                return Err(format!(
                    "the algorithm {} is not supported; use SDK-HMAC-SHA256",
                    excerpt(algorithm, MAX_WORD)
                ));
            }
        };
        let signed_headers = field("SignedHeaders").ok_or_else(|| missing("SignedHeaders"))?;
        let signature = field("Signature").ok_or_else(|| missing("Signature"))?;
        Ok(Self {
            scheme,
            access_key: access_key.to_owned(),
            signed_headers: distinct(signed_headers)?,
            signature: signature.to_owned(),
        })
    }

    /// The access key (AK) that claims to have signed.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// Checks what can be checked without the body: the date, and that what is signed is there; an
    /// error is the text of the refusal.
    pub fn check_head(&self, headers: &HeaderMap, now: Timestamp) -> Result<(), String> {
        check_date(date(headers)?, now)?;
        let mut names = self.signed_headers.iter();
        match names.find(|name| !headers.contains_key(name.as_str())) {
            None => Ok(()),
            Some(name) => Err(missing_header(name)),
        }
    }

    /// Checks date and signature; an error is the text of the refusal.
    pub fn verify(
        &self,
        request: &SignedRequest<'_>,
        secret_key: &str,
        now: Timestamp,
    ) -> Result<(), String> {
        let date = date(request.headers)?;
        check_date(date, now)?;
        let payloads = payloads(request)?;
        let mut matched = false;
        for payload in &payloads {
            let canonical = self.canonical_request(request, payload, &|_, value| value)?;
            let expected = self.sign(secret_key, date, &canonical);
            // No early end: each candidate takes the same time.
            matched |= bool::from(expected.as_bytes().ct_eq(self.signature.as_bytes()));
        }
        if matched {
            return Ok(());
        }
        let shown = self.canonical_request(request, &payloads[0], &|name, value| {
            // The client chose the case of the name.
            if SECRET_HEADERS
                .iter()
                .any(|secret| name.eq_ignore_ascii_case(secret))
            {
                Cow::Borrowed("***")
            } else {
                value
            }
        })?;
        let shown = String::from_utf8_lossy(&shown).replace('\n', "|");
        Err(format!(
            "verify aksk signature fail, canonicalRequest:{}",
            excerpt(&shown, MAX_CANONICAL)
        ))
    }

    fn canonical_request(
        &self,
        request: &SignedRequest<'_>,
        payload: &str,
        show: &dyn for<'v> Fn(&str, Cow<'v, str>) -> Cow<'v, str>,
    ) -> Result<Vec<u8>, String> {
        let mut query = canonical_query(request.query);
        let mut payload = Cow::Borrowed(payload);
        // The scoped form's signer moves the query of a POST without a body into the payload.
        let moved = matches!(self.scheme, Scheme::Scoped { .. })
            && request.method == "POST"
            && request.body.is_empty();
        if moved {
            payload = Cow::Owned(hex::encode(Sha256::digest(&query)));
            query.clear();
        }
        let mut text = Vec::with_capacity(512);
        for part in [request.method, &canonical_path(request.path), &query] {
            text.extend_from_slice(part.as_bytes());
            text.push(b'\n');
        }
        for name in &self.signed_headers {
            let mut values: Vec<_> = request
                .headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes().trim_ascii()))
                .collect();
            if values.is_empty() {
                return Err(missing_header(name));
            }
            values.sort_unstable();
            for value in values {
                text.extend_from_slice(name.as_bytes());
                text.push(b':');
                text.extend_from_slice(show(name, value).as_bytes());
                text.push(b'\n');
            }
        }
        text.push(b'\n');
        text.extend_from_slice(self.signed_headers.join(";").as_bytes());
        text.push(b'\n');
        text.extend_from_slice(payload.as_bytes());
        Ok(text)
    }

    fn sign(&self, secret_key: &str, date: &str, canonical: &[u8]) -> String {
        let hash = hex::encode(Sha256::digest(canonical));
        let signature = match &self.scheme {
            Scheme::Plain => hmac(
                secret_key.as_bytes(),
                &format!("SDK-HMAC-SHA256\n{date}\n{hash}"),
            ),
            Scheme::Scoped {
                date: day,
                region,
                service,
            } => {
                let mut key = hmac(format!("SDK{secret_key}").as_bytes(), day);
                for part in [region, service, "sdk_request"] {
                    key = hmac(&key, part);
                }
                let scope = format!("{day}/{region}/{service}/sdk_request");
                hmac(&key, &format!("SDK-HMAC-SHA256\n{date}\n{scope}\n{hash}"))
            }
            Scheme::Derived { info } => {
                let mut key = [0; 32];
                Hkdf::<Sha256>::new(Some(self.access_key.as_bytes()), secret_key.as_bytes())
                    .expand(info.as_bytes(), &mut key)
                    .expect("32 bytes are within what HKDF-SHA256 can give");
                let key = hex::encode(key);
                hmac(
                    key.as_bytes(),
                    &format!("V11-HMAC-SHA256\n{date}\n{info}\n{hash}"),
                )
            }
        };
        hex::encode(signature)
    }
}

fn scoped(credential: &str) -> Result<(Scheme, &str), String> {
    let parts: Vec<_> = credential.split('/').collect();
    let [access_key, date, region, service, "sdk_request"] = parts[..] else {
        return Err("Credential must be AK/date/region/service/sdk_request".to_owned());
    };
    let scheme = Scheme::Scoped {
        date: date.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
    };
    Ok((scheme, access_key))
}

fn date(headers: &HeaderMap) -> Result<&str, String> {
    let date = headers.get("x-sdk-date");
    let date = date.and_then(|date| date.to_str().ok());
    let missing = "verify aksk signature fail, the header X-Sdk-Date is missing";
    date.ok_or_else(|| missing.to_owned())
}

fn missing_header(name: &str) -> String {
    let name = excerpt(name, MAX_WORD);
    format!("verify aksk signature fail, the signed header {name} is missing")
}

/// The names in `SignedHeaders`, each of which comes once (API signing guide): with one that comes
/// a thousand times, its value would be signed a thousand times.
fn distinct(signed_headers: &str) -> Result<Vec<String>, String> {
    let mut known = HashSet::new();
    let names = signed_headers.split(';').map(|name| {
        if known.insert(name.to_ascii_lowercase()) {
            Ok(name.to_owned())
        } else {
            let name = excerpt(name, MAX_WORD);
            Err(format!("SignedHeaders lists {name} twice"))
        }
    });
    names.collect()
}

fn check_date(text: &str, now: Timestamp) -> Result<(), String> {
    let date = parse_date(text)
        .ok_or("verify aksk signature fail, the header X-Sdk-Date must be like 20060102T150405Z")?;
    if date.duration_since(now).abs() > MAX_SKEW {
        return Err(format!(
            "verify aksk signature fail, signature expired: X-Sdk-Date {text} is more than 15 minutes from {}",
            now.strftime("%Y%m%dT%H%M%SZ")
        ));
    }
    Ok(())
}

/// Reads `20060102T150405Z`, and nothing that looks different.
fn parse_date(text: &str) -> Option<Timestamp> {
    let shape_is_right = text.len() == 16
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    if !shape_is_right {
        return None;
    }
    let date = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    Offset::UTC.to_timestamp(date).ok()
}

/// The texts that may stand as the payload's hash; more than one only where clients disagree.
fn payloads(request: &SignedRequest<'_>) -> Result<Vec<String>, String> {
    let real = hex::encode(Sha256::digest(request.body));
    let Some(declared) = request.headers.get("x-sdk-content-sha256") else {
        return Ok(vec![real]);
    };
    match declared.to_str().unwrap_or_default() {
        // The Python SDK signs the hash of an empty body here, Go v3 the literal.
        UNSIGNED_PAYLOAD if request.body.is_empty() => Ok(vec![UNSIGNED_PAYLOAD.to_owned(), real]),
        UNSIGNED_PAYLOAD => Ok(vec![UNSIGNED_PAYLOAD.to_owned()]),
        declared if declared == real => Ok(vec![real]),
        _ => Err(
            "verify aksk signature fail, X-Sdk-Content-Sha256 is not the hash of the body"
                .to_owned(),
        ),
    }
}

/// Decoded as a whole, then split: a `%2F` counts as `/`, which is how the Python SDK signs it.
fn canonical_path(path: &str) -> String {
    let decoded: Vec<u8> = percent_decode(path.as_bytes()).collect();
    let mut canonical = String::with_capacity(path.len() + 1);
    for (at, segment) in decoded.split(|byte| *byte == b'/').enumerate() {
        if at > 0 {
            canonical.push('/');
        }
        // Writing to a String cannot fail.
        let _ = write!(canonical, "{}", percent_encode(segment, ENCODED));
    }
    if !canonical.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

fn canonical_query(query: &str) -> String {
    let decode = |text: &str| -> Vec<u8> {
        let spaced = text.replace('+', " ");
        percent_decode(spaced.as_bytes()).collect()
    };
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| {
            let name = percent_encode(name, ENCODED);
            format!("{name}={}", percent_encode(value, ENCODED))
        })
        .collect();
    pairs.join("&")
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vectors {
        vectors: Vec<Vector>,
        vectors_scoped: Vec<Vector>,
        clock: Vec<ClockCase>,
    }

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        ak: String,
        sk: String,
        date: String,
        method: String,
        path: String,
        query: String,
        headers: Vec<(String, String)>,
        body: String,
        accept: bool,
        canonical_request: Option<String>,
    }

    #[derive(Deserialize)]
    struct ClockCase {
        date: String,
        now: String,
        accept: bool,
    }

    fn vectors() -> Vectors {
        let text = include_str!("../../tests/aksk-vectors.json");
        serde_json::from_str(text).expect("the vectors are JSON")
    }

    fn verdict(vector: &Vector) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &vector.headers {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).expect("a header name"),
                HeaderValue::from_bytes(value.as_bytes()).expect("a header value"),
            );
        }
        let text = headers.get("authorization").expect("a signed request");
        let authorization = Authorization::parse(text.to_str().expect("ASCII"))?;
        assert_eq!(authorization.access_key(), vector.ak, "{}", vector.name);
        let request = SignedRequest {
            method: &vector.method,
            path: &vector.path,
            query: &vector.query,
            headers: &headers,
            body: vector.body.as_bytes(),
        };
        let now = parse_date(&vector.date).expect("a date");
        authorization.verify(&request, &vector.sk, now)
    }

    #[test]
    fn every_client_vector_gets_its_verdict() {
        let Vectors {
            vectors,
            vectors_scoped,
            ..
        } = vectors();
        let accepted = vectors.iter().filter(|vector| vector.accept).count();
        assert_eq!((vectors.len(), accepted, vectors_scoped.len()), (50, 39, 4));
        for vector in vectors.iter().chain(&vectors_scoped) {
            let verdict = verdict(vector);
            assert_eq!(
                verdict.is_ok(),
                vector.accept,
                "{}: {verdict:?}",
                vector.name
            );
        }
    }

    #[test]
    fn a_wrong_signature_is_answered_with_the_canonical_request_of_the_server() {
        let mut vector = vectors()
            .vectors
            .into_iter()
            .find(|vector| vector.name == "post-json")
            .expect("the vector is there");
        vector.sk.push('x');
        let expected = vector
            .canonical_request
            .as_ref()
            .expect("one of the client");
        let expected = expected.replace('\n', "|");

        let refusal = verdict(&vector).expect_err("refused");

        assert_eq!(
            refusal,
            format!("verify aksk signature fail, canonicalRequest:{expected}")
        );
    }

    #[test]
    fn a_refusal_does_not_repeat_a_security_token() {
        let mut vector = vectors()
            .vectors
            .into_iter()
            .find(|vector| vector.name == "security-token")
            .expect("the vector is there");
        let token = vector
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("x-security-token"))
            .map(|(_, value)| value.clone())
            .expect("a security token");
        vector.sk.push('x');

        let refusal = verdict(&vector).expect_err("refused");

        assert!(!refusal.contains(&token), "{refusal}");
        assert!(refusal.contains("x-security-token:***"), "{refusal}");
    }

    #[test]
    fn a_date_may_be_fifteen_minutes_off() {
        let cases = vectors().clock;
        assert_eq!(cases.len(), 8);
        for case in cases {
            let now = parse_date(&case.now).expect("a date");
            let verdict = check_date(&case.date, now);
            assert_eq!(
                verdict.is_ok(),
                case.accept,
                "{} at {}",
                case.date,
                case.now
            );
        }
    }

    #[test]
    fn a_refusal_shows_no_secret_header_in_whatever_case_it_is_signed() {
        for signed in ["x-auth-token", "X-Auth-Token"] {
            let headers = [
                ("x-auth-token", "hidden"),
                ("x-sdk-date", "20260102T030405Z"),
            ];
            let headers = headers.map(|(name, value)| {
                let name = HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            });
            let request = SignedRequest {
                method: "GET",
                path: "/",
                query: "",
                headers: &HeaderMap::from_iter(headers),
                body: b"",
            };
            let text = format!("SDK-HMAC-SHA256 Access=A, SignedHeaders={signed}, Signature=00");
            let authorization = Authorization::parse(&text).expect("well formed");
            let now = parse_date("20260102T030405Z").expect("a date");
            let refusal = authorization.verify(&request, "secret", now);
            let refusal = refusal.expect_err("refused");
            assert!(refusal.contains(&format!("{signed}:***")), "{refusal}");
            assert!(!refusal.contains("hidden"), "{refusal}");
        }
    }

    #[test]
    fn a_header_is_signed_once_in_whatever_case() {
        let check = |signed: &str, expected: Result<(), &str>| {
            let text = format!("SDK-HMAC-SHA256 Access=A, SignedHeaders={signed}, Signature=00");
            let parsed = Authorization::parse(&text).map(drop);
            assert_eq!(parsed, expected.map_err(str::to_owned), "{signed}");
        };
        check("host", Ok(()));
        check("host;x-sdk-date", Ok(()));
        check("host;host", Err("SignedHeaders lists host twice"));
        check(
            "Host;x-sdk-date;host",
            Err("SignedHeaders lists host twice"),
        );
        check(";", Err("SignedHeaders lists  twice"));
        let long = "h".repeat(30_000);
        let shown = format!("SignedHeaders lists {}… twice", "h".repeat(64));
        check(&format!("{long};{long}"), Err(&shown));
    }

    #[test]
    fn a_refusal_repeats_a_few_kilobytes_at_the_most() {
        let long = "x".repeat(60_000);
        let headers = HeaderMap::from_iter([
            (
                HeaderName::from_static("x-sdk-date"),
                HeaderValue::from_static("20260102T030405Z"),
            ),
            (
                HeaderName::from_static("x-long"),
                HeaderValue::from_str(&long).expect("a header value"),
            ),
        ]);
        let request = SignedRequest {
            method: "GET",
            path: "/",
            query: "",
            headers: &headers,
            body: b"",
        };
        let now = parse_date("20260102T030405Z").expect("a date");
        let refused = |authorization: &str| {
            let refusal = Authorization::parse(authorization)
                .and_then(|authorization| authorization.verify(&request, "secret", now));
            let refusal = refusal.expect_err("refused");
            assert!(refusal.len() < 5000, "{} bytes", refusal.len());
        };
        refused("SDK-HMAC-SHA256 Access=A, SignedHeaders=x-long, Signature=00");
        refused(&format!("{long} Access=A, SignedHeaders=x, Signature=00"));
        refused(&format!(
            "SDK-HMAC-SHA256 Access=A, SignedHeaders={long}, Signature=00"
        ));
    }

    #[test]
    fn a_declared_payload_hash_must_be_the_hash_of_the_body() {
        let mut vector = vectors()
            .vectors
            .into_iter()
            .find(|vector| vector.name == "post-json")
            .expect("the vector is there");
        let declare = |vector: &mut Vector, hash: String| {
            vector
                .headers
                .retain(|(name, _)| name != "X-Sdk-Content-Sha256");
            vector
                .headers
                .push(("X-Sdk-Content-Sha256".to_owned(), hash));
        };
        let hash = hex::encode(Sha256::digest(&vector.body));
        declare(&mut vector, hash);
        assert_eq!(verdict(&vector), Ok(()));
        declare(&mut vector, hex::encode(Sha256::digest("other")));
        assert!(verdict(&vector).is_err());
    }
}
