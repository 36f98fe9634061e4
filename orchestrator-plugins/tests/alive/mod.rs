//! Processes that a test waits for.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Longer than anything here takes; reached only by what hangs.
const HANG: Duration = Duration::from_secs(60);

/// A process that was alive when the test looked.
pub(crate) struct Alive(Arc<OwnedFd>);

impl Alive {
    pub(crate) fn open(pid: i32) -> Self {
        Self::find(pid).expect("it is alive")
    }

    /// `None` where there is no such process.
    pub(crate) fn find(pid: i32) -> Option<Self> {
        let process = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty());
        process.ok().map(|process| Self(Arc::new(process)))
    }

    /// Returns when it has ended.
    pub(crate) async fn ends(&self) {
        let process = self.0.clone();
        let wait = move || {
            let limit = Timespec::try_from(HANG).unwrap();
            poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)).unwrap()
        };
        assert_eq!(tokio::task::spawn_blocking(wait).await.unwrap(), 1, "it is still alive");
    }
}
