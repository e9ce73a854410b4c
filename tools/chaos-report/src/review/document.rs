//! A review as a document: what is said, in order, for any format.

use std::collections::BTreeSet;

use chaos_common::config::ReportGoals;
use chaos_common::output::duration;
use serde::Serialize;

use super::coverage::{self, AlertCoverage, Untried};
use super::issues::{Issue, Issues, issues};
use super::people::people;
use super::period::{Period, day};
use super::pictures::Pictures;
use super::recommendations::{Around, recommendations};
use super::scope::Scope;
use super::section::Section;
use super::statistics::{float, median};
use super::totals::{Recoveries, Totals};
use super::trend;
use crate::actions::{self, Action};

/// The runbook's forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Monthly,
    Quarterly,
    Yearly,
    Other,
}

/// What a review is made with besides the archive.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) form: Form,
    /// The time or the runs, in words.
    pub(crate) period: String,
    /// The time before, in words.
    pub(crate) previous: Option<String>,
    /// Names of the experiments that `chaos.toml` configures.
    pub(crate) configured: Vec<String>,
    pub(crate) goals: ReportGoals,
    /// Months whose report is in the archive, as `2026-11`.
    pub(crate) reviewed: BTreeSet<String>,
}

/// A review.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    pub(crate) title: &'static str,
    /// The time or the runs, in words.
    pub(crate) period: String,
    pub(crate) intro: String,
    pub(crate) sections: Vec<Section>,
    #[serde(skip)]
    pub(crate) pictures: Pictures,
    #[serde(skip)]
    pub(crate) findings: Vec<String>,
    #[serde(skip)]
    pub(crate) recommendations: Vec<String>,
}

/// What the parts of a document are made of.
pub(super) struct Material<'s, 'i> {
    pub(super) scope: &'s Scope<'i>,
    pub(super) settings: &'s Settings,
    pub(super) totals: Totals,
    pub(super) before: Totals,
    pub(super) issues: Issues<'i>,
    pub(super) untried: Vec<Untried>,
    pub(super) alerts: Vec<AlertCoverage>,
    pub(super) actions: Vec<Action<'i>>,
}

impl Document {
    /// The whole review.
    pub(crate) fn of(scope: &Scope, settings: &Settings) -> Document {
        let material = Material {
            scope,
            settings,
            totals: Totals::of(&scope.runs),
            before: Totals::of(&scope.before),
            issues: issues(scope),
            untried: coverage::experiments(scope, &settings.configured),
            alerts: coverage::alerts(scope),
            actions: actions::all(&scope.index.entries),
        };
        let advice = material.advice();
        let mut sections = vec![
            material.summary(),
            material.metrics(),
            material.trends(),
            Section::new("Recommendations").items(advice.clone()),
        ];
        sections.extend(material.goals());
        if settings.form == Form::Quarterly {
            sections.push(material.updates());
        }
        if settings.form == Form::Yearly {
            sections.push(material.proposals());
        }
        sections.extend([
            material.issue_list(),
            material.by_experiment(),
            material.not_tried(),
            material.alert_table(),
            material.drill_table(),
            material.people_table(),
            material.step_table(),
            material.words(),
            material.run_table(),
            material.left_out(),
        ]);
        sections.retain(|section| !section.is_empty());
        Document {
            title: title(settings.form),
            period: settings.period.clone(),
            intro: material.intro(),
            pictures: Pictures::of(scope),
            sections,
            findings: material.findings(),
            recommendations: advice,
        }
    }
}

fn title(form: Form) -> &'static str {
    match form {
        Form::Monthly => "Chaos Engineering Monthly Report",
        Form::Quarterly => "Chaos Engineering Quarterly Review",
        Form::Yearly => "Chaos Engineering Annual Strategy Review",
        Form::Other => "Chaos Engineering Review",
    }
}

impl Material<'_, '_> {
    fn intro(&self) -> String {
        let period = &self.settings.period;
        match self.settings.form {
            Form::Monthly => format!("Month of UTC: {period}"),
            Form::Quarterly => format!("Quarter of UTC: {period}"),
            Form::Yearly => format!("Year of UTC: {period}"),
            Form::Other => format!("Of: {period}"),
        }
    }

