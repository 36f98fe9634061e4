//! What stands on the screen: pure, from what is known to lines.

use std::time::Duration;

use orchestrator_core::engine::RunReport;
use orchestrator_core::id::{RunId, Unit};
use orchestrator_core::port::store::{NumberedLine, RunRow};
use orchestrator_core::time::Timestamp;

use crate::graph::sign;
use crate::output::style::{Style, Tint, tint_of};
use crate::output::{escape, moment};
use crate::situation::Situation;
use crate::watch::known::{Known, Step};
use crate::watch::line::{Line, columns};
use crate::workflow::counted;

/// All that a picture of a moment is made of.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) run: RunId,
    pub(crate) row: &'a RunRow,
    pub(crate) known: &'a Known,
    /// The last lines of output.
    pub(crate) logs: &'a [NumberedLine],
    pub(crate) situation: Option<&'a Situation>,
    pub(crate) now: Timestamp,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) style: &'a Style,
}

/// The narrowest timeline that says anything.
const LEAST_BAR: usize = 12;

/// The widest column of names.
const MOST_NAME: usize = 32;

/// The lines of the screen, never more than its height.
pub(crate) fn frame(frame: &Frame<'_>) -> Vec<String> {
    let mut lines = head(frame);
    let mut foot = foot(frame);
    let room = frame.height.saturating_sub(lines.len() + foot.len());
    let logs = frame.logs.len().min(room / 3);
    let rows = room.saturating_sub(if logs > 0 { logs + 1 } else { 0 });
    lines.extend(table(frame, rows));
    if logs > 0 {
        lines.push(Line::default());
        lines.extend(frame.logs[frame.logs.len() - logs..].iter().map(|line| log(frame, line)));
    }
    while lines.len() + foot.len() < frame.height {
        lines.push(Line::default());
    }
    lines.append(&mut foot);
    lines.truncate(frame.height);
    lines.iter().map(|line| line.render(frame.width, frame.style)).collect()
}

fn head(frame: &Frame<'_>) -> Vec<Line> {
    let Frame { row, known, style, .. } = frame;
    let status = &*row.status;
    let tint = Some(tint_of(status));
    let mut first = Line::of(format!("{} ", style.bare_mark(status)), tint);
    first.add(escape::line(&row.new.workflow), Some(Tint::Strong)).add("  ", None).add(status, tint);
    if let Some(start) = row.started_at {
        let took = row.finished_at.unwrap_or(frame.now).since(start);
        first.add(format!("  {}", moment::duration(took)), None);
    }
    first.add(format!("  {}", frame.run), Some(Tint::Dim));
    let (ended, all) = (known.ended(), known.len());
    let mut second = bar(frame, ended, all);
    second.add(format!(" {ended} of {}", counted(all, "step")), None);
    for (state, count) in known.tally.states() {
        if state != "pending" {
            second.add(
                format!("  {} {count} {}", sign(state, style), state.replace('_', " ")),
                Some(tint_of(state)),
            );
        }
    }
    vec![first, second, Line::default()]
}

/// How much of the run is done.
fn bar(frame: &Frame<'_>, ended: usize, all: usize) -> Line {
    let wide = (frame.width / 5).clamp(8, 30);
    let full = (ended * wide).checked_div(all).unwrap_or(0);
    let mut line = Line::of(frame.style.either("━", "=").repeat(full), Some(Tint::Good));
    line.add(frame.style.either("─", "-").repeat(wide - full), Some(Tint::Dim));
    line
}

