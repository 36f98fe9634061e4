//! Those who ask something of runs: they start, decide, settle, cancel, pause, and do things twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orchestrator_core::engine::CommandError;
use orchestrator_core::id::{RunId, Unit};
use orchestrator_core::machine::{Asked, Command, Decide, Intent, StepState, WaitOn};
use orchestrator_core::port::store::{Prune, Store};
use orchestrator_core::time::Clock;
use orchestrator_core::value::{Digest, ValueRef};
use orchestrator_core::{StartRun, Workflow};

use crate::bugs::Bug;
use crate::claimers::Ended;
use crate::dice::Die;
use crate::machine::{Machine, Running, Site};
use crate::truth::{Run, short};
use crate::workload::Flow;

/// The people of a world.
#[derive(Debug)]
pub(crate) struct People {
    pub(crate) site: Arc<Site>,
    machines: Vec<Arc<Machine>>,
    flows: Vec<(Flow, Arc<Workflow>)>,
    /// Which run each flow has become.
    pub(crate) started: Mutex<BTreeMap<usize, RunId>>,
    /// Runs that somebody wanted cancelled.
    pub(crate) cancelled: Mutex<BTreeSet<RunId>>,
    pub(crate) ended: Ended,
}

/// Something that somebody should do.
enum Errand {
    Decide { unit: Unit, step: String, digest: Digest },
    Settle { unit: Unit, attempt: u32, fails: bool },
    Free { unit: Unit },
    Resume,
}

fn asked(by: &str) -> Asked {
    Asked { by: by.into(), reason: None }
}

