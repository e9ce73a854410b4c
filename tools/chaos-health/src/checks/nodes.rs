//! Are the nodes well, and is there room on them?

use std::collections::BTreeSet;

use futures::join;
use k8s_openapi::api::core::v1::Node;

use super::catalogue::Explanation;
use super::pod_ranges::PodRanges;
use crate::protobuf;
use chaos_common::cluster::metrics::{self, Usage, quantity};
use chaos_common::cluster::{Cluster, ListRequest, ReadError};
use chaos_common::config::Limits;
use chaos_common::record::{Check, NodeState, Status};

/// `node.conditions`
pub(super) const CONDITIONS: Explanation = Explanation {
    id: "node.conditions",
    asks: "Are the nodes ready, without pressure?",
    judges: "Fails for a node that is not ready or under pressure, unknown for one that does \
             not report; only warns of such a node with none of the application's pods, and of a \
             cordoned one. A condition such as KernelReady should be true, others false.",
    reads: "list nodes, pods",
    remedy: "kubectl describe node",
};

/// `node.usage`
pub(super) const USAGE: Explanation = Explanation {
    id: "node.usage",
    asks: "Is there room on the nodes?",
    judges: "Fails above limits.node_cpu_percent or limits.node_memory_percent of what a node \
             can give; unknown without figures. Only warns where the node has none of the \
             application's pods.",
    reads: "list nodes, pods, and nodes of metrics.k8s.io",
    remedy: "kubectl top pods -A --sort-by=cpu",
};

/// The object of a check that is of no node by itself.
pub(super) const ALL: &str = "nodes";

/// What is kept of a node.
#[derive(Clone, Debug)]
struct NodeSummary {
    state: NodeState,
    conditions: Check,
}

/// What was read of the nodes.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    seen: Result<Vec<NodeSummary>, ReadError>,
    /// The addresses that their pods have.
    pub(super) pods: PodRanges,
    usage: Result<Usage, ReadError>,
}

/// Whose nodes they are.
#[derive(Clone, Debug)]
pub(super) struct Tenant<'a> {
    pub(super) namespace: &'a str,
    /// The nodes that its pods are on; `None` if that could not be read, so that each may be one.
    pub(super) hosts: Option<BTreeSet<&'a str>>,
}

impl Tenant<'_> {
    /// A check of a node, which is no more than worth a look where the node has none of the pods.
    fn weigh(&self, node: &str, mut check: Check) -> Check {
        let foreign = |hosts: &BTreeSet<&str>| !hosts.is_empty() && !hosts.contains(node);
        if check.is_bad() && self.hosts.as_ref().is_some_and(foreign) {
            check.status = Status::Warn;
            let more = format!(
                "; none of the pods of namespace/{} is on it",
                self.namespace
            );
            check.message.push_str(&more);
        }
        check
    }
}

impl Nodes {
    pub(super) async fn read(cluster: &Cluster) -> Nodes {
        let add = |(nodes, pods): &mut (Vec<NodeSummary>, PodRanges), node: Node| {
            nodes.push(NodeSummary {
                state: state_of(&node),
                conditions: judge_conditions(&node),
            });
            pods.add(&node);
        };
        let request = ListRequest::everywhere().protobuf(protobuf::decode);
        let (read, usage) = join!(
            cluster.fold(request, Default::default, add),
            metrics::nodes(cluster)
        );
        let (seen, pods) = match read {
            Ok((nodes, pods)) => (Ok(nodes), pods),
            Err(error) => (Err(error), PodRanges::default()),
        };
        Nodes { seen, pods, usage }
    }

    /// `node.conditions` and `node.usage`: one check of each for every node, and what the nodes
    /// look like.
    pub(super) fn judge(&self, limits: &Limits, tenant: &Tenant) -> (Vec<Check>, Vec<NodeState>) {
        let nodes = match &self.seen {
            Ok(nodes) => nodes,
            Err(error) => return (vec![error.check(CONDITIONS.id, ALL)], Vec::new()),
        };
        let weigh = |node: &NodeSummary| tenant.weigh(&node.state.name, node.conditions.clone());
        let mut checks: Vec<Check> = nodes.iter().map(weigh).collect();
        let usage = match &self.usage {
            Ok(usage) => Some(usage),
            Err(error) => {
                checks.push(error.check(USAGE.id, ALL));
                None
            }
        };
        let mut states = Vec::new();
        for NodeSummary { state, .. } in nodes {
            let mut state = state.clone();
            if let Some(usage) = usage {
                take_usage(&mut state, usage);
                checks.push(tenant.weigh(&state.name, judge_usage(&state, limits)));
            }
            states.push(state);
        }
        (checks, states)
    }
}

