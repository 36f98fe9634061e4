//! The rules and the engine of orchestrator: durable workflows inside your process.
//!
//! A [`Workflow`] is a DAG of steps, written in YAML or built in Rust. An [`Engine`] drives runs of it: every change of
//! a run is an event, committed before the world is asked to do anything, so a run survives a crash at any instant.
//!
//! Read downwards; nothing names what stands above it: [`engine`] and [`memory`] use the ports in [`port`], these the
//! rules in [`machine`], these the [`spec`], that the [`plan`] and the [`schedule`], and those [`id`], [`time`], [`value`] and [`mask`].
//!
#![doc = include_str!("../README.md")]

#[cfg(any(test, feature = "testkit"))]
pub mod testkit;

pub mod engine;
pub mod memory;

pub mod port;

pub mod machine;

pub mod spec;

pub mod plan;
pub mod schedule;

pub mod failpoint;
pub mod id;
pub mod mask;
pub mod time;
pub mod value;

pub use engine::{Engine, EngineBuilder, RunHandle, RunReport, StartRun, StepFailure, step_fn};
pub use id::RunId;
pub use memory::{MemoryQueue, MemoryStore};
pub use spec::Workflow;
