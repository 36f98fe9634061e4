//! The engine as its host sees it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{broadcast, watch};

use crate::engine::builder::EngineBuilder;
use crate::engine::error::{CommandError, DriveError, ForkError, StartError};
use crate::engine::fork::ForkRun;
use crate::engine::note::Note;
use crate::engine::owner::Keeper;
use crate::engine::registry::Registry;
use crate::engine::report::RunReport;
use crate::engine::shared::{Actor, Shared};
use crate::engine::start::StartRun;
use crate::engine::task::{
    ClaimTask, ClaimedTask, FindTasks, Heartbeat, NewTask, OpenTask, TaskEnd, TaskError, TaskRight,
    read_tasks,
};
use crate::engine::vault::MissingSecret;
use crate::id::{OwnerId, RunId, Unit};
use crate::machine::{Asked, Command, Recorded};
use crate::mask::Mask;
use crate::port::notice::Notice;
use crate::port::store::{LogLine, Member, Serves, Store, StoreError};
use crate::spec::{Diagnostics, ParseOptions, Parsed, Workflow};

/// Drives runs. Cheap to clone; all clones are one engine.
///
/// Dropping the last clone stops nothing in an orderly way: call [`Engine::stop`] first.
///
/// A panic in a task of the engine itself or of its store ends the process with code 101, unless an executor was given:
/// then whoever polls the task sees it. What plugins and policies do is none: a panic there is the step's failure.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    keeper: Arc<Keeper>,
}

/// Something that has just happened to a run driven by this engine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Live {
    /// An event was committed.
    Event {
        /// The run.
        run: RunId,
        /// The event.
        recorded: Recorded,
    },
    /// A step wrote a line. It is live, and perhaps not kept yet.
    Line {
        /// The run.
        run: RunId,
        /// The line.
        line: LogLine,
    },
    /// A step tells people something. Its lines came before.
    Notice {
        /// The run.
        run: RunId,
        /// The step or item.
        step: Unit,
        /// What it tells.
        notice: Notice,
    },
    /// How far a step is, in place of what it said of that before. Not kept.
    Progress {
        /// The run.
        run: RunId,
        /// The step or item.
        step: Unit,
        /// A few words.
        text: Arc<str>,
    },
}

/// How far a run is, as far as this engine knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The status shown to users; `blocked` means that only a person can move the run.
    pub status: &'static str,
    /// Number of its last event.
    pub seq: u64,
    /// How many of its steps have ended.
    pub done: u32,
    /// How many steps it has.
    pub steps: u32,
    /// Whether it has ended.
    pub ended: bool,
    /// Whether this engine still drives it.
    pub driven: bool,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Whether it changed anything: `false` if it was so already.
    pub changed: bool,
    /// Number of the run's last event after it.
    pub seq: u64,
    /// Whether somebody alive drives the run, so that the command will take effect by itself.
    pub driven: bool,
}

/// A run that this engine has started or drives.
#[derive(Debug, Clone)]
pub struct RunHandle {
    pub(crate) engine: Engine,
    pub(crate) run: RunId,
    pub(crate) progress: watch::Receiver<Progress>,
}

