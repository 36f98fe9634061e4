//! What is too large to be drawn: a list by waves, or only how much there is in each.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::graph::model::{Graph, Node, Tally, sign};
use crate::graph::text::cut;
use crate::output::escape;
use crate::output::style::{Style, Tint, tint_of};
use crate::workflow::counted;

/// More lines than this are not listed but counted.
const MOST_LISTED: usize = 200;

/// The most waves that are counted one by one; of more, the first and the last.
const MOST_WAVES: usize = 40;

/// A graph by waves, in so many columns.
pub(super) fn waves(graph: &Graph, width: usize, style: &Style) -> String {
    if graph.nodes.len() <= MOST_LISTED { listed(graph, width, style) } else { counted_only(graph, style) }
}

fn listed(graph: &Graph, width: usize, style: &Style) -> String {
    let mut needs = vec![Vec::new(); graph.nodes.len()];
    for edge in &graph.edges {
        needs[edge.to].push(&*graph.nodes[edge.from].name);
    }
    let wide = graph.nodes.iter().map(|node| node.name.chars().count()).max().unwrap_or(0).min(32);
    let mut text = String::new();
    for (number, wave) in (1..).zip(graph.waves()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", style.tint(Tint::Dim, &format!("wave {number}")));
        for node in wave {
            let Node { name, state, .. } = &graph.nodes[node];
            let name = cut(&escape::line(name), wide, style);
            let mut rest = graph.nodes[node].detail();
            for (state, count) in graph.nodes[node].tally.states() {
                let _ = write!(rest, " {} {count}", sign(state, style));
            }
            if !needs[node].is_empty() {
                let _ = write!(rest, "  {} {}", style.either("←", "<-"), needs[node].join(", "));
            }
            let rest = cut(&escape::line(&rest), width.saturating_sub(wide + 6), style);
            let mark = state.map_or_else(
                || "-".to_owned(),
                |state| style.tint(tint_of(state), sign(state, style)).to_string(),
            );
            let _ = writeln!(text, "  {mark} {name:<wide$}  {}", style.tint(Tint::Dim, &rest));
        }
    }
    text
}

fn counted_only(graph: &Graph, style: &Style) -> String {
    let waves = graph.waves();
    let mut text = String::new();
    let (first, last) =
        if waves.len() > MOST_WAVES { (MOST_WAVES / 2, MOST_WAVES / 2) } else { (waves.len(), 0) };
    for (number, wave) in waves.iter().enumerate() {
        if number == first && last > 0 {
            let left_out = waves.len() - first - last;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", style.either("⋮", ":"));
            let _ = writeln!(
                text,
                "{}",
                style.tint(Tint::Dim, &format!("  {} between", counted(left_out, "wave")))
            );
            let _ = writeln!(text, "{}", style.either("⋮", ":"));
        }
        if number >= first && number < waves.len() - last {
            continue;
        }
        let _ = writeln!(text, "{}", wave_line(graph, number + 1, wave, style));
    }
    text
}

fn wave_line(graph: &Graph, number: usize, wave: &[usize], style: &Style) -> String {
    let mut tally = Tally::default();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for node in wave.iter().map(|node| &graph.nodes[*node]) {
        if node.tally.total() == 0 {
            tally.add(node.state);
        }
        for (state, count) in &node.tally.0 {
            *tally.0.entry(state).or_default() += count;
        }
        let kind = node.kind.rsplit(' ').next().unwrap_or_default();
        *kinds.entry(kind).or_default() += node.count();
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let mut line = format!(
        "{} {:>12}  {}",
        style.tint(Tint::Dim, &format!("wave {number:<5}")),
        counted(tally.total(), "step"),
        escape::line(&kinds.join(", "))
    );
    for (state, count) in tally.states() {
        // Writing to a String cannot fail.
        let _ = write!(line, "  {} {count}", style.tint(tint_of(state), sign(state, style)));
    }
    line
}
