//! What chaos-backup-check reads in the cluster, by the kind of each backup.

use chaos_common::cluster::permissions::{need, need_one};
use chaos_common::cluster::rights::to_exec;
use chaos_common::config::{Backup, BackupKind, Config};
use chaos_common::record::{Permission, PodSource};

/// The namespace of Velero, if nobody says otherwise.
const VELERO: &str = "velero";

/// What looking at the configured backups needs.
pub(super) fn needs(config: &Config, namespace: &str) -> Vec<Permission> {
    let backups = config.backups.iter();
    backups
        .flat_map(|backup| {
            let pod = backup.pod.iter().flat_map(|pod| in_pod(pod, namespace));
            pod.chain(of_kind(backup, namespace)).collect::<Vec<_>>()
        })
        .collect()
}

/// A backup that lies in a pod: one of a workload, one that is named itself, or one that is made to
/// read a claim.
fn in_pod(pod: &str, namespace: &str) -> Vec<Permission> {
    if let Some(claim) = pod.strip_prefix("claim/") {
        let mut needs = vec![need_one(
            namespace,
            "get",
            "",
            "persistentvolumeclaims",
            claim,
        )];
        let jobs = ["create", "patch", "delete"];
        needs.extend(jobs.map(|verb| need(namespace, verb, "batch", "jobs")));
        needs.extend([
            need(namespace, "list", "", "pods"),
            need(namespace, "get", "", "pods/log"),
            need(namespace, "get", "", "pods/exec"),
            need(namespace, "create", "", "pods/exec"),
        ]);
        return needs;
    }
    match pod.parse::<PodSource>() {
        Ok(pods) if pod.contains('/') => to_exec(namespace, &pods),
        Ok(_) | Err(_) => {
            let name = pod.rsplit('/').next().unwrap_or(pod);
            vec![
                need_one(namespace, "get", "", "pods", name),
                need(namespace, "get", "", "pods/exec"),
                need(namespace, "create", "", "pods/exec"),
            ]
        }
    }
}

fn of_kind(backup: &Backup, namespace: &str) -> Vec<Permission> {
    match backup.kind {
        Some(BackupKind::Kubernetes) if backup.live != Some(false) => backup
            .resources
            .iter()
            .map(|name| live(name, namespace))
            .collect(),
        Some(BackupKind::VolumeSnapshot) => {
            let group = "snapshot.storage.k8s.io";
            vec![need(namespace, "list", group, "volumesnapshots")]
        }
        Some(BackupKind::CloudNativePg) => ["backups", "scheduledbackups"]
            .map(|resource| need(namespace, "list", "postgresql.cnpg.io", resource))
            .to_vec(),
        Some(BackupKind::Velero) => {
            let velero = backup.velero.as_ref();
            let own = velero.and_then(|velero| velero.namespace.as_deref());
            vec![need(own.unwrap_or(VELERO), "list", "velero.io", "backups")]
        }
        _ => Vec::new(),
    }
}

/// A backup's kinds are held against those of the cluster: `deployments.apps`.
fn live(resource: &str, namespace: &str) -> Permission {
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    need(namespace, "list", group, plural)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        let config: Config = toml::from_str(text).expect("good");
        needs(&config, "shop")
            .iter()
            .map(super::super::words)
            .collect()
    }

    #[test]
    fn a_backup_needs_what_its_place_and_kind_need() {
        let file = "[[backup]]\nname = 'f'\nkind = 'tar'\npath = '/b.tar'\n";
        assert!(of(file).is_empty());
        let in_pod = format!("{file}pod = 'sts/db'\n");
        let all = of(&in_pod);
        assert!(
            all.contains(&"create pods/exec in namespace shop".to_owned()),
            "{all:?}"
        );
        assert!(
            all.contains(&"get statefulsets.apps db in namespace shop".to_owned()),
            "{all:?}"
        );
        let claim = "[[backup]]\nname = 'c'\npath = '/backup/x'\npod = 'claim/b'\n\
                     reader = { image = 'busybox' }\n";
        let all = of(claim);
        for wanted in ["get persistentvolumeclaims b in", "create jobs.batch in"] {
            assert!(all.iter().any(|it| it.starts_with(wanted)), "{all:?}");
        }
        let objects = "[[backup]]\nname = 'o'\nkind = 'kubernetes'\npath = 'o.yaml'\n\
                       resources = ['configmaps', 'deployments.apps']\n";
        let expected = [
            "list configmaps in namespace shop",
            "list deployments.apps in namespace shop",
        ];
        assert_eq!(of(objects), expected);
        assert!(of(&format!("{objects}live = false\n")).is_empty());
    }
}
