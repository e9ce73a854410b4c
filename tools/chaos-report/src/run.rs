//! Making a report: reading, saving, and the record that tells of it.

use std::io;
use std::path::{Path, PathBuf};

use chaos_common::config::Config;
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Check, Report, ReportForm, Status, Time, Verdict};
use chaos_common::stream::{Format, Stream};
use chaos_common::tool;

use crate::archive::{self, Draft};
use crate::findings::findings;
use crate::lessons::Lessons;
use crate::month::Month;
use crate::monthly::{self, Archive, Totals};
use crate::story::Story;
use crate::{experiment, trend};

/// What `location` says when there is no file.
const NOT_SAVED: &str = "not saved";

/// Reports on the experiment in the stream.
pub(crate) fn experiment(
    config: &Config,
    folder: &Path,
    format: Option<Format>,
) -> Result<Exit, Failure> {
    // Without a place for the report the stream still has to reach the next tool.
    let mut draft = Draft::create(folder);
    let (mut stream, copied) = match &mut draft {
        Ok(draft) => Stream::open_with_copy(tool!(), format, draft)?,
        Err(_) => (Stream::open(tool!(), format)?, Ok(())),
    };
    if !stream.upstream.present {
        return Err(Failure::usage("there is no stream on standard input to report on")
            .hint("end a pipeline with chaos-report, give it a stored stream (chaos-report < FILE.ndjson), or run chaos-report monthly"));
    }
    let story = Story::of(&stream.upstream, &stream.run);
    let lessons = Lessons::of(&story, recovery_limit_ms(config, &story));
    let saved = draft.and_then(|draft| {
        copied?;
        let began = story.began().unwrap_or_else(Time::now);
        let stem = archive::stem(began, story.name().unwrap_or_default(), &stream.run);
        archive::save(folder, &stem, draft, |stream| {
            experiment::render(&story, &lessons, stream)
        })
    });
    let mut checks = parts(&story);
    checks.push(saved_check(
        folder,
        saved.as_ref().map(|(report, _)| report.as_path()),
    ));
    let (location, stored) = saved.map_or((NOT_SAVED.to_owned(), None), |(report, stored)| {
        (
            report.display().to_string(),
            Some(stored.display().to_string()),
        )
    });
    let data = Report {
        form: ReportForm::Experiment,
        subject: story.name().unwrap_or("unknown").to_owned(),
        status: story.conclusion.word().to_owned(),
        location,
        stream: stored,
        findings: findings(&story),
        next_steps: lessons.next_steps(),
        checks,
    };
    Ok(finish(&mut stream, data))
}

/// The configured limit for the recovery of a pod, where the experiment is one that has it.
fn recovery_limit_ms(config: &Config, story: &Story) -> Option<f64> {
    let limit = config.experiment.pod_failure.recovery_limit.0;
    (story.name() == Some("pod-failure")).then_some(limit.as_secs_f64() * 1000.0)
}

/// Whether the stream held what a report needs.
fn parts(story: &Story) -> Vec<Check> {
    let whole = match story.broken.iter().chain(&story.unreadable).next() {
        None => Check::pass("report.stream", "standard input", "the stream is whole"),
        Some(why) => Check::unknown("report.stream", "standard input", why.clone())
            .hint("see what the tool before this one said on stderr"),
    };
    let experiment = match story.experiments {
        0 => Check::unknown("report.experiment", "", "the stream holds no experiment")
            .hint("have chaos-inject run in the pipeline before this tool"),
        1 => Check::pass("report.experiment", "", "the stream holds the experiment"),
        n => Check::new(
            "report.experiment",
            "",
            Status::Warn,
            format!("{n} experiments; the report is on the last"),
        ),
    };
    let verification = if story.verification.is_some() {
        Check::pass(
            "report.verification",
            "",
            "the stream holds a verification after the experiment",
        )
    } else if story.experiment.is_some() && !story.touched() {
        Check::skipped(
            "report.verification",
            "",
            "the experiment was refused and touched nothing",
        )
    } else {
        Check::unknown(
            "report.verification",
            "",
            "the stream holds no verification after the experiment",
        )
        .hint("have chaos-verify in the pipeline between chaos-inject and this tool")
    };
    vec![whole, experiment, verification]
}

