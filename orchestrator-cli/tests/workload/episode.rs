//! An episode: some runs on one store, driven by several processes at once, killed, brought to their ends, and looked at.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::at_once::at_once;
use crate::chance::Chance;
use crate::facts::{Copy, Facts, Run};
use crate::fleet::{Crew, Deaths, Fleet};
use crate::flow::Flow;
use crate::invariant::{ALL, violations};
use crate::journey::{Journey, Place, span};
use crate::replay::kind;
use crate::row::Losses;
use crate::tally::Tally;

/// Runs of an episode.
pub(crate) const RUNS: u64 = 8;

/// How many clients there are while processes are killed.
const CLIENTS: usize = 6;

/// How long a run stays open whose recovery is killed, in milliseconds.
const HOLD: usize = 4_000;

/// How processes are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kills {
    /// Some of each run, after 50 to 1,500 ms.
    Random,
    /// Ten of each run, one after the other, while it is taken up again.
    Recovery,
    /// Workers on a server, and the server.
    Fleet,
}

impl Kills {
    /// How long processes live, and how many of them have to be killed while the run is open.
    fn drawn(self, chance: &mut Chance) -> (Vec<Duration>, usize) {
        let (tries, wanted, least, span) = match self {
            Self::Random => (chance.below(7), 7, 50, 1_451),
            Self::Recovery => (30, 10, 100, 201),
            // Not who has started a run, but who works.
            Self::Fleet => (0, 0, 100, 1),
        };
        let kills = (0..tries).map(|_| Duration::from_millis((least + chance.below(span)) as u64));
        (kills.collect(), wanted)
    }

    /// The test that plays it.
    const fn test(self) -> &'static str {
        match self {
            Self::Random => "every_run_ends",
            Self::Recovery => "converge",
            Self::Fleet => "a_fleet",
        }
    }
}

/// Plays the episode of a seed, and adds what it has found to the tally; `keeps`: writes down all that was seen.
pub(crate) fn play(seed: u64, kills: Kills, keeps: bool, tally: &mut Tally) {
    let place = if kills == Kills::Fleet { Place::of_a_fleet() } else { Place::new() };
    let mut chance = Chance::new(seed);
    let journeys: Vec<Journey> =
        (0..RUNS).map(|number| journey(seed, number, kills, &mut chance, &place)).collect();
    let mut journeys = match &place.fleet {
        Some(fleet) => hired(&place, fleet, journeys, &mut chance, tally),
        None => {
            let journeys = each(CLIENTS, journeys, |journey| journey.torment(&place));
            // From here on everything is left alone.
            each(journeys.len(), journeys, |journey| journey.finish(&place))
        }
    };
    let facts = look(&place, &mut journeys);
    tally.runs += RUNS;
    tally.kills += journeys.iter().map(|journey| journey.landed).sum::<usize>() as u64;
    tally.turned_away += journeys.iter().map(|journey| journey.turned_away).sum::<u64>();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
    tally.first.extend(journeys.iter().flat_map(|journey| &journey.first).copied().map(millis));
    tally.ended.extend(journeys.iter().filter_map(|journey| journey.ended_after).map(millis));
    tally.all.extend(journeys.iter().filter_map(|journey| journey.moved_after).max().map(millis));
    notice(&facts, tally);
    let faults = judge(&facts, &format!("seed {seed}"), tally);
    if keeps || !faults.is_empty() {
        let test = kills.test();
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("workload-{test}-{seed}.txt"));
        fs::write(&file, told(&facts, &faults, keeps, &place)).unwrap();
        let again = format!(
            "ORCHESTRATOR_WORKLOAD_SEED={seed} cargo test -p orchestrator-cli --test workload -- {test}"
        );
        let all = format!("seed {seed}: all that was seen is in {}; again: {again}", file.display());
        println!("{all}");
        tally.violations.extend((!faults.is_empty()).then_some(all));
    }
    plant(&facts, tally);
}

