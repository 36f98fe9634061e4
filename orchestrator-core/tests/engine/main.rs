//! The engine on the memory store, as a host program sees it.

mod approvals;
mod bench;
mod ends;
mod forks;
mod recovery;
mod stages;
mod stops;
