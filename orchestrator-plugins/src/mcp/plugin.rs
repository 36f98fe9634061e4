//! What the plugin tells of itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{ConfigIssue, Context, Outcome, Plugin, Request};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::spec::{EffectClass, nearest};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::call;
use super::schema::{CONFIG, OUTPUT};
use super::server::{McpServer, Way};
use super::tool::McpTool;
use crate::config::{self, invalid};
use crate::duration;
use crate::outbound::{self, Outbound};
use crate::resident::Executable;

/// How long connecting and the call may take together where the author does not say: 5 min.
pub(super) const TIMEOUT: &str = "5m";

/// Calls a tool of an MCP server: of one that the host program has named, of one that the step starts, or of one that it reaches
/// by HTTP.
///
/// The server is spoken to anew for each attempt; a program is started for it, and ended with all that it has started. Arguments
/// are checked against what the tool says that it takes, before anything is called. What the tool says of itself
/// (`readOnlyHint` and its like) changes nothing: a step is `at_most_once` unless its author says otherwise. If the connection
/// breaks, or the time is over, after the call was sent, the outcome is unknown.
///
/// Over HTTP it reaches the public internet and what has been granted, as the plugin `http` does.
#[derive(Debug, Default)]
pub struct Mcp {
    pub(super) outbound: Arc<Outbound>,
    servers: BTreeMap<String, McpServer>,
}

/// A rendered `with`. Without `Debug`, for much of it may be secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    #[serde(default)]
    server: Option<String>,
    #[serde(default)]
    command: Option<Vec<String>>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    headers: Option<BTreeMap<String, String>>,
    pub(super) tool: String,
    #[serde(default)]
    pub(super) arguments: Option<Map<String, Value>>,
    #[serde(default)]
    timeout: Option<String>,
}

impl Mcp {
    /// The plugin over a way out that the host program has described, and that other plugins may share.
    #[must_use]
    pub const fn over(outbound: Arc<Outbound>) -> Self {
        Self { outbound, servers: BTreeMap::new() }
    }

    /// Names a server: `server: NAME` in workflows means it.
    #[must_use]
    pub fn server(mut self, name: impl Into<String>, server: McpServer) -> Self {
        self.servers.insert(name.into(), server);
        self
    }

    /// Asks a named server for its tools. Lines that it writes go to the log of `context`. It has 30 s.
    ///
    /// # Errors
    /// Class `invalid` if there is no server of that name; else why it cannot be asked.
    pub async fn tools(&self, server: &str, context: &Context) -> Result<Vec<McpTool>, StepError> {
        let way = self.named(server)?.0.clone();
        call::tools(self, way, context).await
    }

    fn named(&self, name: &str) -> Result<&McpServer, StepError> {
        self.servers.get(name).ok_or_else(|| {
            let hint = self.hint(name).map(|hint| format!("; {hint}")).unwrap_or_default();
            invalid(format!("there is no server `{name}`{hint}"))
        })
    }

    fn hint(&self, name: &str) -> Option<String> {
        let names = || self.servers.keys().map(String::as_str);
        match nearest(name, names()) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if self.servers.is_empty() => {
                Some("none is named; name it in the configuration file: `[mcp.NAME]`".to_owned())
            }
            None => Some(format!("there are {}", names().collect::<Vec<_>>().join(", "))),
        }
    }

    /// How the server of a step is spoken to.
    ///
    /// # Errors
    /// Class `invalid` where the step names none or several, `denied` where it starts one without `sandbox: none`.
    pub(super) fn way(
        &self,
        with: &Config,
        env: &BTreeMap<String, String>,
        context: &Context,
    ) -> Result<Way, StepError> {
        let way = match (&with.server, &with.command, &with.url) {
            (Some(name), None, None) => self.named(name)?.0.clone(),
            (None, Some(words), None) => {
                if !context.sandbox.is_none() {
                    return Err(StepError::new(
                        ErrorClass::Denied,
                        "a server that a workflow starts runs outside of the sandbox; add `sandbox: none` to the step, or name the server in the configuration file",
                    ));
                }
                let (program, args) =
                    words.split_first().ok_or_else(|| invalid("`command` names no program"))?;
                Way::Stdio(Executable::new(program).args(args))
            }
            (None, None, Some(url)) => {
                let url = outbound::address(url).map_err(|why| invalid(format!("`url`: {why}")))?;
                Way::Http { url, headers: Vec::new(), trusted: false }
            }
            _ => return Err(invalid(ONE)),
        };
        let way = match way {
            Way::Stdio(executable) => {
                Way::Stdio(env.iter().fold(executable, |all, (name, value)| all.env(name, value)))
            }
            http @ Way::Http { .. } => http,
        };
        way.with_headers(with.headers.iter().flatten())
    }
}

