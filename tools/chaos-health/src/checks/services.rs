//! Does somebody stand backends every Service, and does it answer?

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};
use tokio::time::sleep;
use uuid::Uuid;

use super::catalogue::Explanation;
use chaos_common::cluster::probe::{Answer, Endpoint, HttpProbe, ProbeError};
use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind};
use chaos_common::config::{self, Config, Expectation};
use chaos_common::record::{Check, ServiceState};

/// `service.endpoints`
pub(super) const ENDPOINTS: Explanation = Explanation {
    id: "service.endpoints",
    asks: "Does somebody stand backends every Service?",
    judges: "Fails for a configured Service (or each that selects pods, if none is configured) \
             that is not there, has no ready endpoint, selects nobody, has a port that leads to \
             none of its pods' ports, or a ready endpoint whose pod is gone.",
    reads: "list services, endpointslices, pods",
    remedy: "kubectl get endpointslices; compare the Service's selector with the pods' labels",
};

/// `service.http`
pub(super) const HTTP: Explanation = Explanation {
    id: "service.http",
    asks: "Does the health path of every configured Service answer as expected?",
    judges: "Fails for another status than expected (200s), a body without the expected text, \
             an answer that is too slow, too long or does not come. Unknown if the way to the \
             Service (the vantage) is not open.",
    reads: "a GET from the configured vantage",
    remedy: "kubectl logs of the pods backends it",
};

/// Time that a health URL may take.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// So many are asked at a time.
pub(super) const PARALLEL: usize = 16;
/// After this what looked wrong is looked at again.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// So many Services are looked at again.
const SUSPECTS: usize = 10;

/// What is kept of a Service.
#[derive(Clone, Debug)]
pub(super) struct ServiceSummary {
    name: String,
    /// As `kubectl get service -o wide` writes it; empty where it selects nothing.
    selector: String,
    ports: Vec<(String, i32)>,
}

impl From<&Service> for ServiceSummary {
    fn from(service: &Service) -> ServiceSummary {
        let spec = service
            .spec
            .as_ref()
            .filter(|spec| spec.type_.as_deref() != Some("ExternalName"));
        let selector = spec
            .and_then(|spec| spec.selector.as_ref())
            .into_iter()
            .flatten();
        let ports = spec
            .and_then(|spec| spec.ports.as_deref())
            .unwrap_or_default();
        ServiceSummary {
            name: service.metadata.name.clone().unwrap_or_default(),
            selector: selector
                .map(|(key, value)| format!("{key}={value}"))
                .collect::<Vec<_>>()
                .join(","),
            ports: ports
                .iter()
                .map(|port| (port.name.clone().unwrap_or_default(), port.port))
                .collect(),
        }
    }
}

/// Who stands backends a Service: of its endpoints, no more than who each is.
#[derive(Clone, Debug, Default)]
pub(super) struct Backends {
    ready: HashSet<Key>,
    not_ready: HashSet<Key>,
    /// Names of the ports that lead somewhere.
    ports: BTreeSet<String>,
}

/// An endpoint: its pod, or an address that belongs to none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Pod(Uuid),
    Address(String),
}

/// Who stands backends each Service of a namespace.
pub(super) type Endpoints = BTreeMap<String, Backends>;

/// Takes in a slice. An address that several slices or ports repeat counts once; `ready` left out
/// means ready.
pub(super) fn add(endpoints: &mut Endpoints, slice: &EndpointSlice) {
    let labels = slice.metadata.labels.as_ref();
    let Some(service) = labels.and_then(|labels| labels.get("kubernetes.io/service-name")) else {
        return;
    };
    let backends = endpoints.entry(service.clone()).or_default();
    backends.ports.extend(
        slice
            .ports
            .iter()
            .flatten()
            .map(|port| port.name.clone().unwrap_or_default()),
    );
    for endpoint in &slice.endpoints {
        let ready = endpoint
            .conditions
            .as_ref()
            .is_none_or(|conditions| conditions.ready != Some(false));
        let pod = endpoint
            .target_ref
            .as_ref()
            .filter(|target| target.kind.as_deref() == Some("Pod"));
        let uid = pod.and_then(|pod| pod.uid.as_deref()?.parse().ok());
        let key = uid.map_or_else(
            || Key::Address(endpoint.addresses.first().cloned().unwrap_or_default()),
            Key::Pod,
        );
        if ready {
            &mut backends.ready
        } else {
            &mut backends.not_ready
        }
        .insert(key);
    }
}

/// Services whose ready endpoints hold pods that were not among the living. They may only have gone
/// between the two looks.
pub(super) fn suspects<'a>(endpoints: &'a Endpoints, alive: &HashSet<Uuid>) -> Vec<&'a str> {
    let dead = |key: &Key| matches!(key, Key::Pod(uid) if !alive.contains(uid));
    let suspected = endpoints
        .iter()
        .filter(|(_, backends)| backends.ready.iter().any(dead));
    suspected.map(|(service, _)| service.as_str()).collect()
}

