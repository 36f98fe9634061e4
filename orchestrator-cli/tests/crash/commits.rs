//! Commits that fail at the commit itself, and commits whose answer is lost: each counts once, and whoever writes next
//! finds nothing in the way.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::row::{self, Losses};
use crate::sandbox::{Said, Sandbox};
use crate::size::{Size, asked};

/// How many operations follow in the same process.
const AFTER: usize = 100;

/// The database cannot commit, and the transaction is still open; or it has committed, and nobody hears of it.
const FAULTS: [&str; 2] = ["commit.at", "commit.answer"];

/// Steps one after the other, each with an effect that must not happen twice.
fn chain() -> String {
    let mut text = "name: chain\ninputs: { ledger: { type: string } }\nenv: { LEDGER: \"${{ inputs.ledger }}\" }\nsteps:\n".to_owned();
    for step in 0..AFTER {
        let needs = if step == 0 { String::new() } else { format!("needs: s{}, ", step - 1) };
        writeln!(text, "  s{step}: {{ {needs}run: 'echo s{step} >> \"$LEDGER\"' }}").unwrap();
    }
    text
}

/// What is wrong with the effects of the chain.
fn judge(ledger: &str) -> Losses {
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    ledger.lines().for_each(|line| *times.entry(line).or_default() += 1);
    let steps: Vec<String> = (0..AFTER).map(|step| format!("s{step}")).collect();
    let known = |name: &str| steps.iter().any(|step| step == name);
    Losses {
        lost: steps.iter().filter(|step| !times.contains_key(step.as_str())).count() as u64,
        duplicates: times.values().map(|times| times - 1).sum(),
        unrecorded: times.keys().filter(|name| !known(name)).count() as u64,
        ..Losses::default()
    }
}

fn is_fine(losses: Losses) -> bool {
    losses.lost + losses.duplicates + losses.unrecorded == 0
}

/// Runs a command in which the K-th commit fails.
fn failing(place: &Sandbox, words: &str, armed: &str) -> Said {
    let mut command = place.command(words.split_whitespace());
    Said::of(&command.env("ORCHESTRATOR_FAILPOINT", armed).output().unwrap())
}

#[test]
fn what_fails_at_the_commit_is_done_once_and_a_hundred_operations_go_on_after_it() {
    let trials = asked(Size::Smoke).of([3, 10, 50]);
    let text = chain();
    let mut ledger = String::new();
    for fault in FAULTS {
        for k in 1..=trials {
            let place = Sandbox::with(&[("chain.yaml", &text)]);
            let path = place.path("ledger");
            let words = format!("run chain.yaml -i ledger={} -q", path.display());
            failing(&place, &words, &format!("{fault}=error@{k}")).exits(0);
            ledger = std::fs::read_to_string(path).unwrap();
            let losses = judge(&ledger);
            assert!(is_fine(losses), "{fault}, commit {k}: {losses:?}\n{ledger}");
            let steps = place.last()["steps"].clone();
            let once = |step: &serde_json::Value| step["attempts"] == 1 && step["status"] == "completed";
            assert!(steps.as_array().unwrap().iter().all(once), "{fault}, commit {k}: {steps}");
            place.run("store check").exits(0);
        }
    }
    for spoilt in [ledger.replace("s7\n", ""), format!("{ledger}s7\n"), format!("{ledger}other\n")] {
        assert!(!is_fine(judge(&spoilt)), "not found in {spoilt}");
    }
    let notes = format!("each is followed by {AFTER} steps in the same process; 3 planted faults found");
    row::report("F-17 commit that fails", (trials * FAULTS.len()) as u64, Losses::default(), &notes);
}

#[test]
fn what_people_say_counts_once_where_the_commit_fails_or_its_answer_is_lost() {
    let text = "name: gate\nsteps:\n  gate: { uses: approval, with: { message: Go on? } }\n  \
                hear: { uses: signal, needs: gate, with: { name: go } }\n";
    for fault in FAULTS {
        let place = Sandbox::with(&[("gate.yaml", text)]);
        let armed = format!("{fault}=error@1");
        failing(&place, "run gate.yaml", &armed).exits(9);
        failing(&place, "approval approve @last gate", &armed).exits(0);
        place.run("approval approve @last gate").exits(6);
        failing(&place, "runs resume @last", &armed).exits(9);
        failing(&place, "runs signal @last go", &armed).exits(0);
        failing(&place, "runs resume @last", &armed).exits(0);
        let events = place.run("runs events @last --json").exits(0).json_lines();
        let times = |kind: &str| events.iter().filter(|event| event["kind"] == kind).count();
        assert_eq!((times("run.signalled"), times("run.created"), times("run.ended")), (1, 1, 1), "{fault}");
    }
}
