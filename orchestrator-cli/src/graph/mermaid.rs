//! As Mermaid, for Markdown that shows it (GitHub does).

use std::fmt::Write as _;

use crate::graph::fold::folded;
use crate::graph::model::{Graph, Node, sign};
use crate::graph::svg::COLOURS;
use crate::output::style::Style;

/// The most edges that Mermaid draws where nobody has set another limit: `maxEdges` of its configuration.
const MOST_EDGES: usize = 500;

/// The most nodes of a picture: its text must stay below Mermaid's `maxTextSize` of 50,000 characters.
const MOST_NODES: usize = 400;

/// A graph as a Mermaid flowchart; nodes in the same place become one where there are too many for Mermaid. Where it is
/// still too large, that is said in place of the picture.
pub(crate) fn mermaid(graph: &Graph) -> String {
    let fits = |graph: &Graph| graph.edges.len() <= MOST_EDGES && graph.nodes.len() <= MOST_NODES;
    let small;
    let graph = if fits(graph) {
        graph
    } else {
        small = folded(graph);
        &small
    };
    if !fits(graph) {
        return format!(
            "flowchart TD\n    all[\"{}: {}, too many for Mermaid to draw\"]\n",
            quoted(&graph.title),
            crate::workflow::counted(graph.steps(), "step")
        );
    }
    let mut text = String::from("flowchart TD\n");
    for (number, node) in graph.nodes.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    n{number}[\"{}\"]", label(node));
    }
    for edge in &graph.edges {
        let _ = writeln!(text, "    n{} --> n{}", edge.from, edge.to);
    }
    for (state, fill, line) in COLOURS {
        let of: Vec<String> = (0..graph.nodes.len())
            .filter(|node| graph.nodes[*node].state == Some(state))
            .map(|node| format!("n{node}"))
            .collect();
        if !of.is_empty() {
            let _ = writeln!(text, "    classDef {state} fill:{fill},stroke:{line},color:#1f2328");
            let _ = writeln!(text, "    class {} {state}", of.join(","));
        }
    }
    text
}

fn label(node: &Node) -> String {
    let mark = node.state.map(|state| format!("{} ", sign(state, &Style::unicode()))).unwrap_or_default();
    let name = quoted(&node.name);
    match node.detail() {
        detail if detail.is_empty() => format!("{mark}{name}"),
        detail => format!("{mark}<b>{name}</b><br/>{}", quoted(&detail)),
    }
}

/// A text inside of a quoted label.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("#quot;"),
            '#' => out.push_str("#35;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '&' => out.push_str("#amp;"),
            '`' => out.push_str("#96;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::model::Edge;

    #[test]
    fn names_cannot_leave_their_labels() {
        let node = |name: &str| Node { name: name.into(), kind: "a\"b".into(), ..Node::default() };
        let graph = Graph {
            nodes: vec![node("x"), node("<i>`\n")],
            edges: vec![Edge { from: 0, to: 1 }],
            ..Graph::default()
        };
        let expected = "flowchart TD\n    n0[\"<b>x</b><br/>a#quot;b\"]\n    n1[\"<b>#lt;i#gt;#96; </b><br/>a#quot;b\"]\n    n0 --> n1\n";
        assert_eq!(mermaid(&graph), expected);
    }

    #[test]
    fn what_mermaid_would_refuse_is_folded_or_said() {
        let mut graph = Graph { nodes: vec![Node::default(); 1_002], ..Graph::default() };
        graph.edges = (1..=1_000)
            .flat_map(|middle| [Edge { from: 0, to: middle }, Edge { from: middle, to: 1_001 }])
            .collect();
        assert_eq!(mermaid(&graph).matches("-->").count(), 2);
        graph.edges = (0..1_000).map(|node| Edge { from: node, to: node + 1 }).collect();
        assert!(mermaid(&graph).contains("too many"));
    }
}
