//! One run and its client: starts it under a key until that is acknowledged, drives it again after each kill, and does
//! what people have to do.

mod hired;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) use hired::span;

use crate::chance::Chance;
use crate::fleet::Fleet;
use crate::flow::Flow;
use crate::folder::{Folder, PATIENCE};
use crate::ledger::Ledger;
use crate::model::Unit;

/// A run that is left alone ends within so many turns: each may ask once more for someone's word.
const LEFT_ALONE: usize = 40;

/// As long as this, a process waits for a store that others write to, before it says that it is busy.
const BUSY: Duration = Duration::from_secs(5);

/// A folder with a store and a ledger that all runs of an episode share.
pub(crate) struct Place {
    pub(crate) folder: Folder,
    pub(crate) ledger: Ledger,
    /// Who drives the runs, if not their clients themselves.
    pub(crate) fleet: Option<Fleet>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = Folder::new("workload-");
        let ledger = Ledger::open(&folder.path("ledger"));
        Self { folder, ledger, fleet: None }
    }

    /// One whose store is on a server of its own, for workers.
    pub(crate) fn of_a_fleet() -> Self {
        let place = Self::new();
        Self { fleet: Some(Fleet::start(&place.folder)), ..place }
    }

    fn show(&self, run: &str) -> Value {
        let args = ["runs", "show", run, "--json"];
        let begun = Instant::now();
        // A server may be away for a while.
        while self.fleet.is_some() && begun.elapsed() < PATIENCE {
            let (code, out, _) = self.folder.run(&args);
            if code != 7 {
                assert_eq!(code, 0, "{args:?}");
                return serde_json::from_str(&out).unwrap();
            }
        }
        self.folder.ask(&args).remove(0)
    }
}

/// Something that somebody does after a while.
enum Errand {
    Cancel,
    Answer { run: String, step: String, yes: bool },
}

/// A run, what is to happen to it, and what has been seen of it.
pub(crate) struct Journey {
    pub(crate) key: String,
    pub(crate) flow: Arc<Flow>,
    chance: Chance,
    /// How long each process that is to be killed may live, and how many of them at most.
    kills: (Vec<Duration>, usize),
    /// How long after it was acknowledged the run is cancelled, if it is.
    cancel: Option<Duration>,
    /// The runs that a process has told of under the key.
    pub(crate) told: BTreeSet<String>,
    errands: Vec<(Instant, Errand)>,
    has_ended: bool,
    was_cancelled: bool,
    killed_at: Option<Instant>,
    /// Kills that have landed.
    pub(crate) landed: usize,
    /// How long it took after each kill until a process told that the run moves.
    pub(crate) first: Vec<Duration>,
    /// Since when nobody kills any more, until it has moved.
    alone: Option<Instant>,
    /// How long it took from then until a process told that the run moves.
    pub(crate) moved_after: Option<Duration>,
    /// How long it took from then until the run had ended.
    pub(crate) ended_after: Option<Duration>,
    pub(crate) decided: Vec<(String, Unit, bool)>,
    pub(crate) cancels: BTreeSet<String>,
    pub(crate) hung: Vec<String>,
    pub(crate) left: Vec<String>,
    /// How often a process was told to come again.
    pub(crate) turned_away: u64,
}

impl Journey {
    pub(crate) fn new(
        chance: Chance,
        flow: Flow,
        key: String,
        kills: (Vec<Duration>, usize),
        cancel: Option<Duration>,
    ) -> Self {
        Self {
            key,
            flow: Arc::new(flow),
            chance,
            kills,
            cancel,
            told: BTreeSet::new(),
            errands: Vec::new(),
            has_ended: false,
            was_cancelled: false,
            killed_at: None,
            landed: 0,
            first: Vec::new(),
            alone: None,
            moved_after: None,
            ended_after: None,
            decided: Vec::new(),
            cancels: BTreeSet::new(),
            hung: Vec::new(),
            left: Vec::new(),
            turned_away: 0,
        }
    }

    /// Starts the run and kills who drives it, again and again; leaves it as it is then, acknowledged.
    pub(crate) fn torment(&mut self, place: &Place) {
        let (kills, wanted) = std::mem::take(&mut self.kills);
        for kill in kills {
            if self.has_ended || self.landed == wanted {
                break;
            }
            self.turn(place, Some(kill));
        }
        for _ in 0..LEFT_ALONE {
            if !self.told.is_empty() {
                break;
            }
            self.turn(place, None);
        }
        self.run_errands(place, Instant::now() + PATIENCE);
    }

