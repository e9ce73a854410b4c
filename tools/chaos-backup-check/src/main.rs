//! `chaos-backup-check`: would the backups restore?

mod commands;
mod context;
mod drill;
mod item;
mod monitoring;
mod progress;
mod source;

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use chaos_common::cli::{self, ClusterArgs, Common};
use chaos_common::config::Loaded;
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{
    Backup, BackupAction, BackupItem, Check, Data as _, Record, Time, Verdict, new_id, summarize,
};
use chaos_common::stream::{Format, Stream, Tool};
use chaos_common::{output, tool};
use clap::{Parser, Subcommand};

use self::commands::check::Deadline;
use self::commands::{check, export, seal};
use self::context::Context;
use self::item::freshness;
use self::monitoring::{CronArgs, Held, Lock, Plugin};
use self::progress::Progress;

/// Check that backups are there, recent, and whole to the last byte
///
/// Reads every backup of the configuration in full, on this machine, in a pod or in object storage:
/// PostgreSQL dumps, tar archives, exported Kubernetes objects; and looks whether snapshots of
/// volumes are ready. Passes only if each could be read and is as it should be. Starts a run, or
/// adds to the stream on standard input; with --quiet or --nagios, standard input is not read.
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Exit status: 0 good, 1 missing, old, damaged or not restorable, 2 usage, 3 could not tell, 4 refused, 6 a drill was stopped."
)]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    cron: CronArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Write a manifest beside a backup that was just made, which later checks hold it against
    Seal(seal::SealArgs),
    /// Back up the configuration of the cluster: the ConfigMaps, Secrets and other kinds that
    /// chaos.toml names
    Export(export::ExportArgs),
    /// Restore backups for a trial, into a place that is thrown away, and keep the evidence
    Drill(drill::DrillArgs),
}

fn main() -> ExitCode {
    // A plugin's statuses hold for its usage errors too, so this can't wait until the arguments are
    // parsed.
    if std::env::args_os().any(|argument| argument == OsStr::new("--nagios")) {
        return plugin();
    }
    cli::main(env!("CARGO_PKG_NAME"), |args: Args| run(&args))
}

fn run(args: &Args) -> Result<Exit, Failure> {
    let start = Instant::now();
    let loaded = args.common.load()?;
    if let Some(Command::Seal(seal)) = &args.command {
        // Files need no namespace.
        let context = context_in(
            args,
            &loaded,
            args.cluster.namespace(&loaded.config).unwrap_or_default(),
        )?;
        return seal::run(seal, &context, &tool!());
    }
    let context = context(args, &loaded)?;
    match &args.command {
        Some(Command::Export(export)) => {
            let _lock = lock(args, "export", &loaded)?;
            let done = |context: &Context| {
                cli::block_on(export::run(export, context)).map(|done| (done, Exit::Pass))
            };
            return act(args, BackupAction::Export, &context, done);
        }
        Some(Command::Drill(drill)) => {
            let _lock = lock(args, "drill", &loaded)?;
            let deadline = args
                .cron
                .deadline
                .and_then(|limit| Deadline::after(start, limit));
            let done = |context: &Context| cli::block_on(drill::run(drill, context, deadline));
            return act(args, BackupAction::Drill, &context, done);
        }
        _ => {}
    }
    if args.cron.quiet {
        let _lock = lock(args, "check", &loaded)?;
        let backup = examine(args, &context, start);
        let told = textfile(args, &backup, start);
        return Ok(quiet(args, backup, told));
    }
    let mut stream = Stream::open(tool!(), args.common.output)?;
    let _lock = lock(args, "check", &loaded)?;
    let mut backup = examine(args, &context, start);
    backup.checks.extend(stream.upstream.check());
    let told = textfile(args, &backup, start);
    let verdict = Verdict::of(&backup.checks);
    let summary = summarize(&backup.checks);
    Ok(stream.result(verdict, summary, backup, told.worst(verdict.into())))
}

/// Does something with backups that is no check of them all, and says what came of it.
fn act(
    args: &Args,
    action: BackupAction,
    context: &Context,
    done: impl FnOnce(&Context) -> Result<(Vec<(BackupItem, Vec<Check>)>, Exit), Failure>,
) -> Result<Exit, Failure> {
    let backup = |done: Vec<(BackupItem, Vec<Check>)>| {
        let (items, checks): (_, Vec<Vec<Check>>) = done.into_iter().unzip();
        Backup {
            namespace: context.namespace.clone(),
            action,
            checks: checks.concat(),
            items,
        }
    };
    let progress = Progress::start(!args.cron.alone());
    let context = &Context {
        readings: progress.readings(),
        ..context.clone()
    };
    // What was refused is an outcome of its own, unless something worse is known.
    let own = |verdict: Verdict, end: Exit| {
        if verdict == Verdict::Unknown && end == Exit::Refused {
            end
        } else {
            verdict.into()
        }
    };
    if args.cron.quiet {
        let (done, end) = done(context)?;
        let backup = backup(done);
        let verdict = Verdict::of(&backup.checks);
        quiet(args, backup, Exit::Pass);
        return Ok(own(verdict, end));
    }
    let mut stream = Stream::open(tool!(), args.common.output)?;
    let (done, end) = done(context)?;
    let mut backup = backup(done);
    drop(progress);
    backup.checks.extend(stream.upstream.check());
    let verdict = Verdict::of(&backup.checks);
    let summary = summarize(&backup.checks);
    Ok(stream.result(verdict, summary, backup, own(verdict, end)))
}

