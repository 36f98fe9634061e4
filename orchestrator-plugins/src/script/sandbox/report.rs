//! What confines scripts on this machine, for people.

use serde::Serialize;

/// What confines scripts on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SandboxReport {
    /// Whether scripts can be confined. If not, a step that does not say `sandbox: none` is refused.
    pub available: bool,
    /// The version of Landlock, counted up to 6, which has all that is needed; 0 where there is none.
    pub landlock: u32,
    /// Whether calls of the kernel can be filtered.
    pub seccomp: bool,
    /// Whether the store can be hidden from scripts that may write in the folder around it: needs the power to mount, as
    /// root has, or a user namespace. Without them each entry of that folder is granted for itself, and scripts cannot make new ones beside them.
    pub hides: bool,
}

impl SandboxReport {
    /// Looks what this machine has.
    #[must_use]
    pub fn of_this_machine() -> Self {
        #[cfg(target_os = "linux")]
        {
            let (landlock, seccomp) = (super::kernel::landlock(), super::kernel::seccomp());
            let hides = super::kernel::may_mount() || super::launcher::can_mount();
            let alone = super::Mark::new().is_some();
            Self { available: landlock.0 && seccomp && alone, landlock: landlock.1, seccomp, hides }
        }
        #[cfg(not(target_os = "linux"))]
        Self { available: false, landlock: 0, seccomp: false, hides: false }
    }
}
