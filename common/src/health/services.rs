//! Does somebody stand behind every Service, and does it answer?

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::cluster::ReadError;
use crate::config::{self, Config};
use crate::record::{Check, ServiceState};
use crate::vantage::{Asker, Endpoint, Silence};

/// Time that a health URL may take.
const LIMIT: Duration = Duration::from_secs(5);

/// The endpoint that a configured Service stands for.
pub fn endpoint(service: &config::Service, namespace: &str) -> Endpoint {
    Endpoint {
        namespace: service.namespace.clone().unwrap_or_else(|| namespace.to_owned()),
        service: service.name.clone(),
        port: service.port,
        vantage: service.vantage.clone(),
    }
}

/// Ready and not ready endpoints of a Service. An address that several slices or ports repeat
/// counts once; `ready` left out means ready.
pub fn count(slices: &[EndpointSlice], service: &str) -> (usize, usize) {
    let of_service = slices.iter().filter(|slice| {
        slice
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get("kubernetes.io/service-name"))
            .is_some_and(|name| name == service)
    });
    let (mut ready, mut not_ready) = (BTreeSet::new(), BTreeSet::new());
    for endpoint in of_service.flat_map(|slice| &slice.endpoints) {
        let good = endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(false));
        let name = endpoint.target_ref.as_ref().and_then(|target| target.uid.clone());
        let key = name.or_else(|| endpoint.addresses.first().cloned()).unwrap_or_default();
        if good { &mut ready } else { &mut not_ready }.insert(key);
    }
    (ready.len(), not_ready.len())
}

/// `service.endpoints`: one check for each configured Service of the namespace, or for each that
/// selects pods if none is configured.
pub fn judge(
    services: &Result<Vec<Service>, ReadError>,
    slices: &Result<Vec<EndpointSlice>, ReadError>,
    config: &Config,
    namespace: &str,
    state: &mut Vec<ServiceState>,
) -> Vec<Check> {
    const ID: &str = "service.endpoints";
    let object = format!("namespace/{namespace}");
    let (services, slices) = match (services, slices) {
        (Ok(services), Ok(slices)) => (services, slices),
        (Err(error), _) | (_, Err(error)) => return vec![error.check(ID, object)],
    };
    let here = |service: &&config::Service| service.namespace.as_deref().is_none_or(|other| other == namespace);
    let mut names: Vec<String> = config.services.iter().filter(here).map(|service| service.name.clone()).collect();
    if names.is_empty() {
        let selecting = services
            .iter()
            .filter(|s| s.spec.as_ref().is_some_and(|spec| spec.selector.as_ref().is_some_and(|map| !map.is_empty())));
        names = selecting.filter_map(|service| service.metadata.name.clone()).collect();
    }
    if names.is_empty() {
        return vec![Check::skipped(ID, object, "there are no Services that select pods, and none is configured")];
    }
    let judge_one = |name: String| {
        let object = format!("service/{name}");
        if !services.iter().any(|service| service.metadata.name.as_deref() == Some(&name)) {
            return Check::fail(
                ID,
                object,
                format!("the configuration names it, and there is none in namespace {namespace}"),
            );
        }
        let (ready, not_ready) = count(slices, &name);
        state.push(ServiceState { namespace: namespace.to_owned(), name: name.clone(), ready, not_ready });
        let message = format!("{ready} ready endpoints, {not_ready} not ready");
        Check::judge(ready > 0, ID, object, message)
            .hint(format!("kubectl get endpointslices -n {namespace} -l kubernetes.io/service-name={name}"))
    };
    names.into_iter().map(judge_one).collect()
}

/// `service.http`: the health path of every configured Service, all at the same time.
pub async fn ask_all(asker: &Asker, config: &Config, namespace: &str) -> Vec<Check> {
    let ask = config.services.iter().map(|service| async {
        let endpoint = endpoint(service, namespace);
        match &service.health {
            Some(path) => ask("service.http", asker, &endpoint, path, |_| Ok(())).await,
            None => Check::skipped("service.http", endpoint.url(""), "no health path is configured"),
        }
    });
    join_all(ask).await
}

/// Asks one URL; a status in the 200s passes if `judge` finds nothing wrong with the body.
pub async fn ask(
    id: &str,
    asker: &Asker,
    endpoint: &Endpoint,
    path: &str,
    judge: impl FnOnce(&[u8]) -> Result<(), String>,
) -> Check {
    let url = endpoint.url(path);
    let check = match asker.get(endpoint, path, LIMIT).await {
        Ok(answer) if (200..300).contains(&answer.status) => match judge(&answer.body) {
            Ok(()) => Check::pass(id, url, format!("answers {} in {} ms", answer.status, answer.elapsed.as_millis())),
            Err(why) => Check::fail(id, url, format!("answers {}, but {why}", answer.status)),
        },
        Ok(answer) => Check::fail(id, url, format!("answers {}", answer.status)),
        Err(Silence::Service(why)) => Check::fail(id, url, format!("does not answer: {why}")),
        Err(Silence::Vantage(error)) => error.check(id, url),
    };
    check.from_vantage(asker.resolve(&endpoint.vantage))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Status;

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

    #[test]
    fn endpoints_count_once_and_only_if_ready() {
        assert_eq!(count(&slices(), "a"), (2, 1));
        assert_eq!(count(&slices(), "b"), (0, 0));
    }

    #[test]
    fn a_service_with_nobody_behind_it_fails() {
        let services = ["a", "b"].map(|name| {
            serde_saphyr::from_str(&format!("{{metadata: {{name: {name}}}, spec: {{selector: {{app: {name}}}}}}}"))
                .expect("a service")
        });
        let checks = judge(&Ok(services.to_vec()), &Ok(slices()), &Config::default(), "prod", &mut Vec::new());
        assert_eq!(checks.iter().map(|c| c.status).collect::<Vec<_>>(), [Status::Pass, Status::Fail]);
    }
}
