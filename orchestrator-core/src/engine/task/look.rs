//! Looking for tasks: which are open, and what is in the way of claiming one.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::engine::queues::{PausedQueue, paused_queues};
use crate::engine::task::said::{TaskBrief, TaskType};
use crate::id::{OwnerId, RunId};
use crate::machine::{Claim as Held, Hold};
use crate::port::queue::StepTicket;
use crate::port::store::{
    ClaimRow, HoldRow, KeyQuery, OfferQuery, OfferRow, OwnerRow, Store, StoreError, WaiterRow,
};
use crate::spec::Paths;
use crate::time::Timestamp;

/// How many offers are read at once.
const PAGE: usize = 64;

/// Which tasks somebody looks for.
#[derive(Debug, Clone, Default)]
pub struct FindTasks {
    /// Only of this run.
    pub run: Option<RunId>,
    /// Only of this project.
    pub project: Option<Arc<str>>,
    /// Only of these queues; none: of any.
    pub queues: Vec<Arc<str>>,
    /// Only of these types; none: of any.
    pub kinds: Vec<TaskType>,
    /// Only those with all these labels.
    pub labels: BTreeMap<String, String>,
    /// What whoever looks has: a task may ask for some of it by the `labels` of its step.
    pub has: BTreeMap<String, String>,
    /// Also those that cannot be claimed now, each with what is in the way.
    pub all: bool,
    /// At most this many; 0 means 50.
    pub limit: usize,
}

impl FindTasks {
    fn wants(&self, brief: &TaskBrief) -> bool {
        self.project.as_ref().is_none_or(|project| *project == brief.project)
            && (self.kinds.is_empty() || self.kinds.contains(&brief.kind))
            && self.labels.iter().all(|(name, value)| brief.labels.get(name) == Some(value))
    }
}

/// A task that is open: nobody has done it yet.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenTask {
    /// The right that whoever claims it gets: it names the run and the step.
    pub ticket: StepTicket,
    /// What it says of itself.
    pub brief: TaskBrief,
    /// The queue in which it waits.
    pub queue: Arc<str>,
    /// What whoever claims it must have.
    pub requires: BTreeMap<String, String>,
    /// The priority of its run.
    pub priority: i32,
    /// Since when it is open, or open again.
    pub since: Timestamp,
    /// Who has claimed it, if somebody has.
    pub claim: Option<ClaimRow>,
    /// What is in the way of claiming it, if something is.
    pub obstacle: Option<Obstacle>,
}

/// What is in the way of claiming a task.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Obstacle {
    /// Somebody has claimed it.
    Claimed {
        /// Who, for people.
        by: String,
        /// When the claim ends if nobody renews it.
        until: Timestamp,
    },
    /// A claim of it is over, which whoever drives its run has not noticed yet; or nobody drives it.
    Unnoticed,
    /// Its queue is paused.
    Paused(PausedQueue),
    /// It asks for what whoever looks does not have.
    Lacks {
        /// The name of the label.
        label: String,
        /// The value that it must have.
        value: String,
    },
    /// This run has not completed, and is as this word says; `None`: it is gone.
    Depends(RunId, Option<Arc<str>>),
    /// What it would hold is held, or somebody waits for it who came before: in words, with the run.
    Held {
        /// What it would hold.
        wanted: String,
        /// Who is in the way.
        by: RunId,
        /// Whether that one only waits for it.
        waits: bool,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claimed { by, until } => write!(f, "{by} has claimed it, until {until}"),
            Self::Unnoticed => f.write_str("its claim is over, and nobody has seen to its run yet"),
            Self::Paused(paused) => f.write_str(&paused.told()),
            Self::Lacks { label, value } => write!(f, "it asks for {label}={value}"),
            Self::Depends(run, Some(status)) => match &**status {
                "failed" | "cancelled" => write!(f, "it depends on {run}, which has {}", ended(status)),
                _ => write!(f, "it depends on {run}, which has not completed yet"),
            },
            Self::Depends(run, None) => {
                write!(f, "it depends on {run}, which was removed: nobody can tell whether it had completed")
            }
            Self::Held { wanted, by, waits: false } => write!(f, "{wanted}: held by {by}"),
            Self::Held { wanted, by, waits: true } => write!(f, "{wanted}: {by} waits for it"),
        }
    }
}

