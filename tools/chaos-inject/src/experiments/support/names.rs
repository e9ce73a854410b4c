//! What policies let pods reach of name servers, and the same policies without that.

use k8s_openapi::api::networking::v1::{
    NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

/// Ports that name servers listen on: 53, and behind a Service also 5353 (CoreDNS of OpenShift).
const NAME_SERVERS: [u16; 2] = [53, 5353];
/// Beginnings of the names that such ports have.
const NAMED: [&str; 2] = ["dns", "domain"];
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// How a policy stands to what its pods may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Egress {
    /// It has no say in it.
    Free,
    /// It restricts it, and lets them reach no name server.
    WithoutNames,
    /// It restricts it, and may let them reach one.
    WithNames,
}

/// How this one does.
pub fn of(policy: &NetworkPolicySpec) -> Egress {
    if !is_of(policy, "Egress") {
        return Egress::Free;
    }
    let mut rules = policy.egress.iter().flatten();
    if rules.any(reaches_names) {
        Egress::WithNames
    } else {
        Egress::WithoutNames
    }
}

/// Whether a policy is of this type.
fn is_of(policy: &NetworkPolicySpec, kind: &str) -> bool {
    let declared = policy.policy_types.as_deref().unwrap_or_default();
    match kind {
        "Egress" if declared.is_empty() => policy.egress.is_some(),
        _ => declared.is_empty() || declared.iter().any(|one| one == kind),
    }
}

/// What can't be told reaches them.
fn reaches_names(rule: &NetworkPolicyEgressRule) -> bool {
    let to = rule.to.as_deref().unwrap_or_default();
    let ports = rule.ports.as_deref().unwrap_or_default();
    (to.is_empty() || to.iter().any(may_be_elsewhere))
        && (ports.is_empty() || ports.iter().any(is_of_names))
}

/// Name servers run in a namespace of their own: pods of this one are none.
fn may_be_elsewhere(peer: &NetworkPolicyPeer) -> bool {
    peer.ip_block.is_some() || peer.namespace_selector.is_some()
}

fn is_of_names(port: &NetworkPolicyPort) -> bool {
    match &port.port {
        None => true,
        Some(IntOrString::String(name)) => NAMED.iter().any(|one| name.starts_with(one)),
        Some(IntOrString::Int(first)) => {
            let range = *first..=port.end_port.unwrap_or(*first);
            NAME_SERVERS
                .iter()
                .any(|port| range.contains(&i32::from(*port)))
        }
    }
}

/// The ports of a range but those of name servers, as ranges.
fn other_ports(first: u16, last: u16) -> Vec<(u16, u16)> {
    let (mut ranges, mut from) = (Vec::new(), u32::from(first));
    for port in NAME_SERVERS.map(u32::from) {
        if (from..=u32::from(last)).contains(&port) {
            ranges.push((from, port - 1));
            from = port + 1;
        }
    }
    ranges.push((from, u32::from(last)));
    let port = |port| u16::try_from(port).unwrap_or(u16::MAX);
    let whole = ranges.into_iter().filter(|(from, to)| from <= to);
    whole.map(|(from, to)| (port(from), port(to))).collect()
}

fn range_of(protocol: &str, (from, to): (u16, u16)) -> Value {
    json!({ "protocol": protocol, "port": from, "endPort": to })
}

fn all_but_names(protocol: &str) -> Vec<Value> {
    let ranges = other_ports(1, u16::MAX).into_iter();
    ranges.map(|range| range_of(protocol, range)).collect()
}

/// A port of a rule without those of name servers.
fn port_without_names(port: &NetworkPolicyPort) -> Vec<Value> {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    match &port.port {
        None => all_but_names(protocol),
        Some(_) if !is_of_names(port) => vec![json!(port)],
        Some(IntOrString::Int(first)) => {
            let number = |port: i32| u16::try_from(port).unwrap_or(u16::MAX);
            let last = number(port.end_port.unwrap_or(*first));
            let ranges = other_ports(number(*first), last).into_iter();
            ranges.map(|range| range_of(protocol, range)).collect()
        }
        Some(IntOrString::String(_)) => Vec::new(),
    }
}

