//! Whether the claims of before are there again: the same ones, bound to the same volumes. A claim
//! of the same name that was made anew is another one, and empty.

use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind};
use chaos_common::record::ClaimRef;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::Api;

/// What became of a claim.
#[derive(Clone, Debug)]
pub struct ClaimNow {
    /// As it was before.
    pub before: ClaimRef,
    /// What is different of it, in words; an error if it could not be read.
    pub difference: Result<Option<String>, ReadError>,
}

/// What is not as before of some claims, in words.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    /// What is different.
    pub lost: Vec<String>,
    /// Of which claims nobody knows, and why.
    pub unread: Vec<String>,
}

/// What became of them after a run that died.
pub async fn losses(cluster: &Cluster, claims: &[ClaimRef]) -> Losses {
    let mut losses = Losses::default();
    for claim in look(cluster, claims).await {
        match claim.difference {
            Ok(difference) => losses.lost.extend(difference),
            Err(error) => losses.unread.push(format!(
                "nobody knows whether {} is as before: {error}",
                claim.before
            )),
        }
    }
    losses
}

/// Looks at each.
pub async fn look(cluster: &Cluster, claims: &[ClaimRef]) -> Vec<ClaimNow> {
    let mut found = Vec::new();
    for before in claims {
        let api: Api<PersistentVolumeClaim> =
            Api::namespaced(cluster.client.clone(), &before.namespace);
        let name = &before.name;
        let what = format!(
            "read persistentvolumeclaim {name} in namespace {}",
            before.namespace
        );
        let difference = match cluster.read(what, || api.get_opt(name)).await {
            Ok(now) => Ok(difference(before, now.as_ref())),
            Err(error) if error.kind == ReadErrorKind::NotFound => Ok(difference(before, None)),
            Err(error) => Err(error),
        };
        found.push(ClaimNow {
            before: before.clone(),
            difference,
        });
    }
    found
}

/// What makes a claim another one than before.
fn difference(before: &ClaimRef, now: Option<&PersistentVolumeClaim>) -> Option<String> {
    let Some(now) = now else {
        return Some(format!("{before} is gone, and what it held with it"));
    };
    let uid = now.metadata.uid.as_deref().unwrap_or_default();
    if uid != before.uid {
        return Some(format!(
            "{before} is another one than before (uid {uid}, and was {}): it was made anew, and \
             what it held is lost",
            before.uid
        ));
    }
    if now.metadata.deletion_timestamp.is_some() {
        return Some(format!(
            "{before} is being deleted, and what it holds goes with it"
        ));
    }
    let volume = now
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_name.as_deref());
    let was = before.volume.as_deref();
    // One that was bound to no volume yet held nothing.
    (was.is_some() && volume != was).then(|| {
        format!(
            "{before} is bound to volume {}, and was to {}",
            volume.unwrap_or("none"),
            was.unwrap_or("none")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_is_the_same_only_with_its_uid_and_its_volume() {
        let before = ClaimRef {
            namespace: "prod".into(),
            name: "data".into(),
            uid: "u1".into(),
            volume: Some("pv-1".into()),
        };
        let differs = |uid: &str, volume: &str| {
            let claim = json!({ "metadata": { "uid": uid }, "spec": { "volumeName": volume } });
            let claim = serde_json::from_value(claim).expect("a claim");
            difference(&before, Some(&claim))
        };
        assert_eq!(differs("u1", "pv-1"), None);
        assert!(differs("u2", "pv-1").is_some_and(|why| why.contains("another one")));
        assert!(differs("u1", "pv-2").is_some_and(|why| why.contains("bound to volume pv-2")));
        assert!(difference(&before, None).is_some_and(|why| why.contains("is gone")));
        let going = json!({
            "metadata": { "uid": "u1", "deletionTimestamp": "2026-11-22T16:00:00Z" },
            "spec": { "volumeName": "pv-1" },
        });
        let going = serde_json::from_value(going).expect("a claim");
        assert!(difference(&before, Some(&going)).is_some_and(|why| why.contains("being deleted")));
    }
}
