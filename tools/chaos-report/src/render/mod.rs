//! The reports as Markdown.

mod experiment;
mod markdown;
mod month;
mod tables;

pub(crate) use self::experiment::render as experiment;
pub(crate) use self::month::render as month;
