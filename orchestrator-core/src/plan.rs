//! A validated DAG made from the steps of a spec. Derived whenever a run is loaded; never stored.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::id::StepIx;

/// The most steps a workflow may declare.
pub const MAX_STEPS: usize = 100_000;

/// The most edges (`needs`) a workflow may declare.
pub const MAX_EDGES: usize = 1_000_000;

/// The most knots of steps whose cycles are told at once.
pub const MAX_CYCLES: usize = 20;

/// Who needs whom. Nodes are steps, an edge leads from a step to one that needs it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the successors of each step begin in `successors`, and at last where they end.
    begins: Vec<u32>,
    /// The steps that need a step, of all steps one after the other.
    successors: Vec<StepIx>,
}

/// Needs that lead back to where they started: each step needs the next, the last needs the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle(pub Vec<StepIx>);

impl Plan {
    /// Makes the plan of steps whose needs are given in the order of the steps.
    ///
    /// # Errors
    /// The first of [`cycles`], if there are any.
    pub fn new<'a>(needs: impl ExactSizeIterator<Item = &'a [StepIx]> + Clone) -> Result<Self, Cycle> {
        // Steps that need only what is written before them form no cycle; most workflows are written so.
        let in_order =
            needs.clone().enumerate().all(|(step, needs)| needs.iter().all(|need| need.index() < step));
        if !in_order && let Some(cycle) = cycles(needs.clone()).into_iter().next() {
            return Err(cycle);
        }
        let mut begins = vec![0; needs.len() + 1];
        for need in needs.clone().flatten() {
            begins[need.index() + 1] += 1;
        }
        for step in 0..needs.len() {
            begins[step + 1] += begins[step];
        }
        let mut next = begins.clone();
        let mut successors = vec![StepIx(0); begins[needs.len()] as usize];
        for (step, needs) in (0u32..).zip(needs) {
            for need in needs {
                let place = &mut next[need.index()];
                successors[*place as usize] = StepIx(step);
                *place += 1;
            }
        }
        Ok(Self { begins, successors })
    }

    /// How many steps there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.begins.len() - 1
    }

    /// Whether there are no steps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All steps.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = StepIx> + use<> {
        (0..self.len() as u32).map(StepIx)
    }

    /// The steps that need `step`, in the order of the text.
    pub fn successors(&self, step: StepIx) -> impl Iterator<Item = StepIx> + '_ {
        let (from, to) = (self.begins[step.index()], self.begins[step.index() + 1]);
        self.successors[from as usize..to as usize].iter().copied()
    }

    /// Where its successors are, for [`Plan::successor`].
    pub(crate) fn successor_range(&self, step: StepIx) -> std::ops::Range<u32> {
        self.begins[step.index()]..self.begins[step.index() + 1]
    }

    /// A successor by its place.
    pub(crate) fn successor(&self, nth: u32) -> StepIx {
        self.successors[nth as usize]
    }

    /// The steps in waves: each step in the first wave after all it needs.
    #[must_use]
    pub fn waves(&self) -> Vec<Vec<StepIx>> {
        let mut missing = vec![0u32; self.len()];
        self.successors.iter().for_each(|step| missing[step.index()] += 1);
        let mut wave: Vec<StepIx> = self.steps().filter(|step| missing[step.index()] == 0).collect();
        let mut waves = Vec::new();
        while !wave.is_empty() {
            let mut next = Vec::new();
            for successor in wave.iter().flat_map(|step| self.successors(*step)) {
                missing[successor.index()] -= 1;
                if missing[successor.index()] == 0 {
                    next.push(successor);
                }
            }
            next.sort_unstable();
            waves.push(std::mem::replace(&mut wave, next));
        }
        waves
    }
}

fn graph<'a>(needs: impl ExactSizeIterator<Item = &'a [StepIx]>) -> DiGraph<(), (), u32> {
    let mut graph = DiGraph::with_capacity(needs.len(), needs.len());
    for _ in 0..needs.len() {
        graph.add_node(());
    }
    for (step, needs) in needs.enumerate() {
        for need in needs {
            graph.add_edge(NodeIndex::new(need.index()), NodeIndex::new(step), ());
        }
    }
    graph
}

