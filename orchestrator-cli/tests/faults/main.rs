//! Faults of processes and of what they execute: children that are killed, processes that die beside their children,
//! steps that do not listen or take everything with them, too little memory, too much output, graphs without end.
//!
//! `ORCHESTRATOR_BATTERY` (`smoke`, which is the default, `change`, `release`) says how much is tried. What each part has
//! found goes to the file that `ORCHESTRATOR_BATTERY_REPORT` names, a line a part. Each part plants a fault of its own and
//! fails unless it is found.

mod children;
#[path = "../battery/driven.rs"]
mod driven;
#[path = "../battery/effects.rs"]
mod effects;
mod graphs;
mod memory;
mod orphans;
mod outputs;
#[cfg(feature = "failpoints")]
mod panics;
mod peak;
mod poison;
#[path = "../battery/printed.rs"]
#[expect(dead_code, reason = "the other batteries use more of it")]
mod printed;
mod readers;
#[path = "../battery/row.rs"]
mod row;
#[path = "../cli/sandbox.rs"]
#[expect(dead_code, reason = "the tests of the command line use more of it")]
mod sandbox;
#[path = "../battery/seen.rs"]
mod seen;
#[path = "../battery/size.rs"]
#[expect(dead_code, reason = "no number here is set by itself")]
mod size;
mod stops;
mod stubborn;
#[path = "../battery/survivors.rs"]
mod survivors;
#[path = "../battery/table.rs"]
mod table;
