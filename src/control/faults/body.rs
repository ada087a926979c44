//! The body of a fault.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::target::Target;
use super::{
    KEYS, LEAST_STATUS, MAX_CALLER, MAX_CODE, MAX_DELAY, MAX_RETRY_AFTER, MAX_TIMES, MOST_STATUS,
    RETRIABLE,
};
use crate::error::{Error, Result};
use crate::faults::{Chance, FaultAction, InjectedFault, Narrowing, PlannedFault};
use crate::http::Operation;
use crate::image::Digest;
use crate::json::JsonObject;
use crate::namespace::NamespaceName;
use crate::nearest::unknown;
use crate::repository::RepositoryName;
use crate::tag::TagName;

/// Reads the body of a fault.
pub(crate) fn parse(body: &JsonObject, operations: &[Operation]) -> Result<PlannedFault> {
    // A key that is misspelt would make a fault that does something else than it says.
    if let Some(name) = body.names().find(|name| !KEYS.contains(name)) {
        return Err(Error::invalid(name.to_owned(), unknown(name, &KEYS)));
    }
    let target = Target::parse(body.string("operation")?, operations)?;
    let action = action(body, target)?;
    let delay = whole(body, "delay_ms", 0, MAX_DELAY)?.unwrap_or(0);
    if action == FaultAction::Continue && delay == 0 {
        let rule = "is mandatory unless cut, cut_after_bytes or delay_ms is given";
        return Err(Error::invalid("status", rule));
    }
    let narrowed = |name: &'static str| {
        let text = body.optional_string(name)?;
        if text.is_some() && !target.tells(name) {
            let rule = format!(
                "cannot be used with {}, whose requests have none",
                target.name()
            );
            return Err(Error::invalid(name, rule));
        }
        Ok(text)
    };
    let only = Narrowing {
        namespace: narrowed("namespace")?
            .map(NamespaceName::parse)
            .transpose()?
            .map(|name| name.to_string()),
        repository: narrowed("repository")?
            .map(RepositoryName::parse)
            .transpose()?
            .map(|name| name.to_string()),
        tag: narrowed("tag")?
            .map(|text| TagName::parse_field("tag", text))
            .transpose()?
            .map(|name| name.as_str().to_owned()),
        digest: narrowed("digest")?
            .map(checked_digest)
            .transpose()?
            .map(|digest| digest.to_string()),
        caller: narrowed("caller")?.map(checked_caller).transpose()?,
    };
    Ok(PlannedFault {
        operation: target.name(),
        only,
        effect: InjectedFault {
            delay: Duration::from_millis(delay),
            action,
        },
        times: whole(body, "times", 1, MAX_TIMES)?,
        chance: chance(body)?,
        applied: 0,
    })
}

fn action(body: &JsonObject, target: Target) -> Result<FaultAction> {
    let cut = body.optional_boolean("cut")?.unwrap_or(false);
    let cut_after = whole(body, "cut_after_bytes", 0, u32::MAX)?;
    let status = whole(body, "status", LEAST_STATUS, MOST_STATUS)?;
    let code = body.optional_string("code")?;
    let retry_after_s = whole(body, "retry_after_s", 0, MAX_RETRY_AFTER)?;
    let refused = |field, rule: &str| Err(Error::invalid(field, rule.to_owned()));
    if let Some(bytes) = cut_after {
        if !target.moves_bytes() {
            let rule = "can only be used with GetBlob, StartUpload, AppendUpload and \
                        FinishUpload, which transfer blobs";
            return refused("cut_after_bytes", rule);
        }
        if cut {
            return refused("cut", "cannot be used with cut_after_bytes");
        }
        if status.is_some() {
            return refused("status", "cannot be used with cut_after_bytes");
        }
        if code.is_some() {
            return refused("code", "cannot be used without status");
        }
        if retry_after_s.is_some() {
            return refused(
                "retry_after_s",
                "must be omitted unless status is 429 or 503",
            );
        }
        return Ok(FaultAction::DisconnectAfter(bytes));
    }
    if cut && status.is_some() {
        let rule = "must be omitted when cut is true: no response is sent";
        return refused("status", rule);
    }
    let status = status
        .map(u32::try_from)
        .transpose()
        .map_err(Error::internal)?;
    if retry_after_s.is_some() && !status.is_some_and(|status| RETRIABLE.contains(&status)) {
        return refused(
            "retry_after_s",
            "must be omitted unless status is 429 or 503",
        );
    }
    let Some(status) = status else {
        if code.is_some() {
            return refused("code", "cannot be used without status");
        }
        return Ok(if cut {
            FaultAction::Disconnect
        } else {
            FaultAction::Continue
        });
    };
    let code = match code {
        Some(code) => checked_code(code)?,
        None => target.code(status),
    };
    let number = u16::try_from(status).map_err(Error::internal)?;
    Ok(FaultAction::Respond {
        status: StatusCode::from_u16(number).map_err(Error::internal)?,
        code: code.into(),
        retry_after_s: retry_after_s
            .map(u32::try_from)
            .transpose()
            .map_err(Error::internal)?,
    })
}

