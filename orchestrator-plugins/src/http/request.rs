//! A request, made from a config.

use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{ConfigIssue, Context};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};
use serde_json::{Map, Value};

use super::body;
use super::plugin::{Auth, Basic, Config, TIMEOUT};
use crate::config::{self, invalid};
use crate::{duration, outbound};

/// The methods that there are.
pub(super) const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];

/// The longest `timeout`: one hour.
const TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

/// Whether a method only looks (RFC 9110, 9.2.1).
pub(super) fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// The request that a config asks for.
///
/// # Errors
/// Class `invalid`, naming the key.
pub(super) async fn request(context: &Context, with: &Config) -> Result<Request, StepError> {
    let method = with.method.as_deref().unwrap_or("GET");
    if !METHODS.contains(&method) {
        let shown = outbound::shortened(method, 60);
        return Err(invalid(format!("`method`: `{shown}` is not one of {}", METHODS.join(", "))));
    }
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|error| invalid(format!("`method`: {error}")))?;
    let mut url = outbound::address(&with.url).map_err(|message| invalid(format!("`url`: {message}")))?;
    add_query(&mut url, with.query.as_ref())?;
    let mut headers = HeaderMap::new();
    for (name, value) in with.headers.iter().flatten() {
        let (name, value) =
            header(name, value).map_err(|message| invalid(format!("`headers`: {message}")))?;
        headers.append(name, value);
    }
    if let Some(auth) = &with.auth {
        let value = authorization(auth).map_err(|message| invalid(format!("`auth`: {message}")))?;
        if headers.insert(AUTHORIZATION, value).is_some() {
            return Err(invalid("`auth` and the header `Authorization` exclude each other"));
        }
    }
    if !is_safe(method.as_str()) && !headers.contains_key(outbound::KEY) {
        let key = HeaderValue::from_str(&context.idempotency_key());
        headers.insert(
            outbound::KEY,
            key.map_err(|error| invalid(format!("the idempotency key is not a header: {error}")))?,
        );
    }
    let body = body::body(context, with).await?;
    let mut request = Request::new(method, url);
    if let Some(body) = body {
        if let Some(kind) = body.content_type {
            headers.entry(CONTENT_TYPE).or_insert(kind);
        }
        *request.body_mut() = Some(body.bytes.into());
    }
    *request.headers_mut() = headers;
    Ok(request)
}

/// How long the whole call may take.
///
/// # Errors
/// Class `invalid`.
pub(super) fn timeout(with: &Config) -> Result<Duration, StepError> {
    duration::parse(with.timeout.as_deref().unwrap_or(TIMEOUT))
        .and_then(bounded)
        .map_err(|message| invalid(format!("`timeout`: {message}")))
}

fn authorization(auth: &Auth) -> Result<HeaderValue, String> {
    let text = match (&auth.basic, &auth.bearer) {
        (Some(Basic { username, password }), None) => {
            if username.contains(':') {
                return Err("a user name holds no colon".to_owned());
            }
            format!("Basic {}", base64(format!("{username}:{password}").as_bytes()))
        }
        (None, Some(token)) => format!("Bearer {token}"),
        _ => return Err("exactly one of `basic` and `bearer` is needed".to_owned()),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| "it holds a line end or another control character".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The alphabet of RFC 4648, section 4, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let is_data = place <= group.len();
            let letter = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if is_data { letter as char } else { '=' });
        }
    }
    text
}

fn add_query(url: &mut Url, query: Option<&Map<String, Value>>) -> Result<(), StepError> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(()) };
    let pairs = pairs("query", query)?;
    url.query_pairs_mut().extend_pairs(pairs);
    Ok(())
}

/// Names and texts of a mapping whose values are scalars or lists of them; a list gives one pair for each item.
///
/// # Errors
/// Class `invalid`, naming what is neither.
pub(super) fn pairs<'a>(
    key: &str,
    mapping: &'a Map<String, Value>,
) -> Result<Vec<(&'a str, String)>, StepError> {
    let mut pairs = Vec::with_capacity(mapping.len());
    for (name, value) in mapping {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            // An expression that gave nothing leaves the parameter out.
            Value::Null => &[],
            one => std::slice::from_ref(one),
        };
        for item in items {
            let text = config::scalar(item);
            let text =
                text.ok_or_else(|| invalid(format!("`{key}.{name}` is not a text, a number or a boolean")))?;
            pairs.push((name.as_str(), text));
        }
    }
    Ok(pairs)
}

fn header(name: &str, value: &Value) -> Result<(HeaderName, HeaderValue), String> {
    let shown = outbound::shortened(name, 60);
    let parsed: HeaderName = name.parse().map_err(|_| format!("`{shown}` is not the name of a header"))?;
    if outbound::is_framing(&parsed) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
            ("Aladdin:open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
