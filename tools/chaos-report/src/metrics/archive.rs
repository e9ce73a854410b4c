//! The metrics of an archive: how experiments came out, and what is open.

use std::collections::BTreeMap;

use chaos_common::conclusion::Conclusion;
use chaos_common::record::Time;

use super::family::{Family, Labels, float, seconds, text};
use crate::actions;
use crate::index::Index;
use crate::review::{Recoveries, Reviewed, Scope, day, issues};

/// The metrics of the archive. What depends on the day is by this time.
pub(crate) fn of_archive(index: &Index, now: Time) -> String {
    let scope = Scope::all(index);
    let mut families = runs(&scope);
    families.push(open_issues(&scope));
    families.extend(next_steps(index, now));
    families.extend(archive(index));
    text(&families)
}

/// The metrics of each experiment on each target.
fn runs(scope: &Scope) -> Vec<Family> {
    let mut by_status: BTreeMap<Labels, usize> = BTreeMap::new();
    let mut of: BTreeMap<Labels, Vec<&Reviewed>> = BTreeMap::new();
    for reviewed in &scope.runs {
        let facts = &reviewed.run.facts;
        let labels = vec![
            ("experiment", facts.name.clone()),
            ("namespace", facts.namespace.clone()),
            ("target", facts.target()),
        ];
        let mut status = labels.clone();
        status.push(("status", facts.conclusion.word().to_lowercase()));
        *by_status.entry(status).or_default() += 1;
        of.entry(labels).or_default().push(reviewed);
    }
    let last = |wanted: &dyn Fn(&Reviewed) -> f64| {
        let samples = of.iter().filter_map(|(labels, runs)| {
            let last = runs.last()?;
            Some((labels.clone(), wanted(last)))
        });
        samples.collect::<Vec<_>>()
    };
    let medians = of.iter().filter_map(|(labels, runs)| {
        let median = Recoveries::of(runs.iter().copied()).median()?;
        Some((labels.clone(), median / 1000.0))
    });
    let last_recoveries = of.iter().filter_map(|(labels, runs)| {
        let took = runs
            .iter()
            .rev()
            .find_map(|it| it.run.facts.recovery_ms())?;
        Some((labels.clone(), took / 1000.0))
    });
    let counts = by_status.into_iter();
    vec![
        Family::of(
            "chaos_archive_runs",
            "Runs in the archive, by how they came out.",
            counts.map(|(labels, n)| (labels, float(n))),
        ),
        Family::of(
            "chaos_last_run_timestamp_seconds",
            "When the last run began.",
            last(&|it| seconds(it.began())),
        ),
        Family::of(
            "chaos_last_run_passed",
            "Whether the last run passed: 1 or 0.",
            last(&|it| float(usize::from(it.run.facts.conclusion == Conclusion::Pass))),
        ),
        Family::of(
            "chaos_last_run_issues",
            "Issues of the last run.",
            last(&|it| float(it.run.facts.issue_count)),
        ),
        Family::of(
            "chaos_last_recovery_seconds",
            "How long the last run with a measured recovery took to recover.",
            last_recoveries,
        ),
        Family::of(
            "chaos_median_recovery_seconds",
            "The median recovery of the runs in the archive.",
            medians,
        ),
    ]
}

fn open_issues(scope: &Scope) -> Family {
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    for reviewed in &scope.runs {
        open.entry(reviewed.name()).or_default();
    }
    for issue in issues(scope).open {
        *open.entry(issue.experiment).or_default() += 1;
    }
    let sample = |(name, n): (&str, usize)| (vec![("experiment", name.to_owned())], float(n));
    Family::of(
        "chaos_open_issues",
        "Checks that failed, and have not passed since.",
        open.into_iter().map(sample),
    )
}

fn next_steps(index: &Index, now: Time) -> [Family; 2] {
    let today = day(now);
    let actions = actions::all(&index.entries);
    let open = actions.iter().filter(|action| action.done.is_none());
    let (mut owners, mut late): (BTreeMap<&str, usize>, usize) = (BTreeMap::new(), 0);
    for action in open {
        let owner = action.step.owner.as_deref().unwrap_or_default();
        *owners.entry(owner).or_default() += 1;
        late += usize::from(action.is_overdue(today));
    }
    let sample = |(owner, n): (&str, usize)| (vec![("owner", owner.to_owned())], float(n));
    [
        Family::of(
            "chaos_open_next_steps",
            "Next steps that are not done, by owner.",
            owners.into_iter().map(sample),
        ),
        Family::of(
            "chaos_late_next_steps",
            "Next steps that are not done, and whose day is over.",
            vec![(Vec::new(), float(late))],
        ),
    ]
}

fn archive(index: &Index) -> [Family; 2] {
    let missing = index.unreadable.len() + index.gone.len();
    [
        Family::of(
            "chaos_archive_streams",
            "Streams in the archive that can be read.",
            vec![(Vec::new(), float(index.entries.len()))],
        ),
        Family::of(
            "chaos_archive_missing_streams",
            "Streams of the archive that can't be read or are gone.",
            vec![(Vec::new(), float(missing))],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use chaos_common::record::Status;

    use super::super::DASHBOARD;
    use super::*;
    use crate::review::examples::{archive as example, at, run};

    #[test]
    fn labels_hold_any_text_and_every_metric_of_the_dashboard_is_there() {
        let mut odd = run(
            "2026-11-01",
            "a\"b\\c\nd",
            Conclusion::Fail,
            &[("x", Status::Fail)],
        );
        odd.facts.recoveries = vec![1500.0];
        let index = example(&[odd]);
        let text = of_archive(&index, at("2026-11-02"));
        let labels = r#"{experiment="a\"b\\c\nd",namespace="shop",target="deployment/backend"}"#;
        for line in [
            &format!("chaos_last_recovery_seconds{labels} 1.5"),
            &format!("chaos_last_run_passed{labels} 0"),
            r#"chaos_open_issues{experiment="a\"b\\c\nd"} 1"#,
            "chaos_late_next_steps 0",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
        assert!(text.ends_with("\n# EOF\n"));
        let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).expect("JSON");
        let panels = dashboard["panels"].as_array().expect("panels");
        assert!(panels.len() > 5);
        for panel in panels {
            let asked = panel["targets"][0]["expr"].as_str().expect("a question");
            let name = asked.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            let name = name
                .into_iter()
                .find(|it| it.starts_with("chaos_"))
                .expect("a metric");
            let known = text.contains(&format!("# TYPE {name} gauge"));
            assert!(
                known || name == "chaos_open_next_steps",
                "{name} is not exported"
            );
        }
    }
}