/// Workers carry out the journeys while they and their server are tormented, and bring them to their ends afterwards.
fn hired(
    place: &Place,
    fleet: &Fleet,
    journeys: Vec<Journey>,
    chance: &mut Chance,
    tally: &mut Tally,
) -> Vec<Journey> {
    let mut crew = Crew::hire(fleet, &place.folder);
    let until = Instant::now() + span(chance.below(8_000));
    let (enough, told) = mpsc::channel();
    let (crew, journeys) = std::thread::scope(|scope| {
        let plague = scope.spawn(move || {
            crew.plague(chance, &told);
            crew
        });
        let journeys = each(journeys.len(), journeys, |journey| journey.attend(place, until));
        drop(enough);
        (plague.join().unwrap(), journeys)
    });
    let Deaths { killed, paused, drained, restarts, cut } = crew.deaths;
    tally.kills += killed + paused + drained + restarts + cut;
    let kinds =
        [("killed", killed), ("paused", paused), ("drained", drained), ("restarts", restarts), ("cut", cut)];
    for (kind, times) in kinds {
        *tally.seen.entry(format!("fleet: {kind}")).or_default() += times;
    }
    // From here on everything is left alone.
    let mut journeys = each(journeys.len(), journeys, |journey| journey.await_end(place));
    journeys[0].hung.extend(crew.dismiss());
    journeys
}

fn journey(seed: u64, number: u64, kills: Kills, chance: &mut Chance, place: &Place) -> Journey {
    let mut flow = Flow::drawn(chance, &format!("w{number}"));
    if kills == Kills::Recovery {
        flow.hold(HOLD);
    }
    // The ledger lies beside the store; who works for a fleet starts in a folder below.
    let grant = match place.fleet {
        Some(_) => {
            format!("defaults: {{ sandbox: {{ write: [\"{}\"] }} }}\n", place.folder.path("").display())
        }
        None => String::new(),
    };
    for flow in flow.all() {
        let text = flow.placed(place.fleet.is_some()) + &grant;
        fs::write(place.folder.path(&format!("{}.yaml", flow.name)), text).unwrap();
    }
    let cancel = (chance.below(6) == 0).then(|| Duration::from_millis(chance.below(800) as u64));
    let own = Chance::new(seed.wrapping_mul(1_000).wrapping_add(number));
    Journey::new(own, flow, format!("{seed}-{number}"), kills.drawn(chance), cancel)
}

/// Does something with each journey, so many at once.
fn each(threads: usize, journeys: Vec<Journey>, does: impl Fn(&mut Journey) + Sync) -> Vec<Journey> {
    at_once(threads, journeys, |mut journey| {
        does(&mut journey);
        journey
    })
}

/// Looks at all that can be seen.
fn look(place: &Place, journeys: &mut [Journey]) -> Facts {
    let folder = &place.folder;
    let ask = |args: &[&str]| folder.ask(args).remove(0);
    let list = ask(&["runs", "list", "--children", "--limit", "1000", "--json"]);
    let items = |list: &Value| {
        assert!(list["next"].is_null(), "there are more");
        list["items"].as_array().unwrap().clone()
    };
    let id = |row: &Value| row["run_id"].as_str().unwrap().to_owned();
    let listed: BTreeMap<String, Value> = items(&list).into_iter().map(|row| (id(&row), row)).collect();
    let flows: Vec<&Flow> = journeys.iter().flat_map(|journey| journey.flow.all()).collect();
    let mut runs: Vec<Run> = listed
        .iter()
        .filter_map(|(run, row)| {
            let flow = flows.iter().find(|flow| row["workflow"] == flow.name)?;
            let shown = ask(&["runs", "show", run, "--json"]);
            let events = folder.ask(&["runs", "events", run, "--json"]);
            let cancelled = events.iter().any(|event| event["data"]["intent"] == "cancel");
            Some(Run { id: run.clone(), flow: (*flow).clone().into(), cancelled, shown, events })
        })
        .collect();
    // Cancelling goes down; a run below may have ended before it came.
    for at in 0..runs.len() {
        let above = |run: &Run| runs.iter().find(|it| run.shown["parent"] == *it.id);
        let mut run = &runs[at];
        while let Some(parent) = above(run) {
            run = parent;
        }
        runs[at].cancelled |= run.cancelled;
    }
    let left = listed.keys().flat_map(|run| folder.left_of(run));
    let left: Vec<String> =
        left.chain(journeys.iter_mut().flat_map(|it| std::mem::take(&mut it.left))).collect();
    let (code, out, _) = folder.run(&["doctor", "--json"]);
    let doctor = serde_json::from_str(&out).unwrap_or(Value::Null);
    let (damaged, said, why) = folder.run(&["store", "check", "--json"]);
    Facts {
        told: journeys.iter().map(|journey| (journey.key.clone(), journey.told.clone())).collect(),
        listed,
        runs,
        approvals: items(&ask(&["approval", "list", "--all", "--limit", "1000", "--json"])),
        decided: journeys.iter().flat_map(|journey| journey.decided.clone()).collect(),
        cancels: journeys.iter().flat_map(|journey| journey.cancels.clone()).collect(),
        lines: place.ledger.lines(),
        held: if place.fleet.is_some() { place.ledger.told() } else { Vec::new() },
        left,
        doctor,
        damage: if damaged == 0 { Vec::new() } else { vec![format!("store check: {said}{why}")] },
        copy: match &place.fleet {
            Some(fleet) => Copy::of_fleet(fleet),
            None => Copy::of(folder),
        },
        hung: journeys
            .iter()
            .flat_map(|journey| journey.hung.clone())
            .chain((code != 0).then(|| format!("doctor: {code}")))
            .collect(),
    }
}

