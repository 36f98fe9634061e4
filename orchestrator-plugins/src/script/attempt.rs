//! One attempt, from its folder to its outcome.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use orchestrator_core::failpoint;
use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{Context, Outcome, StopReason};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::value::VALUE_LIMIT;
use rustix::process::Signal;
use serde_json::{Map, Value, json};

use super::capture::{Capture, Kept};
use super::folder::Folder;
use super::plugin::Config;
use super::process::{Ended, Launch, Process, transient};
use super::sandbox::{Cell, Excess, Place};
use super::{artifacts, environment, interpreter, result, watchdog};
use crate::config::{self, invalid};

/// Runs a script to its end.
///
/// # Errors
/// Where it cannot be started.
pub(super) async fn run(
    context: &Context,
    with: &Config,
    env: &BTreeMap<String, String>,
) -> Result<Outcome, StepError> {
    let start = context.workdir.join(with.working_directory.as_deref().unwrap_or("."));
    if !start.is_dir() {
        let key =
            if with.working_directory.is_some() { "`working_directory`" } else { "the folder of the run" };
        return Err(invalid(format!("{key}: there is no folder `{}`", start.display())));
    }
    let no_folder = |error| transient(format!("cannot make a private folder for the script: {error}"));
    let folder = watchdog::folder().map_err(no_folder)?;
    let env = environment::of(context, env, &folder)?;
    let path = env.get(OsStr::new("PATH")).cloned().unwrap_or_default();
    let interpreter = interpreter::find(with.shell.as_deref(), &path, &start)?;
    let script = folder.write(interpreter.file, with.run.as_bytes()).map_err(no_folder)?;
    let stdin = match with.stdin() {
        Some(text) => folder.write("stdin", text.as_bytes()).map_err(no_folder)?,
        None => Path::new("/dev/null").to_owned(),
    };
    let place = Place {
        workdir: &context.workdir,
        start: &start,
        private: folder.path(),
        path: &path,
        interpreter: &interpreter.program,
        protected: &context.protected,
    };
    let cell = Cell::of(&context.sandbox, &place)?;
    let args = with.args().collect();
    let launch =
        Launch { interpreter: &interpreter, script: &script, args, stdin: &stdin, start: &start, env };
    let mut process = Process::start(&launch, cell).await?;
    let mut output = Capture::new(process.outputs(), with.output_limit(), &*context.log, &context.mask);
    let ended = process.end(&mut output, &mut context.stop.clone()).await;
    failpoint!("script.ended");
    let kept = output.finish();
    let outcome = match (process.excess(), ended) {
        (Some(excess), Ok(Ended::Itself(_))) => Outcome::failed(ErrorClass::Failed, exceeded(excess)),
        (_, Ok(Ended::Itself(status))) if status.success() => {
            succeeded(context, with, &folder, kept).await.unwrap_or_else(config::refused)
        }
        (_, Ok(Ended::Itself(status))) => {
            for folder in process.closed() {
                output.note(&format!(
                    "nothing new can be made directly in {}, because the store lies there; make it before the run, name it under `sandbox.write` with a `/` at its end, or keep the store elsewhere (`--store`)",
                    folder.display()
                ));
            }
            Outcome::failed(ErrorClass::Failed, failure(status, &output.last_words()))
        }
        (_, Ok(Ended::Stopped(StopReason::TimedOut))) => Outcome::failed(
            ErrorClass::Timeout,
            "the script took longer than the step's `timeout`, and was stopped",
        ),
        (_, Ok(Ended::Stopped(_))) => Outcome::Stopped,
        (_, Err(error)) => Outcome::Unknown {
            error: StepError::new(
                ErrorClass::Failed,
                format!("the system cannot tell how the script ended: {error}"),
            ),
        },
    };
    tidy(folder, &output).await;
    Ok(outcome)
}

async fn tidy(folder: Folder, output: &Capture<'_>) {
    let removed = if folder.is_small() {
        folder.remove()
    } else {
        // Cannot panic.
        tokio::task::spawn_blocking(|| folder.remove()).await.unwrap_or(Ok(()))
    };
    if let Err(error) = removed {
        output.note(&format!("cannot remove the script's private folder: {error}"));
    }
}

fn exceeded(excess: Excess) -> String {
    match excess {
        Excess::Processes { found, allowed } => format!(
            "the script was ended: it had {found} processes at once, and may have {allowed}; `sandbox: {{ processes: … }}` allows more"
        ),
        Excess::Memory { found, allowed } => format!(
            "the script was ended: its processes used {} MiB of memory together, and may use {}; `sandbox: {{ memory: … }}` allows more",
            found >> 20,
            allowed >> 20
        ),
    }
}

