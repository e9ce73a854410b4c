//! The runbook's messages, one file each, with the arguments that each takes.

mod aborted;
mod completed;
mod critical;
mod monthly;
mod scheduled;

use chaos_common::config::Config;
use chaos_common::record::{Occasion, Time};
use clap::Subcommand;

pub(crate) use self::monthly::NoReport;
use crate::facts::Facts;
use crate::template::Message;

/// The occasions of which people are told.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Announce an experiment; what a plan in the stream tells goes before the flags
    Scheduled(scheduled::Args),
    /// Share the results of the experiment in the stream
    Completed,
    /// Tell that an experiment was aborted
    Aborted(aborted::Args),
    /// Tell management that the system failed
    Critical(critical::Args),
    /// Send the monthly report in the stream to team and management
    Monthly,
}

impl Command {
    /// The occasion, as the record names it.
    pub(crate) fn occasion(&self) -> Occasion {
        match self {
            Command::Scheduled(_) => Occasion::Scheduled,
            Command::Completed => Occasion::Completed,
            Command::Aborted(_) => Occasion::Aborted,
            Command::Critical(_) => Occasion::Critical,
            Command::Monthly => Occasion::Monthly,
        }
    }

    /// The message for the occasion.
    ///
    /// # Errors
    /// The stream holds no report that could be sent. Only `monthly` needs one.
    pub(crate) fn compose(&self, facts: &Facts, config: &Config) -> Result<Message, NoReport> {
        let now = Time::now();
        Ok(match self {
            Command::Scheduled(args) => scheduled::message(facts, config, args, now),
            Command::Completed => completed::message(facts),
            Command::Aborted(args) => aborted::message(facts, config, args, now),
            Command::Critical(args) => critical::message(facts, config, args, now),
            Command::Monthly => monthly::message(facts)?,
        })
    }
}
