//! Kinds of steps that executables bring, and the MCP servers that steps may name.

use std::sync::Arc;

use orchestrator_core::engine::Registry;
use orchestrator_core::port::plugin::Plugin;
use orchestrator_plugins::{Executable, Mcp, McpServer, NotAPlugin, Outbound, Process};

use crate::exit::Exit;
use crate::output::Problem;
use crate::settings::{OutsidePlugin, ServerWay, Settings};
use crate::workflow;

/// What was found of the executables that the settings name, in their order.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) brought: Vec<Brought>,
    refused: Vec<Problem>,
}

/// A kind of step, and the executable that brings it.
#[derive(Debug)]
pub(crate) struct Brought {
    pub(crate) plugin: Arc<dyn Plugin>,
    /// The program as it was named.
    pub(crate) program: String,
}

impl Outside {
    /// Asks the executables that the settings name which kinds they bring.
    pub(crate) fn discover(settings: &Settings) -> Self {
        let mut outside = Self { brought: Vec::new(), refused: Vec::new() };
        let named = settings.plugins();
        if named.is_empty() {
            return outside;
        }
        let own = workflow::builtin();
        for (named, found) in named.iter().zip(ask(named)) {
            let found = found
                .map_err(|not| refusal(named, not.program(), not.wrong()))
                .and_then(|plugins| outside.fitting(named, plugins, &own));
            match found {
                Ok(brought) => outside.brought.extend(brought),
                Err(problem) => outside.refused.push(problem),
            }
        }
        outside
    }

    /// Kinds that are nobody else's.
    fn fitting(
        &self,
        named: &OutsidePlugin,
        plugins: Vec<Arc<dyn Plugin>>,
        own: &Registry,
    ) -> Result<Vec<Brought>, Problem> {
        let program = &named.command[0];
        let mut wrong = Vec::new();
        for (at, plugin) in plugins.iter().enumerate() {
            let kind = plugin.kind();
            let other = self.brought.iter().find(|other| other.plugin.kind() == kind);
            if own.get(kind).is_some() {
                wrong.push(format!("kinds[{at}].kind: `{kind}` is a kind of orchestrator itself"));
            } else if let Some(other) = other {
                wrong.push(format!("kinds[{at}].kind: `{kind}` is brought by {} already", other.program));
            }
        }
        if !wrong.is_empty() {
            return Err(refusal(named, program, &wrong));
        }
        Ok(plugins.into_iter().map(|plugin| Brought { plugin, program: program.clone() }).collect())
    }

    /// All that were refused.
    pub(crate) fn refused(&self) -> &[Problem] {
        &self.refused
    }

    /// The kinds, if none was refused.
    ///
    /// # Errors
    /// Exit 3, with what is wrong about the first one that was.
    pub(crate) fn plugins(&self) -> Result<impl Iterator<Item = &Arc<dyn Plugin>>, Problem> {
        match self.refused.first() {
            Some(problem) => Err(problem.again()),
            None => Ok(self.brought.iter().map(|brought| &brought.plugin)),
        }
    }

    /// The executable that brings a kind; `None` for those of orchestrator itself.
    pub(crate) fn program_of(&self, kind: &str) -> Option<&str> {
        let brought = self.brought.iter().find(|brought| brought.plugin.kind() == kind)?;
        Some(&brought.program)
    }
}

fn refusal(named: &OutsidePlugin, program: &str, wrong: &[String]) -> Problem {
    let place = &named.place;
    match wrong {
        [one] => {
            Problem::new(Exit::Invalid, "plugin_invalid", format!("{program} is no plugin ({place}): {one}"))
        }
        several => Problem::new(
            Exit::Invalid,
            "plugin_invalid",
            format!("{program} is no plugin ({place}): {} things are wrong", several.len()),
        )
        .detail(several.join("\n")),
    }
}

/// Asks all of them at once, on a thread of its own: whoever needs the answer may have a runtime or none.
fn ask(named: &[OutsidePlugin]) -> Vec<Result<Vec<Arc<dyn Plugin>>, NotAPlugin>> {
    let asked = async || {
        let all: Vec<_> = named
            .iter()
            .map(|named| tokio::spawn(Process::discover(executable(&named.command, &named.env))))
            .collect();
        let mut found = Vec::with_capacity(all.len());
        for one in all {
            match one.await {
                Ok(one) => found.push(one),
                // It is ours, wherever it happens.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        found
    };
    let asking = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| runtime.block_on(asked()))
    };
    match std::thread::scope(|scope| scope.spawn(asking).join()) {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            let not = |named: &OutsidePlugin| Err(NotAPlugin::new(&named.command[0], error.to_string()));
            named.iter().map(not).collect()
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn executable(command: &[String], env: &[String]) -> Executable {
    let (program, args) = command.split_first().map_or(("", [].as_slice()), |(first, rest)| (first, rest));
    env.iter().fold(Executable::new(program).args(args), Executable::inherit)
}

/// The plugin that calls tools, with the servers that the settings name.
///
/// # Errors
/// Exit 2 if the settings say of one what does not fit.
pub(crate) fn mcp(settings: &Settings, outbound: Arc<Outbound>) -> Result<Mcp, Problem> {
    let mut mcp = Mcp::over(outbound);
    for named in settings.servers() {
        let wrong =
            |why: String| Problem::new(Exit::Usage, "config_invalid", format!("{}: {why}", named.place));
        let server = match &named.way {
            ServerWay::Command(command, env) => McpServer::command(executable(command, env)),
            ServerWay::Url(url, headers) => {
                let server = McpServer::url(url).map_err(|why| wrong(format!("url: {why}")))?;
                let with = |server: McpServer, (name, value): (&String, &String)| server.header(name, value);
                headers.iter().try_fold(server, with).map_err(|why| wrong(format!("headers: {why}")))?
            }
        };
        mcp = mcp.server(&named.name, server);
    }
    Ok(mcp)
}
