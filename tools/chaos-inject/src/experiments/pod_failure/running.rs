//! Pods that were deleted, from the first look before to the last replacement: who stands in for
//! whom comes from watches, and the first good answer from the replacement itself.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::bail;
use async_trait::async_trait;
use chaos_common::record::{Check, EventKind, Plan, PodRecovery};
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, ListParams};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::answers::{FirstAnswer, PodProbes, Ports, first_answer, note_ports};
use super::{NAME, Settings};
use crate::abort::Abort;
use crate::context::Context;
use crate::experiments::support::cause;
use crate::observe::Observations;
use crate::observe::pod_events::{PodEvent, TimedEvent, watch};
use crate::observe::recovery::{ServiceFacts, Tracker};
use crate::run::experiment::{Effect, Injection, Recovery, RunningExperiment};

/// Time that the first look at pods and endpoints may take.
const FIRST_LOOK: Duration = Duration::from_secs(15);
/// Time after which a replacement that is in the endpoints and does not answer makes us ask whether
/// it can be asked at all.
const DOUBT: Duration = Duration::from_secs(5);
/// Time, after the limit, for a watch that is broken to show how things stand.
const RETURN: Duration = Duration::from_secs(10);

/// The experiment while it runs.
#[derive(Debug)]
pub struct Running {
    settings: Settings,
    tracker: Tracker,
    events: mpsc::Receiver<TimedEvent>,
    /// Where the pods behind a Service can be asked themselves.
    probes: PodProbes,
    progress: Progress,
    /// The writes, once they are known to the tracker.
    hit: usize,
}

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
        let (cluster, namespace) = (&context.cluster, &context.namespace);
        let mut events = watch(cluster, namespace);
        let mut tracker = Tracker::default();
        let mut ports = Ports::new();
        let look = first_look(&mut events, &mut tracker, &mut ports);
        if !timeout(FIRST_LOOK, look).await.unwrap_or(false) {
            bail!("pods and endpointslices of namespace {namespace} can't be watched");
        }
        let api: Api<Service> = Api::namespaced(cluster.client.clone(), namespace);
        let what = format!("list services in namespace {namespace}");
        let services = cluster.list(&api, &ListParams::default(), what).await?;
        let probes = PodProbes::try_out(context, (&services, &ports), &tracker).await;
        let facts = ServiceFacts {
            selectors: services.into_iter().filter_map(selector).collect(),
            probed: probes.open.keys().cloned().collect(),
        };
        tracker.start(&plan.targets, facts);
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
        self.catch_up();
        let (mut told, mut doubt) = (false, None);
        while !self.tracker.is_steady() {
            self.ask_replacements(&mut probed, &sender, end);
            let silent = self.tracker.unanswered().is_some();
            doubt = doubt.filter(|_| silent);
            let look = *doubt.get_or_insert_with(|| Instant::now() + DOUBT);
            let give_up = match self.tracker.broken() {
                Some(_) => end + RETURN,
                None => end,
            };
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(TimedEvent { at, seen }) => self.tracker.see(at, &seen),
                    None => break,
                },
                () = sleep_until(give_up) => break,
                () = sleep_until(look), if silent => {
                    doubt = None;
                    self.doubt_the_way(context).await;
                }
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
        self.doubt_the_way(context).await;
        self.progress.tell(context, &self.tracker);
        self.recovery(context).await
    }

    /// Takes in what was seen meanwhile.
    fn catch_up(&mut self) {
        while let Ok(TimedEvent { at, seen }) = self.events.try_recv() {
            self.tracker.see(at, &seen);
        }
    }

    /// Pods that somebody else took away before us were not hit, and are not waited for.
    fn leave_to_others(&mut self, context: &mut Context) {
        self.catch_up();
        for target in self.tracker.taken_by_others() {
            self.hit = self.hit.saturating_sub(1);
            let pod = format!("pod/{}", target.name);
            let why = format!("{pod} was on its way out already: somebody else took it away");
            context.issue(EventKind::Observed, Some(pod), why);
        }
    }

    /// How things stand at the end.
    async fn recovery(&self, context: &Context) -> Recovery {
        let limit = self.settings.recovery_limit.0.as_secs();
        let missing = self.tracker.missing();
        if let Some(why) = self.tracker.broken() {
            let last = match missing.as_slice() {
                [] => "all replacements were ready when they were last seen".to_owned(),
                missing => format!("when they were last seen, {}", missing.join(", ")),
            };
            return Recovery::Unseen(format!(
                "the pods of namespace {} can't be seen any more: {why}; {last}",
                context.namespace
            ));
        }
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
            what: format!("{} after {limit} s", causes.join(", ")),
            hint: format!(
                "kubectl get pods,events -n {0}; kubectl rollout undo deployment/NAME -n {0}",
                context.namespace
            ),
        }
    }

    /// Asks each replacement once it runs.
    fn ask_replacements(
        &self,
        probed: &mut BTreeSet<String>,
        sender: &mpsc::Sender<FirstAnswer>,
        end: Instant,
    ) {
        for (pod, services) in self.tracker.to_probe() {
            let probe = services.iter().find_map(|name| self.probes.open.get(name));
            if let (Some(probe), true) = (probe, probed.insert(pod.uid.clone())) {
                tokio::spawn(first_answer(probe.clone(), pod, (sender.clone(), end)));
            }
        }
    }

    /// Where nothing is missing but answers: whether they could be seen at all. If not, they are
    /// not waited for, and not known.
    async fn doubt_the_way(&mut self, context: &mut Context) {
        let Some(silent) = self.tracker.unanswered() else {
            return;
        };
        if let Err(check) = self.probes.way_is_open(&self.tracker, &silent).await {
            let summary = check.message.clone();
            context.issue(EventKind::Observed, check.object.clone(), summary);
            self.probes.closed.push(check);
            self.tracker.waive_answers();
        }
    }
}

/// Whom a Service selects, by its name.
fn selector(service: Service) -> Option<(String, std::collections::BTreeMap<String, String>)> {
    let selector = service.spec.and_then(|spec| spec.selector);
    Some((service.metadata.name?, selector.unwrap_or_default()))
}

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
            PodEvent::Slice(slice) => note_ports(ports, slice),
            _ => {}
        }
        tracker.see(at, &seen);
        if pods && slices {
            return true;
        }
    }
    false
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
        self.leave_to_others(context);
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
            checks.push(match self.tracker.broken() {
                Some(why) => Check::unknown(&id, "", format!("can't be seen any more: {why}")),
                None => Check::judge(balanced, &id, "", message),
            });
        }
        checks.extend(self.probes.closed.iter().cloned());
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
        if let (Some(new), Some(ms)) = (&recovery.replacement, recovery.recovery_ms) {
            return Check::judge(
                ms <= limit.0.as_secs_f64() * 1000.0,
                &id,
                object,
                format!(
                    "pod {} took its place after {ms:.0} ms (at most {:.0} ms less); limit {limit}",
                    new.name, recovery.error_bound_ms
                ),
            );
        }
        let message = format!("was not seen to be replaced in {limit}");
        match self.tracker.broken() {
            Some(why) => Check::unknown(&id, object, format!("{message}: {why}")),
            None => Check::fail(&id, object, message),
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
