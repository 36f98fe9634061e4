//! The picture's content, from a workflow and from a run of it.

use std::collections::HashSet;

use orchestrator_core::engine::RunReport;
use orchestrator_core::id::StepIx;
use orchestrator_core::spec::{Stage, Workflow};
use orchestrator_core::time::Timestamp;

use crate::graph::model::{Edge, Graph, Node, Tally, sign};
use crate::output::moment;
use crate::output::style::Style;
use crate::workflow::counted;

/// More lines than this between the last steps and what comes after them are left out of a picture.
const MOST_LINES: usize = 64;

/// A workflow as it stands in its text. Compensations are told with their steps: they have no place of their own.
pub(crate) fn of_workflow(workflow: &Workflow) -> Graph {
    let drawn = drawn(workflow);
    let node = |step: &StepIx| {
        let spec = workflow.step(*step);
        let undone = workflow.stages.undo_of(*step).is_some();
        let kind = match workflow.stages.of(*step) {
            Stage::Main if undone => format!("{}, undone on failure", spec.uses),
            Stage::Main => spec.uses.to_string(),
            stage => format!("{}: {}", stage.key(), spec.uses),
        };
        Node { name: spec.name.to_string(), kind, ..Node::default() }
    };
    let at = |step: StepIx| drawn.binary_search(&step).ok();
    let needs = drawn.iter().enumerate().flat_map(|(to, step)| {
        workflow.step(*step).needs.iter().filter_map(move |need| Some(Edge { from: at(*need)?, to }))
    });
    let mut edges: Vec<Edge> = needs.collect();
    for (from, to) in hand_overs(workflow) {
        edges.extend(at(from).zip(at(to)).map(|(from, to)| Edge { from, to }));
    }
    let nodes = drawn.iter().map(node).collect();
    let mut graph = Graph { title: workflow.name.to_string(), about: String::new(), nodes, edges };
    let waves = graph.waves().len();
    graph.about = format!("{} in {}", counted(graph.nodes.len(), "step"), counted(waves, "wave"));
    graph
}

fn drawn(workflow: &Workflow) -> Vec<StepIx> {
    [Stage::Main, Stage::OnFailure, Stage::Finally]
        .iter()
        .flat_map(|stage| workflow.steps_of(*stage))
        .collect()
}

/// From the last steps of each stage to the first of the next.
fn hand_overs(workflow: &Workflow) -> Vec<(StepIx, StepIx)> {
    let mut lines = Vec::new();
    let mut before: Vec<StepIx> = Vec::new();
    for stage in [Stage::Main, Stage::OnFailure, Stage::Finally] {
        let steps: Vec<StepIx> = workflow.steps_of(stage).collect();
        if steps.is_empty() {
            continue;
        }
        let first = steps.iter().filter(|step| workflow.step(**step).needs.is_empty());
        lines.extend(first.flat_map(|to| before.iter().map(move |from| (*from, *to))));
        let needed: HashSet<StepIx> =
            steps.iter().flat_map(|step| workflow.step(*step).needs.iter().copied()).collect();
        before = steps.into_iter().filter(|step| !needed.contains(step)).collect();
    }
    if lines.len() > MOST_LINES { Vec::new() } else { lines }
}

/// The same workflow with a run of it drawn in.
pub(crate) fn of_run(workflow: &Workflow, report: &RunReport, now: Timestamp) -> Graph {
    let mut graph = of_workflow(workflow);
    let mut tally = Tally::default();
    let undo = Stage::Compensation.key();
    let chunks = report.steps.chunk_by(|_, next| next.item.is_some()).filter(|step| step[0].stage != undo);
    for (node, step) in graph.nodes.iter_mut().zip(chunks) {
        let (step, items) = (&step[0], &step[1..]);
        tally.add(Some(step.status));
        node.state = Some(step.status);
        let took =
            step.started_at.map(|start| moment::duration(step.finished_at.unwrap_or(now).since(start)));
        let attempts = (step.attempts > 1).then(|| counted(step.attempts as usize, "attempt"));
        let ended = items.iter().filter(|item| item.finished_at.is_some()).count();
        let items = (!items.is_empty()).then(|| format!("{ended}/{} items", items.len()));
        let said: Vec<String> = took.into_iter().chain(attempts).chain(items).collect();
        node.note = (!said.is_empty()).then(|| said.join(", "));
    }
    let took = report.started_at.map(|start| report.finished_at.unwrap_or(now).since(start));
    let took = took.map(|took| format!(" in {}", moment::duration(took))).unwrap_or_default();
    let states: Vec<String> = tally
        .states()
        .iter()
        .map(|(state, count)| {
            format!("{} {count} {}", sign(state, &Style::unicode()), state.replace('_', " "))
        })
        .collect();
    graph.about = format!("{}{took} · {} · {}", report.status, states.join("  "), report.run_id);
    graph
}
