//! Asking from inside a workload, with the curl that its image has.

use std::time::Duration;

use super::{Endpoint, HttpProbe, MAX_BODY, ProbeError};
use crate::cluster::ReadError;
use crate::record::PodSource;

impl HttpProbe {
    pub(super) async fn exec(
        &self,
        endpoint: &Endpoint,
        pods: &PodSource,
        path: &str,
        limit: Duration,
    ) -> Result<(u16, Vec<u8>), ProbeError> {
        let pod = self
            .cluster
            .ready_pod(&endpoint.namespace, pods)
            .await
            .map_err(ProbeError::Vantage)?;
        let (url, seconds) = (endpoint.url(path), limit.as_secs_f64().to_string());
        let command = [
            "curl",
            "-sS",
            "--max-time",
            &seconds,
            "-o",
            "-",
            "-w",
            "\n%{http_code}",
            &url,
        ];
        let done = self
            .cluster
            .exec(&pod, &command, limit, MAX_BODY as u64)
            .await
            .map_err(ProbeError::Vantage)?;
        if done.code != 0 {
            // 126 and 127: there is no curl; its own statuses are below 100.
            return Err(if done.code >= 126 {
                ProbeError::Vantage(ReadError::other(format!("run curl in {pods}"), done.stderr))
            } else {
                ProbeError::Service(done.stderr)
            });
        }
        let at = done
            .stdout
            .iter()
            .rposition(|byte| *byte == b'\n')
            .unwrap_or(0);
        let status = std::str::from_utf8(&done.stdout[at..])
            .ok()
            .and_then(|text| text.trim().parse().ok());
        match status {
            Some(status) => Ok((status, done.stdout[..at].to_vec())),
            None => Err(ProbeError::Vantage(ReadError::other(
                format!("understand curl in {pods}"),
                "it gave no status",
            ))),
        }
    }
}
