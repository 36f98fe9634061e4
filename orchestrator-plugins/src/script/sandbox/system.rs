//! What of the machine every script may use: programs, libraries, and settings that hold no secret.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Programs and libraries, of every layout that is known: read and executed.
const PROGRAMS: [&str; 11] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/snap",
    "/nix/store",
    "/gnu/store",
];

/// What programs look up in `/etc`. A list of what is let through: nobody can list every file there that holds a secret.
const SETTINGS: [&str; 51] = [
    "alternatives",
    "bash.bashrc",
    "bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "environment",
    "fonts",
    "gai.conf",
    "gitconfig",
    "group",
    "host.conf",
    "hostname",
    "hosts",
    "inputrc",
    "java",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld.so.preload",
    "locale.alias",
    "locale.conf",
    "localtime",
    "lsb-release",
    "magic",
    "mime.types",
    "netconfig",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "perl",
    "pki/ca-trust",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "profile",
    "profile.d",
    "protocols",
    "python3",
    "redhat-release",
    "resolv.conf",
    "rpc",
    "services",
    "shells",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
    "xdg",
];

/// What the kernel tells of the machine. Of other processes it tells their names and arguments, not their environment,
/// memory or files: Landlock refuses those.
const KERNEL: [&str; 4] =
    ["/proc", "/sys/devices/system/cpu", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage"];

/// Devices that keep nothing: read and written.
pub(super) const DEVICES: [&str; 5] = ["/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero"];

/// Settings of git, without which it refuses to work where they exist; not the file with its credentials.
const GIT: [&str; 4] = [".gitconfig", ".config/git/config", ".config/git/ignore", ".config/git/attributes"];

/// Folders of a user that hold credentials. Hidden even from a script that starts in the user's own folder.
const CREDENTIALS: [&str; 20] = [
    ".aws",
    ".azure",
    ".bash_history",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".config",
    ".docker",
    ".git-credentials",
    ".gnupg",
    ".kube",
    ".local/share/keyrings",
    ".mozilla",
    ".netrc",
    ".npmrc",
    ".password-store",
    ".pgpass",
    ".pypirc",
    ".ssh",
    ".terraform.d",
    ".vault-token",
];

/// What a script may read and execute whatever its step says, as far as it was there when this was asked first.
pub(super) fn readable() -> &'static [PathBuf] {
    static READABLE: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
        let settings = SETTINGS.iter().map(|name| Path::new("/etc").join(name));
        let all = PROGRAMS.iter().chain(&KERNEL).map(PathBuf::from).chain(settings);
        // A link into another of these, as `/bin` mostly is, adds nothing.
        let leads_on =
            |path: &PathBuf| path.canonicalize().is_ok_and(|real| real == *path || !real.starts_with("/usr"));
        all.filter(leads_on).collect()
    });
    &READABLE
}

/// What of a user's folder a script may read: the settings of git.
pub(super) fn readable_at_home(home: &Path) -> impl Iterator<Item = PathBuf> {
    GIT.iter().map(|name| home.join(name))
}

/// What of a user's folder no script may touch unless its step names it.
pub(super) fn credentials(home: &Path) -> impl Iterator<Item = PathBuf> {
    CREDENTIALS.iter().map(|name| home.join(name))
}

/// What a folder on the `PATH` needs beside itself: `~/.pyenv/shims` is nothing without `~/.pyenv`. Never the user's folder
/// or what it lies in.
pub(super) fn toolchain(folder: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    let is_part = folder.file_name().is_some_and(|name| name == "bin" || name == "sbin" || name == "shims");
    let Some(prefix) = folder.parent().filter(|_| is_part) else { return all };
    if prefix == Path::new("/") || home.is_some_and(|home| home.starts_with(prefix)) {
        return all;
    }
    match home.and_then(|home| prefix.strip_prefix(home).ok()).and_then(Path::to_str) {
        // Holds credentials beside the tools.
        Some(".cargo") => {
            all.extend(["registry", "git", "config.toml", "env"].map(|name| prefix.join(name)));
            all.extend(home.map(|home| home.join(".rustup")));
        }
        // `~/.local/share` holds everything.
        Some(".local") => all.push(prefix.join("lib")),
        _ => all.push(prefix.to_owned()),
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toolchain_is_its_prefix_but_never_the_home() {
        let of = |folder: &str| -> Vec<String> {
            let all = toolchain(Path::new(folder), Some(Path::new("/home/a")));
            all.into_iter().map(|path| path.display().to_string()).collect()
        };
        assert_eq!(of("/home/a/.pyenv/shims"), ["/home/a/.pyenv/shims", "/home/a/.pyenv"]);
        assert_eq!(of("/home/a/bin"), ["/home/a/bin"]);
        assert_eq!(of("/home/bin"), ["/home/bin"]);
        assert_eq!(of("/bin"), ["/bin"]);
        assert_eq!(of("/data/tools"), ["/data/tools"]);
        assert_eq!(of("/home/a/.local/bin"), ["/home/a/.local/bin", "/home/a/.local/lib"]);
        assert!(of("/home/a/.cargo/bin").iter().all(|path| path != "/home/a/.cargo"));
        assert!(of("/home/a/.cargo/bin").contains(&"/home/a/.rustup".to_owned()));
    }
}
