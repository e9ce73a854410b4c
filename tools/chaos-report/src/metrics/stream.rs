//! The metrics of a stream: what each tool found, for alerts on a nightly check.
//!
//! What collects them goes on exporting a file when no run comes any more. So they tell when each
//! result was made, and when the last one did that passed.

use std::collections::BTreeMap;

use chaos_common::record::{Check, Record, Status, Verdict};
use chaos_common::stream::Upstream;
use serde_json::Value;

use super::family::{Family, Labels, float, seconds, text};

const LAST_PASS: &str = "chaos_result_last_pass_timestamp_seconds";

/// The metrics of the latest result of each kind. The times of the last good ones are taken over
/// from the metrics that were written `before`.
pub(crate) fn of_stream(upstream: &Upstream, before: &str) -> String {
    let mut latest: BTreeMap<&str, &Record<Value>> = BTreeMap::new();
    for record in upstream.in_order() {
        if record.verdict.is_some() {
            latest.insert(&record.schema, record);
        }
    }
    let results: Vec<Result> = latest.into_values().map(Result::of).collect();
    let each = |name, help, of: &dyn Fn(&Result) -> Vec<(Labels, f64)>| {
        Family::of(name, help, results.iter().flat_map(of))
    };
    let whole = float(usize::from(upstream.broken.is_none()));
    text(&[
        Family::of(
            "chaos_stream_whole",
            "Whether the stream ended as it should: 0 if a tool died.",
            [(Labels::new(), whole)],
        ),
        each(
            "chaos_result_verdict",
            "The answer of each tool: 1 at that verdict.",
            &|it| it.verdicts(),
        ),
        each(
            "chaos_result_checks",
            "Checks of each result, by status.",
            &|it| it.checks(),
        ),
        each("chaos_result_check", "Checks that did not pass.", &|it| {
            it.troubles()
        }),
        each(
            "chaos_result_timestamp_seconds",
            "When each result was made.",
            &|it| vec![(it.labels.clone(), seconds(it.record.time))],
        ),
        each(
            LAST_PASS,
            "When the last result was made that passed; absent if none has yet.",
            &|it| it.passed(),
        )
        .carrying(before),
    ])
}

/// A tool's result.
struct Result<'r> {
    record: &'r Record<Value>,
    verdict: Verdict,
    labels: Labels,
    checks: Vec<Check>,
}

impl Result<'_> {
    fn of(record: &Record<Value>) -> Result<'_> {
        let kind = record.schema.split('/').next().unwrap_or_default();
        let mut labels = vec![("result", kind.to_owned())];
        let namespace = record.data.get("namespace").and_then(Value::as_str);
        labels.extend(namespace.map(|it| ("namespace", it.to_owned())));
        let checks = record.data.get("checks").cloned().unwrap_or_default();
        Result {
            record,
            verdict: record.verdict.unwrap_or(Verdict::Unknown),
            labels,
            checks: serde_json::from_value(checks).unwrap_or_default(),
        }
    }

    fn with(&self, name: &'static str, value: &str) -> Labels {
        let mut labels = self.labels.clone();
        labels.push((name, value.to_owned()));
        labels
    }

    fn verdicts(&self) -> Vec<(Labels, f64)> {
        let verdicts = [Verdict::Pass, Verdict::Fail, Verdict::Unknown].into_iter();
        let is = |verdict: Verdict| float(usize::from(verdict == self.verdict));
        verdicts
            .map(|verdict| (self.with("verdict", verdict.word()), is(verdict)))
            .collect()
    }

    fn checks(&self) -> Vec<(Labels, f64)> {
        let count = |status| self.checks.iter().filter(|it| it.status == status).count();
        Status::ALL
            .into_iter()
            .map(|status| (self.with("status", status.word()), float(count(status))))
            .collect()
    }

    /// Each sample once, however often the same was asked.
    fn troubles(&self) -> Vec<(Labels, f64)> {
        let bad = self
            .checks
            .iter()
            .filter(|check| matches!(check.status, Status::Fail | Status::Unknown | Status::Warn));
        let mut counts: BTreeMap<Labels, usize> = BTreeMap::new();
        for check in bad {
            let mut labels = self.with("check", &check.id);
            labels.extend(check.object.clone().map(|it| ("object", it)));
            labels.push(("status", check.status.word().to_owned()));
            *counts.entry(labels).or_default() += 1;
        }
        let counts = counts.into_iter();
        counts.map(|(labels, n)| (labels, float(n))).collect()
    }

    fn passed(&self) -> Vec<(Labels, f64)> {
        let made = (self.labels.clone(), seconds(self.record.time));
        let passed = self.verdict == Verdict::Pass;
        passed.then_some(made).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(verdict: &str, time: &str, checks: &str) -> String {
        format!(
            r#"{{"schema":"chaos.health/1","id":"{time}","run":"r","time":"{time}","tool":"chaos-health 1","verdict":"{verdict}","summary":"s","data":{{"namespace":"shop","checks":[{checks}]}}}}"#
        )
    }

    fn metrics(stream: &str, before: &str) -> String {
        let upstream = Upstream::from_reader(stream.as_bytes()).expect("readable");
        of_stream(&upstream, before)
    }

    fn holds(text: &str, line: &str) {
        assert!(
            text.lines().any(|it| it == line),
            "{line} is not in\n{text}"
        );
    }

    #[test]
    fn the_latest_result_counts_and_the_time_of_the_last_good_one_survives_bad_ones() {
        let pass = line(
            "pass",
            "2026-11-22T16:00:00.500Z",
            r#"{"id":"a","status":"pass","message":""}"#,
        );
        let bad = r#"{"id":"pods.ready","object":"deployment/\"x\"","status":"fail","message":""}"#;
        let fail = line("fail", "2026-11-22T17:00:00.000Z", &[bad, bad].join(","));
        let labels = r#"{result="chaos.health",namespace="shop"}"#;
        let good = metrics(&format!("{pass}\n"), "");
        holds(&good, "chaos_stream_whole 1");
        holds(&good, &format!("{LAST_PASS}{labels} 1795363200.5"));
        let both = metrics(&format!("{pass}\n{fail}\n"), &good);
        holds(
            &both,
            r#"chaos_result_verdict{result="chaos.health",namespace="shop",verdict="fail"} 1"#,
        );
        holds(
            &both,
            r#"chaos_result_check{result="chaos.health",namespace="shop",check="pods.ready",object="deployment/\"x\"",status="fail"} 2"#,
        );
        holds(&both, &format!("{LAST_PASS}{labels} 1795363200.5"));
        let never = metrics(&format!("{fail}\n"), "");
        assert!(!never.contains(LAST_PASS), "{never}");
        // Nor does a run without a result lose it.
        holds(
            &metrics("", &both),
            &format!("{LAST_PASS}{labels} 1795363200.5"),
        );
    }

    #[test]
    fn a_stream_that_ended_too_early_shows() {
        for stream in ["", "{\"schema\":\"chaos.heal"] {
            holds(&metrics(stream, ""), "chaos_stream_whole 0");
        }
    }
}
