//! Have the volume claims their volumes?

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::catalogue::Explanation;
use chaos_common::cluster::{Cluster, ListRequest, ReadError};
use chaos_common::record::{Check, Status};

/// `volume.bound`
pub(super) const BOUND: Explanation = Explanation {
    id: "volume.bound",
    asks: "Has every volume claim its volume?",
    judges: "Fails for a claim that a pod uses and that is missing, Pending, Lost, or waits to \
             be deleted. Warns of a Pending one that no pod uses.",
    reads: "list persistentvolumeclaims, pods",
    remedy: "kubectl describe persistentvolumeclaim",
};

const ID: &str = BOUND.id;

/// What is kept of a claim.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    name: String,
    phase: String,
    deleted: bool,
}

impl From<&PersistentVolumeClaim> for Claim {
    fn from(claim: &PersistentVolumeClaim) -> Claim {
        Claim {
            name: claim.metadata.name.clone().unwrap_or_default(),
            phase: claim
                .status
                .as_ref()
                .and_then(|status| status.phase.clone())
                .unwrap_or_default(),
            deleted: claim.metadata.deletion_timestamp.is_some(),
        }
    }
}

pub(super) async fn read(cluster: &Cluster, namespace: &str) -> Result<Vec<Claim>, ReadError> {
    let request = ListRequest::namespaced(namespace);
    let add = |found: &mut Vec<Claim>, claim: PersistentVolumeClaim| found.push((&claim).into());
    cluster.fold(request, Vec::new, add).await
}

/// `volume.bound`: every claim without a volume. One that no pod uses may wait for its first.
pub(super) fn judge(
    claims: &Result<Vec<Claim>, ReadError>,
    used: &BTreeSet<String>,
    namespace: &str,
) -> Vec<Check> {
    let object = format!("namespace/{namespace}");
    let claims = match claims {
        Ok(claims) => claims,
        Err(error) => return vec![error.check(ID, object)],
    };
    let of_pods = |name: &str| used.contains(name);
    let mut checks: Vec<Check> = used
        .iter()
        .filter(|name| !claims.iter().any(|claim| claim.name == **name))
        .map(|name| {
            (
                name,
                Status::Fail,
                "a pod uses it, and it does not exist".to_owned(),
            )
        })
        .chain(claims.iter().filter_map(
            |Claim {
                 name,
                 phase,
                 deleted,
             }| match (phase.as_str(), deleted) {
                (_, true) if of_pods(name) => Some((
                    name,
                    Status::Fail,
                    "is deleted as soon as the pods that use it are gone".to_owned(),
                )),
                ("Bound", _) => None,
                ("Pending", _) if !of_pods(name) => Some((
                    name,
                    Status::Warn,
                    "is Pending, and no pod uses it".to_owned(),
                )),
                (phase, _) => Some((
                    name,
                    Status::Fail,
                    format!("is {phase}, and not bound to a volume"),
                )),
            },
        ))
        .map(|(name, status, message)| {
            Check::new(ID, format!("persistentvolumeclaim/{name}"), status, message).hint(format!(
                "kubectl describe persistentvolumeclaim {name} -n {namespace}"
            ))
        })
        .collect();
    if checks.is_empty() {
        checks.push(match claims.len() {
            0 => Check::skipped(ID, object, "there are no volume claims"),
            number => Check::pass(ID, object, format!("{number} claims are bound to volumes")),
        });
    }
    checks
}
