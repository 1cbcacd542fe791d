//! Who may say which certificate a client presented.
use core::fmt;
use core::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::request::PeerAddress;

/// The most that are listed: a fleet of proxies is a few ranges.
const MAX_PROXIES: usize = 64;

/// Why a text is not an address, or a range of them, whose word counts.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProxyFault {
    /// It is neither an address nor a range.
    Form,
    /// It is a range with bits behind its prefix: `10.0.0.1/8`.
    HostBits,
    /// It is the range of all addresses.
    Everybody,
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => {
                "it is neither an address nor a range: write `10.0.0.7`, `10.0.0.0/24` or `2001:db8::/64`"
            }
            Self::HostBits => {
                "its address has bits behind the prefix: write the first address of the range, or a single address"
            }
            Self::Everybody => {
                "it is the range of all addresses: anybody could say which certificate they have"
            }
        })
    }
}

impl core::error::Error for ProxyFault {}

/// Peers whose header counts.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    ranges: Vec<IpNet>,
    unix_socket: bool,
}

impl Proxies {
    pub(super) fn new(ranges: Vec<IpNet>, unix_socket: bool) -> Self {
        Self { ranges, unix_socket }
    }

    pub(super) fn count_is_good(count: usize, unix_socket: bool) -> bool {
        (1..=MAX_PROXIES).contains(&(count + usize::from(unix_socket)))
    }

    /// Each as a policy file has it.
    #[cfg(feature = "explain")]
    pub(super) fn listed(&self) -> impl Iterator<Item = String> {
        let range = |range: &IpNet| {
            let is_single = range.prefix_len() == range.max_prefix_len();
            if is_single { range.addr().to_string() } else { range.to_string() }
        };
        self.ranges.iter().map(range)
    }

    #[cfg(feature = "explain")]
    pub(super) fn have_unix_socket(&self) -> bool {
        self.unix_socket
    }

    /// A peer counts by the address of its connection.
    #[inline]
    pub(super) fn have(&self, peer: PeerAddress) -> bool {
        match peer {
            PeerAddress::UnixSocket => self.unix_socket,
            PeerAddress::Ip(address) => {
                let address = address.ip().to_canonical();
                self.ranges.iter().any(|range| range.contains(&address))
            }
        }
    }
}

/// An address, or a range of them. An IPv4 address that is written as an IPv6 one is the former.
pub(super) fn read_range(text: &str) -> Result<IpNet, ProxyFault> {
    let range = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().map_err(|_| ProxyFault::Form)?,
    };
    if range.addr() != range.network() {
        return Err(ProxyFault::HostBits);
    }
    let range = canonical(range);
    if range.prefix_len() == 0 { Err(ProxyFault::Everybody) } else { Ok(range) }
}

fn canonical(range: IpNet) -> IpNet {
    let IpAddr::V4(address) = range.addr().to_canonical() else { return range };
    let beyond = range.max_prefix_len() - 32;
    let length = range.prefix_len().checked_sub(beyond);
    // A range of IPv6 that is wider than all of IPv4 stays one of IPv6: no peer has an address of it that is not IPv4.
    let range_of_v4 = length.and_then(|length| Ipv4Net::new(address, length).ok());
    range_of_v4.map_or(range, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::*;

    fn has(range: &str, peer: &str) -> bool {
        let proxies = Proxies::new(vec![read_range(range).expect("a range")], false);
        let peer = SocketAddr::new(peer.parse().expect("an address"), 4711);
        proxies.have(PeerAddress::Ip(peer))
    }

    #[test]
    fn a_peer_is_listed_by_its_address_however_that_is_written() {
        for (range, peer) in [
            ("10.0.0.7", "10.0.0.7"),
            ("10.0.0.0/24", "10.0.0.255"),
            ("10.0.0.0/24", "::ffff:10.0.0.1"),
            ("::ffff:10.0.0.0/120", "10.0.0.1"),
            ("::ffff:10.0.0.7", "::ffff:10.0.0.7"),
            ("2001:db8::/64", "2001:db8::1"),
            ("::1", "::1"),
        ] {
            assert!(has(range, peer), "{range} {peer}");
        }
        for (range, peer) in [
            ("10.0.0.7", "10.0.0.8"),
            ("10.0.0.0/24", "10.0.1.0"),
            ("10.0.0.0/24", "2001:db8::1"),
            ("::ffff:10.0.0.0/120", "10.0.1.1"),
            ("2001:db8::/64", "2001:db8:0:1::"),
            // An IPv4 address that is embedded in another way is not that one.
            ("10.0.0.7", "::10.0.0.7"),
        ] {
            assert!(!has(range, peer), "{range} {peer}");
        }
    }

    #[test]
    fn a_unix_socket_counts_where_it_was_named() {
        assert!(Proxies::new(Vec::new(), true).have(PeerAddress::UnixSocket));
        let ranges = || vec![read_range("10.0.0.0/8").expect("a range")];
        assert!(!Proxies::new(ranges(), false).have(PeerAddress::UnixSocket));
        let peer = PeerAddress::Ip(SocketAddr::from(([192, 0, 2, 1], 1)));
        assert!(!Proxies::new(ranges(), true).have(peer));
    }

    #[test]
    fn a_range_is_written_in_one_way_and_is_never_everybody() {
        for (text, fault) in [
            ("", ProxyFault::Form),
            ("proxy.example", ProxyFault::Form),
            ("10.0.0.0/33", ProxyFault::Form),
            ("10.0.0.1:443", ProxyFault::Form),
            (" 10.0.0.1", ProxyFault::Form),
            ("010.0.0.1", ProxyFault::Form),
            ("10.0.0.1/8", ProxyFault::HostBits),
            ("2001:db8::1/64", ProxyFault::HostBits),
            ("0.0.0.0/0", ProxyFault::Everybody),
            ("::/0", ProxyFault::Everybody),
            ("::ffff:0:0/96", ProxyFault::Everybody),
        ] {
            assert_eq!(read_range(text), Err(fault), "{text}");
        }
    }
}
