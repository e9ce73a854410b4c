//! What is different from before the experiment: workloads, where their pods are, who stands behind
//! Services, and which checks do better.

mod better;
mod endpoints;
mod placement;
#[cfg(test)]
mod testing;
mod workloads;

use chaos_common::record::{Check, Health, Time, WorkloadState};

use super::autoscalers::Autoscaler;

/// What autoscalers have done since before the experiment, which is nobody's fault.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scaling {
    pub(crate) autoscalers: Vec<Autoscaler>,
    /// When it was before; none if that is not known, and nothing is explained then.
    pub(crate) since: Option<Time>,
}

impl Scaling {
    /// The autoscaler that explains how many replicas a workload asks for.
    fn explains(&self, is: &WorkloadState) -> Option<&str> {
        let since = self.since?;
        let mut all = self.autoscalers.iter();
        let found = all.find(|one| one.explains(&is.workload, is.wants, since))?;
        Some(&found.name)
    }

    /// How many pods fewer there are because of autoscalers.
    fn removed(&self, before: &Health, now: &Health) -> usize {
        let fewer = |is: &WorkloadState| {
            self.explains(is)?;
            let mut all = before.state.workloads.iter();
            let was = all.find(|was| was.workload == is.workload)?;
            usize::try_from(was.wants - is.wants).ok()
        };
        now.state.workloads.iter().filter_map(fewer).sum()
    }
}

/// `recovery.changed`, `recovery.placement`, `recovery.endpoints` and `recovery.better`.
pub(crate) fn compare(before: &Health, now: &Health, scaling: &Scaling) -> Vec<Check> {
    let mut checks = workloads::compare(before, now, scaling);
    checks.extend(placement::compare(before, now));
    checks.extend(endpoints::compare(
        before,
        now,
        scaling.removed(before, now),
    ));
    checks.extend(better::compare(before, now));
    checks
}

#[cfg(test)]
mod tests {
    use super::testing::{seen, workload};
    use super::*;
    use crate::recovery::autoscalers::tests::autoscaler;
    use chaos_common::record::Status;

    #[test]
    fn a_workload_that_an_autoscaler_has_scaled_down_does_not_fail() {
        let before = seen(&[workload("web")], &[]);
        let mut fewer = workload("web");
        (fewer.wants, fewer.ready) = (2, 2);
        let now = seen(&[fewer], &[]);
        let status = |scaling: &Scaling| compare(&before, &now, scaling)[0].status;
        assert_eq!(status(&Scaling::default()), Status::Fail);
        let scaling = Scaling {
            autoscalers: autoscaler("web", 2, "2026-11-22T16:05:00Z")
                .into_iter()
                .collect(),
            since: Some(Time("2026-11-22T16:00:00Z".parse().expect("a time"))),
        };
        assert_eq!(status(&scaling), Status::Warn);
        assert_eq!(scaling.removed(&before, &now), 1);
    }
}
