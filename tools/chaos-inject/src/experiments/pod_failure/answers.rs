//! Pods that are asked themselves, through the API server: whether that is possible at all, and the
//! first good answer of a replacement.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chaos_common::cluster::probe::{HttpProbe, PodEndpoint, ProbeError};
use chaos_common::config::Expectation;
use chaos_common::record::{Check, PodRef};
use chaos_common::retry;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::NAME;
use crate::context::Context;
use crate::observe::recovery::Tracker;

/// Time between two questions to a pod that is coming back.
const INTERVAL: Duration = Duration::from_millis(50);
/// Time that a pod may take for one answer.
const LIMIT: Duration = Duration::from_secs(1);
/// Time for a pod that is known to be well to give a good answer.
const TRIAL: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(200);

/// Ports in the endpoints of each Service, with their names.
pub(super) type Ports = BTreeMap<String, BTreeMap<String, u16>>;

/// Takes in the ports of endpoints.
pub(super) fn note_ports(ports: &mut Ports, slice: &EndpointSlice) {
    let labels = slice.metadata.labels.as_ref();
    let service = labels.and_then(|all| all.get("kubernetes.io/service-name"));
    let found = slice.ports.iter().flatten().filter_map(|port| {
        let name = port.name.clone().unwrap_or_default();
        Some((name, u16::try_from(port.port?).ok()?))
    });
    let known = ports.entry(service.cloned().unwrap_or_default());
    known.or_default().extend(found);
}

/// How the pods behind a Service are asked themselves.
#[derive(Clone, Debug)]
pub(super) struct PodProbe {
    asker: HttpProbe,
    namespace: String,
    port: u16,
    tls: bool,
    path: String,
    expect: Expectation,
}

impl PodProbe {
    async fn ask(&self, pod: &str) -> Result<(), String> {
        let endpoint = PodEndpoint {
            namespace: self.namespace.clone(),
            pod: pod.to_owned(),
            port: self.port,
            tls: self.tls,
        };
        match self.asker.get_pod(&endpoint, &self.path, LIMIT).await {
            Ok(answer) if self.expect.accepts_status(answer.status) => Ok(()),
            Ok(answer) => Err(format!("it answers {}", answer.status)),
            Err(ProbeError::Service(why)) => Err(why),
            Err(ProbeError::Vantage(error)) => Err(error.to_string()),
        }
    }

    /// Asks a pod that is known to be well.
    async fn try_out(&self, pod: &str) -> Result<(), String> {
        let deadline = Instant::now() + TRIAL;
        retry::until(deadline, PAUSE, || self.ask(pod)).await
    }
}

/// The Services whose pods can be asked themselves, and those that only seem so.
#[derive(Debug, Default)]
pub(super) struct PodProbes {
    /// By Service.
    pub(super) open: BTreeMap<String, PodProbe>,
    /// What is said of those that can't be asked.
    pub(super) closed: Vec<Check>,
}

impl PodProbes {
    /// Tries each configured Service out on a ready pod behind it. What does not answer before the
    /// fault is no measure of what happens after it: the pods may want certificates that we don't
    /// have, or the API server may have no way to pods.
    pub(super) async fn try_out(
        context: &Context,
        (services, ports): (&[Service], &Ports),
        tracker: &Tracker,
    ) -> PodProbes {
        let mut probes = PodProbes::default();
        for (service, probe) in configured(context, services, ports) {
            let Some(pod) = tracker.ready_behind(&service, &BTreeSet::new()) else {
                continue;
            };
            match probe.try_out(&pod.name).await {
                Ok(()) => drop(probes.open.insert(service, probe)),
                Err(why) => probes.closed.push(not_asked(&service, &pod.name, &why)),
            }
        }
        probes
    }

    /// Nothing is missing but answers of these pods. Whether that can be seen at all: another pod,
    /// which has answered before, is asked in the same way.
    ///
    /// # Errors
    /// It can't; says so in a check.
    pub(super) async fn way_is_open(
        &self,
        tracker: &Tracker,
        silent: &[PodRef],
    ) -> Result<(), Check> {
        let silent: BTreeSet<String> = silent.iter().map(|pod| pod.uid.clone()).collect();
        for (service, probe) in &self.open {
            let Some(pod) = tracker.ready_behind(service, &silent) else {
                continue;
            };
            if let Err(why) = probe.try_out(&pod.name).await {
                let message = format!(
                    "the replacements are ready and in the endpoints, and whether they answer \
                     could not be seen: pod {}, which was not hit, can't be asked either: {why}",
                    pod.name
                );
                return Err(Check::unknown(&id(), format!("service/{service}"), message));
            }
        }
        Ok(())
    }
}

fn id() -> String {
    format!("{NAME}.answers")
}

fn not_asked(service: &str, pod: &str, why: &str) -> Check {
    let message = format!(
        "its pods are not asked themselves: pod {pod} could not be before the fault either: {why}; \
         a replacement counts when it is ready and in the endpoints"
    );
    Check::skipped(&id(), format!("service/{service}"), message)
}

/// How the pods behind each configured Service would be asked.
fn configured(context: &Context, services: &[Service], ports: &Ports) -> Vec<(String, PodProbe)> {
    let mut probes = Vec::new();
    for service in &context.config.services {
        let here = service
            .namespace
            .as_deref()
            .is_none_or(|other| other == context.namespace);
        let port = port_of_pods(service, services, ports);
        if let (true, Some(path), Some(port)) = (here, &service.health, port) {
            let probe = PodProbe {
                asker: context.asker.clone(),
                namespace: context.namespace.clone(),
                port,
                tls: service.https,
                path: path.clone(),
                expect: service.expect.clone(),
            };
            probes.push((service.name.clone(), probe));
        }
    }
    probes
}

/// The port of the pods that a configured Service leads to: that of the same name in its endpoints,
/// or the only one.
fn port_of_pods(
    asked: &chaos_common::config::Service,
    services: &[Service],
    ports: &Ports,
) -> Option<u16> {
    let of_pods = ports.get(&asked.name)?;
    let named = |service: &&Service| service.metadata.name.as_ref() == Some(&asked.name);
    let spec = services
        .iter()
        .find(named)
        .and_then(|one| one.spec.as_ref());
    let listed = spec.and_then(|spec| spec.ports.as_ref());
    let port = listed.and_then(|ports| ports.iter().find(|p| p.port == i32::from(asked.port)));
    match port {
        Some(port) => of_pods.get(&port.name.clone().unwrap_or_default()).copied(),
        None if of_pods.len() == 1 => of_pods.values().next().copied(),
        None => None,
    }
}

/// A good answer of a replacement: its UID, when it came, and how much earlier it may have been
/// possible, in milliseconds.
pub(super) type FirstAnswer = (String, Instant, f64);

/// Asks a replacement until it answers well.
pub(super) async fn first_answer(
    probe: PodProbe,
    pod: PodRef,
    (answers, end): (mpsc::Sender<FirstAnswer>, Instant),
) {
    let mut last = Instant::now();
    while last < end {
        let answer = probe.ask(&pod.name).await;
        let now = Instant::now();
        if answer.is_ok() {
            let bound = now.duration_since(last).as_secs_f64() * 1000.0;
            // Nobody waits for it any more once the experiment is over.
            let _ = answers.send((pod.uid, now, bound)).await;
            return;
        }
        last = now;
        sleep(INTERVAL).await;
    }
}
