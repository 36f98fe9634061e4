//! One call, from the request to the outcome.

use orchestrator_core::failpoint;
use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{Context, Outcome, StopReason, Stream};
use orchestrator_core::port::secret::Mask;
use orchestrator_core::spec::expr::Condition;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::value::ValueRef;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, SET_COOKIE};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use super::check;
use super::expect::Expected;
use super::plugin::Config;
use super::request::{is_safe, request, timeout};
use crate::config::{self, invalid};
use crate::outbound::{self, NoAnswer, Outbound, Outgoing, no_answer};

/// How much of an unexpected answer a message quotes, in characters, and how much of it is read for that, in bytes.
const QUOTED: usize = 300;
const QUOTED_READ: u64 = 64 << 10;

/// Calls, and says what came of it.
///
/// # Errors
/// Where the request cannot be made from the config.
pub(super) async fn call(
    outbound: &Outbound,
    context: &Context,
    with: &Config,
) -> Result<Outcome, StepError> {
    let expected =
        Expected::read(with.expect.as_ref()).map_err(|message| invalid(format!("`expect`: {message}")))?;
    let check = with.check.as_deref().map(check::compile).transpose();
    let check = check.map_err(|message| invalid(format!("`check`: {message}")))?;
    let deadline = Instant::now() + timeout(with)?;
    let request = request(context, with).await?;
    let changes = !is_safe(request.method().as_str());
    let what =
        format!("{} {}", request.method(), outbound::shown_masked(request.url(), &with.url, &context.mask));
    let outgoing = Outgoing { request, deadline };
    let answer = answer(outbound, context, outgoing, &expected, with.max_bytes());
    let answer = match outbound::until_stopped(context, changes, answer).await {
        Ok(answer) => answer,
        Err(reason) => return Ok(cut_short(reason, changes, &what)),
    };
    match &answer {
        Ok(answer) => {
            let line = format!("{what}: {}, {} bytes", answer.status, answer.body.len());
            context.log(Stream::System, &line);
        }
        Err(error) => context.log(Stream::System, &format!("{what}: {error}")),
    }
    Ok(match answer {
        Ok(answer) if expected.covers(answer.status.as_u16()) => {
            succeeded(&answer, &what, check.as_ref(), &context.mask)
        }
        Ok(answer) => unexpected(&answer, &what, &context.mask),
        Err(error) => no_answer(&error, changes, &what),
    })
}

fn cut_short(reason: StopReason, changes: bool, what: &str) -> Outcome {
    match (reason, changes) {
        (StopReason::TimedOut, false) => no_answer(&NoAnswer::TimedOut, false, what),
        (_, false) => Outcome::Stopped,
        (StopReason::TimedOut, true) => no_answer(&NoAnswer::TimedOut, true, what),
        (_, true) => Outcome::Unknown {
            error: StepError::new(ErrorClass::Transient, format!("{what}: stopped before the answer came")),
        },
    }
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

async fn answer(
    outbound: &Outbound,
    context: &Context,
    outgoing: Outgoing,
    expected: &Expected,
    max_bytes: u64,
) -> Result<Answer, NoAnswer> {
    failpoint!("step.effect.before_send");
    let deadline = outgoing.deadline;
    let follows = |status: StatusCode| !expected.covers(status.as_u16());
    let mut response = outbound.send(context, outgoing, follows).await?;
    failpoint!("step.effect.after_reply");
    let status = response.status();
    let headers = response.headers().clone();
    let body = if expected.covers(status.as_u16()) {
        let body = timeout_at(deadline, outbound::body(&mut response, max_bytes)).await;
        body.map_err(|_| NoAnswer::TimedOut)??
    } else {
        // The status is the failure, whatever comes after it.
        let body = timeout_at(deadline, outbound::body(&mut response, QUOTED_READ)).await;
        body.ok().and_then(Result::ok).unwrap_or_default()
    };
    Ok(Answer { status, headers, body })
}

fn succeeded(answer: &Answer, what: &str, check: Option<&Condition>, mask: &Mask) -> Outcome {
    let body = String::from_utf8_lossy(&answer.body).replace('\0', "\u{fffd}");
    let output = json!({
        "status": answer.status.as_u16(),
        "headers": headers_of(&answer.headers),
        "json": json_of(answer),
        "body": body,
    });
    if let Some(Err(error)) = check.map(|check| check::hold(check, &output)) {
        let quoted = quoted(answer, mask);
        let message = format!("{what}: {}, {}{quoted}", error.message, answer.status);
        return config::refused(StepError::new(error.class, message));
    }
    match ValueRef::encode(&output) {
        Ok(_) => Outcome::Succeeded { output },
        Err(error) => {
            Outcome::failed(ErrorClass::Invalid, format!("{what}: the answer cannot be kept: {error}"))
        }
    }
}

fn headers_of(headers: &HeaderMap) -> Map<String, Value> {
    let names = headers.keys().filter(|name| **name != SET_COOKIE);
    let joined = |name: &HeaderName| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        values.collect::<Vec<_>>().join(", ")
    };
    names.map(|name| (name.as_str().to_owned(), joined(name).into())).collect()
}

/// The body as JSON, if it says that it is or looks like it.
fn json_of(answer: &Answer) -> Value {
    let content_type =
        answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let looks_like_it = matches!(answer.body.trim_ascii_start().first(), Some(b'{' | b'['));
    if !content_type.to_ascii_lowercase().contains("json") && !looks_like_it {
        return Value::Null;
    }
    let mut value = serde_json::from_slice(&answer.body).unwrap_or_default();
    config::replace_nul(&mut value);
    value
}

fn unexpected(answer: &Answer, what: &str, mask: &Mask) -> Outcome {
    let message = format!("{what}: unexpected status {}{}", answer.status, quoted(answer, mask));
    Outcome::Failed {
        error: StepError::new(outbound::class(answer.status), message),
        retry_after: outbound::retry_after(&answer.headers),
    }
}

/// The beginning of a body, for the end of a message.
fn quoted(answer: &Answer, mask: &Mask) -> String {
    let quoted = outbound::shortened(&mask.text(&String::from_utf8_lossy(&answer.body)), QUOTED);
    let colon = if quoted.is_empty() { "" } else { ": " };
    format!("{colon}{quoted}")
}
