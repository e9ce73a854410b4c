//! Is everything as it was: pods, data, speed? What `chaos-verify` looks at, before an experiment
//! and after it.

pub mod baseline;
mod coverage;
pub mod data;
pub mod performance;
mod pipeline_input;
mod recovery;
pub mod target;
pub mod verification;
