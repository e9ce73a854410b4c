//! Are Prometheus, Grafana and Alertmanager running and answering, and what do they say?

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use serde::Deserialize;
use serde_json::Value;

use super::workloads::{self, Controller};
use super::{made, services};
use chaos_common::cluster::probe::{Answer, Endpoint, HttpProbe, ProbeError};
use chaos_common::cluster::{Cluster, ListRequest};
use chaos_common::config::{Config, Monitoring, MonitoringSystem};
use chaos_common::record::{Check, Status, WorkloadState};

/// A judgement of an answer's body.
type Judge = fn(&[u8]) -> Result<(), String>;

/// A monitoring system: its check's id, its configuration, and what it is asked for.
type System<'a> = (
    &'static str,
    &'a Option<MonitoringSystem>,
    &'static [(&'static str, Judge)],
);

const TARGETS: &str = "monitoring.targets";
const ALERTS: &str = "monitoring.alerts";
/// So many targets and alerts are named.
const NAMED: usize = 50;

/// `monitoring.NAME`: each configured system's Deployment, and the URLs that show that it works;
/// then the targets that are down and the alerts that fire.
pub(super) async fn examine(
    cluster: &Cluster,
    asker: &HttpProbe,
    config: &Config,
    namespace: &str,
) -> (Vec<Check>, Vec<WorkloadState>) {
    let Some(monitoring) = &config.monitoring else {
        return (
            vec![Check::skipped(
                "monitoring",
                "",
                "no monitoring is configured",
            )],
            Vec::new(),
        );
    };
    let systems: [System; 3] = [
        (
            "monitoring.prometheus",
            &monitoring.prometheus,
            &[("/-/ready", any), ("/api/v1/query?query=up", has_targets)],
        ),
        (
            "monitoring.grafana",
            &monitoring.grafana,
            &[("/api/health", database_is_ok)],
        ),
        (
            "monitoring.alertmanager",
            &monitoring.alertmanager,
            &[("/-/ready", any)],
        ),
    ];
    let questions = systems.iter().filter_map(|(id, system, paths)| {
        let system = system.as_ref()?;
        Some(paths.iter().map(move |(path, judge)| async move {
            services::ask(
                id,
                asker,
                &Endpoint::of_monitoring(monitoring, system),
                path,
                judge,
            )
            .await
        }))
    });
    let request = ListRequest::namespaced(&monitoring.namespace);
    let add =
        |found: &mut Vec<Controller>, object: Deployment| found.push(Controller::from(&object));
    let (deployments, answers, targets, alerts) = futures::join!(
        cluster.fold(request, Vec::new, add),
        stream::iter(questions.flatten())
            .buffered(services::PARALLEL)
            .collect::<Vec<_>>(),
        made(config, TARGETS, targets(asker, monitoring, namespace)),
        made(config, ALERTS, alerts(asker, monitoring)),
    );
    let mut answers = answers.into_iter().peekable();
    let (mut checks, mut state) = (Vec::new(), Vec::new());
    for (id, system, _) in systems {
        let Some(system) = system else {
            checks.push(Check::skipped(id, "", "it is not configured"));
            continue;
        };
        match &deployments {
            Ok(deployments) => {
                let (mut check, workload) =
                    workloads::judge_deployment(deployments, &system.deployment);
                id.clone_into(&mut check.id);
                checks.push(check);
                state.extend(workload);
            }
            Err(error) => checks.push(error.check(id, format!("deployment/{}", system.deployment))),
        }
        while let Some(answer) = answers.next_if(|answer| answer.id == id) {
            checks.push(answer);
        }
    }
    checks.extend(targets);
    checks.extend(alerts);
    (checks, state)
}

/// Asks for JSON.
async fn json<T: for<'de> Deserialize<'de>>(
    asker: &HttpProbe,
    endpoint: &Endpoint,
    path: &str,
) -> Result<T, String> {
    match asker.get(endpoint, path, services::LIMIT).await {
        Ok(Answer {
            status: 200, body, ..
        }) => serde_json::from_slice(&body)
            .map_err(|_| "the answer is not the JSON that was expected".to_owned()),
        Ok(answer) => Err(format!("answers {}", answer.status)),
        Err(ProbeError::Service(why)) => Err(format!("does not answer: {why}")),
        Err(ProbeError::Vantage(error)) => Err(error.to_string()),
    }
}

