//! What a run showed, the most important first, each with its figures.

mod lessons;
mod run_record;
mod subject;

use chaos_common::conclusion::Conclusion;
use chaos_common::output::duration;
use chaos_common::record::{
    Availability, Check, Experiment, Outcome, PodRecovery, Record, Status, Verdict,
};

pub(crate) use self::lessons::{Lessons, MOST};
pub(crate) use self::run_record::{RunRecord, describe};
pub(crate) use self::subject::is_about_monitoring;

/// The whole run in one sentence, without its first word, which is the conclusion's.
pub(crate) fn sentence(run: &RunRecord) -> String {
    let name = run.name().unwrap_or("the experiment");
    let reason = run
        .experiment_data()
        .and_then(|data| data.reason.as_deref());
    let reason = reason.unwrap_or("no reason is recorded");
    match run.conclusion {
        Conclusion::Pass => format!(
            "{name} ran to its end, met its criteria, \
             and what was looked at was verified to be as before"
        ),
        Conclusion::Fail => match run.judged_as(Status::Fail).next() {
            Some(failed) => format!("{name} is over, but {}", describe(failed)),
            None => format!("{name} is over, and its record or the verification says fail"),
        },
        Conclusion::Unknown => {
            format!("it can't be told how {name} came out: {}", why_unknown(run))
        }
        Conclusion::Refused => format!("{name} was refused and touched nothing: {reason}"),
        Conclusion::Aborted => format!("{name} was aborted and everything is restored: {reason}"),
        Conclusion::NotRestored => format!("a fault of {name} may still be in place: {reason}"),
    }
}

fn why_unknown(run: &RunRecord) -> String {
    let no_pass = |verdict: Option<Verdict>, what: &str| {
        (verdict != Some(Verdict::Pass)).then(|| format!("the {what} could not tell"))
    };
    if let Some(broken) = &run.broken {
        return broken.clone();
    }
    if let Some(why) = run.unreadable.first() {
        return why.clone();
    }
    let Some(experiment) = &run.experiment else {
        return "the stream holds no experiment".to_owned();
    };
    let Some(verification) = &run.verification else {
        let ended = if experiment.data.outcome == Outcome::Aborted {
            "it was aborted, and "
        } else {
            ""
        };
        return format!("{ended}the stream holds no verification after it");
    };
    let unknown = run.judged_as(Status::Unknown).next();
    unknown
        .map(describe)
        .or_else(|| no_pass(experiment.verdict, "experiment"))
        .or_else(|| no_pass(verification.verdict, "verification"))
        .unwrap_or_else(|| "no reason is recorded".to_owned())
}

/// What a run showed, the most important first.
pub(crate) fn findings(run: &RunRecord) -> Vec<String> {
    let mut findings = Vec::new();
    if run.conclusion != Conclusion::Pass && run.conclusion != Conclusion::Fail {
        findings.push(capital(&sentence(run)));
    }
    findings.extend(run.issues());
    if let Some(experiment) = run.experiment_data() {
        findings.extend(recovery(experiment));
        findings.extend(experiment.availability.iter().map(availability));
        for gate in &experiment.overridden {
            findings.push(format!("A gate was overridden: {gate}"));
        }
    }
    findings.extend(unanswered(run));
    if let Some(Record {
        verdict: Some(verdict),
        summary,
        ..
    }) = &run.verification
    {
        findings.push(format!("Verification {verdict}: {summary}"));
    }
    findings
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// How many pods came back, and how long the slowest took.
fn recovery(experiment: &Experiment) -> Option<String> {
    let all = experiment.recoveries.len();
    if all == 0 {
        return None;
    }
    let measured = experiment.recoveries.iter();
    let measured: Vec<(&PodRecovery, f64)> = measured
        .filter_map(|pod| pod.recovery_ms.map(|took| (pod, took)))
        .collect();
    let slowest = measured.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    Some(match slowest {
        Some((pod, took)) => format!(
            "{} of {all} pods were seen to recover, the slowest ({}) in {} (at most {} less)",
            measured.len(),
            pod.owner,
            duration(*took),
            duration(pod.error_bound_ms)
        ),
        None => format!("None of {all} pods was seen to recover"),
    })
}

fn availability(a: &Availability) -> String {
    format!(
        "{}{} answered {:.2} % of {} requests well; longest gap {} (by {})",
        a.service,
        a.path,
        a.percent,
        a.requests,
        duration(a.longest_gap_ms),
        a.vantage
    )
}

fn unanswered(run: &RunRecord) -> Option<String> {
    let unknown: Vec<&Check> = run.judged_as(Status::Unknown).collect();
    let first = describe(unknown.first()?);
    Some(match unknown.len() {
        1 => format!("One check could not tell: {first}"),
        n => format!("{n} checks could not tell, the first: {first}"),
    })
}
