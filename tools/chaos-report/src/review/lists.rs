//! The lists and tables of a review.

use std::collections::BTreeMap;

use chaos_common::conclusion::Conclusion;
use chaos_common::output::duration;
use jiff::civil::Date;

use super::coverage::{self, Untried};
use super::document::Material;
use super::issues::{Issue, Issues};
use super::people::{drills, people};
use super::period::day;
use super::scope::Reviewed;
use super::section::Section;
use super::statistics::{median, median_interval};
use super::totals::{Recoveries, interval_text};
use crate::actions::Action;

impl Material<'_, '_> {
    pub(super) fn issue_list(&self) -> Section {
        let of = |issues: &[Issue]| -> Vec<String> {
            let words = |issue: &Issue| {
                let (experiment, check) = (issue.experiment, issue.check);
                let closed = issue.closed.map(|run| format!(", closed {}", run.day()));
                let since = issue.since.day();
                format!(
                    "{experiment}: {check} (since {since}{})",
                    closed.unwrap_or_default()
                )
            };
            issues.iter().map(words).collect()
        };
        let Issues {
            opened,
            closed,
            open,
        } = &self.issues;
        if opened.is_empty() && closed.is_empty() && open.is_empty() {
            return Section::default();
        }
        Section::new("Issues")
            .field("New", of(opened))
            .field("Closed", of(closed))
            .field("Open at the end", of(open))
    }

    pub(super) fn by_experiment(&self) -> Section {
        let mut of: BTreeMap<&str, Vec<&Reviewed>> = BTreeMap::new();
        for reviewed in &self.scope.runs {
            of.entry(reviewed.name()).or_default().push(reviewed);
        }
        let row = |(name, runs): (&str, Vec<&Reviewed>)| {
            let good = |it: &&&Reviewed| it.run.facts.conclusion == Conclusion::Pass;
            let recoveries = Recoveries::of(runs.iter().copied());
            let sorted = &recoveries.sorted;
            let shown = |ms: Option<f64>| ms.map_or_else(|| "not measured".to_owned(), duration);
            let interval = interval_text(median_interval(sorted));
            let interval = interval.trim_start_matches(" with the 95 % interval ");
            let few = "too few runs";
            [
                name.to_owned(),
                runs.len().to_string(),
                runs.iter().filter(good).count().to_string(),
                shown(sorted.first().copied()),
                shown(median(sorted)),
                if interval.is_empty() { few } else { interval }.to_owned(),
                shown(sorted.last().copied()),
                recoveries.without.to_string(),
            ]
        };
        let mut section = Section::new("Recovery by Experiment").table(
            [
                "Experiment",
                "Runs",
                "Passed",
                "Quickest recovery",
                "Median",
                "95 % interval of the median",
                "Slowest",
                "Did not recover",
            ],
            of.into_iter().map(row).collect(),
        );
        if section.table.is_some() {
            section = section.intro(
                "The recovery of a run is that of its slowest pod; where no pod was \
                             replaced, the time from the end of the fault to the steady state.",
            );
        }
        section
    }

    pub(super) fn not_tried(&self) -> Section {
        let experiments: Vec<String> = self.untried.iter().map(Untried::text).collect();
        let workloads = coverage::workloads(self.scope);
        let workloads: Vec<String> = workloads.iter().map(Untried::text).collect();
        if experiments.is_empty() && workloads.is_empty() {
            return Section::default();
        }
        Section::new("Not Tried")
            .field("Experiments", experiments)
            .field("Workloads", workloads)
    }

    pub(super) fn alert_table(&self) -> Section {
        let rows = self.alerts.iter().map(|alert| {
            [
                alert.name.clone(),
                alert.expected.to_string(),
                alert.fired.to_string(),
                alert.silent().to_string(),
                alert.unexpected.to_string(),
            ]
        });
        Section::new("Alerts").table(
            [
                "Alert",
                "Expected in",
                "Fired",
                "Silent",
                "Fired unexpectedly in",
            ],
            rows.collect(),
        )
    }

