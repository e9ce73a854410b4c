//! Is the system healthy again, and made of what it was made of?

use std::time::Duration;

use chaos_common::health;
use chaos_common::record::{Check, Health, Status, WorkloadState};
use tokio::time::{Instant, sleep};

use crate::site::Site;

/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The system once it had recovered, or when the time for that was over.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    pub(crate) health: Health,
    /// What was wrong at the first look.
    first: Option<String>,
    /// What is still wrong and was not so before.
    open: Vec<Check>,
    waited: Duration,
    looks: u32,
}

/// Looks at the system until it has recovered or `wait` is over. What was wrong `before` the
/// experiment is not waited for.
pub(crate) async fn settle(
    site: &Site<'_>,
    before: Option<&Health>,
    wait: Duration,
    progress: impl Fn(&str),
) -> Settled {
    let start = Instant::now();
    let mut first = None;
    let mut looks = 0;
    loop {
        // A large future, and one of several on the stack of this thread.
        let health = Box::pin(health::examine(site.cluster, site.asker, site.config, site.namespace)).await;
        looks += 1;
        let open: Vec<_> = open(&health.checks, before).cloned().collect();
        let waited = start.elapsed();
        if open.is_empty() || waited >= wait {
            return Settled { health, first, open, waited, looks };
        }
        if first.is_none() {
            let now = text(&open[0]);
            progress(&format!("waiting up to {} s for recovery: {now}", wait.as_secs()));
            first = Some(now);
        }
        sleep(PAUSE.min(wait.saturating_sub(waited))).await;
    }
}

/// Checks that are not as they should be and were not so before.
fn open<'a>(now: &'a [Check], before: Option<&Health>) -> impl Iterator<Item = &'a Check> {
    let bad = |check: &&Check| matches!(check.status, Status::Fail | Status::Unknown);
    now.iter().filter(bad).filter(move |check| !was_so(before, check))
}

fn was_so(before: Option<&Health>, now: &Check) -> bool {
    let same = |was: &Check| was.id == now.id && was.object == now.object && was.status == now.status;
    before.is_some_and(|before| before.checks.iter().any(same))
}

fn text(check: &Check) -> String {
    let object = check.object.as_deref().unwrap_or_default();
    format!("{} {object}: {}", check.id, check.message)
}

impl Settled {
    /// Whether more than this can be seen of the cluster and the namespace.
    pub(crate) fn visible(&self) -> Result<(), String> {
        let lacks = |id: &str| self.health.checks.iter().find(|check| check.id == id && check.status != Status::Pass);
        match lacks("cluster.reachable").or_else(|| lacks("namespace.exists")) {
            Some(check) => Err(check.message.clone()),
            None => Ok(()),
        }
    }

    /// The health checks as `recovery.…`, and `recovery.time`. What failed before still fails, since
    /// the system is not healthy, but says that the experiment is not the cause.
    pub(crate) fn checks(&self, before: Option<&Health>) -> Vec<Check> {
        let mut checks = Vec::new();
        for check in &self.health.checks {
            let mut check = check.clone();
            if matches!(check.status, Status::Fail | Status::Unknown) && was_so(before, &check) {
                check.message.push_str("; was so before the experiment");
            }
            check.id = format!("recovery.{}", check.id);
            checks.push(check);
        }
        checks.push(self.time());
        checks
    }

    fn time(&self) -> Check {
        const ID: &str = "recovery.time";
        let (seconds, looks) = (self.waited.as_secs_f64(), self.looks);
        match (self.open.first(), &self.first) {
            (None, None) => Check::pass(ID, "", "recovered at the first look"),
            (None, Some(first)) => Check::pass(
                ID,
                "",
                format!("recovered after {seconds:.1} s of waiting ({looks} looks); at first {first}"),
            ),
            (Some(_), _) => {
                let failed = self.open.iter().any(|check| check.status == Status::Fail);
                let status = if failed { Status::Fail } else { Status::Unknown };
                let number = self.open.len();
                let message = format!("after {seconds:.1} s of waiting ({looks} looks) {number} checks are still open");
                Check::new(ID, "", status, message).hint("give it more time with --wait 2m")
            }
        }
    }
}

/// `recovery.changed`: is every workload made of what it was made of?
pub(crate) fn compare(before: &Health, now: &Health) -> Vec<Check> {
    const ID: &str = "recovery.changed";
    let mut checks = Vec::new();
    let mut same = 0;
    let blind = now.checks.iter().find(|check| {
        let lists =
            check.id == "workload.ready" || check.id == "cluster.reachable" || check.id.starts_with("monitoring");
        lists && check.status == Status::Unknown
    });
    for was in &before.state.workloads {
        let object = was.workload.to_string();
        let Some(is) = now.state.workloads.iter().find(|is| is.workload == was.workload) else {
            checks.push(match blind {
                Some(check) => Check::unknown(ID, object, format!("not seen now: {}", check.message)),
                None => Check::fail(ID, object, "is gone since before the experiment"),
            });
            continue;
        };
        let changes = changes(was, is);
        same += usize::from(changes.is_empty());
        checks.extend(changes.into_iter().map(|(status, message)| Check::new(ID, object.clone(), status, message)));
    }
    for is in &now.state.workloads {
        if !before.state.workloads.iter().any(|was| was.workload == is.workload) {
            checks.push(Check::new(ID, is.workload.to_string(), Status::Warn, "is new since before the experiment"));
        }
    }
    let of = before.state.workloads.len();
    if of == 0 {
        checks.push(Check::unknown(ID, "", "the chaos.health record names no workloads to compare with"));
    } else if same > 0 {
        checks.insert(0, Check::pass(ID, "", format!("{same} of {of} workloads are as before the experiment")));
    }
    checks
}

