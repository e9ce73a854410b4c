//! Load from inside the cluster: a Job whose pods each make a share of it.
//!
//! The Job has an end of its own in the cluster (`activeDeadlineSeconds`,
//! `ttlSecondsAfterFinished`), so that nothing goes on or stays behind should this process be
//! killed; otherwise it is deleted here.

mod logs;
mod manifest;
mod pod_state;
mod progress_line;

use std::time::Duration;

use anyhow::bail;
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::config::LoadProfile;
use chaos_common::record::{Check, Time, Timing, new_id};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use self::manifest::{JOB_LABEL, NAME, START_TIMEOUT, longest};
use self::pod_state::{PodState, Progress, pod_state, progress};
use self::progress_line::ProgressLine;
use super::load::figures;
use crate::target::ServiceUrl;

/// Time between two looks at the pods.
const PAUSE: Duration = Duration::from_millis(500);
/// Time after which a Job without pods is asked for the reason.
const NO_PODS: Duration = Duration::from_secs(10);
/// Time in which the Job must be created.
const CREATE_TIMEOUT: Duration = Duration::from_secs(10);
/// The share of the duration by which pods may start apart.
const MAX_SKEW: f64 = 0.2;

/// Load that pods make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadJob<'a> {
    pub(crate) cluster: &'a Cluster,
    /// Where the pods run.
    pub(crate) namespace: &'a str,
    /// An image that has chaos-verify in its PATH.
    pub(crate) image: &'a str,
    pub(crate) profile: &'a LoadProfile,
    pub(crate) urls: &'a [ServiceUrl],
}

/// Why there is no measurement.
#[derive(Debug)]
pub(crate) struct NotMeasured {
    pub(crate) check: Check,
    /// This process was asked to end.
    pub(crate) interrupted: bool,
}

