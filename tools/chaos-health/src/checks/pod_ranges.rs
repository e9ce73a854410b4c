//! The ranges of addresses that the nodes give to their pods.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Node;

/// The ranges of some nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PodRanges(Vec<Range>);

/// A range: its first address as a number, the bits that all of it share, and the bits of an
/// address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u128,
    shared: u32,
    bits: u32,
}

fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

impl Range {
    fn parse(text: &str) -> Option<Range> {
        let (first, shared) = text.split_once('/')?;
        let (first, bits) = number(first.parse().ok()?);
        let shared = shared.parse().ok().filter(|shared| *shared <= bits)?;
        Some(Range {
            first,
            shared,
            bits,
        })
    }

    fn holds(self, (address, bits): (u128, u32)) -> bool {
        let differ = address ^ self.first;
        let free = self.bits - self.shared;
        bits == self.bits && differ.checked_shr(free).unwrap_or(0) == 0
    }
}

impl PodRanges {
    /// Adds those of a node; one that can't be read is none.
    pub(super) fn add(&mut self, node: &Node) {
        let spec = node.spec.iter();
        let texts =
            spec.flat_map(|spec| spec.pod_cidr.iter().chain(spec.pod_cidrs.iter().flatten()));
        self.0.extend(texts.filter_map(|text| Range::parse(text)));
    }

    /// Whether an address is one that only a pod has.
    pub(super) fn hold(&self, address: &str) -> bool {
        let address = address.parse().map(number);
        address.is_ok_and(|address| self.0.iter().any(|range| range.holds(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_the_pods_is_told_from_others() {
        let node =
            "{spec: {podCIDR: 10.1.2.0/24, podCIDRs: [10.1.2.0/24, 'fd00:1::/64', nonsense]}}";
        let node: Node = serde_saphyr::from_str(node).expect("a node");
        let mut ranges = PodRanges::default();
        ranges.add(&node);
        for pods in ["10.1.2.0", "10.1.2.255", "fd00:1::7"] {
            assert!(ranges.hold(pods), "{pods}");
        }
        for other in [
            "10.1.3.0",
            "10.1.1.255",
            "192.0.2.1",
            "fd00:1:0:1::7",
            "::1",
            "db.example.com",
        ] {
            assert!(!ranges.hold(other), "{other}");
        }
        assert!(!PodRanges::default().hold("10.1.2.1"));
        assert!(
            Range::parse("0.0.0.0/0").is_some_and(|all| all.holds(number([1, 2, 3, 4].into())))
        );
    }
}
