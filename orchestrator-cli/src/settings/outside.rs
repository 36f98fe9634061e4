//! What the settings name outside of this program: executables that bring kinds of steps, and MCP servers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use config::{Map, Value};
use orchestrator_core::spec::schema::check_value;
use serde::Deserialize;
use serde_json::json;

/// The keys of the configuration file.
pub(super) const PLUGINS: &str = "plugins";
pub(super) const MCP: &str = "mcp";

/// What may stand there.
static SCHEMA: LazyLock<serde_json::Value> = LazyLock::new(|| {
    let texts = json!({ "type": "array", "items": { "type": "string", "minLength": 1 } });
    let table = json!({
        "type": "object",
        "required": ["command"],
        "properties": { "command": texts, "env": texts },
    });
    json!({
        "type": "object",
        "properties": {
            PLUGINS: { "type": "array", "items": { "oneOf": [{ "type": "string", "minLength": 1 }, table] } },
            MCP: { "type": "object", "additionalProperties": {
                "type": "object",
                "properties": {
                    "command": texts,
                    "env": texts,
                    "url": { "type": "string", "minLength": 1 },
                    "headers": { "type": "object", "additionalProperties": { "type": "string" } },
                },
            } },
        },
    })
});

/// An executable that brings kinds of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutsidePlugin {
    /// The program and its arguments; never empty.
    pub(crate) command: Vec<String>,
    /// The variables of the environment that it sees beyond the usual ones.
    pub(crate) env: Vec<String>,
    /// Who names it: `FILE: plugins[0]`, or a flag.
    pub(crate) place: String,
}

/// An MCP server. Its headers are shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OutsideServer {
    pub(crate) name: String,
    pub(crate) way: ServerWay,
    /// Who names it: `FILE: mcp.NAME`.
    pub(crate) place: String,
}

/// How it is spoken to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum ServerWay {
    /// A program, its arguments, and the variables that it sees beyond the usual ones.
    Command(Vec<String>, Vec<String>),
    /// An address, and headers that go along.
    Url(String, BTreeMap<String, String>),
}

impl std::fmt::Debug for OutsideServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutsideServer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What is said of a server.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    command: Option<Vec<String>>,
    #[serde(default)]
    env: Vec<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Path(String),
    Table {
        command: Vec<String>,
        #[serde(default)]
        env: Vec<String>,
    },
}

/// What a file says at `key`, found to fit.
fn said<T: serde::de::DeserializeOwned>(values: &Map<String, Value>, key: &str) -> Result<Option<T>, String> {
    let Some(value) = values.get(key) else { return Ok(None) };
    let value: serde_json::Value = value.clone().try_deserialize().map_err(|error| error.to_string())?;
    if let Some(issue) = check_value(&SCHEMA, &json!({ key: value })).into_iter().next() {
        let hint = issue.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        return Err(format!("{}: {}{hint}", issue.path.join("."), issue.message));
    }
    serde_json::from_value(value).map(Some).map_err(|error| error.to_string())
}

/// Reads the servers that a file names. Relative paths start at `base`.
///
/// # Errors
/// The first thing that is wrong, with its place in the file.
pub(super) fn servers(
    values: &Map<String, Value>,
    file: &Path,
    base: &Path,
) -> Result<Vec<OutsideServer>, String> {
    let named: BTreeMap<String, Said> = said(values, MCP)?.unwrap_or_default();
    let mut servers = Vec::with_capacity(named.len());
    for (name, said) in named {
        let wrong = |why: &str| Err(format!("{MCP}.{name}: {why}"));
        let way = match (said.command, said.url) {
            (Some(mut command), None) => {
                if !said.headers.is_empty() {
                    return wrong("`headers` are for a server with `url`");
                }
                if command.is_empty() {
                    return wrong("`command` names no program");
                }
                start_at(base, &mut command);
                ServerWay::Command(command, said.env)
            }
            (None, Some(_)) if !said.env.is_empty() => return wrong("`env` is for a server with `command`"),
            (None, Some(url)) => ServerWay::Url(url, said.headers),
            _ => return wrong("it takes either `command` or `url`"),
        };
        let place = format!("{}: {MCP}.{name}", file.display());
        servers.push(OutsideServer { name, way, place });
    }
    Ok(servers)
}

/// Reads the plugins that a file names. Relative paths start at `base`.
///
/// # Errors
/// The first thing that is wrong, with its place in the file.
pub(super) fn plugins(
    values: &Map<String, Value>,
    file: &Path,
    base: &Path,
) -> Result<Vec<OutsidePlugin>, String> {
    let named: Vec<Named> = said(values, PLUGINS)?.unwrap_or_default();
    let mut plugins = Vec::with_capacity(named.len());
    for (at, named) in named.into_iter().enumerate() {
        let (mut command, env) = match named {
            Named::Path(path) => (vec![path], Vec::new()),
            Named::Table { command, env } => (command, env),
        };
        if command.is_empty() {
            return Err(format!("{PLUGINS}.{at}.command: it names no program"));
        }
        start_at(base, &mut command);
        plugins.push(OutsidePlugin { command, env, place: format!("{}: {PLUGINS}[{at}]", file.display()) });
    }
    Ok(plugins)
}

/// What a flag names: a path from here, also without a `/`.
pub(super) fn of_flag(path: &str) -> OutsidePlugin {
    let program = if path.contains('/') { path.to_owned() } else { format!("./{path}") };
    OutsidePlugin { command: vec![program], env: Vec::new(), place: "flag --plugin".to_owned() }
}

/// Lets relative paths start at `base`: that of the program, and of its arguments those that say by `./` or `../` that they are
/// paths.
fn start_at(base: &Path, command: &mut [String]) {
    for (at, word) in command.iter_mut().enumerate() {
        let is_path = match at {
            0 => word.contains('/') && Path::new(word).is_relative(),
            _ => word.starts_with("./") || word.starts_with("../"),
        };
        if is_path {
            let joined = base.join(word.strip_prefix("./").unwrap_or(word)).display().to_string();
            // It keeps a `/`, so that it is not looked for in `PATH`.
            *word = if joined.contains('/') { joined } else { format!("./{joined}") };
        }
    }
}