fn checked_digest(text: &str) -> Result<Digest> {
    Digest::parse(text).map_err(|error| Error::invalid("digest", error.to_string()))
}

fn checked_caller(name: &str) -> Result<String> {
    if (1..=MAX_CALLER).contains(&name.chars().count()) {
        return Ok(name.to_owned());
    }
    let rule = format!("must have 1 to {MAX_CALLER} characters");
    Err(Error::invalid("caller", rule))
}

fn checked_code(code: &str) -> Result<&str> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=MAX_CODE).contains(&code.len()) && code.bytes().all(legal) {
        return Ok(code);
    }
    let rule = format!("must have 1 to {MAX_CODE} letters, digits, dots, hyphens and underscores");
    Err(Error::invalid("code", rule))
}

fn chance(body: &JsonObject) -> Result<Option<Chance>> {
    let seed = whole(body, "seed", 0, u32::MAX)?;
    let Some(probability) = body.value("probability").filter(|value| !value.is_null()) else {
        return match seed {
            Some(_) => Err(Error::invalid("seed", "cannot be used without probability")),
            None => Ok(None),
        };
    };
    let probability = probability.as_f64();
    let probability = probability.filter(|probability| (0.0..=1.0).contains(probability));
    let probability =
        probability.ok_or_else(|| Error::invalid("probability", "must be a number from 0 to 1"))?;
    let seed = match seed {
        Some(seed) => seed,
        // Shown in the list, so that this run can be repeated too.
        None => getrandom::u32().map_err(Error::internal)?.into(),
    };
    Ok(Some(Chance::new(probability, seed)))
}

