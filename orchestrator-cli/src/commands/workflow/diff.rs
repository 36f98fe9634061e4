//! `workflow diff`.

use std::time::Duration;

use serde_json::json;
use similar::TextDiff;

use crate::app::App;
use crate::args::DiffWorkflow;
use crate::exit::Exit;
use crate::output::registered::RevisionItem;
use crate::output::style::{Style, Tint};
use crate::output::{Problem, escape};
use crate::registered::{self, PROJECT, Which};

/// How long the smallest difference is looked for; after that, one that is right but larger will do.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) async fn carry_out(app: &App, args: &DiffWorkflow) -> Result<Exit, Problem> {
    let (name, from, to) = (&args.name, which(args.from.as_deref())?, which(args.to.as_deref())?);
    let store = app.store().await?;
    let workflow = registered::workflow(&store, name, &app.shell).await?;
    let to = registered::revision(&store, &workflow, &to.unwrap_or(Which::Latest), &app.shell).await?;
    let from = from.unwrap_or(Which::Number(to.number.saturating_sub(1).max(1)));
    let from = registered::revision(&store, &workflow, &from, &app.shell).await?;
    let old = registered::text(&store, &from).await?;
    let new = registered::text(&store, &to).await?;
    let labels = [&from, &to].map(|row| format!("{name}@{}", row.number));
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(&*old, &*new);
    let unified = diff.unified_diff().context_radius(3).header(&labels[0], &labels[1]).to_string();
    if app.output.json().is_some() {
        app.output.print_json(&json!({
            "workflow": name,
            "from": RevisionItem::new(PROJECT, name, &from),
            "to": RevisionItem::new(PROJECT, name, &to),
            "diff": unified,
        }))?;
        return Ok(Exit::Ok);
    }
    if unified.is_empty() {
        app.output.note(&if from.number == to.number && args.from.is_none() {
            format!("`{}` has one revision", escape::line(name))
        } else {
            format!("{} and {} say the same", labels[0], labels[1])
        });
        return Ok(Exit::Ok);
    }
    let lines: Vec<String> = unified.lines().map(|line| coloured(line, app.output.out())).collect();
    app.output.print(&lines.join("\n"))?;
    Ok(Exit::Ok)
}

fn which(text: Option<&str>) -> Result<Option<Which>, Problem> {
    text.map(|text| Which::parse(text.strip_prefix('@').unwrap_or(text))).transpose()
}

fn coloured(line: &str, style: &Style) -> String {
    let visible = escape::line(line);
    match line.chars().next() {
        _ if line.starts_with("---") || line.starts_with("+++") => {
            style.tint(Tint::Strong, &visible).to_string()
        }
        Some('+') => style.tint(Tint::Good, &visible).to_string(),
        Some('-') => style.tint(Tint::Bad, &visible).to_string(),
        Some('@') => style.tint(Tint::Active, &visible).to_string(),
        Some('\\') => style.tint(Tint::Dim, &visible).to_string(),
        _ => visible.into_owned(),
    }
}
