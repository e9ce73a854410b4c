//! What the runs of a time come to: a month, a quarter, a year, some days, a game day.

mod coverage;
mod document;
mod issues;
mod lists;
mod people;
mod period;
mod pictures;
mod recommendations;
mod scope;
mod section;
mod statistics;
mod totals;
mod trend;

pub(crate) use self::document::{Document, Form, Settings};
pub(crate) use self::issues::issues;
pub(crate) use self::period::{Days, Month, Period, Quarter, Year, day};
pub(crate) use self::pictures::{Outcomes, Pictures, RecoveryRow};
pub(crate) use self::scope::{Reviewed, Scope, Subject};
pub(crate) use self::totals::Recoveries;

#[cfg(test)]
pub(crate) mod examples {
    //! Runs for the tests of what is made of them.

    use chaos_common::conclusion::Conclusion;
    use chaos_common::record::{Status, Time};

    use super::{Month, Scope, Subject};
    use crate::index::{Answers, Entry, Facts, Index, Run, Stream};

    /// Ten in the morning of this day.
    pub(crate) fn at(day: &str) -> Time {
        let text = format!("{day}T10:00:00.000Z");
        serde_json::from_value(text.into()).expect("RFC 3339")
    }

    /// A run of this day.
    pub(crate) fn run(
        day: &str,
        name: &str,
        conclusion: Conclusion,
        checks: &[(&str, Status)],
    ) -> Run {
        let facts = Facts {
            id: format!("{day}{name}"),
            name: name.to_owned(),
            namespace: "shop".to_owned(),
            cluster: None,
            executor: "ops@laptop".to_owned(),
            began: at(day),
            duration_ms: Some(10_000),
            conclusion,
            reason: None,
            targets: vec!["deployment/backend".to_owned()],
            recoveries: vec![4000.0],
            unrecovered: 0,
            whole_ms: None,
            gap_ms: None,
            issue_count: 1,
        };
        Run {
            checks: Answers::example(checks),
            ..Run::from(facts)
        }
    }

    /// An archive with a stream for each run.
    pub(crate) fn archive(runs: &[Run]) -> Index {
        let entry = |run: &Run| Entry {
            file: format!("{}.ndjson", run.facts.id),
            size: 1,
            modified: 1,
            stream: Stream {
                run: format!("run-{}", run.facts.id),
                experiment: Some(run.clone()),
                ..Stream::default()
            },
        };
        Index {
            entries: runs.iter().map(entry).collect(),
            ..Index::default()
        }
    }

    /// The review of November 2026.
    pub(crate) fn scope(index: &Index) -> Scope<'_> {
        let month = "2026-11".parse::<Month>().expect("a month").0;
        Scope::of(index, &Subject::Period(month)).expect("a period has a scope")
    }
}
