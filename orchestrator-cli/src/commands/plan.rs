//! `plan`: what a run would do. Nothing is run and nothing is written.

use std::fmt::Write as _;

use orchestrator_core::engine::Registry;
use orchestrator_core::id::StepIx;
use orchestrator_core::plan::Plan as Graph;
use orchestrator_core::spec::{StepSpec, Workflow};
use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::args::Plan;
use crate::exit::Exit;
use crate::output::style::Tint;
use crate::output::{Problem, escape, moment};
use crate::workflow::{self, counted};

/// A step as the plan shows it.
#[derive(Debug, Serialize)]
struct Planned<'a> {
    id: &'a str,
    uses: &'a str,
    needs: Vec<&'a str>,
    /// 1 is the first.
    wave: usize,
    #[serde(rename = "if")]
    condition: Option<String>,
    effect: String,
    /// Whether the author or the plugin has said so.
    effect_from: &'static str,
    attempts: u32,
    timeout_ms: Option<u64>,
    reaches: Vec<String>,
}

pub(crate) fn carry_out(app: &App, args: &Plan) -> Result<Exit, Problem> {
    let plugins = workflow::plugins();
    let loaded = workflow::load(&args.source.file, &plugins)?;
    for warning in &loaded.warnings {
        app.output.note(warning.to_human(app.output.err()).trim_end());
    }
    let workflow = &*loaded.workflow;
    // A workflow that was read has no cycle.
    let Ok(graph) = Graph::new(workflow.steps.iter().map(|step| step.needs.as_slice())) else {
        return Err(Problem::new(Exit::Invalid, "cycle", "the needs of the steps form a cycle"));
    };
    let waves = graph.waves();
    let steps = planned(workflow, &waves, &plugins);
    let path = longest_path(workflow, &waves);
    if app.output.json().is_some() {
        let waves: Vec<Vec<&str>> =
            waves.iter().map(|wave| wave.iter().map(|step| &*workflow.step(*step).name).collect()).collect();
        app.output.print_json(&json!({
            "workflow": workflow.name,
            "revision": workflow.revision,
            "inputs": inputs(workflow),
            "waves": waves,
            "critical_path": path,
            "steps": steps,
            "reaches": reaches(&steps),
            "unconfined": unconfined(&steps),
            "warnings": loaded.warnings,
        }))?;
        return Ok(Exit::Ok);
    }
    tell(app, workflow, waves.len(), &steps, &path)
}

fn planned<'a>(workflow: &'a Workflow, waves: &[Vec<StepIx>], plugins: &Registry) -> Vec<Planned<'a>> {
    let mut steps = Vec::with_capacity(workflow.steps.len());
    for (number, wave) in (1..).zip(waves) {
        steps.extend(wave.iter().map(|step| plan_step(workflow, workflow.step(*step), number, plugins)));
    }
    steps
}

fn plan_step<'a>(workflow: &'a Workflow, step: &'a StepSpec, wave: usize, plugins: &Registry) -> Planned<'a> {
    let options = step.options();
    let with = step.with.as_written();
    let plugin = plugins.get(&step.uses);
    let effect = options.effect.or_else(|| plugin.map(|plugin| plugin.effect_class(&with)));
    Planned {
        id: &step.name,
        uses: &step.uses,
        needs: step.needs.iter().map(|need| &*workflow.step(*need).name).collect(),
        wave,
        condition: options.condition.as_ref().map(|condition| condition.source()),
        effect: effect.map_or_else(|| "unknown".to_owned(), |effect| effect.to_string()),
        effect_from: if options.effect.is_some() { "step" } else { "plugin" },
        attempts: options.retry.as_ref().map_or(1, |retry| retry.max_attempts),
        timeout_ms: options
            .timeout
            .map(|timeout| u64::try_from(timeout.after.as_millis()).unwrap_or(u64::MAX)),
        reaches: plugin.map(|plugin| plugin.reaches(&with)).unwrap_or_default(),
    }
}

