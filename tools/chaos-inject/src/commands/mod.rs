//! The subcommands beside `plan` and `run`.

pub mod rollout_undo;
pub mod runs;
