//! One call, from the request to the outcome.

use std::future::Future;
use std::time::Duration;

use orchestrator_core::failpoint;
use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{ConfigIssue, Context, Outcome, StopReason, Stream};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::value::ValueRef;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use reqwest::{Client, Method, Request, StatusCode, Url};
use serde_json::{Map, Value, json};

use super::expect::Expected;
use super::plugin::{Config, TIMEOUT};
use crate::client::{self, LazyClient, NoAnswer};
use crate::config::{self, invalid};
use crate::duration;

/// How long the answer to a request that changes something is still waited for after a stop: an answer is worth more
/// than an unknown outcome.
const GRACE: Duration = Duration::from_secs(3);

/// The longest `timeout`: one hour.
const TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

/// How much of an unexpected answer a message quotes, in characters, and how much of it is read for that, in bytes.
const QUOTED: usize = 300;
const QUOTED_READ: u64 = 64 << 10;

/// Calls, and says what came of it.
///
/// # Errors
/// Where the request cannot be made from the config.
pub(super) async fn call(
    client: &LazyClient,
    context: &Context,
    with: &Config,
) -> Result<Outcome, StepError> {
    let expected =
        Expected::read(with.expect.as_ref()).map_err(|message| invalid(format!("`expect`: {message}")))?;
    let client = client.get(client::follow).await?;
    let request = request(client, context, with)?;
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let what = format!("{} {}", request.method(), client::shown(request.url()));
    let answer = answer(client, request, &expected, with.max_bytes());
    let answer = match until_stopped(context, changes, answer).await {
        Ok(answer) => answer,
        Err(reason) => return Ok(cut_short(reason, changes, &what)),
    };
    match &answer {
        Ok(answer) => {
            let line = format!("{what}: {}, {} bytes", answer.status, answer.body.len());
            context.log(Stream::System, &line);
        }
        Err(error) => context.log(Stream::System, &format!("{what}: {error:?}")),
    }
    Ok(match answer {
        Ok(answer) if expected.covers(answer.status.as_u16()) => succeeded(&answer, &what),
        Ok(answer) => unexpected(&answer, &what),
        Err(error) => no_answer(error, changes, &what),
    })
}

/// Waits for `answer`, or until the attempt is to stop; in the middle of a change a little longer.
async fn until_stopped<T>(
    context: &Context,
    changes: bool,
    answer: impl Future<Output = T>,
) -> Result<T, StopReason> {
    let mut answer = std::pin::pin!(answer);
    let stop = context.stop.clone();
    let reason = tokio::select! {
        biased;
        answer = &mut answer => return Ok(answer),
        reason = stop.requested() => reason,
    };
    if changes && matches!(reason, StopReason::Cancelled | StopReason::Shutdown) {
        return tokio::time::timeout(GRACE, answer).await.map_err(|_| reason);
    }
    Err(reason)
}

fn cut_short(reason: StopReason, changes: bool, what: &str) -> Outcome {
    match (reason, changes) {
        (StopReason::TimedOut, false) => no_answer(NoAnswer::TimedOut, false, what),
        (_, false) => Outcome::Stopped,
        (StopReason::TimedOut, true) => no_answer(NoAnswer::TimedOut, true, what),
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
    client: &Client,
    request: Request,
    expected: &Expected,
    max_bytes: u64,
) -> Result<Answer, NoAnswer> {
    failpoint!("step.effect.before_send");
    let mut response = client.execute(request).await?;
    failpoint!("step.effect.after_reply");
    let status = response.status();
    let headers = response.headers().clone();
    let body = if expected.covers(status.as_u16()) {
        client::body(&mut response, max_bytes).await?
    } else {
        // The status is the failure, whatever comes after it.
        client::body(&mut response, QUOTED_READ).await.unwrap_or_default()
    };
    Ok(Answer { status, headers, body })
}

fn request(client: &Client, context: &Context, with: &Config) -> Result<Request, StepError> {
    let method = with.method.as_deref().unwrap_or("GET");
    let method = match method {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" => Method::from_bytes(method.as_bytes()),
        other => {
            return Err(invalid(format!(
                "`method`: `{other}` is not one of GET, HEAD, POST, PUT, PATCH and DELETE"
            )));
        }
    }
    .map_err(|error| invalid(format!("`method`: {error}")))?;
    let mut url = client::address(&with.url).map_err(|message| invalid(format!("`url`: {message}")))?;
    add_query(&mut url, with.query.as_ref())?;
    let mut headers = HeaderMap::new();
    for (name, value) in with.headers.iter().flatten() {
        let (name, value) =
            header(name, value).map_err(|message| invalid(format!("`headers`: {message}")))?;
        headers.append(name, value);
    }
    let timeout = duration::parse(with.timeout.as_deref().unwrap_or(TIMEOUT))
        .and_then(bounded)
        .map_err(|message| invalid(format!("`timeout`: {message}")))?;
    if !matches!(method, Method::GET | Method::HEAD) && !headers.contains_key(client::KEY) {
        let key = HeaderValue::from_str(&context.idempotency_key());
        headers.insert(
            client::KEY,
            key.map_err(|error| invalid(format!("the idempotency key is not a header: {error}")))?,
        );
    }
    let body = match (&with.json, &with.body) {
        // Also null: `json: null` sends it.
        (Some(json), None) => {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
            Some(json.to_string())
        }
        (None, Some(body)) => Some(config::text(body)),
        (None, None) => None,
        (Some(_), Some(_)) => return Err(invalid("`json` and `body` exclude each other")),
    };
    let mut request = client.request(method, url).headers(headers).timeout(timeout);
    if let Some(body) = body {
        request = request.body(body);
    }
    request.build().map_err(|error| invalid(format!("the request cannot be made: {}", client::cause(&error))))
}

fn add_query(url: &mut Url, query: Option<&Map<String, Value>>) -> Result<(), StepError> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(()) };
    let mut pairs = url.query_pairs_mut();
    for (name, value) in query {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            // An expression that gave nothing leaves the parameter out.
            Value::Null => &[],
            one => std::slice::from_ref(one),
        };
        for item in items {
            let text = config::scalar(item);
            let text =
                text.ok_or_else(|| invalid(format!("`query.{name}` is not a text, a number or a boolean")))?;
            pairs.append_pair(name, &text);
        }
    }
    Ok(())
}

