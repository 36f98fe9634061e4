//! The processes that a run has left behind.

use std::fs;

/// The numbers of the living processes that carry a run's id in their environment.
pub(crate) fn of_run(run: &str) -> Vec<String> {
    carrying(&format!("ORCHESTRATOR_RUN_ID={run}"))
}

/// The numbers of the living processes with this entry in their environment.
pub(crate) fn carrying(marker: &str) -> Vec<String> {
    let carries = |process: &str| {
        fs::read(format!("/proc/{process}/environ"))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == marker.as_bytes()))
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && carries(name))
        .collect()
}
