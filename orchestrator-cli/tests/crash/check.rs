//! What must hold of a run that was killed and resumed, told from what anybody can see of it from outside.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::flows::Flow;
use crate::ledger::{Line, Post};
use crate::printed::{is_result, rising};

/// What can be seen of a run that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) flow: &'static Flow,
    /// `runs show --json`.
    pub(crate) shown: Value,
    /// `runs events --json`.
    pub(crate) events: Vec<Value>,
    /// What its scripts have appended.
    pub(crate) lines: Vec<Line>,
    /// What it has sent.
    pub(crate) posts: Vec<Post>,
    /// `runs show --json` of a run that nobody has disturbed.
    pub(crate) undisturbed: Value,
}

/// Everything that does not hold.
pub(crate) fn faults(facts: &Facts) -> Vec<String> {
    let mut faults = Vec::new();
    the_log(facts, &mut faults);
    the_end(facts, &mut faults);
    for (step, needs) in facts.flow.needs {
        attempts(facts, step, &mut faults);
        results(facts, step, needs, &mut faults);
    }
    facts.flow.at_most_once.iter().for_each(|step| at_most_once(facts, step, &mut faults));
    idempotent(facts, &mut faults);
    faults
}

impl Facts {
    fn of<'f>(&'f self, step: &'f str) -> impl Iterator<Item = &'f Value> {
        self.events.iter().filter(move |event| event["step"] == step)
    }

    fn of_kind<'f>(&'f self, step: &'f str, kind: &'f str) -> impl Iterator<Item = &'f Value> {
        self.of(step).filter(move |event| event["kind"] == kind)
    }

    fn begun(&self, step: &str) -> Vec<u64> {
        self.of_kind(step, "step.begun").filter_map(|event| event["attempt"].as_u64()).collect()
    }

    fn lines_of<'f>(&'f self, step: &'f str, what: &'f str) -> impl Iterator<Item = &'f Line> {
        self.lines.iter().filter(move |line| line.step == step && line.what == what)
    }
}

/// The status that a step has after its result.
fn status_after(result: &Value) -> &'static str {
    match result["kind"].as_str() {
        Some("step.succeeded" | "step.resolved") => "completed",
        Some("step.skipped") => "skipped",
        Some("step.cancelled") => "cancelled",
        _ => "failed",
    }
}

/// The numbers have no gaps, the log begins and ends once, and no driver's right is used twice.
fn the_log(facts: &Facts, faults: &mut Vec<String>) {
    let events = &facts.events;
    for (at, event) in events.iter().enumerate() {
        if event["seq"].as_u64() != Some(at as u64 + 1) {
            faults.push(format!("event {} stands where {} should be", event["seq"], at + 1));
            break;
        }
    }
    let times = |kind: &str| events.iter().filter(|event| event["kind"] == kind).count();
    if events.first().is_none_or(|event| event["kind"] != "run.created") || times("run.created") != 1 {
        faults.push("the log does not begin with `run.created`, once".to_owned());
    }
    if events.last().is_none_or(|event| event["kind"] != "run.ended") || times("run.ended") != 1 {
        faults.push("the log does not end with `run.ended`, once".to_owned());
    }
    rising("the run", events.iter().filter(|event| event["kind"] == "driver.taken"), faults);
}

/// The run stands as one that nobody has disturbed, and the rows say what the log says.
fn the_end(facts: &Facts, faults: &mut Vec<String>) {
    let (shown, undisturbed) = (&facts.shown, &facts.undisturbed);
    for key in ["status", "outputs", "error"] {
        if shown[key] != undisturbed[key] {
            faults.push(format!("{key}: {} in place of {}", shown[key], undisturbed[key]));
        }
    }
    let statuses = |run: &Value| -> Vec<(String, String)> {
        let steps = run["steps"].as_array().cloned().unwrap_or_default();
        steps.iter().map(|step| (step["id"].to_string(), step["status"].to_string())).collect()
    };
    if statuses(shown) != statuses(undisturbed) {
        faults.push(format!("steps: {:?} in place of {:?}", statuses(shown), statuses(undisturbed)));
    }
    if shown["seq"].as_u64() != Some(facts.events.len() as u64) {
        faults.push(format!("the run is shown at event {} of {}", shown["seq"], facts.events.len()));
    }
}

/// Attempts are numbered 1, 2, 3 …, each with a larger right and the same request; none begins in doubt.
fn attempts(facts: &Facts, step: &str, faults: &mut Vec<String>) {
    let begun = facts.begun(step);
    if begun.iter().zip(1..).any(|(attempt, wanted)| *attempt != wanted) {
        faults.push(format!("{step}: the attempts {begun:?} have begun"));
    }
    let row = facts.shown["steps"].as_array().and_then(|rows| rows.iter().find(|row| row["id"] == step));
    if row.and_then(|row| row["attempts"].as_u64()) != Some(begun.len() as u64) {
        faults.push(format!("{step}: shown with other attempts than {begun:?}"));
    }
    let fenced = ["step.begun", "step.continued"];
    rising(
        step,
        facts.of(step).filter(|event| fenced.contains(&event["kind"].as_str().unwrap_or_default())),
        faults,
    );
    let requests: BTreeSet<String> =
        facts.of_kind(step, "step.begun").map(|event| event["data"]["request"].to_string()).collect();
    if requests.len() > 1 {
        faults.push(format!("{step}: its attempts have sent {requests:?}"));
    }
    let mut doubt = false;
    for event in facts.of(step) {
        let then = event["data"]["then"].as_str();
        match event["kind"].as_str() {
            Some("step.lost") => doubt = matches!(then, Some("unknown" | "quarantine")),
            Some("step.outcome_unknown") => doubt = true,
            Some("step.resolved") => doubt = false,
            Some("step.begun") if doubt => {
                faults.push(format!("{step}: begun while its outcome was unknown"));
            }
            _ => {}
        }
    }
}

