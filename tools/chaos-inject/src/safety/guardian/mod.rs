//! The guardian: a second process that waits while a fault is on, and undoes it when the tool dies
//! or hangs.
//!
//! The tool holds the writing end of a pipe that the guardian reads. When the tool ends, however
//! that comes about, the kernel closes the pipe, and the guardian undoes the fault at once. A tool
//! that lives but does nothing (Ctrl-Z, a debugger) stops writing its heartbeat, and is not waited
//! for either. In the other direction, the tool reads a pipe that closes when the guardian dies, and on
//! which it writes its own heartbeat: a guardian that stands still guards nothing.

mod background;
mod protocol;
mod standby;
mod supervised;

pub use self::standby::run;
pub use self::supervised::{Guardian, Launcher};

/// The hidden subcommand by which the tool starts itself once more.
pub const COMMAND: &str = "guardian";

#[cfg(test)]
mod tests;
