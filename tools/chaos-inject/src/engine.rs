//! What all experiments share: plan, gates, consent, intent, probes, the fault, its undo, the record.

use std::os::unix::fs::MetadataExt;

use chaos_common::exit::Exit;
use chaos_common::health::services::endpoint;
use chaos_common::record::{
    Availability, Check, EventKind, Experiment, Outcome, Plan, PodRecovery, Status, Time, Verdict, summarize,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::availability::Probe;
use crate::context::Context;
use crate::fault::{Abort, End, Fault};
use crate::gates::{self, Consent};
use crate::intent::{Intent, NoIntent};
use crate::journal::{self, Journal};

/// Shows what an experiment would do.
pub async fn plan<F: Fault>(context: &mut Context, fault: &F) -> Exit {
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
            let mut story = Story::begin(F::NAME);
            story.checks.push(error.check("plan.readable", ""));
            story.end(context, Outcome::Refused, Some(error.to_string()), Exit::Unknown)
        }
    }
}

fn plan_summary(plan: &Plan) -> String {
    let names: Vec<&str> = plan.targets.iter().map(|target| target.name.as_str()).collect();
    let what = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    match plan.checks.iter().find(|check| matches!(check.status, Status::Fail | Status::Unknown)) {
        None => format!("{} would hit {what}", plan.experiment),
        Some(check) => {
            format!("{} may not run: {} {}: {}", plan.experiment, check.id, check.status.word(), check.message)
        }
    }
}

/// The record of an experiment while it is being made.
struct Story {
    name: &'static str,
    started: Time,
    clock: Instant,
    plan: Option<Plan>,
    injected: Option<Time>,
    checks: Vec<Check>,
    overridden: Option<String>,
}

impl Story {
    fn begin(name: &'static str) -> Story {
        Story {
            name,
            started: Time::now(),
            clock: Instant::now(),
            plan: None,
            injected: None,
            checks: Vec::new(),
            overridden: None,
        }
    }

    /// Ends without having touched anything, or with nothing left to observe.
    fn end(self, context: &mut Context, outcome: Outcome, reason: Option<String>, exit: Exit) -> Exit {
        self.finish(context, outcome, reason, exit, Vec::new(), Vec::new())
    }

    /// Refused by a gate or a limit: nothing was touched. The status says so even where the stream
    /// holds a failure, since the refusal is the answer to it; only a stream that can't be read at
    /// all, or a limit that could not be judged, is unknown.
    fn refuse(self, context: &mut Context) -> Exit {
        let closed = self.checks.iter().find(|check| matches!(check.status, Status::Fail | Status::Unknown));
        let reason = closed.map(|check| format!("{} {}: {}", check.id, check.status.word(), check.message));
        for check in self.checks.iter().filter(|check| matches!(check.status, Status::Fail | Status::Unknown)) {
            context.stream.progress(&format!("{} {}: {}", check.id, check.status.word(), check.message));
            if let Some(hint) = &check.hint {
                context.stream.progress(&format!("  hint: {hint}"));
            }
        }
        let broken = context.stream.upstream.broken.is_some();
        self.end(context, Outcome::Refused, reason, if broken { Exit::Unknown } else { Exit::Refused });
        if broken { Exit::Unknown } else { Exit::Refused }
    }

