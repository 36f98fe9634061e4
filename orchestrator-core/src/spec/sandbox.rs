//! How a script is confined: the words of `sandbox`.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::spec::{duration, size};

/// How a script is confined. A step that says nothing is [`Sandbox::strict`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sandbox {
    /// Not at all: it can do whatever the user can who runs the engine.
    None,
    /// To what is granted here, and nothing else.
    Confined(Arc<Confinement>),
}

/// What a confined script is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Confinement {
    /// Whether it may open sockets of IPv4 and IPv6. Nothing is said about where to.
    pub network: bool,
    /// What it may read and execute besides what every script may: paths relative to the folder of the run, absolute ones,
    /// or such as `~/data`.
    pub read: Vec<String>,
    /// What it may read, execute, write and remove besides the folder of the run. A path that ends with `/` is made where
    /// it does not exist.
    pub write: Vec<String>,
    /// How many bytes of memory it may use: each of its processes, and all of them together.
    pub memory: u64,
    /// How long each of its processes may compute.
    pub cpu: Duration,
    /// How many processes it may have at once.
    pub processes: u32,
    /// How long each file that it writes may be, in bytes.
    pub file_size: u64,
    /// How many files each of its processes may have open.
    pub open_files: u32,
}

/// The least memory that can be set: below it no interpreter starts.
pub(crate) const MIN_MEMORY: u64 = 16 << 20;

impl Confinement {
    /// What a script may use where its author sets no bound: wide enough for a build, narrow enough for the machine to
    /// stay usable.
    pub const MEMORY: u64 = 4 << 30;
    /// See [`Confinement::MEMORY`].
    pub const CPU: Duration = Duration::from_secs(3600);
    /// See [`Confinement::MEMORY`].
    pub const PROCESSES: u32 = 512;
    /// See [`Confinement::MEMORY`].
    pub const FILE_SIZE: u64 = 4 << 30;
    /// See [`Confinement::MEMORY`].
    pub const OPEN_FILES: u32 = 1024;
}

impl Default for Confinement {
    fn default() -> Self {
        Self {
            network: false,
            read: Vec::new(),
            write: Vec::new(),
            memory: Self::MEMORY,
            cpu: Self::CPU,
            processes: Self::PROCESSES,
            file_size: Self::FILE_SIZE,
            open_files: Self::OPEN_FILES,
        }
    }
}

impl Sandbox {
    /// What holds where nobody has said anything.
    #[must_use]
    pub fn strict() -> Self {
        static STRICT: LazyLock<Arc<Confinement>> = LazyLock::new(Arc::default);
        Self::Confined(STRICT.clone())
    }

    /// Whether scripts are not confined at all.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// What is granted beyond what every script may, in words: `the network`, `writes ../out`. Empty for a strict one.
    #[must_use]
    pub fn grants(&self) -> Vec<String> {
        let Self::Confined(confinement) = self else { return Vec::new() };
        let mut grants = Vec::new();
        if confinement.network {
            grants.push("the network".to_owned());
        }
        grants.extend(confinement.read.iter().map(|path| format!("reads {path}")));
        grants.extend(confinement.write.iter().map(|path| format!("writes {path}")));
        grants
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::strict()
    }
}

impl From<Confinement> for Sandbox {
    fn from(confinement: Confinement) -> Self {
        Self::Confined(Arc::new(confinement))
    }
}

/// As an author writes it: `none`, `strict`, or a mapping of what differs from that.
impl Serialize for Sandbox {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let confinement = match self {
            Self::None => return serializer.serialize_str("none"),
            Self::Confined(confinement) => confinement,
        };
        let strict = Confinement::default();
        let mut keys = Map::new();
        let mut differs = |key: &str, differs: bool, value: Value| {
            if differs {
                keys.insert(key.to_owned(), value);
            }
        };
        differs("network", confinement.network, true.into());
        differs("read", !confinement.read.is_empty(), confinement.read.clone().into());
        differs("write", !confinement.write.is_empty(), confinement.write.clone().into());
        differs("memory", confinement.memory != strict.memory, size::print(confinement.memory).into());
        differs("cpu", confinement.cpu != strict.cpu, duration::print(confinement.cpu).into());
        differs("processes", confinement.processes != strict.processes, confinement.processes.into());
        let file_size = size::print(confinement.file_size);
        differs("file_size", confinement.file_size != strict.file_size, file_size.into());
        differs("open_files", confinement.open_files != strict.open_files, confinement.open_files.into());
        if keys.is_empty() { serializer.serialize_str("strict") } else { keys.serialize(serializer) }
    }
}
