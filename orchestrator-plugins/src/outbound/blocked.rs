//! Which addresses are not on the public internet.

use std::net::IpAddr;
use std::sync::LazyLock;

use orchestrator_core::spec::permissions::NetworkGrant;

/// A range of addresses.
#[derive(Debug)]
pub(super) struct Block {
    /// In CIDR form, IPv6 in brackets.
    net: &'static str,
    /// What is there.
    pub(super) what: &'static str,
    /// Whether a grant of a name is enough to reach it. Where clouds hand out the credentials of their machines it is not: who
    /// can answer for the name would have them.
    pub(super) by_name: bool,
}

const fn block(net: &'static str, what: &'static str) -> Block {
    Block { net, what, by_name: true }
}

const fn by_address_only(net: &'static str, what: &'static str) -> Block {
    Block { net, what, by_name: false }
}

/// The table. From the IANA registries of special-purpose addresses (RFC 6890 and what followed it); ranges that carry an
/// IPv4 address inside of an IPv6 one are here as a whole, for what is inside would be reached unchecked. The first row that
/// covers an address counts.
pub(super) static BLOCKED: [Block; 27] = [
    block("127.0.0.0/8", "this machine"),
    block("0.0.0.0/8", "this machine"),
    block("10.0.0.0/8", "a private network"),
    block("172.16.0.0/12", "a private network"),
    block("192.168.0.0/16", "a private network"),
    by_address_only("169.254.0.0/16", "the local link, where clouds keep credentials"),
    block("100.64.0.0/10", "a provider's network"),
    block("192.0.0.0/24", "set aside for protocols"),
    block("198.18.0.0/15", "set aside for measurements"),
    by_address_only("224.0.0.0/4", "multicast"),
    by_address_only("240.0.0.0/4", "reserved"),
    block("[::1]", "this machine"),
    block("[::]", "this machine"),
    by_address_only("[fd00:ec2::/32]", "where a cloud keeps credentials"),
    block("[fc00::/7]", "a private network"),
    by_address_only("[fe80::/10]", "the local link"),
    block("[fec0::/10]", "a private network"),
    by_address_only("[ff00::/8]", "multicast"),
    block("[::ffff:0:0/96]", "an IPv4 address inside of an IPv6 one"),
    block("[::ffff:0:0:0/96]", "an IPv4 address inside of an IPv6 one"),
    block("[::/96]", "an IPv4 address inside of an IPv6 one"),
    block("[64:ff9b::/96]", "an IPv4 address inside of an IPv6 one"),
    block("[64:ff9b:1::/48]", "an IPv4 address inside of an IPv6 one"),
    block("[2002::/16]", "an IPv4 address inside of an IPv6 one"),
    block("[2001::/32]", "an IPv4 address inside of an IPv6 one"),
    block("[2001:db8::/32]", "set aside for documentation"),
    block("[100::/64]", "where everything is discarded"),
];

static NETS: LazyLock<Vec<NetworkGrant>> = LazyLock::new(|| {
    // The rows are constants, and a test reads each: none is skipped.
    BLOCKED.iter().filter_map(|block| format!("{}:*", block.net).parse().ok()).collect()
});

/// The row that covers an address; `None` if it is on the public internet.
pub(super) fn blocked(address: IpAddr) -> Option<&'static Block> {
    NETS.iter().position(|net| net.covers_address(address)).map(|row| &BLOCKED[row])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_network_and_covers_its_first_and_its_last_address() {
        assert_eq!(NETS.len(), BLOCKED.len(), "a row does not read");
        for block in &BLOCKED {
            let text = block.net.trim_matches(['[', ']']);
            let first = text.split('/').next().unwrap();
            assert!(blocked(first.parse().unwrap()).is_some(), "{text}");
        }
    }

    #[test]
    fn the_edges_of_the_table_are_where_they_should_be() {
        for (inside, outside) in [
            ("127.0.0.0", "126.255.255.255"),
            ("127.255.255.255", "128.0.0.0"),
            ("0.255.255.255", "1.0.0.0"),
            ("10.255.255.255", "11.0.0.0"),
            ("172.16.0.0", "172.15.255.255"),
            ("172.31.255.255", "172.32.0.0"),
            ("192.168.255.255", "192.169.0.0"),
            ("169.254.169.254", "169.253.255.255"),
            ("100.64.0.0", "100.63.255.255"),
            ("100.127.255.255", "100.128.0.0"),
            ("192.0.0.255", "192.0.1.0"),
            ("198.19.255.255", "198.20.0.0"),
            ("224.0.0.0", "223.255.255.255"),
            ("255.255.255.255", "9.9.9.9"),
            ("::1", "2606:4700::1111"),
            ("::ffff:8.8.8.8", "2001:4860:4860::8888"),
            ("fdff:ffff::", "fbff:ffff::"),
            ("fd00:ec2::254", "2a00::1"),
            ("febf::1", "2003:1::1"),
            ("ff02::1", "3fff::1"),
            ("64:ff9b::7f00:1", "64:ff9a::1"),
            ("2002:7f00:1::", "2003::1"),
        ] {
            assert!(blocked(inside.parse().unwrap()).is_some(), "{inside}");
            assert!(blocked(outside.parse().unwrap()).is_none(), "{outside}");
        }
    }
}
