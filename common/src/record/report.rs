//! `chaos.report`: where the report is, and what it says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Check, Data, Kind};

/// Where a report is, and what it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Of one experiment, or of a month or another time.
    pub form: ReportForm,
    /// What it reports on: the experiment's name, or the time as `2026-11`,
    /// `2026-Q4`, `2026`, `2026-11-01..2026-11-15` or `2 runs`.
    pub subject: String,
    /// The word that stands behind `Status:` in the report.
    pub status: String,
    /// The first of its files: Markdown, unless other formats were asked for.
    pub location: String,
    /// All its files, one a format; absent from records of versions that made only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The stream that it was made from; absent from a review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// What was found, the most important first.
    pub findings: Vec<String>,
    /// What to do next.
    pub next_steps: Vec<String>,
    /// Whether the stream held all that a report needs.
    pub checks: Vec<Check>,
}

impl Data for Report {
    const KIND: Kind = Kind::Report;
    fn checks(&self) -> &[Check] {
        &self.checks
    }
}

/// The forms of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportForm {
    /// Of one experiment.
    Experiment,
    /// Of all experiments of a month.
    Monthly,
    /// Of a quarter.
    Quarterly,
    /// Of a year.
    Yearly,
    /// Of other days, or of runs that were named.
    Review,
}
