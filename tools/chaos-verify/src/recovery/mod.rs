//! Is the system healthy again, and made of what it was made of?

pub(crate) mod aftermath;
pub(crate) mod autoscalers;
pub(crate) mod drift;
mod names;

use std::time::Duration;

use chaos_common::record::{Check, Health, Status, Time};
use chaos_health::checks;
use tokio::time::{Instant, sleep};

use self::aftermath::Aftermath;
use crate::pipeline_input::PipelineInput;
use crate::target::Target;

/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The system once it had recovered, or when the time for that was over.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    pub(crate) health: Health,
    /// What was wrong at the first look.
    first: Option<String>,
    /// What is still wrong and was not so before.
    open: Vec<Check>,
    /// What the experiment left behind, at the last look.
    aftermath: Vec<Check>,
    waited: Duration,
    looks: u32,
    /// Health checks that the configuration leaves out now.
    left_out: Vec<String>,
}

/// Looks at the system until it has recovered or `wait` is over. What was wrong `before` the
/// experiment is not waited for.
pub(crate) async fn wait_for(
    target: &Target<'_>,
    input: &PipelineInput,
    wait: Duration,
    progress: impl Fn(&str),
) -> Recovery {
    let start = Instant::now();
    let before = input.health();
    let mut aftermath = Aftermath::of(&input.experiments, Time::now());
    let mut first = None;
    let mut looks = 0;
    loop {
        // A large future, and one of several on the stack of this thread.
        let health = Box::pin(checks::examine(
            target.cluster,
            target.probe,
            target.config,
            target.namespace,
        ))
        .await;
        looks += 1;
        let sights = aftermath::look(target, input, &health).await;
        let now = Time::now();
        aftermath.note(sights, now);
        let open: Vec<_> = open_checks(&health.checks, before).cloned().collect();
        let waited = start.elapsed();
        if (open.is_empty() && aftermath.is_over()) || waited >= wait {
            return Recovery {
                health,
                first,
                open,
                aftermath: aftermath.checks(now),
                waited,
                looks,
                left_out: target.config.health.skip.clone(),
            };
        }
        if first.is_none() {
            let left = aftermath.checks(now);
            let mut wrong = open
                .iter()
                .chain(left.iter().filter(|check| check.is_bad()));
            let now = wrong.next().map(text).unwrap_or_default();
            progress(&format!(
                "waiting up to {} s for recovery: {now}",
                wait.as_secs()
            ));
            first = Some(now);
        }
        sleep(PAUSE.min(wait.saturating_sub(waited))).await;
    }
}

/// Checks that are not as they should be and were not so before.
fn open_checks<'a>(now: &'a [Check], before: Option<&Health>) -> impl Iterator<Item = &'a Check> {
    let bad = |check: &&Check| matches!(check.status, Status::Fail | Status::Unknown);
    now.iter()
        .filter(bad)
        .filter(move |check| !was_so(before, check))
}

fn was_so(before: Option<&Health>, now: &Check) -> bool {
    let same =
        |was: &Check| was.id == now.id && was.object == now.object && was.status == now.status;
    before.is_some_and(|before| before.checks.iter().any(same))
}

fn text(check: &Check) -> String {
    let object = check.object.as_deref().unwrap_or_default();
    format!("{} {object}: {}", check.id, check.message)
}

impl Recovery {
    /// The check that tells why nothing more can be seen of the cluster and the namespace, if so.
    pub(crate) fn unreachable(&self) -> Option<&Check> {
        let failed = |id: &str| {
            let mut checks = self.health.checks.iter();
            checks.find(|check| check.id == id && check.status != Status::Pass)
        };
        failed(checks::CLUSTER_REACHABLE.id).or_else(|| failed(checks::NAMESPACE_EXISTS.id))
    }

    /// The health checks as `recovery.…`, and `recovery.time`. What failed before still fails,
    /// since the system is not healthy, but says that the experiment is not the cause.
    pub(crate) fn checks(&self, before: Option<&Health>) -> Vec<Check> {
        let mut checks = Vec::new();
        for check in &self.health.checks {
            let mut check = check.clone();
            if matches!(check.status, Status::Fail | Status::Unknown) && was_so(before, &check) {
                check.message.push_str("; was so before the experiment");
            }
            if self.is_lost(before, &check) {
                check.status = Status::Unknown;
                let why = "was looked at before the experiment and is left out now";
                why.clone_into(&mut check.message);
                check = check.hint("leave it out both times or never: health.skip");
            }
            check.id = format!("recovery.{}", check.id);
            checks.push(check);
        }
        checks.push(self.time());
        checks.extend(self.aftermath.iter().cloned());
        checks
    }

