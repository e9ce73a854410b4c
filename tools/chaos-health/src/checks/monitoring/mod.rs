//! Are Prometheus, Grafana and Alertmanager running and answering, and what do they say?

mod alerts;

use std::collections::BTreeSet;

use futures::future::join_all;
use futures::join;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::Value;

use super::catalogue::Explanation;
use super::workloads::{self, Controller};
use super::{Subject, answers, unless_skipped};

pub(super) use self::alerts::ALERTS;
use chaos_common::cluster::probe::{Endpoint, HttpProbe, WAY};
use chaos_common::cluster::{ListRequest, ReadError};
use chaos_common::config::{Monitoring, MonitoringSystem};
use chaos_common::prometheus::{ApiError, Labels, Prometheus, Series};
use chaos_common::record::{Check, Status, WorkloadState};
use chaos_common::retry::Again;

/// `monitoring`; the other checks of monitoring have this id and a dot before their own word.
pub const CONFIGURED: Explanation = Explanation {
    id: "monitoring",
    asks: "Is any monitoring configured?",
    judges: "Skipped if there is no [monitoring].",
    reads: "the configuration",
    remedy: "name Prometheus, Grafana and Alertmanager under [monitoring]",
};

/// `monitoring.prometheus`
pub(super) const PROMETHEUS: Explanation = Explanation {
    id: "monitoring.prometheus",
    asks: "Does Prometheus run, answer, and scrape anything?",
    judges: "Fails if its Deployment lacks pods, /-/ready does not answer, or the query up has \
             no result.",
    reads: "list deployments of monitoring.namespace; GETs from the configured vantage",
    remedy: "kubectl logs of its pod",
};

/// `monitoring.grafana`
pub(super) const GRAFANA: Explanation = Explanation {
    id: "monitoring.grafana",
    asks: "Does Grafana run and reach its database?",
    judges: "Fails if its Deployment lacks pods or /api/health is not ok.",
    reads: "list deployments of monitoring.namespace; a GET from the configured vantage",
    remedy: "kubectl logs of its pod",
};

/// `monitoring.alertmanager`
pub(super) const ALERTMANAGER: Explanation = Explanation {
    id: "monitoring.alertmanager",
    asks: "Does Alertmanager run and answer?",
    judges: "Fails if its Deployment lacks pods or /-/ready does not answer.",
    reads: "list deployments of monitoring.namespace; a GET from the configured vantage",
    remedy: "kubectl logs of its pod",
};

/// `monitoring.targets`
pub const TARGETS: Explanation = Explanation {
    id: "monitoring.targets",
    asks: "Can Prometheus scrape its targets?",
    judges: "Fails for a target that is down with all of its job, warns if only a part is, or \
             if it is of another namespace.",
    reads: "the query up",
    remedy: "the reason stands on Prometheus's page /targets",
};

/// What is wrong with the body of a system's answer.
#[derive(Clone, Debug, thiserror::Error)]
enum BodyFault {
    #[error("the answer to the query up is not JSON")]
    UpNotJson,
    #[error("it scrapes no targets")]
    NoTargets,
    #[error("the query up failed")]
    UpFailed,
    #[error("its health is not JSON")]
    HealthNotJson,
    #[error("its database is {0:?}")]
    Database(String),
    #[error("it does not say how its database is")]
    NoDatabase,
}

/// A judgement of an answer's body.
type Judge = fn(&[u8]) -> Result<(), BodyFault>;

/// One of the monitoring systems, and what it is asked for.
struct System<'a> {
    /// Its check's id.
    id: &'static str,
    settings: Option<&'a MonitoringSystem>,
    /// Paths that must answer, and what is asked of the body.
    paths: &'static [(&'static str, Judge)],
}

/// The query that gives every target, and whether it could be scraped.
const UP: &str = "up";
/// So many targets and alerts are named.
const NAMED: usize = 50;

