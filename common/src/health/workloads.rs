//! Do the controllers have what they want?

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};

use super::metrics::Usage;
use crate::cluster::ReadError;
use crate::config::Workload;
use crate::record::{Check, SystemState, WorkloadRef, WorkloadState};

const ID: &str = "workload.ready";

/// What one controller wants and has, whatever its kind.
#[derive(Clone, Debug)]
struct Controller {
    state: WorkloadState,
    updated: i32,
    /// The controller has seen the latest specification.
    current: bool,
}

fn images(template: Option<&PodTemplateSpec>) -> Vec<String> {
    let containers = template.and_then(|template| template.spec.as_ref()).map(|spec| spec.containers.as_slice());
    containers.unwrap_or_default().iter().filter_map(|container| container.image.clone()).collect()
}

fn controller(
    kind: &str,
    meta: &kube::core::ObjectMeta,
    images: Vec<String>,
    wants: i32,
    ready: i32,
    updated: i32,
    observed: Option<i64>,
) -> Controller {
    let workload = WorkloadRef {
        kind: kind.to_owned(),
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    };
    let state = WorkloadState { workload, wants, ready, images, restarts: 0, cpu_cores: None, memory_bytes: None };
    Controller { state, updated, current: observed >= meta.generation }
}

fn of_deployment(object: &Deployment) -> Controller {
    let (spec, status) = (object.spec.clone().unwrap_or_default(), object.status.clone().unwrap_or_default());
    let wants = spec.replicas.unwrap_or(1);
    let (ready, updated) = (status.ready_replicas.unwrap_or(0), status.updated_replicas.unwrap_or(0));
    controller(
        "Deployment",
        &object.metadata,
        images(Some(&spec.template)),
        wants,
        ready,
        updated,
        status.observed_generation,
    )
}

fn of_stateful_set(object: &StatefulSet) -> Controller {
    let (spec, status) = (object.spec.clone().unwrap_or_default(), object.status.clone().unwrap_or_default());
    let wants = spec.replicas.unwrap_or(1);
    let (ready, updated) = (status.ready_replicas.unwrap_or(0), status.updated_replicas.unwrap_or(wants));
    controller(
        "StatefulSet",
        &object.metadata,
        images(Some(&spec.template)),
        wants,
        ready,
        updated,
        status.observed_generation,
    )
}

fn of_daemon_set(object: &DaemonSet) -> Controller {
    let (spec, status) = (object.spec.clone().unwrap_or_default(), object.status.clone().unwrap_or_default());
    let wants = status.desired_number_scheduled;
    let updated = status.updated_number_scheduled.unwrap_or(0);
    controller(
        "DaemonSet",
        &object.metadata,
        images(Some(&spec.template)),
        wants,
        status.number_ready,
        updated,
        status.observed_generation,
    )
}

/// Has a controller what it wants? `expected` says that the configuration names it, so that zero
/// replicas are a fault and not somebody's decision.
fn judge_one(controller: &Controller, expected: bool) -> Check {
    let Controller { state, updated, current } = controller;
    let object = state.workload.to_string();
    let (wants, ready) = (state.wants, state.ready);
    let check = if !current {
        Check::fail(ID, object, "its controller has not acted on the latest change yet")
    } else if wants == 0 {
        let message = "is scaled to 0";
        if expected {
            Check::fail(ID, object, message)
        } else {
            Check::new(ID, object, crate::record::Status::Warn, message)
        }
    } else if ready < wants {
        Check::fail(ID, object, format!("wants {wants} ready pods, has {ready}"))
    } else if *updated < wants {
        Check::fail(ID, object, format!("is being rolled out: {updated} of {wants} pods are of the latest version"))
    } else {
        Check::pass(ID, object, format!("wants {wants} ready pods, has {ready}"))
    };
    check.hint(format!(
        "kubectl describe {} -n {}",
        state.workload.to_string().replace('/', " "),
        state.workload.namespace
    ))
}

