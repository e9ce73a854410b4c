//! What every tool's command line has in common, and the one place where a tool ends.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, Args, Command, Parser};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use crate::cluster::Access;
use crate::config::{self, Loaded};
use crate::exit::{Exit, Failure};
use crate::manual;
use crate::output;
use crate::stream::Format;

/// Arguments that all tools share.
#[derive(Args, Debug)]
pub struct Common {
    /// Read this configuration [default: $CHAOS_CONFIG, ./chaos.toml, ~/.config/chaos/chaos.toml]
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        help_heading = "Common options"
    )]
    pub config: Option<PathBuf>,
    /// Set a key of the configuration for this call (repeatable), for example limits.gate_max_age=1h
    #[arg(
        long = "set",
        value_name = "KEY=VALUE",
        global = true,
        help_heading = "Common options"
    )]
    pub settings: Vec<config::Setting>,
    /// Print records (json) or a table (text) [default: text on a terminal, else json]
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        env = "CHAOS_OUTPUT",
        hide_env_values = true,
        global = true,
        help_heading = "Common options"
    )]
    pub output: Option<Format>,
}

/// Arguments of the tools that talk to a cluster.
#[derive(Args, Debug)]
pub struct ClusterArgs {
    /// Use this namespace instead of the configured one
    #[arg(
        short,
        long,
        value_name = "NAME",
        global = true,
        help_heading = "Common options"
    )]
    pub namespace: Option<String>,
    /// Use this context of the kubeconfig
    #[arg(
        long,
        value_name = "NAME",
        global = true,
        help_heading = "Common options"
    )]
    pub context: Option<String>,
    /// Use this kubeconfig [default: $KUBECONFIG, ~/.kube/config, or the pod's service account]
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        help_heading = "Common options"
    )]
    pub kubeconfig: Option<PathBuf>,
    /// As whom.
    #[command(flatten)]
    pub act_as: ActAs,
}

/// As whom the API server is asked.
#[derive(Args, Clone, Debug, Default)]
pub struct ActAs {
    /// Act as this user, as with kubectl
    #[arg(
        long = "as",
        value_name = "USER",
        global = true,
        help_heading = "Common options"
    )]
    pub user: Option<String>,
    /// Act as a member of this group; may be given again
    #[arg(
        long = "as-group",
        value_name = "GROUP",
        requires = "user",
        global = true,
        help_heading = "Common options"
    )]
    pub groups: Vec<String>,
}

impl Common {
    /// The configuration that the arguments name, with what they set.
    ///
    /// # Errors
    /// As [`config::load_with`].
    pub fn load(&self) -> Result<Loaded, Failure> {
        config::load_with(self.config.as_deref(), &self.settings)
    }
}

impl ClusterArgs {
    /// How to reach the cluster.
    pub fn access(&self) -> Access {
        Access {
            context: self.context.clone(),
            kubeconfig: self.kubeconfig.clone(),
            user: self.act_as.user.clone(),
            groups: self.act_as.groups.clone(),
        }
    }

    /// The application's namespace: the flag's, else the configuration's, else that of the
    /// kubeconfig's context.
    ///
    /// # Errors
    /// Neither names one, or it is not a name that a namespace can have.
    pub fn namespace(&self, config: &config::Config) -> Result<String, Failure> {
        let name = self
            .namespace
            .clone()
            .or_else(|| config.application.namespace.clone())
            .or_else(|| self.access().namespace());
        let name = name.ok_or_else(|| {
            Failure::usage("no namespace is given").hint(
                "name one with --namespace, as application.namespace in chaos.toml, or in the \
                 kubeconfig's context (kubectl config set-context --current --namespace NAME)",
            )
        })?;
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 63 || !name.chars().all(good) {
            return Err(Failure::usage(format!(
                "{name:?} is not a name that a namespace can have"
            )));
        }
        Ok(name)
    }
}