/// `monitoring.NAME`: each configured system's Deployment, and the URLs that show that it works;
/// then the targets that are down and the alerts that fire.
pub(super) async fn examine(subject: Subject<'_>) -> (Vec<Check>, Vec<WorkloadState>) {
    let Subject {
        cluster,
        probe,
        config,
        ..
    } = subject;
    let Some(monitoring) = &config.monitoring else {
        return (
            vec![Check::skipped(
                CONFIGURED.id,
                "",
                "no monitoring is configured",
            )],
            Vec::new(),
        );
    };
    let systems = systems(monitoring);
    let ours = ours(subject, monitoring);
    let request = ListRequest::namespaced(&monitoring.namespace);
    let add =
        |found: &mut Vec<Controller>, object: Deployment| found.push(Controller::from(&object));
    let asked = systems.iter().map(|system| ask(probe, monitoring, system));
    let (deployments, answers, targets, alerts) = join!(
        cluster.fold(request, Vec::new, add),
        join_all(asked),
        unless_skipped(config, TARGETS.id, targets(probe, monitoring, &ours)),
        unless_skipped(config, ALERTS.id, alerts::examine(probe, monitoring, &ours)),
    );
    let (mut checks, mut states) = (Vec::new(), Vec::new());
    for (system, answers) in systems.iter().zip(answers) {
        let (check, state) = judge_deployment(system, &deployments);
        checks.push(check);
        checks.extend(answers);
        states.extend(state);
    }
    checks.extend(targets);
    checks.extend(alerts);
    (checks, states)
}

/// The namespaces whose troubles are ours: those that are looked at, those of configured Services,
/// and that of the monitoring.
fn ours<'a>(subject: Subject<'a>, monitoring: &'a Monitoring) -> BTreeSet<&'a str> {
    let services = subject.config.services.iter();
    let of_services = services.filter_map(|service| service.namespace.as_deref());
    let looked_at = subject.also.iter().map(String::as_str);
    let known = [subject.namespace, monitoring.namespace.as_str()];
    looked_at.chain(of_services).chain(known).collect()
}

/// The namespace that a series or an alert is about. Where Prometheus keeps a label of its own, that
/// of the object has another name.
fn namespace_of(labels: &Labels) -> Option<&str> {
    let names = ["exported_namespace", "namespace", "kubernetes_namespace"];
    names
        .iter()
        .find_map(|name| labels.get(*name))
        .map(String::as_str)
}

/// Whether it is about a namespace, and that is none of ours.
fn is_foreign(labels: &Labels, ours: &BTreeSet<&str>) -> bool {
    namespace_of(labels).is_some_and(|namespace| !ours.contains(namespace))
}

/// Asks Prometheus or Alertmanager, and again where the way to it may be open soon.
async fn insist<T, F>(probe: &HttpProbe, ask: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    let again = |error: &ApiError| match error {
        ApiError::Vantage(error) => error.again(),
        _ => Again::Never,
    };
    let cluster = probe.cluster();
    let answer = cluster.before_deadline(Box::pin(WAY.run(ask, again))).await;
    answer.unwrap_or_else(|| Err(ApiError::Vantage(cluster.over("ask the monitoring"))))
}

fn systems(monitoring: &Monitoring) -> [System<'_>; 3] {
    [
        System {
            id: PROMETHEUS.id,
            settings: monitoring.prometheus.as_ref(),
            paths: &[("/-/ready", any), ("/api/v1/query?query=up", has_targets)],
        },
        System {
            id: GRAFANA.id,
            settings: monitoring.grafana.as_ref(),
            paths: &[("/api/health", database_is_ok)],
        },
        System {
            id: ALERTMANAGER.id,
            settings: monitoring.alertmanager.as_ref(),
            paths: &[("/-/ready", any)],
        },
    ]
}

/// Asks a system that is configured for its paths.
async fn ask(probe: &HttpProbe, monitoring: &Monitoring, system: &System<'_>) -> Vec<Check> {
    let Some(settings) = system.settings else {
        return Vec::new();
    };
    let endpoint = Endpoint::of_monitoring(monitoring, settings);
    let paths = system.paths.iter();
    join_all(paths.map(|(path, judge)| answers::ask(system.id, probe, &endpoint, path, judge)))
        .await
}

/// Has a system's Deployment the pods that it wants?
fn judge_deployment(
    system: &System,
    deployments: &Result<Vec<Controller>, ReadError>,
) -> (Check, Option<WorkloadState>) {
    let id = system.id;
    let Some(settings) = system.settings else {
        return (Check::skipped(id, "", "it is not configured"), None);
    };
    let name = &settings.deployment;
    match deployments {
        Ok(deployments) => {
            let (mut check, state) = workloads::judge_deployment(deployments, name);
            id.clone_into(&mut check.id);
            (check, state)
        }
        Err(error) => (error.check(id, format!("deployment/{name}")), None),
    }
}

