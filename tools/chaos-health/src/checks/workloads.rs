//! Are the workloads at their desired state?

use futures::join;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::core::ObjectMeta;

use super::catalogue::Explanation;
use super::controllers;
use chaos_common::cluster::desired_state::{Rollout, Shortfall};
use chaos_common::cluster::known_workloads::next_step;
use chaos_common::cluster::workload::{WorkloadKind, WorkloadName};
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::config::Workload;
use chaos_common::record::{Check, Status, SystemState, WorkloadRef, WorkloadState};

/// `workload.ready`
pub const READY: Explanation = Explanation {
    id: "workload.ready",
    asks: "Has every Deployment, StatefulSet and DaemonSet the ready pods of the latest version \
             that it wants, and every custom resource that can be scaled its pods?",
    judges: "Fails if pods are missing, not ready or not available (minReadySeconds), during a \
             roll-out and while one is paused, if the controller has not seen the latest change, \
             and if one that [[workload]] names is not there or scaled to 0. Warns if another is scaled to 0, is paused, or a DaemonSet runs where \
             it should not. A StatefulSet's partition and the strategy OnDelete are respected.",
    reads: "list deployments, statefulsets, daemonsets; of custom resources with the subresource \
             scale: list them, get their scale, list pods, get who owns these. Kinds that may not be \
             listed are skipped",
    remedy: "kubectl describe the workload; kubectl rollout status",
};

const ID: &str = READY.id;

/// What one controller wants and has, whatever its kind. Made of the whole object, which is not
/// kept.
#[derive(Clone, Debug)]
pub(super) struct Controller {
    state: WorkloadState,
    rollout: Rollout,
}

fn images(template: &PodTemplateSpec) -> Vec<String> {
    let containers = template.spec.as_ref().map(|spec| spec.containers.iter());
    let images = containers.into_iter().flatten();
    images
        .filter_map(|container| container.image.clone())
        .collect()
}

