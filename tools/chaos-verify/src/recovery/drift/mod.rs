//! What is different from before the experiment: workloads, where their pods are, who stands behind
//! Services, and which checks do better.

mod better;
mod endpoints;
mod names;
mod placement;
#[cfg(test)]
mod testing;
mod workloads;

use chaos_common::record::{Check, Health};

/// `recovery.changed`, `recovery.placement`, `recovery.endpoints` and `recovery.better`.
pub(crate) fn compare(before: &Health, now: &Health) -> Vec<Check> {
    let mut checks = workloads::compare(before, now);
    checks.extend(placement::compare(before, now));
    checks.extend(endpoints::compare(before, now));
    checks.extend(better::compare(before, now));
    checks
}
