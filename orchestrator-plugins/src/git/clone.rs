//! `clone`: a copy of a repository, in a folder of its own.

use std::path::Path;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::Context;
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::{Value, json};

use super::action::{Config, needed};
use super::address::Address;
use super::call::Call;
use super::complaint;
use super::name::argument;
use super::process::Halt;
use super::remote::Remote;
use super::repository::Repository;
use crate::config::invalid;

pub(super) async fn carry_out(context: &Context, with: &Config) -> Result<Value, Halt> {
    if let Some(there) = look(context, with).await? {
        return Ok(there);
    }
    let (remote, path) = (remote(context, with)?, with.place(context)?);
    let transient = |error: std::io::Error| {
        StepError::new(ErrorClass::Transient, format!("`path`: {}: {error}", path.display()))
    };
    let (Some(parent), Some(own)) = (path.parent(), path.file_name()) else {
        return Err(invalid(format!("`path`: {} cannot be made", path.display())).into());
    };
    std::fs::create_dir_all(parent).map_err(transient)?;
    // It has its name when it is whole. What an attempt that was killed has left is known by the key.
    let prefix = format!(".{}.{}-", own.to_string_lossy(), &context.idempotency_key()[..20]);
    remove_leftovers(parent, &prefix).await;
    let partial = parent.join(format!("{prefix}{}", context.epoch));
    let outside = Repository::outside(context, parent);
    let depth = with.depth.map(|depth| format!("--depth={depth}"));
    let branch = with.branch()?.map(|branch| format!("--branch={branch}"));
    let mut args = vec![
        "clone",
        "--template=",
        "--no-local",
        "--no-recurse-submodules",
        "--origin=origin",
        "--upload-pack=git-upload-pack",
    ];
    args.extend(depth.as_deref());
    args.extend(branch.as_deref());
    args.extend(["--", &remote.address.text, argument(&partial)?]);
    let wanted = format!("cloning {}", remote.address.shown());
    let ran = outside.run(Call::new(&args).over(&remote.line)).await;
    match ran {
        Ok(ran) if ran.success() => outside.tell(&ran.stderr),
        other => {
            remove_leftovers(parent, &prefix).await;
            return Err(complaint::error(&wanted, &other?).into());
        }
    }
    // An empty folder may be there.
    std::fs::rename(&partial, &path).map_err(transient)?;
    output(context, with, &path, true).await
}

/// The clone that is there already.
pub(super) async fn look(context: &Context, with: &Config) -> Result<Option<Value>, Halt> {
    let (remote, path) = (remote(context, with)?, with.place(context)?);
    let empty = |path: &Path| std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    if path.symlink_metadata().is_err() || empty(&path) {
        return Ok(None);
    }
    let other = |what: &str| {
        let (path, url) = (path.display(), remote.address.shown());
        invalid(format!("`path`: {path} is there, and is {what}, not a clone of {url}; give another path"))
    };
    if !path.join(".git").exists() {
        return Err(other("no repository").into());
    }
    let repository = Repository::open(context, &path).await?;
    let url = repository.ask(&["config", "--get", "remote.origin.url"]).await?.line();
    if url != remote.address.text {
        return Err(other("something else").into());
    }
    output(context, with, &path, false).await.map(Some)
}

fn remote(context: &Context, with: &Config) -> Result<Remote, StepError> {
    let url = needed("url", with.url.as_deref())?;
    let address = Address::read(url, &context.workdir).map_err(|why| invalid(format!("`url`: {why}")))?;
    Remote::at(address, with.auth.as_ref())
}

async fn output(context: &Context, with: &Config, path: &Path, cloned: bool) -> Result<Value, Halt> {
    let repository = Repository::open(context, path).await?;
    let (sha, branch) = (repository.commit("HEAD").await?, repository.branch().await?);
    if let Some(wanted) = with.branch()?
        && branch.as_deref() != Some(wanted)
        && !cloned
    {
        let on = branch.as_deref().unwrap_or("no branch");
        let message = format!("`path`: {} is a clone already, and on {on}, not on {wanted}", path.display());
        return Err(invalid(message).into());
    }
    Ok(json!({ "path": argument(path)?, "sha": sha, "branch": branch, "cloned": cloned }))
}

/// Removes what killed attempts of this step have left.
async fn remove_leftovers(parent: &Path, prefix: &str) {
    let (parent, prefix) = (parent.to_owned(), prefix.to_owned());
    let remove = move || {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
            // One that cannot be removed is in nobody's way.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    };
    // It may be large. Cannot panic.
    let _ = tokio::task::spawn_blocking(remove).await;
}
