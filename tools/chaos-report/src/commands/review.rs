//! `review`: the report on a time of the archive.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use chaos_common::config::Config;
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Check, Report, ReportForm, Status, Time};
use chaos_common::stream::{Format, Stream};
use chaos_common::tool;
use clap::Subcommand;
use jiff::ToSpan as _;
use jiff::civil::Date;

use super::archived;
use super::{NOT_SAVED, finish, saved_check};
use crate::index::{Depth, Index};
use crate::render;
use crate::review::{
    Days, Document, Form, Month, Period, Quarter, Scope, Settings, Subject, Year, day,
};
use crate::store::{Store, StoreError, in_folder};

/// What is reviewed.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_required = false)]
pub(crate) struct Args {
    #[command(subcommand)]
    time: Option<Command>,
    /// Review from this day of UTC on
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with = "runs")]
    from: Option<Date>,
    /// Review up to this day of UTC, which is included [default: today]
    #[arg(long, value_name = "YYYY-MM-DD", requires = "from")]
    to: Option<Date>,
    /// Review these runs, such as those of a game day
    #[arg(long, value_name = "RUN", num_args = 1..)]
    runs: Vec<String>,
}

/// A time of the calendar.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Command {
    /// Review a month of UTC, for example 2026-11
    Month {
        /// The month [default: that of yesterday]
        month: Option<Month>,
    },
    /// Review a quarter of UTC, for example 2026-Q4
    Quarter {
        /// The quarter [default: that of yesterday]
        quarter: Option<Quarter>,
    },
    /// Review a year of UTC, for example 2026
    Year {
        /// The year [default: that of yesterday]
        year: Option<Year>,
    },
}

/// The arguments of `monthly`.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct MonthlyArgs {
    /// Report on this month of UTC, for example 2026-11 [default: that of yesterday]
    #[arg(long, value_name = "YYYY-MM")]
    month: Option<Month>,
}

impl From<MonthlyArgs> for Args {
    fn from(args: MonthlyArgs) -> Args {
        Args {
            time: Some(Command::Month { month: args.month }),
            from: None,
            to: None,
            runs: Vec::new(),
        }
    }
}

/// Reviews a time of the archive, or some runs.
///
/// # Errors
/// It is not said of what, there is no such run, or standard input can't be read.
pub(crate) fn review(
    store: &mut dyn Store,
    args: &Args,
    config: &Config,
    format: Option<Format>,
) -> Result<Exit, Failure> {
    let period = period(args)?;
    let mut stream = Stream::open(tool!(), format)?;
    let mut checks: Vec<Check> = stream.upstream.check().into_iter().collect();
    let opened = archived::open(store, Depth::Details);
    let index = match &opened {
        Ok(index) => index,
        Err(_) => &Index::default(),
    };
    let (subject, words) = match period {
        Some(period) => (Subject::Period(period), period.to_string()),
        None => runs(index, &args.runs)?,
    };
    let scope = Scope::of(index, &subject).ok_or_else(|| no_experiment(&args.runs))?;
    let form = form(period);
    let settings = Settings {
        form,
        period: words.clone(),
        previous: period.map(|period| period.previous().to_string()),
        configured: configured(config),
        goals: config.report.goals.clone(),
        reviewed: reviewed(store),
    };
    let document = Document::of(&scope, &settings);
    checks.push(archive_check(store, opened.as_ref(), &scope));
    let saved = match &opened {
        Ok(_) => save(store, form, &words, &document),
        // The check of the archive says why.
        Err(_) => Err(not_made(&*store)),
    };
    let shown = |path: &PathBuf| path.display().to_string();
    let files = saved
        .as_ref()
        .map(|paths| paths.iter().map(shown).collect());
    let files: Vec<String> = files.unwrap_or_default();
    // People and chaos-notify read the Markdown.
    let location = saved.as_ref().map(|paths| shown(&paths[0]));
    let told = location.as_ref().map(|location| (location.as_str(), None));
    let saved_check = saved_check(store.place(), told.map_err(|error| *error));
    checks.push(saved_check.clone());
    let worst = scope.runs.iter().map(|it| it.run.facts.conclusion).max();
    let data = Report {
        form: record_form(form),
        subject: words,
        status: worst.map_or("unknown", |worst| worst.word()).to_owned(),
        location: location.unwrap_or_else(|_| NOT_SAVED.to_owned()),
        files,
        stream: None,
        findings: document.findings,
        next_steps: document.recommendations,
        checks,
    };
    Ok(finish(&mut stream, data, &saved_check))
}

