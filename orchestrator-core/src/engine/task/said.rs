//! What a task says of itself: to whoever looks for one, and to whoever claims it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::driver::Driver;
use crate::id::{RunId, Unit};
use crate::machine::{Holds, StepError};
use crate::port::plugin::Request;
use crate::port::store::{MAX_TASK, unit_name};
use crate::spec::retry::ErrorClass;
use crate::spec::{MAX_LABEL, MAX_LABELS, duration};

/// How long a claim lasts that nobody renews, where the task does not say.
pub const DEFAULT_TTL: Duration = Duration::from_secs(10 * 60);

/// The shortest time to live of a claim.
pub const MIN_TTL: Duration = Duration::from_secs(1);

/// The longest time to live of a claim: a week.
pub const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// The longest title, in bytes.
pub const MAX_TITLE: usize = 500;

/// On how many runs a task can depend at most.
pub const MAX_DEPENDENCIES: usize = 100;

/// What kind of work a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum TaskType {
    Feature,
    Bug,
    Refactor,
    Test,
    Docs,
    Review,
    Research,
    Chore,
    #[default]
    Other,
}

impl TaskType {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Feature,
        Self::Bug,
        Self::Refactor,
        Self::Test,
        Self::Docs,
        Self::Review,
        Self::Research,
        Self::Chore,
        Self::Other,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feature => "feature",
            Self::Bug => "bug",
            Self::Refactor => "refactor",
            Self::Test => "test",
            Self::Docs => "docs",
            Self::Review => "review",
            Self::Research => "research",
            Self::Chore => "chore",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for TaskType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TaskType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("`{text}` is no type of task; there are {}", names.join(", "))
        })
    }
}

/// The `with` of a task.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Said {
    pub(crate) title: Arc<str>,
    #[serde(default)]
    pub(crate) prompt: Arc<str>,
    #[serde(default, rename = "type")]
    pub(crate) kind: TaskType,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    depends_on: Vec<RunId>,
    claim_ttl: Option<String>,
    #[serde(default)]
    pub(crate) data: Value,
}

/// What an open task says to whoever looks for one. Stored: what is added later must have a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskBrief {
    /// What is to be done, in a line.
    pub title: Arc<str>,
    /// What kind of work it is.
    #[serde(rename = "type")]
    pub kind: TaskType,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Runs that have to complete before anybody can claim it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<RunId>,
    /// How long a claim lasts that nobody renews.
    #[serde(with = "millis")]
    pub claim_ttl: Duration,
    /// The tenant.
    pub project: Arc<str>,
    /// The workflow of its run.
    pub workflow: Arc<str>,
    /// The step, with its item: `review`, `review[3]`.
    pub step: Arc<str>,
    /// What is held under keys from its claim on; `None` if that is too long to be said here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holds: Option<Holds>,
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

/// The time to live that a text says.
pub(crate) fn ttl_of(text: &str) -> Result<Duration, String> {
    let ttl = duration::read(text).map_err(str::to_owned)?;
    TaskBrief::check_ttl(ttl).map(|()| ttl)
}

impl TaskBrief {
    /// Whether a claim may last so long without renewal.
    ///
    /// # Errors
    /// A sentence on how long it may last.
    pub fn check_ttl(ttl: Duration) -> Result<(), String> {
        if (MIN_TTL..=MAX_TTL).contains(&ttl) {
            return Ok(());
        }
        let [ttl, least, most] = [ttl, MIN_TTL, MAX_TTL].map(duration::print);
        Err(format!("a claim lasts {least} to {most}, not {ttl}"))
    }
}

/// Why these can be no labels of a task, if they cannot.
pub(super) fn fault_of_labels(labels: &BTreeMap<String, String>) -> Option<String> {
    let is_long = |text: &str| text.len() > MAX_LABEL;
    let fits =
        labels.len() <= MAX_LABELS && !labels.iter().any(|(name, value)| is_long(name) || is_long(value));
    (!fits).then(|| format!("a task has at most {MAX_LABELS} labels, of {MAX_LABEL} bytes each"))
}

impl Said {
    /// What a rendered `with` says.
    pub(crate) fn of(with: &Value) -> Result<Self, String> {
        Self::deserialize(with).map_err(|error| error.to_string())
    }

    fn ttl(&self) -> Result<Duration, String> {
        self.claim_ttl.as_deref().map_or(Ok(DEFAULT_TTL), |ttl| {
            ttl_of(ttl).map_err(|why| format!("`claim_ttl` is `{ttl}`: {why}"))
        })
    }

    fn fault(&self) -> Option<String> {
        if self.title.len() > MAX_TITLE {
            return Some(format!("the title has {} bytes, and {MAX_TITLE} at most", self.title.len()));
        }
        if let Some(fault) = fault_of_labels(&self.labels) {
            return Some(fault);
        }
        let runs = self.depends_on.len();
        let too_many = || format!("it depends on {runs} runs, and {MAX_DEPENDENCIES} are the most");
        (runs > MAX_DEPENDENCIES).then(too_many)
    }
}

impl Driver {
    /// What a task says to whoever looks for one.
    pub(crate) fn brief(&self, step: Unit, request: &Request, holds: &Holds) -> Result<Arc<str>, StepError> {
        let invalid = |why: String| StepError::new(ErrorClass::Invalid, format!("it is no task: {why}"));
        let said = Said::of(&request.with).map_err(invalid)?;
        said.fault().map_or(Ok(()), |fault| Err(invalid(fault)))?;
        let claim_ttl = said.ttl().map_err(invalid)?;
        let Said { title, kind, labels, depends_on, .. } = said;
        let mut brief = TaskBrief {
            title,
            kind,
            labels,
            depends_on,
            claim_ttl,
            project: self.origin.project.clone(),
            workflow: self.loaded.workflow.name.clone(),
            step: unit_name(&self.state.spec(step).name, step.item()).into(),
            holds: Some(holds.clone()),
        };
        let write =
            |brief: &TaskBrief| serde_json::to_string(brief).map_err(|error| invalid(error.to_string()));
        let mut text = write(&brief)?;
        if text.len() > MAX_TASK {
            brief.holds = None;
            text = write(&brief)?;
        }
        if text.len() > MAX_TASK {
            return Err(invalid(format!("it has {} bytes of title, labels and names", text.len())));
        }
        Ok(text.into())
    }
}
