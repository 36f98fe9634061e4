//! The store passes the kit that every store must pass.

use orchestrator_core::testkit;

use crate::place::Base;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conformance() {
    testkit::run(|| async { Base::new().await }).await;
}
