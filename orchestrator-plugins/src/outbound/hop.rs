//! One request, over all redirects.

use std::error::Error;

use orchestrator_core::port::plugin::{Context, Stream};
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Method, Request, Response, StatusCode, Url};
use tokio::time::{Instant, timeout_at};

use super::answer::{KEY, NoAnswer};
use super::reach::{Destination, Reach, Refused, Target};
use super::way::Outbound;
use super::{address, cause, shown};

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// The headers that go along to another origin: they say what is wanted and what is sent. Whatever else the author has set may
/// be a credential, under whatever name.
const HARMLESS: [HeaderName; 7] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::USER_AGENT,
    KEY,
];

/// A request, and how long it may take.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) request: Request,
    /// When the head of the last answer must be there.
    pub(crate) deadline: Instant,
}

impl Outbound {
    /// Sends a request for the step of `context`, and follows up to [`REDIRECTS`] redirects whose status `follows` takes.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub(crate) async fn send(
        &self,
        context: &Context,
        outgoing: Outgoing,
        follows: impl Fn(StatusCode) -> bool,
    ) -> Result<Response, NoAnswer> {
        let Outgoing { mut request, deadline } = outgoing;
        let mut carried_out = false;
        for followed in 0.. {
            let from = request.url().clone();
            let again = request.try_clone();
            let response = match self.hop(context, request, deadline).await {
                // What was asked for has been done, and answered with a redirect to where nobody is.
                Err(NoAnswer::NotSent(cause)) if carried_out => return Err(NoAnswer::Broken(cause)),
                answered => answered?,
            };
            let status = response.status();
            let location = response.headers().get(header::LOCATION).filter(|_| is_redirect(status));
            let Some(location) = location.filter(|_| follows(status)) else { return Ok(response) };
            if followed == REDIRECTS {
                return Err(NoAnswer::Redirected(format!("more than {REDIRECTS} redirects")));
            }
            let to = target(&from, location.as_bytes()).map_err(NoAnswer::Redirected)?;
            let next =
                again.ok_or_else(|| NoAnswer::Redirected("the body cannot be sent again".to_owned()))?;
            carried_out |= asks_for_get(status, next.method());
            request = redirected(next, status, to);
        }
        Err(NoAnswer::Redirected("without end".to_owned()))
    }

    /// Sends a request to where its URL leads and nowhere else.
    async fn hop(
        &self,
        context: &Context,
        request: Request,
        deadline: Instant,
    ) -> Result<Response, NoAnswer> {
        let destination = Destination::of(request.url())
            .ok_or_else(|| NoAnswer::NotSent(format!("{} has no host", shown(request.url()))))?;
        let reach = Reach::of([self.granted(), &context.network], &destination);
        if let Target::Address(address) = destination.host
            && let Err(block) = reach.check(None, address)
        {
            return Err(NoAnswer::Denied(Refused { address, block }.told(&destination)));
        }
        self.check_behind_proxy(&reach, &destination)?;
        let origin = format!("{}://{destination}", request.url().scheme());
        let passage =
            self.breakers().enter(origin.clone()).map_err(|wait| NoAnswer::Resting(origin.clone(), wait))?;
        let client = self.client(&reach).await?;
        let failed = match timeout_at(deadline, client.execute(request)).await {
            Ok(Ok(response)) if is_well(response.status()) => {
                passage.succeeded();
                return Ok(response);
            }
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                if let Some(refused) = refusal(&error) {
                    return Err(NoAnswer::Denied(refused.told(&destination)));
                }
                Err(NoAnswer::from(error))
            }
            Err(_) => Err(NoAnswer::TimedOut),
        };
        if let Some(opened) = passage.failed() {
            let line = format!("{origin} has failed again and again and is left alone for {opened:?}");
            context.log(Stream::System, &line);
        }
        failed
    }
}

/// Whether a host that answers so is well, whatever it thinks of the request.
fn is_well(status: StatusCode) -> bool {
    !status.is_server_error() && status != StatusCode::REQUEST_TIMEOUT
}

