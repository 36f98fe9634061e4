//! What an author may write, and what comes of it.

use std::path::Path;
use std::sync::LazyLock;

use async_trait::async_trait;
use orchestrator_core::port::plugin::{ConfigIssue, Context, Outcome, Plugin, Request};
use orchestrator_core::spec::EffectClass;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{artifacts, attempt, process};
use crate::config;

/// What is kept of each of a script's two outputs where the author sets no limit: 1 MiB.
const OUTPUT_LIMIT: u64 = 1 << 20;

/// The largest limit an author may set: 16 MiB. Both outputs and the result together must fit into a stored value.
const OUTPUT_LIMIT_MAX: u64 = 16 << 20;

/// Runs a script with bash, python or any interpreter.
///
/// **It is confined**, unless the step says `sandbox: none`: it may read programs and libraries, write in the folder of the run
/// and its `TMPDIR`, and nothing else; no network; see [`Confinement`](orchestrator_core::spec::Confinement) for what can be
/// granted. It takes Linux 6.12 with Landlock and seccomp; where something is missing, the attempt fails with class `denied`, and
/// its message begins with `sandbox_unavailable`.
///
/// The script starts in the folder in which the run was asked for, in a process group of its own, with an empty
/// standard input and a private `TMPDIR` that is removed afterwards. Of this process's environment it sees `PATH`,
/// `HOME`, `USER`, `LOGNAME`, `SHELL`, `TERM`, `TZ`, `LANG`, `LANGUAGE` and `LC_*`, and nothing else; to that come the
/// step's `env` and
///
/// | variable | holds |
/// |---|---|
/// | `ORCHESTRATOR_RUN_ID` | the run |
/// | `ORCHESTRATOR_STEP_ID` | the step's name |
/// | `ORCHESTRATOR_ATTEMPT` | 1, 2, 3 … |
/// | `ORCHESTRATOR_IDEMPOTENCY_KEY` | the same on every attempt of this request |
/// | `ORCHESTRATOR_FENCING_TOKEN` | larger than that of every earlier attempt of the step |
/// | `ORCHESTRATOR_FEEDBACK` | why an earlier attempt was not good enough; only if one was not |
/// | `ORCHESTRATOR_OUTPUT` | the path of the result file |
///
/// What the script writes into the result file becomes fields of the step's output: one JSON object, or lines
/// `name=value`, or `name<<END`, lines of text, `END`. Beside them stand `exit_code`, `stdout`, `stderr` (without the
/// line ends at their end, as in `$(…)`), `truncated`.
///
/// bash runs with `-e -o pipefail`, as it does for GitHub Actions. Where there is no bash, `sh -e` stands in.
///
/// **How it is stopped.** The group gets SIGTERM, 5 s later SIGKILL; if another owner may be executing the step,
/// SIGKILL at once. Processes that have left the group are killed too: those of a confined script are found whatever they
/// do, those of another one by their environment (Linux), if they have not cleared it. The same happens if this process dies,
/// by a watchdog. What is left when the script itself has ended is killed: a script leaves nothing running behind, unless it is
/// not confined and starts a daemon that leaves the session and closes its outputs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Script;

impl Script {
    /// Begins, on a thread of its own, what the first script of this process would otherwise wait for: the start of the
    /// watchdog. Worth while where a script is about to run; never needed. What fails here is tried again with the first
    /// script, and told there.
    pub fn prepare_ahead() {
        std::thread::spawn(process::prepare);
    }
}

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "env": { "secret": true },
        "required": ["run"],
        "additionalProperties": false,
        "properties": {
            "run": {
                "type": "string",
                "minLength": 1,
                "description": "The script. Holds no expressions: values reach it through the step's `env`, or `args` or `stdin`.",
                "examples": ["git log --oneline -n \"$COUNT\""],
            },
            "shell": {
                "type": "string",
                "minLength": 1,
                "default": "bash",
                "description": "The interpreter: bash, sh, python, python3, or the name or path of any program that takes a file to run.",
                "examples": ["bash", "python", "/usr/bin/node"],
            },
            "args": {
                "type": "array",
                "description": "Arguments of the script: texts, numbers or booleans.",
                "examples": [["--count", 3]],
            },
            "stdin": {
                "description": "What the script reads from its standard input; anything that is not text is given as JSON. Empty by default.",
                "examples": ["${{ steps.fetch.json }}"],
            },
            "working_directory": {
                "type": "string",
                "minLength": 1,
                "description": "Where it starts, relative to the folder in which the run was asked for.",
                "examples": ["docs"],
            },
            "output_limit": {
                "type": "integer",
                "minimum": 0,
                "maximum": OUTPUT_LIMIT_MAX,
                "default": OUTPUT_LIMIT,
                "description": "How many bytes of each of stdout and stderr the step's output keeps, from the start. More is fine, and then `truncated` is true.",
                "examples": [65536],
            },
            "artifacts": {
                "type": "array",
                "items": { "type": "string", "minLength": 1 },
                "description": "Files that it makes, as patterns below the folder of the run, with `*`, `?` and `**`. The output names each with its length and digest; a pattern that no file fits fails the step.",
                "examples": [["dist/*.tar.gz"]],
            },
        },
        "examples": [{ "run": "echo hello" }, { "run": "print('hello')", "shell": "python" }],
    })
});

