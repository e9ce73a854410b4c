//! What the tool is asked to do, one file each.

mod ack_server;
mod compose;
mod escalate;
mod finish;
mod flush;
mod follow;
mod render;
mod send;
mod setup;
mod verdict;
mod ways;

pub(crate) use self::ack_server::ack_server;
pub(crate) use self::flush::flush;
pub(crate) use self::follow::follow;
pub(crate) use self::render::render;
pub(crate) use self::send::{How, send};
