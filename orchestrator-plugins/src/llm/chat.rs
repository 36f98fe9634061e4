//! The wire format of OpenAI's chat completions, which many servers speak.

use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{Context, Outcome};
use orchestrator_core::port::secret::Mask;
use orchestrator_core::spec::retry::ErrorClass;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::mock;
use super::plugin::{Answer, Message, Usage};
use crate::config::invalid;
use crate::outbound::{self, NoAnswer, Outbound, Outgoing};

/// The largest answer that is read (4 MiB).
const MAX_BYTES: u64 = 4 << 20;

/// How much of an answer that is an error a message quotes, in characters.
const QUOTED: usize = 500;

/// What is asked, and of whom. Without `Debug`, for the key is secret.
pub(super) struct Call<'a> {
    pub(super) base_url: &'a str,
    pub(super) api_key: Option<&'a str>,
    pub(super) timeout: Duration,
    pub(super) idempotency_key: &'a str,
    pub(super) body: Body<'a>,
}

/// The request as it goes over the wire.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    pub(super) model: &'a str,
    pub(super) messages: &'a [Message],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Completion {
    #[serde(default)]
    model: Option<String>,
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Counted>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Reply,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Reply {
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    refusal: Option<String>,
}

/// Most servers give a text; some give a list of parts.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
}

#[derive(Debug, Deserialize)]
struct Counted {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    #[serde(default)]
    total_tokens: Option<u64>,
}

/// Where requests to the server at `base_url` go.
///
/// # Errors
/// What is wrong with it, as a fragment for a message.
pub(super) fn endpoint(base_url: &str) -> Result<Url, String> {
    let mut url = outbound::address(base_url)?;
    url.path_segments_mut()
        .map_err(|()| "has no path that could be extended".to_owned())?
        .pop_if_empty()
        .extend(["chat", "completions"]);
    Ok(url)
}

/// Asks, and waits for the answer.
///
/// # Errors
/// How the attempt has failed.
pub(super) async fn ask(outbound: &Outbound, context: &Context, call: &Call<'_>) -> Result<Answer, Outcome> {
    let fail = |error| Outcome::Failed { error, retry_after: None };
    let url = endpoint(call.base_url).map_err(|message| fail(invalid(format!("`base_url`: {message}"))))?;
    let what = format!("POST {}", outbound::shown_masked(&url, call.base_url, &context.mask));
    let deadline = Instant::now() + call.timeout;
    let outgoing = Outgoing { request: request(url, call).map_err(fail)?, deadline };
    let answered = async {
        // A redirect would take the prompt to a place that nobody has named.
        let mut response = outbound.send(context, outgoing, |_| false).await?;
        let body = timeout_at(deadline, outbound::body(&mut response, MAX_BYTES)).await;
        let body = body.map_err(|_| NoAnswer::TimedOut)??;
        Ok((response.status(), outbound::retry_after(response.headers()), body))
    };
    let (status, retry_after, body) =
        answered.await.map_err(|error: NoAnswer| no_answer(error, &what, call.timeout))?;
    if status != StatusCode::OK {
        let message = format!(
            "{what}: unexpected status {status}: {}",
            complaint(&without(call.api_key, &body, &context.mask))
        );
        return Err(Outcome::Failed { error: StepError::new(outbound::class(status), message), retry_after });
    }
    let read = read(&body, call.body.messages, call.body.model);
    read.map_err(|Unread { class, problem, quoted }| {
        let quoted = outbound::shortened(&without(call.api_key, quoted.as_bytes(), &context.mask), QUOTED);
        fail(StepError::new(class, format!("{what}: {problem}{quoted}")))
    })
}

