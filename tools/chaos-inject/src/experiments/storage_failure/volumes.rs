//! The workload's claims and their volumes.

use std::collections::BTreeSet;

use chaos_common::record::Check;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::Api;

use crate::context::Context;

/// A claim and its volume.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Volume {
    claim: String,
    /// As kubectl shows it: Bound, Pending, Lost.
    pub(super) phase: String,
    /// Name and phase of the persistent volume; its phase is not known where volumes may not be
    /// read.
    bound: Option<(String, Option<String>)>,
}

/// Reads the claims of these names, and the volumes that they are bound to.
pub(super) async fn read(
    context: &Context,
    claims: &BTreeSet<String>,
) -> anyhow::Result<Vec<Volume>> {
    let api: Api<PersistentVolumeClaim> =
        Api::namespaced(context.cluster.client.clone(), &context.namespace);
    let all: Api<PersistentVolume> = Api::all(context.cluster.client.clone());
    let mut volumes = Vec::new();
    for name in claims {
        let what = format!(
            "read persistentvolumeclaim {name} in namespace {}",
            context.namespace
        );
        let claim = context.cluster.read(what, || api.get(name)).await?;
        let volume = claim.spec.and_then(|spec| spec.volume_name);
        let volume = match volume {
            Some(name) => {
                let found = context
                    .cluster
                    .read(format!("read persistentvolume {name}"), || all.get(&name))
                    .await;
                Some((name, found.ok().and_then(|found| found.status?.phase)))
            }
            None => None,
        };
        let phase = claim
            .status
            .and_then(|status| status.phase)
            .unwrap_or_default();
        volumes.push(Volume {
            claim: name.clone(),
            phase,
            bound: volume,
        });
    }
    Ok(volumes)
}

/// Each claim and its volume with their phases, in one line.
pub(super) fn describe(volumes: &[Volume]) -> String {
    let one = |volume: &Volume| {
        let of = match &volume.bound {
            Some((name, Some(phase))) => format!(", volume {name} is {phase}"),
            Some((name, None)) => format!(", volume {name}"),
            None => String::new(),
        };
        format!("claim {} is {}{of}", volume.claim, volume.phase)
    };
    volumes.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// `limit.volumes`: there is storage to lose, and it is whole.
pub(super) fn check(found: &anyhow::Result<Vec<Volume>>) -> Check {
    const ID: &str = "limit.volumes";
    match found {
        Ok(volumes) if volumes.is_empty() => Check::fail(
            ID,
            "",
            "its pods mount no persistent volume: there is no storage to lose",
        )
        .hint("choose the workload that owns the data with --workload"),
        Ok(volumes) => Check::judge(
            volumes.iter().all(|volume| volume.phase == "Bound"),
            ID,
            "",
            describe(volumes),
        ),
        Err(why) => Check::fail(ID, "", why.to_string())
            .hint("kubectl get persistentvolumeclaims shows what is there"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Status;

    fn volume(phase: &str) -> Volume {
        Volume {
            claim: "data".into(),
            phase: phase.into(),
            bound: None,
        }
    }

    #[test]
    fn a_workload_without_whole_storage_can_not_lose_it() {
        assert_eq!(check(&Ok(vec![volume("Bound")])).status, Status::Pass);
        assert_eq!(
            check(&Ok(vec![volume("Bound"), volume("Pending")])).status,
            Status::Fail
        );
        assert_eq!(check(&Ok(vec![])).status, Status::Fail);
        assert_eq!(
            check(&Err(anyhow::anyhow!("no claim data"))).status,
            Status::Fail
        );
    }
}
