//! How far an experiment may go: pure judgements on plain values.

use chaos_common::config::{Config, Limits};
use chaos_common::record::{BlastRadius, Check, Permission, Status};

/// A disruption budget that covers some of the pods to be hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Its name.
    pub name: String,
    /// Pods that it lets go right now.
    pub allowed: i32,
    /// Pods that it covers and that the experiment would hit.
    pub hit: i32,
}

/// `limit.namespace`: the configuration lets experiments touch it.
pub fn namespace(config: &Config, namespace: &str) -> Check {
    const ID: &str = "limit.namespace";
    let object = format!("namespace/{namespace}");
    let allowed = match &config.limits.namespaces {
        Some(list) => list.iter().any(|name| name == namespace),
        // Without a list only the configured application's own; without any configuration the one
        // that the operator typed.
        None => config
            .application
            .namespace
            .as_deref()
            .is_none_or(|name| name == namespace),
    };
    if allowed {
        Check::pass(ID, object, "experiments may touch it")
    } else {
        Check::fail(
            ID,
            object,
            "the configuration does not let experiments touch it",
        )
        .hint("limits.namespaces in chaos.toml lists those that they may")
    }
}

/// `limit.targets`, `limit.survivors`, `limit.share`: something is hit, never all of a workload
/// unless the operator allows an outage, and no more than a share of the namespace's `ready` pods.
pub fn blast_radius(
    radius: &[BlastRadius],
    ready: usize,
    limits: &Limits,
    allow_outage: bool,
) -> Vec<Check> {
    let hit: usize = radius.iter().map(|one| one.hit).sum();
    let mut checks = vec![Check::judge(
        hit > 0,
        "limit.targets",
        "",
        format!("{hit} pods would be hit"),
    )];
    for one in radius {
        let message = format!(
            "{} of {} ready pods would be hit, {} left",
            one.hit, one.ready, one.left
        );
        checks.push(survivors(one, message, allow_outage));
    }
    checks.push(share(hit, ready, limits));
    checks
}

/// `limit.survivors` of one workload.
fn survivors(radius: &BlastRadius, message: String, allow_outage: bool) -> Check {
    const ID: &str = "limit.survivors";
    let object = radius.workload.to_string();
    if radius.left > 0 {
        Check::pass(ID, object, message)
    } else if allow_outage {
        let message = format!("{message}; which is allowed (--allow-outage)");
        Check::new(ID, object, Status::Warn, message)
    } else {
        let hint = "scale it up, or take fewer; --allow-outage lets an experiment take all pods of \
                    a workload";
        Check::fail(ID, object, message).hint(hint)
    }
}

/// Services that have nobody behind them while a fault takes all pods of a workload: they suffer.
pub fn outages(radius: &[BlastRadius]) -> Vec<String> {
    let gone = radius.iter().filter(|one| one.left == 0);
    gone.flat_map(|one| one.services.clone()).collect()
}

/// `limit.share`: no more than a share of the namespace's ready pods.
pub fn share(hit: usize, ready: usize, limits: &Limits) -> Check {
    #[expect(clippy::cast_precision_loss, reason = "a share in per cent")]
    let percent = hit as f64 / ready.max(1) as f64 * 100.0;
    let message = format!(
        "{percent:.0} % of the namespace's {ready} ready pods would be hit; at most {:.0} % may be",
        limits.max_share_percent
    );
    Check::judge(
        percent <= limits.max_share_percent,
        "limit.share",
        "",
        message,
    )
    .hint("limits.max_share_percent in chaos.toml, or --max-share for this run")
}

/// `limit.disruption-budget`: none is broken.
pub fn budgets(budgets: &[Budget]) -> Vec<Check> {
    let judge = |budget: &Budget| {
        let message = format!(
            "lets {} pods go now, {} would be hit",
            budget.allowed, budget.hit
        );
        Check::judge(
            budget.hit <= budget.allowed,
            "limit.disruption-budget",
            format!("poddisruptionbudget/{}", budget.name),
            message,
        )
    };
    budgets.iter().map(judge).collect()
}