/// `monitoring.targets`: every target that Prometheus can't scrape.
async fn targets(probe: &HttpProbe, monitoring: &Monitoring, ours: &BTreeSet<&str>) -> Vec<Check> {
    let Some(prometheus) = Prometheus::of(probe, monitoring, answers::LIMIT) else {
        return vec![Check::skipped(
            TARGETS.id,
            "",
            "Prometheus is not configured",
        )];
    };
    let url = prometheus.url(&Prometheus::query_path(UP));
    let checks = match insist(probe, || prometheus.query(UP)).await {
        Ok(series) => judge_targets(&series, ours, url),
        Err(error) => vec![Check::unknown(TARGETS.id, url, error.to_string())],
    };
    from_vantage(checks, &prometheus)
}

fn from_vantage(checks: Vec<Check>, prometheus: &Prometheus) -> Vec<Check> {
    let vantage = prometheus.vantage();
    let checks = checks.into_iter();
    checks.map(|check| check.from_vantage(&vantage)).collect()
}

/// That all targets of a job are down fails; that some are, or another namespace's, is a warning: a
/// job of many pods hardly ever has all of them.
fn judge_targets(targets: &[Series], ours: &BTreeSet<&str>, url: String) -> Vec<Check> {
    if targets.is_empty() {
        return vec![Check::fail(
            TARGETS.id,
            url,
            "Prometheus scrapes no targets",
        )];
    }
    let is_down = |target: &&Series| target.samples.iter().any(|(_, value)| value == "0");
    let (down, up): (Vec<&Series>, Vec<&Series>) = targets.iter().partition(is_down);
    let jobs_up: BTreeSet<&str> = up.iter().map(|target| label(target, "job")).collect();
    let judge = |target: &&Series| {
        let (job, instance) = (label(target, "job"), label(target, "instance"));
        let foreign = is_foreign(&target.labels, ours);
        let partly = jobs_up.contains(job);
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
        let object = format!("target/{job}/{instance}");
        let message = format!("is down for Prometheus{rest}");
        Check::new(TARGETS.id, object, status, message)
            .hint("the reason stands on Prometheus's page /targets")
    };
    let mut checks: Vec<Check> = down.iter().map(judge).collect();
    checks.sort_by_key(|check| check.status != Status::Fail);
    if checks.is_empty() {
        let message = format!("all {} targets are up", targets.len());
        return vec![Check::pass(TARGETS.id, url, message)];
    }
    first_of(checks, TARGETS.id, &url)
}

fn label<'s>(series: &'s Series, name: &str) -> &'s str {
    series.labels.get(name).map_or("", String::as_str)
}

/// Keeps the first of many checks and counts the others.
fn first_of(mut checks: Vec<Check>, id: &str, url: &str) -> Vec<Check> {
    if checks.len() > NAMED {
        let others = checks.split_off(NAMED);
        let bad = others.iter().any(Check::is_bad);
        let status = if bad { Status::Fail } else { Status::Warn };
        let message = format!("{} more", others.len());
        checks.push(Check::new(id, url, status, message));
    }
    checks
}

#[expect(clippy::unnecessary_wraps, reason = "a judgement like the others")]
fn any(_: &[u8]) -> Result<(), BodyFault> {
    Ok(())
}

/// The answer to the query `up` must hold at least one target: a Prometheus that scrapes nothing
/// sees nothing.
fn has_targets(body: &[u8]) -> Result<(), BodyFault> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| BodyFault::UpNotJson)?;
    let result = answer.pointer("/data/result").and_then(Value::as_array);
    match (answer.get("status").and_then(Value::as_str), result) {
        (Some("success"), Some(targets)) if !targets.is_empty() => Ok(()),
        (Some("success"), _) => Err(BodyFault::NoTargets),
        _ => Err(BodyFault::UpFailed),
    }
}

fn database_is_ok(body: &[u8]) -> Result<(), BodyFault> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| BodyFault::HealthNotJson)?;
    match answer.get("database").and_then(Value::as_str) {
        Some("ok") => Ok(()),
        Some(other) => Err(BodyFault::Database(other.to_owned())),
        None => Err(BodyFault::NoDatabase),
    }
}
