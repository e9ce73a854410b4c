//! How the system is, as far as the stream shows.

use chaos_common::record::{Outcome, Record, Time, Verdict};

use super::Facts;
use crate::template::{NOT_KNOWN, line};

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

    fn describe(&self) -> String {
        let verdict = self.verdict.map_or(NOT_KNOWN, Verdict::word);
        let (summary, time) = (line(self.summary), self.time.human());
        format!("{verdict}: {summary} ({}, {time})", self.tool)
    }
}

impl Facts {
    /// How the system is, by the last tool that checked it.
    pub(crate) fn system_status(&self) -> String {
        let changed = self.last_change();
        let found = match self.system_checks().max_by_key(|check| check.time) {
            None => NOT_KNOWN.to_owned(),
            Some(check) if changed.is_some_and(|changed| check.time < changed) => {
                let found = check.describe();
                format!("{NOT_KNOWN} since the experiment; before it {found}")
            }
            Some(check) => check.describe(),
        };
        let rollback = self.rollback_status();
        let found = rollback.map_or(found.clone(), |rollback| format!("{rollback}; {found}"));
        if self.outcome() == Some(Outcome::NotRestored) {
            format!("NOT RESTORED, a fault may still be in place; {found}")
        } else {
            found
        }
    }

    /// Whether the last check of the system, not older than the last change to it, passed.
    pub(crate) fn system_is_well(&self) -> bool {
        // A refused experiment touched nothing: what was well before it still counts.
        let untouched = self.outcome() == Some(Outcome::Refused);
        let changed = self.last_change();
        let fresh = |time: Time| untouched || changed.is_none_or(|changed| time >= changed);
        let checks = self.system_checks().filter(|check| fresh(check.time));
        let last = checks.max_by_key(|check| check.time);
        last.is_some_and(|check| check.verdict == Some(Verdict::Pass))
    }

    /// When an experiment ended, or something was rolled back, the later of both.
    fn last_change(&self) -> Option<Time> {
        let ended = self.experiment.as_ref().map(|record| record.data.ended);
        ended.max(self.rolled_back().map(|record| record.time))
    }

    fn system_checks(&self) -> impl Iterator<Item = SystemCheck<'_>> {
        let after = self.verification.iter();
        let before = self.health.iter();
        after
            .map(|record| SystemCheck::of("chaos-verify", record))
            .chain(before.map(|record| SystemCheck::of("chaos-health", record)))
    }
}

#[cfg(test)]
mod tests {
    use chaos_common::conclusion::Conclusion;
    use chaos_common::stream::Upstream;

    use super::*;

    #[test]
    fn an_empty_stream_tells_nothing() {
        let facts = Facts::of(&Upstream::default(), "r");
        assert_eq!(facts.system_status(), NOT_KNOWN);
        assert!(!facts.system_is_well());
        assert_eq!(facts.conclusion, Conclusion::Unknown);
        assert_eq!(facts.time(), None);
    }
}
