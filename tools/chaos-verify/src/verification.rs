//! `chaos-verify` after the experiment: recovery, data integrity, performance.

use std::time::Duration;

use chaos_common::config::LoadProfile;
use chaos_common::record::{ApiAnswer, Baseline, Check, Status, Time, Timing, Verification};
use chaos_common::stream::Stream;

use crate::before::Before;
use crate::logs::Period;
use crate::recovery::{self, Settled};
use crate::site::{Site, timed};
use crate::timing::Measured;
use crate::{answers, baseline, changes, configuration, database, logs, speed, timing, usage};

/// Looks at everything and compares. Never fails: what could not be seen, or has nothing to be
/// compared with, is a check that is unknown.
pub(crate) async fn verify(
    site: &Site<'_>,
    stream: &Stream,
    wait: Duration,
    profile: Option<LoadProfile>,
) -> Verification {
    let mut before = Before::of(&stream.upstream);
    let identity = site.cluster.identity().await.ok();
    if let Some(cluster) = &identity {
        before = before.of_place(cluster, site.namespace);
    }
    // A record that is not known to be of this cluster excuses nothing.
    let health = before
        .health
        .as_ref()
        .map(|record| &record.data)
        .filter(|_| identity.is_some());
    let settled = recovery::settle(site, health, wait, |message| stream.progress(message)).await;
    let visible = settled.visible();
    if visible.is_ok() {
        before = before.of_place(&settled.health.cluster, site.namespace);
    }
    let mut after = start(site, &before, settled);
    match visible {
        Ok(()) => {
            data(site, &before, &stream.run, &mut after).await;
            let baseline = before.baseline.as_ref().map(|record| &record.data);
            if let Some(profile) =
                profile.or_else(|| speed::as_before(baseline, &site.config.performance))
            {
                let (seconds, rate) = (profile.duration.0.as_secs_f64(), profile.rate);
                stream.progress(&format!(
                    "measuring response times under load {}: {rate} requests a second to each path for {seconds} s",
                    profile.name
                ));
                under_load(site, &before, &profile, &stream.run, &mut after).await;
            } else {
                stream.progress("measuring response times");
                performance(site, baseline, &mut after).await;
            }
        }
        Err(why) => {
            for part in ["data", "performance"] {
                after
                    .checks
                    .push(Check::unknown(part, "", format!("not looked at: {why}")));
            }
        }
    }
    after
}

/// The verification with its first part, recovery.
fn start(site: &Site<'_>, before: &Before, settled: Settled) -> Verification {
    let health = before.health.as_ref().map(|record| &record.data);
    let mut checks = settled.checks(health);
    checks.extend(before.missing.iter().cloned());
    if let Some(health) = health {
        checks.extend(changes::compare(health, &settled.health));
    } else {
        let message = "there is no chaos.health record from before to compare with";
        checks.push(Check::unknown("recovery.changed", "", message));
    }
    Verification {
        cluster: settled.health.cluster,
        namespace: site.namespace.to_owned(),
        since: before.since().unwrap_or_else(Time::now),
        checks,
        state: settled.health.state,
        database: None,
        configuration: Vec::new(),
        answers: Vec::new(),
        log_errors: Vec::new(),
        timings: Vec::new(),
        usage: Vec::new(),
        judgements: Vec::new(),
    }
}

