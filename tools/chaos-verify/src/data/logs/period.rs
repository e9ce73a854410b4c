//! From when on lines of logs count, and from when they are excused.

use std::time::Duration;

use jiff::SignedDuration;

use chaos_common::record::{Experiment, Time};

use crate::pipeline_input::PipelineInput;

/// The time from which on lines count.
#[derive(Clone, Debug)]
pub(crate) struct Period {
    pub(super) since: Time,
    pub(super) outages: Vec<Outage>,
}

/// A time in which Services were expected to suffer, so that who calls them may well say so, and
/// some time after it: requests that began in it may be given up much later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    /// The first write of the fault.
    pub(super) from: Time,
    /// All was at its steady state again.
    pub(super) whole: Time,
    /// Lines count again, whatever they are of.
    pub(super) until: Time,
}

/// Time without a line after which a log is quiet.
const QUIET: SignedDuration = SignedDuration::from_secs(3);

impl Period {
    /// None if it is not known what was before. `quiet` is how long lines may still come after an
    /// outage. `node_time` gives the time of the nodes, who write times into logs, at one of the
    /// machine that the tools run on, which stands in records.
    pub(crate) fn of(
        input: &PipelineInput,
        quiet: Duration,
        node_time: impl Fn(Time) -> Time,
    ) -> Option<Period> {
        let outages = input
            .experiments
            .iter()
            .filter_map(|record| outage(&record.data, quiet))
            .map(|outage| Outage {
                from: node_time(outage.from),
                whole: node_time(outage.whole),
                until: node_time(outage.until),
            })
            .collect();
        Some(Period {
            since: node_time(input.since()?),
            outages,
        })
    }

    /// The outage that excuses a line.
    pub(super) fn outage(&self, line: Time) -> Option<&Outage> {
        let mut outages = self.outages.iter();
        outages.find(|outage| (outage.from..=outage.until).contains(&line))
    }

    /// Whether lines still come of an outage that is over, so that it is too early to say how long.
    /// `last` is the last one's time.
    pub(super) fn goes_on(&self, last: Option<Time>, now: Time) -> bool {
        let Some(last) = last else {
            return false;
        };
        self.outage(last)
            .is_some_and(|outage| last > outage.whole && now < outage.until)
            && now.0.duration_since(last.0) < QUIET
    }
}

/// When Services were expected to suffer, from the first write until all was at its steady state
/// again, and for how long lines of that may come after it.
fn outage(one: &Experiment, quiet: Duration) -> Option<Outage> {
    let from = one.injected.filter(|_| !one.affected.is_empty())?;
    let whole = one.restored.unwrap_or(one.ended);
    let until = whole.0.checked_add(quiet).map_or(whole, Time);
    Some(Outage { from, whole, until })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_over_when_all_is_whole_again_and_its_lines_may_come_for_some_time() {
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
            outage(&one, Duration::from_secs(2)).map(|outage| outage.until)
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

    #[test]
    fn what_still_comes_is_waited_for_until_it_is_quiet_or_counts() {
        let at = |seconds: &str| {
            Time(
                format!("2026-11-22T16:00:{seconds}Z")
                    .parse()
                    .expect("a time"),
            )
        };
        let outage = Outage {
            from: at("10"),
            whole: at("20"),
            until: at("50"),
        };
        let period = Period {
            since: at("00"),
            outages: vec![outage],
        };
        assert!(!period.goes_on(None, at("21")));
        assert!(
            !period.goes_on(Some(at("19")), at("21")),
            "it is of the outage itself"
        );
        assert!(period.goes_on(Some(at("21")), at("23")));
        assert!(!period.goes_on(Some(at("21")), at("25")), "it is quiet");
        assert!(
            !period.goes_on(Some(at("49")), at("51")),
            "what comes now counts"
        );
    }
}
