//! The pods that read claims which no other pod has mounted: one for each claim, for as long as the
//! tool runs.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use chaos_common::cluster::exec::ExecTarget;
use chaos_common::cluster::{Access, Cluster, ReadError, ReadErrorKind};
use chaos_common::config::ClaimReader;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::Api;

use super::Absent;
use super::remote::wait;
use crate::context::Context;
use crate::own_pod::{OwnPod, OwnPodError, Wanted};

/// What the pod does while it is read from.
const STAY: &str = "trap 'exit 0' QUIT TERM\nwhile :; do sleep 1; done";

/// A claim, and how it is read.
type Key = (String, ClaimReader);

/// The pods that were needed so far; cloning shares them. They go with the last of these.
#[derive(Clone, Default)]
pub(crate) struct ClaimPods(Arc<Mutex<HashMap<Key, OwnPod>>>);

impl fmt::Debug for ClaimPods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimPods")
    }
}

impl ClaimPods {
    /// The container of the pod that reads this claim, which is made if it is not there yet.
    pub(super) fn container(
        &self,
        claim: &str,
        reader: &ClaimReader,
        context: &Context,
    ) -> Result<ExecTarget, Absent> {
        // Who wants the same claim meanwhile waits for the pod that is being made.
        let mut pods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (claim.to_owned(), reader.clone());
        if let Some(pod) = pods.get(&key) {
            return Ok(pod.container.clone());
        }
        let wanted = Wanted {
            purpose: "reader",
            image: reader.image.clone(),
            script: STAY.to_owned(),
            env: Vec::new(),
            user: reader.user,
            claim: Some((claim.to_owned(), reader.mount.clone())),
        };
        let (access, namespace) = (context.access.clone(), context.namespace.clone());
        let named = claim.to_owned();
        let pod = wait(async move {
            there(&access, &namespace, &named).await?;
            let pod = OwnPod::start(&access, &namespace, wanted).await;
            pod.map_err(|error| no_pod(&error))
        })?;
        let container = pod.container.clone();
        pods.insert(key, pod);
        Ok(container)
    }
}

/// Whether the claim is there: no pod with one that is not would ever start. Who may not see claims
/// finds out by the pod.
async fn there(access: &Access, namespace: &str, claim: &str) -> Result<(), Absent> {
    let unread = |error: ReadError| no_pod(&error.into());
    let cluster = Cluster::connect(access).await.map_err(unread)?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client.clone(), namespace);
    let what = format!("get persistentvolumeclaim/{claim} in namespace {namespace}");
    match cluster.read(&what, || claims.get_opt(claim)).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => {
            let why = format!("is in the claim {claim}, which is not in namespace {namespace}");
            Err(Absent::fail(why).hint("kubectl get persistentvolumeclaims shows those that are"))
        }
        Err(error) if error.kind == ReadErrorKind::Forbidden => Ok(()),
        Err(error) => Err(unread(error)),
    }
}

fn no_pod(error: &OwnPodError) -> Absent {
    let absent = Absent::unknown(format!("cannot be read from its claim: {error}"));
    match (error, error.hint()) {
        (OwnPodError::Ended { .. }, _) => absent.hint(
            "name an image with sh, stat, readlink, find and cat as reader.image, such as \
             busybox:1.37",
        ),
        (_, Some(hint)) => absent.hint(hint),
        (_, None) => absent,
    }
}
