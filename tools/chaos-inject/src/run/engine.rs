//! The engine: from the first look to the last judgement of a run whose intent is durable. Whatever
//! happens between the first write and the end, the changes are undone and their undo is watched.

use std::time::Duration;

use chaos_common::record::{Change, Check, EventKind, Outcome, Plan, Status, Time};
use tokio::time::{Instant, sleep, sleep_until};

use crate::abort::{self, Abort, AbortSignal};
use crate::change::apply::{self, Applied, NotApplied};
use crate::change::decide::Owner;
use crate::context::Context;
use crate::observe::probes::FaultSpan;
use crate::observe::{self, Observations, Observers, availability, contenders};
use crate::run::experiment::{
    AppliedChange, Effect, Experiment, Injection, Recovery, RunningExperiment,
};
use crate::run::guarded::Guarded;
use crate::run::losses;
use crate::run::probe_pods::End;
use crate::run::record::RunRecord;
use crate::run::undoing;
use crate::safety::claims;

/// How long a write of the fault is tried. A fault that comes late is not worth much.
const INJECT: Duration = Duration::from_secs(15);

/// An experiment between its intent and its record.
pub struct Run<'a> {
    pub context: &'a mut Context,
    pub experiment: &'a dyn Experiment,
    pub plan: &'a Plan,
    pub guarded: Guarded,
    pub alarm: AbortSignal,
    pub abort: Abort,
    pub record: RunRecord,
    /// Every change is undone, though perhaps not everything is at its steady state.
    pub undone: bool,
    /// When the fault was over: see [`FaultSpan`].
    pub over: Option<Instant>,
}

/// What came of the writes of the fault.
#[derive(Debug, Default)]
struct Writes {
    /// Nothing if no write was sent.
    injection: Option<Injection>,
    /// Why it stopped half-way.
    stopped: Option<String>,
    /// A call may still be on its way.
    uncertain: bool,
}

