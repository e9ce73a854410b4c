//! The reports as Markdown.

mod experiment;
mod markdown;
mod tables;

pub(crate) use self::experiment::render as experiment;
pub(crate) use self::markdown::escape;
