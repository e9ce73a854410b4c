//! `chaos.notification`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Check, Data, Kind};

/// Who was told what, and whether it arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Notification {
    /// What it was about.
    pub occasion: Occasion,
    /// Subject of the mail.
    pub subject: String,
    /// Text of the mail.
    pub text: String,
    /// Contacts that the message named.
    pub contacts: Vec<Contact>,
    /// One result for each configured channel.
    pub channels: Vec<ChannelResult>,
    /// The same results as checks.
    pub checks: Vec<Check>,
}

impl Data for Notification {
    const KIND: Kind = Kind::Notification;
    fn checks(&self) -> &[Check] {
        &self.checks
    }
}

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Occasion {
    /// An experiment is going to run.
    Scheduled,
    /// An experiment has ended; its results.
    Completed,
    /// An experiment was aborted.
    Aborted,
    /// The system failed; management is told.
    Critical,
    /// The monthly report.
    Monthly,
}

/// Somebody to call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contact {
    /// What the contact is for: `Primary Contact`, `Emergency Contact`.
    pub role: String,
    /// Who it is.
    pub name: String,
    /// Telephone number.
    pub phone: String,
}

/// What became of one message on one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelResult {
    /// `mail`, `slack` or `status-page`.
    pub channel: String,
    /// Where it went: mail addresses, or the host of a webhook (its path is a secret).
    pub to: String,
    /// What became of it.
    pub outcome: ChannelOutcome,
    /// How often it was tried.
    pub attempts: u32,
    /// The other side's answer, or what went wrong.
    pub detail: String,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOutcome {
    /// The other side accepted it.
    Sent,
    /// It was refused, or never left.
    Failed,
    /// It left, and no answer came: it may have arrived, so it was not sent again.
    Unknown,
}
