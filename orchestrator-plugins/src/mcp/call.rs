//! One call, from the config to the outcome.

use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{Context, Outcome, StopReason};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, ContentBlock, ServerResult,
};
use rmcp::service::{PeerRequestOptions, RequestHandle, RoleClient, ServiceError};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::Connection;
use super::plugin::{Config, Mcp};
use super::server::Way;
use super::tool::{McpTool, misfits};
use crate::config::{self, invalid};
use crate::outbound::shortened;

/// How long a server has to tell of its tools to who only looks.
const LOOK: Duration = Duration::from_secs(30);

/// How long telling a server that nobody waits any more may take.
const TELL: Duration = Duration::from_secs(1);

/// How much of what a tool says of its failure goes into the message, in characters.
const QUOTED: usize = 1_000;

/// Asks a server for its tools.
///
/// # Errors
/// Why it does not tell.
pub(super) async fn tools(mcp: &Mcp, way: Way, context: &Context) -> Result<Vec<McpTool>, StepError> {
    let what = way.shown();
    let deadline = Instant::now() + LOOK;
    let asked = async {
        let mut connection = Connection::open(&mcp.outbound, way, context, deadline).await?;
        let tools = connection.tools(context).await;
        connection.close().await;
        tools
    };
    match timeout_at(deadline, asked).await {
        Ok(Ok(tools)) => Ok(tools),
        Ok(Err(Outcome::Failed { error, .. } | Outcome::Unknown { error })) => Err(error),
        _ => {
            let message = format!("{what} has not told of its tools within {} s", LOOK.as_secs());
            Err(StepError::new(ErrorClass::Timeout, message))
        }
    }
}

/// Connects, finds the tool, checks the arguments, calls.
pub(super) async fn call(
    mcp: &Mcp,
    way: Way,
    context: &Context,
    with: Config,
    patience: Duration,
) -> Outcome {
    let (deadline, what) = (Instant::now() + patience, way.shown());
    let ready = async {
        let mut connection = Connection::open(&mcp.outbound, way, context, deadline).await?;
        match found(&mut connection, &with, context).await {
            Ok(tool) => Ok((connection, tool)),
            Err(outcome) => {
                connection.close().await;
                Err(outcome)
            }
        }
    };
    let stop = context.stop.clone();
    let (mut connection, tool) = tokio::select! {
        biased;
        ready = timeout_at(deadline, ready) => match ready {
            Ok(Ok(ready)) => ready,
            Ok(Err(outcome)) => return outcome,
            Err(_) => return late(&what, patience, "was not ready to be called"),
        },
        // Nothing was called. What was started is dropped, and ends.
        reason = stop.requested() => return match reason {
            StopReason::TimedOut => late(&what, patience, "was not ready to be called"),
            _ => Outcome::Stopped,
        },
    };
    let outcome = called(&mut connection, &tool, context, with, deadline).await;
    connection.close().await;
    outcome
}

fn late(what: &str, patience: Duration, how: &str) -> Outcome {
    Outcome::failed(
        ErrorClass::Timeout,
        format!("{what}: the server {how} within {patience:?}, or the step's own time"),
    )
}

/// The tool, if the arguments fit it.
async fn found(connection: &mut Connection, with: &Config, context: &Context) -> Result<McpTool, Outcome> {
    let tool = connection.tool(&with.tool, context).await?;
    let arguments = Value::Object(with.arguments.clone().unwrap_or_default());
    let refused = |message: String| Err(config::refused(invalid(message)));
    match misfits("arguments", &tool.input_schema, &arguments) {
        Ok(misfits) if misfits.is_empty() => Ok(tool),
        Ok(misfits) => refused(format!(
            "the arguments do not fit the tool `{}` of {}: {}",
            tool.name,
            connection.what(),
            misfits.join("; ")
        )),
        Err(why) => refused(format!(
            "what the tool `{}` of {} says that it takes is no schema: {why}",
            tool.name,
            connection.what()
        )),
    }
}

/// Calls. From here on nobody can tell what has happened if there is no answer.
async fn called(
    connection: &mut Connection,
    tool: &McpTool,
    context: &Context,
    with: Config,
    deadline: Instant,
) -> Outcome {
    let mut params = CallToolRequestParams::new(with.tool);
    params.arguments = with.arguments;
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let sent = connection.peer().send_cancellable_request(request, PeerRequestOptions::no_options()).await;
    let mut handle = match sent {
        Ok(handle) => handle,
        Err(error) => return connection.failed(error, true, context).await,
    };
    let stop = context.stop.clone();
    let reason = tokio::select! {
        biased;
        answer = timeout_at(deadline, &mut handle.rx) => match answer {
            Ok(answer) => return match answer.unwrap_or(Err(ServiceError::TransportClosed)) {
                Ok(ServerResult::CallToolResult(result)) => given(&result, tool, connection.what(), context),
                Ok(_) => Outcome::failed(
                    ErrorClass::Failed,
                    format!("the tool `{}` of {} asks for something that nobody can give here", tool.name, connection.what()),
                ),
                Err(error) => connection.failed(error, true, context).await,
            },
            Err(_) => StopReason::TimedOut,
        },
        reason = stop.requested() => reason,
    };
    stopped(connection, handle, tool, context, reason).await
}

/// Tells the server that nobody waits any more. It may have done it all the same.
async fn stopped(
    connection: &mut Connection,
    handle: RequestHandle<RoleClient>,
    tool: &McpTool,
    context: &Context,
    reason: StopReason,
) -> Outcome {
    let word = match reason {
        StopReason::TimedOut => "timed out",
        StopReason::Cancelled => "cancelled",
        _ => "stopped",
    };
    let _ = timeout(TELL, handle.cancel(Some(word.to_owned()))).await;
    if context.effect != EffectClass::AtMostOnce && reason != StopReason::TimedOut {
        // It may begin again, whatever it has done.
        return Outcome::Stopped;
    }
    let (class, cause) = match reason {
        StopReason::TimedOut => {
            (ErrorClass::Timeout, format!("no result in time; {}", connection.silence().await))
        }
        _ => (ErrorClass::Transient, format!("{word} before there was a result")),
    };
    let message = format!("the tool `{}` of {}: {cause}", tool.name, connection.what());
    Outcome::Unknown { error: StepError::new(class, message) }
}

/// The output that a result gives.
fn given(result: &CallToolResult, tool: &McpTool, what: &str, context: &Context) -> Outcome {
    let texts = result.content.iter().filter_map(|block| match block {
        ContentBlock::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    let text = texts.collect::<Vec<_>>().join("\n");
    let name = &tool.name;
    if result.is_error == Some(true) {
        let told = shortened(&context.mask.text(&text), QUOTED);
        let colon = if told.is_empty() { "" } else { ": " };
        return Outcome::failed(
            ErrorClass::Failed,
            format!("the tool `{name}` of {what} has failed{colon}{told}"),
        );
    }
    if let Some(schema) = &tool.output_schema {
        let wrong = match &result.structured_content {
            None => "it gives no structured result, and says that it does".to_owned(),
            Some(structured) => match misfits("structured", schema, structured) {
                Ok(misfits) => misfits.join("; "),
                Err(why) => format!("what it says of its result is no schema: {why}"),
            },
        };
        if !wrong.is_empty() {
            let message = format!("the result of the tool `{name}` of {what} is not what it says: {wrong}");
            return config::refused(invalid(message));
        }
    }
    let content = serde_json::to_value(&result.content).unwrap_or_default();
    let mut output = json!({ "text": text, "structured": result.structured_content, "content": content });
    config::replace_nul(&mut output);
    Outcome::Succeeded { output }
}
