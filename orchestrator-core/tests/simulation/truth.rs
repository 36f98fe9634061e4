//! The one store of a world, and what is looked at after every commit: each promise about the log holds at each of its
//! prefixes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use orchestrator_core::id::{OwnerId, RunId, StepIx, Unit};
use orchestrator_core::machine::{self, AfterLoss, Event, RunState, StepKind, wake_at};
use orchestrator_core::plan::Plan;
use orchestrator_core::port::queue::StepTicket;
use orchestrator_core::port::store::{Claim, Commit, EventsAfter, Member, Store};
use orchestrator_core::spec::Workflow;
use orchestrator_core::time::{SystemClock, Timestamp};
use orchestrator_core::{MemoryStore, engine};

use crate::bugs;
use crate::dice::{RUN_WAITED, TURN, WAITED};
use crate::ticks::ticks_of;
use crate::world::{BEGIN, World};

/// After this many losses a step is set aside, until somebody says that it may begin again (docs/guarantees.md).
const MAX_CRASHES: u32 = 3;

/// The store, and everything that was ever committed to it, folded.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) world: Arc<World>,
    pub(crate) store: MemoryStore,
    /// The workflows of the world, by name.
    workflows: BTreeMap<Arc<str>, Arc<Workflow>>,
    seen: Mutex<Seen>,
    pub(crate) memory: Mutex<bugs::Memory>,
}

#[derive(Debug, Default)]
pub(crate) struct Seen {
    runs: BTreeMap<RunId, Run>,
    /// Runs that somebody was told of: they must be there for ever.
    acknowledged: BTreeSet<RunId>,
    /// Who has claimed what was offered.
    claims: BTreeMap<StepTicket, OwnerId>,
    /// Runs that were removed after their end.
    pruned: BTreeSet<RunId>,
    /// The true time of every beginning under the rate.
    pub(crate) begun: Vec<Timestamp>,
    /// The run of each time of the schedule.
    pub(crate) ticks: BTreeMap<String, RunId>,
    /// The first of its times of which there need be none.
    pub(crate) ticks_until: Option<Timestamp>,
}

/// A run as its log says.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) state: RunState,
    /// How often an attempt of a unit may be dispatched at most once, as far as the log allows it.
    pub(crate) allowed: BTreeMap<Unit, u32>,
    /// Every right to execute that was ever given.
    begun: BTreeSet<(Unit, u32, u64)>,
    /// Attempts of each unit.
    attempts: BTreeMap<Unit, u32>,
    /// How often a unit has ended in this generation.
    ends: BTreeMap<Unit, u32>,
    /// How often its process died under a unit since somebody last said that it may begin again.
    losses: BTreeMap<Unit, u32>,
}

