//! A host program with a store of its own: what is committed is also written, line by line, to a file that another
//! program may follow.
//!
//! ```sh
//! cargo run -p orchestrator-examples --bin own_store -- changes.jsonl
//! ```
//!
//! The test of this example puts the store through the conformance kit: that is all it takes to know that an engine can
//! trust a store.

mod mirror;

use std::sync::Arc;
use std::time::Duration;

use mirror::Mirrored;
use orchestrator_core::{Engine, MemoryStore, Workflow};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).unwrap_or_else(|| "changes.jsonl".to_owned());
    let store = Mirrored::new(MemoryStore::new(), file.as_ref())?;

    let engine = Engine::builder()
        .store(Arc::new(store))
        .step("double", |number: i64| async move { Ok(number * 2) })
        .start()
        .await?;
    let workflow = Workflow::builder("doubles")
        .step("first", |step| step.uses("double").with(21))
        .step("second", |step| step.uses("double").needs(["first"]).with("${{ steps.first.value }}"))
        .build(engine.plugins())?;
    let report = engine.start(workflow).await?.wait().await?;
    println!("{}", report.output::<i64>("second")?);
    engine.stop(Duration::from_secs(1)).await;
    Ok(())
}
