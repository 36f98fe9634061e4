//! Driving a run here, to its end or until only someone else can move it.

use std::collections::BTreeSet;
use std::time::Duration;

use orchestrator_core::engine::{Engine, Live, Progress, RunHandle, RunReport, StepReport};
use orchestrator_core::id::{RunId, Unit};
use orchestrator_core::value::Digest;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::MissedTickBehavior;

use crate::app::App;
use crate::args::Reports;
use crate::exit::Exit;
use crate::output::style::Tint;
use crate::output::{Problem, block, moment};
use crate::progress::View;
use crate::report::{self, Place};
use crate::shell::quoted;
use crate::signals::Signals;
use crate::situation::{self, Situation};
use crate::user;

/// How often moving lines are drawn.
const FRAME: Duration = Duration::from_millis(90);

/// A run that is driven here.
#[derive(Debug)]
pub(crate) struct Driving<'a> {
    pub(crate) app: &'a App,
    pub(crate) engine: &'a Engine,
    pub(crate) handle: RunHandle,
    pub(crate) live: broadcast::Receiver<Live>,
    pub(crate) view: View<'a>,
    pub(crate) signals: Signals,
    /// The waiting steps that have been told of, with what they wait for.
    pub(crate) told: BTreeSet<(RunId, Unit, u32, Option<Digest>)>,
    /// The reports that are asked for, if any are, and where the workflow stands.
    pub(crate) reports: Option<(&'a Reports, Place)>,
}

/// Why driving has come to an end.
#[derive(Debug)]
enum End {
    /// The run has ended.
    Ended,
    /// This engine no longer drives the run.
    LetGo,
    /// Only someone can move it, and nobody is watching.
    Stuck,
    /// We were told to stop.
    Told(Exit),
}

