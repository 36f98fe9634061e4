//! Processes of a script beyond its leader: who is still in the group, and who has left it.

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

/// How often the processes are searched for ones that have left the group: one that is found may have started
/// another in between.
const ROUNDS: usize = 3;

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

/// Kills every process of `group`, and every other one that carries `marker` (`NAME=value`) in its environment.
pub(super) fn kill_all(group: Pid, marker: &[u8]) {
    // Fails where nobody is left.
    let _ = kill_process_group(group, Signal::KILL);
    #[cfg(target_os = "linux")]
    for _ in 0..ROUNDS {
        if linux::kill_marked(marker) == 0 {
            break;
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (marker, ROUNDS);
}

#[cfg(target_os = "linux")]
mod linux {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    /// The living processes of `group`; `None` where `/proc` cannot be read.
    pub(super) fn members(group: Pid) -> Option<usize> {
        let group = group.as_raw_nonzero().get();
        let living = processes()?.filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // PID (NAME) STATE PARENT GROUP …; the name may hold anything, so look behind its end.
            let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
            let state = fields.next();
            let its_group = fields.nth(1).and_then(|field| field.parse().ok());
            its_group == Some(group) && !matches!(state, Some("Z" | "X"))
        });
        Some(living.count())
    }

    /// Kills the processes that carry `marker`, and tells how many there were.
    pub(super) fn kill_marked(marker: &[u8]) -> usize {
        let Some(processes) = processes() else { return 0 };
        processes.filter(|pid| kill_if_marked(*pid, marker)).count()
    }

    fn kill_if_marked(pid: i32, marker: &[u8]) -> bool {
        let carries = || {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == marker))
        };
        if !carries() {
            return false;
        }
        // With the descriptor in hand, look again: the number may have passed to another process in between.
        Pid::from_raw(pid)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            .is_some_and(|process| carries() && pidfd_send_signal(process, Signal::KILL).is_ok())
    }

    fn processes() -> Option<impl Iterator<Item = i32>> {
        let entries = std::fs::read_dir("/proc").ok()?;
        Some(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
    }
}
