//! `workflow execute`.

use crate::app::App;
use crate::args::Execute;
use crate::commands::run;
use crate::exit::Exit;
use crate::output::Problem;
use crate::registered::{self, Which};
use crate::signals::Signals;
use crate::workflow;

pub(crate) async fn carry_out(app: &App, args: &Execute) -> Result<Exit, Problem> {
    let (name, which) = Which::split(&args.workflow.workflow)?;
    let labels = run::labels(&args.start)?;
    let store = app.store_to_change().await?;
    let row = registered::workflow(&store, name, &app.shell).await?;
    let revision = registered::revision(&store, &row, &which, &app.shell).await?;
    let text = registered::text(&store, &revision).await?;
    let place = format!("{name}@{}", revision.number);
    let loaded = workflow::of_text(name, &place, &text, &app.plugins()?)?;
    let start = run::prepared(app, loaded, &args.start, labels)?;
    let signals = Signals::catch()?;
    run::launch(app, store, start, signals, &args.start).await
}
