//! Whether everything is at its steady state again after a fault that took workloads as a whole: as
//! many pods ready as before, none starting or terminating, and the Services answering. What can't be
//! seen is told apart from what is not so.

use chaos_common::cluster::Cluster;
use chaos_common::cluster::probe::{Endpoint, ProbeError};
use chaos_common::config::Expectation;
use chaos_common::record::{ObjectRef, Plan, Vantage, WorkloadRef};
use chaos_common::retry;
use tokio::time::{Duration, Instant};

use crate::change::{apply, fields};
use crate::context::Context;
use crate::experiments::support::cause;
use crate::observe::pod_watch::{Brief, PodWatch, Pods, in_words, settled};
use crate::plan::workload::Workload;
use crate::run::experiment::Recovery;

/// Pause between two questions to a Service that does not answer yet.
const PAUSE: Duration = Duration::from_millis(50);
/// Time for a Service to answer before the fault.
const BEFORE: Duration = Duration::from_secs(3);
/// Time, after the limit, for a watch that is broken to show how things stand.
const RETURN: Duration = Duration::from_secs(10);

/// A Service that has to answer well again.
#[derive(Debug)]
struct Asked {
    endpoint: Endpoint,
    path: String,
    expect: Expectation,
    /// Whether it answered well before the fault, from the same vantage. If not, its silence
    /// afterwards says nothing.
    before: Result<(), String>,
}

/// What keeps something from being known to be at its steady state.
#[derive(Clone, Debug)]
enum Lack {
    /// It was seen not to be.
    Missing(String),
    /// It can't be seen.
    Unseen(String),
}

/// Of pods that a selector finds, those that are a workload's own and may still run. Others bear the
/// same labels (a canary's, a copy for debugging), and one that failed or was evicted stays beside
/// its successor.
pub fn own_pods(pods: &Pods, workload: &WorkloadRef) -> Pods {
    let is_own = |pod: &Brief| {
        let ended = matches!(pod.phase.as_str(), "Failed" | "Succeeded");
        pod.owner.as_ref() == Some(workload) && !ended
    };
    let own = pods.iter().filter(|(_, pod)| is_own(pod));
    own.map(|(uid, pod)| (uid.clone(), pod.clone())).collect()
}

/// What must be as it was.
#[derive(Debug, Default)]
pub struct SteadyState {
    /// The workloads' pods.
    pub pods: Vec<(WorkloadRef, PodWatch)>,
    /// With the field that holds the number of its pods, and what it held before.
    workloads: Vec<(ObjectRef, Vec<String>, i64)>,
    services: Vec<Asked>,
}

impl SteadyState {
    /// Starts to watch workloads that are whole now, and will look at the configured Services that
    /// a plan affects.
    ///
    /// # Errors
    /// The pods can't be watched.
    pub async fn watch(
        context: &Context,
        plan: &Plan,
        workloads: &[Workload],
    ) -> anyhow::Result<SteadyState> {
        let mut steady = SteadyState::default();
        for one in workloads {
            let pods = (one.selector.as_str(), one.family.clone());
            let watch = PodWatch::of_family(&context.cluster, &one.which.namespace, pods).await?;
            steady.pods.push((one.which.clone(), watch));
            let before = (one.object.clone(), one.field.clone(), one.replicas);
            steady.workloads.push(before);
        }
        let affected = context.config.services.iter();
        for service in affected.filter(|service| plan.affected.contains(&service.name)) {
            let Some(path) = service.health.clone() else {
                continue;
            };
            let mut asked = Asked {
                endpoint: Endpoint::of_service(service, &context.namespace),
                path,
                expect: service.expect.clone(),
                before: Ok(()),
            };
            let deadline = Instant::now() + BEFORE;
            let answered = retry::until(deadline, PAUSE, || asked.ask(context)).await;
            asked.before = answered.map_err(Lack::into_words);
            steady.services.push(asked);
        }
        Ok(steady)
    }

    /// The pods of the first workload, of an experiment that hits one.
    ///
    /// # Panics
    /// If no workload is watched.
    pub fn first(&mut self) -> (&WorkloadRef, &mut PodWatch) {
        let (workload, watch) = self.pods.first_mut().expect("a workload is watched");
        (workload, watch)
    }

