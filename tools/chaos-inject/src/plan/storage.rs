//! What the pods that a fault takes away hold, and what of it goes with them for good: claims that
//! are deleted when a StatefulSet is scaled, volumes that begin and end with their pod or stay on a
//! node, and the file systems of containers. Pure judgements on objects as they are.

use std::collections::BTreeSet;

use chaos_common::config::Config;
use chaos_common::record::{Loss, LossHolder, Plan, WorkloadRef};
use serde_json::Value;

/// Where programs keep what they do not miss: a volume that is mounted nowhere else holds no data.
const SCRATCH: [&str; 7] = [
    "/tmp",
    "/var/tmp",
    "/run",
    "/var/run",
    "/dev/shm",
    "/var/cache",
    "/home/nonroot/.cache",
];
/// Folders of a node that belong to the system: whoever mounts them looks at the node.
const OF_THE_NODE: [&str; 7] = ["/dev", "/proc", "/sys", "/run", "/var/run", "/etc", "/usr"];
/// The roles in `[[workload]]` that say that a workload holds data.
const ROLES: [&str; 2] = ["database", "monitoring"];

/// A workload of which pods go.
#[derive(Clone, Copy, Debug)]
pub struct Going<'a> {
    /// Which.
    pub workload: &'a WorkloadRef,
    /// The spec of its pods, or of its template.
    pub spec: &'a Value,
    /// Whether its pods mount claims, also those that a StatefulSet's templates make.
    pub claims: bool,
    /// It is known to hold data: see [`holds_data`].
    pub holds_data: bool,
}

/// What goes with pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gone {
    /// Data, which a run wants consent to.
    pub losses: Vec<Loss>,
    /// Volumes that begin empty again and whose workload is not known to hold data.
    pub scratch: Vec<String>,
}

/// Whether a plan leaves a workload without a pod that is known to hold data.
pub fn outage_of_data(config: &Config, plan: &Plan) -> bool {
    let mut gone = plan.blast_radius.iter().filter(|one| one.left == 0);
    gone.any(|one| holds_data(config, &one.workload))
}

/// Whether a workload is known to hold data: a database, a system of monitoring, a StatefulSet. A
/// workload with claims does, too, which its pods show.
pub fn holds_data(config: &Config, workload: &WorkloadRef) -> bool {
    let database = config.database.as_ref();
    let database = database.is_some_and(|database| database.is_run_by(workload));
    let by_role = config
        .workloads
        .iter()
        .any(|one| one.is(workload) && ROLES.contains(&one.role.to_lowercase().as_str()));
    let monitoring = config.monitoring.as_ref().is_some_and(|monitoring| {
        let mut named = monitoring
            .systems()
            .filter_map(|(_, system)| system.workload.as_ref());
        monitoring.namespace == workload.namespace && named.any(|pods| pods.is(workload))
    });
    workload.kind == "StatefulSet" || database || by_role || monitoring
}

/// What goes with pods of this workload.
pub fn of_pods(going: Going<'_>) -> Gone {
    let Going { workload, spec, .. } = going;
    let mut gone = Gone::default();
    let mut keeps = going.claims;
    for volume in array(&spec["volumes"]) {
        let name = volume["name"].as_str().unwrap_or_default();
        let Some((why, ephemeral_claim)) = goes(going, volume) else {
            continue;
        };
        keeps = true;
        let message = format!("volume {name} of the pods of {workload} {why}");
        // What is kept in claims is what counts of a workload that has some.
        if ephemeral_claim || (going.holds_data && !going.claims) {
            gone.losses.push(Loss {
                name: format!("{workload}/{name}"),
                holder: LossHolder::Volume,
                workload: workload.clone(),
                message,
                accepted: false,
            });
        } else {
            gone.scratch.push(message);
        }
    }
    let writable = array(&spec["containers"])
        .any(|one| one["securityContext"]["readOnlyRootFilesystem"] != true);
    if going.holds_data && !keeps && writable {
        gone.losses.push(Loss {
            name: workload.to_string(),
            holder: LossHolder::Container,
            workload: workload.clone(),
            message: format!(
                "{workload} has no volume for data: whatever its containers keep in their own file \
                 systems goes with its pods"
            ),
            accepted: false,
        });
    }
    gone
}

