//! Kinds of addresses. An IPv4 address inside an IPv6 address counts as what it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kind of host at an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressKind {
    /// A host of the internet.
    Public,
    /// A host of the site's own network, or of a range that is reserved for such networks.
    Private,
    /// The machine that the platform runs on.
    Loopback,
    /// A neighbour on the same link.
    LinkLocal,
    /// A metadata service, which returns the machine's credentials to any local process.
    CloudMetadata,
    /// No host: unspecified, multicast, broadcast or reserved.
    NotAHost,
}

/// Metadata services outside the link-local range: Alibaba Cloud, Oracle Cloud, Azure.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];
/// The one that AWS, and most others after it, have in the link-local range; ECS has a second one.
const LINK_LOCAL_METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::new(169, 254, 170, 2)];
/// Metadata services of AWS and Google Cloud.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

impl AddressKind {
    /// The kind of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match embedded_v4(address) {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        if METADATA_V4.contains(&address) || LINK_LOCAL_METADATA_V4.contains(&address) {
            return Self::CloudMetadata;
        }
        match address.octets() {
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            [0 | 224..=255, ..] => Self::NotAHost,
            // Private, shared by carriers, for protocols, for examples, for measurements.
            [10, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [100, 64..=127, ..]
            | [192, 0, 0 | 2, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _] => Self::Private,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        if METADATA_V6.contains(&address) {
            return Self::CloudMetadata;
        }
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] | [0xff00..=0xffff, ..] => Self::NotAHost,
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            [0x64, 0xff9b, 1, ..] => Self::of_locally_translated(address),
            // Unique local, site-local, Teredo and other protocols, for examples.
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] | [0x2001, 0..=0x1ff | 0xdb8, ..] => Self::Private,
            _ => Self::Public,
        }
    }

    /// The kind of an address of a site's own NAT64. Where the IPv4 address stands depends on the length of the site's
    /// prefix (RFC 6052), so whichever of the places has a forbidden one counts.
    fn of_locally_translated(address: Ipv6Addr) -> Self {
        let octets = address.octets();
        let places = [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]];
        let kinds = places.map(|place| Self::of_v4(Ipv4Addr::from(place.map(|index: usize| octets[index]))));
        kinds.into_iter().find(|kind| matches!(kind, Self::CloudMetadata | Self::LinkLocal)).unwrap_or(Self::Private)
    }

    /// Whether no setting allows a connection: nothing that the platform reads or tells is there.
    #[must_use]
    pub fn is_never_connected_to(self) -> bool {
        matches!(self, Self::LinkLocal | Self::CloudMetadata)
    }
}

/// The IPv4 address that an IPv6 address stands for (mapped, translated by SIIT or NAT64, 6to4, or compatible), or the
/// address as it is.
#[must_use]
pub fn embedded_v4(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_addresses_are_known_in_every_notation() {
        for address in [
            "169.254.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "fe80::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
        ] {
            let address: IpAddr = address.parse().expect("an address");
            assert!(AddressKind::of(address).is_never_connected_to(), "{address}");
        }
        for address in ["10.0.0.7", "192.168.1.1", "127.0.0.1", "fd00::1", "203.0.113.1"] {
            let address: IpAddr = address.parse().expect("an address");
            assert!(!AddressKind::of(address).is_never_connected_to(), "{address}");
        }
    }
}
