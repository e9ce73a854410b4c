//! `action`: next steps, whose they are, and which are done.

use chaos_common::executor::executor;
use chaos_common::exit::{Exit, Failure};
use chaos_common::output::printable;
use chaos_common::record::{NextStep, Note, Time, new_id};
use chaos_common::stream::Format;
use clap::Subcommand;
use jiff::civil::Date;
use serde_json::json;

use super::archived;
use super::note::keep;
use crate::actions::{self, Action};
use crate::index::Depth;
use crate::review::day;
use crate::store::Store;

/// What to do with next steps.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// List next steps that are not done, those that are late first
    List(ListArgs),
    /// Write down a next step
    Add(AddArgs),
    /// Say that a next step is done
    Done(DoneArgs),
}

/// Which next steps.
#[derive(clap::Args, Debug)]
pub(crate) struct ListArgs {
    /// Those that are done as well
    #[arg(long)]
    all: bool,
    /// Only those of this owner
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
}

/// A next step.
#[derive(clap::Args, Debug)]
pub(crate) struct AddArgs {
    /// What is to be done
    #[arg(value_name = "TEXT")]
    text: String,
    /// The run that it came of: its id, the end of it, the name of its files, or last
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Who does it
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// By which day
    #[arg(long, value_name = "YYYY-MM-DD")]
    due: Option<Date>,
}

/// What is done.
#[derive(clap::Args, Debug)]
pub(crate) struct DoneArgs {
    /// The next step's id, or the end of it
    #[arg(value_name = "ID")]
    id: String,
    /// Say what was made better by it
    #[arg(long, value_name = "TEXT")]
    improvement: Option<String>,
}

/// Lists, adds or ends next steps.
///
/// # Errors
/// There is no such run or next step, or the note can't be kept.
pub(crate) fn run(
    store: &mut dyn Store,
    command: &Command,
    format: Option<Format>,
) -> Result<Exit, Failure> {
    let index = archived::open(store, Depth::Facts)?;
    let known = actions::all(&index.entries);
    let note = match command {
        Command::List(args) => {
            list(&known, args, format);
            return Ok(archived::exit(&index));
        }
        Command::Add(args) => {
            let run = args.run.as_deref().map(|run| archived::one(&index, run));
            let run = run.transpose()?.map(|entry| entry.stream.run.clone());
            add(args, run)
        }
        Command::Done(args) => done(&known, args)?,
    };
    keep(store, note, format)
}

fn add(args: &AddArgs, about: Option<String>) -> Note {
    let step = NextStep {
        id: new_id(),
        text: args.text.clone(),
        owner: args.owner.clone(),
        due: args.due.map(|due| due.to_string()),
    };
    Note {
        about,
        author: executor(),
        next_steps: vec![step],
        ..Note::default()
    }
}

fn done(known: &[Action], args: &DoneArgs) -> Result<Note, Failure> {
    let hint = "chaos-report action list shows the next steps and their ids";
    let ends = |action: &&Action| args.id.len() >= 4 && action.step.id.ends_with(&args.id);
    let found: Vec<&Action> = known.iter().filter(ends).collect();
    let action = match found.as_slice() {
        [] => {
            let text = format!("there is no next step {:?}", args.id);
            return Err(Failure::usage(text).hint(hint));
        }
        [one] => *one,
        _ => {
            let text = format!("{:?} is the end of several next steps' ids", args.id);
            return Err(Failure::usage(text).hint(hint));
        }
    };
    if let Some(when) = action.done {
        let text = format!("{:?} was done by {}", action.step.text, when.human());
        return Err(Failure::usage(text).hint(hint));
    }
    Ok(Note {
        about: action.about.map(str::to_owned),
        author: executor(),
        improvements: args.improvement.iter().cloned().collect(),
        done: vec![action.step.id.clone()],
        ..Note::default()
    })
}

fn list(known: &[Action], args: &ListArgs, format: Option<Format>) {
    let today = day(Time::now());
    let owner = args.owner.as_deref();
    let mut wanted: Vec<&Action> = known
        .iter()
        .filter(|action| args.all || action.done.is_none())
        .filter(|action| owner.is_none_or(|owner| action.step.owner.as_deref() == Some(owner)))
        .collect();
    wanted.sort_by_key(|action| (action.done.is_some(), !action.is_overdue(today)));
    let line = |action: &&Action| {
        if Format::or_default(format) == Format::Text {
            text(action, today)
        } else {
            object(action, today)
        }
    };
    let lines: String = wanted.iter().map(line).collect();
    archived::write(lines.as_bytes());
}

fn text(action: &Action, today: Date) -> String {
    let state = match action.done {
        Some(when) => format!("done {}", when.0.strftime("%Y-%m-%d")),
        None if action.is_overdue(today) => "late".to_owned(),
        None => "open".to_owned(),
    };
    let run = action
        .about
        .map(|run| format!(" (run {})", archived::short(run)));
    let text = archived::in_words(action.step) + &run.unwrap_or_default();
    let id = archived::short(&action.step.id);
    format!("{id}  {state:15}  {}\n", printable(&text))
}

fn object(action: &Action, today: Date) -> String {
    let object = json!({
        "id": action.step.id,
        "text": action.step.text,
        "owner": action.step.owner,
        "due": action.step.due,
        "run": action.about,
        "since": action.since,
        "done": action.done,
        "late": action.is_overdue(today),
    });
    format!("{object}\n")
}
