//! Where a repository is fetched from and pushed to.

use std::path::Path;

use super::name::{self, shown};

/// How an address is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Https,
    Http,
    Ssh,
    /// The protocol of `git daemon`, which neither encrypts nor authenticates.
    Git,
    /// A repository on this machine.
    Local,
}

impl Way {
    /// The protocols that git may use to reach it.
    pub(super) const fn protocols(self) -> &'static str {
        match self {
            Self::Https => "https",
            // A server may ask to go on with https.
            Self::Http => "http:https",
            Self::Ssh => "ssh",
            Self::Git => "git",
            Self::Local => "file",
        }
    }
}

/// A checked address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// As git is given it: a local path is absolute.
    pub(super) text: String,
    pub(super) way: Way,
    /// `https://host:port`, for what belongs to this server only.
    pub(super) origin: Option<String>,
    /// Whether what is sent to it stays on this machine.
    pub(super) loopback: bool,
}

impl Address {
    /// Reads an address; a relative path starts at `folder`.
    ///
    /// # Errors
    /// What is wrong with it, and what would do.
    pub(super) fn read(text: &str, folder: &Path) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{}`: {why}", without_user(&shown(text))));
        if text.is_empty() {
            return Err("the address is empty".to_owned());
        }
        if text.contains(|c: char| c.is_control()) {
            return wrong("an address holds no control characters and no line ends");
        }
        if text.starts_with('-') {
            return wrong("an address that begins with `-` would be an option");
        }
        let word = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
        if let Some((before, _)) = text.split_once("::")
            && !before.is_empty()
            && before.chars().all(word)
        {
            return wrong("addresses of the form `helper::address` start a program and are not taken");
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return Self::url(text, &scheme.to_ascii_lowercase(), rest).or_else(|why| wrong(&why));
        }
        match text.split_once(':') {
            Some((host, path)) if !host.contains('/') => {
                // The colon of `[::1]:path` is the one after the bracket.
                let host = if host.starts_with('[') { "[]" } else { host.rsplit('@').next().unwrap_or(host) };
                if host.is_empty() || host.starts_with('-') || path.starts_with('-') {
                    return wrong("neither host nor path of an address may be empty or begin with `-`");
                }
                Ok(Self { text: text.to_owned(), way: Way::Ssh, origin: None, loopback: false })
            }
            _ => {
                let path = name::place(folder, "url", text).map_err(|error| error.message.to_string())?;
                let text = name::argument(&path).map_err(|error| error.message.to_string())?.to_owned();
                Ok(Self { text, way: Way::Local, origin: None, loopback: true })
            }
        }
    }

    fn url(text: &str, scheme: &str, rest: &str) -> Result<Self, String> {
        let way = match scheme {
            "https" => Way::Https,
            "http" => Way::Http,
            "ssh" => Way::Ssh,
            "git" => Way::Git,
            "file" if rest.starts_with('/') => Way::Local,
            "file" => return Err("write `file:///` and an absolute path".to_owned()),
            _ => return Err("the scheme is none of https, http, ssh, git and file".to_owned()),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err("it holds a password; give it as `auth: { token: … }`, from a secret".to_owned());
        }
        if way != Way::Local && host.is_empty() {
            return Err("there is no host in it".to_owned());
        }
        // Git decodes what is percent-encoded before it hands the host to ssh.
        let dash = |part: &str| part.starts_with('-') || part.to_ascii_lowercase().starts_with("%2d");
        if dash(host) || user.is_some_and(dash) {
            return Err("neither user nor host of an address may begin with `-`".to_owned());
        }
        let alone = match host.strip_prefix('[') {
            Some(address) => address.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let loopback = way == Way::Local || matches!(alone, "localhost" | "127.0.0.1" | "::1");
        let origin = matches!(way, Way::Https | Way::Http).then(|| format!("{scheme}://{host}"));
        Ok(Self { text: text.to_owned(), way, origin, loopback })
    }

    /// For people: without a user.
    pub(super) fn shown(&self) -> String {
        without_user(&self.text)
    }
}

/// An address without whoever logs in. Takes any text.
pub(super) fn without_user(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let host = rest[..end].rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{}", &rest[end..])
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Address, String> {
        Address::read(text, Path::new("/work"))
    }

    #[test]
    fn addresses_are_told_apart() {
        for (text, way) in [
            ("https://example.org/a.git", Way::Https),
            ("HTTPS://example.org/a", Way::Https),
            ("http://127.0.0.1:8080/a", Way::Http),
            ("ssh://git@example.org:22/a", Way::Ssh),
            ("git@example.org:a/b.git", Way::Ssh),
            ("[::1]:a", Way::Ssh),
            ("git://example.org/a", Way::Git),
            ("file:///srv/a", Way::Local),
            ("/srv/a", Way::Local),
            ("../a", Way::Local),
            ("./a::b", Way::Local),
        ] {
            assert_eq!(read(text).map(|address| address.way), Ok(way), "{text}");
        }
        assert_eq!(read("sub/a").unwrap().text, "/work/sub/a");
        let address = read("https://me@example.org:8443/a").unwrap();
        assert_eq!(address.origin.as_deref(), Some("https://example.org:8443"));
        assert_eq!(address.shown(), "https://example.org:8443/a");
    }

    #[test]
    fn what_would_start_a_program_is_no_address() {
        for text in [
            "",
            "-u",
            "--upload-pack=touch p",
            "ext::sh -c touch% p",
            "fd::17",
            "EXT::x",
            "ssh://-oProxyCommand=touch/a",
            "ssh://%2DoProxyCommand=touch/a",
            "ssh://-oProxyCommand=touch@host/a",
            "ssh://me@-oProxyCommand=touch/a",
            "-oProxyCommand=touch:a",
            "me@-oProxyCommand=touch:a",
            "host:-a",
            "https://",
            "https:///a",
            "https://me:secret@example.org/a",
            "ftp://example.org/a",
            "javascript://x",
            "file://host/a",
            "https://example.org/a\nb",
        ] {
            let refused = read(text).expect_err(text);
            assert!(!refused.contains("secret@"), "{refused}");
        }
    }
}
