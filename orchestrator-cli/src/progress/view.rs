//! Follows a run's events and lines and tells them in the way that fits stderr and the flags.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use orchestrator_core::engine::Live;
use orchestrator_core::id::{RunId, Unit};
use orchestrator_core::machine::{AfterLoss, Event, Recorded, WaitOn};
use orchestrator_core::port::notice::{Level, Notice};
use orchestrator_core::port::store::LogLine;
use orchestrator_core::time::Timestamp;

use crate::names::Names;
use crate::output::shapes::EventShape;
use crate::output::style::{Style, Tint};
use crate::output::{Json, Output, escape};
use crate::progress::bars::{Bars, Running};
use crate::progress::tell::{Teller, Turn, began, turn};

/// How many of a failed step's last lines are shown.
const TAIL: usize = 15;

/// The most characters of a line of output that are shown.
const LINE: usize = 500;

/// Follows one run.
#[derive(Debug)]
pub(crate) struct View<'a> {
    output: &'a Output,
    run: RunId,
    names: Names,
    total: usize,
    done: u32,
    manner: Manner,
    steps: BTreeMap<Unit, Step>,
    /// The runs that carry out steps of this one, and those below them: of which step they are.
    below: BTreeMap<RunId, Unit>,
    wrote: bool,
    asked: bool,
    all_lines: bool,
}

/// How it is told.
#[derive(Debug)]
enum Manner {
    Silent,
    Stream,
    Plain,
    Bars(Box<Bars>),
}

/// A step that is being executed.
#[derive(Debug)]
struct Step {
    attempt: u32,
    began: Timestamp,
    seen: Instant,
    tail: VecDeque<String>,
    /// How far it says that it is, since its last line.
    far: Option<String>,
    running: bool,
}

impl Step {
    fn new(attempt: u32, began: Timestamp) -> Self {
        let (seen, tail) = (Instant::now(), VecDeque::new());
        Self { attempt, began, seen, tail, far: None, running: true }
    }
}

impl<'a> View<'a> {
    /// For a run of `total` steps; `all_lines`: what steps write is told as it comes.
    pub(crate) fn new(output: &'a Output, run: RunId, names: Names, total: usize, all_lines: bool) -> Self {
        let manner = match output.json() {
            Some(Json::Stream) => Manner::Stream,
            Some(Json::Object) => Manner::Silent,
            None if output.is_quiet() => Manner::Silent,
            None if output.is_watched() => Manner::Bars(Box::new(Bars::new(output.err()))),
            None => Manner::Plain,
        };
        Self {
            output,
            run,
            names,
            total,
            done: 0,
            manner,
            steps: BTreeMap::new(),
            below: BTreeMap::new(),
            wrote: false,
            asked: false,
            all_lines,
        }
    }

    /// Whether it has to be drawn anew when time passes.
    pub(crate) const fn moves(&self) -> bool {
        matches!(self.manner, Manner::Bars(_))
    }

    /// Whether any step has written a line.
    pub(crate) const fn has_lines(&self) -> bool {
        self.wrote
    }

    /// Whether nothing is told.
    pub(crate) const fn is_silent(&self) -> bool {
        matches!(self.manner, Manner::Silent | Manner::Stream)
    }

    /// Whether a step has begun to wait for a person since the last call.
    pub(crate) const fn asks(&mut self) -> bool {
        std::mem::replace(&mut self.asked, false)
    }

    /// Whether any step is being executed.
    pub(crate) fn is_busy(&self) -> bool {
        self.steps.values().any(|step| step.running)
    }

    /// Something has happened.
    pub(crate) fn live(&mut self, live: Live) {
        match live {
            Live::Event { run, recorded } if run == self.run => self.event(&recorded),
            Live::Notice { run, step, notice } if run == self.run => self.notice(step, &notice),
            Live::Line { run, line } if run == self.run => {
                self.line(Unit::new(line.step, line.item), &line);
            }
            Live::Progress { run, step, text } if run == self.run => self.far(step, &text),
            Live::Event { run, recorded } => self.event_below(run, &recorded.event),
            Live::Progress { run, text, .. } => {
                if let Some(step) = self.below.get(&run).copied() {
                    self.far(step, &text);
                }
            }
            // What is written below is shown as written by the step that is carried out there.
            Live::Line { run, line } => {
                if let Some(step) = self.below.get(&run).copied() {
                    self.line(step, &line);
                }
            }
            _ => {}
        }
    }

    /// A step tells people something. Where its lines are told as they come, it has been told.
    fn notice(&self, step: Unit, notice: &Notice) {
        if self.all_lines {
            return;
        }
        let mark = match notice.level {
            Level::Warning => "warn",
            Level::Error => "failed",
            _ => "begun",
        };
        let style = self.output.err();
        let name = style.tint(Tint::Strong, &escape::line(&self.names.of(step))).to_string();
        let title = notice.title.as_ref().map(|title| format!("{}: ", escape::line(title)));
        let mut head = Some(format!("{} {name}: {}", style.mark(mark), title.unwrap_or_default()));
        for line in notice.message.lines() {
            let cut: String = line.chars().take(LINE).collect();
            self.say(&format!("{}{}", head.take().unwrap_or_else(|| "  ".to_owned()), escape::line(&cut)));
        }
    }

    /// How many steps have ended.
    pub(crate) const fn done(&mut self, done: u32) {
        self.done = done;
    }

    /// Draws the moving lines anew.
    pub(crate) fn draw(&mut self) {
        let Manner::Bars(bars) = &mut self.manner else { return };
        let mut running: Vec<(&Unit, &Step)> = self.steps.iter().filter(|(_, step)| step.running).collect();
        running.sort_by_key(|(_, step)| step.seen);
        let running: Vec<Running<'_>> = running
            .into_iter()
            .map(|(ix, step)| Running {
                step: *ix,
                name: self.names.of(*ix),
                attempt: step.attempt,
                since: step.seen.elapsed(),
                last_line: step.far.as_ref().or(step.tail.back()).map_or("", |line| line),
            })
            .collect();
        bars.draw(&running, self.done, self.total, self.output.err());
    }

