//! What all experiments share: plan, gates, consent, intent, guardian, the writes, their undo, the
//! record.

pub mod fault;
pub mod gates;
pub mod record;

use std::collections::BTreeMap;
use std::time::Duration;

use chaos_common::exit::Exit;
use chaos_common::record::{Change, Check, EventKind, Outcome, Plan, Status, Time, Verdict};
use tokio::time::{Instant, sleep};

use crate::abort::{self, Abort, AbortSignal};
use crate::change::apply::{self, NotApplied};
use crate::change::decide::Owner;
use crate::context::Context;
use crate::observe::Watching;
use crate::observe::availability;
use crate::run::fault::{End, Fault};
use crate::run::gates::Consent;
use crate::run::record::{Story, executor};
use crate::safety::guardian::Guardian;
use crate::safety::intent::{DeclareError, Intent};
use crate::safety::journal::{self, Journal};
use crate::safety::rollback::roll_back;

/// How long a write of the fault is tried. A fault that comes late is not worth much.
const INJECT: Duration = Duration::from_secs(15);

/// Shows what an experiment would do.
pub async fn plan(context: &mut Context, fault: &dyn Fault) -> Exit {
    match fault.plan(context).await {
        Ok(plan) => {
            let verdict = Verdict::of(&plan.checks);
            let exit = match verdict {
                Verdict::Pass => Exit::Pass,
                Verdict::Fail => Exit::Refused,
                Verdict::Unknown => Exit::Unknown,
            };
            let summary = plan_summary(&plan);
            context.stream.result(verdict, summary, plan, exit)
        }
        Err(error) => {
            let mut story = Story::begin(fault.name());
            story.checks.push(error.check("plan.readable", ""));
            story.end(
                context,
                Outcome::Refused,
                Some(error.to_string()),
                Exit::Unknown,
            )
        }
    }
}

fn plan_summary(plan: &Plan) -> String {
    let names: Vec<&str> = plan
        .targets
        .iter()
        .map(|target| target.name.as_str())
        .collect();
    let what = if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    };
    match plan.checks.iter().find(|check| check.is_bad()) {
        None => format!("{} would hit {what}", plan.experiment),
        Some(check) => {
            format!(
                "{} may not run: {} {}: {}",
                plan.experiment,
                check.id,
                check.status.word(),
                check.message
            )
        }
    }
}

/// Runs an experiment from its gates to its record.
pub async fn run(context: &mut Context, mut fault: Box<dyn Fault>, given: &Consent) -> Exit {
    let mut story = Story::begin(fault.name());
    let plan = match fault.plan(context).await {
        Ok(plan) => plan,
        Err(error) => {
            story.checks.push(error.check("plan.readable", ""));
            let reason = Some(error.to_string());
            context.stream.progress(&error.to_string());
            return story.end(context, Outcome::Refused, reason, Exit::Unknown);
        }
    };
    context
        .stream
        .add(Verdict::of(&plan.checks), plan_summary(&plan), plan.clone());
    story.plan = Some(plan.clone());
    story.checks.clone_from(&plan.checks);
    let at_stake = match fault.data_at_stake(context, &plan).await {
        Ok(at_stake) => at_stake,
        Err(error) => {
            story.checks.push(error.check("gate.backup", ""));
            true
        }
    };
    let overridden = given.reason.is_some();
    let upstream = &context.stream.upstream;
    let gates = gates::judge(
        upstream,
        &plan.cluster,
        &context.namespace,
        at_stake,
        &context.config.limits,
        overridden,
        Time::now(),
    );
    if gates
        .iter()
        .any(|gate| gate.message.starts_with("overridden: "))
    {
        story.overridden.clone_from(&given.reason);
    }
    story.checks.extend(gates);
    let closed = |checks: &[Check]| checks.iter().any(Check::is_bad);
    if closed(&story.checks) {
        return story.refuse(context);
    }
    let question = format!("{} on {}.", plan_summary(&plan), plan.cluster.server);
    story.checks.push(gates::consent(given, &question));
    if closed(&story.checks) {
        return story.refuse(context);
    }
    let consented = Instant::now();
    // From here on, a signal asks for an orderly end.
    let (alarm, abort) = AbortSignal::new();
    alarm.on_signals();
    match Guarded::declare(context, &plan, &alarm).await {
        Ok(guarded) => {
            let fault = fault.as_mut();
            let mut run = Run {
                context,
                fault,
                plan: &plan,
                guarded,
                alarm,
                abort,
                story,
                taken_back: false,
            };
            let (outcome, reason) = run.carry_out(consented).await;
            let Run {
                story,
                guarded,
                taken_back,
                ..
            } = run;
            guarded.end(context, outcome, taken_back).await;
            story.end(context, outcome, reason, Exit::Pass)
        }
        Err(check) => {
            story.checks.push(check);
            story.refuse(context)
        }
    }
}

