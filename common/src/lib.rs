//! What two or more of the chaos tools need: the records that they pass to each other, the stream
//! that carries them, exit statuses, configuration, the way to a cluster, and the health checks.

mod certificate;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod conclusion;
pub mod config;
pub mod database;
pub mod exit;
pub mod health;
mod pages;
pub mod picture;
pub mod record;
pub mod stream;
pub mod text;
pub mod vantage;
mod wire;
