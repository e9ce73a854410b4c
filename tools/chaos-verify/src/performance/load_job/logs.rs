//! What the pods of the Job write: at their end, a record of what they measured.

use std::pin::Pin;

use chaos_common::cluster::ReadError;
use chaos_common::record::{Load, Record, Timing};
use futures::future::try_join_all;
use futures::io::{AsyncBufRead, AsyncReadExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use tokio::time::{Duration, timeout};

use super::LoadJob;
use super::manifest::grace;

/// The most that a pod may write, in bytes.
const MAX: i64 = 16 << 20;
/// Beyond the time that pods have to end in, for the cluster to tell them to.
const SLACK: Duration = Duration::from_secs(10);

/// What a pod writes, from its start to its end.
pub(super) struct PodLog {
    what: String,
    text: Pin<Box<dyn AsyncBufRead + Send>>,
}

impl LoadJob<'_> {
    /// What a pod that has ended measured.
    pub(super) async fn timings(&self, pod: &Pod) -> Result<Vec<Timing>, ReadError> {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let pods: Api<Pod> = self.api();
        let what = task(&name);
        let params = LogParams {
            limit_bytes: Some(MAX),
            ..LogParams::default()
        };
        let read = || pods.logs(&name, &params);
        let text = self.cluster.read(&what, read).await?;
        measured(&text).map_err(|why| ReadError::other(what, why))
    }

    /// Begins to read what the pods write, while they run.
    pub(super) async fn follow(&self, job: &str) -> Result<Vec<PodLog>, ReadError> {
        let pods = self.pods(job, &self.task(job)).await?;
        if pods.len() < usize::from(self.profile.pods.max(1)) {
            let why = "interrupted before all of them had started";
            return Err(ReadError::other(self.task(job), why));
        }
        let api: Api<Pod> = self.api();
        let params = LogParams {
            follow: true,
            limit_bytes: Some(MAX),
            ..LogParams::default()
        };
        let open = async |pod: &Pod| {
            let name = pod.metadata.name.clone().unwrap_or_default();
            let what = task(&name);
            let text = self
                .cluster
                .read(&what, || api.log_stream(&name, &params))
                .await?;
            Ok(PodLog {
                what,
                text: Box::pin(text),
            })
        };
        try_join_all(pods.iter().map(open)).await
    }

    /// What pods measured that are told to end: they write it, and end.
    pub(super) async fn read_to_their_end(
        &self,
        job: &str,
        logs: Vec<PodLog>,
    ) -> Result<Vec<Timing>, ReadError> {
        let limit = grace(self.profile) + SLACK;
        let read = try_join_all(logs.into_iter().map(PodLog::read_to_its_end));
        let Ok(read) = timeout(limit, read).await else {
            let why = "interrupted, and its pods do not end";
            return Err(ReadError::timeout(self.task(job), why));
        };
        self.together(&self.task(job), &read?).await
    }
}

impl PodLog {
    async fn read_to_its_end(mut self) -> Result<Vec<Timing>, ReadError> {
        let mut text = Vec::new();
        // A stream that breaks off has given what it gave; without a record, that is told.
        let _ = self.text.read_to_end(&mut text).await;
        measured(&String::from_utf8_lossy(&text)).map_err(|why| ReadError::other(self.what, why))
    }
}

/// What is done with a pod, for messages.
fn task(pod: &str) -> String {
    format!("read what pod {pod} measured")
}

/// The measurements in what a pod wrote: its record is the last line; else why there are none.
fn measured(text: &str) -> Result<Vec<Timing>, String> {
    let record = |line: &&str| line.starts_with("{\"schema\":\"chaos.load/1\"");
    let Some(line) = text.lines().rfind(record) else {
        let last = text.lines().last().unwrap_or("nothing");
        let last: String = last.chars().take(200).collect();
        return Err(format!("it wrote no record, but: {last}"));
    };
    let record: Record<Load> =
        serde_json::from_str(line).map_err(|error| format!("its record is broken: {error}"))?;
    Ok(record.data.timings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_record_is_told() {
        let why = measured("starting\nno such host\n").expect_err("it is no record");
        assert_eq!(why, "it wrote no record, but: no such host");
        assert_eq!(
            measured("").expect_err("nothing"),
            "it wrote no record, but: nothing"
        );
        let cut = "{\"schema\":\"chaos.load/1\",\"id\":";
        let why = measured(cut).expect_err("it is cut");
        assert!(why.starts_with("its record is broken"), "{why}");
    }
}