/// A run whose intent is durable, and which is guarded.
struct Guarded {
    intent: Intent,
    owners: BTreeMap<String, Owner>,
    guardian: Guardian,
}

impl Guarded {
    /// Makes the intent durable, in the local journal and in the cluster, and starts the guardian
    /// between the two: what is written to the cluster from then on does not stay.
    async fn declare(
        context: &mut Context,
        plan: &Plan,
        alarm: &AbortSignal,
    ) -> Result<Guarded, Check> {
        let advice = "what will be undone must be on the disk before anything is broken; make room, or set XDG_STATE_HOME";
        let intent = Intent::of(
            plan,
            &context.run,
            &executor(),
            context.config.experiment.undo_limit.0,
        );
        let opened = journal::folder().and_then(|folder| {
            let failed = |error| format!("cannot write a journal in {}: {error}", folder.display());
            let mut journal = Journal::create(&folder, &intent.run).map_err(failed)?;
            journal
                .write(&serde_json::json!({ "intent": intent, "plan": plan }))
                .map_err(failed)?;
            Ok(journal)
        });
        let journal = opened.map_err(|why| Check::fail("intent.journal", "", why).hint(advice))?;
        let path = journal.path().to_owned();
        context.journal = Some(journal);
        let guardian = Guardian::start(&intent, &path, &context.access, alarm)
            .await
            .map_err(|why| Check::fail("intent.guardian", "", why))?;
        match intent.declare(&context.cluster).await {
            Ok(owners) => {
                context.event(
                    EventKind::Intent,
                    None,
                    "the intent is durable: in the journal and in the cluster",
                );
                Ok(Guarded {
                    intent,
                    owners,
                    guardian,
                })
            }
            Err(why) => {
                guardian.dismiss().await;
                let id = match why {
                    DeclareError::Conflict { .. } => "limit.lock",
                    DeclareError::Write { .. } | DeclareError::LeftLeases { .. } => {
                        "intent.cluster"
                    }
                };
                Err(Check::fail(id, "", why.to_string()))
            }
        }
    }

    /// The run is over. What is not restored stays locked, so that nobody breaks it further; while
    /// something is still to be `taken_back`, the guardian goes on trying.
    async fn end(self, context: &mut Context, outcome: Outcome, taken_back: bool) {
        if outcome == Outcome::NotRestored {
            if taken_back {
                self.guardian.dismiss().await;
            } else {
                self.guardian.leave();
            }
            return;
        }
        if let Err(left) = self.intent.release(&context.cluster).await {
            context.issue(
                EventKind::Observed,
                None,
                format!("the lock is still in the cluster: {left}"),
            );
        }
        self.guardian.dismiss().await;
    }
}

/// An experiment between its intent and its record.
struct Run<'a> {
    context: &'a mut Context,
    fault: &'a mut dyn Fault,
    plan: &'a Plan,
    guarded: Guarded,
    alarm: AbortSignal,
    abort: Abort,
    story: Story,
    /// Every change is taken back, though perhaps not everything is whole.
    taken_back: bool,
}