/// Of every knot of steps that need each other (of at most [`MAX_CYCLES`]) the shortest cycle through its first step,
/// in the order of the steps. Empty if there is none.
#[must_use]
pub fn cycles<'a>(needs: impl ExactSizeIterator<Item = &'a [StepIx]>) -> Vec<Cycle> {
    cycles_of(&graph(needs))
}

fn cycles_of(graph: &DiGraph<(), (), u32>) -> Vec<Cycle> {
    // Not Tarjan's algorithm: petgraph's is recursive, and a knot may have 100,000 steps.
    let knots = kosaraju_scc(graph);
    let mut starts: Vec<NodeIndex> = knots
        .into_iter()
        .filter(|knot| knot.len() > 1 || graph.contains_edge(knot[0], knot[0]))
        .filter_map(|knot| knot.into_iter().min())
        .collect();
    starts.sort_unstable();
    starts.truncate(MAX_CYCLES);
    starts.into_iter().map(|start| shortest_cycle(graph, start)).collect()
}

/// Breadth first along needs (edges backwards), until `start` is needed again.
fn shortest_cycle(graph: &DiGraph<(), (), u32>, start: NodeIndex) -> Cycle {
    let mut came_from: HashMap<NodeIndex, NodeIndex> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for need in graph.neighbors_directed(node, Direction::Incoming) {
            if need == start {
                let mut path = vec![node];
                while let Some(previous) = came_from.get(&path[path.len() - 1]) {
                    path.push(*previous);
                }
                path.reverse();
                return Cycle(path.into_iter().map(|node| StepIx(node.index() as u32)).collect());
            }
            if let Entry::Vacant(vacant) = came_from.entry(need) {
                vacant.insert(node);
                queue.push_back(need);
            }
        }
    }
    Cycle(vec![StepIx(start.index() as u32)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(needs: &[&[u32]]) -> Vec<Vec<StepIx>> {
        needs.iter().map(|needs| needs.iter().copied().map(StepIx).collect()).collect()
    }

    fn plan(needs: &[&[u32]]) -> Result<Plan, Cycle> {
        Plan::new(steps(needs).iter().map(Vec::as_slice))
    }

    #[test]
    fn waves_follow_needs() {
        let plan = plan(&[&[], &[0], &[0], &[1, 2], &[]]).unwrap();
        let waves: Vec<Vec<u32>> =
            plan.waves().into_iter().map(|wave| wave.into_iter().map(|step| step.0).collect()).collect();
        assert_eq!(waves, [vec![0, 4], vec![1, 2], vec![3]]);
        assert_eq!(plan.successors(StepIx(0)).map(|step| step.0).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn the_shortest_cycle_is_named() {
        assert_eq!(plan(&[&[0]]).unwrap_err(), Cycle(vec![StepIx(0)]));
        // 0 needs 3 needs 2 needs 1 needs 0, and 0 needs 2 as well: 0 → 2 → 1 → 0.
        let cycle = plan(&[&[3, 2], &[0], &[1], &[2]]).unwrap_err();
        assert_eq!(cycle, Cycle(vec![StepIx(0), StepIx(2), StepIx(1)]));
        // Two knots: 1 and 2, 3 and 4; 0 and 5 hang on them.
        let needs = steps(&[&[1], &[2], &[1], &[4, 1], &[3], &[]]);
        let cycles = cycles(needs.iter().map(Vec::as_slice));
        assert_eq!(cycles, [Cycle(vec![StepIx(1), StepIx(2)]), Cycle(vec![StepIx(3), StepIx(4)])]);
    }

    #[test]
    fn a_chain_and_a_cycle_of_the_largest_size_use_no_deep_stack() {
        let chain: Vec<Vec<StepIx>> = (0..MAX_STEPS as u32)
            .map(|step| if step == 0 { vec![] } else { vec![StepIx(step - 1)] })
            .collect();
        assert_eq!(Plan::new(chain.iter().map(Vec::as_slice)).unwrap().waves().len(), MAX_STEPS);
        let mut cycle = chain;
        cycle[0] = vec![StepIx(MAX_STEPS as u32 - 1)];
        assert_eq!(Plan::new(cycle.iter().map(Vec::as_slice)).unwrap_err().0.len(), MAX_STEPS);
    }
}
