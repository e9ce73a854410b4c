//! Where the traffic starts that proves a fault: in a pod of the application, where that has the
//! programs to ask with; else in a probe pod of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chaos_common::cluster::exec::{ExecFailure, ExecTarget};
use chaos_common::cluster::rights::to_exec;
use chaos_common::cluster::workload::WorkloadKind;
use chaos_common::cluster::{ReadError, ReadErrorKind};
use chaos_common::record::{Change, Check, Plan, Status};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{Api, ListParams};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, copy, sink};
use tokio::time::timeout;

use super::own_pod::{OwnPod, ProbePod, name};
use super::peer::{PeerPods, Peers, deployment};
use super::probe_pod::ProbeCommand;
use crate::context::Context;
use crate::permissions::need_one;
use crate::plan::Origin;
use crate::plan::workload::Workload;

const ID: &str = "limit.observable";
/// Time for a pod of the application to show what it has.
const TRIAL: Duration = Duration::from_secs(10);
/// Of its answer only so much is read.
const MOST_ANSWER: u64 = 64 << 10;
/// What to do where nobody can ask.
const HINT: &str = "set experiment.probe_image in chaos.toml to an image with sh and curl 7.84 or \
                    later: a probe pod of that image asks in its place";

/// What is to be asked, and by whom.
#[derive(Debug)]
pub struct Asking<'a> {
    /// The experiment.
    pub experiment: &'static str,
    /// The workload whose pods ask, or are stood for.
    pub workload: &'a Workload,
    /// A command that succeeds in a pod which has all that is needed, and changes nothing.
    pub trial: &'static [&'static str],
    /// What is asked along the route and the control route.
    pub commands: [ProbeCommand; 2],
    /// The longest time that it goes on.
    pub most: Duration,
    /// The labels that a probe pod has to bear.
    pub labels: BTreeMap<String, String>,
}

/// What a trial in a pod of the application shows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trial {
    /// All is there.
    Works,
    /// It is not.
    Lacks(String),
    /// That can't be told.
    Unknown(String),
}

/// Decides where the traffic starts. A pod of the application that can ask is better than one of
/// ours: it is what the fault is about.
pub async fn choose(context: &Context, asking: &Asking<'_>) -> Origin {
    let which = &asking.workload.which;
    let tried = trial(context, asking).await;
    let image = context.config.experiment.probe_image.as_deref();
    match (tried, image) {
        (Trial::Works, _) => in_its_pods(asking, Vec::new()),
        (Trial::Lacks(_) | Trial::Unknown(_), Some(image)) => {
            in_a_probe_pod(context, asking, image).await
        }
        (Trial::Lacks(why), None) => {
            let message = format!("nothing could be asked in a pod of {which}: {why}");
            let check = Check::fail(ID, which.to_string(), message).hint(HINT);
            in_its_pods(asking, vec![check])
        }
        (Trial::Unknown(why), None) => {
            let message = format!("whether its pods can ask is not known: {why}");
            let check = Check::new(ID, which.to_string(), Status::Warn, message).hint(HINT);
            in_its_pods(asking, vec![check])
        }
    }
}

fn in_its_pods(asking: &Asking<'_>, checks: Vec<Check>) -> Origin {
    let which = &asking.workload.which;
    Origin {
        permissions: to_exec(&which.namespace, &deployment(&which.name)),
        checks,
        ..Origin::default()
    }
}

async fn in_a_probe_pod(context: &Context, asking: &Asking<'_>, image: &str) -> Origin {
    let name = name(asking.experiment);
    let probe = ProbePod {
        experiment: asking.experiment,
        image,
        labels: asking.labels.clone(),
        commands: &asking.commands,
        most: asking.most,
    };
    let object = context.own_object("v1", "Pod", "pods", name.clone());
    let manifest = probe.manifest(&context.namespace);
    let which = &asking.workload.which;
    let message = format!("asks in place of {which}, as {}", in_words(&asking.labels));
    let mut checks = vec![Check::pass(ID, object.to_string(), message)];
    checks.extend(led_to(context, &asking.labels).await);
    Origin {
        probe_pods: vec![Change::Create { object, manifest }],
        permissions: vec![need_one(&context.namespace, "get", "", "pods/log", &name)],
        checks,
    }
}

fn in_words(labels: &BTreeMap<String, String>) -> String {
    if labels.is_empty() {
        return "a pod without labels: no policy looks at those of its pods".to_owned();
    }
    let labels = labels.iter().map(|(key, value)| format!("{key}={value}"));
    labels.collect::<Vec<_>>().join(",")
}

/// A Service that leads also to pods that are not ready leads to the probe pod.
async fn led_to(context: &Context, labels: &BTreeMap<String, String>) -> Vec<Check> {
    let namespace = &context.namespace;
    let api: Api<Service> = Api::namespaced(context.cluster.client.clone(), namespace);
    let what = format!("list services in namespace {namespace}");
    let params = ListParams::default();
    let services = match context.cluster.list(&api, &params, what).await {
        Ok(services) => services,
        Err(error) => return vec![error.check(ID, "")],
    };
    let takes_it = |service: &&Service| {
        let spec = service.spec.as_ref();
        let selector = spec.and_then(|spec| spec.selector.as_ref());
        spec.is_some_and(|spec| spec.publish_not_ready_addresses == Some(true))
            && selector.is_some_and(|selector| {
                !selector.is_empty()
                    && selector
                        .iter()
                        .all(|(key, value)| labels.get(key) == Some(value))
            })
    };
    let check = |service: &Service| {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let message = "leads also to pods that are not ready (publishNotReadyAddresses): its \
                       clients may meet the probe pod, which has to bear the labels that it \
                       selects, and does not answer";
        Check::new(ID, format!("service/{name}"), Status::Warn, message)
    };
    services.iter().filter(takes_it).map(check).collect()
}

