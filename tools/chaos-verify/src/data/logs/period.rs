//! From when on lines of logs count, and from when they are excused.

use std::time::Duration;

use chaos_common::record::{Experiment, Time};

use crate::pipeline_input::PipelineInput;

/// The time from which on lines count.
#[derive(Clone, Debug)]
pub(crate) struct Period {
    pub(super) since: Time,
    /// Times in which Services were expected to suffer, so that who calls them may well say so.
    pub(super) outages: Vec<(Time, Time)>,
}

impl Period {
    /// None if it is not known what was before. `request` is how long a request may take.
    /// `node_time` gives the time of the nodes, who write times into logs, at one of the machine
    /// that the tools run on, which stands in records.
    pub(crate) fn of(
        input: &PipelineInput,
        request: Duration,
        node_time: impl Fn(Time) -> Time,
    ) -> Option<Period> {
        let outages = input
            .experiments
            .iter()
            .filter_map(|record| outage(&record.data, request))
            .map(|(from, to)| (node_time(from), node_time(to)))
            .collect();
        Some(Period {
            since: node_time(input.since()?),
            outages,
        })
    }

    pub(super) fn in_outage(&self, time: Time) -> bool {
        self.outages
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&time))
    }
}

/// When Services were expected to suffer: from the first write until all was at its steady state again, and then
/// for as long as a request takes that was sent before and is given up only now.
fn outage(one: &Experiment, request: Duration) -> Option<(Time, Time)> {
    let from = one.injected.filter(|_| !one.affected.is_empty())?;
    let whole = one.restored.unwrap_or(one.ended);
    let end = whole.0.checked_add(request).map_or(whole, Time);
    Some((from, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_over_when_all_is_whole_again_and_no_request_of_it_is_on_its_way() {
        let end = |change: serde_json::Value| {
            let mut one = serde_json::json!({
                "experiment": "storage-failure", "outcome": "completed", "namespace": "shop",
                "executor": "ops@laptop", "targets": [], "affected": ["database"],
                "duration_ms": 50000, "checks": [], "recoveries": [], "availability": [],
                "actions": [], "issues": [],
                "started": "2026-11-22T16:00:00Z", "injected": "2026-11-22T16:00:10Z",
                "restored": "2026-11-22T16:00:20Z", "ended": "2026-11-22T16:00:50Z",
            });
            one.as_object_mut()
                .expect("an object")
                .extend(change.as_object().expect("an object").clone());
            let one = serde_json::from_value(one).expect("an experiment");
            outage(&one, Duration::from_secs(2)).map(|(_, to)| to)
        };
        let at = |text: &str| Some(Time(text.parse().expect("a time")));
        assert_eq!(end(serde_json::json!({})), at("2026-11-22T16:00:22Z"));
        assert_eq!(
            end(serde_json::json!({"restored": null})),
            at("2026-11-22T16:00:52Z"),
            "it was not seen"
        );
        assert_eq!(
            end(serde_json::json!({"affected": []})),
            None,
            "nobody was expected to suffer"
        );
        assert_eq!(
            end(serde_json::json!({"injected": null})),
            None,
            "nothing was done"
        );
    }
}
