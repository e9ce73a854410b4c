//! What the tool is asked to do, one file each.

mod compose;
mod finish;
mod flush;
mod follow;
mod render;
mod send;
mod setup;
mod verdict;

pub(crate) use self::flush::flush;
pub(crate) use self::follow::follow;
pub(crate) use self::render::render;
pub(crate) use self::send::{How, send};
