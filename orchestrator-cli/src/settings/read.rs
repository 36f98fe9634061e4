//! Reading the settings, the later source winning.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bell::NO_BELL;
use crate::exit::Exit;
use crate::output::Problem;
use crate::settings::file::File;
use crate::settings::key::{KEYS, Key, NO_PROXY};
use crate::settings::outside::{self, OutsidePlugin, OutsideServer};
use crate::settings::place::Place;
use crate::span::parse_duration;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody has set it.
    Default,
    /// A configuration file.
    File(PathBuf),
    /// A variable of the environment.
    Env(&'static str),
    /// A flag.
    Flag(&'static str),
}

/// A value with where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Sourced {
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

/// What flags say, as text.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    pub(crate) store: Option<String>,
    pub(crate) bell: Option<String>,
    pub(crate) slots: Option<String>,
    pub(crate) grace: Option<String>,
    pub(crate) ttl: Option<String>,
    pub(crate) secrets_file: Option<String>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) plugins: Vec<String>,
}

/// The settings in force.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The nearest `.orchestrator` folder, or where it would be made.
    pub(crate) place: Place,
    /// The configuration file that was read, if there is one.
    pub(crate) file: Option<PathBuf>,
    values: Vec<(&'static Key, Sourced)>,
    plugins: Vec<OutsidePlugin>,
    servers: Vec<OutsideServer>,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

impl Settings {
    /// Reads the settings that hold in folder `cwd`.
    pub(crate) fn read(cwd: &Path, flags: &Flags) -> Result<Self, Problem> {
        Self::read_with(cwd, flags, |name| std::env::var_os(name))
    }

    /// The defaults, for looking on where [`Settings::read`] has failed.
    pub(crate) fn defaults(cwd: &Path) -> Self {
        let place = Place::near(cwd);
        let values = KEYS
            .iter()
            .map(|key| (key, Sourced { value: key.default(&place), origin: Origin::Default }))
            .collect();
        Self { place, file: None, values, plugins: Vec::new(), servers: Vec::new() }
    }

    fn read_with(cwd: &Path, flags: &Flags, env: impl Fn(&str) -> Option<OsString>) -> Result<Self, Problem> {
        let place = Place::near(cwd);
        let file = match (&flags.config, env("ORCHESTRATOR_CONFIG").filter(|path| !path.is_empty())) {
            (Some(path), _) => Some(File::required(path)?),
            (None, Some(path)) => Some(File::required(Path::new(&path))?),
            (None, None) => File::found(&place.config())?,
        };
        let mut values = Vec::with_capacity(KEYS.len());
        for key in KEYS {
            let sourced = key.flag(flags).map_or_else(|| from_env(key, &env), |flag| Ok(Some(flag)))?;
            let sourced = sourced
                .or_else(|| file.as_ref().and_then(|file| file.get(key)))
                .unwrap_or_else(|| Sourced { value: key.default(&place), origin: Origin::Default });
            (key.check)(&sourced.value).map_err(|why| wrong_value(key, &sourced, &why))?;
            values.push((key, sourced));
        }
        let named = file.as_ref().map(File::plugins).unwrap_or_default().iter().cloned();
        let plugins = named.chain(flags.plugins.iter().map(|path| outside::of_flag(path))).collect();
        let servers = file.as_ref().map(File::servers).unwrap_or_default().to_vec();
        Ok(Self { place, file: file.map(|file| file.path), values, plugins, servers })
    }

    /// Every setting, in the order of the documentation.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static Key, &Sourced)> {
        self.values.iter().map(|(key, sourced)| (*key, sourced))
    }

    fn get(&self, name: &str) -> &Sourced {
        // `read` has put every key of the table here, and names are literals of this file.
        static NONE: Sourced = Sourced { value: String::new(), origin: Origin::Default };
        self.values.iter().find(|(key, _)| key.name == name).map_or(&NONE, |(_, sourced)| sourced)
    }

    /// How long this process counts as alive when nothing is heard of it.
    pub(crate) fn ttl(&self) -> Duration {
        // It has been checked.
        parse_duration(&self.get("ttl").value).unwrap_or(Duration::from_secs(30))
    }

    /// Where runs are kept: a store URL.
    pub(crate) fn store(&self) -> &Sourced {
        self.get("store")
    }

    /// The queue by which processes ring for each other, if there is one.
    pub(crate) fn bell(&self) -> Option<&Sourced> {
        Some(self.get("bell")).filter(|bell| !bell.value.is_empty() && bell.value != NO_BELL)
    }

    /// The most attempts at once.
    pub(crate) fn slots(&self) -> usize {
        self.get("slots").value.parse().unwrap_or(64)
    }

    /// Whether commits are on the disk when they are acknowledged.
    pub(crate) fn durable(&self) -> bool {
        self.get("durability").value != "relaxed"
    }

    /// The file or folder of secrets, which need not be there.
    pub(crate) fn secrets_file(&self) -> &Path {
        Path::new(&self.get("secrets_file").value)
    }

    /// The words of the command that prints a secret, if there is one.
    pub(crate) fn secrets_command(&self) -> Option<Vec<String>> {
        shlex::split(&self.get("secrets_command").value).filter(|words| !words.is_empty())
    }

    /// How the variables begin that hold secrets.
    pub(crate) fn secrets_prefix(&self) -> &str {
        &self.get("secrets_prefix").value
    }

    /// The proxy that steps which call services go through.
    pub(crate) fn proxy(&self) -> Option<&str> {
        Some(self.get("proxy").value.as_str()).filter(|proxy| !proxy.is_empty() && *proxy != NO_PROXY)
    }

    /// Where the prices of language models stand.
    pub(crate) fn prices(&self) -> &Sourced {
        self.get("prices")
    }

    /// The executables that bring kinds of steps: those of the file, then those of flags.
    pub(crate) fn plugins(&self) -> &[OutsidePlugin] {
        &self.plugins
    }

    /// The MCP servers that steps may name.
    pub(crate) fn servers(&self) -> &[OutsideServer] {
        &self.servers
    }

    /// How long running attempts may take to end when we are told to stop.
    pub(crate) fn grace(&self) -> Duration {
        parse_duration(&self.get("grace").value).unwrap_or(Duration::from_secs(10))
    }
}

fn from_env(key: &Key, env: &impl Fn(&str) -> Option<OsString>) -> Result<Option<Sourced>, Problem> {
    let Some(value) = env(key.env).filter(|value| !value.is_empty()) else { return Ok(None) };
    let value = value.into_string().map_err(|_| {
        Problem::new(
            Exit::Usage,
            "config_invalid",
            format!("the environment variable {} is not valid UTF-8", key.env),
        )
    })?;
    Ok(Some(Sourced { value, origin: Origin::Env(key.env) }))
}

fn wrong_value(key: &Key, sourced: &Sourced, why: &str) -> Problem {
    let shown = crate::store::masked(&sourced.value);
    let place = match &sourced.origin {
        Origin::Default => key.name.to_owned(),
        Origin::File(path) => format!("{}: {}", path.display(), key.name),
        Origin::Env(name) | Origin::Flag(name) => (*name).to_owned(),
    };
    Problem::new(Exit::Usage, "config_invalid", format!("{place}: {why}, not `{shown}`"))
        .hint(format!("{}: {}", key.name, key.about))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
