//! `plan --rbac` and `plan --script`: what a plan makes for others to use.

use std::io::Write as _;

use chaos_common::cluster::rbac::{self, RbacArgs};
use chaos_common::exit::{Exit, Failure};

use crate::commands::ExperimentArgs;
use crate::context::Context;
use crate::plan::rollback_script;

/// The arguments of `plan`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    pub what: ExperimentArgs,
    #[command(flatten)]
    rbac: RbacArgs,
    /// Print a rollback script in plain kubectl, instead of the plan
    #[arg(long, conflicts_with = "rbac")]
    script: bool,
}

impl Args {
    /// Whether a Role or a script is asked for, in place of the plan's record.
    pub fn is_text(&self) -> bool {
        self.rbac.rbac.is_some() || self.script
    }
}

/// Prints the Role or the script.
///
/// # Errors
/// The plan can't be made.
pub async fn print(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let experiment = args.what.experiment(&context.config)?;
    let plan = experiment.plan(context).await.map_err(|error| Failure {
        exit: Exit::Unknown,
        message: error.to_string(),
        hint: error.next_step().map(str::to_owned),
    })?;
    let text = if let Some(account) = &args.rbac.rbac {
        let role = format!("chaos-{}", plan.experiment);
        rbac::manifest(&role, (account, &context.namespace), &plan.permissions)
    } else {
        rollback_script::rollback(&plan, &context.config.contacts)
    };
    // A reader that closed early has what it wanted.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(Exit::Pass)
}
