//! One question over the wire.

use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::mask::Mask;
use orchestrator_core::port::plugin::{Context, Outcome};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::value::Digest;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Response, StatusCode, Url};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, Draft, Unread};
use super::server::Server;
use super::stream::Events;
use super::wire::{Asked, Wire};
use crate::config::{self, invalid};
use crate::outbound::{self, NoAnswer, Outbound, Outgoing};

/// The longest answer that is read as a whole (16 MiB).
const WHOLE_MAX: u64 = 16 << 20;

/// The longest stream that is read (256 MiB): each of its pieces has a few hundred bytes around a word or two.
const STREAM_MAX: usize = 256 << 20;

/// How much of an answer that is an error a message quotes, in characters.
const QUOTED: usize = 500;

/// How much of such an answer is read.
const QUOTED_READ: u64 = 64 << 10;

/// What else the limit of an answer is called; `max_tokens` says it.
const LIMITS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// How often the progress of an answer is told at most.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// What is asked, and of whom.
pub(super) struct Call<'a> {
    pub(super) server: &'a Server,
    pub(super) base_url: &'a str,
    pub(super) asked: Asked<'a>,
    pub(super) timeout: Duration,
    /// Whether the stored request says all of it.
    pub(super) is_stored: bool,
}

/// Why there is no answer.
enum Halt {
    No(NoAnswer),
    Unread(Unread),
}

impl From<NoAnswer> for Halt {
    fn from(no: NoAnswer) -> Self {
        Self::No(no)
    }
}

impl From<Unread> for Halt {
    fn from(unread: Unread) -> Self {
        Self::Unread(unread)
    }
}

/// What came: an answer, or the words of a server that gives none.
enum Came {
    Draft(Draft),
    Refused(StatusCode, Option<Duration>, Vec<u8>),
}

/// Asks, and waits for the answer.
///
/// # Errors
/// How the attempt has failed.
pub(super) async fn ask(outbound: &Outbound, context: &Context, call: &Call<'_>) -> Result<Answer, Outcome> {
    let url = call.server.api.endpoint(call.base_url);
    let url = url.map_err(|message| config::refused(invalid(format!("`base_url`: {message}"))))?;
    let what = format!("POST {}", outbound::shown_masked(&url, call.base_url, &context.mask));
    let request = request(context, url, call).map_err(config::refused)?;
    let Asked { question, messages, model, .. } = call.asked;
    let key = call.server.key.as_deref();
    let unread = |Unread { class, problem, quoted }: Unread| {
        let quoted = outbound::shortened(&without(key, quoted.as_bytes(), &context.mask), QUOTED);
        let problem = without(key, problem.as_bytes(), &context.mask);
        config::refused(StepError::new(class, format!("{what}: {problem}{quoted}")))
    };
    match answered(outbound, context, call, request).await {
        Ok(Came::Draft(draft)) => draft.end(question, messages, model).map_err(unread),
        Ok(Came::Refused(status, retry_after, body)) => {
            let said = complaint(&without(key, &body, &context.mask));
            let message = format!("{what}: unexpected status {status}: {said}");
            Err(Outcome::Failed { error: StepError::new(outbound::class(status), message), retry_after })
        }
        Err(Halt::Unread(error)) => Err(unread(error)),
        Err(Halt::No(error)) => Err(no_answer(&error, &what, call.timeout, context.effect)),
    }
}

async fn answered(
    outbound: &Outbound,
    context: &Context,
    call: &Call<'_>,
    request: Request,
) -> Result<Came, Halt> {
    let deadline = Instant::now() + call.timeout;
    // A redirect would take the prompt to a place that nobody has named.
    let mut response = outbound.send(context, Outgoing { request, deadline }, |_| false).await?;
    let status = response.status();
    if status != StatusCode::OK {
        let body = timeout_at(deadline, outbound::body(&mut response, QUOTED_READ)).await;
        // The status is the failure, whatever comes after it.
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        return Ok(Came::Refused(status, outbound::retry_after(response.headers()), body));
    }
    let wire = call.server.api.wire();
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mut draft = Draft::default();
    if kind.to_ascii_lowercase().starts_with("text/event-stream") {
        streamed(wire, context, &mut response, deadline, &mut draft).await?;
        return Ok(Came::Draft(draft));
    }
    let body = timeout_at(deadline, outbound::body(&mut response, WHOLE_MAX)).await;
    let body = body.map_err(|_| NoAnswer::TimedOut)??;
    let answer: Value = serde_json::from_slice(&body).map_err(|error| Unread {
        class: ErrorClass::Failed,
        problem: format!("the answer is not JSON: {error}: "),
        quoted: String::from_utf8_lossy(&body).into_owned(),
    })?;
    wire.whole(&answer, &mut draft)?;
    Ok(Came::Draft(draft))
}

