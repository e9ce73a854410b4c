//! The answers of a run's checks, by name and object.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chaos_common::record::{Check, Status};
use serde::{Deserialize, Serialize};

/// Names that many runs share, each kept once.
#[derive(Debug, Default)]
pub(crate) struct Names(HashSet<Arc<str>>);

impl Names {
    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.0.insert(Arc::clone(&name));
        name
    }
}

/// The answer of each check, by its id and object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(Vec<(Arc<str>, Status)>);

impl Answers {
    pub(crate) fn of<'a>(
        checks: impl IntoIterator<Item = &'a Check>,
        names: &mut Names,
    ) -> Answers {
        let checks = checks.into_iter();
        Answers(
            checks
                .map(|check| (names.shared(&name_and_object(check)), check.status))
                .collect(),
        )
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, Status)> {
        self.0.iter().map(|(name, status)| (name, *status))
    }

    /// The names with this answer.
    pub(crate) fn with(&self, wanted: Status) -> impl Iterator<Item = &Arc<str>> {
        let with = move |(name, status)| (status == wanted).then_some(name);
        self.iter().filter_map(with)
    }

    pub(super) fn stored(&self) -> StoredAnswers<'_> {
        let mut stored = StoredAnswers::default();
        for (name, status) in self.iter() {
            let word = Cow::Borrowed(status.word());
            stored.0.entry(word).or_default().push(Cow::Borrowed(name));
        }
        stored
    }

    #[cfg(test)]
    pub(crate) fn example(checks: &[(&str, Status)]) -> Answers {
        let answer = |(name, status): &(&str, Status)| (Arc::from(*name), *status);
        Answers(checks.iter().map(answer).collect())
    }
}

/// The answers as the index has them: the names of each answer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct StoredAnswers<'a>(#[serde(borrow)] BTreeMap<Cow<'a, str>, Vec<Cow<'a, str>>>);

impl StoredAnswers<'_> {
    pub(super) fn shared(&self, names: &mut Names) -> Answers {
        let mut answers = Vec::new();
        for (word, with) in &self.0 {
            let status = Status::ALL.into_iter().find(|status| status.word() == word);
            let status = status.unwrap_or(Status::Unknown);
            answers.extend(with.iter().map(|name| (names.shared(name), status)));
        }
        Answers(answers)
    }
}

fn name_and_object(check: &Check) -> Cow<'_, str> {
    match &check.object {
        Some(object) => Cow::Owned(format!("{} {object}", check.id)),
        None => Cow::Borrowed(&check.id),
    }
}
