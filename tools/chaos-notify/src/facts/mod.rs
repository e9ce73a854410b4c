//! What the stream tells that messages are made of.

mod rollback;
mod system;
mod told;

use chaos_common::conclusion::Conclusion;
use chaos_common::record::{
    Check, ClusterRef, Data, Event, EventKind, Experiment, Health, Notification, Outcome, Plan,
    Record, Report, ReportForm, Rollback, Status, Time, Verification,
};
use chaos_common::stream::Upstream;

use crate::template::{line, lines};

/// The latest record of each kind that messages need.
pub(crate) struct Facts {
    /// The run that the stream belongs to, or a new one.
    pub(crate) run: String,
    pub(crate) conclusion: Conclusion,
    pub(crate) plan: Option<Record<Plan>>,
    pub(crate) experiment: Option<Record<Experiment>>,
    pub(crate) rollback: Option<Record<Rollback>>,
    pub(crate) verification: Option<Record<Verification>>,
    pub(crate) health: Option<Record<Health>>,
    pub(crate) report: Option<Record<Report>>,
    pub(crate) monthly: Option<Record<Report>>,
    pub(crate) events: Vec<Record<Event>>,
    /// What was told before, in this run.
    pub(crate) told: Vec<Record<Notification>>,
    /// Why the stream can't be trusted, or a record in it can't be read.
    pub(crate) doubts: Vec<String>,
}

impl Facts {
    /// What a stream of this run tells.
    pub(crate) fn of(upstream: &Upstream, run: &str) -> Facts {
        let mut doubts: Vec<String> = upstream.broken.iter().cloned().collect();
        let reports: Vec<Record<Report>> = upstream.all();
        let report = |form| reports.iter().rfind(|r| r.data.form == form).cloned();
        Facts {
            run: run.to_owned(),
            conclusion: Conclusion::of(upstream),
            plan: latest(upstream, &mut doubts),
            experiment: latest(upstream, &mut doubts),
            rollback: latest(upstream, &mut doubts),
            verification: latest(upstream, &mut doubts),
            health: latest(upstream, &mut doubts),
            report: report(ReportForm::Experiment),
            monthly: report(ReportForm::Monthly),
            events: upstream.all(),
            told: upstream.records().of_run(run).all(),
            doubts,
        }
    }

    /// The experiment's name, from its record, its plan, or the run that was rolled back.
    pub(crate) fn name(&self) -> Option<String> {
        let run = self.experiment.as_ref().map(|r| &r.data.experiment);
        let planned = self.plan.as_ref().map(|r| &r.data.experiment);
        let held = self.rollback.iter().flat_map(|r| &r.data.runs).next();
        let name = run
            .or(planned)
            .or_else(|| held.map(|held| &held.experiment));
        name.map(|name| line(name))
    }

    /// The namespace that it is about.
    pub(crate) fn namespace(&self) -> Option<String> {
        let run = self.experiment.as_ref().map(|r| &r.data.namespace);
        let planned = self.plan.as_ref().map(|r| &r.data.namespace);
        let healthy = self.health.as_ref().map(|r| &r.data.namespace);
        let rolled_back = self.rollback.as_ref();
        let rolled_back = rolled_back.and_then(|r| r.data.namespaces.first());
        let name = run.or(planned).or(rolled_back).or(healthy);
        name.map(|name| line(name))
    }

    /// The cluster that it is about: its context's name, else its server.
    pub(crate) fn cluster(&self) -> Option<String> {
        let run = self.experiment.as_ref();
        let rolled_back = self.rollback.as_ref();
        let run = run.and_then(|r| r.data.cluster.as_ref());
        let planned = self.plan.as_ref().map(|r| &r.data.cluster);
        let rolled_back = rolled_back.and_then(|r| r.data.cluster.as_ref());
        let healthy = self.health.as_ref().map(|r| &r.data.cluster);
        let verified = self.verification.as_ref().map(|r| &r.data.cluster);
        let known = run.or(planned).or(rolled_back);
        let cluster = known.or(healthy).or(verified);
        let name = |c: &ClusterRef| line(c.context.as_ref().unwrap_or(&c.server));
        cluster.map(name)
    }

    /// How the experiment ended, if there was one.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.experiment.as_ref().map(|record| record.data.outcome)
    }

    /// When the latest of the things happened that the stream tells of; nothing where it tells of
    /// none. Not the clock, so that a repetition of a message says the same.
    pub(crate) fn time(&self) -> Option<Time> {
        [
            self.plan.as_ref().map(|r| r.time),
            self.experiment.as_ref().map(|r| r.time),
            self.rollback.as_ref().map(|r| r.time),
            self.verification.as_ref().map(|r| r.time),
            self.health.as_ref().map(|r| r.time),
            self.report.as_ref().map(|r| r.time),
            self.monthly.as_ref().map(|r| r.time),
        ]
        .into_iter()
        .flatten()
        .max()
    }

    /// Checks of the system, the latest first, that have this answer.
    pub(crate) fn checks(&self, status: Status) -> Vec<String> {
        let after = self.verification.iter().flat_map(|r| r.data.checks());
        let own = self.experiment.iter().flat_map(|r| r.data.checks());
        let before = self.health.iter().flat_map(|r| r.data.checks());
        let checks = after.chain(own).chain(before);
        let chosen = checks.filter(|check| check.status == status);
        chosen.map(describe).collect()
    }

    /// What was done: `given`, else what was rolled back and what the experiment says, else what
    /// the events tell.
    pub(crate) fn actions(&self, given: &[String]) -> Vec<String> {
        if !given.is_empty() {
            return lines(given);
        }
        let run = self.experiment.iter().flat_map(|r| &r.data.actions);
        let rolled_back = self.rolled_back().into_iter();
        let rolled_back = rolled_back.flat_map(|r| &r.data.actions);
        let recorded = lines(run.chain(rolled_back));
        if !recorded.is_empty() {
            return recorded;
        }
        let action = |kind| {
            matches!(
                kind,
                EventKind::Abort | EventKind::Undo | EventKind::Restored
            )
        };
        let events = self.events.iter();
        lines(
            events
                .filter(|record| action(record.data.event))
                .map(|record| &record.summary),
        )
    }
}

fn latest<D: Data>(upstream: &Upstream, doubts: &mut Vec<String>) -> Option<Record<D>> {
    upstream.latest().unwrap_or_else(|why| {
        doubts.push(why.to_string());
        None
    })
}

fn describe(check: &Check) -> String {
    line(&match &check.object {
        Some(object) => format!("{} {object}: {}", check.id, check.message),
        None => format!("{}: {}", check.id, check.message),
    })
}
