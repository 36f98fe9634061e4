//! A caller that goes away.

use std::future::{Future, poll_fn};
use std::task::Poll;

/// Polls a future so often, then drops it: what a caller does that goes away in the middle. For tests of backends.
pub async fn poll_and_drop<F: Future>(future: F, polls: usize) {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        let done = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
        if done {
            return;
        }
        tokio::task::yield_now().await;
    }
}
