//! What a run showed: the report as plain data, made from the stream by pure functions.

mod callers;
mod evidence;
mod fault;
mod lessons;
mod model;
mod opening;
pub(crate) mod pictures;
mod run_record;
mod state;
mod story;
mod subject;
mod words;

#[cfg(test)]
pub(crate) mod examples;

use chaos_common::conclusion::Conclusion;
use chaos_common::record::{EventKind, Experiment, Status, Target, Time};

pub(crate) use self::lessons::Lessons;
use self::lessons::Topic;
pub(crate) use self::model::ExperimentReport;
use self::model::Field;
pub(crate) use self::run_record::RunRecord;
use self::words::{NOT_KNOWN, capital, whole_duration};

/// The most targets and actions that are named.
const MOST_NAMED: usize = 20;

impl ExperimentReport {
    /// The report of a run. `stream` is the name of the file with the stream.
    pub(crate) fn of(run: &RunRecord, lessons: &Lessons, stream: &str) -> ExperimentReport {
        let next = lessons.on(Topic::Recommendations).next();
        ExperimentReport {
            stream: stream.to_owned(),
            title: title(run),
            status: run.conclusion.word(),
            tone: tone(run.conclusion),
            duration: length(run),
            issues: run.issues().len(),
            opening: opening::opening(run, next.map(|lesson| lesson.text.as_str())),
            story: story::story(run),
            details: details(run),
            execution: execution(run),
            state: state::compare(run),
            lessons: lessons.sections(&Topic::LEARNED),
            next_steps: lessons.sections(&Topic::NEXT),
            records: evidence::records(run),
            pictures: pictures::pictures(run),
            evidence: evidence::tables(run),
            source: source(run),
        }
    }

    /// What was found, the most important first, for the record and the messages made of it.
    pub(crate) fn findings(&self, run: &RunRecord, lessons: &Lessons) -> Vec<String> {
        let mut findings = Vec::new();
        if run.conclusion != Conclusion::Pass && run.conclusion != Conclusion::Fail {
            findings.extend(self.opening.first().map(|one| one.answer.clone()));
        }
        findings.extend(run.issues());
        let answers = self.opening.iter().map(|one| &one.answer);
        findings.extend(answers.take(self.opening.len() - 1).cloned());
        let successes = lessons.on(Topic::Successes);
        findings.extend(successes.map(|lesson| lesson.text.clone()));
        let mut seen = std::collections::HashSet::new();
        findings.retain(|finding| seen.insert(finding.clone()));
        findings
    }
}

fn title(run: &RunRecord) -> String {
    let name = run.name().unwrap_or("an experiment");
    let namespace = run
        .experiment_data()
        .map(|data| &data.namespace)
        .or(run.plan.as_ref().map(|plan| &plan.data.namespace));
    match namespace {
        Some(namespace) => format!("{name} in {namespace}"),
        None => name.to_owned(),
    }
}

/// How a conclusion is to look.
fn tone(conclusion: Conclusion) -> Status {
    match conclusion {
        Conclusion::Pass => Status::Pass,
        Conclusion::Refused => Status::Skipped,
        Conclusion::Aborted => Status::Warn,
        Conclusion::Unknown => Status::Unknown,
        Conclusion::Fail | Conclusion::NotRestored => Status::Fail,
    }
}

fn length(run: &RunRecord) -> String {
    let data = run.experiment_data();
    data.map_or_else(
        || NOT_KNOWN.to_owned(),
        |data| whole_duration(data.duration_ms),
    )
}

fn known(value: Option<String>) -> String {
    value.unwrap_or_else(|| NOT_KNOWN.to_owned())
}