impl Controller {
    fn new(rollout: Rollout, meta: &ObjectMeta, template: Option<&PodTemplateSpec>) -> Controller {
        let workload = WorkloadRef {
            kind: rollout.kind.name().to_owned(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
        };
        let state = WorkloadState {
            workload,
            wants: rollout.desired,
            ready: rollout.ready,
            images: template.map(images).unwrap_or_default(),
            restarts: 0,
            nodes: Vec::new(),
            cpu_cores: None,
            memory_bytes: None,
        };
        Controller { state, rollout }
    }
}

impl From<&Deployment> for Controller {
    fn from(object: &Deployment) -> Controller {
        let template = object.spec.as_ref().map(|spec| &spec.template);
        Controller::new(object.into(), &object.metadata, template)
    }
}

impl From<&StatefulSet> for Controller {
    fn from(object: &StatefulSet) -> Controller {
        let template = object.spec.as_ref().map(|spec| &spec.template);
        Controller::new(object.into(), &object.metadata, template)
    }
}

impl From<&DaemonSet> for Controller {
    fn from(object: &DaemonSet) -> Controller {
        let template = object.spec.as_ref().map(|spec| &spec.template);
        Controller::new(object.into(), &object.metadata, template)
    }
}

/// Is a controller at its desired state? `expected` says that the configuration names it, so that
/// zero replicas are a fault and not somebody's decision.
fn judge_one(controller: &Controller, expected: bool) -> Check {
    let (status, message) = status_of(&controller.rollout, expected);
    let workload = &controller.state.workload;
    let check = Check::new(ID, workload.to_string(), status, message);
    let (kind, name) = (workload.kind.to_lowercase(), &workload.name);
    let namespace = &workload.namespace;
    let paused = matches!(
        controller.rollout.shortfall(),
        Some(Shortfall::Paused { .. })
    );
    check.hint(if paused {
        format!("kubectl rollout resume {kind} {name} -n {namespace}")
    } else {
        format!("kubectl describe {kind} {name} -n {namespace}")
    })
}

fn status_of(rollout: &Rollout, expected: bool) -> (Status, String) {
    // Old pods that are just going do no harm: those that are wanted are there.
    let surplus = |shortfall: &Shortfall| matches!(shortfall, Shortfall::Surplus { .. });
    let shortfall = rollout.shortfall().filter(|one| !surplus(one));
    if let Some(old @ (Shortfall::Deleting | Shortfall::NotObserved)) = shortfall {
        return (Status::Fail, old.to_string());
    }
    let (ready, desired) = (rollout.ready, rollout.desired);
    match (rollout.kind, desired, expected) {
        (WorkloadKind::DaemonSet, 0, _) => {
            let status = if expected { Status::Fail } else { Status::Pass };
            return (
                status,
                "no node matches what it asks for, so it wants no pods".to_owned(),
            );
        }
        (_, 0, true) => return (Status::Fail, "is scaled to 0".to_owned()),
        (_, 0, false) => return (Status::Warn, "is scaled to 0".to_owned()),
        _ => {}
    }
    let failure = rollout.failure.as_ref();
    let notice = || rollout.notice.map(|notice| notice.to_string());
    if let Some(shortfall) = shortfall {
        let named = matches!(shortfall, Shortfall::Paused { .. });
        let notice = notice().filter(|_| !named);
        let why = [failure, rollout.unavailable.as_ref(), notice.as_ref()];
        let why = why.into_iter().flatten();
        let why = why.fold(String::new(), |text, why| text + "; " + why);
        return (Status::Fail, format!("{shortfall}{why}"));
    }
    let message = format!("has {ready} of {desired} ready pods");
    match failure.cloned().or_else(notice) {
        Some(notice) => (Status::Warn, format!("{message}, but {notice}")),
        None => (Status::Pass, message),
    }
}

/// The controllers of a namespace, by kind, each as it could be read.
pub(super) type Controllers = [(&'static str, Result<Vec<Controller>, ReadError>); 3];

/// Reads them.
pub(super) async fn read(cluster: &Cluster, namespace: &str) -> Controllers {
    let (deployments, stateful_sets, daemon_sets) = join!(
        controllers::<Deployment>(cluster, namespace),
        controllers::<StatefulSet>(cluster, namespace),
        controllers::<DaemonSet>(cluster, namespace),
    );
    [
        ("Deployment", deployments),
        ("StatefulSet", stateful_sets),
        ("DaemonSet", daemon_sets),
    ]
}

/// `workload.ready`: one check for each controller of the namespace, and one for each that the
/// configuration expects and that is not there.
pub(super) fn judge(
    controllers: Controllers,
    expected: &[Workload],
    namespace: &str,
    state: &mut SystemState,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut found: Vec<Controller> = Vec::new();
    let mut read: Vec<&str> = Vec::new();
    for (kind, controllers) in controllers {
        match controllers {
            Ok(controllers) => {
                read.push(kind);
                found.extend(controllers);
            }
            Err(error) => checks.push(error.check(
                ID,
                format!("{} of namespace/{namespace}", kind.to_lowercase()),
            )),
        }
    }
    let there = |one: &Workload| {
        let mut all = found.iter();
        all.any(|found| one.is(&found.state.workload))
    };
    let known = found.iter().map(|one| one.state.workload.to_string());
    let known: Vec<String> = known.collect();
    for one in expected
        .iter()
        .filter(|one| read.contains(&one.kind.as_str()))
    {
        if !there(one) {
            let object = one.source().to_string();
            let message =
                format!("the configuration names it, and there is none in namespace {namespace}");
            let hint = next_step(namespace, &object, &known);
            checks.push(Check::fail(ID, object, message).hint(hint));
        }
    }
    for controller in found {
        let Controller {
            state: WorkloadState { workload, .. },
            ..
        } = &controller;
        let named = expected
            .iter()
            .any(|one| one.kind == workload.kind && one.name == workload.name);
        checks.push(judge_one(&controller, named));
        state.workloads.push(controller.state);
    }
    checks
}

/// One workload that must be there, under another id, for the monitoring systems.
pub(super) fn judge_named(
    controllers: &[Controller],
    (id, name): (&str, &WorkloadName),
) -> (Check, Option<WorkloadState>) {
    let named = |controller: &&Controller| name.is(&controller.state.workload);
    let Some(controller) = controllers.iter().find(named) else {
        return (Check::fail(id, name.to_string(), "there is none"), None);
    };
    let mut check = judge_one(controller, true);
    id.clone_into(&mut check.id);
    (check, Some(controller.state.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(wants: i32, ready: i32, updated: i32, observed: i64) -> Deployment {
        serde_saphyr::from_str(&format!(
            "{{metadata: {{name: shop, namespace: prod, generation: 2}}, spec: {{replicas: {wants}, selector: {{}}, template: {{}}}},
              status: {{readyReplicas: {ready}, updatedReplicas: {updated}, observedGeneration: {observed}}}}}"
        ))
        .expect("a deployment")
    }

    fn status(object: &Deployment, expected: bool) -> Status {
        judge_one(&object.into(), expected).status
    }

    #[test]
    fn a_deployment_needs_all_that_it_wants() {
        assert_eq!(status(&deployment(3, 3, 3, 2), true), Status::Pass);
        assert_eq!(status(&deployment(3, 2, 3, 2), true), Status::Fail);
        assert_eq!(status(&deployment(3, 3, 1, 2), true), Status::Fail);
        assert_eq!(status(&deployment(3, 3, 3, 1), true), Status::Fail);
    }

    #[test]
    fn zero_replicas_fail_only_where_the_configuration_expects_some() {
        assert_eq!(status(&deployment(0, 0, 0, 2), true), Status::Fail);
        assert_eq!(status(&deployment(0, 0, 0, 2), false), Status::Warn);
    }

    #[test]
    fn a_workload_that_is_expected_and_gone_fails() {
        let workload = Workload {
            name: "gone".to_owned(),
            kind: "Deployment".to_owned(),
            role: String::new(),
            logs: chaos_common::config::LogPatterns::default(),
        };
        let none = [
            ("Deployment", Ok(vec![])),
            ("StatefulSet", Ok(vec![])),
            ("DaemonSet", Ok(vec![])),
        ];
        let checks = judge(none, &[workload], "prod", &mut SystemState::default());
        assert_eq!(checks[0].status, Status::Fail);
        assert_eq!(checks[0].object.as_deref(), Some("deployment/gone"));
    }
}
