//! `kill -9` at every moment of a run, again and again: `runs resume` brings it to the end that it would have had.
//!
//! `ORCHESTRATOR_CRASH_KILLS` says how many kills have to land on runs that have not ended (default 20),
//! `ORCHESTRATOR_CRASH_SEED` which moments are taken (default 1). The histogram of what the kills have hit is printed.

mod binary;
mod check;
#[cfg(feature = "failpoints")]
mod commits;
#[cfg(feature = "failpoints")]
mod deaths;
#[cfg(feature = "failpoints")]
#[expect(dead_code, reason = "the tests of upgrades use more of it")]
#[path = "../upgrade/fixture.rs"]
mod fixture;
mod flows;
#[path = "../battery/folder.rs"]
mod folder;
mod ledger;
mod plants;
mod points;
#[path = "../battery/printed.rs"]
mod printed;
#[path = "../battery/request.rs"]
mod request;
#[path = "../battery/row.rs"]
mod row;
#[cfg(feature = "failpoints")]
#[expect(dead_code, reason = "the tests of the command line use more of it")]
#[path = "../cli/sandbox.rs"]
mod sandbox;
#[path = "../battery/size.rs"]
#[cfg_attr(
    not(feature = "failpoints"),
    expect(dead_code, reason = "how much is killed is a number of its own")
)]
mod size;
#[path = "../battery/survivors.rs"]
mod survivors;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use binary::{Moment, Place};
use check::Facts;
use flows::{CALM, DOOMED, Flow};
use size::number;

/// Every state in which a kill has to find a step. `queued` and `waiting` are told apart by what they wait for.
const STATES: [&str; 11] = [
    "pending",
    "queued",
    "queued: backoff",
    "running",
    "waiting: approval",
    "waiting: timer",
    "outcome_unknown",
    "blocked",
    "completed",
    "skipped",
    "failed",
];

/// The moments that lead into the states that chance finds too seldom.
const AIMED: [(&Flow, &[Moment]); 5] = [
    (
        &CALM,
        &[
            Moment::Event("churn", "step.begun", None),
            Moment::Event("churn", "step.begun", None),
            Moment::Event("churn", "step.begun", None),
            Moment::Event("churn", "step.lost", Some("quarantine")),
        ],
    ),
    (
        &CALM,
        &[
            Moment::Event("pay", "step.begun", None),
            Moment::Event("pay", "step.lost", Some("unknown")),
            Moment::Event("publish", "step.begun", None),
        ],
    ),
    (&DOOMED, &[Moment::Event("broken", "step.failed", None), Moment::Event("clean", "step.begun", None)]),
    (&CALM, &[Moment::Request, Moment::Event("nap", "step.waiting", None)]),
    (&CALM, &[Moment::Event("review", "step.waiting", None), Moment::Event("flaky", "step.failed", None)]),
];

/// A run that is left alone ends within so many resumptions: each may ask once more for someone's word.
const LEFT_ALONE: usize = 20;

#[test]
fn runs_that_are_killed_end_as_if_nobody_had() {
    let wanted = number("ORCHESTRATOR_CRASH_KILLS", 20);
    let mut battery = Battery::new(number("ORCHESTRATOR_CRASH_SEED", 1));
    let begun = Instant::now();
    let mut rounds = 0;
    while battery.kills < wanted || battery.missing().next().is_some() {
        assert!(
            rounds < wanted + AIMED.len() as u64 * 10,
            "never hit: {:?}",
            battery.missing().collect::<Vec<_>>()
        );
        let aimed = usize::try_from(rounds).ok().and_then(|round| AIMED.get(round % (AIMED.len() * 2)));
        match aimed {
            Some((flow, moments)) => battery.torment(flow, moments),
            None => {
                let (flow, moments) = battery.chance();
                battery.torment(flow, &moments);
            }
        }
        rounds += 1;
    }
    battery.nothing_is_lost();
    battery.print(begun.elapsed());
    assert!(battery.planted > 0, "nothing was planted");
    battery.report("F-03 kills at random");
}

