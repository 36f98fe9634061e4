//! The picture's content, from a workflow and from a run of it.

use orchestrator_core::engine::RunReport;
use orchestrator_core::spec::Workflow;
use orchestrator_core::time::Timestamp;

use crate::graph::model::{Edge, Graph, Node, Tally, sign};
use crate::output::moment;
use crate::output::style::Style;
use crate::workflow::counted;

/// A workflow as it stands in its text.
pub(crate) fn of_workflow(workflow: &Workflow) -> Graph {
    let node = |step: &orchestrator_core::spec::StepSpec| Node {
        name: step.name.to_string(),
        kind: step.uses.to_string(),
        ..Node::default()
    };
    let edges = workflow
        .steps
        .iter()
        .enumerate()
        .flat_map(|(to, step)| step.needs.iter().map(move |need| Edge { from: need.index(), to }));
    let mut graph = Graph {
        title: workflow.name.to_string(),
        about: String::new(),
        nodes: workflow.steps.iter().map(node).collect(),
        edges: edges.collect(),
    };
    let waves = graph.waves().len();
    graph.about = format!("{} in {}", counted(graph.nodes.len(), "step"), counted(waves, "wave"));
    graph
}

/// The same workflow with a run of it drawn in.
pub(crate) fn of_run(workflow: &Workflow, report: &RunReport, now: Timestamp) -> Graph {
    let mut graph = of_workflow(workflow);
    let mut tally = Tally::default();
    for (node, step) in graph.nodes.iter_mut().zip(report.steps.chunk_by(|_, next| next.item.is_some())) {
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