fn take_usage(state: &mut NodeState, usage: &Usage) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size in bytes"
    )]
    if let Some(sample) = usage.get(&state.name) {
        state.cpu_cores = Some(sample.cpu_cores);
        state.memory_bytes = Some(sample.memory_bytes as u64);
    }
}

fn state_of(node: &Node) -> NodeState {
    let status = node.status.as_ref();
    let allocatable = |resource: &str| {
        status
            .and_then(|status| quantity(&status.allocatable.as_ref()?.get(resource)?.0))
            .unwrap_or(0.0)
    };
    let conditions = status
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size in bytes"
    )]
    let memory = allocatable("memory") as u64;
    NodeState {
        name: node.metadata.name.clone().unwrap_or_default(),
        ready: conditions
            .iter()
            .any(|c| c.type_ == "Ready" && c.status == "True"),
        cpu_allocatable_cores: allocatable("cpu"),
        memory_allocatable_bytes: memory,
        cpu_cores: None,
        memory_bytes: None,
    }
}

/// Ends of the names of conditions that should be true, such as `KernelReady` or `EtcdIsVoter`.
/// All others name a trouble, as the kubelet's and those of the node problem detector do:
/// `DiskPressure`, `KernelDeadlock`.
const GOOD: [&str; 20] = [
    "Ready",
    "Healthy",
    "Available",
    "Voter",
    "Reachable",
    "Schedulable",
    "Connected",
    "Valid",
    "Synced",
    "Synchronized",
    "Running",
    "Initialized",
    "Registered",
    "Configured",
    "Installed",
    "Joined",
    "Established",
    "Succeeded",
    "Complete",
    "UpToDate",
];
/// What turns such a name into its opposite.
const NOT: [&str; 4] = ["Un", "In", "Dis", "Not"];

fn is_good_when_true(condition: &str) -> bool {
    let negated = |word: &str| {
        let small = word.to_lowercase();
        NOT.iter().any(|not| {
            condition.ends_with(&format!("{not}{small}"))
                || condition.ends_with(&format!("{not}{word}"))
        })
    };
    GOOD.iter()
        .any(|word| condition.ends_with(word) && !negated(word))
}

fn judge_conditions(node: &Node) -> Check {
    const ID: &str = CONDITIONS.id;
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let object = format!("node/{name}");
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    // Of a node that is silent all conditions are unknown; that is told of Ready.
    let bad = conditions.iter().find(|c| {
        let trouble = if is_good_when_true(&c.type_) {
            "False"
        } else {
            "True"
        };
        c.status == trouble
    });
    let ready = conditions.iter().find(|c| c.type_ == "Ready");
    let check = if let Some(bad) = bad {
        let why = bad
            .message
            .as_deref()
            .map(|m| format!(": {m}"))
            .unwrap_or_default();
        Check::fail(ID, object, format!("{} is {}{why}", bad.type_, bad.status))
    } else if ready.is_none_or(|ready| ready.status != "True") {
        Check::unknown(
            ID,
            object,
            "its Ready condition is unknown: the node does not report",
        )
    } else if node
        .spec
        .as_ref()
        .is_some_and(|spec| spec.unschedulable == Some(true))
    {
        Check::new(ID, object, Status::Warn, "is ready, but cordoned")
    } else {
        Check::pass(ID, object, "is ready, without pressure")
    };
    check.hint(format!("kubectl describe node {name}"))
}

