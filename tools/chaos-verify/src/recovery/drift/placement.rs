//! On which nodes are the pods?

use chaos_common::record::{Check, Health, Placement, Status};

use crate::recovery::names::some;

/// `recovery.placement`: on which nodes the pods are. Where a pod runs is the scheduler's business,
/// so a move is told and no more; pods that stood on several nodes and stand on one now would go
/// with it.
pub(super) fn compare(before: &Health, now: &Health) -> Vec<Check> {
    const ID: &str = "recovery.placement";
    let mut checks = Vec::new();
    let (mut same, mut moved) = (0, Vec::new());
    for was in &before.state.workloads {
        let is = now
            .state
            .workloads
            .iter()
            .find(|is| is.workload == was.workload);
        // Without pods, or on more nodes than a record holds, or in a record of earlier days.
        let Some(is) = is.filter(|is| !is.nodes.is_empty() && !was.nodes.is_empty()) else {
            continue;
        };
        let message = format!(
            "its pods are on {}, were on {}",
            places(&is.nodes),
            places(&was.nodes)
        );
        if is.nodes == was.nodes {
            same += 1;
        } else if is.nodes.len() == 1 && was.nodes.len() > 1 && is.nodes[0].pods > 1 {
            checks.push(Check::new(
                ID,
                is.workload.to_string(),
                Status::Warn,
                message,
            ));
        } else {
            moved.push(format!("{}: {message}", is.workload));
        }
    }
    if same > 0 && moved.is_empty() && checks.is_empty() {
        checks.push(Check::pass(
            ID,
            "",
            format!("the pods of {same} workloads are on the nodes that they were on"),
        ));
    } else if !moved.is_empty() {
        checks.insert(
            0,
            Check::pass(ID, "", format!("pods are on other nodes: {}", some(&moved))),
        );
    }
    checks
}

fn places(nodes: &[Placement]) -> String {
    some(
        &nodes
            .iter()
            .map(|place| format!("{} ({})", place.node, place.pods))
            .collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{seen, workload};
    use super::*;
    use chaos_common::record::WorkloadState;

    fn on(nodes: &[(&str, u32)]) -> WorkloadState {
        let place = |&(node, pods): &(&str, u32)| Placement {
            node: node.to_owned(),
            pods,
        };
        WorkloadState {
            nodes: nodes.iter().map(place).collect(),
            ..workload("a")
        }
    }

    #[test]
    fn pods_that_moved_are_told_and_pods_that_gathered_on_one_node_warn() {
        let of = |was: &[(&str, u32)], is: &[(&str, u32)]| {
            compare(&seen(&[on(was)], &[]), &seen(&[on(is)], &[]))
        };
        let spread = [("n1", 2), ("n2", 1)];
        assert!(
            of(&spread, &spread)[0]
                .message
                .contains("1 workloads are on the nodes that they were on")
        );
        let moved = of(&spread, &[("n1", 1), ("n3", 2)]);
        assert_eq!(moved[0].status, Status::Pass);
        assert!(
            moved[0]
                .message
                .contains("n1 (1), n3 (2), were on n1 (2), n2 (1)"),
            "{moved:?}"
        );
        assert_eq!(of(&spread, &[("n1", 3)])[0].status, Status::Warn);
        assert_eq!(of(&[("n1", 3)], &[("n2", 3)])[0].status, Status::Pass);
        assert_eq!(of(&[], &spread), []);
    }
}
