//! `chaos-inject` on the real cluster: the gates, and what is left when it is stopped.

use std::io::{PipeReader, Write as _};
use std::process::{Child, Stdio};
use std::time::Duration;

use chaos_tests::cluster::Cluster;
use chaos_tests::run::{check, in_time, until};
use chaos_tests::schedule::{Needs, Resource, Use};

/// Leases that runs hold.
fn leases(cluster: &Cluster) -> String {
    cluster.kubectl(&[
        "get",
        "leases",
        "-n",
        cluster.shop(),
        "-l",
        "chaos-runbook/run",
        "-o",
        "name",
    ])
}

/// Health of the shop as a stream.
fn health(cluster: &Cluster) -> String {
    cluster.whole();
    cluster.place.tool("chaos-health", &[]).exits(0).stdout()
}

const RUN: [&str; 3] = ["run", "pod-failure", "--yes"];

#[test]
#[ignore = "needs the cluster: make test"]
fn a_closed_gate_refuses_and_the_audit_log_shows_no_write() {
    let cluster = Cluster::with_shop();
    let good = health(&cluster);
    let mark = cluster.mark();
    let refused = |args: &[&str], input: &str, why: &str, status: i32| {
        let ran = cluster.place.fed("chaos-inject", args, input).exits(status);
        // The lines before it may be the garbage that this is about.
        let last = ran.stdout().lines().last().unwrap_or_default().to_owned();
        let record =
            chaos_tests::strict::read(&last).unwrap_or_else(|why| panic!("{why}\n{}", ran.show()));
        assert_eq!(record["data"]["outcome"], "refused", "{}", ran.show());
        assert_eq!(record["verdict"], "unknown");
        assert!(
            record["data"]["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains(why)),
            "{why}\n{}",
            ran.show()
        );
        assert!(record["data"].get("injected").is_none());
    };
    let failed = good.replace("\"verdict\":\"pass\"", "\"verdict\":\"fail\"");
    let stale = good.replace("\"time\":\"2", "\"time\":\"1");
    let elsewhere = good.replace(
        &format!("\"namespace\":\"{}\"", cluster.shop()),
        "\"namespace\":\"staging\"",
    );
    let stranger = {
        let id = cluster.kubectl(&[
            "get",
            "namespace",
            "kube-system",
            "-o",
            "jsonpath={.metadata.uid}",
        ]);
        good.replace(&id, "00000000-0000-0000-0000-000000000000")
    };
    refused(&RUN, &failed, "gate.health", 4);
    refused(&RUN, &stale, "gate.health", 4);
    refused(&RUN, &elsewhere, "gate.health", 4);
    refused(&RUN, &stranger, "another cluster", 4);
    refused(&RUN, "", "gate.stream", 3);
    refused(&RUN, &good[..good.len() / 2], "gate.stream", 3);
    refused(&RUN[..2], &good, "gate.consent", 4);
    let last = [
        "run",
        "pod-failure",
        "--yes",
        "--workload",
        "deployment/ecommerce-database-deployment",
    ];
    refused(&last, &good, "limit.survivors", 4);
    let all = [
        "run",
        "pod-failure",
        "--yes",
        "-l",
        "app=ecommerce-backend",
        "--count",
        "3",
    ];
    refused(&all, &good, "limit.survivors", 4);
    refused(
        &["run", "pod-failure", "--yes", "--pod", "no-such-pod"],
        &good,
        "no-such-pod",
        4,
    );
    refused(
        &[
            "run",
            "pod-failure",
            "--yes",
            "-n",
            cluster.monitoring(),
            "--workload",
            "deployment/grafana-deployment",
        ],
        &good,
        "limit",
        4,
    );
    cluster.config(&|text| text.replace("max_share_percent = 50.0", "max_share_percent = 10.0"));
    refused(&RUN, &good, "limit.share", 4);
    let ours = format!(
        "namespaces = [\"{}\", \"{}\"]",
        cluster.shop(),
        cluster.monitoring()
    );
    cluster.config(&|text| text.replace(&ours, "namespaces = [\"staging\"]"));
    refused(&RUN, &good, "limit.namespace", 4);
    cluster.config(&|text| text);
    cluster
        .place
        .tool("chaos-inject", &["plan", "pod-failure"])
        .exits(0);
    assert_eq!(cluster.writes_since(mark), Vec::<String>::new());
}

#[test]
#[ignore = "needs the cluster: make test"]
fn without_the_permission_or_a_journal_nothing_is_written() {
    let cluster = Cluster::with_shop();
    let good = health(&cluster);
    let shop = cluster.shop();
    cluster.apply(&format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {{name: chaos-test-viewer}},
           roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}}, subjects: [{{kind: User, name: viewer, namespace: {shop}}}]}}"
    ));
    let viewer = cluster.as_user("viewer");
    let mark = cluster.mark();
    let ran = cluster
        .place
        .fed(
            "chaos-inject",
            &[
                "run",
                "pod-failure",
                "--yes",
                "--kubeconfig",
                &viewer,
                "--override",
                "test",
            ],
            &good,
        )
        .exits(4);
    let record = ran.record("chaos.experiment/1");
    let missing = check(&record, "limit.permissions", "");
    assert_eq!(missing["status"], "fail");
    assert!(
        missing["message"]
            .as_str()
            .is_some_and(|m| m.contains("delete pods")),
        "{}",
        ran.show()
    );
    cluster.kubectl(&["delete", "clusterrolebinding", "chaos-test-viewer"]);

    // A file stands where the journal's folder should be.
    let blocked = cluster.place.file("blocked", "").display().to_string();
    let place = cluster.elsewhere().place.env("XDG_STATE_HOME", blocked);
    let config = cluster
        .place
        .path()
        .join("chaos.toml")
        .display()
        .to_string();
    let ran = place
        .fed(
            "chaos-inject",
            &["run", "pod-failure", "--yes", "--config", &config],
            &good,
        )
        .exits(4);
    assert_eq!(
        check(&ran.record("chaos.experiment/1"), "intent.journal", "")["status"],
        "fail"
    );
    assert_eq!(cluster.writes_since(mark), Vec::<String>::new());
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_run_that_is_told_to_end_waits_for_recovery_and_leaves_nothing() {
    let cluster = Cluster::with_shop();
    // Ctrl-C, a supervisor, a terminal that goes away.
    for signal in ["SIGINT", "SIGTERM", "SIGHUP"] {
        let good = health(&cluster);
        let before = cluster.pods("ecommerce-backend");
        let child = injecting(&cluster, &good, &before, Stdio::null());
        let kill = std::process::Command::new("kill")
            .args(["-s", &signal[3..], &child.id().to_string()])
            .status();
        assert!(kill.is_ok_and(|status| status.success()));
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(
            output.status.code(),
            Some(6),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        let text = String::from_utf8_lossy(&output.stdout);
        let last = chaos_tests::strict::read(text.lines().last().expect("a record")).expect("ours");
        assert_eq!(last["data"]["outcome"], "aborted", "{last:#}");
        assert!(
            last["data"]["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains(signal)),
            "{last:#}"
        );
        assert_eq!(leases(&cluster), "");
    }
    cluster.place.tool("chaos-health", &[]).exits(0);
}

#[test]
#[ignore = "needs the cluster: make test"]
fn of_two_runs_at_once_one_is_refused_and_the_other_is_not_disturbed() {
    let cluster = Cluster::with_shop();
    let good = health(&cluster);
    let input = cluster.place.file("health.ndjson", &good);
    let start = || {
        let mut command = cluster.place.command("chaos-inject");
        command
            .args(RUN)
            .stdin(std::fs::File::open(&input).expect("just written"));
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it was built")
    };
    let mut ends: Vec<(Option<i32>, String)> = [start(), start()]
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().expect("it ends");
            (
                output.status.code(),
                String::from_utf8_lossy(&output.stdout).into_owned(),
            )
        })
        .collect();
    ends.sort();
    // A machine that was too busy to ask does not know how available the Services were, and says
    // so.
    let busy = ends[0].1.contains("questions could not be asked: after");
    assert_eq!(
        (ends[0].0, ends[1].0),
        (Some(if busy { 3 } else { 0 }), Some(4)),
        "{}\n{}",
        ends[0].1,
        ends[1].1
    );
    let record = |stream: &str| {
        chaos_tests::strict::read(stream.lines().last().expect("a record")).expect("ours")
    };
    let (whole, refused) = (record(&ends[0].1), record(&ends[1].1));
    assert_eq!(whole["data"]["outcome"], "completed", "{whole:#}");
    assert!(refused["data"].get("injected").is_none(), "{refused:#}");
    assert!(
        refused["summary"]
            .as_str()
            .is_some_and(|summary| summary.contains("limit.lock")),
        "{refused:#}"
    );
    assert_eq!(leases(&cluster), "");
}