impl Run<'_> {
    async fn carry_out(&mut self, consented: Instant) -> (Outcome, Option<String>) {
        let settings = self.context.config.experiment.clone();
        let blind = self.fault.blinds_monitoring();
        let mut watching = Watching::start(
            self.context,
            self.plan,
            &self.guarded.intent,
            &self.alarm,
            blind,
        );
        if let Err(why) = self.fault.prepare(self.context, self.plan).await {
            let reason = format!("it could not be observed: {why}");
            self.story
                .checks
                .push(Check::unknown("plan.observable", "", why));
            return (Outcome::Refused, Some(reason));
        }
        let warm_up = Instant::now();
        self.pause(settings.warm_up.0).await;
        self.story.timings.warm_up_ms = Some(ms(warm_up.elapsed()));
        if let Some(why) = abort::reason(&self.abort) {
            return (Outcome::Aborted, Some(why));
        }
        let time = Time::now();
        let (mut stopped, uncertain) = self.inject().await;
        let injected = self.context.injected;
        let mut end = End::Restored;
        if let Some(injected) = injected {
            self.story.injected = Some(time);
            self.story.timings.to_first_write_ms = Some(ms(injected.duration_since(consented)));
            if stopped.is_none() {
                self.hold(injected).await;
            }
            end = self.undo(uncertain).await;
            if end == End::Restored {
                self.pause(settings.settle.0).await;
                // What had come back may have gone again meanwhile.
                end = self
                    .fault
                    .restored(self.context, self.plan, &mut self.abort)
                    .await;
            }
            if end == End::Restored && stopped.is_none() && abort::reason(&self.abort).is_none() {
                watching
                    .alerts(
                        &self.plan.alerts,
                        injected,
                        injected + settings.alert_wait.0,
                    )
                    .await;
            }
        }
        let seen = watching.stop(self.plan, injected).await;
        if injected.is_some() {
            self.judge(&seen);
        }
        self.story.recoveries = self.fault.recoveries();
        self.story.seen = seen;
        stopped = stopped.or_else(|| abort::reason(&self.abort));
        let (outcome, reason) = match (end, stopped) {
            (End::NotRestored { what, hint }, _) => {
                self.context
                    .stream
                    .progress(&format!("NOT RESTORED: {what}"));
                self.context
                    .stream
                    .progress(&format!("a person is needed now; type: {hint}"));
                self.context.issues.push(format!("not restored: {what}"));
                (Outcome::NotRestored, Some(what))
            }
            (End::Restored, Some(why)) => (Outcome::Aborted, Some(why)),
            (End::Restored, None) => (Outcome::Completed, None),
        };
        for check in self
            .story
            .checks
            .iter()
            .filter(|check| check.status == Status::Fail)
        {
            self.context
                .issues
                .push(format!("{}: {}", check.id, check.message));
        }
        (outcome, reason)
    }

    /// Makes the changes, one after the other. Gives why it stopped half-way, and whether a call
    /// may still be on its way.
    async fn inject(&mut self) -> (Option<String>, bool) {
        let mut uncertain = false;
        let intent = &self.guarded.intent;
        let changes: &[Change] = &self.plan.changes;
        for (n, change) in changes.iter().enumerate() {
            let object = change.object();
            let nobody = Owner {
                name: String::new(),
                uid: String::new(),
            };
            let owner = object
                .namespace
                .as_ref()
                .and_then(|namespace| self.guarded.owners.get(namespace));
            let deadline = Instant::now() + INJECT;
            let cluster = self.context.cluster.clone();
            let making = apply::apply(
                &cluster,
                change,
                &intent.run,
                owner.unwrap_or(&nobody),
                deadline,
            );
            let stop = match abort::reason(&self.abort) {
                Some(why) => Some(why),
                None => match making.await {
                    Ok(made) => {
                        uncertain |= made.uncertain;
                        self.context.injected.get_or_insert(made.sent);
                        self.fault.made(change, made);
                        self.context.action(
                            EventKind::Injected,
                            Some(object.to_string()),
                            in_words(change),
                        );
                        None
                    }
                    Err(NotApplied { why, maybe_applied }) => {
                        if let Some(sent) = maybe_applied {
                            uncertain = true;
                            self.context.injected.get_or_insert(sent);
                            let made = apply::Applied {
                                sent,
                                accepted: Instant::now(),
                                uncertain,
                            };
                            self.fault.made(change, made);
                        } else {
                            self.fault.spared(change);
                        }
                        Some(why)
                    }
                },
            };
            if let Some(why) = stop {
                for change in &changes[n + 1..] {
                    self.fault.spared(change);
                }
                self.context
                    .issue(EventKind::Abort, Some(object.to_string()), why.clone());
                return (Some(why), uncertain);
            }
        }
        (None, uncertain)
    }

    /// While the fault is on: its effect is proven, then it stays for its time, unless somebody
    /// stops it.
    async fn hold(&mut self, injected: Instant) {
        let until = injected + Duration::from_millis(self.plan.hold_ms);
        let effect = tokio::select! {
            effect = self.fault.effect(self.context, self.plan) => effect,
            () = abort::raised(&mut self.abort) => Ok(None),
        };
        let id = format!("{}.effect", self.plan.experiment);
        match effect {
            Ok(message) => {
                if let Some(message) = message {
                    self.story.timings.to_effect_ms = Some(ms(injected.elapsed()));
                    self.context.event(EventKind::Effect, None, message.clone());
                    self.story.checks.push(Check::pass(&id, "", message));
                }
                tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = abort::raised(&mut self.abort) => {}
                }
                if abort::reason(&self.abort).is_none() {
                    self.fault.before_undo(self.context, self.plan).await;
                }
            }
            Err(why) => {
                self.context
                    .issue(EventKind::Observed, None, format!("no effect: {why}"));
                self.story
                    .checks
                    .push(Check::unknown(&id, "", format!("no effect: {why}")));
            }
        }
    }

    /// Takes the fault back, and watches until everything is whole.
    async fn undo(&mut self, uncertain: bool) -> End {
        if let Some(why) = abort::reason(&self.abort) {
            self.context.issue(
                EventKind::Abort,
                None,
                format!("{why}: the fault is undone now"),
            );
        }
        let start = Instant::now();
        let undone = roll_back(&self.context.cluster, &self.guarded.intent, uncertain).await;
        self.story.timings.undo_ms = Some(ms(start.elapsed()));
        for text in undone.actions {
            self.context.action(EventKind::Undo, None, text);
        }
        for text in undone.notes {
            self.context.issue(EventKind::Observed, None, text);
        }
        if !undone.failed.is_empty() {
            let hint = "chaos-inject recover".to_owned();
            return End::NotRestored {
                what: undone.failed.join("; "),
                hint,
            };
        }
        self.taken_back = true;
        let end = self
            .fault
            .restored(self.context, self.plan, &mut self.abort)
            .await;
        if end == End::Restored {
            self.story.timings.whole_ms = Some(ms(start.elapsed()));
            self.story.restored = Some(Time::now());
            self.context.action(
                EventKind::Restored,
                None,
                "everything that was hit is whole again",
            );
        }
        end
    }

    fn judge(&mut self, seen: &crate::observe::Seen) {
        let (context, plan) = (&*self.context, self.plan);
        self.story
            .checks
            .extend(self.fault.judge(context, plan, seen));
        let id = format!("{}.available", plan.experiment);
        let least = context.config.experiment.min_availability_percent;
        for service in &seen.services {
            let one = &service.availability;
            self.story
                .checks
                .push(if plan.affected.contains(&one.service) {
                    let message = format!(
                        "expected to suffer: {:.2} % of {} questions answered",
                        one.percent, one.requests
                    );
                    Check::skipped(&id, format!("service/{}", one.service), message)
                        .from_vantage(&one.vantage)
                } else {
                    availability::judge(&id, one, least)
                });
        }
        let no_effect = self
            .story
            .checks
            .iter()
            .any(|check| check.id.ends_with(".effect") && check.is_bad());
        let aborted = abort::reason(&self.abort).is_some();
        for check in &seen.alert_checks {
            self.story
                .checks
                .push(if check.status == Status::Fail && (no_effect || aborted) {
                    let message =
                        format!("{}, but the fault had no time or no effect", check.message);
                    Check {
                        status: Status::Unknown,
                        message,
                        ..check.clone()
                    }
                } else {
                    check.clone()
                });
        }
    }

    async fn pause(&mut self, time: Duration) {
        tokio::select! {
            () = sleep(time) => {}
            () = abort::raised(&mut self.abort) => {}
        }
    }
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
