//! The records that the tools pass to each other, one JSON object a line.
//!
//! Every record is a [`Record`]: the same envelope around data of one [`Kind`]. Readers ignore
//! fields they do not know; a new meaning of an old field needs a new major version of its kind.

mod backup;
mod baseline;
mod database;
mod event;
mod experiment;
mod health;
mod load;
mod note;
mod notification;
mod plan;
mod report;
mod rollback;
mod time;
mod vantage;
mod verification;
mod workload_name;

use std::fmt::{self, Write as _};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::backup::{Backup, BackupAction, BackupItem, Contents, RestoreDrill, TableRows};
pub use self::baseline::{ApiAnswer, Baseline, ObjectDigest, Timing};
pub use self::database::{
    Damage, DatabaseMoment, DatabaseState, KeyRange, ReplicaState, SequenceState, TableFingerprint,
    TableGuard,
};
pub use self::event::{Event, EventKind};
pub use self::experiment::{
    AlertSeen, AnswerWindow, Availability, Experiment, Outcome, Overridden, PodRecovery, PodRef,
    RecoveryPhases, Timings,
};
pub use self::health::{
    ClusterRef, Health, NamespaceState, NodeState, Placement, ServiceState, SystemState,
    WorkloadRef, WorkloadState,
};
pub use self::load::{Bar, Load, LoadFigures, Steps, Window, WorkloadUsage};
pub use self::note::{NextStep, Note};
pub use self::notification::{
    Acknowledgement, ChannelOutcome, ChannelResult, Contact, Escalation, EscalationEnd,
    EscalationStep, Notification, Occasion, RecipientResult,
};
pub use self::plan::{
    ApiCall, BlastRadius, Change, ClaimRef, Loss, LossHolder, ObjectRef, Permission, Plan,
    PlanLimits, Target,
};
pub use self::report::{Report, ReportForm};
pub use self::rollback::{HeldRun, Lock, Rollback, RollbackCause};
pub use self::time::Time;
pub use self::vantage::{NotAVantage, Vantage};
pub use self::verification::{Judgement, LogErrors, PatternCount, Verification};
pub use self::workload_name::{
    CustomName, PodSource, WorkloadKind, WorkloadName, WorkloadNameError, is_custom_group,
};

/// One line of the stream: the envelope that all kinds share, around the data of one kind.
///
/// ```json
/// {"schema":"chaos.health/1","id":"01981f3e-…","run":"01981f3e-…","time":"2026-11-22T16:00:00.123Z",
///  "tool":"chaos-health 0.1.0","verdict":"pass","summary":"14 of 14 checks pass","data":{}}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record<D> {
    /// Kind and major version, for example `chaos.health/1`.
    pub schema: String,
    /// Unique to this record (UUID version 7, so ids sort by time).
    pub id: String,
    /// The run that this record belongs to: the same in all records of one pipeline.
    pub run: String,
    /// When the record was made.
    pub time: Time,
    /// Name and version of the tool that made it.
    pub tool: String,
    /// The tool's answer. Absent from a `chaos.event`, which answers nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// One sentence for people; its wording is free to change.
    pub summary: String,
    /// What the kind defines.
    pub data: D,
}

/// Data that travels in a record of its own kind.
pub trait Data: Serialize + for<'de> Deserialize<'de> + JsonSchema {
    /// The kind, which gives the record its `schema`.
    const KIND: Kind;
    /// The checks behind the verdict, for display; empty where the kind has none.
    fn checks(&self) -> &[Check] {
        &[]
    }
}

/// The kinds of records. Each is at major version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `chaos.health`: is the system healthy enough to hurt?
    Health,
    /// `chaos.backup`: would the backups restore?
    Backup,
    /// `chaos.baseline`: data and speed before the experiment.
    Baseline,
    /// `chaos.notification`: who was told, over which channel, with what result.
    Notification,
    /// `chaos.plan`: what an experiment would do.
    Plan,
    /// `chaos.event`: something happened; no verdict.
    Event,
    /// `chaos.experiment`: what an experiment did and what came of it.
    Experiment,
    /// `chaos.rollback`: what runs hold or left behind, and what was rolled back.
    Rollback,
    /// `chaos.verification`: is everything as it was?
    Verification,
    /// `chaos.report`: where the report is and what it says.
    Report,
    /// `chaos.load`: load on URLs, and how they answered under it.
    Load,
    /// `chaos.note`: what people say of a run, in their own words.
    Note,
}

