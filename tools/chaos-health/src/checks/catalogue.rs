//! What each check asks, and what to do about its answer. Each subject explains its own checks; here
//! they stand in order.

use super::{
    answers, api_server, clock, events, headroom, jobs, monitoring, nodes, pods, probes, services,
    urls, volumes, workloads,
};

/// A check and its explanation.
#[derive(Clone, Copy, Debug)]
pub struct Explanation {
    /// Its stable id.
    pub id: &'static str,
    /// The question.
    pub asks: &'static str,
    /// When it passes, warns, fails and is unknown.
    pub judges: &'static str,
    /// What it reads, so that one knows which permission it needs.
    pub reads: &'static str,
    /// What to do when it is not well.
    pub remedy: &'static str,
}

impl Explanation {
    /// The explanation of a check.
    pub fn of(id: &str) -> Option<&'static Explanation> {
        CATALOGUE.iter().find(|explanation| explanation.id == id)
    }

    /// Whether it may be left out: nothing can be said without the first two.
    pub fn may_be_skipped(&self) -> bool {
        ![api_server::REACHABLE.id, api_server::NAMESPACE.id].contains(&self.id)
    }
}

/// Every check of `chaos-health`, in the order in which they are made.
pub const CATALOGUE: &[Explanation] = &[
    api_server::REACHABLE,
    api_server::NAMESPACE,
    clock::CLOCK,
    urls::CLUSTER_CERTIFICATE,
    workloads::READY,
    pods::READY,
    pods::RESTARTS,
    jobs::COMPLETE,
    volumes::BOUND,
    headroom::BUDGET,
    headroom::AUTOSCALER,
    headroom::QUOTA,
    events::WARNING,
    services::ENDPOINTS,
    answers::HTTP,
    urls::HTTP,
    urls::CERTIFICATE,
    probes::HOLDS,
    nodes::CONDITIONS,
    nodes::USAGE,
    pods::USAGE,
    monitoring::CONFIGURED,
    monitoring::PROMETHEUS,
    monitoring::GRAFANA,
    monitoring::ALERTMANAGER,
    monitoring::TARGETS,
    monitoring::ALERTS,
];
