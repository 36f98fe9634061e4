//! What a process does when it dies at a point, beyond driving a run that others approve, and what whoever comes after
//! it must find.

use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fixture::Fixture;
use crate::points::{DIED, Scene};
use crate::sandbox::{Said, Sandbox};
use crate::survivors;

/// Items, runs below, large values, lines, compensations and what comes after a failure.
const WIDE: &str = r#"
name: wide
inputs: { ledger: { type: string } }
env: { LEDGER: "${{ inputs.ledger }}" }
steps:
  each:
    for_each: [a, b, c]
    effect: pure
    env: { ITEM: "${{ item }}" }
    run: echo "each-$ITEM $ORCHESTRATOR_ATTEMPT" >> "$LEDGER"; echo line; sleep 0.15
  large:
    for_each: [1, 2, 3]
    effect: pure
    env: { NTH: "${{ item }}" }
    with: { output_limit: 6000000 }
    run: head -c 300000 /dev/zero | tr '\0' "$NTH"
  below:
    uses: workflow
    for_each: [x, y, z]
    with: { workflow: ./below.yaml, inputs: { word: "${{ item }}", ledger: "${{ inputs.ledger }}" } }
  book:
    run: echo "book $ORCHESTRATOR_ATTEMPT" >> "$LEDGER"
    compensate: { run: 'echo "unbook $ORCHESTRATOR_ATTEMPT" >> "$LEDGER"' }
  broken: { needs: [each, large, below, book], effect: pure, run: exit 3 }
finally:
  tidy: { effect: pure, run: 'echo "tidy $ORCHESTRATOR_ATTEMPT" >> "$LEDGER"' }
"#;

const BELOW: &str = r#"
inputs: { word: { type: string }, ledger: { type: string } }
env: { LEDGER: "${{ inputs.ledger }}", WORD: "${{ inputs.word }}" }
steps:
  say: { effect: pure, run: 'echo "below-$WORD $ORCHESTRATOR_ATTEMPT" >> "$LEDGER"' }
"#;

/// What stands in the ledger after [`WIDE`], however often its processes have died.
const WIDE_LEDGER: [&str; 9] =
    ["below-x", "below-y", "below-z", "book", "each-a", "each-b", "each-c", "tidy", "unbook"];

/// Waits for a person, then for a signal.
const STEERED: &str = r#"
name: steered
inputs: { ledger: { type: string } }
env: { LEDGER: "${{ inputs.ledger }}" }
steps:
  first: { run: 'echo "first $ORCHESTRATOR_ATTEMPT" >> "$LEDGER"' }
  gate: { uses: approval, needs: first, with: { message: Go on? } }
  hear: { uses: signal, needs: gate, with: { name: go } }
  last: { needs: hear, run: 'echo "last $ORCHESTRATOR_ATTEMPT" >> "$LEDGER"' }
"#;

/// Its first attempt takes as long as nobody writes into `go`.
const SLOW: &str = r#"
name: slow
steps:
  slow:
    effect: pure
    run: '[ "$ORCHESTRATOR_ATTEMPT" -ge 2 ] || { echo > begun; cat go; }'
"#;

/// Its first attempt takes longer than a process that drives keeps silent about being alive.
const LONG: &str = r#"
name: long
steps:
  long: { effect: pure, run: '[ "$ORCHESTRATOR_ATTEMPT" -ge 2 ] || sleep 11' }
"#;

/// A store in which one process is to die.
struct Trial {
    place: Sandbox,
    armed: String,
}

