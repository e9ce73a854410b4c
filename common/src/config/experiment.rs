//! `[experiment]`: how experiments run, and what each of them hits.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Span;

/// `[experiment]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExperimentSettings {
    /// Time between two availability probes of a Service.
    pub probe_interval: Span,
    /// Time after which a probe counts as not answered.
    pub probe_timeout: Span,
    /// Share of probes that must be answered well through the whole run, in per cent.
    pub min_availability_percent: f64,
    /// Share of probes of a Service within `guard_window` below which the experiment is aborted and
    /// undone at once, in per cent. Services that the fault is expected to affect are not guarded.
    pub guard_percent: f64,
    /// See `guard_percent`.
    pub guard_window: Span,
    /// How long the probes measure before the fault.
    pub warm_up: Span,
    /// How long they go on after everything has recovered.
    pub settle: Span,
    /// How long after the injection the expected alerts may take to fire.
    pub alert_wait: Span,
    /// How long the undo is tried while the API server does not answer.
    pub undo_limit: Span,
    /// Settings of `pod-failure`.
    pub pod_failure: PodFailure,
    /// Settings of `network-partition`.
    pub network_partition: NetworkPartition,
    /// Settings of `resource-exhaustion`.
    pub resource_exhaustion: ResourceExhaustion,
    /// Settings of `storage-failure`.
    pub storage_failure: StorageFailure,
    /// Settings of `monitoring-failure`.
    pub monitoring_failure: MonitoringFailure,
    /// Settings of `scale-down`.
    pub scale_down: ScaleDown,
    /// Settings of `dns-failure`.
    pub dns_failure: DnsFailure,
}

impl Default for ExperimentSettings {
    fn default() -> ExperimentSettings {
        ExperimentSettings {
            probe_interval: Span::milliseconds(100),
            probe_timeout: Span::seconds(2),
            min_availability_percent: 99.0,
            guard_percent: 50.0,
            guard_window: Span::seconds(10),
            warm_up: Span::seconds(2),
            settle: Span::seconds(3),
            alert_wait: Span::seconds(30),
            undo_limit: Span::seconds(300),
            pod_failure: PodFailure::default(),
            network_partition: NetworkPartition::default(),
            resource_exhaustion: ResourceExhaustion::default(),
            storage_failure: StorageFailure::default(),
            monitoring_failure: MonitoringFailure::default(),
            scale_down: ScaleDown::default(),
            dns_failure: DnsFailure::default(),
        }
    }
}

/// `[experiment.pod_failure]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PodFailure {
    /// Workloads that pods are taken from, as `deployment/NAME`, when no flag selects any.
    pub workloads: Vec<String>,
    /// How many pods of each.
    pub count: usize,
    /// Longest time that a pod may take to come back.
    pub recovery_limit: Span,
    /// Alerts that must fire.
    pub alerts: Vec<String>,
}

impl Default for PodFailure {
    fn default() -> PodFailure {
        PodFailure {
            workloads: Vec::new(),
            count: 1,
            recovery_limit: Span::seconds(120),
            alerts: Vec::new(),
        }
    }
}

/// `[experiment.network_partition]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkPartition {
    /// The workload that is cut off, as `deployment/NAME`, when no flag names one.
    pub workload: Option<String>,
    /// A workload that calls it, as `deployment/NAME`. The traffic that proves the partition starts
    /// in one of its pods, which needs curl 7.84 or later.
    pub peer: Option<String>,
    /// A configured Service that the peer can reach all the time, to tell a partition from a peer
    /// that is cut off itself. The first one with a health path that the partition does not touch
    /// if left out.
    pub control: Option<String>,
    /// How long it lasts.
    pub duration: Span,
    /// Longest time from its end until all is whole again.
    pub recovery_limit: Span,
    /// Further Services that are expected to suffer, besides those of the workload itself.
    pub affected: Vec<String>,
    /// Alerts that must fire.
    pub alerts: Vec<String>,
}

impl Default for NetworkPartition {
    fn default() -> NetworkPartition {
        NetworkPartition {
            workload: None,
            peer: None,
            control: None,
            duration: Span::seconds(30),
            recovery_limit: Span::seconds(120),
            affected: Vec::new(),
            alerts: Vec::new(),
        }
    }
}

