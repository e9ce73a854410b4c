//! Does somebody stand behind every Service?

mod confirm;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::join;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use uuid::Uuid;

use self::confirm::{Doubt, confirm};
use super::catalogue::Explanation;
use super::pod_ranges::PodRanges;
use crate::protobuf;
use chaos_common::cluster::{Cluster, ListRequest, ReadError};
use chaos_common::config::{self, Config};
use chaos_common::record::{Check, ServiceState, Status};

/// `service.endpoints`
pub const ENDPOINTS: Explanation = Explanation {
    id: "service.endpoints",
    asks: "Does somebody stand behind every Service?",
    judges: "Fails for a configured Service (or each that leads somewhere, if none is \
             configured) that is not there, has no ready endpoint, selects nobody, or has a port \
             that leads to none of its pods' ports. Of the others, whoever they are, it fails for \
             a ready endpoint whose pod is gone and for a Service without a selector that nobody \
             gave an endpoint, and warns of the rest. A name for something outside (ExternalName) \
             has no endpoints and is not judged.",
    reads: "list services, endpointslices, pods, nodes",
    remedy: "kubectl get endpointslices; compare the Service's selector with the pods' labels",
};

/// What is kept of a Service.
#[derive(Clone, Debug)]
struct ServiceSummary {
    name: String,
    leads: Leads,
    ports: Vec<(String, i32)>,
}

/// How a Service comes to its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Leads {
    /// It selects pods; the selector as `kubectl get service -o wide` writes it.
    Selector(String),
    /// Somebody else says who they are.
    ByHand,
    /// It has none: it is another name for this one.
    Name(String),
}

impl From<&Service> for ServiceSummary {
    fn from(service: &Service) -> ServiceSummary {
        let spec = service.spec.clone().unwrap_or_default();
        let selector = spec.selector.iter().flatten();
        let selector: Vec<String> = selector
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let leads = if spec.type_.as_deref() == Some("ExternalName") {
            Leads::Name(spec.external_name.unwrap_or_default())
        } else if selector.is_empty() {
            Leads::ByHand
        } else {
            Leads::Selector(selector.join(","))
        };
        let ports = spec.ports.unwrap_or_default().into_iter();
        ServiceSummary {
            name: service.metadata.name.clone().unwrap_or_default(),
            leads,
            ports: ports
                .map(|port| (port.name.unwrap_or_default(), port.port))
                .collect(),
        }
    }
}

impl ServiceSummary {
    /// Whether callers expect somebody behind it. One without selector and ports only keeps a name,
    /// as operators of databases do.
    fn leads_somewhere(&self) -> bool {
        match &self.leads {
            Leads::Selector(_) => true,
            Leads::ByHand => !self.ports.is_empty(),
            Leads::Name(_) => false,
        }
    }
}

/// Who stands behind a Service: of its endpoints, no more than who each is.
#[derive(Clone, Debug, Default)]
struct Backends {
    ready: HashSet<Key>,
    not_ready: HashSet<Key>,
    /// Names of the ports that lead somewhere.
    ports: BTreeSet<String>,
}

/// An endpoint: its pod, or an address that belongs to none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Pod(Uuid),
    /// A pod of another namespace, or of which no more than the name is given.
    NamedPod(String),
    Address(String),
}

impl Key {
    /// Who an endpoint of a slice in `namespace` is.
    fn of(endpoint: &Endpoint, namespace: Option<&str>) -> Key {
        let target = endpoint.target_ref.as_ref();
        let Some(pod) = target.filter(|target| target.kind.as_deref() == Some("Pod")) else {
            return Key::Address(endpoint.addresses.first().cloned().unwrap_or_default());
        };
        let elsewhere = pod.namespace.is_some() && pod.namespace.as_deref() != namespace;
        let uid = pod.uid.as_deref().and_then(|uid| uid.parse().ok());
        match uid.filter(|_| !elsewhere) {
            Some(uid) => Key::Pod(uid),
            None => Key::NamedPod(pod.name.clone().unwrap_or_default()),
        }
    }

    /// It was not seen among the pods that live.
    fn is_suspect(&self, living: Living) -> bool {
        match self {
            Key::Pod(uid) => !living.pods.contains(uid),
            Key::NamedPod(_) => true,
            // Nobody said whose it is; only a pod can have it.
            Key::Address(address) => living.addresses.hold(address),
        }
    }
}

/// What is known of the pods that live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Living<'a> {
    /// Those of the namespace.
    pub(super) pods: &'a HashSet<Uuid>,
    /// The addresses that pods have, living or not.
    pub(super) addresses: &'a PodRanges,
}

/// `ready` left out means ready.
fn is_ready(endpoint: &Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    conditions.is_none_or(|conditions| conditions.ready != Some(false))
}

/// The Service that a slice belongs to.
fn service_of(slice: &EndpointSlice) -> Option<&String> {
    let labels = slice.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get("kubernetes.io/service-name"))
}

