//! The tool with backups as people really make and keep them.

mod ad_hoc;
mod adapters;
mod drills;
mod encodings;
mod folders;
mod hypertables;
mod live;
#[path = "../../../../common/tests/needs/mod.rs"]
mod needs;
mod objects;
mod operators;
mod place;
mod server;
mod trust;
