//! Are the nodes well, and is there room on them?

use futures::join;
use k8s_openapi::api::core::v1::Node;

use super::catalogue::Explanation;
use crate::protobuf;
use chaos_common::cluster::metrics::{self, Usage, quantity};
use chaos_common::cluster::{Cluster, ListRequest, ReadError};
use chaos_common::config::{Config, Limits};
use chaos_common::record::{Check, NodeState, Status};

/// `node.conditions`
pub(super) const CONDITIONS: Explanation = Explanation {
    id: "node.conditions",
    asks: "Are the nodes ready, without pressure?",
    judges: "Fails for a node that is not ready or under pressure, unknown for one that does \
             not report, warns of a cordoned one.",
    reads: "list nodes",
    remedy: "kubectl describe node",
};

/// `node.usage`
pub(super) const USAGE: Explanation = Explanation {
    id: "node.usage",
    asks: "Is there room on the nodes?",
    judges: "Fails above limits.node_cpu_percent or limits.node_memory_percent of what a node \
             can give; unknown without figures.",
    reads: "list nodes, and nodes of metrics.k8s.io",
    remedy: "kubectl top pods -A --sort-by=cpu",
};

/// What is kept of a node.
#[derive(Clone, Debug)]
struct NodeSummary {
    state: NodeState,
    conditions: Check,
}

/// `node.conditions` and `node.usage`: one check of each for every node, and what the nodes look
/// like.
pub(super) async fn examine(cluster: &Cluster, config: &Config) -> (Vec<Check>, Vec<NodeState>) {
    let add = |nodes: &mut Vec<NodeSummary>, node: Node| {
        nodes.push(NodeSummary {
            state: state_of(&node),
            conditions: judge_conditions(&node),
        });
    };
    let (nodes, usage) = join!(
        cluster.fold(
            ListRequest::everywhere().protobuf(protobuf::decode),
            Vec::new,
            add
        ),
        metrics::nodes(cluster)
    );
    judge(nodes, &usage, &config.limits)
}

fn judge(
    nodes: Result<Vec<NodeSummary>, ReadError>,
    usage: &Result<Usage, ReadError>,
    limits: &Limits,
) -> (Vec<Check>, Vec<NodeState>) {
    let nodes = match nodes {
        Ok(nodes) => nodes,
        Err(error) => return (vec![error.check(CONDITIONS.id, "nodes")], Vec::new()),
    };
    let mut checks: Vec<Check> = nodes.iter().map(|node| node.conditions.clone()).collect();
    if let Err(error) = usage {
        checks.push(error.check(USAGE.id, "nodes"));
    }
    let mut states = Vec::new();
    for NodeSummary { mut state, .. } in nodes {
        if let Ok(usage) = usage {
            let sample = usage.get(&state.name);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a size in bytes"
            )]
            if let Some(sample) = sample {
                state.cpu_cores = Some(sample.cpu_cores);
                state.memory_bytes = Some(sample.memory_bytes as u64);
            }
            checks.push(judge_usage(&state, limits));
        }
        states.push(state);
    }
    (checks, states)
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

fn judge_conditions(node: &Node) -> Check {
    const ID: &str = CONDITIONS.id;
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let object = format!("node/{name}");
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    // Ready should be True; all other conditions of a node name troubles and should be False.
    let bad = conditions.iter().find(|c| {
        if c.type_ == "Ready" {
            c.status == "False"
        } else {
            c.status == "True"
        }
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
    fn a_full_node_fails_and_one_without_figures_is_unknown() {
        let of = |usage: Usage| {
            let node = node("{type: Ready, status: 'True'}");
            let seen = NodeSummary {
                state: state_of(&node),
                conditions: judge_conditions(&node),
            };
            let (checks, _) = judge(Ok(vec![seen]), &Ok(usage), &Limits::default());
            checks
                .into_iter()
                .find(|c| c.id == "node.usage")
                .map(|c| c.status)
        };
        let sample = |cpu_cores| {
            Usage::from([(
                "n".to_owned(),
                Sample {
                    cpu_cores,
                    memory_bytes: 1000.0,
                },
            )])
        };
        assert_eq!(of(sample(0.5)), Some(Status::Pass));
        assert_eq!(of(sample(1.99)), Some(Status::Fail));
        assert_eq!(of(Usage::new()), Some(Status::Unknown));
    }
}