/// What is different in a workload. More pods may be an autoscaler's doing, and restarts may be what
/// the experiment was about: both are worth a look and no failure by themselves.
fn changes(was: &WorkloadState, is: &WorkloadState) -> Vec<(Status, String)> {
    let mut changes = Vec::new();
    if is.wants != was.wants {
        let status = if is.wants < was.wants { Status::Fail } else { Status::Warn };
        changes.push((status, format!("wants {} pods, wanted {} before", is.wants, was.wants)));
    } else if is.ready < was.ready {
        changes.push((Status::Fail, format!("has {} ready pods, had {} before", is.ready, was.ready)));
    }
    if is.images != was.images {
        let (now, before) = (is.images.join(", "), was.images.join(", "));
        changes.push((Status::Fail, format!("runs the images {now}, ran {before} before")));
    }
    if is.restarts > was.restarts {
        let more = is.restarts - was.restarts;
        changes.push((Status::Warn, format!("its containers were restarted {more} times since before the experiment")));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::before::tests::health;
    use chaos_common::record::WorkloadRef;

    fn workload(name: &str) -> WorkloadState {
        let (kind, namespace, name) = ("Deployment".to_owned(), "shop".to_owned(), name.to_owned());
        WorkloadState {
            workload: WorkloadRef { kind, namespace, name },
            wants: 3,
            ready: 3,
            images: vec!["shop:1".to_owned()],
            restarts: 2,
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
        compare(before, now).into_iter().map(|check| check.status).collect()
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
            changes(&workload("a"), &now).into_iter().map(|(status, _)| status).collect::<Vec<_>>()
        };
        assert_eq!(of(&|now| now.wants = 2), [Status::Fail]);
        assert_eq!(of(&|now| now.wants = 4), [Status::Warn]);
        assert_eq!(of(&|now| now.ready = 2), [Status::Fail]);
        assert_eq!(of(&|now| now.images = vec!["shop:2".to_owned()]), [Status::Fail]);
        assert_eq!(of(&|now| now.restarts = 3), [Status::Warn]);
        // New pods begin to count at nought.
        assert_eq!(of(&|now| now.restarts = 0), []);
    }

    #[test]
    fn a_workload_that_is_gone_fails_unless_it_could_not_be_seen() {
        let before = seen(&[workload("a"), workload("b")], &[]);
        let now = seen(&[workload("a")], &[]);
        assert_eq!(statuses(&before, &now), [Status::Pass, Status::Fail]);
        let blind = seen(&[workload("a")], &[Check::unknown("workload.ready", "statefulset of namespace/x", "403")]);
        assert_eq!(statuses(&before, &blind), [Status::Pass, Status::Unknown]);
    }

    #[test]
    fn nothing_before_is_nothing_to_compare_with() {
        assert_eq!(statuses(&seen(&[], &[]), &seen(&[], &[])), [Status::Unknown]);
    }

    fn settled(checks: &[Check], before: Option<&Health>) -> Settled {
        let open = open(checks, before).cloned().collect();
        Settled { health: seen(&[], checks), first: None, open, waited: Duration::ZERO, looks: 1 }
    }

    #[test]
    fn what_failed_before_still_fails_but_is_not_blamed_or_waited_for() {
        let bad = Check::fail("nodes.usage", "node/n", "95 %");
        let before = seen(&[], std::slice::from_ref(&bad));
        let settled = settled(&[bad], Some(&before));
        assert!(settled.open.is_empty());
        let checks = settled.checks(Some(&before));
        let check = checks.iter().find(|check| check.id == "recovery.nodes.usage").expect("the check");
        assert_eq!(check.status, Status::Fail);
        assert!(check.message.contains("was so before"), "{}", check.message);
    }

    #[test]
    fn what_passed_before_and_fails_now_is_open() {
        let before = seen(&[], &[Check::pass("pods.ready", "pod/a", "")]);
        let settled = settled(&[Check::fail("pods.ready", "pod/a", "not ready")], Some(&before));
        let checks = settled.checks(Some(&before));
        assert!(checks.iter().all(|check| check.status == Status::Fail), "{checks:?}");
        assert!(!checks[0].message.contains("before"), "{}", checks[0].message);
    }

    #[test]
    fn a_cluster_that_is_not_reached_is_not_visible() {
        let unreachable = [Check::unknown("cluster.reachable", "https://x", "no route")];
        assert_eq!(settled(&unreachable, None).visible(), Err("no route".to_owned()));
        assert_eq!(settled(&[Check::pass("cluster.reachable", "https://x", "")], None).visible(), Ok(()));
    }
}