static OUTPUT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["exit_code", "stdout", "stderr", "truncated"],
        "additionalProperties": true,
        "description": "These, and the fields of the result file.",
        "properties": {
            "exit_code": { "type": "integer", "description": "Always 0: anything else is a failure." },
            "stdout": { "type": "string", "description": "Standard output, without line ends at its end." },
            "stderr": { "type": "string", "description": "Standard error, without line ends at its end." },
            "truncated": { "type": "boolean", "description": "Whether stdout or stderr was longer than `output_limit`." },
            "artifacts": {
                "type": "array",
                "description": "The files that it has made, by path; only if `artifacts` is given.",
                "items": {
                    "type": "object",
                    "properties": {
                        "path": { "type": "string", "description": "Below the folder of the run." },
                        "bytes": { "type": "integer", "description": "How long it is." },
                        "digest": { "type": "string", "description": "`sha256:` and 64 hex digits." },
                    },
                },
            },
            "stdout_bytes": { "type": "integer", "description": "How long stdout was; only if `truncated`." },
            "stderr_bytes": { "type": "integer", "description": "How long stderr was; only if `truncated`." },
        },
        "examples": [{ "exit_code": 0, "stdout": "hello", "stderr": "", "truncated": false }],
    })
});

/// A rendered `with`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The script's text.
    pub(super) run: String,
    /// The interpreter; `None` means bash, or sh where there is no bash.
    #[serde(default)]
    pub(super) shell: Option<String>,
    #[serde(default)]
    args: Option<Vec<Value>>,
    #[serde(default)]
    stdin: Option<Value>,
    /// Relative to the context's folder.
    #[serde(default)]
    pub(super) working_directory: Option<String>,
    #[serde(default)]
    output_limit: Option<u64>,
    /// Patterns of files that it makes.
    #[serde(default)]
    pub(super) artifacts: Option<Vec<String>>,
}

impl Config {
    /// The script's arguments.
    pub(super) fn args(&self) -> impl Iterator<Item = String> {
        self.args.iter().flatten().map(config::text)
    }

    /// What the script reads.
    pub(super) fn stdin(&self) -> Option<String> {
        self.stdin.as_ref().map(config::text)
    }

    /// How many bytes of each output are kept.
    pub(super) fn output_limit(&self) -> usize {
        // At most 16 MiB, so it fits.
        self.output_limit.unwrap_or(OUTPUT_LIMIT).min(OUTPUT_LIMIT_MAX) as usize
    }
}

#[async_trait]
impl Plugin for Script {
    fn kind(&self) -> &str {
        "script"
    }

    fn summary(&self) -> &str {
        "runs a script with bash, python or any interpreter"
    }

    fn config_schema(&self) -> &Value {
        &CONFIG
    }

    fn output_schema(&self) -> &Value {
        &OUTPUT
    }

    fn effect_class(&self, _: &Value) -> EffectClass {
        EffectClass::AtMostOnce
    }

    fn validate(&self, with: &Value) -> Vec<ConfigIssue> {
        let mut issues = Vec::new();
        match with.get("run").and_then(Value::as_str) {
            Some(run) if config::is_open(run) => issues.push(config::issue(
                &["run"],
                "a script may not hold `${{ }}`: a value spliced into it could be read as code",
                Some("set the value under the step's `env` and use the variable in the script"),
            )),
            Some(run) if run.trim().is_empty() => {
                issues.push(config::issue(&["run"], "the script is blank", None));
            }
            _ => {}
        }
        if let Some(shell) = config::settled(with, "shell")
            && shell.chars().any(char::is_whitespace)
            && !Path::new(shell).exists()
        {
            issues.push(config::issue(
                &["shell"],
                format!("`{shell}` is not the name or path of a program"),
                Some("give the program alone; arguments of the script go into `args`"),
            ));
        }
        let patterns = with.get("artifacts").and_then(Value::as_array).into_iter().flatten();
        for (position, pattern) in patterns.enumerate() {
            let pattern = pattern.as_str().filter(|pattern| !config::is_open(pattern));
            if let Some(problem) = pattern.and_then(artifacts::problem) {
                issues.push(config::issue(&["artifacts", &position.to_string()], problem, None));
            }
        }
        for (position, arg) in with.get("args").and_then(Value::as_array).into_iter().flatten().enumerate() {
            if config::scalar(arg).is_none() {
                let hint = Some("pass JSON through `stdin` or `env`");
                issues.push(config::issue(
                    &["args", &position.to_string()],
                    "an argument is a text, a number or a boolean",
                    hint,
                ));
            }
        }
        issues
    }

    fn reaches(&self, with: &Value) -> Vec<String> {
        let shell = with.get("shell").and_then(Value::as_str).unwrap_or("bash");
        let article = if shell.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        vec![format!("runs {article} {shell} script")]
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        match config::read::<Config>(request.with) {
            Ok(with) => attempt::run(&context, &with, &request.env).await.unwrap_or_else(config::refused),
            Err(error) => config::refused(error),
        }
    }
}
