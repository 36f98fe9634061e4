//! What an author may write, and what comes of it.

use std::path::Path;

use async_trait::async_trait;
use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{
    ConfigIssue, Context, Outcome, Plugin, Reconciled, Request, StopReason,
};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::Value;

use super::action::{self, Config, Do};
use super::address::{Address, without_user};
use super::process::Halt;
use super::schema;
use crate::config;

/// Works on git repositories: `do` is one of clone, fetch, `worktree_add`, `worktree_remove`, branch, commit, push, diff,
/// merge. Needs the program `git`: 2.36, for merge 2.38.
///
/// **Every action may be repeated.** What has been done already is found and taken, so a step whose process died begins
/// again: a clone gets its name when it is whole; a commit is remembered under `refs/orchestrator/` and this step's key
/// before a branch moves to it; a push and a merge look first whether they are there. An attempt of unknown outcome is
/// settled the same way.
///
/// **A repository is data.** Hooks do not run, also not those of a repository on this machine that is pushed to; nor do
/// filters (LFS among them), drivers of `diff` and `merge`, `core.fsmonitor`, `core.sshCommand`, credential helpers or
/// anything else that its configuration names. Neither the user's nor the machine's configuration is read, but for who
/// the user is. Submodules are left alone. Where a configuration would lead a connection elsewhere (`url.….insteadOf`,
/// `http.proxy`), nothing is sent. Values are never taken for options; addresses are https, http, ssh, git, file and
/// paths.
///
/// **Credentials** (`auth`) are handed to git in its environment, for this server alone: they stand in no argument and no
/// file. They are sent over https, or http to this machine. ssh takes the keys of its agent and asks nobody.
///
/// Of this process's environment git sees `PATH`, `TMPDIR` and `TZ`, and where it reaches out `SSH_AUTH_SOCK`, the
/// variables of proxies, `SSL_CERT_FILE` and `SSL_CERT_DIR`. It runs in a process group of its own, which gets SIGTERM when
/// the attempt is to stop, 5 s later SIGKILL; if another owner may be executing the step, SIGKILL at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Git;

#[async_trait]
impl Plugin for Git {
    fn kind(&self) -> &str {
        "git"
    }

    fn summary(&self) -> &str {
        "works on git repositories: clone, branch, commit, push, merge and more"
    }

    fn config_schema(&self) -> &Value {
        &schema::CONFIG
    }

    fn output_schema(&self) -> &Value {
        &schema::OUTPUT
    }

    fn effect_class(&self, with: &Value) -> EffectClass {
        match with.get("do").and_then(Value::as_str).and_then(Do::named) {
            Some(Do::Diff) => EffectClass::Pure,
            _ => EffectClass::Idempotent,
        }
    }

    fn validate(&self, with: &Value) -> Vec<ConfigIssue> {
        action::issues(with, config::Stage::Written)
    }

    fn reaches(&self, with: &Value) -> Vec<String> {
        let text = |key: &str, otherwise: &str| {
            with.get(key).and_then(Value::as_str).unwrap_or(otherwise).to_owned()
        };
        let repository = text("repository", ".");
        let remote = without_user(&text("remote", "origin"));
        let branch = text("branch", "the current branch");
        match Do::named(&text("do", "")) {
            Some(Do::Clone) => {
                vec![format!("clones {} into {}", without_user(&text("url", "?")), text("path", "?"))]
            }
            Some(Do::Fetch) => vec![format!("fetches from {remote} into {repository}")],
            Some(Do::Push) => vec![format!("pushes {branch} of {repository} to {remote}")],
            Some(Do::WorktreeAdd) => vec![format!("adds the worktree {}", text("path", "?"))],
            Some(Do::WorktreeRemove) => vec![format!("removes the worktree {}", text("path", "?"))],
            Some(Do::Branch) => vec![format!("makes the branch {branch} in {repository}")],
            Some(Do::Commit) => vec![format!("commits in {repository}")],
            Some(Do::Merge) => vec![format!("merges {} in {repository}", text("from", "?"))],
            Some(Do::Diff) => Vec::new(),
            None => vec![format!("works on the repository {repository} with git")],
        }
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        let with = match read(request.with, &context.workdir) {
            Ok(with) => with,
            Err(error) => return config::refused(error),
        };
        match action::carry_out(&context, &with).await {
            Ok(output) => Outcome::Succeeded { output },
            Err(Halt::Failed(error)) => config::refused(error),
            Err(Halt::Unknown(error)) => Outcome::Unknown { error },
            Err(Halt::Stopped(StopReason::TimedOut)) => Outcome::failed(
                ErrorClass::Timeout,
                "git took longer than the step's `timeout`, and was stopped",
            ),
            Err(Halt::Stopped(_)) => Outcome::Stopped,
        }
    }

    async fn reconcile(&self, context: Context, request: Request) -> Reconciled {
        let Ok(with) = read(request.with, &context.workdir) else { return Reconciled::NotApplied };
        match action::look(&context, &with).await {
            Ok(Some(output)) => Reconciled::Applied(output),
            Ok(None) => Reconciled::NotApplied,
            Err(_) => Reconciled::Unknown,
        }
    }
}

/// Reads a rendered config, and checks what expressions have brought.
fn read(with: Value, workdir: &Path) -> Result<Config, StepError> {
    config::free_of(action::issues(&with, config::Stage::Rendered))?;
    let with: Config = config::read(with)?;
    if let Some(url) = &with.url {
        Address::read(url, workdir).map_err(|why| config::invalid(format!("`url`: {why}")))?;
    }
    Ok(with)
}
