//! Drills of `chaos-backup-check` with each form of a dump, into a PostgreSQL of this machine and
//! into one in a pod.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use chaos_tests::cluster::{Cluster, OwnNamespace};
use chaos_tests::run::{Place, until};
use chaos_tests::schedule::Needs;
use serde_json::Value;

use crate::drills::found;
use crate::postgres::Dumps;

/// The namespace of drills in pods.
const OWN: &str = "chaos-test-drills";

/// A place with the configuration of one dump.
fn config(place: &Place, path: &str, drill: &str) {
    place.file(
        "chaos.toml",
        &format!(
            "[application]\nnamespace = '{OWN}'\n[[backup]]\nname = 'db'\nkind = 'postgres'\npath = '{path}'\n[drill]\nevidence = 'drills'\n{drill}"
        ),
    );
}

fn scratch(place: Place) -> Place {
    let scratch = place.path().join("scratch");
    fs::create_dir(&scratch).expect("made");
    // Whoever the scratch database belongs to must get there.
    for folder in [place.path(), scratch.as_path()] {
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .expect("ours");
    }
    place.env("TMPDIR", scratch)
}

#[test]
#[ignore = "needs PostgreSQL's server programs: make test"]
fn every_form_of_a_dump_is_restored() {
    let place = scratch(Place::needing(Needs::machine()));
    let dumps = Dumps::new(&place);
    for (name, rows) in [
        ("custom.dump", 1002),
        ("custom.dump.gz", 1002),
        ("folder", 1002),
        ("plain.sql", 1002),
        ("plain.sql.gz", 1002),
        ("create.sql", 1002),
        ("all.sql", 1012),
    ] {
        let query = "[[drill.query]]\nsql = \"SELECT count(*) = 1000 AND min(note) LIKE E'tab\\\\there%' FROM users\"\n";
        config(&place, &dumps.path(name).display().to_string(), query);
        let text = fs::read_to_string(place.path().join("chaos.toml")).expect("there");
        place.file(
            "chaos.toml",
            &text.replace("[drill]", "database = 'shop'\n[drill]"),
        );
        let ran = place.tool("chaos-backup-check", &["drill"]).exits(0);
        let record = ran.record("chaos.backup/1");
        for id in [
            "drill.restored",
            "drill.rows",
            "drill.query",
            "drill.evidence",
        ] {
            assert_eq!(found(&record, id).0, "pass", "{name} {}", ran.show());
        }
        assert_eq!(
            record["data"]["items"][0]["drill"]["rows"],
            rows,
            "{name} {}",
            ran.show()
        );
        assert_eq!(
            found(
                &place
                    .tool("chaos-backup-check", &[])
                    .exits(0)
                    .record("chaos.backup/1"),
                "backup.restore_tested"
            )
            .0,
            "pass"
        );
        let left: Vec<_> = fs::read_dir(place.path().join("scratch"))
            .expect("there")
            .flatten()
            .collect();
        assert!(left.is_empty(), "{name} left {left:?}");
    }
}

