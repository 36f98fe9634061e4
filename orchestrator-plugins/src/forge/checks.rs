//! `checks`: waits until the checks of a commit have ended.
//!
//! Between two looks the step holds no slot, and nothing is remembered: each look sees all there is.

use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{Context, Stream};
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::{Value, json};

use super::action::Config;
use super::halt::Halt;
use super::name;
use super::port::{Check, Forge, Verdict};
use crate::config::{invalid, needed};

/// How long to wait between two looks where the author does not say.
pub(super) const EVERY: &str = "30s";

/// How many checks a line or a message names.
const NAMED: usize = 10;

/// What all checks together say.
#[derive(Debug, PartialEq, Eq)]
enum Judgement {
    /// For what is waited.
    Pending(String),
    Success,
    /// Which have failed.
    Failure(String),
}

pub(super) async fn carry_out(forge: &dyn Forge, context: &Context, with: &Config) -> Result<Value, Halt> {
    let sha = needed("sha", with.sha.as_deref())?;
    let every = name::every(with.every.as_deref().unwrap_or(EVERY))
        .map_err(|why| invalid(format!("`every`: {why}")))?;
    let checks = match forge.checks(sha).await {
        Ok(checks) => checks,
        Err(halt) => return Err(patient(context, every, halt)),
    };
    let (conclusion, failed) = match judge(&checks, with.require.as_deref().unwrap_or_default()) {
        Judgement::Pending(for_what) => {
            let ended = checks.iter().filter(|check| check.verdict != Verdict::Pending).count();
            let line = format!("{ended} of {} checks have ended; waiting for {for_what}", checks.len());
            context.log(Stream::System, &line);
            return Err(Halt::Wait(every));
        }
        Judgement::Success => ("success", None),
        Judgement::Failure(failed) => ("failure", Some(failed)),
    };
    match failed.filter(|_| with.fail.unwrap_or(true)) {
        Some(failed) => Err(Halt::failed(format!("checks of {sha} have failed: {failed}"))),
        None => Ok(json!({
            "sha": sha,
            "conclusion": conclusion,
            "checks": checks.iter().map(shown).collect::<Vec<_>>(),
        })),
    }
}

/// A look that has failed for a passing reason is made again at the next time, or when the other side allows it. Not the
/// first one: whoever has the address wrong is to know.
fn patient(context: &Context, every: Duration, halt: Halt) -> Halt {
    match halt {
        Halt::Failed { error, retry_after } if may_pass(&error, context) => {
            let pause = retry_after.unwrap_or_default().max(every);
            let line = format!("{}; looking again in {pause:?}", error.message);
            context.log(Stream::System, &line);
            Halt::Wait(pause)
        }
        other => other,
    }
}

fn may_pass(error: &StepError, context: &Context) -> bool {
    match error.class {
        // However often it is said, it says when to come back.
        ErrorClass::RateLimited => true,
        ErrorClass::Transient | ErrorClass::Timeout => context.arrival.is_some(),
        _ => false,
    }
}

/// What the checks say together. None at all say nothing yet.
fn judge(checks: &[Check], require: &[String]) -> Judgement {
    let is_there = |name: &&String| checks.iter().any(|check| check.name == **name);
    let missing = require.iter().filter(|name| !is_there(name)).map(String::as_str);
    let pending = checks.iter().filter(|check| check.verdict == Verdict::Pending);
    let waited: Vec<&str> = missing.chain(pending.map(|check| &*check.name)).collect();
    if !waited.is_empty() {
        return Judgement::Pending(named(&waited));
    }
    if checks.is_empty() {
        return Judgement::Pending("the first of them".to_owned());
    }
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Failed);
    let failed: Vec<String> = failed.map(told).collect();
    match failed.is_empty() {
        true => Judgement::Success,
        false => Judgement::Failure(named(&failed)),
    }
}

fn told(check: &Check) -> String {
    let how = check.conclusion.as_deref().unwrap_or(&check.status);
    let url = check.url.as_deref().map(|url| format!(", {url}")).unwrap_or_default();
    format!("{} ({how}{url})", check.name)
}

fn named(names: &[impl AsRef<str>]) -> String {
    let first: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn shown(check: &Check) -> Value {
    json!({
        "name": check.name,
        "status": check.status,
        "conclusion": check.conclusion,
        "url": check.url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, verdict: Verdict) -> Check {
        let conclusion = (verdict != Verdict::Pending).then(|| "over".to_owned());
        Check { name: name.to_owned(), status: "x".to_owned(), conclusion, url: None, verdict }
    }

    #[test]
    fn none_and_missing_ones_are_waited_for() {
        use Verdict::{Failed, Pending, Well};
        let judge = |checks: &[Check], require: &[&str]| {
            super::judge(checks, &require.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
        };
        let pending = |text: &str| Judgement::Pending(text.to_owned());
        assert_eq!(judge(&[], &[]), pending("the first of them"));
        assert_eq!(judge(&[], &["build"]), pending("build"));
        let well = check("test", Well);
        assert_eq!(judge(std::slice::from_ref(&well), &["build"]), pending("build"));
        assert_eq!(judge(&[well.clone(), check("build", Pending)], &[]), pending("build"));
        // All of them are to end, also where one has failed.
        let failed = check("build", Failed);
        assert_eq!(judge(&[failed.clone(), check("lint", Pending)], &[]), pending("lint"));
        assert_eq!(judge(&[well.clone(), failed], &["build"]), Judgement::Failure("build (over)".to_owned()));
        assert_eq!(judge(&[well.clone(), well], &["test"]), Judgement::Success);
    }

    #[test]
    fn a_long_list_is_cut() {
        let many: Vec<String> = (0..12).map(|n| format!("c{n}")).collect();
        assert!(named(&many).ends_with("c9 and 2 more"), "{}", named(&many));
    }
}