/// Why what is in a volume is not there any more when its pod is gone, and whether it is a claim
/// of the pod's own; `None` where it is, or where nobody keeps data.
fn goes(going: Going<'_>, volume: &Value) -> Option<(String, bool)> {
    let name = volume["name"].as_str()?;
    let mounts = mounts(going.spec, name);
    let scratch = mounts
        .iter()
        .all(|path| SCRATCH.iter().any(|known| is_within(path, known)));
    if mounts.is_empty() || scratch {
        return None;
    }
    if volume["emptyDir"].is_object() && volume["emptyDir"]["medium"] != "Memory" {
        return Some(("is an emptyDir, which goes with its pod".to_owned(), false));
    }
    if volume["ephemeral"].is_object() {
        let why = "is a generic ephemeral volume, whose claim is deleted with its pod";
        return Some((why.to_owned(), true));
    }
    if volume["csi"].is_object() && volume["csi"]["readOnly"] != true {
        let secrets = "secrets-store.csi.k8s.io";
        let why = "is an inline CSI volume, which goes with its pod";
        return (volume["csi"]["driver"] != secrets).then(|| (why.to_owned(), false));
    }
    let path = volume["hostPath"]["path"].as_str()?;
    let kind = volume["hostPath"]["type"].as_str().unwrap_or_default();
    let is_folder = matches!(kind, "" | "Directory" | "DirectoryOrCreate");
    let of_the_node = path == "/" || OF_THE_NODE.iter().any(|known| is_within(path, known));
    let stays = going.workload.kind == "DaemonSet" || is_pinned(going.spec);
    (is_folder && !of_the_node && !stays).then(|| {
        let why = format!(
            "is the folder {path} of a node: a pod that comes back on another node has none of it"
        );
        (why, false)
    })
}

/// Where a volume is mounted so that it can be written to.
fn mounts<'a>(spec: &'a Value, volume: &str) -> Vec<&'a str> {
    let containers = array(&spec["containers"]).chain(array(&spec["initContainers"]));
    let mounts = containers.flat_map(|container| array(&container["volumeMounts"]));
    mounts
        .filter(|mount| mount["name"] == *volume && mount["readOnly"] != true)
        .filter_map(|mount| mount["mountPath"].as_str())
        .collect()
}

/// Whether the pods can only run on one node.
fn is_pinned(spec: &Value) -> bool {
    !spec["nodeName"].is_null() || !spec["nodeSelector"]["kubernetes.io/hostname"].is_null()
}

fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The ordinals of a StatefulSet's pods with so many replicas.
pub fn ordinals(set: &Value, replicas: i64) -> std::ops::Range<i64> {
    let start = set["spec"]["ordinals"]["start"].as_i64().unwrap_or(0);
    start..start + replicas
}

/// The claims that a StatefulSet's templates make for the pods of these ordinals.
pub fn claims_of_set(set: &Value, ordinals: std::ops::Range<i64>) -> BTreeSet<String> {
    let name = set["metadata"]["name"].as_str().unwrap_or_default();
    array(&set["spec"]["volumeClaimTemplates"])
        .filter_map(|template| template["metadata"]["name"].as_str())
        .flat_map(|template| {
            ordinals
                .clone()
                .map(move |n| format!("{template}-{name}-{n}"))
        })
        .collect()
}

/// Whether a StatefulSet's claims are deleted when it is scaled down.
pub fn deletes_claims(set: &Value) -> bool {
    set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] == "Delete"
}

/// Names of the claims that a pod's spec mounts.
pub fn claims_of_spec(spec: &Value) -> BTreeSet<String> {
    array(&spec["volumes"])
        .filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
        .map(str::to_owned)
        .collect()
}

