//! The way to a forge's API: requests with credentials, pages of lists, and what goes wrong on the way.

use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::mask::Mask;
use orchestrator_core::port::plugin::{Context, StopReason, Stream};
use orchestrator_core::spec::retry::ErrorClass;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LINK};
use reqwest::{Method, Request, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::action::Config;
use super::complaint;
use super::halt::Halt;
use super::login::Login;
use super::name;
use super::port::Dialect;
use super::tail::Tail;
use crate::config::invalid;
use crate::outbound::{self, NoAnswer, Outbound, Outgoing};

/// How long a call may take, and one that fetches a log.
const CALL: Duration = Duration::from_secs(30);
const LOG: Duration = Duration::from_secs(300);

/// The longest answer that is read, in bytes: a page of checks with all that they say.
const ANSWER: u64 = 32 << 20;

/// The longest log whose end is looked for, in bytes.
const LOG_MAX: u64 = 1 << 30;

/// How much of an answer is read that is a refusal, in bytes.
const REFUSAL: u64 = 256 << 10;

/// The most pages of a list that are read.
const PAGES: usize = 50;

/// How many entries of a list are asked for at a time.
pub(super) const PER_PAGE: &str = "100";

/// A request.
#[derive(Debug)]
pub(super) struct Call<'c> {
    method: Method,
    /// Below the address of the API. Each part is encoded.
    path: &'c [&'c str],
    query: Vec<(&'static str, &'c str)>,
    body: Option<Value>,
    changes: bool,
}

impl<'c> Call<'c> {
    pub(super) const fn get(path: &'c [&'c str]) -> Self {
        Self { method: Method::GET, path, query: Vec::new(), body: None, changes: false }
    }

    /// A request that changes something: without an answer to it, nobody can tell whether it has.
    pub(super) const fn change(method: Method, path: &'c [&'c str], body: Value) -> Self {
        Self { method, path, query: Vec::new(), body: Some(body), changes: true }
    }

    /// A request whose repetition changes nothing, whatever its method.
    #[cfg(feature = "github")]
    pub(super) const fn harmless(mut self) -> Self {
        self.changes = false;
        self
    }

    pub(super) fn query(mut self, query: &[(&'static str, &'c str)]) -> Self {
        self.query.extend_from_slice(query);
        self
    }
}

/// What has come back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// What was asked, for messages.
    pub(super) what: String,
}

/// A forge's API, as one attempt reaches it.
pub(super) struct Line<'a> {
    outbound: &'a Outbound,
    pub(super) context: &'a Context,
    pub(super) dialect: &'static Dialect,
    pub(super) base: Url,
    /// What every request says.
    headers: HeaderMap,
    login: Box<dyn Login + 'a>,
}

impl<'a> Line<'a> {
    /// The way to where `with` says.
    ///
    /// # Errors
    /// Class `invalid` where that is no address; `denied` where a token would not be safe on its way.
    pub(super) fn to(
        dialect: &'static Dialect,
        (outbound, context): (&'a Outbound, &'a Context),
        with: &Config,
        headers: HeaderMap,
        login: Box<dyn Login + 'a>,
    ) -> Result<Self, StepError> {
        let base = name::base_url(with.base_url.as_deref().unwrap_or(dialect.base_url));
        let base = base.map_err(|why| invalid(format!("`base_url`: {why}")))?;
        let has_credentials = with.token.is_some() || with.app.is_some();
        if has_credentials && base.scheme() == "http" && !is_this_machine(&base) {
            let shown = outbound::shown(&base);
            let message =
                format!("`base_url`: {shown} is not encrypted, so no token is sent to it; use https");
            return Err(StepError::new(ErrorClass::Denied, message));
        }
        Ok(Self { outbound, context, dialect, base, headers, login })
    }

    /// Asks as whoever the step is, and with a new token once more where one is not taken.
    ///
    /// # Errors
    /// Where there is no answer. One that refuses is an answer.
    pub(super) async fn ask(&self, call: &Call<'_>) -> Result<Answer, Halt> {
        self.ask_at(call, &self.url(call)?).await
    }

    async fn ask_at(&self, call: &Call<'_>, url: &Url) -> Result<Answer, Halt> {
        let token = self.login.token(self).await?;
        let answer = self.send(call, url, token.as_deref()).await?;
        match token {
            Some(token) if answer.status == StatusCode::UNAUTHORIZED && self.login.forget(&token).await => {
                let token = self.login.token(self).await?;
                self.send(call, url, token.as_deref()).await
            }
            _ => Ok(answer),
        }
    }

    /// As [`Self::ask`], and reads what the answer says.
    ///
    /// # Errors
    /// Where there is no answer, a refusal, or one that is not understood.
    pub(super) async fn read<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Halt> {
        let answer = self.ask(call).await?;
        self.understood(&answer)
    }

