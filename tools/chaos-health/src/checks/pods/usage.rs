//! Is every pod within its limits?

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::super::catalogue::Explanation;
use super::troubled::TroubledPods;
use super::{Rules, age_ms};
use chaos_common::cluster::metrics::{Sample, Usage, quantity};
use chaos_common::cluster::{ReadError, is_ready};
use chaos_common::record::{Check, Status};

/// `pods.usage`
pub(in super::super) const USAGE: Explanation = Explanation {
    id: "pods.usage",
    asks: "Is every pod within its limits?",
    judges: "Fails above limits.pod_cpu_percent or limits.pod_memory_percent of its limit; \
             unknown without figures; skipped where no pod is ready.",
    reads: "list pods, and pods of metrics.k8s.io",
    remedy: "kubectl top pods",
};

/// The metrics API may not know a pod that is younger than this.
const METRICS_DELAY_MS: i64 = 90_000;

/// What the ready pods use.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct PodsUsage {
    measured: usize,
    young: usize,
    /// Pods without figures.
    missing: TroubledPods,
    over: TroubledPods,
    sum: Sample,
    requested: Sample,
}

impl PodsUsage {
    /// Compares what a ready pod uses with its limits.
    pub(super) fn measure(&mut self, pod: &Pod, name: &str, rules: &Rules) -> Option<Sample> {
        let usage = rules.usage.as_ref().ok()?;
        let sample = usage.get(name).copied();
        if !is_ready(pod) {
            return sample;
        }
        let Some(sample) = sample else {
            if age_ms(pod, rules.now) < METRICS_DELAY_MS {
                self.young += 1;
            } else {
                self.missing
                    .add(name, "the metrics API has no figures for it".to_owned());
            }
            return None;
        };
        self.measured += 1;
        let (cpu_request, cpu_limit) = bounds(pod, "cpu");
        let (memory_request, memory_limit) = bounds(pod, "memory");
        self.sum = self.sum + sample;
        self.requested = self.requested
            + Sample {
                cpu_cores: cpu_request,
                memory_bytes: memory_request,
            };
        for (what, used, limit, most) in [
            (
                "processor",
                sample.cpu_cores,
                cpu_limit,
                rules.limits.pod_cpu_percent,
            ),
            (
                "memory",
                sample.memory_bytes,
                memory_limit,
                rules.limits.pod_memory_percent,
            ),
        ] {
            let Some(limit) = limit.filter(|limit| *limit > 0.0) else {
                continue;
            };
            let percent = used / limit * 100.0;
            if percent > most {
                let why = format!(
                    "uses {percent:.0} % of its {what} limit; at most {most:.0} % is normal"
                );
                self.over.add(name, why);
            }
        }
        Some(sample)
    }

    /// `pods.usage`: is every pod within its limits?
    pub(in super::super) fn judge(
        &self,
        namespace: &str,
        usage: &Result<Usage, ReadError>,
    ) -> Vec<Check> {
        const ID: &str = USAGE.id;
        let object = format!("namespace/{namespace}");
        if let Err(error) = usage {
            return vec![error.check(ID, object)];
        }
        let PodsUsage {
            measured,
            young,
            missing,
            over,
            sum,
            requested,
        } = self;
        let bad: Vec<Check> = over
            .checks(ID, Status::Fail, namespace)
            .chain(missing.checks(ID, Status::Unknown, namespace))
            .map(|check| check.hint(format!("kubectl top pods -n {namespace}")))
            .collect();
        if !bad.is_empty() {
            return bad;
        }
        let check = match (*measured, *young) {
            (0, 0) => Check::skipped(ID, object, "no pod is ready, to be measured"),
            (0, _) => {
                let none = "the metrics API has no figures for any pod yet";
                Check::unknown(ID, object, none).hint(format!(
                    "they come within {} s of a pod's start: ask again, or see kubectl top pods -n {namespace}",
                    METRICS_DELAY_MS / 1000
                ))
            }
            (measured, young) => {
                let late = match young {
                    0 => String::new(),
                    young => format!("; {young} too new to have figures"),
                };
                let message = format!(
                    "{measured} pods use {:.2} cores and {:.0} MiB, within their limits (requested: {:.2} cores, {:.0} MiB){late}",
                    sum.cpu_cores,
                    sum.memory_bytes / 1_048_576.0,
                    requested.cpu_cores,
                    requested.memory_bytes / 1_048_576.0,
                );
                Check::pass(ID, object, message)
            }
        };
        vec![check]
    }
}

/// Sums of a pod's requests and limits; a limit only counts if every container has one. Sidecars
/// run beside the containers and are measured with them. What the pod as a whole may use goes
/// before all that.
fn bounds(pod: &Pod, resource: &str) -> (f64, Option<f64>) {
    let Some(spec) = pod.spec.as_ref() else {
        return (0.0, None);
    };
    let of = |bounds: Option<&ResourceRequirements>| {
        let amount = |amounts: &Option<BTreeMap<String, Quantity>>| {
            quantity(&amounts.as_ref()?.get(resource)?.0)
        };
        let request = bounds.and_then(|bounds| amount(&bounds.requests));
        (request, bounds.and_then(|bounds| amount(&bounds.limits)))
    };
    let init = spec.init_containers.iter().flatten();
    let sidecars = init.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let (mut requests, mut limits) = (0.0, Some(0.0));
    for container in spec.containers.iter().chain(sidecars) {
        let (request, limit) = of(container.resources.as_ref());
        requests += request.unwrap_or(0.0);
        limits = limits.zip(limit).map(|(sum, limit)| sum + limit);
    }
    let (request, limit) = of(spec.resources.as_ref());
    (request.unwrap_or(requests), limit.or(limits))
}
