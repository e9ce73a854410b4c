//! Whether the alerts told of the fault. One that stayed silent is a failure of its check.

use chaos_common::record::AlertSeen;

use super::{Found, Rule, Topic};
use crate::findings::run_record::RunRecord;
use crate::findings::words::duration;

const EVIDENCE: &str = "experiment: alerts";

/// The alerts of a run, where they say something of its fault.
fn alerts(run: &RunRecord) -> Vec<&AlertSeen> {
    let Some(data) = run.experiment_data().filter(|data| data.injected.is_some()) else {
        return Vec::new();
    };
    data.alerts.iter().filter(|alert| !alert.before).collect()
}

fn found(run: &RunRecord, of: impl Fn(&AlertSeen) -> Option<String>) -> Vec<Found> {
    let texts = alerts(run).into_iter().filter_map(of);
    texts.map(|text| Found::new(text, EVIDENCE)).collect()
}

/// An expected alert fired and reached Alertmanager.
pub(super) const HEARD: Rule = Rule {
    name: "alert-heard",
    topic: Topic::Successes,
    derive: heard,
};

fn heard(run: &RunRecord) -> Vec<Found> {
    found(run, |alert| {
        let (fired, delivered) = (alert.fired_ms?, alert.delivered_ms?);
        alert.expected.then(|| {
            format!(
                "The alert {} fired {} after the injection, and Alertmanager had it after {}",
                alert.name,
                duration(fired),
                duration(delivered)
            )
        })
    })
}

/// An alert fired that nobody expected of this experiment.
pub(super) const UNEXPECTED: Rule = Rule {
    name: "alert-unexpected",
    topic: Topic::Improvements,
    derive: unexpected,
};

fn unexpected(run: &RunRecord) -> Vec<Found> {
    found(run, |alert| {
        let fired = alert.fired_ms.filter(|_| !alert.expected)?;
        Some(format!(
            "Expect the alert {} of this experiment (alerts in chaos.toml), or find out why it \
             fired {} after the injection",
            alert.name,
            duration(fired)
        ))
    })
}
