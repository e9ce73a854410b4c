//! The runs in the archive, up to the end of a month.

use std::path::Path;

use chaos_common::conclusion::Conclusion;
use chaos_common::record::{Check, Status, Time};
use chaos_common::stream::Upstream;

use super::month::Month;
use crate::archive;
use crate::findings::RunRecord;

/// The figures of one experiment.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The stream's file.
    pub(crate) file: String,
    /// Id of the experiment's record: a run that is archived twice counts once.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) began: Time,
    pub(crate) duration_ms: u64,
    pub(crate) conclusion: Conclusion,
    /// Each measured recovery, in milliseconds.
    pub(crate) recoveries: Vec<f64>,
    pub(crate) issues: usize,
    /// The answer of each check, by its name and object.
    pub(crate) checks: Vec<(String, Status)>,
    /// The same of the health before it.
    pub(crate) health: Vec<(String, Status)>,
}

/// What the archive holds up to the end of a month.
#[derive(Clone, Debug, Default)]
pub(crate) struct Archive {
    /// Experiments in order of their time.
    pub(crate) runs: Vec<Run>,
    /// Files that could not be read at all, with the reason.
    pub(crate) unreadable: Vec<String>,
    /// This month's streams that are damaged, with the damage. What they hold counts all the same.
    pub(crate) damaged: Vec<String>,
    /// This month's streams without an experiment.
    pub(crate) without: Vec<String>,
}

impl Archive {
    /// Reads every stream that is not of a later month.
    pub(crate) fn read(folder: &Path, month: Month) -> std::io::Result<Archive> {
        let mut archive = Archive::default();
        for path in archive::streams(folder)? {
            let file = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let named = Month::of_file(&file);
            if named.is_some_and(|named| named > month) {
                continue;
            }
            match stream(&path) {
                Ok(upstream) => {
                    archive.add(&file, named, month, &RunRecord::of(&upstream, ""));
                }
                Err(why) => archive.unreadable.push(format!("{file}: {why}")),
            }
        }
        archive.runs.sort_by_key(|run| run.began);
        Ok(archive)
    }

    fn add(&mut self, file: &str, named: Option<Month>, month: Month, record: &RunRecord) {
        let began = record.began().map(Month::of).or(named);
        let of_month = began.is_none_or(|began| began == month);
        if of_month {
            let damage = record.broken.iter().chain(&record.unreadable);
            self.damaged
                .extend(damage.map(|why| format!("{file}: {why}")));
        }
        match Run::of(file, record) {
            Some(run) if self.runs.iter().any(|known| known.id == run.id) => {}
            Some(run) if Month::of(run.began) <= month => self.runs.push(run),
            None if of_month => self.without.push(file.to_owned()),
            Some(_) | None => {}
        }
    }

    /// The runs of a month.
    pub(crate) fn of(&self, month: Month) -> Vec<&Run> {
        self.runs
            .iter()
            .filter(|run| Month::of(run.began) == month)
            .collect()
    }
}

impl Run {
    fn of(file: &str, record: &RunRecord) -> Option<Run> {
        let experiment = record.experiment.as_ref()?;
        let recoveries = experiment.data.recoveries.iter();
        let checks = record.judged().into_iter();
        let health = record.health.iter().flat_map(|health| &health.data.checks);
        let answer = |check: &Check| (name_and_object(check), check.status);
        Some(Run {
            file: file.to_owned(),
            id: experiment.id.clone(),
            name: experiment.data.experiment.clone(),
            began: experiment.data.started,
            duration_ms: experiment.data.duration_ms,
            conclusion: record.conclusion,
            recoveries: recoveries.filter_map(|pod| pod.recovery_ms).collect(),
            issues: record.issues().len(),
            checks: checks.map(answer).collect(),
            health: health.map(answer).collect(),
        })
    }
}

fn name_and_object(check: &Check) -> String {
    match &check.object {
        Some(object) => format!("{} {object}", check.id),
        None => check.id.clone(),
    }
}

/// Reads a stored stream.
fn stream(path: &Path) -> Result<Upstream, archive::ReadError> {
    let input = archive::open(path)?;
    Upstream::from_reader(input).map_err(archive::ReadError::Unreadable)
}

#[cfg(test)]
pub(crate) mod examples {
    //! Runs for the tests of what is made of them.

    use super::*;

    /// A run of this day.
    pub(crate) fn run(
        day: &str,
        name: &str,
        conclusion: Conclusion,
        checks: &[(&str, Status)],
    ) -> Run {
        let answer = |(check, status): &(&str, Status)| ((*check).to_owned(), *status);
        Run {
            file: format!("{day}.ndjson"),
            id: format!("{day}{name}"),
            name: name.to_owned(),
            began: serde_json::from_value(format!("{day}T10:00:00.000Z").into()).expect("RFC 3339"),
            duration_ms: 10_000,
            conclusion,
            recoveries: vec![4000.0],
            issues: 1,
            checks: checks.iter().map(answer).collect(),
            health: Vec::new(),
        }
    }

    /// The month that the examples are reviewed in.
    pub(crate) fn month() -> Month {
        "2026-11".parse().expect("a month")
    }
}
