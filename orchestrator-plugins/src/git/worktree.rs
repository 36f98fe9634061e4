//! `worktree_add`, `worktree_remove` and `branch`.

use std::path::{Path, PathBuf};

use orchestrator_core::port::plugin::Context;
use serde_json::{Value, json};

use super::action::{Config, needed};
use super::complaint;
use super::name::argument;
use super::process::Halt;
use super::repository::Repository;
use crate::config::invalid;

/// Why a worktree is locked that is not whole yet: an attempt is making it, or was killed while it did.
const UNFINISHED: &str = "orchestrator is making it";

/// What git itself says of one that it has only begun to make.
const INITIALIZING: &str = "initializing";

/// A worktree that the repository knows.
#[derive(Debug, Default)]
struct Known {
    path: PathBuf,
    branch: Option<String>,
    sha: Option<String>,
    locked: Option<String>,
}

pub(super) async fn add(context: &Context, with: &Config) -> Result<Value, Halt> {
    let repository = Repository::open(context, &with.folder(context)?).await?;
    let path = with.place(context)?;
    let branch = needed("branch", with.branch()?)?;
    let wanted = format!("adding the worktree {}", path.display());
    if let Some(known) = known(&repository, &path).await? {
        match known.locked.as_deref() {
            // Nobody has worked in one that was never whole.
            Some(UNFINISHED | INITIALIZING) => {
                let args = ["worktree", "remove", "--force", "--force", "--", argument(&path)?];
                repository.ask(&args).await?;
                let left = path.clone();
                // It may be large. Cannot panic; and what cannot be removed is told by the next command.
                let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(left)).await;
            }
            _ if path.exists() => return there(&known, branch, &path).map_err(Into::into),
            _ => {}
        }
        // Of one whose folder has gone, only the entry is left.
        repository.must(&wanted, &["worktree", "prune", "--expire=now"]).await?;
    }
    let created = make_branch(&repository, with, branch).await?.1;
    let args = [
        "worktree",
        "add",
        "--no-checkout",
        "--no-guess-remote",
        "--lock",
        "--reason",
        UNFINISHED,
        "--",
        argument(&path)?,
        branch,
    ];
    let ran = repository.must(&wanted, &args).await?;
    repository.tell(&ran.stderr);
    // Only now can be seen what its configuration is: there may be parts for this folder or branch.
    let inside = Repository::open(context, &path).await?;
    inside.must(&wanted, &["reset", "--quiet", "--hard"]).await?;
    repository.must(&wanted, &["worktree", "unlock", "--", argument(&path)?]).await?;
    let sha = inside.commit("HEAD").await?;
    Ok(json!({ "path": argument(&path)?, "branch": branch, "sha": sha, "created": created }))
}

pub(super) async fn look_added(context: &Context, with: &Config) -> Result<Option<Value>, Halt> {
    let repository = Repository::open(context, &with.folder(context)?).await?;
    let path = with.place(context)?;
    match known(&repository, &path).await? {
        Some(known)
            if path.exists()
                && known.locked.as_deref().is_none_or(|why| why != UNFINISHED && why != INITIALIZING) =>
        {
            Ok(there(&known, needed("branch", with.branch()?)?, &path).ok())
        }
        _ => Ok(None),
    }
}

fn there(known: &Known, branch: &str, path: &Path) -> Result<Value, orchestrator_core::machine::StepError> {
    if known.branch.as_deref() == Some(branch) {
        return Ok(json!({ "path": argument(path)?, "branch": branch, "sha": known.sha, "created": false }));
    }
    let on = known.branch.as_deref().unwrap_or("no branch");
    Err(invalid(format!(
        "`path`: the worktree {} is there already, and on {on}, not on {branch}; give another path",
        path.display()
    )))
}

pub(super) async fn remove(context: &Context, with: &Config) -> Result<Value, Halt> {
    if let Some(gone) = look_removed(context, with).await? {
        return Ok(gone);
    }
    let mut repository = Repository::open(context, &with.folder(context)?).await?;
    let path = with.place(context)?;
    let argument = argument(&path)?;
    let wanted = format!("removing the worktree {}", path.display());
    let Some(known) = known(&repository, &path).await? else {
        let (folder, path) = (repository.folder.display(), path.display());
        return Err(invalid(format!("`path`: {path} is not a worktree of {folder}")).into());
    };
    if path.exists() && Repository::open(context, &path).await.is_ok() {
        // Git looks for changes in it, with its own configuration.
        repository.take_names(&path).await?;
    }
    let unfinished = matches!(known.locked.as_deref(), Some(UNFINISHED | INITIALIZING));
    let mut args = vec!["worktree", "remove"];
    if unfinished || with.force.unwrap_or(false) {
        args.push("--force");
    }
    if unfinished {
        args.push("--force");
    }
    args.extend(["--", argument]);
    let ran = repository.ask(&args).await?;
    if !ran.success() {
        let mut error = complaint::error(&wanted, &ran);
        if ran.stderr.contains("modified or untracked") {
            error.message = format!("{wanted}: it has changes; commit them, or say `force: true`").into();
        }
        return Err(error.into());
    }
    Ok(json!({ "path": argument, "removed": true }))
}

