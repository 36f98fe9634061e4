//! How long an answer is waited for once the attempt is to stop.

use std::future::Future;
use std::time::Duration;

use orchestrator_core::port::plugin::{Context, StopReason};

/// How long the answer to a request that changes something is still waited for after a stop: an answer is worth more
/// than an unknown outcome.
const GRACE: Duration = Duration::from_secs(3);

/// Waits for `answer`, or until the attempt is to stop; in the middle of a change a little longer.
///
/// # Errors
/// Why it is to stop.
pub(crate) async fn until_stopped<T>(
    context: &Context,
    changes: bool,
    answer: impl Future<Output = T>,
) -> Result<T, StopReason> {
    let mut answer = std::pin::pin!(answer);
    let stop = context.stop.clone();
    let reason = tokio::select! {
        biased;
        answer = &mut answer => return Ok(answer),
        reason = stop.requested() => reason,
    };
    if changes && matches!(reason, StopReason::Cancelled | StopReason::Shutdown) {
        return tokio::time::timeout(GRACE, answer).await.map_err(|_| reason);
    }
    Err(reason)
}