    /// Ctrl-C was pressed, and the terminal has shown it.
    pub(crate) fn key_was_shown(&self) {
        if let Manner::Bars(bars) = &self.manner {
            bars.key_was_shown();
        }
    }

    /// Takes the moving lines away.
    pub(crate) fn end(&mut self) {
        if let Manner::Bars(bars) = &mut self.manner {
            bars.end();
        }
    }

    /// Tells a line that stays.
    pub(crate) fn say(&self, line: &str) {
        match &self.manner {
            Manner::Silent | Manner::Stream => {}
            Manner::Plain => self.output.say(line),
            Manner::Bars(bars) => bars.print(line),
        }
    }

    fn event(&mut self, recorded: &Recorded) {
        match self.manner {
            Manner::Stream => {
                // A reader that has gone away must not end the run.
                let _ = self.output.print_json_line(&EventShape::new(self.run, recorded, &self.names));
                return;
            }
            Manner::Silent => return,
            Manner::Plain | Manner::Bars(_) => {}
        }
        let turn = turn(&recorded.event);
        let style: &Style = self.output.err();
        let teller = Teller { names: &self.names, style };
        let step = recorded.event.unit();
        let began = step.and_then(|step| self.steps.get(&step)).map(|step| step.began);
        self.asked |= asks_someone(&recorded.event);
        let mut lines: Vec<String> = match &recorded.event {
            // The question is told whole, with the commands that answer it, by whoever drives.
            event if asks_someone(event) && matches!(event, Event::StepWaiting(_)) => Vec::new(),
            event => teller.line(event, recorded.at, began).into_iter().collect(),
        };
        if matches!(self.manner, Manner::Plain) {
            lines.extend(teller.begins(&recorded.event));
        }
        if let (Turn::Fails, false, Some(step)) = (turn, self.all_lines, step) {
            lines.extend(self.tail(step));
        }
        for line in lines {
            self.say(&line);
        }
        self.follow(turn, recorded);
    }

    /// Something has happened in a run that carries out a step, or in one below that.
    fn event_below(&mut self, run: RunId, event: &Event) {
        let Some(step) = self.below.get(&run).copied() else { return };
        self.asked |= asks_someone(event) && !self.is_silent();
        if let Event::StepWaiting(waiting) = event
            && let Some(child) = waiting.on.child()
        {
            self.below.insert(child, step);
        }
    }

    /// Keeps up with what is being executed.
    fn follow(&mut self, turn: Turn, recorded: &Recorded) {
        let Some(ix) = recorded.event.unit() else { return };
        if let Event::StepWaiting(waiting) = &recorded.event
            && let Some(child) = waiting.on.child()
        {
            // It goes on elsewhere.
            self.below.insert(child, ix);
            return;
        }
        match turn {
            Turn::Begins => {
                let attempt = recorded.event.attempt().unwrap_or(1);
                let step = self.steps.entry(ix).or_insert_with(|| Step::new(attempt, began(recorded)));
                step.running = true;
                if step.attempt != attempt || matches!(recorded.event, Event::StepBegun(_)) {
                    *step = Step::new(attempt, began(recorded));
                }
            }
            Turn::Fails | Turn::Rests => {
                let goes_on = matches!(recorded.event, Event::StepWaiting(_));
                if goes_on {
                    if let Some(step) = self.steps.get_mut(&ix) {
                        step.running = false;
                    }
                } else {
                    self.steps.remove(&ix);
                }
                if let Manner::Bars(bars) = &mut self.manner {
                    bars.rest(ix);
                }
            }
            Turn::Other => {}
        }
    }

    fn line(&mut self, step: Unit, line: &LogLine) {
        self.wrote = true;
        if matches!(self.manner, Manner::Silent | Manner::Stream) {
            return;
        }
        let cut: String = line.text.chars().take(LINE).collect();
        let text = escape::line(&cut).into_owned();
        if self.all_lines {
            let style = self.output.err();
            let bar = style.either("│", "|");
            let name = escape::line(&self.names.of(step)).into_owned();
            self.say(&format!("{} {text}", style.tint(Tint::Dim, &format!("{name} {bar}"))));
        }
        if let Some(step) = self.steps.get_mut(&step) {
            if step.tail.len() == TAIL {
                step.tail.pop_front();
            }
            step.tail.push_back(text);
            step.far = None;
        }
    }

    /// A step says how far it is: shown in its moving line, and nowhere else.
    fn far(&mut self, step: Unit, text: &str) {
        if let Some(step) = self.steps.get_mut(&step) {
            let cut: String = text.chars().take(LINE).collect();
            step.far = Some(escape::line(&cut).into_owned());
        }
    }

    /// The last lines of a step, as they stand below it.
    fn tail(&self, step: Unit) -> Vec<String> {
        let style = self.output.err();
        let bar = style.tint(Tint::Dim, style.either("│", "|")).to_string();
        let lines = self.steps.get(&step).map(|step| step.tail.iter());
        lines.into_iter().flatten().map(|line| format!("  {bar} {line}")).collect()
    }
}

/// Whether a step waits for a person from here on.
const fn asks_someone(event: &Event) -> bool {
    match event {
        Event::StepWaiting(event) => !matches!(event.on, WaitOn::Until),
        Event::StepOutcomeUnknown(_) => true,
        Event::StepLost(event) => matches!(event.then, AfterLoss::Unknown | AfterLoss::Quarantine),
        _ => false,
    }
}
