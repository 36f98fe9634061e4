//! Every example is killed in the middle, again and again, and resumed: it comes to the end that it would have had. Who
//! is asked says yes.
//!
//! `ORCHESTRATOR_EXAMPLE_KILLS` says how many runs of each example are tormented (default 2), `ORCHESTRATOR_EXAMPLE_SEED`
//! which moments are taken (default 1). A failure names both.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};

use serde_json::Value;

use crate::bench::{Bench, example_file};
use crate::{notes, shape};

/// The examples that are left out, and why.
const LEFT_OUT: [(&str, &str); 2] = [
    ("fix-and-pr.yaml", "it works on a forge; its own test kills it at each of its steps"),
    ("github-summary.yaml", "it reads from a service"),
];

/// The signals that examples wait for, with what is given.
const SIGNALS: [(&str, &str, &str); 1] = [("signal.yaml", "paid", "{\"amount\": 12}")];

/// The outputs that tell how often something was attempted. A kill makes it one more.
const COUNTS: [(&str, &str); 2] = [("poll.yaml", "said"), ("retry.yaml", "attempts")];

/// Examples that go another way with another input.
const OTHER_WAYS: [(&str, &str); 1] = [("saga.yaml", "fail=true")];

/// How often the processes that drive one run are killed. A step whose process has died three times is set aside, which
/// is another end.
const KILLS: u64 = 2;

/// The examples in which a step has two attempts: with both of them killed it has failed.
const TWO_ATTEMPTS: [&str; 1] = ["fan-out.yaml"];

#[test]
fn examples_that_are_killed_end_as_if_nobody_had() {
    let (seed, rounds) = (number("ORCHESTRATOR_EXAMPLE_SEED", 1), number("ORCHESTRATOR_EXAMPLE_KILLS", 2));
    let mut dice = Dice(seed);
    let mut landed = 0;
    let examples = shape::examples();
    let ways = examples
        .iter()
        .filter(|name| LEFT_OUT.iter().all(|(left_out, _)| left_out != name))
        .map(|example| (example.as_str(), None))
        .chain(OTHER_WAYS.map(|(name, input)| (name, Some(input))));
    for (example, input) in ways {
        let way = Way { example, input };
        let (calm, lines) = way.undisturbed();
        for round in 1..=rounds {
            let place = format!("{way:?}, seed {seed}, round {round}");
            landed += way.torment(&calm, lines, &mut dice, &place);
        }
    }
    assert!(landed > 0, "seed {seed}: no kill has met a run that had not ended");
}

#[test]
fn the_examples_named_here_are_there() {
    let examples = shape::examples();
    let named = LEFT_OUT
        .iter()
        .chain(&COUNTS)
        .map(|(name, _)| name)
        .chain(&TWO_ATTEMPTS)
        .chain(OTHER_WAYS.iter().map(|(name, _)| name));
    for name in named {
        assert!(examples.iter().any(|example| example == name), "{name}");
    }
}

/// An example, and perhaps an input.
#[derive(Debug, Clone, Copy)]
struct Way<'a> {
    example: &'a str,
    input: Option<&'a str>,
}

impl Way<'_> {
    /// The arguments that start it.
    fn run(&self) -> Vec<String> {
        let file = example_file(self.example).to_str().expect("UTF-8").to_owned();
        let input = self.input.map(|input| ["-i".to_owned(), input.to_owned()]);
        ["run".to_owned(), file, "--json=stream".to_owned()]
            .into_iter()
            .chain(input.into_iter().flatten())
            .collect()
    }

    /// What a run comes to if nobody disturbs it, and how many lines tell of it.
    fn undisturbed(&self) -> (End, u64) {
        let bench = prepared(self.example);
        let args = self.run();
        let done = bench.orchestrator(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(matches!(done.code, Some(0 | 1 | 9)), "{self:?}: {done:?}");
        bring_to_its_end(&bench, self.example, self.example);
        (End::of(&bench, self.example, self.example), done.stdout.lines().count() as u64)
    }

    /// Kills a run at moments of chance, lets it end, and compares. Gives how many kills came before its end.
    fn torment(&self, calm: &End, lines: u64, dice: &mut Dice, place: &str) -> u64 {
        let bench = prepared(self.example);
        let mut landed = 0;
        let kills = if TWO_ATTEMPTS.contains(&self.example) { 1 } else { KILLS };
        for kill in 0..kills {
            let resume = ["runs", "resume", "@last", "--json=stream"].map(str::to_owned).to_vec();
            let args = if kill == 0 { self.run() } else { resume };
            // At least one line: then there is a run.
            drive_up_to(&bench, &args, 1 + dice.below(lines));
            if !report(&bench, place)["finished_at"].is_null() {
                break;
            }
            landed += 1;
        }
        bring_to_its_end(&bench, self.example, place);
        assert_eq!(&End::of(&bench, self.example, place), calm, "{place}");
        landed
    }
}

