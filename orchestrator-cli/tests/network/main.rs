//! What the network and the server do to a fleet: partitions, lost answers, delays, failover, servers without room, servers
//! that refuse, and clients that tail what others write. Real PostgreSQL, the real binary, and a proxy between them.
//!
//! `ORCHESTRATOR_BATTERY` (`smoke`, which is the default, `change`, `release`) says how much is tried. What each part has
//! found goes to the file that `ORCHESTRATOR_BATTERY_REPORT` names, a line a part. Each part plants a fault of its own and
//! fails unless it is found.

mod ambiguous;
mod asleep;
#[path = "../battery/at_once.rs"]
mod at_once;
mod bounded;
#[cfg(feature = "failpoints")]
mod claimed;
mod clocks;
mod crowded;
mod doorbell;
mod failover;
mod fair;
mod feed;
mod partition;
mod place;
#[path = "../battery/printed.rs"]
mod printed;
mod refused;
#[path = "../battery/request.rs"]
mod request;
#[path = "../battery/row.rs"]
mod row;
#[path = "../cli/sandbox.rs"]
#[expect(dead_code, reason = "the tests of the command line use more of it")]
mod sandbox;
#[path = "../battery/seen.rs"]
#[expect(dead_code, reason = "the faults of processes use more of it")]
mod seen;
#[path = "../battery/size.rs"]
#[expect(dead_code, reason = "no number here is set by itself")]
mod size;
mod slow;
mod starved;
mod storm;
mod strays;
#[path = "../battery/survivors.rs"]
mod survivors;
#[path = "../battery/table.rs"]
mod table;
#[cfg(feature = "failpoints")]
mod zombie;
