//! The store passes the kit that every store must pass.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conformance() {
    orchestrator_core::testkit::run(&crate::place::Files).await;
}
