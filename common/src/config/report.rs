//! `[report]`

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Span;

/// `[report]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportSettings {
    /// Folder of reports and of the streams that they were made from.
    pub archive: PathBuf,
    /// Where people find that folder, for links: `https://reports.example.com/chaos/`.
    pub url: Option<String>,
    /// What reviews hold a month, a quarter or a year against.
    pub goals: ReportGoals,
}

impl Default for ReportSettings {
    fn default() -> ReportSettings {
        ReportSettings {
            archive: PathBuf::from("experiment-reports"),
            url: None,
            goals: ReportGoals::default(),
        }
    }
}

/// `[report.goals]`. A goal that is left out is not judged.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportGoals {
    /// Share of the experiments with an answer that should be successful, in per cent.
    pub success_percent: Option<f64>,
    /// Time within which the median run should recover.
    pub recovery: Option<Span>,
    /// Experiments that there should be in a month.
    pub experiments_a_month: Option<usize>,
}