/// Tries in a ready pod of the workload whether it has what is needed.
async fn trial(context: &Context, asking: &Asking<'_>) -> Trial {
    let (cluster, which) = (&context.cluster, &asking.workload.which);
    if which.kind.parse() != Ok(WorkloadKind::Deployment) {
        return Trial::Lacks(format!("{which} is no Deployment"));
    }
    let ready = cluster
        .ready_pods(&which.namespace, &deployment(&which.name))
        .await;
    let pod = match ready.map(|pods| pods.into_iter().next()) {
        Ok(Some(pod)) => pod,
        Ok(None) => return Trial::Unknown("none of its pods is ready".to_owned()),
        Err(error) => return Trial::Unknown(error.to_string()),
    };
    let target = ExecTarget::of(cluster, &pod);
    let command = asking.trial;
    let run = async {
        let mut process = target.exec(command).without_stdout().start().await?;
        if let Some(stderr) = process.stderr() {
            // What it complains of stands in its status, too.
            let _ = copy(&mut stderr.take(MOST_ANSWER), &mut sink()).await;
        }
        Ok(process.wait().await)
    };
    match timeout(TRIAL, run).await {
        Err(_) => Trial::Unknown(format!("no answer in {} s", TRIAL.as_secs())),
        Ok(answer) => judge(&command.join(" "), answer),
    }
}

/// What the end of a trial means.
fn judge(command: &str, answer: Result<Result<i32, ExecFailure>, ReadError>) -> Trial {
    match answer {
        Ok(Ok(0)) => Trial::Works,
        Ok(Ok(code)) => Trial::Lacks(format!("{command:?} ends with status {code} there")),
        Ok(Err(ExecFailure::NotStarted(why))) => Trial::Lacks(why),
        Ok(Err(error @ ExecFailure::ConnectionLost(_))) => Trial::Unknown(error.to_string()),
        Err(error) if error.kind == ReadErrorKind::Forbidden => {
            Trial::Lacks(format!("we may not: {error}"))
        }
        Err(error) => Trial::Unknown(error.to_string()),
    }
}

/// Those who ask in a run, and what they are called.
///
/// # Errors
/// The probe pod does not run.
pub async fn peers(
    context: &Context,
    plan: &Plan,
    deployment: &str,
) -> anyhow::Result<(Arc<dyn Peers>, String)> {
    if let Some(own) = OwnPod::of(&context.cluster, plan) {
        own.await_running().await?;
        let from = plan.probe_pods[0].object().to_string();
        return Ok((Arc::new(own), from));
    }
    let peers = PeerPods {
        cluster: context.cluster.clone(),
        namespace: context.namespace.clone(),
        deployment: deployment.to_owned(),
    };
    Ok((Arc::new(peers), format!("deployment/{deployment}")))
}

/// The labels of a workload's pods that NetworkPolicies look at: with them a pod is to these
/// policies what the workload's own pods are.
pub fn labels_for_policies(
    workload: &Workload,
    policies: &[NetworkPolicy],
) -> BTreeMap<String, String> {
    let mut keys = BTreeSet::new();
    for spec in policies.iter().filter_map(|policy| policy.spec.as_ref()) {
        let ingress = spec.ingress.iter().flatten();
        let from = ingress.flat_map(|rule| rule.from.iter().flatten());
        let egress = spec.egress.iter().flatten();
        let to = egress.flat_map(|rule| rule.to.iter().flatten());
        let of_peer = |peer: &NetworkPolicyPeer| peer.pod_selector.clone();
        let selectors = from.chain(to).filter_map(of_peer);
        for selector in selectors.chain(spec.pod_selector.clone()) {
            keys.extend(keys_of(&selector));
        }
    }
    labels_of(workload)
        .into_iter()
        .filter(|(key, _)| keys.contains(key))
        .collect()
}

/// The same, with all that the workload selects its own pods by.
pub fn labels_of_target(
    workload: &Workload,
    policies: &[NetworkPolicy],
) -> BTreeMap<String, String> {
    let mut labels = labels_for_policies(workload, policies);
    let selector = workload.pod_selector.clone().unwrap_or_default();
    let selector: LabelSelector = serde_json::from_value(selector).unwrap_or_default();
    let keys = keys_of(&selector);
    labels.extend(
        labels_of(workload)
            .into_iter()
            .filter(|(key, _)| keys.contains(key)),
    );
    labels
}

fn labels_of(workload: &Workload) -> BTreeMap<String, String> {
    let labels: &Value = &workload.template["metadata"]["labels"];
    serde_json::from_value(labels.clone()).unwrap_or_default()
}

fn keys_of(selector: &LabelSelector) -> BTreeSet<String> {
    let terms = selector.match_expressions.iter().flatten();
    let labels = selector.match_labels.iter().flatten().map(|(key, _)| key);
    terms.map(|term| &term.key).chain(labels).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_told_from_a_connection_that_breaks() {
        let judged = |answer| judge("curl --version", answer);
        assert_eq!(judged(Ok(Ok(0))), Trial::Works);
        assert!(matches!(judged(Ok(Ok(127))), Trial::Lacks(_)));
        let not_started = ExecFailure::NotStarted("no curl".to_owned());
        assert_eq!(judged(Ok(Err(not_started))), Trial::Lacks("no curl".into()));
        let lost = judged(Ok(Err(ExecFailure::ConnectionLost(None))));
        assert!(matches!(lost, Trial::Unknown(_)));
        let other = ReadError::other("exec", "the API server is away");
        assert!(matches!(judged(Err(other)), Trial::Unknown(_)));
    }
}
