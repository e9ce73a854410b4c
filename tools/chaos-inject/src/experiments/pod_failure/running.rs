//! Pods that were deleted, from the first look before to the last replacement: who stands in for
//! whom comes from watches, and the first good answer from the replacement itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::bail;
use async_trait::async_trait;
use chaos_common::cluster::probe::HttpProbe;
use chaos_common::config::Expectation;
use chaos_common::record::{Check, EventKind, Plan, PodRecovery, PodRef};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{NAME, Settings};
use crate::abort::Abort;
use crate::context::Context;
use crate::experiments::support::cause;
use crate::observe::Observations;
use crate::observe::pod_events::{PodEvent, TimedEvent, watch};
use crate::observe::recovery::Tracker;
use crate::run::experiment::{Effect, Injection, Recovery, RunningExperiment};

/// Time between two questions to a pod that is coming back.
const POD_PROBE_INTERVAL: Duration = Duration::from_millis(50);
/// Time that a pod may take for one answer.
const POD_PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time that the first look at pods and endpoints may take.
const FIRST_LOOK: Duration = Duration::from_secs(15);

/// The experiment while it runs.
#[derive(Debug)]
pub struct Running {
    settings: Settings,
    tracker: Tracker,
    events: mpsc::Receiver<TimedEvent>,
    /// Where the pods behind a Service can be asked themselves.
    probes: BTreeMap<String, PodProbe>,
    progress: Progress,
    /// The writes, once they are known to the tracker.
    hit: usize,
}

/// How the pods behind a Service are asked themselves.
#[derive(Clone, Debug)]
struct PodProbe {
    port: u16,
    path: String,
    expect: Expectation,
}

/// A good answer of a replacement: its UID, when it came, and how much earlier it may have been
/// possible, in milliseconds.
type FirstAnswer = (String, Instant, f64);

impl Running {
    /// Watches pods and endpoints, and waits for the first look at all of them.
    ///
    /// # Errors
    /// They can't be watched.
    pub async fn start(
        context: &Context,
        plan: &Plan,
        settings: &Settings,
    ) -> anyhow::Result<Running> {
        let mut events = watch(&context.cluster, &context.namespace);
        let mut tracker = Tracker::default();
        let mut ports = Ports::new();
        let look = first_look(&mut events, &mut tracker, &mut ports);
        if !timeout(FIRST_LOOK, look).await.unwrap_or(false) {
            bail!(
                "pods and endpointslices of namespace {} can't be watched",
                context.namespace
            );
        }
        let probes = probes(context, &ports);
        tracker.start(&plan.targets, |services| {
            services.iter().any(|service| probes.contains_key(service))
        });
        Ok(Running {
            settings: settings.clone(),
            tracker,
            events,
            probes,
            progress: Progress::default(),
            hit: 0,
        })
    }

    /// Waits until each pod that was hit has a replacement that stands in for it.
    async fn recover(&mut self, context: &mut Context, abort: &mut Abort) -> Recovery {
        let limit = self.settings.recovery_limit.0;
        let end = Instant::now() + limit;
        let (sender, mut answers) = mpsc::channel(16);
        let mut probed: BTreeSet<String> = BTreeSet::new();
        // What was seen while nobody looked: something that had come back may have gone again.
        while let Ok(TimedEvent { at, seen }) = self.events.try_recv() {
            self.tracker.see(at, &seen);
        }
        let mut told = false;
        while !self.tracker.is_steady() {
            for (pod, services) in self.tracker.to_probe() {
                let probe = services.iter().find_map(|name| self.probes.get(name));
                if let (Some(probe), true) = (probe, probed.insert(pod.uid.clone())) {
                    tokio::spawn(first_answer(
                        (context.asker.clone(), context.namespace.clone()),
                        pod,
                        probe.clone(),
                        (sender.clone(), end),
                    ));
                }
            }
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(TimedEvent { at, seen }) => self.tracker.see(at, &seen),
                    None => break,
                },
                () = sleep_until(end) => break,
                Some((uid, at, bound)) = answers.recv() => self.tracker.answered(&uid, at, bound),
                // The pods are deleted: nothing is left to undo, and they have to be waited for.
                Ok(()) = abort.changed(), if !told => {
                    told = true;
                    let why = abort.borrow().clone().unwrap_or_default();
                    context.issue(EventKind::Abort, None, format!(
                        "{why}: nothing more is broken; waiting for the pods to come back"
                    ));
                }
            }
            self.progress.tell(context, &self.tracker);
        }
        self.progress.tell(context, &self.tracker);
        let missing = self.tracker.missing();
        if missing.is_empty() {
            return Recovery::SteadyState;
        }
        let recoveries = self.tracker.recoveries().into_iter();
        let owners: BTreeSet<_> = recoveries.map(|one| one.owner).collect();
        let mut causes = Vec::new();
        for owner in &owners {
            causes.extend(cause::of(&context.cluster, owner).await);
        }
        causes.extend(missing);
        Recovery::NotRecovered {
            what: format!("{} after {} s", causes.join(", "), limit.as_secs()),
            hint: format!(
                "kubectl get pods,events -n {0}; kubectl rollout undo deployment/NAME -n {0}",
                context.namespace
            ),
        }
    }
}

/// Ports in the endpoints of each Service, with their names.
type Ports = BTreeMap<String, Vec<(String, u16)>>;

