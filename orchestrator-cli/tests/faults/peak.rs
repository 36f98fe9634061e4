//! How much memory a process has taken at most.

use std::process::{Command, Stdio};

use crate::sandbox::{Said, Sandbox};

/// Starts what follows, waits for it, writes its peak in KiB to the first argument, and ends as it has ended.
const WATCHED: &str = "
import os, resource, sys
child = os.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
_, status, used = os.wait4(child, 0)
open(sys.argv[1], 'w').write(str(used.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
";

/// Runs `orchestrator WORDS`: what it has said, and its peak in MiB.
pub(crate) fn of(place: &Sandbox, words: &str) -> (Said, u64) {
    let file = place.path("peak");
    let watcher = ["python3", "-c", WATCHED, file.to_str().unwrap()];
    let said = Said::of(&within(&place.command(words.split_whitespace()), &watcher).output().unwrap());
    let peak: u64 = place.read("peak").parse().unwrap();
    (said, peak >> 10)
}

/// The same command, as the last arguments of another.
pub(crate) fn within(command: &Command, other: &[&str]) -> Command {
    let mut outer = Command::new(other[0]);
    outer.args(&other[1..]).arg(command.get_program()).args(command.get_args());
    outer.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer.current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null());
    outer
}
