//! Confines scripts: to their files by Landlock, from the network and the kernel's administration by seccomp, in what they
//! use by limits, and to a life that ends with the script's.
//!
//! Whatever is missing refuses the script (`sandbox_unavailable`); it never runs with less than its step says.

#[cfg(target_os = "linux")]
mod cell;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod filter;
#[cfg(target_os = "linux")]
mod grants;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod launcher;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod mounts;
mod refusal;
mod report;
#[cfg(target_os = "linux")]
mod system;
#[cfg(target_os = "linux")]
mod watch;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::confine_if_asked;
#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::{Cell, Excess, Mark, NotStarted, Place, Started, Watched};
#[cfg(target_os = "linux")]
pub use launcher::confine_if_asked;
use refusal::unavailable;
pub use report::SandboxReport;
#[cfg(target_os = "linux")]
pub(super) use {
    cell::{Cell, NotStarted, Started},
    grants::Place,
    limits::Mark,
    watch::{Excess, Watched},
};
