//! Which calls of the kernel a script may make: a seccomp filter.
//!
//! Landlock watches over files and signals. What it does not see is refused here: sockets, other processes' memory, the
//! kernel's own administration, and ways around the filter itself. Everything else is allowed.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

/// Refused whatever their arguments: `EPERM`.
const REFUSED: &[c_long] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    // Files by something else than a path.
    libc::SYS_open_by_handle_at,
    // The kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_fanotify_init,
    // The machine's clock and names.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    // Shared with every process of the user, and not a file that Landlock would see.
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
];

/// Refused as if the kernel did not know them: their arguments lie in memory, where no filter sees them, and programs fall
/// back to an older call.
const UNKNOWN: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_openat2,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Makes a namespace.
const NEW_NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as u32 as u64;

/// Bits of a file's mode that let it run as somebody else.
const SET_ID: [u64; 2] = [libc::S_ISUID as u64, libc::S_ISGID as u64];

/// Flags of `open` that make a file.
const CREATE: [u64; 2] = [libc::O_CREAT as u64, (libc::O_TMPFILE & !libc::O_DIRECTORY) as u64];

/// Requests that type into, or take over, somebody's terminal: `TIOCSTI`, `TIOCLINUX`, `TIOCSETD`.
const TERMINAL: [u64; 3] = [0x5412, 0x541c, 0x5423];

/// The low bits of a socket's type; above them are flags.
const SOCKET_TYPE: u64 = 0xf;

/// How many calls are looked for one after the other. The kernel asks the filter for every call there is when it is installed,
/// and a script waits for that: one list of all of them would take longer than the rest of the sandbox.
const ROW: usize = 8;

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// The program to install, for scripts with and without the network.
///
/// # Errors
/// Where this kind of processor has none.
pub(super) fn program(network: bool) -> Result<&'static BpfProgram, String> {
    static WITH: LazyLock<Result<BpfProgram, String>> = LazyLock::new(|| build(true));
    static WITHOUT: LazyLock<Result<BpfProgram, String>> = LazyLock::new(|| build(false));
    let program = if network { &*WITH } else { &*WITHOUT };
    program.as_ref().map_err(Clone::clone)
}

fn build(network: bool) -> Result<BpfProgram, String> {
    let arch: TargetArch = std::env::consts::ARCH
        .try_into()
        .map_err(|_| format!("there is no filter of system calls for {}", std::env::consts::ARCH))?;
    rows(network).and_then(|rows| whole(rows, arch)).map_err(|error| error.to_string())
}

/// Neighbouring calls that are refused alike.
struct Row {
    errno: i32,
    rules: Rules,
}

/// All calls that are refused, in the order of their numbers.
fn rows(network: bool) -> Result<Vec<Row>, BackendError> {
    let mut calls: BTreeMap<_, _> =
        refused(network)?.into_iter().map(|(call, rules)| (call, (libc::EPERM, rules))).collect();
    calls.extend(UNKNOWN.iter().map(|call| (*call, (libc::ENOSYS, Vec::new()))));
    let mut rows: Vec<Row> = Vec::new();
    for (call, (errno, rules)) in calls {
        match rows.last_mut() {
            Some(row) if row.errno == errno && row.rules.len() < ROW => drop(row.rules.insert(call, rules)),
            _ => rows.push(Row { errno, rules: [(call, rules)].into() }),
        }
    }
    Ok(rows)
}

const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

