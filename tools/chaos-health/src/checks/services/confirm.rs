//! A second look at endpoints whose pods were not seen: a pod may only have gone between two lists.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::api::Api;
use tokio::time::sleep;

use super::{Key, Living, is_ready, service_of};
use crate::protobuf;
use chaos_common::cluster::{Cluster, ListRequest, ReadError, ReadErrorKind};

/// After this what looked wrong is looked at again.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// So many pods are looked at for themselves.
const PODS: usize = 50;

/// What the second look says of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// A ready endpoint's pod is gone; which one.
    Gone(String),
    /// It could not be seen; why.
    Unseen(String),
}

/// A ready endpoint whose pod was not seen.
#[derive(Clone, Debug)]
struct Suspect {
    service: String,
    namespace: String,
    /// Its pod; without it only the address is given, which is a pod's.
    pod: Option<String>,
    uid: Option<String>,
    address: String,
}

/// Looks again at Services whose endpoints were of pods that were gone, and says which still are.
pub(super) async fn confirm(
    cluster: &Cluster,
    namespace: &str,
    services: &BTreeSet<String>,
    living: Living<'_>,
) -> BTreeMap<String, Doubt> {
    if services.is_empty() {
        return BTreeMap::new();
    }
    sleep(cluster.until_deadline(SECOND_LOOK)).await;
    let add = |found: &mut Vec<Suspect>, slice: EndpointSlice| {
        if service_of(&slice).is_some_and(|service| services.contains(service)) {
            found.extend(suspects_of(&slice, namespace, living));
        }
    };
    let request = ListRequest::namespaced(namespace).protobuf(protobuf::decode);
    let suspects = match cluster.fold(request, Vec::new, add).await {
        Ok(suspects) => suspects,
        Err(error) => {
            let unseen = Doubt::Unseen(error.to_string());
            return services
                .iter()
                .map(|service| (service.clone(), unseen.clone()))
                .collect();
        }
    };
    let looks = suspects.iter().enumerate().map(|(at, suspect)| async move {
        if at < PODS {
            look(cluster, suspect).await
        } else {
            let why = format!(
                "{}, as more than {PODS} others",
                said(suspect, "was not looked for")
            );
            Some(Doubt::Unseen(why))
        }
    });
    let found = join_all(looks).await.into_iter().zip(&suspects);
    let mut doubts = BTreeMap::new();
    for (doubt, suspect) in found {
        let Some(doubt) = doubt else { continue };
        let known = doubts.get(&suspect.service);
        if !matches!(known, Some(Doubt::Gone(_))) {
            doubts.insert(suspect.service.clone(), doubt);
        }
    }
    doubts
}

fn suspects_of(slice: &EndpointSlice, namespace: &str, living: Living) -> Vec<Suspect> {
    let service = service_of(slice).cloned().unwrap_or_default();
    let here = slice.metadata.namespace.as_deref();
    let ready = slice.endpoints.iter().filter(|endpoint| is_ready(endpoint));
    let suspects = ready.filter(|endpoint| Key::of(endpoint, here).is_suspect(living));
    let suspect = |endpoint: &Endpoint| {
        let target = endpoint.target_ref.clone().unwrap_or_default();
        Suspect {
            service: service.clone(),
            namespace: target.namespace.unwrap_or_else(|| namespace.to_owned()),
            pod: target.name,
            uid: target.uid.filter(|uid| !uid.is_empty()),
            address: endpoint.addresses.first().cloned().unwrap_or_default(),
        }
    };
    suspects.map(suspect).collect()
}

/// What is said of a suspect's pod.
fn said(suspect: &Suspect, what: &str) -> String {
    let address = &suspect.address;
    match &suspect.pod {
        Some(pod) => format!("{address} counts as ready and belongs to pod/{pod}, which {what}"),
        None => format!("{address} counts as ready and is a pod's address, but its pod {what}"),
    }
}

async fn look(cluster: &Cluster, suspect: &Suspect) -> Option<Doubt> {
    let namespace = &suspect.namespace;
    let Some(name) = &suspect.pod else {
        return look_for_address(cluster, suspect).await;
    };
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let what = format!("read pod {name} in namespace {namespace}");
    let pod = cluster.read(what, || pods.get(name)).await;
    judge(suspect, &pod)
}

/// Looks for a pod with the address in all namespaces. Who may not do so does not know that it is
/// gone.
async fn look_for_address(cluster: &Cluster, suspect: &Suspect) -> Option<Doubt> {
    let request = ListRequest::everywhere()
        .fields(&format!("status.podIP={}", suspect.address))
        .protobuf(protobuf::decode);
    let add = |living: &mut usize, pod: Pod| *living += usize::from(!has_ended(&pod));
    match cluster.fold(request, usize::default, add).await {
        Ok(0) => Some(Doubt::Gone(said(suspect, "is no more"))),
        Ok(_) | Err(_) => None,
    }
}

fn has_ended(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn judge(suspect: &Suspect, pod: &Result<Pod, ReadError>) -> Option<Doubt> {
    let gone = match pod {
        Ok(pod) => {
            let another = suspect.uid.is_some() && pod.metadata.uid != suspect.uid;
            another || has_ended(pod)
        }
        Err(error) if error.kind == ReadErrorKind::NotFound => true,
        Err(error) => return Some(Doubt::Unseen(error.to_string())),
    };
    gone.then(|| Doubt::Gone(said(suspect, "is no more")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(uid: Option<&str>) -> Suspect {
        Suspect {
            service: "web".to_owned(),
            namespace: "shop".to_owned(),
            pod: Some("web-0".to_owned()),
            uid: uid.map(str::to_owned),
            address: "10.0.0.9".to_owned(),
        }
    }

    #[test]
    fn a_pod_that_lives_is_no_doubt_and_one_that_could_not_be_read_is() {
        let pod = |yaml: &str| Ok(serde_saphyr::from_str::<Pod>(yaml).expect("a pod"));
        let runs = pod("{metadata: {uid: u}, status: {phase: Running}}");
        assert_eq!(judge(&suspect(Some("u")), &runs), None);
        assert_eq!(judge(&suspect(None), &runs), None, "only its name is given");
        let gone = |doubt: Option<Doubt>| matches!(doubt, Some(Doubt::Gone(_)));
        assert!(
            gone(judge(&suspect(Some("v")), &runs)),
            "another of its name"
        );
        let failed = pod("{metadata: {uid: u}, status: {phase: Failed}}");
        assert!(gone(judge(&suspect(Some("u")), &failed)));
        let error = Err(ReadError::timeout("read pod web-0", "no answer"));
        let unseen = judge(&suspect(None), &error);
        assert!(matches!(unseen, Some(Doubt::Unseen(_))), "{unseen:?}");
    }
}