impl LoadJob<'_> {
    /// Makes the load and gives what the pods measured together, a URL each. `run` labels what is
    /// created.
    ///
    /// # Errors
    /// Why there is no measurement.
    pub(crate) async fn run(self, run: &str) -> Result<Vec<Timing>, Box<NotMeasured>> {
        const ID: &str = "performance.job";
        let name = format!("{NAME}-{}", &new_id()[24..]);
        let object = format!("job/{name}");
        let jobs: Api<Job> = self.api();
        if let Err(error) = self.create(&jobs, &name, run).await {
            return Err(Box::new(NotMeasured {
                check: error.check(ID, object),
                interrupted: false,
            }));
        }
        let waited = tokio::select! {
            measured = self.measure(&name) => Waited::ToTheEnd(measured),
            () = asked_to_end() => Waited::Interrupted(self.follow(&name).await),
        };
        let background = DeleteParams::background();
        let deleted = self
            .cluster
            .read(format!("delete {object}"), || {
                jobs.delete(&name, &background)
            })
            .await;
        let interrupted = matches!(waited, Waited::Interrupted(_));
        let measured = match waited {
            Waited::ToTheEnd(measured) => measured,
            // The pods are told to end, and write what they have measured.
            Waited::Interrupted(Ok(logs)) => tokio::select! {
                measured = self.read_to_their_end(&name, logs) => measured,
                () = asked_to_end() => {
                    Err(ReadError::other(format!("wait for {object}"), "interrupted"))
                }
            },
            Waited::Interrupted(Err(error)) => Err(error),
        };
        let mut check = match (measured, deleted) {
            (Ok(timings), Ok(_)) => return Ok(timings),
            (Err(error), _) if error.next_step().is_none() => {
                let hint = format!("kubectl -n {} get events shows more", self.namespace);
                error.hint(hint).check(ID, &object)
            }
            (Err(error), _) | (Ok(_), Err(error)) => error.check(ID, &object),
        };
        check.message = format!("the load could not be made: {}", check.message);
        Err(Box::new(NotMeasured { check, interrupted }))
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.cluster.client.clone(), self.namespace)
    }

    async fn create(&self, jobs: &Api<Job>, name: &str, run: &str) -> Result<(), ReadError> {
        let load = manifest::Load {
            profile: self.profile,
            urls: self.urls,
        };
        let what = format!("create job/{name} in namespace {}", self.namespace);
        let job = manifest::job(name, self.image, run, load)
            .map_err(|why| ReadError::other(&what, format!("{why:#}")))?;
        let params = PostParams::default();
        match timeout(CREATE_TIMEOUT, jobs.create(&params, &job)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(ReadError::from_kube(what, &error)),
            Err(_) => {
                // It may have been created all the same; if this fails too, it ends by itself.
                drop(jobs.delete(name, &DeleteParams::background()).await);
                Err(ReadError::timeout(what, "no answer in 10 s"))
            }
        }
    }

    /// Waits for the pods and reads what they measured.
    async fn measure(&self, name: &str) -> Result<Vec<Timing>, ReadError> {
        let what = self.task(name);
        let mut of_pods = Vec::new();
        for pod in self.ended_pods(name, &what).await? {
            of_pods.push(self.timings(&pod).await?);
        }
        self.together(&what, &of_pods).await
    }

    /// What is done with the pods, for messages.
    fn task(&self, name: &str) -> String {
        format!("run the pods of job/{name} in namespace {}", self.namespace)
    }

    /// What the pods measured, as one measurement a URL.
    async fn together(
        &self,
        what: &str,
        of_pods: &[Vec<Timing>],
    ) -> Result<Vec<Timing>, ReadError> {
        let mut of_urls: Vec<Vec<Timing>> = vec![Vec::new(); self.urls.len()];
        for timings in of_pods {
            for (of_url, url) in of_urls.iter_mut().zip(self.urls) {
                let timing = timings.iter().find(|timing| timing.service == url.text());
                of_url.push(timing.cloned().ok_or_else(|| {
                    ReadError::other(what, format!("a pod did not measure {}", url.text()))
                })?);
            }
        }
        let mut merged = Vec::new();
        for (timings, url) in of_urls.into_iter().zip(self.urls) {
            let timing = merge(timings, url, self.profile);
            merged.push(timing.map_err(|why| ReadError::other(what, format!("{why:#}")))?);
        }
        self.name_policies(&mut merged).await;
        Ok(merged)
    }

    /// The pods of the Job.
    async fn pods(&self, name: &str, what: &str) -> Result<Vec<Pod>, ReadError> {
        let params = ListParams::default().labels(&format!("{JOB_LABEL}={name}"));
        self.cluster.list(&self.api(), &params, what).await
    }

    /// The pods of the Job once all of them have ended.
    async fn ended_pods(&self, name: &str, what: &str) -> Result<Vec<Pod>, ReadError> {
        let (wanted, begun) = (usize::from(self.profile.pods.max(1)), Instant::now());
        let mut line = ProgressLine::new(self.profile);
        loop {
            sleep(PAUSE).await;
            let found = self.pods(name, what).await?;
            let now = Time::now();
            let states: Vec<PodState> = found.iter().map(|pod| pod_state(pod, now)).collect();
            let (started, why) = match progress(&states, wanted) {
                Progress::Ended => return Ok(found),
                Progress::Stuck(why) => return Err(ReadError::other(what, why)),
                Progress::Waiting { started, why } => (started, why),
            };
            line.show(started, wanted);
            if started < wanted && begun.elapsed() > START_TIMEOUT {
                let why = match why {
                    Some(why) => why,
                    None => self.refusal(name).await.to_string(),
                };
                let seconds = START_TIMEOUT.as_secs();
                let message = format!("{started} of {wanted} pods started in {seconds} s: {why}");
                return Err(ReadError::timeout(what, message));
            }
            if states.is_empty()
                && begun.elapsed() > NO_PODS
                && let Refusal::Refused(why) = self.refusal(name).await
            {
                return Err(ReadError::other(what, why));
            }
            if begun.elapsed() > START_TIMEOUT + longest(self.profile) {
                return Err(ReadError::timeout(what, "they did not end in time"));
            }
        }
    }

    /// Why the Job has no pods, as its events tell: a quota, a policy, a webhook.
    async fn refusal(&self, name: &str) -> Refusal {
        let events: Api<Event> = self.api();
        let params = ListParams::default().fields(&format!(
            "involvedObject.kind=Job,involvedObject.name={name},type=Warning"
        ));
        let what = "read the events of the Job";
        match self.cluster.list(&events, &params, what).await {
            Ok(events) => Refusal::from_events(events),
            Err(error) => Refusal::Untold(format!("the Job has no pods ({error})")),
        }
    }

    /// Where nothing at all answers the pods, a NetworkPolicy may be why.
    async fn name_policies(&self, timings: &mut [Timing]) {
        if timings.is_empty() || timings.iter().any(|timing| timing.errors < timing.requests) {
            return;
        }
        let policies: Api<NetworkPolicy> = self.api();
        let (params, what) = (ListParams::default(), "list network policies");
        let Ok(found) = self.cluster.list(&policies, &params, what).await else {
            return;
        };
        let names: Vec<_> = found
            .into_iter()
            .filter_map(|policy| policy.metadata.name)
            .collect();
        if names.is_empty() {
            return;
        }
        for timing in timings {
            let note = format!(
                "NetworkPolicies of this namespace ({}) \
                 may keep pods labelled app.kubernetes.io/name={NAME} out",
                names.join(", ")
            );
            match timing.failures.first_mut() {
                Some(first) => *first = format!("{first}; {note}"),
                None => timing.failures.push(note),
            }
        }
    }
}