    fn finish(
        self,
        context: &mut Context,
        outcome: Outcome,
        reason: Option<String>,
        exit: Exit,
        recoveries: Vec<PodRecovery>,
        availability: Vec<Availability>,
    ) -> Exit {
        let verdict = match outcome {
            Outcome::Completed | Outcome::NotRestored => Verdict::of(&self.checks),
            // What was not carried through proves nothing, unless it already failed.
            Outcome::Refused | Outcome::Aborted => Verdict::Unknown,
        };
        let verdict = if outcome == Outcome::NotRestored { Verdict::Fail } else { verdict };
        let summary = match (&reason, outcome) {
            (_, Outcome::Completed) => format!("{} completed: {}", self.name, summarize(&self.checks)),
            (reason, _) => {
                let word = match outcome {
                    Outcome::Refused => "refused, nothing was touched",
                    Outcome::Aborted => "aborted, everything is restored",
                    _ => "NOT RESTORED",
                };
                format!("{} {word}: {}", self.name, reason.as_deref().unwrap_or("no reason given"))
            }
        };
        let record = Experiment {
            experiment: self.name.to_owned(),
            outcome,
            reason,
            cluster: self.plan.as_ref().map(|plan| plan.cluster.clone()),
            namespace: context.namespace.clone(),
            executor: executor(),
            targets: self.plan.map(|plan| plan.targets).unwrap_or_default(),
            started: self.started,
            injected: self.injected,
            ended: Time::now(),
            #[expect(clippy::cast_possible_truncation, reason = "minutes")]
            duration_ms: self.clock.elapsed().as_millis() as u64,
            checks: self.checks,
            recoveries,
            availability,
            overridden: self.overridden,
            actions: std::mem::take(&mut context.actions),
            issues: std::mem::take(&mut context.issues),
        };
        context.stream.result(verdict, summary, record, outcome.exit().unwrap_or(verdict.into()).worst(exit))
    }
}

/// Runs an experiment from its gates to its record.
pub async fn run<F: Fault>(context: &mut Context, fault: F, given: &Consent) -> Exit {
    let mut story = Story::begin(F::NAME);
    let plan = match fault.plan(context).await {
        Ok(plan) => plan,
        Err(error) => {
            story.checks.push(error.check("plan.readable", ""));
            let reason = Some(error.to_string());
            context.stream.progress(&error.to_string());
            return story.end(context, Outcome::Refused, reason, Exit::Unknown);
        }
    };
    context.stream.add(Verdict::of(&plan.checks), plan_summary(&plan), plan.clone());
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
    if gates.iter().any(|gate| gate.message.starts_with("overridden: ")) {
        story.overridden.clone_from(&given.reason);
    }
    story.checks.extend(gates);
    let closed = |checks: &[Check]| checks.iter().any(|check| matches!(check.status, Status::Fail | Status::Unknown));
    if closed(&story.checks) {
        return story.refuse(context);
    }
    let question = format!("{} on {}.", plan_summary(&plan), plan.cluster.server);
    story.checks.push(gates::consent(given, &question));
    if closed(&story.checks) {
        return story.refuse(context);
    }
    // From the first write on, a signal asks for an orderly end.
    let abort = listen();
    match declare(context, &plan).await {
        Ok(intent) => inject(context, fault, &plan, intent, story, abort).await,
        Err(check) => {
            story.checks.push(check);
            story.refuse(context)
        }
    }
}

/// Makes the intent durable: in the local journal, then in the cluster.
async fn declare(context: &mut Context, plan: &Plan) -> Result<Intent, Check> {
    let advice = "what will be undone must be on the disk before anything is broken; make room, or set XDG_STATE_HOME";
    let run = context.stream.run.clone();
    let opened = journal::folder().and_then(|folder| {
        let failed = |error| format!("cannot write a journal in {}: {error}", folder.display());
        let mut journal = Journal::create(&folder, &run).map_err(failed)?;
        journal.write(&serde_json::json!({ "intent": plan })).map_err(failed)?;
        Ok(journal)
    });
    match opened {
        Ok(journal) => context.journal = Some(journal),
        Err(why) => return Err(Check::fail("intent.journal", "", why).hint(advice)),
    }
    match Intent::declare(&context.cluster, plan, &run, &executor()).await {
        Ok(intent) => {
            context.event(EventKind::Intent, None, "the intent is durable: in the journal and in the cluster");
            Ok(intent)
        }
        Err(NoIntent::Held(why)) => Err(Check::fail("limit.lock", "", why)),
        Err(NoIntent::Failed(why)) => Err(Check::fail("intent.cluster", "", why)),
    }
}

