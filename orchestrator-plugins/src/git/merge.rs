//! `merge`: a commit into the branch that is checked out.
//!
//! The merge is computed beside the working tree, which is touched only by a fast-forward to its result: a conflict leaves
//! everything as it was.

use std::collections::BTreeSet;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::Context;
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::{Value, json};

use super::action::{Config, OnConflict, needed};
use super::process::Halt;
use super::repository::Repository;
use super::{commit, complaint, name};
use crate::config::invalid;

/// How many files in conflict a message names.
const NAMED: usize = 20;

pub(super) async fn carry_out(context: &Context, with: &Config) -> Result<Value, Halt> {
    let repository = Repository::open(context, &with.folder(context)?).await?;
    repository.working_tree()?;
    let from = needed("from", with.from.as_deref())?;
    let theirs = repository.need("from", from).await?;
    let folder = repository.folder.display();
    let none = || invalid(format!("{folder} has no commit yet to merge into"));
    let ours = repository.commit("HEAD").await?.ok_or_else(none)?;
    if repository.is_ancestor(&theirs, &ours).await? {
        return done(&repository, &ours, false).await;
    }
    let wanted = format!("merging `{}` in {folder}", name::shown(from));
    if repository.commit("MERGE_HEAD").await?.is_some() {
        let message = format!("{wanted}: {}", commit::BEGUN_BY_HAND);
        return Err(StepError::new(ErrorClass::Failed, message).into());
    }
    if repository.is_ancestor(&ours, &theirs).await? {
        forward(&repository, &wanted, &theirs).await?;
        return done(&repository, &theirs, true).await;
    }
    let args = ["merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", &ours, &theirs];
    let ran = repository.ask(&args).await?;
    let mut words =
        ran.stdout.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let tree = words.next().unwrap_or_default();
    match ran.code {
        Some(0) => {}
        Some(1) => {
            let files: BTreeSet<String> = words.filter(|path| !path.is_empty()).collect();
            return conflicts(&repository, &wanted, with, &ours, files).await;
        }
        _ if ran.stderr.contains("usage: git merge-tree") => {
            return Err(invalid(format!("{wanted}: this git is too old; install 2.38 or later")).into());
        }
        _ => return Err(complaint::error(&wanted, &ran).into()),
    }
    let identity = commit::identity(&repository, with.author.as_ref()).await?;
    let said = format!("Merge {from}");
    let message = with.message.as_deref().unwrap_or(&said);
    let made = commit::make(&repository, &wanted, &tree, &[&ours, &theirs], message, identity).await?;
    forward(&repository, &wanted, &made).await?;
    done(&repository, &made, false).await
}

/// Whether the branch has it.
pub(super) async fn look(context: &Context, with: &Config) -> Result<Option<Value>, Halt> {
    let repository = Repository::open(context, &with.folder(context)?).await?;
    let theirs = repository.need("from", needed("from", with.from.as_deref())?).await?;
    match repository.commit("HEAD").await? {
        Some(ours) if repository.is_ancestor(&theirs, &ours).await? => {
            done(&repository, &ours, ours == theirs).await.map(Some)
        }
        _ => Ok(None),
    }
}

/// Moves the branch and the working tree on to a commit that has all of the branch.
async fn forward(repository: &Repository<'_>, wanted: &str, to: &str) -> Result<(), Halt> {
    let args = ["merge", "--ff-only", "--quiet", "--no-stat", "--no-verify-signatures", "--no-autostash", to];
    let ran = repository.ask(&args).await?;
    if ran.success() {
        return Ok(());
    }
    let mut error = complaint::error(wanted, &ran);
    if ran.stderr.contains("would be overwritten") {
        error.message = format!("{}; commit these changes first; nothing was changed", error.message).into();
    }
    Err(error.into())
}

async fn done(repository: &Repository<'_>, sha: &str, fast_forward: bool) -> Result<Value, Halt> {
    let branch = repository.branch().await?;
    Ok(json!({ "merged": true, "sha": sha, "branch": branch, "fast_forward": fast_forward, "conflicts": [] }))
}

async fn conflicts(
    repository: &Repository<'_>,
    wanted: &str,
    with: &Config,
    ours: &str,
    files: BTreeSet<String>,
) -> Result<Value, Halt> {
    if with.on_conflict.unwrap_or_default() == OnConflict::Report {
        let branch = repository.branch().await?;
        return Ok(
            json!({ "merged": false, "sha": ours, "branch": branch, "fast_forward": false, "conflicts": files }),
        );
    }
    let named: Vec<&str> = files.iter().take(NAMED).map(String::as_str).collect();
    let more = match files.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!(
        "{wanted}: conflicts in {}{more}; nothing was changed; merge by hand, or say `on_conflict: report` and look at `conflicts`",
        named.join(", ")
    );
    Err(StepError::new(ErrorClass::Failed, message).into())
}
