//! What the tests of differences compare.

use chaos_common::record::{Check, Health, WorkloadRef, WorkloadState};

use crate::pipeline_input::tests::health;

/// A Deployment of three pods.
pub(super) fn workload(name: &str) -> WorkloadState {
    let (kind, namespace, name) = ("Deployment".to_owned(), "shop".to_owned(), name.to_owned());
    WorkloadState {
        workload: WorkloadRef {
            kind,
            namespace,
            name,
        },
        wants: 3,
        ready: 3,
        images: vec!["shop:1".to_owned()],
        restarts: 2,
        nodes: Vec::new(),
        cpu_cores: None,
        memory_bytes: None,
    }
}

/// A health record that holds these.
pub(super) fn seen(workloads: &[WorkloadState], checks: &[Check]) -> Health {
    let mut health = health();
    health.state.workloads = workloads.to_vec();
    health.checks = checks.to_vec();
    health
}
