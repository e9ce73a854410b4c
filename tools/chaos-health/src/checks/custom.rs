//! Custom resources that run pods: those that the configuration names, and all others of the
//! namespace that can be scaled.

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};

use super::workloads::READY;
use chaos_common::cluster::custom::Scaled;
use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind, is_ready};
use chaos_common::config::Workload;
use chaos_common::record::{Check, CustomName, PodSource, Status, WorkloadState};

const ID: &str = READY.id;
/// So many are looked at that nobody named: each takes some requests.
const MOST: usize = 50;

/// `workload.ready` of the custom resources of a namespace, and what they want and have.
pub(super) async fn examine(
    cluster: &Cluster,
    namespace: &str,
    configured: &[Workload],
) -> (Vec<Check>, Vec<WorkloadState>) {
    let named = configured.iter().filter_map(|one| match one.source() {
        PodSource::Custom(name) => Some(name),
        PodSource::Workload(_) | PodSource::Labels(_) => None,
    });
    let named: Vec<CustomName> = named.collect();
    let (found, mut checks) = find(cluster, namespace).await;
    let looks = named.iter().map(|name| look(cluster, namespace, name));
    let mut seen: Vec<(Scaled, usize, bool)> = Vec::new();
    for (name, looked) in named.iter().zip(join_all(looks).await) {
        match looked {
            Ok((scaled, ready)) => seen.push((scaled, ready, true)),
            Err(error) => checks.push(missing(name, &error)),
        }
    }
    let is_seen = |name: &&CustomName| seen.iter().any(|(one, ..)| name.is(&one.workload));
    let others: Vec<&CustomName> = found.iter().filter(|name| !is_seen(name)).collect();
    let looks = others.iter().map(|name| look(cluster, namespace, name));
    for (name, looked) in others.iter().zip(join_all(looks).await) {
        match looked {
            Ok((scaled, ready)) => seen.push((scaled, ready, false)),
            // It went while we looked.
            Err(error) if error.kind == ReadErrorKind::NotFound => {}
            Err(error) => checks.push(unread(&name.to_string(), &error)),
        }
    }
    let mut states = Vec::new();
    for (scaled, ready, expected) in seen {
        let ready = i32::try_from(ready).unwrap_or(i32::MAX);
        checks.push(judge(&scaled, ready, expected));
        states.push(state(scaled, ready));
    }
    (checks, states)
}

/// All that there are of the kinds that can be scaled. What can't be looked for is told.
async fn find(cluster: &Cluster, namespace: &str) -> (Vec<CustomName>, Vec<Check>) {
    let kinds = match cluster.scalable_kinds().await {
        Ok(kinds) => kinds,
        Err(error) => {
            let message = format!("they were not looked for: {error}");
            let check = Check::new(ID, "custom resources", Status::Warn, message);
            return (Vec::new(), vec![check]);
        }
    };
    let lists = kinds.iter().map(|kind| cluster.names_of(namespace, kind));
    let (mut names, mut checks) = (Vec::new(), Vec::new());
    for (kind, listed) in kinds.iter().zip(join_all(lists).await) {
        match listed {
            Ok(found) => names.extend(found),
            Err(error) => {
                let kind = format!("{}.{}", kind.plural, kind.group);
                checks.push(unread(&kind, &error));
            }
        }
    }
    checks.extend(too_many(&mut names));
    (names, checks)
}

/// Leaves those out that are too many, and says so.
fn too_many(names: &mut Vec<CustomName>) -> Option<Check> {
    let more = names.len().checked_sub(MOST).filter(|more| *more > 0)?;
    names.truncate(MOST);
    let message = format!("{more} more than {MOST} are not looked at: name those that count");
    let check = Check::new(ID, "custom resources", Status::Warn, message);
    Some(check.hint("[[workload]] name = \"KIND.GROUP/NAME\" in chaos.toml"))
}

/// Nobody asked for it: what we may not see is skipped.
fn unread(object: &str, error: &ReadError) -> Check {
    match error.kind {
        ReadErrorKind::Forbidden => Check::skipped(ID, object, error.to_string()),
        _ => error.check(ID, object),
    }
}

/// One that the configuration names and that can't be seen.
fn missing(name: &CustomName, error: &ReadError) -> Check {
    if error.kind != ReadErrorKind::NotFound {
        return error.check(ID, name.to_string());
    }
    let message = format!("the configuration names it: {error}");
    let check = Check::fail(ID, name.to_string(), message);
    match error.next_step() {
        Some(step) => check.hint(step),
        None => check,
    }
}

