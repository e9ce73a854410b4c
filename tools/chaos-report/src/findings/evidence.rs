//! The evidence: tables of what was measured, each with its method and unit.

use chaos_common::record::{
    Availability, ChannelOutcome, Check, PodRecovery, Record, Status, Time, Timing,
};

use super::model::{CheckLine, Counts, RecordChecks, Row, Table};
use super::run_record::RunRecord;
use super::words::{NOT_KNOWN, clock, whole_duration};

/// The most rows of the timeline; those in the middle are left out then.
const MOST_EVENTS: usize = 100;

/// All tables, in the order in which they are shown.
pub(crate) fn tables(run: &RunRecord) -> Vec<Table> {
    vec![
        recovery(run),
        availability(run),
        response_times(run),
        alerts(run),
        checks(run),
        notifications(run),
        timeline(run),
    ]
}

/// A figure, or that it was not seen.
fn seen(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(
        || "not seen".to_owned(),
        |value| format!("{value:.decimals$}"),
    )
}

fn recovery(run: &RunRecord) -> Table {
    let limit = match run.recovery_limit_ms() {
        Some(limit) => format!("the plan allows {limit} ms ({})", whole_duration(limit)),
        None => "the limit is not recorded".to_owned(),
    };
    let method = format!(
        "Milliseconds from the sending of the delete call to each step, as watches and probes \
         showed it. The true recovery is at most the error bound shorter, and never longer; {limit}."
    );
    let pods = run
        .experiment_data()
        .map_or(&[][..], |data| &data.recoveries);
    let row = |pod: &PodRecovery| {
        let (phases, replacement) = (&pod.phases, pod.replacement.as_ref());
        Row::of([
            pod.deleted.name.clone(),
            replacement.map_or_else(|| "none".to_owned(), |pod| pod.name.clone()),
            seen(phases.out_of_endpoints_ms, 0),
            seen(phases.created_ms, 0),
            seen(phases.scheduled_ms, 0),
            seen(phases.started_ms, 0),
            seen(phases.ready_ms, 0),
            seen(phases.in_endpoints_ms, 0),
            seen(phases.first_answer_ms, 0),
            seen(pod.recovery_ms, 0),
            format!("0 to {:.0} less", pod.error_bound_ms),
        ])
    };
    Table {
        title: "Recovery of each pod",
        method,
        head: vec![
            "Pod",
            "Replacement",
            "Out of endpoints",
            "Created",
            "Scheduled",
            "Started",
            "Ready",
            "In endpoints",
            "First answer",
            "Recovered",
            "Error bound",
        ],
        rows: pods.iter().map(row).collect(),
        empty: "No pod was deleted, so no recovery of one was measured.",
    }
}

fn availability(run: &RunRecord) -> Table {
    let paths = run
        .experiment_data()
        .map_or(&[][..], |data| &data.availability);
    let row = |one: &Availability| {
        Row::of([
            format!("{}{}", one.service, one.path),
            one.vantage.clone(),
            format!("{} of {}", one.good, one.requests),
            one.missed.to_string(),
            if one.requests == 0 {
                NOT_KNOWN.to_owned()
            } else {
                format!("{:.2}", one.percent)
            },
            format!("{:.0} ±{}", one.longest_gap_ms, one.interval_ms),
            seen(one.p50_ms, 1),
            seen(one.max_ms, 1),
            one.errors.join("; "),
        ])
    };
    Table {
        title: "Availability",
        method:
            "Requests at a fixed rate from the warm-up before the fault to the end of the run, \
                 each timed from the moment at which it was due. The gap is true to one interval. \
                 The share depends on how long was measured; the gap does not."
                .to_owned(),
        head: vec![
            "Path",
            "Seen from",
            "Good answers",
            "Not sent",
            "Per cent",
            "Longest gap (ms)",
            "Median (ms)",
            "Slowest (ms)",
            "First bad answers",
        ],
        rows: paths.iter().map(row).collect(),
        empty: "Availability was not measured.",
    }
}