#[test]
#[ignore = "needs PostgreSQL's server programs: make test"]
fn what_a_script_cannot_do_is_told_by_whose_fault_it_is() {
    let place = scratch(Place::needing(Needs::machine()));
    let dumps = Dumps::new(&place);
    let plain = fs::read_to_string(dumps.path("plain.sql")).expect("made");
    let drilled = |text: &str, code: i32| {
        fs::write(place.path().join("plain.sql"), text).expect("written");
        config(&place, "plain.sql", "");
        let ran = place.tool("chaos-backup-check", &["drill"]).exits(code);
        let told = found(&ran.record("chaos.backup/1"), "drill.restored");
        (told.0, told.1, ran.show())
    };
    // A constraint that its rows break.
    let broken = plain.replace(
        "ADD CONSTRAINT users_pkey PRIMARY KEY (id)",
        "ADD CONSTRAINT users_pkey CHECK (id < 0)",
    );
    assert_ne!(broken, plain);
    let (status, message, shown) = drilled(&broken, 1);
    assert!(status == "fail" && message.contains("ERROR:"), "{shown}");
    // A server that is newer than any here.
    let newer = plain.replacen(
        "-- Dumped from database version ",
        "-- Dumped from database version 9",
        1,
    );
    let (status, message, shown) = drilled(&newer, 3);
    assert!(
        status == "unknown" && message.contains("an older one cannot restore it"),
        "{shown}"
    );
    // A setting that only a newer one knows, by the server's own word.
    let setting = plain.replacen("SET statement_timeout = 0;", "SET no_such_timeout = 0;", 1);
    assert_ne!(setting, plain);
    let (status, message, shown) = drilled(&setting, 3);
    assert!(
        status == "unknown" && message.contains("newer PostgreSQL"),
        "{shown}"
    );
    // A locale that is not there.
    let all = fs::read_to_string(dumps.path("create.sql"))
        .expect("made")
        .replace("LOCALE = 'C'", "LOCALE = 'xx_XX.UTF-8'");
    let (status, message, shown) = drilled(&all, 3);
    assert!(status == "unknown" && message.contains("locale"), "{shown}");
}

#[test]
#[ignore = "needs root, to mount a small disk: make test"]
fn a_full_disk_is_unknown_whatever_the_form() {
    let place = scratch(Place::needing(Needs::machine()));
    let dumps = Dumps::new(&place);
    for name in ["folder", "plain.sql", "all.sql"] {
        config(&place, &dumps.path(name).display().to_string(), "");
        let line = format!(
            "mount -t tmpfs -o size=24m,mode=1777 none {0}/scratch && chaos-backup-check drill; code=$?; find {0}/scratch -mindepth 1; exit $code",
            place.path().display()
        );
        place.file("line.sh", &line);
        let ran = place.shell("unshare -m bash line.sh </dev/null").exits(3);
        let said = ran.stdout();
        let line = said
            .lines()
            .find(|line| line.contains("drill.restored"))
            .unwrap_or("{}");
        let record: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {}", ran.show()));
        let (status, message) = found(&record, "drill.restored");
        assert!(
            status == "unknown" && message.contains("is full"),
            "{name} {}",
            ran.show()
        );
        assert!(
            !said.lines().any(|line| line.starts_with('/')),
            "it left files: {}",
            ran.show()
        );
    }
}

const OF_DRILLS: &str = "app.kubernetes.io/managed-by=chaos-backup-check";

/// After how many seconds the cluster ends the Job of a drill.
fn deadline(cluster: &Cluster) -> String {
    let field = "jsonpath={.items[*].spec.activeDeadlineSeconds}";
    cluster.kubectl(&["get", "jobs", "-n", OWN, "-l", OF_DRILLS, "-o", field])
}

/// What is in the namespace of a drill: Jobs, and pods that are not on their way out.
fn left(cluster: &Cluster) -> String {
    let jobs = cluster.kubectl(&["get", "jobs", "-n", OWN, "-l", OF_DRILLS, "-o", "name"]);
    let pods = cluster.kubectl(&["get", "pods", "-n", OWN, "-l", OF_DRILLS, "-o", "name"]);
    format!("{jobs} {pods}").trim().to_owned()
}

