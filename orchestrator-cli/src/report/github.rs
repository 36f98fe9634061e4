//! For GitHub Actions: annotations at the place of a failed step, and the job's summary in Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use orchestrator_core::engine::{RunReport, StepReport};

use crate::graph::sign;
use crate::output::moment;
use crate::output::style::Style;
use crate::report::write::has_gone_wrong;
use crate::report::{Place, Tail};
use crate::workflow::counted;

/// The most steps in the table: GitHub takes a summary of at most 1 MiB.
const MOST_ROWS: usize = 500;

/// The most annotations: GitHub shows ten of a kind for a step of a job.
const MOST_ANNOTATIONS: usize = 10;

/// One `::error` line for each step that has not gone well.
pub(super) fn annotations(report: &RunReport, place: &Place) -> Vec<String> {
    let wrong = report.steps.iter().filter(|step| has_gone_wrong(step));
    let mut lines: Vec<String> = wrong
        .take(MOST_ANNOTATIONS)
        .map(|step| {
            let message = step.error.as_deref().unwrap_or(step.status);
            let title = format!("{}: {}", report.workflow, step.name());
            annotation(place, line_of(&place.text, &step.id), &title, message)
        })
        .collect();
    if let Some(error) = report.error.as_deref().filter(|_| lines.is_empty() && report.status == "failed") {
        lines.push(annotation(place, None, &report.workflow, error));
    }
    lines
}

fn annotation(place: &Place, line: Option<usize>, title: &str, message: &str) -> String {
    let mut properties = Vec::new();
    if let Some(file) = &place.file {
        properties.push(format!("file={}", property(file)));
        properties.extend(line.map(|line| format!("line={line}")));
    }
    properties.push(format!("title={}", property(title)));
    format!("::error {}::{}", properties.join(","), data(message))
}

/// The line on which a step's name stands as a key. A name may be quoted; the first such line is taken.
fn line_of(text: &str, step: &str) -> Option<usize> {
    let is_key = |line: &str| {
        let line = line.trim_start();
        let quoted = [format!("\"{step}\""), format!("'{step}'")];
        let names = quoted.iter().map(String::as_str).chain([step]);
        names
            .into_iter()
            .any(|name| line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(':')))
    };
    let steps = text.lines().position(|line| line.starts_with("steps:")).unwrap_or(0);
    text.lines().enumerate().skip(steps + 1).find(|(_, line)| is_key(line)).map(|(number, _)| number + 1)
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// The job's summary: the run, its steps as a table, what went wrong, the picture.
pub(super) fn summary(report: &RunReport, tails: &[Tail<'_>], drawn: Option<&str>) -> String {
    let mark = |status: &str| sign(status, &Style::unicode());
    let mut text = format!("### {} {}: {}", mark(&report.status), cell(&report.workflow), report.status);
    if let (Some(start), Some(end)) = (report.started_at, report.finished_at) {
        // Writing to a String cannot fail.
        let _ = write!(text, " in {}", moment::duration(end.since(start)));
    }
    let _ = writeln!(text, "\n\n`{}`\n", report.run_id);
    text.push_str("| step | status | took | attempts | |\n| --- | --- | ---: | ---: | --- |\n");
    for step in report.needed_steps().take(MOST_ROWS) {
        let error = step.error.as_deref().map(|error| cell(error.lines().next().unwrap_or_default()));
        let took = took(step).map(moment::duration).unwrap_or_default();
        let attempts = if step.attempts > 0 { step.attempts.to_string() } else { String::new() };
        let _ = writeln!(
            text,
            "| {} | {} {} | {took} | {attempts} | {} |",
            cell(&step.name()),
            mark(step.status),
            step.status.replace('_', " "),
            error.unwrap_or_default()
        );
    }
    if let Some(more) = report.needed_steps().count().checked_sub(MOST_ROWS).filter(|more| *more > 0) {
        let _ = writeln!(text, "\n… and {} more", counted(more, "step"));
    }
    for tail in tails.iter().take(MOST_ANNOTATIONS).filter(|tail| !tail.lines.is_empty()) {
        let lines = tail.lines.join("\n");
        let fence = fence(&lines);
        let name = cell(&tail.step.name());
        let _ = write!(
            text,
            "\n<details><summary>what {name} wrote last</summary>\n\n{fence}text\n{lines}\n{fence}\n\n</details>\n"
        );
    }
    if let Some(drawn) = drawn {
        let _ = write!(text, "\n```mermaid\n{drawn}```\n");
    }
    text.push('\n');
    text
}

fn took(step: &StepReport) -> Option<Duration> {
    Some(step.finished_at?.since(step.started_at?))
}

/// A text inside of a table or a line of HTML.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '~' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// More backticks than stand together anywhere in a text.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_found_in_its_text() {
        let text = "name: x\ninputs:\n  build: { type: string }\nsteps:\n  test:\n    run: build\n  \"build\" :\n    run: x\n";
        assert_eq!(line_of(text, "build"), Some(7));
        assert_eq!(line_of(text, "test"), Some(5));
        assert_eq!(line_of(text, "gone"), None);
    }

    #[test]
    fn what_would_end_a_command_or_a_cell_is_escaped() {
        let place = Place { file: Some("a,b:c.yaml".into()), text: "".into() };
        let line = annotation(&place, None, "t\n", "50% of\nit ::error::");
        assert_eq!(line, "::error file=a%2Cb%3Ac.yaml,title=t%0A::50%25 of%0Ait ::error::");
        assert_eq!(cell("a|b <i> `c`"), "a\\|b &lt;i&gt; \\`c\\`");
        assert_eq!(fence("x ```` y"), "`````");
    }
}
