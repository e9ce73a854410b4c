//! The tools on a real cluster with the sample shop. `make test` brings it up; these run side by
//! side, each with what it needs for itself (`chaos_tests::schedule`). Without a cluster they are
//! skipped.

mod acme;
mod acme_experiments;
mod backup;
#[path = "../../tools/chaos-backup-check/tests/begun/mod.rs"]
mod begun;
mod ci;
mod connections;
mod denied;
mod drills;
mod experiments;
mod fleet;
mod gates;
mod granted;
mod health;
mod installed;
mod kubernetes;
mod least_rights;
mod pipeline;
mod places;
mod postgres;
mod restores;
mod rollback;
mod scripts;
mod shop;
mod snapshots;
mod speed;
mod stopped;
mod storage;
mod sweep;
mod undo;
mod watched;
