//! Lines that tell of errors in the logs of the workloads that the configuration names for it.
//!
//! All pods that a workload has now are read, all their containers, and the instance before the
//! present one where a container was restarted. What is gone can't be read: the logs of pods that
//! were deleted, of still earlier instances, and what the node has rotated away.

use std::time::Duration;

use chaos_common::cluster::{ReadError, error_chain};
use chaos_common::config::LogPatterns;
use chaos_common::health::workloads::workload_of;
use chaos_common::record::{Check, Experiment, LogErrors, PatternCount, Record, Time};
use futures::future::join_all;
use futures::io::{AsyncBufRead, AsyncBufReadExt};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{Api, ListParams, LogParams};
use tokio::time::timeout;

use crate::before::Before;
use crate::mask::sample;
use crate::site::Site;

const ID: &str = "data.logs";
/// Samples kept of a workload.
const SAMPLES: usize = 5;
/// Characters kept of a sample.
const SAMPLE_LENGTH: usize = 200;
/// The most of a line that is looked at, in bytes; this bounds memory.
const MAX_LINE: usize = 256 << 10;
/// Time that the log of one container may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The time from which on lines count.
#[derive(Clone, Debug)]
pub(crate) struct Period {
    since: Time,
    /// Times in which Services were expected to suffer, so that who calls them may well say so.
    outages: Vec<(Time, Time)>,
}

impl Period {
    /// None if it is not known what was before. `there` gives the time of the nodes, who write times into logs,
    /// at one of the machine that the tools run on, which stands in records.
    pub(crate) fn of(before: &Before, there: impl Fn(Time) -> Time) -> Option<Period> {
        let outages = before.experiments.iter().filter_map(|record| outage(&record.data));
        let outages = outages.map(|(from, to)| (there(from), there(to))).collect();
        Some(Period { since: there(before.since()?), outages })
    }

    fn in_outage(&self, time: Time) -> bool {
        self.outages.iter().any(|(from, to)| (*from..=*to).contains(&time))
    }
}

/// When Services were expected to suffer: from the first write until all was whole again.
fn outage(one: &Experiment) -> Option<(Time, Time)> {
    one.injected.filter(|_| !one.affected.is_empty()).map(|from| (from, one.restored.unwrap_or(one.ended)))
}

/// One log to read: a container of a pod, now or before its last restart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    pod: String,
    container: String,
    previous: bool,
}

/// What the logs of a workload gave.
#[derive(Clone, Debug)]
pub(crate) struct Searched {
    pub(crate) found: LogErrors,
    pub(crate) check: Check,
}

/// Searches the logs of every workload that is configured with `logs`.
pub(crate) async fn search(
    site: &Site<'_>,
    period: Option<Period>,
    experiments: &[Record<Experiment>],
) -> (Vec<LogErrors>, Vec<Check>) {
    let workloads: Vec<_> = site.config.workloads.iter().filter(|workload| !workload.logs.is_empty()).collect();
    if workloads.is_empty() {
        return (Vec::new(), vec![Check::skipped(ID, "", "no workload is configured with logs")]);
    }
    let Some(period) = &period else {
        let message = "there is no experiment and no baseline in the stream, so it is not known from when on";
        let unknown = |name: String| Check::unknown(ID, name, message);
        return (Vec::new(), workloads.iter().map(|w| unknown(object(&w.kind, &w.name))).collect());
    };
    let pods: Api<Pod> = Api::namespaced(site.cluster.client.clone(), site.namespace);
    let what = format!("list pods in namespace {}", site.namespace);
    let all = match site.cluster.list(&pods, &ListParams::default(), what).await {
        Ok(all) => all,
        Err(error) => {
            return (Vec::new(), workloads.iter().map(|w| error.check(ID, object(&w.kind, &w.name))).collect());
        }
    };
    let search = workloads.into_iter().map(|workload| {
        let of = |pod: &&Pod| workload_of(pod).is_some_and(|o| o.kind == workload.kind && o.name == workload.name);
        let of_workload: Vec<_> = all.iter().filter(of).collect();
        let deleted = experiments.iter().flat_map(|record| &record.data.recoveries);
        let deleted = deleted.filter(|r| r.owner.kind == workload.kind && r.owner.name == workload.name).count();
        search_one(site, &pods, object(&workload.kind, &workload.name), &workload.logs, of_workload, period, deleted)
    });
    join_all(search).await.into_iter().map(|searched| (searched.found, searched.check)).unzip()
}