    /// Brings the run to its end, now that nobody kills.
    pub(crate) fn finish(&mut self, place: &Place) {
        let begun = Instant::now();
        self.killed_at = None;
        self.alone = Some(begun);
        for _ in 0..LEFT_ALONE {
            let Some(run) = self.told.first().cloned() else { break };
            self.settle(place, &run);
            if !place.show(&run)["finished_at"].is_null() {
                self.ended_after = self.moved_after.map(|_| begun.elapsed());
                return;
            }
            self.drive(place, &["runs", "resume", &run, "--json=stream"], None);
        }
        self.hung.push(format!("`{}` {:?} does not end", self.key, self.told));
    }

    /// Drives the run once, killed after a while or not.
    fn turn(&mut self, place: &Place, kill: Option<Duration>) {
        let (file, key) = (format!("{}.yaml", self.flow.name), self.key.clone());
        let ledger = format!("ledger={}", place.ledger.file.display());
        let sink = format!("sink={}", place.ledger.url);
        let start = ["run", &file, "-i", &ledger, "-i", &sink, "--json=stream", "--idempotency-key", &key];
        let run = self.told.first().cloned();
        let code = match &run {
            // Whoever starts it once more under its key goes on with it, too.
            Some(run) if self.chance.coin() => {
                self.drive(place, &["runs", "resume", run, "--json=stream"], kill)
            }
            _ => self.drive(place, &start, kill),
        };
        if code == Some(9)
            && let Some(run) = self.told.first().cloned()
        {
            self.settle(place, &run);
        }
    }

    /// What the exit code of who has driven so long says.
    fn heed(&mut self, args: &[&str], code: Option<i32>, took: Duration) {
        match code {
            None | Some(9) => {}
            Some(0 | 1 | 8) => self.has_ended = true,
            // Whoever cancels a run that nobody drives brings it to its end: one who comes then leaves it to them.
            Some(6) if self.was_cancelled => {}
            // Whoever is told to come again does.
            Some(7) if took >= BUSY => self.turned_away += 1,
            Some(code) => self.hung.push(format!("`{}` {args:?}: exit {code} after {took:?}", self.key)),
        }
    }

