//! What is kept of an experiment.

use chaos_common::conclusion::Conclusion;
use chaos_common::record::{Experiment, Outcome, Time};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::findings::RunRecord;

/// The most issues of a run that are kept word by word.
const MOST_ISSUES: usize = 50;
/// The longest text that is kept of one, in characters.
const MAX_TEXT: usize = 400;

/// The figures of one experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Id of the experiment's record: a run that is archived twice counts once.
    pub(crate) id: String,
    /// The experiment's name.
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// The cluster's context, or its server where the context is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    pub(crate) executor: String,
    pub(crate) began: Time,
    /// How long it lasted; a report that was written by hand may not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) duration_ms: Option<u64>,
    #[serde(serialize_with = "word", deserialize_with = "of_word")]
    pub(crate) conclusion: Conclusion,
    /// Why it was refused or aborted, or a gate was overridden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The workloads that were to be hit, as `deployment/backend`.
    pub(crate) targets: Vec<String>,
    /// Each measured recovery of a pod, in milliseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) recoveries: Vec<f64>,
    /// Pods that were not seen to recover.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) unrecovered: usize,
    /// From the end of the fault to the steady state, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) whole_ms: Option<f64>,
    /// The longest time that callers had no good answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gap_ms: Option<f64>,
    /// How many issues there were.
    pub(crate) issue_count: usize,
}

/// An alert of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AlertFact {
    pub(crate) name: String,
    pub(crate) expected: bool,
    /// It fired after the injection, and not already before.
    pub(crate) fired: bool,
    /// It fired before the injection, and says nothing.
    pub(crate) before: bool,
}

impl Facts {
    /// `issue_count` is how many there were.
    pub(crate) fn of(record: &RunRecord, issue_count: usize) -> Option<Facts> {
        let experiment = record.experiment.as_ref()?;
        let data = &experiment.data;
        let cluster = data.cluster.as_ref();
        let gaps = data.availability.iter().map(|one| one.longest_gap_ms);
        Some(Facts {
            id: experiment.id.clone(),
            name: data.experiment.clone(),
            namespace: data.namespace.clone(),
            cluster: cluster.map(|it| it.context.clone().unwrap_or_else(|| it.server.clone())),
            executor: data.executor.clone(),
            began: data.started,
            duration_ms: Some(data.duration_ms),
            conclusion: record.conclusion,
            reason: reason(data),
            targets: targets(data),
            recoveries: data
                .recoveries
                .iter()
                .filter_map(|pod| pod.recovery_ms)
                .collect(),
            unrecovered: data
                .recoveries
                .iter()
                .filter(|pod| pod.recovery_ms.is_none())
                .count(),
            whole_ms: data
                .timings
                .whole_ms
                .filter(|_| data.outcome == Outcome::Completed),
            gap_ms: gaps.reduce(f64::max),
            issue_count,
        })
    }

    /// How long the system took, in milliseconds: its slowest pod, or, where no pod was replaced,
    /// from the end of the fault to the steady state.
    pub(crate) fn recovery_ms(&self) -> Option<f64> {
        let slowest = self.recoveries.iter().copied().reduce(f64::max);
        slowest.or(self.whole_ms)
    }

    /// How long it lasted, in milliseconds.
    #[expect(
        clippy::cast_precision_loss,
        reason = "no experiment lasts 2^52 milliseconds"
    )]
    pub(crate) fn lasted(&self) -> Option<f64> {
        self.duration_ms.map(|ms| ms as f64)
    }

    /// The workloads that were to be hit, for people.
    pub(crate) fn target(&self) -> String {
        match self.targets.as_slice() {
            [] => "not known".to_owned(),
            some => some.join(", "),
        }
    }
}

/// All issues of a run in words.
pub(super) fn issues(record: &RunRecord) -> Vec<String> {
    if record.touched() {
        return record.issues();
    }
    // A refusal is an answer of the gates and tells nothing of the system.
    Vec::new()
}

/// As many issues, and as much of each, as is kept.
pub(super) fn kept(issues: &[String]) -> Vec<String> {
    let issues = issues.iter().take(MOST_ISSUES);
    issues.map(|text| short(text)).collect()
}

fn reason(data: &Experiment) -> Option<String> {
    let overridden = data.overridden.first();
    let overridden = overridden.map(|gate| format!("a gate was overridden: {gate}"));
    data.reason.clone().or(overridden).map(|text| short(&text))
}

fn targets(data: &Experiment) -> Vec<String> {
    let mut targets: Vec<String> = data.targets.iter().map(|t| t.owner.to_string()).collect();
    targets.sort();
    targets.dedup();
    targets
}

/// The alerts that an experiment saw.
pub(super) fn alerts(data: &Experiment) -> Vec<AlertFact> {
    let fact = |alert: &chaos_common::record::AlertSeen| AlertFact {
        name: alert.name.clone(),
        expected: alert.expected,
        fired: alert.fired_ms.is_some() && !alert.before,
        before: alert.before,
    };
    data.alerts.iter().map(fact).collect()
}

/// The workloads that there were before it, as `deployment/backend`.
pub(super) fn workloads(record: &RunRecord) -> Vec<String> {
    let state = record.health.as_ref().map(|health| &health.data.state);
    let workloads = state.into_iter().flat_map(|state| &state.workloads);
    let mut names: Vec<String> = workloads.map(|it| it.workload.to_string()).collect();
    names.sort();
    names
}

fn short(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

const CONCLUSIONS: [Conclusion; 6] = [
    Conclusion::Pass,
    Conclusion::Refused,
    Conclusion::Aborted,
    Conclusion::Unknown,
    Conclusion::Fail,
    Conclusion::NotRestored,
];

/// The conclusion that a word in reports stands for.
pub(crate) fn conclusion(word: &str) -> Option<Conclusion> {
    let same = |it: &Conclusion| it.word().eq_ignore_ascii_case(word);
    CONCLUSIONS.into_iter().find(same)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn word<S: Serializer>(conclusion: &Conclusion, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(conclusion.word())
}

fn of_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Conclusion, D::Error> {
    let text = String::deserialize(deserializer)?;
    conclusion(&text).ok_or_else(|| de::Error::custom("no conclusion"))
}
