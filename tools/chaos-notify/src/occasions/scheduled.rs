//! An experiment is going to run.

use chaos_common::record::{Occasion, Verdict};
use clap::Args as ClapArgs;

use super::{Scene, Silence, announcement};
use crate::facts::Facts;
use crate::template::{Draft, Severity, line};

/// What is announced where the stream holds no plan, and in spite of what.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct Args {
    #[command(flatten)]
    announcement: announcement::Args,
    /// Announce it although something in the stream did not pass, as the run will be given the same
    /// reason
    #[arg(long = "override", value_name = "REASON")]
    overriding: Option<String>,
}

/// The notice.
///
/// # Errors
/// There is nothing to announce, or it is not going to run.
pub(super) fn draft(scene: &Scene<'_>, args: &Args) -> Result<Draft, Silence> {
    let announcement = announcement::Announcement::of(scene, &args.announcement)?;
    if let Some(why) = will_not_run(scene.facts, args.overriding.is_some()) {
        return Err(Silence::NotNeeded(why));
    }
    let mut draft = scene.draft(Occasion::Scheduled, Severity::Info, announcement.start);
    announcement.write(scene, &mut draft);
    if let Some(reason) = &args.overriding {
        let reason = line(reason);
        draft.values.lacks = format!("not every check passed; it runs all the same: {reason}");
        draft.values.reason = reason;
    }
    Ok(draft)
}

/// Why an experiment that is planned will be refused for certain. Gates can be overridden, and a
/// plan can't. A gate that only chaos-inject can judge, such as that of backups, is left to it: to
/// announce a run that is refused is less bad than not to announce one that is not.
fn will_not_run(facts: &Facts, overridden: bool) -> Option<String> {
    let plan = facts.plan.as_ref()?;
    if plan.verdict != Some(Verdict::Pass) {
        let why = line(&plan.summary);
        return Some(format!("the plan does not pass, so it will not run: {why}"));
    }
    let sick = facts.health.as_ref();
    let sick = sick.filter(|health| health.verdict != Some(Verdict::Pass));
    let why = match (sick, facts.doubts.first()) {
        _ if overridden => return None,
        (None, None) => return None,
        (Some(health), _) => line(&health.summary),
        (None, Some(doubt)) => line(doubt),
    };
    Some(format!(
        "the run will be refused ({why}); with --override REASON, as for chaos-inject run, it is \
         announced"
    ))
}
