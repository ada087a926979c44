//! Signed requests: a signature holds for one key and one request, and a refusal shows no secret.
//!
//! The input is a request as HTTP/1 writes it, without the version and with bare line feeds.

#![no_main]

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use swr_emulator::internal::{Authorization, SignedRequest};

/// The key and the time of `tests/aksk-vectors.json`, from which the seeds are taken.
const SECRET_KEY: &str = "EXAMPLESKNotARealSecretEXAMPLESK00000001";
static NOW: LazyLock<Timestamp> = LazyLock::new(|| "2026-01-02T03:04:05Z".parse().expect("a time"));

/// The value of headers that must not be shown.
const HIDDEN: &str = "ThisMustNotBeShown";

fuzz_target!(|request: &[u8]| {
    let end = request.windows(2).position(|window| window == b"\n\n");
    let (head, body) = end.map_or((request, &b""[..]), |end| {
        (&request[..end], &request[end + 2..])
    });
    let Ok(head) = std::str::from_utf8(head) else {
        return;
    };
    let mut lines = head.lines();
    let (method, target) = lines
        .next()
        .and_then(|line| line.split_once(' '))
        .unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value.trim());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let text = headers
        .get("authorization")
        .and_then(|text| text.to_str().ok());
    let Some(Ok(authorization)) = text.map(Authorization::parse) else {
        return;
    };
    for name in ["cookie", "x-auth-token", "x-security-token"] {
        if !headers.contains_key(name) {
            headers.insert(name, HeaderValue::from_static(HIDDEN));
        }
    }

    let verdict = |secret_key: &str, method: &str, body: &[u8]| {
        let (headers, now) = (&headers, *NOW);
        let request = SignedRequest {
            method,
            path,
            query,
            headers,
            body,
        };
        authorization.verify(&request, secret_key, now)
    };
    let Err(refusal) = verdict(SECRET_KEY, method, body) else {
        assert!(verdict("", method, body).is_err(), "an empty key signs too");
        assert!(
            verdict("another", method, body).is_err(),
            "another key signs too"
        );
        let other = format!("{method}X");
        assert!(
            verdict(SECRET_KEY, &other, body).is_err(),
            "another method is signed too"
        );
        let other = [body, b"X"].concat();
        let unsigned = headers
            .get("x-sdk-content-sha256")
            .is_some_and(|hash| hash == "UNSIGNED-PAYLOAD");
        assert!(
            unsigned || verdict(SECRET_KEY, method, &other).is_err(),
            "another body is signed too"
        );
        return;
    };
    assert!(!refusal.contains('\n'), "{refusal:?}");
    assert!(
        head.contains(HIDDEN) || !refusal.contains(HIDDEN),
        "{refusal:?}"
    );
});