/// Response times of the baseline and of the verification.
fn response_times(run: &RunRecord) -> Table {
    let before = run
        .baseline
        .as_ref()
        .map_or(&[][..], |record| &record.data.timings);
    let after = run
        .verification
        .as_ref()
        .map_or(&[][..], |record| &record.data.timings);
    let key = |one: &Timing| (one.service.clone(), one.path.clone(), one.vantage.clone());
    let row = |now: &Timing| {
        let was = before.iter().find(|was| key(was) == key(now));
        let figure = |of: fn(&Timing) -> Option<f64>| {
            format!("{} → {}", seen(was.and_then(of), 1), seen(of(now), 1))
        };
        let failed = |one: Option<&Timing>| {
            one.map_or(NOT_KNOWN.to_owned(), |one| {
                format!("{} of {}", one.errors, one.requests)
            })
        };
        let load = now.load.as_ref();
        let offered = load.and_then(|load| load.offered_rate);
        let under = match (load, offered) {
            (None, _) => "one after the other".to_owned(),
            (Some(_), None) => "as fast as answered".to_owned(),
            (Some(_), Some(rate)) => format!("{rate:.0} a second"),
        };
        Row::of([
            format!("{}{}", now.service, now.path),
            now.vantage.clone(),
            under,
            figure(|one| one.p50_ms),
            figure(|one| one.p95_ms),
            figure(|one| one.p99_ms),
            format!("{} → {}", failed(was), failed(Some(now))),
        ])
    };
    Table {
        title: "Response times before and after",
        method:
            "Milliseconds, of the baseline and of the verification, from the same vantage; the \
                 way there is in the figures. Quantiles by nearest rank."
                .to_owned(),
        head: vec![
            "Path",
            "Seen from",
            "Requests",
            "Median",
            "95th percentile",
            "99th percentile",
            "Failed",
        ],
        rows: after.iter().map(row).collect(),
        empty: "Response times were not measured after the experiment.",
    }
}

fn alerts(run: &RunRecord) -> Table {
    let alerts = run.experiment_data().map_or(&[][..], |data| &data.alerts);
    let row = |alert: &chaos_common::record::AlertSeen| {
        let fired = if alert.before {
            "was firing before".to_owned()
        } else {
            seen(alert.fired_ms.map(|ms| ms / 1000.0), 1)
        };
        let expected = if alert.expected { "yes" } else { "no" };
        Row::of([
            alert.name.clone(),
            expected.to_owned(),
            fired,
            seen(alert.delivered_ms.map(|ms| ms / 1000.0), 1),
        ])
    };
    Table {
        title: "Alerts",
        method: "Seconds from the injection, true to half a second, the interval at which \
                 Prometheus was asked."
            .to_owned(),
        head: vec!["Alert", "Expected", "Fired (s)", "In Alertmanager (s)"],
        rows: alerts.iter().map(row).collect(),
        empty: "No alert was expected, and none was seen.",
    }
}

/// The checks that did not pass, those first that matter most.
fn checks(run: &RunRecord) -> Table {
    let mut checks = run.checks();
    checks.retain(|(_, check)| check.status != Status::Pass);
    checks.sort_by_key(|(_, check)| rank(check.status));
    let row = |(kind, check): &(chaos_common::record::Kind, &Check)| Row {
        status: Some(check.status),
        cells: vec![
            check.status.word().to_owned(),
            kind.name().trim_start_matches("chaos.").to_owned(),
            check.id.clone(),
            check.object.clone().unwrap_or_default(),
            check.message.clone(),
        ],
    };
    Table {
        title: "Checks that did not pass",
        method: "Those that passed are counted above, and stand one by one in the stream and in \
                 the report's JSON and JUnit files."
            .to_owned(),
        head: vec!["Answer", "Record", "Check", "Object", "Seen"],
        rows: checks.iter().map(row).collect(),
        empty: "All checks passed.",
    }
}

fn rank(status: Status) -> u8 {
    match status {
        Status::Fail => 0,
        Status::Unknown => 1,
        Status::Warn => 2,
        Status::Skipped => 3,
        Status::Pass => 4,
    }
}

