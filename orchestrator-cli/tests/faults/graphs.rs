//! Graphs with very many steps: long, wide, and with very many edges.

use std::cell::Cell;
use std::fmt::Write as _;

use crate::driven::Driven;
use crate::peak;
use crate::row::Losses;
use crate::sandbox::Sandbox;
use crate::table::{Row, size};

/// What a graph looks like: the steps that step number N needs.
type Shape = (&'static str, fn(usize) -> Vec<usize>);

const SHAPES: [Shape; 4] = [
    ("long", |step| step.checked_sub(1).into_iter().collect()),
    ("wide", |_| Vec::new()),
    ("from one", |step| if step == 0 { Vec::new() } else { vec![0] }),
    ("dense", |step| (step.saturating_sub(8)..step).collect()),
];

fn graph(steps: usize, needs: fn(usize) -> Vec<usize>) -> String {
    let mut text = "name: graph\nsteps:\n".to_owned();
    for step in 0..steps {
        let needs: Vec<String> = needs(step).into_iter().map(|need| format!("s{need}")).collect();
        let needs = if needs.is_empty() { String::new() } else { format!("needs: [{}], ", needs.join(", ")) };
        writeln!(text, "  s{step}: {{ {needs}uses: sleep, with: {{ for: 0s }} }}").unwrap();
    }
    text
}

/// How many steps have ended, and that none has begun before those that it needs had ended.
fn check(events: &[serde_json::Value], needs: fn(usize) -> Vec<usize>) -> Result<usize, String> {
    let mut ended = std::collections::BTreeSet::new();
    for event in events {
        let Some(step) = event["step"].as_str().and_then(|name| name[1..].parse::<usize>().ok()) else {
            continue;
        };
        match event["kind"].as_str().unwrap() {
            "step.begun" if !needs(step).iter().all(|need| ended.contains(need)) => {
                return Err(format!("s{step} has begun before what it needs had ended"));
            }
            "step.succeeded" if !ended.insert(step) => return Err(format!("s{step} has ended twice")),
            _ => {}
        }
    }
    Ok(ended.len())
}

#[test]
fn a_graph_with_very_many_steps_is_validated_or_refused_by_name() {
    let steps = size(10_000, 50_000, 100_000);
    let mut peaks = Vec::new();
    for (shape, needs) in SHAPES {
        let place = Sandbox::with(&[("graph.yaml", &graph(steps, needs))]);
        let (said, peak) = peak::of(&place, "validate graph.yaml");
        assert!(said.code == 0 && said.out.contains(&format!("{steps} steps")), "{shape}: {said:?}");
        peaks.push(format!("{shape} {peak}"));
    }
    let ring = graph(steps, |step| step.checked_sub(1).into_iter().collect());
    let ring = ring.replace("  s0: {", &format!("  s0: {{ needs: s{},", steps - 1));
    let place = Sandbox::with(&[("ring.yaml", &ring)]);
    let said = place.run("validate ring.yaml --json").exits(3);
    assert!(
        said.err.contains("cycle") && said.err.len() < 4_000,
        "{}",
        &said.err[..said.err.len().min(2_000)]
    );
    let more = graph(100_001, |_| Vec::new());
    let place = Sandbox::with(&[("more.yaml", &more)]);
    let said = place.run("validate more.yaml --json").exits(3);
    assert!(said.err.contains("100000") || said.err.contains("100,000"), "{}", said.err);
    println!("{steps} steps; peak of `validate` in MiB: {}", peaks.join(", "));
}

#[test]
fn a_graph_with_very_many_steps_is_killed_in_the_middle_and_ends() {
    let steps = size(1_000, 5_000, 20_000);
    let mut row = Row::new("F-54 huge graphs");
    let mut peaks = Vec::new();
    for (shape, needs) in SHAPES {
        let place = Sandbox::with(&[("graph.yaml", &graph(steps, needs))]);
        // The first is killed when a third has ended, the second when it has gone on a little, if it comes to that.
        let words: [(&[&str], usize); 2] = [
            (&["run", "graph.yaml", "--json=stream"], steps / 3),
            (&["runs", "resume", "@last", "--json=stream"], steps / 10),
        ];
        for (nth, (words, until)) in words.into_iter().enumerate() {
            let mut driven = Driven::begin(&mut place.command(words));
            let ended = Cell::new(0);
            let killed = driven.hear(|told| {
                ended.set(ended.get() + usize::from(told["kind"] == "step.succeeded"));
                ended.get() >= until
            });
            driven.child.kill().unwrap();
            driven.child.wait().unwrap();
            assert!(killed || nth > 0, "{shape}: it has ended before");
            row.add(usize::from(killed), Losses::default());
        }
        let (said, peak) = peak::of(&place, "runs resume @last -q");
        assert_eq!(said.code, 0, "{shape}: {said:?}");
        let events = place.run("runs events @last --json").exits(0).json_lines();
        assert_eq!(check(&events, needs), Ok(steps), "{shape}");
        let mut spoilt = events.clone();
        spoilt.retain(|event| event["step"] != "s0" || event["kind"] != "step.succeeded");
        assert_ne!(check(&spoilt, needs), Ok(steps), "{shape}: a step that has not ended is not found");
        spoilt.extend(events.iter().filter(|event| event["kind"] == "step.succeeded").cloned());
        assert!(check(&spoilt, needs).is_err(), "{shape}: a step that has ended twice is not found");
        row.planted(2);
        place.run("store check").exits(0);
        peaks.push(format!("{shape} {peak}"));
    }
    row.tell(&format!("{steps} steps each; peak after the kills in MiB: {}", peaks.join(", ")));
}
