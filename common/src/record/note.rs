//! `chaos.note`: what people say of a run, in their own words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Data, Kind};

/// What people say of a run. A note never changes what was recorded of it: it is a record of its
/// own, and what is said later stands beside what was said before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// The run that it is about; absent if it is about none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Who says it: user and host.
    pub author: String,
    /// Who ran the experiment, where the experiment's record does not name that person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// What was learned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lessons: Vec<String>,
    /// What was made better.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub improvements: Vec<String>,
    /// What is to be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_steps: Vec<NextStep>,
    /// Ids of next steps that are done with this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<String>,
}

impl Data for Note {
    const KIND: Kind = Kind::Note;
}

/// Something that is to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NextStep {
    /// What a later note names it by when it is done.
    pub id: String,
    /// What is to be done.
    pub text: String,
    /// Who does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The day by which it is to be done, as `2026-12-24`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
}