/// Reads an answer piece by piece, and tells how long it is so far.
async fn streamed(
    wire: &dyn Wire,
    context: &Context,
    response: &mut Response,
    deadline: Instant,
    draft: &mut Draft,
) -> Result<(), Halt> {
    let mut events = Events::default();
    let (mut length, mut told) = (0, Instant::now() - TOLD_EVERY);
    loop {
        let chunk = timeout_at(deadline, response.chunk()).await.map_err(|_| NoAnswer::TimedOut)?;
        let chunk = chunk.map_err(NoAnswer::from)?;
        let ended = match &chunk {
            Some(chunk) => events.take(chunk)?,
            None => events.end().into_iter().collect(),
        };
        for data in ended.iter().map(|data| data.trim()).filter(|data| !matches!(*data, "" | "[DONE]")) {
            let piece: Value = serde_json::from_str(data).map_err(|error| Unread {
                class: ErrorClass::Failed,
                problem: format!("a piece of the answer is not JSON: {error}: "),
                quoted: data.to_owned(),
            })?;
            wire.piece(&piece, draft)?;
        }
        let Some(chunk) = chunk else { break };
        length += chunk.len();
        if length > STREAM_MAX {
            return Err(NoAnswer::TooLong(STREAM_MAX as u64).into());
        }
        if told.elapsed() >= TOLD_EVERY {
            told = Instant::now();
            context.progress(&format!("about {} tokens", draft.tokens()));
        }
    }
    match draft.is_whole {
        true => Ok(()),
        false => Err(NoAnswer::Broken("the answer ends in the middle".to_owned()).into()),
    }
}

fn request(context: &Context, url: Url, call: &Call<'_>) -> Result<Request, StepError> {
    let wire = call.server.api.wire();
    let mut body = wire.body(&call.asked);
    for (name, value) in &call.asked.question.options {
        if body.contains_key(name) || LIMITS.contains(&name.as_str()) {
            return Err(invalid(format!("`options.{name}`: another key of the step says that already")));
        }
        body.insert(name.clone(), value.clone());
    }
    let body = Value::Object(body).to_string();
    let key = key(context, &url, &body, call.is_stored);
    let mut request = Request::new(Method::POST, url);
    *request.body_mut() = Some(body.into());
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if call.asked.stream {
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json"));
    }
    let key = HeaderValue::from_str(&key);
    headers.insert(
        outbound::KEY,
        key.map_err(|error| invalid(format!("the idempotency key is not a header: {error}")))?,
    );
    wire.headers(headers);
    if let Some(key) = &call.server.key {
        wire.authorize(key, headers).map_err(invalid)?;
    }
    Ok(request)
}

fn no_answer(error: &NoAnswer, what: &str, timeout: Duration, effect: EffectClass) -> Outcome {
    let (class, message) = match error {
        NoAnswer::TimedOut => (error.class(), format!("no complete answer within {timeout:?}")),
        // Neither is for the author to put right.
        NoAnswer::Redirected(cause) => (ErrorClass::Failed, cause.clone()),
        NoAnswer::TooLong(_) => (ErrorClass::Failed, error.to_string()),
        _ => (error.class(), error.to_string()),
    };
    let told = StepError::new(class, format!("{what}: {message}"));
    match effect == EffectClass::AtMostOnce && error.may_be_done() {
        true => Outcome::Unknown { error: told },
        false => Outcome::Failed { error: told, retry_after: error.wait() },
    }
}

/// The key under which a server answers a request once: that of the step, for what the stored request says; else that and what is
/// sent, so that no two requests have the same.
fn key(context: &Context, url: &Url, body: &str, is_stored: bool) -> String {
    let key = context.idempotency_key();
    match is_stored {
        true => key,
        false => {
            let digest = Digest::of(format!("{url}\n{body}").as_bytes());
            let short: String = digest.as_bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("{key}-{short}")
        }
    }
}

/// What a server says is wrong: its `error.message` where there is one, else the beginning of the body.
fn complaint(body: &str) -> String {
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let error = json.get("error").unwrap_or(&json);
    let message = error.get("message").unwrap_or(error).as_str();
    outbound::shortened(message.unwrap_or(body), QUOTED)
}

/// A text from outside without the key and other secrets: servers have been seen to repeat them.
fn without(key: Option<&str>, text: &[u8], mask: &Mask) -> String {
    let text = String::from_utf8_lossy(text);
    let text = mask.text(&text);
    match key {
        Some(key) if !key.is_empty() => text.replace(key, "***"),
        _ => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_repeats_the_key_does_not_get_it_into_a_message() {
        let body = br#"{"error": {"message": "wrong key sk-1234 given", "type": "auth"}}"#;
        assert_eq!(complaint(&without(Some("sk-1234"), body, &Mask::default())), "wrong key *** given");
    }

    #[test]
    fn complaints_are_found_in_the_usual_places() {
        for (body, expected) in [
            (r#"{"error": {"message": "a"}}"#, "a"),
            (r#"{"error": "b"}"#, "b"),
            (r#"{"message": "c"}"#, "c"),
            ("<html>\n d</html>", "<html> d</html>"),
            ("", ""),
        ] {
            assert_eq!(complaint(body), expected);
        }
    }
}