    /// As [`Self::ask`], with another bearer than the step's own.
    ///
    /// # Errors
    /// As [`Self::ask`].
    #[cfg(feature = "github")]
    pub(super) async fn ask_as(&self, call: &Call<'_>, bearer: &str) -> Result<Answer, Halt> {
        self.send(call, &self.url(call)?, Some(bearer)).await
    }

    /// All entries of a list, over its pages. In an answer that is a mapping, they stand at `key`.
    ///
    /// # Errors
    /// As [`Self::read`]; a list without end.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        key: Option<&str>,
    ) -> Result<Vec<T>, Halt> {
        let mut url = self.url(call)?;
        url.query_pairs_mut().append_pair("per_page", PER_PAGE);
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let answer = self.ask_at(call, &url).await?;
            let mut page: Value = self.understood(&answer)?;
            let entries = match key {
                Some(key) => page.get_mut(key).map(Value::take).unwrap_or_default(),
                None => page,
            };
            let entries = serde_json::from_value::<Vec<T>>(entries);
            all.extend(entries.map_err(|error| self.odd(&answer.what, &error.to_string()))?);
            match next(&answer.headers) {
                None => return Ok(all),
                Some(next) => url = self.same_place(&answer.what, next)?,
            }
        }
        let (what, most) = (outbound::shown(&url), all.len());
        Err(Halt::failed(format!(
            "GET {what}: the list has more than {most} entries, the most that are read"
        )))
    }

    /// The end of a text, which may lie with another host; `None` if there is none.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) async fn tail(&self, call: &Call<'_>, limit: usize) -> Result<Option<Tail>, Halt> {
        let token = self.login.token(self).await?;
        let mut fetched = self.fetch(call, token.as_deref(), limit).await?;
        if let (Some(token), Err(refusal)) = (token, &fetched)
            && refusal.status == StatusCode::UNAUTHORIZED
            && self.login.forget(&token).await
        {
            let token = self.login.token(self).await?;
            fetched = self.fetch(call, token.as_deref(), limit).await?;
        }
        match fetched {
            Ok(tail) => Ok(Some(tail)),
            // It was never there, or is no longer kept.
            Err(refusal) if matches!(refusal.status, StatusCode::NOT_FOUND | StatusCode::GONE) => Ok(None),
            Err(refusal) => Err(self.refusal(&refusal)),
        }
    }

    /// The end of a text, or the answer that refuses it.
    async fn fetch(
        &self,
        call: &Call<'_>,
        bearer: Option<&str>,
        limit: usize,
    ) -> Result<Result<Tail, Answer>, Halt> {
        let url = self.url(call)?;
        let what = format!("GET {}", outbound::shown(&url));
        let deadline = Instant::now() + LOG;
        let outgoing = Outgoing { request: self.request(call, &url, bearer)?, deadline };
        let fetching = async {
            // What another host sees of it is up to `outbound`: not the token.
            let mut response = self.outbound.send(self.context, outgoing, |_| true).await?;
            if !response.status().is_success() {
                return Ok(Err(self.answer(response, deadline, &what).await?));
            }
            let mut tail = Tail::new(limit, self.context.mask.clone());
            let reading = timeout_at(deadline, pieces(&mut response, &mut tail)).await;
            reading.map_err(|_| NoAnswer::TimedOut)??;
            Ok(Ok(tail))
        };
        match outbound::until_stopped(self.context, false, fetching).await {
            Ok(fetched) => fetched.map_err(|none| self.no_answer(&none, false, &what)),
            Err(reason) => Err(Halt::Stopped(reason)),
        }
    }

    /// A refusal as a failure, in the forge's own words.
    pub(super) fn refusal(&self, answer: &Answer) -> Halt {
        complaint::halt(self.dialect, answer, &self.context.mask)
    }

    /// What the forge says is wrong.
    pub(super) fn words(&self, answer: &Answer) -> String {
        complaint::words(answer, &self.context.mask)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// A refusal, or what is not understood.
    pub(super) fn understood<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Halt> {
        if !answer.status.is_success() {
            return Err(self.refusal(answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| self.odd(&answer.what, &error.to_string()))
    }

    fn odd(&self, what: &str, error: &str) -> Halt {
        Halt::failed(format!("{what}: the answer is none of {}'s API: {error}", self.dialect.name))
    }

    fn url(&self, call: &Call<'_>) -> Result<Url, StepError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| invalid("`base_url`: it has no path that could be extended"))?
            .pop_if_empty()
            .extend(call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        Ok(url)
    }

    /// Another page of the same API: nowhere else the token is sent to.
    fn same_place(&self, what: &str, url: &str) -> Result<Url, Halt> {
        match self.base.join(url) {
            Ok(url) if url.origin() == self.base.origin() => Ok(url),
            _ => Err(Halt::failed(format!(
                "{what}: the next page of the list is at {}, another place than `base_url`",
                outbound::text_shown(url)
            ))),
        }
    }

    fn request(&self, call: &Call<'_>, url: &Url, bearer: Option<&str>) -> Result<Request, StepError> {
        let mut request = Request::new(call.method.clone(), url.clone());
        *request.headers_mut() = self.headers.clone();
        if let Some(bearer) = bearer {
            let value = HeaderValue::from_str(&format!("Bearer {}", bearer.trim()));
            let mut value =
                value.map_err(|_| invalid("the token holds a line end or another control character"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        if let Some(body) = &call.body {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.to_string().into());
        }
        Ok(request)
    }

    async fn send(&self, call: &Call<'_>, url: &Url, bearer: Option<&str>) -> Result<Answer, Halt> {
        let what = format!("{} {}", call.method, outbound::shown(url));
        let deadline = Instant::now() + CALL;
        let outgoing = Outgoing { request: self.request(call, url, bearer)?, deadline };
        // A repository that was renamed sends on; what would make another request of this one is not followed.
        let safe = call.method == Method::GET;
        let follows = |status: StatusCode| safe || matches!(status.as_u16(), 307 | 308);
        let answering = async {
            let response = self.outbound.send(self.context, outgoing, follows).await?;
            self.answer(response, deadline, &what).await
        };
        match outbound::until_stopped(self.context, call.changes, answering).await {
            Ok(Ok(mut answer)) => {
                if call.changes {
                    self.context.log(Stream::System, &format!("{what}: {}", answer.status));
                }
                if let Some(bearer) = bearer.filter(|_| !answer.status.is_success()) {
                    forget_secret(&mut answer.body, bearer);
                }
                Ok(answer)
            }
            Ok(Err(none)) => Err(self.no_answer(&none, call.changes, &what)),
            Err(StopReason::TimedOut) => Err(self.no_answer(&NoAnswer::TimedOut, call.changes, &what)),
            Err(reason) if !call.changes => Err(Halt::Stopped(reason)),
            Err(_) => Err(Halt::Unknown(StepError::new(
                ErrorClass::Transient,
                format!("{what}: stopped before the answer came"),
            ))),
        }
    }

    async fn answer(
        &self,
        mut response: Response,
        deadline: Instant,
        what: &str,
    ) -> Result<Answer, NoAnswer> {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = if status.is_success() {
            let body = timeout_at(deadline, outbound::body(&mut response, ANSWER)).await;
            body.map_err(|_| NoAnswer::TimedOut)??
        } else {
            // The status is the failure, whatever comes after it.
            let body = timeout_at(deadline, outbound::body(&mut response, REFUSAL)).await;
            body.ok().and_then(Result::ok).unwrap_or_default()
        };
        Ok(Answer { status, headers, body, what: what.to_owned() })
    }

    fn no_answer(&self, none: &NoAnswer, changes: bool, what: &str) -> Halt {
        let error = StepError::new(none.class(), format!("{what}: {none}"));
        match changes && none.may_be_done() {
            true => Halt::Unknown(error),
            false => Halt::Failed { error, retry_after: none.wait() },
        }
    }
}

/// Servers have been seen to repeat what they were sent.
fn forget_secret(body: &mut Vec<u8>, bearer: &str) {
    let text = String::from_utf8_lossy(body);
    *body = Mask::of([bearer.trim()]).text(&text).into_owned().into_bytes();
}

async fn pieces(response: &mut Response, tail: &mut Tail) -> Result<(), NoAnswer> {
    let mut read = 0;
    while let Some(piece) = response.chunk().await? {
        read += piece.len() as u64;
        if read > LOG_MAX {
            return Err(NoAnswer::TooLong(LOG_MAX));
        }
        tail.take(&piece);
    }
    Ok(())
}

fn is_this_machine(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// Where the next page is (RFC 8288).
fn next(headers: &HeaderMap) -> Option<&str> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    links.flat_map(|value| value.split(',')).find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = |parameter: &str| matches!(parameter.trim(), "rel=\"next\"" | "rel=next");
        parameters.split(';').any(is_next).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_told_in_a_header() {
        let of = |value: &str| {
            let headers = HeaderMap::from_iter([(LINK, value.parse().unwrap())]);
            next(&headers).map(str::to_owned)
        };
        let both = "<https://a/?page=1>; rel=\"prev\", <https://a/?page=3&b=1>; rel=\"next\"";
        assert_eq!(of(both).as_deref(), Some("https://a/?page=3&b=1"));
        assert_eq!(of("<https://a/?page=9>; title=x; rel=next").as_deref(), Some("https://a/?page=9"));
        for none in ["", "<https://a/>; rel=\"last\"", "https://a/; rel=\"next\"", "<https://a"] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(next(&HeaderMap::new()), None);
    }
}
