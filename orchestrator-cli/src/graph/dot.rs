//! As DOT, for Graphviz.

use std::fmt::Write as _;

use crate::graph::model::{Graph, sign};
use crate::graph::svg::COLOURS;
use crate::output::style::Style;

/// A graph as DOT, whole however large it is.
pub(crate) fn dot(graph: &Graph) -> String {
    let mut text = String::from("digraph workflow {\n    rankdir=TB;\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "    label={};", quoted(&format!("{}: {}", graph.title, graph.about)));
    text.push_str("    node [shape=box, style=\"rounded,filled\", fillcolor=\"#f6f8fa\", color=\"#57606a\", fontname=\"sans-serif\"];\n");
    for (number, node) in graph.nodes.iter().enumerate() {
        let mark = node.state.map(|state| format!("{} ", sign(state, &Style::unicode()))).unwrap_or_default();
        let label = format!("{mark}{}\n{}", node.name, node.detail());
        let colours = COLOURS.iter().find(|(state, ..)| node.state == Some(state));
        let colours = colours
            .map_or_else(String::new, |(_, fill, line)| format!(", fillcolor=\"{fill}\", color=\"{line}\""));
        let _ = writeln!(text, "    n{number} [label={}{colours}];", quoted(label.trim_end()));
    }
    for edge in &graph.edges {
        let _ = writeln!(text, "    n{} -> n{};", edge.from, edge.to);
    }
    text.push_str("}\n");
    text
}

fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .flat_map(|c| match c {
            '"' => vec!['\\', '"'],
            '\\' => vec!['\\', '\\'],
            '\n' => vec!['\\', 'n'],
            c if c.is_control() => vec![' '],
            c => vec![c],
        })
        .collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_stay_inside() {
        assert_eq!(quoted("a\"b\\c\nd\u{7}"), "\"a\\\"b\\\\c\\nd \"");
    }
}
