//! The queue passes the kit that every queue must pass.

use orchestrator_core::testkit;

use crate::place::Base;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conformance() {
    testkit::run_queue(|| async { Base::new() }).await;
}
