//! `comment`: a comment that is written once, and found again by a mark that nobody sees.

use orchestrator_core::port::plugin::Context;
use serde_json::{Value, json};

use super::action::Config;
use super::halt::Halt;
use super::port::{Comment, Forge};
use crate::config::needed;

/// A comment as it should be.
struct Wanted {
    number: u64,
    mark: String,
    text: String,
    /// Whether one that is there is given the text anew.
    kept_up: bool,
}

impl Wanted {
    fn of(context: &Context, with: &Config) -> Result<Self, Halt> {
        let marker = with.marker.clone().unwrap_or_else(|| context.idempotency_key());
        let mark = format!("<!-- orchestrator: {marker} -->");
        let body = needed("body", with.body.as_deref())?;
        Ok(Self {
            number: needed("number", with.number)?,
            text: format!("{}\n\n{mark}", body.trim_end()),
            mark,
            kept_up: with.marker.is_some(),
        })
    }

    /// The comment with the mark. Anybody can write a mark that they have seen, so one of somebody else does not count.
    async fn find(&self, forge: &dyn Forge) -> Result<Option<Comment>, Halt> {
        let mut marked = forge.comments(self.number).await?;
        marked.retain(|comment| comment.body.contains(&self.mark));
        if marked.is_empty() {
            return Ok(None);
        }
        let me = forge.me().await?;
        Ok(marked.into_iter().find(|comment| match &me {
            Some(me) => comment.author.eq_ignore_ascii_case(me),
            // A program that is not told its name.
            None => comment.by_bot,
        }))
    }

    fn is_met_by(&self, comment: &Comment) -> bool {
        !self.kept_up || comment.body.replace("\r\n", "\n").trim() == self.text.replace("\r\n", "\n").trim()
    }
}

pub(super) async fn carry_out(forge: &dyn Forge, context: &Context, with: &Config) -> Result<Value, Halt> {
    let wanted = Wanted::of(context, with)?;
    let (comment, created) = match wanted.find(forge).await? {
        None => (forge.comment(wanted.number, &wanted.text).await?, true),
        Some(comment) if wanted.is_met_by(&comment) => (comment, false),
        Some(comment) => (forge.edit(wanted.number, comment.id, &wanted.text).await?, false),
    };
    Ok(output(&wanted, &comment, created))
}

pub(super) async fn look(forge: &dyn Forge, context: &Context, with: &Config) -> Result<Option<Value>, Halt> {
    let wanted = Wanted::of(context, with)?;
    let found = wanted.find(forge).await?.filter(|comment| wanted.is_met_by(comment));
    Ok(found.map(|comment| output(&wanted, &comment, true)))
}

fn output(wanted: &Wanted, comment: &Comment, created: bool) -> Value {
    json!({ "number": wanted.number, "id": comment.id, "url": comment.url, "created": created })
}
