//! What is different from before the experiment: workloads, where their pods are, who stands behind
//! Services, and which checks do better.

use chaos_common::record::{Check, Health, Placement, ServiceState, Status, WorkloadState};

/// So many are named in one message.
const NAMED: usize = 5;

/// `recovery.changed`, `recovery.placement`, `recovery.endpoints` and `recovery.better`.
pub(crate) fn compare(before: &Health, now: &Health) -> Vec<Check> {
    let mut checks = workloads(before, now);
    checks.extend(placement(before, now));
    checks.extend(endpoints(before, now));
    checks.extend(better(before, now));
    checks
}

/// `recovery.changed`: is every workload made of what it was made of?
fn workloads(before: &Health, now: &Health) -> Vec<Check> {
    const ID: &str = "recovery.changed";
    let mut checks = Vec::new();
    let mut same = 0;
    let blind = now.checks.iter().find(|check| {
        let lists = check.id == "workload.ready"
            || check.id == "cluster.reachable"
            || check.id.starts_with("monitoring");
        lists && check.status == Status::Unknown
    });
    for was in &before.state.workloads {
        let object = was.workload.to_string();
        let Some(is) = now
            .state
            .workloads
            .iter()
            .find(|is| is.workload == was.workload)
        else {
            checks.push(match blind {
                Some(check) => {
                    Check::unknown(ID, object, format!("not seen now: {}", check.message))
                }
                None => Check::fail(ID, object, "is gone since before the experiment"),
            });
            continue;
        };
        let changes = changes(was, is);
        same += usize::from(changes.is_empty());
        checks.extend(
            changes
                .into_iter()
                .map(|(status, message)| Check::new(ID, object.clone(), status, message)),
        );
    }
    for is in &now.state.workloads {
        if !before
            .state
            .workloads
            .iter()
            .any(|was| was.workload == is.workload)
        {
            checks.push(Check::new(
                ID,
                is.workload.to_string(),
                Status::Warn,
                "is new since before the experiment",
            ));
        }
    }
    let of = before.state.workloads.len();
    if of == 0 {
        checks.push(Check::unknown(
            ID,
            "",
            "the chaos.health record names no workloads to compare with",
        ));
    } else if same > 0 {
        checks.insert(
            0,
            Check::pass(
                ID,
                "",
                format!("{same} of {of} workloads are as before the experiment"),
            ),
        );
    }
    checks
}

/// What is different in a workload. More pods may be an autoscaler's doing, and restarts may be
/// what the experiment was about: both are worth a look and no failure by themselves.
fn changes(was: &WorkloadState, is: &WorkloadState) -> Vec<(Status, String)> {
    let mut changes = Vec::new();
    if is.wants != was.wants {
        let status = if is.wants < was.wants {
            Status::Fail
        } else {
            Status::Warn
        };
        changes.push((
            status,
            format!("wants {} pods, wanted {} before", is.wants, was.wants),
        ));
    } else if is.ready < was.ready {
        changes.push((
            Status::Fail,
            format!("has {} ready pods, had {} before", is.ready, was.ready),
        ));
    }
    if is.images != was.images {
        let (now, before) = (is.images.join(", "), was.images.join(", "));
        changes.push((
            Status::Fail,
            format!("runs the images {now}, ran {before} before"),
        ));
    }
    if is.restarts > was.restarts {
        let more = is.restarts - was.restarts;
        changes.push((
            Status::Warn,
            format!("its containers were restarted {more} times since before the experiment"),
        ));
    }
    changes
}

