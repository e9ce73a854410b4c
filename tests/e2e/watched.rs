//! A watcher that takes back what a killed run left, with the role that it prints and nothing more,
//! and leaves a run alone that lives.

use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use chaos_tests::cluster::Cluster;
use chaos_tests::run::until;

use crate::shop::{DATABASE, grant, health, is, left, replicas, signal};
use crate::undo::{broken, guardian, long};

/// It ends with the test.
struct Watcher(Child);

impl Drop for Watcher {
    fn drop(&mut self) {
        // Asked to end, it takes its Lease away.
        signal(&self.0.id().to_string(), "-TERM");
        let _ = self.0.wait();
    }
}

/// A watcher on another machine, with the rights that it prints.
fn watch(cluster: &Cluster, elsewhere: &Cluster) -> Watcher {
    let roles = cluster
        .place
        .tool("chaos-inject", &["watch", "--rbac=chaos-watch"]);
    let kubeconfig = grant(cluster, &roles.exits(0).stdout(), "chaos-watch");
    let mut command = elsewhere.place.command("chaos-inject");
    command.args(["watch", "--kubeconfig", &kubeconfig]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let watcher = Watcher(command.spawn().expect("it was built"));
    let lease = ["get", "leases", "-n", cluster.shop(), "-o", "name"];
    until("a watcher", || {
        cluster
            .kubectl(&lease)
            .contains("chaos-watch")
            .then_some(())
    });
    watcher
}

#[test]
#[ignore = "needs the cluster: make test"]
fn when_tool_and_guardian_are_killed_a_watcher_undoes_without_anybody() {
    let cluster = Cluster::with_shop();
    long(&cluster);
    let good = health(&cluster);
    let elsewhere = cluster.elsewhere();
    let _watcher = watch(&cluster, &elsewhere);
    let plan = cluster
        .place
        .tool("chaos-inject", &["plan", "storage-failure"]);
    is(&plan.record("chaos.plan/1"), "limit.watch", "pass");

    let mut child = broken(&cluster, &good);
    // Longer than the limit: the run lives, and nobody touches it.
    sleep(Duration::from_secs(16));
    let database = || replicas(&cluster, cluster.shop(), DATABASE);
    assert_eq!(database(), "0", "a run that lives was undone");
    signal(&guardian(&child), "-KILL");
    child.kill().expect("it runs");
    child.wait().expect("it has ended");
    let died = Instant::now();
    until("the database is back", || (database() == "1").then_some(()));
    // On a calm machine it is 12 to 17 s; what matters is that nobody did anything.
    assert!(died.elapsed() > Duration::from_secs(5), "by whom?");
    until("nothing is left", || {
        left(&cluster).is_empty().then_some(())
    });
}