impl Engine {
    /// An engine with the memory store and no plugins, to be furnished.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder::new()
    }

    /// Starts a run and drives it. Returns when the run is durable.
    ///
    /// # Errors
    /// [`StartError`]; then there is no run.
    pub async fn start(&self, start: impl Into<StartRun>) -> Result<RunHandle, StartError> {
        let (run, actor) = self.shared.start(start.into()).await?;
        Ok(self.handle(run, actor))
    }

    /// Creates a run and leaves it to whoever looks for due runs: this engine, if it does, or another with the same store.
    /// Returns when the run is durable.
    ///
    /// # Errors
    /// [`StartError`]; then there is no run, unless the store failed: then the idempotency key tells.
    pub async fn enqueue(&self, start: impl Into<StartRun>) -> Result<RunId, StartError> {
        self.shared.enqueue(start.into()).await
    }

    /// As [`Engine::enqueue`], of many runs. They are written in groups of up to 256 runs or 1 MiB, a transaction each, so
    /// that many cost little more than a few; whatever is wrong with one harms no other. There is an answer for each, in
    /// their order. Of several with one idempotency key, whichever is written first starts the run.
    ///
    /// However many there are, at most 1,024 runs or 4 MiB of them are held at a time: what is to be started is asked for
    /// as the store takes it. Where the caller goes away, those that were asked for already are created, and no more.
    ///
    /// # Errors
    /// For each: [`StartError`], as of [`Engine::enqueue`]. Once the store cannot be had, all that are not on their way are
    /// told so without being tried.
    pub async fn enqueue_all<S: Into<StartRun>>(
        &self,
        starts: impl IntoIterator<Item = S>,
    ) -> Vec<Result<RunId, StartError>> {
        self.shared.enqueue_all(starts.into_iter().map(Into::into)).await
    }

    /// Those of the secrets declared by a workflow, and by the workflows that its steps name, that cannot be had now. For
    /// saying so before a run is started; a run does not need it.
    pub async fn missing_secrets(&self, workflow: &Workflow) -> Vec<MissingSecret> {
        self.shared.vault.missing(workflow, &*self.shared.clock).await
    }

    /// What keeps the secrets that this engine has fetched so far out of texts: for what a host writes of its own.
    #[must_use]
    pub fn mask(&self) -> Mask {
        self.shared.vault.mask()
    }

    /// The member that creates a run, for a store's `create_in` inside a transaction of the host. After its commit,
    /// [`Engine::ring`] makes an engine take the run up at once.
    ///
    /// # Errors
    /// [`StartError`]; nothing has been written.
    pub fn member_for(&self, start: impl Into<StartRun>) -> Result<Member, StartError> {
        self.shared.creating_member(start.into())
    }

    /// Starts a run that begins where another has been, and drives it: it does again what is asked for and all that
    /// depends on it, and keeps the rest as it has ended there. The other run stays as it is.
    ///
    /// # Errors
    /// [`ForkError`]; then there is no new run.
    pub async fn fork(&self, fork: ForkRun) -> Result<RunHandle, ForkError> {
        let run = self.shared.fork(fork).await?;
        match self.shared.drive(run).await {
            Ok(actor) => Ok(self.handle(run, actor)),
            Err(DriveError::Store(error)) => Err(error.into()),
            // It is there, and whoever looks for runs that are due drives it.
            Err(_) => Ok(self.handle(run, None)),
        }
    }

    /// Drives a run that nobody alive drives: takes up what a crash or an orderly stop has left. A run that this
    /// engine drives already is joined. A run that has ended is fine: the handle says so.
    ///
    /// # Errors
    /// [`DriveError`].
    pub async fn drive(&self, run: RunId) -> Result<RunHandle, DriveError> {
        let actor = self.shared.drive(run).await?;
        Ok(self.handle(run, actor))
    }

    /// Says a user's command to a run: [`Command::Decide`], `Judge`, `Signal`, `Pause`, `Resume`, `Cancel`, `Resolve`,
    /// `Retry`, `Rerun` or `Compensate`. Works whoever drives the run. Returns when its effect on the log is durable. The
    /// output of a `Resolve` and the data of a `Signal` are given inline (`ValueRef::Inline`), however long they are.
    ///
    /// # Errors
    /// [`CommandError`]; then nothing has changed.
    pub async fn command(&self, run: RunId, command: Command) -> Result<Receipt, CommandError> {
        self.shared.command(run, command).await
    }

    /// Creates a stand-alone task and sees to it until somebody may claim it. Returns the run of it, once that is durable.
    ///
    /// # Errors
    /// [`TaskError::Invalid`] for what can be no task; [`TaskError::Start`]: then there is no task, unless the store failed: then the idempotency key tells.
    pub async fn create_task(&self, new: NewTask) -> Result<RunHandle, TaskError> {
        new.fault().map_or(Ok(()), |fault| Err(TaskError::Invalid(fault)))?;
        let start = new.into_start(self.plugins()).map_err(StartError::Inputs)?;
        let handle = self.start(start).await?;
        let mut progress = handle.progress();
        // A driver that is gone has said all it knew.
        let at_rest =
            |progress: &Progress| progress.status == "blocked" || progress.ended || !progress.driven;
        let _ = progress.wait_for(at_rest).await;
        Ok(handle)
    }

    /// Tasks that are open, in the order in which they are to be claimed: those that wait longest first, each with a minute's
    /// head start for a point of its priority. Sees first to those that nobody drives.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_tasks(&self, find: &FindTasks) -> Result<Vec<OpenTask>, StoreError> {
        self.shared.tend_tasks().await?;
        read_tasks(&*self.shared.store, find).await
    }

    /// Claims the first of the tasks that are looked for; `None` if there is none that can be claimed. A claim takes what the
    /// task holds under keys, its paths for one, and lasts until it is ended, or not renewed in time.
    ///
    /// # Errors
    /// [`TaskError`]; where one run is named, also if nothing of it can be claimed now, with the reason.
    pub async fn claim_task(&self, wish: &ClaimTask) -> Result<Option<ClaimedTask>, TaskError> {
        self.shared.tend_tasks().await?;
        self.shared.claim_task(wish).await
    }

    /// Renews a claim, for as long as the task says if nothing else is said, and tells whether it is to be stopped.
    ///
    /// # Errors
    /// [`TaskError::Over`]: whatever is said of its end does not count any more.
    pub async fn renew_claim(&self, right: TaskRight, ttl: Option<Duration>) -> Result<Heartbeat, TaskError> {
        self.shared.renew_claim(right, ttl).await
    }

    /// Ends a claim: the task is done, has failed, or is given back. Returns when that is durable, and, of a stand-alone task,
    /// taken in. Said again by who has not heard the answer, it is so already.
    ///
    /// # Errors
    /// [`TaskError::Over`]: nothing was written, for the claim is over; [`TaskError::Invalid`] for what cannot be kept.
    pub async fn end_task(&self, right: TaskRight, end: TaskEnd) -> Result<(), TaskError> {
        self.shared.end_task(right, end).await
    }

    /// Sees to a run of which something was claimed or cancelled: what was delivered is taken in, and a stand-alone task that nobody
    /// drives is driven until only somebody from outside can move it.
    ///
    /// # Errors
    /// [`TaskError`].
    pub async fn tend_task(&self, run: RunId) -> Result<(), TaskError> {
        self.shared.tend(run).await
    }

    /// Gives a run a signal: to the step that has waited longest for one of this name, or, if none does, to the next that
    /// will. Works whoever drives the run, and returns when it is durable. Given twice, it is two signals.
    ///
    /// # Errors
    /// [`CommandError::UnknownSignal`] where no step ever waits for the name, as far as that can be told before the steps
    /// are rendered; [`CommandError::InvalidSignal`] where the data fits none of those that do; any other
    /// [`CommandError`]. Then nothing has changed, unless the store failed: then the log tells.
    pub async fn signal(
        &self,
        run: RunId,
        name: &str,
        data: &Value,
        asked: Asked,
    ) -> Result<Receipt, CommandError> {
        self.shared.signal(run, name, data, asked).await
    }

    /// A run as it is in the store now; `None` if there is no such run.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn report(&self, run: RunId) -> Result<Option<RunReport>, StoreError> {
        self.shared.report(run).await
    }

    /// As [`Engine::report`], without what the steps gave: every `output` is `null`. A run with many steps or items is
    /// read much faster so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn outline(&self, run: RunId) -> Result<Option<RunReport>, StoreError> {
        self.shared.outline(run).await
    }

    /// Reads a workflow, with the plugins of this engine.
    ///
    /// # Errors
    /// [`Diagnostics`]: every problem found in one pass.
    pub fn parse(&self, text: &str) -> Result<Parsed, Diagnostics> {
        crate::spec::parse(text, self.plugins())
    }

    /// As [`Engine::parse`], with options: the workflows that its steps name, for one.
    ///
    /// # Errors
    /// As [`Engine::parse`].
    pub fn parse_with(&self, text: &str, options: &ParseOptions<'_>) -> Result<Parsed, Diagnostics> {
        crate::spec::parse_with(text, self.plugins(), options)
    }

    /// Looks for due runs at once instead of at the next poll.
    pub fn ring(&self) {
        self.shared.bell.notify_one();
    }

    /// What happens to the runs driven here, from now on. A receiver that is too slow loses the oldest.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Live> {
        self.shared.live.subscribe()
    }

    /// The plugins.
    #[must_use]
    pub fn plugins(&self) -> &Registry {
        &self.shared.registry
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// Which offers of others it claims.
    #[must_use]
    pub fn serves(&self) -> &Serves {
        &self.shared.serves
    }

    /// This incarnation.
    #[must_use]
    pub fn owner(&self) -> OwnerId {
        self.shared.owner()
    }

    /// Returns when all that was rung for by [`EngineBuilder::queue`](crate::engine::EngineBuilder::queue) is published or given
    /// up, after a second at most: before a process ends that does not stop its engine. [`Engine::stop`] does so too.
    pub async fn rung(&self) {
        self.shared.have_rung().await;
    }

    /// Stops in an orderly way: begins nothing new, gives running attempts up to `grace` to end by themselves, then
    /// stops them and records that they were interrupted, releases its runs, retires. Runs can be driven on later.
    pub async fn stop(&self, grace: Duration) {
        self.shared.stopping.send_replace(true);
        let until = self.shared.clock.now() + grace;
        let watched: Vec<_> = self.shared.actors().values().map(|actor| actor.progress.clone()).collect();
        self.shared.tell_all(|| Note::Stop(until));
        crate::failpoint!("shutdown.drain");
        let released = async {
            for mut progress in watched {
                // An actor that is gone has nothing left to stop.
                let _ = progress.wait_for(|progress| !progress.driven).await;
            }
        };
        tokio::join!(released, self.shared.bench.drain(&self.shared, until));
        crate::failpoint!("shutdown.released");
        self.keeper.stop();
        self.shared.leave_the_bell().await;
        if let Err(error) = self.shared.store.retire(self.shared.owner()).await {
            // It will count as dead when its time is up.
            tracing::warn!(%error, "cannot retire from the store");
        }
    }
}

