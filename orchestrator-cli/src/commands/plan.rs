//! `plan`: what a run would do. Nothing is run and nothing is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::Registry;
use orchestrator_core::id::StepIx;
use orchestrator_core::plan::Plan as Graph;
use orchestrator_core::spec::{Diff, Evidence, Stage, StepSpec, Workflow};
use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::args::Plan;
use crate::commands::asked::{Expected, approvals, asks, signals};
use crate::commands::past::Past;
use crate::confined;
use crate::exit::Exit;
use crate::output::style::Tint;
use crate::output::{Problem, block, escape, moment};
use crate::span::millis;
use crate::workflow::{self, counted, family};

/// A step as the plan shows it.
#[derive(Debug, Serialize)]
struct Planned<'a> {
    id: &'a str,
    uses: &'a str,
    needs: Vec<&'a str>,
    /// The key under which it is written.
    stage: &'static str,
    /// 1 is the first; of what comes after the steps proper each has its own.
    wave: usize,
    #[serde(rename = "if")]
    condition: Option<String>,
    effect: String,
    /// Whether the author or the plugin has said so.
    effect_from: &'static str,
    attempts: u32,
    timeout_ms: Option<u64>,
    /// How long it may take in all.
    deadline_ms: Option<u64>,
    /// How long it took in the last finished run of the workflow; where it has items, what these take together with as
    /// many at a time as `max_parallel` allows.
    last_ms: Option<u64>,
    /// How many items it had then.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_items: Option<usize>,
    /// Whether it runs once for each of many.
    each: bool,
    /// How many of its items run at a time, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_parallel: Option<u32>,
    reaches: Vec<String>,
    /// What its plugin may reach beyond the public internet.
    network: Vec<String>,
    /// What must hold of a success, in words.
    evidence: Vec<String>,
    /// Whether someone must pass what it gives.
    qa: bool,
    /// The workflow that it runs, if it runs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<PlannedBelow<'a>>,
}

/// A workflow that a step runs.
#[derive(Debug, Serialize)]
struct PlannedBelow<'a> {
    /// What the step calls it.
    reference: &'a str,
    /// Its name; not known of a registered one, where there is no store.
    name: Option<&'a str>,
    steps: Option<usize>,
}

pub(crate) async fn carry_out(app: &App, args: &Plan) -> Result<Exit, Problem> {
    let plugins = app.plugins()?;
    let loaded = workflow::look_at(&args.source.file, &plugins, app).await?;
    for warning in &loaded.warnings {
        app.output.note(warning.to_human(app.output.err()).trim_end());
    }
    let workflow = &loaded.workflow;
    // A workflow that was read has no cycle.
    let Ok(graph) = Graph::new(workflow.steps.iter().map(|step| step.needs.as_slice())) else {
        return Err(Problem::new(Exit::Invalid, "cycle", "the needs of the steps form a cycle"));
    };
    let mut waves = graph.waves();
    // What comes after the steps proper is told after them.
    for wave in &mut waves {
        wave.retain(|step| workflow.stages.of(*step) == Stage::Main);
    }
    waves.retain(|wave| !wave.is_empty());
    let past = Past::of(app, workflow).await;
    let (path, path_ms) = critical_path(workflow, &waves, past.as_ref());
    let told = Told {
        workflow,
        waves: &waves,
        steps: planned(workflow, &waves, &plugins, past.as_ref()),
        signals: signals(workflow, &plugins),
        path,
        path_ms,
        past,
    };
    if app.output.json().is_some() {
        app.output.print_json(&told.to_json(&loaded.warnings))?;
        return Ok(Exit::Ok);
    }
    tell(app, &told)
}

/// All that is told.
struct Told<'a> {
    workflow: &'a Arc<Workflow>,
    waves: &'a [Vec<StepIx>],
    steps: Vec<Planned<'a>>,
    /// The signals that it would wait for.
    signals: Vec<Expected<'a>>,
    path: Vec<&'a str>,
    /// How long the steps of the path took the last time, together.
    path_ms: Option<u64>,
    past: Option<Past>,
}

