//! A run, its outputs and its approvals as blocks of text for people.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write as _;

use orchestrator_core::engine::{RunReport, StepReport, Waiting};
use orchestrator_core::spec::Stage;
use orchestrator_core::time::Timestamp;
use serde_json::Value;

use crate::output::style::{Style, Tint};
use crate::output::{escape, moment, size};
use crate::shell::Shell;
use crate::situation;
use crate::workflow::counted;

/// The most items of a step that are shown one by one.
const MAX_ITEMS: usize = 20;

/// The most lines of a text that are shown before it is cut.
const MAX_LINES: usize = 200;

/// The most lines and characters of a value that are shown where there is a command that prints all of it.
const MAX_BRIEF_LINES: usize = 20;
const MAX_BRIEF: usize = 2_000;

/// Named values: `name: value`, long texts as an indented block below the name.
pub(crate) fn values(values: &Value, style: &Style) -> String {
    named(values, style, |field| value(field, 2))
}

/// As [`values`], but long ones are cut: with how long they are, and the command that prints `all`.
pub(crate) fn brief(values: &Value, style: &Style, all: &str) -> String {
    named(values, style, |field| cut(field, &value(field, 2), all))
}

/// The beginning of a value that is shown; all of it if it is short.
fn cut(whole: &Value, shown: &str, all: &str) -> String {
    // A block begins with the end of the line before it.
    let lines = shown.match_indices('\n').map(|(at, _)| at).nth(MAX_BRIEF_LINES);
    let chars = shown.char_indices().map(|(at, _)| at).nth(MAX_BRIEF);
    let Some(end) = lines.into_iter().chain(chars).min() else { return shown.to_owned() };
    let len = whole.as_str().map_or_else(|| whole.to_string().len(), str::len);
    let len = size::bytes(len as u64);
    let gap = if shown.starts_with('\n') { "\n  " } else { " " };
    format!("{}{gap}… ({len} in all: {all})", shown[..end].trim_end())
}

fn named(values: &Value, style: &Style, show: impl Fn(&Value) -> String) -> String {
    let Value::Object(fields) = values else { return show(values) };
    let mut text = String::new();
    for (name, field) in fields {
        let name = style.tint(Tint::Strong, &escape::line(name)).to_string();
        let shown = show(field);
        let gap = if shown.starts_with('\n') { "" } else { " " };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}:{gap}{shown}");
    }
    text.truncate(text.trim_end().len());
    text
}

/// One value. A text of one line stays on the line; anything longer begins on the next one, `indent` deep.
pub(crate) fn value(value: &Value, indent: usize) -> String {
    let text = match value {
        Value::String(text) => text.trim_end_matches('\n').to_owned(),
        Value::Object(_) | Value::Array(_) if value.to_string().len() > 60 => {
            // A value that was read as JSON can be written as JSON.
            serde_json::to_string_pretty(value).unwrap_or_default()
        }
        other => other.to_string(),
    };
    if !text.contains('\n') {
        return escape::line(&text).into_owned();
    }
    let total = text.lines().count();
    let mut block = String::new();
    for line in text.lines().take(MAX_LINES) {
        let depth = if line.is_empty() { 0 } else { indent };
        let _ = write!(block, "\n{:depth$}{}", "", escape::line(line));
    }
    if total > MAX_LINES {
        let _ = write!(block, "\n{:indent$}… ({} more lines; --json shows all)", "", total - MAX_LINES);
    }
    block
}

/// Status, name and duration of a run, on one line.
pub(crate) fn headline(report: &RunReport, now: Timestamp, style: &Style) -> String {
    let workflow = escape::line(&report.workflow);
    let took = report.started_at.map(|start| report.finished_at.unwrap_or(now).since(start));
    let mut line = format!(
        "{} {} {}",
        style.mark(&report.status),
        style.tint(Tint::Strong, &workflow),
        style.status(&report.status)
    );
    if let Some(took) = took.filter(|_| report.has_ended()) {
        // Writing to a String cannot fail.
        let _ = write!(line, " in {}", moment::duration(took));
    }
    let _ = write!(line, "  {}", style.tint(Tint::Dim, &report.run_id.to_string()));
    line
}

/// What waits for someone: what is asked and shown.
pub(crate) fn question(waiting: &Waiting, style: &Style) -> Vec<String> {
    let step = style.tint(Tint::Strong, &escape::line(&waiting.name())).to_string();
    let asks = match waiting.kind {
        "approval" => " waits for approval:",
        "qa" => " needs QA:",
        "signal" | "worker" | "task" | "queue" => "",
        _ => ":",
    };
    let mut lines = vec![format!("{} {step}{asks} {}", style.mark("waiting"), first_line(&waiting.message))];
    if let Some(show) = &waiting.show {
        let bar = style.tint(Tint::Dim, style.either("│", "|")).to_string();
        lines.extend(value(show, 0).trim_start_matches('\n').lines().map(|line| format!("  {bar} {line}")));
    }
    if let Some(until) = waiting.until {
        lines.push(format!("  until {until}"));
    }
    lines
}

