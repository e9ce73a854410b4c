//! The health checks of the runbook: what `chaos-health` asks before an experiment, and what
//! `chaos-verify` asks again after it.

pub mod checks;
pub mod discovery;
pub mod protobuf;
