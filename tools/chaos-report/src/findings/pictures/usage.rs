//! Use of the nodes before and after.

use chaos_common::record::NodeState;
use serde::Serialize;

use super::ROWS;
use crate::findings::run_record::RunRecord;
use crate::findings::state::gib;

/// Use of the nodes before and after.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Usage {
    pub(crate) rows: Vec<UsageRow>,
}

/// Use of one thing, as a share of what there is, 0 to 1; absent where it is not known.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct UsageRow {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) before: Option<f64>,
    pub(crate) after: Option<f64>,
}

pub(super) fn of(run: &RunRecord) -> Option<Usage> {
    let nodes = |state: Option<&chaos_common::record::SystemState>| {
        state.map(|state| state.nodes.clone()).unwrap_or_default()
    };
    let before = nodes(run.health.as_ref().map(|record| &record.data.state));
    let after = nodes(run.verification.as_ref().map(|record| &record.data.state));
    let all = if after.is_empty() { &before } else { &after };
    let of = |nodes: &[NodeState], name: &str| nodes.iter().find(|node| node.name == name).cloned();
    let rows = all.iter().take(ROWS).flat_map(|node| {
        let (was, is) = (of(&before, &node.name), of(&after, &node.name));
        let cpu = |node: Option<&NodeState>| {
            let node = node?;
            Some(node.cpu_cores? / positive(node.cpu_allocatable_cores)?)
        };
        let memory = |node: Option<&NodeState>| {
            let node = node?;
            Some(gib(node.memory_bytes?) / positive(gib(node.memory_allocatable_bytes))?)
        };
        let row = |what: &str, unit: String, share: &dyn Fn(Option<&NodeState>) -> Option<f64>| {
            UsageRow {
                name: format!("{} {what}", node.name),
                unit,
                before: share(was.as_ref()),
                after: share(is.as_ref()),
            }
        };
        [
            row(
                "processor",
                format!("{:.2} cores", node.cpu_allocatable_cores),
                &cpu,
            ),
            row(
                "memory",
                format!("{:.1} GiB", gib(node.memory_allocatable_bytes)),
                &memory,
            ),
        ]
    });
    let rows: Vec<UsageRow> = rows.collect();
    (!rows.is_empty()).then_some(Usage { rows })
}

fn positive(value: f64) -> Option<f64> {
    (value > 0.0).then_some(value)
}