/// Database, configuration, answers and logs, all at the same time.
async fn data(site: &Site<'_>, before: &Before, run: &str, after: &mut Verification) {
    // The baseline's own run, should the stream hold several, for digests that compare.
    let key = before
        .baseline
        .as_ref()
        .map_or(run, |record| record.run.as_str());
    let baseline = before.baseline.as_ref().map(|record| &record.data);
    let was = baseline.and_then(|baseline| baseline.database.as_ref());
    // Nodes write times into logs; records have those of the machine that the tools ran on.
    let clock = site.cluster.clock().await;
    let there = |time| clock.as_ref().map_or(time, |clock| clock.there(time));
    let request = site.config.experiment.probe_timeout.0;
    let period = Period::of(before, request, there);
    let (kinds, reading, asked, (log_errors, log_checks)) = futures::join!(
        configuration::read(site, key),
        baseline::read_database(site, was),
        answers::ask_all(site, "data.answer"),
        logs::search(site, period, &before.experiments),
    );
    after
        .checks
        .extend(match (&site.config.database, &reading) {
            (Some(database), Some(reading)) => database::compare(database, was, reading),
            _ => vec![Check::skipped(
                "data.database",
                "",
                "no database is configured",
            )],
        });
    after.database = reading.and_then(Result::ok).map(|reading| reading.state);
    let url =
        |now: &ApiAnswer, was: &&ApiAnswer| (&was.service, &was.path) == (&now.service, &now.path);
    for asked in asked {
        let was = asked
            .answer
            .as_ref()
            .and_then(|now| baseline?.answers.iter().find(|was| url(now, was)));
        after
            .checks
            .push(answers::compare(was, baseline.is_some(), &asked));
        after.answers.extend(asked.answer);
    }
    if !site
        .config
        .services
        .iter()
        .any(|service| !service.data.is_empty())
    {
        after.checks.push(Check::skipped(
            "data.answer",
            "",
            "no service is configured with data paths",
        ));
    }
    after.log_errors = log_errors;
    after.checks.extend(log_checks);
    after
        .checks
        .extend(configuration::compare(baseline, &kinds));
    after.configuration = kinds
        .into_iter()
        .filter_map(|kind| kind.digests.ok())
        .flatten()
        .collect();
}

/// Response times, alone. A URL that is too slow is measured once more at the end: what is still
/// warming up after its restart has not to be called slow.
async fn performance(site: &Site<'_>, baseline: Option<&Baseline>, after: &mut Verification) {
    let settings = &site.config.performance;
    let was = |now: &Timing| {
        let same = |was: &&Timing| (&was.service, &was.path) == (&now.service, &now.path);
        baseline.and_then(|baseline| baseline.timings.iter().find(same))
    };
    let mut results: Vec<(Check, Measured)> = Vec::new();
    for measured in timing::measure_all(site).await {
        results.push((
            timing::compare(was(&measured.timing), &measured, settings),
            measured,
        ));
    }
    let urls = site.urls(timed);
    for ((check, measured), url) in results.iter_mut().zip(&urls) {
        if check.status != Status::Fail || was(&measured.timing).is_none() {
            continue;
        }
        let again = timing::measure(site, url).await;
        let mut second = timing::compare(was(&again.timing), &again, settings);
        second.message = format!(
            "{}; measured twice, at first: {}",
            second.message, check.message
        );
        (*check, *measured) = (second, again);
    }
    if results.is_empty() {
        after.checks.push(Check::skipped(
            "performance.timing",
            "",
            "no service is configured with timed paths",
        ));
    }
    for (check, measured) in results {
        after.checks.push(check);
        after.timings.push(measured.timing);
    }
}

/// Response times under load, alone.
async fn under_load(
    site: &Site<'_>,
    before: &Before,
    profile: &LoadProfile,
    run: &str,
    after: &mut Verification,
) {
    let ((timings, checks), usage) = usage::during(
        site,
        profile,
        speed::measure(site, profile, run, "performance.load"),
    )
    .await;
    after.checks.extend(checks);
    let mut alike = Ok(());
    for now in &timings {
        let same = |was: &&Timing| (&was.service, &was.path) == (&now.service, &now.path);
        let was = before
            .baseline
            .as_ref()
            .and_then(|record| record.data.timings.iter().find(same));
        let (checks, judgements) = speed::compare(
            was,
            now,
            &site.config.performance,
            before.experiments.last(),
        );
        after.checks.extend(checks);
        after.judgements.extend(judgements);
        alike = alike.and(speed::comparable(was, now).map(drop));
    }
    if !timings.is_empty() {
        let was = before
            .baseline
            .as_ref()
            .map(|record| record.data.usage.as_slice());
        after
            .checks
            .extend(usage::compare(was, &usage, alike, &site.config.performance));
        after.usage = usage.unwrap_or_default();
    }
    after.timings = timings;
}
