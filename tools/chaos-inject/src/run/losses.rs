//! What a run lost, held against what was accepted to be lost: pure judgements on what was seen.

use chaos_common::record::{Change, Check, Loss, LossHolder, Plan, Status, WorkloadRef};

use crate::run::experiment::Injection;
use crate::safety::claims::ClaimNow;

/// What is not as it was of what the pods held.
#[derive(Clone, Debug, Default)]
pub struct Lost {
    /// What is lost.
    pub losses: Vec<Loss>,
    /// `NAME.claims` and `NAME.lost`.
    pub checks: Vec<Check>,
    /// Claims that nobody accepted to be lost are not the same: what is missing, in words.
    pub unaccepted: Option<String>,
}

/// Judges claims and losses after the undo.
pub fn judge(plan: &Plan, injection: &Injection, claims: &[ClaimNow]) -> Lost {
    let mut lost = Lost::default();
    let id = format!("{}.claims", plan.experiment);
    let mut unaccepted = Vec::new();
    for one in claims {
        let name = one.before.to_string();
        let foreseen = plan.losses.iter().find(|loss| loss.name == name);
        lost.checks.push(match &one.difference {
            Ok(None) => Check::pass(&id, &name, "is the same as before, with the same volume"),
            Err(error) => error.check(&id, &name),
            Ok(Some(why)) => {
                let accepted = foreseen.is_some_and(|loss| loss.accepted);
                if !accepted {
                    unaccepted.push(why.clone());
                }
                lost.losses.push(Loss {
                    name: name.clone(),
                    holder: LossHolder::Claim,
                    workload: foreseen.map_or_else(|| hit(plan), |loss| loss.workload.clone()),
                    message: why.clone(),
                    accepted,
                });
                let as_accepted = if accepted { "; which was accepted" } else { "" };
                Check::fail(&id, &name, format!("{why}{as_accepted}"))
            }
        });
    }
    let id = format!("{}.lost", plan.experiment);
    let of_pods = |loss: &&Loss| loss.holder != LossHolder::Claim && was_hit(plan, injection, loss);
    for loss in plan.losses.iter().filter(of_pods) {
        let message = loss.message.clone();
        lost.checks
            .push(Check::new(&id, loss.name.as_str(), Status::Warn, message));
        lost.losses.push(loss.clone());
    }
    if !unaccepted.is_empty() {
        lost.unaccepted = Some(unaccepted.join("; "));
    }
    lost
}

/// The workload that the plan is about, for a claim that nobody thought would go.
fn hit(plan: &Plan) -> WorkloadRef {
    let first = plan.targets.first().map(|target| target.owner.clone());
    first.unwrap_or_else(|| WorkloadRef {
        kind: "Namespace".to_owned(),
        namespace: plan.namespace.clone(),
        name: plan.namespace.clone(),
    })
}

/// Whether a write was sent that takes pods of the loss's workload.
fn was_hit(plan: &Plan, injection: &Injection, loss: &Loss) -> bool {
    let workload = &loss.workload;
    injection.applied.iter().any(|applied| {
        let object = applied.change.object();
        match &applied.change {
            Change::Delete { .. } => plan.targets.iter().any(|target| {
                Some(&target.uid) == object.uid.as_ref() && target.owner == *workload
            }),
            _ => {
                object.to_string() == workload.to_string()
                    && object.namespace.as_ref() == Some(&workload.namespace)
            }
        }
    })
}
