//! What is looked at although nobody configured it: Services by the readiness probes of their pods,
//! and monitoring in the usual places. It is a guess, so that not to get there is only a warning.

use std::time::Duration;

use futures::stream::{self, StreamExt};

use super::{Subject, answers, monitoring};
use crate::discovery::{self, Inventory};
use chaos_common::cluster::Cluster;
use chaos_common::cluster::probe::{Answer, Endpoint, ProbeError};
use chaos_common::config::Config;
use chaos_common::record::{Check, Status, WorkloadState};

const HTTP: &str = answers::HTTP.id;
/// So long the search for monitoring may take of a look.
const SEARCH: Duration = Duration::from_secs(5);

/// `service.http` of the Services whose pods have a readiness probe by HTTP.
pub(super) async fn services(subject: Subject<'_>) -> Vec<Check> {
    let Subject {
        cluster, namespace, ..
    } = subject;
    let inventory = Inventory::read(cluster, namespace).await;
    let found: Vec<(Endpoint, String)> = inventory
        .asked()
        .into_iter()
        .filter(|(_, runner, _)| runner.replicas > 0)
        .filter_map(|(name, _, readiness)| {
            let readiness = readiness.ok()?;
            Some((readiness.endpoint(namespace, name), readiness.path))
        })
        .collect();
    if found.is_empty() {
        let why = "no Service is configured, and none has pods with a readiness probe by HTTP";
        return vec![Check::skipped(HTTP, "", why)];
    }
    let ask = found.iter().map(|found| ask(subject, found));
    stream::iter(ask)
        .buffered(answers::PARALLEL)
        .collect()
        .await
}

async fn ask(subject: Subject<'_>, (endpoint, path): &(Endpoint, String)) -> Check {
    let answer = subject
        .probe
        .get_again(endpoint, path, answers::LIMIT)
        .await;
    let check = judge(endpoint.url(path), answer);
    check.from_vantage(subject.probe.vantage(endpoint))
}

/// As the kubelet judges it, to whom a status in the 300s is good. Not to get there says more of
/// where we stand: the pods are ready all the same.
fn judge(url: String, answer: Result<Answer, ProbeError>) -> Check {
    match answer {
        Ok(Answer {
            status: status @ 200..400,
            elapsed,
            ..
        }) => {
            let ms = elapsed.as_millis();
            let message = format!("answers {status} in {ms} ms to its readiness probe's path");
            Check::pass(HTTP, url, message)
        }
        Ok(answer) => {
            let status = answer.status;
            let message =
                format!("answers {status} to its readiness probe's path, and its pods are ready");
            Check::fail(HTTP, url, message)
        }
        Err(why) => {
            let message = format!("was found by its readiness probe, and is not known: {why}");
            let hint =
                "say how it is asked as [[service]] in chaos.toml; chaos-health init makes one";
            Check::new(HTTP, url, Status::Warn, message).hint(hint)
        }
    }
}

/// The checks of monitoring that is found in the usual places.
pub(super) async fn monitoring(subject: Subject<'_>) -> (Vec<Check>, Vec<WorkloadState>) {
    let search = subject.cluster.until_deadline(SEARCH);
    let cluster: Cluster = subject.cluster.for_a_look(search);
    let Some(found) = discovery::monitoring::find(&cluster, subject.namespace).await else {
        let why = "no monitoring is configured, and none was found in the usual namespaces";
        return (
            vec![Check::skipped(monitoring::CONFIGURED.id, "", why)],
            Vec::new(),
        );
    };
    let namespace = found.namespace.clone();
    let config = Config {
        monitoring: Some(found),
        ..subject.config.clone()
    };
    let subject = Subject {
        config: &config,
        ..subject
    };
    let (checks, states) = monitoring::examine(subject).await;
    let checks = checks.into_iter().map(|check| soften(check, &namespace));
    (checks.collect(), states)
}

/// What nobody configured may be somebody else's, or not open to us: that is worth a warning. What
/// it says of the application counts.
fn soften(mut check: Check, namespace: &str) -> Check {
    let of_system = check.id != monitoring::TARGETS.id && check.id != monitoring::ALERTS.id;
    if check.status == Status::Unknown || (check.status == Status::Fail && of_system) {
        check.status = Status::Warn;
        check.message = format!("found in namespace {namespace}: {}", check.message);
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::cluster::ReadError;

    #[test]
    fn only_an_answer_can_close_the_gate() {
        let of = |answer| judge("http://web.shop:80/ok".to_owned(), answer).status;
        let answer = |status| {
            Ok(Answer {
                status,
                body: Vec::new(),
                elapsed: Duration::from_millis(1),
            })
        };
        assert_eq!(of(answer(200)), Status::Pass);
        assert_eq!(of(answer(302)), Status::Pass, "as to the kubelet");
        assert_eq!(of(answer(404)), Status::Fail);
        assert_eq!(of(answer(503)), Status::Fail);
        let refused = ProbeError::Service("connection refused".to_owned());
        assert_eq!(of(Err(refused)), Status::Warn);
        let forbidden = ProbeError::Vantage(ReadError::other("ask", "forbidden"));
        assert_eq!(of(Err(forbidden)), Status::Warn);
    }

    #[test]
    fn what_found_monitoring_says_of_the_application_counts() {
        let of = |id: &str, status| soften(Check::new(id, "", status, "x"), "m").status;
        assert_eq!(of("monitoring.alerts", Status::Fail), Status::Fail);
        assert_eq!(of("monitoring.alerts", Status::Unknown), Status::Warn);
        assert_eq!(of("monitoring.targets", Status::Fail), Status::Fail);
        assert_eq!(of("monitoring.grafana", Status::Fail), Status::Warn);
        assert_eq!(of("monitoring.prometheus", Status::Unknown), Status::Warn);
        assert_eq!(of("monitoring.prometheus", Status::Pass), Status::Pass);
    }
}
