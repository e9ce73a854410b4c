//! Runs of `chaos-inject` that are stopped, killed or held up, and what they leave.

use std::io::{PipeReader, Write as _};
use std::process::{Child, Stdio};
use std::time::Duration;

use chaos_tests::cluster::Cluster;
use chaos_tests::run::{check, in_time, until};
use chaos_tests::schedule::{Needs, Resource, Use};

use crate::shop::{RUN, health, leases, process, signal};

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
    in_time(|| cluster.place.tool("chaos-health", &[])).exits(0);
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
    let ran = cluster
        .place
        .shell(
            "chaos-inject run pod-failure --yes < health.ndjson | head -n 1; echo ${PIPESTATUS[0]}",
        )
        .exits(0);
    cluster.whole();
    // Whatever the verdict is, it is told here and in the exit status, as it is without a pipe.
    let word = match ran.stdout().trim_end().rsplit('\n').next() {
        Some("0") => "pass",
        Some("1") => "fail",
        Some("3") => "unknown",
        other => panic!("status {other:?}\n{}", ran.show()),
    };
    let ran = ran.says(&format!("chaos-inject: {word}: pod-failure completed: "));
    assert!(
        ran.stderr()
            .contains("everything that was hit is at its steady state again"),
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
    // More than twenty are due while it is held up; a busy machine may be late for some of them.
    for service in record["data"]["availability"]
        .as_array()
        .expect("the Services were asked")
    {
        assert!(
            service["missed"].as_u64().is_some_and(|missed| missed < 18),
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
    let pid = process("kube-apiserver");
    let before = cluster.pods("ecommerce-backend");
    let child = injecting(&cluster, &good, &before, Stdio::null());
    signal(&pid, "-STOP");
    std::thread::sleep(Duration::from_secs(4));
    signal(&pid, "-CONT");
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