const fn line(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

fn whole(rows: Vec<Row>, arch: TargetArch) -> Result<BpfProgram, BackendError> {
    // The number of the call.
    let mut program = vec![line(LOAD, 0, 0, 0)];
    if cfg!(target_arch = "x86_64") {
        // The kernel may know every call by a second number (x32), which would pass by the rules.
        const X32: u32 = 0x4000_0000;
        let unknown = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
        program.extend([line(JUMP_IF_AT_LEAST, 0, 1, X32), line(RETURN, 0, 0, unknown)]);
    }
    program.extend(halved(rows, arch)?);
    Ok(program)
}

/// A program that has the number of a call loaded, and halves the rows until it is at the one where that call would stand. What
/// is there asks for the kind of processor first, loads what it needs, and answers.
fn halved(mut rows: Vec<Row>, arch: TargetArch) -> Result<BpfProgram, BackendError> {
    let upper = rows.split_off(rows.len() / 2);
    let first = upper.first().and_then(|row| row.rules.keys().next()).copied();
    if rows.is_empty() {
        let Row { errno, rules } = upper.into_iter().next().unwrap_or(Row { errno: 0, rules: Rules::new() });
        let refuse = SeccompAction::Errno(errno.unsigned_abs());
        return SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?.try_into();
    }
    let (lower, upper) = (halved(rows, arch)?, halved(upper, arch)?);
    // A call's number, and the length of a program, are small.
    let number = |long: i64| u32::try_from(long).unwrap_or(u32::MAX);
    let mut program = vec![
        line(JUMP_IF_AT_LEAST, 0, 1, number(first.unwrap_or_default())),
        line(JUMP, 0, 0, number(lower.len() as i64)),
    ];
    program.extend(lower);
    program.extend(upper);
    Ok(program)
}

fn refused(network: bool) -> Result<Rules, BackendError> {
    use SeccompCmpArgLen::Dword;
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let mut rules: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    if !network {
        rules.insert(libc::SYS_socket, Vec::new());
    }
    let mut refuse = |call: c_long, conditions: &[(u8, SeccompCmpOp, u64)]| -> Result<(), BackendError> {
        let conditions =
            conditions.iter().map(|(arg, op, value)| SeccompCondition::new(*arg, Dword, op.clone(), *value));
        let rule = SeccompRule::new(conditions.collect::<Result<_, _>>()?)?;
        rules.entry(call).or_default().push(rule);
        Ok(())
    };
    // Sockets: none, or those of the network alone. One of the local kind could reach whoever listens on this machine.
    let mut sockets: Vec<(u8, SeccompCmpOp, u64)> = vec![];
    if network {
        sockets
            .extend([libc::AF_INET, libc::AF_INET6].map(|family| (0, Ne, u64::from(family.unsigned_abs()))));
        // Tells programs which addresses this machine has.
        sockets.push((0, Ne, u64::from(libc::AF_NETLINK.unsigned_abs())));
        refuse(libc::SYS_socket, &sockets)?;
        let netlink = u64::from(libc::AF_NETLINK.unsigned_abs());
        refuse(
            libc::SYS_socket,
            &[(0, Eq, netlink), (2, Ne, u64::from(libc::NETLINK_ROUTE.unsigned_abs()))],
        )?;
        for family in [libc::AF_INET, libc::AF_INET6] {
            let raw = u64::from(libc::SOCK_RAW.unsigned_abs());
            refuse(
                libc::SYS_socket,
                &[(0, Eq, u64::from(family.unsigned_abs())), (1, MaskedEq(SOCKET_TYPE), raw)],
            )?;
        }
    }
    // A pair of datagram sockets could still send to any address.
    let datagram = u64::from(libc::SOCK_DGRAM.unsigned_abs());
    refuse(libc::SYS_socketpair, &[(1, MaskedEq(SOCKET_TYPE), datagram)])?;
    for bit in SET_ID {
        let set = MaskedEq(bit);
        refuse(libc::SYS_fchmod, &[(1, set.clone(), bit)])?;
        refuse(libc::SYS_fchmodat, &[(2, set.clone(), bit)])?;
        refuse(libc::SYS_fchmodat2, &[(2, set.clone(), bit)])?;
        refuse(libc::SYS_mknodat, &[(2, set.clone(), bit)])?;
        for create in CREATE {
            refuse(libc::SYS_openat, &[(2, MaskedEq(create), create), (3, set.clone(), bit)])?;
            #[cfg(target_arch = "x86_64")]
            refuse(libc::SYS_open, &[(1, MaskedEq(create), create), (2, set.clone(), bit)])?;
        }
        #[cfg(target_arch = "x86_64")]
        {
            refuse(libc::SYS_chmod, &[(1, set.clone(), bit)])?;
            refuse(libc::SYS_mknod, &[(1, set.clone(), bit)])?;
            refuse(libc::SYS_creat, &[(1, set, bit)])?;
        }
    }
    for request in TERMINAL {
        refuse(libc::SYS_ioctl, &[(1, Eq, request)])?;
    }
    for bit in (0..u64::BITS).map(|bit| 1u64 << bit).filter(|bit| NEW_NAMESPACES & bit != 0) {
        refuse(libc::SYS_clone, &[(0, MaskedEq(bit), bit)])?;
    }
    // The limit that tells whose a process is (`limits.rs`) stays as it is.
    let mark = libc::RLIMIT_LOCKS as u64;
    refuse(libc::SYS_setrlimit, &[(0, Eq, mark)])?;
    let asks = SeccompCondition::new(2, SeccompCmpArgLen::Qword, Ne, 0)?;
    let own = SeccompCondition::new(1, Dword, Eq, mark)?;
    rules.entry(libc::SYS_prlimit64).or_default().push(SeccompRule::new(vec![own, asks])?);
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a program answers to a call whose arguments are all 0.
    fn answer(program: &[sock_filter], arch: u32, call: u32) -> u32 {
        let (mut at, mut held) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at].clone();
            let met = |met: bool| usize::from(if met { jt } else { jf });
            at += 1;
            match code {
                LOAD => held = [call, arch].get(k as usize / 4).copied().unwrap_or(0),
                JUMP => at += k as usize,
                JUMP_IF_AT_LEAST => at += met(held >= k),
                0x15 => at += met(held == k),
                0x25 => at += met(held > k),
                0x54 => held &= k,
                RETURN => return k,
                other => panic!("{other:#x}"),
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_call_has_its_answer() {
        const NATIVE: u32 = 0xc000_003e;
        let program = program(false).unwrap();
        for call in 0..600 {
            let expected = if UNKNOWN.contains(&call) {
                libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32
            } else if REFUSED.contains(&call) || call == libc::SYS_socket {
                libc::SECCOMP_RET_ERRNO | libc::EPERM as u32
            } else {
                libc::SECCOMP_RET_ALLOW
            };
            let call = u32::try_from(call).unwrap();
            assert_eq!(answer(program, NATIVE, call), expected, "{call}");
            let by_x32 = answer(program, NATIVE, call | 0x4000_0000);
            assert_eq!(by_x32, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32, "{call}");
            // The numbers of another processor mean something else.
            assert_eq!(answer(program, 0x4000_0003, call), libc::SECCOMP_RET_KILL_PROCESS, "{call}");
        }
    }
}