/// An optional whole number; null is the same as absent.
fn whole(body: &JsonObject, name: &'static str, least: u32, most: u32) -> Result<Option<u64>> {
    let allowed = u64::from(least)..=u64::from(most);
    match body.value(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_u64();
            let number = number.filter(|number| allowed.contains(number));
            let rule = || format!("must be a whole number from {least} to {most}");
            number.map(Some).ok_or_else(|| Error::invalid(name, rule()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use axum::body::Body;
    use http::{Method, Request};
    use serde_json::json;

    use super::*;
    use crate::app::{App, Routes};
    use crate::auth::BUILTIN_TOKEN;
    use crate::control::faults::schema::schema;
    use crate::http::OperationDoc;

    fn parse(body: &Value) -> Result<PlannedFault, String> {
        let body = JsonObject::parse(body.to_string().as_bytes()).expect("an object");
        super::parse(&body, crate::emulator::routes().operations())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_document_says_of_a_fault_is_what_is_taken() {
        let schema = schema(crate::emulator::routes().operations());
        let schema = jsonschema::draft202012::new(schema.as_value()).expect("a schema");
        let narrow = json!({"namespace": "group"});
        let narrower = json!({"namespace": "group", "repository": "busybox"});
        let only_repository = json!({"repository": "busybox"});
        let mut seen = [0, 0];
        for operation in [
            "CreateTrigger",
            "ShowNamespace",
            "ListQuotas",
            "EmulatorIdle",
            "PutManifest",
            "GetBlob",
            "ListTags",
        ] {
            for place in [
                &json!({}),
                &narrow,
                &narrower,
                &only_repository,
                &json!({"tag": "v1"}),
                &json!({"digest": format!("sha256:{}", "0".repeat(64))}),
                &json!({"caller": "admin"}),
                &json!({"caller": ""}),
            ] {
                for effect in [
                    json!({}),
                    json!({"status": 500}),
                    json!({"status": 399}),
                    json!({"status": 500, "code": "A.1"}),
                    json!({"status": 500, "code": "ä"}),
                    json!({"code": "A.1"}),
                    json!({"cut": true}),
                    json!({"cut": true, "status": 500}),
                    json!({"delay_ms": 0}),
                    json!({"delay_ms": 1}),
                    json!({"delay_ms": 1, "cut": true}),
                    json!({"delay_ms": 600_001}),
                    json!({"status": 429, "retry_after_s": 7}),
                    json!({"status": 500, "retry_after_s": 7}),
                    json!({"cut": true, "retry_after_s": 7}),
                    json!({"cut_after_bytes": 7}),
                    json!({"cut_after_bytes": 7, "cut": true}),
                    json!({"cut_after_bytes": 7, "status": 500}),
                    json!({"cut_after_bytes": 7, "delay_ms": 1}),
                    json!({"cut_after_bytes": -1}),
                ] {
                    for chance in [
                        json!({}),
                        json!({"probability": 0.5, "times": 1}),
                        json!({"probability": 1, "seed": 7}),
                        json!({"probability": 1.5}),
                        json!({"seed": 7}),
                        json!({"unknown": 1}),
                    ] {
                        let mut body = json!({ "operation": operation });
                        let fields = body.as_object_mut().expect("an object");
                        for part in [place, &effect, &chance] {
                            fields.extend(part.as_object().expect("an object").clone());
                        }
                        let taken = parse(&body);
                        assert_eq!(schema.is_valid(&body), taken.is_ok(), "{body} {taken:?}");
                        seen[usize::from(taken.is_ok())] += 1;
                    }
                }
            }
        }
        assert!(seen[0] > 100 && seen[1] > 100, "{seen:?}");
    }

    #[test]
    fn no_two_operations_have_the_same_name() {
        let routes = crate::emulator::routes();
        let mut names = HashSet::new();
        for operation in routes.operations() {
            assert!(names.insert(operation.name), "{}", operation.name);
        }
    }

    #[test]
    fn a_fault_that_breaks_a_rule_is_refused_by_field_and_rule() {
        let check = |change: Value, expected: &str| {
            let mut body = json!({"operation": "CreateTrigger", "status": 500});
            for (key, value) in change.as_object().expect("an object") {
                body[key] = value.clone();
            }
            assert_eq!(parse(&body).expect_err("refused"), expected);
        };
        let name = "operation: is unknown; did you mean CreateTrigger?";
        check(json!({"operation": "createTrigger"}), name);
        check(json!({"operation": "CreateTriger"}), name);
        let name = "operation: is unknown; did you mean PutManifest?";
        check(json!({"operation": "PutManifests"}), name);
        let name = "operation: must name an operation, like CreateTrigger or PutManifest";
        check(json!({"operation": "x"}), name);
        check(json!({"operation": null}), "operation: must not be null");
        let own = "operation: must not be an operation under /_emulator/; faults do not apply to \
                   these";
        check(json!({"operation": "EmulatorReset"}), own);
        check(json!({"operation": "EmulatorDeleteFaults"}), own);
        let status = "status: must be a whole number from 400 to 599";
        for value in [json!(200), json!(399), json!(600), json!("500"), json!(-1)] {
            check(json!({ "status": value }), status);
        }
        let none = "status: is mandatory unless cut, cut_after_bytes or delay_ms is given";
        check(json!({"status": null}), none);
        check(json!({"status": null, "cut": false, "delay_ms": 0}), none);
        check(
            json!({"cut": true}),
            "status: must be omitted when cut is true: no response is sent",
        );
        check(json!({"cut": 1}), "cut: must be true or false");
        let code = "code: cannot be used without status";
        check(json!({"status": null, "code": "X", "delay_ms": 1}), code);
        let code = "code: must have 1 to 64 letters, digits, dots, hyphens and underscores";
        for value in ["", "a b", "\u{e4}", &"x".repeat(65)] {
            check(json!({ "code": value }), code);
        }
        let times = "times: must be a whole number from 1 to 1000000";
        check(json!({"times": 0}), times);
        check(json!({"times": 1.5}), times);
        let delay = "delay_ms: must be a whole number from 0 to 600000";
        check(json!({"delay_ms": 600_001}), delay);
        let probability = "probability: must be a number from 0 to 1";
        for value in [json!(-0.1), json!(1.1), json!("1")] {
            check(json!({ "probability": value }), probability);
        }
        let seed = "seed: cannot be used without probability";
        check(json!({"seed": 1}), seed);
        let seed = "seed: must be a whole number from 0 to 4294967295";
        check(json!({"probability": 1, "seed": -1}), seed);
        let unusable = "cannot be used with CreateNamespace, whose requests have none";
        let create = json!({"operation": "CreateNamespace", "namespace": "group"});
        check(create, &format!("namespace: {unusable}"));
        let create = json!({"operation": "CreateNamespace", "repository": "busybox"});
        check(create, &format!("repository: {unusable}"));
        check(
            json!({"namespace": "library"}),
            "namespace: must not be library or manage, which are reserved",
        );
        let error = parse(&json!({"operation": "CreateTrigger", "delay": 1})).expect_err("refused");
        assert_eq!(error, "delay: is unknown; did you mean delay_ms?");
        let later = "retry_after_s: must be omitted unless status is 429 or 503";
        check(json!({"retry_after_s": 1}), later);
        check(
            json!({"status": null, "cut": true, "retry_after_s": 1}),
            later,
        );
        let later = "retry_after_s: must be a whole number from 0 to 3600";
        check(json!({"status": 429, "retry_after_s": 3601}), later);
        let middle = "cut_after_bytes: can only be used with GetBlob, StartUpload, AppendUpload \
                      and FinishUpload, which transfer blobs";
        check(json!({"status": null, "cut_after_bytes": 1}), middle);
        let blob = json!({"operation": "GetBlob", "cut_after_bytes": 1});
        let status = "status: cannot be used with cut_after_bytes";
        check(blob, status);
        let token = json!({"operation": "RegistryToken", "caller": "admin"});
        let unusable = "caller: cannot be used with RegistryToken, whose requests have none";
        check(token, unusable);
        let digest = json!({"operation": "GetBlob", "digest": "sha256:x"});
        let rule = "digest: a digest must be sha256: or sha512: followed by lower-case hex digits";
        check(digest, rule);
        check(
            json!({"operation": "ListTags", "tag": "v1"}),
            "tag: cannot be used with ListTags, whose requests have none",
        );
        check(
            json!({"caller": ""}),
            "caller: must have 1 to 255 characters",
        );
    }

    #[test]
    fn the_code_of_a_status_is_the_operations_where_it_fails_and_the_references_else() {
        let check = |operation: &str, status: u16, expected: &str| {
            let fault = parse(&json!({"operation": operation, "status": status})).expect("legal");
            let FaultAction::Respond { code, .. } = fault.effect.action else {
                panic!("{operation} is not refused");
            };
            assert_eq!(&*code, expected, "{operation} {status}");
        };
        check("CreateTrigger", 500, "SVCSTG.SWR.5000046");
        check("ListTriggersDetails", 503, "SVCSTG.SWR.5000008");
        check("CreateTrigger", 400, "SVCSTG.SWR.4000014");
        check("CreateTrigger", 401, "APIGW.0301");
        check("CreateTrigger", 403, "SVCSTG.SWR.4030170");
        check("CreateTrigger", 429, "APIGW.0308");
        check("RegistryToken", 500, "UNKNOWN");
        check("RegistryToken", 429, "TOOMANYREQUESTS");
        check("PutManifest", 429, "TOOMANYREQUESTS");
        check("PutManifest", 503, "UNAVAILABLE");
        check("GetBlob", 500, "UNKNOWN");
    }

    #[tokio::test]
    async fn a_delay_does_not_count_towards_the_deadline_of_its_request() {
        let (app, _folder) = App::seeded("").await;
        let app = std::sync::Arc::new(app);
        let delayed = json!({"operation": "CreateTrigger", "delay_ms": MAX_DELAY});
        let delayed = parse(&delayed).expect("legal");
        app.faults.add(delayed).expect("there is room");
        let operation = Operation::new("CreateTrigger", Method::POST, "/x");
        assert!(operation.deadline < Duration::from_millis(MAX_DELAY.into()));
        // One that is ready at once would never be asked for its deadline.
        let handler = async || {
            tokio::task::yield_now().await;
            StatusCode::CREATED
        };
        let routes = Routes::of("").route(operation, handler, || OperationDoc::new(""));
        let edge = crate::edge::Edge::new(routes, app);
        let request = Request::post("/x").header("X-Auth-Token", BUILTIN_TOKEN);
        let request = request.body(Body::empty()).expect("a legal request");
        tokio::time::pause();

        let response = edge.serve(request).await;

        assert_eq!(response.status(), StatusCode::CREATED);
    }
}
