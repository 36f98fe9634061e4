//! Who calls: the user of the operating system and this process. Recorded, not verified.

use std::sync::Arc;

/// The name of the user whose process this is. From the user database, because a variable can say anything.
pub(crate) fn name() -> Arc<str> {
    let uid = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    });
    let from_env = || ["LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok());
    match found.map(str::to_owned).or_else(from_env) {
        Some(name) => name.into(),
        None => format!("uid {uid}").into(),
    }
}

/// `HOST pid N`.
pub(crate) fn process() -> String {
    let host = rustix::system::uname();
    format!("{} pid {}", host.nodename().to_string_lossy(), std::process::id())
}
