//! What the stress pod uses, by its own cgroup, and what it was told to use.

use std::time::Duration;

use anyhow::{Context as _, bail};
use chaos_common::cluster::Cluster;
use chaos_common::cluster::exec::ExecTarget;
use chaos_common::cluster::metrics::quantity;
use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::{CONTAINER, Settings};

/// The least share of what it was told to use that counts as an effect, in per cent: others want
/// the processor, too.
const LEAST_PERCENT: f64 = 20.0;
/// Time that one reading may take.
const LIMIT: Duration = Duration::from_secs(5);

/// What a cgroup has counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// When.
    pub at: Instant,
    /// Processor time since it began, in seconds.
    pub cpu_seconds: f64,
    /// Memory that it holds now.
    pub memory_bytes: f64,
}

/// Processor time in cores and memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    pub cores: f64,
    pub bytes: f64,
}

impl Usage {
    /// What was used between two readings.
    pub fn between(first: Reading, last: Reading) -> Usage {
        let seconds = last.at.duration_since(first.at).as_secs_f64();
        Usage {
            cores: (last.cpu_seconds - first.cpu_seconds) / seconds,
            bytes: last.memory_bytes,
        }
    }

    /// Whether it is enough of what was `wanted` to be an effect.
    pub fn is_felt(self, wanted: Usage) -> bool {
        let least = LEAST_PERCENT / 100.0;
        self.cores >= wanted.cores * least && self.bytes >= wanted.bytes * least
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mebibytes = self.bytes / 1024.0 / 1024.0;
        write!(f, "{:.2} cores and {mebibytes:.0} MiB", self.cores)
    }
}

impl Settings {
    /// Cores that it can use: as many as it has workers, but no more than its limit.
    pub fn cores(&self) -> f64 {
        quantity(&self.cpu_limit)
            .unwrap_or(f64::MAX)
            .min(f64::from(self.cpu_workers))
    }

    /// Bytes that its workers hold.
    fn bytes(&self) -> f64 {
        f64::from(self.memory_workers) * f64::from(self.memory_mib) * 1024.0 * 1024.0
    }

    /// What it is told to use.
    pub fn wanted(&self) -> Usage {
        Usage {
            cores: self.cores(),
            bytes: self.bytes(),
        }
    }
}

/// The container that burns: what was injected beside it has a cgroup of its own.
fn container(cluster: &Cluster, pod: &Pod) -> ExecTarget {
    ExecTarget::of(cluster, pod).container(CONTAINER)
}

/// Reads the cgroup of a pod.
///
/// # Errors
/// It can't be read, or not understood.
pub async fn read(cluster: &Cluster, pod: &Pod) -> anyhow::Result<Reading> {
    // Version 2 of cgroups, then version 1.
    let files = [
        ["/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/memory.current"],
        [
            "/sys/fs/cgroup/cpuacct/cpuacct.usage",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ],
    ];
    let mut last = String::new();
    for [cpu, memory] in files {
        let target = container(cluster, pod);
        let read = target
            .exec(&["cat", cpu, memory])
            .output(LIMIT, 1 << 16)
            .await;
        let at = Instant::now();
        match read {
            Ok(read) if read.code == 0 => {
                let text = String::from_utf8_lossy(&read.stdout).into_owned();
                let (cpu_seconds, memory_bytes) = counted(&text).with_context(|| {
                    format!("its cgroup says {text:?}, which can't be understood")
                })?;
                return Ok(Reading {
                    at,
                    cpu_seconds,
                    memory_bytes,
                });
            }
            Ok(read) => last = read.stderr,
            Err(error) => last = error.to_string(),
        }
    }
    bail!("its cgroup can't be read: {last}")
}

/// Seconds of processor time and bytes of memory, from `cpu.stat` and `memory.current`, or from
/// version 1's two numbers.
fn counted(text: &str) -> Option<(f64, f64)> {
    let memory: f64 = text.lines().last()?.trim().parse().ok()?;
    let usec = text
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec ")?.trim().parse::<f64>().ok());
    let cpu = match usec {
        Some(microseconds) => microseconds / 1e6,
        None => text.lines().next()?.trim().parse::<f64>().ok()? / 1e9,
    };
    (text.lines().count() > 1).then_some((cpu, memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_cgroup_is_that_of_the_stress_and_not_of_a_sidecar_before_it() {
        let pod = serde_json::json!({
            "metadata": { "name": "p", "namespace": "prod" },
            "spec": { "containers": [{ "name": "istio-proxy" }, { "name": "stress" }] },
        });
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        let cluster = crate::testing::ApiServer::default().cluster();
        assert_eq!(
            container(&cluster, &pod).container.as_deref(),
            Some("stress")
        );
    }

    #[test]
    fn both_versions_of_cgroups_are_read() {
        assert_eq!(
            counted("usage_usec 2500000\nuser_usec 1\nsystem_usec 1\n1048576\n"),
            Some((2.5, 1_048_576.0))
        );
        assert_eq!(counted("2500000000\n1048576\n"), Some((2.5, 1_048_576.0)));
        assert_eq!(counted(""), None);
    }
}