const ONE: &str = "exactly one of `server`, `command` and `url` is needed";

impl Config {
    /// How long it may take.
    ///
    /// # Errors
    /// Class `invalid`.
    pub(super) fn timeout(&self) -> Result<Duration, StepError> {
        let text = self.timeout.as_deref().unwrap_or(TIMEOUT);
        duration::parse(text).and_then(bounded).map_err(|why| invalid(format!("`timeout`: {why}")))
    }
}

fn bounded(timeout: Duration) -> Result<Duration, String> {
    let longest = Duration::from_secs(86_400);
    if timeout.is_zero() || timeout > longest {
        return Err("a call may take up to 1d, and more than nothing".to_owned());
    }
    Ok(timeout)
}

#[async_trait]
impl Plugin for Mcp {
    fn kind(&self) -> &str {
        "mcp"
    }

    fn summary(&self) -> &str {
        "calls a tool of an MCP server"
    }

    fn config_schema(&self) -> &Value {
        &CONFIG
    }

    fn output_schema(&self) -> &Value {
        &OUTPUT
    }

    fn effect_class(&self, _: &Value) -> EffectClass {
        EffectClass::AtMostOnce
    }

    fn validate(&self, with: &Value) -> Vec<ConfigIssue> {
        let mut issues = Vec::new();
        let given = |key: &&&str| config::given(with, key);
        let ways: Vec<&str> = ["server", "command", "url"].iter().filter(given).copied().collect();
        if ways.len() != 1 {
            let path: Vec<&str> = ways.get(1).copied().into_iter().collect();
            issues.push(config::issue(&path, ONE, None));
        }
        if let Some(name) = config::settled(with, "server").filter(|name| !self.servers.contains_key(*name)) {
            let hint = self.hint(name);
            issues.push(config::issue(&["server"], format!("there is no server `{name}`"), hint.as_deref()));
        }
        if let Some([]) = with.get("command").and_then(Value::as_array).map(Vec::as_slice) {
            issues.push(config::issue(&["command"], "it names no program", None));
        }
        if let Some(Err(why)) = config::settled(with, "url").map(outbound::address) {
            issues.push(config::issue(&["url"], why, None));
        }
        if let Some(Err(why)) =
            config::settled(with, "timeout").map(|text| duration::parse(text).and_then(bounded))
        {
            issues.push(config::issue(&["timeout"], why, None));
        }
        issues
    }

    fn reaches(&self, with: &Value) -> Vec<String> {
        let text = |key: &str| with.get(key).and_then(Value::as_str);
        let tool = text("tool").unwrap_or("?");
        let program = with.get("command").and_then(|command| command.get(0)).and_then(Value::as_str);
        let place = match (text("server"), program, text("url")) {
            (Some(name), ..) => match self.servers.get(name) {
                Some(server) => format!("the server {name} ({})", server.0.shown()),
                None => format!("the server {name}"),
            },
            (_, Some(program), _) => format!("{program}, which it starts outside of the sandbox"),
            (.., Some(url)) => outbound::text_shown(url),
            _ => "?".to_owned(),
        };
        vec![format!("calls the tool {tool} of {place}")]
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        let read = config::read::<Config>(request.with).and_then(|with| {
            let way = self.way(&with, &request.env, &context)?;
            let timeout = with.timeout()?;
            Ok((with, way, timeout))
        });
        match read {
            Ok((with, way, timeout)) => call::call(self, way, &context, with, timeout).await,
            Err(error) => config::refused(error),
        }
    }
}
