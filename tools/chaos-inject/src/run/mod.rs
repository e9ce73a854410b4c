//! What all experiments share: plan, gates, consent, intent, guardian, the writes, their undo, the
//! record.

pub mod announced;
pub mod engine;
pub mod experiment;
pub mod gates;
pub mod guarded;
pub mod losses;
pub mod probe_pods;
pub mod record;
pub mod undoing;

use chaos_common::cluster::{ReadError, ReadErrorKind};
use chaos_common::exit::Exit;
use chaos_common::record::{Check, Outcome, Plan, Record, Time, Verdict};
use tokio::time::Instant;

use crate::abort::AbortSignal;
use crate::commands::Choice;
use crate::context::Context;
use crate::run::engine::Run;
use crate::run::experiment::Experiment;
use crate::run::gates::{Gates, Subject};
use crate::run::guarded::Guarded;
use crate::run::record::RunRecord;

/// What is to be run.
pub struct Order {
    /// The experiment.
    pub experiment: Box<dyn Experiment>,
    /// What the operator chose for it.
    pub choice: Choice,
    /// The plan of the stream, where that is to be carried out.
    pub announced: Option<Record<Plan>>,
    /// `--yes`: nobody is asked.
    pub yes: bool,
}

/// Shows what an experiment would do. Behind other tools, the gates are judged as well, by what is
/// in the stream so far: a run that would be refused is not announced.
pub async fn plan(context: &mut Context, experiment: &dyn Experiment) -> Exit {
    match experiment.plan(context).await {
        Ok(mut plan) => {
            let exit = match Verdict::of(&plan.checks) {
                Verdict::Pass => Exit::Pass,
                Verdict::Fail => Exit::Refused,
                Verdict::Unknown => Exit::Unknown,
            };
            let mut closed = false;
            if context.stream.upstream.present {
                let gates = judge_gates(context, experiment, &plan).await;
                closed = gates.checks.iter().any(Check::is_bad);
                plan.checks.extend(gates.checks);
                plan.overridden = gates.overridden;
            }
            let exit = if closed { Exit::Refused } else { exit };
            let verdict = Verdict::of(&plan.checks);
            let summary = plan_summary(&plan);
            context.stream.result(verdict, summary, plan, exit)
        }
        Err(error) => {
            let record = RunRecord::begin(experiment.name());
            unplanned(context, record, &error)
        }
    }
}

/// The end where no plan could be made: refused where what is to be hit is not there, and unknown where
/// that can't be told.
fn unplanned(context: &mut Context, mut record: RunRecord, error: &ReadError) -> Exit {
    const ID: &str = "plan.readable";
    if error.kind == ReadErrorKind::NotFound {
        let check = Check::fail(ID, "", error.to_string());
        let hint = error.next_step().unwrap_or_default();
        record.checks.push(check.hint(hint));
        return record.refuse(context);
    }
    context.stream.progress(&error.to_string());
    record.checks.push(error.check(ID, ""));
    let reason = Some(error.to_string());
    record.end(context, Outcome::Refused, reason, Exit::Unknown)
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
pub async fn run(context: &mut Context, order: Order) -> Exit {
    run_stoppable(context, order, AbortSignal::on_signals).await
}

/// As [`run`]. `listen` is called as soon as a request to end has to wait for the rollback.
pub async fn run_stoppable(context: &mut Context, order: Order, listen: fn(&AbortSignal)) -> Exit {
    let Order {
        experiment,
        choice,
        announced,
        yes,
    } = order;
    context.choose(choice);
    let mut record = RunRecord::begin(experiment.name());
    let mut plan = match experiment.plan(context).await {
        Ok(plan) => plan,
        Err(error) => return unplanned(context, record, &error),
    };
    record.checks.clone_from(&plan.checks);
    record
        .checks
        .extend(tell(context, &plan, announced.as_ref()));
    record.plan = Some(plan.clone());
    let gates = judge_gates(context, experiment.as_ref(), &plan).await;
    record.overridden = gates.overridden;
    record.checks.extend(gates.checks);
    let closed = |checks: &[Check]| checks.iter().any(Check::is_bad);
    if closed(&record.checks) {
        return record.refuse(context);
    }
    record.checks.extend(gates::losses(yes, &mut plan.losses));
    record.plan = Some(plan.clone());
    if closed(&record.checks) {
        return record.refuse(context);
    }
    let question = format!("{} on {}.", plan_summary(&plan), plan.cluster.server);
    record.checks.push(gates::consent(yes, &question));
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
                over: None,
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

/// A plan of one's own is told. The plan of the stream was told before, and is held against what would
/// be done now.
fn tell(context: &mut Context, plan: &Plan, announced: Option<&Record<Plan>>) -> Option<Check> {
    if let Some(announced) = announced {
        let limits = &context.config.limits;
        return Some(announced::judge(announced, plan, limits, Time::now()));
    }
    let verdict = Verdict::of(&plan.checks);
    context
        .stream
        .add(verdict, plan_summary(plan), plan.clone());
    None
}

/// What the gates say of a plan. Whether data is at stake is taken for true where it can't be told.
async fn judge_gates(context: &Context, experiment: &dyn Experiment, plan: &Plan) -> Gates {
    let (data_at_stake, untold) = match experiment.data_at_stake(context, plan).await {
        Ok(at_stake) => (at_stake, None),
        Err(error) => (true, Some(error.check("gate.backup", ""))),
    };
    let subject = Subject {
        run: &context.stream.run,
        cluster: &plan.cluster,
        namespace: &context.namespace,
        data_at_stake,
        limits: &context.config.limits,
        now: Time::now(),
    };
    let mut gates = gates::judge(
        &context.stream.upstream,
        subject,
        &context.choice.overridden,
    );
    gates.checks.splice(0..0, untold);
    gates
}

#[cfg(test)]
mod tests;