/// A rule without name servers; `None` where nothing is left of it, since a rule without ports
/// would allow all.
fn rule_without_names(rule: &NetworkPolicyEgressRule) -> Option<Value> {
    if !reaches_names(rule) {
        return Some(json!(rule));
    }
    let ports = rule.ports.as_deref().unwrap_or_default();
    let ports: Vec<Value> = if ports.is_empty() {
        PROTOCOLS.into_iter().flat_map(all_but_names).collect()
    } else {
        ports.iter().flat_map(port_without_names).collect()
    };
    let mut left = json!({ "ports": ports });
    if let Some(to) = &rule.to {
        left["to"] = json!(to);
    }
    (!ports.is_empty()).then_some(left)
}

/// The rules that let pods reach all but name servers; of policies that are set aside, all that
/// these allow but name servers.
pub fn rules(set_aside: &[&NetworkPolicySpec]) -> Value {
    if set_aside.is_empty() {
        let ports: Vec<Value> = PROTOCOLS.into_iter().flat_map(all_but_names).collect();
        return json!({ "policyTypes": ["Egress"], "egress": [{ "ports": ports }] });
    }
    let of_type = |kind| set_aside.iter().filter(move |one| is_of(one, kind));
    let egress = of_type("Egress").flat_map(|one| one.egress.iter().flatten());
    let egress: Vec<Value> = egress.filter_map(rule_without_names).collect();
    let mut rules = json!({ "policyTypes": ["Egress"], "egress": egress });
    if of_type("Ingress").next().is_some() {
        let ingress = of_type("Ingress").flat_map(|one| one.ingress.iter().flatten());
        rules["policyTypes"] = json!(["Egress", "Ingress"]);
        rules["ingress"] = ingress.map(|rule| json!(rule)).collect();
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(yaml: &str) -> NetworkPolicySpec {
        serde_saphyr::from_str(yaml).expect("a policy")
    }

    #[test]
    fn every_port_but_those_of_name_servers_stays_open() {
        let all = other_ports(1, u16::MAX);
        assert_eq!(all, [(1, 52), (54, 5352), (5354, 65535)]);
        assert_eq!(other_ports(53, 53), []);
        assert_eq!(other_ports(50, 60), [(50, 52), (54, 60)]);
        let rules = rules(&[]);
        assert_eq!(rules["policyTypes"], json!(["Egress"]));
        assert_eq!(
            rules["egress"][0]["ports"].as_array().map(Vec::len),
            Some(9)
        );
    }

    #[test]
    fn a_policy_lets_pods_reach_name_servers_or_restricts_them_without() {
        for (policy, expected) in [
            ("{policyTypes: [Ingress]}", Egress::Free),
            ("{ingress: [{}]}", Egress::Free),
            ("{policyTypes: [Egress]}", Egress::WithoutNames),
            ("{egress: [{ports: [{port: 80}]}]}", Egress::WithoutNames),
            (
                "{egress: [{to: [{podSelector: {}}]}]}",
                Egress::WithoutNames,
            ),
            ("{egress: [{}]}", Egress::WithNames),
            (
                "{egress: [{ports: [{port: 53, protocol: UDP}]}]}",
                Egress::WithNames,
            ),
            (
                "{egress: [{ports: [{port: 50, endPort: 60}]}]}",
                Egress::WithNames,
            ),
            ("{egress: [{ports: [{port: dns}]}]}", Egress::WithNames),
            (
                "{egress: [{to: [{namespaceSelector: {}}]}]}",
                Egress::WithNames,
            ),
            (
                "{egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}",
                Egress::WithNames,
            ),
        ] {
            assert_eq!(of(&spec(policy)), expected, "{policy}");
        }
    }

    #[test]
    fn what_was_allowed_besides_names_stays_allowed() {
        let names = spec("{policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}]}");
        let mixed = spec(
            "{policyTypes: [Ingress, Egress], ingress: [{ports: [{port: 8000}]}],
              egress: [{to: [{podSelector: {}}]}, {ports: [{port: 5432}, {port: 53}]}]}",
        );
        let rules = rules(&[&names, &mixed]);
        assert_eq!(rules["policyTypes"], json!(["Egress", "Ingress"]));
        assert_eq!(rules["ingress"], json!([{ "ports": [{ "port": 8000 }] }]));
        let kept = json!([
            { "to": [{ "podSelector": {} }] },
            { "ports": [{ "port": 5432 }] },
        ]);
        assert_eq!(rules["egress"], kept);
    }

    #[test]
    fn of_a_policy_that_allows_names_only_nothing_is_left_and_not_all() {
        let names = spec("{policyTypes: [Egress], egress: [{ports: [{port: 53}, {port: 5353}]}]}");
        assert_eq!(rules(&[&names])["egress"], json!([]));
    }
}
