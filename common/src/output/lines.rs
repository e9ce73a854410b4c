//! What a person at a terminal reads of each record besides its checks.

use super::charts;
use crate::record::{
    Backup, Baseline, Data, Event, Experiment, Health, Load, Note, Notification, Plan, Report,
    Rollback, Verification,
};

/// The most findings and steps of a report that are shown: all of it fits one screen.
const FINDINGS: usize = 6;
const STEPS: usize = 4;

/// A record's data as text.
pub trait Lines: Data {
    /// Lines besides the checks; none, for most kinds.
    fn lines(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Lines for Health {}

impl Lines for Backup {}

impl Lines for Notification {}

impl Lines for Event {}

impl Lines for Plan {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "experiment    {} in namespace {} of {}",
            self.experiment, self.namespace, self.cluster.server
        )];
        lines.extend(self.targets.iter().map(|t| {
            format!(
                "target        {}/{} (uid {}, {})",
                t.kind.to_lowercase(),
                t.name,
                t.uid,
                t.owner
            )
        }));
        lines.extend(
            self.calls
                .iter()
                .map(|c| format!("call          {} {}", c.method, c.path)),
        );
        lines.extend(self.blast_radius.iter().map(|b| {
            format!(
                "blast radius  {}: {} of {} ready pods hit, {} left",
                b.workload, b.hit, b.ready, b.left
            )
        }));
        if self.hold_ms > 0 {
            lines.push(format!(
                "duration      the fault stays for {} s",
                self.hold_ms / 1000
            ));
        }
        lines.push(format!("undo          {}", self.undo));
        lines.extend(
            self.undo_commands
                .iter()
                .map(|c| format!("              {c}")),
        );
        lines.push(format!(
            "worst case    steady state after {} s",
            self.worst_case_ms / 1000
        ));
        lines.extend(
            self.digest
                .iter()
                .map(|digest| format!("digest        {digest}")),
        );
        lines.extend(self.permissions.iter().map(|p| {
            let held = if p.allowed { "held" } else { "MISSING" };
            format!("permission    {} {} ({held})", p.verb, p.resource)
        }));
        lines
    }
}

impl Lines for Experiment {
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for r in &self.recoveries {
            lines.push(match r.recovery_ms {
                Some(ms) => format!(
                    "recovery      {} -> {} in {ms:.0} ms (at most {:.0} ms less)",
                    r.deleted.name,
                    r.replacement.as_ref().map_or("?", |p| p.name.as_str()),
                    r.error_bound_ms
                ),
                None => format!("recovery      {}: not seen to recover", r.deleted.name),
            });
        }
        for a in &self.availability {
            lines.push(format!(
                "availability  {}{} {:.2} % of {} requests, longest gap {:.0} ms (by {})",
                a.service, a.path, a.percent, a.requests, a.longest_gap_ms, a.vantage
            ));
        }
        for alert in &self.alerts {
            let when = match alert.fired_ms {
                Some(ms) => format!("fired {:.1} s after the injection", ms / 1000.0),
                None if alert.before => "was firing before".to_owned(),
                None => "stayed silent".to_owned(),
            };
            let expected = if alert.expected {
                "expected"
            } else {
                "not expected"
            };
            lines.push(format!("alert         {} {when} ({expected})", alert.name));
        }
        lines
    }
}

impl Lines for Rollback {
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for run in &self.runs {
            let state = match run.alive {
                Some(true) => "under way",
                Some(false) => "left behind",
                None => "not known to be alive",
            };
            let since = run
                .since
                .map(|time| format!(" since {}", time.human()))
                .unwrap_or_default();
            lines.push(format!(
                "run           {} {} by {}{since}: {state}",
                run.run, run.experiment, run.executor
            ));
            lines.extend(
                run.changes
                    .iter()
                    .map(|change| format!("  holds       {}", change.object())),
            );
        }
        for lock in &self.locks {
            let since = lock
                .since
                .map(|time| format!(" since {}", time.human()))
                .unwrap_or_default();
            lines.push(format!(
                "lock          namespace {} by {}{since}: {}",
                lock.namespace, lock.executor, lock.reason
            ));
        }
        lines.extend(
            self.actions
                .iter()
                .map(|action| format!("action        {action}")),
        );
        lines.extend(
            self.issues
                .iter()
                .map(|issue| format!("issue         {issue}")),
        );
        lines
    }
}

impl Lines for Baseline {
    fn lines(&self) -> Vec<String> {
        self.timings.iter().flat_map(charts::timing).collect()
    }
}

impl Lines for Load {
    fn lines(&self) -> Vec<String> {
        self.timings.iter().flat_map(charts::timing).collect()
    }
}

impl Lines for Verification {
    fn lines(&self) -> Vec<String> {
        self.timings.iter().flat_map(charts::timing).collect()
    }
}

impl Lines for Note {
    fn lines(&self) -> Vec<String> {
        let lessons = self
            .lessons
            .iter()
            .map(|text| format!("lesson        {text}"));
        let better = self.improvements.iter();
        let better = better.map(|text| format!("improvement   {text}"));
        let steps = self.next_steps.iter();
        let steps = steps.map(|step| format!("next step     {} ({})", step.text, step.id));
        let done = self.done.iter().map(|id| format!("done          {id}"));
        lessons.chain(better).chain(steps).chain(done).collect()
    }
}

impl Lines for Report {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("status        {}", self.status)];
        for (name, values, most) in [
            ("found         ", &self.findings, FINDINGS),
            ("next          ", &self.next_steps, STEPS),
        ] {
            lines.extend(
                values
                    .iter()
                    .take(most)
                    .map(|value| format!("{name}{value}")),
            );
            let more = values.len().saturating_sub(most);
            if more > 0 {
                lines.push(format!("              and {more} more, in the report"));
            }
        }
        let files = if self.files.is_empty() {
            std::slice::from_ref(&self.location)
        } else {
            &self.files
        };
        lines.extend(files.iter().map(|file| format!("report        {file}")));
        lines
    }
}