    /// Drives a run with a process of its own; gives its exit code, or nothing if it was killed.
    fn drive(&mut self, place: &Place, args: &[&str], kill: Option<Duration>) -> Option<i32> {
        let log = File::options().create(true).append(true).open(place.folder.path("stderr")).unwrap();
        let mut child = place.folder.command(args).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let heard = listen(&mut child);
        let begun = Instant::now();
        let (end, kill_at) = (begun + PATIENCE, kill.map(|after| begun + after));
        loop {
            let errand = self.errands.iter().map(|(at, _)| *at).min();
            let next = [Some(end), kill_at, errand].into_iter().flatten().min().unwrap_or(end);
            match heard.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(event) => self.hear(&event),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let now = Instant::now();
                    let is_killed = kill_at.is_some_and(|at| at <= now);
                    if is_killed || now >= end {
                        child.kill().unwrap();
                        break;
                    }
                    self.run_errands(place, now);
                }
            }
        }
        let code = child.wait().unwrap().code();
        let killed_at = Instant::now();
        if killed_at >= end {
            self.hung.push(format!("{args:?} hangs"));
        }
        // What it has said before it died counts as said.
        heard.iter().for_each(|event| self.hear(&event));
        if code.is_none() {
            self.landed += usize::from(!self.has_ended);
            self.killed_at = Some(killed_at);
        }
        self.heed(args, code, killed_at - begun);
        code
    }

    fn hear(&mut self, event: &Value) {
        if let Some(killed_at) = self.killed_at.take() {
            self.first.push(killed_at.elapsed());
        }
        if let Some(alone) = self.alone.take() {
            self.moved_after = Some(alone.elapsed());
        }
        let run = event["run_id"].as_str().unwrap_or_default().to_owned();
        let now = Instant::now();
        if self.told.is_empty()
            && let Some(after) = self.cancel
        {
            self.errands.push((now + after, Errand::Cancel));
        }
        self.told.insert(run.clone());
        self.has_ended |= event["kind"] == "run.ended";
        let asked = &event["data"]["on"]["approval"]["message"];
        if event["kind"] == "step.waiting"
            && let Some(message) = asked.as_str()
        {
            let after = Duration::from_millis(self.chance.below(300) as u64);
            let step = event["step"].as_str().unwrap_or_default().to_owned();
            self.errands.push((now + after, Errand::Answer { run, step, yes: message == "say yes" }));
        }
    }

    /// Runs the errands that are due.
    fn run_errands(&mut self, place: &Place, now: Instant) {
        let (due, later) = std::mem::take(&mut self.errands).into_iter().partition(|(at, _)| *at <= now);
        self.errands = later;
        let due: Vec<(Instant, Errand)> = due;
        for (_, errand) in due {
            match errand {
                Errand::Cancel => self.cancel(place),
                Errand::Answer { run, step, yes } => self.answer(place, &run, &step, yes),
            }
        }
    }

    fn cancel(&mut self, place: &Place) {
        let Some(run) = self.told.first().cloned() else { return };
        self.was_cancelled = true;
        match self.person(place, &["runs", "cancel", &run, "--json"]) {
            0 => drop(self.cancels.insert(run)),
            // It has ended, or this has to be said once more.
            6 | 7 => {}
            code => self.hung.push(format!("{run}: `runs cancel` says {code}")),
        }
    }

    fn answer(&mut self, place: &Place, run: &str, step: &str, yes: bool) {
        let words = |yes: bool| ["approval", if yes { "approve" } else { "reject" }, run, step, "--json"];
        let unit = || (step.to_owned(), None);
        match self.person(place, &words(yes)) {
            0 => self.decided.push((run.to_owned(), unit(), yes)),
            // It was decided before.
            6 => {}
            // It has to be said once more.
            7 => return,
            code => self.hung.push(format!("{run}: `approval` of {step} says {code}")),
        }
        // Somebody says the contrary too late.
        if self.chance.below(4) == 0 && self.person(place, &words(!yes)) == 0 {
            self.decided.push((run.to_owned(), unit(), !yes));
        }
    }

    /// Runs a command of a person, who comes again where it was killed.
    fn person(&mut self, place: &Place, args: &[&str]) -> i32 {
        if self.chance.below(4) == 0 {
            let after = Duration::from_millis(self.chance.below(60) as u64);
            let mut child =
                place.folder.command(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            let heard = listen(&mut child);
            if heard.recv_timeout(after).is_err() {
                // It may have ended meanwhile.
                drop(child.kill());
            }
            if let Some(code) = child.wait().unwrap().code() {
                return code;
            }
        }
        let begun = Instant::now();
        let code = place.folder.run(args).0;
        let took = begun.elapsed();
        match code {
            7 if took >= BUSY || place.fleet.is_some() => self.turned_away += 1,
            7 => self.hung.push(format!("{args:?}: exit 7 after {took:?}")),
            _ => {}
        }
        code
    }

    /// Does what people have to do: decides, and says of each doubt what the ledger says.
    fn settle(&mut self, place: &Place, run: &str) {
        let shown = place.show(run);
        for waiting in shown["waiting_for"].as_array().unwrap() {
            let text = |key: &str| waiting[key].as_str().unwrap_or_default().to_owned();
            let (run, step) = (text("run"), text("step"));
            let item = waiting["item"].as_u64().map(|item| usize::try_from(item).unwrap());
            let name = item.map_or_else(|| step.clone(), |item| format!("{step}[{item}]"));
            let output = format!("{{\"receipt\":\"{step}\"}}");
            let what: &[&str] = match &*text("kind") {
                "approval" => {
                    self.answer(place, &run, &step, text("message") == "say yes");
                    continue;
                }
                "quarantine" => &["--not-applied"],
                "outcome_unknown" => {
                    self.left.extend(place.folder.left_of(&run));
                    let has_happened = has_happened(place, &run, &(step.clone(), item));
                    if has_happened { &["--applied", "--output", &output] } else { &["--not-applied"] }
                }
                _ => continue,
            };
            match self.person(place, &[&["runs", "resolve", &run, &name, "--json"], what].concat()) {
                // Somebody who was killed had said it already, or it has to be said once more.
                0 | 6 | 7 => {}
                code => self.hung.push(format!("{run}: `runs resolve` of {name} says {code}")),
            }
        }
    }
}

/// Whether the ledger knows of the latest attempt of a unit.
fn has_happened(place: &Place, run: &str, unit: &Unit) -> bool {
    let shown = place.show(run);
    let rows = shown["steps"].as_array().unwrap();
    let row = rows.iter().find(|row| crate::replay::unit(row).as_ref() == Some(unit)).unwrap();
    let lines = place.ledger.lines();
    let is_it = |line: &&crate::ledger::Line| {
        line.run == run
            && line.step == unit.0
            && line.item == unit.1
            && line.attempt == row["attempts"].as_u64()
    };
    lines.iter().any(|line| is_it(&line))
}

/// The lines of JSON that a process prints; ends when it does.
fn listen(child: &mut Child) -> Receiver<Value> {
    let (sender, heard) = mpsc::channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    std::thread::spawn(move || {
        // A line that the kill has cut off is none.
        for event in lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()) {
            drop(sender.send(event));
        }
    });
    heard
}