/// A custom resource, and how many of its pods are ready.
async fn look(
    cluster: &Cluster,
    namespace: &str,
    name: &CustomName,
) -> Result<(Scaled, usize), ReadError> {
    let what = format!("read {name} in namespace {namespace}");
    let scaled = cluster.scaled(namespace, name, &what).await?;
    let family = cluster.family_of(&scaled, &what).await?;
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let params = ListParams::default().labels(&scaled.labels);
    let pods = cluster.list(&pods, &params, &what).await?;
    let own = |pod: &&Pod| family.workload_of(pod).as_ref() == Some(&scaled.workload);
    let ready = pods.iter().filter(own).filter(|pod| is_ready(pod)).count();
    Ok((scaled, ready))
}

/// Has it the ready pods that it wants? `expected` says that the configuration names it, so that zero
/// replicas are a fault and not somebody's decision.
fn judge(scaled: &Scaled, ready: i32, expected: bool) -> Check {
    let desired = scaled.desired;
    let (status, message) = match (desired, expected) {
        (..=0, true) => (Status::Fail, "is scaled to 0".to_owned()),
        (..=0, false) => (Status::Warn, "is scaled to 0".to_owned()),
        _ => {
            let message = format!("has {ready} of {desired} ready pods");
            let enough = ready >= desired;
            (if enough { Status::Pass } else { Status::Fail }, message)
        }
    };
    let workload = &scaled.workload;
    let hint = format!("kubectl describe {workload} -n {}", workload.namespace);
    Check::new(ID, workload.to_string(), status, message).hint(hint)
}

fn state(scaled: Scaled, ready: i32) -> WorkloadState {
    WorkloadState {
        workload: scaled.workload,
        wants: scaled.desired,
        ready,
        images: Vec::new(),
        restarts: 0,
        nodes: Vec::new(),
        cpu_cores: None,
        memory_bytes: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::WorkloadRef;
    use kube::core::ApiResource;

    fn rollout(desired: i32) -> Scaled {
        Scaled {
            workload: WorkloadRef {
                kind: "Rollout.argoproj.io".to_owned(),
                namespace: "prod".to_owned(),
                name: "shop".to_owned(),
            },
            resource: ApiResource {
                group: "argoproj.io".to_owned(),
                version: "v1alpha1".to_owned(),
                api_version: "argoproj.io/v1alpha1".to_owned(),
                kind: "Rollout".to_owned(),
                plural: "rollouts".to_owned(),
            },
            uid: "u".to_owned(),
            desired,
            total: desired,
            labels: "app=shop".to_owned(),
        }
    }

    #[test]
    fn a_custom_resource_needs_its_pods_ready_and_not_only_there() {
        assert_eq!(judge(&rollout(2), 2, true).status, Status::Pass);
        let short = judge(&rollout(2), 1, false);
        assert_eq!(short.status, Status::Fail);
        assert_eq!(short.object.as_deref(), Some("rollout.argoproj.io/shop"));
        assert_eq!(short.message, "has 1 of 2 ready pods");
    }

    #[test]
    fn zero_replicas_fail_only_where_the_configuration_expects_some() {
        assert_eq!(judge(&rollout(0), 0, true).status, Status::Fail);
        assert_eq!(judge(&rollout(0), 0, false).status, Status::Warn);
    }

    #[test]
    fn of_very_many_some_are_looked_at_and_the_rest_is_told() {
        let name = |n: usize| CustomName {
            kind: "rollout".to_owned(),
            group: "argoproj.io".to_owned(),
            name: format!("r{n}"),
        };
        let mut names: Vec<CustomName> = (0..53).map(name).collect();
        let check = too_many(&mut names).expect("told");
        assert_eq!((names.len(), check.status), (50, Status::Warn));
        assert!(check.message.starts_with("3 more than 50"), "{check:?}");
        assert!(too_many(&mut names).is_none());
    }

    #[test]
    fn what_nobody_asked_for_and_we_may_not_see_is_skipped_and_else_unknown() {
        let failed = ReadError::other("list rollouts", "broken");
        assert_eq!(unread("rollouts", &failed).status, Status::Unknown);
    }
}
