//! Lines that tell of errors in the logs of the workloads that the configuration names for it.
//!
//! All pods that a workload has now are read, all their containers, and the instance before the
//! present one where a container was restarted. What is gone can't be read: the logs of pods that
//! were deleted, of still earlier instances, and what the node has rotated away.

mod check;
mod lines;
mod period;
mod sources;

use std::time::Duration;

use chaos_common::cluster::custom::Family;
use chaos_common::cluster::{ReadError, error_chain};
use chaos_common::config::{LogPatterns, Workload};
use chaos_common::record::{Check, Experiment, LogErrors, PatternCount, PodSource, Record, Time};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams};
use tokio::time::{sleep, timeout};

use self::check::{ID, Unread};
use self::lines::{LineCounts, SAMPLES};
pub(crate) use self::period::Period;
use self::sources::{Source, lost, sources};
use crate::target::Target;

/// Time that the log of one container may take.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Time between two looks at logs in which lines of an outage still come.
const PAUSE: Duration = Duration::from_secs(1);

/// Searches the logs of every workload that is configured with `logs`. `now` is the time of the
/// nodes.
pub(crate) async fn search(
    target: &Target<'_>,
    period: Option<Period>,
    experiments: &[Record<Experiment>],
    now: impl Fn() -> Time,
) -> (Vec<LogErrors>, Vec<Check>) {
    let configured = target.config.workloads.iter();
    let workloads: Vec<_> = configured.filter(|one| !one.logs.is_empty()).collect();
    if workloads.is_empty() {
        let check = Check::skipped(ID, "", "no workload is configured with logs");
        return (Vec::new(), vec![check]);
    }
    let for_each = |check: &dyn Fn(String) -> Check| {
        let checks = workloads.iter().map(|workload| check(object(workload)));
        (Vec::new(), checks.collect())
    };
    let Some(period) = &period else {
        let message = "there is no experiment and no baseline in the stream, \
                       so it is not known from when on";
        return for_each(&|object| Check::unknown(ID, object, message));
    };
    let api: Api<Pod> = Api::namespaced(target.cluster.client.clone(), target.namespace);
    let what = format!("list pods in namespace {}", target.namespace);
    let params = ListParams::default();
    let pods = match target.cluster.list(&api, &params, what).await {
        Ok(pods) => pods,
        Err(error) => return for_each(&|object| error.check(ID, object)),
    };
    let family = match family(target, &workloads).await {
        Ok(family) => family,
        Err(error) => return for_each(&|object| error.check(ID, object)),
    };
    let most = target.config.limits.log_errors;
    let search = async |workload: &Workload| {
        let (found, unread) = WorkloadSearch {
            api: &api,
            workload,
            pods: pods
                .iter()
                .filter(|pod| family.workload_of(pod).is_some_and(|of| workload.is(&of)))
                .collect(),
            period,
        }
        .search(&now)
        .await;
        let unread = Unread {
            deleted: deleted_pods(experiments, workload),
            ..unread
        };
        let check = check::check(&found, &unread, most, period);
        (found, check)
    };
    join_all(workloads.iter().map(|workload| search(workload)))
        .await
        .into_iter()
        .unzip()
}

fn object(workload: &Workload) -> String {
    format!("{}/{}", workload.kind.to_lowercase(), workload.name)
}

/// Whose pods are those of the custom resources among the workloads.
async fn family(target: &Target<'_>, workloads: &[&Workload]) -> Result<Family, ReadError> {
    let mut family = Family::default();
    for workload in workloads {
        if let PodSource::Custom(custom) = workload.source() {
            let what = format!("find the pods of {custom}");
            let scaled = target
                .cluster
                .scaled(target.namespace, &custom, &what)
                .await?;
            family.extend(target.cluster.family_of(&scaled, &what).await?);
        }
    }
    Ok(family)
}

/// Pods of the workload that experiments deleted, with their logs.
fn deleted_pods(experiments: &[Record<Experiment>], workload: &Workload) -> usize {
    experiments
        .iter()
        .flat_map(|record| &record.data.recoveries)
        .filter(|one| workload.is(&one.owner))
        .count()
}