/// The head of the runbook's form, and where it was.
fn details(run: &RunRecord) -> Vec<Field> {
    let data = run.experiment_data();
    let plan = run.plan.as_ref().map(|plan| &plan.data);
    let targets = data
        .map(|data| &data.targets)
        .or(plan.map(|plan| &plan.targets));
    let targets = targets.map_or_else(Vec::new, |targets| targets.iter().map(target).collect());
    let cluster = data
        .and_then(|data| data.cluster.as_ref())
        .or(plan.map(|plan| &plan.cluster));
    let place = cluster.map(|cluster| match &cluster.context {
        Some(context) => format!("{context} ({})", cluster.server),
        None => cluster.server.clone(),
    });
    let day = |time: Time| time.0.strftime("%Y-%m-%d").to_string();
    let targets = few(targets, "in the plan");
    vec![
        Field::one("Name", known(run.name().map(str::to_owned))),
        Field::one("Date", known(run.began().map(day))),
        Field::one("Duration", length(run)),
        Field::new("Target", targets),
        Field::one("Executor", known(data.map(|data| data.executor.clone()))),
        Field::one("Cluster", known(place)),
    ]
}

/// The first of many, and where the others are.
fn few(mut values: Vec<String>, where_the_others_are: &str) -> Vec<String> {
    let more = values.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        values.truncate(MOST_NAMED);
        values.push(format!("and {more} more, {where_the_others_are}"));
    }
    values
}

/// A target, and its owner where that is another object.
fn target(target: &Target) -> String {
    let kind = target.kind.to_lowercase();
    let name = format!("{kind}/{}", target.name);
    let owner = target.owner.to_string();
    let what = if owner == name {
        name
    } else {
        format!("{name} of {owner}")
    };
    if kind == "namespace" && target.name == target.namespace {
        what
    } else {
        format!("{what} in {}", target.namespace)
    }
}

fn execution(run: &RunRecord) -> Vec<Field> {
    let data = run.experiment_data();
    let time = |time: Option<Time>| known(time.map(Time::human));
    let mut issues = run.untold();
    let others = run.issues().len().saturating_sub(issues.len());
    if others > 0 {
        let told = words::count(others, "issue stands", "issues stand");
        issues.push(format!("{told} under Failures, each with its evidence"));
    }
    if data.is_none() {
        issues = vec![NOT_KNOWN.to_owned()];
    }
    let actions = data.map(|data| few(actions(run, data), "in the timeline of all records"));
    let actions = actions.unwrap_or_else(|| vec![NOT_KNOWN.to_owned()]);
    vec![
        Field::one("Start Time", time(data.map(|data| data.started))),
        Field::one("End Time", time(data.map(|data| data.ended))),
        Field::new("Issues Encountered", issues),
        Field::new("Actions Taken", actions),
    ]
}

/// What was done. That the steady state was seen is none of it.
fn actions(run: &RunRecord, data: &Experiment) -> Vec<String> {
    let seen = |action: &&String| {
        let mut restored = run.events_of(EventKind::Restored);
        restored.any(|event| event.summary == **action)
    };
    data.actions
        .iter()
        .filter(|action| !seen(action))
        .cloned()
        .collect()
}

/// Where all this comes from, and what stands in the way of trusting it.
fn source(run: &RunRecord) -> Vec<Field> {
    let data = run.experiment_data();
    let overridden = data.map_or(&[][..], |data| &data.overridden);
    let doubts = run.broken.iter().chain(&run.unreadable);
    let mut doubts: Vec<String> = doubts.map(|doubt| capital(doubt)).collect();
    if run.experiments > 1 {
        doubts.push(format!(
            "The stream holds {} experiments; this report is on the last",
            run.experiments
        ));
    }
    if run.runs > 1 {
        doubts.push(format!("The stream holds records of {} runs", run.runs));
    }
    let limits = run.plan.as_ref().and_then(|plan| plan.data.limits.as_ref());
    let limits = limits.map(|limits| {
        format!(
            "recovery within {}; {} % of requests answered",
            whole_duration(limits.recovery_ms),
            limits.min_availability_percent
        )
    });
    vec![
        Field::one("Run", run.run.clone()),
        Field::one(
            "Limits of the plan",
            limits.unwrap_or_else(|| "not recorded".to_owned()),
        ),
        Field::new(
            "Overridden gates",
            overridden.iter().map(ToString::to_string).collect(),
        ),
        Field::new("Doubts about the stream", doubts),
    ]
}
