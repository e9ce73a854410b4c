//! An experiment has ended; its results.

use chaos_common::conclusion::Conclusion;
use chaos_common::output;
use chaos_common::record::{Check, Occasion, Status};

use crate::facts::Facts;
use crate::template::{Message, NOT_KNOWN, Page, line, lines};

pub(crate) fn message(facts: &Facts) -> Message {
    let name = facts.name();
    let status = status(facts);
    #[expect(clippy::cast_precision_loss, reason = "minutes")]
    let duration = facts.experiment.as_ref().map_or_else(
        || NOT_KNOWN.to_owned(),
        |record| output::duration(record.data.duration_ms as f64),
    );
    let (found, next) = results(facts);
    let location = facts.report.as_ref().map_or_else(
        || NOT_KNOWN.to_owned(),
        |record| line(&record.data.location),
    );
    let body = format!(
        "Chaos Engineering Experiment Completed\n\n\
         Experiment: {name}\nStatus: {status}\nDuration: {duration}\n\n\
         Key Findings:\n{}\n\nNext Steps:\n{}\n\nReport: {location}\n",
        list(&found, 3),
        list(&next, 2),
    );
    Message {
        occasion: Occasion::Completed,
        subject: "Chaos Engineering Experiment Results",
        text: body,
        short: format!(
            "Chaos Engineering Experiment Completed: {name}, status {status}, \
             duration {duration}. Report: {location}"
        ),
        page: Some(page(facts)),
        names_contacts: false,
        gaps: gaps(facts),
    }
}

/// The conclusion, and where that is unknown, why.
fn status(facts: &Facts) -> String {
    let word = facts.conclusion.word();
    if facts.conclusion != Conclusion::Unknown {
        return word.to_owned();
    }
    let why = if let Some(doubt) = facts.doubts.first() {
        line(doubt)
    } else if facts.experiment.is_none() {
        "the stream holds no experiment".to_owned()
    } else if facts.verification.is_none() {
        "it was not verified that all is as before".to_owned()
    } else {
        facts
            .checks(Status::Unknown)
            .into_iter()
            .next()
            .unwrap_or_else(|| "a check could not tell".to_owned())
    };
    format!("{word} ({why})")
}

/// Findings and next steps: the report's, else the little that the experiment itself tells.
fn results(facts: &Facts) -> (Vec<String>, Vec<String>) {
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

fn list(values: &[String], most: usize) -> String {
    if values.is_empty() {
        return format!("- {NOT_KNOWN}");
    }
    let mut lines: Vec<String> = values
        .iter()
        .take(most)
        .map(|value| format!("- {value}"))
        .collect();
    if values.len() > most {
        lines.push(format!("- and {} more, in the report", values.len() - most));
    }
    lines.join("\n")
}

fn page(facts: &Facts) -> Page {
    match facts.conclusion {
        Conclusion::Pass => Page::OPERATIONAL,
        Conclusion::NotRestored => Page::MAJOR_OUTAGE,
        Conclusion::Refused | Conclusion::Aborted if facts.system_is_well() => Page::OPERATIONAL,
        _ => Page::DEGRADED,
    }
}

fn gaps(facts: &Facts) -> Vec<Check> {
    if facts.experiment.is_some() {
        return Vec::new();
    }
    let gap = Check::unknown(
        "notify.experiment",
        "",
        "the stream holds no experiment that could have been completed",
    )
    .hint("put chaos-notify completed behind chaos-inject run, chaos-verify and chaos-report");
    vec![gap]
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::stream::Upstream;

    #[test]
    fn without_an_experiment_nothing_is_claimed() {
        let message = message(&Facts::of(&Upstream::default()));
        assert!(
            message
                .text
                .contains("\nStatus: unknown (the stream holds no experiment)\n"),
            "{}",
            message.text
        );
        assert_eq!(message.page, Some(Page::DEGRADED));
        assert_eq!(message.gaps.len(), 1);
    }

    #[test]
    fn lists_are_as_long_as_the_runbooks_form() {
        let values: Vec<String> = (1..=5).map(|n| n.to_string()).collect();
        assert_eq!(
            list(&values, 3),
            "- 1\n- 2\n- 3\n- and 2 more, in the report"
        );
        assert_eq!(list(&[], 3), "- not known");
    }
}
