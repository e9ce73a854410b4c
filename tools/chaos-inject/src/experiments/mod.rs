//! The experiments, one file each.

pub mod support;

pub mod dns_failure;
pub mod monitoring_failure;
pub mod network_partition;
pub mod pod_failure;
pub mod resource_exhaustion;
pub mod scale_down;
pub mod storage_failure;
