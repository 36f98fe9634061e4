//! The table of settings: what is documented, accepted and shown.

use std::time::Duration;

use orchestrator_plugins::{EnvSecrets, Outbound};

use crate::bell::{self, NO_BELL};
use crate::settings::{Flags, Origin, Place, Sourced};
use crate::span::parse_duration;

/// The value of `proxy` that means none.
pub(super) const NO_PROXY: &str = "none";

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
        about: "where runs are kept: sqlite:PATH, postgres://USER@HOST/DATABASE or memory",
        check: |_| Ok(()), // A store URL is judged where it is opened, with an answer of its own.
    },
    Key {
        name: "bell",
        env: "ORCHESTRATOR_BELL",
        about: "a Redis server by which processes ring for each other: redis://HOST:PORT/DATABASE, or none",
        check: bell::check,
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
        name: "ttl",
        env: "ORCHESTRATOR_TTL",
        about: "how long a process that says nothing counts as alive, 1s to 1h; what it drove is then taken up by others",
        check: |value| match parse_duration(value)? {
            ttl if (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&ttl) => Ok(()),
            _ => Err("expected 1s to 1h".to_owned()),
        },
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
    Key {
        name: "secrets_file",
        env: "ORCHESTRATOR_SECRETS_FILE",
        about: "where secrets are kept: a file of NAME=VALUE lines that only you can read, or a folder of files",
        check: |_| Ok(()), // It is judged where a secret is looked for.
    },
    Key {
        name: "secrets_command",
        env: "ORCHESTRATOR_SECRETS_COMMAND",
        about: "a command that prints a secret, such as: pass show orchestrator/{name}",
        check: |value| match shlex::split(value) {
            Some(_) => Ok(()),
            None => Err("expected words as a shell splits them".to_owned()),
        },
    },
    Key {
        name: "secrets_prefix",
        env: "ORCHESTRATOR_SECRETS_PREFIX",
        about: "how the environment variables begin that hold secrets",
        check: |value| match value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            true => Ok(()),
            false => Err("expected letters, digits and underscores".to_owned()),
        },
    },
    Key {
        name: "prices",
        env: "ORCHESTRATOR_PRICES",
        about: "what language models cost: a YAML file of MODEL: { input: USD, output: USD } for a million tokens",
        check: |_| Ok(()), // It is read where it is needed, with an answer of its own.
    },
    Key {
        name: "proxy",
        env: "ORCHESTRATOR_PROXY",
        about: "what steps that call services go through: http://HOST:PORT, or none",
        check: |value| match value {
            NO_PROXY => Ok(()),
            url => Outbound::builder()
                .proxy(url)
                .build()
                .map(drop)
                .map_err(|_| "expected none or http://HOST:PORT".to_owned()),
        },
    },
];

impl Key {
    /// What a flag says about it.
    pub(super) fn flag(&self, flags: &Flags) -> Option<Sourced> {
        let (value, flag) = match self.name {
            "store" => (&flags.store, "--store"),
            "bell" => (&flags.bell, "--bell"),
            "slots" => (&flags.slots, "--slots"),
            "grace" => (&flags.grace, "--grace"),
            "ttl" => (&flags.ttl, "--ttl"),
            "secrets_file" => (&flags.secrets_file, "--secrets-file"),
            _ => return None,
        };
        value.clone().map(|value| Sourced { value, origin: Origin::Flag(flag) })
    }

    /// What holds if nobody says anything.
    pub(super) fn default(&self, place: &Place) -> String {
        match self.name {
            "store" => format!("sqlite:{}", place.state().display()),
            "bell" => NO_BELL.to_owned(),
            "slots" => "64".to_owned(),
            "grace" => "10s".to_owned(),
            "ttl" => "30s".to_owned(),
            "durability" => "full".to_owned(),
            "secrets_file" => place.secrets().display().to_string(),
            "prices" => place.prices().display().to_string(),
            "secrets_prefix" => EnvSecrets::PREFIX.to_owned(),
            "proxy" => NO_PROXY.to_owned(),
            _ => String::new(),
        }
    }
}
