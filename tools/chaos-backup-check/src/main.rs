//! `chaos-backup-check`: would the backups restore?

mod freshness;
mod item;
mod manifests;
mod pg_tool;
mod pgdump;
mod tarball;
mod trouble;

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use chaos_common::cli::{self, ClusterArgs, Common};
use chaos_common::config;
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Backup, BackupItem, Check, Verdict, summarize};
use chaos_common::stream::Stream;
use chaos_common::tool;
use clap::Parser;
use jiff::Timestamp;

/// Files that are read at the same time.
const READERS: usize = 2;

/// Check that backups are there, recent, and whole to the last byte
///
/// Reads every backup of the configuration in full: PostgreSQL dumps in custom format, tar archives,
/// exported Kubernetes objects. Passes only if each could be read and is as it should be. Starts a
/// run, or adds to the stream on standard input.
#[derive(Parser, Debug)]
#[command(version, after_help = "Exit status: 0 good, 1 missing, old or damaged, 2 usage, 3 could not tell.")]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    cluster: ClusterArgs,
}

fn main() -> ExitCode {
    cli::main("chaos-backup-check", |args: Args| run(&args))
}

fn run(args: &Args) -> Result<Exit, Failure> {
    let config = args.common.load()?.config;
    let namespace = args.cluster.namespace(&config)?;
    let mut stream = Stream::open(tool!(), args.common.output)?;
    let access = args.cluster.access();
    let (examined, tool) = std::thread::scope(|scope| {
        let files = scope.spawn(|| examine(&config.backups));
        let tool = cli::block_on(pg_tool::check(&access, &config, &namespace));
        (files.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), tool)
    });
    let (items, checks): (Vec<BackupItem>, Vec<Vec<Check>>) = examined.into_iter().unzip();
    let mut checks = checks.concat();
    if items.is_empty() {
        checks.push(
            Check::unknown("backup.configured", "", "no backup is configured")
                .hint("name each in chaos.toml as [[backup]]; scripts/ecommerce.toml shows how"),
        );
    }
    checks.extend(tool);
    checks.extend(stream.upstream.check());
    let verdict = Verdict::of(&checks);
    let summary = summarize(&checks);
    Ok(stream.result(verdict, summary, Backup { namespace, checks, items }, verdict.into()))
}

/// Looks at all backups, some at a time; in the order of the configuration.
fn examine(backups: &[config::Backup]) -> Vec<(BackupItem, Vec<Check>)> {
    let next = AtomicUsize::new(0);
    let work = || {
        let numbers = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
        let mine = numbers.map_while(|number| Some((number, backups.get(number)?)));
        mine.map(|(number, backup)| (number, item::examine(backup, Timestamp::now()))).collect::<Vec<_>>()
    };
    let mut examined = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS.min(backups.len())).map(|_| scope.spawn(work)).collect();
        let join = |reader: std::thread::ScopedJoinHandle<'_, Vec<_>>| {
            reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        readers.into_iter().flat_map(join).collect::<Vec<_>>()
    });
    examined.sort_by_key(|(number, _)| *number);
    examined.into_iter().map(|(_, examined)| examined).collect()
}