/// Kills, and keeps count.
struct Battery {
    place: Place,
    seed: u64,
    /// Runs that a process has told of.
    told: BTreeSet<String>,
    undisturbed: BTreeMap<&'static str, Value>,
    kills: u64,
    /// Kills that came before there was a run, or after its end.
    missed: u64,
    hits: BTreeMap<String, u64>,
    runs: BTreeMap<String, u64>,
    planted: usize,
}

impl Battery {
    fn new(seed: u64) -> Self {
        let mut battery = Self {
            place: Place::new(),
            seed,
            told: BTreeSet::new(),
            undisturbed: BTreeMap::new(),
            kills: 0,
            missed: 0,
            hits: BTreeMap::new(),
            runs: BTreeMap::new(),
            planted: 0,
        };
        for flow in [&CALM, &DOOMED] {
            std::fs::write(battery.place.path(flow.name), flow.text).unwrap();
            let run = battery.end(flow, &[]);
            let shown = battery.show(&run);
            assert_eq!(shown["status"], flow.ends, "{shown}");
            battery.undisturbed.insert(flow.name, shown);
            battery.judge(flow, &run);
        }
        battery
    }

    /// A number below `limit` (splitmix64).
    fn below(&mut self, limit: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn missing(&self) -> impl Iterator<Item = &'static str> {
        STATES.into_iter().filter(|state| !self.hits.contains_key(*state))
    }

    /// Moments that nobody has thought of.
    fn chance(&mut self) -> (&'static Flow, Vec<Moment>) {
        let flow = if self.below(4) == 0 { &DOOMED } else { &CALM };
        let kinds = ["step.begun", "step.succeeded", "step.lost", "step.waiting", "step.failed"];
        let moments = (0..=self.below(4)).map(|_| match self.below(8) {
            0 => Moment::Request,
            1 | 2 => {
                let (step, _) = flow.needs[usize::try_from(self.below(flow.needs.len() as u64)).unwrap()];
                Moment::Event(step, kinds[usize::try_from(self.below(kinds.len() as u64)).unwrap()], None)
            }
            // Recovery itself takes some tens of milliseconds: every other kill of chance lands there.
            3 | 4 => Moment::After(Duration::from_millis(self.below(100))),
            _ => Moment::After(Duration::from_millis(self.below(700))),
        });
        let moments = moments.collect();
        (flow, moments)
    }

    /// Kills a run at these moments, brings it to its end and checks it.
    fn torment(&mut self, flow: &'static Flow, moments: &[Moment]) {
        let run = self.end(flow, moments);
        self.judge(flow, &run);
    }

    /// The arguments that start a run.
    fn start(place: &Place, flow: &Flow) -> Vec<String> {
        let ledger = format!("ledger={}", place.path("ledger").display());
        let sink = format!("sink={}", place.sink.url);
        let words = ["run", flow.name, "-i", &ledger, "-i", &sink, "--json=stream", "--slots", "4"];
        words.map(str::to_owned).to_vec()
    }

    fn end(&mut self, flow: &'static Flow, moments: &[Moment]) -> String {
        self.finish(flow, moments, None)
    }

    /// Brings a run to its end, one that is there or a new one.
    fn finish(&mut self, flow: &'static Flow, moments: &[Moment], mut run: Option<String>) -> String {
        let start = Self::start(&self.place, flow);
        let start: Vec<&str> = start.iter().map(String::as_str).collect();
        for turn in 0..moments.len() + LEFT_ALONE {
            let moment = moments.get(turn).copied();
            let approves = flow.asks.filter(|_| self.coin());
            let ended = match &run {
                None => self.drive(&start, moment, approves),
                Some(run) => self.drive(&["runs", "resume", run, "--json=stream"], moment, approves),
            };
            // 9: waits for someone.
            let is_fine = ended.code.is_none_or(|code| [0, 1, 9].contains(&code));
            assert!(is_fine, "{run:?}: exit {:?}: {}", ended.code, self.place.said());
            run = run.or(ended.run.clone()).or_else(|| self.unheard());
            let Some(run) = &run else {
                self.missed += 1;
                continue;
            };
            self.told.insert(run.clone());
            let shown = self.show(run);
            if ended.code.is_none() {
                self.count(&shown);
            }
            if !shown["finished_at"].is_null() {
                return run.clone();
            }
            // After a kill, half of the time nobody looks before the run is resumed.
            if ended.code.is_some() || self.coin() {
                self.settle(run);
            }
        }
        panic!(
            "{run:?} does not end: {}\n{}",
            self.show(&run.clone().unwrap_or_default()),
            self.place.said()
        );
    }

