//! What a run showed, the most important first, each with its figures.

use chaos_common::conclusion::Conclusion;
use chaos_common::output::duration;
use chaos_common::record::{
    Availability, Experiment, Outcome, PodRecovery, Record, Status, Verdict,
};

use crate::story::{Story, describe};

/// The whole run in one sentence, without its first word, which is the conclusion's.
pub(crate) fn sentence(story: &Story) -> String {
    let name = story.name().unwrap_or("the experiment");
    let reason = story
        .experiment
        .as_ref()
        .and_then(|record| record.data.reason.clone());
    let reason = reason.unwrap_or_else(|| "no reason is recorded".to_owned());
    let failed = story
        .judged()
        .into_iter()
        .find(|check| check.status == Status::Fail)
        .map(describe);
    match story.conclusion {
        Conclusion::Pass => {
            format!(
                "{name} ran to its end, met its criteria, and the system was verified to be as before"
            )
        }
        Conclusion::Fail => match failed {
            Some(failed) => format!("{name} is over, but {failed}"),
            None => format!("{name} is over, and its record or the verification says fail"),
        },
        Conclusion::Unknown => format!(
            "it can't be told how {name} came out: {}",
            why_unknown(story)
        ),
        Conclusion::Refused => format!("{name} was refused and touched nothing: {reason}"),
        Conclusion::Aborted => format!("{name} was aborted and everything is restored: {reason}"),
        Conclusion::NotRestored => format!("a fault of {name} may still be in place: {reason}"),
    }
}

fn why_unknown(story: &Story) -> String {
    let of = |record: Option<Verdict>, what: &str| {
        (record != Some(Verdict::Pass)).then(|| format!("the {what} could not tell"))
    };
    if let Some(broken) = &story.broken {
        return broken.clone();
    }
    if let Some(why) = story.unreadable.first() {
        return why.clone();
    }
    let Some(experiment) = &story.experiment else {
        return "the stream holds no experiment".to_owned();
    };
    let Some(verification) = &story.verification else {
        let ended = if experiment.data.outcome == Outcome::Aborted {
            "it was aborted, and "
        } else {
            ""
        };
        return format!("{ended}the stream holds no verification after it");
    };
    let unknown = story
        .judged()
        .into_iter()
        .find(|check| check.status == Status::Unknown)
        .map(describe);
    unknown
        .or_else(|| of(experiment.verdict, "experiment"))
        .or_else(|| of(verification.verdict, "verification"))
        .unwrap_or_else(|| "no reason is recorded".to_owned())
}

/// What a run showed, the most important first.
pub(crate) fn findings(story: &Story) -> Vec<String> {
    let mut findings = Vec::new();
    if story.conclusion != Conclusion::Pass && story.conclusion != Conclusion::Fail {
        findings.push(capital(&sentence(story)));
    }
    findings.extend(story.issues());
    if let Some(experiment) = &story.experiment {
        findings.extend(recovery(&experiment.data));
        findings.extend(experiment.data.availability.iter().map(availability));
        if let Some(reason) = &experiment.data.overridden {
            findings.push(format!("A gate was overridden: {reason}"));
        }
    }
    findings.extend(unanswered(story));
    if let Some(Record {
        verdict: Some(verdict),
        summary,
        ..
    }) = &story.verification
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
    let hit = experiment.recoveries.len();
    let times: Vec<&PodRecovery> = experiment
        .recoveries
        .iter()
        .filter(|r| r.recovery_ms.is_some())
        .collect();
    if hit == 0 {
        return None;
    }
    let slowest = times.iter().max_by(|a, b| {
        a.recovery_ms
            .unwrap_or(0.0)
            .total_cmp(&b.recovery_ms.unwrap_or(0.0))
    });
    Some(match slowest {
        Some(pod) => format!(
            "{} of {hit} pods were seen to recover, the slowest ({}) in {} (at most {} less)",
            times.len(),
            pod.owner,
            duration(pod.recovery_ms.unwrap_or(0.0)),
            duration(pod.error_bound_ms)
        ),
        None => format!("None of {hit} pods was seen to recover"),
    })
}

fn availability(a: &Availability) -> String {
    format!(
        "{} answered {:.2} % of {} requests well; longest gap {} (by {})",
        a.service,
        a.percent,
        a.requests,
        duration(a.longest_gap_ms),
        a.vantage
    )
}

fn unanswered(story: &Story) -> Option<String> {
    let unknown: Vec<String> = story
        .judged()
        .into_iter()
        .filter(|check| check.status == Status::Unknown)
        .map(describe)
        .collect();
    let first = unknown.first()?;
    Some(match unknown.len() {
        1 => format!("One check could not tell: {first}"),
        n => format!("{n} checks could not tell, the first: {first}"),
    })
}