/// The steps that are shown, and what could not be.
fn chosen(known: &Known, rows: usize) -> (Vec<Unit>, String) {
    let rows = rows.saturating_sub(1);
    let quarter = (rows / 4).max(1);
    let waiting = known.waiting.len().min(quarter);
    let failed = known.failed.len().min(quarter);
    let running = known.running.len().min(rows.saturating_sub(waiting + failed));
    let done = known.done.len().min(rows.saturating_sub(waiting + failed + running));
    let mut shown: Vec<Unit> = known.running.iter().take(running).map(|(_, step)| *step).collect();
    shown.extend(known.waiting.iter().take(waiting));
    shown.extend(known.failed.iter().rev().take(failed));
    shown.extend(known.done.iter().rev().take(done));
    let hidden: Vec<String> = [
        (known.running.len() - running, "running"),
        (known.waiting.len() - waiting, "waiting"),
        (known.failed.len() - failed, "failed"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{count} {word}"))
    .collect();
    (shown, hidden.join(", "))
}

fn table(frame: &Frame<'_>, rows: usize) -> Vec<Line> {
    let Frame { known, style, .. } = frame;
    if rows < 2 {
        return Vec::new();
    }
    let (mut shown, mut hidden) = chosen(known, rows);
    if !hidden.is_empty() {
        (shown, hidden) = chosen(known, rows - 1);
    }
    let name = |step: Unit| escape::line(&known.names.of(step)).into_owned();
    let wide = shown.iter().map(|step| columns(&name(*step))).max().unwrap_or(4).clamp(4, MOST_NAME);
    // Sign, name, status, duration, attempts, and the gaps between.
    let fixed = 2 + wide + 2 + 15 + 2 + 7 + 2 + 3 + 2;
    let room = frame.width.saturating_sub(fixed);
    let begun = shown.iter().filter_map(|step| known.step(*step).began).min();
    let window = begun.filter(|_| room >= LEAST_BAR).map(|begun| (begun, frame.now, room));
    let mut header = Line::of(
        format!("  {:<wide$}  {:<15}  {:>7}  {:>3}", "STEP", "STATUS", "TOOK", "TRY"),
        Some(Tint::Dim),
    );
    if let (Some((begun, _, room)), Some(start)) = (window, frame.row.started_at) {
        let (from, to) = (moment::offset(start, begun), moment::offset(start, frame.now));
        let gap = room.saturating_sub(from.len() + to.len());
        header.add(format!("  {from}{:gap$}{to}", ""), Some(Tint::Dim));
    }
    let mut lines = vec![header];
    for ix in shown {
        let step = known.step(ix);
        let tint = Some(tint_of(step.status));
        let mut line = Line::of(format!("{} ", sign(step.status, style)), tint);
        let name = name(ix);
        let shown: String = name.chars().take(wide).collect();
        let pad = wide.saturating_sub(columns(&shown));
        line.add(format!("{shown}{:pad$}  ", ""), None)
            .add(format!("{:<15}", step.status.replace('_', " ")), tint);
        let took = step.began.map(|began| moment::duration(step.ended.unwrap_or(frame.now).since(began)));
        let tries = if step.attempts > 1 { step.attempts.to_string() } else { String::new() };
        line.add(format!("  {:>7}  {tries:>3}  ", took.unwrap_or_default()), None);
        if let Some(window) = window {
            line.add(gantt(&step, window, style), tint);
        }
        lines.push(line);
    }
    if !hidden.is_empty() {
        lines.push(Line::of(format!("  not shown: {hidden}"), Some(Tint::Dim)));
    }
    lines
}

/// A step's bar in the window of time `(from, to, columns)`. How it ends is told without colours too.
fn gantt(step: &Step, (from, to, room): (Timestamp, Timestamp, usize), style: &Style) -> String {
    let Some(began) = step.began else { return String::new() };
    let whole = to.since(from).max(Duration::from_millis(1)).as_millis();
    let at = |moment: Timestamp| {
        let share = moment.since(from).as_millis() * (room as u128 - 1) / whole;
        usize::try_from(share).unwrap_or(usize::MAX).min(room - 1)
    };
    let (start, end) = (at(began), at(step.ended.unwrap_or(to)));
    let tip = match step.status {
        "running" => style.either("▶", ">"),
        "failed" => style.either("✘", "x"),
        "completed" => style.either("━", "="),
        other => sign(other, style),
    };
    format!("{:start$}{}{tip}", "", style.either("━", "=").repeat(end.saturating_sub(start)))
}

fn log(frame: &Frame<'_>, numbered: &NumberedLine) -> Line {
    let line = &numbered.line;
    let stderr = line.stream.as_str() == "stderr";
    let name = escape::line(&frame.known.names.of(Unit::new(line.step, line.item))).into_owned();
    let mut shown = Line::of(name, Some(Tint::Dim));
    shown.add(frame.style.either(" │ ", " | "), Some(if stderr { Tint::Warn } else { Tint::Dim }));
    shown.add(escape::line(&line.text).replace('\t', "    "), None);
    shown
}

fn foot(frame: &Frame<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(situation) = frame.situation {
        let mark = frame.style.bare_mark("waiting");
        lines.push(Line::of(format!("{mark} {}", situation.text), Some(Tint::Warn)));
        lines.push(Line::of(format!("  {}", situation.command), None));
    }
    lines.push(Line::of("q leaves the run as it is", Some(Tint::Dim)));
    lines
}

/// The steps that say most about how a run has ended, for those who have watched it.
pub(crate) fn afterwards(report: &RunReport, style: &Style) -> Vec<String> {
    let failed = report.steps.iter().filter(|step| step.status == "failed").take(10);
    failed
        .map(|step| {
            let error = step.error.as_deref().map(crate::output::block::first_line).unwrap_or_default();
            format!("{} {} {error}", style.mark("failed"), escape::line(&step.id))
        })
        .collect()
}
