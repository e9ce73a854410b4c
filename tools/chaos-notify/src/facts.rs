//! What the stream tells that messages are made of.

use chaos_common::conclusion::Conclusion;
use chaos_common::record::{
    Check, Data, Event, EventKind, Experiment, Health, Outcome, Plan, Record, Report, ReportForm,
    Status, Time, Verdict, Verification,
};
use chaos_common::stream::Upstream;

use crate::template::{NOT_KNOWN, line, lines};

/// The latest record of each kind that messages need.
pub(crate) struct Facts {
    pub(crate) conclusion: Conclusion,
    pub(crate) plan: Option<Record<Plan>>,
    pub(crate) experiment: Option<Record<Experiment>>,
    pub(crate) verification: Option<Record<Verification>>,
    pub(crate) health: Option<Record<Health>>,
    pub(crate) report: Option<Record<Report>>,
    pub(crate) monthly: Option<Record<Report>>,
    pub(crate) events: Vec<Record<Event>>,
    /// Why the stream can't be trusted, or a record in it can't be read.
    pub(crate) doubts: Vec<String>,
}

/// How a tool found the system.
struct SystemCheck<'a> {
    tool: &'static str,
    time: Time,
    verdict: Option<Verdict>,
    summary: &'a str,
}

impl<'a> SystemCheck<'a> {
    fn of<D>(tool: &'static str, record: &'a Record<D>) -> SystemCheck<'a> {
        SystemCheck {
            tool,
            time: record.time,
            verdict: record.verdict,
            summary: &record.summary,
        }
    }
}

impl Facts {
    pub(crate) fn of(upstream: &Upstream) -> Facts {
        let mut doubts: Vec<String> = upstream.broken.iter().cloned().collect();
        let reports: Vec<Record<Report>> = upstream.all();
        let report = |form| reports.iter().rfind(|r| r.data.form == form).cloned();
        Facts {
            conclusion: Conclusion::of(upstream),
            plan: latest(upstream, &mut doubts),
            experiment: latest(upstream, &mut doubts),
            verification: latest(upstream, &mut doubts),
            health: latest(upstream, &mut doubts),
            report: report(ReportForm::Experiment),
            monthly: report(ReportForm::Monthly),
            events: upstream.all(),
            doubts,
        }
    }

    /// The experiment's name, from its record or its plan.
    pub(crate) fn name(&self) -> String {
        let planned = self.plan.as_ref().map(|plan| plan.data.experiment.as_str());
        let run = self.experiment.as_ref();
        let name = run.map(|record| record.data.experiment.as_str());
        line(name.or(planned).unwrap_or(NOT_KNOWN))
    }

    /// How the experiment ended, if there was one.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.experiment.as_ref().map(|record| record.data.outcome)
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

    /// How the system is, by the last tool that checked it.
    pub(crate) fn system_status(&self) -> String {
        let ended = self.experiment.as_ref().map(|record| record.data.ended);
        let found = match self.system_checks().max_by_key(|check| check.time) {
            None => NOT_KNOWN.to_owned(),
            Some(check) => {
                let verdict = check.verdict.map_or(NOT_KNOWN, Verdict::word);
                let (summary, time) = (line(check.summary), check.time.human());
                let found = format!("{verdict}: {summary} ({}, {time})", check.tool);
                if ended.is_some_and(|ended| check.time < ended) {
                    format!("{NOT_KNOWN} since the experiment; before it {found}")
                } else {
                    found
                }
            }
        };
        if self.outcome() == Some(Outcome::NotRestored) {
            format!("NOT RESTORED, a fault may still be in place; {found}")
        } else {
            found
        }
    }

    /// Whether the last check of the system, not older than the experiment, passed.
    pub(crate) fn system_is_well(&self) -> bool {
        let ended = self.experiment.as_ref().map(|record| record.data.ended);
        // A refused experiment touched nothing: what was well before it still counts.
        let untouched = self.outcome() == Some(Outcome::Refused);
        let fresh = |time: Time| untouched || ended.is_none_or(|ended| time >= ended);
        let checks = self.system_checks().filter(|check| fresh(check.time));
        let last = checks.max_by_key(|check| check.time);
        last.is_some_and(|check| check.verdict == Some(Verdict::Pass))
    }

    fn system_checks(&self) -> impl Iterator<Item = SystemCheck<'_>> {
        let after = self.verification.iter();
        let before = self.health.iter();
        after
            .map(|record| SystemCheck::of("chaos-verify", record))
            .chain(before.map(|record| SystemCheck::of("chaos-health", record)))
    }

    /// What was done: `given`, else what the experiment says, else what the events tell.
    pub(crate) fn actions(&self, given: &[String]) -> Vec<String> {
        if !given.is_empty() {
            return lines(given);
        }
        let recorded = self.experiment.as_ref().map(|record| &record.data.actions);
        if let Some(actions) = recorded.filter(|actions| !actions.is_empty()) {
            return lines(actions);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_stream_tells_nothing() {
        let facts = Facts::of(&Upstream::from_reader(&b""[..]).expect("memory can be read"));
        assert_eq!(facts.system_status(), NOT_KNOWN);
        assert!(!facts.system_is_well());
        assert_eq!(facts.conclusion, Conclusion::Unknown);
    }
}
