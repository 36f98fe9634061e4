//! A host program: two typed steps of its own, and runs that outlive it, in a file.
//!
//! ```sh
//! cargo run -p orchestrator-examples -- Ada
//! ```

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::spec::Input;
use orchestrator_core::{Engine, StartRun, StepFailure, Workflow};
use orchestrator_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};

/// What the first step gives. Any type that serde knows will do.
#[derive(Debug, Serialize, Deserialize)]
struct Greeting {
    text: String,
}

async fn greet(name: String) -> Result<Greeting, StepFailure> {
    Ok(Greeting { text: format!("hello {name}") })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "world".to_owned());

    let engine = Engine::builder()
        .store(Arc::new(SqliteStore::connect("quickstart.db").await?))
        .step("greet", greet)
        .step("count", |text: String| async move { Ok(text.chars().count()) })
        .start()
        .await?;

    let workflow = Workflow::builder("quickstart")
        .input("name", Input::string())
        .step("greeting", |step| step.uses("greet").with("${{ inputs.name }}"))
        .step("length", |step| step.uses("count").needs(["greeting"]).with("${{ steps.greeting.text }}"))
        .build(engine.plugins())?;

    // The same key is the same run, also after a crash between these lines: it is started once, whoever asks again.
    let start = StartRun::new(workflow).input("name", &*name).idempotency_key(format!("greet {name}"));
    let run = engine.start(start).await?;
    let report = run.wait().await?;
    let greeting: Greeting = report.output("greeting")?;
    println!("{}, {} characters", greeting.text, report.output::<usize>("length")?);

    engine.stop(Duration::from_secs(5)).await;
    Ok(())
}
