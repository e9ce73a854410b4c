//! The ranges of addresses that the nodes give to their pods.

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;

/// The ranges of some nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PodRanges(Vec<IpNet>);

impl PodRanges {
    /// Adds those of a node; one that can't be read is none.
    pub(super) fn add(&mut self, node: &Node) {
        let spec = node.spec.iter();
        let texts =
            spec.flat_map(|spec| spec.pod_cidr.iter().chain(spec.pod_cidrs.iter().flatten()));
        self.0
            .extend(texts.filter_map(|text| text.parse::<IpNet>().ok()));
    }

    /// Whether an address is one that only a pod has.
    pub(super) fn hold(&self, address: &str) -> bool {
        let address = address.parse::<IpAddr>();
        address.is_ok_and(|address| self.0.iter().any(|range| range.contains(&address)))
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
        let all = serde_saphyr::from_str("{spec: {podCIDR: 0.0.0.0/0}}").expect("a node");
        let mut ranges = PodRanges::default();
        ranges.add(&all);
        assert!(ranges.hold("1.2.3.4"));
    }
}
