//! `chaos.experiment`: what an experiment did, and what came of it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Check, ClusterRef, Data, Kind, Loss, Target, Time, WorkloadRef};

/// What an experiment did, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Experiment {
    /// The experiment's name, for example `pod-failure`.
    pub experiment: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused or aborted, or what is not restored; absent when it ran to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The cluster; absent if it could not be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterRef>,
    /// The namespace.
    pub namespace: String,
    /// Who ran it: user and host.
    pub executor: String,
    /// The objects that were to be hit.
    pub targets: Vec<Target>,
    /// What was expected to suffer: measured, but neither guarded nor judged. Services, single paths
    /// of them (`SERVICE/PATH`), and URLs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affected: Vec<String>,
    /// When the tool began its work.
    pub started: Time,
    /// When the first write was accepted; absent if nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub injected: Option<Time>,
    /// When everything that was hit was seen to be at its steady state again, before the pause that
    /// it had to last; absent if it did not, or if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Time>,
    /// When it was over.
    pub ended: Time,
    /// From `started` to `ended`, in milliseconds.
    pub duration_ms: u64,
    /// The runbook's validation criteria, gates and limits, each as a check.
    pub checks: Vec<Check>,
    /// How each pod that was hit came back.
    pub recoveries: Vec<PodRecovery>,
    /// What callers of the services saw through the whole run.
    pub availability: Vec<Availability>,
    /// The alerts that fired, and the expected ones that did not.
    #[serde(default)]
    pub alerts: Vec<AlertSeen>,
    /// Data that went with pods that the fault took away, and is not there again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Loss>,
    /// How quick the tool itself was.
    #[serde(default)]
    pub timings: Timings,
    /// The gates that were closed, and that the operator opened for a reason.
    #[serde(
        default,
        deserialize_with = "overridden",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub overridden: Vec<Overridden>,
    /// What was done, in order, for the report.
    pub actions: Vec<String>,
    /// What went wrong or surprised, for the report; empty if nothing did.
    pub issues: Vec<String>,
}

/// A gate that the operator opens although it is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Overridden {
    /// Id of the gate's check, for example `gate.backup`; empty in records of versions that opened
    /// all gates at once.
    pub gate: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Overridden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.gate.as_str() {
            "" => f.write_str(&self.reason),
            gate => write!(f, "{gate}: {}", self.reason),
        }
    }
}

/// Also the one reason for all gates, as earlier versions wrote it.
fn overridden<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Overridden>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Gates(Vec<Overridden>),
        All(String),
        None,
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Gates(gates) => gates,
        Written::All(reason) => vec![Overridden {
            gate: String::new(),
            reason,
        }],
        Written::None => Vec::new(),
    })
}

impl Data for Experiment {
    const KIND: Kind = Kind::Experiment;
    fn checks(&self) -> &[Check] {
        &self.checks
    }
}

/// An alert, seen in Prometheus through the experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertSeen {
    /// Its name.
    pub name: String,
    /// The configuration expects it of this experiment.
    pub expected: bool,
    /// It was firing before the injection, so it says nothing about it.
    pub before: bool,
    /// From the injection to when it was first seen to fire, in milliseconds; true to one interval
    /// of asking, which is half a second. Absent if it did not fire after the injection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fired_ms: Option<f64>,
    /// From the injection to when Alertmanager was first seen to have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_ms: Option<f64>,
}

/// How quick the tool itself was, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timings {
    /// From consent to the first write of the fault, `warm_up_ms` included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_first_write_ms: Option<f64>,
    /// How long the probes measured before the fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up_ms: Option<f64>,
    /// From the first write of the fault to its effect being proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_effect_ms: Option<f64>,
    /// From the end of the fault's time to the last write of the undo being confirmed by a look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_ms: Option<f64>,
    /// From the end of the fault's time to everything being at its steady state again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole_ms: Option<f64>,
}

/// How an experiment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran to its end and the fault is gone.
    Completed,
    /// A gate, a limit or a lock stopped it; nothing was touched.
    Refused,
    /// It was stopped on request or by a guard; everything is restored.
    Aborted,
    /// A fault may still be in place.
    NotRestored,
}

/// A pod by identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PodRef {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

/// How one pod that was hit came back, paired with its replacement by owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PodRecovery {
    /// The pod that was hit.
    pub deleted: PodRef,
    /// The pod that took its place; absent if none came in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<PodRef>,
    /// The workload that both belong to.
    pub owner: WorkloadRef,
    /// When each step was seen, counted from the sending of the delete call.
    pub phases: RecoveryPhases,
    /// From sending the delete call to the replacement being ready and, where a Service selects it,
    /// in the Service's endpoints and answering; absent if that was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_ms: Option<f64>,
    /// How much shorter it may truly have been, in milliseconds: the time from sending the delete
    /// call to its acceptance, plus the delay of the watch, measured on our own deletion, or, where
    /// the first answer was the last step, the time since the last question without one. It can't
    /// have been longer.
    pub error_bound_ms: f64,
}

/// Milliseconds from the sending of the delete call to each step, by a clock that does not
/// jump, as the watch or the probe showed it; absent if it was not seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryPhases {
    /// The old pod was no longer a ready endpoint of any Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_endpoints_ms: Option<f64>,
    /// The old pod's object was gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_ms: Option<f64>,
    /// The replacement was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<f64>,
    /// The replacement was given a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_ms: Option<f64>,
    /// All its containers were running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<f64>,
    /// Its `Ready` condition became true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_ms: Option<f64>,
    /// It was a ready endpoint of a Service that selects it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_endpoints_ms: Option<f64>,
    /// It gave its first good answer itself, not through the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_answer_ms: Option<f64>,
}

/// What requests for one path at a fixed rate saw: a Service's health path, a `data` or `timed` path
/// of it, the readiness path of its pods where it is not configured, or a URL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Availability {
    /// The Service asked; scheme and host of a URL.
    pub service: String,
    /// The path asked for.
    pub path: String,
    /// How it was reached.
    pub vantage: String,
    /// Milliseconds between the scheduled starts of two requests.
    pub interval_ms: u64,
    /// Requests sent.
    pub requests: u64,
    /// Requests answered in time, and as the configuration expects of the path: with a status in
    /// the 200s, if it says nothing.
    pub good: u64,
    /// Requests that fell due but could not be sent in time because of this machine; they are
    /// evidence of nothing.
    pub missed: u64,
    /// `good` of `requests`, in per cent.
    pub percent: f64,
    /// The longest time between two good answers' scheduled starts less one interval, in
    /// milliseconds: 0 when every request was answered. True to plus or minus one interval.
    pub longest_gap_ms: f64,
    /// Median time to answer, from the scheduled start, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// Slowest good answer, from the scheduled start, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<f64>,
    /// What the first few bad answers were.
    pub errors: Vec<String>,
    /// How it went along, in at most sixty windows of one length, in order; those in which no
    /// request fell due are left out. Absent from records of versions that did not tell it, and
    /// where nothing was injected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<AnswerWindow>,
}

/// What the requests saw that fell due in one stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerWindow {
    /// Where it begins, in milliseconds from the injection; negative before it. One of the windows
    /// begins with the injection.
    pub from_ms: i64,
    /// How long it is, in milliseconds.
    pub length_ms: i64,
    /// Requests sent.
    pub requests: u64,
    /// Those that were answered well.
    pub good: u64,
    /// Requests that fell due and could not be sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u64,
    /// Median of the good answers, from the scheduled start, in milliseconds; absent if none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// The slowest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
