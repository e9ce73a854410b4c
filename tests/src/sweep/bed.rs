//! A namespace with very light workloads under the names of the example configuration, and a
//! configuration made of the example's with short times: a bed for any experiment that there is.

use std::path::Path;

use toml::{Table, Value};

use crate::cluster::{Cluster, repository};

/// The namespace of a bed.
pub(super) fn namespace(bed: usize) -> String {
    format!("chaos-sweep-{bed}")
}

/// Makes a bed.
pub(super) fn make(cluster: &Cluster, bed: usize) {
    let namespace = &namespace(bed);
    remove(cluster, bed);
    cluster.gone(namespace);
    cluster.kubectl(&["wait", "--for=delete", &volume(bed), "--timeout=240s"]);
    let folder = cluster.state().join("volumes").join(namespace);
    let data = "volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]";
    let config = "volumes: [{name: data, configMap: {name: prometheus}}]";
    let collect = "prometheus, --config.file=/data/prometheus.yml, --storage.tsdb.path=/tmp/data, --log.level=warn";
    let mut yaml = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n")
        + &storage(namespace, &folder)
        + &prometheus(namespace);
    for (name, replicas, command, volumes, port) in [
        ("ecommerce-frontend", 2, "shop, frontend", "", 3000),
        ("ecommerce-backend", 2, "shop, frontend", "", 3000),
        ("ecommerce-database", 1, "shop, frontend", data, 3000),
        ("prometheus", 1, collect, config, 9090),
        ("grafana", 1, "shop, grafana-stand-in", "", 3000),
        ("alertmanager", 1, "shop, grafana-stand-in", "", 3000),
    ] {
        yaml += &deployment(namespace, name, replicas, command, volumes);
        yaml += &service(namespace, name, port);
    }
    cluster.apply(&yaml);
}

/// The volume of a bed.
fn volume(bed: usize) -> String {
    format!("persistentvolume/{}", namespace(bed))
}

/// Takes a bed away.
pub(super) fn remove(cluster: &Cluster, bed: usize) {
    let name = format!("namespace/{}", namespace(bed));
    for object in [name, volume(bed)] {
        cluster.kubectl(&["delete", &object, "--ignore-not-found", "--wait=false"]);
    }
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
metadata: {{name: {name}-deployment, namespace: {namespace}, labels: {{app: {name}}}}}
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
metadata: {{name: {name}-service, namespace: {namespace}}}
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

/// The configuration of a bed: the example's experiments, quick ones, and what there is in the bed.
pub(super) fn config(bed: usize) -> String {
    let example = std::fs::read_to_string(repository().join("scripts/ecommerce.toml"));
    let example: Table = example
        .expect("the example is there")
        .parse()
        .expect("the tools read it");
    let mut experiments = example["experiment"]
        .as_table()
        .expect("it has experiments")
        .clone();
    experiments.extend(table(GENERAL));
    for (_, one) in &mut experiments {
        let Some(one) = one.as_table_mut() else {
            continue;
        };
        for (key, quick) in table(QUICK) {
            if one.contains_key(&key) {
                one.insert(key, quick);
            }
        }
    }
    let namespace = namespace(bed);
    let mut config = table(&BED.replace('@', &namespace));
    config.insert("experiment".into(), Value::Table(experiments));
    toml::to_string(&config).expect("a table can be written")
}

fn table(text: &str) -> Table {
    text.parse().expect("it is written here")
}

/// For all experiments.
const GENERAL: &str = r#"
probe_interval = "250ms"
warm_up = "200ms"
settle = "0s"
alert_wait = "100ms"
guard_percent = 0.0
min_availability_percent = 0.0
undo_limit = "2m"
"#;

/// For each experiment that has such a setting.
const QUICK: &str = r#"
duration = "500ms"
stop_limit = "40s"
recovery_limit = "40s"
alerts = []
image = "chaos.test/shop:1"
command = ["sh", "-c", "while :; do :; done"]
cpu_workers = 1
memory_workers = 0
cpu_request = "10m"
cpu_limit = "200m"
memory_request = "8Mi"
memory_limit = "64Mi"
"#;

/// What is there; `@` is its namespace.
const BED: &str = r#"
application = { name = "sweep", namespace = "@" }
limits = { namespaces = ["@"], max_share_percent = 100.0 }
service = [
    { name = "ecommerce-frontend-service", port = 3000, health = "/health" },
    { name = "ecommerce-backend-service", port = 3000, health = "/health" },
]
[monitoring]
namespace = "@"
prometheus = { deployment = "prometheus-deployment", service = "prometheus-service", port = 9090 }
grafana = { deployment = "grafana-deployment", service = "grafana-service", port = 3000 }
alertmanager = { deployment = "alertmanager-deployment", service = "alertmanager-service", port = 3000 }
"#;
