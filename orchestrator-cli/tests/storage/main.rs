//! Faults of the storage below the real binary: a loss of power, a full disk, a disk that fails, other programs at the
//! same file, files that are damaged.
//!
//! `ORCHESTRATOR_BATTERY` (`smoke`, `change`, `release`) says how much is tried, `ORCHESTRATOR_STORAGE_SEED` with which
//! chance. What each part has found goes to the file that `ORCHESTRATOR_BATTERY_REPORT` names, a line a part. Each part
//! plants a fault of its own and fails unless it is found.

mod battery;
mod busy;
#[path = "../battery/chance.rs"]
mod chance;
mod damaged;
mod disk;
#[path = "../battery/driven.rs"]
mod driven;
#[path = "../battery/effects.rs"]
mod effects;
mod failing;
mod foreign;
mod full;
mod odd;
mod power;
#[path = "../battery/row.rs"]
mod row;
#[path = "../cli/sandbox.rs"]
#[expect(dead_code, reason = "the tests of the command line use more of it")]
mod sandbox;
mod shared;
#[path = "../battery/size.rs"]
mod size;
mod trace;
mod witness;
