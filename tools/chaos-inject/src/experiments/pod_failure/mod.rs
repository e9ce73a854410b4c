//! Pod failure: pods are deleted, and their controllers have to bring them back. There is nothing
//! to write for the undo; it is proven by the replacements being ready, in the endpoints, and
//! answering.

mod answers;
mod running;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use chaos_common::cluster::custom::Family;
use chaos_common::cluster::workload::WorkloadKind;
use chaos_common::cluster::{ReadError, owner_uid};
use chaos_common::config::{AlertSelector, Config, Span};
use chaos_common::exit::Failure;
use chaos_common::record::{Change, Check, ObjectRef, Permission, Plan, PodSource, Target};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ListParams};
use schemars::JsonSchema;
use serde::Deserialize;

use self::running::Running;
use crate::change::apply;
use crate::context::Context;
use crate::experiments::Definition;
use crate::experiments::flag::Flag;
use crate::observe::pod_watch;
use crate::permissions::{need, need_one};
use crate::plan::Draft;
use crate::plan::blast_radius::{self, PodCounts};
use crate::plan::limits;
use crate::plan::losses::Holdings;
use crate::plan::storage;
use crate::plan::target::{SelectError, Selection, canonical, select};
use crate::plan::workload::{Workload, object_of, update_waits};
use crate::run::experiment::{Experiment, RunningExperiment};

/// Its name.
const NAME: &str = "pod-failure";
/// Added to the limit for the worst case: the answers to what is under way.
const SLACK: Duration = Duration::from_secs(5);

/// `[experiment.pod_failure]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Workloads that pods are taken from, as `deployment/NAME`, when no flag selects any.
    pub workloads: Vec<String>,
    /// How many pods of each.
    pub count: usize,
    /// Longest time that a pod may take to come back.
    pub recovery_limit: Span,
    /// Alerts that must fire.
    pub alerts: Vec<AlertSelector>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            workloads: Vec::new(),
            count: 1,
            recovery_limit: Span::seconds(120),
            alerts: Vec::new(),
        }
    }
}

/// The experiment.
#[derive(Debug)]
pub struct PodFailure {
    selection: Selection,
    settings: Settings,
}

impl Definition for PodFailure {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Delete pods and measure how they come back";
    const FLAGS: &'static [Flag] = &[
        Flag::Pod,
        Flag::Selector,
        Flag::Workload,
        Flag::Count,
        Flag::Share,
        Flag::AllowOutage,
        Flag::MaxShare,
    ];
    type Settings = Settings;

    fn new(selection: &Selection, settings: Settings, _config: &Config) -> Result<Self, Failure> {
        let mut selection = selection.clone();
        if selection.pods.is_empty()
            && selection.selector.is_none()
            && selection.workloads.is_empty()
        {
            let named = settings.workloads.iter().map(|text| {
                canonical(text).map_err(|error| {
                    Failure::usage(error.to_string())
                        .hint("mend experiment.pod_failure.workloads in chaos.toml")
                })
            });
            selection.workloads = named.collect::<Result<_, _>>()?;
        }
        if selection.pods.is_empty()
            && selection.selector.is_none()
            && selection.workloads.is_empty()
        {
            return Err(Failure::usage("nothing selects the pods to delete")
                .hint("give --pod, --selector or --workload, or set experiment.pod_failure.workloads in chaos.toml"));
        }
        Ok(PodFailure {
            selection,
            settings,
        })
    }
}

