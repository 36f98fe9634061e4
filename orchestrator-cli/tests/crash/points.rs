//! `kill` at every named point, the first, second and third time that it is reached.
//!
//! Only in builds with `--features failpoints`; the ordinary binary must not even know the names.

use Scene::*;

/// What the process does that dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    /// Creates a run with every kind of effect and wait, or takes it up.
    Calm,
    /// Takes a run from a process that was killed.
    Taken,
    /// Drives a run with items, runs below, large values and compensations.
    Wide,
    /// Approves.
    Approved,
    /// Gives a signal.
    Signalled,
    /// Pauses a run.
    Paused,
    /// Cancels a run that nobody drives.
    Cancelled,
    /// Drives a run that another process cancels.
    CancelledMidway,
    /// Is told to stop by Ctrl-C.
    Interrupted,
    /// Drives a step that takes long.
    Long,
    /// Removes runs that have ended.
    Pruned,
    /// Makes a backup.
    Copied,
    /// Puts a backup in the place of the store.
    Restored,
    /// Registers a workflow.
    Registered,
    /// Brings an old store up to date.
    Migrated,
    /// Claims a task.
    Claimed,
    /// Says that a task is done.
    Delivered,
}

/// What people and programs say to a run from outside.
const SAID: &[Scene] = &[Approved, Signalled, Paused, Cancelled, Claimed];

/// Every named point, with the scenes that it is tried in: it has to be reached in each.
pub(crate) const POINTS: [(&str, &[Scene]); 61] = [
    ("migrate.before", &[Calm, Migrated]),
    ("migrate.in_tx", &[Wide, Migrated]),
    ("owner.register.after", &[Calm, Claimed]),
    ("owner.renew.before", &[Long]),
    ("owner.renew.after", &[Long]),
    ("owner.sweep.after", &[Taken]),
    ("owner.retire.after", &[Wide, Interrupted, Approved, Delivered]),
    ("run.create.before", &[Calm]),
    ("run.create.in_tx", &[Calm]),
    ("run.create.after", &[Calm]),
    ("run.takeover.before", &[Calm]),
    ("run.takeover.after", &[Calm, Taken]),
    ("run.conclude.before", &[Wide]),
    ("driver.decided", &[Calm]),
    ("driver.applied", &[Calm]),
    ("timer.fire.before", &[Calm]),
    ("timer.fire.after", &[Calm]),
    ("policy.decided", &[Calm]),
    ("policy.decided.in_tx", &[Calm]),
    ("items.expanded", &[Wide]),
    ("child.created", &[Wide]),
    ("child.ended", &[Wide]),
    ("stage.begun", &[Wide]),
    ("committer.taken", &[Calm]),
    ("commit.before", &[Calm]),
    ("commit.events.in_tx", &[Calm, Approved, Signalled, Paused, Cancelled, Claimed, Delivered]),
    ("commit.values.in_tx", &[Wide]),
    ("commit.end.in_tx", &[Calm, Approved, Signalled, Paused, Cancelled, Claimed, Delivered]),
    ("commit.at", &[Calm]),
    ("commit.answer", &[Calm]),
    ("commit.after", &[Calm]),
    ("command.decided", SAID),
    ("command.applied", SAID),
    ("cancel.stop.before", &[CancelledMidway]),
    ("shutdown.drain", &[Interrupted]),
    ("shutdown.released", &[Interrupted]),
    ("step.wait.before", &[Calm]),
    ("step.dispatch.before", &[Calm]),
    ("step.complete.before", &[Calm]),
    ("step.complete.decided", &[Calm]),
    ("lines.kept", &[Wide]),
    ("script.spawn.before", &[Calm]),
    ("script.spawn.before_noted", &[Calm]),
    ("step.dispatch.after_spawn", &[Calm]),
    ("script.ended", &[Calm]),
    ("script.stop.told", &[CancelledMidway, Interrupted]),
    ("script.stop.killed", &[CancelledMidway, Interrupted]),
    ("step.effect.before_send", &[Calm]),
    ("step.effect.after_reply", &[Calm]),
    ("artifact.written", &[Wide, Copied]),
    ("artifact.synced", &[Wide, Copied]),
    ("artifact.renamed", &[Wide, Copied]),
    ("prune.before", &[Pruned]),
    ("prune.in_tx", &[Pruned]),
    ("prune.after", &[Pruned]),
    ("backup.rename.before", &[Copied, Restored]),
    ("backup.rename.after", &[Copied, Restored]),
    ("workflow.register.before", &[Registered]),
    ("workflow.register.after", &[Registered]),
    ("task.delivering", &[Delivered]),
    ("task.delivered", &[Delivered]),
];

