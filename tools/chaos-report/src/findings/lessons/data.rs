//! What became of the data.

use chaos_common::record::{Check, Status};

use super::{Found, Rule, Topic};
use crate::findings::run_record::RunRecord;
use crate::findings::words::{count, list};

/// Ids of the checks that hold the content of tables against the baseline.
const TABLE: &str = "data.table";

/// Every table that was compared is as before.
pub(super) const KEPT: Rule = Rule {
    name: "data-kept",
    topic: Topic::Successes,
    derive: kept,
};

fn kept(run: &RunRecord) -> Vec<Found> {
    let is_table = |check: &&Check| check.id == TABLE;
    let after = run
        .verification
        .iter()
        .flat_map(|record| &record.data.checks);
    let tables: Vec<&Check> = after.filter(is_table).collect();
    let is_kept = tables.iter().all(|check| check.status == Status::Pass);
    if tables.is_empty() || !is_kept || !run.touched() {
        return Vec::new();
    }
    let names = tables.iter().filter_map(|check| check.object.clone());
    let text = format!(
        "No data was lost in {} that {} compared with the baseline ({})",
        count(tables.len(), "table", "tables"),
        if tables.len() == 1 { "was" } else { "were" },
        list(&names.collect::<Vec<_>>(), 4)
    );
    vec![Found::new(text, format!("verification: {TABLE}"))]
}
