//! From the verb to its file.

use crate::app::App;
use crate::args::{ConfigCommand, Verb};
use crate::commands::{
    approval, completions, config, doctor, graph, init, man, plan, plugins, queue, run, runs, schedule,
    schema, task, upkeep, validate, version, worker, workflow,
};
use crate::exit::Exit;
use crate::output::Problem;

/// Carries out what was asked for.
pub(crate) async fn carry_out(app: &App, verb: Verb) -> Result<Exit, Problem> {
    match verb {
        Verb::Init(args) => init::carry_out(app, &args).await,
        // Read before it is known how many threads it needs.
        Verb::Run(args) => run::carry_out(app, &args, run::prepare(app, &args)?).await,
        Verb::Workflow(command) => workflow::carry_out(app, command).await,
        Verb::Store(command) => upkeep::store(app, &command).await,
        Verb::Migrate => upkeep::migrate(app).await,
        Verb::Backup(args) => upkeep::backup(app, &args).await,
        Verb::Restore(args) => upkeep::restore(app, &args).await,
        Verb::Prune(args) => upkeep::prune(app, &args).await,
        Verb::Validate(args) => validate::carry_out(app, &args).await,
        Verb::Graph(args) => graph::carry_out(app, &args).await,
        Verb::Plan(args) => plan::carry_out(app, &args).await,
        Verb::Runs(command) => runs::carry_out(app, command).await,
        Verb::Schedule(command) => schedule::carry_out(app, command).await,
        Verb::Task(command) => task::carry_out(app, command).await,
        Verb::Queue(command) => queue::carry_out(app, command).await,
        Verb::Worker(args) => worker::carry_out(app, &args).await,
        Verb::Approval(command) => approval::carry_out(app, command).await,
        Verb::Plugins(command) => plugins::carry_out(app, &command).await,
        Verb::Schema(args) => schema::carry_out(app, &args),
        Verb::Doctor => doctor::carry_out(app).await,
        Verb::Config(ConfigCommand::Show) => config::show(app),
        Verb::Version => version::carry_out(app).await,
        Verb::Completions(args) => completions::carry_out(app, &args),
        Verb::Man(args) => man::carry_out(app, &args),
    }
}