/// One result, of the latest attempt, after the results of what the step needs; and the rows say so.
fn results(facts: &Facts, step: &str, needs: &[&str], faults: &mut Vec<String>) {
    let results: Vec<&Value> = facts.of(step).filter(|event| is_result(event)).collect();
    let [result] = results.as_slice() else {
        faults.push(format!("{step}: {} results", results.len()));
        return;
    };
    let last = facts.begun(step).last().copied();
    if result["attempt"].as_u64() != last {
        faults.push(format!("{step}: the result of attempt {} after {last:?}", result["attempt"]));
    }
    if facts.of(step).any(|event| event["seq"].as_u64() > result["seq"].as_u64()) {
        faults.push(format!("{step}: something has happened after its result"));
    }
    let row = facts.shown["steps"].as_array().and_then(|rows| rows.iter().find(|row| row["id"] == step));
    if row.is_none_or(|row| row["status"] != status_after(result)) {
        faults.push(format!("{step}: the rows do not say {}", status_after(result)));
    }
    let first = facts.of(step).next().and_then(|event| event["seq"].as_u64());
    for need in needs {
        let ended = facts.of(need).find(|event| is_result(event)).and_then(|event| event["seq"].as_u64());
        if ended.is_none() || ended >= first {
            faults.push(format!("{step}: begun at {first:?}, its need {need} has ended at {ended:?}"));
        }
    }
    if facts.flow.asks == Some(step) {
        decided(facts, step, last, faults);
    }
}

/// The attempt that has the result was decided on once; an earlier one only if it was set aside after that, and
/// somebody has said that it is to begin again.
fn decided(facts: &Facts, step: &str, last: Option<u64>, faults: &mut Vec<String>) {
    let attempts: Vec<Option<u64>> =
        facts.of_kind(step, "step.arrived").map(|event| event["attempt"].as_u64()).collect();
    let again = facts.of_kind(step, "step.resolved").count();
    let distinct: BTreeSet<_> = attempts.iter().collect();
    if attempts.last() != Some(&last) || distinct.len() != attempts.len() || attempts.len() > 1 + again {
        faults.push(format!("{step}: decided on at the attempts {attempts:?} of {last:?}"));
    }
}

/// At most one line for each recorded attempt, and exactly one if every doubt was settled by the ledger.
fn at_most_once(facts: &Facts, step: &str, faults: &mut Vec<String>) {
    let begun = facts.begun(step);
    let lines: Vec<u64> = facts.lines_of(step, "effect").map(|line| line.attempt).collect();
    if lines.len() > begun.len() {
        faults.push(format!("{step}: {} effects of {} attempts", lines.len(), begun.len()));
    }
    let distinct: BTreeSet<u64> = lines.iter().copied().collect();
    if distinct.len() != lines.len() {
        faults.push(format!("{step}: an attempt was executed twice: {lines:?}"));
    }
    if let Some(attempt) = lines.iter().find(|attempt| !begun.contains(attempt)) {
        faults.push(format!("{step}: attempt {attempt} has had an effect and was never recorded"));
    }
    let completed = facts.of(step).any(|event| is_result(event) && status_after(event) == "completed");
    if completed && lines.len() != 1 {
        faults.push(format!("{step}: completed, with {} effects", lines.len()));
    }
}

/// Every attempt sends the same key and the same bytes, no more often than was recorded, and never two at a time.
fn idempotent(facts: &Facts, faults: &mut Vec<String>) {
    let mut sent: BTreeMap<&str, BTreeSet<(&str, &str)>> = BTreeMap::new();
    for line in facts.lines.iter().filter(|line| !line.bytes.is_empty()) {
        sent.entry(&line.step).or_default().insert((&line.key, &line.bytes));
    }
    for post in &facts.posts {
        sent.entry("post").or_default().insert((&post.key, &post.body));
    }
    for (step, sent) in &sent {
        if sent.len() != 1 || sent.iter().any(|(key, _)| key.is_empty()) {
            faults.push(format!("{step}: its attempts have sent {sent:?}"));
        }
    }
    if facts.flow.needs.iter().any(|(step, _)| *step == "post") {
        let attempts = facts.begun("post").len();
        if facts.posts.is_empty() || facts.posts.len() > attempts {
            faults.push(format!("post: {} requests of {attempts} attempts", facts.posts.len()));
        }
    }
    let mut keys: BTreeMap<&str, &str> = BTreeMap::new();
    for line in &facts.lines {
        let other = keys.insert(&line.key, &line.step);
        if other.is_some_and(|other| other != line.step) {
            faults.push(format!("{} and {other:?} share a key", line.step));
        }
    }
    let order: Vec<u64> =
        facts.lines.iter().filter(|line| line.step == "mark").map(|line| line.attempt).collect();
    if !order.is_sorted() {
        faults.push(format!("mark: its attempts have overlapped: {order:?}"));
    }
    let marks: Vec<u64> = facts.lines_of("mark", "begin").map(|line| line.attempt).collect();
    let recorded = facts.begun("mark");
    if marks.windows(2).any(|pair| pair[0] == pair[1]) || marks.iter().any(|mark| !recorded.contains(mark)) {
        faults.push(format!("mark: {marks:?} have been executed of {recorded:?}"));
    }
}
