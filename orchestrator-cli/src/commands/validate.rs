//! `validate`: every problem of every file; nothing is run and nothing is written.

use std::collections::BTreeSet;

use orchestrator_core::spec::Workflow;
use serde_json::json;

use crate::app::App;
use crate::args::Validate;
use crate::confined;
use crate::exit::Exit;
use crate::output::{Item, Problem, escape};
use crate::workflow::{self, Loaded, counted};

pub(crate) async fn carry_out(app: &App, args: &Validate) -> Result<Exit, Problem> {
    let plugins = app.plugins()?;
    let mut problems = Vec::new();
    let mut valid = Vec::new();
    for file in &args.files {
        match workflow::look_at(file, &plugins, app).await {
            Ok(loaded) if args.strict && !loaded.warnings.is_empty() => {
                problems.push(too_many_warnings(loaded));
            }
            Ok(loaded) => valid.push(loaded),
            Err(problem) => problems.push(problem),
        }
    }
    if app.output.json().is_some() {
        return as_json(app, &valid, problems, args.files.len());
    }
    for loaded in &valid {
        for warning in &loaded.warnings {
            app.output.say(warning.to_human(app.output.err()).trim_end());
        }
        app.output.print(&format!("{}: {}", escape::line(&loaded.name), summary(app, loaded)))?;
    }
    for problem in &problems {
        app.output.problem(problem);
    }
    Ok(exit_of(&problems))
}

fn summary(app: &App, loaded: &Loaded) -> String {
    let workflow = &loaded.workflow;
    let mut counts = vec![counted(workflow.counted_steps() as usize, "step")];
    if workflow.stages.compensations() > 0 {
        counts.push(counted(workflow.stages.compensations(), "compensation"));
    }
    if !workflow.inputs.is_empty() {
        counts.push(counted(workflow.inputs.len(), "input"));
    }
    let granted = destinations(workflow);
    if !granted.is_empty() {
        counts.push(format!("may reach {}", escape::line(&granted.join(", "))));
    }
    let unconfined = confined::unconfined(workflow);
    if !unconfined.is_empty() {
        counts.push(format!("outside of the sandbox: {}", escape::line(&unconfined.join(", "))));
    }
    if !loaded.warnings.is_empty() {
        counts.push(counted(loaded.warnings.len(), "warning"));
    }
    format!("{} ({})", app.output.out().status("ok"), counts.join(", "))
}

/// What its steps may reach beyond the public internet, each destination once.
fn destinations(workflow: &Workflow) -> Vec<String> {
    let steps = workflow.steps.iter().flat_map(|step| workflow.permissions_of(step).network.grants());
    let all = workflow.permissions.network.grants().iter().chain(steps);
    all.map(ToString::to_string).collect::<BTreeSet<_>>().into_iter().collect()
}

fn too_many_warnings(loaded: Loaded) -> Problem {
    let title = format!("{} has {}", loaded.name, counted(loaded.warnings.len(), "warning"));
    Problem::new(Exit::Invalid, "has_warnings", title).items(loaded.warnings)
}

/// Invalid files weigh more than files that cannot be read.
fn exit_of(problems: &[Problem]) -> Exit {
    let invalid = problems.iter().find(|problem| problem.exit() == Exit::Invalid);
    invalid.or(problems.first()).map_or(Exit::Ok, Problem::exit)
}

/// All valid: a list on stdout. Else one problem object on stderr, and nothing on stdout.
fn as_json(app: &App, valid: &[Loaded], mut problems: Vec<Problem>, files: usize) -> Result<Exit, Problem> {
    if problems.is_empty() {
        let items: Vec<_> = valid
            .iter()
            .map(|loaded| {
                json!({
                    "file": loaded.name,
                    "workflow": loaded.workflow.name,
                    "revision": loaded.workflow.revision,
                    "steps": loaded.workflow.counted_steps(),
                    "compensations": loaded.workflow.stages.compensations(),
                    "inputs": loaded.workflow.inputs.len(),
                    "network": destinations(&loaded.workflow),
                    "unconfined": confined::unconfined(&loaded.workflow),
                    "warnings": loaded.warnings,
                })
            })
            .collect();
        app.output.print_json(&json!({ "items": items, "next": null }))?;
        return Ok(Exit::Ok);
    }
    if problems.len() == 1 {
        return Err(problems.remove(0));
    }
    let exit = exit_of(&problems);
    let title = format!("{} of {} are not valid", problems.len(), counted(files, "file"));
    let items: Vec<Item> = problems.into_iter().flat_map(Problem::into_items).collect();
    Err(Problem::new(exit, "invalid_spec", title).items(items))
}