impl Told<'_> {
    fn to_json(&self, warnings: &[crate::output::Item]) -> serde_json::Value {
        let names = |wave: &Vec<StepIx>| -> Vec<&str> {
            wave.iter().map(|step| &*self.workflow.step(*step).name).collect()
        };
        json!({
            "workflow": self.workflow.name,
            "revision": self.workflow.revision,
            "deadline_ms": self.workflow.deadline.map(millis),
            "inputs": inputs(self.workflow),
            "waves": self.waves.iter().map(names).collect::<Vec<_>>(),
            "critical_path": self.path,
            "critical_path_ms": self.path_ms,
            "measured_in": self.past.as_ref().map(|past| past.run),
            "approvals": approvals(self.workflow),
            "signals": self.signals,
            "steps": self.steps,
            "secrets": self.workflow.secrets,
            "reaches": reaches(&self.steps),
            "unconfined": confined::unconfined(self.workflow),
            "warnings": warnings,
        })
    }
}

fn planned<'a>(
    workflow: &'a Workflow,
    waves: &[Vec<StepIx>],
    plugins: &Registry,
    past: Option<&Past>,
) -> Vec<Planned<'a>> {
    let mut steps = Vec::with_capacity(workflow.steps.len());
    for (number, wave) in (1..).zip(waves) {
        steps.extend(wave.iter().map(|step| {
            let spec = workflow.step(*step);
            let last_ms = past.and_then(|past| past.took(spec));
            let last_items = past.and_then(|past| past.items(spec));
            Planned { last_ms, last_items, ..plan_step(workflow, spec, number, plugins) }
        }));
    }
    for stage in Stage::CLEANUP {
        steps.extend(workflow.steps_of(stage).map(|step| {
            let spec = workflow.step(step);
            Planned { stage: stage.key(), ..plan_step(workflow, spec, 1, plugins) }
        }));
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
        stage: Stage::Main.key(),
        wave,
        condition: options.condition.as_ref().map(|condition| condition.source()),
        effect: effect.map_or_else(|| "unknown".to_owned(), |effect| effect.to_string()),
        effect_from: if options.effect.is_some() { "step" } else { "plugin" },
        attempts: options.retry.as_ref().map_or(1, |retry| retry.max_attempts),
        timeout_ms: options.timeout.map(|timeout| millis(timeout.after)),
        deadline_ms: options.deadline.map(millis),
        last_ms: None,
        last_items: None,
        each: options.each.is_some(),
        max_parallel: options.each.as_ref().and_then(|each| each.max_parallel).map(NonZeroU32::get),
        reaches: match below(workflow, step) {
            Some(child) => reaches_below(child, plugins),
            None => plugin.map(|plugin| confined::reaches(step, plugin.reaches(&with))).unwrap_or_default(),
        },
        network: match below(workflow, step) {
            Some(child) => granted_below(child),
            None => granted(workflow, step),
        },
        workflow: options.child.as_deref().map(|reference| PlannedBelow {
            reference,
            name: below(workflow, step).map(|child| &*child.name),
            steps: below(workflow, step).map(|child| child.counted_steps() as usize),
        }),
        evidence: options.evidence.as_deref().map(evidence).unwrap_or_default(),
        qa: options.qa.is_some(),
    }
}

/// What a step declares as evidence, in words.
fn evidence(declared: &Evidence) -> Vec<String> {
    let files = declared.files.iter().map(|file| format!("the file {file}"));
    let output = declared.output.iter().map(|_| "an output that fits its schema".to_owned());
    let diff = declared.diff.map(|diff| match diff {
        Diff::NonEmpty => "a change of the repository".to_owned(),
        Diff::Empty => "no change of the repository".to_owned(),
    });
    files.chain(output).chain(diff).collect()
}

/// The workflow that a step runs, where it is known.
fn below<'a>(workflow: &'a Workflow, step: &StepSpec) -> Option<&'a Arc<Workflow>> {
    workflow.children.get(step.options().child.as_ref()?)
}

/// What the steps of a workflow, and of all below it, would do beyond this process.
fn reaches_below(workflow: &Arc<Workflow>, plugins: &Registry) -> Vec<String> {
    let mut reaches = Vec::new();
    for workflow in family(workflow) {
        for step in &workflow.steps {
            let does = plugins
                .get(&step.uses)
                .map(|plugin| confined::reaches(step, plugin.reaches(&step.with.as_written())));
            let place = |does| format!("in {}, {}: {does}", workflow.name, step.name);
            reaches.extend(does.into_iter().flatten().map(place));
        }
    }
    reaches
}

/// What the plugin of a step may reach beyond the public internet.
fn granted(workflow: &Workflow, step: &StepSpec) -> Vec<String> {
    workflow.permissions_of(step).network.grants().iter().map(ToString::to_string).collect()
}