/// `service.endpoints`: one check for each configured Service of the namespace, or for each that
/// selects pods if none is configured. `dead` names endpoints of pods that are gone.
pub(super) fn judge(
    services: &Result<Vec<ServiceSummary>, ReadError>,
    endpoints: &Result<Endpoints, ReadError>,
    dead: &BTreeMap<String, String>,
    config: &Config,
    namespace: &str,
    state: &mut Vec<ServiceState>,
) -> Vec<Check> {
    const ID: &str = ENDPOINTS.id;
    let object = format!("namespace/{namespace}");
    let (services, endpoints) = match (services, endpoints) {
        (Ok(services), Ok(endpoints)) => (services, endpoints),
        (Err(error), _) | (_, Err(error)) => return vec![error.check(ID, object)],
    };
    let here = |service: &&config::Service| {
        service
            .namespace
            .as_deref()
            .is_none_or(|other| other == namespace)
    };
    let mut names: Vec<String> = config
        .services
        .iter()
        .filter(here)
        .map(|service| service.name.clone())
        .collect();
    if names.is_empty() {
        names = services
            .iter()
            .filter(|s| !s.selector.is_empty())
            .map(|service| service.name.clone())
            .collect();
    }
    if names.is_empty() {
        return vec![Check::skipped(
            ID,
            object,
            "there are no Services that select pods, and none is configured",
        )];
    }
    let nobody = Backends::default();
    let judge_one = |name: String| {
        let object = format!("service/{name}");
        let Some(service) = services.iter().find(|service| service.name == name) else {
            return Check::fail(
                ID,
                object,
                format!("the configuration names it, and there is none in namespace {namespace}"),
            );
        };
        let backends = endpoints.get(&name).unwrap_or(&nobody);
        let (ready, not_ready) = (backends.ready.len(), backends.not_ready.len());
        state.push(ServiceState {
            namespace: namespace.to_owned(),
            name: name.clone(),
            ready,
            not_ready,
        });
        let seen = format!("{ready} ready endpoints, {not_ready} not ready");
        let astray = service
            .ports
            .iter()
            .find(|(name, _)| !backends.ports.contains(name));
        let trouble = if ready + not_ready == 0 && !service.selector.is_empty() {
            Some(format!(
                ": no running pod matches its selector {}",
                service.selector
            ))
        } else if ready == 0 {
            Some(String::new())
        } else if let Some(dead) = dead.get(&name) {
            Some(format!("; {dead}"))
        } else {
            astray.map(|(_, port)| format!(", but its port {port} leads to no port of its pods"))
        };
        let good = trouble.is_none();
        Check::judge(good, ID, object, seen + &trouble.unwrap_or_default()).hint(format!(
            "kubectl get endpointslices -n {namespace} -l kubernetes.io/service-name={name}"
        ))
    };
    names.into_iter().map(judge_one).collect()
}

/// Looks again at Services whose endpoints were of pods that were gone, and says which still are.
pub(super) async fn confirm(
    cluster: &Cluster,
    namespace: &str,
    suspects: &[&str],
) -> BTreeMap<String, String> {
    let mut dead = BTreeMap::new();
    if !suspects.is_empty() {
        sleep(SECOND_LOOK).await;
    }
    for service in suspects.iter().take(SUSPECTS) {
        let slices: Api<EndpointSlice> = Api::namespaced(cluster.client.clone(), namespace);
        let params = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let what = format!("list endpointslices of service/{service} in namespace {namespace}");
        let Ok(slices) = cluster.list(&slices, &params, what).await else {
            continue;
        };
        let ready = slices
            .iter()
            .flat_map(|slice| &slice.endpoints)
            .filter(|endpoint| {
                endpoint
                    .conditions
                    .as_ref()
                    .is_none_or(|conditions| conditions.ready != Some(false))
            });
        for endpoint in ready {
            let Some(target) = endpoint
                .target_ref
                .as_ref()
                .filter(|target| target.kind.as_deref() == Some("Pod"))
            else {
                continue;
            };
            let name = target.name.as_deref().unwrap_or_default();
            let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
            let pod = cluster
                .read(format!("read pod {name}"), || pods.get(name))
                .await;
            let gone = match &pod {
                Ok(pod) => {
                    let phase = pod
                        .status
                        .as_ref()
                        .and_then(|status| status.phase.as_deref());
                    pod.metadata.uid != target.uid || matches!(phase, Some("Succeeded" | "Failed"))
                }
                Err(error) => error.kind == ReadErrorKind::NotFound,
            };
            if gone {
                let address = endpoint
                    .addresses
                    .first()
                    .map(String::as_str)
                    .unwrap_or_default();
                let why = format!(
                    "{address} counts as ready and belongs to pod/{name}, which is no more"
                );
                dead.insert((*service).to_owned(), why);
                break;
            }
        }
    }
    dead
}