/// Whether a pod's spec, or its StatefulSet, has claims of any sort.
pub fn has_claims(spec: &Value, set: Option<&Value>) -> bool {
    let of_spec = array(&spec["volumes"])
        .any(|one| one["persistentVolumeClaim"].is_object() || one["ephemeral"].is_object());
    of_spec || set.is_some_and(|set| array(&set["spec"]["volumeClaimTemplates"]).next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn workload(kind: &str) -> WorkloadRef {
        WorkloadRef {
            kind: kind.into(),
            namespace: "prod".into(),
            name: "db".into(),
        }
    }

    /// What goes with pods that mount a volume at this path.
    fn gone(volume: &Value, path: &str, kind: &str, holds_data: bool) -> (Vec<String>, usize) {
        let mut volume = volume.clone();
        volume["name"] = "v".into();
        let mount = json!({ "name": "v", "mountPath": path });
        let spec = json!({
            "volumes": [volume], "containers": [{ "name": "c", "volumeMounts": [mount] }],
        });
        let gone = of_pods(Going {
            workload: &workload(kind),
            spec: &spec,
            claims: has_claims(&spec, None),
            holds_data,
        });
        let names = gone.losses.into_iter().map(|loss| loss.name).collect();
        (names, gone.scratch.len())
    }

    #[test]
    fn a_volume_that_ends_with_its_pod_is_data_of_who_holds_data_and_a_note_of_others() {
        let data = |names: &[&str]| (names.iter().map(ToString::to_string).collect(), 0);
        let empty = json!({ "emptyDir": {} });
        let ours = "deployment/db/v";
        assert_eq!(gone(&empty, "/data", "Deployment", true), data(&[ours]));
        assert_eq!(gone(&empty, "/data", "Deployment", false), (vec![], 1));
        // The container's own file system is all that is left to hold data.
        let whole = data(&["deployment/db"]);
        assert_eq!(gone(&empty, "/tmp", "Deployment", true), whole);
        assert_eq!(gone(&empty, "/tmp/x", "Deployment", false), (vec![], 0));
        let memory = json!({ "emptyDir": { "medium": "Memory" } });
        assert_eq!(gone(&memory, "/data", "Deployment", false), (vec![], 0));
        let own = json!({ "ephemeral": { "volumeClaimTemplate": {} } });
        assert_eq!(gone(&own, "/data", "Deployment", false), data(&[ours]));
        let claim = json!({ "persistentVolumeClaim": { "claimName": "c" } });
        assert_eq!(gone(&claim, "/data", "Deployment", true), data(&[]));
    }

    #[test]
    fn a_folder_of_a_node_is_lost_to_pods_that_may_come_back_elsewhere() {
        let folder = |path: &str| json!({ "hostPath": { "path": path } });
        let lost = |volume: &Value, kind: &str| gone(volume, "/data", kind, true).0;
        assert_eq!(lost(&folder("/srv/db"), "Deployment"), ["deployment/db/v"]);
        assert!(!lost(&folder("/srv/db"), "DaemonSet").contains(&"daemonset/db/v".to_owned()));
        assert_eq!(lost(&folder("/var/run/x"), "Deployment"), ["deployment/db"]);
        let socket = json!({ "hostPath": { "path": "/srv/s", "type": "Socket" } });
        assert_eq!(lost(&socket, "Deployment"), ["deployment/db"]);
    }

    #[test]
    fn scratch_beside_claims_is_no_data() {
        let spec = json!({
            "volumes": [{ "name": "v", "emptyDir": {} }],
            "containers": [{ "volumeMounts": [{ "name": "v", "mountPath": "/work" }] }],
        });
        let gone = of_pods(Going {
            workload: &workload("StatefulSet"),
            spec: &spec,
            claims: true,
            holds_data: true,
        });
        assert_eq!((gone.losses.len(), gone.scratch.len()), (0, 1));
    }

    #[test]
    fn containers_that_can_write_nothing_hold_nothing() {
        let spec = |read_only: bool| {
            let security = json!({ "readOnlyRootFilesystem": read_only });
            json!({ "containers": [{ "securityContext": security }] })
        };
        let lost = |spec: &Value, holds_data| {
            let workload = workload("Deployment");
            let going = Going {
                workload: &workload,
                spec,
                claims: false,
                holds_data,
            };
            of_pods(going).losses.len()
        };
        assert_eq!(lost(&spec(false), true), 1);
        assert_eq!(lost(&spec(true), true), 0);
        assert_eq!(
            lost(&spec(false), false),
            0,
            "a front end has nothing to lose"
        );
    }

    #[test]
    fn the_claims_of_a_set_begin_with_its_first_ordinal() {
        let set = json!({
            "metadata": { "name": "db" },
            "spec": {
                "ordinals": { "start": 5 },
                "volumeClaimTemplates": [{ "metadata": { "name": "data" } }],
            },
        });
        let claims = claims_of_set(&set, ordinals(&set, 2));
        assert_eq!(
            claims.into_iter().collect::<Vec<_>>(),
            ["data-db-5", "data-db-6"]
        );
    }

    #[test]
    fn who_holds_data_is_known_by_kind_role_and_configuration() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("chaos.toml");
        let text = "[database]\ndeployment = \"pg\"\nname = \"x\"\n\
                    [[workload]]\nname = \"store\"\nrole = \"Database\"\n\
                    [monitoring]\nnamespace = \"mon\"\n\
                    prometheus = { deployment = \"prom\", service = \"p\", port = 9 }\n";
        std::fs::write(&path, text).expect("writable");
        let config = chaos_common::config::load(Some(&path))
            .expect("valid")
            .config;
        let holds = |kind: &str, namespace: &str, name: &str| {
            let workload = WorkloadRef {
                kind: kind.into(),
                namespace: namespace.into(),
                name: name.into(),
            };
            holds_data(&config, &workload)
        };
        assert!(holds("StatefulSet", "prod", "any"));
        assert!(holds("Deployment", "prod", "pg"));
        assert!(holds("Deployment", "prod", "store"));
        assert!(holds("Deployment", "mon", "prom"));
        assert!(!holds("Deployment", "prod", "prom"));
        assert!(!holds("Deployment", "prod", "front"));
    }
}