/// The refusal inside of an error, if it is one.
fn refusal(error: &reqwest::Error) -> Option<Refused> {
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(error) = next {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(*refused);
        }
        next = error.source();
    }
    None
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Whether a redirect asks for its target to be fetched, in place of the request being repeated there (RFC 9110, 15.4).
fn asks_for_get(status: StatusCode, method: &Method) -> bool {
    match status.as_u16() {
        301 | 302 => *method == Method::POST,
        303 => *method != Method::GET && *method != Method::HEAD,
        _ => false,
    }
}

/// Where a redirect leads.
fn target(from: &Url, location: &[u8]) -> Result<Url, String> {
    let text = std::str::from_utf8(location).map_err(|_| "a redirect to no URL".to_owned())?;
    let to = from.join(text).map_err(|error| format!("a redirect to no URL: {}", cause(&error)))?;
    let mut to = address(to.as_str()).map_err(|problem| format!("a redirect: {problem}"))?;
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err("a redirect from https to http".to_owned());
    }
    // A fragment is inherited, and never sent.
    to.set_fragment(None);
    Ok(to)
}

/// The request that a redirect asks for.
fn redirected(mut request: Request, status: StatusCode, to: Url) -> Request {
    if asks_for_get(status, request.method()) {
        *request.method_mut() = Method::GET;
        *request.body_mut() = None;
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, KEY] {
            request.headers_mut().remove(name);
        }
    }
    if request.url().origin() != to.origin() {
        let kept = std::mem::take(request.headers_mut());
        let kept = kept.iter().filter(|(name, _)| HARMLESS.contains(name));
        *request.headers_mut() =
            kept.map(|(name, value)| (name.clone(), value.clone())).collect::<HeaderMap>();
    }
    // The host that the author names is that of the first address.
    request.headers_mut().remove(header::HOST);
    *request.url_mut() = to;
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn redirects_lead_to_http_and_never_away_from_tls() {
        let to = |from: &str, location: &str| target(&url(from), location.as_bytes());
        assert_eq!(to("https://a/b/c?d", "../e#f").unwrap().as_str(), "https://a/e");
        assert_eq!(to("http://a/", "//b/c").unwrap().as_str(), "http://b/c");
        assert_eq!(to("http://a/", "https://a/").unwrap().as_str(), "https://a/");
        for (from, location) in [
            ("https://a/", "http://a/"),
            ("http://a/", "file:///etc/passwd"),
            ("http://a/", "gopher://a/"),
            ("http://a/", "unix:/var/run/docker.sock"),
            ("http://a/", "http://user:secret@b/"),
            ("http://a/", "http://"),
            ("http://a/", "\u{ff}\u{0}:"),
        ] {
            let problem = to(from, location);
            assert!(problem.is_err() || location.starts_with('\u{ff}'), "{location}: {problem:?}");
        }
        assert!(target(&url("http://a/"), b"\xff").is_err());
    }

    #[test]
    fn what_is_sent_on_follows_the_status() {
        for (status, method, then) in [
            (301, "POST", "GET"),
            (302, "POST", "GET"),
            (302, "PUT", "PUT"),
            (303, "DELETE", "GET"),
            (303, "HEAD", "HEAD"),
            (307, "POST", "POST"),
            (308, "PATCH", "PATCH"),
        ] {
            let mut request = Request::new(method.parse().unwrap(), url("http://a/"));
            *request.body_mut() = Some("x".into());
            let status = StatusCode::from_u16(status).unwrap();
            let next = redirected(request, status, url("http://a/b"));
            assert_eq!(next.method().as_str(), then, "{method} {status}");
            assert_eq!(next.body().is_some(), method == then, "{method} {status}");
        }
    }

    #[test]
    fn another_origin_sees_no_header_that_may_be_a_credential() {
        for (to, kept) in
            [("http://a/b", true), ("https://a/", false), ("http://a:81/", false), ("http://b/", false)]
        {
            let mut request = Request::new(Method::GET, url("http://a/"));
            for name in ["authorization", "cookie", "x-api-key", "accept"] {
                request.headers_mut().insert(name, "v".parse().unwrap());
            }
            let next = redirected(request, StatusCode::FOUND, url(to));
            for name in ["authorization", "cookie", "x-api-key"] {
                assert_eq!(next.headers().contains_key(name), kept, "{name} to {to}");
            }
            assert!(next.headers().contains_key("accept"));
        }
    }
}