/// What waits for someone, and (where there is a shell that can give them) the commands that answer.
pub(crate) fn waiting(waiting: &Waiting, shell: Option<&Shell>, style: &Style) -> Vec<String> {
    let mut lines = question(waiting, style);
    let answers = shell.map(|shell| situation::answers(waiting, shell)).unwrap_or_default();
    let wide = answers.iter().map(|(label, _)| label.len()).max().unwrap_or(0) + 1;
    for (label, command) in answers {
        let label = format!("{:<wide$}", format!("{label}:"));
        lines.push(format!("  {} {command}", style.tint(Tint::Strong, &label)));
    }
    lines
}

/// How far a run is that was stopped on the way.
pub(crate) fn stopped(report: &RunReport, style: &Style) -> String {
    let own = |step: &&StepReport| step.item.is_none() && step.stage != Stage::Compensation.key();
    let ended = report.steps.iter().filter(own).filter(|step| step.finished_at.is_some()).count();
    let workflow = escape::line(&report.workflow).into_owned();
    format!(
        "{} {} stopped after {ended} of {}  {}",
        style.mark("cancelled"),
        style.tint(Tint::Strong, &workflow),
        counted(report.counted_steps(), "step"),
        style.tint(Tint::Dim, &report.run_id.to_string())
    )
}

/// The rows of a table of steps.
pub(crate) fn step_rows(steps: &[StepReport], now: Timestamp) -> Vec<Vec<String>> {
    let needed = steps.chunk_by(|_, next| next.item.is_some()).filter(|step| !step[0].is_idle());
    let rows = in_order(steps, needed.collect()).into_iter().flat_map(|step| {
        let items = &step[1..];
        let shown = |item: &&StepReport| items.len() <= MAX_ITEMS || item.status != "completed";
        let hidden = items.len() - items.iter().filter(shown).take(MAX_ITEMS).count();
        let rest = (hidden > 0).then(|| {
            let done = items.iter().filter(|item| item.status == "completed").count();
            let text = format!("  {done} of {} completed; --json shows all", counted(items.len(), "item"));
            vec![text, String::new(), String::new(), String::new(), String::new()]
        });
        let items = items.iter().filter(shown).take(MAX_ITEMS);
        step[..1].iter().chain(items).map(|step| step_row(step, now)).chain(rest).collect::<Vec<_>>()
    });
    rows.collect()
}

/// Steps in the order of the text, but compensations in the order in which they are undone.
fn in_order<'a>(steps: &[StepReport], mut shown: Vec<&'a [StepReport]>) -> Vec<&'a [StepReport]> {
    let undone = Stage::Compensation.key();
    let ended: HashMap<&str, Option<Timestamp>> = steps
        .iter()
        .filter(|step| step.item.is_none() && step.stage == Stage::Main.key())
        .map(|step| (&*step.id, step.finished_at))
        .collect();
    // Whose turn has not come yet follows those that have begun; of these, what has ended last is undone first.
    let turn = |step: &&[StepReport]| {
        let name = step[0].id.strip_suffix(".compensate").unwrap_or(&step[0].id);
        let ended = ended.get(name).copied().flatten();
        (step[0].started_at.is_none(), step[0].started_at, Reverse(ended))
    };
    let begin = shown.iter().position(|step| step[0].stage == undone).unwrap_or(shown.len());
    let count = shown[begin..].iter().take_while(|step| step[0].stage == undone).count();
    shown[begin..begin + count].sort_by_key(turn);
    shown
}

fn step_row(step: &StepReport, now: Timestamp) -> Vec<String> {
    let took = step.started_at.map(|start| step.finished_at.unwrap_or(now).since(start));
    let about = match (&step.error, step.due_at) {
        (Some(error), _) => first_line(error),
        (None, None) if step.child.is_some() => step.child.map(|run| run.to_string()).unwrap_or_default(),
        (None, Some(due)) if step.finished_at.is_none() => format!("due {}", moment::relative(due, now)),
        _ => String::new(),
    };
    let name = match step.item {
        None => escape::line(&step.id).into_owned(),
        Some(item) => format!("  [{item}]"),
    };
    vec![
        name,
        step.status.to_owned(),
        took.map(moment::duration).unwrap_or_default(),
        if step.attempts > 0 { step.attempts.to_string() } else { String::new() },
        about,
    ]
}

/// The first line of a message, for a line of its own.
pub(crate) fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cut: String = line.chars().take(200).collect();
    let more = cut.len() < text.trim_end().len();
    format!("{}{}", escape::line(&cut), if more { " …" } else { "" })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_read_like_a_letter() {
        let shown = values(
            &json!({"count": 3, "title": "one line", "notes": "two\n\nlines\n", "list": ["a", 1]}),
            &Style::plain(),
        );
        let text = |lines: usize| (0..lines).map(|line| format!("{line}\n")).collect::<String>();
        let long = json!({"a": text(20), "b": text(21), "c": "x".repeat(2_001), "d": "é".repeat(2_000)});
        let shown_short = brief(&long, &Style::plain(), "ALL");
        let told: Vec<&str> = shown_short.lines().filter(|line| line.contains("ALL")).collect();
        assert_eq!(told.len(), 2, "{shown_short}");
        assert!(shown_short.contains("\n  19\n  … (53 B in all: ALL)\nc: xxx"), "{shown_short}");
        assert!(told[1].ends_with("xxx … (2.0 KiB in all: ALL)"), "{shown_short}");
        assert_eq!(shown, "count: 3\nlist: [\"a\",1]\nnotes:\n  two\n\n  lines\ntitle: one line");
    }
}
