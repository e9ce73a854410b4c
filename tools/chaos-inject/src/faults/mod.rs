//! The experiments, one file each.

pub mod pod_failure;
