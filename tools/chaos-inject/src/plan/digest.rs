//! The digest of a plan, and what differs between two plans.

use std::collections::BTreeSet;

use chaos_common::record::{Change, ClaimRef, Loss, Plan, PlanLimits, Target};
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// All that would be done, and to what. What only describes it, and what holds at one moment, such
/// as permissions and checks, does not belong to it.
#[derive(Serialize)]
struct Deed<'a> {
    experiment: &'a str,
    cluster: &'a str,
    namespace: &'a str,
    choice: &'a serde_json::Value,
    targets: &'a [Target],
    probe_pods: &'a [Change],
    changes: &'a [Change],
    claims: &'a [ClaimRef],
    losses: &'a [Loss],
    hold_ms: u64,
    affected: &'a [String],
    alerts: &'a [String],
    limits: &'a Option<PlanLimits>,
}

/// The plan's digest: SHA-256, in hexadecimal, of its deed as JSON.
pub fn of(plan: &Plan) -> String {
    let deed = Deed {
        experiment: &plan.experiment,
        cluster: &plan.cluster.id,
        namespace: &plan.namespace,
        choice: &plan.choice,
        targets: &plan.targets,
        probe_pods: &plan.probe_pods,
        changes: &plan.changes,
        claims: &plan.claims,
        losses: &plan.losses,
        hold_ms: plan.hold_ms,
        affected: &plan.affected,
        alerts: &plan.alerts,
        limits: &plan.limits,
    };
    let json = serde_json::to_vec(&deed).expect("plans have string keys and no failing parts");
    HEXLOWER.encode(&Sha256::digest(json))
}

/// What a plan that is made now would do differently from the one that was announced, in words.
pub fn difference(announced: &Plan, now: &Plan) -> String {
    if announced.cluster.id != now.cluster.id {
        return format!("it is of another cluster ({})", announced.cluster.server);
    }
    if announced.namespace != now.namespace {
        return format!("it is of namespace {}", announced.namespace);
    }
    let names = |plan: &Plan| -> BTreeSet<String> {
        let targets = plan.targets.iter();
        targets
            .map(|target| format!("{}/{}", target.kind.to_lowercase(), target.name))
            .collect()
    };
    let (before, after) = (names(announced), names(now));
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    if before != after {
        return format!("it would hit {}, and now {}", list(&before), list(&after));
    }
    if announced.targets != now.targets {
        return format!("{} was made anew since", list(&before));
    }
    let parts = [
        (
            announced.changes != now.changes,
            "what is changed has changed itself",
        ),
        (
            announced.claims != now.claims,
            "the targets have other claims",
        ),
        (announced.losses != now.losses, "other data would be lost"),
        (
            announced.hold_ms != now.hold_ms,
            "the fault would stay for another time",
        ),
        (
            announced.limits != now.limits,
            "other limits are configured",
        ),
        (announced.alerts != now.alerts, "other alerts are expected"),
        (
            announced.affected != now.affected,
            "other Services are expected to suffer",
        ),
    ];
    let different: Vec<&str> = parts
        .into_iter()
        .filter_map(|(differs, what)| differs.then_some(what))
        .collect();
    if different.is_empty() {
        return "it was altered, or made by another version of this tool".to_owned();
    }
    different.join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::objects::{plan, scale_to_zero};

    fn planned() -> Plan {
        plan(&[scale_to_zero("shop", 3)], &["shop"])
    }

    #[test]
    fn two_plans_that_do_the_same_have_one_digest() {
        let (one, mut other) = (planned(), planned());
        other.undo = "in other words".to_owned();
        other.permissions.clear();
        assert_eq!(of(&one), of(&other));
        assert_eq!(of(&one).len(), 64);
    }

    #[test]
    fn every_part_of_what_is_done_changes_the_digest_and_is_named() {
        type Edit = fn(&mut Plan);
        let edits: [(Edit, &str); 7] = [
            (
                |p| p.cluster.id = "other".into(),
                "it is of another cluster",
            ),
            (|p| p.namespace = "test".into(), "it is of namespace"),
            (
                |p| p.changes = vec![scale_to_zero("shop", 4)],
                "what is changed has changed itself",
            ),
            (|p| p.hold_ms += 1, "the fault would stay for another time"),
            (
                |p| p.alerts.push("Down".into()),
                "other alerts are expected",
            ),
            (
                |p| p.affected.push("web".into()),
                "other Services are expected",
            ),
            (|p| p.choice = json!({"accepted": ["x"]}), "it was altered"),
        ];
        for (edit, words) in edits {
            let mut other = planned();
            edit(&mut other);
            assert_ne!(of(&planned()), of(&other), "{words}");
            let told = difference(&other, &planned());
            assert!(told.starts_with(words), "{told}");
        }
    }
}
