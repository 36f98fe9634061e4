//! Confines the current thread, and with it whatever it starts: Linux.
//!
//! Landlock, seccomp, capabilities and mounts all belong to a thread, and a child has those of the thread that starts it.
//! So a thread that exists for one script confines itself, starts the script, and ends; the rest of this process stays as
//! it is, and no code has to run between `fork` and `exec`.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use orchestrator_core::machine::StepError;
use rustix::fs::{Mode, OFlags};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use super::grants::Grants;
use super::{filter, mounts, system, unavailable};

/// The version of Landlock that has all that is needed, last of it the scope of signals: that of Linux 6.12.
const NEEDED: ABI = ABI::V6;

/// What of root's powers a script keeps: those over the files that Landlock lets it reach. A build in a container would
/// otherwise not be able to unpack an archive.
const KEPT: CapabilitySet =
    CapabilitySet::CHOWN.union(CapabilitySet::DAC_OVERRIDE).union(CapabilitySet::FOWNER);

/// Confines the current thread for good; `rules` gives those of [`rules`], which may be made meanwhile. Tells whether what is
/// hidden is hidden by a mount, so that something new can be made beside it.
///
/// # Errors
/// `sandbox_unavailable` where the kernel cannot do all of it; the thread must not start anything then.
pub(super) fn confine(
    grants: &Grants,
    network: bool,
    rules: impl FnOnce() -> Result<RulesetCreated, StepError>,
) -> Result<bool, StepError> {
    // Only who may mount can hide anything inside of what it grants. Everybody else grants what lies around it.
    let separated = may_mount() && mounts::separate(grants).is_ok();
    let write = if separated { grants.write.clone() } else { grants.around_hidden()? };
    restrict(rules()?, grants, &write, separated, network)?;
    Ok(separated)
}

/// Whether this thread may mount: root may.
pub(super) fn may_mount() -> bool {
    capabilities(None).is_ok_and(|held| held.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// The rules of Landlock for what may be read, and for devices. They are about what a path leads to here and now, not about the
/// thread that makes them.
///
/// # Errors
/// `sandbox_unavailable` where there is no Landlock, or one that knows too little.
pub(super) fn rules(grants: &Grants) -> Result<RulesetCreated, StepError> {
    ruleset().and_then(|rules| allow_reading(rules, grants)).map_err(|error| no_landlock(&error))
}

fn no_landlock(error: &RulesetError) -> StepError {
    unavailable(&format!("Landlock, as of Linux 6.12, is missing or switched off: {error}"))
}

/// Confines the current thread to what it is granted, for good: what the `rules` allow, and `write`.
///
/// # Errors
/// As [`confine`].
pub(super) fn restrict(
    rules: RulesetCreated,
    grants: &Grants,
    write: &[PathBuf],
    separated: bool,
    network: bool,
) -> Result<(), StepError> {
    let lacks = |what: &str, error: &dyn std::fmt::Display| unavailable(&format!("{what}: {error}"));
    let program =
        filter::program(network).map_err(|error| lacks("system calls cannot be filtered", &error))?;
    let held = capabilities(None).map_err(|error| lacks("capabilities cannot be read", &error))?;
    let kept = held.permitted & KEPT;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(|error| lacks("capabilities cannot be given up", &error))?;
    let status = allow_writing(rules, grants, write, separated)
        .and_then(RulesetCreated::restrict_self)
        .map_err(|error| no_landlock(&error))?;
    if status.ruleset != RulesetStatus::FullyEnforced || !status.no_new_privs {
        return Err(unavailable("Landlock holds only a part of what it was asked for"));
    }
    seccompiler::apply_filter(program).map_err(|error| lacks("seccomp is missing or switched off", &error))
}

/// Whether Landlock has all that is needed, and which version of it there is.
pub(super) fn landlock() -> (bool, u32) {
    let has = |abi: ABI| {
        let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        ruleset
            .handle_access(AccessFs::from_all(abi))
            .and_then(|ruleset| match abi {
                ABI::V4 | ABI::V5 => ruleset.handle_access(AccessNet::from_all(abi)),
                ABI::V6 => ruleset.scope(Scope::from_all(abi)),
                _ => Ok(ruleset),
            })
            .and_then(Ruleset::create)
            .is_ok()
    };
    let versions = [(ABI::V1, 1), (ABI::V2, 2), (ABI::V3, 3), (ABI::V4, 4), (ABI::V5, 5), (ABI::V6, 6)];
    let found = versions.iter().rev().find(|(abi, _)| has(*abi)).map_or(0, |(_, number)| *number);
    (found >= 6, found)
}

/// Whether a filter of system calls can be installed, as the kernel says.
pub(super) fn seccomp() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail")
        .is_ok_and(|actions| actions.split_ascii_whitespace().any(|action| action == "errno"))
        && filter::program(false).is_ok()
}

fn ruleset() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(NEEDED))?
        .scope(Scope::from_all(NEEDED))?
        .create()
}

fn allow_reading(mut rules: RulesetCreated, grants: &Grants) -> Result<RulesetCreated, RulesetError> {
    let read = AccessFs::from_read(NEEDED);
    for path in &grants.read {
        rules = add(rules, path, read, OFlags::empty())?;
    }
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    for path in system::DEVICES {
        rules = add(rules, Path::new(path), device, OFlags::NOFOLLOW)?;
    }
    Ok(rules)
}

fn allow_writing(
    mut rules: RulesetCreated,
    grants: &Grants,
    write: &[PathBuf],
    separated: bool,
) -> Result<RulesetCreated, RulesetError> {
    // No devices are made or spoken to.
    let all = AccessFs::from_all(NEEDED) & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    for path in write {
        rules = add(rules, path, all, OFlags::NOFOLLOW)?;
    }
    if !separated {
        // Their names may be seen; what is in them is granted for itself.
        for path in &grants.write {
            rules = add(rules, path, AccessFs::ReadDir.into(), OFlags::NOFOLLOW)?;
        }
    }
    Ok(rules)
}

/// Allows something below a path; nothing where there is no such path.
fn add(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
    flags: OFlags,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(file) = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty()) else {
        return Ok(rules);
    };
    let kind = rustix::fs::fstat(&file).map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode));
    let access = match kind {
        Ok(rustix::fs::FileType::Directory) => access,
        // A link that is not followed: whatever it leads to is granted for itself.
        Ok(rustix::fs::FileType::Symlink) | Err(_) => return Ok(rules),
        Ok(_) => access & AccessFs::from_file(NEEDED),
    };
    if access.is_empty() { Ok(rules) } else { rules.add_rule(PathBeneath::new(file, access)) }
}
