//! `permissions`: what the plugins of a step may reach beyond the public internet.

use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

/// The most entries of one list.
pub const MAX_NETWORK_GRANTS: usize = 256;

/// What a step may do that not every step may.
///
/// Written as text that is known before anything runs: it holds no expressions, so that what a workflow may reach can be
/// read without running it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    /// What its plugin may reach beyond the public internet.
    pub network: Arc<NetworkPermissions>,
}

/// Destinations beyond the public internet. The default is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct NetworkPermissions(Vec<NetworkGrant>);

impl NetworkPermissions {
    /// No destination.
    #[must_use]
    pub fn none() -> Arc<Self> {
        static NONE: LazyLock<Arc<NetworkPermissions>> = LazyLock::new(Arc::default);
        Arc::clone(&NONE)
    }

    /// The destinations, in the author's order.
    #[must_use]
    pub fn grants(&self) -> &[NetworkGrant] {
        &self.0
    }
}

impl FromIterator<NetworkGrant> for NetworkPermissions {
    fn from_iter<I: IntoIterator<Item = NetworkGrant>>(grants: I) -> Self {
        Self(grants.into_iter().collect())
    }
}

/// One destination: `HOST:PORT`.
///
/// - `HOST` is a name (`ollama.internal`, without wildcards), an address (`127.0.0.1`, `[::1]`), or a network in CIDR
///   form (`10.0.0.0/8`, `[fd00::/8]`).
/// - `PORT` is 1 to 65535, or `*` for every port.
///
/// A name stands for whatever addresses it resolves to; an address or a network stands for itself, whatever name has led
/// there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkGrant {
    host: Host,
    /// `None`: every port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Host {
    /// In lower case, without a dot at its end.
    Name(Box<str>),
    /// The first address of the network, and how many leading bits all of it have in common.
    Net(IpAddr, u8),
}

impl NetworkGrant {
    /// One address, at one port or at every port.
    #[must_use]
    pub fn address(address: IpAddr, port: Option<u16>) -> Self {
        Self { host: Host::Net(address, width(address)), port }
    }

    /// Whether it is for this port.
    #[must_use]
    pub fn covers_port(&self, port: u16) -> bool {
        self.port.is_none_or(|granted| granted == port)
    }

    /// Whether it is for this address, as such. A destination that is a name is for no address as such.
    #[must_use]
    pub fn covers_address(&self, address: IpAddr) -> bool {
        match self.host {
            Host::Net(net, prefix) => first_of(address, prefix).is_some_and(|first| first == net),
            Host::Name(_) => false,
        }
    }

    /// The name, if that is what it names: in lower case, without a dot at its end.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.host {
            Host::Name(name) => Some(name),
            Host::Net(..) => None,
        }
    }
}

/// How many bits an address has.
const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The first address of the network of this prefix that `address` lies in; `None` if no network of its family can have
/// such a prefix.
fn first_of(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    let host_bits = u32::from(width(address).checked_sub(prefix)?);
    Some(match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(host_bits).unwrap_or(0)).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(host_bits).unwrap_or(0)).into()),
    })
}

/// Why a text is not a destination, as a fragment for a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotADestination(String);

impl FromStr for NetworkGrant {
    type Err = NotADestination;

    fn from_str(text: &str) -> Result<Self, NotADestination> {
        let wrong = |why: &str| NotADestination(why.to_owned());
        if text.contains("://") {
            return Err(wrong("it is a URL; leave scheme and path out"));
        }
        let (host, port, bracketed) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(|| wrong("its `[` is never closed"))?;
                (host, rest.strip_prefix(':').ok_or_else(|| wrong("it has no port"))?, true)
            }
            None => {
                let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("it has no port"))?;
                if host.contains(':') {
                    return Err(wrong("an IPv6 address stands in brackets, as in `[::1]:8080`"));
                }
                (host, port, false)
            }
        };
        let port = match port {
            "*" => None,
            digits => {
                let number = Some(digits).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
                let number = number.and_then(|port| port.parse::<u16>().ok()).filter(|port| *port > 0);
                Some(number.ok_or_else(|| wrong("a port is 1 to 65535, or `*` for every port"))?)
            }
        };
        Ok(Self { host: host_of(host, bracketed)?, port })
    }
}

fn host_of(text: &str, bracketed: bool) -> Result<Host, NotADestination> {
    let wrong = |why: &str| NotADestination(why.to_owned());
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    match address.parse::<IpAddr>() {
        Ok(address) if address.is_ipv6() != bracketed => {
            Err(wrong("brackets are for IPv6 addresses, and only for them"))
        }
        Ok(address) => {
            let most = width(address);
            let prefix = match prefix {
                None => most,
                Some(prefix) => {
                    prefix.parse::<u8>().ok().filter(|prefix| *prefix <= most).ok_or_else(|| {
                        NotADestination(format!("behind its `/` stands no number from 0 to {most}"))
                    })?
                }
            };
            match first_of(address, prefix) {
                Some(first) if first == address => Ok(Host::Net(address, prefix)),
                first => {
                    let first = first.map(|first| format!("; did you mean {first}/{prefix}?"));
                    let message = "its address is not the first of the network";
                    Err(NotADestination(format!("{message}{}", first.unwrap_or_default())))
                }
            }
        }
        Err(_) if bracketed => Err(wrong("between its brackets stands no IPv6 address")),
        Err(_) if prefix.is_some() => Err(wrong("it has a path, or a network without an address")),
        Err(_) => name_of(text),
    }
}

