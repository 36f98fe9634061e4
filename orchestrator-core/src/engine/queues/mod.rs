//! Queues that are paused: as long as one is, nothing begins from it anywhere; what runs goes on to its end.

mod known;
mod paused;

pub(crate) use known::Known;
pub use paused::{PauseQueue, PausedQueue, QUEUE_KIND, pause_queue, paused_queues, resume_queue};