/// `recovery.placement`: on which nodes the pods are. Where a pod runs is the scheduler's business,
/// so a move is told and no more; pods that stood on several nodes and stand on one now would go
/// with it.
fn placement(before: &Health, now: &Health) -> Vec<Check> {
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

/// The first of them, and how many more there are.
fn some(all: &[String]) -> String {
    let named = all
        .iter()
        .take(NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// `recovery.endpoints`: have Services as many ready endpoints as they had?
fn endpoints(before: &Health, now: &Health) -> Vec<Check> {
    const ID: &str = "recovery.endpoints";
    if before.state.services.is_empty() {
        return Vec::new();
    }
    let blind = now
        .checks
        .iter()
        .find(|check| check.id == "service.endpoints" && check.status == Status::Unknown);
    let mut checks = Vec::new();
    let mut same = 0;
    for was in &before.state.services {
        let object = format!("service/{}", was.name);
        let same_one =
            |is: &&ServiceState| (&is.namespace, &is.name) == (&was.namespace, &was.name);
        let Some(is) = now.state.services.iter().find(same_one) else {
            checks.push(match blind {
                Some(check) => {
                    Check::unknown(ID, object, format!("not seen now: {}", check.message))
                }
                None => Check::fail(
                    ID,
                    object,
                    format!("is gone; it had {} ready endpoints before", was.ready),
                ),
            });
            continue;
        };
        let counts = format!("{} ready endpoints, {} before", is.ready, was.ready);
        if is.ready < was.ready {
            checks.push(Check::fail(ID, object, counts));
        } else if is.not_ready > was.not_ready {
            let message = format!(
                "{counts}; {} are not ready, {} were not before",
                is.not_ready, was.not_ready
            );
            checks.push(Check::new(ID, object, Status::Warn, message));
        } else if is.ready > was.ready {
            checks.push(Check::pass(ID, object, counts));
        } else {
            same += 1;
        }
    }
    if same > 0 {
        let of = before.state.services.len();
        checks.insert(
            0,
            Check::pass(
                ID,
                "",
                format!("{same} of {of} Services have the endpoints that they had"),
            ),
        );
    }
    checks
}

/// `recovery.better`: what was not well before and is now. The experiment may have hidden it, or
/// healed it; either way the system is not what it was.
fn better(before: &Health, now: &Health) -> Option<Check> {
    const ID: &str = "recovery.better";
    let bad = |check: &&Check| matches!(check.status, Status::Fail | Status::Unknown);
    let mut well = Vec::new();
    for was in before.checks.iter().filter(bad) {
        let of_id = now.checks.iter().filter(|is| is.id == was.id);
        let is = of_id.clone().find(|is| is.object == was.object);
        // What is in trouble is named and what is well is counted, so nothing may be said of it any
        // more. Checks of other namespaces are not made again.
        let silent = before.also.is_empty()
            && of_id.clone().count() > 0
            && !of_id.clone().any(|is| bad(&is));
        let healed = match is {
            Some(is) => matches!(is.status, Status::Pass | Status::Warn),
            None => silent,
        };
        if healed {
            let object = was
                .object
                .as_deref()
                .map(|object| format!(" {object}"))
                .unwrap_or_default();
            well.push(format!(
                "{}{object} (before: {}: {})",
                was.id,
                was.status.word(),
                was.message
            ));
        }
    }
    (!well.is_empty())
        .then(|| Check::pass(ID, "", format!("well now and not before: {}", some(&well))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline_input::tests::health;
    use chaos_common::record::{ClusterRef, Place, SystemState, WorkloadRef};

    fn workload(name: &str) -> WorkloadState {
        let (kind, namespace, name) = ("Deployment".to_owned(), "shop".to_owned(), name.to_owned());
        WorkloadState {
            workload: WorkloadRef {
                kind,
                namespace,
                name,
            },
            wants: 3,
            ready: 3,
            images: vec!["shop:1".to_owned()],
            restarts: 2,
            nodes: Vec::new(),
            cpu_cores: None,
            memory_bytes: None,
        }
    }

    fn seen(workloads: &[WorkloadState], checks: &[Check]) -> Health {
        let mut health = health();
        health.state.workloads = workloads.to_vec();
        health.checks = checks.to_vec();
        health
    }

    fn statuses(before: &Health, now: &Health) -> Vec<Status> {
        workloads(before, now)
            .into_iter()
            .map(|check| check.status)
            .collect()
    }

    #[test]
    fn what_is_as_before_passes_in_one_line() {
        let before = seen(&[workload("a"), workload("b")], &[]);
        assert_eq!(statuses(&before, &before), [Status::Pass]);
    }

    #[test]
    fn fewer_pods_and_other_images_fail_more_pods_and_restarts_warn() {
        let of = |change: &dyn Fn(&mut WorkloadState)| {
            let mut now = workload("a");
            change(&mut now);
            changes(&workload("a"), &now)
                .into_iter()
                .map(|(status, _)| status)
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&|now| now.wants = 2), [Status::Fail]);
        assert_eq!(of(&|now| now.wants = 4), [Status::Warn]);
        assert_eq!(of(&|now| now.ready = 2), [Status::Fail]);
        assert_eq!(
            of(&|now| now.images = vec!["shop:2".to_owned()]),
            [Status::Fail]
        );
        assert_eq!(of(&|now| now.restarts = 3), [Status::Warn]);
        // New pods begin to count at nought.
        assert_eq!(of(&|now| now.restarts = 0), []);
    }

    #[test]
    fn a_workload_that_is_gone_fails_unless_it_could_not_be_seen() {
        let before = seen(&[workload("a"), workload("b")], &[]);
        let now = seen(&[workload("a")], &[]);
        assert_eq!(statuses(&before, &now), [Status::Pass, Status::Fail]);
        let blind = seen(
            &[workload("a")],
            &[Check::unknown(
                "workload.ready",
                "statefulset of namespace/x",
                "403",
            )],
        );
        assert_eq!(statuses(&before, &blind), [Status::Pass, Status::Unknown]);
    }

    #[test]
    fn nothing_before_is_nothing_to_compare_with() {
        assert_eq!(
            statuses(&seen(&[], &[]), &seen(&[], &[])),
            [Status::Unknown]
        );
    }

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
            placement(&seen(&[on(was)], &[]), &seen(&[on(is)], &[]))
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

    fn service(ready: usize, not_ready: usize) -> Health {
        let service = ServiceState {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            ready,
            not_ready,
        };
        Health {
            state: SystemState {
                services: vec![service],
                ..SystemState::default()
            },
            ..health()
        }
    }

    #[test]
    fn a_service_with_fewer_ready_endpoints_or_gone_fails() {
        let of = |now: &Health| {
            endpoints(&service(2, 0), now)
                .iter()
                .map(|check| check.status)
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&service(2, 0)), [Status::Pass]);
        assert_eq!(of(&service(3, 0)), [Status::Pass]);
        assert_eq!(of(&service(1, 0)), [Status::Fail]);
        assert_eq!(of(&service(2, 1)), [Status::Warn]);
        assert_eq!(of(&health()), [Status::Fail]);
        let blind = Health {
            checks: vec![Check::unknown("service.endpoints", "namespace/shop", "403")],
            ..health()
        };
        assert_eq!(of(&blind), [Status::Unknown]);
    }

    #[test]
    fn what_became_better_is_told_and_what_was_not_looked_at_is_not() {
        let before = seen(
            &[],
            &[
                Check::fail("pods.ready", "pod/a", "crash loop"),
                Check::fail("nodes.usage", "node/n", "95 %"),
            ],
        );
        let well = [
            Check::pass("pods.ready", "namespace/shop", "9 of 9"),
            Check::pass("nodes.usage", "node/n", "50 %"),
        ];
        let told = better(&before, &seen(&[], &well))
            .expect("two are better")
            .message;
        assert!(
            told.contains("pods.ready pod/a (before: fail: crash loop), nodes.usage node/n"),
            "{told}"
        );
        let unseen = [
            Check::unknown("pods.ready", "namespace/shop", "403"),
            Check::fail("nodes.usage", "node/n", "96 %"),
        ];
        assert_eq!(better(&before, &seen(&[], &unseen)), None);
        assert_eq!(better(&before, &seen(&[], &[])), None);
        // The one before looked at another namespace as well, which this one does not.
        let place = Place {
            cluster: ClusterRef {
                id: "a".to_owned(),
                context: None,
                server: String::new(),
            },
            namespace: "other".to_owned(),
            state: SystemState::default(),
        };
        let elsewhere = Check::fail("pods.ready", "pod/a (namespace other)", "crash loop");
        let before = Health {
            also: vec![place],
            ..seen(&[], &[elsewhere])
        };
        assert_eq!(better(&before, &seen(&[], &well[..1])), None);
    }
}
