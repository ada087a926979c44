//! `/_emulator/clock`: the instance's time, shown and moved. [`crate::clock`] says which times it
//! moves.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;

use crate::app::{App, AppState, Routes};
use crate::auth::Controller;
use crate::clock::{Clock, Timestamp, parse_duration};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::http::{JsonResponse, OperationDoc};
use crate::json::JsonObject;
use crate::registry::token::store::RenewSigningKey;
use crate::retention;
use crate::schema::described;

const CLOCK: &str = "/_emulator/clock";

/// Why the clock stays where it is.
const OUT_OF_REACH: &str =
    "must result in a time from 1970-01-01 onwards, at most 100 years from the real time";

/// The operations of this file.
pub(super) fn routes() -> Routes {
    Routes::of("Emulator")
        .get("EmulatorShowClock", CLOCK, show, show_doc)
        .post("EmulatorMoveClock", CLOCK, change, change_doc)
        .with_recorded_body()
}

/// Some of the times of RFC 3339, all of which are understood and within the clock's reach.
pub(super) fn time_schema() -> Schema {
    let day = "20[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])";
    let time = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]";
    json_schema!({
        "type": "string",
        "pattern": format!("^{day}T{time}Z$"),
        "examples": ["2027-01-01T00:00:00Z"],
    })
}

fn show_doc() -> OperationDoc {
    OperationDoc::new("Shows the instance's time and the real one.")
        .answers::<ClockView>(StatusCode::OK)
}

async fn show(State(app): State<AppState>) -> Response {
    view(&app)
}

fn change_doc() -> OperationDoc {
    OperationDoc::new("Moves the instance's time.")
        .remarks("The clock can be set to 1970 or later, at most 100 years from the real time.")
        .takes(Move::schema())
        .answers::<ClockView>(StatusCode::OK)
        .needs_control()
}

/// Moves the clock in one of three ways. It is not kept over a restart.
async fn change(State(app): State<AppState>, _: Controller, body: JsonObject) -> Result<Response> {
    move_clock(&app, Move::parse(&body)?).await?;
    Ok(view(&app))
}

/// Moves the clock, and does what has become due by that.
pub(crate) async fn move_clock(app: &AppState, how: Move) -> Result<()> {
    let before = app.clock.now();
    match how {
        Move::Advance(by) => {
            if !app.clock.advance(by) {
                return Err(Error::invalid("advance", OUT_OF_REACH));
            }
        }
        Move::Set(moment) => {
            if !Clock::reaches(moment) {
                return Err(Error::invalid("set", OUT_OF_REACH));
            }
            app.clock.set(moment);
        }
        Move::Reset => app.clock.reset(),
    }
    let moved = Arc::clone(app);
    let follow = async move {
        let followed = time_has_moved(&moved, before).await;
        moved.events.publish(|| {
            let (real, ahead) = times(&moved);
            Event::Clock { real, ahead }
        });
        followed
    };
    // To its end, even where the client does not wait for it.
    tokio::spawn(follow).await.map_err(Error::internal)?
}

/// Does what has become due by a move of the clock, before the move is answered.
async fn time_has_moved(app: &App, before: Timestamp) -> Result<()> {
    if app.clock.now() < before {
        // Else what has expired would hold once more.
        app.db.write(RenewSigningKey).await?;
        app.registry.key.reload(app.db.lookups()).await?;
    }
    // First: what retention deletes now was there when these rollouts ended.
    app.engine.time_has_moved().await?;
    retention::run_due(&app.db, &app.clock, &app.matcher).await?;
    app.engine.wake();
    Ok(())
}

/// A way to move the clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Move {
    /// From where it is, ahead or back.
    Advance(SignedDuration),
    /// To a moment, from which it goes on.
    Set(Timestamp),
    /// To the real time.
    Reset,
}

impl Move {
    /// Reads a body with exactly one key.
    fn parse(body: &JsonObject) -> Result<Self> {
        let names: Vec<_> = body.names().collect();
        match names[..] {
            ["advance"] => match parse_duration(body.string("advance")?) {
                Some(by) => Ok(Self::Advance(by)),
                None => {
                    let rule = "must be a duration like 90s, 1h30m, 40d or -2w";
                    Err(Error::invalid("advance", rule))
                }
            },
            ["set"] => match body.string("set")?.parse::<jiff::Timestamp>() {
                Ok(time) => Ok(Self::Set(Timestamp::from_microseconds(
                    time.as_microsecond(),
                ))),
                Err(_) => {
                    let rule = "must be an RFC 3339 time, like 2027-01-01T00:00:00Z";
                    Err(Error::invalid("set", rule))
                }
            },
            ["reset"] => {
                if body.boolean("reset")? {
                    Ok(Self::Reset)
                } else {
                    Err(Error::invalid("reset", "must be true"))
                }
            }
            _ => {
                let rule = "must have exactly one of the keys advance, set and reset";
                Err(Error::invalid("body", rule))
            }
        }
    }