/// How a run has ended, after `has`.
pub(super) fn ended(status: &str) -> &str {
    if status == "cancelled" { "been cancelled" } else { status }
}

/// What is under a key of a project.
#[derive(Debug, Default)]
struct UnderKey {
    holds: Vec<HoldRow>,
    waiters: Vec<WaiterRow>,
}

/// What is around the tasks that are looked at: read once, where it is asked for.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    store: &'a dyn Store,
    paused: Vec<PausedQueue>,
    /// Who is alive; read where something is claimed.
    living: Option<HashMap<OwnerId, OwnerRow>>,
    /// How the runs are on which tasks depend.
    runs: HashMap<RunId, Option<Arc<str>>>,
    keys: HashMap<(Arc<str>, Arc<str>), UnderKey>,
}

/// Open tasks, in the order in which they are to be claimed: those that wait longest first, each with a minute's head start for a
/// point of its priority. Changes nothing; a claim that nobody has renewed in time is over, and its task is open.
///
/// # Errors
/// [`StoreError`].
pub async fn read_tasks(store: &dyn Store, find: &FindTasks) -> Result<Vec<OpenTask>, StoreError> {
    let most = if find.limit == 0 { 50 } else { find.limit };
    let (mut around, mut after, mut tasks) = (Surroundings::of(store).await?, None, Vec::new());
    while let Some((found, next)) = around.page(find, after).await? {
        tasks.extend(found);
        after = next;
        if after.is_none() || tasks.len() >= most {
            break;
        }
    }
    tasks.truncate(most);
    Ok(tasks)
}

/// The tasks of a page, and where the next begins.
type Looked = (Vec<OpenTask>, Option<(i64, StepTicket)>);

impl<'a> Surroundings<'a> {
    pub(super) async fn of(store: &'a dyn Store) -> Result<Self, StoreError> {
        let paused = paused_queues(store).await?;
        Ok(Self { store, paused, living: None, runs: HashMap::new(), keys: HashMap::new() })
    }

    /// The next tasks that are wanted. `None` once there are no more.
    pub(super) async fn page(
        &mut self,
        find: &FindTasks,
        after: Option<(i64, StepTicket)>,
    ) -> Result<Option<Looked>, StoreError> {
        let query = OfferQuery {
            queues: find.queues.clone(),
            run: find.run,
            free: !find.all,
            tasks: Some(true),
            after,
            limit: PAGE,
            ..OfferQuery::default()
        };
        let page = self.store.offers(query).await?;
        let next = page.items.last().map(OfferRow::place).filter(|_| page.more);
        let mut tasks = Vec::new();
        for row in page.items {
            let Some(mut task) = task_of(row).filter(|task| find.wants(&task.brief)) else { continue };
            task.obstacle = self.obstacle(&task, find).await?;
            if task.obstacle.is_none() || find.all {
                tasks.push(task);
            }
        }
        Ok((!tasks.is_empty() || next.is_some()).then_some((tasks, next)))
    }

