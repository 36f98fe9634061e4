//! What may be reached at one host and port.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;

use orchestrator_core::spec::permissions::{NetworkGrant, NetworkPermissions};
use reqwest::Url;

use super::blocked::{Block, blocked};

/// A host and a port, as an address names them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Destination {
    pub(super) host: Target,
    pub(super) port: u16,
}

/// What the host of an address is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// In lower case, without a dot at its end.
    Name(Box<str>),
    Address(IpAddr),
}

impl Destination {
    /// Where `url` leads; `None` if it has no host or no port, which no address of http and https lacks.
    pub(super) fn of(url: &Url) -> Option<Self> {
        let host = url.host_str()?;
        // The parser has turned every spelling of an IPv4 address into the usual one.
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = match bare.parse() {
            Ok(address) => Target::Address(address),
            Err(_) => Target::Name(plain_name(bare)),
        };
        Some(Self { host, port: url.port_or_known_default()? })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Target::Name(name) => write!(f, "{name}:{}", self.port),
            Target::Address(address) => NetworkGrant::address(*address, Some(self.port)).fmt(f),
        }
    }
}

/// A name in the form in which names are compared.
pub(super) fn plain_name(name: &str) -> Box<str> {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase().into()
}

/// What is allowed at one destination beyond the public internet. Connections are shared only by those with equal ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// The name, if that has been granted.
    name: Option<Box<str>>,
    /// Addresses and networks that have been granted, for this port.
    nets: Vec<NetworkGrant>,
}

impl Reach {
    /// What these grants allow at a destination.
    pub(super) fn of(granted: [&NetworkPermissions; 2], destination: &Destination) -> Self {
        let mut reach = Self::default();
        let grants = granted.into_iter().flat_map(NetworkPermissions::grants);
        for grant in grants.filter(|grant| grant.covers_port(destination.port)) {
            match (grant.name(), &destination.host) {
                (None, _) => reach.nets.push(grant.clone()),
                (Some(granted), Target::Name(name)) if granted == &**name => {
                    reach.name = Some(name.clone());
                }
                (Some(_), _) => {}
            }
        }
        reach.nets.sort_unstable();
        reach.nets.dedup();
        reach
    }

    /// Whether a connection may be made to `address`, which `name` has resolved to or which stands in the URL itself.
    ///
    /// # Errors
    /// What is there.
    pub(super) fn check(&self, name: Option<&str>, address: IpAddr) -> Result<(), &'static Block> {
        let Some(block) = blocked(address) else { return Ok(()) };
        let by_name = block.by_name && name.is_some() && self.name.as_deref() == name;
        if by_name || self.nets.iter().any(|net| net.covers_address(address)) { Ok(()) } else { Err(block) }
    }
}

/// An address that may not be reached, and what is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused {
    pub(super) address: IpAddr,
    pub(super) block: &'static Block,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, not the public internet", self.address, self.block.what)
    }
}

impl Error for Refused {}

impl Refused {
    /// What an author is told: what was refused, why, and the line that would allow it.
    pub(super) fn told(self, destination: &Destination) -> String {
        let by_address = NetworkGrant::address(self.address, Some(destination.port)).to_string();
        let asked = destination.to_string();
        let (shown, line) = match &destination.host {
            Target::Name(_) if self.block.by_name => (format!("{asked} ({})", self.address), &asked),
            Target::Name(_) => (format!("{asked} ({})", self.address), &by_address),
            Target::Address(_) => (asked.clone(), &by_address),
        };
        format!(
            "{shown} is {}, not the public internet; to allow it, add `permissions: {{ network: [\"{line}\"] }}`",
            self.block.what
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(url: &str) -> Destination {
        Destination::of(&Url::parse(url).unwrap()).unwrap()
    }

    fn granted(list: &[&str]) -> NetworkPermissions {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn reach(list: &[&str], url: &str) -> Reach {
        Reach::of([&granted(list), &NetworkPermissions::default()], &destination(url))
    }

    #[test]
    fn a_grant_is_for_its_host_and_its_port() {
        let loopback = "127.0.0.1".parse().unwrap();
        let may = |list: &[&str], url: &str| {
            let destination = destination(url);
            let name = match &destination.host {
                Target::Name(name) => Some(&**name),
                Target::Address(_) => None,
            };
            reach(list, url).check(name, loopback).is_ok()
        };
        assert!(!may(&[], "http://127.0.0.1/"));
        assert!(may(&["127.0.0.1:80"], "http://127.0.0.1/"));
        assert!(may(&["127.0.0.1:80"], "http://localhost/"), "whatever name has led there");
        assert!(!may(&["127.0.0.1:80"], "http://127.0.0.1:81/"));
        assert!(may(&["127.0.0.1:*"], "http://127.0.0.1:81/"));
        assert!(
            may(&["127.0.0.0/8:443"], "https://127.0.0.1/")
                && !may(&["127.0.0.0/8:443"], "http://127.0.0.1/")
        );
        assert!(may(&["localhost:80"], "http://LOCALHOST./") && !may(&["localhost:80"], "http://other/"));
        assert!(!may(&["localhost:80"], "http://127.0.0.1/"), "a name is no address");
        assert!(!may(&["localhost:80"], "http://localhost:81/"));
    }

    #[test]
    fn a_name_is_not_enough_for_where_credentials_are() {
        let metadata = "169.254.169.254".parse().unwrap();
        let refused = |list: &[&str]| reach(list, "http://metadata/").check(Some("metadata"), metadata).err();
        let block = refused(&["metadata:80"]).expect("refused");
        let told = Refused { address: metadata, block }.told(&destination("http://metadata/"));
        assert!(told.ends_with("add `permissions: { network: [\"169.254.169.254:80\"] }`"), "{told}");
        assert!(refused(&["169.254.169.254:80"]).is_none());
    }

    #[test]
    fn a_refusal_prints_the_line_that_allows_it() {
        for (url, address, line) in [
            ("http://127.0.0.1:11434/api", "127.0.0.1", "127.0.0.1:11434"),
            ("http://2130706433/", "127.0.0.1", "127.0.0.1:80"),
            ("https://[::1]/", "::1", "[::1]:443"),
            ("http://LOCALHOST.:8080/", "127.0.0.1", "localhost:8080"),
        ] {
            let (destination, address) = (destination(url), address.parse().unwrap());
            let block = blocked(address).unwrap();
            let told = Refused { address, block }.told(&destination);
            let expected = format!("add `permissions: {{ network: [\"{line}\"] }}`");
            assert!(told.ends_with(&expected), "{url}: {told}");
            // What it says is what would help.
            let reach = Reach::of([&granted(&[line]), &NetworkPermissions::default()], &destination);
            let name = match &destination.host {
                Target::Name(name) => Some(&**name),
                Target::Address(_) => None,
            };
            assert!(reach.check(name, address).is_ok(), "{url}");
        }
    }
}