/// One workload whose logs are searched.
struct WorkloadSearch<'a> {
    api: &'a Api<Pod>,
    workload: &'a Workload,
    pods: Vec<&'a Pod>,
    period: &'a Period,
}

impl WorkloadSearch<'_> {
    /// Searches the logs, again and again while lines of an outage that is over still come.
    async fn search(&self, now: impl Fn() -> Time) -> (LogErrors, Unread) {
        loop {
            let (mut found, unread, last) = self.look().await;
            if !self.period.goes_on(last, now()) {
                let late = last.and_then(|last| {
                    let late = last.since_ms(self.period.outage(last)?.whole);
                    u64::try_from(late).ok().filter(|late| *late > 0)
                });
                found.quiet_ms = late;
                return (found, unread);
            }
            sleep(PAUSE).await;
        }
    }

    /// Reads the logs once; gives the time of the last line that an outage excuses too.
    async fn look(&self) -> (LogErrors, Unread, Option<Time>) {
        let (pods, since) = (&self.pods, self.period.since);
        let patterns = &self.workload.logs;
        let read = pods.iter().map(async |pod| {
            let sources = sources(pod, since);
            let logs = sources
                .iter()
                .map(|source| scan(self.api, source, patterns, self.period));
            join_all(logs).await
        });
        let mut found = nothing_found(self.workload);
        let mut unread = Unread {
            lost: pods.iter().filter(|pod| lost(pod, since)).count(),
            ..Unread::default()
        };
        let mut last = None;
        for of_pod in join_all(read).await {
            found.pods += usize::from(of_pod.iter().all(Result::is_ok));
            for log in of_pod {
                match log {
                    Ok(counts) => {
                        last = last.max(counts.last_of_outage);
                        add(&mut found, counts);
                    }
                    Err(error) => unread.errors.push(error),
                }
            }
        }
        found.samples.truncate(SAMPLES);
        (found, unread, last)
    }
}

fn nothing_found(workload: &Workload) -> LogErrors {
    let count = |pattern: &str| PatternCount {
        pattern: pattern.to_owned(),
        lines: 0,
    };
    LogErrors {
        workload: object(workload),
        pods: 0,
        lines: 0,
        outage_lines: 0,
        quiet_ms: None,
        patterns: workload.logs.texts().map(count).collect(),
        samples: Vec::new(),
    }
}

fn add(found: &mut LogErrors, counts: LineCounts) {
    found.lines += counts.lines;
    found.outage_lines += counts.outage_lines;
    for (pattern, lines) in found.patterns.iter_mut().zip(&counts.each) {
        pattern.lines += lines;
    }
    found.samples.extend(counts.samples);
}

async fn scan(
    api: &Api<Pod>,
    source: &Source,
    patterns: &LogPatterns,
    period: &Period,
) -> Result<LineCounts, ReadError> {
    let Source {
        pod,
        container,
        previous,
    } = source;
    let which = if *previous { " before its restart" } else { "" };
    let what = format!("read the log of container {container} of pod {pod}{which}");
    let params = LogParams {
        container: Some(container.clone()),
        previous: *previous,
        // The API counts in seconds, and would round up past the first half second.
        since_time: Some(floor(period.since).0),
        timestamps: true,
        ..LogParams::default()
    };
    let read = async {
        let log = api
            .log_stream(pod, &params)
            .await
            .map_err(|error| ReadError::from_kube(&what, &error))?;
        lines::search(std::pin::pin!(log), patterns, period)
            .await
            .map_err(|error| ReadError::other(&what, error_chain(&error)))
    };
    match timeout(READ_TIMEOUT, read).await {
        Ok(tally) => tally,
        Err(_) => Err(ReadError::timeout(
            &what,
            format!("it did not end in {} s", READ_TIMEOUT.as_secs()),
        )),
    }
}

/// The start of the second.
fn floor(time: Time) -> Time {
    let text = time.to_string();
    text.split_once('.')
        .and_then(|(seconds, _)| format!("{seconds}Z").parse().ok())
        .map_or(time, Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        Time(text.parse().expect("a time"))
    }

    const SINCE: &str = "2026-11-22T16:00:00.600Z";

    #[test]
    fn the_time_is_rounded_down_to_the_second() {
        assert_eq!(floor(time(SINCE)), time("2026-11-22T16:00:00Z"));
    }
}
