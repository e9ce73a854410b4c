//! What `chaos-inject abort`, `recover` and `rollback` left in the stream.

use chaos_common::record::{EventKind, Outcome, Record, Rollback, RollbackCause, Verdict};

use super::Facts;
use crate::template::line;

impl Facts {
    /// The latest time that something was rolled back or was to be, not only looked at.
    pub(crate) fn rolled_back(&self) -> Option<&Record<Rollback>> {
        let acts = |cause| {
            matches!(
                cause,
                RollbackCause::Abort | RollbackCause::Recover | RollbackCause::Rollback
            )
        };
        let record = self.rollback.as_ref();
        record.filter(|record| acts(record.data.cause) && !record.data.dry_run)
    }

    /// A rollback that did not end well, or that nobody can tell to have.
    pub(crate) fn failed_rollback(&self) -> Option<&Record<Rollback>> {
        self.rolled_back()
            .filter(|record| record.verdict != Some(Verdict::Pass))
    }

    /// Whether an experiment was stopped, and did not end by itself.
    pub(crate) fn was_aborted(&self) -> bool {
        let outcome = self.outcome();
        let stopped = matches!(outcome, Some(Outcome::Aborted | Outcome::NotRestored));
        let tripped = || self.abort_event().is_some();
        // An experiment that has ended knows best how.
        stopped || self.rolled_back().is_some() || (outcome.is_none() && tripped())
    }

    /// Why it was stopped, in the words of whoever did it.
    pub(crate) fn abort_reason(&self) -> Option<String> {
        let stopped = |outcome| matches!(outcome, Outcome::Aborted | Outcome::NotRestored);
        let by_person = self.rolled_back().and_then(|r| r.data.reason.as_ref());
        let experiment = self.experiment.as_ref();
        let experiment = experiment.filter(|r| stopped(r.data.outcome));
        let by_run = experiment.and_then(|r| r.data.reason.as_ref());
        let reason = by_person.or(by_run).or_else(|| self.abort_event());
        reason.map(|reason| line(reason))
    }

    /// What the rollback says of itself.
    pub(super) fn rollback_status(&self) -> Option<String> {
        let record = self.rolled_back()?;
        let verdict = record.verdict.map_or("unknown", Verdict::word);
        Some(format!("rollback {verdict}: {}", line(&record.summary)))
    }

    fn abort_event(&self) -> Option<&String> {
        let mut events = self.events.iter().rev();
        let event = events.find(|record| record.data.event == EventKind::Abort);
        event.map(|record| &record.summary)
    }
}
