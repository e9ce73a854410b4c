//! Do the cluster and the namespace answer at all?

use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;

use super::catalogue::Explanation;
use chaos_common::cluster::{ReadError, ReadErrorKind};
use chaos_common::record::Check;

/// A namespace as it could be read.
type NamespaceRead = Result<PartialObjectMeta<Namespace>, ReadError>;

/// `cluster.reachable`
pub const REACHABLE: Explanation = Explanation {
    id: "cluster.reachable",
    asks: "Does the API server answer, and does it know us?",
    judges: "Unknown if it does not. Can't be left out.",
    reads: "get namespace kube-system (its UID is the cluster's identity; not allowed is no \
             failure)",
    remedy: "kubectl cluster-info; kubectl auth whoami",
};

/// `namespace.exists`
pub const NAMESPACE: Explanation = Explanation {
    id: "namespace.exists",
    asks: "Is there such a namespace, and does it stay?",
    judges: "Fails while the namespace is being deleted; unknown if it is not there or can't be \
             seen. Can't be left out.",
    reads: "get namespace",
    remedy: "kubectl get namespaces",
};

pub(super) fn is_missing(found: &NamespaceRead) -> bool {
    matches!(found, Err(error) if error.kind == ReadErrorKind::NotFound)
}

/// `namespace.exists`; `None` if the answer does not tell, see [`judge_unread_namespace`].
pub(super) fn judge_namespace(found: &NamespaceRead, namespace: &str) -> Option<Check> {
    let object = format!("namespace/{namespace}");
    match found {
        Ok(found) if found.metadata.deletion_timestamp.is_some() => Some(
            Check::fail(NAMESPACE.id, object, "is being deleted").hint("kubectl get namespaces"),
        ),
        Ok(_) => Some(Check::pass(NAMESPACE.id, object, "exists")),
        Err(_) if is_missing(found) => Some(
            Check::unknown(NAMESPACE.id, object, "there is no such namespace")
                .hint("kubectl get namespaces lists them; name one with --namespace"),
        ),
        Err(_) => None,
    }
}

/// `namespace.exists` where the namespace itself can't be read: who may list its pods and sees
/// some knows that it is there.
pub(super) fn judge_unread_namespace(error: &ReadError, namespace: &str, inhabited: bool) -> Check {
    let object = format!("namespace/{namespace}");
    if error.kind == ReadErrorKind::Forbidden && inhabited {
        Check::pass(NAMESPACE.id, object, "exists: it holds pods")
    } else {
        error.check(NAMESPACE.id, object)
    }
}
