//! What tool and guardian write into each other's pipe: a line each.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::safety::intent::Intent;

/// Tool and guardian show each other this often that they live.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// One that has written nothing for so long hangs, was stopped, or gets no processor time. Ten
/// heartbeats: a host that is busy for some seconds must not get a good experiment undone.
pub const HANGS_AFTER: Duration = Duration::from_secs(10);

/// The first line to the guardian: what to undo, and which journal to go on with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Orders {
    /// The run's intent.
    pub intent: Intent,
    /// Its journal.
    pub journal: PathBuf,
}

/// Every other line to the guardian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToGuardian {
    /// The tool lives.
    Alive,
    /// There is nothing left to undo.
    Done,
}

/// Lines to the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToTool {
    /// The guardian is connected, and waits.
    Ready,
    /// The guardian lives.
    Alive,
    /// It has undone the fault of a tool that hung, and lives after all.
    Undone,
}

/// A message as a line.
pub fn to_line(message: &impl Serialize) -> String {
    let mut line = serde_json::to_string(message).expect("messages are JSON");
    line.push('\n');
    line
}

/// The message of a line; `None` for anything else.
pub fn from_line<T: for<'de> Deserialize<'de>>(line: &str) -> Option<T> {
    serde_json::from_str(line).ok()
}
