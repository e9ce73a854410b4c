//! The main job, from the health check to the mail that tells of the result.

use std::path::Path;
use std::process::Command;

use chaos_tests::cluster::{Cluster, repository};
use chaos_tests::run::{Place, Ran, check, in_time};
use chaos_tests::schedule::Hold;
use serde_json::Value;

/// The ports of mail and of webhooks, for each copy of the shop others.
fn ports(cluster: &Cluster) -> [usize; 2] {
    let shop = cluster.place.hold().and_then(Hold::shop).unwrap_or(0);
    [2526 + shop, 8026 + shop]
}

/// A real SMTP server and a receiver of webhooks, on the loopback, while this value lives.
pub(crate) struct Receivers<'a> {
    folder: &'a Path,
    ports: [usize; 2],
}

impl Receivers<'_> {
    pub(crate) fn start(cluster: &Cluster) -> Receivers<'_> {
        Receivers::at(cluster.place.path(), ports(cluster))
    }

    /// At ports of one's own: those of mail and of webhooks.
    pub(crate) fn at(folder: &Path, ports: [usize; 2]) -> Receivers<'_> {
        let receivers = Receivers { folder, ports };
        receivers.call("start");
        receivers
    }

    fn call(&self, action: &str) {
        let mut command = Command::new(repository().join("tests/shop/receivers.sh"));
        let [mail, hooks] = self.ports.map(|port| port.to_string());
        command
            .args([action, &self.folder.display().to_string()])
            .env("SMTP_PORT", mail)
            .env("HOOK_PORT", hooks);
        assert!(
            command.status().is_ok_and(|status| status.success()),
            "receivers {action}"
        );
    }

    /// The mails that arrived, as text.
    pub(crate) fn mails(&self) -> Vec<String> {
        let folder = std::fs::read_dir(self.folder.join("maildir/new"));
        folder
            .map(|mails| {
                mails
                    .flatten()
                    .filter_map(|mail| std::fs::read_to_string(mail.path()).ok())
                    .collect()
            })
            .unwrap_or_default()
    }

    /// The webhook calls that arrived.
    pub(crate) fn hooks(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.join("webhooks.ndjson")).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}

impl Drop for Receivers<'_> {
    fn drop(&mut self) {
        self.call("stop");
    }
}

/// The cluster with backups of the shop, and the environment of the webhooks.
pub(crate) fn prepared() -> (Cluster, Place) {
    let cluster = Cluster::with_shop();
    cluster.whole();
    let [mail, hooks] = ports(&cluster);
    cluster.config(&|text| {
        text.replace("port = 25 ", &format!("port = {mail} "))
            // How quick a machine is that is busy with other tests is not what these are about.
            .replace("allowance_ms = 20.0 ", "allowance_ms = 2000.0 ")
    });
    let backup = cluster
        .script("backup.sh")
        .arg(cluster.place.path().join("backup"))
        .output()
        .expect("bash is there");
    assert!(
        backup.status.success(),
        "{}",
        String::from_utf8_lossy(&backup.stderr)
    );
    let place = Place::new()
        .env("KUBECONFIG", cluster.state().join("admin.kubeconfig"))
        .env("CHAOS_CONFIG", cluster.place.path().join("chaos.toml"))
        .env(
            "SLACK_WEBHOOK_URL",
            format!("http://127.0.0.1:{hooks}/slack/T0/hunter2"),
        )
        .env(
            "STATUS_PAGE_API_URL",
            format!("http://127.0.0.1:{hooks}/status/hunter3"),
        );
    place.tool("chaos-backup-check", &["drill"]).exits(0);
    (cluster, place)
}

fn experiment(place: &Place) -> Ran {
    place.shell(&format!(
        "{}/scripts/experiment.sh pod-failure",
        repository().display()
    ))
}

