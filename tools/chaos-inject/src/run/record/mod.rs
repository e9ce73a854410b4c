//! The record of an experiment while it is being made.

pub use chaos_common::executor::executor;
use chaos_common::exit::Exit;
use chaos_common::record::{
    Check, Experiment, Loss, Outcome, Overridden, Plan, PodRecovery, Time, Timings, Verdict,
    summarize,
};
use tokio::time::Instant;

use crate::context::Context;
use crate::observe::Observations;
use crate::safety::journal_entry::Entry;

/// An experiment's record so far.
#[derive(Debug)]
pub struct RunRecord {
    name: &'static str,
    started: Time,
    clock: Instant,
    /// What it would do.
    pub plan: Option<Plan>,
    /// When the first write was sent.
    pub injected: Option<Time>,
    /// When everything that was hit was at its steady state again.
    pub restored: Option<Time>,
    /// What was judged.
    pub checks: Vec<Check>,
    /// The gates that were closed, and overridden.
    pub overridden: Vec<Overridden>,
    /// How quick the tool was.
    pub timings: Timings,
    /// What was watched.
    pub seen: Observations,
    /// How each pod came back.
    pub recoveries: Vec<PodRecovery>,
    /// What is lost.
    pub losses: Vec<Loss>,
}

impl RunRecord {
    /// The record of an experiment that begins now.
    pub fn begin(name: &'static str) -> RunRecord {
        RunRecord {
            name,
            started: Time::now(),
            clock: Instant::now(),
            plan: None,
            injected: None,
            restored: None,
            checks: Vec::new(),
            overridden: Vec::new(),
            timings: Timings::default(),
            seen: Observations::default(),
            recoveries: Vec::new(),
            losses: Vec::new(),
        }
    }

    /// Refused by a gate or a limit: nothing was touched. The status says so even where the stream
    /// holds a failure, since the refusal is the answer to it, and where a limit could not be
    /// judged, since that closes it; only a stream that can't be read at all is unknown.
    pub fn refuse(self, context: &mut Context) -> Exit {
        let closed = self.checks.iter().find(|check| check.is_bad());
        let reason =
            closed.map(|check| format!("{} {}: {}", check.id, check.status.word(), check.message));
        for check in self.checks.iter().filter(|check| check.is_bad()) {
            context.stream.progress(&format!(
                "{} {}: {}",
                check.id,
                check.status.word(),
                check.message
            ));
            if let Some(hint) = &check.hint {
                context.stream.progress(&format!("  hint: {hint}"));
            }
        }
        let broken = context.stream.upstream.broken.is_some();
        let exit = if broken { Exit::Unknown } else { Exit::Refused };
        self.end(context, Outcome::Refused, reason, exit);
        exit
    }

    fn verdict(&self, outcome: Outcome) -> Verdict {
        match outcome {
            Outcome::Completed => Verdict::of(&self.checks),
            Outcome::NotRestored => Verdict::Fail,
            // What was not carried through proves nothing, unless it already failed.
            Outcome::Refused | Outcome::Aborted => Verdict::Unknown,
        }
    }

    /// How it ended, why, and what is lost.
    fn summary(&self, outcome: Outcome, reason: Option<&str>) -> String {
        let lost = in_words(&self.losses);
        let reason = reason.unwrap_or("no reason given");
        let ended = match outcome {
            Outcome::Completed => {
                let (checks, not) = (summarize(&self.checks), self.seen.not_measured());
                format!("completed: {checks}{not}")
            }
            Outcome::Refused => format!("refused, nothing was touched: {reason}"),
            Outcome::Aborted if self.losses.is_empty() => {
                format!("aborted, everything is restored: {reason}")
            }
            Outcome::Aborted => format!("aborted, the fault is undone: {reason}"),
            Outcome::NotRestored => format!("NOT RESTORED: {reason}"),
        };
        format!("{} {ended}{lost}", self.name)
    }

    /// Writes the record.
    pub fn end(
        self,
        context: &mut Context,
        outcome: Outcome,
        reason: Option<String>,
        exit: Exit,
    ) -> Exit {
        let verdict = self.verdict(outcome);
        let summary = self.summary(outcome, reason.as_deref());
        let (targets, affected) = self
            .plan
            .as_ref()
            .map(|plan| (plan.targets.clone(), plan.affected.clone()))
            .unwrap_or_default();
        let record = Experiment {
            experiment: self.name.to_owned(),
            outcome,
            reason,
            cluster: self.plan.as_ref().map(|plan| plan.cluster.clone()),
            namespace: context.namespace.clone(),
            executor: executor(),
            targets,
            affected,
            started: self.started,
            injected: self.injected,
            restored: self.restored.filter(|_| outcome != Outcome::NotRestored),
            ended: Time::now(),
            #[expect(clippy::cast_possible_truncation, reason = "minutes")]
            duration_ms: self.clock.elapsed().as_millis() as u64,
            checks: self.checks,
            recoveries: self.recoveries,
            availability: self
                .seen
                .services
                .into_iter()
                .map(|seen| seen.availability)
                .collect(),
            alerts: self.seen.alerts,
            losses: self.losses,
            timings: self.timings,
            overridden: self.overridden,
            actions: std::mem::take(&mut context.actions),
            issues: std::mem::take(&mut context.issues),
        };
        if let Some(Err(error)) = context.journal.as_mut().map(|journal| {
            let end = Box::new(record.clone());
            journal.free_reserve();
            journal.write(&Entry::Ended { verdict, end })
        }) {
            context.stream.progress(&format!(
                "the record could not be written to the journal: {error}"
            ));
        }
        context.stream.result(
            verdict,
            summary,
            record,
            outcome.exit().unwrap_or(verdict.into()).worst(exit),
        )
    }
}

/// What is lost, for the end of a summary; nothing if nothing is.
fn in_words(losses: &[Loss]) -> String {
    if losses.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = losses.iter().map(|loss| loss.name.as_str()).collect();
    format!("; lost: {}", names.join(", "))
}

#[cfg(test)]
mod tests;
