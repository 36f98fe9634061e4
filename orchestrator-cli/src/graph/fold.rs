//! Making a graph smaller: nodes that stand in the same place (same needs, needed by the same) become one.

use std::collections::HashMap;

use crate::graph::model::{Edge, Graph, Node};

/// How many nodes in one place are worth folding.
const WORTH: usize = 3;

/// What a node needs, what needs it, and its kind.
type Place<'a> = (&'a [usize], &'a [usize], &'a str);

/// The same graph, with every group of at least three nodes of one kind in the same place drawn as one.
pub(super) fn folded(graph: &Graph) -> Graph {
    let count = graph.nodes.len();
    let mut needs = vec![Vec::new(); count];
    let mut needed = vec![Vec::new(); count];
    for edge in &graph.edges {
        needs[edge.to].push(edge.from);
        needed[edge.from].push(edge.to);
    }
    needs.iter_mut().chain(&mut needed).for_each(|side| side.sort_unstable());
    let mut places: HashMap<Place<'_>, Vec<usize>> = HashMap::new();
    for node in 0..count {
        let place = (&*needs[node], &*needed[node], &*graph.nodes[node].kind);
        places.entry(place).or_default().push(node);
    }
    let mut new_of = vec![usize::MAX; count];
    let mut nodes = Vec::new();
    for node in 0..count {
        if new_of[node] != usize::MAX {
            continue;
        }
        let group = &places[&(&*needs[node], &*needed[node], &*graph.nodes[node].kind)];
        if group.len() < WORTH {
            new_of[node] = nodes.len();
            nodes.push(graph.nodes[node].clone());
            continue;
        }
        group.iter().for_each(|member| new_of[*member] = nodes.len());
        nodes.push(stack(graph, group));
    }
    let mut edges: Vec<Edge> =
        graph.edges.iter().map(|edge| Edge { from: new_of[edge.from], to: new_of[edge.to] }).collect();
    edges.sort_unstable();
    edges.dedup();
    Graph { title: graph.title.clone(), about: graph.about.clone(), nodes, edges }
}

/// One node for several.
fn stack(graph: &Graph, group: &[usize]) -> Node {
    let mut stack = Node::default();
    for node in group.iter().map(|member| &graph.nodes[*member]) {
        if node.tally.total() == 0 {
            stack.tally.add(node.state);
        }
        for (state, count) in &node.tally.0 {
            *stack.tally.0.entry(state).or_default() += count;
        }
    }
    // A group has members.
    let (first, last) = (&graph.nodes[group[0]], &graph.nodes[group[group.len() - 1]]);
    stack.name = format!("{} … {}", first.name, last.name);
    stack.kind = format!("{} × {}", stack.tally.total(), first.kind);
    stack.state = stack.tally.leading();
    stack
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(names: &[&str], edges: &[(usize, usize)]) -> Graph {
        let node = |name: &&str| Node { name: (*name).to_owned(), kind: "script".into(), ..Node::default() };
        let edges = edges.iter().map(|(from, to)| Edge { from: *from, to: *to }).collect();
        Graph { nodes: names.iter().map(node).collect(), edges, ..Graph::default() }
    }

    #[test]
    fn what_stands_in_the_same_place_becomes_one() {
        let fan = graph(
            &["split", "a", "b", "c", "other", "join"],
            &[(0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (2, 5), (3, 5)],
        );
        let folded = folded(&fan);
        let names: Vec<&str> = folded.nodes.iter().map(|node| &*node.name).collect();
        assert_eq!(names, ["split", "a … c", "other", "join"]);
        assert_eq!(folded.nodes[1].kind, "3 × script");
        assert_eq!(folded.edges.len(), 3);
        assert_eq!(folded.steps(), 6);
    }

    #[test]
    fn the_state_of_many_is_the_one_that_matters_most() {
        let mut many = graph(&["a", "b", "c"], &[]);
        many.nodes[0].state = Some("completed");
        many.nodes[1].state = Some("failed");
        many.nodes[2].state = Some("pending");
        assert_eq!(folded(&many).nodes[0].state, Some("failed"));
        many.nodes[1].state = Some("completed");
        assert_eq!(folded(&many).nodes[0].state, Some("running"));
    }
}
