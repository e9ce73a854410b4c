//! Load from pods of a Job, and the judgement of what they measured.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chaos_tests::cluster::{Cluster, OwnNamespace};
use chaos_tests::run::{Ran, bin, in_time};
use chaos_tests::schedule::{Needs, Resource, Use};
use serde_json::Value;

/// The image with the tools of this build, in the cluster.
fn image(cluster: &Cluster) -> String {
    let output = cluster
        .script("tools.sh")
        .arg(bin())
        .output()
        .expect("bash is there");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A configuration with one timed path and a short load from two pods of this image.
fn configured(cluster: Cluster, image: &str) -> Cluster {
    let image = image.to_owned();
    cluster.config(&move |text| {
        text.replace(
            "timed = [\"/\", \"/api/products\"]",
            "timed = [\"/health\"]",
        )
        .replace(
            "timed = [\"/health\", \"/api/products\", \"/api/users\"]",
            "timed = []",
        )
        .replace(
            "# image = \"registry/chaos-verify:1\"",
            &format!("image = \"{image}\""),
        )
        .replace("max_ratio = 1.5", "max_ratio = 3.0")
        .replace("allowance_ms = 20.0 ", "allowance_ms = 500.0 ")
        .replace("pods = 1 ", "pods = 2 ")
        .replace("rate = 20.0 ", "rate = 100.0 ")
    });
    cluster
}

fn jobs(cluster: &Cluster) -> String {
    cluster.kubectl(&["get", "jobs", "-n", cluster.shop(), "-o", "name"])
}

/// The first check of an id.
#[track_caller]
fn check<'a>(record: &'a Value, id: &str) -> &'a Value {
    let checks = record["data"]["checks"].as_array().expect("checks");
    checks
        .iter()
        .find(|check| check["id"] == id)
        .unwrap_or_else(|| panic!("no {id}: {record}"))
}

fn last(ran: &Ran) -> Value {
    ran.records().last().cloned().expect("a record")
}

#[test]
#[ignore = "needs the cluster: make test"]
fn load_comes_from_the_pods_of_a_job_that_is_gone_afterwards() {
    // What it measures would be of others, too.
    let cluster = Cluster::needing(Needs::shop().and(Resource::Node, Use::Exclusive));
    let image = image(&cluster);
    let cluster = configured(cluster, &image);
    cluster.whole();
    let args = ["baseline", "--load", "normal", "--duration", "12s"];
    let baseline = in_time(|| cluster.place.tool("chaos-verify", &args));
    let record = last(&baseline);
    let timing = &record["data"]["timings"][0];
    assert_eq!(
        (&timing["vantage"], &timing["load"]["pods"]),
        (&"job".into(), &2.into()),
        "{record}"
    );
    assert_eq!(
        timing["requests"], 1200,
        "each of the pods sends its share: {timing}"
    );
    assert_eq!(timing["errors"], 0, "{timing}");
    assert_eq!(jobs(&cluster), "");
    let usage = record["data"]["usage"]
        .as_array()
        .expect("the metrics API is there");
    let backend = usage
        .iter()
        .find(|one| one["name"] == "ecommerce-backend-deployment")
        .expect("it is measured");
    assert!(
        backend["cpu_cores"].as_f64() > Some(0.0)
            && backend["memory_bytes"].as_u64() > Some(1 << 20),
        "{backend}"
    );
    // Without --load it is the load of the baseline.
    let after = cluster
        .place
        .fed("chaos-verify", &["--wait", "0s"], &baseline.stdout());
    let record = last(&after);
    let judged = check(&record, "performance.load");
    // A machine that is busy with other things may be no load generator; then it must say so.
    assert!(
        judged["status"] == "pass" || judged["status"] == "unknown",
        "{judged}"
    );
    if judged["status"] == "pass" {
        let figures: Vec<_> = record["data"]["judgements"]
            .as_array()
            .expect("judgements")
            .iter()
            .map(|one| &one["figure"])
            .collect();
        assert_eq!(figures, ["p50", "p95", "p99", "errors"]);
    }
    // A busy machine may make the loads differ; without figures it would be unknown with other
    // words.
    let used = check(&record, "performance.usage");
    assert!(
        used["status"] == "pass" || judged["status"] == "unknown",
        "{used}"
    );
    assert_eq!(jobs(&cluster), "");
}

