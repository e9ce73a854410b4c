//! The experiments, one file each.

pub mod monitoring_failure;
pub mod network_partition;
pub mod pod_failure;
pub mod resource_exhaustion;
pub mod storage_failure;
