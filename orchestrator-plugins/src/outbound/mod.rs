//! The one way out: every plugin that connects to an address which a workflow names does it through here.
//!
//! What is not on the public internet is refused unless somebody has granted it: the author, as `permissions: { network: […]
//! }`, or the host program ([`OutboundBuilder::allow`]). The refusal is by **address** ([`blocked`] is the table), at three
//! places: an address that stands in the URL is checked before anything is done; a name is resolved here, and the connection is
//! made to the addresses that have passed and to no others, so that a name server that changes its mind gains nothing; and
//! each redirect is a new destination, followed here and checked as the first was. Connections are kept apart by what they
//! were allowed, so that nobody finds one open that he could not have opened.

mod address;
mod answer;
mod blocked;
mod circuit;
mod hop;
#[cfg(feature = "http")]
mod outcome;
#[cfg(any(feature = "http", feature = "forge"))]
mod patience;
mod reach;
mod resolver;
mod way;

#[cfg(feature = "http")]
pub(crate) use address::is_framing;
#[cfg(any(feature = "http", feature = "llm"))]
pub(crate) use address::shown_masked;
pub(crate) use address::{address, cause, shortened, shown, text_shown};
#[cfg(any(feature = "http", feature = "llm"))]
pub(crate) use answer::KEY;
pub(crate) use answer::{NoAnswer, body, class, retry_after};
pub use circuit::{Circuit, CircuitState};
pub(crate) use hop::Outgoing;
#[cfg(feature = "http")]
pub(crate) use outcome::no_answer;
#[cfg(any(feature = "http", feature = "forge"))]
pub(crate) use patience::until_stopped;
pub use resolver::Resolver;
pub use way::{Misconfigured, Outbound, OutboundBuilder};
