//! An application that is not built like the shop, from the first minute on: restricted Pod Security, policies
//! that deny by default, a database with a password in a Secret, monitoring as kube-prometheus-stack
//! lays it out.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use chaos_tests::cluster::{Cluster, repository};
use chaos_tests::run::{Place, Ran, bad_checks, check, in_time};
use chaos_tests::schedule::{Needs, Resource, Use};
use serde_json::Value;

use crate::pipeline::Receivers;

/// What other tests do to the node is not looked at.
pub(crate) const QUIET: [&str; 2] = ["--skip", "node.usage"];

/// The cluster with acme, which nobody else has meanwhile and nobody has described yet.
pub(crate) fn up() -> Cluster {
    up_and(Needs::cluster())
}

/// The same for a test that needs more.
pub(crate) fn up_and(needs: Needs) -> Cluster {
    let cluster = Cluster::needing(needs.and(Resource::Acme, Use::Exclusive));
    std::fs::remove_file(cluster.place.path().join("chaos.toml")).expect("it was of the shop");
    let mut script = Command::new(repository().join("tests/acme/up.sh"));
    script
        .env("KUBECONFIG", cluster.state().join("admin.kubeconfig"))
        .env_remove("CONTEXT");
    let output = script.output().expect("bash is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "acme is not whole: {said}");
    cluster
}

#[test]
#[ignore = "needs the cluster: make test"]
fn three_commands_lead_from_nothing_to_a_plan() {
    let cluster = up();
    let place = &cluster.place;
    let begin = Instant::now();
    let seconds = || begin.elapsed().as_secs_f64();
    let health = |args: &[&str]| {
        // Where nobody says which monitoring is acme's, it may be the shop's, whose pods other tests
        // take away, and whose alerts they make fire.
        let theirs = ["prometheus", "grafana", "alertmanager", "targets", "alerts"];
        let theirs = theirs.map(|part| format!("--skip=monitoring.{part}"));
        let theirs = theirs.iter().map(String::as_str);
        let args: Vec<&str> = QUIET
            .into_iter()
            .chain(theirs)
            .chain(args.iter().copied())
            .collect();
        in_time(|| place.tool("chaos-health", &args))
            .exits(0)
            .record("chaos.health/1")
    };
    let found = health(&["-n", "acme"]);
    let verdict = seconds();
    let web = check(&found, "service.http", "http://acme-web.acme:80/healthz");
    assert_eq!(web["status"], "pass", "{web}");
    place.tool("chaos-health", &["init", "-n", "acme"]).exits(0);
    place.tool("chaos-health", &["access"]).exits(0);
    let configured = health(&[]);
    let configuration = seconds();
    assert_eq!(configured["data"]["namespace"], "acme");
    place
        .tool(
            "chaos-inject",
            &["plan", "pod-failure", "--workload", "deploy/acme-web"],
        )
        .exits(0);
    let plan = seconds();
    eprintln!(
        "acme: a verdict after {verdict:.1} s, a configuration that passes after \
         {configuration:.1} s, a plan after {plan:.1} s"
    );
    let again = place.tool("chaos-health", &["init", "-n", "acme"]).exits(2);
    assert!(
        again.stderr().contains("chaos.toml is there already"),
        "{}",
        again.show()
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn what_init_could_not_know_is_one_edit_away() {
    let cluster = up();
    let place = &cluster.place;
    // The shop's monitoring is in a usual place, too.
    let init = ["init", "-n", "acme", "--monitoring", "observability"];
    place.tool("chaos-health", &init).exits(0);
    let path = place.path().join("chaos.toml");
    let text = std::fs::read_to_string(&path).expect("it was written");
    for words in [
        "password = { secret = \"acme-postgresql\", key = \"password\" }",
        "tables = [\"items\"]",
        "# it could not be asked: answers 401",
        "path = \"/alertmanager\"",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    std::fs::write(&path, with_credentials(&text)).expect("writable");
    let ran = in_time(|| place.tool("chaos-health", &QUIET)).exits(0);
    let health = ran.record("chaos.health/1");
    let alert = check(
        &health,
        "monitoring.alerts",
        "alert/KubePodCrashLooping namespace=other-team",
    );
    assert_eq!(alert["status"], "warn", "it is another team's: {alert}");
    let told = health["data"]["checks"].to_string();
    assert!(
        !told.contains("Watchdog") && !told.contains("InfoInhibitor"),
        "{told}"
    );
    let baseline = place
        .fed("chaos-verify", &["baseline"], &ran.stdout())
        .exits(0);
    let baseline = baseline.record("chaos.baseline/1");
    let database = check(&baseline, "baseline.database", "database acme");
    assert_eq!(database["status"], "pass", "{database}");
}

/// What init wrote, with what it could not know: who may ask Prometheus.
fn with_credentials(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some("user = \"NAME\"") => "user = \"chaos\"",
        Some("password = { secret = \"SECRET\", key = \"KEY\" }") => {
            "password = { secret = \"kps-basic-auth\", key = \"password\" }"
        }
        Some(inner) if is_of_prometheus(inner) => inner,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The configuration that init writes of acme, completed, and these tables.
pub(crate) fn described(cluster: &Cluster, tables: &str) {
    let place = &cluster.place;
    let init = ["init", "-n", "acme", "--monitoring", "observability"];
    place.tool("chaos-health", &init).exits(0);
    let path = place.path().join("chaos.toml");
    let text = std::fs::read_to_string(&path).expect("it was written");
    let slack = "[notify.slack]\nwebhook = { env = \"SLACK_WEBHOOK_URL\" }\n";
    let text = format!("{}\n{tables}\n{slack}", with_credentials(&text));
    std::fs::write(&path, text).expect("writable");
}

/// Those who are told of acme's experiments, and a place in which the tools tell them. `kubeconfig` says as
/// whom they ask.
pub(crate) fn told<'c>(cluster: &'c Cluster, kubeconfig: &Path) -> (Receivers<'c>, Place) {
    const PORTS: [usize; 2] = [2536, 8036];
    let receivers = Receivers::at(cluster.place.path(), PORTS);
    let hook = format!("http://127.0.0.1:{}/slack/T0/acme", PORTS[1]);
    let place = Place::new()
        .env("KUBECONFIG", kubeconfig)
        .env("CHAOS_CONFIG", cluster.place.path().join("chaos.toml"))
        .env("SLACK_WEBHOOK_URL", hook);
    (receivers, place)
}

/// How quick something is, and what the metrics API has seen of it by now, says nothing of acme where
/// other tests use the same processors.
fn depends_on_this_machine(id: &str) -> bool {
    let ends = [".performance", ".metrics", ".usage"];
    id.starts_with("performance.") || ends.iter().any(|end| id.ends_with(end))
}

/// Expects that a pipeline passed, or found nothing but what depends on this machine.
#[track_caller]
pub(crate) fn passed(ran: &Ran) {
    let depends = |check: &Value| check["id"].as_str().is_some_and(depends_on_this_machine);
    let records = ran.records();
    let mut bad = records.iter().flat_map(bad_checks).peekable();
    let slow = bad.peek().is_some() && bad.all(depends);
    assert!(ran.exits_any() == Some(0) || slow, "{}", ran.show());
}

/// Whether a line is of the table of Prometheus that stands in the file as a comment.
fn is_of_prometheus(line: &str) -> bool {
    let workload = "workload = \"statefulset/prometheus-";
    let service = "service = \"kps-kube-prometheus-stack-prometheus\"";
    let keys = [
        "[monitoring.prometheus]",
        "port = 9090",
        "path = \"/prometheus\"",
        service,
    ];
    keys.contains(&line) || line.starts_with(workload)
}
