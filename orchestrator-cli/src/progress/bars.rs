//! A line per running step that moves, with one below for the whole run.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use orchestrator_core::id::Unit;
use rustix::termios::{LocalModes, tcgetattr};

use crate::output::style::{Style, Tint};
use crate::output::{moment, watched_size};

/// How often the lines are drawn anew at most, per second.
const HERTZ: u8 = 12;

/// The lines.
pub(super) struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    steps: BTreeMap<Unit, ProgressBar>,
    look: ProgressStyle,
    began: Instant,
}

impl std::fmt::Debug for Bars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bars").field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

/// A running step as its line shows it.
#[derive(Debug)]
pub(super) struct Running<'a> {
    pub(super) step: Unit,
    pub(super) name: Cow<'a, str>,
    pub(super) attempt: u32,
    pub(super) since: Duration,
    pub(super) last_line: &'a str,
}

impl Bars {
    /// Lines at the foot of the terminal.
    pub(super) fn new(style: &Style) -> Self {
        let ticks = style.either("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ", "|/-\\ ");
        // The template is a constant that is known to be well formed.
        let look = ProgressStyle::with_template("{spinner} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
            .tick_chars(ticks);
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(HERTZ));
        let total = all.add(ProgressBar::new_spinner().with_style(look.clone()));
        Self { all, total, steps: BTreeMap::new(), look, began: Instant::now() }
    }

    /// Prints a line above the moving ones; it stays.
    pub(super) fn print(&self, line: &str) {
        // Where the terminal is gone there is nobody to tell.
        let _ = self.all.println(line);
    }

    /// Undoes what the terminal has done to the lines when it showed `^C`: the last line is filled up to its end, so
    /// that the sign has gone to a line of its own, which nobody has counted.
    pub(super) fn key_was_shown(&self) {
        let shows = LocalModes::ECHO | LocalModes::ECHOCTL;
        if tcgetattr(std::io::stdin()).is_ok_and(|modes| modes.local_modes.contains(shows)) {
            // Erase that line, go up one. Where the terminal is gone there is nothing to mend.
            let _ = std::io::stderr().write_all(b"\r\x1b[K\x1b[1A");
        }
    }

    /// Draws what is running now.
    pub(super) fn draw(&mut self, running: &[Running<'_>], done: u32, total: usize, style: &Style) {
        let room = watched_size().map_or(8, |(rows, _)| usize::from(rows).saturating_sub(4).max(1));
        let shown = &running[..running.len().min(room)];
        let gone: Vec<Unit> = self
            .steps
            .keys()
            .filter(|step| !shown.iter().any(|running| running.step == **step))
            .copied()
            .collect();
        for step in gone {
            self.rest(step);
        }
        for running in shown {
            let bar = self.steps.entry(running.step).or_insert_with(|| {
                self.all.insert_before(&self.total, ProgressBar::new_spinner().with_style(self.look.clone()))
            });
            bar.set_message(message(running, style));
            bar.tick();
        }
        let more = running.len() - shown.len();
        let more = if more > 0 { format!(" · {more} more running") } else { String::new() };
        let took = moment::duration(Duration::from_secs(self.began.elapsed().as_secs()));
        let text = format!("{done}/{total} steps · {took}{more}");
        self.total.set_message(style.tint(Tint::Dim, &text).to_string());
        self.total.tick();
    }

    /// Takes away the line of a step that does not run any more.
    pub(super) fn rest(&mut self, step: Unit) {
        if let Some(bar) = self.steps.remove(&step) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    /// Takes all moving lines away.
    pub(super) fn end(&mut self) {
        for step in self.steps.keys().copied().collect::<Vec<_>>() {
            self.rest(step);
        }
        self.total.finish_and_clear();
    }
}

fn message(running: &Running<'_>, style: &Style) -> String {
    let attempt = if running.attempt > 1 { format!(" (attempt {})", running.attempt) } else { String::new() };
    let took = if running.since >= Duration::from_secs(1) {
        format!(" {}", moment::duration(running.since))
    } else {
        String::new()
    };
    let line = if running.last_line.is_empty() { String::new() } else { format!("  {}", running.last_line) };
    format!("{}{attempt}{took}{}", running.name, style.tint(Tint::Dim, &line))
}