/// A permission in words.
fn in_words(p: &Permission) -> String {
    let name = p
        .name
        .as_ref()
        .map(|name| format!(" {name}"))
        .unwrap_or_default();
    let place = if p.namespace.is_empty() {
        String::new()
    } else {
        format!(" in namespace {}", p.namespace)
    };
    format!("{} {}{name}{place}", p.verb, p.resource)
}

/// `limit.permissions`: fault and undo are both permitted, before anything is written.
pub fn permissions(permissions: &[Permission]) -> Check {
    const ID: &str = "limit.permissions";
    let missing: Vec<String> = permissions
        .iter()
        .filter(|p| !p.allowed && p.resource != "namespaces")
        .map(in_words)
        .collect();
    if missing.is_empty() {
        Check::pass(
            ID,
            "",
            format!(
                "all {} permissions that fault and undo need are held",
                permissions.len()
            ),
        )
    } else {
        Check::fail(ID, "", format!("missing: {}", missing.join(", ")))
            .hint("kubectl auth can-i shows what is permitted; a Role must grant the rest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::{Verdict, WorkloadRef};

    fn radius(ready: usize, hit: usize) -> BlastRadius {
        let workload = WorkloadRef {
            kind: "Deployment".into(),
            namespace: "prod".into(),
            name: "shop".into(),
        };
        BlastRadius {
            workload,
            ready,
            hit,
            left: ready - hit,
            services: vec![],
        }
    }

    fn verdict(radius: &[BlastRadius], ready: usize) -> Verdict {
        Verdict::of(&blast_radius(radius, ready, &Limits::default(), false))
    }

    #[test]
    fn the_last_pod_of_a_workload_is_never_taken() {
        assert_eq!(verdict(&[radius(3, 1)], 6), Verdict::Pass);
        assert_eq!(verdict(&[radius(1, 1)], 6), Verdict::Fail);
        assert_eq!(verdict(&[radius(3, 1), radius(2, 2)], 12), Verdict::Fail);
    }

    #[test]
    fn an_outage_that_is_allowed_is_told_and_hits_the_services_of_the_workload() {
        let mut one = radius(1, 1);
        one.services = vec!["front".to_owned()];
        let allowed = blast_radius(&[one.clone()], 6, &Limits::default(), true);
        assert_eq!(Verdict::of(&allowed), Verdict::Pass);
        let told = allowed.iter().find(|check| check.id == "limit.survivors");
        let told = told.expect("it is judged");
        assert_eq!(told.status, Status::Warn);
        assert!(told.message.contains("--allow-outage"), "{}", told.message);
        assert_eq!(outages(&[one, radius(3, 1)]), ["front"]);
    }

    #[test]
    fn a_share_of_the_namespace_is_the_most_and_nothing_is_too_little() {
        assert_eq!(verdict(&[radius(5, 4)], 6), Verdict::Fail);
        assert_eq!(verdict(&[], 6), Verdict::Fail);
    }

    #[test]
    fn a_disruption_budget_is_kept() {
        let budget = |allowed, hit| {
            budgets(&[Budget {
                name: "b".into(),
                allowed,
                hit,
            }])[0]
                .status
        };
        assert_eq!(budget(1, 1), Status::Pass);
        assert_eq!(budget(0, 1), Status::Fail);
    }

    #[test]
    fn only_listed_namespaces_are_touched() {
        let mut config = Config::default();
        assert_eq!(namespace(&config, "any").status, Status::Pass);
        config.application.namespace = Some("prod".into());
        assert_eq!(namespace(&config, "kube-system").status, Status::Fail);
        config.limits.namespaces = Some(vec!["staging".into()]);
        assert_eq!(namespace(&config, "prod").status, Status::Fail);
    }
}
