//! Whoever else has a say in a workload: a run that holds it, somebody who rolls it out, an autoscaler,
//! an operator, or a GitOps controller that keeps it as it is in a repository.

use chaos_common::cluster::{Cluster, ReadErrorKind};
use chaos_common::record::{Check, ObjectRef, Status, WorkloadRef};
use serde_json::Value;

use crate::labels::run_of;
use crate::observe::contenders;

const ID: &str = "limit.others";

/// A controller that keeps objects as they are in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeper {
    ArgoCd,
    Flux,
}

/// What they put on the objects that they keep. Argo CD 3 and 2 by annotation, Argo CD 2 by a label of
/// its own; by its default label nobody can tell it from Helm, so there its writes do.
const MARKS: [(&str, &str, Keeper); 4] = [
    (
        "annotations",
        "argocd.argoproj.io/tracking-id",
        Keeper::ArgoCd,
    ),
    ("labels", "argocd.argoproj.io/instance", Keeper::ArgoCd),
    ("labels", "kustomize.toolkit.fluxcd.io/name", Keeper::Flux),
    ("labels", "helm.toolkit.fluxcd.io/name", Keeper::Flux),
];
/// Parts of the names under which they write.
const MANAGERS: [(&str, Keeper); 3] = [
    ("argocd", Keeper::ArgoCd),
    ("kustomize-controller", Keeper::Flux),
    ("helm-controller", Keeper::Flux),
];
/// By it Flux is told to leave an object alone.
const LEFT_ALONE: &str = "kustomize.toolkit.fluxcd.io/reconcile";

impl Keeper {
    /// Who keeps an object, if somebody does.
    fn of(object: &Value) -> Option<Keeper> {
        let metadata = &object["metadata"];
        let marks = MARKS.iter();
        let mut marks = marks.filter(|(map, key, _)| !metadata[map][key].is_null());
        let by_mark = marks.next().map(|(_, _, keeper)| *keeper);
        let keeper = by_mark.or_else(|| Keeper::by_writes(metadata))?;
        let alone = keeper == Keeper::Flux && metadata["annotations"][LEFT_ALONE] == "disabled";
        (!alone).then_some(keeper)
    }

    fn by_writes(metadata: &Value) -> Option<Keeper> {
        let entries = metadata["managedFields"].as_array().into_iter().flatten();
        let mut managers = entries.filter_map(|entry| entry["manager"].as_str());
        managers.find_map(|manager| {
            let mut known = MANAGERS.iter();
            let known = known.find(|(part, _)| manager.contains(part));
            known.map(|(_, keeper)| *keeper)
        })
    }

    /// What that means for a fault.
    fn meaning(self) -> &'static str {
        match self {
            Keeper::ArgoCd => {
                "Argo CD keeps it as it is in a repository: where self-heal is on, it may take the \
                 fault back within seconds, and else it tells of a difference meanwhile"
            }
            Keeper::Flux => {
                "Flux keeps it as it is in a repository: at its next reconciliation it may take \
                 the fault back"
            }
        }
    }

    /// How it is kept from doing that.
    fn hint(self) -> &'static str {
        match self {
            Keeper::ArgoCd => {
                "turn self-heal off for the time of the experiment, or let the application ignore \
                 differences of replicas (ignoreDifferences)"
            }
            Keeper::Flux => "flux suspend kustomization NAME, and flux resume afterwards",
        }
    }
}

/// `limit.others` of a Deployment or StatefulSet: no run holds it, nobody rolls it out, and who keeps
/// it is told.
pub(super) fn of_apps(workload: &WorkloadRef, now: &Value) -> Vec<Check> {
    if let Some(check) = held(workload, now) {
        return vec![check];
    }
    if let Some(check) = update_waits(&workload.to_string(), now) {
        return vec![check];
    }
    let mut checks = vec![is_settled(workload, now)];
    checks.extend(kept(workload, now));
    checks
}

/// A run's label, which says that it may not be as it was.
pub(super) fn held(workload: &WorkloadRef, now: &Value) -> Option<Check> {
    let run = run_of(now)?;
    let message = format!("carries the label of run {run}, which may have left it changed");
    let hint = "chaos-inject status, then chaos-inject recover";
    Some(Check::fail(ID, workload.to_string(), message).hint(hint))
}

/// Who keeps it as it is, or owns it.
pub(super) fn kept(workload: &WorkloadRef, now: &Value) -> Vec<Check> {
    let object = workload.to_string();
    let keeper = Keeper::of(now);
    let keeper = keeper.map(|keeper| warning(&object, keeper.meaning()).hint(keeper.hint()));
    let owner = contenders::owner(now).map(|owner| {
        let message = format!("belongs to {owner}, whose controller may take the fault back");
        let hint =
            "an experiment on its owner holds, if that can be scaled: --workload KIND.GROUP/NAME";
        warning(&object, message).hint(hint)
    });
    keeper.into_iter().chain(owner).collect()
}

fn warning(object: &str, message: impl Into<String>) -> Check {
    Check::new(ID, object, Status::Warn, message)
}