    /// Whether a check was made before, and the configuration leaves it out now: then nobody knows
    /// whether it is as before.
    fn is_lost(&self, before: Option<&Health>, now: &Check) -> bool {
        let made = |was: &Check| was.id == now.id && was.status != Status::Skipped;
        let made = before.is_some_and(|before| before.checks.iter().any(made));
        made && now.status == Status::Skipped && self.left_out.contains(&now.id)
    }

    fn time(&self) -> Check {
        const ID: &str = "recovery.time";
        let (seconds, looks) = (self.waited.as_secs_f64(), self.looks);
        match (self.open.first(), &self.first) {
            (None, None) => Check::pass(ID, "", "recovered at the first look"),
            (None, Some(first)) => Check::pass(
                ID,
                "",
                format!(
                    "recovered after {seconds:.1} s of waiting ({looks} looks); at first {first}"
                ),
            ),
            (Some(_), _) => {
                let failed = self.open.iter().any(|check| check.status == Status::Fail);
                let status = if failed {
                    Status::Fail
                } else {
                    Status::Unknown
                };
                let number = self.open.len();
                let message = format!(
                    "after {seconds:.1} s of waiting ({looks} looks) {number} checks are still open"
                );
                Check::new(ID, "", status, message).hint("give it more time with --wait 2m")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline_input::tests::health;

    fn seen(checks: &[Check]) -> Health {
        Health {
            checks: checks.to_vec(),
            ..health()
        }
    }

    fn settled(checks: &[Check], before: Option<&Health>) -> Recovery {
        let open = open_checks(checks, before).cloned().collect();
        Recovery {
            health: seen(checks),
            first: None,
            open,
            aftermath: Vec::new(),
            waited: Duration::ZERO,
            looks: 1,
            left_out: Vec::new(),
        }
    }

    #[test]
    fn what_failed_before_still_fails_but_is_not_blamed_or_waited_for() {
        let bad = Check::fail("nodes.usage", "node/n", "95 %");
        let before = seen(std::slice::from_ref(&bad));
        let settled = settled(&[bad], Some(&before));
        assert!(settled.open.is_empty());
        let checks = settled.checks(Some(&before));
        let check = checks
            .iter()
            .find(|check| check.id == "recovery.nodes.usage")
            .expect("the check");
        assert_eq!(check.status, Status::Fail);
        assert!(check.message.contains("was so before"), "{}", check.message);
    }

    #[test]
    fn what_passed_before_and_fails_now_is_open() {
        let before = seen(&[Check::pass("pods.ready", "pod/a", "")]);
        let settled = settled(
            &[Check::fail("pods.ready", "pod/a", "not ready")],
            Some(&before),
        );
        let checks = settled.checks(Some(&before));
        assert!(
            checks.iter().all(|check| check.status == Status::Fail),
            "{checks:?}"
        );
        assert!(
            !checks[0].message.contains("before"),
            "{}",
            checks[0].message
        );
    }

    #[test]
    fn what_was_looked_at_before_and_is_left_out_now_is_not_known() {
        let skipped = Check::skipped("pods.ready", "", "left out, as the configuration wants");
        let no_jobs = Check::skipped("job.complete", "namespace/shop", "there are no Jobs");
        let mut now = settled(&[skipped.clone(), no_jobs], None);
        now.left_out = vec!["pods.ready".to_owned()];
        let of = |before: &[Check]| {
            let checks = now.checks(Some(&seen(before)));
            [checks[0].status, checks[1].status]
        };
        let made = [
            Check::fail("pods.ready", "pod/a", "not ready"),
            Check::pass("job.complete", "namespace/shop", ""),
        ];
        assert_eq!(of(&made), [Status::Unknown, Status::Skipped]);
        assert_eq!(of(&[skipped]), [Status::Skipped; 2], "left out both times");
    }

    #[test]
    fn a_cluster_that_is_not_reached_is_not_visible() {
        let unreachable = [Check::unknown("cluster.reachable", "https://x", "no route")];
        assert_eq!(
            settled(&unreachable, None).unreachable(),
            Some(&unreachable[0])
        );
        assert_eq!(
            settled(&[Check::pass("cluster.reachable", "https://x", "")], None).unreachable(),
            None
        );
    }

    #[test]
    fn a_namespace_that_is_missing_or_going_is_not_visible() {
        let reached = Check::pass("cluster.reachable", "https://x", "");
        let of = |namespace: &Check| {
            let checks = [reached.clone(), namespace.clone()];
            settled(&checks, None).unreachable().cloned()
        };
        let object = "namespace/shop";
        let missing = Check::unknown("namespace.exists", object, "there is no such namespace");
        assert_eq!(of(&missing), Some(missing));
        let going = Check::fail("namespace.exists", object, "is being deleted");
        assert_eq!(of(&going), Some(going));
        assert_eq!(of(&Check::pass("namespace.exists", object, "")), None);
    }
}