fn object(kind: &str, name: &str) -> String {
    format!("{}/{name}", kind.to_lowercase())
}

async fn search_one(
    site: &Site<'_>,
    api: &Api<Pod>,
    workload: String,
    patterns: &LogPatterns,
    pods: Vec<&Pod>,
    period: &Period,
    deleted: usize,
) -> Searched {
    let sources: Vec<_> = pods.iter().map(|pod| sources(pod, period.since)).collect();
    let lost = pods.iter().filter(|pod| lost(pod, period.since)).count();
    let read = sources.iter().map(|of_pod| join_all(of_pod.iter().map(|source| scan(api, source, patterns, period))));
    let read = join_all(read).await;
    let count = |pattern: &str| PatternCount { pattern: pattern.to_owned(), lines: 0 };
    let patterns = patterns.texts().map(count).collect();
    let mut found = LogErrors { workload, pods: 0, lines: 0, outage_lines: 0, patterns, samples: Vec::new() };
    let mut unread = Vec::new();
    for of_pod in read {
        found.pods += usize::from(of_pod.iter().all(Result::is_ok));
        for one in of_pod {
            match one {
                Ok(tally) => {
                    found.lines += tally.lines;
                    found.outage_lines += tally.outage_lines;
                    found.patterns.iter_mut().zip(&tally.each).for_each(|(all, each)| all.lines += each);
                    found.samples.extend(tally.samples);
                }
                Err(error) => unread.push(error),
            }
        }
    }
    found.samples.truncate(SAMPLES);
    let check = judge(&found, &unread, lost, deleted, site.config.limits.log_errors, period.since);
    Searched { found, check }
}

/// `data.logs`: did a workload report more errors than it may?
fn judge(found: &LogErrors, unread: &[ReadError], lost: usize, deleted: usize, most: u64, since: Time) -> Check {
    let LogErrors { workload, pods, lines, outage_lines, patterns, samples } = found;
    let allowed = if most > 0 { format!(", {most} allowed") } else { String::new() };
    let outage = match outage_lines {
        0 => String::new(),
        _ => format!(", and {outage_lines} while services were expected to suffer"),
    };
    let gone = |count, what| if count > 0 { format!("; the logs of {count} {what} are gone") } else { String::new() };
    let sought = match patterns.as_slice() {
        [one] => format!("{lines} {} lines", one.pattern),
        many => {
            let each = many.iter().map(|one| format!("{} {}", one.lines, one.pattern));
            format!("{lines} lines of errors ({})", each.collect::<Vec<_>>().join(", "))
        }
    };
    let message = format!(
        "{sought} in the logs of {pods} pods since {}{allowed}{outage}{}{}",
        since.human(),
        gone(deleted, "pods that the experiment deleted"),
        gone(lost, "pods' earlier containers"),
    );
    if *lines > most {
        let first = samples.first().map(|first| format!("; the first: {first}")).unwrap_or_default();
        return Check::fail(ID, workload, format!("{message}{first}"));
    }
    match unread.first() {
        Some(error) => {
            let mut check = error.check(ID, workload);
            check.message = format!("{message}; {error}");
            check
        }
        None if *pods == 0 => Check::unknown(ID, workload, "it has no pods whose logs could be read"),
        None => Check::pass(ID, workload, message),
    }
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let main = status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let init = status.and_then(|status| status.init_container_statuses.as_deref()).unwrap_or_default();
    main.iter().chain(init)
}