#[test]
#[ignore = "needs the cluster: make test"]
fn the_whole_runbook_passes_and_everybody_hears_of_it() {
    let (cluster, place) = prepared();
    let receivers = Receivers::start(&cluster);
    let mut old = String::new();
    let ran = in_time(|| {
        cluster.whole();
        old = cluster.kubectl(&[
            "get",
            "pods",
            "-n",
            cluster.shop(),
            "-o",
            "jsonpath={.items[*].metadata.uid}",
        ]);
        experiment(&place)
    })
    .exits(0);

    // The stream holds the whole story, each record to the letter, all of one run.
    let records = ran.records();
    let run = &records[0]["run"];
    assert!(records.iter().all(|record| &record["run"] == run));
    let kinds: Vec<&str> = records
        .iter()
        .filter(|r| r.get("verdict").is_some())
        .filter_map(|r| r["schema"].as_str())
        .collect();
    assert_eq!(
        kinds,
        [
            "chaos.health/1",
            "chaos.backup/1",
            "chaos.baseline/1",
            "chaos.plan/1",
            "chaos.notification/1",
            "chaos.experiment/1",
            "chaos.verification/1",
            "chaos.report/1",
            "chaos.notification/1"
        ]
    );
    assert!(
        records
            .iter()
            .filter_map(|r| r.get("verdict"))
            .all(|verdict| verdict == "pass"),
        "{}",
        ran.show()
    );
    assert!(
        !ran.stdout().contains("hunter") && !ran.stderr().contains("hunter"),
        "a secret came out"
    );

    // The effect is real: kubectl sees other pods, as many as before.
    let experiment = ran.record("chaos.experiment/1");
    let new = cluster.kubectl(&[
        "get",
        "pods",
        "-n",
        cluster.shop(),
        "-o",
        "jsonpath={.items[*].metadata.uid}",
    ]);
    assert_eq!(old.split(' ').count(), new.split(' ').count());
    for target in experiment["data"]["targets"].as_array().expect("targets") {
        let uid = target["uid"].as_str().expect("a UID");
        assert!(
            old.contains(uid) && !new.contains(uid),
            "{uid} should be gone"
        );
    }
    for recovery in experiment["data"]["recoveries"]
        .as_array()
        .expect("recoveries")
    {
        let ms = recovery["recovery_ms"].as_f64().expect("measured");
        let bound = recovery["error_bound_ms"].as_f64().expect("bounded");
        assert!(
            ms > 100.0 && ms < 60_000.0 && bound > 0.0 && bound < ms,
            "{recovery:#}"
        );
        assert!(new.contains(recovery["replacement"]["uid"].as_str().expect("replaced")));
    }
    for (service, path) in [
        ("ecommerce-frontend-service", "/health"),
        ("ecommerce-frontend-service", "/api/products"),
        ("ecommerce-backend-service", "/health"),
    ] {
        let seen = experiment["data"]["availability"].as_array();
        let is_this = |one: &Value| one["service"] == service && one["path"] == path;
        assert!(
            seen.is_some_and(|seen| seen.iter().any(is_this)),
            "{service}{path} is not in {seen:?}"
        );
    }
    assert_eq!(
        check(&experiment, "pod-failure.effect", "")["status"],
        "pass"
    );
    assert_eq!(
        cluster.kubectl(&[
            "get",
            "leases",
            "-n",
            cluster.shop(),
            "-l",
            "chaos-runbook/run",
            "-o",
            "name"
        ]),
        ""
    );

    report_is_whole(&ran);
    everybody_heard(&receivers);
}

/// The report has no placeholder left and the runbook's own greps find what they look for.
fn report_is_whole(ran: &Ran) {
    let report = ran.record("chaos.report/1");
    let location = report["data"]["location"].as_str().expect("a location");
    let text = std::fs::read_to_string(location).expect("the report is there");
    for heading in [
        "## Experiment Details",
        "## Experiment Execution",
        "## State Before and After",
        "## Lessons Learned",
        "## Next Steps",
    ] {
        assert!(text.contains(heading), "no {heading} in\n{text}");
    }
    for word in ["Status:", "Duration:", "Issues:"] {
        assert!(
            text.lines().any(|line| line.contains(word)),
            "grep {word} finds nothing in\n{text}"
        );
    }
    let placeholder = text.split('[').skip(1).find(|rest| {
        rest.split(']').next().is_some_and(|word| {
            word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        })
    });
    assert_eq!(placeholder, None, "{text}");
    let stream = report["data"]["stream"].as_str().expect("a stream");
    let stream = std::fs::read_to_string(stream).expect("the stream is there");
    assert!(
        ran.stdout().starts_with(&stream),
        "the archived stream is not the one that came in"
    );
}