/// Takes in events until all pods and all endpoints were seen; `false` if that does not come.
async fn first_look(
    events: &mut mpsc::Receiver<TimedEvent>,
    tracker: &mut Tracker,
    ports: &mut Ports,
) -> bool {
    let (mut pods, mut slices) = (false, false);
    while let Some(TimedEvent { at, seen }) = events.recv().await {
        match &seen {
            PodEvent::AllPods(_) => pods = true,
            PodEvent::AllSlices(_) => slices = true,
            PodEvent::Slice(slice) => {
                let labels = slice.metadata.labels.as_ref();
                let service = labels.and_then(|all| all.get("kubernetes.io/service-name"));
                let found = slice.ports.iter().flatten().filter_map(|port| {
                    let name = port.name.clone().unwrap_or_default();
                    Some((name, u16::try_from(port.port?).ok()?))
                });
                let known = ports.entry(service.cloned().unwrap_or_default());
                known.or_default().extend(found);
            }
            _ => {}
        }
        tracker.see(at, &seen);
        if pods && slices {
            return true;
        }
    }
    false
}

/// Where the pods behind each configured Service can be asked themselves.
fn probes(context: &Context, ports: &Ports) -> BTreeMap<String, PodProbe> {
    let mut probes = BTreeMap::new();
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
            let probe = PodProbe {
                port: *port,
                path: path.clone(),
                expect: service.expect.clone(),
            };
            probes.insert(service.name.clone(), probe);
        }
    }
    probes
}

/// Asks a replacement until it answers well.
async fn first_answer(
    (asker, namespace): (HttpProbe, String),
    pod: PodRef,
    probe: PodProbe,
    (answers, end): (mpsc::Sender<FirstAnswer>, Instant),
) {
    let mut last = Instant::now();
    while last < end {
        let answer = asker
            .get_pod(
                &namespace,
                &pod.name,
                probe.port,
                &probe.path,
                POD_PROBE_TIMEOUT,
            )
            .await;
        let now = Instant::now();
        if answer.is_ok_and(|answer| probe.expect.accepts_status(answer.status)) {
            let bound = now.duration_since(last).as_secs_f64() * 1000.0;
            // Nobody waits for it any more once the experiment is over.
            let _ = answers.send((pod.uid, now, bound)).await;
            return;
        }
        last = now;
        sleep(POD_PROBE_INTERVAL).await;
    }
}

#[async_trait(?Send)]
impl RunningExperiment for Running {
    async fn prove_effect(&mut self, _context: &mut Context, _injection: &Injection) -> Effect {
        // The pods go while their successors come already: both are watched together.
        Effect::KnownAfterwards
    }

    async fn await_steady_state(
        &mut self,
        context: &mut Context,
        injection: &Injection,
        abort: &mut Abort,
    ) -> Recovery {
        for applied in &injection.applied {
            let uid = applied.change.object().uid.as_deref().unwrap_or_default();
            let call = applied.call;
            self.tracker.deleted(uid, call.sent, call.accepted);
        }
        for change in &injection.skipped {
            let uid = change.object().uid.as_deref().unwrap_or_default();
            self.tracker.spared(uid);
        }
        self.hit = injection.applied.len();
        self.recover(context, abort).await
    }

    async fn confirm_steady_state(&mut self, context: &mut Context, abort: &mut Abort) -> Recovery {
        self.recover(context, abort).await
    }

    fn effect_afterwards(&self) -> Effect {
        if self.hit > 0 && self.tracker.all_gone() {
            Effect::Proven(format!(
                "{} pods were deleted and seen to be gone",
                self.hit
            ))
        } else {
            let why = "not every pod that was deleted was seen to be gone: no effect is proven";
            Effect::NotSeen(why.to_owned())
        }
    }

    fn judge(&self, _context: &Context, injection: &Injection, _seen: &Observations) -> Vec<Check> {
        let recoveries = self.tracker.recoveries();
        let mut checks: Vec<Check> = recoveries.iter().map(|one| self.recreated(one)).collect();
        if !injection.applied.is_empty() {
            let balanced = self.tracker.left_endpoints() && self.tracker.is_steady();
            let message = if balanced {
                "the deleted pods left the endpoints, and their replacements stand in them"
            } else {
                "the endpoints do not follow the pods"
            };
            let id = format!("{NAME}.load-balancing");
            checks.push(Check::judge(balanced, &id, "", message));
        }
        checks
    }

    fn recoveries(&self) -> Vec<PodRecovery> {
        self.tracker.recoveries()
    }
}

impl Running {
    /// `recreated`: whether a pod was replaced within the limit.
    fn recreated(&self, recovery: &PodRecovery) -> Check {
        let id = format!("{NAME}.recreated");
        let object = format!("pod/{}", recovery.deleted.name);
        let limit = self.settings.recovery_limit;
        match (&recovery.replacement, recovery.recovery_ms) {
            (Some(new), Some(ms)) => Check::judge(
                ms <= limit.0.as_secs_f64() * 1000.0,
                &id,
                object,
                format!(
                    "pod {} took its place after {ms:.0} ms (at most {:.0} ms less); limit {limit}",
                    new.name, recovery.error_bound_ms
                ),
            ),
            _ => Check::fail(
                &id,
                object,
                format!("was not seen to be replaced in {limit}"),
            ),
        }
    }
}

/// Tells each step of a recovery once.
#[derive(Debug, Default)]
struct Progress {
    told: BTreeSet<(String, &'static str)>,
}

impl Progress {
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
