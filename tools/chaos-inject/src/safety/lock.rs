//! `lock`: a Lease that forbids new runs in its namespace, with who and why.

use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind};
use chaos_common::record::Lock;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};

use crate::safety::leases::{Attribution, annotation};

/// Annotation of a lock: an [`Attribution`] as JSON.
const LOCK_ANNOTATION: &str = "chaos-runbook/lock";
/// Name of the Lease.
const LOCK_NAME: &str = "chaos-lock";

/// Whether a Lease is a namespace's lock.
pub fn is_lock(lease: &Lease) -> bool {
    lease.metadata.name.as_deref() == Some(LOCK_NAME)
}

/// A lock as a record shows it. One that somebody made by hand forbids runs as well.
pub fn to_record(lease: &Lease) -> Lock {
    let by: Option<Attribution> = annotation(lease, LOCK_ANNOTATION);
    let namespace = lease.metadata.namespace.clone().unwrap_or_default();
    match by {
        Some(by) => Lock {
            namespace,
            executor: by.executor,
            reason: by.reason,
            since: Some(by.since),
        },
        None => Lock {
            namespace,
            executor: "somebody".to_owned(),
            reason: String::new(),
            since: None,
        },
    }
}

/// Forbids new runs in a namespace. A lock that is there already stays, with its reason.
///
/// # Errors
/// The Lease can't be written.
pub async fn lock(cluster: &Cluster, namespace: &str, by: &Attribution) -> Result<(), ReadError> {
    let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
    let value = serde_json::to_string(by).expect("an attribution is JSON");
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(LOCK_NAME.to_owned()),
            annotations: Some([(LOCK_ANNOTATION.to_owned(), value)].into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(by.executor.clone()),
            ..LeaseSpec::default()
        }),
    };
    match api.create(&PostParams::default(), &lease).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(ReadError::from_kube(
            format!("write lease {LOCK_NAME} in namespace {namespace}"),
            &error,
        )),
    }
}

/// Allows new runs again. Without a lock this does nothing.
///
/// # Errors
/// The Lease can't be deleted.
pub async fn unlock(cluster: &Cluster, namespace: &str) -> Result<(), ReadError> {
    let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
    let what = format!("delete lease {LOCK_NAME} in namespace {namespace}");
    let deleted = cluster.read(what, || async {
        api.delete(LOCK_NAME, &DeleteParams::default()).await
    });
    match deleted.await {
        Err(error) if error.kind != ReadErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