/// The same of the steps of a workflow and of all below it, each destination once.
fn granted_below(workflow: &Arc<Workflow>) -> Vec<String> {
    let below =
        family(workflow).into_iter().flat_map(|child| child.steps.iter().map(move |step| (child, step)));
    let all: BTreeSet<String> = below.flat_map(|(child, step)| granted(child, step)).collect();
    all.into_iter().collect()
}

/// The chain of steps that wait for each other which the run cannot be faster than: the one that took longest the last
/// time, or where there was none, the one of most steps.
fn critical_path<'a>(
    workflow: &'a Workflow,
    waves: &[Vec<StepIx>],
    past: Option<&Past>,
) -> (Vec<&'a str>, Option<u64>) {
    // For each step: what the chain that ends with it takes and how many steps it has, and the step before.
    let mut chains: Vec<((u64, usize), Option<StepIx>)> = vec![((0, 0), None); workflow.steps.len()];
    let mut end = None;
    for step in waves.iter().flatten() {
        let spec = workflow.step(*step);
        let before = spec.needs.iter().copied().max_by_key(|need| chains[need.index()].0);
        let (took, length) = before.map_or((0, 0), |before| chains[before.index()].0);
        let own = past.and_then(|past| past.took(spec)).unwrap_or(0);
        chains[step.index()] = ((took + own, length + 1), before);
        if end.is_none_or(|end: StepIx| chains[step.index()].0 > chains[end.index()].0) {
            end = Some(*step);
        }
    }
    let took = past.and(end).map(|end| chains[end.index()].0.0);
    let mut path = Vec::new();
    while let Some(step) = end {
        path.push(&*workflow.step(step).name);
        end = chains[step.index()].1;
    }
    path.reverse();
    (path, took)
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

fn tell(app: &App, told: &Told<'_>) -> Result<Exit, Problem> {
    let Told { workflow, waves, steps, path, .. } = told;
    let style = app.output.out();
    let name = escape::line(&workflow.name).into_owned();
    let main = steps.iter().filter(|step| step.stage == Stage::Main.key()).count();
    let mut counts = format!("{} in {}", counted(main, "step"), counted(waves.len(), "wave"));
    if let Some(deadline) = workflow.deadline {
        let _ = write!(counts, ", within {}", moment::duration(deadline));
    }
    if main < steps.len() {
        let _ = write!(counts, ", {} after them", steps.len() - main);
    }
    app.output.print(&format!("{}: {counts}\n", style.tint(Tint::Strong, &name)))?;
    let timed = told.past.is_some();
    let mut headers = vec!["WAVE", "STEP", "USES", "NEEDS", "EFFECT", "BOUNDS", "IF"];
    if timed {
        headers.insert(5, "TOOK");
    }
    app.output.table(&headers, steps.iter().map(|step| row(step, timed)).collect())?;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "\ncritical path ({}): {}",
        counted(path.len(), "step"),
        shortened(path, style.either(" → ", " > "))
    );
    if let (Some(past), Some(took)) = (&told.past, told.path_ms) {
        let took = moment::duration(Duration::from_millis(took));
        let _ = write!(text, "\n  {took} the last time, in {}", past.run);
        if steps.iter().any(|step| step.last_items.is_some() && path.contains(&step.id)) {
            let allows = format!("`max-parallel` and the {} allow", counted(past.slots, "slot"));
            let _ = write!(text, "\n  items count with as many at a time as {allows}");
        }
    }
    tell_needed(&mut text, workflow);
    let asks = asks(workflow);
    if !asks.is_empty() {
        text.push_str("\n\nit will wait for a person's word:");
    }
    for (place, step) in asks {
        let written = step.with.as_written();
        let message = written["message"].as_str().map(block::first_line).unwrap_or_default();
        let until =
            step.options().timeout.map(|timeout| format!(" (for {})", moment::duration(timeout.after)));
        let _ = write!(text, "\n  {}: {message}{}", escape::line(&place), until.unwrap_or_default());
    }
    if !told.signals.is_empty() {
        text.push_str("\n\nit will wait for a signal:");
    }
    for Expected { step, name } in &told.signals {
        let _ = write!(text, "\n  {}: {}", escape::line(step), escape::line(name));
    }
    tell_gates(&mut text, steps);
    tell_reach(&mut text, steps);
    let scripts = confined::unconfined(workflow);
    if !scripts.is_empty() {
        let scripts = escape::line(&scripts.join(", ")).into_owned();
        let _ = write!(
            text,
            "\n\n{} outside of the sandbox (`sandbox: none`), where a script may do all that you may: {scripts}",
            style.mark("warn")
        );
    }
    app.output.print(&text)?;
    Ok(Exit::Ok)
}

