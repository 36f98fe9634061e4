//! A log as it is printed, replayed by the table of `docs/state-machine.md`: knows nothing else of the product.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::Value;

use crate::model::Unit;

const PAGE: &str = include_str!("../../../docs/state-machine.md");

/// The page: which event leads from where to where, and how each state is shown.
struct Table {
    rows: Vec<(&'static str, &'static str, &'static str)>,
    /// With whether the state is final.
    states: BTreeMap<&'static str, (&'static str, bool)>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let rows = PAGE.lines().filter_map(|line| {
        let (from, rest) = line.trim().split_once(" --> ")?;
        let (to, event) = rest.split_once(": ")?;
        event.contains('.').then_some((from, event, to))
    });
    let states = PAGE.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [state, shown, ended] = cells[..] else { return None };
        let shown = shown.split('`').nth(1)?;
        Some((state, (shown, ended == "yes")))
    });
    Table { rows: rows.collect(), states: states.collect() }
});

/// What the printed log of a run says, event by event.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// The states in which each unit can be, as far as the log tells; none after something illegal.
    states: BTreeMap<Unit, BTreeSet<&'static str>>,
    pub(crate) attempts: BTreeMap<Unit, u64>,
    pub(crate) status: Option<String>,
    pub(crate) generation: u64,
    pub(crate) illegal: Vec<String>,
}

impl Replay {
    pub(crate) fn of(events: &[Value]) -> Self {
        let mut replay = Self { generation: 1, ..Self::default() };
        for event in events {
            replay.run(event);
            if let Some(unit) = unit(event) {
                replay.step(&unit, event);
            }
        }
        replay
    }

    fn run(&mut self, event: &Value) {
        let kind = kind(event);
        if kind == "run.reopened" {
            self.generation += 1;
            self.status = None;
            let named = event["data"]["steps"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let named: BTreeSet<&str> = named.collect();
            self.states.retain(|(step, item), _| {
                let name = item.map_or_else(|| step.clone(), |item| format!("{step}[{item}]"));
                !named.contains(&*name)
            });
        } else if let Some(status) = &self.status {
            self.illegal.push(format!("{kind} at {} after the run had ended as {status}", event["seq"]));
        } else if kind == "run.ended" {
            self.status = event["data"]["status"].as_str().map(str::to_owned);
        }
    }

    fn step(&mut self, unit: &Unit, event: &Value) {
        let kind = kind(event);
        if begins(event) {
            *self.attempts.entry(unit.clone()).or_default() += 1;
        }
        let states = self.states.entry(unit.clone()).or_insert_with(|| BTreeSet::from(["Pending", "Ready"]));
        if states.is_empty() {
            return;
        }
        let allowed = allowed(event);
        let rows = TABLE.rows.iter().filter(|(from, event, to)| {
            states.contains(from) && *event == kind && allowed.is_none_or(|allowed| allowed.contains(to))
        });
        let after: BTreeSet<&str> = rows.map(|(_, _, to)| *to).collect();
        if after.is_empty() {
            self.illegal.push(format!("{unit:?}: {kind} at {} from {states:?}", event["seq"]));
        }
        *states = after;
    }

    /// The status that a unit must be shown with; nothing where the log does not tell.
    pub(crate) fn shown(&self, unit: &Unit) -> Option<&'static str> {
        let shown: BTreeSet<&str> =
            self.states.get(unit)?.iter().map(|state| TABLE.states[state].0).collect();
        if shown.len() == 1 { shown.first().copied() } else { None }
    }

    /// The units that the log names.
    pub(crate) fn units(&self) -> impl Iterator<Item = &Unit> {
        self.states.keys()
    }
}

/// The states to which this very event can lead, where it says more than its kind.
fn allowed(event: &Value) -> Option<&'static [&'static str]> {
    let data = &event["data"];
    match kind(event) {
        "step.failed" if data["retry_at"].is_null() => Some(&["Failed"]),
        "step.resolved" if data["output"].is_null() => Some(&["Ready", "Arrived"]),
        "step.resolved" => Some(&["Succeeded"]),
        "step.repeated" if data["until"].is_null() => Some(&["Ready"]),
        "step.failed" | "step.repeated" => Some(&["Backoff"]),
        "step.lost" => match data["then"].as_str() {
            Some("again") => Some(&["Ready", "Arrived"]),
            Some("unknown") => Some(&["OutcomeUnknown"]),
            Some("quarantine") => Some(&["Quarantined"]),
            Some("fail") => Some(&["Failed"]),
            Some("cancel") => Some(&["Cancelled"]),
            _ => Some(&[]),
        },
        "step.collected" => match data["status"].as_str() {
            Some("completed") => Some(&["Succeeded"]),
            Some("failed") => Some(&["Failed"]),
            Some("cancelled") => Some(&["Cancelled"]),
            _ => Some(&[]),
        },
        _ => None,
    }
}

pub(crate) fn kind(event: &Value) -> &str {
    event["kind"].as_str().unwrap_or_default()
}

/// Whether an attempt begins with an event: one that is offered to others counts from there on.
pub(crate) fn begins(event: &Value) -> bool {
    match kind(event) {
        "step.begun" => true,
        // Without a decision it is one that has waited, and goes on.
        "step.offered" => !event["data"]["decision"].is_null(),
        _ => false,
    }
}

/// The step or item that an event, or a row of a report, speaks of.
pub(crate) fn unit(event: &Value) -> Option<Unit> {
    let step = event["step"].as_str().or(event["id"].as_str())?;
    let item = event["item"].as_u64().map(|item| usize::try_from(item).unwrap());
    Some((step.to_owned(), item))
}

#[test]
fn the_page_is_read_whole() {
    assert!(TABLE.rows.len() > 50, "{}", TABLE.rows.len());
    assert_eq!(TABLE.states.len(), 15);
    assert_eq!(TABLE.states["Succeeded"], ("completed", true));
    let mentioned =
        |(from, _, to): &(&str, _, &str)| [*from, *to].iter().all(|state| TABLE.states.contains_key(state));
    assert!(TABLE.rows.iter().all(mentioned));
}
