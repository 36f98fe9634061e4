//! What a script sees of the environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::Context;

use super::folder::Folder;
use crate::config::invalid;

/// The variables of this process that a script sees, besides those that begin with `LC_`. A list of what is let
/// through, because nobody can list every variable that holds a secret.
const INHERITED: [&str; 9] = ["HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TERM", "TZ", "USER"];

/// Where programs are looked for if neither the step nor this process says.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// How many characters of the feedback a script sees: Linux bounds one variable to 128 KiB.
const FEEDBACK: usize = 30_000;

/// The variable that names the result file. Its value is unique to the attempt, so it also tells which processes
/// belong to one.
pub(super) const RESULT: &str = "ORCHESTRATOR_OUTPUT";

/// The whole environment of an attempt. The author's variables win over inherited ones and over `TMPDIR`; nothing wins
/// over what begins with `ORCHESTRATOR_` here.
pub(super) fn of(
    context: &Context,
    env: &BTreeMap<String, String>,
    folder: &Folder,
) -> Result<BTreeMap<OsString, OsString>, StepError> {
    let mut variables: BTreeMap<OsString, OsString> =
        std::env::vars_os().filter(|(name, _)| is_inherited(name)).collect();
    variables.entry("PATH".into()).or_insert_with(|| DEFAULT_PATH.into());
    variables.insert("TMPDIR".into(), folder.scratch().into());
    for (name, value) in env {
        if !is_name(name) {
            let hint = "letters, digits and underscores, not beginning with a digit";
            return Err(invalid(format!("`env`: `{name}` is not the name of a variable: {hint}")));
        }
        if value.contains('\0') {
            return Err(invalid(format!("`env.{name}` holds a NUL character, which no variable can")));
        }
        variables.insert(name.into(), value.into());
    }
    variables.insert("ORCHESTRATOR_RUN_ID".into(), context.run.to_string().into());
    variables.insert("ORCHESTRATOR_STEP_ID".into(), (&*context.step).into());
    variables.insert("ORCHESTRATOR_ATTEMPT".into(), context.attempt.to_string().into());
    if let Some(feedback) = &context.feedback {
        let shown: String = feedback.chars().filter(|c| *c != '\0').take(FEEDBACK).collect();
        variables.insert("ORCHESTRATOR_FEEDBACK".into(), shown.into());
    }
    variables.insert("ORCHESTRATOR_IDEMPOTENCY_KEY".into(), context.idempotency_key().into());
    variables.insert("ORCHESTRATOR_FENCING_TOKEN".into(), context.epoch.to_string().into());
    variables.insert(RESULT.into(), folder.result().into());
    Ok(variables)
}

fn is_inherited(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| INHERITED.contains(&name) || name.starts_with("LC_"))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