impl Kind {
    /// All kinds, in the order in which the main pipeline makes them.
    pub const ALL: [Kind; 12] = [
        Kind::Health,
        Kind::Backup,
        Kind::Baseline,
        Kind::Notification,
        Kind::Plan,
        Kind::Event,
        Kind::Experiment,
        Kind::Rollback,
        Kind::Verification,
        Kind::Report,
        Kind::Load,
        Kind::Note,
    ];

    /// The kind's name, without the version.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Health => "chaos.health",
            Kind::Backup => "chaos.backup",
            Kind::Baseline => "chaos.baseline",
            Kind::Notification => "chaos.notification",
            Kind::Plan => "chaos.plan",
            Kind::Event => "chaos.event",
            Kind::Experiment => "chaos.experiment",
            Kind::Rollback => "chaos.rollback",
            Kind::Verification => "chaos.verification",
            Kind::Report => "chaos.report",
            Kind::Load => "chaos.load",
            Kind::Note => "chaos.note",
        }
    }

    /// The value of `schema` in a record of this kind.
    pub fn schema(self) -> String {
        format!("{}/1", self.name())
    }

    /// What a `schema` value names: a kind we know at a major we know (`Ok(Some)`), something
    /// foreign (`Ok(None)`), or one of our kinds at a major we do not know.
    ///
    /// # Errors
    /// The kind whose major version is not known.
    pub fn parse(schema: &str) -> Result<Option<Kind>, Kind> {
        let (name, major) = schema.split_once('/').unwrap_or((schema, ""));
        match Kind::ALL.into_iter().find(|kind| kind.name() == name) {
            None => Ok(None),
            Some(kind) if major == "1" => Ok(Some(kind)),
            Some(kind) => Err(kind),
        }
    }
}

/// A tool's answer. `Fail` means that it looked and the answer is no; `Unknown` that it could not
/// tell. Missing data is never `Pass`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It looked, and the answer is yes.
    Pass,
    /// It looked, and the answer is no.
    Fail,
    /// It could not tell: time-out, no permission, no data.
    Unknown,
}

impl Verdict {
    /// The verdict that a set of checks gives: one `fail` makes it fail, else one `unknown` makes
    /// it unknown; `warn` and `skipped` do not count. Nothing that passed is no evidence: unknown.
    pub fn of(checks: &[Check]) -> Verdict {
        let any = |status| checks.iter().any(|check| check.status == status);
        if any(Status::Fail) {
            Verdict::Fail
        } else if any(Status::Unknown) || !(any(Status::Pass) || any(Status::Warn)) {
            Verdict::Unknown
        } else {
            Verdict::Pass
        }
    }

    /// The word in records and on screens.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What one check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Pass,
    /// Not as it should be.
    Fail,
    /// It could not tell.
    Unknown,
    /// Worth a look; does not make the verdict worse.
    Warn,
    /// Not done, for the reason in `message`; does not make the verdict worse.
    Skipped,
}

impl Status {
    /// All of them.
    pub const ALL: [Status; 5] = [
        Status::Pass,
        Status::Fail,
        Status::Unknown,
        Status::Warn,
        Status::Skipped,
    ];

    /// The word in records and on screens.
    pub fn word(self) -> &'static str {
        match self {
            Status::Pass => "pass",
            Status::Fail => "fail",
            Status::Unknown => "unknown",
            Status::Warn => "warn",
            Status::Skipped => "skipped",
        }
    }
}