impl Run<'_> {
    /// Makes what the fault is proven by, and takes it away in the end. Between the two, from the
    /// observers to the last judgement: prepare, inject, prove, hold, roll back, await the
    /// steady state, judge. Gives how it ended, and why, where it did not complete.
    pub async fn carry_out(&mut self, consented: Instant) -> End {
        let end = match self.make_probe_pods().await {
            Ok(()) => self.break_and_mend(consented).await,
            Err(end) => end,
        };
        self.take_probe_pods_away(end).await
    }

    async fn break_and_mend(&mut self, consented: Instant) -> End {
        let blind = self.experiment.blinds_monitoring();
        let intent = &self.guarded.intent;
        let told = (&self.alarm, blind);
        let mut watching = Observers::start(self.context, self.plan, intent, told).await;
        let mut running = match self.experiment.prepare(self.context, self.plan).await {
            Ok(running) => running,
            Err(error) => {
                let why = format!("{error:#}");
                let reason = format!("it could not be observed: {why}");
                let check = Check::unknown("plan.observable", "", why);
                self.record.checks.push(check);
                return (Outcome::Refused, Some(reason));
            }
        };
        let warm_up = Instant::now();
        self.pause(self.context.config.experiment.warm_up.0).await;
        self.record.timings.warm_up_ms = Some(ms(warm_up.elapsed()));
        if let Some(why) = abort::reason(&self.abort) {
            return (Outcome::Aborted, Some(why));
        }
        let Writes {
            injection,
            stopped,
            uncertain,
        } = self.inject().await;
        let mut recovery = Recovery::SteadyState;
        let mut effect = None;
        if let Some(injection) = &injection {
            self.record.injected = Some(injection.began_at);
            let to_first_write = injection.began.duration_since(consented);
            self.record.timings.to_first_write_ms = Some(ms(to_first_write));
            if stopped.is_none() {
                effect = self.hold(running.as_mut(), injection).await;
            }
            recovery = self.roll_back(running.as_mut(), injection, uncertain).await;
            recovery = self.look_for_losses(injection, recovery).await;
            let whole = recovery == Recovery::SteadyState;
            if whole && stopped.is_none() && abort::reason(&self.abort).is_none() {
                let wait = self.context.config.experiment.alert_wait.0;
                let until = injection.began + wait;
                watching
                    .alerts(&self.plan.alerts, injection.began, until)
                    .await;
            }
        }
        let fault = injection.as_ref().map(|injection| FaultSpan {
            began: injection.began,
            over: self.over.unwrap_or_else(Instant::now),
        });
        let seen = watching.stop(self.plan, fault).await;
        if let Some(injection) = &injection {
            self.judge(running.as_ref(), injection, effect, &seen);
        }
        self.record.recoveries = running.recoveries();
        self.record.seen = seen;
        self.conclude(recovery, stopped)
    }

    /// How it ended, told to whoever is needed now.
    fn conclude(&mut self, recovery: Recovery, stopped: Option<String>) -> End {
        let stopped = stopped.or_else(|| abort::reason(&self.abort));
        let end = match (recovery, stopped) {
            (Recovery::NotRecovered { what, hint }, _) => {
                let stream = &mut self.context.stream;
                stream.progress(&format!("NOT RESTORED: {what}"));
                stream.progress(&format!("a person is needed now; type: {hint}"));
                self.context.issues.push(format!("not restored: {what}"));
                (Outcome::NotRestored, Some(what))
            }
            (Recovery::Unseen(what), stopped) => {
                let id = format!("{}.restored", self.plan.experiment);
                let message = format!("the fault is undone, and its end was not seen: {what}");
                self.context
                    .issue(EventKind::Observed, None, message.clone());
                self.record
                    .checks
                    .push(Check::unknown(&id, "", message.clone()));
                // It may have been seen before, and is not known to have lasted.
                self.record.restored = None;
                ended(stopped.map(|why| format!("{why}; {message}")))
            }
            (Recovery::SteadyState, stopped) => ended(stopped),
        };
        let checks = self.record.checks.iter();
        for check in checks.filter(|check| check.status == Status::Fail) {
            let issue = format!("{}: {}", check.id, check.message);
            self.context.issues.push(issue);
        }
        end
    }

    /// Applies the changes, one after the other, up to the first that can't be applied.
    async fn inject(&mut self) -> Writes {
        let mut writes = Writes::default();
        let plan = self.plan;
        for (n, change) in plan.changes.iter().enumerate() {
            let stop = match abort::reason(&self.abort) {
                Some(why) => Some((why, None)),
                None => match self.apply(change).await {
                    Ok(call) => {
                        self.note(&mut writes, change, call);
                        let object = Some(change.object().to_string());
                        let summary = in_words(change);
                        self.context.action(EventKind::Injected, object, summary);
                        None
                    }
                    Err(NotApplied { why, maybe_applied }) => Some((why, maybe_applied)),
                },
            };
            let Some((why, maybe_applied)) = stop else {
                continue;
            };
            let mut skipped = &plan.changes[n..];
            // Not answered: it may have been carried out, and is treated as if it had been.
            if let Some(sent) = maybe_applied {
                let accepted = Instant::now();
                let call = Applied {
                    sent,
                    accepted,
                    uncertain: true,
                };
                self.note(&mut writes, change, call);
                skipped = &plan.changes[n + 1..];
            }
            if let Some(injection) = &mut writes.injection {
                injection.skipped = skipped.to_vec();
            }
            let object = Some(change.object().to_string());
            self.context.issue(EventKind::Abort, object, why.clone());
            writes.stopped = Some(why);
            break;
        }
        writes
    }

    pub(super) async fn apply(&self, change: &Change) -> Result<Applied, NotApplied> {
        let nobody = Owner {
            name: String::new(),
            uid: String::new(),
        };
        let namespace = change.object().namespace.as_ref();
        let owner = namespace.and_then(|namespace| self.guarded.owners.get(namespace));
        apply::apply(
            &self.context.cluster,
            change,
            &self.guarded.intent.run,
            owner.unwrap_or(&nobody),
            Instant::now() + INJECT,
        )
        .await
    }

    /// A change was applied, or may have been.
    fn note(&mut self, writes: &mut Writes, change: &Change, call: Applied) {
        writes.uncertain |= call.uncertain;
        self.context.injected.get_or_insert(call.sent);
        let injection = writes.injection.get_or_insert_with(|| Injection {
            began: call.sent,
            began_at: Time::now(),
            applied: Vec::new(),
            skipped: Vec::new(),
        });
        injection.applied.push(AppliedChange {
            change: change.clone(),
            call,
        });
    }

    /// While the fault is on: its effect is proven, then it stays for its time, unless somebody
    /// stops it. Gives nothing if it was stopped before that was known.
    async fn hold(
        &mut self,
        running: &mut dyn RunningExperiment,
        injection: &Injection,
    ) -> Option<Effect> {
        let until = injection.began + Duration::from_millis(self.plan.hold_ms);
        // An abort does not wait for a proof: the fault goes first.
        let effect = tokio::select! {
            effect = running.prove_effect(self.context, injection) => effect,
            () = abort::raised(&mut self.abort) => return None,
        };
        match &effect {
            Effect::NotSeen(why) => {
                let summary = format!("no effect: {why}");
                self.context.issue(EventKind::Observed, None, summary);
                return Some(effect);
            }
            Effect::Proven(message) => {
                self.record.timings.to_effect_ms = Some(ms(injection.began.elapsed()));
                self.context.event(EventKind::Effect, None, message.clone());
            }
            Effect::KnownAfterwards => {}
        }
        tokio::select! {
            () = sleep_until(until) => {}
            () = abort::raised(&mut self.abort) => {}
        }
        if abort::reason(&self.abort).is_none() {
            running.before_rollback(self.context, injection).await;
            self.look_for_contenders(injection).await;
        }
        Some(effect)
    }

    /// `NAME.lasting`: who has set the fault back while it was to be on.
    async fn look_for_contenders(&mut self, injection: &Injection) {
        let id = format!("{}.lasting", self.plan.experiment);
        let found = contenders::look(&self.context.cluster, injection, &id).await;
        for check in &found {
            let (object, said) = (check.object.clone(), check.message.clone());
            self.context.issue(EventKind::Observed, object, said);
        }
        self.record.checks.extend(found);
    }

    /// Undoes the changes, and watches until everything is at its steady state and stays there.
    async fn roll_back(
        &mut self,
        running: &mut dyn RunningExperiment,
        injection: &Injection,
        uncertain: bool,
    ) -> Recovery {
        if let Some(why) = abort::reason(&self.abort) {
            let summary = format!("{why}: the fault is undone now");
            self.context.issue(EventKind::Abort, None, summary);
        }
        let start = Instant::now();
        let is_written = |change: &Change| !matches!(change, Change::Delete { .. });
        if self.plan.changes.iter().any(is_written) {
            self.over = Some(start);
        }
        // The probe pods have to see that it is over.
        let fault = self.guarded.intent.part(&self.plan.changes);
        let (undone, refused) = undoing::undo(self.context, &fault, uncertain).await;
        self.record.timings.undo_ms = Some(ms(start.elapsed()));
        for text in undone.actions {
            self.context.action(EventKind::Undo, None, text);
        }
        for text in undone.notes {
            self.context.issue(EventKind::Observed, None, text);
        }
        // Whoever set it: the workload is not as it was.
        let id = format!("{}.as-before", self.plan.experiment);
        let less = undone.less.into_iter();
        self.record
            .checks
            .extend(less.map(|why| Check::fail(&id, "", why)));
        if !undone.failed.is_empty() {
            return Recovery::NotRecovered {
                what: undone.failed.join("; "),
                hint: "chaos-inject recover".to_owned(),
            };
        }
        self.undone = true;
        if let Some(why) = refused {
            let took = (start.elapsed(), injection.began.elapsed());
            self.record
                .checks
                .push(undoing::late(self.plan, &why, took));
        }
        let recovery = running
            .await_steady_state(self.context, injection, &mut self.abort)
            .await;
        self.over.get_or_insert_with(Instant::now);
        if recovery != Recovery::SteadyState {
            return recovery;
        }
        self.record.timings.whole_ms = Some(ms(start.elapsed()));
        self.record.restored = Some(Time::now());
        let summary = "everything that was hit is at its steady state again";
        self.context.action(EventKind::Restored, None, summary);
        self.pause(self.context.config.experiment.settle.0).await;
        // What had come back may have gone again meanwhile.
        running
            .confirm_steady_state(self.context, &mut self.abort)
            .await
    }

    /// What the pods held and is not there any more. Claims that nobody accepted to be lost are part
    /// of what has to be restored.
    async fn look_for_losses(&mut self, injection: &Injection, recovery: Recovery) -> Recovery {
        let claims = claims::look(&self.context.cluster, &self.plan.claims).await;
        let lost = losses::judge(self.plan, injection, &claims);
        for loss in &lost.losses {
            let summary = format!("lost: {}", loss.message);
            self.context
                .issue(EventKind::Observed, Some(loss.name.clone()), summary);
        }
        self.record.checks.extend(lost.checks);
        self.record.losses = lost.losses;
        match (recovery, lost.unaccepted) {
            (Recovery::SteadyState | Recovery::Unseen(_), Some(what)) => Recovery::NotRecovered {
                what,
                hint:
                    "kubectl get persistentvolumeclaims,persistentvolumes, then restore the data \
                       from its backup, then chaos-inject recover"
                        .to_owned(),
            },
            (Recovery::NotRecovered { what, hint }, Some(lost)) => Recovery::NotRecovered {
                what: format!("{what}; {lost}"),
                hint,
            },
            (recovery, None) => recovery,
        }
    }

    /// Judges effect, criteria, availability and alerts. `effect` is absent if the fault was
    /// stopped before its effect was known.
    fn judge(
        &mut self,
        running: &dyn RunningExperiment,
        injection: &Injection,
        effect: Option<Effect>,
        seen: &Observations,
    ) {
        let effect = match effect {
            Some(Effect::KnownAfterwards) | None => running.effect_afterwards(),
            Some(effect) => effect,
        };
        let id = format!("{}.effect", self.plan.experiment);
        let checks = &mut self.record.checks;
        match &effect {
            Effect::Proven(how) => checks.push(Check::pass(&id, "", how.clone())),
            Effect::NotSeen(why) => {
                checks.push(Check::unknown(&id, "", format!("no effect: {why}")));
            }
            Effect::KnownAfterwards => {
                checks.push(Check::unknown(
                    &id,
                    "",
                    "whether it had an effect was not seen",
                ));
            }
        }
        checks.extend(running.judge(self.context, injection, seen));
        self.judge_availability(seen);
        // An alert proves nothing where there was nothing, or too little time, to alert on.
        let excused =
            if matches!(effect, Effect::NotSeen(_)) || abort::reason(&self.abort).is_some() {
                "but the fault had no time or no effect"
            } else {
                ""
            };
        for check in &seen.alert_checks {
            let mut check = check.clone();
            if check.status == Status::Fail && !excused.is_empty() {
                check.status = Status::Unknown;
                check.message = format!("{}, {excused}", check.message);
            }
            self.record.checks.push(check);
        }
    }

    fn judge_availability(&mut self, seen: &Observations) {
        let id = observe::available(&self.plan.experiment);
        let least = self.context.config.experiment.min_availability_percent;
        let judged = seen.services.iter();
        let judged = judged.map(|one| availability::judge(&id, one, least));
        self.record.checks.extend(judged);
        self.record.checks.extend(seen.unasked.iter().cloned());
        self.record.checks.extend(seen.probe_checks.iter().cloned());
    }

    async fn pause(&mut self, time: Duration) {
        tokio::select! {
            () = sleep(time) => {}
            () = abort::raised(&mut self.abort) => {}
        }
    }
}

/// How a run ended whose fault is undone.
fn ended(stopped: Option<String>) -> End {
    let outcome = match stopped {
        Some(_) => Outcome::Aborted,
        None => Outcome::Completed,
    };
    (outcome, stopped)
}

/// That a change was made.
fn in_words(change: &Change) -> String {
    let object = change.object();
    match change {
        Change::Patch {
            field,
            original,
            faulted,
            ..
        } => {
            format!(
                "set {} of {object} from {original} to {faulted}",
                crate::change::fields::path(field)
            )
        }
        Change::Create { .. } => format!("made {object}"),
        Change::Delete { .. } => {
            format!(
                "deleted {object} (uid {})",
                object.uid.as_deref().unwrap_or_default()
            )
        }
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
