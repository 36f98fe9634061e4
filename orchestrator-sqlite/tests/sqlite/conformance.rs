//! The store passes the kit that every store must pass, and its queue that of queues.

use orchestrator_core::testkit;

use crate::place::Folder;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conformance() {
    testkit::run(|| async { Folder::new() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_conforms() {
    testkit::run_queue(|| async { Folder::new() }).await;
}
