//! What the application logged while monitoring was blind.

use chaos_common::record::{Check, Time};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams};

use super::NAME;
use crate::context::Context;
use crate::plan::workload::Workload;

/// Bytes that are read of each container's log.
const LOG_BYTES: i64 = 4 << 20;

/// Lines of errors of one workload.
#[derive(Debug)]
pub(super) struct LogErrors {
    workload: String,
    lines: usize,
}

/// ERROR lines that the configured workloads logged since the injection.
pub(super) async fn errors(context: &Context, since: Time) -> anyhow::Result<Vec<LogErrors>> {
    let api: Api<Pod> = Api::namespaced(context.cluster.client.clone(), &context.namespace);
    let mut found = Vec::new();
    for workload in context
        .config
        .workloads
        .iter()
        .filter(|workload| !workload.logs.is_empty())
    {
        let named = workload.source().to_string();
        let target = Workload::read(context, &context.namespace, &named).await?;
        let params = ListParams::default().labels(&target.selector);
        let mut pods = context.cluster.list(&api, &params, "list pods").await?;
        // The labels of a custom resource's pods need not be theirs alone.
        pods.retain(|pod| {
            let owner = target.family.workload_of(pod);
            !target.is_custom() || owner.as_ref() == Some(&target.which)
        });
        let mut errors = 0;
        for (pod, container) in pods.iter().flat_map(containers) {
            let params = LogParams {
                container: Some(container.to_owned()),
                since_time: Some(since.0),
                limit_bytes: Some(LOG_BYTES),
                ..LogParams::default()
            };
            let what = format!("read the log of container {container} of pod {pod}");
            let text = context
                .cluster
                .read(what, || api.logs(pod, &params))
                .await?;
            errors += text
                .lines()
                .filter(|line| workload.logs.is_match(line.as_bytes()))
                .count();
        }
        found.push(LogErrors {
            workload: workload.name.clone(),
            lines: errors,
        });
    }
    Ok(found)
}

/// The containers of a pod that log while it serves, each with the pod's name: the API server tells
/// the log of one container only. An init container that has ended has nothing to say of now.
fn containers(pod: &Pod) -> Vec<(&str, &str)> {
    let (Some(name), Some(spec)) = (&pod.metadata.name, &pod.spec) else {
        return Vec::new();
    };
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|one| one.restart_policy.as_deref() == Some("Always"));
    let all = spec.containers.iter().chain(sidecars);
    all.map(|one| (name.as_str(), one.name.as_str())).collect()
}

/// `logs`: what each workload logged while monitoring was blind; `most` lines of errors may be.
pub(super) fn checks(found: Option<&anyhow::Result<Vec<LogErrors>>>, most: u64) -> Vec<Check> {
    let id = format!("{NAME}.logs");
    let one = |LogErrors { workload, lines }: &LogErrors| {
        let message =
            format!("logged {lines} lines of errors while monitoring was blind; {most} may be");
        Check::judge(*lines as u64 <= most, &id, workload.clone(), message)
    };
    match found {
        Some(Ok(found)) if found.is_empty() => {
            let why = "no workload is configured with logs = true";
            vec![Check::skipped(&id, "", why)]
        }
        Some(Ok(found)) => found.iter().map(one).collect(),
        Some(Err(why)) => vec![Check::unknown(&id, "", why.to_string())],
        None => vec![Check::unknown(
            &id,
            "",
            "the application's logs were not read",
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::testing::application::{application, with};
    use crate::testing::test_bed::TestBed;

    const CONFIG: &str = "[[workload]]\nname = \"shop\"\nlogs = true\n";

    #[tokio::test(start_paused = true)]
    async fn every_container_of_a_pod_is_read_and_an_init_container_that_ended_is_not() {
        let mut objects = application("Deployment", "shop", 1);
        let spec = json!({ "spec": {
            "containers": [{ "name": "main" }, { "name": "worker" }],
            "initContainers": [{ "name": "once" }, { "name": "side", "restartPolicy": "Always" }],
        } });
        let pod = objects.pop().expect("its pod");
        objects.push(with(pod, &spec));
        let mut bed = TestBed::with(objects);
        bed.config = CONFIG.to_owned();
        for (container, text) in [
            ("main", "all is well\n"),
            ("worker", "ERROR no queue\nERROR no queue\n"),
            ("side", "ERROR no route\n"),
            ("once", "ERROR from before\n"),
        ] {
            bed.server.log("shop-0", container, text);
        }
        let found = errors(&bed.context(), Time::now()).await.expect("readable");
        let lines: Vec<usize> = found.iter().map(|one| one.lines).collect();
        assert_eq!(lines, [3]);
    }
}
