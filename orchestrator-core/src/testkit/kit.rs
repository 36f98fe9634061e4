//! The kit: backends, places, cases, and how they are run.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::id::RunId;
use crate::port::store::Store;
use crate::testkit::CASES;

/// Names the cases to be run, where not all are: a case's name, or `store`, `model` or `engine`; several with commas.
pub(super) const ONLY: &str = "ORCHESTRATOR_KIT";

/// How long a case may take that waits for something which never comes. None of them lets time pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes empty stores. Any function that gives a [`Place`] is one: `|| async { Arc::new(MemoryStore::new()) }`.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// A new, empty place for a store.
    async fn fresh(&self) -> Arc<dyn Place>;
}

#[async_trait]
impl<F, W, P> Backend for F
where
    F: Fn() -> W + Send + Sync + 'static,
    W: Future<Output = P> + Send + 'static,
    P: Place,
{
    async fn fresh(&self) -> Arc<dyn Place> {
        Arc::new(self().await)
    }
}

/// Where one store's data are. What a place cannot do is put to the test as well: see [`Place::keeps`] and
/// [`Place::forge_kind`].
#[async_trait]
pub trait Place: fmt::Debug + Send + Sync + 'static {
    /// A handle on the data: each time another one, where the backend can have several.
    async fn open(&self) -> Arc<dyn Store>;

    /// Whether the data outlive the closing of every handle. Where they do not, the store must say that it is not
    /// durable, and nothing of a run may be found after closing: each answer is
    /// [`StoreError::Unavailable`](crate::port::store::StoreError::Unavailable), or that there is no such run.
    fn keeps(&self) -> bool {
        false
    }

    /// Changes, behind the store's back, the kind of a run's first event. `false` where that cannot be done: only a place
    /// that does not keep may say so, for whatever is kept can be written by another version.
    async fn forge_kind(&self, run: RunId, kind: &str) -> bool {
        let _ = (run, kind);
        false
    }
}

/// A store that lives in this process alone: all its handles are one.
#[async_trait]
impl<S: Store> Place for Arc<S> {
    async fn open(&self) -> Arc<dyn Store> {
        self.clone()
    }
}

/// What a case speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// One thing that a store must do.
    Store,
    /// The store's answers against those of the store in memory, over operations drawn by chance.
    Model,
    /// An engine on the store.
    Engine,
}

impl Group {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Model => "model",
            Self::Engine => "engine",
        }
    }
}

/// What a case does: panics if the store does not do what it must.
pub type CaseFn = fn(Arc<dyn Backend>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// One thing that every backend must do.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it speaks of.
    pub group: Group,
    /// Its name: what must be so.
    pub name: &'static str,
    /// The methods of [`Store`] that it puts to the test.
    pub covers: &'static [&'static str],
    /// Does it.
    pub check: CaseFn,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("covers", &self.covers).finish_non_exhaustive()
    }
}

/// A case that has failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The case.
    pub case: Case,
    /// What was found instead.
    pub found: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { group, name, covers, .. } = self.case;
        writeln!(f, "{} ({}; {})", name, group.name(), covers.join(", "))?;
        writeln!(f, "  expected: {}", name.replace('_', " "))?;
        writeln!(f, "  found: {}", self.found.trim_end().replace('\n', "\n    "))?;
        writeln!(f, "  this one alone: {ONLY}={name} cargo test")
    }
}

/// Runs every case, each in fresh places, or those that the environment variable `ORCHESTRATOR_KIT` names.
///
/// # Panics
/// If a case fails, or if no case is called as the variable says. The message names each case that failed, what it
/// expected, what it found, and how to run it alone.
pub async fn run(backend: impl Backend) {
    let only = std::env::var(ONLY).unwrap_or_default();
    let wanted = wanted(&only);
    let failed = failures_of(Arc::new(backend), &wanted).await;
    let told: Vec<String> = failed.iter().map(Failure::to_string).collect();
    assert!(failed.is_empty(), "{} of {} cases failed:\n\n{}", failed.len(), wanted.len(), told.join("\n"));
}

/// Runs every case, and gives those that failed.
pub async fn failures(backend: impl Backend) -> Vec<Failure> {
    failures_of(Arc::new(backend), &wanted("")).await
}

async fn failures_of(backend: Arc<dyn Backend>, cases: &[Case]) -> Vec<Failure> {
    let mut failed = Vec::new();
    for case in cases {
        if let Err(found) = attempt(case, backend.clone(), PATIENCE).await {
            failed.push(Failure { case: *case, found });
        }
    }
    failed
}

/// Runs one case; the error says what was found instead.
pub(super) async fn attempt(
    case: &Case,
    backend: Arc<dyn Backend>,
    patience: Duration,
) -> Result<(), String> {
    // A task of its own: a panic ends it and nothing else.
    let mut task = tokio::spawn((case.check)(backend));
    match tokio::time::timeout(patience, &mut task).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(ended)) if ended.is_panic() => Err(words(&*ended.into_panic())),
        Ok(Err(ended)) => Err(ended.to_string()),
        Err(_) => {
            task.abort();
            Err(format!("what it waits for has not come within {} s", patience.as_secs()))
        }
    }
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without words").to_owned()
}

/// The cases that a list of names means; all, if it is empty.
pub(super) fn wanted(only: &str) -> Vec<Case> {
    let names: Vec<&str> = only.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let is = |case: &Case, name: &str| case.name == name || case.group.name() == name;
    let unknown = names.iter().find(|name| !CASES.iter().any(|case| is(case, name)));
    assert_eq!(unknown, None, "{ONLY} names what is neither a case nor a group");
    let is_wanted = |case: &&Case| names.is_empty() || names.iter().any(|name| is(case, name));
    CASES.iter().filter(is_wanted).copied().collect()
}
