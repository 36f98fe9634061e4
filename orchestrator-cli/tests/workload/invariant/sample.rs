//! An episode in which nothing is wrong, written by hand: a line, a request, a question and a nap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::facts::{Copy, Facts, Run};
use crate::flow::{Does, Flow, Mood, Step, When};
use crate::invariant::{Invariant, violations};
use crate::ledger::{Line, Told};

const RUN: &str = "run_a";

/// The log: kind, step, attempt, right, data.
type Entry = (&'static str, Option<&'static str>, Option<u64>, Option<u64>, &'static str);

#[rustfmt::skip]
const LOG: [Entry; 18] = [
    ("run.created", None, None, None, "{}"),
    ("driver.taken", None, None, Some(1), "{}"),
    ("step.begun", Some("s0"), Some(1), Some(1), r#"{"decision":"pdr_1"}"#),
    ("step.begun", Some("s3"), Some(1), Some(1), r#"{"decision":"pdr_2"}"#),
    ("step.waiting", Some("s3"), Some(1), None, r#"{"on":"until"}"#),
    ("step.succeeded", Some("s0"), Some(1), None, "{}"),
    ("step.begun", Some("s1"), Some(1), Some(1), r#"{"decision":"pdr_3"}"#),
    ("step.succeeded", Some("s1"), Some(1), None, "{}"),
    ("step.begun", Some("s2"), Some(1), Some(1), r#"{"decision":"pdr_4"}"#),
    ("step.waiting", Some("s2"), Some(1), None, r#"{"on":{"approval":{}}}"#),
    ("step.arrived", Some("s2"), Some(1), None, r#"{"arrival":{"decision":{"approved":true}}}"#),
    ("step.continued", Some("s2"), Some(1), Some(2), "{}"),
    ("step.succeeded", Some("s2"), Some(1), None, "{}"),
    ("step.arrived", Some("s3"), Some(1), None, r#"{"arrival":"due"}"#),
    ("step.continued", Some("s3"), Some(1), Some(2), "{}"),
    ("step.succeeded", Some("s3"), Some(1), None, "{}"),
    ("step.begun", Some("s4"), Some(1), Some(1), r#"{"decision":"pdr_5"}"#),
    ("step.succeeded", Some("s4"), Some(1), None, "{}"),
];

fn flow() -> Flow {
    let step = |name: &str, does, needs: &[usize]| Step {
        name: name.to_owned(),
        does,
        needs: needs.to_vec(),
        when: When::AllIsWell,
        tolerated: false,
        // One that is alone with what it holds.
        ms: 0,
    };
    let steps = vec![
        step("s0", Does::Append { fails: 0 }, &[]),
        step("s1", Does::Post(Mood::Prompt), &[0]),
        step("s2", Does::Ask { approved: true }, &[1]),
        step("s3", Does::Nap(1), &[]),
        step("s4", Does::Append { fails: 0 }, &[0]),
    ];
    Flow { name: "w".to_owned(), steps, handles: false, tidies: false }
}

fn event(seq: usize, (kind, step, attempt, epoch, data): Entry) -> Value {
    let data: Value = serde_json::from_str(data).unwrap();
    let owner = epoch.map(|_| "own_1");
    json!({
        "seq": seq, "at": "now", "kind": kind, "step": step, "item": null, "attempt": attempt, "epoch": epoch,
        "owner": owner, "data": data
    })
}

fn facts() -> Facts {
    let mut events: Vec<Value> = (1..).zip(LOG).map(|(seq, entry)| event(seq, entry)).collect();
    let seq = events.len() + 1;
    events.push(event(seq, ("run.ended", None, None, None, r#"{"status":"completed"}"#)));
    let shown = |id: &str| json!({ "id": id, "item": null, "status": "completed", "attempts": 1 });
    let row =
        json!({ "run_id": RUN, "status": "completed", "seq": seq, "generation": 1, "finished_at": "now" });
    let mut whole = row.clone();
    whole["outputs"] = json!({ "s0": "s0", "s4": "s4" });
    whole["steps"] = ["s0", "s1", "s2", "s3", "s4"].map(shown).into();
    let line = |step: &str, appended, attempt, fence| Line {
        appended,
        run: RUN.to_owned(),
        step: step.to_owned(),
        item: None,
        attempt,
        key: format!("key of {step}"),
        fence,
        body: "-".to_owned(),
    };
    let approval = json!({
        "run_id": RUN, "step": "s2", "item": null, "attempt": 1, "status": "approved", "via": "cli"
    });
    let held = |step: &str, begins| Told {
        begins,
        run: RUN.to_owned(),
        step: step.to_owned(),
        item: None,
        attempt: 1,
    };
    Facts {
        told: BTreeMap::from([("key".to_owned(), BTreeSet::from([RUN.to_owned()]))]),
        listed: BTreeMap::from([(RUN.to_owned(), row)]),
        runs: vec![Run {
            id: RUN.to_owned(),
            flow: Arc::new(flow()),
            cancelled: false,
            shown: whole,
            events,
        }],
        approvals: vec![approval],
        decided: vec![(RUN.to_owned(), ("s2".to_owned(), None), true)],
        lines: vec![
            line("s0", true, Some(1), Some(1)),
            line("s1", false, None, None),
            line("s4", true, Some(1), Some(1)),
        ],
        held: vec![held("s0", true), held("s0", false), held("s4", true), held("s4", false)],
        doctor: json!({ "ok": true, "checks": [], "runs": [] }),
        copy: Copy {
            decisions: ["1", "2", "3", "4", "5"].map(|decision| format!("a {decision}")).to_vec(),
            keys: vec!["key".to_owned()],
            ..Copy::default()
        },
        ..Facts::default()
    }
}

/// Spoils the episode as the invariant says, and sees that this, by its name, is what does not hold then.
#[track_caller]
pub(super) fn finds_its_plant(invariant: &Invariant) {
    let names = |facts: &Facts| -> BTreeSet<&str> {
        violations(facts).into_iter().map(|(invariant, _)| invariant.name).collect()
    };
    let mut facts = facts();
    assert!(
        violations(&facts).is_empty(),
        "{:#?}",
        violations(&facts).iter().map(|(_, what)| what).collect::<Vec<_>>()
    );
    (invariant.plant)(&mut facts).expect("there is something to spoil");
    let mut found = names(&facts);
    assert!(found.remove(invariant.name), "not noticed; {found:?} is");
    let unexpected: Vec<_> = found.iter().filter(|name| !invariant.also.contains(name)).collect();
    assert!(unexpected.is_empty(), "{unexpected:?} besides {}", invariant.name);
}
