//! What the lines of a journal hold.

use chaos_common::record::{EventKind, Experiment, Plan, Verdict};
use serde::{Deserialize, Serialize};

use crate::safety::intent::Intent;

/// An entry of a run's journal. Which one it is shows in its fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Entry {
    /// The run begins: its intent and its plan. Always the first.
    Began {
        /// What will be undone.
        intent: Box<Intent>,
        /// What it carries out.
        plan: Box<Plan>,
    },
    /// The run is over: its record. Absent if the tool was killed.
    Ended {
        /// The record's verdict.
        verdict: Verdict,
        /// The record.
        end: Box<Experiment>,
    },
    /// Something happened.
    Event {
        /// What kind of event.
        event: EventKind,
        /// The object that it happened to, as `kind/name`.
        object: Option<String>,
        /// The same for people.
        summary: String,
    },
    /// The guardian took over from a tool that died or hung.
    Guardian {
        /// How far it has come.
        guardian: GuardianState,
        /// What it has undone.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        actions: Vec<String>,
        /// What somebody else did meanwhile.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
        /// What is not undone, and why.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        failed: Vec<String>,
    },
}

/// How far a guardian that took over has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuardianState {
    /// It begins to undo.
    #[serde(rename = "takes over")]
    TakesOver,
    /// It has tried to undo every change.
    #[serde(rename = "undone")]
    Undone,
    /// Every change is undone, and nothing of the run is left in the cluster.
    #[serde(rename = "restored")]
    Restored,
    /// What a newer version says.
    #[serde(other, rename = "unknown")]
    Unknown,
}

impl GuardianState {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            GuardianState::TakesOver => "takes over",
            GuardianState::Undone => "undone",
            GuardianState::Restored => "restored",
            GuardianState::Unknown => "unknown",
        }
    }
}

impl Entry {
    /// The guardian has come so far.
    pub fn guardian(state: GuardianState) -> Entry {
        Entry::Guardian {
            guardian: state,
            actions: Vec::new(),
            notes: Vec::new(),
            failed: Vec::new(),
        }
    }
}
