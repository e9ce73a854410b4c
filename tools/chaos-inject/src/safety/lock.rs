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

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Time;

    use crate::safety::active_runs::ActiveRuns;
    use crate::testing::objects::NAMESPACE;
    use crate::testing::{ApiServer, Behaviour};

    fn by(reason: &str) -> Attribution {
        Attribution {
            executor: "ops@laptop".into(),
            reason: reason.into(),
            since: Time::now(),
        }
    }

    async fn reasons(server: &ApiServer) -> Vec<String> {
        let found = ActiveRuns::list(&server.cluster(), &[NAMESPACE.to_owned()]).await;
        let locks = found.expect("listed").locks();
        locks
            .into_iter()
            .map(|lock| format!("{}: {}", lock.executor, lock.reason))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_says_who_and_why_until_it_is_unlocked() {
        let server = ApiServer::default();
        lock(&server.cluster(), NAMESPACE, &by("peak season"))
            .await
            .expect("locked");
        assert_eq!(reasons(&server).await, ["ops@laptop: peak season"]);
        unlock(&server.cluster(), NAMESPACE)
            .await
            .expect("unlocked");
        assert_eq!(reasons(&server).await, [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_reason_of_an_earlier_lock_stays() {
        let server = ApiServer::default();
        for reason in ["peak season", "holidays"] {
            lock(&server.cluster(), NAMESPACE, &by(reason))
                .await
                .expect("locked");
        }
        assert_eq!(reasons(&server).await, ["ops@laptop: peak season"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_was_made_by_hand_counts() {
        let server = ApiServer::with([serde_json::json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "name": LOCK_NAME, "namespace": NAMESPACE },
        })]);
        assert_eq!(reasons(&server).await, ["somebody: "]);
    }

    #[tokio::test(start_paused = true)]
    async fn to_unlock_what_is_not_locked_is_no_error() {
        unlock(&ApiServer::default().cluster(), NAMESPACE)
            .await
            .expect("nothing to do");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_cannot_be_written_is_an_error() {
        let server = ApiServer::default();
        server.always("POST leases", Behaviour::Status(403));
        lock(&server.cluster(), NAMESPACE, &by("x"))
            .await
            .expect_err("forbidden");
    }
}
