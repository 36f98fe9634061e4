//! `logs`: the ends of the logs of jobs that have failed.

use orchestrator_core::port::plugin::{Context, Stream};
use serde_json::{Value, json};

use super::action::Config;
use super::halt::Halt;
use super::port::{Forge, Of};
use crate::config::{invalid, needed};

/// How much of each log is given where the author does not say, in KiB.
pub(super) const MAX_KIB: u64 = 64;

/// The most that an author may ask for, in KiB.
pub(super) const MAX_KIB_MAX: u64 = 1_024;

/// The most jobs whose logs are fetched.
pub(super) const JOBS: usize = 20;

pub(super) async fn carry_out(forge: &dyn Forge, context: &Context, with: &Config) -> Result<Value, Halt> {
    let of = match (with.sha.as_deref(), with.run) {
        (Some(sha), None) => Of::Sha(sha),
        (None, Some(run)) => Of::Run(run),
        _ => return Err(invalid("exactly one of `sha` and `run` is needed").into()),
    };
    let limit = with.max_kib.unwrap_or(MAX_KIB).min(MAX_KIB_MAX) << 10;
    let limit = needed("max_kib", usize::try_from(limit).ok())?;
    let failed = forge.failed_jobs(&of).await?;
    let more = failed.len().saturating_sub(JOBS);
    if more > 0 {
        context.log(Stream::System, &format!("{more} more jobs have failed; the logs of {JOBS} are given"));
    }
    let mut jobs = Vec::new();
    for job in failed.into_iter().take(JOBS) {
        let (log, truncated) = match forge.log(job.id, limit).await? {
            Some(tail) => {
                let (log, cut) = tail.finish();
                (Some(log), cut)
            }
            None => (None, false),
        };
        jobs.push(json!({
            "id": job.id,
            "name": job.name,
            "conclusion": job.conclusion,
            "url": job.url,
            "log": log,
            "truncated": truncated,
        }));
    }
    Ok(json!({ "jobs": jobs, "truncated": more > 0 }))
}
