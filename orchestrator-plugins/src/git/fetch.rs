//! `fetch`: what a remote has, into this repository.

use std::collections::BTreeMap;

use orchestrator_core::port::plugin::Context;
use serde_json::{Value, json};

use super::action::Config;
use super::process::Halt;
use super::remote::Remote;
use super::repository::Repository;
use crate::config::invalid;

/// How many changes are told.
const CHANGES: usize = 1000;

pub(super) async fn carry_out(context: &Context, with: &Config) -> Result<Value, Halt> {
    let repository = Repository::open(context, &with.folder(context)?).await?;
    let remote = Remote::of(&repository, with, false).await?;
    let branch = with.branch()?;
    let Some(prefix) = place(&remote, branch) else {
        let message =
            "`branch` is missing: what an address has is fetched branch by branch, as it has no name here";
        return Err(invalid(message).into());
    };
    let before = refs(&repository, &prefix).await?;
    let refspec = match branch {
        Some(branch) => format!("+refs/heads/{branch}:{prefix}{branch}"),
        None => format!("+refs/heads/*:{prefix}*"),
    };
    let mut args =
        vec!["fetch", "--no-recurse-submodules", "--no-write-fetch-head", "--upload-pack=git-upload-pack"];
    if branch.is_some() {
        args.push("--no-tags");
    }
    if with.prune.unwrap_or(false) {
        args.push("--prune");
    }
    args.extend(["--", remote.address.text.as_str(), refspec.as_str()]);
    let wanted = format!("fetching from {}", remote.address.shown());
    let ran = repository.reach(&wanted, &args, &remote.line).await?;
    repository.tell(&ran.stderr);
    let after = refs(&repository, &prefix).await?;
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let mut changes: Vec<Value> = names
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| json!({ "ref": name, "from": before.get(name), "to": after.get(name) }))
        .collect();
    let truncated = changes.len() > CHANGES;
    changes.truncate(CHANGES);
    let mut output = json!({ "remote": remote.address.shown(), "refs": changes, "truncated": truncated });
    if let Some(branch) = branch {
        output["sha"] = json!(after.get(&format!("{prefix}{branch}")));
    }
    Ok(output)
}

/// Where the branches of a remote stand here, with a slash at its end.
fn place(remote: &Remote, branch: Option<&str>) -> Option<String> {
    match &remote.name {
        Some(name) => Some(format!("refs/remotes/{name}/")),
        None => branch.map(|_| "refs/orchestrator-fetched/".to_owned()),
    }
}

async fn refs(repository: &Repository<'_>, prefix: &str) -> Result<BTreeMap<String, String>, Halt> {
    let args = ["for-each-ref", "--format=%(objectname) %(refname)", prefix];
    let listed = repository.must("listing refs", &args).await?.line();
    let pairs = listed.lines().filter_map(|line| line.split_once(' '));
    Ok(pairs.map(|(sha, name)| (name.to_owned(), sha.to_owned())).collect())
}
