//! Are Prometheus, Grafana and Alertmanager running and answering, and what do they say?

mod alerts;
mod runners;

use std::collections::BTreeSet;

use futures::future::join_all;
use futures::join;
use serde_json::Value;

use super::catalogue::Explanation;
use super::{Subject, answers, unless_skipped};

pub(super) use self::alerts::ALERTS;
use chaos_common::cluster::probe::{Endpoint, HttpProbe, WAY};
use chaos_common::config::{Monitoring, MonitoringSystem};
use chaos_common::prometheus::{AlertScope, ApiError, Prometheus, Series};
use chaos_common::record::{Check, Status, WorkloadState};
use chaos_common::retry::Again;

/// `monitoring`; the other checks of monitoring have this id and a dot before their own word.
pub const CONFIGURED: Explanation = Explanation {
    id: "monitoring",
    asks: "Is any monitoring configured?",
    judges: "Skipped if there is no [monitoring]. Without any configuration it is looked for in \
             the usual namespaces; what is found and can't be asked is a warning.",
    reads: "the configuration; without one, Services and workloads of those namespaces",
    remedy: "name Prometheus, Grafana and Alertmanager under [monitoring]",
};

/// `monitoring.prometheus`
pub(super) const PROMETHEUS: Explanation = Explanation {
    id: "monitoring.prometheus",
    asks: "Does Prometheus run, answer, and scrape anything?",
    judges: "Fails if its workload lacks pods, /-/ready does not answer, or the query up has \
             no result. Unknown if it does not accept who asks.",
    reads: "its workload and pods; GETs from the configured vantage",
    remedy: "kubectl logs of its pod",
};

/// `monitoring.grafana`
pub(super) const GRAFANA: Explanation = Explanation {
    id: "monitoring.grafana",
    asks: "Does Grafana run and reach its database?",
    judges: "Fails if its workload lacks pods or /api/health is not ok. Unknown if it does not \
             accept who asks.",
    reads: "its workload and pods; a GET from the configured vantage",
    remedy: "kubectl logs of its pod",
};

/// `monitoring.alertmanager`
pub(super) const ALERTMANAGER: Explanation = Explanation {
    id: "monitoring.alertmanager",
    asks: "Does Alertmanager run and answer?",
    judges: "Fails if its workload lacks pods or /-/ready does not answer. Unknown if it does not \
             accept who asks.",
    reads: "its workload and pods; a GET from the configured vantage",
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

/// `monitoring.NAME`: each configured system's workload, and the URLs that show that it works;
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
    let also = subject.also.iter().map(String::as_str);
    let scope = AlertScope::of(config, subject.namespace).and(also);
    let asked = systems.iter().map(|system| ask(probe, monitoring, system));
    let (runners, answers, targets, alerts) = join!(
        runners::read(cluster, monitoring),
        join_all(asked),
        unless_skipped(config, TARGETS.id, targets(probe, monitoring, &scope)),
        unless_skipped(
            config,
            ALERTS.id,
            alerts::examine(probe, monitoring, &scope)
        ),
    );
    let (mut checks, mut states) = (Vec::new(), Vec::new());
    for (system, answers) in systems.iter().zip(answers) {
        match system.settings {
            None => checks.push(Check::skipped(system.id, "", "it is not configured")),
            Some(settings) => {
                let (check, state) = runners.judge(system.id, settings);
                checks.extend(check);
                states.extend(state);
            }
        }
        checks.extend(answers);
    }
    checks.extend(targets);
    checks.extend(alerts);
    (checks, states)
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
    let key = system.id;
    let ask = |(path, judge): &'static (&'static str, Judge)| {
        let endpoint = &endpoint;
        async move {
            let check = answers::ask(key, probe, endpoint, path, judge).await;
            not_let_in(check, settings)
        }
    };
    join_all(system.paths.iter().map(ask)).await
}

/// A system that does not accept who asks (401, 403) says nothing of how it is.
fn not_let_in((check, status): (Check, Option<u16>), settings: &MonitoringSystem) -> Check {
    if !matches!(status, Some(401 | 403)) {
        return check;
    }
    let (id, object) = (check.id, check.object.unwrap_or_default());
    let hint = match &settings.access.login {
        None => format!("give {id}.token, or {id}.user and {id}.password, in chaos.toml"),
        Some(_) => format!("are what {id}.user, password or token name in chaos.toml right?"),
    };
    let message = format!("{}: it does not accept who asks", check.message);
    let unknown = Check::unknown(&id, object, message).hint(hint);
    match check.vantage {
        Some(vantage) => unknown.from_vantage(vantage),
        None => unknown,
    }
}

/// `monitoring.targets`: every target that Prometheus can't scrape.
async fn targets(probe: &HttpProbe, monitoring: &Monitoring, scope: &AlertScope) -> Vec<Check> {
    let Some(prometheus) = Prometheus::of(probe, monitoring, answers::LIMIT) else {
        return vec![Check::skipped(
            TARGETS.id,
            "",
            "Prometheus is not configured",
        )];
    };
    let url = prometheus.url(&Prometheus::query_path(UP));
    let checks = match insist(probe, || prometheus.query(UP)).await {
        Ok(series) => judge_targets(&series, scope, url),
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
fn judge_targets(targets: &[Series], scope: &AlertScope, url: String) -> Vec<Check> {
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
        let foreign = !scope.is_near(&target.labels);
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
