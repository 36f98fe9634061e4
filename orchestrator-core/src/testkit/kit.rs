//! The kit: backends, places, cases, and how they are run.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::id::RunId;
use crate::port::queue::StepTicket;
use crate::port::store::Store;
use crate::testkit::{CASES, QUEUE_CASES};

/// Names the cases to be run, where not all are: a case's name, or `store`, `queue`, `model` or `engine`; several with
/// commas.
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
/// [`Place::forge_kind`], [`Place::forge_delivery`], [`Place::forge_offer`].
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

    /// Changes, behind the store's back, the row of an inbox so that no version can read it: its attempt becomes -1, say. `false`
    /// as with [`Place::forge_kind`].
    async fn forge_delivery(&self, ticket: StepTicket) -> bool {
        let _ = ticket;
        false
    }

    /// Changes, behind the store's back, the row of an offer so that no version can read it: what its labels are is no JSON, say.
    /// Who has claimed it can still be told. `false` as with [`Place::forge_kind`].
    async fn forge_offer(&self, ticket: StepTicket) -> bool {
        let _ = ticket;
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
    /// One thing that a queue must do.
    Queue,
}

impl Group {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Model => "model",
            Self::Engine => "engine",
            Self::Queue => "queue",
        }
    }
}

/// What a case does: panics if what the backend makes does not do what it must.
pub type CaseFn<B = dyn Backend> = fn(Arc<B>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// One thing that every backend must do: a [`Backend`] of stores, or, in [`QUEUE_CASES`], a
/// [`QueueBackend`](crate::testkit::QueueBackend).
pub struct Case<B: ?Sized = dyn Backend> {
    /// What it speaks of.
    pub group: Group,
    /// Its name: what must be so.
    pub name: &'static str,
    /// The methods of the port that it puts to the test.
    pub covers: &'static [&'static str],
    /// Does it.
    pub check: CaseFn<B>,
}

// Derived, these would ask the same of `B`.
impl<B: ?Sized> Clone for Case<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: ?Sized> Copy for Case<B> {}

impl<B: ?Sized> fmt::Debug for Case<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("covers", &self.covers).finish_non_exhaustive()
    }
}

/// A case that has failed.
#[derive(Debug)]
pub struct Failure<B: ?Sized = dyn Backend> {
    /// The case.
    pub case: Case<B>,
    /// What was found instead.
    pub found: String,
}

impl<B: ?Sized> Clone for Failure<B> {
    fn clone(&self) -> Self {
        Self { case: self.case, found: self.found.clone() }
    }
}

impl<B: ?Sized> fmt::Display for Failure<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { group, name, covers, .. } = self.case;
        writeln!(f, "{} ({}; {})", name, group.name(), covers.join(", "))?;
        writeln!(f, "  expected: {}", name.replace('_', " "))?;
        writeln!(f, "  found: {}", self.found.trim_end().replace('\n', "\n    "))?;
        writeln!(f, "  this one alone: {ONLY}={name} cargo test")
    }
}

/// Runs every case for stores, each in fresh places, or those that the environment variable `ORCHESTRATOR_KIT` names.
///
/// # Panics
/// If a case fails, or if no case is called as the variable says. The message names each case that failed, what it
/// expected, what it found, and how to run it alone.
pub async fn run(backend: impl Backend) {
    hold(Arc::new(backend) as Arc<dyn Backend>, CASES).await;
}

/// Runs those of the cases that are wanted, and fails with all that have failed.
pub(super) async fn hold<B: ?Sized + Send + Sync + 'static>(backend: Arc<B>, cases: &[Case<B>]) {
    let only = std::env::var(ONLY).unwrap_or_default();
    let wanted = wanted(&only, cases);
    let failed = failures_of(backend, &wanted).await;
    let told: Vec<String> = failed.iter().map(Failure::to_string).collect();
    assert!(failed.is_empty(), "{} of {} cases failed:\n\n{}", failed.len(), wanted.len(), told.join("\n"));
}

/// Runs every case for stores, and gives those that failed.
pub async fn failures(backend: impl Backend) -> Vec<Failure> {
    failures_of(Arc::new(backend) as Arc<dyn Backend>, CASES).await
}

pub(super) async fn failures_of<B: ?Sized + Send + Sync + 'static>(
    backend: Arc<B>,
    cases: &[Case<B>],
) -> Vec<Failure<B>> {
    let mut failed = Vec::new();
    for case in cases {
        if let Err(found) = attempt(case, backend.clone(), PATIENCE).await {
            failed.push(Failure { case: *case, found });
        }
    }
    failed
}

/// Runs one case; the error says what was found instead.
pub(super) async fn attempt<B: ?Sized + Send + Sync + 'static>(
    case: &Case<B>,
    backend: Arc<B>,
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

/// Those of the cases that a list of names means; all, if it is empty. What names a case of another port names none of
/// these: one variable is for all tests of a process.
pub(super) fn wanted<B: ?Sized>(only: &str, cases: &[Case<B>]) -> Vec<Case<B>> {
    let names: Vec<&str> = only.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let unknown = names.iter().find(|name| !is_named(CASES, name) && !is_named(QUEUE_CASES, name));
    assert_eq!(unknown, None, "{ONLY} names what is neither a case nor a group");
    let is_wanted = |case: &&Case<B>| names.is_empty() || names.iter().any(|name| is(case, name));
    cases.iter().filter(is_wanted).copied().collect()
}

fn is<B: ?Sized>(case: &Case<B>, name: &str) -> bool {
    case.name == name || case.group.name() == name
}

fn is_named<B: ?Sized>(cases: &[Case<B>], name: &str) -> bool {
    cases.iter().any(|case| is(case, name))
}
