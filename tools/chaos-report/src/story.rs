//! What a stream tells, record by record.

use chaos_common::conclusion::Conclusion;
use chaos_common::record::{
    Backup, Baseline, Check, Data, Event, Experiment, Health, Notification, Outcome, Plan, Record,
    Status, Time, Verification,
};
use chaos_common::stream::Upstream;

/// The latest record of each kind that a report is made of.
pub(crate) struct Story {
    pub(crate) run: String,
    /// Why the stream can't be trusted.
    pub(crate) broken: Option<String>,
    /// Records that could not be read, each with the reason.
    pub(crate) unreadable: Vec<String>,
    pub(crate) conclusion: Conclusion,
    pub(crate) health: Option<Record<Health>>,
    pub(crate) backup: Option<Record<Backup>>,
    pub(crate) baseline: Option<Record<Baseline>>,
    pub(crate) plan: Option<Record<Plan>>,
    pub(crate) experiment: Option<Record<Experiment>>,
    /// The verification after the experiment.
    pub(crate) verification: Option<Record<Verification>>,
    pub(crate) notifications: Vec<Record<Notification>>,
    pub(crate) events: Vec<Record<Event>>,
    /// How many experiments the stream holds. The report is on the last.
    pub(crate) experiments: usize,
}

impl Story {
    pub(crate) fn of(upstream: &Upstream, run: &str) -> Story {
        let mut unreadable = Vec::new();
        let experiment: Option<Record<Experiment>> = latest(upstream, &mut unreadable);
        let verification =
            latest(upstream, &mut unreadable).filter(|after: &Record<Verification>| {
                experiment.as_ref().is_none_or(|e| after.time >= e.time)
            });
        Story {
            run: run.to_owned(),
            broken: upstream.broken.clone(),
            conclusion: Conclusion::of(upstream),
            health: latest(upstream, &mut unreadable),
            backup: latest(upstream, &mut unreadable),
            baseline: latest(upstream, &mut unreadable),
            plan: latest(upstream, &mut unreadable),
            experiment,
            verification,
            notifications: upstream.all(),
            events: upstream.all(),
            experiments: upstream.all::<Experiment>().len(),
            unreadable,
        }
    }

    /// The experiment's name, from its record or its plan.
    pub(crate) fn name(&self) -> Option<&str> {
        let planned = self.plan.as_ref().map(|plan| plan.data.experiment.as_str());
        self.experiment
            .as_ref()
            .map(|record| record.data.experiment.as_str())
            .or(planned)
    }

    /// When it began: the experiment, else the first record that there is.
    pub(crate) fn began(&self) -> Option<Time> {
        let first = [
            self.health.as_ref().map(|record| record.time),
            self.backup.as_ref().map(|record| record.time),
            self.baseline.as_ref().map(|record| record.time),
            self.events.first().map(|record| record.time),
            self.verification.as_ref().map(|record| record.time),
        ];
        self.experiment
            .as_ref()
            .map(|record| record.data.started)
            .or(first.into_iter().flatten().min())
    }

    /// Every check in the stream, each behind the name of its kind.
    pub(crate) fn checks(&self) -> Vec<(&'static str, &Check)> {
        fn of<'a, D: Data>(
            name: &'static str,
            record: Option<&'a Record<D>>,
        ) -> Vec<(&'static str, &'a Check)> {
            record
                .iter()
                .flat_map(|record| record.data.checks())
                .map(|check| (name, check))
                .collect()
        }
        let mut checks = of("health", self.health.as_ref());
        checks.extend(of("backup", self.backup.as_ref()));
        checks.extend(of("baseline", self.baseline.as_ref()));
        checks.extend(of("plan", self.plan.as_ref()));
        checks.extend(of("experiment", self.experiment.as_ref()));
        checks.extend(of("verification", self.verification.as_ref()));
        checks.extend(
            self.notifications
                .iter()
                .flat_map(|record| of("notification", Some(record))),
        );
        checks
    }

    /// The checks of the experiment and of the verification after it.
    pub(crate) fn judged(&self) -> Vec<&Check> {
        let own = |(kind, check)| matches!(kind, "experiment" | "verification").then_some(check);
        self.checks().into_iter().filter_map(own).collect()
    }

    /// Whether the experiment wrote anything to the cluster.
    pub(crate) fn touched(&self) -> bool {
        self.experiment
            .as_ref()
            .is_some_and(|record| record.data.outcome != Outcome::Refused)
    }

    /// What went wrong: the issues that the experiment noted, and the failed checks that none of
    /// them tells of.
    pub(crate) fn issues(&self) -> Vec<String> {
        let mut issues: Vec<String> = self
            .experiment
            .as_ref()
            .map_or_else(Vec::new, |r| r.data.issues.clone());
        let failed = self
            .judged()
            .into_iter()
            .filter(|check| check.status == Status::Fail);
        let untold: Vec<String> = failed
            .filter(|check| {
                !issues
                    .iter()
                    .any(|issue| issue.contains(check.message.as_str()))
            })
            .map(describe)
            .collect();
        issues.extend(untold);
        issues
    }
}

fn latest<D: Data>(upstream: &Upstream, unreadable: &mut Vec<String>) -> Option<Record<D>> {
    upstream.latest().unwrap_or_else(|why| {
        unreadable.push(why);
        None
    })
}

/// A check in words: what was asked of what, and what was seen.
pub(crate) fn describe(check: &Check) -> String {
    match &check.object {
        Some(object) => format!("{} {object}: {}", check.id, check.message),
        None => format!("{}: {}", check.id, check.message),
    }
}
