//! Namespaces with very light workloads, one for each experiment, and a configuration with short
//! times.

use std::path::Path;

use crate::cluster::Cluster;

/// The experiments, and the test bed of each.
pub const EXPERIMENTS: [&str; 7] = [
    "pod-failure",
    "network-partition",
    "resource-exhaustion",
    "storage-failure",
    "monitoring-failure",
    "scale-down",
    "dns-failure",
];

/// The namespace of an experiment's test bed.
pub fn namespace(experiment: &str) -> String {
    format!("chaos-sweep-{experiment}")
}

/// Makes the test bed of an experiment.
pub fn make(cluster: &Cluster, experiment: &str) {
    let namespace = namespace(experiment);
    cluster.gone(&namespace);
    let volume = cluster.state().join("volumes").join(&namespace);
    let mut yaml = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n");
    yaml += &match experiment {
        "pod-failure" | "scale-down" => {
            deployment(&namespace, "web", 2, "shop, frontend", "")
                + &service(&namespace, "web", 3000)
        }
        "network-partition" | "dns-failure" => ["web", "peer"]
            .map(|name| {
                deployment(&namespace, name, 1, "shop, frontend", "")
                    + &service(&namespace, name, 3000)
            })
            .concat(),
        "resource-exhaustion" => {
            deployment(&namespace, "web", 1, "shop, frontend", "")
                + &service(&namespace, "web", 3000)
        }
        "storage-failure" => {
            storage(&namespace, &volume)
                + &deployment(
                    &namespace,
                    "store",
                    1,
                    "shop, frontend",
                    "volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]",
                )
                + &service(&namespace, "store", 3000)
        }
        _ => {
            let config = "volumes: [{name: data, configMap: {name: prometheus}}]";
            let command = "prometheus, --config.file=/data/prometheus.yml, --storage.tsdb.path=/tmp/data, --log.level=warn";
            prometheus(&namespace)
                + &deployment(&namespace, "prometheus", 1, command, config)
                + &service(&namespace, "prometheus", 9090)
                + &["grafana", "alertmanager"]
                    .map(|name| {
                        deployment(&namespace, name, 1, "shop, grafana-stand-in", "")
                            + &service(&namespace, name, 3000)
                    })
                    .concat()
        }
    };
    cluster.apply(&yaml);
}

fn deployment(namespace: &str, name: &str, replicas: u32, command: &str, volumes: &str) -> String {
    let mounts = if volumes.is_empty() {
        ""
    } else {
        ", volumeMounts: [{name: data, mountPath: /data}]"
    };
    format!(
        "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
spec:
  replicas: {replicas}
  strategy: {{type: Recreate}}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      automountServiceAccountToken: false
      containers: [{{name: main, image: \"chaos.test/shop:1\", imagePullPolicy: IfNotPresent, command: [{command}]{mounts}}}]
      {volumes}
"
    )
}

fn service(namespace: &str, name: &str, port: u16) -> String {
    format!(
        "---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: {port}}}]}}
"
    )
}

fn storage(namespace: &str, volume: &Path) -> String {
    let path = volume.display();
    format!(
        "---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {namespace}}}
spec:
  capacity: {{storage: 1Gi}}
  accessModes: [ReadWriteOnce]
  storageClassName: chaos-sweep
  persistentVolumeReclaimPolicy: Retain
  claimRef: {{namespace: {namespace}, name: data}}
  hostPath: {{path: \"{path}\", type: DirectoryOrCreate}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: data, namespace: {namespace}}}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: chaos-sweep
  volumeName: {namespace}
  resources: {{requests: {{storage: 1Gi}}}}
"
    )
}

fn prometheus(namespace: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: ConfigMap
metadata: {{name: prometheus, namespace: {namespace}}}
data:
  prometheus.yml: |
    global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
    scrape_configs: [{{job_name: itself, static_configs: [{{targets: [\"localhost:9090\"]}}]}}]
"
    )
}

/// The configuration for an experiment.
pub fn config(experiment: &str) -> String {
    let namespace = namespace(experiment);
    let service =
        |name: &str| format!("[[service]]\nname = \"{name}\"\nport = 3000\nhealth = \"/health\"\n");
    let services = match experiment {
        "storage-failure" => service("store"),
        "monitoring-failure" => String::new(),
        "network-partition" | "dns-failure" => service("web") + &service("peer"),
        _ => service("web"),
    };
    let system = |name: &str, port: u16| {
        format!(
            "[monitoring.{name}]\ndeployment = \"{name}\"\nservice = \"{name}\"\nport = {port}\n"
        )
    };
    let monitoring = if experiment == "monitoring-failure" {
        format!("[monitoring]\nnamespace = \"{namespace}\"\n")
            + &system("prometheus", 9090)
            + &system("grafana", 3000)
            + &system("alertmanager", 3000)
    } else {
        String::new()
    };
    format!(
        "[application]
name = \"sweep\"
namespace = \"{namespace}\"
{services}{monitoring}
[limits]
namespaces = [\"{namespace}\"]
max_share_percent = 100.0
[experiment]
probe_interval = \"250ms\"
warm_up = \"200ms\"
settle = \"0s\"
alert_wait = \"100ms\"
guard_percent = 0.0
min_availability_percent = 0.0
undo_limit = \"2m\"
[experiment.pod_failure]
workloads = [\"deployment/web\"]
recovery_limit = \"40s\"
[experiment.network_partition]
workload = \"deployment/web\"
peer = \"deployment/peer\"
control = \"peer\"
duration = \"500ms\"
recovery_limit = \"40s\"
[experiment.resource_exhaustion]
image = \"chaos.test/shop:1\"
command = [\"sh\", \"-c\", \"while :; do :; done\"]
cpu_workers = 1
memory_workers = 0
cpu_request = \"10m\"
cpu_limit = \"200m\"
memory_request = \"8Mi\"
memory_limit = \"64Mi\"
duration = \"500ms\"
recovery_limit = \"40s\"
[experiment.storage_failure]
workload = \"deployment/store\"
duration = \"500ms\"
recovery_limit = \"40s\"
[experiment.monitoring_failure]
duration = \"500ms\"
recovery_limit = \"40s\"
[experiment.scale_down]
workload = \"deployment/web\"
duration = \"500ms\"
recovery_limit = \"40s\"
[experiment.dns_failure]
workload = \"deployment/web\"
service = \"peer\"
duration = \"500ms\"
recovery_limit = \"40s\"
"
    )
}