/// Who stands behind each Service of a namespace.
type Endpoints = BTreeMap<String, Backends>;

/// Takes in a slice. An address that several slices or ports repeat counts once.
fn add(endpoints: &mut Endpoints, slice: &EndpointSlice) {
    let Some(service) = service_of(slice) else {
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
    let namespace = slice.metadata.namespace.as_deref();
    for endpoint in &slice.endpoints {
        let side = if is_ready(endpoint) {
            &mut backends.ready
        } else {
            &mut backends.not_ready
        };
        side.insert(Key::of(endpoint, namespace));
    }
}

/// Services whose ready endpoints hold pods that were not among the living. They may only have gone
/// between the two looks.
fn suspects(endpoints: &Endpoints, living: Living) -> BTreeSet<String> {
    let suspected = endpoints.iter().filter(|(_, backends)| {
        let mut ready = backends.ready.iter();
        ready.any(|key| key.is_suspect(living))
    });
    suspected.map(|(service, _)| service.clone()).collect()
}

/// What was read of the Services of a namespace.
#[derive(Clone, Debug)]
pub(super) struct Routing {
    services: Result<Vec<ServiceSummary>, ReadError>,
    endpoints: Result<Endpoints, ReadError>,
    /// By Service: an endpoint that counts as ready and whose pod is gone, or may be.
    doubts: BTreeMap<String, Doubt>,
}

impl Routing {
    pub(super) async fn read(cluster: &Cluster, namespace: &str) -> Routing {
        let request = ListRequest::namespaced(namespace);
        let slices = ListRequest::namespaced(namespace).protobuf(protobuf::decode);
        let add_service =
            |found: &mut Vec<ServiceSummary>, object: Service| found.push((&object).into());
        let add_slice = |found: &mut Endpoints, object: EndpointSlice| add(found, &object);
        let (services, endpoints) = join!(
            cluster.fold(request, Vec::new, add_service),
            cluster.fold(slices, Endpoints::new, add_slice),
        );
        Routing {
            services,
            endpoints,
            doubts: BTreeMap::new(),
        }
    }

    /// Looks again at Services whose ready endpoints hold pods that are not among the living.
    pub(super) async fn confirmed(
        mut self,
        cluster: &Cluster,
        namespace: &str,
        living: Living<'_>,
    ) -> Routing {
        if let Ok(endpoints) = &self.endpoints {
            let suspects = suspects(endpoints, living);
            self.doubts = confirm(cluster, namespace, &suspects, living).await;
        }
        self
    }

    /// `service.endpoints`: one check for each configured Service of the namespace, or for each
    /// that leads somewhere if none is configured, and for others that lead nobody anywhere; and
    /// the state of the former.
    pub(super) fn judge(
        &self,
        config: &Config,
        namespace: &str,
    ) -> (Vec<Check>, Vec<ServiceState>) {
        const ID: &str = ENDPOINTS.id;
        let object = format!("namespace/{namespace}");
        let (services, endpoints) = match (&self.services, &self.endpoints) {
            (Ok(services), Ok(endpoints)) => (services, endpoints),
            (Err(error), _) | (_, Err(error)) => {
                return (vec![error.check(ID, object)], Vec::new());
            }
        };
        let names = expected(services, config, namespace);
        let nobody = Backends::default();
        let (mut checks, mut states) = (Vec::new(), Vec::new());
        for name in &names {
            let Some(service) = services.iter().find(|service| service.name == *name) else {
                let why = format!(
                    "the configuration names it, and there is none in namespace {namespace}"
                );
                checks.push(Check::fail(ID, format!("service/{name}"), why));
                continue;
            };
            let seen = self.seen(service, endpoints.get(*name).unwrap_or(&nobody));
            if !matches!(service.leads, Leads::Name(_)) {
                states.push(seen.backends.state(namespace, name));
            }
            checks.push(seen.judge(namespace));
        }
        let others = services.iter();
        for service in others.filter(|service| !names.contains(&service.name.as_str())) {
            let seen = self.seen(service, endpoints.get(&service.name).unwrap_or(&nobody));
            checks.extend(seen.judge_other(namespace));
        }
        if checks.is_empty() {
            let why = "there are no Services that lead anywhere, and none is configured";
            checks.push(Check::skipped(ID, object, why));
        }
        (checks, states)
    }

    /// What a Service is only another name for, if it is.
    pub(super) fn other_name(&self, service: &str) -> Option<&str> {
        let mut services = self.services.iter().flatten();
        match &services.find(|found| found.name == service)?.leads {
            Leads::Name(other) => Some(other),
            Leads::Selector(_) | Leads::ByHand => None,
        }
    }

    fn seen<'a>(&'a self, service: &'a ServiceSummary, backends: &'a Backends) -> Seen<'a> {
        Seen {
            service,
            backends,
            doubt: self.doubts.get(&service.name),
        }
    }
}

