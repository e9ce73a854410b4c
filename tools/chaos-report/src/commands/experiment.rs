//! The report of the experiment in the stream.

use std::path::Path;
use std::process::{Command, Stdio};

use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Check, Report, ReportForm, Status, Time, Verdict};
use chaos_common::stream::{Format, Stream};
use chaos_common::tool;

use super::note::{self, Words};
use super::{NOT_SAVED, finish, saved_check};
use crate::archive::{self, Draft};
use crate::findings::{ExperimentReport, Lessons, RunRecord};
use crate::render::{self, ReportFormat};
use crate::store::{NewStream, Saved, Store, StoreError, in_folder};
use crate::trace;

const STREAM: &str = "standard input";

/// What to make of the stream.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Make the report in these formats
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "FORMAT",
        default_values = ["md", "html"]
    )]
    format: Vec<ReportFormat>,
    /// Show the HTML in this machine's browser
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    words: Words,
}

impl Args {
    /// The formats, each once; what is to be opened has to be made.
    fn formats(&self) -> Vec<ReportFormat> {
        let mut formats = Vec::new();
        let opened = self.open.then_some(ReportFormat::Html);
        for format in self.format.iter().copied().chain(opened) {
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        formats
    }
}

/// Reports on the experiment in the stream. What people say of it goes into the stream and the
/// archive as a record of its own.
///
/// # Errors
/// There is no stream on standard input.
pub(crate) fn report(
    store: &mut dyn Store,
    args: &Args,
    format: Option<Format>,
) -> Result<Exit, Failure> {
    // Without a place for the report the stream still has to reach the next tool.
    let workplace = store.workplace();
    let mut draft = Draft::create(&workplace);
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
    let formats = args.formats();
    let made = Made {
        run: &run,
        lessons: &lessons,
    };
    let copied = draft.and_then(|draft| copied.map(|()| draft));
    let copied = copied.map_err(in_folder(&workplace));
    let saved = copied.and_then(|draft| made.save(store, draft, &formats));
    let saved_check = saved_check(store.place(), saved.as_ref().map(Saved::told));
    let mut checks = parts(&run);
    checks.push(saved_check.clone());
    checks.extend(say(store, &args.words, &mut stream));
    if let Some(html) = saved.as_ref().ok().and_then(html).filter(|_| args.open) {
        checks.push(open(html));
    }
    checks.extend(trace(&stream));
    let data = made.record(saved.ok(), checks);
    Ok(finish(&mut stream, data, &saved_check))
}

/// Adds what people say of the run to the stream, and keeps it in the archive.
fn say(store: &mut dyn Store, words: &Words, stream: &mut Stream) -> Option<Check> {
    const ID: &str = "report.note";
    let note = words.note(Some(&stream.run))?;
    let kept = note::store(store, &note, &stream.run);
    stream.add(Verdict::Pass, note::summary(&note), note);
    Some(match kept {
        Ok(Some(notice)) => Check::new(ID, "", Status::Warn, notice.text).hint(notice.hint),
        Ok(None) => Check::pass(ID, "", "your words are kept"),
        Err(failure) => Check::unknown(ID, "", failure.to_string())
            .hint("say it again later: chaos-report note RUN"),
    })
}

/// Exports the run as a trace, where the environment names a collector. That it is not taken is no
/// fault of the run.
fn trace(stream: &Stream) -> Option<Check> {
    const ID: &str = "report.trace";
    let to = trace::destination()?;
    let spans = trace::spans(&stream.upstream, &stream.run);
    let count = spans.len();
    Some(match trace::send(spans) {
        Ok(()) => Check::pass(ID, to, format!("exported as a trace of {count} spans")),
        Err(error) => {
            let why = format!("cannot export the trace to {to}: {error}");
            stream.progress(&why);
            Check::new(ID, to, Status::Warn, why).hint(error.hint())
        }
    })
}

/// What was made of a stream.
struct Made<'a> {
    run: &'a RunRecord,
    lessons: &'a Lessons,
}

impl Made<'_> {
    fn report(&self, stream: &str) -> ExperimentReport {
        ExperimentReport::of(self.run, self.lessons, stream)
    }

    /// Gives reports and stream their names.
    fn save(
        &self,
        store: &mut dyn Store,
        draft: Draft,
        formats: &[ReportFormat],
    ) -> Result<Saved, StoreError> {
        let began = self.run.began().unwrap_or_else(Time::now);
        let name = self.run.name().unwrap_or_default();
        let stem = archive::stem(began, name, &self.run.run);
        let stream = NewStream {
            stem,
            ending: "ndjson".to_owned(),
            draft,
        };
        store.save(stream, &|stem| {
            let report = self.report(&format!("{stem}.ndjson"));
            let of =
                |format: &ReportFormat| (format.ending(), render::experiment(&report, *format));
            formats.iter().map(of).collect()
        })
    }

    /// The record that tells of the report.
    fn record(&self, saved: Option<Saved>, checks: Vec<Check>) -> Report {
        let paths = |saved: &Saved| -> Vec<String> {
            let path = |path: &std::path::PathBuf| path.display().to_string();
            saved.reports.iter().map(path).collect()
        };
        Report {
            form: ReportForm::Experiment,
            subject: self.run.name().unwrap_or("unknown").to_owned(),
            status: self.run.conclusion.word().to_owned(),
            location: saved
                .as_ref()
                .map_or_else(|| NOT_SAVED.to_owned(), |saved| saved.location.clone()),
            files: saved.as_ref().map(paths).unwrap_or_default(),
            findings: self.report("").findings(self.run, self.lessons),
            next_steps: self.lessons.next_steps(),
            stream: saved.map(|saved| saved.stream),
            checks,
        }
    }
}

fn html(saved: &Saved) -> Option<&Path> {
    let mut paths = saved.reports.iter().map(std::path::PathBuf::as_path);
    paths.find(|path| path.extension().is_some_and(|ending| ending == "html"))
}

/// Has the desktop show a file. The browser does not hold this tool up.
fn open(path: &Path) -> Check {
    const ID: &str = "report.opened";
    let object = path.display().to_string();
    let opener = Command::new("xdg-open")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match opener {
        Ok(_) => Check::pass(ID, object, "handed to xdg-open"),
        Err(error) => {
            let why = format!("cannot start xdg-open: {error}");
            Check::new(ID, object, Status::Warn, why).hint("open the file in a browser")
        }
    }
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
