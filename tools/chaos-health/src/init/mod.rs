//! `chaos-health init`: looks at a namespace and writes the configuration of what it found, with
//! comments on what it could not know.

mod draft;
mod survey;
mod text;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use chaos_common::cli::{ClusterArgs, Common};
use chaos_common::cluster::probe::HttpProbe;
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::exit::{Exit, Failure};

use self::draft::Draft;

/// Where the configuration goes.
#[derive(clap::Args, Debug)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Look for monitoring in this namespace [default: the usual ones, such as monitoring]
    #[arg(long, value_name = "NAMESPACE")]
    monitoring: Option<String>,
    /// Write to this file, which must not exist; - is standard output
    #[arg(value_name = "FILE", default_value = "chaos.toml")]
    file: PathBuf,
}

/// Looks, and writes.
///
/// # Errors
/// The namespace is not there or can't be read, or the file exists or can't be written.
pub(crate) async fn run(args: InitArgs, common: &Common) -> Result<Exit, Failure> {
    let to_stdout = args.file == Path::new("-");
    if !to_stdout && args.file.exists() {
        return Err(exists(&args.file));
    }
    let config = match &common.config {
        Some(_) => common.load()?.config,
        None => chaos_common::config::Config::default(),
    };
    let namespace = args.cluster.namespace(&config)?;
    let cluster = Cluster::connect(&args.cluster.access())
        .await
        .map_err(ReadError::usage)?;
    let probe = HttpProbe::new(&cluster);
    let draft = survey::survey(&probe, &namespace, args.monitoring.as_deref()).await?;
    let text = text::text(&draft);
    if to_stdout {
        // A reader that closed early is normal.
        let _ = std::io::stdout().write_all(text.as_bytes());
    } else {
        write(&args.file, &text)?;
        say(&args.file, &draft);
    }
    Ok(Exit::Pass)
}

fn exists(file: &Path) -> Failure {
    Failure::usage(format!("{} is there already", file.display()))
        .hint("name another file, or - for standard output: chaos-health init -n NAMESPACE -")
}

/// Writes a file that is not there yet.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let opened = OpenOptions::new().write(true).create_new(true).open(file);
    let written = opened.and_then(|mut opened| opened.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(file),
        _ => Failure::usage(format!("cannot write {}: {error}", file.display())),
    })
}

fn say(file: &Path, draft: &Draft) {
    let file = file.display();
    let found = draft.summary();
    // Nobody may be listening.
    let _ = writeln!(
        std::io::stderr(),
        "wrote {file}: {found}. What could not be known stands in it as comments.\n\
         next: chaos-health access --config {file}, then chaos-health --config {file}"
    );
}
