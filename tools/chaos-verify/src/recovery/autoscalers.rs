//! Which autoscalers have scaled what since before the experiment.

use chaos_common::record::{Time, WorkloadRef};
use jiff::SignedDuration;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Api, ListParams};

use crate::target::Target;

/// By how much the clocks of the cluster and of this machine may differ.
const CLOCKS: SignedDuration = SignedDuration::from_secs(5);

/// An autoscaler that is in command of a workload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Autoscaler {
    pub(crate) name: String,
    /// What it scales.
    workload: WorkloadRef,
    least: i32,
    most: i32,
    /// The replicas that it wants now.
    wants: i32,
    scaled: Option<Time>,
}

/// The autoscalers of the namespace. Where they can't be read, there are none that explain
/// anything.
pub(crate) async fn read(target: &Target<'_>) -> Vec<Autoscaler> {
    let api: Api<HorizontalPodAutoscaler> =
        Api::namespaced(target.cluster.client.clone(), target.namespace);
    let what = format!(
        "list horizontalpodautoscalers in namespace {}",
        target.namespace
    );
    let found = target
        .cluster
        .list(&api, &ListParams::default(), what)
        .await;
    let found = found.unwrap_or_default();
    found.iter().filter_map(of_object).collect()
}

/// None for one that does not scale.
fn of_object(object: &HorizontalPodAutoscaler) -> Option<Autoscaler> {
    let (spec, status) = (object.spec.as_ref()?, object.status.as_ref()?);
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let inactive = |one: &k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerCondition| {
        one.type_ == "ScalingActive" && one.status == "False"
    };
    if conditions.iter().any(inactive) {
        return None;
    }
    Some(Autoscaler {
        name: object.metadata.name.clone()?,
        workload: WorkloadRef {
            kind: spec.scale_target_ref.kind.clone(),
            namespace: object.metadata.namespace.clone()?,
            name: spec.scale_target_ref.name.clone(),
        },
        least: spec.min_replicas.unwrap_or(1),
        most: spec.max_replicas,
        wants: status.desired_replicas,
        scaled: status.last_scale_time.as_ref().map(|time| Time(time.0)),
    })
}

impl Autoscaler {
    /// Whether it is why a workload asks for so many replicas now, since a time: it has scaled
    /// since then, and this is what it wants.
    pub(crate) fn explains(&self, workload: &WorkloadRef, wants: i32, since: Time) -> bool {
        let after = |scaled: Time| scaled.0.duration_since(since.0) > -CLOCKS;
        self.workload == *workload
            && self.wants == wants
            && (self.least..=self.most).contains(&wants)
            && self.scaled.is_some_and(after)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// One of deployment/NAME that wants so many of 2 to 10.
    pub(crate) fn autoscaler(name: &str, wants: i32, scaled: &str) -> Option<Autoscaler> {
        of_object(&object(name, wants, scaled, "True"))
    }

    fn object(name: &str, wants: i32, scaled: &str, active: &str) -> HorizontalPodAutoscaler {
        let object: Value = json!({
            "metadata": { "name": "hpa", "namespace": "shop" },
            "spec": {
                "scaleTargetRef": { "kind": "Deployment", "name": name },
                "minReplicas": 2, "maxReplicas": 10,
            },
            "status": {
                "desiredReplicas": wants, "currentReplicas": wants, "lastScaleTime": scaled,
                "currentMetrics": [],
                "conditions": [{ "type": "ScalingActive", "status": active }],
            },
        });
        serde_json::from_value(object).expect("an autoscaler")
    }

    #[test]
    fn an_autoscaler_explains_only_what_it_wants_and_has_done_since() {
        let at = |time: &str| Time(time.parse().expect("a time"));
        let (since, scaled) = (at("2026-11-22T16:00:00Z"), "2026-11-22T16:05:00Z");
        let shop = WorkloadRef {
            kind: "Deployment".to_owned(),
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
        };
        let web = autoscaler("web", 3, scaled).expect("it scales");
        assert!(web.explains(&shop, 3, since));
        assert!(!web.explains(&shop, 2, since), "it wants three");
        assert!(
            !web.explains(&shop, 3, at("2026-11-22T17:00:00Z")),
            "that was before"
        );
        let of_other = autoscaler("api", 3, scaled).expect("it scales");
        assert!(!of_other.explains(&shop, 3, since));
        let out_of_bounds = autoscaler("web", 1, scaled).expect("it scales");
        assert!(!out_of_bounds.explains(&shop, 1, since));
        assert_eq!(of_object(&object("web", 3, scaled, "False")), None);
    }
}
