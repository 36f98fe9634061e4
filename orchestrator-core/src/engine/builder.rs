//! Furnishing an engine.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::engine::doorbell::{Doorbell, hear, ring_out};
use crate::engine::handle::Engine;
use crate::engine::owner::Keeper;
use crate::engine::registry::Registry;
use crate::engine::shared::{Parts, Shared};
use crate::engine::step_fn::{StepFailure, step_fn};
use crate::engine::tasks::Tasks;
use crate::engine::watch::{claim_due_runs, watch_changes};
use crate::engine::work::{Hands, Work};
use crate::id::{Ids, SystemIds};
use crate::memory::MemoryStore;
use crate::port::evidence::Inspector;
use crate::port::executor::Executor;
use crate::port::plugin::Plugin;
use crate::port::policy::{AllowAll, PolicyEngine};
use crate::port::queue::Queue;
use crate::port::secret::SecretProvider;
use crate::port::store::{Serves, Store, StoreError};
use crate::spec::{MAX_QUEUE_NAME, is_queue_name};
use crate::time::{Clock, SystemClock};

/// Furnishes an [`Engine`].
#[derive(Debug)]
pub struct EngineBuilder {
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) registry: Registry,
    pub(crate) policy: Arc<dyn PolicyEngine>,
    pub(crate) inspector: Option<Arc<dyn Inspector>>,
    pub(crate) secrets: Vec<Arc<dyn SecretProvider>>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) slots: usize,
    pub(crate) ttl: Duration,
    pub(crate) poll: Option<Duration>,
    pub(crate) workdir: PathBuf,
    pub(crate) workspaces: bool,
    pub(crate) leaves: Option<String>,
    pub(crate) protected: Vec<PathBuf>,
    pub(crate) label: String,
    pub(crate) executor: Option<Arc<dyn Executor>>,
    pub(crate) serves: Serves,
    pub(crate) shares: bool,
    pub(crate) hands: Option<Hands>,
    pub(crate) queue: Option<Arc<dyn Queue>>,
    #[cfg(feature = "schedule")]
    pub(crate) schedules: bool,
}

impl EngineBuilder {
    pub(crate) fn new() -> Self {
        Self {
            store: None,
            registry: Registry::default(),
            policy: Arc::new(AllowAll),
            inspector: None,
            secrets: Vec::new(),
            clock: None,
            ids: Arc::new(SystemIds::default()),
            slots: 64,
            ttl: Duration::from_secs(30),
            poll: Some(Duration::from_millis(200)),
            workdir: PathBuf::from("."),
            workspaces: false,
            leaves: None,
            protected: Vec::new(),
            label: format!("pid {}", std::process::id()),
            executor: None,
            serves: Serves::default(),
            shares: false,
            hands: None,
            queue: None,
            #[cfg(feature = "schedule")]
            schedules: false,
        }
    }

    /// Where runs are kept. Without one: in memory, gone with the process.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// A plugin. A later one of the same kind replaces an earlier one.
    #[must_use]
    pub fn plugin(mut self, plugin: Arc<dyn Plugin>) -> Self {
        self.registry.add(plugin);
        self
    }

    /// Many plugins.
    #[must_use]
    pub fn plugins(mut self, plugins: impl IntoIterator<Item = Arc<dyn Plugin>>) -> Self {
        plugins.into_iter().for_each(|plugin| self.registry.add(plugin));
        self
    }

    /// A typed step: an async closure or function of the host program; see [`step_fn`].
    #[must_use]
    pub fn step<I, O, F, W>(self, kind: impl Into<String>, function: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: Fn(I) -> W + Send + Sync + 'static,
        W: Future<Output = Result<O, StepFailure>> + Send + 'static,
    {
        self.plugin(step_fn(kind, function))
    }

    /// Who judges steps. Without one: everything is allowed, and recorded.
    #[must_use]
    pub fn policy(mut self, policy: Arc<dyn PolicyEngine>) -> Self {
        self.policy = policy;
        self
    }

    /// Who looks at files and repositories for the `evidence` of steps. Without one, a step that declares such evidence
    /// fails.
    #[must_use]
    pub fn inspector(mut self, inspector: Arc<dyn Inspector>) -> Self {
        self.inspector = Some(inspector);
        self
    }

    /// Who knows secrets. Of several, those that were given first are asked first. Without one, a step that needs a secret
    /// fails.
    #[must_use]
    pub fn secrets(mut self, provider: Arc<dyn SecretProvider>) -> Self {
        self.secrets.push(provider);
        self
    }

    /// How many attempts are executed at once; at least 1. Default 64.
    #[must_use]
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = slots.max(1);
        self
    }

