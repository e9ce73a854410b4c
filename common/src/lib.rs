//! What two or more of the chaos tools need: the records that they pass to each other, the stream
//! that carries them, exit statuses, configuration, and the ways to a cluster, to Prometheus and to
//! a database.
//!
//! Each room knows only rooms above it in this list:
//!
//! 1. [`record`] and [`retry`] know nothing else.
//! 2. [`exit`], [`output`], [`config`]: statuses, text for a terminal, one file a table of
//!    chaos.toml.
//! 3. [`stream`] and [`conclusion`]: reading records and passing them on.
//! 4. [`cluster`]: client, exec, lists, workloads, pods, HTTP probes.
//! 5. [`prometheus`] and [`postgres`], which are reached through a cluster.
//! 6. [`steady_state`]: the questions of `[[probe]]`.
//! 7. [`cli`] and [`executor`]: arguments that all tools share, and who gave them; `manual`: man
//!    pages, completions and examples.

pub mod cli;
pub mod cluster;
pub mod conclusion;
pub mod config;
pub mod executor;
pub mod exit;
mod manual;
pub mod output;
pub mod postgres;
pub mod prometheus;
pub mod record;
pub mod retry;
pub mod steady_state;
pub mod stream;