/// How long the pods were waited for.
enum Waited {
    /// Until they had ended.
    ToTheEnd(Result<Vec<Timing>, ReadError>),
    /// Until this process was asked to end; with what the pods go on writing.
    Interrupted(Result<Vec<logs::PodLog>, ReadError>),
}

/// Why a Job has no pods.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    /// The API server refuses them, and what it says.
    Refused(String),
    /// It is not told, or may still come about.
    Untold(String),
}

impl Refusal {
    fn from_events(events: Vec<Event>) -> Refusal {
        let last = events.into_iter().rfind(|event| event.message.is_some());
        match last.map(|event| (event.reason, event.message)) {
            Some((Some(reason), Some(message))) if reason == "FailedCreate" => {
                Refusal::Refused(message)
            }
            Some((_, Some(message))) => Refusal::Untold(message),
            _ => Refusal::Untold("the Job has no pods, and no event says why".to_owned()),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let (Refusal::Refused(why) | Refusal::Untold(why)) = self;
        f.write_str(why)
    }
}

/// Returns once this process is asked to end.
async fn asked_to_end() {
    match (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        },
        _ => std::future::pending().await,
    }
}

/// The measurement of all pods together.
fn merge(timings: Vec<Timing>, url: &ServiceUrl, profile: &LoadProfile) -> anyhow::Result<Timing> {
    let starts: Vec<_> = timings
        .iter()
        .filter_map(|timing| Some(timing.load.as_ref()?.started))
        .collect();
    let mut merged = figures::merge(timings)?;
    merged.service.clone_from(&url.service);
    merged.path.clone_from(&url.path);
    "job".clone_into(&mut merged.vantage);
    let Some(load) = &mut merged.load else {
        bail!("a pod's measurement was not under load");
    };
    load.profile = Some(profile.name.clone());
    if let (Some(first), Some(last)) = (starts.iter().min(), starts.iter().max()) {
        let apart = Duration::from_millis(u64::try_from(last.since_ms(*first)).unwrap_or_default());
        if apart > profile.duration.0.mul_f64(MAX_SKEW) {
            let why = format!(
                "the pods' loads began {:.1} s apart, so that they were not one load",
                apart.as_secs_f64()
            );
            load.saturated.get_or_insert(why);
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(reason: &str) -> Event {
        serde_json::from_value(json!({
            "metadata": {}, "involvedObject": {}, "reason": reason, "message": "exceeded quota",
        }))
        .expect("an event")
    }

    #[test]
    fn pods_that_the_api_server_refuses_are_known_by_the_events_reason() {
        let refused = Refusal::Refused("exceeded quota".to_owned());
        assert_eq!(Refusal::from_events(vec![event("FailedCreate")]), refused);
        for events in [Vec::new(), vec![event("BackoffLimitExceeded")]] {
            assert!(matches!(Refusal::from_events(events), Refusal::Untold(_)));
        }
    }
}