/// Drives until so many lines were said, and kills the process with the last of them.
fn drive_up_to(bench: &Bench, args: &[String], moment: u64) {
    let mut process = bench.begin(args);
    let said = BufReader::new(process.stdout.take().expect("its output"));
    let heard = said.lines().map_while(Result::ok).take(usize::try_from(moment).unwrap_or(usize::MAX));
    heard.for_each(drop);
    // It may have ended by itself.
    let _ = process.kill();
    process.wait().expect("it ends");
}

/// Resumes the run until it has ended, and says yes to whatever it asks. Where nobody can know whether an attempt had its
/// effect, says that it had none: the examples reach nothing but their folder.
fn bring_to_its_end(bench: &Bench, example: &str, place: &str) {
    for _ in 0..KILLS + 4 {
        let done = bench.orchestrator(&["runs", "resume", "@last", "--json"]);
        if done.code != Some(9) {
            assert!(matches!(done.code, Some(0 | 1)), "{place}: {done:?}");
            return;
        }
        let report = done.json();
        for waiting in report["waiting_for"].as_array().cloned().unwrap_or_default() {
            answer(bench, example, &waiting, place);
        }
    }
    panic!("{place}: it does not come to its end");
}

fn answer(bench: &Bench, example: &str, waiting: &Value, place: &str) {
    let step = match (waiting["step"].as_str().expect("a step"), waiting["item"].as_u64()) {
        (step, Some(item)) => format!("{step}[{item}]"),
        (step, None) => step.to_owned(),
    };
    let answered = match waiting["kind"].as_str() {
        Some("outcome_unknown") => bench.orchestrator(&["runs", "resolve", "@last", &step, "--not-applied"]),
        Some("approval") => bench.orchestrator(&["approval", "approve", "@last", &step]),
        Some("qa") => bench.orchestrator(&["runs", "qa", "@last", &step, "--pass"]),
        Some("signal") => {
            let (_, name, data) = SIGNALS.iter().find(|(of, ..)| *of == example).expect("named in SIGNALS");
            bench.orchestrator(&["runs", "signal", "@last", name, "--data", data])
        }
        _ => panic!("{place}: nobody knows what to say: {waiting}"),
    };
    assert_eq!(answered.code, Some(0), "{place}: {answered:?}");
}

fn report(bench: &Bench, place: &str) -> Value {
    let shown = bench.orchestrator(&["runs", "show", "@last", "--json"]);
    assert_eq!(shown.code, Some(0), "{place}: {shown:?}");
    shown.json()
}

/// A folder in which the example finds what it needs.
fn prepared(example: &str) -> Bench {
    let bench = Bench::new();
    if example == "release-notes.yaml" {
        notes::repository(&bench, ".", &["Lay the first stone", "Add a door", "Fix the roof"]);
    }
    bench
}

/// What a run has come to, as far as a kill must not change it.
#[derive(Debug, PartialEq)]
struct End {
    status: Value,
    outputs: Value,
    /// Every step and item, with its status.
    steps: Vec<[Value; 3]>,
}

impl End {
    fn of(bench: &Bench, example: &str, place: &str) -> Self {
        let report = report(bench, place);
        assert!(!report["finished_at"].is_null(), "{place}: {report}");
        nothing_succeeded_twice(bench, place);
        let mut outputs = report["outputs"].clone();
        for (_, output) in COUNTS.iter().filter(|(name, _)| *name == example) {
            let text = outputs[output].to_string();
            outputs[output] = text.replace(|sign: char| sign.is_ascii_digit(), "#").into();
        }
        let step = |step: &Value| ["id", "item", "status"].map(|key| step[key].clone());
        let steps = report["steps"].as_array().map(|steps| steps.iter().map(step).collect());
        Self { status: report["status"].clone(), outputs, steps: steps.unwrap_or_default() }
    }
}

/// A step succeeds once in a generation, and so does an item of it.
fn nothing_succeeded_twice(bench: &Bench, place: &str) {
    let told = bench.orchestrator(&["runs", "events", "@last", "--json"]);
    assert_eq!(told.code, Some(0), "{place}: {told:?}");
    let mut succeeded: BTreeMap<String, u32> = BTreeMap::new();
    for line in told.stdout.lines() {
        let event: Value = serde_json::from_str(line).expect("an event");
        match event["kind"].as_str() {
            Some("run.reopened") => succeeded.clear(),
            Some("step.succeeded") => {
                let times = succeeded.entry(format!("{}[{}]", event["step"], event["item"])).or_default();
                *times += 1;
                assert_eq!(*times, 1, "{place}: {event}");
            }
            _ => {}
        }
    }
    assert!(!succeeded.is_empty(), "{place}: nothing has succeeded");
}

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")),
        Err(_) => default,
    }
}

/// Chance from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}
