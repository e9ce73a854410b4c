//! `chaos.rollback`: what runs hold or left behind, and what was rolled back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Change, Check, ClusterRef, Data, Kind, Time};

/// What runs hold or left behind, and what was rolled back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rollback {
    /// What was asked for.
    pub cause: RollbackCause,
    /// The cluster; absent if it could not be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterRef>,
    /// The namespaces that were looked through.
    pub namespaces: Vec<String>,
    /// Who asked: user and host.
    pub executor: String,
    /// Why, in that person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Nothing was written: it only says what would be.
    #[serde(default)]
    pub dry_run: bool,
    /// The runs that hold a target or left something behind.
    pub runs: Vec<HeldRun>,
    /// The locks that forbid new runs.
    pub locks: Vec<Lock>,
    /// What was looked at and what came of it.
    pub checks: Vec<Check>,
    /// What was done, in order.
    pub actions: Vec<String>,
    /// What went wrong or surprised.
    pub issues: Vec<String>,
}

impl Data for Rollback {
    const KIND: Kind = Kind::Rollback;
    fn checks(&self) -> &[Check] {
        &self.checks
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RollbackCause {
    /// Only to look.
    Status,
    /// To stop the runs that are under way.
    Abort,
    /// To roll back what killed runs left behind.
    Recover,
    /// To forbid new runs.
    Lock,
    /// To allow them again.
    Unlock,
    /// To watch, and to roll back what dead runs left behind, without anybody.
    Watch,
    /// The runbook's own rollback: the workloads' previous revision.
    Rollback,
}

/// A run that holds a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeldRun {
    /// Its id: that of its pipeline, and what tells it from others that were given the same stream.
    pub run: String,
    /// The experiment.
    pub experiment: String,
    /// Who started it.
    pub executor: String,
    /// When it declared its intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Whether its Lease is still being renewed; absent if that was not looked at long enough to
    /// tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alive: Option<bool>,
    /// What it changes.
    pub changes: Vec<Change>,
    /// It was rolled back now.
    pub undone: bool,
}

/// A lock on a namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lock {
    /// The namespace.
    pub namespace: String,
    /// Who locked it.
    pub executor: String,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}
