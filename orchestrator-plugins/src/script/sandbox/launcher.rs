//! The program itself as a launcher: what a thread cannot do for lack of power, a process that is alone can, in a user namespace.
//!
//! Only for a script whose store has to be hidden in the folder of its run, where the engine may not mount.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use super::grants::Grants;
use super::{kernel, mounts};
use crate::script::gate;

/// The word that asks this program to confine itself and to become another one.
const WORD: &str = "--orchestrator-cell";

/// The program that runs, by whatever name.
const SELF: &str = "/proc/self/exe";

/// The launcher cannot have mounts of its own here: nothing was started.
pub(super) const CANNOT_MOUNT: i32 = 121;

/// The launcher could not confine itself: nothing was started.
pub(super) const CANNOT_CONFINE: i32 = 122;

/// Whether this program does as it is asked, and has not found that it cannot.
static SERVES: AtomicBool = AtomicBool::new(false);

/// What a launcher is told.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    grants: Grants,
    network: bool,
}

/// Confines this process and becomes a script's, if it was started for that; else remembers that this program can be, and
/// returns.
///
/// The command line calls it first of all. A host program whose store lies in the folder in which its scripts work, and that is
/// not root, does well to do the same: otherwise its scripts cannot make new files directly beside the store. It has to be
/// called before any thread is started.
pub fn confine_if_asked() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|word| word == WORD) {
        std::process::exit(become_script(args));
    }
    SERVES.store(true, Ordering::Relaxed);
}

/// What stands before a command to have it launched; `None` where this program does not serve.
pub(super) fn words(grants: &Grants, network: bool) -> Option<Vec<OsString>> {
    if !SERVES.load(Ordering::Relaxed) {
        return None;
    }
    // Fails for a path that is not UTF-8.
    let order = serde_json::to_string(&Order { grants: grants.clone(), network }).ok()?;
    Some(vec![SELF.into(), WORD.into(), order.into()])
}

/// It cannot have mounts of its own here, and need not be asked again.
pub(super) fn give_up() {
    SERVES.store(false, Ordering::Relaxed);
}

/// Whether it can, as far as a try tells that starts no script.
pub(super) fn can_mount() -> bool {
    let none = Grants { read: Vec::new(), write: Vec::new(), hidden: Vec::new() };
    let Some(words) = words(&none, false) else { return false };
    let tried = Command::new(&words[0])
        .args(&words[1..])
        .arg("/bin/true")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    // Nothing is granted, not even to start a program: that is how far it has to come.
    tried.is_ok_and(|status| status.code() == Some(CANNOT_CONFINE))
}

fn become_script(mut args: impl Iterator<Item = OsString>) -> i32 {
    let order = args.next().and_then(|order| serde_json::from_str::<Order>(order.to_str()?).ok());
    let (Some(order), Some(program)) = (order, args.next()) else {
        eprintln!("{WORD} is for this program alone");
        return CANNOT_CONFINE;
    };
    if separate(&order.grants).is_err() {
        return CANNOT_MOUNT;
    }
    let grants = &order.grants;
    let confined = kernel::rules(grants)
        .and_then(|rules| kernel::restrict(rules, grants, &grants.write, true, order.network));
    if let Err(error) = confined {
        eprintln!("{}", error.message);
        return CANNOT_CONFINE;
    }
    gate::launched();
    let error = Command::new(&program).args(args).exec();
    eprintln!("cannot start {}: {error}", OsStr::display(&program));
    CANNOT_CONFINE
}

/// Gives this process mounts of its own.
fn separate(grants: &Grants) -> io::Result<()> {
    let folder = std::env::current_dir()?;
    own_namespace()?;
    mounts::separate(grants)?;
    // By its name: where it stands is still the folder below what has been mounted there.
    std::env::set_current_dir(folder)
}

/// A user namespace in which everybody is who they were, and this process may mount until it is another program.
fn own_namespace() -> io::Result<()> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    #[expect(
        deprecated,
        reason = "unsafe only for shared descriptors, and no thread shares any with this one"
    )]
    rustix::thread::unshare(UnshareFlags::NEWUSER)?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}
