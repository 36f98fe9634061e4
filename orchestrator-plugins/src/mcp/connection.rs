//! A connection to a server, for one attempt.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{Context, Outcome};
use orchestrator_core::spec::nearest;
use orchestrator_core::spec::retry::ErrorClass;
use rmcp::model::{ErrorCode, PaginatedRequestParams};
use rmcp::service::{ClientInitializeError, Peer, RoleClient, RunningService, ServiceError, serve_client};
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig,
};
use tokio::time::Instant;

use super::http::Guarded;
use super::listener::Listener;
use super::server::Way;
use super::stdio::Server;
use super::tool::McpTool;
use super::trouble::{Troubles, lost};
use crate::config::invalid;
use crate::outbound::{Outbound, shortened};

/// How many pages of tools are asked for, and how many tools are looked at.
const PAGES: usize = 100;
const TOOLS: usize = 10_000;

/// How many tools are named to who has asked for one that is not there.
const NAMED: usize = 20;

/// How much of what a server says goes into a message, in characters.
const QUOTED: usize = 300;

/// How long taking leave may take.
const LEAVE: Duration = Duration::from_secs(3);

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    service: RunningService<RoleClient, Listener>,
    server: Option<Server>,
    troubles: Troubles,
    /// The server, as messages name it.
    what: String,
}

impl Connection {
    /// Connects, starts the server if it is a program, and shakes hands.
    ///
    /// # Errors
    /// How the attempt ends: nothing was called.
    pub(super) async fn open(
        outbound: &Arc<Outbound>,
        way: Way,
        context: &Context,
        deadline: Instant,
    ) -> Result<Self, Outcome> {
        let (what, troubles, listener) = (way.shown(), Troubles::default(), Listener::new(context));
        let mut server = None;
        let opened = match way {
            Way::Stdio(executable) => {
                let started = Server::start(&executable, context, troubles.clone()).await;
                let (running, output, input) = started.map_err(|error| {
                    let error = StepError::new(error.class, format!("{what}: {}", error.message));
                    Outcome::Failed { error, retry_after: None }
                })?;
                server = Some(running);
                serve_client(listener, (output, input)).await
            }
            Way::Http { url, headers, trusted } => {
                let client =
                    Guarded::new(outbound, context, deadline, troubles.clone(), trusted.then_some(&url));
                let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
                config.custom_headers = headers.into_iter().collect();
                serve_client(listener, StreamableHttpClientTransport::with_client(client, config)).await
            }
        };
        match opened {
            Ok(service) => Ok(Self { service, server, troubles, what }),
            Err(error) => Err(unopened(error, server, &troubles, &what, context).await),
        }
    }

    pub(super) fn peer(&self) -> &Peer<RoleClient> {
        self.service.peer()
    }

    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// What the server tells of its tools.
    ///
    /// # Errors
    /// How the attempt ends.
    pub(super) async fn tools(&mut self, context: &Context) -> Result<Vec<McpTool>, Outcome> {
        let mut tools: Vec<McpTool> = Vec::new();
        let mut cursor = None;
        for _ in 0..PAGES {
            let params = PaginatedRequestParams::default().with_cursor(cursor.take());
            let page = match self.peer().list_tools(Some(params)).await {
                Ok(page) => page,
                Err(error) => return Err(self.failed(error, false, context).await),
            };
            tools.extend(page.tools.into_iter().map(McpTool::from));
            cursor = page.next_cursor;
            if cursor.is_none() || tools.len() > TOOLS {
                break;
            }
        }
        tools.truncate(TOOLS);
        Ok(tools)
    }

    /// A tool by its name.
    ///
    /// # Errors
    /// How the attempt ends.
    pub(super) async fn tool(&mut self, name: &str, context: &Context) -> Result<McpTool, Outcome> {
        let tools = self.tools(context).await?;
        if let Some(tool) = tools.iter().find(|tool| tool.name == name) {
            return Ok(tool.clone());
        }
        let mut names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
        let hint = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let more = if names.len() > NAMED { ", …" } else { "" };
                names.truncate(NAMED);
                format!("it has {}{more}", names.join(", "))
            }
        };
        let hint = if tools.is_empty() { "it has none".to_owned() } else { hint };
        let message = format!("{} has no tool `{name}`; {}", self.what, shortened(&hint, QUOTED));
        Err(Outcome::Failed { error: invalid(message), retry_after: None })
    }

    /// How the attempt ends where the server gives no result; `called` if the call may have been sent.
    pub(super) async fn failed(&mut self, error: ServiceError, called: bool, context: &Context) -> Outcome {
        let what = self.what.clone();
        if let ServiceError::McpError(refused) = error {
            let class = match refused.code {
                ErrorCode::INVALID_PARAMS | ErrorCode::METHOD_NOT_FOUND | ErrorCode::INVALID_REQUEST => {
                    ErrorClass::Invalid
                }
                _ => ErrorClass::Failed,
            };
            let message = shortened(&context.mask.text(&refused.message), QUOTED);
            return Outcome::failed(class, format!("{what}: {message} (error {})", refused.code.0));
        }
        if let Some(trouble) = self.troubles.take() {
            return trouble.outcome(called, &what);
        }
        let cause = match &mut self.server {
            Some(server) => server.why().await,
            None => shortened(&context.mask.text(&error.to_string()), QUOTED),
        };
        lost(&cause, called, &what)
    }

    /// What there is to say of a server that does not answer in time.
    pub(super) async fn silence(&mut self) -> String {
        match &mut self.server {
            Some(server) => server.why().await,
            None => "the server does not answer".to_owned(),
        }
    }

    /// Takes leave. A program is ended with all that it has started.
    pub(super) async fn close(mut self) {
        // What does not take leave is left.
        let _ = self.service.close_with_timeout(LEAVE).await;
        drop(self.service);
        if let Some(server) = self.server {
            server.end().await;
        }
    }
}

async fn unopened(
    error: ClientInitializeError,
    server: Option<Server>,
    troubles: &Troubles,
    what: &str,
    context: &Context,
) -> Outcome {
    let outcome = match (troubles.take(), error) {
        (Some(trouble), _) => trouble.outcome(false, what),
        (None, ClientInitializeError::JsonRpcError(refused)) => {
            let message = shortened(&context.mask.text(&refused.message), QUOTED);
            Outcome::failed(ErrorClass::Failed, format!("{what}: {message} (error {})", refused.code.0))
        }
        (None, error) => {
            let mut server = server;
            let cause = match &mut server {
                Some(server) => server.why().await,
                None => shortened(&context.mask.text(&error.to_string()), QUOTED),
            };
            if let Some(server) = server {
                server.end().await;
            }
            return lost(&format!("it does not speak the protocol: {cause}"), false, what);
        }
    };
    if let Some(server) = server {
        server.end().await;
    }
    outcome
}
