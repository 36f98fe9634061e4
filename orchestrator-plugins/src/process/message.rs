//! The messages, as they stand on a line.

use std::time::Duration;

use orchestrator_core::machine::{Arrival, StepError};
use orchestrator_core::port::plugin::{Awaited, Context, Outcome, Reconciled, Request, StopReason, Stream};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::value::ValueRef;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::duration;

/// The version of the protocol that is spoken here.
pub(super) const PROTOCOL: u64 = 1;

/// The longest message that is taken, in bytes of its line: 16 MiB.
pub(super) const LINE_LIMIT: usize = 16 << 20;

/// What the executable is asked first.
pub(super) fn describe(id: u64) -> Value {
    json!({
        "method": "describe",
        "id": id,
        "protocol": PROTOCOL,
        "host": concat!("orchestrator/", env!("CARGO_PKG_VERSION")),
    })
}

/// Asks for an attempt to be executed, or to be looked after.
pub(super) fn attempt(method: &str, id: u64, kind: &str, context: &Context, request: &Request) -> Value {
    let network: Vec<String> = context.network.grants().iter().map(ToString::to_string).collect();
    json!({
        "method": method,
        "id": id,
        "kind": kind,
        "run": context.run,
        "step": context.step,
        "item": context.item,
        "iteration": context.iteration,
        "attempt": context.attempt,
        "epoch": context.epoch,
        "idempotency_key": context.idempotency_key(),
        "workdir": context.workdir.to_string_lossy(),
        "deadline": context.deadline.map(|deadline| deadline.to_string()),
        "network": network,
        "feedback": context.feedback,
        "arrival": context.arrival.as_ref().map(arrival),
        "env": request.env,
        "with": request.with,
    })
}

fn arrival(arrival: &Arrival) -> Value {
    match arrival {
        Arrival::Due => json!({ "on": "pause" }),
        Arrival::Signal(signal) => {
            let data = match &signal.data {
                // A plugin finds it inline, however long it is.
                ValueRef::Inline(data) => serde_json::from_str(data).unwrap_or_default(),
                _ => Value::Null,
            };
            json!({ "on": "signal", "name": signal.name, "data": data, "by": signal.by, "at": signal.at })
        }
        // Nothing of these kinds is waited for.
        _ => json!({ "on": "approval" }),
    }
}

/// Tells that an attempt is to stop.
pub(super) fn cancel(id: u64, reason: StopReason) -> Value {
    let reason = match reason {
        StopReason::Cancelled => "cancelled",
        StopReason::TimedOut => "timed_out",
        StopReason::Fenced => "fenced",
        _ => "shutdown",
    };
    json!({ "method": "cancel", "id": id, "reason": reason })
}

/// What an executable has said on a line.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// A line for the log of an attempt.
    Line { id: u64, stream: Stream, text: String },
    /// The answer to what it was asked; not read yet.
    Answer { id: u64, body: Value },
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(line: &[u8]) -> Result<Said, String> {
    let body: Value = serde_json::from_slice(line).map_err(|error| format!("no JSON: {error}"))?;
    let Some(fields) = body.as_object() else { return Err("no JSON object".to_owned()) };
    let Some(id) = fields.get("id").and_then(Value::as_u64) else {
        return Err("a message without `id`, the number of the message that it answers".to_owned());
    };
    let Some(log) = fields.get("log") else { return Ok(Said::Answer { id, body }) };
    let Some(text) = log.as_str() else { return Err("`log` is no text".to_owned()) };
    let stream = match fields.get("stream").and_then(Value::as_str) {
        None => Stream::Stdout,
        Some(name) => [Stream::Stdout, Stream::Stderr, Stream::System]
            .into_iter()
            .find(|stream| stream.as_str() == name)
            .ok_or("`stream` is stdout, stderr or system")?,
    };
    Ok(Said::Line { id, stream, text: text.to_owned() })
}

/// How an attempt has ended, as the executable says it.
#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case", deny_unknown_fields)]
enum Ended {
    Succeeded {
        #[serde(default)]
        output: Value,
    },
    Failed {
        #[serde(default = "failed")]
        class: ErrorClass,
        message: String,
        #[serde(default)]
        retry_after: Option<String>,
    },
    Unknown {
        message: String,
    },
    Wait {
        #[serde(default)]
        pause: Option<String>,
        #[serde(default)]
        signal: Option<String>,
    },
    Stopped {},
}

const fn failed() -> ErrorClass {
    ErrorClass::Failed
}

