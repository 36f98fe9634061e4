//! What can be seen from outside of an episode that is over.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;

use crate::fleet::Fleet;
use crate::flow::{Does, Flow, Step};
use crate::folder::Folder;
use crate::ledger::{Line, Told};
use crate::model::Unit;
use crate::printed::is_result;
use crate::replay::{begins, kind, unit};

/// Looks at a copy of the database, with a library that is not the product's.
const LOOK: &str = "\
import json, sqlite3, sys
copy = sqlite3.connect(sys.argv[1])
all = lambda text: copy.execute(text).fetchall()
damage = [row[0] for row in all('PRAGMA integrity_check') if row[0] != 'ok']
damage += ['%s row %s names what is not in %s' % row[:3] for row in all('PRAGMA foreign_key_check')]
held = ['%s is driven and has ended' % row for row in all(
    'SELECT lower(hex(id)) FROM orchestrator_runs WHERE finished_at IS NOT NULL AND driver IS NOT NULL')]
held += ['owner %s is not dead: %s' % row for row in all('SELECT lower(hex(id)), label FROM orchestrator_owners WHERE dead = 0')]
decisions = ['%s %s' % row for row in all('SELECT lower(hex(run)), lower(hex(id)) FROM orchestrator_decisions')]
keys = [row[0] for row in all('SELECT start_key FROM orchestrator_runs WHERE start_key IS NOT NULL')]
print(json.dumps({'damage': damage, 'held': held, 'decisions': decisions, 'keys': keys}))
";

/// What a copy of the database says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Copy {
    pub(crate) damage: Vec<String>,
    /// Rights that somebody still has.
    pub(crate) held: Vec<String>,
    /// `RUN DECISION`, in hexadecimal.
    pub(crate) decisions: Vec<String>,
    /// The keys under which runs were started.
    pub(crate) keys: Vec<String>,
}

impl Copy {
    /// What the database of a fleet says.
    pub(crate) fn of_fleet(fleet: &Fleet) -> Self {
        let mut held = fleet.texts(
            "SELECT id || ' is driven and has ended' FROM orchestrator_runs \
             WHERE finished_at IS NOT NULL AND driver IS NOT NULL",
        );
        held.extend(fleet.texts(
            "SELECT 'owner ' || id || ' is not dead: ' || label FROM orchestrator_owners WHERE dead = 0",
        ));
        Self {
            damage: Vec::new(),
            held,
            decisions: fleet.texts(
                "SELECT replace(run::text, '-', '') || ' ' || replace(id::text, '-', '') FROM orchestrator_decisions",
            ),
            keys: fleet.texts("SELECT start_key FROM orchestrator_runs WHERE start_key IS NOT NULL"),
        }
    }

    pub(crate) fn of(folder: &Folder) -> Self {
        folder.ask(&["backup", "copy.db", "--force", "--json"]);
        let mut look = Command::new("python3");
        look.args(["-c", LOOK]).arg(folder.path("copy.db")).stderr(Stdio::inherit());
        let output = look.output().expect("python3 is there");
        assert!(output.status.success(), "python3 says why");
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let texts = |name: &str| {
            said[name].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        Self {
            damage: texts("damage"),
            held: texts("held"),
            decisions: texts("decisions"),
            keys: texts("keys"),
        }
    }
}

/// A run, or one below it.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) flow: Arc<Flow>,
    /// Whether somebody has asked for its end, or for that of a run above.
    pub(crate) cancelled: bool,
    /// `runs show --json`.
    pub(crate) shown: Value,
    /// `runs events --json`.
    pub(crate) events: Vec<Value>,
}

