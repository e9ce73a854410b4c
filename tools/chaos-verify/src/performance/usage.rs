//! What the workloads use under load, and whether that is what it was.

use std::collections::BTreeMap;
use std::time::Duration;

use chaos_common::cluster::metrics::{self, Sample};
use chaos_common::cluster::{Cluster, ListRequest, ReadError, workload_of};
use chaos_common::config::{LoadProfile, Performance};
use chaos_common::record::{Check, WorkloadRef, WorkloadUsage};
use chaos_health::protobuf;
use k8s_openapi::api::core::v1::Pod;
use tokio::time::sleep;

use super::load_comparison::Incomparable;
use crate::target::Target;

/// Looks in the course of the load; few, because each lists the pods.
const LOOKS: u32 = 20;
/// The least time between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Cores that may be used more whatever the ratio says.
const ALLOWANCE_CORES: f64 = 0.1;
/// Bytes that may be used more whatever the ratio says.
const ALLOWANCE_BYTES: u64 = 64 << 20;
const MIB: f64 = 1_048_576.0;

/// What each workload uses, and how many pods that is the use of.
type Look = BTreeMap<WorkloadRef, (usize, Sample)>;

/// Does the work and looks at the metrics API meanwhile.
pub(crate) async fn during<T>(
    target: &Target<'_>,
    profile: &LoadProfile,
    work: impl Future<Output = T>,
) -> (T, Result<Vec<WorkloadUsage>, ReadError>) {
    let pause = (profile.duration.0 / LOOKS).max(PAUSE);
    let (mut looks, mut failed) = (Vec::new(), None);
    let watch = async {
        loop {
            sleep(pause).await;
            match look(target.cluster, target.namespace).await {
                Ok(look) => looks.push(look),
                Err(error) => failed = Some(error),
            }
        }
    };
    let done = tokio::select! {
        done = work => done,
        () = watch => unreachable!("it never ends"),
    };
    let usage = summarize(&looks);
    let usage = match failed {
        Some(error) if usage.is_empty() => Err(error),
        _ => Ok(usage),
    };
    (done, usage)
}

/// What the Deployments, StatefulSets and DaemonSets of a namespace use.
///
/// # Errors
/// There are no metrics of pods, or the pods may not be listed.
async fn look(cluster: &Cluster, namespace: &str) -> Result<Look, ReadError> {
    let usage = metrics::pods(cluster, namespace).await?;
    let add = |sums: &mut Look, pod: Pod| {
        let owner = workload_of(&pod).filter(|owner| {
            matches!(
                owner.kind.as_str(),
                "Deployment" | "StatefulSet" | "DaemonSet"
            )
        });
        let sample = pod.metadata.name.as_ref().and_then(|name| usage.get(name));
        if let Some((owner, sample)) = owner.zip(sample) {
            let sum = sums.entry(owner).or_default();
            *sum = (sum.0 + 1, sum.1 + *sample);
        }
    };
    let pods = ListRequest::namespaced(namespace).protobuf(protobuf::decode);
    cluster.fold(pods, Look::new, add).await
}

/// The second half of the looks, a workload each.
fn summarize(looks: &[Look]) -> Vec<WorkloadUsage> {
    let late = &looks[looks.len() / 2..];
    let mut all: BTreeMap<&WorkloadRef, Vec<(usize, Sample)>> = BTreeMap::new();
    for (workload, sample) in late.iter().flatten() {
        all.entry(workload).or_default().push(*sample);
    }
    let one = |(workload, samples): (&WorkloadRef, Vec<(usize, Sample)>)| {
        #[expect(clippy::cast_precision_loss, reason = "there are few looks")]
        let mean = samples
            .iter()
            .map(|(_, sample)| sample.cpu_cores)
            .sum::<f64>()
            / samples.len() as f64;
        let most = samples
            .iter()
            .map(|(_, sample)| sample.memory_bytes)
            .fold(0.0, f64::max);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a size in bytes"
        )]
        let memory_bytes = most as u64;
        WorkloadUsage {
            workload: workload.clone(),
            pods: samples.last().map_or(0, |(pods, _)| *pods),
            samples: samples.len(),
            cpu_cores: (mean * 1e6).round() / 1e6,
            memory_bytes,
        }
    };
    all.into_iter().map(one).collect()
}

/// `baseline.usage`: could it be seen?
pub(crate) fn baseline(usage: &Result<Vec<WorkloadUsage>, ReadError>) -> Check {
    const ID: &str = "baseline.usage";
    match usage {
        Ok(usage) if usage.is_empty() => Check::unknown(ID, "", NONE),
        Ok(usage) => {
            let cores: f64 = usage.iter().map(|one| one.cpu_cores).sum();
            Check::pass(
                ID,
                "",
                format!("{} workloads use {cores:.2} cores under load", usage.len()),
            )
        }
        Err(error) => error.check(ID, ""),
    }
}

const NONE: &str = "the metrics API had no figures while the load lasted: \
     a longer --duration gives it time for some";

