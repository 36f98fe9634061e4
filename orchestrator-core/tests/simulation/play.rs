//! One world from its beginning to its end: first everything goes wrong, then nothing does any more, and then all that was
//! begun has to come to the end that the model says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::{Engine, stranded};
use orchestrator_core::id::RunId;
use orchestrator_core::machine::{Ending, StepKind};
use orchestrator_core::spec::{EffectClass, Found, ParseOptions, Sources, Stage, Workflow};
use tokio::task::JoinHandle;

use crate::bugs::Bug;
use crate::dice::Die;
use crate::machine::{Machine, Site};
use crate::node::Process;
use crate::outside::{Outside, Works};
use crate::people::People;
use crate::ticks::{TICK, tick};
use crate::truth::{Truth, short};
use crate::workload::{CHILD, End, Flow};
use crate::world::{Told, World};

/// How long everything may take once nothing goes wrong any more. The longest wait of a workload is its clock's: 20 s ahead
/// at each leap.
const AT_LAST_MILLIS: u64 = 900_000;

/// Plays a world.
pub(crate) fn play(seed: u64, off: &[Die], bug: Option<Bug>, in_words: bool) -> Told {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let told = runtime.block_on(async {
        let world = World::new(seed, off, bug, in_words);
        live(&world).await;
        world.told()
    });
    // What is left of dead processes goes with the runtime.
    drop(runtime);
    told
}

async fn live(world: &Arc<World>) {
    let (flows, workflows) = written(world).await;
    let truth = Truth::new(world, workflows);
    let site = Site::new(&truth);
    let count = world.chance(|chance| chance.between(1, 4)) as usize;
    let machines: Vec<Arc<Machine>> = (0..count).map(|number| Machine::new(number, &site)).collect();
    for machine in &machines {
        machine.boot().await;
    }
    if world.ticks {
        truth.begin_to_tick().await;
    }
    let people = People::new(&site, &machines, flows);
    let faults: Vec<_> = machines.iter().map(|machine| tokio::spawn(machine.clone().suffer())).collect();
    let starting = tokio::spawn(people.clone().start_all());
    let attending = tokio::spawn(people.clone().attend());
    let meddling = tokio::spawn(people.clone().meddle());
    let claiming: Vec<_> = (0..2).map(|_| tokio::spawn(people.clone().claim())).collect();
    let until = world.chance(|chance| chance.between(5_000, 40_000));
    passes(world, &truth, until).await;
    faults.iter().for_each(JoinHandle::abort);
    meddling.abort();
    nobody_is_left_behind(world, &truth).await;
    world.heal();
    let recovering: Vec<_> = machines.iter().map(|machine| tokio::spawn(machine.clone().recover())).collect();
    all_is_started(world, starting).await;
    if world.ticks {
        truth.end_ticking().await;
    }
    passes(world, &truth, AT_LAST_MILLIS).await;
    attending.abort();
    claiming.iter().for_each(JoinHandle::abort);
    recovering.iter().for_each(JoinHandle::abort);
    if !world.is_broken() {
        judge(world, &truth, &site.outside, &people).await;
        for machine in &machines {
            machine.stop(1_000).await;
        }
        world.pass(1).await;
        nothing_survives(world, &site.outside);
    }
    machines.iter().filter_map(|machine| machine.living()).for_each(|process| process.kill());
    world.pass(1).await;
}

/// Waits until each workflow has been started; in a world that is broken, which may never be, not at all.
async fn all_is_started(world: &World, starting: JoinHandle<()>) {
    let stop = starting.abort_handle();
    let patience = if world.is_broken() { 0 } else { AT_LAST_MILLIS };
    let _ = tokio::time::timeout(Duration::from_millis(patience), starting).await;
    stop.abort();
}

/// Wherever a world stands, each of its open runs is driven, waits for something named, or will be found.
async fn nobody_is_left_behind(world: &World, truth: &Truth) {
    for run in truth.open() {
        match stranded(&truth.store, run).await {
            Ok(None) => {}
            Ok(Some(why)) => world.broken(format!("{} is stranded: {why}", short(run))),
            Err(error) => world.broken(error.to_string()),
        }
    }
}

/// Passes time, until every run has ended or a promise is broken.
async fn passes(world: &World, truth: &Truth, millis: u64) {
    let mut passed = 0;
    let mut idle = 0;
    // All may have ended before the next is started.
    while passed < millis && idle < 5_000 && !world.is_broken() {
        world.pass(100).await;
        passed += 100;
        idle = if truth.open().is_empty() { idle + 100 } else { 0 };
    }
}

/// The workflows of a world, read as an engine reads them.
async fn written(world: &Arc<World>) -> (Vec<(Flow, Arc<Workflow>)>, BTreeMap<Arc<str>, Arc<Workflow>>) {
    let process = Process::new(world, usize::MAX, 0);
    let nobody = Outside::new(&Truth::new(world, BTreeMap::new()));
    let works = Works { outside: nobody, process: process.clone() };
    let reader = Engine::builder().plugin(Arc::new(works)).executor(process.clone()).poll(None).start();
    let reader = reader.await.unwrap();
    let count = world.chance(|chance| chance.between(1, 6)) as usize;
    let mut flows = Vec::new();
    let mut workflows = BTreeMap::new();
    let child = reader.parse_with(CHILD, &ParseOptions::default().default_name("child"));
    workflows
        .insert(Arc::from("child"), Arc::new(child.unwrap_or_else(|faults| panic!("{faults}")).workflow));
    workflows.insert(Arc::from(TICK), tick(&reader));
    for number in 0..count {
        let flow = world.chance(|chance| Flow::drawn(chance, number));
        let text = flow.text();
        let options = ParseOptions::default().sources(&flow.name, &Child);
        let parsed = reader.parse_with(&text, &options).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
        world.tell(|| text);
        let workflow = Arc::new(parsed.workflow);
        workflows.insert(workflow.name.clone(), workflow.clone());
        flows.push((flow, workflow));
    }
    process.kill();
    (flows, workflows)
}

