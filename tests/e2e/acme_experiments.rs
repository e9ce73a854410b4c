//! All experiments that apply to acme, each through the whole pipeline, and no gate is overridden.

use std::time::Instant;

use chaos_tests::cluster::{Cluster, repository};
use chaos_tests::run::{Place, Ran, in_time};
use chaos_tests::schedule::{Needs, Resource, Use};

use crate::acme::{described, passed, told, up_and};

/// What init can't know: a backup, what asks in place of images without a shell, and a small cluster.
const TABLES: &str = r#"
[health]
skip = ["node.usage"]

[[backup]]
name = "acme"
kind = "postgres"
path = "backup/acme.sql"

[experiment]
probe_image = "chaos.test/shop:1"
warm_up = "1s"
settle = "1s"
# Other tests load the node.
probe_interval = "300ms"
min_availability_percent = 30.0
guard_percent = 20.0
guard_window = "60s"

[experiment.network_partition]
peer = "deployment/acme-web"
duration = "4s"

[experiment.dns_failure]
service = "acme-api"
duration = "4s"

[experiment.resource_exhaustion]
image = "chaos.test/shop:1"
command = ["stress"]
duration = "4s"
cpu_workers = 1
memory_mib = 32
cpu_request = "100m"
cpu_limit = "400m"
memory_request = "64Mi"
memory_limit = "256Mi"

[experiment.storage_failure]
duration = "3s"
# It has nothing to say without its database, which a busy node takes long to stop.
affected = ["acme-api"]

[experiment.monitoring_failure]
duration = "3s"
"#;

/// Each with what its plan wants to be told.
const EXPERIMENTS: [&str; 7] = [
    "pod-failure --workload deployment/acme-web",
    "scale-down --workload deployment/acme-web --duration 3s",
    "network-partition --workload deployment/acme-api --set-aside networkpolicy/api",
    "dns-failure --workload deployment/acme-web --set-aside networkpolicy/names",
    "resource-exhaustion",
    "storage-failure",
    "monitoring-failure --accept-loss \
     statefulset/prometheus-kps-kube-prometheus-stack-prometheus/data,\
     deployment/kps-grafana,\
     statefulset/alertmanager-kps-kube-prometheus-stack-alertmanager/data",
];

/// A dump of acme's database, as its superuser makes it.
pub(crate) fn back_up(cluster: &Cluster) {
    let dump = "PGPASSWORD=$POSTGRES_PASSWORD pg_dump -h /var/run/postgresql -U acme_admin acme";
    let exec = [
        "exec",
        "-n",
        "acme",
        "acme-postgresql-0",
        "-c",
        "postgresql",
    ];
    let args = [&exec[..], &["--", "sh", "-c", dump]].concat();
    cluster.place.file(
        "backup/acme.sql",
        &format!("{}\n\n", cluster.kubectl(&args)),
    );
}

fn pipeline(place: &Place, experiment: &str) -> Ran {
    let script = repository().join("scripts/experiment.sh");
    let line = format!("{} {experiment}", script.display());
    in_time(|| place.shell(&line))
}

#[test]
#[ignore = "needs the cluster: make test"]
fn every_experiment_that_applies_passes_and_no_gate_is_overridden() {
    let needs = Needs::cluster().and(Resource::Policies, Use::Shared).long();
    let cluster = up_and(needs);
    described(&cluster, TABLES);
    let path = cluster.place.path().join("chaos.toml");
    let text = std::fs::read_to_string(&path).expect("it was written");
    let (own, both) = ("[\"acme\"]", "[\"acme\", \"observability\"]");
    std::fs::write(&path, text.replace(own, both)).expect("writable");
    back_up(&cluster);
    let admin = cluster.state().join("admin.kubeconfig");
    let (_receivers, place) = told(&cluster, &admin);
    // They hit the same application, and a run wants it healthy: one after the other.
    for experiment in EXPERIMENTS {
        let begin = Instant::now();
        let ran = pipeline(&place, experiment);
        let record = ran.record("chaos.experiment/1");
        assert_eq!(record["data"]["outcome"], "completed", "{}", ran.show());
        passed(&ran);
        assert!(
            record["data"]["overridden"]
                .as_array()
                .is_none_or(Vec::is_empty)
        );
        let seconds = begin.elapsed().as_secs_f64();
        eprintln!("acme: {experiment}: {seconds:.1} s from the health check to the report");
    }
}
