//! A workload that a fault takes as a whole, and whoever else has a say in it: a Deployment, a
//! StatefulSet, or a custom resource that can be scaled.

mod custom;
mod others;

use std::collections::BTreeSet;

use chaos_common::cluster::custom::Family;
use chaos_common::cluster::workload::{WorkloadKind, WorkloadName, WorkloadNameError};
use chaos_common::cluster::{Cluster, ReadError, label_selector};
use chaos_common::record::{
    BlastRadius, Change, Check, ObjectRef, Permission, PodSource, Target, WorkloadRef,
};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{Api, ListParams};
use serde_json::Value;

use crate::change::apply;
use crate::context::Context;
use crate::observe::pod_watch;
use crate::permissions::{need, need_one};
use crate::plan::{limits, storage};

pub use self::others::update_waits;

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
    /// Where it holds their number.
    pub field: Vec<String>,
    /// The selector of its pods, as a query.
    pub selector: String,
    /// The same as an object has it; `None` of a custom resource that does not tell it.
    pub pod_selector: Option<Value>,
    /// What its pods are made from: labels and spec.
    pub template: Value,
    /// Whose the pods are that its selector finds.
    pub family: Family,
    /// Names of claims that its pods mount, besides those of the template.
    mounted: BTreeSet<String>,
    /// Services that select its pods.
    pub services: Vec<String>,
    /// Whoever else may change it: limits that must hold before a fault.
    pub checks: Vec<Check>,
    /// What reading it needs.
    pub permissions: Vec<Permission>,
}

/// Why a text names no workload that can be taken as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It names none at all.
    #[error(transparent)]
    Name(#[from] WorkloadNameError),
    /// It has no replicas that could be set.
    #[error(
        "{0}: only a deployment, a statefulset or a custom resource with the subresource scale \
         can be taken as a whole"
    )]
    NotScalable(WorkloadName),
    /// Labels are no workload.
    #[error("selector={0} names pods, and no workload: write deployment/NAME")]
    Labels(String),
}

/// The workload in `deployment/NAME`, `statefulset/NAME` or `KIND.GROUP/NAME`; a Deployment if only a
/// name is given.
///
/// # Errors
/// It names none, or one that can't be taken as a whole.
pub fn parse(text: &str) -> Result<PodSource, TargetError> {
    let named: PodSource = text.parse()?;
    match &named {
        PodSource::Workload(workload) if workload.kind == WorkloadKind::DaemonSet => {
            Err(TargetError::NotScalable(workload.clone()))
        }
        PodSource::Workload(_) | PodSource::Custom(_) => Ok(named),
        PodSource::Labels(labels) => Err(TargetError::Labels(labels.clone())),
    }
}

/// What reading one needs.
///
/// # Errors
/// A custom resource can't be read.
pub async fn permissions(
    context: &Context,
    namespace: &str,
    named: &PodSource,
) -> Result<Vec<Permission>, ReadError> {
    match named {
        PodSource::Workload(name) => Ok(of_apps(namespace, name)),
        PodSource::Custom(name) => {
            let target = custom::read(context, namespace, name).await;
            target.map(|target| target.permissions)
        }
        PodSource::Labels(_) => Ok(to_look_around(namespace)),
    }
}

fn of_apps(namespace: &str, WorkloadName { kind, name }: &WorkloadName) -> Vec<Permission> {
    let own = need_one(namespace, "get", "apps", kind.resource(), name);
    [vec![own], to_look_around(namespace)].concat()
}

/// What reading one of any kind needs besides itself.
fn to_look_around(namespace: &str) -> Vec<Permission> {
    vec![
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
        let what = format!("read {text} in namespace {namespace}");
        match parse(text).map_err(|why| ReadError::other(&what, why.to_string()))? {
            PodSource::Custom(name) => custom::read(context, namespace, &name).await,
            PodSource::Workload(name) => Workload::of_apps(context, namespace, &name).await,
            PodSource::Labels(_) => unreachable!("labels are no workload"),
        }
    }

    /// A Deployment or a StatefulSet.
    async fn of_apps(
        context: &Context,
        namespace: &str,
        name: &WorkloadName,
    ) -> Result<Workload, ReadError> {
        let cluster = &context.cluster;
        let what = format!("read {name} in namespace {namespace}");
        let mut object = object_of(name.kind, namespace, &name.name);
        let now = cluster
            .read(&what, || apply::read_object(cluster, &object))
            .await?;
        let Some(now) = now else {
            let named = name.to_string();
            return Err(cluster.no_such_workload(&what, namespace, &named).await);
        };
        object.uid = now["metadata"]["uid"].as_str().map(str::to_owned);
        let selector: LabelSelector = serde_json::from_value(now["spec"]["selector"].clone())
            .map_err(|error| {
                ReadError::other(&what, format!("its selector can't be understood: {error}"))
            })?;
        let which = name.in_namespace(namespace);
        let mut checks = others::of_apps(&which, &now);
        checks.extend(others::autoscaled(cluster, &which, &object).await);
        let template = now["spec"]["template"].clone();
        Ok(Workload {
            replicas: now["spec"]["replicas"].as_i64().unwrap_or(1),
            ready: now["status"]["readyReplicas"].as_i64().unwrap_or(0),
            field: vec!["spec".to_owned(), "replicas".to_owned()],
            selector: label_selector(&selector),
            pod_selector: Some(now["spec"]["selector"].clone()),
            services: services(cluster, &which, &template["metadata"]["labels"]).await?,
            family: Family::default(),
            mounted: BTreeSet::new(),
            which,
            object,
            now,
            template,
            checks,
            permissions: of_apps(namespace, name),
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

    /// Whether it is a custom resource, of which only its controller knows what it does.
    pub fn is_custom(&self) -> bool {
        self.object.custom_group().is_some()
    }

    /// Names of the claims that its pods mount.
    pub fn claims(&self) -> BTreeSet<String> {
        let ordinals = storage::ordinals(&self.now, self.replicas);
        let mut claims = storage::claims_of_spec(&self.template["spec"]);
        if self.is_custom() {
            claims.extend(self.mounted.iter().cloned());
        } else {
            claims.extend(storage::claims_of_set(&self.now, ordinals));
        }
        claims
    }

    /// It is to have so many replicas, and after the undo those that it has now.
    pub fn scale_to(&self, replicas: i64) -> Change {
        Change::Patch {
            object: self.object.clone(),
            field: self.field.clone(),
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