pub(super) async fn look_removed(context: &Context, with: &Config) -> Result<Option<Value>, Halt> {
    let repository = Repository::open(context, &with.folder(context)?).await?;
    let path = with.place(context)?;
    let gone = path.symlink_metadata().is_err() && known(&repository, &path).await?.is_none();
    Ok(if gone { Some(json!({ "path": argument(&path)?, "removed": false })) } else { None })
}

pub(super) async fn branch(context: &Context, with: &Config) -> Result<Value, Halt> {
    let repository = Repository::open(context, &with.folder(context)?).await?;
    let branch = needed("branch", with.branch()?)?;
    let switch = with.switch.unwrap_or(false);
    if switch {
        repository.working_tree()?;
    }
    let (sha, created) = make_branch(&repository, with, branch).await?;
    if switch && repository.branch().await?.as_deref() != Some(branch) {
        let wanted = format!("switching {} to `{branch}`", repository.folder.display());
        repository
            .must(&wanted, &["switch", "--quiet", "--no-guess", "--no-recurse-submodules", branch])
            .await?;
    }
    Ok(json!({ "branch": branch, "sha": sha, "created": created }))
}

pub(super) async fn look_branch(context: &Context, with: &Config) -> Result<Option<Value>, Halt> {
    let repository = Repository::open(context, &with.folder(context)?).await?;
    let branch = needed("branch", with.branch()?)?;
    let sha = repository.commit(&format!("refs/heads/{branch}")).await?;
    let on = !with.switch.unwrap_or(false) || repository.branch().await?.as_deref() == Some(branch);
    Ok(sha.filter(|_| on).map(|sha| json!({ "branch": branch, "sha": sha, "created": false })))
}

/// Makes a branch if there is none. Its commit, and whether it was made. One that is there is taken, unless it is to begin
/// elsewhere.
async fn make_branch(
    repository: &Repository<'_>,
    with: &Config,
    branch: &str,
) -> Result<(String, bool), Halt> {
    let reference = format!("refs/heads/{branch}");
    let there = repository.commit(&reference).await?;
    if let Some(sha) = there {
        if let Some(start) = with.start.as_deref()
            && !repository.is_ancestor(&repository.need("start", start).await?, &sha).await?
        {
            let message = format!(
                "`branch`: `{branch}` is there already, at {sha}, and does not begin at `{start}`; give another name or no `start`"
            );
            return Err(invalid(message).into());
        }
        return Ok((sha, false));
    }
    let sha = repository.need("start", with.start.as_deref().unwrap_or("HEAD")).await?;
    let wanted = format!("making the branch `{branch}` in {}", repository.folder.display());
    let nothing = "0".repeat(sha.len());
    repository.must(&wanted, &["update-ref", "--create-reflog", &reference, &sha, &nothing]).await?;
    Ok((sha, true))
}

async fn known(repository: &Repository<'_>, path: &Path) -> Result<Option<Known>, Halt> {
    let listed = repository.must("listing worktrees", &["worktree", "list", "--porcelain", "-z"]).await?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut all: Vec<Known> = Vec::new();
    for line in text.split('\0').filter(|line| !line.is_empty()) {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        match (key, all.last_mut()) {
            ("worktree", _) => all.push(Known { path: value.into(), ..Known::default() }),
            ("HEAD", Some(last)) => last.sha = Some(value.to_owned()),
            ("branch", Some(last)) => last.branch = value.strip_prefix("refs/heads/").map(str::to_owned),
            ("locked", Some(last)) => last.locked = Some(value.to_owned()),
            _ => {}
        }
    }
    let wanted = real(path);
    Ok(all.into_iter().find(|known| real(&known.path) == wanted))
}

/// A path without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let found = std::fs::canonicalize(path)
        .ok()
        .or_else(|| Some(std::fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?)));
    found.unwrap_or_else(|| path.to_owned())
}
