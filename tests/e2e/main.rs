//! The tools on a real cluster with the sample shop. `make test` brings it up and runs these one
//! after the other; without a cluster they are skipped.

mod backup;
mod experiments;
mod health;
mod inject;
mod pipeline;
mod places;
mod postgres;
mod restores;
mod speed;
mod storage;
mod sweep;