/// `service.http`: the health path of every configured Service, several at a time.
pub(super) async fn ask_all(probe: &HttpProbe, config: &Config, namespace: &str) -> Vec<Check> {
    const ID: &str = HTTP.id;
    let ask = config.services.iter().map(|service| async {
        let endpoint = Endpoint::of_service(service, namespace);
        match &service.health {
            Some(path) => {
                let answer = probe.get(&endpoint, path, LIMIT).await;
                let check =
                    judge_answer(ID, endpoint.url(path), answer, &service.expect, |_| Ok(()));
                check.from_vantage(probe.resolve(&endpoint.vantage))
            }
            None => Check::skipped(ID, endpoint.url(""), "no health path is configured"),
        }
    });
    stream::iter(ask).buffered(PARALLEL).collect().await
}

/// Asks one URL; a status in the 200s passes if `judge` finds nothing wrong with the body.
pub async fn ask(
    id: &str,
    probe: &HttpProbe,
    endpoint: &Endpoint,
    path: &str,
    judge: impl FnOnce(&[u8]) -> Result<(), String>,
) -> Check {
    let answer = probe.get(endpoint, path, LIMIT).await;
    let check = judge_answer(
        id,
        endpoint.url(path),
        answer,
        &Expectation::default(),
        judge,
    );
    check.from_vantage(probe.resolve(&endpoint.vantage))
}

/// Is an answer what was expected?
pub(super) fn judge_answer(
    id: &str,
    url: String,
    answer: Result<Answer, ProbeError>,
    expect: &Expectation,
    judge: impl FnOnce(&[u8]) -> Result<(), String>,
) -> Check {
    let answer = match answer {
        Ok(answer) => answer,
        Err(ProbeError::Service(why)) => {
            return Check::fail(id, url, format!("does not answer: {why}"));
        }
        Err(ProbeError::Vantage(error)) => return error.check(id, url),
    };
    if let Some(deviation) = answer.deviation(expect) {
        return Check::fail(id, url, deviation.to_string());
    }
    let status = answer.status;
    match judge(&answer.body) {
        Ok(()) => {
            let taken = answer.elapsed.as_millis();
            Check::pass(id, url, format!("answers {status} in {taken} ms"))
        }
        Err(why) => Check::fail(id, url, format!("answers {status}, but {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Status;

    fn slices() -> Vec<EndpointSlice> {
        vec![
            serde_saphyr::from_str(
                "{metadata: {name: a-1, labels: {kubernetes.io/service-name: a}}, addressType: IPv4, endpoints: [
                  {addresses: [10.0.0.1], conditions: {ready: true}}, {addresses: [10.0.0.2], conditions: {ready: false}}, {addresses: [10.0.0.3]}]}",
            )
            .expect("a slice"),
            serde_saphyr::from_str(
                "{metadata: {name: a-2, labels: {kubernetes.io/service-name: a}}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}}]}",
            )
            .expect("a slice"),
        ]
    }

    fn endpoints() -> Endpoints {
        let mut endpoints = Endpoints::new();
        for slice in slices() {
            add(&mut endpoints, &slice);
        }
        endpoints
    }

    #[test]
    fn endpoints_count_once_and_only_if_ready() {
        let backends = &endpoints()["a"];
        assert_eq!((backends.ready.len(), backends.not_ready.len()), (2, 1));
    }

    #[test]
    fn a_service_with_nobody_backends_it_fails() {
        let services = ["a", "b"].map(|name| {
            let service: Service = serde_saphyr::from_str(&format!(
                "{{metadata: {{name: {name}}}, spec: {{selector: {{app: {name}}}}}}}"
            ))
            .expect("a service");
            ServiceSummary::from(&service)
        });
        let none = BTreeMap::new();
        let checks = judge(
            &Ok(services.to_vec()),
            &Ok(endpoints()),
            &none,
            &Config::default(),
            "prod",
            &mut Vec::new(),
        );
        assert_eq!(
            checks.iter().map(|c| c.status).collect::<Vec<_>>(),
            [Status::Pass, Status::Fail]
        );
    }

    #[test]
    fn an_answer_is_what_was_expected_or_says_what_it_is_not() {
        let answer = |status, ms| {
            Ok(Answer {
                status,
                body: b"{\"status\":\"ok\"}".to_vec(),
                elapsed: Duration::from_millis(ms),
            })
        };
        let of = |status, ms, expect: &str| {
            let expect: Expectation = toml::from_str(expect).expect("an expectation");
            let check = judge_answer("x", String::new(), answer(status, ms), &expect, |_| Ok(()));
            (check.status, check.message)
        };
        assert_eq!(of(204, 10, "").0, Status::Pass);
        assert_eq!(of(302, 10, "").0, Status::Fail);
        assert_eq!(of(302, 10, "status = 302").0, Status::Pass);
        assert!(of(200, 10, "status = 204").1.contains("204 is wanted"));
        assert_eq!(of(200, 10, "body = \"ok\"").0, Status::Pass);
        assert!(
            of(200, 10, "body = \"well\"")
                .1
                .contains("does not hold \"well\"")
        );
        assert!(
            of(200, 700, "within = \"500ms\"")
                .1
                .contains("at most 500ms")
        );
        assert_eq!(of(200, 400, "within = \"500ms\"").0, Status::Pass);
    }
}
