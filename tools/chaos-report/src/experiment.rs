//! The report of one experiment: the runbook's form first, then the evidence.

use std::fmt::Write as _;

use chaos_common::output::duration;
use chaos_common::record::{Check, Experiment, Status, SystemState, Target, Time, Verdict};

use crate::findings::{findings, sentence};
use crate::lessons::Lessons;
use crate::markdown::{cap, escape, field};
use crate::story::Story;
use crate::tables;

const NOT_KNOWN: &str = "not known";

/// The whole report. `stream` is the name of the file with the stream, beside it.
pub(crate) fn render(story: &Story, lessons: &Lessons, stream: &str) -> String {
    let mut out = String::from("# Chaos Engineering Experiment Report\n\n");
    head(&mut out, story);
    details(&mut out, story);
    let before = story.health.as_ref();
    section(&mut out, "Pre-Experiment State");
    state(
        &mut out,
        before.map(|record| (record.verdict, record.summary.as_str())),
        before.map(|record| &record.data.state),
        before.map(|record| record.data.checks.as_slice()),
        "health record",
    );
    execution(&mut out, story);
    let after = story.verification.as_ref();
    section(&mut out, "Post-Experiment State");
    state(
        &mut out,
        after.map(|record| (record.verdict, record.summary.as_str())),
        after.map(|record| &record.data.state),
        after.map(|record| record.data.checks.as_slice()),
        "verification after the experiment",
    );
    learned(&mut out, lessons);
    evidence(&mut out, story);
    source(&mut out, story, stream);
    out
}

fn section(out: &mut String, name: &str) {
    let _ = write!(out, "\n## {name}\n");
}

/// The conclusion, then the lines that the runbook greps for, one each.
fn head(out: &mut String, story: &Story) {
    let word = story.conclusion.word();
    let issues = story.issues();
    let duration = story
        .experiment
        .as_ref()
        .map_or_else(|| NOT_KNOWN.to_owned(), |record| length(&record.data));
    let list = match issues.as_slice() {
        [] => String::new(),
        some => {
            format!(
                " ({})",
                cap(some.to_vec(), 5)
                    .iter()
                    .map(|issue| escape(issue))
                    .collect::<Vec<_>>()
                    .join("; ")
            )
        }
    };
    let _ = write!(
        out,
        "**{word}**: {}.\n\nStatus: {word}\n\nDuration: {duration}\n\nIssues: {}{list}\n",
        escape(&sentence(story)),
        issues.len()
    );
    let found = findings(story);
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

fn details(out: &mut String, story: &Story) {
    let data = story.experiment.as_ref().map(|record| &record.data);
    let known = |text: Option<String>| vec![text.unwrap_or_else(|| NOT_KNOWN.to_owned())];
    let targets = data
        .map(|data| &data.targets)
        .or(story.plan.as_ref().map(|plan| &plan.data.targets));
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
    field(out, "Name", &known(story.name().map(str::to_owned)));
    field(
        out,
        "Date",
        &known(
            story
                .began()
                .map(|time| time.0.strftime("%Y-%m-%d").to_string()),
        ),
    );
    field(out, "Duration", &known(data.map(length)));
    field(out, "Target", &targets);
    field(
        out,
        "Executor",
        &known(data.map(|data| data.executor.clone())),
    );
}

/// The three fields that the runbook has for the system before and after.
fn state(
    out: &mut String,
    health: Option<(Option<Verdict>, &str)>,
    state: Option<&SystemState>,
    checks: Option<&[Check]>,
    source: &str,
) {
    let missing = || vec![format!("{NOT_KNOWN}: the stream holds no {source}")];
    let health = health.map(|(verdict, summary)| match verdict {
        Some(verdict) => vec![format!("{verdict}: {summary}")],
        None => vec![summary.to_owned()],
    });
    field(out, "System Health", &health.unwrap_or_else(missing));
    field(out, "Resource Usage", &state.map_or_else(missing, usage));
    field(
        out,
        "Monitoring Status",
        &checks.map_or_else(missing, monitoring),
    );
}

/// Processor and memory use of each node.
fn usage(state: &SystemState) -> Vec<String> {
    #[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let share = |used: f64, of: f64| {
        if of > 0.0 {
            format!("{:.0} %", 100.0 * used / of)
        } else {
            NOT_KNOWN.to_owned()
        }
    };
    let node = |node: &chaos_common::record::NodeState| {
        let cpu = node.cpu_cores.map_or_else(
            || format!("processor use {NOT_KNOWN}"),
            |used| {
                let all = node.cpu_allocatable_cores;
                format!("{used:.2} of {all:.2} cores ({})", share(used, all))
            },
        );
        let memory = node.memory_bytes.map_or_else(
            || format!("memory use {NOT_KNOWN}"),
            |used| {
                let all = gib(node.memory_allocatable_bytes);
                format!(
                    "{:.1} of {all:.1} GiB ({})",
                    gib(used),
                    share(gib(used), all)
                )
            },
        );
        format!("{}: {cpu}, {memory}", node.name)
    };
    if state.nodes.is_empty() {
        return vec![format!("{NOT_KNOWN}: no node could be read")];
    }
    cap(state.nodes.iter().map(node).collect(), 20)
}