/// One question that a tool asked, and its answer.
///
/// ```json
/// {"id":"workload.ready","object":"deployment/shop","status":"fail","message":"has 2 of 3 ready pods"}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Stable name of the question, for example `workload.ready`.
    pub id: String,
    /// What was looked at: a Kubernetes object, a URL, a file. Absent where the id says it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The answer.
    pub status: Status,
    /// What was seen, in words.
    pub message: String,
    /// What to do next, where there is something to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// From where it was looked at (see [`Vantage`]); absent where that makes no difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vantage: Option<String>,
}

impl Check {
    /// A check of `id` on `object` (empty: none) with its answer.
    pub fn new(
        id: &str,
        object: impl Into<String>,
        status: Status,
        message: impl Into<String>,
    ) -> Check {
        let object = object.into();
        Check {
            id: id.to_owned(),
            object: (!object.is_empty()).then_some(object),
            status,
            message: message.into(),
            hint: None,
            vantage: None,
        }
    }

    /// As it should be.
    pub fn pass(id: &str, object: impl Into<String>, message: impl Into<String>) -> Check {
        Check::new(id, object, Status::Pass, message)
    }

    /// Not as it should be.
    pub fn fail(id: &str, object: impl Into<String>, message: impl Into<String>) -> Check {
        Check::new(id, object, Status::Fail, message)
    }

    /// It could not tell.
    pub fn unknown(id: &str, object: impl Into<String>, message: impl Into<String>) -> Check {
        Check::new(id, object, Status::Unknown, message)
    }

    /// Not done, and why.
    pub fn skipped(id: &str, object: impl Into<String>, message: impl Into<String>) -> Check {
        Check::new(id, object, Status::Skipped, message)
    }

    /// Pass or fail, as `good` says.
    pub fn judge(
        good: bool,
        id: &str,
        object: impl Into<String>,
        message: impl Into<String>,
    ) -> Check {
        Check::new(
            id,
            object,
            if good { Status::Pass } else { Status::Fail },
            message,
        )
    }

    /// It makes a verdict worse: the answer is no, or there is none.
    pub fn is_bad(&self) -> bool {
        matches!(self.status, Status::Fail | Status::Unknown)
    }

    /// The same check with a next step for the reader; a check that passes needs none.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Check {
        if self.status != Status::Pass {
            self.hint = Some(hint.into());
        }
        self
    }

    /// The same check with the vantage it was made from.
    #[must_use]
    pub fn from_vantage(mut self, vantage: impl fmt::Display) -> Check {
        self.vantage = Some(vantage.to_string());
        self
    }
}

/// How many of a set of checks pass, in words: `27 of 29 checks pass, 2 warn, 4 were skipped`. A
/// warning is no pass, and what was skipped is not among those that were made.
pub fn tally<'a>(checks: impl IntoIterator<Item = &'a Check>) -> String {
    let (mut made, mut passed, mut warn, mut skipped) = (0, 0, 0, 0);
    for check in checks {
        made += usize::from(check.status != Status::Skipped);
        match check.status {
            Status::Pass => passed += 1,
            Status::Warn => warn += 1,
            Status::Skipped => skipped += 1,
            Status::Fail | Status::Unknown => {}
        }
    }
    let mut text = format!("{passed} of {made} checks pass");
    for (number, one, more) in [
        (warn, "warns", "warn"),
        (skipped, "was skipped", "were skipped"),
    ] {
        let verb = if number == 1 { one } else { more };
        if number > 0 {
            let _ = write!(text, ", {number} {verb}");
        }
    }
    text
}

/// The summary sentence for a set of checks: how many pass, and the first that is not as it should
/// be.
pub fn summarize(checks: &[Check]) -> String {
    let mut text = tally(checks);
    let worst = checks
        .iter()
        .find(|check| check.status == Status::Fail)
        .or_else(|| checks.iter().find(|check| check.status == Status::Unknown));
    if let Some(check) = worst {
        text.push_str("; ");
        text.push_str(&check.id);
        if let Some(object) = &check.object {
            text.push(' ');
            text.push_str(object);
        }
        text.extend([" ", check.status.word(), ": ", &check.message]);
    }
    text
}

/// A new id: unique, and later ids sort after earlier ones.
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

#[cfg(test)]
mod tests;
