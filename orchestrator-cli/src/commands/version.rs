//! `version`.

use std::sync::Arc;

use orchestrator_core::port::store::{Store, StoreInfo};
use serde_json::json;

use crate::app::App;
use crate::exit::Exit;
use crate::output::Problem;
use crate::store::{self, Access};
use crate::workflow;

/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) async fn carry_out(app: &App) -> Result<Exit, Problem> {
    // A store that is not there, or cannot be opened, has no version; `doctor` says why.
    let store = store::open(&app.settings, Access::Looking).await.ok();
    let info: Option<StoreInfo> = store.as_ref().map(|store| store.describe());
    let sqlite = orchestrator_sqlite::library_version().await?;
    let plugins: Vec<String> = workflow::builtin().iter().map(|plugin| plugin.kind().to_owned()).collect();
    if app.output.json().is_some() {
        app.output.print_json(&json!({
            "version": VERSION,
            "sqlite": sqlite,
            "durability": if info.as_ref().is_none_or(|info| info.durable) { "full" } else { "relaxed" },
            "store": info,
            "plugins": plugins,
            "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        }))?;
    } else {
        let mut lines = vec![format!("orchestrator {VERSION}"), format!("sqlite       {sqlite}")];
        lines.push(match &info {
            Some(info) => format!("store        {} ({})", info.location, durability(info)),
            None => "store        none yet".to_owned(),
        });
        lines.push(format!("plugins      {}", plugins.join(", ")));
        app.output.print(&lines.join("\n"))?;
    }
    close(store).await;
    Ok(Exit::Ok)
}

/// Whether commits survive a power loss, in words.
pub(crate) const fn durability(info: &StoreInfo) -> &'static str {
    if info.durable { "commits survive a power loss" } else { "commits may be lost with the power" }
}

async fn close(store: Option<Arc<dyn Store>>) {
    if let Some(store) = store {
        // Nothing was written.
        let _ = store.close().await;
    }
}