#[cfg(not(feature = "failpoints"))]
#[test]
fn the_ordinary_binary_knows_no_failpoint() {
    // Which one is asked: the one that was built for this test, or another.
    let path = std::env::var("ORCHESTRATOR_BINARY");
    let path = path.unwrap_or_else(|_| env!("CARGO_BIN_EXE_orchestrator").to_owned());
    let binary = std::fs::read(path).unwrap();
    let names = POINTS.into_iter().map(|(name, _)| name).chain(["ORCHESTRATOR_FAILPOINT"]);
    // A text that it does know is found in this way.
    let wanted: Vec<&str> = names.chain(["ORCHESTRATOR_STORE"]).collect();
    assert_eq!(texts_in(&binary, &wanted), ["ORCHESTRATOR_STORE"]);
}

/// Which of these texts stand in a file of many megabytes: looks at each byte once.
#[cfg(not(feature = "failpoints"))]
fn texts_in<'t>(binary: &[u8], texts: &[&'t str]) -> Vec<&'t str> {
    let mut begins = vec![false; 1 << 16];
    let pair = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    texts.iter().for_each(|text| begins[pair(text.as_bytes())] = true);
    let mut found = std::collections::BTreeSet::new();
    for at in 0..binary.len() - 1 {
        if begins[pair(&binary[at..])] {
            found.extend(texts.iter().filter(|text| binary[at..].starts_with(text.as_bytes())));
        }
    }
    found.into_iter().copied().collect()
}

/// The exit code of a process that has died at a point; nothing else ends with it.
#[cfg(feature = "failpoints")]
pub(crate) const DIED: i32 = 137;

#[cfg(feature = "failpoints")]
mod killed {
    use std::sync::Mutex;

    use super::{DIED, POINTS, Scene};
    use crate::binary::Moment;
    use crate::flows::CALM;
    use crate::row::{self, Losses};
    use crate::{Battery, deaths};

    /// A process that is killed here has a run in hand, and begins to execute.
    const IN_HAND: Moment = Moment::Event("churn", "step.begun", None);

    /// How often a process has died at a point, of the first three times that it may be reached.
    fn deaths_at(battery: &mut Battery, point: &str, scene: Scene) -> usize {
        // Each time takes longer than a process keeps silent.
        let times = if scene == Scene::Long { 1 } else { 3 };
        let dies = |k: &u32| {
            let armed = format!("{point}=exit({DIED})@{k}");
            match scene {
                Scene::Calm => battery.die_at(&CALM, None, &armed, DIED),
                Scene::Taken => battery.die_at(&CALM, Some(IN_HAND), &armed, DIED),
                _ => deaths::play(scene, &armed),
            }
        };
        // What is not reached so often is not reached more often either.
        (1..=times).take_while(dies).count()
    }

    /// How many processes die at the same time: each waits for itself most of the time.
    const AT_ONCE: usize = 4;

    /// A row of the table: how often a process has died at a point in a scene.
    type Row = (&'static str, Scene, usize);

    #[test]
    fn a_run_survives_its_death_at_every_point() {
        let all = POINTS.iter().flat_map(|(point, scenes)| scenes.iter().map(move |scene| (*point, *scene)));
        let left = Mutex::new(all);
        let next = || left.lock().unwrap().next();
        let work = || {
            let mut battery = Battery::new(1);
            let rows = std::iter::from_fn(next);
            let rows: Vec<Row> =
                rows.map(|(point, scene)| (point, scene, deaths_at(&mut battery, point, scene))).collect();
            battery.nothing_is_lost();
            (battery, rows)
        };
        let ended: Vec<(Battery, Vec<Row>)> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        let (batteries, tables): (Vec<_>, Vec<_>) = ended.into_iter().unzip();
        let mut table = tables.concat();
        table.sort_by_key(|(point, ..)| *point);
        table.iter().for_each(|(point, scene, died)| println!("  {died}  {point}, {scene:?}"));
        let never: Vec<_> = table.iter().filter(|(.., died)| *died == 0).collect();
        assert!(never.is_empty(), "never reached: {never:?}");
        let planted: usize = batteries.iter().map(|battery| battery.planted).sum();
        assert!(planted > 0, "nothing was planted");
        let deaths = table.iter().map(|(.., died)| *died as u64).sum();
        let (points, rows) = (POINTS.len(), table.len());
        let notes =
            format!("{points} points, {rows} with what the process does; {planted} planted faults found");
        row::report("F-01 death at every named point", deaths, Losses::default(), &notes);
    }
}
