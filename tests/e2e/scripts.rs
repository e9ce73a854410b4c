//! The runbook's scripts on a real cluster: a game day, one that is aborted in its middle, and a
//! system that failed.

use std::fs::File;
use std::process::{Child, Stdio};

use chaos_tests::cluster::{Cluster, repository};
use chaos_tests::run::{Place, Ran, in_time, until};
use serde_json::Value;

use crate::pipeline::{Receivers, prepared};
use crate::shop::{DATABASE, left, replicas};

const FRONTEND: &str = "ecommerce-frontend-deployment";

/// A line of shell in which the scripts are at hand.
fn script(place: &Place, line: &str) -> Ran {
    let scripts = repository().join("scripts");
    place.shell(&format!("PATH={}:$PATH; {line}", scripts.display()))
}

/// The outcomes of the experiments in a stream, in order.
fn outcomes(records: &[Value]) -> Vec<(String, String)> {
    let experiments = records
        .iter()
        .filter(|record| record["schema"] == "chaos.experiment/1");
    let word = |record: &Value, key: &str| record["data"][key].as_str().unwrap_or("").to_owned();
    experiments
        .map(|record| (word(record, "experiment"), word(record, "outcome")))
        .collect()
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_game_day_is_reviewed_as_one() {
    let (cluster, place) = prepared();
    let _receivers = Receivers::start(&cluster);
    let day =
        "gameday.sh pod-failure 'scale-down --workload deployment/ecommerce-backend-deployment'";
    script(&place, &day.replace(".sh", ".sh --dry-run")).exits(0);
    let ran = in_time(|| {
        cluster.whole();
        script(&place, day)
    })
    .exits(0);
    let records = ran.records();
    let completed = |name: &str| (name.to_owned(), "completed".to_owned());
    let expected = [completed("pod-failure"), completed("scale-down")];
    assert_eq!(outcomes(&records), expected, "{}", ran.show());
    let review = records.last().expect("records");
    assert_eq!(review["data"]["form"], "review", "{}", ran.show());
    let location = review["data"]["location"].as_str().expect("a location");
    let text = std::fs::read_to_string(location).expect("it is there");
    assert!(text.contains("**Total Experiments**: 2"), "{text}");
}

/// A game day that is under way, and what it has written.
struct GameDay<'a> {
    child: Child,
    place: &'a Place,
}

impl GameDay<'_> {
    fn start<'a>(place: &'a Place, experiments: &str) -> GameDay<'a> {
        let script = repository().join("scripts/gameday.sh");
        let mut command = place.command("bash");
        let line = format!("exec {} {experiments}", script.display());
        let file = |name: &str| File::create(place.path().join(name)).expect("it can be made");
        command.args(["-c", &line]).stdin(Stdio::null());
        command
            .stdout(file("day.ndjson"))
            .stderr(file("day.stderr"));
        let child = command.spawn().expect("bash is there");
        GameDay { child, place }
    }

    /// Its status, and the records that it wrote.
    fn end(mut self) -> (Option<i32>, Vec<Value>) {
        let status = self.child.wait().expect("it is ours").code();
        let text = std::fs::read_to_string(self.place.path().join("day.ndjson")).expect("there");
        let read = |line: &str| chaos_tests::strict::read(line).expect("a record");
        (status, text.lines().map(read).collect())
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.place.path().join("day.stderr")).expect("there")
    }
}

#[test]
#[ignore = "needs the cluster: make test"]
fn an_abort_in_the_middle_ends_a_game_day_with_everything_restored() {
    let (cluster, place) = prepared();
    let receivers = Receivers::start(&cluster);
    let long = "storage-failure --duration 5m";
    let day = GameDay::start(&place, &format!("'{long}' pod-failure"));
    let database = |cluster: &Cluster| replicas(cluster, cluster.shop(), DATABASE);
    until("the fault", || (database(&cluster) == "0").then_some(()));
    // What it would do is shown, and not done.
    let shown = script(&place, "abort.sh --dry-run the shop is down").exits(0);
    assert!(
        shown.stdout().contains("storage-failure"),
        "{}",
        shown.show()
    );
    assert_eq!(database(&cluster), "0", "{}", shown.show());

    let ran = script(&place, "abort.sh the shop is down").exits(0);
    assert_eq!(database(&cluster), "1", "{}", ran.show());
    assert_eq!(left(&cluster), "", "{}", ran.show());
    let said = day.said();
    let (status, records) = day.end();
    // It was aborted; and whatever else is not as before is worse than that, never better.
    assert!(matches!(status, Some(1 | 3 | 6)), "{status:?} {said}");
    let aborted = ("storage-failure".to_owned(), "aborted".to_owned());
    assert_eq!(outcomes(&records), [aborted], "nothing may follow: {said}");
    let review = records.last().expect("records");
    assert_eq!(review["data"]["form"], "review", "{review:#}");
    let mails = receivers.mails();
    let told =
        |mail: &String| mail.contains("EMERGENCY") && mail.contains("Reason: the shop is down");
    assert!(mails.iter().any(told), "{mails:#?}");
    cluster.whole();
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_failed_system_is_rolled_back_and_the_management_hears_of_it() {
    let (cluster, place) = prepared();
    let receivers = Receivers::start(&cluster);
    let deployment = format!("deployment/{FRONTEND}");
    let image = || {
        let path = "jsonpath={.spec.template.spec.containers[0].image}";
        cluster.kubectl(&["get", &deployment, "-n", cluster.shop(), "-o", path])
    };
    let good = image();
    let bad = "frontend=chaos.test/no-such-image:1";
    let set = |image| cluster.kubectl(&["set", "image", &deployment, "-n", cluster.shop(), image]);
    set(bad);
    place.tool("chaos-health", &[]).exits(1);
    let line = "critical.sh --impact 'no orders' checkout is down";
    script(&place, &line.replace(".sh", ".sh --dry-run")).exits(0);
    assert_ne!(image(), good, "a dry run changes nothing");
    assert_eq!(receivers.mails().len(), 0, "a dry run tells nobody");

    let ran = in_time(|| {
        set(bad);
        script(&place, line)
    });
    assert_eq!(image(), good, "{}", ran.show());
    let ran = ran.exits(0);
    assert_eq!(
        ran.record("chaos.health/1")["verdict"],
        "pass",
        "{}",
        ran.show()
    );
    let mails = receivers.mails();
    let told = |mail: &String| {
        mail.contains("management@company.com")
            && ["checkout is down", "no orders"]
                .iter()
                .all(|words| mail.contains(words))
    };
    assert!(mails.iter().any(told), "{mails:#?}");
    cluster.whole();
}
