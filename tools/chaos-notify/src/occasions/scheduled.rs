//! An experiment is going to run.

use chaos_common::record::{Occasion, Verdict};
use clap::Args as ClapArgs;

use super::{Scene, Silence, announcement};
use crate::facts::Facts;
use crate::template::{Draft, Severity, line};

/// What is announced where the stream holds no plan.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct Args {
    #[command(flatten)]
    announcement: announcement::Args,
}

/// The notice.
///
/// # Errors
/// There is nothing to announce, or it is not going to run.
pub(super) fn draft(scene: &Scene<'_>, args: &Args) -> Result<Draft, Silence> {
    let announcement = announcement::Announcement::of(scene, &args.announcement)?;
    if let Some(why) = will_not_run(scene.facts) {
        return Err(Silence::NotNeeded(why));
    }
    let mut draft = scene.draft(Occasion::Scheduled, Severity::Info, announcement.start);
    announcement.write(scene, &mut draft);
    let plan = scene.facts.plan.as_ref();
    let overridden = plan.map(|plan| plan.data.overridden.as_slice());
    let reasons: Vec<String> = overridden
        .into_iter()
        .flatten()
        .map(|gate| line(&gate.to_string()))
        .collect();
    if !reasons.is_empty() {
        let reason = reasons.join("; ");
        draft.values.lacks = format!("not every check passed; it runs all the same: {reason}");
        draft.values.reason = reason;
    }
    Ok(draft)
}

/// Why an experiment that is planned will be refused for certain: chaos-inject has judged its limits,
/// and its gates by what stood in the stream.
fn will_not_run(facts: &Facts) -> Option<String> {
    let plan = facts.plan.as_ref()?;
    if plan.verdict != Some(Verdict::Pass) {
        let why = line(&plan.summary);
        return Some(format!("the plan does not pass, so it will not run: {why}"));
    }
    let open = |gate: &str| plan.data.overridden.iter().any(|given| given.gate == gate);
    let sick = facts.health.as_ref();
    let sick = sick.filter(|health| health.verdict != Some(Verdict::Pass));
    let sick = sick.filter(|_| !open("gate.health"));
    let sick = sick.map(|health| line(&health.summary));
    let doubt = facts.doubts.first().filter(|_| !open("gate.stream"));
    let why = sick.or(doubt.map(|doubt| line(doubt)))?;
    Some(format!("the run will be refused: {why}"))
}