/// The time that the arguments name; none if they name runs.
fn period(args: &Args) -> Result<Option<Period>, Failure> {
    // On the first of a month, cron wants the one that is over.
    let today = day(Time::now());
    let yesterday = today.saturating_sub(1.day());
    Ok(Some(match (args.time, args.from) {
        (Some(Command::Month { month }), _) => {
            month.map_or_else(|| Period::month(yesterday), |month| month.0)
        }
        (Some(Command::Quarter { quarter }), _) => {
            quarter.map_or_else(|| Period::quarter(yesterday), |quarter| quarter.0)
        }
        (Some(Command::Year { year }), _) => {
            year.map_or_else(|| Period::year(yesterday), |year| year.0)
        }
        (None, Some(first)) => {
            let last = args.to.unwrap_or(today);
            if last < first {
                return Err(Failure::usage(format!(
                    "the last day, {last}, is before the first, {first}"
                )));
            }
            Period::Days(Days { first, last })
        }
        (None, None) if args.runs.is_empty() => {
            return Err(Failure::usage("it is not said what to review").hint(
                "chaos-report review month, quarter or year; --from DAY; or --runs RUN RUN",
            ));
        }
        (None, None) => return Ok(None),
    }))
}

/// The runs that are named, and what to call them.
fn runs(index: &Index, named: &[String]) -> Result<(Subject, String), Failure> {
    let mut ids = Vec::new();
    for text in named {
        ids.push(archived::one(index, text)?.stream.run.clone());
    }
    let shorts: Vec<String> = ids.iter().map(|id| archived::short(id)).collect();
    Ok((Subject::Runs(ids), format!("runs {}", shorts.join(", "))))
}

fn no_experiment(named: &[String]) -> Failure {
    let named = named.join(", ");
    Failure::usage(format!(
        "the streams of {named} hold no experiment to review"
    ))
}

fn form(period: Option<Period>) -> Form {
    match period {
        Some(Period::Month { .. }) => Form::Monthly,
        Some(Period::Quarter { .. }) => Form::Quarterly,
        Some(Period::Year { .. }) => Form::Yearly,
        Some(Period::Days(_)) | None => Form::Other,
    }
}

fn record_form(form: Form) -> ReportForm {
    match form {
        Form::Monthly => ReportForm::Monthly,
        Form::Quarterly => ReportForm::Quarterly,
        Form::Yearly => ReportForm::Yearly,
        Form::Other => ReportForm::Review,
    }
}

/// The experiments that have a table, by their names: the table's has underscores.
fn configured(config: &Config) -> Vec<String> {
    let names = config.experiment.tables.names();
    names.map(|table| table.replace('_', "-")).collect()
}

/// The months whose report is in the archive. Where that can't be told, the check of the archive
/// says why.
fn reviewed(store: &mut dyn Store) -> BTreeSet<String> {
    let month = |name: String| {
        let month = name.strip_prefix("monthly-")?.strip_suffix(".md")?;
        Some(month.to_owned())
    };
    let names = store.reviews().unwrap_or_default();
    names.into_iter().filter_map(month).collect()
}

fn not_made(store: &dyn Store) -> StoreError {
    in_folder(Path::new(&store.place()))(io::Error::other("the archive can't be listed"))
}

/// Keeps a review, as Markdown and as HTML.
fn save(
    store: &mut dyn Store,
    form: Form,
    words: &str,
    document: &Document,
) -> Result<Vec<PathBuf>, StoreError> {
    let name = match form {
        Form::Monthly => format!("monthly-{words}"),
        Form::Quarterly => format!("quarterly-{words}"),
        Form::Yearly => format!("yearly-{words}"),
        Form::Other => format!(
            "review-{}",
            words.replace([' ', ','], "-").replace("--", "-")
        ),
    };
    let files = render::review(document).into_iter();
    files
        .map(|(ending, bytes)| store.save_review(&format!("{name}.{ending}"), &bytes))
        .collect()
}

fn archive_check(store: &dyn Store, opened: Result<&Index, &Failure>, scope: &Scope) -> Check {
    let (id, object) = ("report.archive", store.place());
    let index = match opened {
        Ok(index) => index,
        Err(error) => {
            return Check::unknown(id, object, error.to_string())
                .hint("name the folder with --archive or report.archive in chaos.toml");
        }
    };
    let named = |what: &str, names: &[String]| {
        let (n, names) = (names.len(), names.join("; "));
        Check::unknown(id, object.clone(), format!("{n} streams {what}: {names}"))
    };
    let damaged = scope.damaged();
    if !index.unreadable.is_empty() {
        named("could not be read", &index.unreadable)
    } else if !index.gone.is_empty() {
        named("that were in the archive are gone", &index.gone)
            .hint("bring them back, or have chaos-report prune forget them")
    } else if !damaged.is_empty() {
        let why = format!("{} damaged streams: {}", damaged.len(), damaged.join("; "));
        Check::new(id, object, Status::Warn, why)
    } else {
        let n = scope.history.len();
        Check::pass(
            id,
            object,
            format!("{n} experiments up to {}", scope.days.last),
        )
    }
}