/// Reads the answer to `execute`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn outcome(mut body: Value) -> Result<Outcome, String> {
    forget_id(&mut body);
    Ok(match serde_json::from_value(body).map_err(|error| error.to_string())? {
        Ended::Succeeded { output } => Outcome::Succeeded { output },
        Ended::Failed { class, message, retry_after } => Outcome::Failed {
            error: StepError::new(class, message),
            retry_after: retry_after.as_deref().map(pause).transpose()?,
        },
        Ended::Unknown { message } => Outcome::Unknown { error: StepError::new(ErrorClass::Failed, message) },
        Ended::Wait { pause: Some(text), signal: None } => {
            Outcome::Wait { on: Awaited::Pause(pause(&text)?) }
        }
        Ended::Wait { pause: None, signal: Some(name) } => Outcome::Wait { on: Awaited::Signal { name } },
        Ended::Wait { .. } => return Err("`wait` takes either `pause` or `signal`".to_owned()),
        Ended::Stopped {} => Outcome::Stopped,
    })
}

fn pause(text: &str) -> Result<Duration, String> {
    duration::parse(text)
}

/// What the executable has found.
#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case", deny_unknown_fields)]
enum Found {
    Applied {
        #[serde(default)]
        output: Value,
    },
    NotApplied {},
    Unknown {
        #[serde(default)]
        message: Option<String>,
    },
}

/// Reads the answer to `reconcile`, and what it says beside that.
///
/// # Errors
/// What is wrong with it.
pub(super) fn found(mut body: Value) -> Result<(Reconciled, Option<String>), String> {
    forget_id(&mut body);
    Ok(match serde_json::from_value(body).map_err(|error| error.to_string())? {
        Found::Applied { output } => (Reconciled::Applied(output), None),
        Found::NotApplied {} => (Reconciled::NotApplied, None),
        Found::Unknown { message } => (Reconciled::Unknown, message),
    })
}

fn forget_id(body: &mut Value) {
    if let Some(fields) = body.as_object_mut() {
        fields.remove("id");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_read_and_nothing_else() {
        let read = |body: Value| outcome(body);
        let succeeded = read(json!({ "id": 1, "outcome": "succeeded", "output": { "a": 1 } })).unwrap();
        assert_eq!(succeeded, Outcome::Succeeded { output: json!({ "a": 1 }) });
        let waits = read(json!({ "id": 1, "outcome": "wait", "pause": "1m" })).unwrap();
        assert_eq!(waits, Outcome::Wait { on: Awaited::Pause(Duration::from_secs(60)) });
        let failed = read(
            json!({ "outcome": "failed", "class": "rate_limited", "message": "m", "retry_after": "2s" }),
        );
        let Outcome::Failed { error, retry_after } = failed.unwrap() else { panic!("it has failed") };
        assert_eq!((error.class, retry_after), (ErrorClass::RateLimited, Some(Duration::from_secs(2))));
        assert_eq!(read(json!({ "outcome": "stopped" })).unwrap(), Outcome::Stopped);
        for (body, told) in [
            (json!({ "outcome": "done" }), "unknown variant `done`, expected one of `succeeded`"),
            (json!({ "output": 1 }), "missing field `outcome`"),
            (json!({ "outcome": "failed" }), "missing field `message`"),
            (json!({ "outcome": "failed", "message": "m", "class": "odd" }), "unknown variant `odd`"),
            (json!({ "outcome": "failed", "message": "m", "retry_after": "5" }), "`5` is not a duration"),
            (json!({ "outcome": "succeeded", "outptu": 1 }), "unknown field `outptu`"),
            (json!({ "outcome": "wait" }), "either `pause` or `signal`"),
            (json!({ "outcome": "wait", "pause": "1s", "signal": "s" }), "either `pause` or `signal`"),
        ] {
            let problem = read(body.clone()).unwrap_err();
            assert!(problem.contains(told), "{body}: {problem}");
        }
    }

    #[test]
    fn a_line_is_an_answer_or_something_for_the_log() {
        let line = |text: &str| read(text.as_bytes());
        let text = "t".to_owned();
        assert_eq!(
            line(r#"{"id":3,"log":"t","stream":"stderr"}"#),
            Ok(Said::Line { id: 3, stream: Stream::Stderr, text })
        );
        assert!(matches!(line(r#"{"id":3,"outcome":"stopped"}"#), Ok(Said::Answer { id: 3, .. })));
        for (text, told) in [
            ("hello", "no JSON: expected value"),
            ("[]", "no JSON object"),
            ("{}", "a message without `id`"),
            (r#"{"id":"1"}"#, "a message without `id`"),
            (r#"{"id":1,"log":1}"#, "`log` is no text"),
            (r#"{"id":1,"log":"t","stream":"out"}"#, "stdout, stderr or system"),
        ] {
            assert!(line(text).unwrap_err().contains(told), "{text}");
        }
    }
}