/// Who was told, and whether it arrived.
fn notifications(run: &RunRecord) -> Table {
    let mut rows = Vec::new();
    for record in &run.notifications {
        for channel in &record.data.channels {
            let (word, status) = match channel.outcome {
                ChannelOutcome::Sent => ("sent", Status::Pass),
                ChannelOutcome::Failed => ("failed", Status::Fail),
                ChannelOutcome::Unknown => ("unknown", Status::Unknown),
            };
            rows.push(Row {
                status: Some(status),
                cells: vec![
                    word.to_owned(),
                    record.data.subject.clone(),
                    channel.channel.clone(),
                    channel.to.clone(),
                    channel.detail.clone(),
                ],
            });
        }
    }
    Table {
        title: "Notifications",
        method: "The other side's answer to each message, up to when this report was made.".into(),
        head: vec!["Outcome", "Message", "Channel", "To", "Answer"],
        rows,
        empty: "The stream tells of no message that was sent.",
    }
}

/// What happened when, from the records and events in order of their time.
fn timeline(run: &RunRecord) -> Table {
    let mut entries: Vec<(Time, Row)> = Vec::new();
    macro_rules! add {
        ($($records:expr),*) => { $( entries.extend($records.iter().map(entry)); )* };
    }
    add!(
        run.health,
        run.backup,
        run.baseline,
        run.plan,
        run.experiment,
        run.verification
    );
    add!(run.notifications, run.events);
    entries.sort_by_key(|(time, _)| *time);
    let mut rows: Vec<Row> = entries.into_iter().map(|(_, row)| row).collect();
    if let Some(more) = rows.len().checked_sub(MOST_EVENTS).filter(|more| *more > 0) {
        let note = format!("{more} more, in the stream");
        let note = Row::of(["…".to_owned(), String::new(), note]);
        rows.splice(MOST_EVENTS / 2..MOST_EVENTS / 2 + more, [note]);
    }
    Table {
        title: "Timeline of all records",
        method: "Times of day in UTC, by the clock of the machine that the tools ran on.".into(),
        head: vec!["Time", "Tool", "What"],
        rows,
        empty: "The stream holds no records.",
    }
}

fn entry<D>(record: &Record<D>) -> (Time, Row) {
    let what = match record.verdict {
        Some(verdict) => format!("{verdict}: {}", record.summary),
        None => record.summary.clone(),
    };
    let tool = record.tool.split(' ').next().unwrap_or_default();
    (
        record.time,
        Row::of([clock(record.time), tool.to_owned(), what]),
    )
}

/// Every record with checks, and how they came out.
pub(crate) fn records(run: &RunRecord) -> Vec<RecordChecks> {
    let mut all = Vec::new();
    macro_rules! add {
        ($($records:expr),*) => { $( all.extend($records.iter().map(record_checks)); )* };
    }
    add!(
        run.health,
        run.backup,
        run.baseline,
        run.plan,
        run.notifications
    );
    add!(run.experiment, run.verification);
    all
}

fn record_checks<D: chaos_common::record::Data>(record: &Record<D>) -> RecordChecks {
    use chaos_common::record::Verdict;
    let checks = record.data.checks();
    let number = |status| checks.iter().filter(|check| check.status == status).count();
    let line = |check: &Check| CheckLine {
        id: check.id.clone(),
        object: check.object.clone().unwrap_or_default(),
        status: check.status,
        message: check.message.clone(),
        hint: check.hint.clone(),
    };
    RecordChecks {
        record: D::KIND.name().trim_start_matches("chaos.").to_owned(),
        verdict: record.verdict.map(|verdict| match verdict {
            Verdict::Pass => Status::Pass,
            Verdict::Fail => Status::Fail,
            Verdict::Unknown => Status::Unknown,
        }),
        time: record.time.to_string(),
        summary: record.summary.clone(),
        counts: Counts {
            pass: number(Status::Pass),
            fail: number(Status::Fail),
            unknown: number(Status::Unknown),
            warn: number(Status::Warn),
            skipped: number(Status::Skipped),
        },
        checks: checks.iter().map(line).collect(),
    }
}
