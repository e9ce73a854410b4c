//! `chaos.notification`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Check, Data, Kind, Time};

/// Who was told what, and whether it arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Notification {
    /// What it was about.
    pub occasion: Occasion,
    /// The message's own id, a UUID made of run, occasion and text: the same on every try and in
    /// every repetition of the same message. Absent where nothing was told, and in records of
    /// versions that did not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Subject of the mail.
    pub subject: String,
    /// Text of the mail.
    pub text: String,
    /// Contacts that the message named.
    pub contacts: Vec<Contact>,
    /// One result for each channel that the message goes to.
    pub channels: Vec<ChannelResult>,
    /// Who was told further, one after the other, and who answered. Absent where nobody was waited
    /// for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
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
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Occasion {
    /// An experiment is going to run.
    Scheduled,
    /// An experiment is running.
    Started,
    /// An experiment has ended; its results.
    Completed,
    /// An experiment was aborted.
    Aborted,
    /// The system failed; management is told.
    Critical,
    /// The monthly report.
    Monthly,
    /// A harmless message that shows whether the channels work.
    Test,
}

impl Occasion {
    /// The word in records and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Occasion::Scheduled => "scheduled",
            Occasion::Started => "started",
            Occasion::Completed => "completed",
            Occasion::Aborted => "aborted",
            Occasion::Critical => "critical",
            Occasion::Monthly => "monthly",
            Occasion::Test => "test",
        }
    }
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
    /// The channel's name: `mail`, `slack`, or what the configuration calls it.
    pub channel: String,
    /// Where it went: mail addresses, or the host of a webhook (its path is a secret).
    pub to: String,
    /// What became of it.
    pub outcome: ChannelOutcome,
    /// How often it was tried; 0 where nothing was sent now.
    pub attempts: u32,
    /// The other side's answer, or what went wrong.
    pub detail: String,
    /// The other side's own id for it, by which it is answered or updated later: a `Message-ID`, an
    /// incident, a Slack channel and message. Absent where it gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// What became of it for each recipient, where a channel has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<RecipientResult>,
    /// It lies in the spool, and `chaos-notify flush` sends it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spooled: bool,
}

/// What became of one message for one recipient of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecipientResult {
    /// Who.
    pub to: String,
    /// What became of it; never `partly`.
    pub outcome: ChannelOutcome,
    /// The other side's answer, or what went wrong.
    pub detail: String,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOutcome {
    /// The other side accepted it.
    Sent,
    /// The other side accepted it for some recipients, and not for others.
    Partly,
    /// It was refused, or never left.
    Failed,
    /// It left, and no answer came that tells: it may have arrived, so it was not sent again.
    Unknown,
}

/// An alarm that went up the list of contacts until somebody answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Escalation {
    /// Who was told after the first message, in this order.
    pub told: Vec<EscalationStep>,
    /// Who answered. Absent where nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
    /// How it ended.
    pub end: EscalationEnd,
}

/// A contact who was told because nobody had answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EscalationStep {
    /// The contact's role: `Secondary Contact`.
    pub contact: String,
    /// When sending to them began.
    pub time: Time,
    /// What became of the message to them.
    pub channels: Vec<ChannelResult>,
}

/// Somebody's answer to an alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acknowledgement {
    /// Who: the name that they gave, or by which the service knows them.
    pub by: String,
    /// How: `link`, or the name of the channel whose service knew of it.
    pub via: String,
    /// When, as the service says; else when it was seen.
    pub time: Time,
}

/// How an escalation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EscalationEnd {
    /// Somebody answered.
    Acknowledged,
    /// The run was over.
    RunOver,
    /// A signal ended the wait.
    Stopped,
    /// Everybody was told, and nobody answered in time.
    Unanswered,
    /// It has not: another process, or a later call of `chaos-notify flush`, carries it on.
    GoesOn,
}
