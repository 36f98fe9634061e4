//! The PostgreSQL store on a real server.

mod conformance;
mod copies;
mod hosts;
mod place;
mod queue;
mod servers;
