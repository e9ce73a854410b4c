//! Pod failure: pods are deleted, and their controllers have to bring them back. There is nothing
//! to write for the undo; it is proven by the replacements being ready, in the endpoints, and
//! answering.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use chaos_common::cluster::workload_of;
use chaos_common::cluster::{ReadError, owner_uid};
use chaos_common::config::{Config, Span};
use chaos_common::exit::Failure;
use chaos_common::record::{Change, Check, EventKind, ObjectRef, Plan, PodRecovery, Target};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ListParams};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::abort::Abort;
use crate::change::apply::Applied;
use crate::context::Context;
use crate::experiments::Definition;
use crate::observe::Seen;
use crate::observe::pod_events::{Seen as Sight, Sighting, watch};
use crate::observe::pod_watch;
use crate::observe::recovery::Tracker;
use crate::permissions::need;
use crate::plan::Draft;
use crate::plan::blast_radius::{self, Census};
use crate::plan::limits;
use crate::plan::target::{Selection, select};
use crate::run::fault::{End, Fault};

/// Its name.
const NAME: &str = "pod-failure";
/// Time between two questions to a pod that is coming back.
const POD_PROBE_INTERVAL: Duration = Duration::from_millis(50);
/// Time that the first look at pods and endpoints may take.
const FIRST_LOOK: Duration = Duration::from_secs(15);
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
    pub alerts: Vec<String>,
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
    tracker: Tracker,
    sightings: Option<mpsc::Receiver<Sighting>>,
    /// Where the pods behind a Service can be asked themselves: port and path.
    doors: BTreeMap<String, (u16, String)>,
    hit: usize,
    story: Story,
}

impl PodFailure {
    /// Takes in what waits in the channel, or what comes until `end`; `false` if nothing more
    /// comes.
    async fn look(&mut self, end: Instant) -> bool {
        let Some(sightings) = &mut self.sightings else {
            return false;
        };
        tokio::select! {
            sighting = sightings.recv() => {
                let Some(Sighting { at, seen }) = sighting else { return false };
                self.tracker.see(at, &seen);
                true
            }
            () = sleep_until(end) => false,
        }
    }
}

impl Definition for PodFailure {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Delete pods and measure how they come back";
    type Settings = Settings;

    fn new(selection: &Selection, settings: Settings, _config: &Config) -> Result<Self, Failure> {
        let mut selection = selection.clone();
        if selection.pods.is_empty()
            && selection.selector.is_none()
            && selection.workloads.is_empty()
        {
            selection.workloads.clone_from(&settings.workloads);
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
            tracker: Tracker::default(),
            sightings: None,
            doors: BTreeMap::new(),
            hit: 0,
            story: Story::default(),
        })
    }
}

