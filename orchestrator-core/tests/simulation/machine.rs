//! A machine: starts processes, one at a time, and does to them what happens to processes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use orchestrator_core::Engine;
use orchestrator_core::port::store::Serves;
use orchestrator_core::spec::DEFAULT_QUEUE;

use crate::dice::Die;
use crate::node::Process;
use crate::outside::{Judge, Outside, Works};
use crate::reach::Reach;
use crate::truth::Truth;
use crate::world::World;

/// How long an engine counts as alive without renewal.
pub(crate) const TTL: Duration = Duration::from_secs(3);

/// What machines have in common.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) world: Arc<World>,
    pub(crate) truth: Arc<Truth>,
    pub(crate) outside: Arc<Outside>,
    processes: Mutex<usize>,
}

impl Site {
    pub(crate) fn new(truth: &Arc<Truth>) -> Arc<Self> {
        let (world, outside) = (truth.world.clone(), Outside::new(truth));
        Arc::new(Self { world, truth: truth.clone(), outside, processes: Mutex::new(0) })
    }

    fn next_process(&self) -> usize {
        let mut processes = self.processes.lock().unwrap();
        *processes += 1;
        *processes
    }
}

/// A process and the engine in it.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) process: Arc<Process>,
    pub(crate) engine: Engine,
}

/// One machine.
#[derive(Debug)]
pub(crate) struct Machine {
    number: usize,
    site: Arc<Site>,
    running: Mutex<Option<Running>>,
}

impl Machine {
    pub(crate) fn new(number: usize, site: &Arc<Site>) -> Arc<Self> {
        Arc::new(Self { number, site: site.clone(), running: Mutex::default() })
    }

    /// The process that could answer now.
    pub(crate) fn running(&self) -> Option<Running> {
        let running = self.running.lock().unwrap().clone();
        running.filter(|running| !running.process.is_dead() && !running.process.is_still())
    }

    /// The process that is not dead, and may stand still.
    pub(crate) fn living(&self) -> Option<Arc<Process>> {
        let running = self.running.lock().unwrap();
        running.as_ref().map(|running| running.process.clone()).filter(|process| !process.is_dead())
    }

    /// Starts a process, if none is alive. Gives up when the store cannot be reached.
    pub(crate) async fn boot(&self) {
        if self.living().is_some() {
            return;
        }
        let site = &self.site;
        let process = Process::new(&site.world, self.number, site.next_process());
        site.world.tell(|| format!("process {} begins on node {}", process.number, self.number));
        let starting = Engine::builder()
            .store(Arc::new(Reach { truth: site.truth.clone(), process: process.clone() }))
            .plugin(Arc::new(Works { outside: site.outside.clone(), process: process.clone() }))
            .policy(Arc::new(Judge { outside: site.outside.clone() }))
            .clock(process.clone())
            .ids(site.world.clone())
            .executor(process.clone())
            .ttl(TTL)
            .slots(3)
            .label(format!("process {}", process.number));
        let starting = match site.world.is_on(Die::Fleet) {
            true => starting.serve(everything()).share(),
            false => starting,
        };
        let starting = if site.world.ticks { starting.schedules() } else { starting };
        match tokio::time::timeout(Duration::from_secs(10), starting.start()).await {
            Ok(Ok(engine)) => *self.running.lock().unwrap() = Some(Running { process, engine }),
            _ => process.kill(),
        }
    }

    /// What happens to it until the world heals.
    pub(crate) async fn suffer(self: Arc<Self>) {
        let world = self.site.world.clone();
        loop {
            world.pass(world.chance(|chance| chance.between(200, 3_000))).await;
            match self.living() {
                None => self.boot().await,
                Some(process) => self.strike(&process).await,
            }
        }
    }

    async fn strike(self: &Arc<Self>, process: &Process) {
        let world = &self.site.world;
        if world.roll(Die::Kill, 300) {
            process.kill_after(world.chance(|chance| chance.below(120)));
        } else if world.roll(Die::Pause, 300) {
            let tenths = world.chance(|chance| chance.pick(&[1, 9, 11, 30]));
            let millis = TTL.as_millis() as u64 * tenths / 10;
            process.stand();
            world.pass(millis).await;
            if world.is_on(Die::Leap) && world.roll(Die::Leap, 500) {
                process.clock.fall_behind(millis);
            }
            process.go_on();
        } else if world.roll(Die::Stop, 300) {
            // On a task of its own: the world may heal meanwhile, and what is stopping must end all the same.
            let (machine, grace) = (self.clone(), world.chance(|chance| chance.below(1_000)));
            let _ = tokio::spawn(async move { machine.stop(grace).await }).await;
        } else if world.roll(Die::Leap, 300) {
            process.clock.leap_ahead(world.chance(|chance| chance.between(1, 20_000)));
        }
    }

    /// Asks the process to stop, and ends it when it has stopped or has taken too long.
    pub(crate) async fn stop(&self, grace: u64) {
        let Some(running) = self.running() else { return };
        self.site.world.tell(|| format!("process {} is asked to stop", running.process.number));
        let stopping = running.engine.stop(Duration::from_millis(grace));
        let _ = tokio::time::timeout(Duration::from_secs(30), stopping).await;
        running.process.kill();
    }

    /// The world has healed: what stands still goes on, and what is dead begins anew. Some may still die of what happened
    /// before.
    pub(crate) async fn recover(self: Arc<Self>) {
        if let Some(process) = self.living()
            && process.is_still()
        {
            process.go_on();
        }
        loop {
            self.boot().await;
            self.site.world.pass(500).await;
        }
    }
}

/// One who takes whatever work there is off others.
fn everything() -> Serves {
    Serves { queues: vec![DEFAULT_QUEUE.into()], ..Serves::default() }
}
