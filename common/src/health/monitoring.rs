//! Are Prometheus, Grafana and Alertmanager running and answering?

use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ListParams};
use serde_json::Value;

use super::{services, workloads};
use crate::cluster::Cluster;
use crate::config::{Config, MonitoringSystem};
use crate::record::{Check, WorkloadState};
use crate::vantage::{Asker, Endpoint};

/// A judgement of an answer's body.
type Judge = fn(&[u8]) -> Result<(), String>;

/// A monitoring system: its check's id, its configuration, and what it is asked for.
type System<'a> = (&'static str, &'a Option<MonitoringSystem>, &'static [(&'static str, Judge)]);

/// `monitoring.NAME`: each configured system's Deployment, and the URLs that show that it works.
pub async fn examine(cluster: &Cluster, asker: &Asker, config: &Config) -> (Vec<Check>, Vec<WorkloadState>) {
    let Some(monitoring) = &config.monitoring else {
        return (vec![Check::skipped("monitoring", "", "no monitoring is configured")], Vec::new());
    };
    let namespace = &monitoring.namespace;
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), namespace);
    let all = ListParams::default();
    let systems: [System; 3] = [
        (
            "monitoring.prometheus",
            &monitoring.prometheus,
            &[("/-/ready", any), ("/api/v1/query?query=up", has_targets)],
        ),
        ("monitoring.grafana", &monitoring.grafana, &[("/api/health", database_is_ok)]),
        ("monitoring.alertmanager", &monitoring.alertmanager, &[("/-/ready", any)]),
    ];
    let questions = systems.iter().filter_map(|(id, system, paths)| {
        let system = system.as_ref()?;
        Some(paths.iter().map(move |(path, judge)| async move {
            let endpoint = Endpoint {
                namespace: namespace.clone(),
                service: system.service.clone(),
                port: system.port,
                vantage: system.vantage.clone(),
            };
            services::ask(id, asker, &endpoint, path, judge).await
        }))
    });
    let (deployments, answers) = futures::join!(
        cluster.list(&api, &all, format!("list deployments in namespace {namespace}")),
        join_all(questions.flatten())
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
                let (mut check, workload) = workloads::judge_deployment(deployments, &system.deployment);
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
    (checks, state)
}

#[expect(clippy::unnecessary_wraps, reason = "a judgement like the others")]
fn any(_: &[u8]) -> Result<(), String> {
    Ok(())
}

/// The answer to the query `up` must hold at least one target: a Prometheus that scrapes nothing
/// sees nothing.
fn has_targets(body: &[u8]) -> Result<(), String> {
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| "the answer to the query up is not JSON".to_owned())?;
    let result = answer.pointer("/data/result").and_then(Value::as_array);
    match (answer.get("status").and_then(Value::as_str), result) {
        (Some("success"), Some(targets)) if !targets.is_empty() => Ok(()),
        (Some("success"), _) => Err("it scrapes no targets".to_owned()),
        _ => Err("the query up failed".to_owned()),
    }
}

fn database_is_ok(body: &[u8]) -> Result<(), String> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| "its health is not JSON".to_owned())?;
    match answer.get("database").and_then(Value::as_str) {
        Some("ok") => Ok(()),
        Some(other) => Err(format!("its database is {other:?}")),
        None => Err("it does not say how its database is".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prometheus_without_targets_is_not_healthy() {
        assert!(has_targets(br#"{"status":"success","data":{"result":[{"value":[1,"1"]}]}}"#).is_ok());
        assert!(has_targets(br#"{"status":"success","data":{"result":[]}}"#).is_err());
        assert!(has_targets(b"<html>").is_err());
        assert!(database_is_ok(br#"{"database":"failing"}"#).is_err());
    }
}
