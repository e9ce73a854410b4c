//! The probe pods of a plan: made before the fault, to prove it by, and taken away when that is
//! done. They are part of the intent, so that whoever undoes the run takes them away as well.

use chaos_common::record::{Check, EventKind, Outcome};

use crate::abort;
use crate::change::apply::NotApplied;
use crate::run::engine::Run;
use crate::run::undoing;

/// How a run ended, and why, where it did not complete.
pub type End = (Outcome, Option<String>);

impl Run<'_> {
    /// Makes them; how the run ends where that fails, which is before the fault.
    pub(super) async fn make_probe_pods(&mut self) -> Result<(), End> {
        let plan = self.plan;
        for change in &plan.probe_pods {
            if let Some(why) = abort::reason(&self.abort) {
                return Err((Outcome::Aborted, Some(why)));
            }
            let object = change.object().to_string();
            if let Err(NotApplied { why, .. }) = self.apply(change).await {
                let check = Check::unknown("plan.observable", object, why.clone());
                self.record.checks.push(check);
                let reason = format!("it could not be observed: {why}");
                return Err((Outcome::Refused, Some(reason)));
            }
            let summary = format!("made {object}, to prove the fault by");
            self.context
                .action(EventKind::Observed, Some(object), summary);
        }
        Ok(())
    }

    /// Takes them away, however the run has ended.
    pub(super) async fn take_probe_pods_away(&mut self, end: End) -> End {
        let plan = self.plan;
        if plan.probe_pods.is_empty() {
            return end;
        }
        let intent = self.guarded.intent.part(&plan.probe_pods);
        let (undone, _) = undoing::undo(self.context, &intent, false).await;
        for text in undone.actions {
            self.context.action(EventKind::Undo, None, text);
        }
        for text in undone.notes {
            self.context.issue(EventKind::Observed, None, text);
        }
        if undone.failed.is_empty() {
            return end;
        }
        self.undone = false;
        let left = undone.failed.join("; ");
        let stream = &mut self.context.stream;
        stream.progress(&format!("NOT RESTORED: {left}"));
        stream.progress("a person is needed now; type: chaos-inject recover");
        self.context.issues.push(format!("not restored: {left}"));
        let why = end.1.map_or(left.clone(), |why| format!("{why}; {left}"));
        (Outcome::NotRestored, Some(why))
    }
}
