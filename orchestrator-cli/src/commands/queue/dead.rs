//! `queue dead …`: tickets that nobody could use.

use std::collections::BTreeMap;
use std::sync::Arc;

use orchestrator_core::port::queue::{
    Clear, Clearing, DeadLetter, LetterId, LetterOrder, ListLetters, MAX_TICKETS, Queue, QueueError, Settled,
};
use serde_json::json;

use crate::app::App;
use crate::args::ListDead;
use crate::bell::of_error;
use crate::exit::Exit;
use crate::output::shapes::ListShape;
use crate::output::{Problem, escape};

pub(crate) async fn list(app: &App, args: &ListDead) -> Result<Exit, Problem> {
    let bell = bell(app)?;
    let order = if args.oldest { LetterOrder::OldestFirst } else { LetterOrder::NewestFirst };
    let list = ListLetters {
        queue: args.of.as_deref().map(Into::into),
        order,
        after: args.after.as_deref().map(LetterId::new),
        limit: args.limit.into(),
    };
    let letters = bell.letters(list).await.map_err(|error| of_error(&error))?;
    let is_full = letters.len() == usize::from(args.limit);
    let next = letters.last().filter(|_| is_full).map(|letter| letter.id.to_string());
    if app.output.json().is_some() {
        app.output.print_json(&ListShape { items: letters, next })?;
        return Ok(Exit::Ok);
    }
    if letters.is_empty() {
        app.output.note("nothing was buried");
        return Ok(Exit::Ok);
    }
    app.output
        .table(&["LETTER", "BURIED", "COUNT", "ABOUT", "REASON"], letters.iter().map(line).collect())?;
    if let Some(next) = next {
        app.output.note(&format!("there may be more: --after {}", escape::line(&next)));
    }
    Ok(Exit::Ok)
}

fn line(letter: &DeadLetter) -> Vec<String> {
    let about = match &letter.ticket {
        Some(ticket) => ticket.run().to_string(),
        None => escape::line(&letter.text).into_owned(),
    };
    vec![
        escape::line(letter.id.as_str()).into_owned(),
        letter.at.to_string(),
        letter.count.to_string(),
        about,
        escape::line(&letter.reason).into_owned(),
    ]
}

pub(crate) async fn clear(app: &App, letter: &str, how: Clearing) -> Result<Exit, Problem> {
    let bell = bell(app)?;
    let clear = Clear { letter: LetterId::new(letter), how };
    let cleared = bell.clear(clear).await.map_err(|error| of_error(&error))?;
    let shown = escape::line(letter);
    if cleared == Settled::Late {
        let title = format!("there is no dead letter `{shown}`");
        let list = app.shell.command("queue dead list");
        return Err(Problem::new(Exit::NotFound, "letter_not_found", title).tries(list));
    }
    let (status, told) = match how {
        Clearing::Publish => ("published", "rung for once more"),
        Clearing::Drop => ("dropped", "gone"),
    };
    if app.output.json().is_some() {
        app.output.print_json(&json!({ "letter": letter, "status": status }))?;
    } else {
        app.output.print(&format!("{shown}: {told}"))?;
    }
    Ok(Exit::Ok)
}

fn bell(app: &App) -> Result<Arc<dyn Queue>, Problem> {
    app.bell()?.ok_or_else(|| {
        let title = "there is no bell: processes here hear of each other by the store alone";
        Problem::new(Exit::Usage, "no_bell", title).tries("--bell redis://HOST")
    })
}

/// How many dead letters each queue has, of the newest that there are; and whether there may be more.
pub(crate) async fn count(bell: &dyn Queue) -> Result<(BTreeMap<Arc<str>, u64>, bool), QueueError> {
    let list = ListLetters { queue: None, order: LetterOrder::NewestFirst, after: None, limit: MAX_TICKETS };
    let letters = bell.letters(list).await?;
    let mut counts = BTreeMap::new();
    for letter in &letters {
        *counts.entry(letter.queue.clone()).or_default() += 1;
    }
    Ok((counts, letters.len() == MAX_TICKETS))
}