#[async_trait(?Send)]
impl Fault for PodFailure {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn plan(&self, context: &Context) -> Result<Plan, ReadError> {
        let (cluster, namespace) = (&context.cluster, &context.namespace);
        let what = format!("list pods in namespace {namespace}");
        // A namespace may have thousands of pods: all are counted, and only those that may be hit
        // are kept.
        let (mut census, mut candidates) = (Census::default(), Vec::new());
        let by_labels = self.selection.selector.as_deref();
        pod_watch::each(cluster, namespace, &ListParams::default(), &what, |pod| {
            census.count(&pod);
            if by_labels.is_none() && self.selection.names(&pod) {
                candidates.push(pod);
            }
        })
        .await?;
        if let Some(labels) = by_labels {
            let params = ListParams::default().labels(labels);
            pod_watch::each(
                cluster,
                namespace,
                &params,
                &format!("{what} by the labels {labels}"),
                |pod| {
                    candidates.push(pod);
                },
            )
            .await?;
        }
        let (services, budgets) = futures::try_join!(
            async {
                let api: Api<Service> = Api::namespaced(cluster.client.clone(), namespace);
                cluster
                    .list(
                        &api,
                        &ListParams::default(),
                        format!("list services in namespace {namespace}"),
                    )
                    .await
            },
            async {
                let api: Api<PodDisruptionBudget> =
                    Api::namespaced(cluster.client.clone(), namespace);
                cluster
                    .list(
                        &api,
                        &ListParams::default(),
                        format!("list poddisruptionbudgets in namespace {namespace}"),
                    )
                    .await
            },
        )?;
        let mut checks = Vec::new();
        let chosen =
            select(&self.selection, self.settings.count, &candidates).unwrap_or_else(|why| {
                checks.push(Check::fail("limit.targets", "", why).hint(format!(
                    "kubectl get pods -n {namespace} shows what is there"
                )));
                Vec::new()
            });
        let mut targets = Vec::new();
        for pod in &chosen {
            match target(pod) {
                Some(target) => targets.push(target),
                None => checks.push(Check::fail(
                    "limit.owner",
                    format!("pod/{}", pod.metadata.name.as_deref().unwrap_or_default()),
                    "no controller owns it, so nothing would bring it back",
                )),
            }
        }
        let blast_radius = blast_radius::of(&census, &chosen, &targets, &services);
        checks.extend(limits::blast_radius(
            &blast_radius,
            census.ready,
            &context.config.limits,
        ));
        checks.extend(limits::budgets(&blast_radius::budgets(&budgets, &chosen)));
        let mut needed = vec![
            need(namespace, "list", "", "services"),
            need(namespace, "list", "policy", "poddisruptionbudgets"),
            need(namespace, "get", "", "pods"),
            need(namespace, "list", "", "pods"),
            need(namespace, "watch", "", "pods"),
            need(namespace, "list", "discovery.k8s.io", "endpointslices"),
            need(namespace, "watch", "discovery.k8s.io", "endpointslices"),
        ];
        if blast_radius.iter().any(|one| !one.services.is_empty()) {
            needed.push(need(namespace, "get", "", "pods/proxy"));
        }
        let draft = Draft {
            experiment: NAME,
            changes: targets
                .iter()
                .map(|target| Change::Delete {
                    object: pod_object(target),
                })
                .collect(),
            targets,
            blast_radius,
            hold: Duration::ZERO,
            recovery_limit: self.settings.recovery_limit.0,
            slack: SLACK,
            undo: "the pods' controllers make new ones; nothing has to be written".to_owned(),
            affected: Vec::new(),
            alerts: self.settings.alerts.clone(),
            permissions: needed,
            checks,
        };
        draft.finish(context).await
    }

