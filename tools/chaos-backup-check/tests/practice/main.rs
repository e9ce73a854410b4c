//! The tool with backups as people really make and keep them.

mod ad_hoc;
mod adapters;
mod drills;
mod folders;
mod live;
mod objects;
mod operators;
mod place;
mod server;
mod trust;