#[async_trait(?Send)]
impl Experiment for PodFailure {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn plan(&self, context: &Context) -> Result<Plan, ReadError> {
        let namespace = &context.namespace;
        let (selection, family, to_read) = self.resolved(context).await?;
        let (pod_counts, candidates) = candidates(context, (&selection, &family)).await?;
        let (services, budgets) = services_and_budgets(context).await?;
        let mut checks = Vec::new();
        let chosen = match select(&selection, self.settings.count, (&candidates, &family)) {
            Ok(chosen) => chosen,
            Err(why) => {
                checks.push(not_there(context, &why).await);
                Vec::new()
            }
        };
        let (targets, unowned) = targets(&chosen, &family);
        checks.extend(unowned);
        let (waiting, to_look) = waiting_updates(context, &targets).await;
        checks.extend(waiting);
        let blast_radius = blast_radius::of(&pod_counts, &chosen, &targets, &services);
        checks.extend(limits::blast_radius(
            &blast_radius,
            pod_counts.ready,
            &context.config.limits,
            context.choice.allow_outage,
        ));
        checks.extend(limits::budgets(&blast_radius::budgets(&budgets, &chosen)));
        let through_services = blast_radius.iter().any(|one| !one.services.is_empty());
        let delete = |target| Change::Delete {
            object: pod_object(target),
        };
        let draft = Draft {
            experiment: NAME,
            holdings: Holdings::of_pods(context, &targets).await?,
            changes: targets.iter().map(delete).collect(),
            targets,
            affected: limits::outages(&blast_radius),
            blast_radius,
            hold: Duration::ZERO,
            recovery_limit: self.settings.recovery_limit.0,
            stop_limit: None,
            slack: SLACK,
            undo: "the pods' controllers make new ones; nothing has to be written".to_owned(),
            alerts: self.settings.alerts.clone(),
            permissions: [permissions(namespace, through_services), to_read, to_look].concat(),
            checks,
            ..Draft::default()
        };
        draft.finish(context).await
    }

    async fn data_at_stake(&self, context: &Context, plan: &Plan) -> Result<bool, ReadError> {
        if storage::outage_of_data(&context.config, plan) {
            return Ok(true);
        }
        let api: Api<Pod> = Api::namespaced(context.cluster.client.clone(), &context.namespace);
        let database = context.config.database.as_ref();
        let roles = &context.config.workloads;
        for target in &plan.targets {
            let is_database = database.is_some_and(|database| database.is_run_by(&target.owner))
                || roles.iter().any(|workload| {
                    workload.role == "database" && workload.name == target.owner.name
                });
            if is_database {
                return Ok(true);
            }
            let pod = context
                .cluster
                .read(format!("read pod {}", target.name), || {
                    api.get_opt(&target.name)
                })
                .await?;
            let volumes = pod
                .and_then(|pod| pod.spec)
                .and_then(|spec| spec.volumes)
                .unwrap_or_default();
            if volumes
                .iter()
                .any(|volume| volume.persistent_volume_claim.is_some())
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn prepare(
        &self,
        context: &mut Context,
        plan: &Plan,
    ) -> anyhow::Result<Box<dyn RunningExperiment>> {
        let running = Running::start(context, plan, &self.settings).await?;
        Ok(Box::new(running))
    }
}

impl PodFailure {
    /// What is selected in the words of the cluster, whose the pods of custom resources among it are,
    /// and what knowing that needs.
    async fn resolved(
        &self,
        context: &Context,
    ) -> Result<(Selection, Family, Vec<Permission>), ReadError> {
        let mut selection = self.selection.clone();
        let (mut family, mut permissions) = (Family::default(), Vec::new());
        for named in &mut selection.workloads {
            if let Ok(PodSource::Custom(_)) = named.parse() {
                let target = Workload::read(context, &context.namespace, named).await?;
                *named = target.which.to_string();
                family.extend(target.family);
                permissions.extend(target.permissions);
            }
        }
        Ok((selection, family, permissions))
    }
}

/// `limit.targets` of what is selected and not there, with what there is instead.
async fn not_there(context: &Context, why: &SelectError) -> Check {
    const ID: &str = "limit.targets";
    let (cluster, namespace) = (&context.cluster, &context.namespace);
    if let SelectError::Workload(named) = why {
        let known = cluster.known_workloads(namespace).await;
        if known.is_some_and(|known| !known.contains(named)) && !named.starts_with("replicaset/") {
            let what = format!("find the pods of {named}");
            let error = cluster.no_such_workload(&what, namespace, named).await;
            let check = Check::fail(ID, named, error.to_string());
            return check.hint(error.next_step().unwrap_or_default());
        }
    }
    let hint = format!("kubectl get pods -n {namespace} shows what is there");
    Check::fail(ID, "", why.to_string()).hint(hint)
}

/// All pods of the namespace counted, and those that may be hit: a namespace may have thousands of
/// pods, so only these are kept.
async fn candidates(
    context: &Context,
    (selection, family): (&Selection, &Family),
) -> Result<(PodCounts, Vec<Pod>), ReadError> {
    let (cluster, namespace) = (&context.cluster, &context.namespace);
    let what = format!("list pods in namespace {namespace}");
    let (mut pod_counts, mut candidates) = (PodCounts::default(), Vec::new());
    let by_labels = selection.selector.as_deref();
    pod_watch::each(cluster, namespace, &ListParams::default(), &what, |pod| {
        pod_counts.count(&pod, family);
        if by_labels.is_none() && selection.names(&pod, family) {
            candidates.push(pod);
        }
    })
    .await?;
    if let Some(labels) = by_labels {
        let params = ListParams::default().labels(labels);
        let what = format!("{what} by the labels {labels}");
        pod_watch::each(cluster, namespace, &params, &what, |pod| {
            candidates.push(pod);
        })
        .await?;
    }
    Ok((pod_counts, candidates))
}

/// The controllers of the targets that update a pod when somebody deletes it, and what reading them
/// needs. A Deployment does not.
async fn waiting_updates(context: &Context, targets: &[Target]) -> (Vec<Check>, Vec<Permission>) {
    let (mut checks, mut permissions) = (Vec::new(), Vec::new());
    let owners: BTreeSet<_> = targets.iter().map(|target| &target.owner).collect();
    for owner in owners {
        let Ok(kind @ (WorkloadKind::StatefulSet | WorkloadKind::DaemonSet)) = owner.kind.parse()
        else {
            continue;
        };
        let object = object_of(kind, &owner.namespace, &owner.name);
        let resource = kind.resource();
        permissions.push(need_one(
            &owner.namespace,
            "get",
            "apps",
            resource,
            &owner.name,
        ));
        let read = || apply::read_object(&context.cluster, &object);
        match context.cluster.read(format!("read {owner}"), read).await {
            Ok(now) => checks.extend(now.and_then(|now| update_waits(&owner.to_string(), &now))),
            Err(error) => checks.push(error.check("limit.others", owner.to_string())),
        }
    }
    (checks, permissions)
}

async fn services_and_budgets(
    context: &Context,
) -> Result<(Vec<Service>, Vec<PodDisruptionBudget>), ReadError> {
    let (cluster, namespace) = (&context.cluster, &context.namespace);
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), namespace);
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(cluster.client.clone(), namespace);
    let all = ListParams::default();
    futures::try_join!(
        cluster.list(
            &services,
            &all,
            format!("list services in namespace {namespace}"),
        ),
        cluster.list(
            &budgets,
            &all,
            format!("list poddisruptionbudgets in namespace {namespace}"),
        ),
    )
}