fn context(args: &Args, loaded: &Loaded) -> Result<Context, Failure> {
    context_in(args, loaded, args.cluster.namespace(&loaded.config)?)
}

fn context_in(args: &Args, loaded: &Loaded, namespace: String) -> Result<Context, Failure> {
    source::check_places(&loaded.config)?;
    freshness::check_schedules(&loaded.config.backups)?;
    let config = Arc::new(loaded.config.clone());
    Ok(Context {
        access: args.cluster.access(),
        namespace,
        config,
        readings: progress::Readings::default(),
    })
}

fn examine(args: &Args, context: &Context, start: Instant) -> Backup {
    let progress = Progress::start(!args.cron.alone());
    let context = Context {
        readings: progress.readings(),
        ..context.clone()
    };
    check::all(
        &context,
        args.cron
            .deadline
            .and_then(|limit| Deadline::after(start, limit)),
    )
}

/// The lock of a run that nobody watches, or that does more than look. A person may look at any
/// time.
fn lock(args: &Args, what: &str, loaded: &Loaded) -> Result<Option<Lock>, Failure> {
    if args.command.is_none() && !args.cron.unattended() {
        return Ok(None);
    }
    match Lock::take(what, loaded.path.as_deref()) {
        Ok(lock) => Ok(Some(lock)),
        Err(Held::Elsewhere(by)) => Err(Failure {
            exit: Exit::Refused,
            message: format!(
                "another {what} of this configuration is not over ({by}); nothing was done"
            ),
            hint: Some("see what holds it up, or give it a --deadline".to_owned()),
        }),
        Err(Held::CannotTell(why)) => {
            say(&format!(
                "cannot see whether another {what} runs: {why}; this one runs all the same"
            ));
            Ok(None)
        }
    }
}

/// Writes the metrics, if they are wanted. Monitoring that is not told must not go unseen.
fn textfile(args: &Args, backup: &Backup, start: Instant) -> Exit {
    let Some(path) = &args.cron.textfile else {
        return Exit::Pass;
    };
    match monitoring::write_textfile(path, backup, Time::now(), start.elapsed()) {
        Ok(()) => Exit::Pass,
        Err(error) => {
            say(&format!(
                "cannot write the metrics to {}: {error}",
                path.display()
            ));
            Exit::Unknown
        }
    }
}

/// Prints the result unless all is well.
fn quiet(args: &Args, data: Backup, told: Exit) -> Exit {
    let verdict = Verdict::of(data.checks());
    let tool: Tool = tool!();
    let record = Record {
        schema: Backup::KIND.schema(),
        id: new_id(),
        run: new_id(),
        time: Time::now(),
        tool: format!("{} {}", tool.name, tool.version),
        verdict: Some(verdict),
        summary: summarize(data.checks()),
        data,
    };
    if verdict == Verdict::Pass {
        return told;
    }
    // What is printed is mostly mailed to people.
    let printed = match args.common.output {
        Some(Format::Json) => {
            serde_json::to_string(&record).expect("records have string keys and no failing parts")
                + "\n"
        }
        _ => output::render(&record),
    };
    // A reader that went away is normal; the status tells.
    let _ = std::io::stdout().write_all(printed.as_bytes());
    told.worst(verdict.into())
}

/// Runs as a monitoring plugin: one line, four statuses, whatever happens.
fn plugin() -> ExitCode {
    let start = Instant::now();
    let (plugin, line) = match Args::try_parse() {
        Ok(args) => plugin_line(&args, start).unwrap_or_else(|failure| {
            let hint = failure
                .hint
                .map(|hint| format!(" ({hint})"))
                .unwrap_or_default();
            (
                Plugin::Unknown,
                monitoring::nagios_line(Plugin::Unknown, &format!("{}{hint}", failure.message)),
            )
        }),
        Err(error) if !error.use_stderr() => {
            // A reader that closed early is normal.
            let _ = error.print();
            return Plugin::Ok.into();
        }
        Err(error) => {
            let first = error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            (
                Plugin::Unknown,
                monitoring::nagios_line(Plugin::Unknown, &format!("usage: {first}")),
            )
        }
    };
    match std::io::stdout().write_all(line.as_bytes()) {
        Ok(()) => plugin.into(),
        Err(_) => Plugin::Unknown.into(),
    }
}

fn plugin_line(args: &Args, start: Instant) -> Result<(Plugin, String), Failure> {
    let loaded = args.common.load()?;
    let context = context(args, &loaded)?;
    let _lock = lock(args, "check", &loaded)?;
    let backup = examine(args, &context, start);
    if textfile(args, &backup, start) != Exit::Pass {
        return Err(Failure::unknown(
            "the metrics could not be written; stderr says why",
        ));
    }
    Ok(monitoring::nagios(&backup, start.elapsed()))
}

fn say(message: &str) {
    // Nobody may be listening on stderr.
    let _ = writeln!(std::io::stderr(), "{}: {message}", env!("CARGO_PKG_NAME"));
}
