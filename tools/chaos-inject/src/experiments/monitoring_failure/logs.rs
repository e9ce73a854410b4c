//! What the application logged while monitoring was blind.

use chaos_common::record::{Check, Time};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams};

use super::NAME;
use crate::context::Context;
use crate::plan::workload::Workload;

/// Bytes that are read of each pod's log.
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
        let named = format!("{}/{}", workload.kind, workload.name);
        let target = Workload::read(context, &context.namespace, &named).await?;
        let params = ListParams::default().labels(&target.selector);
        let pods = context.cluster.list(&api, &params, "list pods").await?;
        let mut errors = 0;
        for pod in pods.iter().filter_map(|pod| pod.metadata.name.as_ref()) {
            let params = LogParams {
                since_time: Some(since.0),
                limit_bytes: Some(LOG_BYTES),
                ..LogParams::default()
            };
            let what = format!("read the log of pod {pod}");
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