/// What can be seen of an episode.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// The keys of the runs that were acknowledged, with the runs that were told.
    pub(crate) told: BTreeMap<String, BTreeSet<String>>,
    /// `runs list --children --json`, by run.
    pub(crate) listed: BTreeMap<String, Value>,
    pub(crate) runs: Vec<Run>,
    /// `approval list --all --json`.
    pub(crate) approvals: Vec<Value>,
    /// Decisions that were acknowledged: run, step, yes or no.
    pub(crate) decided: Vec<(String, Unit, bool)>,
    /// The runs whose cancellation was acknowledged.
    pub(crate) cancels: BTreeSet<String>,
    pub(crate) lines: Vec<Line>,
    /// Who held what their steps name, in the order in which they said so.
    pub(crate) held: Vec<Told>,
    /// What was left of runs: processes, files.
    pub(crate) left: Vec<String>,
    /// `doctor --json`.
    pub(crate) doctor: Value,
    /// What `store check` finds wrong.
    pub(crate) damage: Vec<String>,
    pub(crate) copy: Copy,
    /// What went on for longer than anything may.
    pub(crate) hung: Vec<String>,
}

impl Run {
    /// The events of a unit, with their places in the log.
    pub(crate) fn of<'f>(&'f self, wanted: &'f Unit) -> impl Iterator<Item = (usize, &'f Value)> {
        self.events.iter().enumerate().filter(move |(_, event)| {
            event["step"] == wanted.0.as_str() && event["item"].as_u64() == wanted.1.map(|item| item as u64)
        })
    }

    pub(crate) fn of_kind<'f>(&'f self, wanted: &'f Unit, kind: &'f str) -> impl Iterator<Item = &'f Value> {
        self.of(wanted).map(|(_, event)| event).filter(move |event| event["kind"] == kind)
    }

    /// The events with which attempts of a unit begin.
    pub(crate) fn begins<'f>(&'f self, wanted: &'f Unit) -> impl Iterator<Item = &'f Value> {
        self.of(wanted).map(|(_, event)| event).filter(|event| begins(event))
    }

    /// The rows of its steps and items.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (Unit, &Value)> {
        let rows = self.shown["steps"].as_array().into_iter().flatten();
        rows.filter_map(|row| unit(row).map(|unit| (unit, row)))
    }

    /// Every step and item that the log names.
    pub(crate) fn units(&self) -> BTreeSet<Unit> {
        self.events.iter().filter_map(unit).collect()
    }

    /// Where the result of a unit stands in the log.
    pub(crate) fn ended_at(&self, wanted: &Unit) -> Option<usize> {
        self.of(wanted).find(|(_, event)| is_result(event)).map(|(at, _)| at)
    }

    pub(crate) fn step(&self, name: &str) -> Option<&Step> {
        self.flow.steps.iter().find(|step| step.name == name)
    }

    /// How often a unit was to be attempted again: after a failure, a loss, an interruption, or on somebody's word.
    pub(crate) fn repeats(&self, unit: &Unit) -> usize {
        let repeats = |event: &Value| match kind(event) {
            "step.failed" => !event["data"]["retry_at"].is_null(),
            "step.lost" => event["data"]["then"] == "again",
            "step.resolved" => event["data"]["output"].is_null(),
            "step.interrupted" | "step.withdrawn" => true,
            _ => false,
        };
        self.of(unit).filter(|(_, event)| repeats(event)).count()
    }

    /// How often a unit was to be attempted again after a failure.
    pub(crate) fn retries(&self, unit: &Unit) -> usize {
        self.of_kind(unit, "step.failed").filter(|event| !event["data"]["retry_at"].is_null()).count()
    }

    /// Lets two events change places; each place keeps its number.
    pub(crate) fn swap(&mut self, one: usize, other: usize) {
        self.events.swap(one, other);
        let number = self.events[one]["seq"].take();
        self.events[one]["seq"] = self.events[other]["seq"].take();
        self.events[other]["seq"] = number;
    }

    /// Each unit that sends or appends.
    pub(crate) fn effects(&self) -> impl Iterator<Item = (Unit, &Step)> {
        self.units().into_iter().filter_map(|unit| {
            let step = self.step(&unit.0)?;
            let has = match step.does {
                Does::Post(_) | Does::Append { .. } => true,
                Does::Each { .. } => unit.1.is_some(),
                _ => false,
            };
            has.then_some((unit, step))
        })
    }
}

impl Facts {
    /// What the ledger says of a unit.
    pub(crate) fn lines_of<'f>(&'f self, run: &'f str, unit: &'f Unit) -> impl Iterator<Item = &'f Line> {
        self.lines.iter().filter(move |line| line.run == run && line.step == unit.0 && line.item == unit.1)
    }
}
