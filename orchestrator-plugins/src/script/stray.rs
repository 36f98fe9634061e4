//! Processes of a script beyond its leader: who is still in the group, and who has left it.

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::sandbox::Mark;

/// How often the processes are searched for ones that have left the group: one that is found may have started another in
/// between. A script that starts them as fast as it can is still ended: killing is faster.
const ROUNDS: usize = 200;

/// How many processes may have begun since a script's first for each of them to be looked at by its number.
#[cfg(target_os = "linux")]
const FEW: i32 = 64;

/// What all processes of a script carry.
#[derive(Debug, Clone)]
pub(crate) enum Marker {
    /// `NAME=value` in their environment, which a process can clear.
    Environment(Vec<u8>),
    /// What no process can change: that of a confined script.
    Limit(Mark),
}

/// How many processes of `group` are alive, zombies not counted.
pub(super) fn members(group: Pid) -> usize {
    if test_kill_process_group(group).is_err() {
        return 0;
    }
    #[cfg(target_os = "linux")]
    if let Some(count) = linux::members(group) {
        return count;
    }
    1
}

/// Whether it can be told at once that no process lives which has begun after `leader` and carries `marker`: only where few have
/// begun at all. Reads a few small files. Counts on numbers of processes not having begun again from below.
pub(super) fn none_since(leader: Pid, marker: &Marker) -> bool {
    #[cfg(target_os = "linux")]
    {
        linux::none_since(leader, marker)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (leader, marker);
        false
    }
}

/// Kills every process of `group`, and every other one that carries `marker`.
pub(crate) fn kill_all(group: Pid, marker: &Marker) {
    // Fails where nobody is left.
    let _ = kill_process_group(group, Signal::KILL);
    kill_marked(marker, 0);
}

/// Kills every process that carries `marker` and whose number is larger than `above`; tells whether there was one.
pub(super) fn kill_marked(marker: &Marker, above: i32) -> bool {
    #[cfg(target_os = "linux")]
    {
        (0..ROUNDS).take_while(|_| linux::kill_marked(marker, above) > 0).count() > 0
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (marker, above, ROUNDS);
        false
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::{mark, processes};

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io::Read;

    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    use super::{FEW, Mark, Marker};

    /// Longer than what `/proc/PID/limits` says: 16 lines of 79 characters.
    const LIMITS: usize = 4096;

    /// The living processes of `group`; `None` where `/proc` cannot be read.
    pub(super) fn members(group: Pid) -> Option<usize> {
        let group = group.as_raw_nonzero().get();
        let living = processes()?.filter(|pid| {
            let (state, its_group) = stat(*pid);
            its_group == Some(group) && !is_dead(state)
        });
        Some(living.count())
    }

    /// The state of a process, and its group.
    fn stat(pid: i32) -> (Option<char>, Option<i32>) {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // PID (NAME) STATE PARENT GROUP …; the name may hold anything, so look behind its end.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        let state = fields.next().and_then(|state| state.chars().next());
        (state, fields.nth(1).and_then(|field| field.parse().ok()))
    }

    const fn is_dead(state: Option<char>) -> bool {
        matches!(state, Some('Z' | 'X'))
    }

    /// What the processes of a confined script are known by; `None` for any other process.
    pub(in crate::script) fn mark(pid: i32) -> Option<Mark> {
        let mut limits = [0; LIMITS];
        // All of it comes at once.
        let length =
            File::open(format!("/proc/{pid}/limits")).and_then(|mut file| file.read(&mut limits)).ok()?;
        Mark::read(std::str::from_utf8(&limits[..length]).ok()?)
    }

    /// Kills the living processes that carry `marker`, and tells how many there were.
    pub(super) fn kill_marked(marker: &Marker, above: i32) -> usize {
        let Some(processes) = processes() else { return 0 };
        processes.filter(|pid| *pid > above && kill_if_marked(*pid, marker)).count()
    }

    /// As outside.
    pub(super) fn none_since(leader: Pid, marker: &Marker) -> bool {
        // Kernels without it are looked through.
        let newest = || std::fs::read_to_string("/proc/sys/kernel/ns_last_pid").ok()?.trim().parse().ok();
        let leader = leader.as_raw_nonzero().get();
        let mut seen = leader;
        loop {
            let Some(newest) = newest().filter(|newest| (seen..leader.saturating_add(FEW)).contains(newest))
            else {
                return false;
            };
            if newest == seen {
                // Nothing has begun since the last one was looked at, so no process can have left one behind and ended.
                return true;
            }
            if (seen + 1..=newest).any(|pid| carries(pid, marker)) {
                return false;
            }
            seen = newest;
        }
    }

    fn carries(pid: i32, marker: &Marker) -> bool {
        match marker {
            Marker::Environment(entry) => std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|found| found == entry)),
            Marker::Limit(own) => mark(pid) == Some(*own) && !is_dead(stat(pid).0),
        }
    }

    fn kill_if_marked(pid: i32, marker: &Marker) -> bool {
        let carries = || carries(pid, marker);
        if !carries() {
            return false;
        }
        // With the descriptor in hand, look again: the number may have passed to another process in between.
        Pid::from_raw(pid)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            .is_some_and(|process| carries() && pidfd_send_signal(process, Signal::KILL).is_ok())
    }

    /// The numbers of all processes, in order; `None` where `/proc` cannot be read.
    pub(in crate::script) fn processes() -> Option<impl Iterator<Item = i32>> {
        let entries = std::fs::read_dir("/proc").ok()?;
        Some(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
    }
}