fn name_of(text: &str) -> Result<Host, NotADestination> {
    let wrong = |why: &str| Err(NotADestination(why.to_owned()));
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if name.contains('*') {
        return wrong("there are no wildcards; name each host, or write a network such as 10.0.0.0/8");
    }
    if name.contains('@') {
        return wrong("it has a user; leave that out");
    }
    let good = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let labels = || name.split('.');
    if name.is_empty()
        || name.len() > 253
        || !labels().all(|label| !label.is_empty() && label.bytes().all(good))
    {
        return wrong("its host is neither a name in ASCII nor an address");
    }
    // What programs read as a number is an address to them: it must be written as the one that it is.
    let last = labels().next_back().unwrap_or_default();
    let hex = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if hex || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return wrong("it is not a whole IPv4 address; write four numbers, as in 127.0.0.1");
    }
    Ok(Host::Name(name.into()))
}

impl fmt::Display for NetworkGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => f.write_str(name)?,
            Host::Net(net, prefix) => {
                let part = if *prefix == width(*net) { String::new() } else { format!("/{prefix}") };
                match net {
                    IpAddr::V4(net) => write!(f, "{net}{part}")?,
                    IpAddr::V6(net) => write!(f, "[{net}{part}]")?,
                }
            }
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => f.write_str(":*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> NetworkGrant {
        text.parse().unwrap()
    }

    #[test]
    fn destinations_are_names_addresses_and_networks() {
        for (text, printed) in [
            ("127.0.0.1:11434", "127.0.0.1:11434"),
            ("LOCALHOST.:80", "localhost:80"),
            ("ollama.internal:*", "ollama.internal:*"),
            ("[::1]:8080", "[::1]:8080"),
            ("[0:0::1]:8080", "[::1]:8080"),
            ("10.0.0.0/8:443", "10.0.0.0/8:443"),
            ("[fd00::/8]:443", "[fd00::/8]:443"),
            ("0.0.0.0/0:*", "0.0.0.0/0:*"),
            ("127.0.0.1/32:1", "127.0.0.1:1"),
        ] {
            assert_eq!(grant(text).to_string(), printed, "{text}");
            assert_eq!(grant(printed), grant(text), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        for (text, why) in [
            ("localhost", "no port"),
            ("", "no port"),
            ("[::1]", "no port"),
            ("::1:80", "stands in brackets"),
            ("[::1:80", "never closed"),
            ("[127.0.0.1]:80", "only for them"),
            ("[localhost]:80", "no IPv6 address"),
            ("localhost:0", "1 to 65535"),
            ("localhost:65536", "1 to 65535"),
            ("localhost:+80", "1 to 65535"),
            ("localhost:", "1 to 65535"),
            ("http://localhost:80", "leave scheme and path out"),
            ("localhost/x:80", "has a path"),
            ("user@localhost:80", "has a user"),
            ("*.internal:443", "no wildcards"),
            ("*:443", "no wildcards"),
            (":80", "neither a name"),
            ("a..b:80", "neither a name"),
            ("bücher.example:80", "neither a name"),
            ("2130706433:80", "four numbers"),
            ("127.1:80", "four numbers"),
            ("0x7f.0x1:80", "four numbers"),
            ("10.0.0.1/8:80", "did you mean 10.0.0.0/8?"),
            ("10.0.0.0/33:80", "from 0 to 32"),
            ("[fd00::/129]:80", "from 0 to 128"),
        ] {
            let error = text.parse::<NetworkGrant>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_network_is_for_its_addresses_and_no_others() {
        let covers = |text: &str, address: &str| grant(text).covers_address(address.parse().unwrap());
        assert!(covers("10.0.0.0/8:1", "10.255.255.255") && !covers("10.0.0.0/8:1", "11.0.0.0"));
        assert!(covers("0.0.0.0/0:1", "8.8.8.8") && !covers("0.0.0.0/0:1", "::1"));
        assert!(covers("[fd00::/8]:1", "fdff::1") && !covers("[fd00::/8]:1", "fe00::"));
        assert!(covers("127.0.0.1:1", "127.0.0.1") && !covers("127.0.0.1:1", "127.0.0.2"));
        assert!(!covers("127.0.0.1:1", "::ffff:127.0.0.1") && !covers("localhost:1", "127.0.0.1"));
        assert!(grant("a:*").covers_port(7) && grant("a:7").covers_port(7) && !grant("a:7").covers_port(8));
    }
}
