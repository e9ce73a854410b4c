//! Do the cluster and the namespace answer at all?

use super::catalogue::Explanation;

/// `cluster.reachable`
pub(super) const REACHABLE: Explanation = Explanation {
    id: "cluster.reachable",
    asks: "Does the API server answer, and does it know us?",
    judges: "Unknown if it does not. Can't be left out.",
    reads: "get namespace kube-system (its UID is the cluster's identity; not allowed is no \
             failure)",
    remedy: "kubectl cluster-info; kubectl auth whoami",
};

/// `namespace.exists`
pub(super) const NAMESPACE: Explanation = Explanation {
    id: "namespace.exists",
    asks: "Is there such a namespace, and does it stay?",
    judges: "Fails while the namespace is being deleted; unknown if it is not there or can't be \
             seen. Can't be left out.",
    reads: "get namespace",
    remedy: "kubectl get namespaces",
};
