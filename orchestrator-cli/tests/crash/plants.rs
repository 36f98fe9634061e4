//! Faults of our own: what the checker does not find in these, it would not find in the product.

use serde_json::json;

use crate::check::{Facts, faults};

/// A way to spoil what was seen of a run, and a word of what the checker then says. Nothing where the run has
/// nothing to spoil in this way.
type Plant = (&'static str, fn(&mut Facts) -> Option<&'static str>);

const PLANTS: [Plant; 13] = [
    ("an effect happens twice", |facts| {
        let line = facts.lines.iter().find(|line| line.step == "pay" && line.what == "effect")?.clone();
        facts.lines.push(line);
        Some("executed twice")
    }),
    ("more effects than attempts", |facts| {
        let line = facts.lines.iter().find(|line| line.step == "pay" && line.what == "effect")?.clone();
        let attempts = facts.events.iter().filter(|event| event["step"] == "pay").count();
        facts.lines.extend(std::iter::repeat_n(line, attempts));
        Some("effects of")
    }),
    ("an effect is lost", |facts| {
        let at = facts.lines.iter().position(|line| line.step == "pay")?;
        facts.lines.remove(at);
        Some("completed, with 0 effects")
    }),
    ("an attempt that nobody recorded", |facts| {
        facts.lines.iter_mut().find(|line| line.step == "pay")?.attempt = 99;
        Some("never recorded")
    }),
    ("an event is lost", |facts| {
        facts.events.remove(2);
        Some("stands where 3 should be")
    }),
    ("a step ends twice", |facts| {
        let event = facts.events.iter().find(|event| event["kind"] == "step.succeeded")?.clone();
        facts.events.push(event);
        Some("2 results")
    }),
    ("a step begins before its need has ended", |facts| {
        let event = facts.events.iter_mut().find(|event| event["step"] == "never")?;
        event["seq"] = json!(1);
        Some("its need")
    }),
    ("an attempt number is used twice", |facts| {
        let at = facts.events.iter().position(|event| event["kind"] == "step.begun")?;
        facts.events.insert(at, facts.events[at].clone());
        Some("the attempts [1, 1")
    }),
    ("a decision counts twice", |facts| {
        let event =
            facts.events.iter().find(|event| event["kind"] == "step.arrived" && event["step"] == "review")?;
        facts.events.push(event.clone());
        Some("decided on at")
    }),
    ("another end", |facts| {
        facts.shown["status"] = json!("cancelled");
        Some("status: \"cancelled\"")
    }),
    ("other outputs", |facts| {
        facts.shown["outputs"] = json!({ "pay": "twice" });
        Some("outputs:")
    }),
    ("other bytes under the same key", |facts| {
        let mut post = facts.posts.first()?.clone();
        post.body.push(' ');
        facts.posts.push(post);
        Some("post: its attempts have sent")
    }),
    ("two attempts at a time", |facts| {
        let mut line = facts.lines.iter().rfind(|line| line.step == "mark" && line.what == "end")?.clone();
        facts.lines.iter_mut().filter(|line| line.step == "mark").for_each(|line| line.attempt += 1);
        line.what = "late".to_owned();
        facts.lines.push(line);
        Some("overlapped")
    }),
];

/// Spoils what was seen of a run in every way, and gives the ways that the checker has not found, with how many there
/// were.
pub(crate) fn overlooked(facts: &Facts) -> (usize, Vec<&'static str>) {
    let mut planted = 0;
    let mut overlooked = Vec::new();
    for (name, plant) in PLANTS {
        let mut spoilt = facts.clone();
        if let Some(word) = plant(&mut spoilt) {
            planted += 1;
            if !faults(&spoilt).iter().any(|fault| fault.contains(word)) {
                overlooked.push(name);
            }
        }
    }
    (planted, overlooked)
}