#[track_caller]
fn nothing_left(cluster: &Cluster) {
    until("the end of all that the drill made", || {
        left(cluster).is_empty().then_some(())
    });
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_postgres_in_a_pod_is_made_for_a_drill_and_thrown_away_however_it_ends() {
    let cluster = Cluster::needing(Needs::cluster().long());
    let _own = OwnNamespace::new(&cluster, OWN);
    let place = Place::new().env("KUBECONFIG", cluster.state().join("admin.kubeconfig"));
    let dumps = Dumps::new(&place);
    let image = "image = 'chaos.test/shop:1'\n";
    for name in ["custom.dump", "folder", "plain.sql.gz", "all.sql"] {
        config(&place, &dumps.path(name).display().to_string(), image);
        let ran = place.tool("chaos-backup-check", &["drill"]).exits(0);
        let record = ran.record("chaos.backup/1");
        assert_eq!(
            found(&record, "drill.rows").0,
            "pass",
            "{name} {}",
            ran.show()
        );
        let into = record["data"]["items"][0]["drill"]["into"]
            .as_str()
            .unwrap_or_default();
        assert!(
            into.contains("of chaos.test/shop:1 in job/chaos-drill-"),
            "{into}"
        );
        nothing_left(&cluster);
    }
    // Stopped, and killed, in the middle of a restore that the Job allows for, whatever became of
    // the tool.
    config(
        &place,
        &dumps.path("custom.dump").display().to_string(),
        &format!("{image}[[drill.query]]\nsql = 'SELECT pg_sleep(600) IS NULL'\n"),
    );
    for (name, code) in [("-TERM", Some(6)), ("-KILL", None)] {
        let mut command = place.command("chaos-backup-check");
        let mut child = command
            .arg("drill")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        until("a pod", || left(&cluster).contains("pod/").then_some(()));
        cluster.until("the Job may last", || {
            (deadline(&cluster) == "21600").then(|| cluster.place.shell("true"))
        });
        // Time to get into the middle of it.
        std::thread::sleep(Duration::from_secs(3));
        place.shell(&format!("kill {name} {}", child.id())).exits(0);
        assert_eq!(child.wait().expect("it ends").code(), code, "{name}");
        nothing_left(&cluster);
    }
    // That its pod goes in the middle says nothing of the backup: all is made anew, once.
    config(
        &place,
        &dumps.path("custom.dump").display().to_string(),
        &format!("{image}[[drill.query]]\nsql = 'SELECT pg_sleep(8) IS NOT NULL'\n"),
    );
    let drill = std::thread::scope(|scope| {
        let drill = scope.spawn(|| place.tool("chaos-backup-check", &["drill"]));
        cluster.until("the Job may last", || {
            (deadline(&cluster) == "21600").then(|| cluster.place.shell("true"))
        });
        std::thread::sleep(Duration::from_secs(3));
        let pods = ["delete", "pods", "-n", OWN, "-l", OF_DRILLS, "--now"];
        cluster.kubectl(&pods);
        drill.join().expect("it ran")
    });
    let drill = drill.exits(0);
    let record = drill.record("chaos.backup/1");
    assert_eq!(found(&record, "drill.query").0, "pass");
    let told = found(&record, "drill.restored").1;
    assert!(told.contains("at the second try"), "{}", drill.show());
    nothing_left(&cluster);
    // What is not to be had, and who may not. Killed while it waits for that, it leaves a Job that
    // soon ends by itself.
    config(
        &place,
        &dumps.path("custom.dump").display().to_string(),
        "image = 'chaos.test/no-such-image:1'\n",
    );
    let ran = place.tool("chaos-backup-check", &["drill"]).exits(3);
    let (status, message) = found(&ran.record("chaos.backup/1"), "drill.restored");
    assert!(
        status == "unknown" && message.contains("does not run"),
        "{}",
        ran.show()
    );
    nothing_left(&cluster);
    let mut child = place
        .command("chaos-backup-check")
        .arg("drill")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    cluster.until("a Job is there", || {
        (!left(&cluster).is_empty()).then(|| cluster.place.shell("true"))
    });
    child
        .kill()
        .and_then(|()| child.wait())
        .expect("it is ours");
    assert_eq!(deadline(&cluster), "330");
    cluster.kubectl(&["delete", "jobs", "-n", OWN, "-l", OF_DRILLS]);
    nothing_left(&cluster);
    config(
        &place,
        &dumps.path("custom.dump").display().to_string(),
        image,
    );
    let nobody = cluster.as_user("nobody");
    let ran = place
        .tool("chaos-backup-check", &["drill", "--kubeconfig", &nobody])
        .exits(3);
    assert!(
        ran.stdout().contains("create, patch and delete on jobs"),
        "{}",
        ran.show()
    );
}
