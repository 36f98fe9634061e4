//! The PostgreSQL store on a real server.

mod conformance;
mod hosts;
mod place;
mod servers;
