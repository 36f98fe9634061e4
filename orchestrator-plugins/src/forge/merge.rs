//! `merge`: a pull into its base, if its head is the commit that was looked at.

use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{Context, Stream};
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::{Value, json};

use super::action::Config;
use super::halt::Halt;
use super::port::{Forge, Merge, Pull, State};
use crate::branch::shown;
use crate::config::needed;

/// How long to wait for a forge that is finding out whether a pull can be merged.
const MOMENT: Duration = Duration::from_secs(2);

pub(super) async fn carry_out(forge: &dyn Forge, context: &Context, with: &Config) -> Result<Value, Halt> {
    let number = needed("number", with.number)?;
    let sha = needed("sha", with.sha.as_deref())?;
    let pull = forge.pull(number).await?;
    if is_done(&pull, sha) {
        return Ok(output(&pull, sha));
    }
    let what = format!("the {} {number}", forge.dialect().pull);
    refuse(&pull, sha, &what)?;
    if pull.sha.is_none() || pull.mergeable.is_none() {
        return Err(not_yet(context, &what, "it is not known yet whether it can be merged"));
    }
    match forge.merge(number, sha, with.method.unwrap_or_default()).await? {
        Merge::NotYet(why) => return Err(not_yet(context, &what, &why)),
        Merge::Done => {}
        Merge::Refused(why) => {
            // Somebody else may have merged it in between.
            let pull = forge.pull(number).await?;
            return match is_done(&pull, sha) {
                true => Ok(output(&pull, sha)),
                false => Err(Halt::failed(format!("{what} cannot be merged: {why}"))),
            };
        }
    }
    let pull = forge.pull(number).await?;
    match is_done(&pull, sha) {
        true => Ok(output(&pull, sha)),
        false => Err(not_yet(context, &what, "it is being merged")),
    }
}

/// Whether it is merged.
pub(super) async fn look(forge: &dyn Forge, with: &Config) -> Result<Option<Value>, Halt> {
    let sha = needed("sha", with.sha.as_deref())?;
    let pull = forge.pull(needed("number", with.number)?).await?;
    Ok(is_done(&pull, sha).then(|| output(&pull, sha)))
}

fn is_done(pull: &Pull, sha: &str) -> bool {
    pull.state == State::Merged && pull.sha.as_deref() == Some(sha)
}

/// What cannot be merged, whatever is asked.
fn refuse(pull: &Pull, sha: &str, what: &str) -> Result<(), StepError> {
    let head = pull.sha.as_deref().unwrap_or("unknown");
    let why = match pull.state {
        State::Merged => format!("{what} is merged already, and its head was {head}, not {sha}"),
        State::Closed => format!("{what} is closed"),
        State::Open if pull.sha.as_deref().is_some_and(|head| head != sha) => {
            format!("the head of {what} is {head}, not {sha}: somebody has pushed since; look again")
        }
        State::Open if pull.mergeable == Some(false) => {
            format!("{what} conflicts with its base: merge or rebase its branch, and push it")
        }
        State::Open => return Ok(()),
    };
    Err(StepError::new(ErrorClass::Failed, why))
}

fn not_yet(context: &Context, what: &str, why: &str) -> Halt {
    context.log(Stream::System, &format!("{what}: {}; trying again in {MOMENT:?}", shown(why)));
    Halt::Wait(MOMENT)
}

fn output(pull: &Pull, sha: &str) -> Value {
    json!({
        "number": pull.number,
        "url": pull.url,
        "state": pull.state.name(),
        "sha": sha,
        "merged": true,
        "merge_sha": pull.merge_sha,
    })
}
