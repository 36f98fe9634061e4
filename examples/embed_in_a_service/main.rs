//! A web shop in one process: a request puts an order and the run that will carry it out into the database in one
//! transaction, so that there is never one without the other.
//!
//! ```sh
//! cargo run -p orchestrator-examples --bin embed_in_a_service -- shop.db 127.0.0.1:8080
//! curl --json '{"item": "tea", "count": 2}' http://127.0.0.1:8080/orders
//! curl -X POST http://127.0.0.1:8080/courier
//! curl http://127.0.0.1:8080/orders/1
//! ```
//!
//! End it however you like, and start it again: orders that were not shipped yet go on where they were.

mod shop;
mod web;

use std::time::Duration;

use shop::Shop;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let file = words.next().unwrap_or_else(|| "shop.db".to_owned());
    let address = words.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());

    let shop = Shop::open(&file).await?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, web::routes(shop.clone()))
        .with_graceful_shutdown(async {
            // Without signals there is nothing to wait for: the service runs until it is killed.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await?;
    shop.engine.stop(Duration::from_secs(5)).await;
    Ok(())
}
