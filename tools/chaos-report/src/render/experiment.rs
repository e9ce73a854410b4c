//! The report of one experiment: the runbook's form first, then the evidence.

use std::fmt::Write as _;

use chaos_common::output::duration;
use chaos_common::record::{
    Check, Data, Experiment, NodeState, Record, Status, SystemState, Target, Time, Verdict, tally,
};

use super::markdown::{cap, escape, field};
use super::tables;
use crate::findings::{
    Lessons, MOST, RunRecord, describe, findings, is_about_monitoring, sentence,
};

const NOT_KNOWN: &str = "not known";

/// The whole report. `stream` is the name of the file with the stream, beside it.
pub(crate) fn render(run: &RunRecord, lessons: &Lessons, stream: &str) -> String {
    let mut out = String::from("# Chaos Engineering Experiment Report\n\n");
    head(&mut out, run);
    details(&mut out, run);
    let before = run.health.as_ref();
    let before = before.map(|record| SystemView::of(record, &record.data.state));
    section(&mut out, "Pre-Experiment State");
    state(&mut out, before, "health record");
    execution(&mut out, run);
    let after = run.verification.as_ref();
    let after = after.map(|record| SystemView::of(record, &record.data.state));
    section(&mut out, "Post-Experiment State");
    state(&mut out, after, "verification after the experiment");
    learned(&mut out, lessons);
    evidence(&mut out, run);
    source(&mut out, run, stream);
    out
}

fn section(out: &mut String, name: &str) {
    let _ = write!(out, "\n## {name}\n");
}

/// The conclusion, then the lines that the runbook greps for, one each.
fn head(out: &mut String, run: &RunRecord) {
    let word = run.conclusion.word();
    let issues = run.issues();
    let duration = run.experiment_data();
    let duration = duration.map_or_else(|| NOT_KNOWN.to_owned(), length);
    let list: Vec<String> = cap(issues.clone(), 5).iter().map(|i| escape(i)).collect();
    let list = match list.as_slice() {
        [] => String::new(),
        some => format!(" ({})", some.join("; ")),
    };
    let _ = write!(
        out,
        "**{word}**: {}.\n\nStatus: {word}\n\nDuration: {duration}\n\nIssues: {}{list}\n",
        escape(&sentence(run)),
        issues.len()
    );
    let found = findings(run);
    if !found.is_empty() {
        out.push_str("\nKey findings:\n\n");
        for finding in cap(found, 8) {
            let _ = writeln!(out, "- {}", escape(&finding));
        }
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "no experiment lasts 2^52 milliseconds"
)]
fn length(experiment: &Experiment) -> String {
    duration(experiment.duration_ms as f64)
}

fn details(out: &mut String, run: &RunRecord) {
    let data = run.experiment_data();
    let known = |text: Option<String>| vec![text.unwrap_or_else(|| NOT_KNOWN.to_owned())];
    let targets = data
        .map(|data| &data.targets)
        .or(run.plan.as_ref().map(|plan| &plan.data.targets));
    let target = |t: &Target| {
        format!(
            "{}/{} of {} in {}",
            t.kind.to_lowercase(),
            t.name,
            t.owner,
            t.namespace
        )
    };
    let targets = match targets {
        Some(targets) => cap(targets.iter().map(target).collect(), 20),
        None => known(None),
    };
    section(out, "Experiment Details");
    field(out, "Name", &known(run.name().map(str::to_owned)));
    let day = |time: Time| time.0.strftime("%Y-%m-%d").to_string();
    field(out, "Date", &known(run.began().map(day)));
    field(out, "Duration", &known(data.map(length)));
    field(out, "Target", &targets);
    let executor = data.map(|data| data.executor.clone());
    field(out, "Executor", &known(executor));
}

/// How a tool found the system.
struct SystemView<'a> {
    verdict: Option<Verdict>,
    summary: &'a str,
    state: &'a SystemState,
    checks: &'a [Check],
}

impl<'a> SystemView<'a> {
    fn of<D: Data>(record: &'a Record<D>, state: &'a SystemState) -> SystemView<'a> {
        SystemView {
            verdict: record.verdict,
            summary: &record.summary,
            state,
            checks: record.data.checks(),
        }
    }

    fn health(&self) -> String {
        match self.verdict {
            Some(verdict) => format!("{verdict}: {}", self.summary),
            None => self.summary.to_owned(),
        }
    }
}

/// The three fields that the runbook has for the system before and after.
fn state(out: &mut String, view: Option<SystemView>, source: &str) {
    let missing = || vec![format!("{NOT_KNOWN}: the stream holds no {source}")];
    let (health, usage, monitoring) = match view {
        Some(view) => (
            vec![view.health()],
            usage(view.state),
            monitoring(view.checks),
        ),
        None => (missing(), missing(), missing()),
    };
    field(out, "System Health", &health);
    field(out, "Resource Usage", &usage);
    field(out, "Monitoring Status", &monitoring);
}