/// The logs of a pod that may hold lines since then.
fn sources(pod: &Pod, since: Time) -> Vec<Source> {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let mut sources = Vec::new();
    for status in statuses(pod) {
        let source = |previous| Source { pod: name.clone(), container: status.name.clone(), previous };
        let state = status.state.clone().unwrap_or_default();
        let last = status.last_state.clone().unwrap_or_default().terminated;
        let ended = last.as_ref().map(|last| last.finished_at.as_ref().map(|at| Time(at.0)));
        let waits = state.running.is_none() && state.terminated.is_none();
        // Between two crashes the log that the API gives as the present one is the last instance's.
        if !waits || last.is_some() {
            sources.push(source(false));
        }
        if !waits && ended.is_some_and(|ended| ended.is_none_or(|ended| ended >= since)) {
            sources.push(source(true));
        }
    }
    sources
}

/// Whether a container was restarted more often since then than its node keeps logs.
fn lost(pod: &Pod, since: Time) -> bool {
    statuses(pod).any(|status| {
        let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let start = last.and_then(|last| last.started_at.as_ref());
        status.restart_count > 1 && start.is_some_and(|start| Time(start.0) > since)
    })
}

/// Lines that were found in one log.
#[derive(Clone, Debug, Default)]
struct Tally {
    lines: u64,
    /// More of them in an outage, of which no more is kept.
    outage_lines: u64,
    /// For each pattern.
    each: Vec<u64>,
    samples: Vec<String>,
}

async fn scan(api: &Api<Pod>, source: &Source, patterns: &LogPatterns, period: &Period) -> Result<Tally, ReadError> {
    let Source { pod, container, previous } = source;
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
        let log = api.log_stream(pod, &params).await.map_err(|error| ReadError::from_kube(&what, &error))?;
        search_lines(std::pin::pin!(log), patterns, period)
            .await
            .map_err(|error| ReadError::other(&what, error_chain(&error)))
    };
    match timeout(LIMIT, read).await {
        Ok(tally) => tally,
        Err(_) => Err(ReadError::timeout(&what, format!("it did not end in {} s", LIMIT.as_secs()))),
    }
}

/// The start of the second.
fn floor(time: Time) -> Time {
    let text = time.to_string();
    text.split_once('.').and_then(|(seconds, _)| format!("{seconds}Z").parse().ok()).map_or(time, Time)
}