/// How the checks of the monitoring systems came out.
fn monitoring(checks: &[Check]) -> Vec<String> {
    let ours = |check: &&Check| check.id.split('.').any(|part| part == "monitoring");
    let ours: Vec<&Check> = checks.iter().filter(ours).collect();
    if ours.is_empty() {
        return vec![format!("{NOT_KNOWN}: it was not checked")];
    }
    let good = ours
        .iter()
        .filter(|check| check.status == Status::Pass)
        .count();
    let mut lines = vec![format!("{good} of {} checks pass", ours.len())];
    let bad = ours.iter().filter(|check| check.status != Status::Pass);
    lines.extend(
        bad.map(|check| format!("{}: {}", check.status.word(), crate::story::describe(check))),
    );
    lines
}

fn execution(out: &mut String, story: &Story) {
    let data = story.experiment.as_ref().map(|record| &record.data);
    let time = |time: Option<Time>| vec![time.map_or_else(|| NOT_KNOWN.to_owned(), Time::human)];
    let actions = data.map_or_else(
        || vec![NOT_KNOWN.to_owned()],
        |data| cap(data.actions.clone(), 50),
    );
    let issues = match data {
        Some(_) => story.issues(),
        None => vec![NOT_KNOWN.to_owned()],
    };
    section(out, "Experiment Execution");
    field(out, "Start Time", &time(data.map(|data| data.started)));
    field(out, "End Time", &time(data.map(|data| data.ended)));
    field(out, "Issues Encountered", &issues);
    field(out, "Actions Taken", &actions);
}

fn learned(out: &mut String, lessons: &Lessons) {
    section(out, "Lessons Learned");
    field(out, "Successes", &lessons.successes);
    field(out, "Failures", &lessons.failures);
    field(out, "Improvements", &lessons.improvements);
    field(out, "Recommendations", &lessons.recommendations);
    section(out, "Next Steps");
    field(out, "Follow-up Actions", &lessons.follow_up);
    field(out, "Process Improvements", &lessons.process);
    field(out, "Documentation Updates", &lessons.documentation);
}

fn evidence(out: &mut String, story: &Story) {
    let data = story.experiment.as_ref().map(|record| &record.data);
    section(out, "Recovery");
    out.push('\n');
    tables::recovery(out, data.map_or(&[], |data| data.recoveries.as_slice()));
    section(out, "Availability");
    out.push('\n');
    tables::availability(out, data.map_or(&[], |data| data.availability.as_slice()));
    section(out, "Checks");
    out.push('\n');
    tables::checks(out, story);
    section(out, "Notifications");
    out.push('\n');
    tables::notifications(out, story);
    section(out, "Timeline");
    out.push('\n');
    tables::timeline(out, story);
}

/// Where all this comes from, and what stands in the way of trusting it.
fn source(out: &mut String, story: &Story, stream: &str) {
    let overridden = story
        .experiment
        .as_ref()
        .and_then(|record| record.data.overridden.clone());
    let mut doubts: Vec<String> = story
        .broken
        .iter()
        .chain(&story.unreadable)
        .cloned()
        .collect();
    if story.experiments > 1 {
        doubts.push(format!(
            "the stream holds {} experiments; this report is on the last",
            story.experiments
        ));
    }
    section(out, "Source");
    field(out, "Run", std::slice::from_ref(&story.run));
    field(out, "Stream", &[stream.to_owned()]);
    field(out, "Overridden gates", overridden.as_slice());
    field(out, "Doubts about the stream", &doubts);
}