    /// The bodies that [`Self::parse`] takes.
    fn schema() -> Schema {
        let reset = json_schema!({"type": "boolean", "const": true});
        let absent = json_schema!({"not": {}});
        json_schema!({
            "type": "object",
            "properties": {
                "advance": {
                    "type": "string",
                    "pattern": "^-?[0-9]{1,3}[smhdw]$",
                    "examples": ["40d"],
                    "description": "How far to move, forwards or (`-`) backwards.",
                },
                "set": described(time_schema(), "The time to move to."),
                "reset": described(reset, "Moves back to the real time."),
            },
            "additionalProperties": false,
            "examples": [{"advance": "40d"}],
            "anyOf": [
                {
                    "type": "object",
                    "required": ["advance"],
                    "properties": {"advance": {}, "set": absent, "reset": absent},
                },
                {
                    "type": "object",
                    "required": ["set"],
                    "properties": {"advance": absent, "set": {}, "reset": absent},
                },
                {
                    "type": "object",
                    "required": ["reset"],
                    "properties": {"advance": absent, "set": absent, "reset": {}},
                },
            ],
        })
    }
}

fn view(app: &App) -> Response {
    let (real, ahead) = times(app);
    JsonResponse(StatusCode::OK, ClockView::of(real, ahead)).into_response()
}

/// The real time, and how far the emulated one is ahead of it, in microseconds.
fn times(app: &App) -> (Timestamp, i64) {
    let real = Clock::real_now().as_microsecond();
    let ahead = app.clock.ahead_microseconds();
    (Timestamp::from_microseconds(real), ahead)
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ClockView {
    now: String,
    real: String,
    /// Rounded to whole seconds.
    ahead_seconds: i64,
}

impl ClockView {
    pub(super) fn of(real: Timestamp, ahead: i64) -> Self {
        Self {
            now: real.plus_microseconds(ahead).to_string(),
            real: real.to_string(),
            ahead_seconds: ahead.saturating_add(500_000).div_euclid(1_000_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_exactly_one_of_three() {
        let schema = jsonschema::draft202012::new(Move::schema().as_value()).expect("a schema");
        let check = |text: &str, expected: Result<Move, &str>| {
            let body = JsonObject::parse(text.as_bytes()).expect("an object");
            let found = Move::parse(&body).map_err(|error| error.to_string());
            let value = serde_json::from_str(text).expect("JSON");
            assert!(!schema.is_valid(&value) || found.is_ok(), "{text}");
            assert_eq!(found, expected.map_err(str::to_owned), "{body:?}");
        };
        let one = Err("body: must have exactly one of the keys advance, set and reset");
        check(
            r#"{"advance":"1m"}"#,
            Ok(Move::Advance(SignedDuration::from_mins(1))),
        );
        check(
            r#"{"set":"1970-01-01T01:00:01+01:00"}"#,
            Ok(Move::Set(Timestamp::from_microseconds(1_000_000))),
        );
        check(r#"{"reset":true}"#, Ok(Move::Reset));
        check("{}", one);
        check(r#"{"advance":"1m","reset":true}"#, one);
        check(r#"{"forward":"1m"}"#, one);
        check(r#"{"reset":false}"#, Err("reset: must be true"));
        check(r#"{"reset":1}"#, Err("reset: must be true or false"));
        check(r#"{"advance":60}"#, Err("advance: must be a string"));
        check(r#"{"advance":null}"#, Err("advance: must not be null"));
        check(
            r#"{"advance":"soon"}"#,
            Err("advance: must be a duration like 90s, 1h30m, 40d or -2w"),
        );
        for text in ["2027-01-01", "2027-01-01T00:00:00", "tomorrow"] {
            check(
                &format!(r#"{{"set":"{text}"}}"#),
                Err("set: must be an RFC 3339 time, like 2027-01-01T00:00:00Z"),
            );
        }
    }
}
