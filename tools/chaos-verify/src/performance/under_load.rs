//! Response times of the configured URLs under load, from here or from pods of a Job.

use chaos_common::config::LoadProfile;
use chaos_common::record::{Check, Timing};

use super::load::figures::{self, Label};
use super::load::{self, LoadPlan};
use super::load_job::LoadJob;
use super::report::{PerformanceReport, earlier};
use super::{load_check, load_comparison, load_target, usage};
use crate::pipeline_input::PipelineInput;
use crate::target::{ServiceUrl, Target, timed_paths};

/// Measures every timed URL, and what the workloads use, for a later verification. `run` names the
/// objects that are made in the cluster for it.
pub(crate) async fn take_baseline(
    target: &Target<'_>,
    profile: &LoadProfile,
    run: &str,
) -> PerformanceReport {
    const ID: &str = "baseline.load";
    let load = measure(target, profile, run, ID);
    let (loaded, usage) = usage::during(target, profile, load).await;
    let (interrupted, timings, mut checks) = loaded.into_parts();
    let most = target.config.performance.max_error_points;
    checks.extend(timings.iter().map(|timing| {
        let object = load_check::object(timing);
        load_check::check(ID, &object, timing, most)
    }));
    if timings.is_empty() {
        return PerformanceReport {
            checks,
            interrupted,
            ..PerformanceReport::default()
        };
    }
    checks.push(usage::baseline(&usage));
    PerformanceReport {
        checks,
        timings,
        usage: usage.unwrap_or_default(),
        judgements: Vec::new(),
        interrupted,
    }
}

/// What came of the load.
#[derive(Debug, Default)]
struct Loaded {
    timings: Vec<Timing>,
    /// Why what could not be measured was not.
    checks: Vec<Check>,
    /// This process was asked to end meanwhile.
    interrupted: bool,
}

impl Loaded {
    /// Whether it was interrupted, the measurements, and the checks.
    fn into_parts(self) -> (bool, Vec<Timing>, Vec<Check>) {
        let interrupted = self.interrupted || load_check::was_interrupted(&self.timings);
        (interrupted, self.timings, self.checks)
    }
}

/// Measures every timed URL, and what the workloads use, and compares.
pub(crate) async fn verify(
    target: &Target<'_>,
    input: &PipelineInput,
    profile: &LoadProfile,
    run: &str,
) -> PerformanceReport {
    let settings = &target.config.performance;
    let load = measure(target, profile, run, "performance.load");
    let (loaded, usage) = usage::during(target, profile, load).await;
    let (interrupted, timings, mut checks) = loaded.into_parts();
    let before = input.baseline().map_or(&[][..], |before| &before.timings);
    let mut judgements = Vec::new();
    let mut same_load = Ok(());
    for now in &timings {
        let was = earlier(before, now);
        let compared = load_comparison::compare(was, now, settings, input.experiments.last());
        checks.extend(compared.checks);
        judgements.extend(compared.judgements);
        same_load = same_load.and(load_comparison::comparable(was, now).map(drop));
    }
    if timings.is_empty() {
        return PerformanceReport {
            checks,
            interrupted,
            ..PerformanceReport::default()
        };
    }
    let was = input.baseline().map(|before| before.usage.as_slice());
    checks.extend(usage::compare(was, &usage, same_load, settings));
    PerformanceReport {
        checks,
        timings,
        usage: usage.unwrap_or_default(),
        judgements,
        interrupted,
    }
}

/// Measures every timed URL under load, all at the same time. What can't be measured is a check
/// `id` that is unknown.
async fn measure(target: &Target<'_>, profile: &LoadProfile, run: &str, id: &str) -> Loaded {
    if let Some(image) = &target.config.performance.image {
        let urls = target.urls(timed_paths);
        if !urls.is_empty() {
            let job = LoadJob {
                cluster: target.cluster,
                namespace: target.namespace,
                image,
                profile,
                urls: &urls,
            };
            return match job.run(run).await {
                Ok(timings) => Loaded {
                    timings,
                    ..Loaded::default()
                },
                Err(failed) => Loaded {
                    checks: vec![failed.check],
                    interrupted: failed.interrupted,
                    ..Loaded::default()
                },
            };
        }
    }
    let (mut urls, mut targets, mut checks) = (Vec::new(), Vec::new(), Vec::new());
    for url in target.urls(timed_paths) {
        if url.vantage != "direct" {
            let message = format!(
                "load goes to Services directly, and the vantage of this one is {}",
                url.vantage
            );
            let hint = "name an image with chaos-verify as performance.image, \
                        so that a Job makes the load, or run this inside the cluster";
            checks.push(
                Check::unknown(id, url.text(), message)
                    .hint(hint)
                    .from_vantage(&url.vantage),
            );
            continue;
        }
        match load_target::of_service(&url) {
            Ok(target) => {
                targets.push(target);
                urls.push(url);
            }
            Err(why) => checks.push(Check::unknown(id, url.text(), format!("{why:#}"))),
        }
    }
    if urls.is_empty() && checks.is_empty() {
        checks.push(Check::skipped(
            id,
            "",
            "no service is configured with timed paths",
        ));
    }
    if urls.is_empty() {
        return Loaded {
            checks,
            ..Loaded::default()
        };
    }
    let plan = LoadPlan::from_profile(profile, targets);
    let measured = load::run(plan.clone()).await;
    let timing = |(url, loaded): (&ServiceUrl, _)| {
        let label = Label {
            service: &url.service,
            path: &url.path,
            vantage: &url.vantage,
            profile: Some(&profile.name),
        };
        figures::timing(label, &plan, &measured, loaded)
    };
    Loaded {
        timings: urls.iter().zip(&measured.results).map(timing).collect(),
        checks,
        interrupted: false,
    }
}