/// `performance.usage`: do the workloads use no more than they did under the same load? `same_load` says
/// why the loads do not compare, where they don't.
pub(crate) fn compare(
    before: Option<&[WorkloadUsage]>,
    now: &Result<Vec<WorkloadUsage>, ReadError>,
    same_load: Result<(), Incomparable>,
    settings: &Performance,
) -> Vec<Check> {
    const ID: &str = "performance.usage";
    let now = match now {
        Ok(now) if now.is_empty() => return vec![Check::unknown(ID, "", NONE)],
        Ok(now) => now,
        Err(error) => return vec![error.check(ID, "")],
    };
    let Some(before) = before.filter(|before| !before.is_empty()) else {
        let message = format!(
            "{} workloads were looked at, and the baseline has no usage to compare with",
            now.len()
        );
        return vec![Check::unknown(ID, "", message)];
    };
    if let Err(why) = same_load {
        return vec![Check::unknown(ID, "", why.to_string())];
    }
    let mut checks = Vec::new();
    let mut good = Vec::new();
    for was in before {
        let object = was.workload.to_string();
        let Some(is) = now.iter().find(|is| is.workload == was.workload) else {
            checks.push(Check::unknown(
                ID,
                object,
                "the metrics API has no figures for it any more",
            ));
            continue;
        };
        let cores = was.cpu_cores * settings.max_ratio + ALLOWANCE_CORES;
        let bytes = mebibytes(was.memory_bytes) * settings.max_ratio + mebibytes(ALLOWANCE_BYTES);
        let text = format!(
            "{:.2} -> {:.2} cores (limit {cores:.2}), \
             {:.0} -> {:.0} MiB (limit {bytes:.0}), {} -> {} pods",
            was.cpu_cores,
            is.cpu_cores,
            mebibytes(was.memory_bytes),
            mebibytes(is.memory_bytes),
            was.pods,
            is.pods,
        );
        if is.cpu_cores > cores || mebibytes(is.memory_bytes) > bytes {
            let hint = "what does it do with it? kubectl top pods; \
                        more pods than before may be an autoscaler's doing";
            checks
                .push(Check::fail(ID, object, format!("uses more than before: {text}")).hint(hint));
        } else {
            good.push(format!("{object} {text}"));
        }
    }
    if let Some(first) = good.first() {
        let more = if good.len() > 1 {
            format!("; and {} more", good.len() - 1)
        } else {
            String::new()
        };
        let message = format!(
            "{} of {} workloads use no more than before: {first}{more}",
            good.len(),
            before.len()
        );
        checks.insert(0, Check::pass(ID, "", message));
    }
    checks
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes stay far below 2^52 bytes"
)]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Status;

    fn workload(name: &str) -> WorkloadRef {
        WorkloadRef {
            kind: "Deployment".to_owned(),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        }
    }

    fn usage(name: &str, cpu_cores: f64, mib: u64) -> WorkloadUsage {
        WorkloadUsage {
            workload: workload(name),
            pods: 2,
            samples: 5,
            cpu_cores,
            memory_bytes: mib << 20,
        }
    }

    fn statuses(before: &[WorkloadUsage], now: Vec<WorkloadUsage>) -> Vec<Status> {
        let settings = Performance {
            max_ratio: 1.5,
            ..Performance::default()
        };
        compare(Some(before), &Ok(now), Ok(()), &settings)
            .into_iter()
            .map(|check| check.status)
            .collect()
    }

    #[test]
    fn the_second_half_counts_with_the_mean_of_cores_and_the_most_of_memory() {
        let look = |cores: f64, bytes: f64| {
            Look::from([(
                workload("a"),
                (
                    2,
                    Sample {
                        cpu_cores: cores,
                        memory_bytes: bytes,
                    },
                ),
            )])
        };
        let looks = [
            look(9.0, 9e9),
            look(9.0, 9e9),
            look(0.2, 300.0),
            look(0.4, 200.0),
        ];
        let usage = summarize(&looks);
        assert_eq!(
            (usage.len(), usage[0].samples, usage[0].memory_bytes),
            (1, 2, 300)
        );
        assert!((usage[0].cpu_cores - 0.3).abs() < 1e-9);
        assert!(summarize(&[]).is_empty());
    }

    #[test]
    fn more_than_ratio_and_allowance_fails() {
        let before = [usage("a", 1.0, 100), usage("b", 0.0, 10)];
        assert_eq!(
            statuses(&before, vec![usage("a", 1.6, 213), usage("b", 0.1, 70)]),
            [Status::Pass]
        );
        assert_eq!(
            statuses(&before, vec![usage("a", 1.61, 100), usage("b", 0.0, 10)]),
            [Status::Pass, Status::Fail]
        );
        assert_eq!(
            statuses(&before, vec![usage("a", 1.0, 215), usage("b", 0.0, 10)]),
            [Status::Pass, Status::Fail]
        );
        assert_eq!(
            statuses(&before, vec![usage("a", 1.0, 100)]),
            [Status::Pass, Status::Unknown]
        );
    }

    #[test]
    fn without_figures_or_the_same_load_it_is_unknown() {
        let (one, settings) = ([usage("a", 1.0, 100)], Performance::default());
        let of = |before: Option<&[WorkloadUsage]>, now, same| {
            compare(before, &now, same, &settings)[0].status
        };
        assert_eq!(of(Some(&one), Ok(one.to_vec()), Ok(())), Status::Pass);
        assert_eq!(of(None, Ok(one.to_vec()), Ok(())), Status::Unknown);
        assert_eq!(of(Some(&[]), Ok(one.to_vec()), Ok(())), Status::Unknown);
        assert_eq!(of(Some(&one), Ok(Vec::new()), Ok(())), Status::Unknown);
        assert_eq!(
            of(Some(&one), Err(ReadError::other("read", "404")), Ok(())),
            Status::Unknown
        );
        assert_eq!(
            of(Some(&one), Ok(one.to_vec()), Err(Incomparable::NoLoad)),
            Status::Unknown
        );
        assert_eq!(baseline(&Ok(Vec::new())).status, Status::Unknown);
    }
}
