//! Is every workload made of what it was made of?

use chaos_common::record::{Check, Health, Status, WorkloadState};
use chaos_health::checks;

use super::Scaling;

/// `recovery.changed`: is every workload made of what it was made of?
pub(super) fn compare(before: &Health, now: &Health, scaling: &Scaling) -> Vec<Check> {
    const ID: &str = "recovery.changed";
    let mut found = Vec::new();
    let mut same = 0;
    let blind = now.checks.iter().find(|check| {
        let lists = check.id == checks::WORKLOAD_READY.id
            || check.id == checks::CLUSTER_REACHABLE.id
            || check.id.starts_with(checks::MONITORING.id);
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
            found.push(match blind {
                Some(check) => {
                    Check::unknown(ID, object, format!("not seen now: {}", check.message))
                }
                None => Check::fail(ID, object, "is gone since before the experiment"),
            });
            continue;
        };
        let changes = changes(was, is, scaling.explains(is));
        same += usize::from(changes.is_empty());
        found.extend(
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
            found.push(Check::new(
                ID,
                is.workload.to_string(),
                Status::Warn,
                "is new since before the experiment",
            ));
        }
    }
    let of = before.state.workloads.len();
    if of == 0 {
        found.push(Check::unknown(
            ID,
            "",
            "the chaos.health record names no workloads to compare with",
        ));
    } else if same > 0 {
        found.insert(
            0,
            Check::pass(
                ID,
                "",
                format!("{same} of {of} workloads are as before the experiment"),
            ),
        );
    }
    found
}

/// What is different in a workload. More pods may be an autoscaler's doing, and restarts may be
/// what the experiment was about: both are worth a look and no failure by themselves.
fn changes(
    was: &WorkloadState,
    is: &WorkloadState,
    autoscaler: Option<&str>,
) -> Vec<(Status, String)> {
    let mut changes = Vec::new();
    if is.wants != was.wants {
        let status = match autoscaler {
            None if is.wants < was.wants => Status::Fail,
            _ => Status::Warn,
        };
        let why = autoscaler
            .map(|name| format!("; the autoscaler {name} has scaled it"))
            .unwrap_or_default();
        changes.push((
            status,
            format!(
                "asks for {} replicas, asked for {} before{why}",
                is.wants, was.wants
            ),
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

#[cfg(test)]
mod tests {
    use super::super::testing::{seen, workload};
    use super::*;

    fn statuses(before: &Health, now: &Health) -> Vec<Status> {
        compare(before, now, &Scaling::default())
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
            changes(&workload("a"), &now, None)
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
        let fewer = WorkloadState {
            wants: 2,
            ..workload("a")
        };
        let (status, message) = changes(&workload("a"), &fewer, Some("hpa")).remove(0);
        assert!(
            status == Status::Warn && message.contains("hpa"),
            "{message}"
        );
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
                checks::WORKLOAD_READY.id,
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
}