/// The fault itself, between the first probe and the last.
async fn inject<F: Fault>(
    context: &mut Context,
    mut fault: F,
    plan: &Plan,
    intent: Intent,
    mut story: Story,
    mut abort: Abort,
) -> Exit {
    let settings = context.config.experiment.clone();
    let services = context.config.services.iter();
    let asked = services.filter_map(|service| Some((endpoint(service, &context.namespace), service.health.clone()?)));
    let probes: Vec<Probe> = asked
        .map(|(endpoint, path)| {
            Probe::start(context.asker.clone(), endpoint, path, settings.probe_interval.0, settings.probe_timeout.0)
        })
        .collect();
    if let Err(why) = fault.prepare(context, plan).await {
        story.checks.push(Check::unknown("plan.observable", "", why));
        release(context, intent).await;
        return story.refuse(context);
    }
    pause(settings.warm_up.0, &mut abort).await;
    let asked = abort.borrow().clone();
    if let Some(why) = asked {
        release(context, intent).await;
        return story.end(context, Outcome::Aborted, Some(why), Exit::Aborted);
    }
    let time = Time::now();
    let injection = fault.inject(context, plan).await;
    story.injected = context.injected.is_some().then_some(time);
    if let Err(why) = &injection {
        context.issue(EventKind::Abort, None, why.clone());
    }
    let mut end = End::Restored;
    if context.injected.is_some() {
        end = fault.restore(context, plan, &mut abort).await;
        if end == End::Restored {
            pause(settings.settle.0, &mut abort).await;
            // What had come back may have gone again meanwhile.
            end = fault.restore(context, plan, &mut abort).await;
        }
        if end == End::Restored {
            context.action(EventKind::Restored, None, "everything that was hit is whole again");
        }
    }
    let mut availability = Vec::new();
    for probe in probes {
        availability.push(probe.stop().await);
    }
    story.checks.extend(fault.judge(context, &availability));
    let asked = abort.borrow().clone();
    let (outcome, reason) = match (end, injection, asked) {
        (End::NotRestored { what, hint }, _, _) => {
            context.stream.progress(&format!("NOT RESTORED: {what}"));
            context.stream.progress(&format!("a person is needed now; type: {hint}"));
            context.issues.push(format!("not restored: {what}"));
            (Outcome::NotRestored, Some(what))
        }
        (End::Restored, Err(why), _) | (End::Restored, Ok(()), Some(why)) => (Outcome::Aborted, Some(why)),
        (End::Restored, Ok(()), None) => (Outcome::Completed, None),
    };
    if outcome != Outcome::NotRestored {
        release(context, intent).await;
    }
    for check in story.checks.iter().filter(|check| check.status == Status::Fail) {
        context.issues.push(format!("{}: {}", check.id, check.message));
    }
    story.finish(context, outcome, reason, Exit::Pass, fault.recoveries(), availability)
}

/// Takes the intent away; what can't be taken away blocks the next run, so it is said loudly.
async fn release(context: &mut Context, intent: Intent) {
    if let Err(left) = intent.release(&context.cluster).await {
        context.issue(EventKind::Observed, None, format!("the lock is still in the cluster: {left}"));
    }
}

async fn pause(time: std::time::Duration, abort: &mut Abort) {
    tokio::select! {
        () = sleep(time) => {}
        _ = abort.wait_for(Option::is_some) => {}
    }
}

/// Turns signals into a request to abort.
fn listen() -> Abort {
    let (sender, receiver) = watch::channel(None);
    for (kind, name) in [
        (SignalKind::interrupt(), "interrupted (SIGINT)"),
        (SignalKind::terminate(), "asked to end (SIGTERM)"),
        (SignalKind::hangup(), "the terminal is gone (SIGHUP)"),
    ] {
        let sender = sender.clone();
        let mut signals = signal(kind).expect("these signals can be listened to");
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                sender.send_replace(Some(name.to_owned()));
            }
        });
    }
    receiver
}

/// User and host. Without `$USER`, as under cron, the user is the one that owns this process.
fn executor() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let uid = std::fs::metadata("/proc/self").map(|process| process.uid().to_string()).unwrap_or_default();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let by_uid = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    let user = std::env::var("USER").ok().filter(|user| !user.is_empty()).or(by_uid).unwrap_or(uid);
    format!("{user}@{}", host.trim())
}
