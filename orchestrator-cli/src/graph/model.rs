//! What is drawn, whatever it was made from and whatever it is drawn as.

use std::collections::BTreeMap;

use crate::output::style::Style;

/// A graph without cycles: edges lead from what comes first to what needs it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    /// What it is a picture of.
    pub(crate) title: String,
    /// One line about it: how the run stands, how much there is.
    pub(crate) about: String,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
}

/// Something that is done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// What does it: the kind of plugin.
    pub(crate) kind: String,
    /// How it stands, in the words of the JSON shapes; `None` where nothing runs.
    pub(crate) state: Option<&'static str>,
    /// What else is to be said in a few words: `1.2s, 2 attempts`.
    pub(crate) note: Option<String>,
    /// How many of each state, where the node stands for several; empty where it stands for one.
    pub(crate) tally: Tally,
}

/// How many there are of each state; the empty name where nothing runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally(pub(crate) BTreeMap<&'static str, usize>);

/// `to` comes after `from`. Both are positions in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// In which order states are told: what is bad or moves comes first.
const ORDER: [&str; 12] = [
    "failed",
    "outcome_unknown",
    "blocked",
    "running",
    "claimed",
    "waiting",
    "needs_qa",
    "queued",
    "cancelled",
    "completed",
    "skipped",
    "pending",
];

/// The sign of a state: one that tells it from the others without its colour.
pub(crate) fn sign(state: &str, style: &Style) -> &'static str {
    match state {
        "skipped" => style.either("⊘", "/"),
        "queued" => style.either("◌", "."),
        "outcome_unknown" | "blocked" => "?",
        other => style.bare_mark(other),
    }
}

impl Tally {
    /// One more of a state.
    pub(crate) fn add(&mut self, state: Option<&'static str>) {
        *self.0.entry(state.unwrap_or_default()).or_default() += 1;
    }

    /// One less of a state.
    pub(crate) fn remove(&mut self, state: &'static str) {
        if let Some(count) = self.0.get_mut(state) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.0.remove(state);
            }
        }
    }

    /// How many there are.
    pub(crate) fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// Each state with its number, what matters most first. Nothing where nothing runs.
    pub(crate) fn states(&self) -> Vec<(&'static str, usize)> {
        let mut states: Vec<_> = self
            .0
            .iter()
            .filter(|(state, _)| !state.is_empty())
            .map(|(state, count)| (*state, *count))
            .collect();
        states.sort_by_key(|(state, _)| ORDER.iter().position(|known| known == state));
        states
    }

    /// The one state that says most about all of them.
    pub(crate) fn leading(&self) -> Option<&'static str> {
        let states = self.states();
        let begun = states.iter().any(|(state, _)| *state != "pending");
        match states.first() {
            // Some are done and some have not begun: they are on their way.
            Some(("completed" | "skipped", _)) if states.iter().any(|(state, _)| *state == "pending") => {
                Some("running")
            }
            Some((state, _)) if begun || *state == "pending" => Some(state),
            _ => None,
        }
    }
}

impl Node {
    /// How many it stands for.
    pub(crate) fn count(&self) -> usize {
        self.tally.total().max(1)
    }

    /// The second line of a box: what does it, and what else is to be said.
    pub(crate) fn detail(&self) -> String {
        match &self.note {
            Some(note) if self.kind.is_empty() => note.clone(),
            Some(note) => format!("{} · {note}", self.kind),
            None => self.kind.clone(),
        }
    }
}

impl Graph {
    /// How many steps there are, folded ones counted singly.
    pub(crate) fn steps(&self) -> usize {
        self.nodes.iter().map(Node::count).sum()
    }

    /// The positions of the nodes in waves: each in the first wave after all that it needs.
    pub(crate) fn waves(&self) -> Vec<Vec<usize>> {
        let mut missing = vec![0usize; self.nodes.len()];
        let mut followers = vec![Vec::new(); self.nodes.len()];
        for edge in &self.edges {
            missing[edge.to] += 1;
            followers[edge.from].push(edge.to);
        }
        let mut wave: Vec<usize> = (0..self.nodes.len()).filter(|node| missing[*node] == 0).collect();
        let mut waves = Vec::new();
        while !wave.is_empty() {
            let mut next = Vec::new();
            for follower in wave.iter().flat_map(|node| &followers[*node]) {
                missing[*follower] -= 1;
                if missing[*follower] == 0 {
                    next.push(*follower);
                }
            }
            next.sort_unstable();
            waves.push(std::mem::replace(&mut wave, next));
        }
        waves
    }
}