fn everybody_heard(receivers: &Receivers) {
    let mails = receivers.mails();
    let find = |title: &str| {
        mails
            .iter()
            .find(|mail| mail.contains(&format!("Chaos Engineering Experiment {title}")))
            .cloned()
            .unwrap_or_default()
    };
    let scheduled = find("Scheduled");
    assert!(
        scheduled.contains("+1-555-0126") && scheduled.contains("pod-failure"),
        "{mails:#?}"
    );
    // It comes from the plan, which names the pods that are hit and how long it may take.
    assert!(
        scheduled.contains("of deployment/") && !scheduled.contains("not known"),
        "{mails:#?}"
    );
    let completed = find("Completed");
    assert!(completed.contains("Status: pass"), "{mails:#?}");
    assert!(completed.contains("In-Reply-To: <"), "{mails:#?}");
    let hooks = receivers.hooks();
    let bodies: Vec<String> = hooks.iter().map(Value::to_string).collect();
    assert!(
        bodies
            .iter()
            .any(|body| body.contains("/slack/")
                && body.contains("Experiment Scheduled: pod-failure")),
        "{bodies:#?}"
    );
    assert!(
        bodies
            .iter()
            .any(|body| body.contains("/status/") && body.contains("maintenance")),
        "{bodies:#?}"
    );
    assert!(
        bodies
            .iter()
            .any(|body| body.contains("/status/") && body.contains("operational")),
        "{bodies:#?}"
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_sick_system_is_not_hurt_and_the_report_says_refused() {
    let (cluster, place) = prepared();
    let receivers = Receivers::start(&cluster);
    cluster.kubectl(&[
        "scale",
        "deployment/grafana-deployment",
        "-n",
        cluster.monitoring(),
        "--replicas=0",
    ]);
    let mark = cluster.mark();
    let ran = experiment(&place);
    let writes = cluster.writes_since(mark);
    cluster.kubectl(&[
        "scale",
        "deployment/grafana-deployment",
        "-n",
        cluster.monitoring(),
        "--replicas=1",
    ]);
    let ran = ran.exits(1);
    assert_eq!(
        ran.record("chaos.experiment/1")["data"]["outcome"],
        "refused",
        "{}",
        ran.show()
    );
    assert_eq!(
        ran.record("chaos.report/1")["data"]["status"],
        "refused",
        "{}",
        ran.show()
    );
    assert_eq!(writes, Vec::<String>::new());
    // A refused run is told to nobody, and the status page is left alone.
    let (mails, hooks) = (receivers.mails(), receivers.hooks());
    assert!(
        mails.is_empty() && hooks.is_empty(),
        "{mails:#?} {hooks:#?}"
    );
    cluster.whole();
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_damaged_backup_and_lost_rows_are_found() {
    let (cluster, place) = prepared();
    let dump = cluster.place.path().join("backup/database/latest.dump");
    let bytes = std::fs::read(&dump).expect("the backup is there");
    std::fs::write(&dump, &bytes[..bytes.len() - 1]).expect("it can be written");
    let ran = place.shell("chaos-health | chaos-backup-check").exits(1);
    assert!(
        ran.stdout().contains("\"verdict\":\"fail\""),
        "{}",
        ran.show()
    );
    std::fs::write(&dump, bytes).expect("it can be written");
    in_time(|| place.shell("chaos-health | chaos-backup-check")).exits(0);

    let sql = |text: &str| {
        cluster.kubectl(&[
            "exec",
            "-n",
            cluster.shop(),
            "deployment/ecommerce-database-deployment",
            "--",
            "psql",
            "-qAtc",
            text,
        ])
    };
    let pipeline = "chaos-health | chaos-backup-check | chaos-verify baseline";
    let before = in_time(|| place.shell(pipeline)).exits(0).stdout();
    sql(
        "CREATE TABLE aside AS SELECT * FROM orders ORDER BY id DESC LIMIT 3; DELETE FROM orders WHERE id IN (SELECT id FROM aside)",
    );
    let ran = place.fed("chaos-verify", &[], &before);
    sql("INSERT INTO orders SELECT * FROM aside; DROP TABLE aside");
    let ran = ran.exits(1);
    let record = ran.record("chaos.verification/1");
    let lost = record["data"]["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .any(|check| {
            check["status"] == "fail"
                && check["message"].as_str().is_some_and(|m| m.contains('3'))
                && check.to_string().contains("orders")
        });
    assert!(lost, "{}", ran.show());
}

#[test]
#[ignore = "needs the cluster: make test"]
fn the_months_report_counts_the_archive_and_is_mailed() {
    let (cluster, place) = prepared();
    let receivers = Receivers::start(&cluster);
    let ran = in_time(|| {
        cluster.whole();
        // Only the last one counts, and the first time there is nothing.
        let _ = std::fs::remove_dir_all(cluster.place.path().join("reports"));
        experiment(&place)
    })
    .exits(0);
    // The month of the run: on the first of a month, the report is on the one before.
    let run = ran.record("chaos.experiment/1");
    let month = &run["data"]["started"].as_str().expect("a time")[.."2026-12".len()];
    let script = repository().join("scripts/monthly.sh");
    let ran = place
        .shell(&format!("{} --month {month}", script.display()))
        .exits(0);
    let report = ran.record("chaos.report/1");
    assert_eq!(report["data"]["form"], "monthly");
    let text = std::fs::read_to_string(report["data"]["location"].as_str().expect("a location"))
        .expect("it is there");
    assert!(text.contains("**Total Experiments**: 1"), "{text}");
    assert!(text.contains("**Success Rate**: 100"), "{text}");
    assert!(
        receivers
            .mails()
            .iter()
            .any(|mail| mail.contains("Subject: Chaos Engineering Monthly Report"))
    );
}
