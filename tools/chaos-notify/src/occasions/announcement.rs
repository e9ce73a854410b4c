//! What is announced: the plan of the stream, or what the flags name.

use chaos_common::config::Span;
use chaos_common::record::{Check, Plan, Target, Time};
use clap::Args as ClapArgs;
use jiff::SignedDuration;

use super::{Scene, Silence};
use crate::template::{Alerts, Draft, Page, line, lines};

/// What is announced where the stream holds no plan, and the start.
#[derive(ClapArgs, Debug, Default)]
// Another command's arguments hold these.
#[group(skip)]
pub(crate) struct Args {
    /// Announce this experiment, where the stream holds no plan
    #[arg(long, value_name = "NAME")]
    pub(super) experiment: Option<String>,
    /// Name this as hit, where the stream holds no plan; may be repeated
    #[arg(long, value_name = "WORKLOAD")]
    pub(super) target: Vec<String>,
    /// Give this as the start, for example 2026-11-22T16:00:00Z [default: that of the plan, or now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) at: Option<Time>,
    /// Give this as the longest duration, for example 10m, where the stream holds no plan
    #[arg(long = "for", value_name = "DURATION")]
    pub(super) duration: Option<Span>,
}

/// An argument that is no time.
#[derive(Debug, thiserror::Error)]
#[error("it is not a time such as 2026-11-22T16:00:00Z")]
struct NotATime(#[source] jiff::Error);

fn time(text: &str) -> Result<Time, NotATime> {
    text.parse().map(Time).map_err(NotATime)
}

/// An experiment that is announced.
pub(super) struct Announcement {
    pub(super) experiment: String,
    pub(super) targets: Vec<String>,
    pub(super) duration: Option<Span>,
    pub(super) start: Time,
    /// Alerts that it is expected to raise.
    alerts: Vec<String>,
}

impl Announcement {
    /// The plan of the stream; where there is none, the experiment that the flags name.
    ///
    /// # Errors
    /// There is neither.
    pub(super) fn of(scene: &Scene<'_>, args: &Args) -> Result<Announcement, Silence> {
        if let Some(plan) = &scene.facts.plan {
            let start = args.at.unwrap_or(plan.time);
            return Ok(Announcement::of_plan(&plan.data, start));
        }
        let Some(experiment) = &args.experiment else {
            return Err(Silence::Nothing {
                why: "the stream holds no plan, and no experiment is named",
                hint: "pipe the plan to it: chaos-inject plan EXPERIMENT | chaos-notify scheduled; \
                       or name the experiment with --experiment",
            });
        };
        Ok(Announcement {
            experiment: line(experiment),
            targets: lines(&args.target),
            duration: args.duration,
            start: args.at.unwrap_or(scene.now),
            alerts: Vec::new(),
        })
    }

    fn of_plan(plan: &Plan, start: Time) -> Announcement {
        Announcement {
            experiment: line(&plan.experiment),
            targets: lines(plan.targets.iter().map(target)),
            duration: Some(Span::milliseconds(plan.worst_case_ms)),
            start,
            alerts: lines(&plan.alerts),
        }
    }

    /// When it is over at the latest.
    pub(super) fn end(&self) -> Option<Time> {
        let duration = SignedDuration::try_from(self.duration?.0).ok()?;
        self.start.0.checked_add(duration).ok().map(Time)
    }

    /// Writes it into a draft.
    pub(super) fn write(&self, scene: &Scene<'_>, draft: &mut Draft) {
        let values = &mut draft.values;
        draft.about.experiment.clone_from(&self.experiment);
        values.experiment.clone_from(&self.experiment);
        values.targets.clone_from(&self.targets);
        if let Some(duration) = self.duration {
            values.duration = duration.to_string();
        }
        draft.page = Some(Page::Maintenance);
        if let Some(end) = self.end() {
            values.end = scene.clock.write(end);
            draft.alerts = Some(Alerts::Expected {
                names: self.alerts.clone(),
                from: self.start,
                until: end,
            });
        }
        if let Some(why) = missing_plan(scene) {
            values.lacks = format!("it is made without a plan: {why}");
            draft.gaps.push(no_plan(why));
        }
    }
}

fn target(target: &Target) -> String {
    let kind = target.kind.to_lowercase();
    format!("{kind}/{} of {}", target.name, target.owner)
}

/// Why the notice is not made from a plan; `None` where it is.
fn missing_plan(scene: &Scene<'_>) -> Option<String> {
    if scene.facts.plan.is_some() {
        return None;
    }
    Some(match scene.facts.doubts.first() {
        None => "the stream holds none".to_owned(),
        Some(doubt) => format!("the stream holds none that can be read: {}", line(doubt)),
    })
}

/// A notice from flags is a notice too: the check leaves the verdict as it is.
fn no_plan(why: String) -> Check {
    Check::skipped("notify.plan", "", why)
        .hint("pipe the plan to it: chaos-inject plan EXPERIMENT | chaos-notify scheduled")
}
