//! Do the controllers have what they want?

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::core::ObjectMeta;

use chaos_common::cluster::ReadError;
use chaos_common::config::Workload;
use chaos_common::record::{Check, Status, SystemState, WorkloadRef, WorkloadState};

const ID: &str = "workload.ready";

/// What one controller wants and has, whatever its kind. Made of the whole object, which is not
/// kept.
#[derive(Clone, Debug)]
pub(super) struct Controller {
    state: WorkloadState,
    /// Pods of the latest version, and how many there should be.
    updated: i32,
    due: i32,
    /// The controller has seen the latest specification.
    current: bool,
    deleted: bool,
    /// What its controller complains about.
    complaint: Option<String>,
    /// What is worth a look though it has what it wants.
    oddity: Option<String>,
}

/// How many pods a controller wants and has.
struct Numbers {
    wants: i32,
    ready: Option<i32>,
    updated: Option<i32>,
    due: i32,
    observed: Option<i64>,
}

fn images(template: &PodTemplateSpec) -> Vec<String> {
    let containers = template
        .spec
        .as_ref()
        .map(|spec| spec.containers.as_slice())
        .unwrap_or_default();
    containers
        .iter()
        .filter_map(|container| container.image.clone())
        .collect()
}

impl Controller {
    fn new(
        kind: &str,
        meta: &ObjectMeta,
        template: Option<&PodTemplateSpec>,
        numbers: &Numbers,
    ) -> Controller {
        let workload = WorkloadRef {
            kind: kind.to_owned(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
        };
        let state = WorkloadState {
            workload,
            wants: numbers.wants,
            ready: numbers.ready.unwrap_or(0),
            images: template.map(images).unwrap_or_default(),
            restarts: 0,
            nodes: Vec::new(),
            cpu_cores: None,
            memory_bytes: None,
        };
        Controller {
            state,
            updated: numbers.updated.unwrap_or(0),
            due: numbers.due,
            current: numbers.observed >= meta.generation,
            deleted: meta.deletion_timestamp.is_some(),
            complaint: None,
            oddity: None,
        }
    }
}

impl From<&Deployment> for Controller {
    fn from(object: &Deployment) -> Controller {
        let (spec, status) = (object.spec.as_ref(), object.status.as_ref());
        let wants = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let numbers = Numbers {
            wants,
            ready: status.and_then(|status| status.ready_replicas),
            updated: status.and_then(|status| status.updated_replicas),
            due: wants,
            observed: status.and_then(|status| status.observed_generation),
        };
        let mut controller = Controller::new(
            "Deployment",
            &object.metadata,
            spec.map(|spec| &spec.template),
            &numbers,
        );
        let conditions = status
            .and_then(|status| status.conditions.as_deref())
            .unwrap_or_default();
        let complaint = |kind: &str, value: &str| {
            conditions
                .iter()
                .find(|c| c.type_ == kind && c.status == value)
        };
        let condition =
            complaint("ReplicaFailure", "True").or_else(|| complaint("Progressing", "False"));
        controller.complaint = condition.map(|condition| {
            let reason = condition.reason.as_deref().unwrap_or(&condition.type_);
            format!(
                "{reason}: {}",
                condition.message.as_deref().unwrap_or_default()
            )
        });
        let paused = spec.is_some_and(|spec| spec.paused == Some(true));
        controller.oddity =
            paused.then(|| "is paused: changes to it are not rolled out".to_owned());
        controller
    }
}

impl From<&StatefulSet> for Controller {
    fn from(object: &StatefulSet) -> Controller {
        let (spec, status) = (object.spec.as_ref(), object.status.as_ref());
        let wants = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
        let by_hand =
            strategy.is_some_and(|strategy| strategy.type_.as_deref() == Some("OnDelete"));
        let kept_back = strategy
            .and_then(|strategy| strategy.rolling_update.as_ref()?.partition)
            .unwrap_or(0);
        let numbers = Numbers {
            wants,
            ready: status.and_then(|status| status.ready_replicas),
            updated: status
                .and_then(|status| status.updated_replicas)
                .or(Some(wants)),
            due: if by_hand { 0 } else { wants - kept_back },
            observed: status.and_then(|status| status.observed_generation),
        };
        Controller::new(
            "StatefulSet",
            &object.metadata,
            spec.map(|spec| &spec.template),
            &numbers,
        )
    }
}

impl From<&DaemonSet> for Controller {
    fn from(object: &DaemonSet) -> Controller {
        let (spec, status) = (object.spec.as_ref(), object.status.as_ref());
        let wants = status.map_or(0, |status| status.desired_number_scheduled);
        let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
        let by_hand =
            strategy.is_some_and(|strategy| strategy.type_.as_deref() == Some("OnDelete"));
        let numbers = Numbers {
            wants,
            ready: status.map(|status| status.number_ready),
            updated: status.and_then(|status| status.updated_number_scheduled),
            due: if by_hand { 0 } else { wants },
            observed: status.and_then(|status| status.observed_generation),
        };
        let mut controller = Controller::new(
            "DaemonSet",
            &object.metadata,
            spec.map(|spec| &spec.template),
            &numbers,
        );
        let stray = status.map_or(0, |status| status.number_misscheduled);
        controller.oddity =
            (stray > 0).then(|| format!("runs on {stray} nodes that it should not run on"));
        controller
    }
}

/// Has a controller what it wants? `expected` says that the configuration names it, so that zero
/// replicas are a fault and not somebody's decision.
fn judge_one(controller: &Controller, expected: bool) -> Check {
    let Controller {
        state,
        updated,
        due,
        current,
        ..
    } = controller;
    let object = state.workload.to_string();
    let (wants, ready) = (state.wants, state.ready);
    let why = controller
        .complaint
        .as_ref()
        .map(|why| format!("; {why}"))
        .unwrap_or_default();
    let check = if controller.deleted {
        Check::fail(ID, object, "is being deleted")
    } else if !current {
        Check::fail(
            ID,
            object,
            "its controller has not acted on the latest change yet",
        )
    } else if wants == 0 && state.workload.kind == "DaemonSet" {
        Check::judge(
            !expected,
            ID,
            object,
            "no node matches what it asks for, so it wants no pods",
        )
    } else if wants == 0 {
        Check::new(
            ID,
            object,
            if expected { Status::Fail } else { Status::Warn },
            "is scaled to 0",
        )
    } else if ready < wants {
        Check::fail(
            ID,
            object,
            format!("wants {wants} ready pods, has {ready}{why}"),
        )
    } else if updated < due {
        let message =
            format!("is being rolled out: {updated} of {due} pods are of the latest version{why}");
        Check::fail(ID, object, message)
    } else if let Some(oddity) = controller.complaint.as_ref().or(controller.oddity.as_ref()) {
        Check::new(
            ID,
            object,
            Status::Warn,
            format!("wants {wants} ready pods, has {ready}, but {oddity}"),
        )
    } else {
        Check::pass(ID, object, format!("wants {wants} ready pods, has {ready}"))
    };
    check.hint(format!(
        "kubectl describe {} -n {}",
        state.workload.to_string().replace('/', " "),
        state.workload.namespace
    ))
}

/// The controllers of a namespace, by kind, each as it could be read.
pub(super) type Controllers = [(&'static str, Result<Vec<Controller>, ReadError>); 3];

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
    for (kind, controllers) in controllers {
        match controllers {
            Ok(controllers) => {
                for one in expected.iter().filter(|one| one.kind == kind) {
                    if !controllers
                        .iter()
                        .any(|c| c.state.workload.name == one.name)
                    {
                        let object = format!("{}/{}", kind.to_lowercase(), one.name);
                        let message = format!(
                            "the configuration names it, and there is none in namespace {namespace}"
                        );
                        checks.push(Check::fail(ID, object, message).hint(format!(
                            "kubectl get {} -n {namespace}",
                            kind.to_lowercase()
                        )));
                    }
                }
                found.extend(controllers);
            }
            Err(error) => checks.push(error.check(
                ID,
                format!("{} of namespace/{namespace}", kind.to_lowercase()),
            )),
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

/// One Deployment that must be there, for the monitoring systems.
pub(super) fn judge_deployment(
    deployments: &[Controller],
    name: &str,
) -> (Check, Option<WorkloadState>) {
    match deployments
        .iter()
        .find(|controller| controller.state.workload.name == name)
    {
        Some(controller) => (judge_one(controller, true), Some(controller.state.clone())),
        None => (
            Check::fail(ID, format!("deployment/{name}"), "there is none"),
            None,
        ),
    }
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
