//! Lessons and next steps, by plain rules from what the stream holds. A rule that finds nothing says
//! nothing. What each rule says, and when, stands in `docs/reports.md`.

mod alerts;
mod callers;
mod data;
mod documents;
mod failures;
mod measuring;
mod notices;
mod proofs;
mod recovery;
mod repeat;
mod steps;
mod warnings;

#[cfg(test)]
mod cases;

use super::model::{Lesson, Section};
use super::run_record::RunRecord;

/// The most lessons of one field that are shown.
pub(crate) const MOST: usize = 12;

/// The fields of the runbook's form that lessons stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Successes,
    Failures,
    Improvements,
    Recommendations,
    FollowUp,
    Process,
    Documentation,
}

impl Topic {
    /// The fields under "Lessons Learned".
    pub(crate) const LEARNED: [Topic; 4] = [
        Topic::Successes,
        Topic::Failures,
        Topic::Improvements,
        Topic::Recommendations,
    ];

    /// The fields under "Next Steps".
    pub(crate) const NEXT: [Topic; 3] = [Topic::FollowUp, Topic::Process, Topic::Documentation];

    /// As the form calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Topic::Successes => "Successes",
            Topic::Failures => "Failures",
            Topic::Improvements => "Improvements",
            Topic::Recommendations => "Recommendations",
            Topic::FollowUp => "Follow-up Actions",
            Topic::Process => "Process Improvements",
            Topic::Documentation => "Documentation Updates",
        }
    }
}

/// What a rule found, and what in the stream it rests on.
pub(crate) struct Found {
    text: String,
    evidence: String,
}

impl Found {
    fn new(text: impl Into<String>, evidence: impl Into<String>) -> Found {
        Found {
            text: text.into(),
            evidence: evidence.into(),
        }
    }
}

/// A rule: where its lessons stand, and how they follow from a run.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) topic: Topic,
    derive: fn(&RunRecord) -> Vec<Found>,
}

/// All rules. Within a field their lessons stand in this order.
pub(crate) const RULES: &[Rule] = &[
    proofs::EFFECT,
    recovery::IN_TIME,
    callers::UNHARMED,
    callers::WITHSTOOD,
    data::KEPT,
    proofs::WRITES,
    alerts::HEARD,
    failures::FAILED,
    failures::LOST,
    failures::BEFORE,
    recovery::SLOW,
    recovery::RESTARTED,
    callers::GAP,
    alerts::UNEXPECTED,
    warnings::WARNED,
    warnings::BACKUP,
    repeat::RECOMMENDED,
    failures::FOLLOW_UP,
    measuring::MISSED,
    measuring::UNKNOWN,
    steps::OVERRIDDEN,
    steps::MISSING,
    notices::UNDELIVERED,
    documents::TROUBLE,
    documents::FIGURES,
];

/// All lessons of a run.
#[derive(Debug)]
pub(crate) struct Lessons(Vec<(Topic, Lesson)>);

impl Lessons {
    /// Applies every rule. The same text stands once, under the first rule that says it.
    pub(crate) fn of(run: &RunRecord) -> Lessons {
        let mut seen = std::collections::HashSet::new();
        let mut all = Vec::new();
        for rule in RULES {
            for found in (rule.derive)(run) {
                if seen.insert(found.text.clone()) {
                    let lesson = Lesson {
                        rule: rule.name,
                        text: found.text,
                        evidence: found.evidence,
                    };
                    all.push((rule.topic, lesson));
                }
            }
        }
        Lessons(all)
    }

    /// The lessons of a field, in order.
    pub(crate) fn on(&self, topic: Topic) -> impl Iterator<Item = &Lesson> {
        let all = self.0.iter();
        all.filter(move |(of, _)| *of == topic)
            .map(|(_, lesson)| lesson)
    }

    /// The fields of a part of the form.
    pub(crate) fn sections(&self, topics: &[Topic]) -> Vec<Section> {
        let section = |topic: &Topic| Section {
            name: topic.name(),
            lessons: self.on(*topic).cloned().collect(),
        };
        topics.iter().map(section).collect()
    }

    /// What to do next, the most pressing first.
    pub(crate) fn next_steps(&self) -> Vec<String> {
        let topics = [
            Topic::Recommendations,
            Topic::FollowUp,
            Topic::Improvements,
            Topic::Process,
        ];
        let few = |topic| self.on(topic).take(MOST).map(|lesson| lesson.text.clone());
        topics.into_iter().flat_map(few).collect()
    }
}
