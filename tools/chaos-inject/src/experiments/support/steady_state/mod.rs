//! Whether everything is at its steady state again after a fault that took workloads as a whole: as
//! many pods ready as before, none starting or terminating, and the Services answering.

use chaos_common::cluster::probe::Endpoint;
use chaos_common::config::Expectation;
use chaos_common::record::{ObjectRef, Plan, WorkloadRef};
use tokio::time::{Duration, Instant, sleep};

use crate::change::apply;
use crate::context::Context;
use crate::experiments::support::cause;
use crate::observe::pod_watch::{Brief, PodWatch, Pods, in_words, settled};
use crate::plan::workload::Workload;
use crate::run::experiment::Recovery;

/// Pause between two questions to a Service that does not answer yet.
const PAUSE: Duration = Duration::from_millis(50);

/// A Service that has to answer well again.
#[derive(Debug)]
struct Asked {
    endpoint: Endpoint,
    path: String,
    expect: Expectation,
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
    workloads: Vec<(ObjectRef, i64)>,
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
            let watch =
                PodWatch::start(&context.cluster, &one.which.namespace, &one.selector).await?;
            steady.pods.push((one.which.clone(), watch));
            steady.workloads.push((one.object.clone(), one.replicas));
        }
        let affected = context
            .config
            .services
            .iter()
            .filter(|service| plan.affected.contains(&service.name));
        steady.services = affected
            .filter_map(|service| {
                Some(Asked {
                    endpoint: Endpoint::of_service(service, &context.namespace),
                    path: service.health.clone()?,
                    expect: service.expect.clone(),
                })
            })
            .collect();
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
        let mut missing = Vec::new();
        for ((workload, watch), (object, before)) in self.pods.iter_mut().zip(&self.workloads) {
            // What somebody else set meanwhile stays, and is what has to be there.
            let now = apply::read_object(&context.cluster, object)
                .await
                .ok()
                .flatten();
            let wanted = now
                .and_then(|now| now["spec"]["replicas"].as_i64())
                .unwrap_or(*before);
            let wanted = usize::try_from(wanted).unwrap_or(0);
            let is_settled = |pods: &Pods| settled(&own_pods(pods, workload), wanted);
            if let Err(pods) = watch.until(deadline, is_settled).await {
                let cause = cause::of(&context.cluster, workload).await;
                missing.push(format!(
                    "{}{workload} has not {wanted} ready pods and no other: {}",
                    cause.map_or_else(String::new, |why| format!("{why}; ")),
                    in_words(&own_pods(&pods, workload))
                ));
            }
        }
        for service in &self.services {
            if let Some(why) = bad_answer(context, service, deadline).await {
                missing.push(why);
            }
        }
        if missing.is_empty() {
            return Recovery::SteadyState;
        }
        let namespace = self
            .pods
            .first()
            .map_or(context.namespace.as_str(), |(workload, _)| {
                &workload.namespace
            });
        Recovery::NotRecovered {
            what: format!("{} after {} s", missing.join("; "), limit.as_secs()),
            hint: format!("kubectl get pods,events -n {namespace}"),
        }
    }
}

/// Asks until there is a good answer; what there was instead, at the deadline.
async fn bad_answer(context: &Context, service: &Asked, deadline: Instant) -> Option<String> {
    let Asked {
        endpoint,
        path,
        expect,
    } = service;
    let limit = context.config.experiment.probe_timeout.0;
    loop {
        let why = match context.asker.get(endpoint, path, limit).await {
            Ok(answer) if expect.accepts_status(answer.status) => return None,
            Ok(answer) => format!(
                "{} answers with status {}",
                endpoint.url(path),
                answer.status
            ),
            Err(silence) => format!(
                "{} does not answer: {}",
                endpoint.url(path),
                silence.message()
            ),
        };
        if Instant::now() + PAUSE >= deadline {
            return Some(why);
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests;
