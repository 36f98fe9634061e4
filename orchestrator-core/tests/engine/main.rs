//! The engine on the memory store, as a host program sees it.

mod approvals;
mod bench;
mod blocking;
mod bounded;
mod brake;
mod children;
mod doorbell;
mod ends;
mod enqueue;
mod evidence;
mod fleet;
mod forks;
mod handed;
mod inside;
mod offers;
mod panics;
mod paths;
mod paused;
mod places;
mod put_off;
mod qa;
mod rates;
mod reconcile;
mod recovery;
#[cfg(feature = "schedule")]
mod schedules;
mod secrets;
mod signals;
mod stages;
mod stops;
mod stranded;
mod tasks;