    /// Waits for it.
    pub async fn wait(&mut self, context: &Context, limit: Duration) -> Recovery {
        let deadline = Instant::now() + limit;
        let mut lacks = Vec::new();
        for (watched, (object, field, before)) in self.pods.iter_mut().zip(&self.workloads) {
            // What somebody else set meanwhile stays, and is what has to be there.
            let now = apply::read_object(&context.cluster, object)
                .await
                .ok()
                .flatten();
            let wanted = now
                .and_then(|now| fields::get(&now, field).as_i64())
                .unwrap_or(*before);
            let wanted = usize::try_from(wanted).unwrap_or(0);
            lacks.extend(await_pods(&context.cluster, watched, wanted, deadline).await);
        }
        for service in &self.services {
            lacks.extend(service.await_answer(context, deadline).await);
        }
        let namespace = self
            .pods
            .first()
            .map_or(context.namespace.as_str(), |(workload, _)| {
                &workload.namespace
            });
        judge(lacks, limit, namespace)
    }
}

/// What is seen to be missing goes before what can't be seen.
fn judge(lacks: Vec<Lack>, limit: Duration, namespace: &str) -> Recovery {
    let is_missing = |lack: &Lack| matches!(lack, Lack::Missing(_));
    if lacks.is_empty() {
        return Recovery::SteadyState;
    }
    let missing = lacks.iter().any(is_missing);
    let words: Vec<String> = lacks.into_iter().map(Lack::into_words).collect();
    let words = words.join("; ");
    if !missing {
        return Recovery::Unseen(words);
    }
    Recovery::NotRecovered {
        what: format!("{words} after {} s", limit.as_secs()),
        hint: format!("kubectl get pods,events -n {namespace}"),
    }
}

/// Waits until a workload has as many pods of its own as are wanted, and no other.
async fn await_pods(
    cluster: &Cluster,
    (workload, watch): &mut (WorkloadRef, PodWatch),
    wanted: usize,
    deadline: Instant,
) -> Option<Lack> {
    let is_settled = |pods: &Pods| settled(&own_pods(pods, workload), wanted);
    let Err(mut pods) = watch.until(deadline, is_settled).await else {
        return None;
    };
    if watch.broken().is_some() {
        let seen = watch.until(Instant::now() + RETURN, |_| true).await;
        pods = seen.unwrap_or_else(|last| last);
    }
    let state = in_words(&own_pods(&pods, workload));
    match watch.broken() {
        Some(why) => Some(Lack::Unseen(format!(
            "the pods of {workload} can't be seen any more: {why}; when they were last seen, {state}"
        ))),
        None if is_settled(&pods) => None,
        None => {
            let cause = cause::of(cluster, workload).await;
            let cause = cause.map_or_else(String::new, |why| format!("{why}; "));
            Some(Lack::Missing(format!(
                "{cause}{workload} has not {wanted} ready pods and no other: {state}"
            )))
        }
    }
}

impl Lack {
    fn into_words(self) -> String {
        match self {
            Lack::Missing(why) | Lack::Unseen(why) => why,
        }
    }
}

impl Asked {
    /// Asks once.
    async fn ask(&self, context: &Context) -> Result<(), Lack> {
        self.ask_from(context, &self.endpoint).await
    }

    async fn ask_from(&self, context: &Context, endpoint: &Endpoint) -> Result<(), Lack> {
        let limit = context.config.experiment.probe_timeout.0;
        let url = endpoint.url(&self.path);
        match context.asker.get(endpoint, &self.path, limit).await {
            Ok(answer) if self.expect.accepts_status(answer.status) => Ok(()),
            Ok(answer) => {
                let why = format!("{url} answers with status {}", answer.status);
                Err(Lack::Missing(why))
            }
            Err(ProbeError::Service(why)) => {
                Err(Lack::Missing(format!("{url} does not answer: {why}")))
            }
            Err(ProbeError::Vantage(error)) => {
                Err(Lack::Unseen(format!("{url} can't be asked: {error}")))
            }
        }
    }

    /// Asks until there is a good answer; what there was instead, at the deadline.
    async fn await_answer(&self, context: &Context, deadline: Instant) -> Option<Lack> {
        if let Err(before) = &self.before {
            let now = self.ask(context).await.err()?;
            return Some(Lack::Unseen(format!(
                "{}, and before the fault: {before}",
                now.into_words()
            )));
        }
        let answer = retry::until(deadline, PAUSE, || self.ask(context)).await;
        match answer.err()? {
            Lack::Unseen(why) => {
                let by_other_ways = self.by_other_ways(context).await;
                (!by_other_ways).then_some(Lack::Unseen(why))
            }
            missing @ Lack::Missing(_) => Some(missing),
        }
    }

    /// Whether it answers well to whoever asks in another way than the configured one.
    async fn by_other_ways(&self, context: &Context) -> bool {
        let used = context.asker.resolve(&self.endpoint.vantage);
        for vantage in [Vantage::ApiProxy, Vantage::PortForward] {
            if vantage == used {
                continue;
            }
            let endpoint = Endpoint {
                vantage,
                ..self.endpoint.clone()
            };
            if self.ask_from(context, &endpoint).await.is_ok() {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
