//! Is there room to lose something: disruption budgets, autoscalers, quotas?

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::catalogue::Explanation;
use chaos_common::cluster::metrics::quantity;
use chaos_common::cluster::{Cluster, ListRequest};
use chaos_common::record::{Check, Status};

/// `disruption.budget`
pub(super) const BUDGET: Explanation = Explanation {
    id: "disruption.budget",
    asks: "Could the disruption budgets lose a pod?",
    judges: "Fails if fewer pods are healthy than a budget wants; warns if it lets none go, or \
             matches none.",
    reads: "list poddisruptionbudgets",
    remedy: "kubectl describe poddisruptionbudget",
};

/// `autoscaler.room`
pub(super) const AUTOSCALER: Explanation = Explanation {
    id: "autoscaler.room",
    asks: "Could the autoscalers add a pod?",
    judges: "Fails if one is at its maximum and wants more, or can't scale (no metrics, no such \
             target); warns at the maximum.",
    reads: "list horizontalpodautoscalers",
    remedy: "kubectl describe horizontalpodautoscaler",
};

/// `quota.room`
pub(super) const QUOTA: Explanation = Explanation {
    id: "quota.room",
    asks: "Is there room in the quotas?",
    judges: "Fails for a resource that is used up, warns from health.quota_percent on. A number \
             of objects may be full (a quota is often just what there is): that warns, and \
             more than it allows fails.",
    reads: "list resourcequotas",
    remedy: "kubectl describe resourcequota",
};

/// Makes a check of every object of a kind that deserves one, and one that counts the others.
macro_rules! examine {
    ($kind:ty, $id:expr, $none:literal, $good:literal, $cluster:expr, $namespace:expr, $judge:expr) => {{
        let (cluster, namespace): (&Cluster, &str) = ($cluster, $namespace);
        let object = format!("namespace/{namespace}");
        let judge = $judge;
        let add = |(number, checks): &mut (usize, Vec<Check>), one: $kind| {
            *number += 1;
            checks.extend(judge(&one));
        };
        match cluster
            .fold(ListRequest::namespaced(namespace), Default::default, add)
            .await
        {
            Ok((0, _)) => vec![Check::skipped($id, object, $none)],
            Ok((number, mut checks)) => {
                if checks.is_empty() {
                    checks.push(Check::pass(
                        $id,
                        object,
                        format!(concat!("{} ", $good), number),
                    ));
                }
                checks
            }
            Err(error) => vec![error.check($id, object)],
        }
    }};
}

/// `disruption.budget`: each budget that has too few healthy pods, or lets none of them go.
pub(super) async fn budgets(cluster: &Cluster, namespace: &str) -> Vec<Check> {
    examine!(
        PodDisruptionBudget,
        BUDGET.id,
        "there are no disruption budgets",
        "disruption budgets leave room",
        cluster,
        namespace,
        budget
    )
}

fn budget(object: &PodDisruptionBudget) -> Option<Check> {
    let (name, namespace) = (
        object.metadata.name.as_deref()?,
        object.metadata.namespace.as_deref().unwrap_or_default(),
    );
    let status = object.status.clone().unwrap_or_default();
    let (healthy, wanted, expected) = (
        status.current_healthy,
        status.desired_healthy,
        status.expected_pods,
    );
    let (verdict, message) = if status.observed_generation < object.metadata.generation {
        (
            Status::Unknown,
            "its controller has not acted on the latest change yet".to_owned(),
        )
    } else if expected == 0 {
        (
            Status::Warn,
            "its selector matches no pods, so it protects nothing".to_owned(),
        )
    } else if healthy < wanted {
        (
            Status::Fail,
            format!("{healthy} of {wanted} wanted pods are healthy"),
        )
    } else if status.disruptions_allowed == 0 {
        (
            Status::Warn,
            format!("has no room: {healthy} of {expected} pods are healthy, and {wanted} must be"),
        )
    } else {
        return None;
    };
    let check = Check::new(
        BUDGET.id,
        format!("poddisruptionbudget/{name}"),
        verdict,
        message,
    );
    Some(check.hint(format!(
        "kubectl describe poddisruptionbudget {name} -n {namespace}"
    )))
}

/// `autoscaler.room`: each autoscaler that is at its maximum, or can't do its work.
pub(super) async fn autoscalers(cluster: &Cluster, namespace: &str) -> Vec<Check> {
    examine!(
        HorizontalPodAutoscaler,
        AUTOSCALER.id,
        "there are no autoscalers",
        "autoscalers have room",
        cluster,
        namespace,
        autoscaler
    )
}