/// The names of the Services that are configured for the namespace; of all that lead somewhere, if
/// none is.
fn expected<'a>(
    services: &'a [ServiceSummary],
    config: &'a Config,
    namespace: &str,
) -> Vec<&'a str> {
    let here = |service: &&config::Service| {
        let other = service.namespace.as_deref();
        other.is_none_or(|other| other == namespace)
    };
    let configured = config.services.iter().filter(here);
    let names: Vec<&str> = configured.map(|service| service.name.as_str()).collect();
    if !names.is_empty() {
        return names;
    }
    let leading = services.iter().filter(|service| service.leads_somewhere());
    leading.map(|service| service.name.as_str()).collect()
}

impl Backends {
    fn state(&self, namespace: &str, name: &str) -> ServiceState {
        ServiceState {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ready: self.ready.len(),
            not_ready: self.not_ready.len(),
        }
    }
}

/// What is wrong with a Service; with the rest of the sentence that begins with its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    /// Nobody is ready, or nobody there at all.
    Nobody(String),
    /// An endpoint counts as ready, and its pod is gone.
    Dead(String),
    /// Whether an endpoint's pod is gone could not be seen.
    Unseen(String),
    /// One of its ports leads nowhere.
    Astray(String),
}

impl Trouble {
    fn text(&self) -> &str {
        match self {
            Trouble::Nobody(text)
            | Trouble::Dead(text)
            | Trouble::Unseen(text)
            | Trouble::Astray(text) => text,
        }
    }
}

/// What was seen of one Service.
struct Seen<'a> {
    service: &'a ServiceSummary,
    backends: &'a Backends,
    doubt: Option<&'a Doubt>,
}

impl Seen<'_> {
    fn trouble(&self) -> Option<Trouble> {
        let (ready, not_ready) = (self.backends.ready.len(), self.backends.not_ready.len());
        if ready == 0 {
            let text = match &self.service.leads {
                Leads::Selector(selector) if not_ready == 0 => {
                    format!(": no running pod matches its selector {selector}")
                }
                Leads::ByHand if not_ready == 0 => {
                    ": it has no selector, and nobody has given it an endpoint".to_owned()
                }
                _ => String::new(),
            };
            return Some(Trouble::Nobody(text));
        }
        match self.doubt {
            Some(Doubt::Gone(why)) => return Some(Trouble::Dead(format!("; {why}"))),
            Some(Doubt::Unseen(why)) => return Some(Trouble::Unseen(format!("; {why}"))),
            None => {}
        }
        let mut ports = self.service.ports.iter();
        let astray = ports.find(|(name, _)| !self.backends.ports.contains(name));
        let text = |port: &i32| format!(", but its port {port} leads to no port of its pods");
        astray.map(|(_, port)| Trouble::Astray(text(port)))
    }

    fn check(&self, namespace: &str, status: Status, trouble: Option<&Trouble>) -> Check {
        let name = &self.service.name;
        let (ready, not_ready) = (self.backends.ready.len(), self.backends.not_ready.len());
        let text = trouble.map_or("", Trouble::text);
        let message = format!("{ready} ready endpoints, {not_ready} not ready{text}");
        Check::new(ENDPOINTS.id, format!("service/{name}"), status, message).hint(format!(
            "kubectl get endpointslices -n {namespace} -l kubernetes.io/service-name={name}"
        ))
    }

    /// The check of a Service that must lead somewhere.
    fn judge(&self, namespace: &str) -> Check {
        if let Leads::Name(other) = &self.service.leads {
            let object = format!("service/{}", self.service.name);
            let why = format!("it is another name for {other} and has no endpoints");
            return Check::skipped(ENDPOINTS.id, object, why);
        }
        let trouble = self.trouble();
        let status = match &trouble {
            None => Status::Pass,
            Some(Trouble::Unseen(_)) => Status::Unknown,
            Some(_) => Status::Fail,
        };
        self.check(namespace, status, trouble.as_ref())
    }

    /// The check of one that nobody named, if something is wrong with it. Nobody behind it may be
    /// on purpose, as with a workload that is scaled to 0; calls that end at a pod which is gone
    /// are not, and nor is a Service made by hand that leads nowhere.
    fn judge_other(&self, namespace: &str) -> Option<Check> {
        if !self.service.leads_somewhere() && self.backends.ready.is_empty() {
            return None;
        }
        let trouble = self.trouble()?;
        let by_hand = self.service.leads == Leads::ByHand;
        let status = match &trouble {
            Trouble::Dead(_) => Status::Fail,
            Trouble::Unseen(_) => Status::Unknown,
            Trouble::Nobody(_) if by_hand => Status::Fail,
            Trouble::Nobody(_) | Trouble::Astray(_) => Status::Warn,
        };
        Some(self.check(namespace, status, Some(&trouble)))
    }
}

#[cfg(test)]
mod tests;
