//! What several experiments need.

pub mod allowance;
pub mod cause;
pub mod connectivity;
pub mod database_writer;
pub mod network_policy;
pub mod peer;
pub mod probe_pod;
pub mod steady_state;