/// Plays a scene in which a process dies at a point, if it comes there: whether it did.
pub(crate) fn play(scene: Scene, armed: &str) -> bool {
    let files = [
        ("wide.yaml", WIDE),
        ("below.yaml", BELOW),
        ("steered.yaml", STEERED),
        ("slow.yaml", SLOW),
        ("long.yaml", LONG),
    ];
    let trial = Trial { place: Sandbox::with(&files), armed: armed.to_owned() };
    match scene {
        Scene::Calm | Scene::Taken => unreachable!("a battery of its own plays it"),
        Scene::Wide => trial.wide(),
        Scene::Approved => trial.approved(),
        Scene::Signalled => trial.signalled(),
        Scene::Paused => trial.paused(),
        Scene::Cancelled => trial.cancelled(),
        Scene::CancelledMidway => trial.stopped(&[8], |trial, _| {
            trial.place.run("runs cancel @last").exits(0);
        }),
        Scene::Interrupted => trial.stopped(&[0], |_, child| {
            kill_process(Pid::from_child(child), Signal::INT).unwrap();
        }),
        Scene::Long => trial.long(),
        Scene::Pruned => trial.pruned(),
        Scene::Copied => trial.copied(),
        Scene::Restored => trial.restored(),
        Scene::Registered => trial.registered(),
        Scene::Migrated => Trial::migrated(armed),
        Scene::Claimed => trial.claimed(),
        Scene::Delivered => trial.delivered(),
    }
}

impl Trial {
    fn command(&self, words: &str) -> Command {
        armed(&self.place, &self.armed, words)
    }

    /// Runs a command that may die: whether it did.
    fn dies(&self, words: &str) -> bool {
        has_died(&Said::of(&self.command(words).output().unwrap()))
    }

    fn start(&self, flow: &str) -> String {
        format!("run {flow} -i ledger={} --json", self.place.path("ledger").display())
    }

