//! What other policies go on allowing while one that denies is in force: policies of the same pods
//! only add up. What matters to a proof is whether the traffic that proves it is allowed.

use std::collections::BTreeMap;

use chaos_common::cluster::ReadError;
use chaos_common::config;
use k8s_openapi::api::core::v1::{PodSpec, Service};
use k8s_openapi::api::networking::v1::{
    NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use crate::context::Context;
use crate::plan::blast_radius::selects_labels;
use crate::plan::workload::Workload;
use crate::ports;

/// The only label of a namespace that is known without reading it.
const NAME_OF_NAMESPACE: &str = "kubernetes.io/metadata.name";

/// Traffic from one workload's pods to another's in the same namespace.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Namespace of both.
    pub namespace: String,
    /// Labels of the pods that it comes from.
    pub from: Value,
    /// The pods that it goes to.
    pub to: PodSpec,
    /// The port that it goes to; absent if that is not known.
    pub port: Option<IntOrString>,
}

impl Traffic {
    /// From a peer to the pods behind a configured Service, which are a workload's.
    ///
    /// # Errors
    /// The peer or the Services can't be read.
    pub async fn between(
        context: &Context,
        peer: &str,
        (service, target): (&config::Service, &Workload),
    ) -> Result<Traffic, ReadError> {
        let namespace = &context.namespace;
        let peer = Workload::read(context, namespace, peer).await?;
        let api: Api<Service> = Api::namespaced(context.cluster.client.clone(), namespace);
        let what = format!("list services in namespace {namespace}");
        let all = context
            .cluster
            .list(&api, &ListParams::default(), what)
            .await?;
        let named = |one: &&Service| one.metadata.name.as_ref() == Some(&service.name);
        let spec = all.iter().find(named).and_then(|one| one.spec.as_ref());
        let mut listed = spec
            .and_then(|spec| spec.ports.as_ref())
            .into_iter()
            .flatten();
        let port = listed.find(|port| port.port == i32::from(service.port));
        let port = port.map(ports::target);
        let to = target.template["spec"].clone();
        Ok(Traffic {
            namespace: namespace.clone(),
            from: peer.template["metadata"]["labels"].clone(),
            to: serde_json::from_value(to).unwrap_or_default(),
            port,
        })
    }

    /// Whether a policy of the pods that it goes to allows it. What can't be told allows it.
    pub fn is_allowed_by(&self, policy: &NetworkPolicySpec) -> bool {
        policy
            .ingress
            .iter()
            .flatten()
            .any(|rule| self.passes(rule))
    }

    fn passes(&self, rule: &NetworkPolicyIngressRule) -> bool {
        let from = rule.from.as_deref().unwrap_or_default();
        let ports = rule.ports.as_deref().unwrap_or_default();
        (from.is_empty() || from.iter().any(|peer| self.comes_from(peer)))
            && (ports.is_empty() || ports.iter().any(|port| self.goes_to(port)))
    }

    fn comes_from(&self, peer: &NetworkPolicyPeer) -> bool {
        let here = json!({ NAME_OF_NAMESPACE: self.namespace });
        let from_here = peer.namespace_selector.as_ref().is_none_or(|selector| {
            // Other labels of the namespace are not known.
            !is_about_the_name(selector) || selects_labels(selector, &here)
        });
        let by_pods = peer.pod_selector.as_ref();
        let by_pods = by_pods.is_none_or(|selector| selects_labels(selector, &self.from));
        // Which addresses the pods have is not known.
        peer.ip_block.is_some() || (from_here && by_pods)
    }

    fn goes_to(&self, port: &NetworkPolicyPort) -> bool {
        let (Some(allowed), Some(ours)) = (&port.port, &self.port) else {
            return true;
        };
        let is_tcp = port
            .protocol
            .as_ref()
            .is_none_or(|protocol| protocol == "TCP");
        let number = |port| ports::number(port, &self.to.containers);
        let (Some(first), Some(ours)) = (number(allowed), number(ours)) else {
            return allowed == ours;
        };
        is_tcp && (first..=port.end_port.unwrap_or(first)).contains(&ours)
    }
}

/// A selector of namespaces that wants nothing but a name.
fn is_about_the_name(selector: &LabelSelector) -> bool {
    let empty = BTreeMap::new();
    let labels = selector.match_labels.as_ref().unwrap_or(&empty);
    let terms = selector.match_expressions.as_deref().unwrap_or_default();
    labels.keys().all(|key| key == NAME_OF_NAMESPACE)
        && terms.iter().all(|term| term.key == NAME_OF_NAMESPACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(rules: &str) -> bool {
        let to = "{containers: [{name: c, ports: [{name: web, containerPort: 8000}]}]}";
        let traffic = Traffic {
            namespace: "prod".to_owned(),
            from: json!({ "app": "front" }),
            to: serde_saphyr::from_str(to).expect("pods"),
            port: Some(IntOrString::String("web".to_owned())),
        };
        let policy = format!("{{podSelector: {{}}, ingress: [{rules}]}}");
        traffic.is_allowed_by(&serde_saphyr::from_str(&policy).expect("a policy"))
    }

    #[test]
    fn a_rule_that_reaches_the_route_allows_it() {
        for rules in [
            "{}",
            "{from: [{podSelector: {}}]}",
            "{from: [{podSelector: {matchLabels: {app: front}}}], ports: [{port: 8000}]}",
            "{ports: [{port: web}]}",
            "{ports: [{port: 7000, endPort: 9000}]}",
            "{from: [{namespaceSelector: {}}]}",
            "{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: prod}}}]}",
            "{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}",
            // Whether this namespace has the label is not known.
            "{from: [{namespaceSelector: {matchLabels: {team: shop}}}]}",
        ] {
            assert!(allowed(rules), "{rules}");
        }
    }

    #[test]
    fn a_rule_for_others_or_for_another_port_does_not() {
        for rules in [
            "",
            "{from: [{podSelector: {matchLabels: {app: other}}}]}",
            "{ports: [{port: 9090}]}",
            "{ports: [{port: 8000, protocol: UDP}]}",
            "{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]}",
        ] {
            assert!(!allowed(rules), "{rules}");
        }
    }
}
