//! What the stream tells that messages are made of.

use std::fmt::Write as _;

use chaos_common::conclusion::Conclusion;
use chaos_common::record::{
    Check, Data, Event, EventKind, Experiment, Health, Outcome, Plan, Record, Report, ReportForm,
    Status, Time, Verdict, Verification,
};
use chaos_common::stream::Upstream;

/// Said where the stream does not tell.
pub(crate) const NOT_KNOWN: &str = "not known";

/// The longest text from outside that a message repeats at one place, in characters.
const MAX_TEXT: usize = 500;

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

impl Facts {
    pub(crate) fn of(upstream: &Upstream) -> Facts {
        let mut doubts: Vec<String> = upstream.broken.iter().cloned().collect();
        let report = |form| {
            upstream
                .all::<Report>()
                .into_iter()
                .rev()
                .find(|record| record.data.form == form)
        };
        let (experiment_report, monthly) =
            (report(ReportForm::Experiment), report(ReportForm::Monthly));
        Facts {
            conclusion: Conclusion::of(upstream),
            plan: latest(upstream, &mut doubts),
            experiment: latest(upstream, &mut doubts),
            verification: latest(upstream, &mut doubts),
            health: latest(upstream, &mut doubts),
            report: experiment_report,
            monthly,
            events: upstream.all(),
            doubts,
        }
    }

    /// The experiment's name, from its record or its plan.
    pub(crate) fn name(&self) -> String {
        let planned = self.plan.as_ref().map(|plan| plan.data.experiment.as_str());
        let name = self
            .experiment
            .as_ref()
            .map(|record| record.data.experiment.as_str())
            .or(planned);
        line(name.unwrap_or(NOT_KNOWN))
    }

    /// Checks of the system, the latest first, that have this answer.
    pub(crate) fn checks(&self, status: Status) -> Vec<String> {
        let after = self
            .verification
            .iter()
            .flat_map(|record| record.data.checks());
        let own = self
            .experiment
            .iter()
            .flat_map(|record| record.data.checks());
        let before = self.health.iter().flat_map(|record| record.data.checks());
        after
            .chain(own)
            .chain(before)
            .filter(|check| check.status == status)
            .map(describe)
            .collect()
    }

    /// How the system is, by the last tool that looked at it.
    pub(crate) fn system_status(&self) -> String {
        let left = self
            .experiment
            .as_ref()
            .is_some_and(|record| record.data.outcome == Outcome::NotRestored);
        let verified = self
            .verification
            .as_ref()
            .map(|r| (r.time, r.verdict, r.summary.as_str(), "chaos-verify"));
        let healthy = self
            .health
            .as_ref()
            .map(|r| (r.time, r.verdict, r.summary.as_str(), "chaos-health"));
        let last = verified
            .into_iter()
            .chain(healthy)
            .max_by_key(|(time, ..)| *time);
        let ended = self.experiment.as_ref().map(|record| record.data.ended);
        let seen = match last {
            None => NOT_KNOWN.to_owned(),
            Some((time, verdict, summary, tool)) => {
                let verdict = verdict.map_or(NOT_KNOWN, Verdict::word);
                let seen = format!("{verdict}: {} ({tool}, {})", line(summary), time.human());
                if ended.is_some_and(|ended| time < ended) {
                    format!("{NOT_KNOWN} since the experiment; before it {seen}")
                } else {
                    seen
                }
            }
        };
        if left {
            format!("NOT RESTORED, a fault may still be in place; {seen}")
        } else {
            seen
        }
    }

    /// Whether the last look at the system, not older than the experiment, found it as it should
    /// be.
    pub(crate) fn system_is_well(&self) -> bool {
        let ended = self.experiment.as_ref().map(|record| record.data.ended);
        let verified = self
            .verification
            .as_ref()
            .map(|record| (record.time, record.verdict));
        let healthy = self
            .health
            .as_ref()
            .map(|record| (record.time, record.verdict));
        // A refused experiment touched nothing: what was well before it still counts.
        let untouched = self
            .experiment
            .as_ref()
            .is_some_and(|record| record.data.outcome == Outcome::Refused);
        let fresh = |time: Time| untouched || ended.is_none_or(|ended| time >= ended);
        let last = verified
            .into_iter()
            .chain(healthy)
            .filter(|(time, _)| fresh(*time))
            .max_by_key(|(time, _)| *time);
        last.is_some_and(|(_, verdict)| verdict == Some(Verdict::Pass))
    }

    /// What was done: `given`, else what the experiment says, else what the events tell.
    pub(crate) fn actions(&self, given: &[String]) -> Vec<String> {
        if !given.is_empty() {
            return given.iter().map(|text| line(text)).collect();
        }
        if let Some(experiment) = self
            .experiment
            .as_ref()
            .filter(|record| !record.data.actions.is_empty())
        {
            return experiment
                .data
                .actions
                .iter()
                .map(|text| line(text))
                .collect();
        }
        let told = |kind| {
            matches!(
                kind,
                EventKind::Abort | EventKind::Undo | EventKind::Restored
            )
        };
        self.events
            .iter()
            .filter(|record| told(record.data.event))
            .map(|record| line(&record.summary))
            .collect()
    }
}

fn latest<D: Data>(upstream: &Upstream, doubts: &mut Vec<String>) -> Option<Record<D>> {
    upstream.latest().unwrap_or_else(|why| {
        doubts.push(why);
        None
    })
}

fn describe(check: &Check) -> String {
    let object = check
        .object
        .as_ref()
        .map(|object| format!(" {object}"))
        .unwrap_or_default();
    line(&format!("{}{object}: {}", check.id, check.message))
}

/// Text from outside as one line of bounded length.
pub(crate) fn line(text: &str) -> String {
    let flat: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let flat = flat.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= MAX_TEXT {
        return flat;
    }
    let cut: String = flat.chars().take(MAX_TEXT).collect();
    format!("{cut} …")
}

/// `Name: value`, or the values in a list below; the first `most` of them.
pub(crate) fn field(name: &str, values: &[String], most: usize) -> String {
    match values {
        [] => format!("{name}: {NOT_KNOWN}"),
        [one] => format!("{name}: {one}"),
        many => {
            let mut text = format!("{name}:");
            for value in many.iter().take(most) {
                let _ = write!(text, "\n- {value}");
            }
            if many.len() > most {
                let _ = write!(text, "\n- and {} more", many.len() - most);
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_one_line() {
        assert_eq!(line("a\r\nBcc: x@y\n\n\tb"), "a Bcc: x@y b");
        assert!(line(&"x".repeat(9000)).chars().count() < MAX_TEXT + 3);
    }

    #[test]
    fn fields_are_inline_listed_or_not_known() {
        let values = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        assert_eq!(field("A", &[], 2), "A: not known");
        assert_eq!(field("A", &values(1), 2), "A: 0");
        assert_eq!(field("A", &values(3), 2), "A:\n- 0\n- 1\n- and 1 more");
    }

    #[test]
    fn an_empty_stream_tells_nothing() {
        let facts = Facts::of(&Upstream::from_reader(&b""[..]).expect("memory can be read"));
        assert_eq!(facts.system_status(), NOT_KNOWN);
        assert!(!facts.system_is_well());
        assert_eq!(facts.conclusion, Conclusion::Unknown);
    }
}
