//! The Lease by which a watcher (`chaos-inject watch`) says that it is there. Several may renew it:
//! one of them is enough.

use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind};
use chaos_common::record::Time;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

/// Name of the Lease, in each namespace that is watched.
pub const NAME: &str = "chaos-watch";
/// Seconds after which nobody renews it any more who lives.
const SECONDS: i32 = 15;

/// Whether a Lease is a watcher's.
pub fn is_presence(lease: &Lease) -> bool {
    lease.metadata.name.as_deref() == Some(NAME)
}

/// Says that `holder` watches a namespace.
///
/// # Errors
/// The Lease can't be written.
pub async fn renew(cluster: &Cluster, namespace: &str, holder: &str) -> Result<(), ReadError> {
    let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
    let what = format!("renew lease {NAME} in namespace {namespace}");
    let now = MicroTime(Time::now().0);
    let patch = json!({ "spec": { "renewTime": now, "holderIdentity": holder } });
    let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
    let write = || api.patch(NAME, &params, &patch);
    match cluster.read(&what, write).await {
        Err(error) if error.kind == ReadErrorKind::NotFound => {}
        written => return written.map(drop),
    }
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_duration_seconds: Some(SECONDS),
            ..LeaseSpec::default()
        }),
    };
    match api.create(&PostParams::default(), &lease).await {
        Ok(_) => Ok(()),
        // Another watcher was quicker.
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(ReadError::from_kube(what, &error)),
    }
}

/// Takes the Lease away, if `holder` renewed it last. Another watcher makes its own.
pub async fn leave(cluster: &Cluster, namespace: &str, holder: &str) {
    let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
    let Ok(Some(lease)) = api.get_opt(NAME).await else {
        return;
    };
    let held_by = lease.spec.and_then(|spec| spec.holder_identity);
    if held_by.as_deref() == Some(holder) {
        // Without it, a plan waits for a renewal that does not come, and says so.
        let _ = api.delete(NAME, &DeleteParams::default()).await;
    }
}
