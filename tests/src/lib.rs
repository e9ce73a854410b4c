//! What the tests share: running the built tools in a clean environment, the real cluster, and a
//! second, strict reader of the records that they write.

#![allow(
    clippy::missing_panics_doc,
    clippy::return_self_not_must_use,
    clippy::struct_field_names,
    reason = "a test panics when it fails, and reads the fields that there are"
)]

pub mod cluster;
#[path = "../../common/tests/free_port/mod.rs"]
pub mod free_port;
pub mod manifests;
pub mod run;
pub mod runbook;
pub mod schedule;
pub mod strict;
pub mod sweep;
pub mod workflow;
