//! What all experiments share: plan, gates, consent, intent, guardian, the writes, their undo, the
//! record.

pub mod engine;
pub mod experiment;
pub mod gates;
pub mod guarded;
pub mod losses;
pub mod probes;
pub mod record;
pub mod undoing;

use chaos_common::exit::Exit;
use chaos_common::record::{Check, Outcome, Plan, Time, Verdict};
use tokio::time::Instant;

use crate::abort::AbortSignal;
use crate::context::Context;
use crate::run::engine::Run;
use crate::run::experiment::Experiment;
use crate::run::gates::{Consent, Gates, Subject};
use crate::run::guarded::Guarded;
use crate::run::record::RunRecord;

/// Shows what an experiment would do.
pub async fn plan(context: &mut Context, experiment: &dyn Experiment) -> Exit {
    match experiment.plan(context).await {
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
            let mut record = RunRecord::begin(experiment.name());
            record.checks.push(error.check("plan.readable", ""));
            record.end(
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
pub async fn run(context: &mut Context, experiment: Box<dyn Experiment>, given: &Consent) -> Exit {
    run_stoppable(context, experiment, given, AbortSignal::on_signals).await
}

/// As [`run`]. `listen` is called as soon as a request to end has to wait for the rollback.
pub async fn run_stoppable(
    context: &mut Context,
    experiment: Box<dyn Experiment>,
    given: &Consent,
    listen: fn(&AbortSignal),
) -> Exit {
    let mut record = RunRecord::begin(experiment.name());
    let mut plan = match experiment.plan(context).await {
        Ok(plan) => plan,
        Err(error) => {
            record.checks.push(error.check("plan.readable", ""));
            let reason = Some(error.to_string());
            context.stream.progress(&error.to_string());
            return record.end(context, Outcome::Refused, reason, Exit::Unknown);
        }
    };
    context
        .stream
        .add(Verdict::of(&plan.checks), plan_summary(&plan), plan.clone());
    record.plan = Some(plan.clone());
    record.checks.clone_from(&plan.checks);
    let gates = judge_gates(context, experiment.as_ref(), &plan, given).await;
    if gates.overridden {
        record.overridden.clone_from(&given.reason);
    }
    record.checks.extend(gates.checks);
    let closed = |checks: &[Check]| checks.iter().any(Check::is_bad);
    if closed(&record.checks) {
        return record.refuse(context);
    }
    record.checks.extend(gates::losses(given, &mut plan.losses));
    record.plan = Some(plan.clone());
    if closed(&record.checks) {
        return record.refuse(context);
    }
    let question = format!("{} on {}.", plan_summary(&plan), plan.cluster.server);
    record.checks.push(gates::consent(given, &question));
    if closed(&record.checks) {
        return record.refuse(context);
    }
    let consented = Instant::now();
    // From here on, a signal asks for an orderly end.
    let (alarm, abort) = AbortSignal::new();
    listen(&alarm);
    match Guarded::declare(context, &plan, &alarm).await {
        Ok(guarded) => {
            let mut run = Run {
                context,
                experiment: experiment.as_ref(),
                plan: &plan,
                guarded,
                alarm,
                abort,
                record,
                undone: false,
            };
            let (outcome, reason) = run.carry_out(consented).await;
            let Run {
                record,
                guarded,
                undone,
                ..
            } = run;
            guarded.end(context, outcome, undone).await;
            record.end(context, outcome, reason, Exit::Pass)
        }
        Err(check) => {
            record.checks.push(check);
            record.refuse(context)
        }
    }
}

/// What the gates say of a plan. Whether data is at stake is taken for true where it can't be told.
async fn judge_gates(
    context: &Context,
    experiment: &dyn Experiment,
    plan: &Plan,
    given: &Consent,
) -> Gates {
    let (data_at_stake, untold) = match experiment.data_at_stake(context, plan).await {
        Ok(at_stake) => (at_stake, None),
        Err(error) => (true, Some(error.check("gate.backup", ""))),
    };
    let subject = Subject {
        cluster: &plan.cluster,
        namespace: &context.namespace,
        data_at_stake,
        limits: &context.config.limits,
        now: Time::now(),
    };
    let mut gates = gates::judge(&context.stream.upstream, subject, given.reason.is_some());
    gates.checks.splice(0..0, untold);
    gates
}

#[cfg(test)]
mod tests;
