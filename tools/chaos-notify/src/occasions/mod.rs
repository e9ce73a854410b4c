//! The runbook's messages, one file each, with the arguments that each takes.

mod aborted;
mod announcement;
mod completed;
mod critical;
mod monthly;
mod report;
mod scene;
mod scheduled;
mod started;
mod test;

use chaos_common::record::{Check, Occasion};
use clap::{Args as ClapArgs, Subcommand};

pub(crate) use self::scene::Scene;
use crate::template::Draft;

/// The occasions of which people are told.
#[derive(Subcommand, Debug)]
pub(crate) enum Told {
    /// Announce an experiment: the plan in the stream, or what the flags name
    Scheduled(scheduled::Args),
    /// Tell that an experiment is running: the plan in the stream, or what the flags name
    Started(announcement::Args),
    /// Share how the experiment in the stream ended: its results; as aborted or critical where it
    /// was
    Completed(completed::Args),
    /// Tell that an experiment was aborted
    Aborted(aborted::Args),
    /// Tell management that the system failed
    Critical(critical::Args),
    /// Send the monthly report in the stream to team and management
    Monthly,
    /// Send a harmless message on every channel, to see whether they work
    Test,
}

/// Whether an answer to a critical message is waited for.
#[derive(ClapArgs, Debug, Default)]
// Other commands' arguments hold these.
#[group(skip)]
pub(crate) struct Escalate {
    /// If it is critical, wait until somebody acknowledges it, and tell the contacts of
    /// notify.escalation one after the other meanwhile
    #[arg(long)]
    escalate: bool,
}

/// Why nobody is told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Silence {
    /// There is nothing to tell of: bad usage.
    #[error("nothing is sent: {why}")]
    Nothing {
        why: &'static str,
        hint: &'static str,
    },
    /// Nobody has to be told, and that is well.
    #[error("nobody was told: {0}")]
    NotNeeded(String),
    /// What was to be sent can't be had.
    #[error("nothing was sent: {}", .0.message)]
    Lost(Box<Check>),
}

impl Told {
    /// The occasion that was asked for.
    pub(crate) fn occasion(&self) -> Occasion {
        match self {
            Told::Scheduled(_) => Occasion::Scheduled,
            Told::Started(_) => Occasion::Started,
            Told::Completed(_) => Occasion::Completed,
            Told::Aborted(_) => Occasion::Aborted,
            Told::Critical(_) => Occasion::Critical,
            Told::Monthly => Occasion::Monthly,
            Told::Test => Occasion::Test,
        }
    }

    /// Whether an answer is waited for, if it is critical.
    pub(crate) fn escalates(&self) -> bool {
        match self {
            Told::Critical(args) => args.escalation.escalate,
            Told::Completed(args) => args.escalation.escalate,
            _ => false,
        }
    }

    /// The message of a run that started, without further words.
    pub(crate) fn started() -> Told {
        Told::Started(announcement::Args::default())
    }

    /// The message of a run that was aborted, without further words.
    pub(crate) fn aborted() -> Told {
        Told::Aborted(aborted::Args::default())
    }

    /// What there is to tell.
    ///
    /// # Errors
    /// There is nothing, nobody has to know, or it can't be had.
    pub(crate) fn draft(&self, scene: &Scene<'_>) -> Result<Draft, Silence> {
        match self {
            Told::Scheduled(args) => scheduled::draft(scene, args),
            Told::Started(args) => started::draft(scene, args),
            Told::Completed(_) => completed::draft(scene),
            Told::Aborted(args) => aborted::draft(scene, args),
            Told::Critical(args) => critical::draft(scene, args),
            Told::Monthly => monthly::draft(scene),
            Told::Test => Ok(test::draft(scene)),
        }
    }
}
