//! The archive as metrics, in the text form of OpenMetrics (version 1.0.0, which Prometheus' own
//! text form reads as well: all of them are gauges, as runs can leave the archive).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chaos_common::conclusion::Conclusion;
use chaos_common::record::Time;

use crate::actions;
use crate::index::Index;
use crate::review::{Recoveries, Reviewed, Scope, day, issues};

/// A dashboard of these metrics for Grafana.
pub(crate) const DASHBOARD: &str = include_str!("dashboard.json");

/// A metric and its samples, each with its labels.
struct Family {
    name: &'static str,
    help: &'static str,
    samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

/// The metrics of the archive. What depends on the day is by this time.
pub(crate) fn metrics(index: &Index, now: Time) -> String {
    let scope = Scope::all(index);
    let mut families = runs(&scope);
    families.push(open_issues(&scope));
    families.extend(next_steps(index, now));
    families.extend(archive(index));
    let mut out = String::new();
    for family in families {
        write(&mut out, &family);
    }
    out.push_str("# EOF\n");
    out
}

/// The metrics of each experiment on each target.
fn runs(scope: &Scope) -> Vec<Family> {
    let mut by_status: BTreeMap<Vec<(&'static str, String)>, usize> = BTreeMap::new();
    let mut of: BTreeMap<Vec<(&'static str, String)>, Vec<&Reviewed>> = BTreeMap::new();
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
        samples.collect()
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
        Family {
            name: "chaos_archive_runs",
            help: "Runs in the archive, by how they came out.",
            samples: counts.map(|(labels, n)| (labels, float(n))).collect(),
        },
        Family {
            name: "chaos_last_run_timestamp_seconds",
            help: "When the last run began.",
            samples: last(&|it| seconds(it.began())),
        },
        Family {
            name: "chaos_last_run_passed",
            help: "Whether the last run passed: 1 or 0.",
            samples: last(&|it| float(usize::from(it.run.facts.conclusion == Conclusion::Pass))),
        },
        Family {
            name: "chaos_last_run_issues",
            help: "Issues of the last run.",
            samples: last(&|it| float(it.run.facts.issue_count)),
        },
        Family {
            name: "chaos_last_recovery_seconds",
            help: "How long the last run with a measured recovery took to recover.",
            samples: last_recoveries.collect(),
        },
        Family {
            name: "chaos_median_recovery_seconds",
            help: "The median recovery of the runs in the archive.",
            samples: medians.collect(),
        },
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
    Family {
        name: "chaos_open_issues",
        help: "Checks that failed, and have not passed since.",
        samples: open.into_iter().map(sample).collect(),
    }
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
        Family {
            name: "chaos_open_next_steps",
            help: "Next steps that are not done, by owner.",
            samples: owners.into_iter().map(sample).collect(),
        },
        Family {
            name: "chaos_late_next_steps",
            help: "Next steps that are not done, and whose day is over.",
            samples: vec![(Vec::new(), float(late))],
        },
    ]
}

fn archive(index: &Index) -> [Family; 2] {
    let missing = index.unreadable.len() + index.gone.len();
    [
        Family {
            name: "chaos_archive_streams",
            help: "Streams in the archive that can be read.",
            samples: vec![(Vec::new(), float(index.entries.len()))],
        },
        Family {
            name: "chaos_archive_missing_streams",
            help: "Streams of the archive that can't be read or are gone.",
            samples: vec![(Vec::new(), float(missing))],
        },
    ]
}

fn write(out: &mut String, family: &Family) {
    let Family {
        name,
        help,
        samples,
    } = family;
    if samples.is_empty() {
        return;
    }
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (labels, value) in samples {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
            .collect();
        let _ = if labels.is_empty() {
            writeln!(out, "{name} {value}")
        } else {
            writeln!(out, "{name}{{{}}} {value}", labels.join(","))
        };
    }
}

/// A label's value, as both text forms want it.
fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this millennium"
)]
fn seconds(time: Time) -> f64 {
    time.0.as_millisecond() as f64 / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts of runs")]
fn float(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use chaos_common::record::Status;

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
        let text = metrics(&index, at("2026-11-02"));
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