fn header(name: &str, value: &Value) -> Result<(HeaderName, HeaderValue), String> {
    let shown = client::shortened(name, 60);
    let parsed: HeaderName = name.parse().map_err(|_| format!("`{shown}` is not the name of a header"))?;
    if client::is_framing(&parsed) {
        return Err(format!("`{shown}` cannot be set: it follows from the body"));
    }
    let text =
        config::scalar(value).ok_or_else(|| format!("`{shown}` is not a text, a number or a boolean"))?;
    // The value may be a secret, so it is not quoted.
    let value = text
        .parse()
        .map_err(|_| format!("the value of `{shown}` holds a line end or another control character"))?;
    Ok((parsed, value))
}

/// What is wrong with headers as written.
pub(super) fn header_issues(headers: Option<&Value>) -> Vec<ConfigIssue> {
    let headers = headers.and_then(Value::as_object).into_iter().flatten();
    headers
        .filter(|(name, value)| !config::is_open(name) && !config::is_open(&value.to_string()))
        .filter_map(|(name, value)| {
            let message = header(name, value).err()?;
            Some(config::issue(&["headers", name], message, None))
        })
        .collect()
}

/// A `timeout` within its bounds.
///
/// # Errors
/// What is wrong, as a fragment for a message.
pub(super) fn bounded(timeout: Duration) -> Result<Duration, String> {
    match timeout {
        Duration::ZERO => Err("no call takes no time; use at least 1ms".to_owned()),
        timeout if timeout > TIMEOUT_MAX => Err("longer than 1h, the longest timeout of a call".to_owned()),
        timeout => Ok(timeout),
    }
}

fn succeeded(answer: &Answer, what: &str) -> Outcome {
    let body = String::from_utf8_lossy(&answer.body).replace('\0', "\u{fffd}");
    let output = json!({
        "status": answer.status.as_u16(),
        "headers": headers_of(&answer.headers),
        "json": json_of(answer),
        "body": body,
    });
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

fn unexpected(answer: &Answer, what: &str) -> Outcome {
    let quoted = client::shortened(&String::from_utf8_lossy(&answer.body), QUOTED);
    let colon = if quoted.is_empty() { "" } else { ": " };
    let message = format!("{what}: unexpected status {}{colon}{quoted}", answer.status);
    Outcome::Failed {
        error: StepError::new(client::class(answer.status), message),
        retry_after: client::retry_after(&answer.headers),
    }
}

fn no_answer(error: NoAnswer, changes: bool, what: &str) -> Outcome {
    let (class, message, may_be_done) = match error {
        NoAnswer::NotSent(cause) => (ErrorClass::Transient, format!("cannot connect: {cause}"), false),
        NoAnswer::TimedOut => (ErrorClass::Timeout, "no complete answer in time".to_owned(), true),
        NoAnswer::Redirected(cause) => {
            (ErrorClass::Failed, format!("redirected without end or reason: {cause}"), false)
        }
        NoAnswer::TooLong(limit) => (
            ErrorClass::Invalid,
            format!("the answer is longer than {limit} bytes; raise `max_bytes`"),
            false,
        ),
        NoAnswer::Broken(cause) => (ErrorClass::Transient, format!("the connection broke: {cause}"), true),
    };
    let error = StepError::new(class, format!("{what}: {message}"));
    if changes && may_be_done { Outcome::Unknown { error } } else { config::refused(error) }
}
