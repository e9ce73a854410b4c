//! The arguments of `run`.

use clap::builder::NonEmptyStringValueParser;

use crate::commands::ExperimentArgs;
use crate::run::gates::Consent;

/// The arguments of `run`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    pub what: ExperimentArgs,
    /// Do not ask; needed where there is no terminal to ask on
    #[arg(short, long)]
    yes: bool,
    /// Go on although a gate is closed, for this reason, which is recorded
    #[arg(long = "override", value_name = "REASON", value_parser = NonEmptyStringValueParser::new())]
    reason: Option<String>,
}

impl Args {
    /// What the operator has agreed to.
    pub fn consent(&self) -> Consent {
        Consent {
            yes: self.yes,
            reason: self.reason.clone(),
        }
    }
}