/// A run that has begun to delete pods: there are others than these.
fn injecting(
    cluster: &Cluster,
    health: &str,
    before: &[String],
    stderr: impl Into<Stdio>,
) -> Child {
    let input = cluster.place.file("health.ndjson", health);
    let mut command = cluster.place.command("chaos-inject");
    command
        .args(RUN)
        .stdin(std::fs::File::open(input).expect("just written"));
    let child = command
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .expect("it was built");
    until("an injection", || {
        let pods = cluster.pods("ecommerce-backend");
        pods.iter().any(|pod| !before.contains(pod)).then_some(())
    });
    child
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_reader_that_goes_away_does_not_stop_the_run_half_way() {
    let cluster = Cluster::with_shop();
    let good = health(&cluster);
    cluster.place.file("health.ndjson", &good);
    let ran = in_time(|| {
        let ran = cluster
            .place
            .shell("chaos-inject run pod-failure --yes < health.ndjson | head -n 1; echo ${PIPESTATUS[0]}")
            .exits(0);
        cluster.whole();
        ran
    });
    assert!(ran.stdout().ends_with("\n0\n"), "{}", ran.show());
    assert!(
        ran.stderr()
            .contains("everything that was hit is whole again"),
        "{}",
        ran.show()
    );
    assert_eq!(leases(&cluster), "");
}

/// A run whose stderr takes no more than its first words: from the first deletion on it is held up,
/// until somebody reads the other end.
fn held_up(cluster: &Cluster, health: &str) -> (Child, PipeReader) {
    // What a pipe holds on Linux, less two lines and the beginning of the third.
    const FULL: usize = 65_536 - 250;
    let before = cluster.pods("ecommerce-backend");
    let (reader, mut writer) = std::io::pipe().expect("two files");
    writer.write_all(&vec![b'.'; FULL]).expect("it has room");
    let child = injecting(cluster, health, &before, writer);
    (child, reader)
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_run_that_is_held_up_goes_on_measuring_and_for_too_long_is_undone() {
    let cluster = Cluster::with_shop();
    let ended = |(child, mut reader): (Child, PipeReader)| {
        let drain = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        let output = child.wait_with_output().expect("it ends");
        drain
            .join()
            .expect("it only reads")
            .expect("a pipe can be read");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = chaos_tests::strict::read(text.lines().last().expect("a record")).expect("ours");
        (output.status.code(), last)
    };

    let good = health(&cluster);
    let held = held_up(&cluster, &good);
    std::thread::sleep(Duration::from_secs(7));
    let (_, record) = ended(held);
    assert_eq!(record["data"]["outcome"], "completed", "{record:#}");
    // Ten are due each second; a busy machine may be late for some of them.
    for service in record["data"]["availability"]
        .as_array()
        .expect("the Services were asked")
    {
        assert!(
            service["missed"].as_u64().is_some_and(|missed| missed < 60),
            "{service:#}"
        );
    }

    // Its guardian is not held up by a disk that hangs either: nobody reads from the pipe that its
    // journal is now.
    let good = health(&cluster);
    let held = held_up(&cluster, &good);
    cluster
        .place
        .shell(
            "cd \"$HOME/.local/state/chaos/journal\" && name=$(ls -t | head -n 1) && rm \"$name\" && mkfifo \"$name\"",
        )
        .exits(0);
    cluster.until("its guardian has taken it for dead", || {
        leases(&cluster).is_empty().then_some(())
    });
    let (status, record) = ended(held);
    assert_eq!(status, Some(6), "{record:#}");
    let reason = record["data"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("had stood still for 10 s"), "{record:#}");
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_killed_run_is_undone_by_its_guardian_and_its_stream_says_that_it_died() {
    let cluster = Cluster::with_shop();
    let good = health(&cluster);
    let before = cluster.pods("ecommerce-backend");
    let mut child = injecting(&cluster, &good, &before, Stdio::null());
    let intent = cluster.kubectl(&[
        "get",
        "leases",
        "-n",
        cluster.shop(),
        "-l",
        "chaos-runbook/run",
        "-o",
        "jsonpath={.items[0].metadata.annotations}",
    ]);
    assert!(
        intent.contains("pod-failure") && intent.contains(&before[0]),
        "{intent}"
    );
    child.kill().expect("it runs");
    let output = child.wait_with_output().expect("it has ended");
    cluster.until("no leases", || {
        let status = cluster.place.tool("chaos-inject", &["status"]);
        status
            .stdout()
            .contains("no run is under way")
            .then_some(status)
    });

    // The journal knows what became of it.
    let journal = cluster.until("the guardian's last word", || {
        let ran = cluster.place.tool("chaos-inject", &["journal"]);
        ran.stdout()
            .contains("its guardian undid the fault")
            .then(|| ran.exits(6).record("chaos.experiment/1"))
    });
    assert_eq!(
        journal["data"]["reason"], "the tool died, and its guardian undid the fault",
        "{journal:#}"
    );
    assert!(
        journal["data"]["injected"].is_string() && journal["verdict"] == "unknown",
        "{journal:#}"
    );
    check(&journal, "journal.end", "");

    // What it wrote ends in no result, so whatever stands behind it in a pipeline knows that it
    // died.
    let stream = String::from_utf8_lossy(&output.stdout).into_owned();
    let ran = cluster.place.fed("chaos-verify", &[], &stream).exits(3);
    assert!(ran.stdout().contains("died"), "{}", ran.show());
    health_in_spite(&cluster);
}

/// Health once the shop is whole again by itself.
fn health_in_spite(cluster: &Cluster) -> String {
    let ran = cluster.until("health", || {
        let ran = cluster.place.tool("chaos-health", &[]);
        ran.stdout().contains("\"verdict\":\"pass\"").then_some(ran)
    });
    ran.stdout()
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_deletion_without_effect_is_not_restored_and_never_a_pass() {
    let cluster = Cluster::with_shop();
    let good = health(&cluster);
    cluster.config(&|text| text.replace("recovery_limit = \"2m\"", "recovery_limit = \"6s\""));
    // A finalizer keeps the object: the call is accepted, and the pod does not go.
    let pod = cluster.pods("ecommerce-backend").remove(0);
    let patch = |value: &str| {
        let patch = format!("{{\"metadata\":{{\"finalizers\":{value}}}}}");
        cluster.kubectl(&[
            "patch",
            "pod",
            &pod,
            "-n",
            cluster.shop(),
            "--type=merge",
            "-p",
            &patch,
        ]);
    };
    patch("[\"chaos.test/stay\"]");
    let ran = cluster.place.fed(
        "chaos-inject",
        &["run", "pod-failure", "--yes", "--pod", &pod],
        &good,
    );
    let left = leases(&cluster);
    patch("null");
    cluster.kubectl(&[
        "delete",
        "leases",
        "-n",
        cluster.shop(),
        "-l",
        "chaos-runbook/run",
    ]);
    let ran = ran
        .exits(5)
        .says("NOT RESTORED")
        .says("a person is needed now; type: kubectl");
    let record = ran.record("chaos.experiment/1");
    assert_eq!(record["verdict"], "fail");
    assert_eq!(record["data"]["outcome"], "not_restored");
    assert_eq!(
        check(&record, "pod-failure.effect", "")["status"],
        "unknown"
    );
    assert!(
        left.contains("chaos-deployment-ecommerce-backend-deployment"),
        "the target stays locked: {left}"
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn an_api_server_that_hangs_in_the_middle_loses_nothing() {
    let cluster = Cluster::needing(Needs::shop().and(Resource::Node, Use::Exclusive));
    let good = health(&cluster);
    let status = chaos_tests::cluster::repository().join("tests/cluster/status.sh");
    let pid = std::process::Command::new(status)
        .args(["--pid", "kube-apiserver"])
        .output()
        .expect("bash is there")
        .stdout;
    let pid = String::from_utf8_lossy(&pid).trim().to_owned();
    let signal = |signal: &str| {
        let sent = std::process::Command::new("kill")
            .args([signal, &pid])
            .status();
        assert!(sent.is_ok_and(|status| status.success()));
    };
    let before = cluster.pods("ecommerce-backend");
    let child = injecting(&cluster, &good, &before, Stdio::null());
    signal("-STOP");
    std::thread::sleep(Duration::from_secs(4));
    signal("-CONT");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    let last = chaos_tests::strict::read(text.lines().last().expect("a record")).expect("ours");
    // What could not be asked meanwhile may leave the availability unknown; the recovery is seen.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{last:#}");
    assert_eq!(last["data"]["outcome"], "completed", "{last:#}");
    assert_eq!(
        check(&last, "pod-failure.effect", "")["status"],
        "pass",
        "{last:#}"
    );
    assert_eq!(leases(&cluster), "");
    health_in_spite(&cluster);
}
