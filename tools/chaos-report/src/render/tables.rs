//! The tables behind a report: recoveries, availability, checks, timeline.

use std::fmt::Write as _;

use chaos_common::record::{Availability, ChannelOutcome, Kind, PodRecovery, Record, Status, Time};

use super::markdown::table;
use crate::findings::RunRecord;

/// The most rows of a timeline: its beginning and its end.
const MOST_EVENTS: usize = 200;

/// How each pod came back, phase by phase. `limit_ms` is what the plan allows, where it records it.
pub(crate) fn recovery(out: &mut String, recoveries: &[PodRecovery], limit_ms: Option<u64>) {
    let ms =
        |value: Option<f64>| value.map_or_else(|| "not seen".to_owned(), |ms| format!("{ms:.0}"));
    let rows: Vec<[String; 11]> = recoveries
        .iter()
        .map(|pod| {
            let phases = &pod.phases;
            [
                pod.deleted.name.clone(),
                pod.replacement
                    .as_ref()
                    .map_or_else(|| "none".to_owned(), |pod| pod.name.clone()),
                ms(phases.out_of_endpoints_ms),
                ms(phases.created_ms),
                ms(phases.scheduled_ms),
                ms(phases.started_ms),
                ms(phases.ready_ms),
                ms(phases.in_endpoints_ms),
                ms(phases.first_answer_ms),
                ms(pod.recovery_ms),
                format!("0 to {:.0} less", pod.error_bound_ms),
            ]
        })
        .collect();
    if rows.is_empty() {
        out.push_str("No recovery was measured.\n");
        return;
    }
    let limit = match limit_ms {
        Some(limit) => format!("{limit} are allowed by the plan"),
        None => "the limit is not recorded".to_owned(),
    };
    let _ = write!(
        out,
        "Milliseconds from the sending of the delete call; {limit}.\n\n"
    );
    let head = [
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
    ];
    table(out, head, &rows);
}

/// What callers saw.
pub(crate) fn availability(out: &mut String, all: &[Availability]) {
    let ms =
        |value: Option<f64>| value.map_or_else(|| "not known".to_owned(), |ms| format!("{ms:.1}"));
    let rows: Vec<[String; 9]> = all
        .iter()
        .map(|a| {
            [
                format!("{}{}", a.service, a.path),
                a.vantage.clone(),
                format!("{} of {}", a.good, a.requests),
                a.missed.to_string(),
                format!("{:.2}", a.percent),
                format!("{:.0} ±{}", a.longest_gap_ms, a.interval_ms),
                ms(a.p50_ms),
                ms(a.max_ms),
                a.errors.join("; "),
            ]
        })
        .collect();
    if rows.is_empty() {
        out.push_str("Availability was not measured.\n");
        return;
    }
    let head = [
        "Service",
        "Seen from",
        "Good answers",
        "Not sent",
        "Per cent",
        "Longest gap (ms)",
        "Median (ms)",
        "Slowest (ms)",
        "Bad answers",
    ];
    table(out, head, &rows);
}

/// Every check, those first that did not pass.
pub(crate) fn checks(out: &mut String, run: &RunRecord) {
    let rank = |status: Status| match status {
        Status::Fail => 0,
        Status::Unknown => 1,
        Status::Warn => 2,
        Status::Skipped => 3,
        Status::Pass => 4,
    };
    let mut checks = run.checks();
    checks.sort_by_key(|(_, check)| rank(check.status));
    let rows: Vec<[String; 5]> = checks
        .into_iter()
        .map(|(kind, check)| {
            [
                check.status.word().to_owned(),
                kind_word(kind).to_owned(),
                check.id.clone(),
                check.object.clone().unwrap_or_default(),
                check.message.clone(),
            ]
        })
        .collect();
    if rows.is_empty() {
        out.push_str("The stream holds no checks.\n");
    } else {
        table(out, ["Answer", "Record", "Check", "Object", "Seen"], &rows);
    }
}

/// The word for a kind of record in a table.
fn kind_word(kind: Kind) -> &'static str {
    kind.name().trim_start_matches("chaos.")
}

/// What happened when, from the records and events in order of their time.
pub(crate) fn timeline(out: &mut String, run: &RunRecord) {
    let mut entries: Vec<(Time, String, String)> = Vec::new();
    macro_rules! add {
        ($($record:expr),*) => { $( entries.extend($record.iter().map(entry)); )* };
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
    entries.sort_by_key(|(time, ..)| *time);
    if entries.is_empty() {
        out.push_str("The stream holds no records.\n");
        return;
    }
    let row = |(time, tool, what): &(Time, String, String)| {
        [
            time.0.strftime("%H:%M:%S%.3f").to_string(),
            tool.clone(),
            what.clone(),
        ]
    };
    let more = entries.len().saturating_sub(MOST_EVENTS);
    let mut rows: Vec<[String; 3]> = entries.iter().map(row).collect();
    if more > 0 {
        let note = format!("{more} more, in the stream");
        rows.splice(
            MOST_EVENTS / 2..MOST_EVENTS / 2 + more,
            [["…".to_owned(), String::new(), note]],
        );
    }
    table(out, ["Time (UTC)", "Tool", "What"], &rows);
}

fn entry<D>(record: &Record<D>) -> (Time, String, String) {
    let what = match record.verdict {
        Some(verdict) => format!("{verdict}: {}", record.summary),
        None => record.summary.clone(),
    };
    (
        record.time,
        record.tool.split(' ').next().unwrap_or_default().to_owned(),
        what,
    )
}

/// Who was told, and whether it arrived.
pub(crate) fn notifications(out: &mut String, run: &RunRecord) {
    let word = |outcome| match outcome {
        ChannelOutcome::Sent => "sent",
        ChannelOutcome::Partly => "partly",
        ChannelOutcome::Failed => "failed",
        ChannelOutcome::Unknown => "unknown",
    };
    let mut rows = Vec::new();
    for record in &run.notifications {
        for channel in &record.data.channels {
            rows.push([
                record.data.subject.clone(),
                channel.channel.clone(),
                channel.to.clone(),
                word(channel.outcome).to_owned(),
                channel.detail.clone(),
            ]);
        }
    }
    if rows.is_empty() {
        out.push_str("The stream tells of no message that was sent.\n");
    } else {
        table(
            out,
            ["Message", "Channel", "To", "Outcome", "Answer"],
            &rows,
        );
    }
}