    async fn data_at_stake(&self, context: &Context, plan: &Plan) -> Result<bool, ReadError> {
        let api: Api<Pod> = Api::namespaced(context.cluster.client.clone(), &context.namespace);
        let database = context
            .config
            .database
            .as_ref()
            .map(|database| &database.deployment);
        let roles = &context.config.workloads;
        for target in &plan.targets {
            let is_database = database == Some(&target.owner.name)
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

    async fn prepare(&mut self, context: &mut Context, plan: &Plan) -> Result<(), String> {
        let mut sightings = watch(&context.cluster, &context.namespace);
        let (mut pods, mut slices) = (false, false);
        let mut ports: BTreeMap<String, Vec<(String, u16)>> = BTreeMap::new();
        let first_look = async {
            while let Some(Sighting { at, seen }) = sightings.recv().await {
                match &seen {
                    Sight::AllPods(_) => pods = true,
                    Sight::AllSlices(_) => slices = true,
                    Sight::Slice(slice) => {
                        let service = slice
                            .metadata
                            .labels
                            .as_ref()
                            .and_then(|labels| labels.get("kubernetes.io/service-name"));
                        let found = slice.ports.iter().flatten().filter_map(|port| {
                            Some((
                                port.name.clone().unwrap_or_default(),
                                u16::try_from(port.port?).ok()?,
                            ))
                        });
                        ports
                            .entry(service.cloned().unwrap_or_default())
                            .or_default()
                            .extend(found);
                    }
                    _ => {}
                }
                self.tracker.see(at, &seen);
                if pods && slices {
                    return true;
                }
            }
            false
        };
        if !timeout(FIRST_LOOK, first_look).await.unwrap_or(false) {
            return Err(format!(
                "pods and endpointslices of namespace {} can't be watched",
                context.namespace
            ));
        }
        self.sightings = Some(sightings);
        for service in &context.config.services {
            let here = service
                .namespace
                .as_deref()
                .is_none_or(|other| other == context.namespace);
            // Of a Service with several ports we can't tell which one of the pod's it is from here.
            let port = ports
                .get(&service.name)
                .map(Vec::as_slice)
                .filter(|ports| ports.iter().all(|port| port == &ports[0]));
            if let (true, Some(path), Some([(_, port), ..])) = (here, &service.health, port) {
                self.doors
                    .insert(service.name.clone(), (*port, path.clone()));
            }
        }
        let doors = &self.doors;
        self.tracker.start(&plan.targets, |services| {
            services.iter().any(|service| doors.contains_key(service))
        });
        Ok(())
    }

    fn made(&mut self, change: &Change, made: Applied) {
        let uid = change.object().uid.as_deref().unwrap_or_default();
        self.tracker.deleted(uid, made.sent, made.accepted);
        self.hit += 1;
    }

    fn spared(&mut self, change: &Change) {
        self.tracker
            .spared(change.object().uid.as_deref().unwrap_or_default());
    }

    async fn effect(
        &mut self,
        _context: &mut Context,
        _plan: &Plan,
    ) -> Result<Option<String>, String> {
        // The pods go while their successors come already: both are watched together.
        Ok(None)
    }

    async fn restored(&mut self, context: &mut Context, _plan: &Plan, abort: &mut Abort) -> End {
        let end = Instant::now() + self.settings.recovery_limit.0;
        let (sender, mut answers) = mpsc::channel(16);
        let mut questioned: BTreeSet<String> = BTreeSet::new();
        // What was seen while nobody looked: something that had come back may have gone again.
        if let Some(sightings) = &mut self.sightings {
            while let Ok(Sighting { at, seen }) = sightings.try_recv() {
                self.tracker.see(at, &seen);
            }
        }
        let mut told = false;
        while !self.tracker.is_whole() {
            for (pod, services) in self.tracker.to_probe() {
                let door = services.iter().find_map(|service| self.doors.get(service));
                if let (Some((port, path)), true) = (door, questioned.insert(pod.uid.clone())) {
                    let (asker, namespace) = (context.asker.clone(), context.namespace.clone());
                    let (port, path, sender) = (*port, path.clone(), sender.clone());
                    tokio::spawn(async move {
                        let mut last = Instant::now();
                        while last < end {
                            let limit = Duration::from_secs(1);
                            let answer = asker
                                .get_pod(&namespace, &pod.name, port, &path, limit)
                                .await;
                            let now = Instant::now();
                            if answer.is_ok_and(|answer| (200..300).contains(&answer.status)) {
                                let bound = now.duration_since(last).as_secs_f64() * 1000.0;
                                // Nobody waits for it any more once the experiment is over.
                                let _ = sender.send((pod.uid, now, bound)).await;
                                return;
                            }
                            last = now;
                            sleep(POD_PROBE_INTERVAL).await;
                        }
                    });
                }
            }
            tokio::select! {
                more = self.look(end) => {
                    if !more {
                        break;
                    }
                }
                Some((uid, at, bound)) = answers.recv() => self.tracker.answered(&uid, at, bound),
                Ok(()) = abort.changed(), if !told => {
                    told = true;
                    let why = abort.borrow().clone().unwrap_or_default();
                    context.issue(EventKind::Abort, None, format!("{why}: nothing more is broken; waiting for the pods to come back"));
                }
            }
            self.story.tell(context, &self.tracker);
        }
        self.story.tell(context, &self.tracker);
        let missing = self.tracker.missing();
        if missing.is_empty() {
            return End::Restored;
        }
        let what = missing.join(", ");
        End::NotRestored {
            what: format!(
                "{what} after {} s",
                self.settings.recovery_limit.0.as_secs()
            ),
            hint: format!(
                "kubectl get pods,events -n {0}; kubectl rollout undo deployment/NAME -n {0}",
                context.namespace
            ),
        }
    }

    fn judge(&self, _context: &Context, _plan: &Plan, _seen: &Seen) -> Vec<Check> {
        let mut checks = Vec::new();
        if self.hit > 0 {
            let message = format!("{} pods were deleted and seen to be gone", self.hit);
            checks.push(if self.tracker.all_gone() {
                Check::pass("pod-failure.effect", "", message)
            } else {
                Check::unknown(
                    "pod-failure.effect",
                    "",
                    "not every pod that was deleted was seen to be gone: no effect is proven",
                )
            });
        }
        let limit_ms = self.settings.recovery_limit.0.as_secs_f64() * 1000.0;
        for recovery in self.tracker.recoveries() {
            let object = format!("pod/{}", recovery.deleted.name);
            checks.push(match (&recovery.replacement, recovery.recovery_ms) {
                (Some(new), Some(ms)) => Check::judge(
                    ms <= limit_ms,
                    "pod-failure.recreated",
                    object,
                    format!(
                        "pod {} took its place after {ms:.0} ms (at most {:.0} ms less); limit {}",
                        new.name, recovery.error_bound_ms, self.settings.recovery_limit
                    ),
                ),
                _ => Check::fail(
                    "pod-failure.recreated",
                    object,
                    format!(
                        "was not seen to be replaced in {}",
                        self.settings.recovery_limit
                    ),
                ),
            });
        }
        if self.hit > 0 {
            let balanced = self.tracker.left_endpoints() && self.tracker.is_whole();
            let message = if balanced {
                "the deleted pods left the endpoints, and their replacements stand in them"
            } else {
                "the endpoints do not follow the pods"
            };
            checks.push(Check::judge(
                balanced,
                "pod-failure.load-balancing",
                "",
                message,
            ));
        }
        checks
    }

    fn recoveries(&self) -> Vec<PodRecovery> {
        self.tracker.recoveries()
    }
}

/// Tells each step of a recovery once.
#[derive(Debug, Default)]
struct Story {
    told: BTreeSet<(String, &'static str)>,
}

impl Story {
    fn tell(&mut self, context: &mut Context, tracker: &Tracker) {
        for recovery in tracker.recoveries() {
            let (old, p) = (&recovery.deleted.name, &recovery.phases);
            let new = recovery
                .replacement
                .as_ref()
                .map_or("", |pod| pod.name.as_str());
            let steps = [
                (
                    EventKind::Effect,
                    "gone",
                    p.gone_ms,
                    format!("pod {old} is gone"),
                ),
                (
                    EventKind::Observed,
                    "created",
                    p.created_ms,
                    format!("pod {new} takes the place of {old}"),
                ),
                (
                    EventKind::Observed,
                    "ready",
                    p.ready_ms,
                    format!("pod {new} is ready"),
                ),
                (
                    EventKind::Restored,
                    "whole",
                    recovery.recovery_ms,
                    format!("pod {new} stands in for {old}"),
                ),
            ];
            for (kind, step, ms, text) in steps {
                if let (Some(ms), true) =
                    (ms, self.told.insert((recovery.deleted.uid.clone(), step)))
                {
                    let pod = if step == "gone" { old.as_str() } else { new };
                    context.event(
                        kind,
                        Some(format!("pod/{pod}")),
                        format!("{text} ({ms:.0} ms)"),
                    );
                } else if ms.is_none() {
                    self.told.remove(&(recovery.deleted.uid.clone(), step));
                }
            }
        }
    }
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

fn target(pod: &Pod) -> Option<Target> {
    owner_uid(pod)?;
    Some(Target {
        kind: "Pod".to_owned(),
        namespace: pod.metadata.namespace.clone()?,
        name: pod.metadata.name.clone()?,
        uid: pod.metadata.uid.clone()?,
        owner: workload_of(pod)?,
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
    })
}
