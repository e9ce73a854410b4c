//! A Deployment or StatefulSet that a fault takes as a whole, and whoever else has a say in it.

use std::collections::BTreeSet;

use chaos_common::cluster::workload::{WorkloadKind, WorkloadName, WorkloadNameError};
use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind, label_selector};
use chaos_common::record::{
    BlastRadius, Change, Check, ObjectRef, Permission, Target, WorkloadRef,
};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{Api, ListParams};
use serde_json::Value;

use crate::change::apply;
use crate::context::Context;
use crate::labels::run_of;
use crate::observe::{contenders, pod_watch};
use crate::permissions::{need, need_one};
use crate::plan::{limits, storage};

/// A workload as it is before the fault.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Which.
    pub which: WorkloadRef,
    /// The object.
    pub object: ObjectRef,
    /// All of it.
    pub now: Value,
    /// Pods that it wants.
    pub replicas: i64,
    /// Of these, ready.
    pub ready: i64,
    /// Its selector, as a query.
    pub selector: String,
    /// Services that select its pods.
    pub services: Vec<String>,
    /// Whoever else may change it: limits that must hold before a fault.
    pub checks: Vec<Check>,
}

/// Why a text names no workload that can be taken as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It names none at all.
    #[error(transparent)]
    Name(#[from] WorkloadNameError),
    /// It has no replicas that could be set.
    #[error("{0}: only a deployment or a statefulset can be taken as a whole")]
    NotScalable(WorkloadName),
}

/// The workload in `deployment/NAME` or `statefulset/NAME`; a Deployment if only a name is given.
///
/// # Errors
/// It names none, or one that can't be taken as a whole.
pub fn parse(text: &str) -> Result<WorkloadName, TargetError> {
    let workload: WorkloadName = text.parse()?;
    match workload.kind {
        WorkloadKind::Deployment | WorkloadKind::StatefulSet => Ok(workload),
        WorkloadKind::DaemonSet => Err(TargetError::NotScalable(workload)),
    }
}

/// What reading one needs.
pub fn permissions(namespace: &str, text: &str) -> Vec<Permission> {
    let Ok(WorkloadName { kind, name }) = parse(text) else {
        return Vec::new();
    };
    vec![
        need_one(namespace, "get", "apps", kind.resource(), &name),
        need(namespace, "list", "", "services"),
        need(namespace, "list", "", "pods"),
        need(namespace, "watch", "", "pods"),
        need(namespace, "list", "autoscaling", "horizontalpodautoscalers"),
    ]
}

/// A workload as the API has it, of whatever UID.
pub fn object_of(kind: WorkloadKind, namespace: &str, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: "apps/v1".to_owned(),
        kind: kind.name().to_owned(),
        resource: kind.resource().to_owned(),
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
        uid: None,
    }
}

impl Workload {
    /// Reads it.
    ///
    /// # Errors
    /// It is not there, or can't be read.
    pub async fn read(
        context: &Context,
        namespace: &str,
        text: &str,
    ) -> Result<Workload, ReadError> {
        let cluster = &context.cluster;
        let what = format!("read {text} in namespace {namespace}");
        let parsed = parse(text).map_err(|why| ReadError::other(&what, why.to_string()))?;
        let mut object = object_of(parsed.kind, namespace, &parsed.name);
        let now = cluster
            .read(&what, || apply::read_object(cluster, &object))
            .await?;
        let Some(now) = now else {
            return Err(ReadError::other(&what, "there is none").hint(format!(
                "kubectl get {} -n {namespace} shows what is there",
                object.resource
            )));
        };
        object.uid = now["metadata"]["uid"].as_str().map(str::to_owned);
        let selector: LabelSelector = serde_json::from_value(now["spec"]["selector"].clone())
            .map_err(|error| {
                ReadError::other(&what, format!("its selector can't be understood: {error}"))
            })?;
        let workload = parsed.in_namespace(namespace);
        let mut checks = untouched(&workload, &now);
        checks.extend(autoscaled(cluster, &workload).await);
        Ok(Workload {
            replicas: now["spec"]["replicas"].as_i64().unwrap_or(1),
            ready: now["status"]["readyReplicas"].as_i64().unwrap_or(0),
            selector: label_selector(&selector),
            services: services(
                cluster,
                &workload,
                &now["spec"]["template"]["metadata"]["labels"],
            )
            .await?,
            which: workload,
            object,
            now,
            checks,
        })
    }

    /// The fault hits so many of its pods.
    pub fn radius(&self, hit: i64) -> BlastRadius {
        let count = |n: i64| usize::try_from(n).unwrap_or(0);
        BlastRadius {
            workload: self.which.clone(),
            ready: count(self.ready),
            hit: count(hit.min(self.ready)),
            left: count(self.ready - hit),
            services: self.services.clone(),
        }
    }

    /// Names of the claims that its pods mount.
    pub fn claims(&self) -> BTreeSet<String> {
        let ordinals = storage::ordinals(&self.now, self.replicas);
        let mut claims = storage::claims_of_spec(&self.now["spec"]["template"]["spec"]);
        claims.extend(storage::claims_of_set(&self.now, ordinals));
        claims
    }

    /// It is to have so many replicas, and after the undo those that it has now.
    pub fn scale_to(&self, replicas: i64) -> Change {
        Change::Patch {
            object: self.object.clone(),
            field: vec!["spec".to_owned(), "replicas".to_owned()],
            original: self.replicas.into(),
            faulted: replicas.into(),
        }
    }

