//! Named points at which a test makes a process die, panic, hang or fail. Without the feature `failpoints`, which no
//! default build has, [`failpoint!`](crate::failpoint!) is nothing at all: not even the names are in the binary.
//!
//! `ORCHESTRATOR_FAILPOINT=NAME=ACTION@K`, read once, does something at the K-th hit of a point: `exit(CODE)` ends the
//! process at once, without unwinding; `panic` panics; `stall` keeps the thread for ever; `stop` has the whole process
//! stand still until somebody lets it go on; `error` makes the function around the point return what stands beside the name,
//! where something does.

/// Marks a point: `failpoint!("commit.before")`, or `failpoint!("commit.at", ERROR)`, at which the function may also be
/// made to return `ERROR`.
#[cfg(feature = "failpoints")]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::failpoint::hit($name)
    };
    ($name:literal, $error:expr) => {
        if $crate::failpoint::fails($name) {
            return $error;
        }
    };
}

/// Marks a point: `failpoint!("commit.before")`. Nothing, in this build.
#[cfg(not(feature = "failpoints"))]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {};
    ($name:literal, $error:expr) => {};
}

#[cfg(feature = "failpoints")]
pub use armed::{fails, hit};

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Action {
        Exit(i32),
        Panic,
        Stall,
        Stop,
        Error,
    }

    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Armed {
        name: String,
        action: Action,
        /// The hit that counts, from 1.
        at: u64,
    }

    static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| {
        let text = std::env::var("ORCHESTRATOR_FAILPOINT").ok()?;
        Some(read(&text).unwrap_or_else(|| panic!("ORCHESTRATOR_FAILPOINT: expected NAME=ACTION@K: {text}")))
    });

    /// The wait before a signal that is on its way is looked for again.
    const MOMENT: Duration = Duration::from_millis(1);

    static HITS: AtomicU64 = AtomicU64::new(0);

    fn read(text: &str) -> Option<Armed> {
        let (name, what) = text.split_once('=')?;
        let (action, at) = what.split_once('@')?;
        let action = match action {
            "panic" => Action::Panic,
            "stall" => Action::Stall,
            "stop" => Action::Stop,
            "error" => Action::Error,
            exit => Action::Exit(exit.strip_prefix("exit(")?.strip_suffix(')')?.parse().ok()?),
        };
        Some(Armed { name: name.to_owned(), action, at: at.parse().ok()? })
    }

    /// What [`failpoint!`](crate::failpoint) calls.
    ///
    /// # Panics
    /// Where it was told to, or cannot read what it was told; where the point was told to fail, and has no error.
    pub fn hit(name: &str) {
        assert!(!fails(name), "the failpoint {name} has no error");
    }

    /// What [`failpoint!`](crate::failpoint) calls at a point with an error: whether it is to be returned.
    ///
    /// # Panics
    /// Where it was told to, or cannot read what it was told.
    pub fn fails(name: &str) -> bool {
        let Some(armed) = ARMED.as_ref().filter(|armed| armed.name == name) else { return false };
        if HITS.fetch_add(1, Ordering::SeqCst) + 1 != armed.at {
            return false;
        }
        match armed.action {
            Action::Error => true,
            Action::Exit(code) => std::process::exit(code),
            Action::Panic => panic!("the failpoint {name}"),
            Action::Stall => loop {
                std::thread::park();
            },
            Action::Stop => {
                let (own, signal) = (rustix::process::getpid(), rustix::process::Signal::STOP);
                rustix::process::kill_process(own, signal).expect("a process may stop itself");
                // Another thread may take the signal; on a busy machine it is long before that one has its turn.
                while is_stop_pending() {
                    std::thread::sleep(MOMENT);
                }
                false
            }
        }
    }

    /// Whether a stop of the process is on its way: no thread has taken it yet. Whoever is told that none is, stands still
    /// before it goes on: the thread that takes it stops all of them, under the lock that is needed to tell.
    #[cfg(target_os = "linux")]
    fn is_stop_pending() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").expect("a process may read of itself");
        let mask =
            status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).expect("Linux tells of signals");
        let pending = u64::from_str_radix(mask.trim(), 16).expect("a mask in base 16");
        pending & 1 << (rustix::process::Signal::STOP.as_raw() - 1) != 0
    }

    /// Elsewhere the signal has to be trusted to arrive in this time.
    #[cfg(not(target_os = "linux"))]
    fn is_stop_pending() -> bool {
        std::thread::sleep(Duration::from_millis(500));
        false
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_armed_is_read_whole_or_not_at_all() {
            let exit = Armed { name: "a.b".to_owned(), action: Action::Exit(137), at: 3 };
            assert_eq!(read("a.b=exit(137)@3"), Some(exit));
            let error = Armed { name: "a.b".to_owned(), action: Action::Error, at: 1 };
            assert_eq!(read("a.b=error@1"), Some(error));
            for text in ["", "a", "a=panic", "a=exit@1", "a=panic@x", "a=jump@1"] {
                assert_eq!(read(text), None, "{text}");
            }
        }
    }
}