impl Driving<'_> {
    /// Drives on until there is nothing more to do here; prints the result.
    pub(crate) async fn drive(mut self) -> Result<Exit, Problem> {
        let end = self.follow().await?;
        if let End::Told(exit) = end {
            if exit == Exit::Signal(2) {
                self.view.key_was_shown();
            }
            self.stop_orderly().await;
        }
        self.drain();
        let report = self.report().await?;
        if let End::Stuck = end {
            self.tell_questions(&report);
        }
        self.view.end();
        let written = match &self.reports {
            Some((reports, place)) => {
                report::write(self.app, self.engine.store(), reports, &report, place).await
            }
            None => Ok(()),
        };
        let exit = self.conclude(&end, &report).await?;
        if !matches!(end, End::Told(_)) {
            self.engine.stop(self.app.settings.grace()).await;
        }
        report::after(self.app, written, exit)
    }

    async fn follow(&mut self) -> Result<End, Problem> {
        let mut progress = self.handle.progress();
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut told_stuck_at = None;
        loop {
            let now = progress.borrow_and_update().clone();
            self.view.done(now.done);
            if now.ended {
                return Ok(End::Ended);
            }
            let stands_still = matches!(now.status, "blocked" | "paused") || !now.driven;
            if stands_still && told_stuck_at != Some(now.seq) {
                told_stuck_at = Some(now.seq);
                if let Some(end) = self.stands_still(&now).await? {
                    return Ok(end);
                }
            }
            tokio::select! {
                exit = self.signals.next() => return Ok(End::Told(exit)),
                changed = progress.changed() => if changed.is_err() { return Ok(End::LetGo) },
                live = self.live.recv() => match live {
                    Ok(live) => {
                        self.view.live(live);
                        if self.view.asks() {
                            let report = self.handle.outline().await?;
                            self.tell_questions(&report);
                        }
                    }
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(End::LetGo),
                },
                _ = frames.tick(), if self.view.moves() => self.view.draw(),
            }
        }
    }

    /// The run as it is told at the end: what its steps gave is for programs.
    async fn report(&self) -> Result<RunReport, Problem> {
        match self.app.output.json() {
            Some(_) => Ok(self.handle.report().await?),
            None => Ok(self.handle.outline().await?),
        }
    }

    /// Nothing moves by itself: tells what would, and decides whether to stay.
    async fn stands_still(&mut self, now: &Progress) -> Result<Option<End>, Problem> {
        let report = self.handle.outline().await?;
        if report.has_ended() || {
            let executed = |step: &StepReport| step.status == "running" && step.attempts > 0;
            report.steps.iter().any(executed)
        } {
            return Ok(None);
        }
        if !now.driven && now.status != "blocked" && now.status != "paused" {
            return Ok(Some(End::LetGo));
        }
        if !self.app.output.is_watched() || self.app.output.json().is_some() {
            return Ok(Some(End::Stuck));
        }
        if self.is_gone_with_us() {
            return Ok(Some(End::Stuck));
        }
        self.drain();
        self.tell_questions(&report);
        if now.status == "paused" {
            for line in self.way_on(&report).await? {
                self.view.say(&line);
            }
        }
        let staying =
            self.app.output.err().tint(Tint::Dim, "waiting; Ctrl-C leaves the run as it is").to_string();
        self.view.say(&format!("  {staying}"));
        Ok(None)
    }

    /// Tells every step that waits for someone, once: what is asked, and the commands that answer.
    fn tell_questions(&mut self, report: &RunReport) {
        for waiting in report.waiting_for.iter().filter(|waiting| waiting.needs_someone()) {
            if self.told.insert((waiting.run, waiting.ix, waiting.attempt, waiting.digest)) {
                let shell = (!self.is_gone_with_us()).then_some(&self.app.shell);
                for line in block::waiting(waiting, shell, self.app.output.err()) {
                    self.view.say(&line);
                }
            }
        }
    }

    /// Tells what has happened already.
    fn drain(&mut self) {
        loop {
            match self.live.try_recv() {
                Ok(live) => self.view.live(live),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Stops as the first signal asks; a second one ends the process at once.
    async fn stop_orderly(&mut self) {
        let grace = self.app.settings.grace();
        // A step that has begun just now is among those that have time to end.
        self.drain();
        if self.view.is_busy() {
            let mark = self.app.output.err().mark("warn");
            let grace = moment::duration(grace);
            self.view.say(&format!(
                "{mark} stopping: nothing new begins, running steps have {grace} to end; Ctrl-C again stops at once"
            ));
        }
        let stop = self.engine.stop(grace);
        tokio::pin!(stop);
        let mut frames = tokio::time::interval(FRAME);
        loop {
            tokio::select! {
                () = &mut stop => return,
                exit = self.signals.next() => {
                    self.view.end();
                    std::process::exit(i32::from(exit.code()));
                }
                Ok(live) = self.live.recv() => self.view.live(live),
                _ = frames.tick(), if self.view.moves() => self.view.draw(),
            }
        }
    }

    /// Prints the result and says what it means for the caller.
    async fn conclude(&mut self, end: &End, report: &RunReport) -> Result<Exit, Problem> {
        let app = self.app;
        if app.output.json().is_some() {
            // The result is given whatever it is; a reader that has gone away changes nothing about the run.
            match app.output.print_json(report) {
                Err(problem) if !problem.is_silent() => return Err(problem),
                _ => {}
            }
        } else {
            self.tell_result(report, matches!(end, End::Told(_)))?;
        }
        if report.has_ended() {
            return Ok(match end {
                End::Told(exit) => *exit,
                _ => Exit::of_status(&report.status),
            });
        }
        let situation = self.situation(report).await?;
        let stopped = matches!(end, End::Told(_));
        let next = match &situation {
            _ if self.is_gone_with_us() => None,
            Some(situation) if !stopped || situation.needs_someone && situation.kind != "undriven" => {
                Some(situation.command.clone())
            }
            _ => Some(app.shell.runs("resume", report.run_id)),
        };
        let text = situation.map_or_else(|| report.status.to_owned(), |situation| situation.text);
        if let End::Told(exit) = end {
            let style = app.output.err();
            match next {
                Some(next) => app.output.note(&format!("  {} {next}", style.tint(Tint::Strong, "go on:"))),
                None => app.output.note("  it was kept in memory only, and is gone"),
            }
            return Ok(*exit);
        }
        if app.output.json().is_some() {
            let problem =
                Problem::new(Exit::Waiting, "waits_for_someone", format!("{}: {text}", report.run_id));
            return Err(match next {
                Some(next) => problem.tries(next),
                None => problem,
            });
        }
        if self.view.is_silent() {
            self.told.clear();
        }
        for line in self.way_on(report).await? {
            app.output.say(&line);
        }
        Ok(Exit::Waiting)
    }

    /// The lines that say what would move the run, apart from what has been told already.
    async fn way_on(&mut self, report: &RunReport) -> Result<Vec<String>, Problem> {
        let style = self.app.output.err();
        if self.is_gone_with_us() {
            let text = "the run is kept in memory, where no other command reaches it";
            return Ok(vec![
                format!("{} {text}", style.mark("warn")),
                format!("  {} --store sqlite:PATH", style.tint(Tint::Strong, "try:")),
            ]);
        }
        let needs: Vec<_> = report.waiting_for.iter().filter(|waiting| waiting.needs_someone()).collect();
        let is_served =
            |waiting: &&orchestrator_core::engine::Waiting| !matches!(waiting.kind, "worker" | "queue");
        if (report.status == "blocked" || !needs.iter().any(is_served)) && !needs.is_empty() {
            let untold = needs.into_iter().filter(|waiting| {
                self.told.insert((waiting.run, waiting.ix, waiting.attempt, waiting.digest))
            });
            return Ok(untold
                .flat_map(|waiting| block::waiting(waiting, Some(&self.app.shell), style))
                .collect());
        }
        let Some(situation) = self.situation(report).await? else { return Ok(Vec::new()) };
        Ok(vec![
            format!("{} the run {}", style.mark("waiting"), situation.text),
            format!("  {}", situation.command),
        ])
    }

    async fn situation(&self, report: &RunReport) -> Result<Option<Situation>, Problem> {
        let store = self.engine.store();
        let Some(row) = store.run(report.run_id).await? else { return Ok(None) };
        let now = store.now().await?;
        // Not by the id: one that was not believed to live any longer goes by another.
        let driver = situation::driver(store, &row, now).await?;
        let driver = driver.filter(|owner| owner.label != user::process());
        Ok(situation::of(&row, driver.as_ref(), report, now, &self.app.shell))
    }

    fn is_gone_with_us(&self) -> bool {
        self.engine.store().describe().kind == "memory"
    }

    /// For people: the headline and the way to more on stderr, the outputs on stdout.
    fn tell_result(&self, report: &RunReport, stopped: bool) -> Result<(), Problem> {
        let output = &self.app.output;
        let style = output.err();
        let now = report.finished_at.unwrap_or_else(orchestrator_core::time::wall_clock);
        if report.has_ended() || !output.is_quiet() {
            let line = if stopped && report.status == "running" {
                block::stopped(report, style)
            } else {
                block::headline(report, now, style)
            };
            if output.is_quiet() && report.status != "completed" {
                output.say(&line);
            } else {
                output.note(&line);
            }
        }
        let failed = report.steps.iter().find(|step| step.status == "failed");
        if let (Some(error), None) = (&report.error, failed) {
            output.say(&format!("  {}", block::first_line(error)));
        }
        if let Some(step) = failed
            && output.is_quiet()
        {
            let error = step.error.as_deref().map(block::first_line).unwrap_or_default();
            output.say(&format!("{} {}: {error}", style.mark("failed"), step.id));
        }
        let not_undone: Vec<&str> = report.not_undone().map(|step| &*step.id).collect();
        if !not_undone.is_empty() {
            let retry = self.app.shell.runs("retry", report.run_id);
            output.say(&format!("{} not undone: {}", style.mark("warn"), not_undone.join(", ")));
            output.note(&format!("  {} {retry}", style.tint(Tint::Dim, "to go on with that:")));
        }
        let has_outputs = report.outputs.as_object().is_some_and(|outputs| !outputs.is_empty());
        if has_outputs {
            match output.print(&block::values(&report.outputs, output.out())) {
                Err(problem) if !problem.is_silent() => return Err(problem),
                _ => {}
            }
        }
        // Where nothing has begun, nothing was written: of a step with items, its items have.
        let failed = report.steps.iter().find(|step| step.status == "failed" && step.attempts > 0);
        let more = match failed {
            _ if !report.has_ended() || self.is_gone_with_us() => None,
            // What carries out a step writes for itself.
            Some(StepReport { child: Some(child), .. }) => Some(child.to_string()),
            Some(step) => Some(format!("{} --step {}", report.run_id, quoted(&step.name()))),
            None if self.view.has_lines() && !has_outputs => Some(report.run_id.to_string()),
            None => None,
        };
        if let Some(words) = more {
            let words = format!("runs logs {words}");
            let command = self.app.shell.command(words.trim_end());
            output.note(&format!("  {} {command}", style.tint(Tint::Dim, "what it wrote:")));
        }
        Ok(())
    }
}