    fn ledger(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.place.path("ledger")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Each attempt has had its effect once, and these are the effects.
    fn ledger_is(&self, wanted: &[&str]) {
        let mut lines = self.ledger();
        lines.sort();
        let times = lines.len();
        lines.dedup();
        assert_eq!(lines.len(), times, "{}: an attempt was executed twice: {lines:?}", self.armed);
        let mut names: Vec<&str> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
        for once in ["book", "unbook", "first", "last"] {
            assert!(names.iter().filter(|name| **name == once).count() < 2, "{}: {lines:?}", self.armed);
        }
        names.dedup();
        assert_eq!(names, wanted, "{}", self.armed);
    }

    /// Brings the only run that is no other's to its end, with somebody who says of each doubt what the ledger says.
    fn settle(&self) -> Value {
        for _ in 0..20 {
            let shown = self.place.last();
            if !shown["finished_at"].is_null() {
                return self.left_in_order(shown);
            }
            for waiting in shown["waiting_for"].as_array().unwrap() {
                let step = waiting["step"].as_str().unwrap();
                let name = if step.ends_with(".compensate") { "unbook" } else { step };
                let has = self.ledger().iter().any(|line| line.split(' ').next() == Some(name));
                let how = if has { "--applied --output {\"stdout\":\"\"}" } else { "--not-applied" };
                if waiting["kind"] == "outcome_unknown" {
                    self.place.run(&format!("runs resolve @last {step} {how}")).exits(0);
                }
            }
            let resumed = self.place.run("runs resume @last --json");
            assert!([0, 1, 8, 9].contains(&resumed.code), "{}: {resumed:?}", self.armed);
            if resumed.code == 9 && self.place.last()["status"] == "blocked" {
                let needs = &self.place.last()["waiting_for"][0]["kind"];
                if needs != "outcome_unknown" {
                    return self.left_in_order(self.place.last());
                }
            }
        }
        panic!("{}: it does not end: {}", self.armed, self.place.last());
    }

    /// The log has no gaps, the store is whole, and nobody is left.
    fn left_in_order(&self, shown: Value) -> Value {
        let events = self.place.run("runs events @last --json").exits(0).json_lines();
        let seqs: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{}: {seqs:?}", self.armed);
        assert_eq!(shown["seq"], seqs.len(), "{}", self.armed);
        self.place.run("store check").exits(0);
        let run = shown["run_id"].as_str().unwrap();
        crate::sandbox::until(|| survivors::of_run(run).is_empty());
        shown
    }

    fn wide(&self) -> bool {
        let died = self.dies(&self.start("wide.yaml"));
        if self.place.run("runs list --json").code == 4 || self.runs() == 0 {
            // Nothing was acknowledged: it is begun once more.
            self.place.run(&self.start("wide.yaml")).exits(1);
        }
        let shown = self.settle();
        assert_eq!(shown["status"], "failed", "{}: {shown}", self.armed);
        self.ledger_is(&WIDE_LEDGER);
        died
    }

    fn runs(&self) -> usize {
        self.place.run("runs list --json").exits(0).json()["items"].as_array().unwrap().len()
    }

    /// A run that waits for a person.
    fn waiting(&self) {
        self.place.run(&self.start("steered.yaml")).exits(9);
    }

    /// Says something again that a process may have said before it died.
    fn again(&self, words: &str) {
        let said = self.place.run(words);
        assert!([0, 6].contains(&said.code), "{}: {said:?}", self.armed);
    }

    /// From where the run waits for the signal, to its end.
    fn heard(&self) {
        self.place.run("runs signal @last go").exits(0);
        assert_eq!(self.settle()["status"], "completed");
        self.ledger_is(&["first", "last"]);
    }

    fn approved(&self) -> bool {
        self.waiting();
        let died = self.dies("approval approve @last gate");
        self.again("approval approve @last gate");
        self.place.run("approval approve @last gate").exits(6);
        self.settle();
        self.heard();
        died
    }

    fn signalled(&self) -> bool {
        self.waiting();
        self.place.run("approval approve @last gate").exits(0);
        self.settle();
        let died = self.dies("runs signal @last go");
        let events = self.place.run("runs events @last --json").exits(0).json_lines();
        let given = events.iter().filter(|event| event["kind"] == "run.signalled").count();
        match given {
            0 => self.heard(),
            1 => {
                assert_eq!(self.settle()["status"], "completed");
                self.ledger_is(&["first", "last"]);
            }
            _ => panic!("{}: given {given} times", self.armed),
        }
        died
    }

    fn paused(&self) -> bool {
        self.waiting();
        let died = self.dies("runs pause @last");
        self.again("runs pause @last");
        assert_eq!(self.place.last()["status"], "paused", "{}", self.armed);
        self.place.run("approval approve @last gate").exits(0);
        self.settle();
        self.heard();
        died
    }

    fn cancelled(&self) -> bool {
        self.waiting();
        let died = self.dies("runs cancel @last");
        self.again("runs cancel @last");
        assert_eq!(self.settle()["status"], "cancelled", "{}", self.armed);
        self.ledger_is(&["first"]);
        died
    }

    /// A process that drives dies while it stops what it executes.
    fn stopped(&self, codes: &[i32], stop: fn(&Self, &Child)) -> bool {
        self.place.pipe("begun");
        self.place.pipe("go");
        let mut child = self.command("run slow.yaml --grace 0s").spawn().unwrap();
        self.place.hear("begun");
        stop(self, &child);
        let died = child.wait().unwrap().code() == Some(DIED);
        drop(child.stdout.take());
        let shown = self.settle();
        let wanted = if codes.contains(&8) { "cancelled" } else { "completed" };
        assert_eq!(shown["status"], wanted, "{}", self.armed);
        died
    }

    fn long(&self) -> bool {
        let died = self.dies("run long.yaml");
        assert_eq!(self.settle()["status"], "completed");
        died
    }

    fn pruned(&self) -> bool {
        for _ in 0..2 {
            self.waiting();
            self.place.run("runs cancel @last").exits(0);
        }
        std::fs::remove_file(self.place.path("ledger")).unwrap();
        self.waiting();
        let died = self.dies("prune --older-than 0s");
        // Of those that are there still, nothing is missing.
        for run in self.place.run("runs list --json").exits(0).json()["items"].as_array().unwrap() {
            let run = run["run_id"].as_str().unwrap();
            let shown = self.place.run(&format!("runs show {run} --json")).exits(0).json();
            let events = self.place.run(&format!("runs events {run} --json")).exits(0).json_lines();
            assert_eq!(shown["seq"], events.len(), "{}", self.armed);
        }
        self.place.run("store check").exits(0);
        self.place.run("prune --older-than 0s").exits(0);
        assert_eq!(self.runs(), 1, "{}", self.armed);
        self.again("approval approve @last gate");
        self.settle();
        self.heard();
        died
    }

    /// A store with values that are files beside it.
    fn filled(&self) {
        self.place.run(&self.start("wide.yaml")).exits(1);
    }

    fn copied(&self) -> bool {
        self.filled();
        let died = self.dies("backup copy.db");
        // What has the name is whole; and it is made once more in any case.
        if self.place.path("copy.db").exists() {
            self.place.run("store check --store sqlite:copy.db").exits(0);
        }
        self.place.run("backup copy.db --force").exits(0);
        self.place.run("store check --store sqlite:copy.db").exits(0);
        self.place.run("runs show @last --json --store sqlite:copy.db").exits(0);
        self.settle();
        died
    }

    fn restored(&self) -> bool {
        self.filled();
        self.place.run("backup copy.db").exits(0);
        self.waiting();
        let died = self.dies("restore copy.db --force");
        self.place.run("store check").exits(0);
        assert!([1, 2].contains(&self.runs()), "{}", self.armed);
        self.place.run("restore copy.db --force").exits(0);
        assert_eq!(self.runs(), 1, "{}", self.armed);
        self.settle();
        died
    }

    fn registered(&self) -> bool {
        self.filled();
        let died = self.dies("workflow register slow.yaml");
        self.place.run("workflow register slow.yaml").exits(0);
        let shown = self.place.run("workflow list --json").exits(0).json();
        assert_eq!(shown["items"].as_array().unwrap().len(), 1, "{}: {shown}", self.armed);
        self.place.run("store check").exits(0);
        died
    }

    /// Somebody dies who claims a task, perhaps without having heard that it is theirs: it is done by who comes next.
    fn claimed(&self) -> bool {
        self.place.run("task create one --claim-ttl 1s").exits(0);
        let died = self.dies("task claim --by one --json");
        self.claims("two");
        self.place.run("task complete --claim two.json --output {\"by\":\"two\"}").exits(0);
        self.is_done_once("two");
        died
    }

    /// Somebody dies who has done a task, perhaps without having heard that it counts, and says so again.
    fn delivered(&self) -> bool {
        self.place.run("task create one").exits(0);
        self.claims("one");
        let complete = "task complete --claim one.json --output {\"by\":\"one\"}";
        let died = self.dies(complete);
        self.place.run(complete).exits(0);
        self.is_done_once("one");
        self.place.run("task complete --claim one.json --output {\"by\":\"two\"}").exits(6);
        died
    }

    fn claims(&self, who: &str) {
        let claim = self.place.run(&format!("task claim --wait=20s --by {who} --json")).exits(0);
        self.place.write(&format!("{who}.json"), &claim.out);
    }

    fn is_done_once(&self, by: &str) {
        let shown = self.settle();
        assert_eq!(
            (&shown["status"], &shown["steps"][0]["output"]["by"]),
            (&"completed".into(), &by.into()),
            "{}",
            self.armed
        );
        let events = self.place.run("runs events @last --json").exits(0).json_lines();
        let done = events.iter().filter(|event| event["kind"] == "step.succeeded").count();
        assert_eq!(done, 1, "{}: {events:?}", self.armed);
    }

    /// A store of the first version is brought up to date.
    fn migrated(point: &str) -> bool {
        let fixture = Fixture::load("v1.sql");
        let before = fixture.migrations();
        let said = Said::of(&armed(&fixture.sandbox, point, "migrate").output().unwrap());
        let died = has_died(&said);
        if died {
            assert_eq!(fixture.migrations(), before, "{point}: some migrations without the others");
        }
        fixture.sandbox.run("migrate").exits(0);
        fixture.sandbox.run("store check").exits(0);
        for kept in fixture.runs() {
            fixture.sandbox.run(&format!("runs show {} --json", kept.run)).exits(0);
        }
        died
    }
}

fn armed(place: &Sandbox, point: &str, words: &str) -> Command {
    let mut command = place.command(words.split_whitespace());
    command.env("ORCHESTRATOR_FAILPOINT", point);
    command
}

fn has_died(said: &Said) -> bool {
    assert!([0, 1, 9, DIED].contains(&said.code), "{said:?}");
    said.code == DIED
}
