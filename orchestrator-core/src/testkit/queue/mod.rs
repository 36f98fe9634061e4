//! What every queue must do.

mod account;
mod cases;
mod chance;
mod deliveries;
mod desk;
mod ends;
mod letters;
mod limits;
mod order;
mod place;
mod publishing;
mod rings;

pub use cases::QUEUE_CASES;
pub use place::{ClockedQueue, QueueBackend, QueuePlace, queue_failures, run_queue};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wrong;