impl Engine {
    pub(crate) fn new(shared: Arc<Shared>, keeper: Keeper) -> Self {
        Self { shared, keeper: Arc::new(keeper) }
    }

    fn handle(&self, run: RunId, actor: Option<Actor>) -> RunHandle {
        // A run that nobody here drives: its progress does not move.
        let progress = actor.map_or_else(|| watch::channel(Progress::undriven()).1, |actor| actor.progress);
        RunHandle { engine: self.clone(), run, progress }
    }
}

impl Progress {
    const fn undriven() -> Self {
        Self { status: "pending", seq: 0, done: 0, steps: 0, ended: false, driven: false }
    }
}

impl RunHandle {
    /// The run.
    #[must_use]
    pub const fn id(&self) -> RunId {
        self.run
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until the run has ended, or until this engine no longer drives it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn wait(&self) -> Result<RunReport, StoreError> {
        let mut progress = self.progress.clone();
        // A driver that is gone has said all it knew.
        let _ = progress.wait_for(|progress| progress.ended || !progress.driven).await;
        self.report().await
    }

    /// The run as it is in the store now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn report(&self) -> Result<RunReport, StoreError> {
        let gone = || StoreError::Corrupt(format!("{} is gone", self.run));
        self.engine.report(self.run).await?.ok_or_else(gone)
    }

    /// As [`RunHandle::report`], without what the steps gave: see [`Engine::outline`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn outline(&self) -> Result<RunReport, StoreError> {
        let gone = || StoreError::Corrupt(format!("{} is gone", self.run));
        self.engine.outline(self.run).await?.ok_or_else(gone)
    }
}
