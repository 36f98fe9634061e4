//! Executables that the settings name: those that bring kinds of steps.

use std::path::Path;
use std::sync::LazyLock;

use config::{Map, Value};
use orchestrator_core::spec::schema::check_value;
use serde::Deserialize;
use serde_json::json;

/// The key of the configuration file.
pub(super) const PLUGINS: &str = "plugins";

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

/// Reads what a file names. Relative paths start at `base`.
///
/// # Errors
/// The first thing that is wrong, with its place in the file.
pub(super) fn read(
    values: &Map<String, Value>,
    file: &Path,
    base: &Path,
) -> Result<Vec<OutsidePlugin>, String> {
    let Some(value) = values.get(PLUGINS) else { return Ok(Vec::new()) };
    let value: serde_json::Value = value.clone().try_deserialize().map_err(|error| error.to_string())?;
    let found = json!({ PLUGINS: value });
    if let Some(issue) = check_value(&SCHEMA, &found).into_iter().next() {
        let hint = issue.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        return Err(format!("{}: {}{hint}", issue.path.join("."), issue.message));
    }
    let named: Vec<Named> =
        serde_json::from_value(found[PLUGINS].clone()).map_err(|error| error.to_string())?;
    let mut plugins = Vec::with_capacity(named.len());
    for (at, named) in named.into_iter().enumerate() {
        let (mut command, env) = match named {
            Named::Path(path) => (vec![path], Vec::new()),
            Named::Table { command, env } => (command, env),
        };
        let Some(program) = command.first_mut() else {
            return Err(format!("{PLUGINS}.{at}.command: it names no program"));
        };
        if program.contains('/') && Path::new(program).is_relative() {
            *program = below(base, program);
        }
        plugins.push(OutsidePlugin { command, env, place: format!("{}: {PLUGINS}[{at}]", file.display()) });
    }
    Ok(plugins)
}

/// What a flag names: a path from here, also without a `/`.
pub(super) fn of_flag(path: &str) -> OutsidePlugin {
    let program = if path.contains('/') { path.to_owned() } else { format!("./{path}") };
    OutsidePlugin { command: vec![program], env: Vec::new(), place: "flag --plugin".to_owned() }
}

/// A path below `base`, which has a `/` in it, so that it is not looked for in `PATH`.
fn below(base: &Path, path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let joined = base.join(path).display().to_string();
    if joined.contains('/') { joined } else { format!("./{joined}") }
}