    fn summary(&self) -> Section {
        let totals = &self.totals;
        Section::new("Summary")
            .one("Total Experiments", totals.total.to_string())
            .one("Successful Experiments", totals.successful.to_string())
            .one("Failed Experiments", totals.failed.to_string())
            .one("Neither", totals.neither())
            .one("Success Rate", totals.rate_text())
    }

    fn metrics(&self) -> Section {
        let recovery = Recoveries::of(&self.scope.runs).text();
        Section::new("Key Metrics")
            .one("Average Recovery Time", recovery)
            .one("Issues Discovered", self.discovered())
            .field("Improvements Implemented", self.improvements())
    }

    /// Those that checks stand for are followed; what a run only tells in words is counted.
    fn discovered(&self) -> String {
        // A check that began to fail twice is one.
        let opened = self.issues.opened.iter();
        let opened: BTreeSet<_> = opened.map(|it| (it.experiment, it.check)).collect();
        let (closed, open) = (self.issues.closed.len(), self.issues.open.len());
        let count = |n: usize, one: &str, more: &str| match n {
            1 => format!("1 {one}"),
            n => format!("{n} {more}"),
        };
        format!(
            "{} began to fail, {} again, {} still; the runs tell of {}",
            count(opened.len(), "check", "checks"),
            count(closed, "that had failed passes", "that had failed pass"),
            count(open, "fails", "fail"),
            count(self.totals.issues, "issue", "issues"),
        )
    }

    fn improvements(&self) -> Vec<String> {
        let closed = self.issues.closed.iter().map(|issue| {
            let day = issue.closed.map(|run| run.day()).unwrap_or_default();
            let Issue {
                experiment, check, ..
            } = issue;
            format!("{experiment}: {check} failed before and passes since {day}")
        });
        let notes = self.notes();
        let told = notes.flat_map(|note| note.data.improvements.iter().cloned());
        let done = self.actions.iter().filter_map(|action| {
            let when = action.done.filter(|when| self.scope.days.hold(*when))?;
            let day = when.0.strftime("%Y-%m-%d");
            Some(format!("{} (done on {day})", action.step.text))
        });
        closed.chain(told).chain(done).collect()
    }

    /// The notes that were made in the review's time, or on its runs.
    pub(super) fn notes(
        &self,
    ) -> impl Iterator<Item = &chaos_common::record::Record<chaos_common::record::Note>> {
        let runs: BTreeSet<&str> = self
            .scope
            .runs
            .iter()
            .map(|it| it.entry.stream.run.as_str())
            .collect();
        let mut known = BTreeSet::new();
        let entries = self.scope.index.entries.iter();
        entries
            .flat_map(|entry| &entry.stream.notes)
            .filter(move |note| {
                let about = note.data.about.as_deref();
                let wanted = match about {
                    Some(run) => runs.contains(run),
                    None => self.scope.days.hold(note.time),
                };
                wanted && known.insert(&note.id)
            })
    }

    fn trends(&self) -> Section {
        let Some(previous) = &self.settings.previous else {
            return Section::default();
        };
        let (before, now) = (&self.scope.before, &self.scope.runs);
        let mut section = Section::new("Trends")
            .field("Recovery Time Trend", trend::recovery(before, now))
            .one("Issue Discovery Trend", trend::issues(before, now))
            .one(
                "Success Rate Trend",
                trend::success(&self.before, &self.totals),
            );
        section.intro = format!("Against {previous}.");
        section
    }