/// What a run must be given.
fn tell_needed(text: &mut String, workflow: &Workflow) {
    let missing: Vec<&str> =
        workflow.inputs.iter().filter(|(_, spec)| spec.default.is_none()).map(|(name, _)| &**name).collect();
    // Writing to a String cannot fail.
    if !missing.is_empty() {
        let _ = write!(text, "\n\ninputs that must be given: {}", missing.join(", "));
    }
    if !workflow.secrets.is_empty() {
        let _ = write!(text, "\n\nsecrets that must be there: {}", workflow.secrets.join(", "));
    }
}

/// What stands between an attempt that has succeeded and its step.
fn tell_gates(text: &mut String, steps: &[Planned<'_>]) {
    if steps.iter().any(|step| step.qa) {
        text.push_str("\n\nsomeone must pass what it gives:");
    }
    for step in steps.iter().filter(|step| step.qa) {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {}", escape::line(step.id));
    }
    if steps.iter().any(|step| !step.evidence.is_empty()) {
        text.push_str("\n\nit has succeeded only with:");
    }
    for step in steps.iter().filter(|step| !step.evidence.is_empty()) {
        let _ = write!(text, "\n  {}: {}", escape::line(step.id), escape::line(&step.evidence.join(", ")));
    }
}

fn tell_reach(text: &mut String, steps: &[Planned<'_>]) {
    text.push_str("\n\nwhat it would do beyond this process:");
    let before = text.len();
    for step in steps {
        for reach in &step.reaches {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n  {}: {}", escape::line(step.id), escape::line(reach));
        }
    }
    if text.len() == before {
        text.push_str(" nothing");
    }
    // Steps with the same permissions are told together: most have those of the workflow. Scripts are not held by them.
    let mut granted = BTreeMap::<&[String], Vec<&str>>::new();
    let held = |step: &&Planned<'_>| !step.reaches.is_empty() && step.uses != "script";
    for step in steps.iter().filter(|step| !step.network.is_empty()).filter(held) {
        granted.entry(&step.network).or_default().push(step.id);
    }
    if !granted.is_empty() {
        text.push_str("\n\nwhat it may reach beyond the public internet:");
    }
    for (network, steps) in granted {
        let steps = escape::line(&shortened(&steps, ", ")).into_owned();
        let _ = write!(text, "\n  {steps}: {}", network.join(", "));
    }
}

fn row(step: &Planned<'_>, timed: bool) -> Vec<String> {
    let mut bounds = Vec::new();
    if step.attempts > 1 {
        bounds.push(counted(step.attempts as usize, "attempt"));
    }
    if let Some(timeout) = step.timeout_ms {
        bounds.push(format!("{} each", moment::duration(Duration::from_millis(timeout))));
    }
    if let Some(deadline) = step.deadline_ms {
        bounds.push(format!("{} in all", moment::duration(Duration::from_millis(deadline))));
    }
    if step.each {
        let at_a_time = step.max_parallel.map(|most| format!(", {most} at a time"));
        bounds.push(format!("each item{}", at_a_time.unwrap_or_default()));
    }
    let took = step.last_ms.map(|took| {
        let items = step.last_items.map(|items| format!(" ({})", counted(items, "item")));
        moment::duration(Duration::from_millis(took)) + &items.unwrap_or_default()
    });
    let mut cells = vec![
        if step.stage == Stage::Main.key() { step.wave.to_string() } else { step.stage.to_owned() },
        escape::line(step.id).into_owned(),
        uses(step),
        shortened(&step.needs, ", "),
        step.effect.clone(),
        bounds.join(", "),
        step.condition.as_deref().map(|condition| escape::line(condition).into_owned()).unwrap_or_default(),
    ];
    if timed {
        cells.insert(5, took.unwrap_or_default());
    }
    cells
}

/// The kind of a step; of one that runs a workflow, which and how large that is.
fn uses(step: &Planned<'_>) -> String {
    let kind = escape::line(step.uses).into_owned();
    let Some(below) = &step.workflow else { return kind };
    let steps = below.steps.map(|steps| format!(" ({})", counted(steps, "step"))).unwrap_or_default();
    format!("{kind} {}{steps}", escape::line(below.reference))
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
