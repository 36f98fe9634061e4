//! The queue on a real Redis.

mod conformance;
mod kept;
mod lost;
mod network;
mod place;
mod processes;
mod refused;
mod waits;