/// The names of a longest chain of steps that wait for each other.
fn longest_path<'a>(workflow: &'a Workflow, waves: &[Vec<StepIx>]) -> Vec<&'a str> {
    let mut wave_of = vec![0usize; workflow.steps.len()];
    for (number, wave) in waves.iter().enumerate() {
        for step in wave {
            wave_of[step.index()] = number;
        }
    }
    // A step is in the wave after its latest need: going back over those needs visits every wave once.
    let mut path = Vec::with_capacity(waves.len());
    let mut at = waves.last().and_then(|wave| wave.first()).copied();
    while let Some(step) = at {
        let spec = workflow.step(step);
        path.push(&*spec.name);
        at = spec.needs.iter().copied().max_by_key(|need| wave_of[need.index()]);
    }
    path.reverse();
    path
}

fn inputs(workflow: &Workflow) -> Vec<serde_json::Value> {
    workflow
        .inputs
        .iter()
        .map(|(name, spec)| json!({ "name": name, "type": spec.kind, "default": spec.default, "required": spec.default.is_none() }))
        .collect()
}

fn reaches(steps: &[Planned<'_>]) -> Vec<serde_json::Value> {
    let each = steps.iter().flat_map(|step| step.reaches.iter().map(move |reach| (step.id, reach)));
    each.map(|(step, reach)| json!({ "step": step, "does": reach })).collect()
}

/// The steps whose scripts nothing confines: all of them, until there is a sandbox.
fn unconfined<'a>(steps: &[Planned<'a>]) -> Vec<&'a str> {
    steps.iter().filter(|step| step.uses == "script").map(|step| step.id).collect()
}

fn tell(
    app: &App,
    workflow: &Workflow,
    waves: usize,
    steps: &[Planned<'_>],
    path: &[&str],
) -> Result<Exit, Problem> {
    let style = app.output.out();
    let name = escape::line(&workflow.name).into_owned();
    let counts = format!("{} in {}", counted(steps.len(), "step"), counted(waves, "wave"));
    app.output.print(&format!("{}: {counts}\n", style.tint(Tint::Strong, &name)))?;
    let rows = steps.iter().map(row).collect();
    app.output.table(&["WAVE", "STEP", "USES", "NEEDS", "EFFECT", "BOUNDS", "IF"], rows)?;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "\nlongest chain ({}): {}",
        counted(path.len(), "step"),
        shortened(path, style.either(" → ", " > "))
    );
    let missing: Vec<&str> =
        workflow.inputs.iter().filter(|(_, spec)| spec.default.is_none()).map(|(name, _)| &**name).collect();
    if !missing.is_empty() {
        let _ = write!(text, "\ninputs that must be given: {}", missing.join(", "));
    }
    let _ = write!(text, "\n\nwhat it would do beyond this process:");
    let before = text.len();
    for step in steps {
        for reach in &step.reaches {
            let _ = write!(text, "\n  {}: {}", escape::line(step.id), escape::line(reach));
        }
    }
    if text.len() == before {
        text.push_str(" nothing");
    }
    let scripts = unconfined(steps);
    if !scripts.is_empty() {
        let warning = "there is no sandbox yet: a script may do all that you may";
        let _ = write!(text, "\n\n{} {warning}", style.mark("warn"));
    }
    app.output.print(&text)?;
    Ok(Exit::Ok)
}

fn row(step: &Planned<'_>) -> Vec<String> {
    let mut bounds = Vec::new();
    if step.attempts > 1 {
        bounds.push(counted(step.attempts as usize, "attempt"));
    }
    if let Some(timeout) = step.timeout_ms {
        bounds.push(format!("{} each", moment::duration(std::time::Duration::from_millis(timeout))));
    }
    vec![
        step.wave.to_string(),
        escape::line(step.id).into_owned(),
        escape::line(step.uses).into_owned(),
        shortened(&step.needs, ", "),
        step.effect.clone(),
        bounds.join(", "),
        step.condition.as_deref().map(|condition| escape::line(condition).into_owned()).unwrap_or_default(),
    ]
}

/// Names in a row; of many, the first and the last.
fn shortened(names: &[&str], between: &str) -> String {
    match names {
        [first @ .., last] if names.len() > 12 => {
            let first: Vec<&str> = first[..9].to_vec();
            format!("{}{between}… ({} more){between}{last}", first.join(between), names.len() - 10)
        }
        names => names.join(between),
    }
}
