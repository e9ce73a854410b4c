//! Taking things back by hand: the rollback script of a plan, and the rollback of a rollout.

use chaos_tests::cluster::Cluster;

use crate::shop::{DATABASE, health, is, left, replicas, signal};
use crate::undo::{broken, guardian, long};

#[test]
#[ignore = "needs the cluster: make test"]
fn the_rollback_script_takes_a_fault_back_with_kubectl_alone() {
    let cluster = Cluster::with_shop();
    long(&cluster);
    let good = health(&cluster);
    let script = cluster
        .place
        .tool("chaos-inject", &["plan", "storage-failure", "--script"])
        .exits(0)
        .stdout();
    assert!(
        script.contains("Engineering Team Lead - +1-555-0123"),
        "{script}"
    );
    let path = cluster
        .place
        .file("rollback.sh", &script)
        .display()
        .to_string();
    let mut child = broken(&cluster, &good);
    signal(&guardian(&child), "-KILL");
    child.kill().expect("it runs");
    child.wait().expect("it has ended");
    let kubectl = cluster.kubectl_folder();
    let sh = |args: &str| {
        cluster
            .place
            .shell(&format!("PATH={kubectl}:$PATH sh {path} {args}"))
    };
    let dry = sh("--dry-run").exits(0);
    assert!(dry.stdout().contains("server dry run"), "{}", dry.show());
    assert_eq!(
        replicas(&cluster, cluster.shop(), DATABASE),
        "0",
        "a dry run changes nothing"
    );
    sh("--emergency").exits(0).says("");
    assert_eq!(
        (
            replicas(&cluster, cluster.shop(), DATABASE).as_str(),
            left(&cluster).as_str()
        ),
        ("1", "")
    );
    // What no run holds is left alone.
    let again = sh("--emergency").exits(0);
    assert!(again.stdout().contains("left as it is"), "{}", again.show());
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_rollback_gives_a_deployment_its_previous_revision() {
    let cluster = Cluster::with_shop();
    cluster.whole();
    let (shop, name) = (cluster.shop(), "ecommerce-frontend-deployment");
    cluster.config(&|_| {
        format!("[application]\nnamespace = \"{shop}\"\n[[workload]]\nname = \"{name}\"\n")
    });
    let wait = || {
        cluster.kubectl(&[
            "rollout",
            "status",
            &format!("deployment/{name}"),
            "-n",
            cluster.shop(),
            "--timeout=240s",
        ])
    };
    let template = || {
        cluster.kubectl(&[
            "get",
            "deployment",
            name,
            "-n",
            cluster.shop(),
            "-o",
            "jsonpath={.spec.template}",
        ])
    };
    let before = template();
    cluster.kubectl(&[
        "set",
        "env",
        &format!("deployment/{name}"),
        "-n",
        cluster.shop(),
        "CHAOS_TEST=1",
    ]);
    wait();
    let changed = template();
    assert_ne!(before, changed);
    cluster
        .place
        .tool("chaos-inject", &["rollback", "--dry-run"])
        .exits(0);
    assert_eq!(template(), changed, "a dry run changes nothing");
    cluster
        .place
        .fed("chaos-inject", &["rollback"], "")
        .exits(4);
    assert_eq!(template(), changed, "nobody agreed");
    let ran = cluster
        .place
        .tool("chaos-inject", &["rollback", "--yes"])
        .exits(0);
    assert_eq!(template(), before, "{}", ran.show());
    is(&ran.record("chaos.rollback/1"), "rollback.revision", "pass");
    // An emergency goes on past what can't be rolled back, and lists it.
    cluster.config(&|_| {
        format!(
            "[application]\nnamespace = \"{shop}\"\n[[workload]]\nname = \"gone\"\n[[workload]]\nname = \"{name}\"\n"
        )
    });
    let ran = cluster
        .place
        .tool("chaos-inject", &["rollback", "--emergency"])
        .exits(5);
    let record = ran.record("chaos.rollback/1");
    assert_eq!(
        template(),
        changed,
        "the other one went back all the same: {}",
        ran.show()
    );
    assert!(
        record["data"]["issues"]
            .as_array()
            .is_some_and(|issues| issues.len() == 1),
        "{record:#}"
    );
    cluster
        .place
        .tool("chaos-inject", &["rollback", "--emergency"])
        .exits(5);
}
