//! Patterns that are read, and patterns that are written.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::spec::expr::Template;
use crate::spec::paths::glob::Glob;
use crate::value::Digest;

/// The most patterns that one step may name.
pub const MAX_GLOBS: usize = 64;

/// The longest name of a workspace, in bytes.
pub const MAX_WORKSPACE: usize = 64;

/// The workspace of steps that name none.
pub const DEFAULT_WORKSPACE: &str = "default";

/// The `paths:` of a step, not rendered yet.
#[derive(Debug)]
pub struct PathsSpec {
    /// Of which workspace: a name within the project. Rendered, 1 to [`MAX_WORKSPACE`] bytes.
    pub workspace: Option<Template>,
    /// What is read: once rendered, a pattern or a list of patterns.
    pub read: Option<Template>,
    /// What is written: likewise.
    pub write: Option<Template>,
}

impl PathsSpec {
    /// What it is rendered from.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.workspace.iter().chain(&self.read).chain(&self.write)
    }
}

/// What of a workspace an attempt reads and writes. Two may read the same; what one writes, no other reads or writes meanwhile.
/// Ordered by their digests.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Paths {
    read: Arc<[Glob]>,
    write: Arc<[Glob]>,
    digest: Digest,
}

/// As it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    read: Vec<Arc<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    write: Vec<Arc<str>>,
}

impl Paths {
    /// Reads patterns; their order and repeats mean nothing.
    ///
    /// # Errors
    /// A sentence on the first pattern that is none, or that there are more than [`MAX_GLOBS`].
    pub fn new<T: AsRef<str>>(read: &[T], write: &[T]) -> Result<Self, String> {
        if read.len() + write.len() > MAX_GLOBS {
            return Err(format!("there are {} paths, and may be {MAX_GLOBS}", read.len() + write.len()));
        }
        let globs = |texts: &[T]| {
            let glob = |text: &T| {
                let text = text.as_ref();
                Glob::parse(text).map_err(|why| format!("the path `{}` {why}", text.escape_debug()))
            };
            let mut globs = texts.iter().map(glob).collect::<Result<Vec<Glob>, String>>()?;
            globs.sort_unstable();
            globs.dedup();
            Ok::<_, String>(globs)
        };
        let (read, write) = (globs(read)?, globs(write)?);
        // No pattern has a control character.
        let texts = |globs: &[Glob]| globs.iter().map(|glob| &**glob.as_str()).collect::<Vec<_>>().join("\n");
        let digest = Digest::of(format!("{}\0{}", texts(&read), texts(&write)).as_bytes());
        Ok(Self { read: read.into(), write: write.into(), digest })
    }

    /// What tells them from others.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether it names nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read.is_empty() && self.write.is_empty()
    }

    /// What is read.
    #[must_use]
    pub fn read(&self) -> &[Glob] {
        &self.read
    }

    /// What is written.
    #[must_use]
    pub fn write(&self) -> &[Glob] {
        &self.write
    }

    /// Whether one writes what the other reads or writes. Never `false` where some path is meant by both.
    #[must_use]
    pub fn clashes(&self, other: &Self) -> bool {
        let meet = |own: &[Glob], others: &[Glob]| {
            own.iter().any(|own| others.iter().any(|other| own.overlaps(other)))
        };
        meet(&self.write, &other.write) || meet(&self.write, &other.read) || meet(&self.read, &other.write)
    }
}

impl TryFrom<Written> for Paths {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        Self::new(&written.read, &written.write)
    }
}

impl From<Paths> for Written {
    fn from(paths: Paths) -> Self {
        let texts = |globs: &[Glob]| globs.iter().map(|glob| glob.as_str().clone()).collect();
        Self { read: texts(&paths.read), write: texts(&paths.write) }
    }
}

impl PartialEq for Paths {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Paths {}

impl PartialOrd for Paths {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Paths {
    fn cmp(&self, other: &Self) -> Ordering {
        self.digest.as_bytes().cmp(other.digest.as_bytes())
    }
}

impl Hash for Paths {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl fmt::Display for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        words.extend(self.write.iter().map(|glob| format!("`{}`", glob.as_str())));
        words.extend(self.read.iter().map(|glob| format!("`{}` to read", glob.as_str())));
        f.write_str(&words.join(", "))
    }
}
