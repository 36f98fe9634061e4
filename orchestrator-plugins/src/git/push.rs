//! `push`: a branch to a remote.

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{Context, StopReason};
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::{Value, json};

use super::action::{Config, Lease, checked};
use super::address::Way;
use super::call::Call;
use super::process::{Halt, Ran};
use super::remote::Remote;
use super::repository::Repository;
use super::{complaint, tame};
use crate::config::invalid;

/// What is pushed where.
struct Push<'a> {
    repository: Repository<'a>,
    remote: Remote,
    /// The commit.
    sha: String,
    /// The branch there.
    to: String,
}

impl<'a> Push<'a> {
    async fn of(context: &'a Context, with: &Config) -> Result<Self, Halt> {
        let repository = Repository::open(context, &with.folder(context)?).await?;
        let folder = repository.folder.display();
        let branch = match with.branch()? {
            Some(branch) => branch.to_owned(),
            None => repository.branch().await?.ok_or_else(|| {
                invalid(format!("`branch` is missing: no branch is checked out in {folder}"))
            })?,
        };
        let none = || invalid(format!("`branch`: {folder} has no branch `{branch}` with a commit in it"));
        let sha = repository.commit(&format!("refs/heads/{branch}")).await?.ok_or_else(none)?;
        let to = checked("to", with.to.as_deref())?.unwrap_or(&branch).to_owned();
        let remote = Remote::of(&repository, with, true).await?;
        Ok(Self { repository, remote, sha, to })
    }

    async fn is_there(&self) -> Result<bool, Halt> {
        Ok(self.remote.tip(&self.repository, &self.to).await?.as_ref() == Some(&self.sha))
    }

    /// Where the repository remembers the branch there.
    fn tracked(&self) -> Option<String> {
        self.remote.name.as_ref().map(|name| format!("refs/remotes/{name}/{}", self.to))
    }

    /// The condition on which commits there are thrown away.
    async fn lease(&self, with: &Config) -> Result<Option<String>, Halt> {
        let expected = match &with.force_with_lease {
            None | Some(Lease::Seen(false)) => return Ok(None),
            Some(Lease::At(commit)) => self.repository.need("force_with_lease", commit).await?,
            Some(Lease::Seen(true)) => {
                let seen = match self.tracked() {
                    Some(tracked) => self.repository.commit(&tracked).await?,
                    None => None,
                };
                seen.ok_or_else(|| {
                    invalid(format!(
                        "`force_with_lease`: `{}` of {} was never fetched; fetch it, or give the commit that it is at",
                        self.to,
                        self.remote.address.shown()
                    ))
                })?
            }
        };
        Ok(Some(format!("--force-with-lease=refs/heads/{}:{expected}", self.to)))
    }

    async fn output(&self, pushed: bool) -> Result<Value, Halt> {
        if let Some(tracked) = self.tracked() {
            // As a push by git itself would; nothing depends on it.
            self.repository.ask(&["update-ref", &tracked, &self.sha]).await?;
        }
        Ok(
            json!({ "sha": self.sha, "branch": self.to, "remote": self.remote.address.shown(), "pushed": pushed }),
        )
    }
}

pub(super) async fn carry_out(context: &Context, with: &Config) -> Result<Value, Halt> {
    let push = Push::of(context, with).await?;
    if push.is_there().await? {
        return push.output(false).await;
    }
    let lease = push.lease(with).await?;
    let receive = match push.remote.address.way {
        Way::Local => tame::RECEIVE,
        _ => "git-receive-pack",
    };
    let receive = format!("--receive-pack={receive}");
    let refspec = format!("{}:refs/heads/{}", push.sha, push.to);
    let mut args = vec![
        "push",
        "--porcelain",
        "--no-verify",
        "--no-signed",
        "--no-follow-tags",
        "--recurse-submodules=no",
        &receive,
    ];
    args.extend(lease.as_deref());
    args.extend(["--", &push.remote.address.text, &refspec]);
    let ran = match push.repository.run(Call::new(&args).over(&push.remote.line)).await {
        Err(Halt::Stopped(reason)) => return Err(stopped(&push, reason)),
        other => other?,
    };
    push.repository.tell(&ran.stderr);
    if !ran.success() {
        return Err(refused(&push, &ran).into());
    }
    push.output(true).await
}

/// Looks whether the branch there is at the commit.
pub(super) async fn look(context: &Context, with: &Config) -> Result<Option<Value>, Halt> {
    let push = Push::of(context, with).await?;
    match push.is_there().await? {
        true => push.output(true).await.map(Some),
        false => Ok(None),
    }
}

fn wanted(push: &Push<'_>) -> String {
    format!("pushing {} to `{}` of {}", &push.sha[..12], push.to, push.remote.address.shown())
}

fn stopped(push: &Push<'_>, reason: StopReason) -> Halt {
    let class = match reason {
        StopReason::TimedOut => ErrorClass::Timeout,
        _ => ErrorClass::Transient,
    };
    Halt::Unknown(StepError::new(class, format!("{}: it was stopped on its way", wanted(push))))
}

fn refused(push: &Push<'_>, ran: &Ran) -> StepError {
    let said = String::from_utf8_lossy(&ran.stdout);
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("!\t"))
        .map(|line| line.rsplit('\t').next().unwrap_or(line));
    let Some(why) = line else { return complaint::error(&wanted(push), ran) };
    let remote = push.remote.name.as_deref().unwrap_or("the remote");
    let (class, hint) = if why.contains("stale info") {
        (ErrorClass::Failed, "; somebody has pushed since it was last seen: fetch, and look")
    } else if why.contains("fetch first") || why.contains("non-fast-forward") || why.contains("needs force") {
        (
            ErrorClass::Failed,
            "; it has commits that this branch has not: fetch and merge them, or say `force_with_lease: true`",
        )
    } else if why.contains("remote rejected") {
        // What the server prints beside it says more than its word.
        let remarks: Vec<&str> =
            ran.stderr.lines().filter_map(|line| line.strip_prefix("remote: ")).collect();
        let remarks = remarks.join("; ");
        let message = format!("{}: {remote} refuses: {why}: {remarks}", wanted(push));
        return StepError::new(ErrorClass::Denied, message.trim_end_matches(": ").to_owned());
    } else {
        (ErrorClass::Failed, "")
    };
    StepError::new(class, format!("{}: {why}{hint}", wanted(push)))
}
