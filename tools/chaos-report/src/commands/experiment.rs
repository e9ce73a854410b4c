//! The report of the experiment in the stream.

use std::io;
use std::path::Path;

use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Check, Report, ReportForm, Status, Time, Verdict};
use chaos_common::stream::{Format, Stream};
use chaos_common::tool;

use super::note::{self, Words};
use super::{finish, location, saved_check};
use crate::archive::{self, Draft, Saved};
use crate::findings::{Lessons, RunRecord, findings};
use crate::render;

const STREAM: &str = "standard input";

/// What people add to the report.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) words: Words,
}

/// Reports on the experiment in the stream. What people say of it goes into the stream and the
/// archive as a record of its own.
///
/// # Errors
/// There is no stream on standard input.
pub(crate) fn report(
    folder: &Path,
    words: &Words,
    format: Option<Format>,
) -> Result<Exit, Failure> {
    // Without a place for the report the stream still has to reach the next tool.
    let mut draft = Draft::create(folder);
    let (mut stream, copied) = match &mut draft {
        Ok(draft) => Stream::open_with_copy(tool!(), format, draft)?,
        Err(_) => (Stream::open(tool!(), format)?, Ok(())),
    };
    if !stream.upstream.present {
        return Err(
            Failure::usage("there is no stream on standard input to report on").hint(
                "end a pipeline with chaos-report, \
                 give it a stored stream (chaos-report < FILE.ndjson), or run chaos-report monthly",
            ),
        );
    }
    let run = RunRecord::of(&stream.upstream, &stream.run);
    let lessons = Lessons::of(&run);
    let saved = draft.and_then(|draft| copied.and_then(|()| save(folder, draft, &run, &lessons)));
    let main = saved.as_ref().map(|saved| saved.reports[0].as_path());
    let saved_check = saved_check(folder, main);
    let mut checks = parts(&run);
    checks.push(saved_check.clone());
    checks.extend(say(folder, words, &mut stream));
    let saved = saved.ok();
    let data = Report {
        form: ReportForm::Experiment,
        subject: run.name().unwrap_or("unknown").to_owned(),
        status: run.conclusion.word().to_owned(),
        location: location(saved.as_ref().map(|saved| &saved.reports[0])),
        stream: saved.map(|saved| saved.stream.display().to_string()),
        findings: findings(&run),
        next_steps: lessons.next_steps(),
        checks,
    };
    Ok(finish(&mut stream, data, &saved_check))
}

/// Adds what people say of the run to the stream, and keeps it in the archive.
fn say(folder: &Path, words: &Words, stream: &mut Stream) -> Option<Check> {
    const ID: &str = "report.note";
    let note = words.note(Some(&stream.run))?;
    let kept = note::store(folder, &note, &stream.run);
    stream.add(Verdict::Pass, note::summary(&note), note);
    Some(match kept {
        Ok(()) => Check::pass(ID, "", "your words are kept"),
        Err(failure) => Check::unknown(ID, "", failure.to_string())
            .hint("say it again later: chaos-report note RUN"),
    })
}

/// Gives reports and stream their names.
fn save(folder: &Path, stream: Draft, run: &RunRecord, lessons: &Lessons) -> io::Result<Saved> {
    let began = run.began().unwrap_or_else(Time::now);
    let stem = archive::stem(began, run.name().unwrap_or_default(), &run.run);
    archive::save(folder, &stem, (stream, "ndjson"), |stem| {
        let text = render::experiment(run, lessons, &format!("{stem}.ndjson"));
        vec![("md", text.into_bytes())]
    })
}

/// Whether the stream holds what a report needs.
fn parts(run: &RunRecord) -> Vec<Check> {
    vec![whole(run), experiment(run), verification(run)]
}

fn whole(run: &RunRecord) -> Check {
    const ID: &str = "report.stream";
    match run.broken.iter().chain(&run.unreadable).next() {
        None => Check::pass(ID, STREAM, "the stream is whole"),
        Some(why) => Check::unknown(ID, STREAM, why.clone())
            .hint("see what the tool before this one said on stderr"),
    }
}

fn experiment(run: &RunRecord) -> Check {
    const ID: &str = "report.experiment";
    match run.experiments {
        0 => Check::unknown(ID, "", "the stream holds no experiment")
            .hint("have chaos-inject run in the pipeline before this tool"),
        1 => Check::pass(ID, "", "the stream holds the experiment"),
        n => {
            let why = format!("{n} experiments; the report is on the last");
            Check::new(ID, "", Status::Warn, why)
        }
    }
}

fn verification(run: &RunRecord) -> Check {
    const ID: &str = "report.verification";
    if run.verification.is_some() {
        let text = "the stream holds a verification after the experiment";
        Check::pass(ID, "", text)
    } else if run.experiment.is_some() && !run.touched() {
        let text = "the experiment was refused and touched nothing";
        Check::skipped(ID, "", text)
    } else {
        let text = "the stream holds no verification after the experiment";
        Check::unknown(ID, "", text)
            .hint("have chaos-verify in the pipeline between chaos-inject and this tool")
    }
}