fn autoscaler(object: &HorizontalPodAutoscaler) -> Option<Check> {
    let (name, namespace) = (
        object.metadata.name.as_deref()?,
        object.metadata.namespace.as_deref().unwrap_or_default(),
    );
    let (spec, status) = (
        object.spec.clone().unwrap_or_default(),
        object.status.clone().unwrap_or_default(),
    );
    let conditions = status.conditions.unwrap_or_default();
    let is = |kind: &str, value: &str| {
        conditions
            .iter()
            .find(|c| c.type_ == kind && c.status == value)
    };
    let said = |condition: &k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerCondition| {
        let reason = condition.reason.as_deref().unwrap_or(&condition.type_);
        format!(
            "{reason}: {}",
            condition.message.as_deref().unwrap_or_default()
        )
    };
    // Somebody who scaled the target to 0 has switched the autoscaler off.
    let blind =
        is("ScalingActive", "False").filter(|c| c.reason.as_deref() != Some("ScalingDisabled"));
    let (most, now) = (spec.max_replicas, status.current_replicas.unwrap_or(0));
    let limited =
        is("ScalingLimited", "True").filter(|c| c.reason.as_deref() == Some("TooManyReplicas"));
    let (verdict, message) = if let Some(condition) = is("AbleToScale", "False").or(blind) {
        (Status::Fail, format!("can't scale: {}", said(condition)))
    } else if limited.is_some() && now >= most {
        (
            Status::Fail,
            format!("is at its maximum of {most} replicas and wants more"),
        )
    } else if now >= most && spec.min_replicas.unwrap_or(1) < most {
        (
            Status::Warn,
            format!("is at its maximum of {most} replicas"),
        )
    } else {
        return None;
    };
    let check = Check::new(
        AUTOSCALER.id,
        format!("horizontalpodautoscaler/{name}"),
        verdict,
        message,
    );
    Some(check.hint(format!(
        "kubectl describe horizontalpodautoscaler {name} -n {namespace}"
    )))
}

/// `quota.room`: each resource of a quota that is used up, or nearly.
pub(super) async fn quotas(cluster: &Cluster, namespace: &str, percent: f64) -> Vec<Check> {
    examine!(
        ResourceQuota,
        QUOTA.id,
        "there are no quotas",
        "quotas have room",
        cluster,
        namespace,
        |object: &ResourceQuota| quota(object, percent)
    )
}

/// Objects are counted, not measured. A pod that goes makes room for the one that replaces it.
fn is_counted(resource: &str) -> bool {
    const KINDS: [&str; 7] = [
        "pods",
        "services",
        "configmaps",
        "secrets",
        "persistentvolumeclaims",
        "replicationcontrollers",
        "resourcequotas",
    ];
    let of_class = resource.ends_with(".storageclass.storage.k8s.io/persistentvolumeclaims");
    KINDS.contains(&resource)
        || resource.starts_with("count/")
        || resource.starts_with("services.")
        || of_class
}

fn quota(object: &ResourceQuota, percent: f64) -> Vec<Check> {
    let (Some(name), Some(status)) = (object.metadata.name.as_deref(), object.status.as_ref())
    else {
        return Vec::new();
    };
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let used = |resource: &str| status.used.as_ref()?.get(resource);
    let each = status.hard.iter().flatten().filter_map(|(resource, hard)| {
        let used = used(resource)?;
        let (number, most) = (quantity(&used.0)?, quantity(&hard.0)?);
        // A quota of nothing forbids something; that is no lack of room.
        let share = number / most * 100.0;
        if most <= 0.0 || share < percent {
            return None;
        }
        let full = if is_counted(resource) {
            number > most
        } else {
            number >= most
        };
        let verdict = if full { Status::Fail } else { Status::Warn };
        let message = format!(
            "{} of {} {resource} are used ({share:.0} %)",
            used.0, hard.0
        );
        let check = Check::new(QUOTA.id, format!("resourcequota/{name}"), verdict, message);
        Some(check.hint(format!(
            "kubectl describe resourcequota {name} -n {namespace}"
        )))
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_of_objects_may_be_full_and_one_of_an_amount_may_not() {
        let of = |resource: &str, hard: &str, used: &str| {
            let yaml = format!(
                "{{metadata: {{name: q}}, status: {{hard: {{{resource}: '{hard}'}}, used: {{{resource}: '{used}'}}}}}}"
            );
            let object: ResourceQuota = serde_saphyr::from_str(&yaml).expect("a quota");
            quota(&object, 90.0).first().map(|check| check.status)
        };
        for counted in [
            "pods",
            "count/deployments.apps",
            "services.loadbalancers",
            "fast.storageclass.storage.k8s.io/persistentvolumeclaims",
        ] {
            assert_eq!(of(counted, "4", "4"), Some(Status::Warn), "{counted}");
            assert_eq!(of(counted, "4", "5"), Some(Status::Fail), "{counted}");
            assert_eq!(of(counted, "4", "2"), None, "{counted}");
        }
        for amount in ["limits.cpu", "requests.storage", "requests.nvidia.com/gpu"] {
            assert_eq!(of(amount, "4", "4"), Some(Status::Fail), "{amount}");
        }
    }
}