fn request(url: Url, call: &Call<'_>) -> Result<Request, StepError> {
    let body = serde_json::to_vec(&call.body)
        .map_err(|error| invalid(format!("the question cannot be written as JSON: {error}")))?;
    let mut request = Request::new(Method::POST, url);
    *request.body_mut() = Some(body.into());
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let key = HeaderValue::from_str(call.idempotency_key);
    headers.insert(
        outbound::KEY,
        key.map_err(|error| invalid(format!("the idempotency key is not a header: {error}")))?,
    );
    if let Some(key) = call.api_key {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| invalid("the API key holds characters that no header can"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}

fn no_answer(error: NoAnswer, what: &str, timeout: Duration) -> Outcome {
    let mut retry_after = None;
    let (class, message) = match error {
        NoAnswer::Denied(refused) => (ErrorClass::Denied, refused),
        NoAnswer::Resting(origin, wait) => {
            retry_after = Some(wait);
            let message = format!("{origin} has failed again and again and is left alone for {wait:?}");
            (ErrorClass::Transient, message)
        }
        NoAnswer::NotSent(cause) => (ErrorClass::Transient, format!("cannot connect: {cause}")),
        NoAnswer::TimedOut => (ErrorClass::Timeout, format!("no complete answer within {timeout:?}")),
        NoAnswer::Redirected(cause) => (ErrorClass::Failed, cause),
        NoAnswer::TooLong(limit) => (ErrorClass::Failed, format!("the answer is longer than {limit} bytes")),
        NoAnswer::Broken(cause) => (ErrorClass::Transient, format!("the connection broke: {cause}")),
    };
    Outcome::Failed { error: StepError::new(class, format!("{what}: {message}")), retry_after }
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

/// An answer that is none.
struct Unread {
    class: ErrorClass,
    problem: String,
    /// Words of the other side, to follow the problem.
    quoted: String,
}

fn read(body: &[u8], messages: &[Message], model: &str) -> Result<Answer, Unread> {
    let odd = |problem: String, quoted: String| Unread { class: ErrorClass::Failed, problem, quoted };
    let completion: Completion = serde_json::from_slice(body).map_err(|error| {
        odd(
            format!("the answer is not a chat completion: {error}: "),
            String::from_utf8_lossy(body).into_owned(),
        )
    })?;
    let choice = completion
        .choices
        .into_iter()
        .next()
        .ok_or_else(|| odd("the answer has no choices".to_owned(), String::new()))?;
    let text = match choice.message.content {
        Some(Content::Text(text)) => text,
        Some(Content::Parts(parts)) => parts.into_iter().map(|part| part.text).collect(),
        None => {
            return Err(match choice.message.refusal {
                Some(quoted) => {
                    let problem = "the model refuses: ".to_owned();
                    Unread { class: ErrorClass::Denied, problem, quoted }
                }
                None => odd("the answer has no text".to_owned(), String::new()),
            });
        }
    };
    let text = text.replace('\0', "\u{fffd}");
    let usage = completion.usage.map_or_else(
        || mock::usage(messages, &text),
        |counted| Usage {
            input_tokens: counted.prompt_tokens,
            output_tokens: counted.completion_tokens,
            total_tokens: counted
                .total_tokens
                .unwrap_or_else(|| counted.prompt_tokens.saturating_add(counted.completion_tokens)),
            estimated: false,
        },
    );
    let model = completion.model.unwrap_or_else(|| model.to_owned()).replace('\0', "\u{fffd}");
    Ok(Answer { text, model, usage, finish_reason: choice.finish_reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_follows_from_the_base_url() {
        for (base, expected) in [
            ("https://api.example.com/v1", "https://api.example.com/v1/chat/completions"),
            ("https://api.example.com/v1/", "https://api.example.com/v1/chat/completions"),
            ("http://127.0.0.1:11434", "http://127.0.0.1:11434/chat/completions"),
            ("https://host/openai/x?api-version=1", "https://host/openai/x/chat/completions?api-version=1"),
        ] {
            assert_eq!(endpoint(base).unwrap().as_str(), expected);
        }
        assert!(endpoint("localhost:8080").is_err());
    }

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
