//! How the result is told: in the stream, or to nobody when all is well.

use std::io::Write as _;

use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{
    Backup, BackupAction, Check, Data as _, Record, Time, Verdict, new_id, summarize,
};
use chaos_common::stream::{Format, Stream, Tool};
use chaos_common::{output, tool};

use super::Args;
use crate::context::Context;
use crate::item::ItemReport;

/// Where the result goes.
pub(super) enum Reporter {
    /// To standard output, unless all is well.
    Quiet(Option<Format>),
    /// Into the stream.
    Stream(Box<Stream>),
}

impl Reporter {
    /// The way that the arguments ask for. Reads the stream, if there is one.
    pub(super) fn open(args: &Args) -> Result<Reporter, Failure> {
        let format = args.common.output;
        if args.cron.quiet {
            return Ok(Reporter::Quiet(format));
        }
        let stream = Stream::open(tool!(), format)?;
        Ok(Reporter::Stream(Box::new(stream)))
    }

    /// What is wrong with the stream so far.
    pub(super) fn upstream_check(&self) -> Option<Check> {
        match self {
            Reporter::Quiet(_) => None,
            Reporter::Stream(stream) => stream.upstream.check(),
        }
    }

    /// Tells the result; `own` is how the tool would end without the stream.
    pub(super) fn finish(self, backup: Backup, own: Exit) -> Exit {
        let verdict = Verdict::of(&backup.checks);
        match self {
            Reporter::Quiet(_) if verdict == Verdict::Pass => own,
            Reporter::Quiet(format) => {
                print(backup, verdict, format);
                own
            }
            Reporter::Stream(mut stream) => {
                let summary = summarize(&backup.checks);
                stream.result(verdict, summary, backup, own)
            }
        }
    }
}

/// What is printed is mostly mailed to people.
fn print(data: Backup, verdict: Verdict, format: Option<Format>) {
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
    let printed = match format {
        Some(Format::Json) => {
            serde_json::to_string(&record).expect("records have string keys and no failing parts")
                + "\n"
        }
        _ => output::render(&record),
    };
    // A reader that went away is normal; the status tells.
    let _ = std::io::stdout().write_all(printed.as_bytes());
}

/// What was done with backups, for the record.
pub(super) fn backup_of(
    reports: Vec<ItemReport>,
    action: BackupAction,
    context: &Context,
) -> Backup {
    let own = reports
        .into_iter()
        .map(|report| (report.item, report.checks));
    let (items, checks): (_, Vec<Vec<Check>>) = own.unzip();
    Backup {
        namespace: context.namespace.clone(),
        action,
        checks: checks.concat(),
        items,
    }
}
