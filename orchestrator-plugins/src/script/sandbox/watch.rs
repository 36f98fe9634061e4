//! Watches over what all processes of a script use together. The kernel bounds each process for itself; how many there are it
//! bounds only for each user, which would count strangers and does not hold for root.
//!
//! One thread for the whole process looks a few times a second, as long as confined scripts run. A script that uses too
//! much in between is ended at the next look.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use orchestrator_core::spec::Confinement;
use rustix::process::Pid;

use super::limits::Mark;
use crate::script::stray::{self, Marker};

/// How long between two looks at least.
const PERIOD: Duration = Duration::from_millis(50);

/// How long at most, however long a look takes: on a busy machine it takes longer, and is needed more.
const LONGEST: Duration = Duration::from_millis(200);

/// Up to there, a look takes this part of the time: one in so many.
const SHARE: u32 = 20;

/// How many looks the thread waits for another script, when there is none.
const IDLE: u32 = 40;

/// How much stack the thread has that looks.
const STACK: usize = 256 << 10;

/// How many looks a process that is not one of a script is passed over: its number may pass to another one.
const FORGET: u32 = 20;

/// What a script has used too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::script) enum Excess {
    /// So many processes, where fewer are allowed.
    Processes { found: u32, allowed: u32 },
    /// So many bytes of memory.
    Memory { found: u64, allowed: u64 },
}

/// A script that is watched, until this is dropped.
#[derive(Debug)]
pub(in crate::script) struct Watched {
    mark: Mark,
    excess: Arc<OnceLock<Excess>>,
}

#[derive(Debug, Clone)]
struct Bounds {
    leader: Pid,
    processes: u32,
    memory: u64,
    excess: Arc<OnceLock<Excess>>,
}

#[derive(Debug, Default)]
struct Watch {
    scripts: HashMap<Mark, Bounds>,
    runs: bool,
}

/// What was found of a script.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    processes: u32,
    memory: u64,
}

static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

/// Begins to watch over a script.
///
/// # Errors
/// Where no thread can be started.
pub(super) fn over(leader: Pid, mark: Mark, confinement: &Confinement) -> io::Result<Watched> {
    let excess = Arc::<OnceLock<Excess>>::default();
    let bounds = Bounds {
        leader,
        processes: confinement.processes,
        memory: confinement.memory,
        excess: excess.clone(),
    };
    let mut held = lock();
    let watch = held.get_or_insert_default();
    watch.scripts.insert(mark, bounds);
    if !watch.runs {
        let own = std::thread::Builder::new().name("orchestrator-watch".to_owned()).stack_size(STACK);
        own.spawn(look_on)?;
        watch.runs = true;
    }
    Ok(Watched { mark, excess })
}

impl Watched {
    /// What it has used too much of, if it has.
    pub(in crate::script) fn excess(&self) -> Option<Excess> {
        self.excess.get().copied()
    }

    pub(in crate::script) const fn mark(&self) -> Mark {
        self.mark
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(watch) = lock().as_mut() {
            watch.scripts.remove(&self.mark);
        }
    }
}

fn lock() -> MutexGuard<'static, Option<Watch>> {
    // What a panicking holder leaves is still a list of scripts.
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks until no script has run for a while.
fn look_on() {
    let (mut pause, mut looks, mut idle) = (PERIOD, 0u32, 0u32);
    let mut strangers = HashSet::new();
    loop {
        std::thread::sleep(pause);
        let mut held = lock();
        let Some(watch) = held.as_mut() else { return };
        if watch.scripts.is_empty() {
            idle += 1;
            if idle < IDLE {
                continue;
            }
            watch.runs = false;
            return;
        }
        idle = 0;
        let scripts = watch.scripts.clone();
        drop(held);
        let begun = Instant::now();
        looks += 1;
        if looks.is_multiple_of(FORGET) {
            strangers.clear();
        }
        look(&scripts, &mut strangers);
        pause = (begun.elapsed() * SHARE).clamp(PERIOD, LONGEST);
    }
}

fn look(scripts: &HashMap<Mark, Bounds>, strangers: &mut HashSet<i32>) {
    let mut tallies: HashMap<Mark, Tally> = HashMap::new();
    for pid in stray::processes().into_iter().flatten().filter(|pid| *pid > 1) {
        if strangers.contains(&pid) {
            continue;
        }
        let mark = stray::mark(pid).filter(|mark| scripts.contains_key(mark));
        let Some(mark) = mark else {
            strangers.insert(pid);
            continue;
        };
        let tally = tallies.entry(mark).or_default();
        tally.processes += 1;
        tally.memory += memory(pid);
    }
    for (mark, tally) in tallies {
        let Some(bounds) = scripts.get(&mark) else { continue };
        let excess = if tally.processes > bounds.processes {
            Excess::Processes { found: tally.processes, allowed: bounds.processes }
        } else if tally.memory > bounds.memory {
            Excess::Memory { found: tally.memory, allowed: bounds.memory }
        } else {
            continue;
        };
        // The first stands.
        let _ = bounds.excess.set(excess);
        stray::kill_all(bounds.leader, &Marker::Limit(mark));
    }
}

/// How much memory a process uses that is not a file's, in bytes: its own, shared with others, and moved out.
fn memory(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let of = |line: &str| {
        let rest = ["RssAnon:", "RssShmem:", "VmSwap:"].iter().find_map(|name| line.strip_prefix(name))?;
        rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    status.lines().filter_map(of).sum::<u64>() << 10
}
