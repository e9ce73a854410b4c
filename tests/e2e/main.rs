//! The tools on a real cluster with the sample shop. `make test` brings it up and runs these one
//! after the other; without a cluster they are skipped.

mod backup;
mod drills;
mod experiments;
mod gates;
mod health;
mod pipeline;
mod places;
mod postgres;
mod restores;
mod rollback;
mod shop;
mod snapshots;
mod speed;
mod stopped;
mod storage;
mod sweep;
mod undo;
