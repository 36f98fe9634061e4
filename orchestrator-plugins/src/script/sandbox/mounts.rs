//! A view of the files of its own for a thread of root: hides what lies inside of what is granted, and makes everything else
//! unchangeable. Landlock can do neither: it only ever adds, and it does not watch over modes, owners and times.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change, mount_remount,
};
use rustix::thread::UnshareFlags;

use super::grants::Grants;

/// Gives the current thread mounts of its own.
///
/// # Errors
/// Where it may not, or where something cannot be hidden. What was done until then concerns this thread alone.
pub(super) fn separate(grants: &Grants) -> io::Result<()> {
    #[expect(deprecated, reason = "unsafe only for shared descriptors, which this thread keeps sharing")]
    rustix::thread::unshare(UnshareFlags::FS | UnshareFlags::NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    for path in &grants.write {
        if path.is_dir() { mount_bind_recursive(path, path)? } else { mount_bind(path, path)? }
    }
    for path in mount_points()? {
        if !grants.write.iter().any(|granted| path.0.starts_with(granted)) {
            // Not reachable any more, or not to be changed: Landlock lets nobody write there either.
            let _ = mount_remount(&path.0, MountFlags::BIND | MountFlags::RDONLY | path.1, "");
        }
    }
    for path in grants.hidden_within() {
        hide(path)?;
    }
    Ok(())
}

fn hide(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        Ok(mount("hidden", path, "tmpfs", flags, c"size=4k,mode=0")?)
    } else {
        Ok(mount_bind("/dev/null", path)?)
    }
}

/// Kinds of mounts that hold no files of anybody.
const OF_THE_KERNEL: [&[u8]; 12] = [
    b"proc",
    b"sysfs",
    b"cgroup",
    b"cgroup2",
    b"devpts",
    b"mqueue",
    b"debugfs",
    b"tracefs",
    b"securityfs",
    b"bpf",
    b"binfmt_misc",
    b"pstore",
];

/// Where something is mounted, and what holds of it already.
fn mount_points() -> io::Result<Vec<(PathBuf, MountFlags)>> {
    // The kernel writes it anew for each read, so it is read at once.
    let mut text = Vec::with_capacity(64 << 10);
    fs::File::open("/proc/thread-self/mountinfo")?.read_to_end(&mut text)?;
    let lines = text.split(|byte| *byte == b'\n');
    // ID PARENT DEVICE ROOT POINT OPTIONS … - KIND …
    let points = lines.filter_map(|line| {
        let kind = line
            .windows(3)
            .position(|end| end == b" - ")
            .and_then(|end| line[end + 3..].split(|b| *b == b' ').next());
        if kind.is_some_and(|kind| OF_THE_KERNEL.contains(&kind)) {
            return None;
        }
        let mut fields = line.split(|byte| *byte == b' ');
        let (point, options) = (fields.nth(4)?, fields.next()?);
        Some((unescaped(point), flags(options)))
    });
    Ok(points.collect())
}

/// What must be said again, or it would hold no longer.
fn flags(options: &[u8]) -> MountFlags {
    let flags = options.split(|byte| *byte == b',').map(|option| match option {
        b"nosuid" => MountFlags::NOSUID,
        b"nodev" => MountFlags::NODEV,
        b"noexec" => MountFlags::NOEXEC,
        b"noatime" => MountFlags::NOATIME,
        b"nodiratime" => MountFlags::NODIRATIME,
        b"relatime" => MountFlags::RELATIME,
        _ => MountFlags::empty(),
    });
    flags.fold(MountFlags::empty(), MountFlags::union)
}

/// The kernel writes blanks, tabs, line ends and backslashes as `\040` and so on.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let code = rest.get(1..4).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()).filter(|_| *first == b'\\') {
            Some(byte) => {
                plain.push(byte);
                rest = &rest[4..];
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    std::ffi::OsString::from_vec(plain).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read() {
        assert_eq!(unescaped(br"/a\040b\134c\"), PathBuf::from(r"/a b\c\"));
        assert_eq!(flags(b"rw,nosuid,relatime"), MountFlags::NOSUID | MountFlags::RELATIME);
        assert!(mount_points().unwrap().iter().any(|(point, _)| point == Path::new("/")));
    }
}