type Labels = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Samples {
    data: Vector,
}

#[derive(Deserialize)]
struct Vector {
    result: Vec<Target>,
}

/// A target of Prometheus and whether it could be scraped.
#[derive(Deserialize)]
struct Target {
    metric: Labels,
    value: (f64, String),
}

/// `monitoring.targets`: every target that Prometheus can't scrape.
async fn targets(asker: &HttpProbe, monitoring: &Monitoring, namespace: &str) -> Vec<Check> {
    const PATH: &str = "/api/v1/query?query=up";
    let Some(prometheus) = &monitoring.prometheus else {
        return vec![Check::skipped(TARGETS, "", "Prometheus is not configured")];
    };
    let endpoint = Endpoint::of_monitoring(monitoring, prometheus);
    let (url, vantage) = (endpoint.url(PATH), asker.resolve(&endpoint.vantage));
    match json::<Samples>(asker, &endpoint, PATH).await {
        Ok(samples) => judge_targets(
            &samples.data.result,
            &[namespace, &monitoring.namespace],
            url,
        ),
        Err(why) => vec![Check::unknown(TARGETS, url, why)],
    }
    .into_iter()
    .map(|check| check.from_vantage(&vantage))
    .collect()
}

/// That all targets of a job are down fails; that some are, or another namespace's, is a warning: a
/// job of many pods hardly ever has all of them.
fn judge_targets(targets: &[Target], ours: &[&str], url: String) -> Vec<Check> {
    let label = |target: &Target, name: &str| target.metric.get(name).cloned().unwrap_or_default();
    let up = |target: &Target| target.value.1 != "0";
    let (down, well): (Vec<&Target>, Vec<&Target>) = targets.iter().partition(|target| !up(target));
    if targets.is_empty() {
        return vec![Check::fail(TARGETS, url, "Prometheus scrapes no targets")];
    }
    let mut checks: Vec<Check> = down
        .iter()
        .map(|target| {
            let (job, instance) = (label(target, "job"), label(target, "instance"));
            let foreign = target
                .metric
                .get("namespace")
                .is_some_and(|other| !ours.contains(&other.as_str()));
            let partly = well.iter().any(|other| label(other, "job") == job);
            let status = if foreign || partly {
                Status::Warn
            } else {
                Status::Fail
            };
            let rest = if partly {
                ""
            } else {
                ", and so are all of its job"
            };
            Check::new(
                TARGETS,
                format!("target/{job}/{instance}"),
                status,
                format!("is down for Prometheus{rest}"),
            )
            .hint("the reason stands on Prometheus's page /targets")
        })
        .collect();
    checks.sort_by_key(|check| check.status != Status::Fail);
    more(&mut checks, TARGETS, &url);
    if checks.is_empty() {
        checks.push(Check::pass(
            TARGETS,
            url,
            format!("all {} targets are up", targets.len()),
        ));
    }
    checks
}

/// Keeps the first of many checks and counts the others.
fn more(checks: &mut Vec<Check>, id: &str, url: &str) {
    if checks.len() > NAMED {
        let others = checks.split_off(NAMED);
        let status = if others.iter().any(Check::is_bad) {
            Status::Fail
        } else {
            Status::Warn
        };
        checks.push(Check::new(
            id,
            url,
            status,
            format!("{} more", others.len()),
        ));
    }
}

#[derive(Deserialize)]
struct Alerts {
    data: AlertList,
}

#[derive(Deserialize)]
struct AlertList {
    alerts: Vec<Alert>,
}

/// An alert of Prometheus.
#[derive(Deserialize)]
struct Alert {
    labels: Labels,
    #[serde(default)]
    annotations: Labels,
    state: String,
}

/// An alert as Alertmanager knows it.
#[derive(Deserialize)]
struct Routed {
    labels: Labels,
    status: RoutedStatus,
}

#[derive(Deserialize)]
struct RoutedStatus {
    state: String,
}

