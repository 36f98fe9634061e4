//! `open`: a pull from one branch to another, of which there is one at a time.

use orchestrator_core::port::plugin::Context;
use orchestrator_core::time::Timestamp;
use serde_json::{Value, json};

use super::action::Config;
use super::halt::Halt;
use super::port::{Forge, Pull, Wanted};
use crate::config::needed;

/// How much the clocks of a forge and of this machine may differ, in milliseconds.
const SKEW: i64 = 60_000;

impl<'w> Wanted<'w> {
    fn of(with: &'w Config) -> Result<Self, Halt> {
        Ok(Self {
            head: needed("head", with.head.as_deref())?,
            base: needed("base", with.base.as_deref())?,
            title: needed("title", with.title.as_deref())?,
            body: with.body.as_deref(),
            draft: with.draft.unwrap_or_default(),
            labels: with.labels.as_deref().unwrap_or_default(),
        })
    }

    /// The labels that a pull lacks.
    pub(super) fn missing(&self, pull: &Pull) -> Vec<&'w String> {
        let has = |label: &str| pull.labels.iter().any(|there| there.eq_ignore_ascii_case(label));
        self.labels.iter().filter(|label| !has(label)).collect()
    }

    /// Whether title and body are as they should be.
    pub(super) fn is_told_by(&self, pull: &Pull) -> bool {
        let same = |a: &str, b: &str| a.replace("\r\n", "\n").trim() == b.replace("\r\n", "\n").trim();
        same(self.title, &pull.title) && self.body.is_none_or(|body| same(body, &pull.body))
    }

    fn is_met_by(&self, pull: &Pull) -> bool {
        self.is_told_by(pull) && self.missing(pull).is_empty()
    }
}

pub(super) async fn carry_out(forge: &dyn Forge, context: &Context, with: &Config) -> Result<Value, Halt> {
    let wanted = Wanted::of(with)?;
    let (mut pull, mut created) = (forge.find(wanted.head, wanted.base).await?, false);
    // An earlier attempt may have opened one that somebody has closed or merged since.
    if pull.is_none()
        && context.attempt > 1
        && let Some(ours) = ended(forge, context, &wanted).await?
    {
        return Ok(output(&ours, false));
    }
    if pull.is_none() {
        pull = forge.create(&wanted).await?;
        created = pull.is_some();
    }
    let pull = match pull {
        Some(pull) => pull,
        // Somebody was quicker.
        None => forge.find(wanted.head, wanted.base).await?.ok_or_else(|| {
            let (name, what) = (forge.dialect().name, forge.dialect().pull);
            Halt::failed(format!(
                "{name} says that there is a {what} from {} to {} already, and shows none",
                wanted.head, wanted.base
            ))
        })?,
    };
    let pull = if wanted.is_met_by(&pull) { pull } else { forge.update(pull, &wanted).await? };
    Ok(output(&pull, created))
}

/// Whether it is there as it should be. One that is not is given the rest by a repetition.
pub(super) async fn look(forge: &dyn Forge, context: &Context, with: &Config) -> Result<Option<Value>, Halt> {
    let wanted = Wanted::of(with)?;
    Ok(match forge.find(wanted.head, wanted.base).await? {
        Some(pull) => wanted.is_met_by(&pull).then(|| output(&pull, true)),
        None => ended(forge, context, &wanted).await?.map(|pull| output(&pull, true)),
    })
}

/// One that is as wanted, was opened since this run began, and is over. What is older is another's.
async fn ended(forge: &dyn Forge, context: &Context, wanted: &Wanted<'_>) -> Result<Option<Pull>, Halt> {
    let Some(began) = context.run.as_uuid().get_timestamp() else { return Ok(None) };
    let (seconds, _) = began.to_unix();
    let since = Timestamp::from_millis(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000));
    let ours =
        |pull: &Pull| wanted.is_told_by(pull) && pull.created_at.as_millis() >= since.as_millis() - SKEW;
    Ok(forge.ended(wanted.head, wanted.base).await?.into_iter().find(ours))
}

fn output(pull: &Pull, created: bool) -> Value {
    json!({
        "number": pull.number,
        "url": pull.url,
        "state": pull.state.name(),
        "draft": pull.draft,
        "sha": pull.sha,
        "created": created,
    })
}