fn judge_usage(node: &NodeState, limits: &Limits) -> Check {
    const ID: &str = USAGE.id;
    let object = format!("node/{}", node.name);
    let (Some(cpu), Some(memory)) = (node.cpu_cores, node.memory_bytes) else {
        return Check::unknown(ID, object, "the metrics API has no figures for it");
    };
    #[expect(clippy::cast_precision_loss, reason = "a share in per cent")]
    let (cpu, memory) = (
        cpu / node.cpu_allocatable_cores * 100.0,
        memory as f64 / node.memory_allocatable_bytes as f64 * 100.0,
    );
    let good = cpu <= limits.node_cpu_percent && memory <= limits.node_memory_percent;
    let message = format!(
        "uses {cpu:.0} % of its processors (normal: up to {:.0} %) and {memory:.0} % of its memory (up to {:.0} %)",
        limits.node_cpu_percent, limits.node_memory_percent
    );
    Check::judge(good, ID, object, message).hint("kubectl top pods -A --sort-by=cpu")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::cluster::metrics::Sample;

    fn node(conditions: &str) -> Node {
        serde_saphyr::from_str(&format!(
            "{{metadata: {{name: n}}, status: {{allocatable: {{cpu: '2', memory: 1Gi}}, conditions: [{conditions}]}}}}"
        ))
        .expect("a node")
    }

    #[test]
    fn conditions_are_judged_by_their_sense() {
        let of = |conditions: &str| judge_conditions(&node(conditions)).status;
        assert_eq!(
            of("{type: Ready, status: 'True'}, {type: DiskPressure, status: 'False'}"),
            Status::Pass
        );
        assert_eq!(
            of("{type: Ready, status: 'True'}, {type: DiskPressure, status: 'True'}"),
            Status::Fail
        );
        assert_eq!(of("{type: Ready, status: 'False'}"), Status::Fail);
        assert_eq!(of("{type: Ready, status: 'Unknown'}"), Status::Unknown);
        assert_eq!(of(""), Status::Unknown);
    }

    #[test]
    fn a_condition_that_is_good_when_true_is_known_by_its_name() {
        for good in [
            "Ready",
            "KernelReady",
            "NetworkingReady",
            "ContainerRuntimeReady",
            "EtcdIsVoter",
            "GpuHealthy",
            "StorageAvailable",
        ] {
            assert!(is_good_when_true(good), "{good}");
        }
        for bad in [
            "MemoryPressure",
            "NetworkUnavailable",
            "KubeletUnhealthy",
            "KernelDeadlock",
            "ReadonlyFilesystem",
            "FrequentKubeletRestart",
            "NTPProblem",
            "ApiServerUnreachable",
            "GpuNotReady",
            "CertificateInvalid",
        ] {
            assert!(!is_good_when_true(bad), "{bad}");
        }
        let of = |condition: &str| {
            judge_conditions(&node(&format!(
                "{{type: Ready, status: 'True'}}, {condition}"
            )))
            .status
        };
        assert_eq!(of("{type: EtcdIsVoter, status: 'True'}"), Status::Pass);
        assert_eq!(of("{type: KernelReady, status: 'False'}"), Status::Fail);
        assert_eq!(of("{type: KernelReady, status: Unknown}"), Status::Pass);
        assert_eq!(of("{type: KernelDeadlock, status: 'True'}"), Status::Fail);
    }

    /// What is said of the conditions and the use of node `n`.
    fn judged(conditions: &str, usage: Usage, hosts: Option<&[&str]>) -> [Option<Status>; 2] {
        let node = node(conditions);
        let seen = NodeSummary {
            state: state_of(&node),
            conditions: judge_conditions(&node),
        };
        let nodes = Nodes {
            seen: Ok(vec![seen]),
            pods: PodRanges::default(),
            usage: Ok(usage),
        };
        let tenant = Tenant {
            namespace: "shop",
            hosts: hosts.map(|hosts| hosts.iter().copied().collect()),
        };
        let (checks, _) = nodes.judge(&Limits::default(), &tenant);
        let of = |id: &str| checks.iter().find(|c| c.id == id).map(|c| c.status);
        [of(CONDITIONS.id), of(USAGE.id)]
    }

    fn use_of(cpu_cores: f64) -> Usage {
        let memory_bytes = 1000.0;
        let sample = Sample {
            cpu_cores,
            memory_bytes,
        };
        Usage::from([("n".to_owned(), sample)])
    }

    #[test]
    fn a_full_node_fails_and_one_without_figures_is_unknown() {
        let ready = "{type: Ready, status: 'True'}";
        let of = |usage: Usage| judged(ready, usage, Some(&["n"]))[1];
        assert_eq!(of(use_of(0.5)), Some(Status::Pass));
        assert_eq!(of(use_of(1.99)), Some(Status::Fail));
        assert_eq!(of(Usage::new()), Some(Status::Unknown));
    }

    #[test]
    fn a_node_with_none_of_the_pods_is_worth_a_look_and_no_more() {
        let bad =
            |hosts: Option<&[&str]>| judged("{type: Ready, status: 'False'}", use_of(1.99), hosts);
        let [fail, warn] = [Status::Fail, Status::Warn].map(|status| [Some(status); 2]);
        assert_eq!(bad(Some(&["n"])), fail);
        assert_eq!(bad(Some(&["other"])), warn);
        // Where the pods are is not known, or there are none yet.
        assert_eq!(bad(None), fail);
        assert_eq!(bad(Some(&[])), fail);
        let good = judged(
            "{type: Ready, status: 'True'}",
            use_of(0.5),
            Some(&["other"]),
        );
        assert_eq!(good, [Some(Status::Pass); 2]);
    }
}
