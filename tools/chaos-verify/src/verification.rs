//! `chaos-verify` after the experiment: recovery, data integrity, performance.

use std::time::Duration;

use chaos_common::cli::{ClusterArgs, Common};
use chaos_common::config::{LoadProfile, Span};
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Check, Experiment, Time, Verdict, Verification};
use chaos_common::stream::Stream;
use chaos_common::tool;
use clap::Args;

use crate::coverage;
use crate::data::{self, DataReport};
use crate::performance::profile::{self, LoadProfileArgs};
use crate::performance::{PerformanceReport, sequential, under_load};
use crate::pipeline_input::PipelineInput;
use crate::recovery::drift::{self, Scaling};
use crate::recovery::{self, Recovery};
use crate::target::{Connections, Target};

/// How long recovery is waited for if nothing else is said.
const DEFAULT_WAIT: Duration = Duration::from_secs(120);

/// Arguments of a verification.
#[derive(Args, Debug)]
pub struct VerificationArgs {
    /// Wait so long for recovery: pods, services, alerts, scrape targets, roll-outs [default: 2m]
    #[arg(long, value_name = "TIME")]
    wait: Option<Span>,
    #[command(flatten)]
    load: LoadProfileArgs,
}

/// Verifies the system and writes the record.
///
/// # Errors
/// Bad usage or configuration, or no way to the cluster; nothing was written then.
pub async fn run(
    args: &VerificationArgs,
    common: &Common,
    cluster: &ClusterArgs,
) -> Result<Exit, Failure> {
    let mut config = common.load()?.config;
    config.probes.retain(|probe| probe.after);
    let profile = args.load.profile(&config.performance)?;
    let connections = Connections::open(config, cluster).await?;
    let mut stream = Stream::open(tool!(), common.output)?;
    let wait = args.wait.map_or(DEFAULT_WAIT, |span| span.0);
    let target = connections.target();
    let (mut verification, interrupted) = verify(&target, &stream, wait, profile).await;
    let experiments = stream.upstream.all::<Experiment>();
    let content = coverage::content(&verification, &experiments);
    verification.checks.extend(content);
    verification.checks.extend(stream.upstream.check());
    let verdict = Verdict::of(&verification.checks);
    let summary = coverage::summary(&verification, &experiments);
    let own = PerformanceReport::exit(interrupted, verdict.into());
    Ok(stream.result(verdict, summary, verification, own))
}

/// Looks at everything and compares. Never fails: what could not be seen, or has nothing to be
/// compared with, is a check that is unknown. The second value says that it was interrupted.
async fn verify(
    target: &Target<'_>,
    stream: &Stream,
    wait: Duration,
    profile: Option<LoadProfile>,
) -> (Verification, bool) {
    let mut input = PipelineInput::from_upstream(&stream.upstream);
    let identity = target.cluster.identity().await.ok();
    if let Some(cluster) = &identity {
        input = input.of_cluster(cluster, target.namespace);
    }
    // A record that is not known to be of this cluster excuses nothing.
    let known = match identity {
        Some(_) => input.clone(),
        None => input.clone().without_health(),
    };
    let progress = |message: &str| stream.progress(message);
    let recovery = recovery::wait_for(target, &known, wait, progress).await;
    let unreachable = recovery.unreachable().cloned();
    if unreachable.is_none() {
        input = input.of_cluster(&recovery.health.cluster, target.namespace);
    }
    let scaling = match unreachable {
        None => Scaling {
            autoscalers: recovery::autoscalers::read(target).await,
            since: input.health_time(),
        },
        Some(_) => Scaling::default(),
    };
    let checks = recovery_checks(&input, &recovery, &scaling);
    let (data, performance) = match unreachable {
        None => (
            data::verify(target, &input, &stream.run).await,
            measure(target, &input, stream, profile).await,
        ),
        Some(check) => (
            DataReport::not_examined(&check.message),
            PerformanceReport::not_examined(&check.message),
        ),
    };
    let interrupted = performance.interrupted;
    let verification = Verification {
        cluster: recovery.health.cluster,
        namespace: target.namespace.to_owned(),
        since: input.since().unwrap_or_else(Time::now),
        checks: [checks, data.checks, performance.checks].concat(),
        state: recovery.health.state,
        database: data.database,
        configuration: data.configuration,
        answers: data.answers,
        log_errors: data.log_errors,
        timings: performance.timings,
        usage: performance.usage,
        judgements: performance.judgements,
    };
    (verification, interrupted)
}

/// What recovery shows, what of the stream can't be used, and what is not as it was.
fn recovery_checks(input: &PipelineInput, recovery: &Recovery, scaling: &Scaling) -> Vec<Check> {
    let mut checks = recovery.checks(input.health());
    checks.extend(input.unusable.iter().cloned());
    if let Some(health) = input.health() {
        checks.extend(drift::compare(health, &recovery.health, scaling));
    } else {
        let message = "there is no chaos.health record from before to compare with";
        checks.push(Check::unknown("recovery.changed", "", message));
    }
    checks
}

/// Measures response times: under the load that is asked for, else under that of the baseline, else
/// one request after the other.
async fn measure(
    target: &Target<'_>,
    input: &PipelineInput,
    stream: &Stream,
    asked_for: Option<LoadProfile>,
) -> PerformanceReport {
    let settings = &target.config.performance;
    let Some(profile) = asked_for.or_else(|| profile::of_baseline(input.baseline(), settings))
    else {
        stream.progress("measuring response times");
        return sequential::verify(target, input.baseline()).await;
    };
    stream.progress(&format!(
        "measuring response times under load {}: {} requests a second to each path for {} s",
        profile.name,
        profile.rate,
        profile.duration.0.as_secs_f64()
    ));
    under_load::verify(target, input, &profile, &stream.run).await
}