impl Truth {
    pub(crate) fn new(world: &Arc<World>, workflows: BTreeMap<Arc<str>, Arc<Workflow>>) -> Arc<Self> {
        let store = MemoryStore::with_clock(Arc::new(SystemClock::anchored_at(BEGIN)));
        let (seen, memory) = (Mutex::default(), Mutex::default());
        Arc::new(Self { world: world.clone(), store, workflows, seen, memory })
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Carries out a batch, and looks at what has become of every run of it.
    pub(crate) async fn commit(&self, by: usize, mut batch: Vec<Member>) -> Vec<Commit> {
        for member in &mut batch {
            self.spoil(member).await;
            self.is_fenced(member);
            self.is_ruled(member);
        }
        let runs: Vec<Vec<RunId>> =
            batch.iter().map(|member| member.with_children().map(|member| member.run).collect()).collect();
        let named: Vec<bool> = batch.iter().map(names_keys).collect();
        let ticks: Vec<Vec<(RunId, String)>> = batch.iter().map(ticks_of).collect();
        let begun: Vec<usize> = batch.iter().map(begins).collect();
        let answers = self.store.commit(batch).await;
        for (ticks, _) in ticks.iter().zip(&answers).filter(|(_, answer)| **answer == Commit::Applied) {
            ticks.iter().for_each(|(run, time)| self.saw_tick(*run, time));
        }
        let begun = begun.iter().zip(&answers).filter(|(_, answer)| **answer == Commit::Applied);
        self.look_at_the_rate(begun.map(|(begun, _)| *begun).sum()).await;
        let full = answers
            .iter()
            .filter_map(|answer| if let Commit::Full(full) = answer { Some(full) } else { None });
        if full.flatten().any(|(spot, _)| spot.is_of_rate()) {
            self.world.saw(TURN);
        }
        let mut looks = false;
        for ((runs, named), answer) in runs.iter().zip(&named).zip(&answers) {
            self.world.tell(|| format!("process {by} commits to {}: {}", short(runs[0]), told(answer)));
            if *answer == Commit::Applied {
                for run in runs {
                    self.look_at(*run).await;
                }
                looks |= *named;
            }
        }
        if looks {
            self.look_at_places().await;
        }
        answers
    }

    /// Somebody has claimed a right, or has it already: of each there is one claim, for ever.
    pub(crate) fn claimed(&self, claim: &Claim) {
        let Claim { ticket, owner } = claim;
        let mut seen = self.seen();
        let first = *seen.claims.entry(*ticket).or_insert(*owner);
        if let Some(run) = seen.runs.get_mut(&ticket.run) {
            run.claimed(ticket);
        }
        drop(seen);
        if first != *owner {
            self.world.broken(format!("{}: {ticket:?} is claimed by two", short(ticket.run)));
        }
    }

    /// A member of a driver that no longer drives must not be written; that is for the store to refuse. Here only what the
    /// log says is remembered, to compare.
    fn is_fenced(&self, member: &Member) {
        let seen = self.seen();
        let Some(run) = seen.runs.get(&member.run) else { return };
        let head = run.state.head();
        let holds = member
            .driver
            .is_none_or(|fence| (Some(fence.owner), fence.epoch) == (head.driver, head.driver_epoch));
        if holds && member.expected == head.seq {
            return;
        }
        drop(seen);
        self.memory.lock().unwrap().stale.insert((member.run, member.transition));
    }

    /// A decision that is recorded is one that the policy has taken.
    fn is_ruled(&self, member: &Member) {
        let Some(workflow) = self.workflow_of(member) else { return };
        let memory = self.memory.lock().unwrap();
        for decision in &member.decisions {
            let name = workflow.step(decision.step).name.to_string();
            // What another run carries out is judged when it begins there.
            if !memory.ruled.contains(&(member.run, name.clone(), decision.policy.to_string())) {
                let policy = &decision.policy;
                self.world.broken(format!("{}: {policy} has never judged `{name}`", short(member.run)));
            }
        }
    }

    fn workflow_of(&self, member: &Member) -> Option<Arc<Workflow>> {
        match &member.create {
            Some(new) => self.workflows.get(&new.workflow).cloned(),
            None => self.with(member.run, |seen| seen.state.workflow().clone()),
        }
    }

    /// Folds what was committed to a run, and checks it.
    async fn look_at(&self, run: RunId) {
        let after = self.seen().runs.get(&run).map_or(0, |seen| seen.state.head().seq);
        let events = self.store.events_after(EventsAfter { run, after, limit: usize::MAX }).await.unwrap();
        let Some(row) = self.store.run(run).await.unwrap() else { return };
        let mut seen = self.seen();
        let known = seen.runs.entry(run).or_insert_with(|| {
            let workflow = self.workflows[&row.new.workflow].clone();
            let plan = Plan::new(workflow.steps.iter().map(|step| step.needs.as_slice())).unwrap();
            Run {
                state: RunState::new(run, workflow, Arc::new(plan)),
                allowed: BTreeMap::new(),
                begun: BTreeSet::new(),
                attempts: BTreeMap::new(),
                ends: BTreeMap::new(),
                losses: BTreeMap::new(),
            }
        });
        if events.is_empty() {
            drop(seen);
            return self.world.broken(format!("{}: applied, and no event after {after}", short(run)));
        }
        for recorded in &events {
            self.world.tell(|| format!("{} #{} {}", short(run), recorded.seq, brief(known, &recorded.event)));
            if self.memory.lock().unwrap().stale.contains(&(run, recorded.transition)) {
                self.world.broken(format!(
                    "{} #{}: who had lost the right has written",
                    short(run),
                    recorded.seq
                ));
            }
            if let Event::StepParked(_) = recorded.event {
                self.world.saw(WAITED);
            }
            if let Event::RunParked(_) = recorded.event {
                self.world.saw(RUN_WAITED);
            }
            if let Err(fault) = known.take(recorded) {
                drop(seen);
                return self.world.broken(format!("{} #{}: {fault}", short(run), recorded.seq));
            }
        }
        let state = &known.state;
        if let Err(violation) = machine::check(state) {
            self.world.broken(format!("{}: {violation}", short(run)));
        }
        let said = (row.seq, &*row.status, row.driver, row.driver_epoch, row.generation, row.done);
        let head = state.head();
        let holds = (head.seq, state.status(), head.driver, head.driver_epoch, head.generation, state.done());
        if said != holds {
            self.world.broken(format!("{}: the row says {said:?}, the log {holds:?}", short(run)));
        }
        // Nobody is left behind: whoever looks for runs that are due finds it when there is something to do.
        if row.due_at != wake_at(state) {
            let wake = wake_at(state);
            self.world.broken(format!(
                "{}: stranded: due at {:?}, to be woken at {wake:?}",
                short(run),
                row.due_at
            ));
        }
    }

    /// Somebody was told that the run is there.
    pub(crate) fn acknowledge(&self, run: RunId) {
        self.seen().acknowledged.insert(run);
    }

    /// Runs that were removed: they must have ended.
    pub(crate) async fn was_pruned(&self) {
        let known: Vec<RunId> = self.seen().runs.keys().copied().collect();
        for run in known {
            if self.store.run(run).await.unwrap().is_none() {
                let mut seen = self.seen();
                let has_ended = seen.runs[&run].state.head().ended.is_some();
                seen.pruned.insert(run);
                drop(seen);
                if !has_ended {
                    self.world.broken(format!("{} was removed before its end", short(run)));
                }
            }
        }
    }

    pub(crate) fn with<T>(&self, run: RunId, look: impl FnOnce(&Run) -> T) -> Option<T> {
        self.seen().runs.get(&run).map(look)
    }

    /// Every run there has ever been, with its state.
    pub(crate) fn each(&self, mut look: impl FnMut(RunId, &Run)) {
        self.seen().runs.iter().for_each(|(run, seen)| look(*run, seen));
    }

    pub(crate) fn open(&self) -> Vec<RunId> {
        let seen = self.seen();
        let open = seen.runs.iter().filter(|(_, run)| run.state.head().ended.is_none());
        open.map(|(run, _)| *run).collect()
    }

    /// What must hold at the end: what was acknowledged is there, and the log as it is stored is what was seen.
    pub(crate) async fn nothing_is_lost(&self) {
        let (acknowledged, pruned) = {
            let seen = self.seen();
            (seen.acknowledged.clone(), seen.pruned.clone())
        };
        for run in acknowledged.difference(&pruned) {
            match self.store.load(*run).await.unwrap() {
                None => self.world.broken(format!("{} was acknowledged and is lost", short(*run))),
                Some(log) => {
                    let seen = self.with(*run, |seen| seen.state.head().seq);
                    if seen != Some(log.events.len() as u64) {
                        self.world
                            .broken(format!("{}: the stored log is not what was committed", short(*run)));
                    }
                }
            }
            // What people are shown can be made from it.
            if engine::read_report(&self.store, *run).await.is_err() {
                self.world.broken(format!("{} cannot be shown", short(*run)));
            }
        }
    }
}

/// Whether a member does something to places, or does what should.
/// How many attempts begin under rates.
fn begins(member: &Member) -> usize {
    let takes = member.admission.iter().flat_map(|admission| &admission.takes);
    takes.filter(|(_, hold)| hold.claim.per().is_some()).count()
}

fn names_keys(member: &Member) -> bool {
    member.admission.is_some()
        || member.events.iter().any(|event| match event {
            Event::StepBegun(begun) => !begun.holds.is_empty(),
            Event::StepOffered(offered) => !offered.holds.is_empty(),
            Event::RunEntered(_) | Event::RunParked(_) | Event::StepParked(_) | Event::IntentChanged(_) => {
                true
            }
            _ => false,
        })
}

impl Run {
    fn take(&mut self, recorded: &machine::Recorded) -> Result<(), String> {
        if recorded.seq != self.state.head().seq + 1 {
            return Err(format!("a gap after {}", self.state.head().seq));
        }
        if let Some(unit) = recorded.event.unit() {
            self.count(unit, &recorded.event)?;
        }
        if let Event::RunReopened(_) = recorded.event {
            self.ends.clear();
        }
        let epochs: Vec<(Unit, u64)> = self.state.slots().map(|(unit, slot)| (unit, slot.epoch)).collect();
        let driver_epoch = self.state.head().driver_epoch;
        machine::apply(&mut self.state, recorded).map_err(|error| error.to_string())?;
        self.state.keep();
        let fell = epochs
            .iter()
            .find(|(unit, epoch)| self.state.find(*unit).is_some_and(|slot| slot.epoch < *epoch));
        if let Some((unit, epoch)) = fell {
            return Err(format!("the epoch of {unit:?} falls below {epoch}"));
        }
        match &recorded.event {
            Event::DriverTaken(taken) if taken.epoch <= driver_epoch => {
                Err(format!("a driver is given epoch {} after {driver_epoch}", taken.epoch))
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, unit: Unit, event: &Event) -> Result<(), String> {
        match event {
            Event::StepBegun(begun) => {
                let last = self.attempts.insert(unit, begun.attempt).unwrap_or(0);
                if begun.attempt != last + 1 {
                    return Err(format!("attempt {} of {unit:?} after {last}", begun.attempt));
                }
                self.begun.insert((unit, begun.attempt, begun.epoch));
                self.allowed.entry(unit).or_insert(1);
            }
            Event::StepContinued(on) => {
                self.begun.insert((unit, on.attempt, on.epoch));
            }
            // Whoever claims it has the right.
            Event::StepOffered(offered) => {
                let last = self.attempts.insert(unit, offered.attempt).unwrap_or(0);
                if offered.attempt != last + 1 && (offered.attempt != last || offered.decision.is_some()) {
                    return Err(format!("attempt {} of {unit:?} is offered after {last}", offered.attempt));
                }
                self.allowed.entry(unit).or_insert(1);
            }
            Event::StepFailed(failed) if failed.attempt > 0 && failed.retry_at.is_some() => self.allow(unit),
            Event::StepInterrupted(_) => self.allow(unit),
            Event::StepResolved(resolved) if resolved.output.is_none() => {
                self.allow(unit);
                self.losses.remove(&unit);
            }
            Event::StepLost(lost) => {
                let losses = self.losses.entry(unit).or_default();
                *losses += 1;
                if *losses >= MAX_CRASHES && lost.then == AfterLoss::Again {
                    return Err(format!("{unit:?} begins again after {losses} losses"));
                }
            }
            _ => {}
        }
        let ends = matches!(event, Event::StepSucceeded(_) | Event::StepCollected(_) | Event::StepSkipped(_))
            || matches!(event, Event::StepFailed(failed) if failed.retry_at.is_none())
            || matches!(event, Event::StepResolved(resolved) if resolved.output.is_some())
            || matches!(event, Event::StepCancelled(_));
        if ends {
            let ends = self.ends.entry(unit).or_default();
            *ends += 1;
            if *ends > 1 {
                return Err(format!("{unit:?} has ended twice"));
            }
        }
        Ok(())
    }

    fn allow(&mut self, unit: Unit) {
        *self.allowed.entry(unit).or_insert(1) += 1;
    }

    /// Somebody has claimed a right, or has it already.
    fn claimed(&mut self, ticket: &StepTicket) {
        self.begun.insert((ticket.unit(), ticket.attempt, ticket.epoch));
    }

    /// Whether the right to execute this was ever given.
    pub(crate) fn has_begun(&self, unit: Unit, attempt: u32, epoch: u64) -> bool {
        self.begun.contains(&(unit, attempt, epoch))
    }

    pub(crate) fn unit(&self, step: &str, item: Option<u32>) -> Unit {
        let at = self.state.workflow().steps.iter().position(|spec| *spec.name == *step);
        Unit::new(StepIx(at.expect("a step of the workflow") as u32), item)
    }

    pub(crate) fn kind(&self, step: &str) -> StepKind {
        self.state.slot(self.unit(step, None)).state.kind()
    }
}

/// A run, short enough to be read: the end of its id tells it apart.
pub(crate) fn short(run: RunId) -> String {
    let text = run.as_uuid().simple().to_string();
    format!("run {}", text[24..].trim_start_matches('0'))
}

fn brief(run: &Run, event: &Event) -> String {
    let unit = event.unit().map_or(String::new(), |unit| {
        let name = &run.state.spec(unit).name;
        unit.item().map_or_else(|| format!(" {name}"), |item| format!(" {name}[{item}]"))
    });
    let attempt = event.attempt().map_or(String::new(), |attempt| format!(" attempt {attempt}"));
    let epoch = event.fence().map_or(String::new(), |(epoch, owner)| {
        let owner = owner.as_uuid().simple().to_string();
        format!(" epoch {epoch} owner {}", owner[20..].trim_start_matches('0'))
    });
    let error = match event {
        Event::StepFailed(failed) => format!(": {}", failed.error.message),
        Event::RunEnded(ended) => format!(" {:?}", ended.status),
        _ => String::new(),
    };
    format!("{}{unit}{attempt}{epoch}{error}", event.kind())
}

fn told(answer: &Commit) -> String {
    match answer {
        Commit::Invalid(why) => format!("invalid: {why}"),
        other => format!("{other:?}").to_lowercase(),
    }
}
