//! The gates and limits of `chaos-inject`: what they refuse is not touched.

use std::process::Stdio;

use chaos_tests::cluster::Cluster;
use chaos_tests::run::check;

use crate::shop::{RUN, health, leases};

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
    refused(&RUN, "", "gate.health", 4);
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
                "--override=gate.health=a test",
                "--override=gate.backup=a test",
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

#[test]
#[ignore = "needs the cluster: make test"]
fn consent_is_asked_for_on_the_terminal_also_inside_a_pipeline() {
    let cluster = Cluster::with_shop();
    cluster.place.file("health.ndjson", &health(&cluster));
    // `script` gives the pipeline a terminal, and types its own standard input there.
    let line = "cat health.ndjson | chaos-inject run pod-failure | cat";
    let asked = ["-qec", line, "/dev/null"];
    let ran = cluster.place.fed("script", &asked, "no\n");
    let text = ran.stdout();
    assert!(text.contains("Type yes to go on"), "{}", ran.show());
    assert!(text.contains("the answer was"), "{}", ran.show());
    assert_eq!(leases(&cluster), "", "{}", ran.show());
}