/// How many pods of the latest revision are right, of so many. Those of a StatefulSet below its
/// partition stay as they are, also when they are made anew.
fn updated(now: &Value, wanted: i64) -> i64 {
    let (strategy, status) = (&now["spec"]["updateStrategy"], &now["status"]);
    let under_way = status["updateRevision"].is_string()
        && status["currentRevision"] != status["updateRevision"];
    let partition = strategy["rollingUpdate"]["partition"].as_i64().unwrap_or(0);
    wanted
        - if under_way {
            partition.clamp(0, wanted)
        } else {
            0
        }
}

/// `limit.others`: an update waits for somebody to delete pods (`OnDelete`), which the fault would
/// do.
pub fn update_waits(object: &str, now: &Value) -> Option<Check> {
    let status = &now["status"];
    let of_set = status["updateRevision"].is_string()
        && status["currentRevision"] != status["updateRevision"];
    let number = |field: &str| status[field].as_i64().unwrap_or(0);
    let of_daemons = number("updatedNumberScheduled") < number("desiredNumberScheduled");
    if now["spec"]["updateStrategy"]["type"] != "OnDelete" || !(of_set || of_daemons) {
        return None;
    }
    let message = "its update strategy is OnDelete, and an update waits: a pod that goes comes back \
                   updated, which no undo takes back";
    let hint = "delete its pods yourself first, so that all are of the same revision";
    Some(Check::fail(ID, object, message).hint(hint))
}

/// `limit.others`: all of its pods are of the latest revision and ready.
fn is_settled(workload: &WorkloadRef, now: &Value) -> Check {
    let object = workload.to_string();
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let wanted = now["spec"]["replicas"].as_i64().unwrap_or(1);
    let status = &now["status"];
    let settled = number(&status["observedGeneration"]) >= number(&now["metadata"]["generation"])
        && number(&status["updatedReplicas"]) >= updated(now, wanted)
        && number(&status["readyReplicas"]) == wanted;
    if settled {
        let message = format!("settled at {wanted} replicas, and nobody is changing it");
        return Check::pass(ID, object, message);
    }
    let message = format!(
        "of {wanted} replicas, {} are updated and {} are ready: a rollout is going on, or pods fail",
        number(&status["updatedReplicas"]),
        number(&status["readyReplicas"])
    );
    let hint = format!("kubectl rollout status {object}");
    Check::fail(ID, object, message).hint(hint)
}

/// `limit.others`: whether an autoscaler sets its replicas, too.
pub(super) async fn autoscaled(
    cluster: &Cluster,
    workload: &WorkloadRef,
    object: &ObjectRef,
) -> Option<Check> {
    let named = (object.kind.as_str(), object.name.as_str());
    match contenders::scaler_of(cluster, &workload.namespace, named).await {
        Ok(scaler) => {
            let scaler = scaler?;
            let message = contenders::prediction(&scaler);
            let check = warning(&workload.to_string(), message);
            Some(match contenders::pause(&scaler) {
                Some(hint) => check.hint(hint),
                None => check,
            })
        }
        // A cluster without autoscaling has none.
        Err(error) if error.kind == ReadErrorKind::NotFound => None,
        Err(error) => Some(error.check(ID, workload.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept_by(metadata: &Value) -> Option<Keeper> {
        Keeper::of(&json!({ "metadata": metadata }))
    }

    #[test]
    fn gitops_controllers_are_known_by_their_usual_marks() {
        let annotation = json!({ "argocd.argoproj.io/tracking-id": "shop:apps/Deployment:a/b" });
        let three = json!({ "annotations": annotation });
        assert_eq!(kept_by(&three), Some(Keeper::ArgoCd));
        let label = json!({ "argocd.argoproj.io/instance": "shop" });
        assert_eq!(kept_by(&json!({ "labels": label })), Some(Keeper::ArgoCd));
        for key in [
            "kustomize.toolkit.fluxcd.io/name",
            "helm.toolkit.fluxcd.io/name",
        ] {
            let labels = json!({ key: "shop" });
            assert_eq!(kept_by(&json!({ "labels": labels })), Some(Keeper::Flux));
        }
    }

    #[test]
    fn the_default_label_of_argo_cd_2_is_helms_too_so_who_wrote_decides() {
        let labels = json!({ "app.kubernetes.io/instance": "shop" });
        let helm = json!([{ "manager": "helm" }]);
        let of_helm = json!({ "labels": labels, "managedFields": helm });
        assert_eq!(kept_by(&of_helm), None);
        let argo = json!([{ "manager": "argocd-controller" }]);
        let of_argo = json!({ "labels": labels, "managedFields": argo });
        assert_eq!(kept_by(&of_argo), Some(Keeper::ArgoCd));
    }

    #[test]
    fn what_flux_is_told_to_leave_alone_is_not_kept() {
        let labels = json!({ "kustomize.toolkit.fluxcd.io/name": "shop" });
        let annotations = json!({ LEFT_ALONE: "disabled" });
        let metadata = json!({ "labels": labels, "annotations": annotations });
        assert_eq!(kept_by(&metadata), None);
    }
}