/// Starts a long load from pods of a Job.
fn start(cluster: &Cluster) -> Child {
    let args = ["baseline", "--load", "normal", "--duration", "120s"];
    let records = std::fs::File::create(cluster.place.path().join("stdout"));
    let mut command = cluster.place.command(bin().join("chaos-verify"));
    command.args(args).stdin(Stdio::null());
    command
        .stdout(records.expect("a file can be made"))
        .stderr(Stdio::null())
        .spawn()
        .expect("it was built")
}

/// Sends a signal, waits for the end, and until the Job is gone.
fn stop(cluster: &Cluster, mut child: Child, signal: &str) -> Option<i32> {
    let sent = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status()
        .expect("kill is there");
    assert!(sent.success());
    let ended = child.wait().expect("it ends");
    cluster.until("the Job is gone", || {
        jobs(cluster)
            .is_empty()
            .then(|| cluster.place.shell("true"))
    });
    ended.code()
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_tool_that_is_stopped_at_once_deletes_its_job() {
    let cluster = Cluster::with_shop();
    let image = image(&cluster);
    let cluster = configured(cluster, &image);
    cluster.whole();
    let child = start(&cluster);
    cluster.until("a Job is there", || {
        (!jobs(&cluster).is_empty()).then(|| cluster.place.shell("true"))
    });
    assert_ne!(stop(&cluster, child, "-TERM"), Some(0));
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_load_that_is_interrupted_keeps_what_was_measured() {
    let cluster = Cluster::with_shop();
    let image = image(&cluster);
    let cluster = configured(cluster, &image);
    cluster.whole();
    let child = start(&cluster);
    let phases = [
        "get",
        "pods",
        "-n",
        cluster.shop(),
        "-l",
        "app.kubernetes.io/name=chaos-verify-load",
        "-o",
        "jsonpath={.items[*].status.phase}",
    ];
    cluster.until("both pods run", || {
        (cluster.kubectl(&phases) == "Running Running").then(|| cluster.place.shell("true"))
    });
    // The warm-up does not count, and the pods' programs have to start.
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(stop(&cluster, child, "-INT"), Some(6));
    let records = std::fs::read_to_string(cluster.place.path().join("stdout"));
    let records = records.expect("they were written");
    let last = records.lines().last().expect("a record");
    let record: Value = serde_json::from_str(last).expect("JSON");
    let timing = &record["data"]["timings"][0];
    assert!(timing["requests"].as_u64() > Some(0), "{record}");
    let came = timing["load"]["interrupted_ms"].as_u64();
    assert!(came.is_some_and(|came| came < 120_000), "{timing}");
}

#[test]
#[ignore = "needs the cluster: make test"]
fn an_image_that_is_not_there_is_unknown_and_named_and_its_job_is_deleted() {
    let cluster = configured(Cluster::with_shop(), "chaos.test/no-such-image:1");
    let ran = cluster.place.tool(
        "chaos-verify",
        &["baseline", "--load", "normal", "--duration", "5s"],
    );
    let record = last(&ran);
    let job = check(&record, "performance.job");
    assert_eq!(job["status"], "unknown", "{job}");
    assert!(
        job["message"].to_string().contains("no-such-image"),
        "{job}"
    );
    assert_eq!(jobs(&cluster), "");
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_quota_that_lets_no_pod_in_is_named() {
    let cluster = configured(Cluster::with_shop(), "chaos.test/shop:1");
    let own = OwnNamespace::new(&cluster, "chaos-test-quota");
    cluster.apply(
        "{apiVersion: v1, kind: ResourceQuota, metadata: {name: none, namespace: chaos-test-quota}, spec: {hard: {pods: '0'}}}",
    );
    let ran = cluster.place.tool(
        "chaos-verify",
        &[
            "baseline",
            "-n",
            "chaos-test-quota",
            "--load",
            "normal",
            "--duration",
            "5s",
        ],
    );
    let record = last(&ran);
    drop(own);
    let job = check(&record, "performance.job");
    assert_eq!(job["status"], "unknown", "{job}");
    assert!(job["message"].to_string().contains("quota"), "{job}");
}