    /// How long this engine counts as alive without renewal. Default 30 s; renewed every quarter of it. What could
    /// not be renewed for seven tenths of it is stopped.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How often to look for due runs that nobody drives. Default 200 ms; `None`: only runs that are asked for.
    #[must_use]
    pub const fn poll(mut self, every: Option<Duration>) -> Self {
        self.poll = every;
        self
    }

    /// Starts the runs of schedules whose time has come, and leaves them to whoever looks for due runs: this engine, unless it
    /// does not ([`EngineBuilder::poll`]), or another with the same store. Of each time there is one run, however many engines
    /// do so. Default: it leaves schedules alone.
    #[cfg(feature = "schedule")]
    #[must_use]
    pub const fn schedules(mut self) -> Self {
        self.schedules = true;
        self
    }

    /// Gives each run a folder of its own, called by its id, below this one: relative paths of its steps start there, and
    /// those of the runs that carry out its steps. For engines that drive what others have started. It is made with the
    /// first attempt, and stays.
    #[must_use]
    pub fn workspaces(mut self, folder: impl Into<PathBuf>) -> Self {
        self.workdir = folder.into();
        self.workspaces = true;
        self
    }

    /// Leaves runs alone that have this label, and those below them: they are driven where somebody asks for it, and not
    /// because they are due.
    #[must_use]
    pub fn leave(mut self, label: impl Into<String>) -> Self {
        self.leaves = Some(label.into());
        self
    }

    /// Claims what others offer to these queues, for steps whose labels it has, and executes it: in this engine's folder or
    /// workspaces, with its plugins and secrets. It then executes no step of the runs that it drives itself but those that are
    /// placed so: name [`crate::spec::DEFAULT_QUEUE`] too for those that say nothing. Needs [`EngineBuilder::poll`]. Default:
    /// nothing, and of its own runs what says nothing.
    #[must_use]
    pub fn serve(mut self, serves: Serves) -> Self {
        self.serves = serves;
        self
    }

    /// Offers to others what there is no slot for here, where others are alive that serve its queue. Without this, only what
    /// this engine does not execute itself is offered. Needs [`EngineBuilder::serve`]: by that it takes itself, once it has a
    /// slot, what it has offered and nobody else has claimed.
    #[must_use]
    pub const fn share(mut self) -> Self {
        self.shares = true;
        self
    }

    /// Rings for other engines by this queue, and hears by it what they ring for: a run that is due and that nobody drives
    /// ([`RUNS_QUEUE`](crate::engine::RUNS_QUEUE)), an attempt that is offered (the queue that its step names), something for whoever
    /// drives a run (a queue that is called as that owner is). All that have the store should have the queue.
    ///
    /// It is rung after the commit, beside it, and a queue that fails, hangs, loses or doubles tickets changes nothing but how
    /// soon something is noticed: the store says what there is to do, and is looked at all the same. Default: none.
    #[must_use]
    pub fn queue(mut self, queue: Arc<dyn Queue>) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Has the host carry out what the engine takes up: the driver of each run, and each attempt that it executes for others.
    /// `take` is called where the engine takes it up, so it must not wait: it puts the work where the host's own runtime finds
    /// it. What it drops is carried out by the engine; what it keeps without carrying it out holds up who has asked for the
    /// run, and [`Engine::stop`]. Default: all is carried out by tasks of the engine.
    #[must_use]
    pub fn hand_out(mut self, take: impl Fn(Work) + Send + Sync + 'static) -> Self {
        self.hands = Some(Hands(Box::new(take)));
        self
    }

    /// Where relative paths of steps start. Default: the current folder.
    #[must_use]
    pub fn workdir(mut self, workdir: impl Into<PathBuf>) -> Self {
        self.workdir = workdir.into();
        self
    }