async fn search_lines<R: AsyncBufRead + Unpin>(
    mut log: R,
    patterns: &LogPatterns,
    period: &Period,
) -> std::io::Result<Tally> {
    let mut tally = Tally { each: vec![0; patterns.texts().count()], ..Tally::default() };
    let mut line = Vec::new();
    loop {
        let buffer = log.fill_buf().await?;
        if buffer.is_empty() {
            tally.line(&line, patterns, period);
            return Ok(tally);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        line.extend_from_slice(&part[..part.len().min(MAX_LINE - line.len())]);
        let taken = part.len() + usize::from(end.is_some());
        log.consume_unpin(taken);
        if end.is_some() {
            tally.line(&line, patterns, period);
            line.clear();
        }
    }
}

impl Tally {
    /// Takes in a line, which begins with the time at which it was written.
    fn line(&mut self, line: &[u8], patterns: &LogPatterns, period: &Period) {
        let blank = line.iter().position(|byte| *byte == b' ');
        let time = blank.and_then(|blank| std::str::from_utf8(&line[..blank]).ok()?.parse().ok().map(Time));
        // A line whose time can't be read counts.
        if time.is_some_and(|time| time < period.since) {
            return;
        }
        let text = blank.filter(|_| time.is_some()).map_or(line, |blank| &line[blank + 1..]);
        if time.is_some_and(|time| period.in_outage(time)) {
            self.outage_lines += u64::from(patterns.is_match(text));
            return;
        }
        let mut matches = false;
        for pattern in patterns.matches(text) {
            matches = true;
            self.each[pattern] += 1;
        }
        self.lines += u64::from(matches);
        if matches && self.samples.len() < SAMPLES {
            self.samples.push(sample(&String::from_utf8_lossy(text), SAMPLE_LENGTH));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Status;

    fn time(text: &str) -> Time {
        Time(text.parse().expect("a time"))
    }

    const SINCE: &str = "2026-11-22T16:00:00.600Z";

    fn search_for(patterns: &serde_json::Value, log: &[u8]) -> Tally {
        let log = futures::io::BufReader::with_capacity(7, log);
        let patterns = serde_json::from_value(patterns.clone()).expect("patterns");
        let outages = vec![(time("2026-11-22T16:10:00Z"), time("2026-11-22T16:10:30Z"))];
        let period = Period { since: time(SINCE), outages };
        chaos_common::cli::block_on(search_lines(log, &patterns, &period)).expect("memory can be read")
    }

    fn tally(log: &[u8]) -> Tally {
        search_for(&serde_json::json!(true), log)
    }

    #[test]
    fn every_pattern_is_counted_and_a_line_once() {
        let found = search_for(
            &serde_json::json!(["^FATAL", "(?i)panic", "token"]),
            b"2026-11-22T16:00:01Z FATAL panic: token=hunter2\n\
              2026-11-22T16:00:02Z not FATAL\n\
              2026-11-22T16:00:03Z Panicked\n\
              2026-11-22T16:00:00Z FATAL too early",
        );
        assert_eq!((found.lines, found.each.as_slice()), (2, &[1, 2, 1][..]));
        assert_eq!(found.samples, ["FATAL panic: token=***", "Panicked"]);
    }

    #[test]
    fn error_lines_since_the_start_are_counted_and_masked() {
        let found = tally(
            b"2026-11-22T16:00:00.599Z ERROR too early\n\
              2026-11-22T16:00:00.600000001Z ERROR password=hunter2\n\
              2026-11-22T16:00:01Z all is well\n\
              ERROR without a time\n\
              2026-11-22T16:00:02Z [ERROR] last line without an end",
        );
        assert_eq!(found.lines, 3);
        assert_eq!(found.samples, ["ERROR password=***", "ERROR without a time", "[ERROR] last line without an end"]);
    }

    #[test]
    fn an_outage_is_over_when_all_is_whole_again() {
        let end = |change: serde_json::Value| {
            let mut one = serde_json::json!({
                "experiment": "storage-failure", "outcome": "completed", "namespace": "shop", "executor": "ops@laptop",
                "targets": [], "affected": ["database"], "duration_ms": 50000, "checks": [], "recoveries": [],
                "availability": [], "actions": [], "issues": [], "started": "2026-11-22T16:00:00Z",
                "injected": "2026-11-22T16:00:10Z", "restored": "2026-11-22T16:00:20Z", "ended": "2026-11-22T16:00:50Z",
            });
            one.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
            outage(&serde_json::from_value(one).expect("an experiment")).map(|(_, to)| to)
        };
        assert_eq!(end(serde_json::json!({})), Some(time("2026-11-22T16:00:20Z")));
        assert_eq!(end(serde_json::json!({"restored": null})), Some(time("2026-11-22T16:00:50Z")), "it was not seen");
        assert_eq!(end(serde_json::json!({"affected": []})), None, "nobody was expected to suffer");
        assert_eq!(end(serde_json::json!({"injected": null})), None, "nothing was done");
    }

    #[test]
    fn what_is_said_in_an_expected_outage_is_counted_apart() {
        let found = tally(
            b"2026-11-22T16:09:59.999Z ERROR before\n\
              2026-11-22T16:10:00Z ERROR the database is away\n\
              2026-11-22T16:10:10Z all is well\n\
              2026-11-22T16:10:30Z ERROR the database is away\n\
              2026-11-22T16:10:30.001Z ERROR after",
        );
        assert_eq!((found.lines, found.outage_lines, found.each), (2, 2, vec![2]));
        assert_eq!(found.samples, ["ERROR before", "ERROR after"]);
    }

    #[test]
    fn samples_are_few_and_long_lines_are_bounded() {
        let found = tally("2026-11-22T16:00:01Z ERROR\n".repeat(100).as_bytes());
        assert_eq!((found.lines, found.samples.len()), (100, SAMPLES));
        let mut long = b"2026-11-22T16:00:01Z ERROR ".to_vec();
        long.resize(2 * MAX_LINE, b'x');
        long.extend_from_slice(b"\n2026-11-22T16:00:01Z ERROR\n");
        let found = tally(&long);
        assert_eq!(found.lines, 2);
        assert!(found.samples[0].chars().count() <= SAMPLE_LENGTH);
    }

    #[test]
    fn the_time_is_rounded_down_to_the_second() {
        assert_eq!(floor(time(SINCE)), time("2026-11-22T16:00:00Z"));
    }

    fn pod(container: &serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": { "name": "p" },
            "status": { "containerStatuses": [container] },
        }))
        .expect("a pod")
    }

    fn restarted(count: i32, started: &str, finished: &str) -> Pod {
        pod(&serde_json::json!({
            "name": "c", "image": "i", "imageID": "i", "ready": true, "restartCount": count, "state": { "running": {} },
            "lastState": { "terminated": { "exitCode": 1, "startedAt": started, "finishedAt": finished } },
        }))
    }

    #[test]
    fn the_instance_before_a_restart_is_read_if_it_ended_in_that_time() {
        let previous = |pod: &Pod| sources(pod, time(SINCE)).iter().map(|s| s.previous).collect::<Vec<_>>();
        assert_eq!(previous(&restarted(1, "2026-11-22T15:00:00Z", "2026-11-22T16:00:05Z")), [false, true]);
        assert_eq!(previous(&restarted(1, "2026-11-22T15:00:00Z", "2026-11-22T15:30:00Z")), [false]);
        let new = pod(&serde_json::json!({
            "name": "c", "image": "i", "imageID": "i", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": "ContainerCreating" } },
        }));
        assert_eq!(sources(&new, time(SINCE)), []);
    }

    #[test]
    fn logs_of_earlier_instances_are_known_to_be_gone() {
        assert!(lost(&restarted(3, "2026-11-22T16:00:03Z", "2026-11-22T16:00:05Z"), time(SINCE)));
        assert!(!lost(&restarted(3, "2026-11-22T15:00:00Z", "2026-11-22T16:00:05Z"), time(SINCE)));
    }

    fn nothing() -> LogErrors {
        let patterns = vec![PatternCount { pattern: "ERROR".to_owned(), lines: 0 }];
        LogErrors {
            workload: "deployment/a".to_owned(),
            pods: 0,
            lines: 0,
            outage_lines: 0,
            patterns,
            samples: Vec::new(),
        }
    }

    #[test]
    fn too_many_lines_fail_even_if_other_logs_are_unread_and_few_are_then_unknown() {
        let found = |lines| LogErrors { pods: 2, lines, ..nothing() };
        let unread = [ReadError::other("read the log of pod a", "gone")];
        let judge = |lines, unread: &[ReadError]| super::judge(&found(lines), unread, 0, 0, 1, time(SINCE)).status;
        assert_eq!(judge(1, &[]), Status::Pass);
        assert_eq!(judge(2, &[]), Status::Fail);
        assert_eq!(judge(2, &unread), Status::Fail);
        assert_eq!(judge(1, &unread), Status::Unknown);
    }

    #[test]
    fn no_pods_are_no_evidence() {
        let found = nothing();
        assert_eq!(judge(&found, &[], 0, 0, 0, time(SINCE)).status, Status::Unknown);
    }
}