/// Counts what has happened: that is what the kills have hit.
fn notice(facts: &Facts, tally: &mut Tally) {
    for event in facts.runs.iter().flat_map(|run| &run.events) {
        let data = &event["data"];
        let more = match kind(event) {
            "step.lost" => data["then"].as_str().unwrap_or_default().to_owned(),
            "step.resolved" => if data["output"].is_null() { "not applied" } else { "applied" }.to_owned(),
            "step.failed" => if data["retry_at"].is_null() { "for good" } else { "again" }.to_owned(),
            "run.ended" => data["status"].as_str().unwrap_or_default().to_owned(),
            "step.waiting" | "step.arrived" | "step.begun" | "step.offered" | "step.claimed"
            | "step.withdrawn" | "step.skipped" | "run.reopened" | "driver.taken" => String::new(),
            _ => continue,
        };
        *tally.seen.entry(format!("{} {more}", kind(event)).trim().to_owned()).or_default() += 1;
    }
}

/// Counts everything that does not hold, under its name.
fn judge(facts: &Facts, whose: &str, tally: &mut Tally) -> Vec<String> {
    let mut losses = Losses::default();
    let mut faults = Vec::new();
    for (invariant, what) in violations(facts) {
        invariant.column.count(&mut losses);
        faults.push(format!("{whose}: {}: {what}", invariant.name));
    }
    tally.losses += losses;
    tally.violations.extend_from_slice(&faults);
    faults
}

/// The runs that something is wrong with, or all, whole.
fn told(facts: &Facts, faults: &[String], all: bool, place: &Place) -> String {
    let mut told = faults.join("\n");
    let named = |run: &&Run| all || faults.iter().any(|fault| fault.contains(&run.id));
    for run in facts.runs.iter().filter(named) {
        let _ = write!(told, "\n\n{}\n{}\n{}\n", run.id, run.flow.text(), run.shown);
        for event in &run.events {
            let _ = writeln!(told, "{event}");
        }
        let lines = facts.lines.iter().filter(|line| line.run == run.id);
        for line in lines {
            let _ = writeln!(told, "{line:?}");
        }
    }
    let _ = write!(told, "\n{}", fs::read_to_string(place.folder.path("stderr")).unwrap_or_default());
    told
}

/// Spoils what was really seen in every way: each invariant has to find its own.
fn plant(facts: &Facts, tally: &mut Tally) {
    for invariant in &ALL {
        let mut spoilt = facts.clone();
        if (invariant.plant)(&mut spoilt).is_none() {
            continue;
        }
        let found = (invariant.check)(&spoilt).len() > (invariant.check)(facts).len();
        assert!(found, "{} does not find what is planted", invariant.name);
        tally.planted.insert(invariant.name.to_owned());
        tally.plants += 1;
    }
}