/// The chosen pods as targets, and a failed check for each that no controller would bring back.
fn targets(chosen: &[&Pod], family: &Family) -> (Vec<Target>, Vec<Check>) {
    let (mut targets, mut checks) = (Vec::new(), Vec::new());
    for pod in chosen {
        match target(pod, family) {
            Some(target) => targets.push(target),
            None => checks.push(Check::fail(
                "limit.owner",
                format!("pod/{}", pod.metadata.name.as_deref().unwrap_or_default()),
                "no controller owns it, so nothing would bring it back",
            )),
        }
    }
    (targets, checks)
}

/// `through_services`: the replacements are asked themselves, since a Service leads to them.
fn permissions(namespace: &str, through_services: bool) -> Vec<Permission> {
    let mut needed = vec![
        need(namespace, "list", "", "services"),
        need(namespace, "list", "policy", "poddisruptionbudgets"),
        need(namespace, "get", "", "pods"),
        need(namespace, "list", "", "pods"),
        need(namespace, "watch", "", "pods"),
        need(namespace, "list", "discovery.k8s.io", "endpointslices"),
        need(namespace, "watch", "discovery.k8s.io", "endpointslices"),
    ];
    if through_services {
        needed.push(need(namespace, "get", "", "pods/proxy"));
    }
    needed
}

fn pod_object(target: &Target) -> ObjectRef {
    ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        resource: "pods".to_owned(),
        namespace: Some(target.namespace.clone()),
        name: target.name.clone(),
        uid: Some(target.uid.clone()),
    }
}

fn target(pod: &Pod, family: &Family) -> Option<Target> {
    owner_uid(pod)?;
    Some(Target {
        kind: "Pod".to_owned(),
        namespace: pod.metadata.namespace.clone()?,
        name: pod.metadata.name.clone()?,
        uid: pod.metadata.uid.clone()?,
        owner: family.workload_of(pod)?,
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
    })
}
