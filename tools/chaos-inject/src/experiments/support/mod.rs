//! What several experiments need.

pub mod allowance;
pub mod cause;
pub mod connectivity;
pub mod database_writer;
pub mod names;
pub mod network_policy;
pub mod origin;
pub mod own_pod;
pub mod peer;
pub mod probe_pod;
pub mod set_aside;
pub mod steady_state;