    /// Drives a run; `approves`: decides meanwhile, from another process.
    fn drive(&self, args: &[&str], moment: Option<Moment>, approves: Option<&str>) -> binary::Ended {
        self.place.drive(args, moment, |event| {
            if approves.is_some_and(|step| event["step"] == step) && event["kind"] == "step.waiting" {
                self.approve(event["run_id"].as_str().unwrap(), event["step"].as_str().unwrap());
            }
        })
    }

    /// Drives runs in a store of their own until a process dies at a point or the run has ended, then goes on without
    /// any; whether one died. `killed`: when the first process is killed, so that another has to take the run from it.
    #[cfg(feature = "failpoints")]
    fn die_at(&mut self, flow: &'static Flow, killed: Option<Moment>, armed: &str, code: i32) -> bool {
        let old = std::mem::replace(&mut self.place, Place::new());
        std::fs::write(self.place.path(flow.name), flow.text).unwrap();
        let told = std::mem::take(&mut self.told);
        let died = self.drive_armed(flow, killed, armed, code);
        self.nothing_is_lost();
        self.place = old;
        self.told = told;
        died
    }

    #[cfg(feature = "failpoints")]
    fn drive_armed(&mut self, flow: &'static Flow, killed: Option<Moment>, armed: &str, code: i32) -> bool {
        let start = Self::start(&self.place, flow);
        let start: Vec<&str> = start.iter().map(String::as_str).collect();
        // The first process creates the run, the second takes it up: some points are reached only then, and some only
        // after a process that has not let it go.
        self.place.failpoint = killed.is_none().then(|| armed.to_owned());
        let mut ended = self.place.drive(&start, killed, |_| ());
        self.place.failpoint = Some(armed.to_owned());
        let run = ended.run.take().or_else(|| self.unheard());
        if let Some(run) = &run
            && ended.code != Some(code)
        {
            ended = self.place.drive(&["runs", "resume", run, "--json=stream"], None, |_| ());
        }
        self.place.failpoint = None;
        let run = self.finish(flow, &[], run);
        self.judge(flow, &run);
        ended.code == Some(code)
    }

    /// A run that was created by a process that died before it could tell.
    fn unheard(&self) -> Option<String> {
        self.listed().into_iter().find(|run| !self.told.contains(run))
    }

    fn listed(&self) -> BTreeSet<String> {
        let args = ["runs", "list", "--limit", "1000", "--json"];
        let (code, out, err) = self.place.run(&args);
        // 4: there is no store yet.
        if code == 4 && self.told.is_empty() {
            return BTreeSet::new();
        }
        assert_eq!(code, 0, "{out}{err}");
        let list: Value = serde_json::from_str(&out).unwrap();
        let items = list["items"].as_array().unwrap();
        items.iter().map(|item| item["run_id"].as_str().unwrap().to_owned()).collect()
    }

    fn show(&self, run: &str) -> Value {
        self.place.ask(&["runs", "show", run, "--json"]).remove(0)
    }