/// Parses the arguments, runs the tool, and turns its end into an exit status. `name` is the
/// tool's. `examples` are those of its help: a paragraph for each command, with its name, such as
/// `chaos-health init`, and below that a line for each example.
pub fn main<A: Parser>(
    name: &str,
    examples: &str,
    run: impl FnOnce(A) -> Result<Exit, Failure>,
) -> ExitCode {
    end_at_a_bug();
    let command = manual::with_examples(A::command(), examples);
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(folder) = manual::asked(&words) {
        return write_manual(name, command, folder).into();
    }
    let args = match parse_as::<A>(command, words) {
        Ok(args) => args,
        Err(error) => {
            let good = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            // A reader that closed early is normal, and nothing else is left to do.
            let _ = error.print();
            return if good { Exit::Pass } else { Exit::Usage }.into();
        }
    };
    run(args)
        .unwrap_or_else(|failure| {
            let hint = failure
                .hint
                .as_ref()
                .map(|hint| format!("  hint: {hint}\n"))
                .unwrap_or_default();
            let text = output::printable_lines(&format!("{name}: {failure}\n{hint}"));
            // Nobody may be listening on stderr.
            let _ = std::io::stderr().write_all(text.as_bytes());
            failure.exit
        })
        .into()
}

/// What the shell sees of a tool that met a bug.
const BUG: i32 = 101;

/// A panic on any thread and in any task tells where and ends the process at once, whatever else it
/// was at: nothing goes on beside what is known to be wrong, and a guardian undoes what was broken, as
/// for a process that is killed.
fn end_at_a_bug() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |bug| {
        tell(bug);
        std::process::exit(BUG);
    }));
}

fn write_manual(name: &str, command: Command, folder: &Path) -> Exit {
    match manual::write(command, folder) {
        Ok(()) => Exit::Pass,
        Err(error) => {
            let folder = folder.display();
            let text = format!("{name}: cannot write the manual into {folder}: {error}\n");
            // Nobody may be listening on stderr.
            let _ = std::io::stderr().write_all(text.as_bytes());
            Exit::Fail
        }
    }
}

/// Reads a command line. What several commands share is taken before and after a subcommand alike;
/// what belongs to the tool without a subcommand can't stand before one, where it would be ignored.
///
/// # Errors
/// As clap; and where an option would be ignored.
pub fn parse<A: Parser>(words: impl IntoIterator<Item = OsString>) -> Result<A, clap::Error> {
    parse_as(A::command(), words)
}

fn parse_as<A: Parser>(
    mut command: Command,
    words: impl IntoIterator<Item = OsString>,
) -> Result<A, clap::Error> {
    let words = collected(&command, words);
    let matches = command.try_get_matches_from_mut(words)?;
    if let Some((subcommand, _)) = matches.subcommand() {
        let behind = command.find_subcommand(subcommand);
        // One that is global, here or in the subcommand, reaches it wherever it stands.
        let shared = |arg: &clap::Arg| {
            let mut own = behind.into_iter().flat_map(clap::Command::get_arguments);
            let reaches = |own: &clap::Arg| own.is_global_set() && own.get_id() == arg.get_id();
            arg.is_global_set() || own.any(reaches)
        };
        let given = |arg: &&clap::Arg| {
            let source = matches.value_source(arg.get_id().as_str());
            !shared(arg) && source == Some(ValueSource::CommandLine)
        };
        let ignored = command.get_arguments().find(given);
        if let Some(arg) = ignored.map(ToString::to_string) {
            let message = format!("'{arg}' can't stand before the subcommand '{subcommand}'");
            return Err(command.error(ErrorKind::ArgumentConflict, message));
        }
    }
    A::from_arg_matches(&matches)
}

/// The words with options that can be given more than once, and before and after a subcommand, in one
/// place: clap would forget those before it.
fn collected(command: &clap::Command, words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let repeated =
        |arg: &&clap::Arg| arg.is_global_set() && matches!(arg.get_action(), ArgAction::Append);
    let repeated = command.get_arguments().filter(repeated);
    let options: Vec<String> = repeated
        .filter_map(clap::Arg::get_long)
        .map(|long| format!("--{long}"))
        .collect();
    let (mut others, mut moved) = (Vec::new(), Vec::new());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let text = word.to_str().unwrap_or_default();
        let is_one = |option: &String| {
            let rest = text.strip_prefix(option.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        };
        if text == "--" {
            moved.push(word);
            moved.extend(words);
            break;
        } else if !options.iter().any(is_one) {
            others.push(word);
        } else {
            let alone = !text.contains('=');
            moved.push(word);
            moved.extend(alone.then(|| words.next()).flatten());
        }
    }
    others.extend(moved);
    others
}

