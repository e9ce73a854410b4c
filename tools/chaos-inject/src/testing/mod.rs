//! For tests only: an API server in memory, and objects to put into it.

pub mod api_server;
pub mod application;
pub mod call;
pub mod controllers;
pub mod experiment;
pub mod logs;
pub mod managed;
pub mod objects;
pub mod patch;
pub mod replies;
pub mod runs;
pub mod script;
pub mod services;
pub mod store;
pub mod test_bed;

pub use self::api_server::ApiServer;
pub use self::script::Behaviour;
