//! What the plugins that talk HTTP have in common: the client, bodies with an end, and what a failure means.

use std::error::Error;
use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::time::wall_clock;
use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Response, StatusCode, Url, redirect};
use tokio::sync::OnceCell;

/// How many redirects are followed.
#[cfg(feature = "http")]
pub(crate) const REDIRECTS: usize = 5;

/// How long connecting may take, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// The longest wait that a `Retry-After` can ask for: one day.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(86_400);

/// A client that is built when it is first needed: reading the system's certificates takes longer than many a step.
#[derive(Debug, Default)]
pub(crate) struct LazyClient(OnceCell<Client>);

impl LazyClient {
    /// The client. It takes no proxy from the environment, sends no `Referer` and asks for no compression, so a limit
    /// on a body holds for what was sent as well as for what comes of it.
    ///
    /// # Errors
    /// Class `transient` where it cannot be built.
    pub(crate) async fn get(&self, redirects: fn() -> redirect::Policy) -> Result<&Client, StepError> {
        let build = || async move {
            let built = tokio::task::spawn_blocking(move || build(redirects)).await;
            built.map_err(|error| error.to_string())?.map_err(|error| cause(&error))
        };
        self.0.get_or_try_init(build).await.map_err(|error| {
            StepError::new(ErrorClass::Transient, format!("cannot make an HTTP client: {error}"))
        })
    }
}

fn build(redirects: fn() -> redirect::Policy) -> reqwest::Result<Client> {
    let builder = || -> ClientBuilder {
        Client::builder()
            .user_agent(concat!("orchestrator/", env!("CARGO_PKG_VERSION")))
            .redirect(redirects())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT)
    };
    // A machine without certificates can still talk to its own services without TLS.
    builder().build().or_else(|_| builder().tls_certs_only([]).build())
}

/// Follows up to [`REDIRECTS`], but never from https to http.
#[cfg(feature = "http")]
pub(crate) fn follow() -> redirect::Policy {
    redirect::Policy::custom(|attempt| {
        let secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
        if attempt.previous().len() > REDIRECTS {
            attempt.error(format!("more than {REDIRECTS} redirects"))
        } else if secure && attempt.url().scheme() != "https" {
            attempt.error("a redirect from https to http")
        } else {
            attempt.follow()
        }
    })
}

/// Reads `text` as an address that can be called.
///
/// # Errors
/// What is wrong, as a fragment for a message.
pub(crate) fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{}` is not a URL: {error}", text_shown(text)))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("`{other}` is not a scheme that can be called; use http or https")),
    }
}

/// An address as messages show it: without user, password, query and fragment, where secrets stand.
pub(crate) fn shown(url: &Url) -> String {
    text_shown(url.as_str())
}

/// As [`shown`], for a text that may hold expressions or be no address at all.
pub(crate) fn text_shown(text: &str) -> String {
    // An expression may hold `?` and `#`: look for them behind the last one only.
    let after = text.rfind("}}").map_or(0, |at| at + 2);
    let end = text[after..].find(['?', '#']).map_or(text.len(), |at| after + at);
    let text = &text[..end];
    let Some((scheme, rest)) = text.split_once("://") else { return shortened(text, 200) };
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let path = path.map(|path| format!("/{path}")).unwrap_or_default();
    shortened(&format!("{scheme}://{host}{path}"), 200)
}

/// The beginning of a text, on one line.
pub(crate) fn shortened(text: &str, chars: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(chars) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

/// The header that carries a step's idempotency key, as the IETF draft of that name has it.
pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// There was no connection, so nothing was sent.
    NotSent(String),
    /// It took too long; the request may have been carried out.
    TimedOut,
    /// The answer was a redirect that is not followed.
    Redirected(String),
    /// The answer is longer than the limit, in bytes.
    TooLong(u64),
    /// The connection broke; the request may have been carried out.
    Broken(String),
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        if error.is_connect() {
            Self::NotSent(cause(&error))
        } else if error.is_timeout() {
            Self::TimedOut
        } else if error.is_redirect() {
            Self::Redirected(cause(&error))
        } else {
            Self::Broken(cause(&error))
        }
    }
}

/// The innermost cause of an error: the outer ones say only that something failed, and some name the whole address.
pub(crate) fn cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Reads a body of at most `limit` bytes. What is longer is not read.
///
/// # Errors
/// [`NoAnswer`].
pub(crate) async fn body(response: &mut Response, limit: u64) -> Result<Vec<u8>, NoAnswer> {
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(NoAnswer::TooLong(limit));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() as u64 + chunk.len() as u64 > limit {
            return Err(NoAnswer::TooLong(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What an unexpected status says about trying again.
pub(crate) fn class(status: StatusCode) -> ErrorClass {
    match status.as_u16() {
        429 => ErrorClass::RateLimited,
        408 | 500..=599 => ErrorClass::Transient,
        401 | 403 => ErrorClass::Denied,
        400..=499 => ErrorClass::Invalid,
        _ => ErrorClass::Failed,
    }
}

/// How long the other side asks to wait, in seconds or as a date; at most a day.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let then = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
            orchestrator_core::time::Timestamp::from_millis(then).since(wall_clock())
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// Headers that say where a message ends, which only the client can know.
#[cfg(feature = "http")]
pub(crate) fn is_framing(name: &HeaderName) -> bool {
    *name == reqwest::header::CONTENT_LENGTH || *name == reqwest::header::TRANSFER_ENCODING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_what_may_be_secret() {
        for (text, expected) in [
            ("https://user:pass@host:8080/a/b?token=1#x", "https://host:8080/a/b"),
            ("https://host?token=1", "https://host"),
            ("http://a@b@c/p@q", "http://c/p@q"),
            ("${{ inputs.url }}", "${{ inputs.url }}"),
            ("${{ inputs.url ? 1 }}/x?q=1", "${{ inputs.url ? 1 }}/x"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(text_shown(text), expected);
        }
    }

    #[test]
    fn only_http_addresses_can_be_called() {
        assert!(address("http://[::1]:80/x").is_ok());
        for (text, expected) in [
            ("ftp://host/x", "`ftp` is not a scheme"),
            ("file:///etc/passwd", "`file` is not a scheme"),
            ("host/path", "is not a URL"),
            ("http://", "is not a URL"),
            ("http://user:secret@", "is not a URL"),
        ] {
            let problem = address(text).unwrap_err();
            assert!(problem.contains(expected) && !problem.contains("secret"), "{problem}");
        }
    }

    fn asked(value: &str) -> Option<Duration> {
        let value = value.parse().unwrap();
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]))
    }

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_by_date() {
        assert_eq!(asked("120"), Some(Duration::from_secs(120)));
        assert_eq!(asked(" 0 "), Some(Duration::ZERO));
        assert_eq!(asked("99999999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("Tue, 31 Dec 2199 23:59:59 GMT"), Some(RETRY_AFTER_MAX));
        for nonsense in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
