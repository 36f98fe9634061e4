//! What a script may use of the machine, and how its processes are told from all others.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;

use orchestrator_core::spec::Confinement;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

/// How long a process goes on after it was told that its time is over, in seconds.
const LAST_WORDS: u64 = 2;

/// The number that all processes of one script bear, and no other process of the machine: their limit of file locks, which
/// the kernel keeps, hands down to children, shows, and has not used since Linux 2.4. The filter of system calls keeps it
/// from being changed, so a process can leave its group and its session and clear its environment, and is still found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mark(u64);

impl Mark {
    /// A new one; `None` where this process bears one itself, and cannot give another.
    pub(super) fn new() -> Option<Self> {
        let own = getrlimit(Resource::Locks);
        let free = own.maximum.is_none();
        // Random, and large enough that no limit which somebody sets by hand looks like it.
        free.then(|| Self(RandomState::new().build_hasher().finish() >> 2 | 1 << 60))
    }

    pub(in crate::script) const fn number(self) -> u64 {
        self.0
    }

    /// Reads that of a process out of what `/proc/PID/limits` says.
    pub(in crate::script) fn read(limits: &str) -> Option<Self> {
        let line = limits.lines().find_map(|line| line.strip_prefix("Max file locks"))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok().map(Self)
    }
}

/// Bounds a process that does not run yet, and marks it. What it starts later has the same bounds.
///
/// # Errors
/// Where there is no such process any more, or where this process may not.
pub(super) fn set(process: Pid, confinement: &Confinement, mark: Mark) -> io::Result<()> {
    // Whole seconds, and never none.
    let cpu = confinement.cpu.as_secs() + u64::from(confinement.cpu.subsec_nanos() > 0);
    let bounds = [
        // What a process has of its own and can write to. All that it has in its address space would be too much: node, java
        // and Go reserve far more than they use.
        (Resource::Data, confinement.memory, confinement.memory),
        (Resource::Cpu, cpu, cpu + LAST_WORDS),
        (Resource::Fsize, confinement.file_size, confinement.file_size),
        (Resource::Nofile, u64::from(confinement.open_files), u64::from(confinement.open_files)),
        (Resource::Core, 0, 0),
        (Resource::Locks, mark.0, mark.0),
    ];
    for (resource, soft, hard) in bounds {
        // A bound of this process holds for the script too.
        let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let new = Rlimit { current: Some(soft.min(most)), maximum: Some(hard.min(most)) };
        prlimit(Some(process), resource, new)?;
    }
    Ok(())
}
