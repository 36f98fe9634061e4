//! What can be seen of a run from outside, and what is wrong with it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::printed::is_result;
use crate::row::Losses;
use crate::sandbox::Sandbox;
use crate::survivors;

/// A script with an effect: appends its run, its step and its attempt to the ledger. A step whose name begins with `pay`
/// has this effect, and it must not happen twice.
pub(crate) const EFFECT: (&str, &str) =
    ("effect.sh", "echo \"$ORCHESTRATOR_RUN_ID $ORCHESTRATOR_STEP_ID $ORCHESTRATOR_ATTEMPT\" >> ledger\n");

/// How long what a run has started may live on once its process is gone.
const ORPHANED: Duration = Duration::from_secs(1);

/// What can be seen of a run, once everybody has been left alone.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `runs show --json`.
    pub(crate) shown: Value,
    /// `runs events --json`.
    pub(crate) events: Vec<Value>,
    /// Step and attempt of each effect.
    pub(crate) effects: Vec<(String, u64)>,
    /// How many of its processes are alive.
    pub(crate) alive: usize,
}

impl Seen {
    pub(crate) fn of(place: &Sandbox, run: &str) -> Self {
        let ledger = std::fs::read_to_string(place.path("ledger")).unwrap_or_default();
        let effect = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            (words[0] == run).then(|| (words[1].to_owned(), words[2].parse().unwrap()))
        };
        Self {
            shown: place.run(&format!("runs show {run} --json")).exits(0).json(),
            events: place.run(&format!("runs events {run} --json")).exits(0).json_lines(),
            effects: ledger.lines().filter_map(effect).collect(),
            alive: left_alive(run),
        }
    }

    /// A step as it is shown.
    #[track_caller]
    pub(crate) fn step(&self, name: &str) -> &Value {
        let steps = self.shown["steps"].as_array().unwrap();
        steps.iter().find(|step| step["id"] == name).unwrap_or_else(|| panic!("no {name}: {}", self.shown))
    }

    /// The events of a kind of a step.
    pub(crate) fn events_of<'s>(&'s self, step: &'s str, kind: &'s str) -> impl Iterator<Item = &'s Value> {
        self.events.iter().filter(move |event| event["step"] == step && event["kind"] == kind)
    }

    /// What is wrong with it.
    pub(crate) fn losses(&self) -> Losses {
        let times = |step: &str| self.effects.iter().filter(|(of, _)| of == step).count() as u64;
        let pays = self.shown["steps"].as_array().unwrap().iter().filter_map(|step| {
            let name = step["id"].as_str().unwrap();
            name.starts_with("pay").then_some((name, step["status"] == "completed"))
        });
        let pays: Vec<(&str, bool)> = pays.collect();
        let distinct: BTreeSet<_> = self.effects.iter().collect();
        let twice: u64 = pays.iter().map(|(name, _)| times(name).saturating_sub(1)).sum();
        let begun = |(step, attempt): &&(String, u64)| {
            let begins =
                ["step.begun", "step.offered"].into_iter().flat_map(|kind| self.events_of(step, kind));
            begins.into_iter().any(|event| event["attempt"] == *attempt)
        };
        let ends = !self.shown["finished_at"].is_null();
        let waits = !self.shown["waiting_for"].as_array().unwrap().is_empty();
        Losses {
            lost: pays.iter().filter(|(name, completed)| *completed && times(name) == 0).count() as u64,
            regressions: self.regressions(),
            duplicates: twice.max((self.effects.len() - distinct.len()) as u64),
            unrecorded: self.effects.iter().filter(|effect| !begun(effect)).count() as u64,
            stuck: u64::from(!ends && !waits),
            survivors: self.alive as u64,
        }
    }

    /// Gaps in the log, what comes after its end, and steps that have ended twice.
    fn regressions(&self) -> u64 {
        let gaps = self.events.iter().zip(1..).filter(|(event, seq)| event["seq"] != *seq as u64).count();
        let ended = self.events.iter().position(|event| event["kind"] == "run.ended");
        let after = ended.map_or(0, |at| self.events.len() - at - 1);
        let mut known = BTreeSet::new();
        let results = self.events.iter().filter(|event| is_result(event));
        let again =
            results.filter(|event| !known.insert(format!("{} {}", event["step"], event["item"]))).count();
        (gaps + after + again) as u64
    }

    /// Spoils what was seen in every way: each must be found. Gives how many there were.
    pub(crate) fn plant(&self) -> usize {
        let effect =
            self.effects.iter().find(|(step, _)| step.starts_with("pay")).expect("an effect").clone();
        let twice = effect.clone();
        type Spoil = Box<dyn Fn(&mut Seen)>;
        let plants: [(&str, Spoil); 6] = [
            ("lost", Box::new(move |seen| seen.effects.retain(|other| other.0 != effect.0))),
            ("twice", Box::new(move |seen| seen.effects.push(twice.clone()))),
            ("unrecorded", Box::new(|seen| seen.effects[0].1 = 99)),
            ("ended twice", Box::new(|seen| seen.events.push(seen.events.last().unwrap().clone()))),
            (
                "stuck",
                Box::new(|seen| {
                    seen.shown["finished_at"] = Value::Null;
                    seen.shown["waiting_for"] = json!([]);
                }),
            ),
            ("alive", Box::new(|seen| seen.alive += 1)),
        ];
        for (name, spoil) in &plants {
            let mut spoilt = self.clone();
            spoil(&mut spoilt);
            assert_ne!(format!("{:?}", spoilt.losses()), format!("{:?}", self.losses()), "not found: {name}");
        }
        plants.len()
    }
}

/// How many processes of a run are alive, or will be beyond what they are given.
pub(crate) fn left_alive(run: &str) -> usize {
    let begun = Instant::now();
    loop {
        let left = survivors::of_run(run);
        if left.is_empty() || begun.elapsed() > ORPHANED {
            return left.len();
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_process_that_outlives_its_run_is_found() {
    // Nobody else's, who plays the same at the same time.
    let run = format!("run_left_by_{}", std::process::id());
    let mut child =
        std::process::Command::new("sleep").arg("600").env("ORCHESTRATOR_RUN_ID", &run).spawn().unwrap();
    crate::sandbox::until(|| survivors::of_run(&run) == [child.id().to_string()]);
    assert_eq!(left_alive(&run), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(left_alive(&run), 0);
}