/// Processor and memory use of each node.
fn usage(state: &SystemState) -> Vec<String> {
    if state.nodes.is_empty() {
        return vec![format!("{NOT_KNOWN}: no node could be read")];
    }
    cap(state.nodes.iter().map(node_usage).collect(), 20)
}

fn node_usage(node: &NodeState) -> String {
    let (cores, all_cores) = (node.cpu_cores, node.cpu_allocatable_cores);
    let cpu = cores.map_or_else(
        || format!("processor use {NOT_KNOWN}"),
        |used| {
            let share = share(used, all_cores);
            format!("{used:.2} of {all_cores:.2} cores ({share})")
        },
    );
    let all_memory = gib(node.memory_allocatable_bytes);
    let memory = node.memory_bytes.map(gib).map_or_else(
        || format!("memory use {NOT_KNOWN}"),
        |used| {
            let share = share(used, all_memory);
            format!("{used:.1} of {all_memory:.1} GiB ({share})")
        },
    );
    format!("{}: {cpu}, {memory}", node.name)
}

#[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

fn share(used: f64, of: f64) -> String {
    if of > 0.0 {
        format!("{:.0} %", 100.0 * used / of)
    } else {
        NOT_KNOWN.to_owned()
    }
}

/// How the checks of the monitoring systems came out.
fn monitoring(checks: &[Check]) -> Vec<String> {
    let checks: Vec<&Check> = checks
        .iter()
        .filter(|check| is_about_monitoring(check))
        .collect();
    if checks.is_empty() {
        return vec![format!("{NOT_KNOWN}: it was not checked")];
    }
    let mut lines = vec![tally(checks.iter().copied())];
    let others = checks.iter().filter(|check| check.status != Status::Pass);
    lines.extend(others.map(|check| format!("{}: {}", check.status.word(), describe(check))));
    lines
}

fn execution(out: &mut String, run: &RunRecord) {
    let data = run.experiment_data();
    let time = |time: Option<Time>| vec![time.map_or_else(|| NOT_KNOWN.to_owned(), Time::human)];
    let actions = data.map_or_else(
        || vec![NOT_KNOWN.to_owned()],
        |data| cap(data.actions.clone(), 50),
    );
    let issues = match data {
        Some(_) => run.issues(),
        None => vec![NOT_KNOWN.to_owned()],
    };
    section(out, "Experiment Execution");
    field(out, "Start Time", &time(data.map(|data| data.started)));
    field(out, "End Time", &time(data.map(|data| data.ended)));
    field(out, "Issues Encountered", &issues);
    field(out, "Actions Taken", &actions);
}

fn learned(out: &mut String, lessons: &Lessons) {
    let few = |lines: &[String]| cap(lines.to_vec(), MOST);
    section(out, "Lessons Learned");
    field(out, "Successes", &few(&lessons.successes));
    field(out, "Failures", &few(&lessons.failures));
    field(out, "Improvements", &few(&lessons.improvements));
    field(out, "Recommendations", &lessons.recommendations);
    section(out, "Next Steps");
    field(out, "Follow-up Actions", &few(&lessons.follow_up));
    field(out, "Process Improvements", &few(&lessons.process));
    field(out, "Documentation Updates", &lessons.documentation);
}

fn evidence(out: &mut String, run: &RunRecord) {
    let data = run.experiment_data();
    section(out, "Recovery");
    out.push('\n');
    let recoveries = data.map_or(&[][..], |data| &data.recoveries);
    tables::recovery(out, recoveries, run.recovery_limit_ms());
    section(out, "Availability");
    out.push('\n');
    let availability = data.map_or(&[][..], |data| &data.availability);
    tables::availability(out, availability);
    section(out, "Checks");
    out.push('\n');
    tables::checks(out, run);
    section(out, "Notifications");
    out.push('\n');
    tables::notifications(out, run);
    section(out, "Timeline");
    out.push('\n');
    tables::timeline(out, run);
}

/// Where all this comes from, and what stands in the way of trusting it.
fn source(out: &mut String, run: &RunRecord, stream: &str) {
    let data = run.experiment_data();
    let overridden = data.map(|data| data.overridden.as_slice());
    let overridden: Vec<String> = overridden
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    let doubts = run.broken.iter().chain(&run.unreadable);
    let mut doubts: Vec<String> = doubts.cloned().collect();
    if run.experiments > 1 {
        doubts.push(format!(
            "the stream holds {} experiments; this report is on the last",
            run.experiments
        ));
    }
    section(out, "Source");
    field(out, "Run", std::slice::from_ref(&run.run));
    field(out, "Stream", &[stream.to_owned()]);
    field(out, "Overridden gates", &overridden);
    field(out, "Doubts about the stream", &doubts);
}