    /// Counts a kill that has landed, and what it has hit.
    fn count(&mut self, shown: &Value) {
        if !shown["finished_at"].is_null() {
            self.missed += 1;
            return;
        }
        self.kills += 1;
        *self.runs.entry(shown["status"].as_str().unwrap().to_owned()).or_default() += 1;
        let waiting = shown["waiting_for"].as_array().unwrap();
        for step in shown["steps"].as_array().unwrap() {
            let status = step["status"].as_str().unwrap();
            let on = waiting.iter().find(|waiting| waiting["step"] == step["id"]);
            let state = match on {
                Some(on) if ["queued", "waiting"].contains(&status) => {
                    format!("{status}: {}", on["kind"].as_str().unwrap())
                }
                _ => status.to_owned(),
            };
            *self.hits.entry(state).or_default() += 1;
        }
    }

    /// Does what people have to do: decides, and says of each doubt what the ledger says.
    fn settle(&self, run: &str) {
        self.nobody_is_left(run);
        let shown = self.show(run);
        for waiting in shown["waiting_for"].as_array().unwrap() {
            let step = waiting["step"].as_str().unwrap();
            match waiting["kind"].as_str().unwrap() {
                "approval" => self.approve(run, step),
                "quarantine" => self.say(run, step, &["--not-applied"]),
                "outcome_unknown" => self.resolve(run, step, &shown),
                _ => {}
            }
        }
    }

    fn nobody_is_left(&self, run: &str) {
        let left = self.place.left_of(run);
        assert!(left.is_empty(), "left of {run}: {left:?}");
    }

    fn resolve(&self, run: &str, step: &str, shown: &Value) {
        let row = shown["steps"].as_array().unwrap().iter().find(|row| row["id"] == step).unwrap();
        let attempt = row["attempts"].as_u64().unwrap();
        let lines = self.place.lines(run);
        if lines.iter().any(|line| line.step == step && line.attempt == attempt) {
            self.say(run, step, &["--applied", "--output", &format!("{{\"receipt\":\"{step}\"}}")]);
        } else {
            self.say(run, step, &["--not-applied"]);
        }
    }

    fn say(&self, run: &str, step: &str, what: &[&str]) {
        self.place.ask(&[&["runs", "resolve", run, step, "--json"], what].concat());
    }

    fn approve(&self, run: &str, step: &str) {
        self.place.ask(&["approval", "approve", run, step, "--json"]);
    }

    /// Checks a run that has ended, and that the checker finds what is planted.
    fn judge(&mut self, flow: &'static Flow, run: &str) {
        self.nobody_is_left(run);
        let facts = Facts {
            flow,
            shown: self.show(run),
            events: self.place.ask(&["runs", "events", run, "--json"]),
            lines: self.place.lines(run),
            posts: self.place.sink.posts(run),
            undisturbed: self.undisturbed[flow.name].clone(),
        };
        let faults = check::faults(&facts);
        let told = || facts.events.iter().map(|event| format!("{event}\n")).collect::<String>();
        assert!(faults.is_empty(), "{run}: {faults:#?}\n{}{:#?}\n{}", told(), facts.lines, self.place.said());
        let (planted, overlooked) = plants::overlooked(&facts);
        assert!(overlooked.is_empty(), "{run}: the checker does not find {overlooked:?}");
        self.planted += planted;
    }

    /// Every run that anybody was told of is listed.
    fn nothing_is_lost(&self) {
        let listed = self.listed();
        let lost: Vec<_> = self.told.difference(&listed).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
    }

    /// A row for the table: whatever would not be zero has failed the test before.
    fn report(&self, part: &'static str) {
        let notes = format!("{} runs, {} planted faults found", self.told.len(), self.planted);
        row::report(part, self.kills, row::Losses::default(), &notes);
    }

    fn print(&self, took: Duration) {
        let runs = self.told.len();
        println!("{} kills on {runs} runs in {took:.0?}; {} more hit none", self.kills, self.missed);
        println!("{} planted faults, all found", self.planted);
        println!("what the kills have found, by state of the step:");
        self.hits.iter().for_each(|(state, hits)| println!("  {hits:>6}  {state}"));
        println!("and of the run:");
        self.runs.iter().for_each(|(state, hits)| println!("  {hits:>6}  {state}"));
    }
}
