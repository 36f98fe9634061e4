//! A server that is reached by streamable HTTP, through the one way out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use orchestrator_core::port::plugin::Context;
use orchestrator_core::spec::permissions::NetworkGrant;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request, Response, StatusCode, Url};
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};
use tokio::time::Instant;

use super::trouble::{Trouble, Troubles};
use crate::outbound::{self, NoAnswer, Outbound, Outgoing};

/// The longest answer that is read, in bytes: 16 MiB. All events of one answer together are held to it.
const LIMIT: u64 = 16 << 20;

/// How much of an unexpected answer is read, in bytes, and how much of it is quoted, in characters.
const QUOTED_READ: u64 = 64 << 10;
const QUOTED: usize = 300;

/// How long a server may take to take leave.
const LEAVE: Duration = Duration::from_secs(2);

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";

type Failure = StreamableHttpError<Told>;

/// A trouble that has been noted.
#[derive(Debug)]
pub(super) struct Told(String);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Told {}

/// Sends what the protocol wants sent, and nothing else: connections that only listen are not opened.
#[derive(Debug, Clone)]
pub(super) struct Guarded {
    outbound: Arc<Outbound>,
    context: Arc<Context>,
    deadline: Instant,
    troubles: Troubles,
}

impl Guarded {
    /// For an attempt. If the address is `trusted`, it may be reached wherever it is.
    pub(super) fn new(
        outbound: &Arc<Outbound>,
        context: &Context,
        deadline: Instant,
        troubles: Troubles,
        trusted: Option<&Url>,
    ) -> Self {
        let mut context = context.clone();
        if let Some(grant) = trusted.and_then(own_place) {
            let all = context.network.grants().iter().cloned().chain([grant]);
            context.network = Arc::new(all.collect());
        }
        Self { outbound: outbound.clone(), context: Arc::new(context), deadline, troubles }
    }

    fn noted(&self, trouble: Trouble) -> Failure {
        let told = Told(trouble.to_string());
        self.troubles.note(trouble);
        StreamableHttpError::Client(told)
    }

    async fn send(&self, request: Request, deadline: Instant) -> Result<Response, NoAnswer> {
        let outgoing = Outgoing { request, deadline };
        // The only redirects that say the same again somewhere else.
        let follows =
            |status| matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        self.outbound.send(&self.context, outgoing, follows).await
    }

    async fn post(
        &self,
        uri: &str,
        message: &ClientJsonRpcMessage,
        session: Option<&str>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let body = serde_json::to_vec(message)?;
        let mut request = self.request(Method::POST, uri, session, headers)?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        *request.body_mut() = Some(body.into());
        let mut response =
            self.send(request, self.deadline).await.map_err(|error| self.noted(Trouble::NoAnswer(error)))?;
        let status = response.status();
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status == StatusCode::NOT_FOUND && session.is_some() {
            return Err(StreamableHttpError::SessionExpired);
        }
        let session = response.headers().get(SESSION).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let kind = kind(response.headers());
        if !status.is_success() {
            return self.refused(response, &kind, session).await;
        }
        if kind == EVENTS {
            return Ok(StreamableHttpPostResponse::Sse(events(response), session));
        }
        let body = outbound::body(&mut response, LIMIT)
            .await
            .map_err(|error| self.noted(Trouble::NoAnswer(error)))?;
        // What asks for nothing is answered by nothing.
        if body.is_empty() && !matches!(message, ClientJsonRpcMessage::Request(_)) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        match serde_json::from_slice(&body) {
            Ok(message) => Ok(StreamableHttpPostResponse::Json(message, session)),
            Err(error) => {
                let why = format!("the answer is no message: {error}{}", self.quoted(&body));
                Err(self.noted(Trouble::Odd(why)))
            }
        }
    }

    /// A status that stands for a failure. One that comes with an error of the protocol is an answer.
    async fn refused(
        &self,
        mut response: Response,
        kind: &str,
        session: Option<String>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let (status, retry_after) = (response.status(), outbound::retry_after(response.headers()));
        let body = outbound::body(&mut response, QUOTED_READ).await.unwrap_or_default();
        if kind == JSON
            && let Ok(error @ ServerJsonRpcMessage::Error(_)) = serde_json::from_slice(&body)
        {
            return Ok(StreamableHttpPostResponse::Json(error, session));
        }
        Err(self.noted(Trouble::Status(status, self.quoted(&body), retry_after)))
    }

    fn quoted(&self, body: &[u8]) -> String {
        let text = self.context.mask.text(&String::from_utf8_lossy(body)).into_owned();
        let quoted = outbound::shortened(&text, QUOTED);
        if quoted.is_empty() { quoted } else { format!(": {quoted}") }
    }

    fn request(
        &self,
        method: Method,
        uri: &str,
        session: Option<&str>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Request, Failure> {
        let odd = |what: String| self.noted(Trouble::Odd(what));
        let url = Url::parse(uri).map_err(|error| odd(format!("no address: {error}")))?;
        let mut request = Request::new(method, url);
        let all = request.headers_mut();
        all.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if let Some(session) = session {
            let session =
                session.parse().map_err(|_| odd("the name of the session cannot be sent".to_owned()))?;
            all.insert(SESSION, session);
        }
        all.extend(headers);
        Ok(request)
    }
}

/// The place that an address names, as a grant.
fn own_place(url: &Url) -> Option<NetworkGrant> {
    format!("{}:{}", url.host_str()?, url.port_or_known_default()?).parse().ok()
}

/// The kind of a body, without its parameters.
fn kind(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The events of an answer, as far as the limit goes.
fn events(response: Response) -> BoxStream<'static, Result<Sse, SseError>> {
    let pieces = stream::unfold(Some((response, LIMIT)), |state| async move {
        let (mut response, left) = state?;
        match response.chunk().await {
            Ok(None) => None,
            Ok(Some(piece)) if piece.len() as u64 > left => Some((Err(NoAnswer::TooLong(LIMIT)), None)),
            Ok(Some(piece)) => {
                let left = left - piece.len() as u64;
                Some((Ok(piece), Some((response, left))))
            }
            Err(error) => Some((Err(NoAnswer::from(error)), None)),
        }
    });
    let pieces = pieces.map(|piece| piece.map_err(|error| Told(format!("{error:?}"))));
    SseStream::from_bytes_stream(pieces).boxed()
}

impl StreamableHttpClient for Guarded {
    type Error = Told;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        self.post(&uri, &message, session_id.as_deref(), headers).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        let request = self.request(Method::DELETE, &uri, Some(&session_id), headers)?;
        // Nothing depends on what it says.
        let _ = self.send(request, Instant::now() + LEAVE).await;
        Ok(())
    }

    async fn get_stream(
        &self,
        _: Arc<str>,
        _: Option<Arc<str>>,
        _: Option<String>,
        _: Option<String>,
        _: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        // What belongs to a call comes with its answer.
        Err(StreamableHttpError::ServerDoesNotSupportSse)
    }
}
