//! `plugins schema mcp --server NAME`: the tools of a server.

use std::fmt::Write as _;

use orchestrator_core::id::{Ids as _, RunId, SystemIds};
use orchestrator_core::port::plugin::Context;
use serde_json::{Value, json};

use crate::app::App;
use crate::exit::Exit;
use crate::output::style::Tint;
use crate::output::{Problem, escape, suggest};
use crate::outside;

pub(super) async fn show(app: &App, kind: &str, server: &str) -> Result<Exit, Problem> {
    if kind != "mcp" {
        let title = format!("--server is for the kind `mcp`, not for `{kind}`");
        return Err(Problem::new(Exit::Usage, "usage", title));
    }
    let names = || app.settings.servers().iter().map(|server| server.name.as_str());
    if !names().any(|name| name == server) {
        let title = format!("the configuration names no server `{server}`");
        let problem = Problem::new(Exit::NotFound, "server_not_found", title);
        return Err(match suggest::nearest(server, names()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint("name it in the configuration file: `[mcp.NAME]` with `command` or `url`"),
        });
    }
    let mcp = outside::mcp(&app.settings, app.outbound()?)?;
    let context = Context::detached(RunId::from_uuid(SystemIds::default().uuid()), "tools", &app.cwd);
    let tools = mcp.tools(server, &context).await;
    let tools =
        tools.map_err(|error| Problem::new(Exit::Failed, "server_failed", error.message.to_string()))?;
    if app.output.json().is_some() {
        app.output.print_json(&json!({ "server": server, "tools": tools }))?;
        return Ok(Exit::Ok);
    }
    let style = app.output.out();
    let pretty = |value: &Value| {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        text.lines().map(escape::line).collect::<Vec<_>>().join("\n")
    };
    let mut text = String::new();
    for tool in &tools {
        let name = escape::line(&tool.name).into_owned();
        let _ = write!(text, "{}", style.tint(Tint::Strong, &name));
        if let Some(description) = &tool.description {
            let _ = write!(text, ": {}", escape::line(description));
        }
        let _ = writeln!(text, "\narguments: {}", pretty(&tool.input_schema));
        if let Some(schema) = &tool.output_schema {
            let _ = writeln!(text, "structured: {}", pretty(schema));
        }
        text.push('\n');
    }
    app.output.print(text.trim_end())?;
    Ok(Exit::Ok)
}