    /// Names files or folders that no confined script may read or write, even where they lie in the folder in which it
    /// starts: those of the store, above all. What lies anywhere else is out of its reach anyway. May be called again.
    #[must_use]
    pub fn protect(mut self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        // What cannot be made absolute (no current folder) stays as given.
        self.protected.extend(paths.into_iter().map(|path| std::path::absolute(&path).unwrap_or(path)));
        self
    }

    /// Host and process, for people. Default: the process id.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The clock. Default: the store's time plus monotonic time.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The maker of ids.
    #[must_use]
    pub fn ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// Who polls the engine's tasks: for simulation. Default: the Tokio runtime in which the engine is started, and a thread
    /// for renewals.
    #[must_use]
    pub fn executor(mut self, executor: Arc<dyn Executor>) -> Self {
        self.executor = Some(executor);
        self
    }

    /// Why no engine can be like this, if none can.
    fn fault(&self) -> Option<String> {
        let Serves { queues, .. } = &self.serves;
        if let Some(queue) = queues.iter().find(|queue| !is_queue_name(queue)) {
            return Some(format!(
                "no queue is called `{}`: a name has 1 to {MAX_QUEUE_NAME} letters, digits, `_`, `-` and `.`",
                queue.escape_debug()
            ));
        }
        let fault = match (queues.is_empty(), self.poll, self.shares) {
            // Others would offer it work, and wait.
            (false, None, _) => {
                "an engine that serves queues has to look for what is offered: let it look with `poll`, or leave out `serve`"
            }
            // Its own slots would stand idle beside what it has offered, until others have done it all.
            (true, _, true) => {
                "an engine that shares has to take back what nobody else takes: name its queues with `serve`, or leave out `share`"
            }
            _ => return None,
        };
        Some(fault.to_owned())
    }

    /// Registers the engine with its store and starts it.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer; [`StoreError::Invalid`] if something is to be served that no step can name,
    /// if it serves and does not look, or if it shares and does not serve.
    pub async fn start(self) -> Result<Engine, StoreError> {
        if let Some(fault) = self.fault() {
            return Err(StoreError::Invalid(fault));
        }
        let store = self.store.unwrap_or_else(|| Arc::new(MemoryStore::default()));
        let clock = match self.clock {
            Some(clock) => clock,
            None => Arc::new(SystemClock::anchored_at(store.now().await?)),
        };
        // What cannot be made absolute (no current folder) stays as given.
        let workdir = std::path::absolute(&self.workdir).unwrap_or(self.workdir);
        let tasks = self.executor.map_or_else(|| Tasks::Runtime(Handle::current()), Tasks::Given);
        let doorbell = self.queue.map(|queue| Arc::new(Doorbell::new(queue)));
        let shared = Arc::new(Shared::new(Parts {
            store,
            registry: self.registry,
            policy: self.policy,
            inspector: self.inspector,
            secrets: self.secrets,
            clock,
            ids: self.ids,
            slots: self.slots,
            workdir: workdir.into(),
            workspaces: self.workspaces,
            leaves: self.leaves,
            protected: self.protected.into(),
            ttl: self.ttl,
            label: self.label,
            tasks,
            serves: self.serves,
            shares: self.shares,
            hands: self.hands,
            doorbell: doorbell.clone(),
            polls: self.poll.is_some(),
        }));
        shared.register().await?;
        let keeper = Keeper::start(&shared)?;
        shared.tasks.spawn(watch_changes(Arc::downgrade(&shared), self.poll.is_some()));
        if let Some(bell) = doorbell {
            shared.tasks.spawn(ring_out(Arc::downgrade(&shared), bell.clone()));
            shared.tasks.spawn(hear(Arc::downgrade(&shared), bell));
        }
        if let Some(every) = self.poll {
            shared.tasks.spawn(claim_due_runs(Arc::downgrade(&shared), every));
        }
        #[cfg(feature = "schedule")]
        if self.schedules {
            shared.tasks.spawn(crate::engine::schedules::watch_schedules(Arc::downgrade(&shared)));
        }
        Ok(Engine::new(shared, keeper))
    }
}
