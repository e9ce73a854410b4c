//! Is the application as quick as it was: response times alone, under load, and what the load used.

pub mod load;
mod load_check;
pub mod load_command;
mod load_comparison;
mod load_job;
mod load_return;
mod load_target;
pub mod profile;
mod report;
pub mod sequential;
pub mod significance;
pub(crate) mod under_load;
mod usage;

pub(crate) use self::report::PerformanceReport;