    pub(super) fn drill_table(&self) -> Section {
        let rows = drills(self.scope).into_iter().map(|it| {
            [
                it.backup,
                it.made.to_string(),
                it.passed.to_string(),
                it.last,
            ]
        });
        Section::new("Restore Drills")
            .table(["Backup", "Drills", "Passed", "Last drill"], rows.collect())
    }

    pub(super) fn people_table(&self) -> Section {
        let rows = people(self.scope).into_iter().map(|it| {
            [
                it.name,
                it.ran.to_string(),
                it.stopped.to_string(),
                it.rehearsed.to_string(),
            ]
        });
        Section::new("People").table(
            [
                "Who",
                "Ran",
                "Stopped or rolled back",
                "Practised (dry run)",
            ],
            rows.collect(),
        )
    }

    pub(super) fn step_table(&self) -> Section {
        let until = self.scope.days.last;
        let mut steps: Vec<&Action> = self
            .actions
            .iter()
            .filter(|it| day(it.since) <= until)
            .filter(|it| {
                it.done
                    .is_none_or(|done| day(done) >= self.scope.days.first)
            })
            .collect();
        let owner = |it: &Action| it.step.owner.clone().unwrap_or_else(|| "nobody".to_owned());
        steps.sort_by_key(|it| (owner(it), it.done.is_some()));
        let rows = steps.into_iter().map(|it| {
            [
                owner(it),
                state(it, until),
                it.step.due.clone().unwrap_or_default(),
                it.step.text.clone(),
            ]
        });
        Section::new("Next Steps").table(["Owner", "State", "Due", "What"], rows.collect())
    }

    pub(super) fn words(&self) -> Section {
        let lessons = self.notes().flat_map(|note| {
            let author = note.data.author.as_str();
            let lessons = note.data.lessons.iter();
            lessons.map(move |lesson| format!("{lesson} ({author})"))
        });
        Section::new("Lessons").items(lessons.collect())
    }

    pub(super) fn run_table(&self) -> Section {
        let row = |reviewed: &Reviewed| {
            let facts = &reviewed.run.facts;
            let recovery = facts.recovery_ms();
            [
                facts.began.0.strftime("%Y-%m-%d %H:%M").to_string(),
                facts.name.clone(),
                facts.target(),
                facts.conclusion.word().to_owned(),
                facts
                    .lasted()
                    .map_or_else(|| "not known".to_owned(), duration),
                recovery.map_or_else(|| "not measured".to_owned(), duration),
                facts.issue_count.to_string(),
                reviewed.entry.stem().to_owned(),
            ]
        };
        let rows: Vec<[String; 8]> = self.scope.runs.iter().map(row).collect();
        if rows.is_empty() {
            let mut section = Section::new("Experiments");
            let period = &self.settings.period;
            section.intro = format!("No experiment of {period} is in the archive.");
            return section;
        }
        Section::new("Experiments").table(
            [
                "Began (UTC)",
                "Experiment",
                "Target",
                "Conclusion",
                "Lasted",
                "Recovery",
                "Issues",
                "Files",
            ],
            rows,
        )
    }

    pub(super) fn left_out(&self) -> Section {
        let scope = self.scope;
        let without = scope.without_experiment();
        Section::new("Not in the figures")
            .field(
                "Streams that could not be read",
                scope.index.unreadable.clone(),
            )
            .field("Streams that are gone", scope.index.gone.clone())
            .field("Damaged streams (what they hold counts)", scope.damaged())
            .field(
                "Streams without an experiment",
                without.into_iter().map(str::to_owned).collect(),
            )
    }
}

/// What became of a next step by this day.
fn state(action: &Action, until: Date) -> String {
    let done = action.done.map(day).filter(|done| *done <= until);
    match done {
        Some(day) => format!("done {day}"),
        None if action.is_overdue(until) => "late".to_owned(),
        None => "open".to_owned(),
    }
}