/// Runs a future to its end on this thread, with all that it spawns.
///
/// # Panics
/// If the operating system refuses the runtime its timer or poller.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = build(Builder::new_current_thread());
    let output = runtime.block_on(future);
    // A name that is still being looked up can't be stopped, and nobody waits for it any more.
    runtime.shutdown_timeout(UNFINISHED);
    output
}

/// Runs a future to its end on this thread, and what it spawns on another one: so nothing that
/// holds up the first, be it a slow disk or a reader that does not read, comes into what the tasks
/// measure. What it spawns locally stays with it on this thread.
///
/// # Panics
/// If the operating system refuses the runtime its timer, poller or thread.
pub fn block_on_apart<F: Future>(future: F) -> F::Output {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1);
    build(builder).block_on(LocalSet::new().run_until(future))
}

/// So long work on other threads that nobody awaits may go on at the end.
const UNFINISHED: Duration = Duration::from_secs(1);

fn build(mut builder: Builder) -> Runtime {
    // Several TLS providers may be linked in; the first use needs one of them to be chosen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder
        .enable_all()
        .build()
        .expect("a process may have a poller, a timer and a thread")
}

/// The tool's name and version, from its own `Cargo.toml`.
#[macro_export]
macro_rules! tool {
    () => {
        $crate::stream::Tool {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Subcommand;

    #[derive(Parser, Debug)]
    struct Line {
        #[command(flatten)]
        common: Common,
        /// Belongs to the tool without a subcommand.
        #[arg(long)]
        own: bool,
        #[command(subcommand)]
        command: Option<Sub>,
    }

    #[derive(Subcommand, Debug)]
    enum Sub {
        List,
        /// Has an option of the same name, which is another one.
        Show {
            #[arg(long)]
            own: bool,
        },
    }

    /// It runs itself again as the process that has the bug.
    #[test]
    fn a_bug_on_any_thread_ends_the_process() {
        const NAME: &str = "cli::tests::a_bug_on_any_thread_ends_the_process";
        const HAS: &str = "CHAOS_TEST_BUG";
        if std::env::var_os(HAS).is_some() {
            end_at_a_bug();
            let bug = std::thread::spawn(|| panic!("the bug"));
            assert!(bug.join().is_err(), "nobody gets here");
            std::process::exit(0);
        }
        let mut again = std::process::Command::new(std::env::current_exe().expect("it runs"));
        again.args(["--exact", NAME, "--nocapture"]).env(HAS, "1");
        let ended = again.output().expect("it runs");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(BUG), "{said}");
        assert!(said.contains("the bug"), "{said}");
    }

    fn parsed(line: &str) -> Result<Line, String> {
        let words = line.split(' ').map(OsString::from);
        parse(words).map_err(|error| error.to_string())
    }

    #[test]
    fn what_commands_share_is_taken_before_and_after_and_nothing_is_ignored() {
        for line in [
            "tool --config x list",
            "tool list --config x",
            "tool --config x --own",
        ] {
            let common = parsed(line).expect(line).common;
            assert_eq!(common.config, Some(PathBuf::from("x")), "{line}");
        }
        let both = parsed("tool --set a.b=1 list --set=c.d=2").expect("both");
        let options = both.common.settings.iter().map(config::Setting::option);
        let expected = ["--set a.b", "--set c.d"];
        assert_eq!(options.collect::<Vec<_>>(), expected);
        assert!(parsed("tool list --set").is_err(), "it has no value");
        let refused = parsed("tool --own list").expect_err("it would be ignored");
        let message = "'--own' can't stand before the subcommand 'list'";
        assert!(refused.contains(message), "{refused}");
        assert!(parsed("tool --own show").is_err(), "it would be ignored");
        let shown = parsed("tool show --own").expect("it is its own").command;
        assert!(matches!(shown, Some(Sub::Show { own: true })));
    }
}