/// `workload.ready`: one check for each controller of the namespace, and one for each that the
/// configuration expects and that is not there.
pub fn judge(
    deployments: &Result<Vec<Deployment>, ReadError>,
    stateful_sets: &Result<Vec<StatefulSet>, ReadError>,
    daemon_sets: &Result<Vec<DaemonSet>, ReadError>,
    expected: &[&Workload],
    namespace: &str,
    state: &mut SystemState,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut found: Vec<Controller> = Vec::new();
    let mut read = |kind: &str, controllers: Result<Vec<Controller>, ReadError>| match controllers {
        Ok(controllers) => {
            for one in expected.iter().filter(|one| one.kind == kind) {
                if !controllers.iter().any(|c| c.state.workload.name == one.name) {
                    let object = format!("{}/{}", kind.to_lowercase(), one.name);
                    checks.push(
                        Check::fail(
                            ID,
                            object,
                            format!("the configuration names it, and there is none in namespace {namespace}"),
                        )
                        .hint(format!("kubectl get {} -n {namespace}", kind.to_lowercase())),
                    );
                }
            }
            found.extend(controllers);
        }
        Err(error) => checks.push(error.check(ID, format!("{} of namespace/{namespace}", kind.to_lowercase()))),
    };
    read("Deployment", each(deployments, of_deployment));
    read("StatefulSet", each(stateful_sets, of_stateful_set));
    read("DaemonSet", each(daemon_sets, of_daemon_set));
    for controller in found {
        let named = expected
            .iter()
            .any(|one| one.kind == controller.state.workload.kind && one.name == controller.state.workload.name);
        checks.push(judge_one(&controller, named));
        state.workloads.push(controller.state);
    }
    checks
}

fn each<K>(objects: &Result<Vec<K>, ReadError>, of: fn(&K) -> Controller) -> Result<Vec<Controller>, ReadError> {
    objects.as_ref().map(|objects| objects.iter().map(of).collect()).map_err(Clone::clone)
}

/// One Deployment that must be there, for the monitoring systems.
pub fn judge_deployment(deployments: &[Deployment], name: &str) -> (Check, Option<WorkloadState>) {
    match deployments.iter().find(|object| object.metadata.name.as_deref() == Some(name)) {
        Some(object) => {
            let controller = of_deployment(object);
            (judge_one(&controller, true), Some(controller.state))
        }
        None => (Check::fail(ID, format!("deployment/{name}"), "there is none"), None),
    }
}

/// The workload that a pod belongs to. A Deployment's pods are owned by a ReplicaSet whose name is
/// the Deployment's and the hash in the pod's label `pod-template-hash`.
pub fn workload_of(pod: &Pod) -> Option<WorkloadRef> {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let hash = pod.metadata.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    Some(match (owner.kind.as_str(), deployment) {
        ("ReplicaSet", Some(name)) => WorkloadRef { kind: "Deployment".to_owned(), namespace, name: name.to_owned() },
        _ => WorkloadRef { kind: owner.kind.clone(), namespace, name: owner.name.clone() },
    })
}

/// Adds restarts and use of the pods to the workloads that they belong to.
pub fn add_pods(state: &mut SystemState, pods: &Result<Vec<Pod>, ReadError>, usage: &Result<Usage, ReadError>) {
    for pod in pods.iter().flatten() {
        let Some(owner) = workload_of(pod) else { continue };
        let Some(workload) = state.workloads.iter_mut().find(|w| w.workload == owner) else { continue };
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
        workload.restarts += statuses.iter().map(|container| i64::from(container.restart_count)).sum::<i64>();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        if let Some(sample) = usage.as_ref().ok().and_then(|usage| usage.get(name)) {
            *workload.cpu_cores.get_or_insert(0.0) += sample.cpu_cores;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size in bytes")]
            let bytes = sample.memory_bytes as u64;
            *workload.memory_bytes.get_or_insert(0) += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Status;

    fn deployment(wants: i32, ready: i32, updated: i32, observed: i64) -> Deployment {
        serde_saphyr::from_str(&format!(
            "{{metadata: {{name: shop, namespace: prod, generation: 2}}, spec: {{replicas: {wants}, selector: {{}}, template: {{}}}},
              status: {{readyReplicas: {ready}, updatedReplicas: {updated}, observedGeneration: {observed}}}}}"
        ))
        .expect("a deployment")
    }

    fn status(object: &Deployment, expected: bool) -> Status {
        judge_one(&of_deployment(object), expected).status
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
        let workload =
            Workload { name: "gone".to_owned(), kind: "Deployment".to_owned(), role: String::new(), logs: false };
        let checks = judge(&Ok(vec![]), &Ok(vec![]), &Ok(vec![]), &[&workload], "prod", &mut SystemState::default());
        assert_eq!(checks[0].status, Status::Fail);
        assert_eq!(checks[0].object.as_deref(), Some("deployment/gone"));
    }

    #[test]
    fn a_pod_is_traced_to_its_deployment() {
        let pod: Pod = serde_saphyr::from_str(
            "{metadata: {namespace: prod, labels: {pod-template-hash: 6d4b}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: shop-a-6d4b, uid: u, controller: true}]}}",
        )
        .expect("a pod");
        assert_eq!(workload_of(&pod).map(|w| w.to_string()).as_deref(), Some("deployment/shop-a"));
    }
}
