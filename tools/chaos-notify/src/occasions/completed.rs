//! An experiment has ended; its results. One that was aborted or left a fault behind is told as
//! such.

use chaos_common::conclusion::Conclusion;
use chaos_common::output;
use chaos_common::record::{Check, Experiment, Occasion, Outcome, Status};
use clap::Args as ClapArgs;

use super::{Escalate, Scene, Silence, aborted, critical, report};
use crate::facts::Facts;
use crate::template::{Alerts, Draft, Page, Severity, line, lines};

/// How the results are told.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) escalation: Escalate,
}

/// The message that fits how the experiment ended.
///
/// # Errors
/// The stream holds no experiment, or one of which nobody has heard and that touched nothing.
pub(super) fn draft(scene: &Scene<'_>) -> Result<Draft, Silence> {
    let facts = scene.facts;
    match facts.outcome() {
        Some(Outcome::NotRestored) if !facts.was_told(Occasion::Critical) => {
            critical::draft(scene, &critical::Args::default())
        }
        Some(Outcome::Aborted) if !facts.was_told(Occasion::Aborted) => {
            aborted::draft(scene, &aborted::Args::default())
        }
        Some(Outcome::Refused) if !facts.was_announced() => Err(Silence::NotNeeded(
            "the run was refused before anybody was told of it".to_owned(),
        )),
        None if !facts.was_announced() => Err(Silence::Nothing {
            why: "the stream holds no experiment, and none was announced in it",
            hint: "put it behind chaos-inject run, chaos-verify and chaos-report",
        }),
        _ => Ok(results(scene)),
    }
}

fn results(scene: &Scene<'_>) -> Draft {
    let facts = scene.facts;
    let mut draft = scene.draft(Occasion::Completed, severity(facts), scene.time());
    draft.contacts.clear();
    let (found, next) = findings(facts);
    let values = &mut draft.values;
    values.findings = found;
    values.next_steps = next;
    values.status = status(facts);
    if let Some(record) = &facts.experiment {
        values.duration = duration(record.data.duration_ms);
        values.recovered = recovered(&record.data);
    }
    if let Some(record) = &facts.report {
        let location = &record.data.location;
        draft.link = report::link(scene.config, location);
        draft.attachment = report::attachment(location);
        values.report = draft.link.clone().unwrap_or_else(|| line(location));
    }
    draft.page = Some(page(facts));
    draft.alerts = Some(Alerts::Over);
    draft.gaps = gaps(facts);
    draft
}

#[expect(clippy::cast_precision_loss, reason = "minutes")]
fn duration(ms: u64) -> String {
    output::duration(ms as f64)
}

/// How long the slowest pod took to come back, where all did.
fn recovered(experiment: &Experiment) -> String {
    let times = experiment.recoveries.iter().map(|pod| pod.recovery_ms);
    let all: Option<Vec<f64>> = times.collect();
    let slowest = all.and_then(|all| all.into_iter().reduce(f64::max));
    slowest.map_or_else(String::new, |ms| {
        format!(", recovered in {:.1} s", ms / 1000.0)
    })
}

fn severity(facts: &Facts) -> Severity {
    match facts.conclusion {
        Conclusion::Pass | Conclusion::Refused => Severity::Info,
        Conclusion::Aborted | Conclusion::Unknown => Severity::Warning,
        Conclusion::Fail => Severity::Error,
        Conclusion::NotRestored => Severity::Critical,
    }
}

/// The conclusion, and where that is unknown or nothing was done, why.
fn status(facts: &Facts) -> String {
    let word = facts.conclusion.word();
    let refused = facts.outcome() == Some(Outcome::Refused);
    let why = if refused {
        let reason = facts
            .experiment
            .as_ref()
            .and_then(|r| r.data.reason.clone());
        let reason = reason.unwrap_or_else(|| "a gate, a limit or a lock".to_owned());
        format!("nothing was touched: {}", line(&reason))
    } else if facts.conclusion != Conclusion::Unknown {
        return word.to_owned();
    } else if let Some(doubt) = facts.doubts.first() {
        line(doubt)
    } else if facts.experiment.is_none() {
        "the stream holds no experiment".to_owned()
    } else if facts.verification.is_none() {
        "it was not verified that all is as before".to_owned()
    } else {
        let first = facts.checks(Status::Unknown).into_iter().next();
        first.unwrap_or_else(|| "a check could not tell".to_owned())
    };
    format!("{word} ({why})")
}

/// Findings and next steps: the report's, else the little that the experiment itself tells.
fn findings(facts: &Facts) -> (Vec<String>, Vec<String>) {
    if let Some(report) = &facts.report {
        return (lines(&report.data.findings), lines(&report.data.next_steps));
    }
    let issues = facts.experiment.iter().flat_map(|r| &r.data.issues);
    let mut found = lines(issues);
    found.extend(facts.checks(Status::Fail));
    if found.is_empty() {
        found.extend(facts.experiment.iter().map(|r| line(&r.summary)));
    }
    (
        found,
        vec!["Make the report: the stream holds none (chaos-report)".to_owned()],
    )
}

fn page(facts: &Facts) -> Page {
    match facts.conclusion {
        Conclusion::Pass => Page::Operational,
        Conclusion::NotRestored => Page::MajorOutage,
        Conclusion::Refused | Conclusion::Aborted if facts.system_is_well() => Page::Operational,
        _ => Page::Degraded,
    }
}

fn gaps(facts: &Facts) -> Vec<Check> {
    if facts.experiment.is_some() {
        return Vec::new();
    }
    let gap = Check::unknown(
        "notify.experiment",
        "",
        "an experiment was announced, and the stream does not tell what became of it",
    )
    .hint("see what the tools before this one said on stderr");
    vec![gap]
}