    /// What is in the way of claiming a task.
    async fn obstacle(&mut self, task: &OpenTask, find: &FindTasks) -> Result<Option<Obstacle>, StoreError> {
        if let Some(claim) = task.claim {
            return Ok(Some(match self.living().await?.get(&claim.owner) {
                Some(owner) => Obstacle::Claimed { by: owner.label.clone(), until: owner.deadline },
                None => Obstacle::Unnoticed,
            }));
        }
        if let Some(paused) = self.paused.iter().find(|paused| paused.queue == task.queue) {
            return Ok(Some(Obstacle::Paused(paused.clone())));
        }
        if let Some((label, value)) =
            task.requires.iter().find(|(label, value)| find.has.get(*label) != Some(value))
        {
            return Ok(Some(Obstacle::Lacks { label: label.clone(), value: value.clone() }));
        }
        for run in &task.brief.depends_on {
            let status = self.status(*run).await?;
            if status.as_deref() != Some("completed") {
                return Ok(Some(Obstacle::Depends(*run, status)));
            }
        }
        for hold in task.brief.holds.iter().flat_map(|holds| holds.iter()) {
            let under = self.under_key(&task.brief.project, &hold.key).await?;
            if let Some(obstacle) = under.obstacle(hold, task.ticket.run) {
                return Ok(Some(obstacle));
            }
        }
        Ok(None)
    }

    async fn living(&mut self) -> Result<&HashMap<OwnerId, OwnerRow>, StoreError> {
        if self.living.is_none() {
            let now = self.store.now().await?;
            let living = self.store.owners().await?.into_iter().filter(|owner| owner.deadline > now);
            self.living = Some(living.map(|owner| (owner.id, owner)).collect());
        }
        Ok(self.living.get_or_insert_default())
    }

    async fn status(&mut self, run: RunId) -> Result<Option<Arc<str>>, StoreError> {
        if let Some(status) = self.runs.get(&run) {
            return Ok(status.clone());
        }
        let status = self.store.run(run).await?.map(|row| row.status);
        self.runs.insert(run, status.clone());
        Ok(status)
    }

    async fn under_key(&mut self, project: &Arc<str>, key: &Arc<str>) -> Result<&UnderKey, StoreError> {
        let place = (project.clone(), key.clone());
        if !self.keys.contains_key(&place) {
            let query = KeyQuery {
                project: Some(project.clone()),
                key: Some(key.clone()),
                limit: usize::MAX,
                ..KeyQuery::default()
            };
            let holds = self.store.holds(query.clone()).await?;
            let waiters = self.store.waiters(query).await?;
            self.keys.insert(place.clone(), UnderKey { holds, waiters });
        }
        Ok(self.keys.entry(place).or_default())
    }
}

impl UnderKey {
    fn obstacle(&self, wanted: &Hold, run: RunId) -> Option<Obstacle> {
        let told = |by: RunId, waits| Obstacle::Held { wanted: wanted.spot().to_string(), by, waits };
        match &wanted.claim {
            // Whether enough time has passed, and for whom, is told to whoever claims it.
            Held::Rate { .. } => None,
            Held::Place { limit } => {
                let is_full = self.holds.len() >= *limit as usize;
                let first = self.holds.first().filter(|_| is_full).map(|row| told(row.run, false));
                first.or_else(|| self.waiters.first().map(|row| told(row.run, true)))
            }
            Held::Paths(paths) => {
                let clashes =
                    |other: &Option<Arc<Paths>>| other.as_ref().is_some_and(|other| paths.clashes(other));
                let held = self.holds.iter().find(|row| clashes(&row.paths));
                let waits = || self.waiters.iter().find(|row| row.run != run && clashes(&row.paths));
                held.map(|row| told(row.run, false)).or_else(|| waits().map(|row| told(row.run, true)))
            }
        }
    }
}

/// The task that is offered; `None` where that cannot be read, for it is another version's.
pub(super) fn task_of(row: OfferRow) -> Option<OpenTask> {
    let OfferRow { offer, offered_at, claim } = row;
    let brief = serde_json::from_str(offer.task.as_deref()?);
    let brief = brief
        .inspect_err(|error| tracing::warn!(run = %offer.ticket.run, %error, "a task that does not read"))
        .ok()?;
    Some(OpenTask {
        ticket: offer.ticket,
        brief,
        queue: offer.queue,
        requires: offer.labels,
        priority: offer.priority,
        since: offered_at,
        claim,
        obstacle: None,
    })
}
