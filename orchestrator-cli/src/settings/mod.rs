//! The settings in force, and where each comes from: defaults < configuration file < environment < flags.

mod file;
mod key;
mod outside;
mod place;
mod read;
mod trust;

pub(crate) use key::{KEYS, Key};
pub(crate) use outside::{OutsidePlugin, ServerWay};
pub(crate) use place::{FOLDER, Place};
pub(crate) use read::{Flags, Origin, Settings, Sourced};