    fn open_steps(&self) -> Vec<&Action<'_>> {
        let open = self.actions.iter().filter(|action| action.done.is_none());
        open.collect()
    }

    fn advice(&self) -> Vec<String> {
        let open = self.open_steps();
        let around = Around {
            untried: &self.untried,
            alerts: &self.alerts,
            open: &open,
            unreviewed: &self.unreviewed(),
            period: &self.settings.period,
        };
        recommendations(self.scope, &around)
    }

    /// Months before the last of the review that have experiments and no report in the archive.
    fn unreviewed(&self) -> Vec<String> {
        /// Months that are looked back at.
        const BACK: usize = 12;
        let this = Period::month(self.scope.days.last).to_string();
        let runs = self.scope.history.iter();
        let months: BTreeSet<String> = runs
            .map(|it| Period::month(day(it.began())).to_string())
            .filter(|month| *month < this && !self.settings.reviewed.contains(month))
            .collect();
        let skip = months.len().saturating_sub(BACK);
        months.into_iter().skip(skip).collect()
    }

    fn goals(&self) -> Option<Section> {
        let goals = &self.settings.goals;
        if matches!(self.settings.form, Form::Other) {
            return None;
        }
        let mut lines = Vec::new();
        let word = |met: bool| if met { "met" } else { "missed" };
        if let Some(wanted) = goals.success_percent {
            let (good, all) = self.totals.rate();
            lines.push(if all == 0 {
                format!("success rate of {wanted} %: not known, no experiment has an answer")
            } else {
                let rate = 100.0 * float(good) / float(all);
                format!(
                    "success rate of {wanted} %: {}, {rate:.0} %",
                    word(rate >= wanted)
                )
            });
        }
        if let Some(wanted) = goals.recovery {
            let sorted = Recoveries::of(&self.scope.runs).sorted;
            lines.push(match median(&sorted) {
                None => format!("median recovery within {wanted}: not known, none was measured"),
                Some(median) => {
                    let met = median <= wanted.0.as_secs_f64() * 1000.0;
                    let is = duration(median);
                    format!("median recovery within {wanted}: {}, {is}", word(met))
                }
            });
        }
        if let Some(wanted) = goals.experiments_a_month {
            let months = Period::Days(self.scope.days).months().len();
            let is = float(self.totals.total) / float(months);
            let met = word(is >= float(wanted));
            lines.push(format!("{wanted} experiments a month: {met}, {is:.1}"));
        }
        (!lines.is_empty()).then(|| Section::new("Goals").items(lines))
    }

    /// What the quarter's runs say about the documents.
    fn updates(&self) -> Section {
        let failing = self.issues.open.iter().map(|issue| {
            let (experiment, check, day) = (issue.experiment, issue.check, issue.since.day());
            format!("The procedure of {experiment}: {check} fails since {day}")
        });
        let closed: BTreeSet<&str> = self
            .issues
            .closed
            .iter()
            .map(|issue| issue.experiment)
            .collect();
        let closed = closed.into_iter().map(|experiment| {
            format!("The procedure of {experiment}: what had failed in it passes again")
        });
        let silent = self.alerts.iter().filter(|alert| alert.silent() > 0);
        let silent = silent.map(|alert| format!("The alert {}: it stayed silent", alert.name));
        let lessons: usize = self.notes().map(|note| note.data.lessons.len()).sum();
        let runbook = (lessons > 0).then(|| {
            format!("The runbooks: {lessons} lessons of this quarter (chaos-report runbook FILE)")
        });
        let rehearsed: usize = people(self.scope).iter().map(|it| it.rehearsed).sum();
        let training = (rehearsed == 0)
            .then(|| "Training: nobody practised a rollback with --dry-run".to_owned());
        let items = failing
            .chain(closed)
            .chain(silent)
            .chain(runbook)
            .chain(training);
        Section::new("To Update").items(items.collect())
    }

    fn proposals(&self) -> Section {
        let mut section =
            Section::new("Proposed Experiments").items(coverage::proposals(self.scope));
        if section.items.is_empty() {
            section =
                section.intro("None: every experiment that hits one workload was tried on each.");
        }
        section
    }

    fn findings(&self) -> Vec<String> {
        let (totals, period) = (&self.totals, &self.settings.period);
        if totals.total == 0 {
            return vec![format!("No experiments in {period}")];
        }
        let recovery = Recoveries::of(&self.scope.runs).text();
        vec![
            format!(
                "{} experiments in {period}: {}",
                totals.total,
                totals.rate_text()
            ),
            format!("Average recovery time: {recovery}"),
            format!("Issues discovered: {}", self.discovered()),
        ]
    }
}
