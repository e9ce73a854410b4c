//! What two or more of the chaos tools need: the records that they pass to each other, the stream
//! that carries them, exit statuses, configuration, and the ways to a cluster and a database.

pub mod cli;
pub mod cluster;
pub mod conclusion;
pub mod config;
pub mod exit;
pub mod output;
pub mod picture;
pub mod postgres;
pub mod prometheus;
pub mod record;
pub mod retry;
pub mod stream;