async fn succeeded(
    context: &Context,
    with: &Config,
    folder: &Folder,
    (stdout, stderr): (Kept, Kept),
) -> Result<Outcome, StepError> {
    let mut fields = result::read(&folder.result(), &context.mask)?;
    if let Some(patterns) = &with.artifacts {
        let found = artifacts::find(&context.workdir, patterns, &context.stop).await;
        let found = match found {
            // It has been told to stop in the middle of that: the script has done its work, and nobody knows what it made.
            Err(error) if context.stop.reason().is_some() => return Ok(cut_short(context, error)),
            found => found?,
        };
        fields.insert("artifacts".to_owned(), json!(found));
    }
    Ok(Outcome::Succeeded { output: fitted(fields, stdout, stderr) })
}

/// The outcome where the script has ended and what comes after it was stopped.
fn cut_short(context: &Context, error: StepError) -> Outcome {
    match context.effect {
        EffectClass::AtMostOnce => Outcome::Unknown { error },
        _ => Outcome::Stopped,
    }
}

/// The step's output. Text grows when it is written as JSON, so it is cut once more if it would not fit.
fn fitted(fields: Map<String, Value>, mut stdout: Kept, mut stderr: Kept) -> Value {
    // What stands around the two texts takes less than this, beside the fields.
    let fields_len = Value::Object(fields.clone()).to_string().len() + 256;
    loop {
        let (out, err) = (encoded_len(&stdout.text), encoded_len(&stderr.text));
        // The fields are bounded where they are read.
        if fields_len + out + err <= VALUE_LIMIT || (stdout.text.is_empty() && stderr.text.is_empty()) {
            break;
        }
        let longer = if out >= err { &mut stdout } else { &mut stderr };
        longer.text.truncate(longer.text.floor_char_boundary(longer.text.len() / 2));
        longer.cut = true;
    }
    let mut output = fields;
    let truncated = stdout.cut || stderr.cut;
    output.insert("exit_code".to_owned(), 0.into());
    output.insert("truncated".to_owned(), truncated.into());
    if truncated {
        output.insert("stdout_bytes".to_owned(), stdout.bytes.into());
        output.insert("stderr_bytes".to_owned(), stderr.bytes.into());
    }
    output.insert("stdout".to_owned(), stdout.text.into());
    output.insert("stderr".to_owned(), stderr.text.into());
    Value::Object(output)
}

/// How long JSON makes a text: control characters take up to six bytes.
fn encoded_len(text: &str) -> usize {
    let grown = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        0..0x20 => 6,
        _ => 1,
    });
    grown.sum::<usize>() + 2
}

fn failure(status: ExitStatus, last_words: &str) -> String {
    let how = match (status.code(), status.signal()) {
        // How a shell reports that a command of its own was killed.
        (Some(code @ 129..=192), _) => {
            format!("exit code {code} (a command was ended by {})", signal(code - 128))
        }
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(number)) => format!("ended by {}", signal(number)),
        (None, None) => "ended in a way the system does not tell".to_owned(),
    };
    if last_words.is_empty() { how } else { format!("{how}: {last_words}") }
}

fn signal(number: i32) -> String {
    let name = match Signal::from_named_raw(number) {
        Some(Signal::KILL) => "SIGKILL, as the system does when memory runs out",
        Some(Signal::TERM) => "SIGTERM",
        Some(Signal::INT) => "SIGINT",
        Some(Signal::HUP) => "SIGHUP",
        Some(Signal::QUIT) => "SIGQUIT",
        Some(Signal::ABORT) => "SIGABRT",
        Some(Signal::SEGV) => "SIGSEGV",
        Some(Signal::BUS) => "SIGBUS",
        Some(Signal::FPE) => "SIGFPE",
        Some(Signal::ILL) => "SIGILL",
        Some(Signal::PIPE) => "SIGPIPE",
        Some(Signal::XCPU) => "SIGXCPU",
        Some(Signal::XFSZ) => "SIGXFSZ",
        Some(Signal::SYS) => "SIGSYS",
        _ => return format!("signal {number}"),
    };
    format!("signal {number} ({name})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_json_makes_too_large_is_cut_and_says_so() {
        let kept = |text: &str| Kept { text: text.repeat(8 << 20), bytes: 8 << 20, cut: false };
        let output = fitted(Map::new(), kept("\u{1}"), kept("\u{1}"));
        assert!(output.to_string().len() <= VALUE_LIMIT);
        assert_eq!(output["truncated"], true);
        assert_eq!(output["stdout_bytes"], 8 << 20);
    }

    #[test]
    fn the_estimate_of_the_encoding_is_exact() {
        let every: String = (0..=0x7f_u8).map(char::from).chain(['é', '…', '🦀']).collect();
        assert_eq!(encoded_len(&every), Value::from(every).to_string().len());
    }

    #[test]
    fn signals_have_names() {
        assert_eq!(
            failure(ExitStatus::from_raw(9), ""),
            "ended by signal 9 (SIGKILL, as the system does when memory runs out)"
        );
        assert_eq!(
            failure(ExitStatus::from_raw(139 << 8), "x"),
            "exit code 139 (a command was ended by signal 11 (SIGSEGV)): x"
        );
        assert_eq!(failure(ExitStatus::from_raw(3 << 8), ""), "exit code 3");
    }
}