/// `monitoring.alerts`: every alert that fires now and that nobody has silenced.
async fn alerts(asker: &HttpProbe, monitoring: &Monitoring) -> Vec<Check> {
    const PATH: &str = "/api/v1/alerts";
    let Some(prometheus) = &monitoring.prometheus else {
        return vec![Check::skipped(ALERTS, "", "Prometheus is not configured")];
    };
    let source = Endpoint::of_monitoring(monitoring, prometheus);
    let (url, vantage) = (source.url(PATH), asker.resolve(&source.vantage));
    let silenced = async {
        match &monitoring.alertmanager {
            Some(system) => {
                let endpoint = Endpoint::of_monitoring(monitoring, system);
                json::<Vec<Routed>>(asker, &endpoint, "/api/v2/alerts?active=false")
                    .await
                    .unwrap_or_default()
            }
            None => Vec::new(),
        }
    };
    let (alerts, silenced) = futures::join!(json::<Alerts>(asker, &source, PATH), silenced);
    match alerts {
        Ok(alerts) => judge_alerts(&alerts.data.alerts, &silenced, url),
        Err(why) => vec![Check::unknown(ALERTS, url, why)],
    }
    .into_iter()
    .map(|check| check.from_vantage(&vantage))
    .collect()
}

fn judge_alerts(alerts: &[Alert], silenced: &[Routed], url: String) -> Vec<Check> {
    let firing = alerts.iter().filter(|alert| alert.state == "firing");
    let mut checks: Vec<Check> = firing
        .filter_map(|alert| {
            let label = |name: &str| {
                alert
                    .labels
                    .get(name)
                    .map(String::as_str)
                    .unwrap_or_default()
            };
            let mut status = match label("severity") {
                // Such as Watchdog, which fires all the time to show that alerts arrive.
                "none" | "info" => return None,
                "warning" => Status::Warn,
                _ => Status::Fail,
            };
            let mut message = match label("severity") {
                "" => "fires".to_owned(),
                severity => format!("fires ({severity})"),
            };
            // Alertmanager knows it with labels of its own besides.
            let same = |other: &&Routed| {
                alert
                    .labels
                    .iter()
                    .all(|(name, value)| other.labels.get(name) == Some(value))
            };
            if silenced
                .iter()
                .filter(|other| other.status.state == "suppressed")
                .any(|other| same(&other))
            {
                status = Status::Warn;
                message.push_str(", and is silenced");
            }
            let told = alert
                .annotations
                .get("summary")
                .or_else(|| alert.annotations.get("description"));
            message.extend(told.map(|text| format!(": {text}")));
            let about = [
                "namespace",
                "pod",
                "deployment",
                "service",
                "job",
                "instance",
            ];
            let about: Vec<_> = about
                .iter()
                .filter(|name| !label(name).is_empty())
                .take(2)
                .collect();
            let object = about
                .iter()
                .fold(format!("alert/{}", label("alertname")), |object, name| {
                    object + " " + name + "=" + label(name)
                });
            Some(Check::new(ALERTS, object, status, message))
        })
        .collect();
    checks.sort_by_key(|check| check.status != Status::Fail);
    more(&mut checks, ALERTS, &url);
    if checks.is_empty() {
        checks.push(Check::pass(ALERTS, url, "no alert fires"));
    }
    checks
}

#[expect(clippy::unnecessary_wraps, reason = "a judgement like the others")]
fn any(_: &[u8]) -> Result<(), String> {
    Ok(())
}

/// The answer to the query `up` must hold at least one target: a Prometheus that scrapes nothing
/// sees nothing.
fn has_targets(body: &[u8]) -> Result<(), String> {
    let answer: Value = serde_json::from_slice(body)
        .map_err(|_| "the answer to the query up is not JSON".to_owned())?;
    let result = answer.pointer("/data/result").and_then(Value::as_array);
    match (answer.get("status").and_then(Value::as_str), result) {
        (Some("success"), Some(targets)) if !targets.is_empty() => Ok(()),
        (Some("success"), _) => Err("it scrapes no targets".to_owned()),
        _ => Err("the query up failed".to_owned()),
    }
}

fn database_is_ok(body: &[u8]) -> Result<(), String> {
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| "its health is not JSON".to_owned())?;
    match answer.get("database").and_then(Value::as_str) {
        Some("ok") => Ok(()),
        Some(other) => Err(format!("its database is {other:?}")),
        None => Err("it does not say how its database is".to_owned()),
    }
}
