//! As JUnit XML: a suite for the run, a case for each step. The form that CI systems read; there is no standard, and this
//! keeps to what all of them take.

use std::fmt::Write as _;
use std::time::Duration;

use orchestrator_core::engine::{RunReport, StepReport};
use orchestrator_core::time::Timestamp;

use crate::graph::escaped;
use crate::report::Tail;

/// What a case says.
enum Verdict<'a> {
    Passed,
    /// The work has failed.
    Failure(&'a str),
    /// It cannot be said whether it has.
    Error(&'a str),
    Skipped(&'a str),
}

/// A run as a JUnit document.
pub(super) fn xml(report: &RunReport, tails: &[Tail<'_>]) -> String {
    let mut cases = String::new();
    let (mut failures, mut errors, mut skipped) = (0, 0, 0);
    for step in report.needed_steps() {
        let verdict = verdict(step);
        match verdict {
            Verdict::Passed => {}
            Verdict::Failure(_) => failures += 1,
            Verdict::Error(_) => errors += 1,
            Verdict::Skipped(_) => skipped += 1,
        }
        let tail = tails.iter().find(|tail| (&tail.step.id, tail.step.item) == (&step.id, step.item));
        case(&mut cases, &report.workflow, step, &verdict, tail);
    }
    let mut tests = report.needed_steps().count();
    // What went wrong may be no step's doing: the outputs of the run, for one.
    if let Some(error) =
        report.error.as_deref().filter(|_| failures + errors == 0 && report.status == "failed")
    {
        (tests, errors) = (tests + 1, errors + 1);
        // Writing to a String cannot fail.
        let _ = writeln!(
            cases,
            "    <testcase name=\"(the run)\" classname=\"{}\" time=\"0\">\n      <error message=\"{}\"/>\n    </testcase>",
            attribute(&report.workflow),
            attribute(error)
        );
    }
    let time = seconds(span(report.started_at, report.finished_at));
    let counts = format!(
        "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{time}\""
    );
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"orchestrator\" {counts}>\n  \
         <testsuite name=\"{workflow}\" id=\"{run}\" timestamp=\"{at}\" {counts}>\n    \
         <properties>\n      <property name=\"run_id\" value=\"{run}\"/>\n      \
         <property name=\"revision\" value=\"{revision}\"/>\n      \
         <property name=\"status\" value=\"{status}\"/>\n    </properties>\n\
         {cases}  </testsuite>\n</testsuites>\n",
        workflow = attribute(&report.workflow),
        run = report.run_id,
        at = report.created_at,
        revision = report.revision,
        status = attribute(&report.status),
    )
}

fn verdict(step: &StepReport) -> Verdict<'_> {
    let said = |otherwise| step.error.as_deref().unwrap_or(otherwise);
    match step.status {
        "completed" => Verdict::Passed,
        "failed" => Verdict::Failure(said("failed")),
        "outcome_unknown" => Verdict::Error(said("nobody knows whether it has had its effect")),
        "blocked" => Verdict::Error(said("its executor died too often")),
        "skipped" => Verdict::Skipped("skipped"),
        "cancelled" => Verdict::Skipped("cancelled"),
        other => Verdict::Skipped(other),
    }
}

fn case(
    cases: &mut String,
    workflow: &str,
    step: &StepReport,
    verdict: &Verdict<'_>,
    tail: Option<&Tail<'_>>,
) {
    let time = seconds(span(step.started_at, step.finished_at));
    // Writing to a String cannot fail.
    let _ = write!(
        cases,
        "    <testcase name=\"{}\" classname=\"{}\" time=\"{time}\"",
        attribute(&step.name()),
        attribute(workflow)
    );
    let (tag, message) = match verdict {
        Verdict::Passed => {
            cases.push_str("/>\n");
            return;
        }
        Verdict::Skipped(why) => {
            let _ = writeln!(cases, ">\n      <skipped message=\"{}\"/>\n    </testcase>", attribute(why));
            return;
        }
        Verdict::Failure(message) => ("failure", message),
        Verdict::Error(message) => ("error", message),
    };
    let first = message.lines().next().unwrap_or_default();
    let mut body = format!("{message}\n");
    if step.attempts > 1 {
        let _ = writeln!(body, "after {} attempts", step.attempts);
    }
    if let Some(tail) = tail.filter(|tail| !tail.lines.is_empty()) {
        body.push_str("\nwhat it wrote last:\n");
        tail.lines.iter().for_each(|line| {
            let _ = writeln!(body, "{line}");
        });
    }
    let _ = writeln!(
        cases,
        ">\n      <{tag} message=\"{}\" type=\"{}\">{}</{tag}>\n    </testcase>",
        attribute(first),
        step.status,
        escaped(&body)
    );
}

/// A text inside of an attribute: line ends would become spaces.
fn attribute(text: &str) -> String {
    escaped(text).replace('\n', "&#10;").replace('\t', "&#9;")
}

fn span(from: Option<Timestamp>, to: Option<Timestamp>) -> Duration {
    match (from, to) {
        (Some(from), Some(to)) => to.since(from),
        _ => Duration::ZERO,
    }
}

fn seconds(span: Duration) -> String {
    format!("{}.{:03}", span.as_secs(), span.subsec_millis())
}
