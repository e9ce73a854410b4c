//! What the tool does when it is called: one file a command.

pub(crate) mod check;
pub(crate) mod export;
pub(crate) mod seal;
