//! The runbook's messages, one file each.

pub(crate) mod aborted;
pub(crate) mod completed;
pub(crate) mod critical;
pub(crate) mod monthly;
pub(crate) mod scheduled;