    /// For the plan's list of targets.
    pub fn target(&self) -> Target {
        Target {
            kind: self.which.kind.clone(),
            namespace: self.which.namespace.clone(),
            name: self.which.name.clone(),
            uid: self.object.uid.clone().unwrap_or_default(),
            owner: self.which.clone(),
            node: None,
        }
    }
}

/// `limit.survivors` and `limit.share` for a fault that takes workloads as a whole, which is what
/// it is for: the first is skipped, the second holds for the application's namespace.
pub async fn whole(context: &Context, radius: &[&BlastRadius]) -> Vec<Check> {
    let named: Vec<String> = radius.iter().map(|one| one.workload.to_string()).collect();
    let why = format!(
        "this experiment takes the whole of {}: no pod is meant to survive",
        named.join(", ")
    );
    let mut checks = vec![Check::skipped("limit.survivors", "", why)];
    let here = radius
        .iter()
        .filter(|one| one.workload.namespace == context.namespace);
    let hit: usize = here.map(|one| one.hit).sum();
    if hit == 0 {
        return checks;
    }
    checks.push(
        match pod_watch::count_ready(&context.cluster, &context.namespace).await {
            Ok(ready) => limits::share(hit, ready, &context.config.limits),
            Err(error) => error.check("limit.share", ""),
        },
    );
    checks
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
    Some(Check::fail("limit.others", object, message).hint(hint))
}

/// `limit.others`: no run holds it, nobody rolls it out, and no GitOps controller is known to.
fn untouched(workload: &WorkloadRef, now: &Value) -> Vec<Check> {
    const ID: &str = "limit.others";
    let object = workload.to_string();
    if let Some(run) = run_of(now) {
        return vec![
            Check::fail(
                ID,
                object,
                format!("carries the label of run {run}, which may have left it changed"),
            )
            .hint("chaos-inject status, then chaos-inject recover"),
        ];
    }
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let wanted = now["spec"]["replicas"].as_i64().unwrap_or(1);
    if let Some(check) = update_waits(&object, now) {
        return vec![check];
    }
    let updated = updated(now, wanted);
    let settled = number(&now["status"]["observedGeneration"])
        >= number(&now["metadata"]["generation"])
        && number(&now["status"]["updatedReplicas"]) >= updated
        && number(&now["status"]["readyReplicas"]) == wanted;
    let mut checks = vec![if settled {
        Check::pass(
            ID,
            object.clone(),
            format!("settled at {wanted} replicas, and nobody is changing it"),
        )
    } else {
        let status = &now["status"];
        let message = format!(
            "of {wanted} replicas, {} are updated and {} are ready: a rollout is going on, or pods fail",
            number(&status["updatedReplicas"]),
            number(&status["readyReplicas"])
        );
        Check::fail(ID, object.clone(), message).hint(format!("kubectl rollout status {object}"))
    }];
    // What these two put on the objects that they keep as they are in a repository.
    let marks = [
        ("annotations", "argocd.argoproj.io/tracking-id", "Argo CD"),
        ("labels", "argocd.argoproj.io/instance", "Argo CD"),
        ("labels", "kustomize.toolkit.fluxcd.io/name", "Flux"),
        ("labels", "helm.toolkit.fluxcd.io/name", "Flux"),
    ];
    if let Some((_, _, who)) = marks
        .iter()
        .find(|(map, key, _)| !now["metadata"][map][key].is_null())
    {
        let message = format!(
            "{who} keeps it as it is in a repository, and may take the fault back on its own"
        );
        checks.push(warning(ID, &object, message));
    }
    if let Some(owner) = contenders::owner(now) {
        let message = format!("belongs to {owner}, whose controller may take the fault back");
        checks.push(warning(ID, &object, message));
    }
    checks
}

/// `limit.others`: whether an autoscaler sets its replicas, too.
async fn autoscaled(cluster: &Cluster, workload: &WorkloadRef) -> Option<Check> {
    let named = (workload.kind.as_str(), workload.name.as_str());
    match contenders::scaler_of(cluster, &workload.namespace, named).await {
        Ok(scaler) => {
            let message = contenders::prediction(&scaler?);
            Some(warning("limit.others", &workload.to_string(), message))
        }
        // A cluster without autoscaling has none.
        Err(error) if error.kind == ReadErrorKind::NotFound => None,
        Err(error) => Some(error.check("limit.others", workload.to_string())),
    }
}

fn warning(id: &str, object: &str, message: String) -> Check {
    Check {
        status: chaos_common::record::Status::Warn,
        ..Check::pass(id, object, message)
    }
}

/// Services of the namespace that select pods with these labels.
async fn services(
    cluster: &Cluster,
    workload: &WorkloadRef,
    labels: &Value,
) -> Result<Vec<String>, ReadError> {
    let api: Api<Service> = Api::namespaced(cluster.client.clone(), &workload.namespace);
    let what = format!("list services in namespace {}", workload.namespace);
    let services = cluster.list(&api, &ListParams::default(), what).await?;
    let selects = |service: &&Service| {
        let selector = service
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.as_ref());
        selector.is_some_and(|selector| {
            !selector.is_empty()
                && selector
                    .iter()
                    .all(|(key, value)| labels[key].as_str() == Some(value))
        })
    };
    Ok(services
        .iter()
        .filter(selects)
        .filter_map(|service| service.metadata.name.clone())
        .collect())
}

#[cfg(test)]
mod tests;