fn saved_check(folder: &Path, saved: Result<&Path, &io::Error>) -> Check {
    match saved {
        Ok(path) => Check::pass("report.saved", path.display().to_string(), "saved"),
        Err(error) => {
            let hint = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "make room there, or name another folder"
                }
                _ => "make it a folder that this user may write to, or name another one",
            };
            let object = folder.display().to_string();
            Check::unknown(
                "report.saved",
                object,
                format!("cannot save the report: {error}"),
            )
            .hint(format!(
                "{hint} with --archive; the stream on standard output is whole"
            ))
        }
    }
}

/// Reports on a month of the archive.
pub(crate) fn monthly(
    folder: &Path,
    month: Month,
    format: Option<Format>,
) -> Result<Exit, Failure> {
    let mut stream = Stream::open(tool!(), format)?;
    let mut checks = Vec::new();
    checks.extend(stream.upstream.check());
    let archive = Archive::read(folder, month);
    checks.push(archive_check(folder, archive.as_ref()));
    let saved = archive
        .as_ref()
        .map_err(|error| io::Error::new(error.kind(), error.to_string()))
        .and_then(|archive| {
            // The folder is made where it is missing, as it is for a report of an experiment.
            drop(Draft::create(folder)?);
            archive::replace(
                folder,
                &format!("monthly-{month}.md"),
                &monthly::render(archive, month),
            )
        });
    checks.push(saved_check(folder, saved.as_ref().map(PathBuf::as_path)));
    let archive = archive.unwrap_or_default();
    let runs = archive.of(month);
    let worst = runs.iter().map(|run| run.conclusion).max();
    let data = Report {
        form: ReportForm::Monthly,
        subject: month.to_string(),
        status: worst.map_or("unknown", |worst| worst.word()).to_owned(),
        location: saved.map_or_else(|_| NOT_SAVED.to_owned(), |path| path.display().to_string()),
        stream: None,
        findings: month_findings(&Totals::of(&runs), month),
        next_steps: monthly::recommendations(&archive, month),
        checks,
    };
    Ok(finish(&mut stream, data))
}

fn archive_check(folder: &Path, archive: Result<&Archive, &io::Error>) -> Check {
    let (id, object) = ("report.archive", folder.display().to_string());
    match archive {
        Err(error) => Check::unknown(id, object, format!("cannot list the archive: {error}"))
            .hint("name the folder with --archive or report.archive in chaos.toml"),
        Ok(archive) if !archive.unreadable.is_empty() => {
            let names = archive.unreadable.join("; ");
            Check::unknown(
                id,
                object,
                format!(
                    "{} streams could not be read: {names}",
                    archive.unreadable.len()
                ),
            )
        }
        Ok(archive) if !archive.damaged.is_empty() => {
            let names = archive.damaged.join("; ");
            Check::new(
                id,
                object,
                Status::Warn,
                format!("{} damaged streams: {names}", archive.damaged.len()),
            )
        }
        Ok(archive) => Check::pass(
            id,
            object,
            format!(
                "{} experiments up to the end of the month",
                archive.runs.len()
            ),
        ),
    }
}

fn month_findings(totals: &Totals, month: Month) -> Vec<String> {
    if totals.total == 0 {
        return vec![format!("No experiments in {month}")];
    }
    let (good, answered) = totals.rate();
    vec![
        format!(
            "{} experiments in {month}: {good} of {answered} with an answer were successful",
            totals.total
        ),
        format!(
            "Average recovery time: {}",
            trend::recovery_figures(&totals.recoveries)
        ),
        format!("Issues discovered: {}", totals.issues),
    ]
}

/// Writes the record. Its verdict is on the report's own making; what the report tells of is in the
/// exit status through the stream.
fn finish(stream: &mut Stream, data: Report) -> Exit {
    let verdict = Verdict::of(&data.checks);
    let summary = match data.location.as_str() {
        NOT_SAVED => format!(
            "{} is {}, and the report of it could not be saved",
            data.subject, data.status
        ),
        location => format!(
            "{} is {}; the report is {location}",
            data.subject, data.status
        ),
    };
    if data.location == NOT_SAVED {
        for check in data
            .checks
            .iter()
            .filter(|check| check.id == "report.saved")
        {
            let object = check.object.clone().unwrap_or_default();
            stream.progress(&format!(
                "{} in {object}\n  hint: {}",
                check.message,
                check.hint.clone().unwrap_or_default()
            ));
        }
    }
    stream.result(verdict, summary, data, verdict.into())
}