/// `[experiment.resource_exhaustion]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResourceExhaustion {
    /// Image whose entry point understands `stress`'s arguments, or in which `command` names it.
    pub image: String,
    /// Program that is run in it; the image's entry point if left out.
    pub command: Vec<String>,
    /// Processes that burn processor time.
    pub cpu_workers: u32,
    /// Processes that hold memory.
    pub memory_workers: u32,
    /// Memory that each of them holds, in MiB.
    pub memory_mib: u32,
    /// The pod's request for processor time, in Kubernetes' notation.
    pub cpu_request: String,
    /// Its limit.
    pub cpu_limit: String,
    /// The pod's request for memory.
    pub memory_request: String,
    /// Its limit.
    pub memory_limit: String,
    /// How long it lasts. The pod has this as a deadline of its own.
    pub duration: Span,
    /// How many times the median answer of a Service may take while the stress is on.
    pub max_slowdown: f64,
    /// Longest time from its end until all is whole again.
    pub recovery_limit: Span,
    /// Alerts that must fire.
    pub alerts: Vec<String>,
}

impl Default for ResourceExhaustion {
    fn default() -> ResourceExhaustion {
        ResourceExhaustion {
            image: "stress:latest".to_owned(),
            command: Vec::new(),
            cpu_workers: 4,
            memory_workers: 2,
            memory_mib: 256,
            cpu_request: "2".to_owned(),
            cpu_limit: "4".to_owned(),
            memory_request: "2Gi".to_owned(),
            memory_limit: "4Gi".to_owned(),
            duration: Span::seconds(60),
            max_slowdown: 10.0,
            recovery_limit: Span::seconds(120),
            alerts: Vec::new(),
        }
    }
}

/// `[experiment.storage_failure]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StorageFailure {
    /// The workload that loses its storage, as `deployment/NAME` or `statefulset/NAME`; the
    /// database's if left out.
    pub workload: Option<String>,
    /// How long it is without storage.
    pub duration: Span,
    /// Longest time for its pods to be gone.
    pub stop_limit: Span,
    /// Longest time for its pods to be ready again.
    pub recovery_limit: Span,
    /// Services that are expected to suffer.
    pub affected: Vec<String>,
    /// Alerts that must fire.
    pub alerts: Vec<String>,
}

impl Default for StorageFailure {
    fn default() -> StorageFailure {
        StorageFailure {
            workload: None,
            duration: Span::seconds(10),
            stop_limit: Span::seconds(60),
            recovery_limit: Span::seconds(120),
            affected: Vec::new(),
            alerts: Vec::new(),
        }
    }
}

/// `[experiment.monitoring_failure]`: the systems of `[monitoring]` go.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MonitoringFailure {
    /// How long monitoring is blind.
    pub duration: Span,
    /// Longest time for its pods to be gone.
    pub stop_limit: Span,
    /// Longest time for it to be ready and collecting again.
    pub recovery_limit: Span,
}

impl Default for MonitoringFailure {
    fn default() -> MonitoringFailure {
        MonitoringFailure {
            duration: Span::seconds(30),
            stop_limit: Span::seconds(60),
            recovery_limit: Span::seconds(120),
        }
    }
}

/// `[experiment.scale_down]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScaleDown {
    /// The workload that has to do with fewer pods, as `deployment/NAME` or `statefulset/NAME`,
    /// when no flag names one.
    pub workload: Option<String>,
    /// How many of its pods go.
    pub count: u32,
    /// How long they stay away.
    pub duration: Span,
    /// Longest time for them to be gone.
    pub stop_limit: Span,
    /// Longest time for all to be ready again.
    pub recovery_limit: Span,
    /// Alerts that must fire.
    pub alerts: Vec<String>,
}

impl Default for ScaleDown {
    fn default() -> ScaleDown {
        ScaleDown {
            workload: None,
            count: 1,
            duration: Span::seconds(60),
            stop_limit: Span::seconds(60),
            recovery_limit: Span::seconds(120),
            alerts: Vec::new(),
        }
    }
}

/// `[experiment.dns_failure]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DnsFailure {
    /// The workload whose pods find no names, as `deployment/NAME`, when no flag names one. The
    /// proof is made in one of its pods, which needs `sh` and `curl`.
    pub workload: Option<String>,
    /// A configured Service with a health path, which is asked by its name and by its address; the
    /// first one if left out.
    pub service: Option<String>,
    /// How long it lasts.
    pub duration: Span,
    /// Longest time from its end until all is whole again.
    pub recovery_limit: Span,
    /// Services that are expected to suffer.
    pub affected: Vec<String>,
    /// Alerts that must fire.
    pub alerts: Vec<String>,
}

impl Default for DnsFailure {
    fn default() -> DnsFailure {
        DnsFailure {
            workload: None,
            service: None,
            duration: Span::seconds(60),
            recovery_limit: Span::seconds(120),
            affected: Vec::new(),
            alerts: Vec::new(),
        }
    }
}