#[derive(Debug)]
struct Child;

impl Sources for Child {
    fn find(&self, _: &str, reference: &str) -> Found {
        Found::Text { key: reference.into(), name: reference.into(), text: CHILD.into() }
    }
}

/// Compares what has become of every run with what the model says.
async fn judge(world: &World, truth: &Truth, outside: &Outside, people: &People) {
    for run in truth.open() {
        let seen = truth.with(run, |seen| {
            let open = seen.state.slots().filter(|(_, slot)| !slot.state.is_terminal());
            let open: Vec<String> =
                open.map(|(unit, slot)| format!("{} {:?}", seen.state.spec(unit).name, slot.state)).collect();
            format!("{} {:?}: {}", seen.state.status(), seen.state.head().driver, open.join(", "))
        });
        world.broken(format!("{} is stuck: {}", short(run), seen.unwrap_or_default()));
    }
    truth.nothing_is_lost().await;
    truth.judge_ticks().await;
    let started = people.started.lock().unwrap().clone();
    let cancelled = people.cancelled.lock().unwrap().clone();
    for (at, flow) in people.flows() {
        match started.get(&at) {
            Some(run) => compare(world, truth, *run, flow, &cancelled),
            None => world.broken(format!("{} was never started", flow.name)),
        }
    }
    // A receiver that goes by keys has seen each work once, and every work that has succeeded.
    truth.each(|run, seen| {
        for (unit, slot) in seen.state.slots() {
            let works = outside.works(run, unit);
            let name = &seen.state.spec(unit).name;
            if works > 1 {
                world.broken(format!("{}: {name} has been {works} works", short(run)));
            }
            let acts = slot.effect == Some(EffectClass::Idempotent) && seen.state.fan(unit.step).is_none();
            let uses = &*seen.state.spec(unit).uses == "sim";
            if acts && uses && slot.state.kind() == StepKind::Succeeded && works == 0 {
                world.broken(format!("{}: {name} has succeeded and done nothing", short(run)));
            }
        }
    });
}

fn compare(world: &World, truth: &Truth, run: RunId, flow: &Flow, cancelled: &BTreeSet<RunId>) {
    let (ends, whole) = flow.ends();
    let may_be_cancelled = cancelled.contains(&run);
    let differs = truth.with(run, |seen| {
        let ended = seen.state.head().ended.map(|(ending, _)| ending);
        let wanted = if whole == End::Failed { Ending::Failed } else { Ending::Completed };
        if ended == Some(Ending::Cancelled) && may_be_cancelled {
            return None;
        }
        if ended != Some(wanted) && !may_be_cancelled {
            return Some(format!("ended as {ended:?}, not as {wanted:?}"));
        }
        if ended != Some(wanted) {
            return None;
        }
        let kinds = ends.iter().find_map(|(step, end)| {
            let kind = seen.kind(step);
            let fits = match end {
                End::Completed => kind == StepKind::Succeeded,
                End::Failed => kind == StepKind::Failed,
                End::Skipped => kind == StepKind::Skipped,
            };
            (!fits && !may_be_cancelled).then(|| format!("`{step}` has ended as {kind:?}, not as {end:?}"))
        });
        // Whoever cancels once more stops the undoing too.
        kinds.or_else(|| undone(seen, flow, whole).filter(|_| !may_be_cancelled))
    });
    if let Some(differs) = differs.flatten() {
        world.broken(format!("{} of {}: {differs}", short(run), flow.name));
    }
}

/// Where a run has failed, what has succeeded and can be undone has been undone; where not, nothing has.
fn undone(seen: &crate::truth::Run, flow: &Flow, whole: End) -> Option<String> {
    let done: usize = flow
        .steps
        .iter()
        .filter(|step| step.is_undone && seen.kind(&step.name) == StepKind::Succeeded)
        .count();
    let undone = seen
        .state
        .slots()
        .filter(|(_, slot)| slot.stage == Stage::Compensation && slot.state.kind() == StepKind::Succeeded)
        .count();
    let wanted = if whole == End::Failed { done } else { 0 };
    (undone != wanted).then(|| format!("{undone} steps are undone, not {wanted}"))
}

/// When every process has stopped, nothing that it executed is left.
fn nothing_survives(world: &World, outside: &Outside) {
    let ledger = outside.ledger();
    let left = ledger.executions.iter().find(|execution| !execution.is_over);
    if let Some(left) = left {
        let (class, attempt) = (left.class, left.attempt);
        let of = short(left.run);
        world
            .broken(format!("{of}: {:?} attempt {attempt} ({class:?}) goes on after its process", left.unit));
    }
}
