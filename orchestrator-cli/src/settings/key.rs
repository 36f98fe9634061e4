//! The table of settings: what is documented, accepted and shown.

use crate::settings::{Flags, Origin, Place, Sourced};
use crate::span::parse_duration;

/// One setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name in the configuration file.
    pub(crate) name: &'static str,
    /// Its variable.
    pub(crate) env: &'static str,
    /// What it is, and what it may be.
    pub(crate) about: &'static str,
    /// Says what a value should have been.
    pub(crate) check: fn(&str) -> Result<(), String>,
}

/// Every setting.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "store",
        env: "ORCHESTRATOR_STORE",
        about: "where runs are kept: sqlite:PATH or memory",
        check: |_| Ok(()), // A store URL is judged where it is opened, with an answer of its own.
    },
    Key {
        name: "slots",
        env: "ORCHESTRATOR_SLOTS",
        about: "how many steps may run at once, 1 to 4096",
        check: |value| match value.parse::<u16>() {
            Ok(1..=4096) => Ok(()),
            _ => Err("expected a whole number from 1 to 4096".to_owned()),
        },
    },
    Key {
        name: "grace",
        env: "ORCHESTRATOR_GRACE",
        about: "how long running steps may take to end after Ctrl-C, such as 10s",
        check: |value| parse_duration(value).map(drop),
    },
    Key {
        name: "durability",
        env: "ORCHESTRATOR_DURABILITY",
        about: "full: what is acknowledged survives a loss of power; relaxed: it may be lost, for faster commits",
        check: |value| match value {
            "full" | "relaxed" => Ok(()),
            _ => Err("expected full or relaxed".to_owned()),
        },
    },
];

impl Key {
    /// What a flag says about it.
    pub(super) fn flag(&self, flags: &Flags) -> Option<Sourced> {
        let (value, flag) = match self.name {
            "store" => (&flags.store, "--store"),
            "slots" => (&flags.slots, "--slots"),
            "grace" => (&flags.grace, "--grace"),
            _ => return None,
        };
        value.clone().map(|value| Sourced { value, origin: Origin::Flag(flag) })
    }

    /// What holds if nobody says anything.
    pub(super) fn default(&self, place: &Place) -> String {
        match self.name {
            "store" => format!("sqlite:{}", place.state().display()),
            "slots" => "64".to_owned(),
            "grace" => "10s".to_owned(),
            "durability" => "full".to_owned(),
            _ => String::new(),
        }
    }
}