impl People {
    pub(crate) fn new(
        site: &Arc<Site>,
        machines: &[Arc<Machine>],
        flows: Vec<(Flow, Arc<Workflow>)>,
    ) -> Arc<Self> {
        let (started, cancelled, ended) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { site: site.clone(), machines: machines.to_vec(), flows, started, cancelled, ended })
    }

    pub(crate) fn flows(&self) -> impl Iterator<Item = (usize, &Flow)> {
        self.flows.iter().map(|(flow, _)| flow).enumerate()
    }

    /// Any process that answers.
    pub(crate) async fn someone(&self) -> Running {
        let world = &self.site.world;
        loop {
            let living: Vec<Running> = self.machines.iter().filter_map(|machine| machine.running()).collect();
            if !living.is_empty() {
                let at = world.chance(|chance| chance.below(living.len() as u64));
                return living[at as usize].clone();
            }
            world.pass(100).await;
        }
    }

    /// Starts each workflow, and asks again under the same key until somebody says that it is there.
    pub(crate) async fn start_all(self: Arc<Self>) {
        let world = self.site.world.clone();
        for at in 0..self.flows.len() {
            world.pass(world.chance(|chance| chance.below(1_500))).await;
            if world.roll(Die::Twice, 400) {
                let other = self.clone();
                let (first, second) = tokio::join!(self.start(at), async move { other.start(at).await });
                if first != second {
                    world.broken(format!("one key has started {} and {}", short(first), short(second)));
                }
            } else {
                self.start(at).await;
            }
        }
    }

    async fn start(&self, at: usize) -> RunId {
        loop {
            let running = self.someone().await;
            let mut start = StartRun::new(self.flows[at].1.clone()).idempotency_key(format!("key {at}"));
            if self.site.world.roll(Die::Later, 100) {
                let later = self.site.world.chance(|chance| chance.between(1, 5_000));
                start = start.not_before(self.site.world.clock.now() + Duration::from_millis(later));
            }
            let starting = running.engine.start(start);
            match tokio::time::timeout(Duration::from_secs(15), starting).await {
                Ok(Ok(handle)) => {
                    let run = handle.id();
                    self.site.world.tell(|| format!("w{at} is {}", short(run)));
                    self.site.truth.acknowledge(run);
                    let before = self.started.lock().unwrap().insert(at, run);
                    if before.is_some_and(|before| before != run) {
                        self.site.world.broken(format!("key {at} has started two runs"));
                    }
                    return run;
                }
                Ok(Err(_)) | Err(_) => self.site.world.pass(200).await,
            }
        }
    }

    /// Does what people have to do, for ever.
    pub(crate) async fn attend(self: Arc<Self>) {
        let world = self.site.world.clone();
        loop {
            world.pass(world.chance(|chance| chance.between(200, 900))).await;
            let open = self.site.truth.open();
            for run in open {
                let errand = self.site.truth.with(run, errand).flatten();
                if let Some(errand) = errand {
                    self.run_errand(run, errand).await;
                }
            }
        }
    }

    /// Does what nobody asked for, until the world heals.
    pub(crate) async fn meddle(self: Arc<Self>) {
        let world = self.site.world.clone();
        loop {
            world.pass(world.chance(|chance| chance.between(500, 3_000))).await;
            if world.roll(Die::Prune, 400) {
                // Long enough ago: the key of what is gone is free again, and whoever asks twice must not come after that.
                let before = world.clock.now() - Duration::from_secs(16);
                let prune = Prune { project: None, before, limit: 10, dry: false };
                let _ = self.site.truth.store.prune(prune).await;
                self.site.truth.was_pruned().await;
            }
            let open = self.site.truth.open();
            if open.is_empty() {
                continue;
            }
            let run = open[world.chance(|chance| chance.below(open.len() as u64)) as usize];
            if world.roll(Die::Cancel, 100) {
                let row = self.site.truth.store.run(run).await.unwrap();
                let root = row.and_then(|row| row.new.parent).map_or(run, |parent| parent.root);
                self.cancelled.lock().unwrap().extend([run, root]);
                let _ = self.say(run, Command::Cancel(asked("canceller"))).await;
            } else if world.roll(Die::Hold, 200) {
                let _ = self.say(run, Command::Pause(asked("holder"))).await;
            }
        }
    }

    async fn say(&self, run: RunId, command: Command) -> Option<bool> {
        let running = self.someone().await;
        let saying = running.engine.command(run, command);
        match tokio::time::timeout(Duration::from_secs(15), saying).await {
            Ok(Ok(receipt)) => Some(receipt.changed),
            Ok(Err(CommandError::Rejected(_))) => Some(false),
            _ => None,
        }
    }

    async fn run_errand(&self, run: RunId, errand: Errand) {
        match errand {
            Errand::Resume => drop(self.say(run, Command::Resume(asked("holder"))).await),
            Errand::Free { unit } => {
                let command = Command::Resolve { step: unit, applied: None, asked: asked("settler") };
                let _ = self.say(run, command).await;
            }
            Errand::Settle { unit, attempt, fails } => self.settle(run, unit, attempt, fails).await,
            Errand::Decide { unit, step, digest } => self.decide(run, unit, &step, digest).await,
        }
    }

    /// Looks whether it was done. As long as a process stands still that may do it yet, nobody can tell.
    async fn settle(&self, run: RunId, unit: Unit, attempt: u32, fails: bool) {
        let living = self.machines.iter().filter_map(|machine| machine.living());
        let living: BTreeSet<usize> = living.map(|process| process.number).collect();
        let (had, may) = self.site.outside.fate(run, unit, attempt, &living);
        if may {
            return;
        }
        let done = ValueRef::Inline("{\"done\":true}".into());
        let applied = (had && !fails).then_some(done);
        let _ = self.say(run, Command::Resolve { step: unit, applied, asked: asked("settler") }).await;
    }

    async fn decide(&self, run: RunId, unit: Unit, step: &str, digest: Digest) {
        let world = &self.site.world;
        let approved = self.flows().find_map(|(at, flow)| {
            (self.started.lock().unwrap().get(&at) == Some(&run)).then(|| flow.approves(step))
        });
        // Nobody knows the run yet: whoever has started it was not told.
        let Some(approved) = approved else { return };
        let decision = |approved, digest| {
            let digest = Some(digest).filter(|_| !world.is(Bug::UnboundDecision));
            let (asked, via) = (asked("decider"), "host".into());
            Command::Decide(Decide { step: unit, digest, approved, asked, via })
        };
        if world.roll(Die::Quarrel, 400) {
            // Somebody answers to something that was shown before.
            let old = decision(!approved, Digest::of(b"what was shown before"));
            if self.say(run, old).await == Some(true) {
                world.broken(format!("{}: a decision counts for what it was not taken on", short(run)));
            }
            let (first, second) = tokio::join!(
                self.say(run, decision(approved, digest)),
                self.say(run, decision(approved, digest))
            );
            if first == Some(true) && second == Some(true) {
                world.broken(format!("{}: two decisions on one question count", short(run)));
            }
        } else {
            let _ = self.say(run, decision(approved, digest)).await;
        }
    }
}

/// The first thing that a run wants of people.
fn errand(run: &Run) -> Option<Errand> {
    if run.state.head().intent == Intent::Pause {
        return Some(Errand::Resume);
    }
    run.state.slots().find_map(|(unit, slot)| {
        let spec = run.state.spec(unit);
        match &slot.state {
            StepState::Waiting { on, .. } => match &**on {
                WaitOn::Approval { digest, .. } => {
                    Some(Errand::Decide { unit, step: spec.name.to_string(), digest: *digest })
                }
                _ => None,
            },
            StepState::OutcomeUnknown { attempt } => {
                let fails = spec.options().retry.is_none();
                Some(Errand::Settle { unit, attempt: *attempt, fails })
            }
            StepState::Quarantined { .. } => Some(Errand::Free { unit }),
            _ => None,
        }
    })
}
