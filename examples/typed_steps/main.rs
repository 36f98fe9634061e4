//! A host program whose steps are typed from end to end: what one gives and what the next takes is checked by the
//! compiler, and so is what the run gives in the end.
//!
//! ```sh
//! cargo run -p orchestrator-examples --bin typed_steps -- tea 3
//! ```

mod chain;

use std::process::ExitCode;
use std::time::Duration;

use chain::Kind;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::{Engine, StepFailure};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    item: String,
    count: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Priced {
    order: Order,
    cents: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Receipt {
    text: String,
    cents: u64,
}

async fn price(order: Order) -> Result<Priced, StepFailure> {
    let each = match &*order.item {
        "tea" => 250,
        "cake" => 420,
        // What is not for sale will not be when it is tried again.
        other => return Err(StepFailure::new(ErrorClass::Invalid, format!("`{other}` is not for sale"))),
    };
    Ok(Priced { cents: each * u64::from(order.count), order })
}

async fn bill(priced: Priced) -> Result<Receipt, StepFailure> {
    let Priced { order, cents } = priced;
    Ok(Receipt {
        text: format!("{} × {}: {}.{:02}", order.count, order.item, cents / 100, cents % 100),
        cents,
    })
}

// A kind is a function with a name. Its types are those of the function.
const PRICE: Kind<Order, Priced> = Kind::new("price");
const BILL: Kind<Priced, Receipt> = Kind::new("bill");

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let item = words.next().unwrap_or_else(|| "tea".to_owned());
    let count = words.next().unwrap_or_else(|| "1".to_owned()).parse()?;

    let builder = PRICE.register(Engine::builder(), price);
    let engine = BILL.register(builder, bill).start().await?;

    // `.then("again", &PRICE)` would not compile: a receipt is no order.
    let sale = chain::begin("sale", &PRICE, "priced").then("billed", &BILL).build(engine.plugins())?;

    let run = engine.start(sale.given(&Order { item, count })?).await?;
    let report = run.wait().await?;
    engine.stop(Duration::from_secs(1)).await;
    match sale.result(&report) {
        Ok(Receipt { text, .. }) => println!("{text}"),
        Err(why) => {
            eprintln!("{why}");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
