//! `chaos-backup-check` beside the live database and the live configuration of a cluster.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use chaos_tests::cluster::{Cluster, OwnNamespace, kubectl_command};
use chaos_tests::run::Place;
use serde_json::Value;

use crate::drills::{fixture, status};

/// The namespace that these tests put things into.
const OWN: &str = "chaos-test-backup";

/// A port on this machine that leads to the live database, for as long as this lives.
struct Forward {
    child: Child,
    port: u16,
    /// It tells of every connection, and ends when nobody listens.
    _talk: BufReader<ChildStdout>,
}

impl Forward {
    fn to_database(cluster: &Cluster) -> Forward {
        let mut child = kubectl_command()
            .arg("--kubeconfig")
            .arg(cluster.state().join("admin.kubeconfig"))
            .args([
                "port-forward",
                "-n",
                cluster.shop(),
                "deployment/ecommerce-database-deployment",
                ":5432",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl was built");
        let mut line = String::new();
        let mut talk = BufReader::new(child.stdout.take().expect("piped"));
        talk.read_line(&mut line).expect("it says its port");
        let port = line
            .split("127.0.0.1:")
            .nth(1)
            .and_then(|rest| rest.split(' ').next()?.parse().ok());
        Forward {
            child,
            port: port.unwrap_or_else(|| panic!("no port in {line:?}")),
            _talk: talk,
        }
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs the cluster: make test"]
fn the_live_database_is_refused_by_what_it_is() {
    let cluster = Cluster::with_shop();
    cluster.whole();
    let databases = || {
        cluster.kubectl(&[
            "exec",
            "-n",
            cluster.shop(),
            "deployment/ecommerce-database-deployment",
            "--",
            "psql",
            "-XAtqc",
            "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database",
        ])
    };
    let before = databases();
    let forward = Forward::to_database(&cluster);
    let secret = |key: &str| {
        let path = format!("jsonpath={{.data.{key}}}");
        let text = cluster.kubectl(&[
            "get",
            "secret",
            "-n",
            cluster.shop(),
            "ecommerce-database-credentials",
            "-o",
            &path,
        ]);
        let place = cluster.place.shell(&format!("echo {text} | base64 -d"));
        place.stdout()
    };
    let url = format!(
        "postgres://{}:{}@127.0.0.1:{}/ecommerce",
        secret("username"),
        secret("password"),
        forward.port
    );
    let mut place = Place::new().env("KUBECONFIG", cluster.state().join("admin.kubeconfig"));
    place = place.env("SCRATCH", &url);
    fs::write(place.path().join("db.dump"), fixture("pgdump/gzip.dump")).expect("written");
    let shop = cluster.shop();
    let config = |database: &str| {
        let text = format!(
            "[application]\nnamespace = '{shop}'\n[[backup]]\nname = 'db'\nkind = 'postgres'\npath = 'db.dump'\n[drill]\nurl = {{ env = 'SCRATCH' }}\n{database}"
        );
        place.file("chaos.toml", &text);
    };
    config("[database]\ndeployment = 'ecommerce-database-deployment'\nname = 'ecommerce'\n");
    let ran = place.tool("chaos-backup-check", &["drill"]).exits(4);
    let (found, message) = status(&ran.record("chaos.backup/1"), "drill.restored", "db.dump");
    assert!(
        found == "unknown" && message.contains("is the live database"),
        "{}",
        ran.show()
    );
    assert!(
        !ran.show().contains(&secret("password")),
        "no password: {}",
        ran.show()
    );
    // What can't be told from the live database is refused as well.
    config("");
    let ran = place.tool("chaos-backup-check", &["drill"]).exits(4);
    assert!(
        status(&ran.record("chaos.backup/1"), "drill.restored", "db.dump")
            .1
            .contains("cannot be told"),
        "{}",
        ran.show()
    );
    assert_eq!(databases(), before, "the live database was touched");
}

#[test]
#[ignore = "needs the cluster: make test"]
fn configuration_is_exported_held_against_the_cluster_and_applied_for_a_trial() {
    let cluster = Cluster::new();
    let _own = OwnNamespace::new(&cluster, OWN);
    cluster.apply(&format!(
        r##"{{"apiVersion":"v1","kind":"List","items":[
          {{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"odd","namespace":"{OWN}","labels":{{"on":"yes","v":"1.0"}}}},
            "data":{{"a":"yes","b":"0x1f","c":"1e3","d":"~","e":"","f":" lead","g":"trail ","h":"a\nb\n\n","i":"\ttab","j":"\u0085\u2028","k":"it's \"so\" \\ %",
              "l":"012","m":"2026-11-22","n":"- x\n- y","o":"# none","p":"a: b","q":"\u00e9\ud83d\ude00","r":"\r\n","s":"---\n","null":"null","y":"n"}},
            "binaryData":{{"bin":"//79AAE="}}}},
          {{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"hidden","namespace":"{OWN}"}},"stringData":{{"password":"hunter2hunter2"}}}}]}}"##
    ));
    let place = Place::new().env("KUBECONFIG", cluster.state().join("admin.kubeconfig"));
    fs::create_dir(place.path().join("conf")).expect("made");
    let backup = |name: &str| {
        format!(
            "[[backup]]\nname = '{name}'\nkind = 'kubernetes'\npath = 'conf/{name}.yaml'\nresources = ['{name}']\n"
        )
    };
    let config = format!(
        "[application]\nnamespace = '{OWN}'\n{}{}[drill]\n",
        backup("configmaps"),
        backup("secrets")
    );
    place.file("chaos.toml", &config);
    place.tool("chaos-backup-check", &["export"]).exits(0);
    let mode = |name: &str| {
        let metadata = fs::metadata(place.path().join(name)).expect("there");
        std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
    };
    assert_eq!(
        (mode("conf/secrets.yaml"), mode("conf/configmaps.yaml")),
        (0o600, 0o644)
    );

    // kubectl reads in it what the cluster has.
    let read = |args: &[&str]| serde_json::from_str::<Value>(&cluster.kubectl(args)).expect("JSON");
    let file = place
        .path()
        .join("conf/configmaps.yaml")
        .display()
        .to_string();
    let kept = read(&["create", "--dry-run=client", "-o", "json", "-f", &file]);
    let live = read(&["get", "configmap", "odd", "-n", OWN, "-o", "json"]);
    for part in ["data", "binaryData"] {
        assert_eq!(kept[part], live[part], "{part}");
    }
    assert_eq!(kept["metadata"]["labels"], live["metadata"]["labels"]);
    assert!(
        kept["metadata"].get("uid").is_none() && kept["metadata"].get("resourceVersion").is_none(),
        "{kept}"
    );

    let ran = place.tool("chaos-backup-check", &["drill"]).exits(0);
    let (found, message) = status(
        &ran.record("chaos.backup/1"),
        "drill.restored",
        "conf/secrets.yaml",
    );
    assert!(
        found == "pass" && message.contains("1 object, each accepted"),
        "{}",
        ran.show()
    );
    let ran = place.tool("chaos-backup-check", &[]).exits(0);
    let record = ran.record("chaos.backup/1");
    for name in ["conf/configmaps.yaml", "conf/secrets.yaml"] {
        for id in ["backup.live", "backup.restorable", "backup.restore_tested"] {
            assert_eq!(
                status(&record, id, name).0,
                "pass",
                "{id} {name} {}",
                ran.show()
            );
        }
    }

    // A change after the backup is a warning, one that the backup should have had is a fault.
    cluster.kubectl(&[
        "patch",
        "secret",
        "hidden",
        "-n",
        OWN,
        "-p",
        r#"{"stringData":{"password":"hunter3hunter3","more":"x"}}"#,
    ]);
    let ran = place.tool("chaos-backup-check", &[]).exits(0);
    let (found, message) = status(
        &ran.record("chaos.backup/1"),
        "backup.live",
        "conf/secrets.yaml",
    );
    assert!(
        found == "warn" && message.contains("key \"password\" changed"),
        "{}",
        ran.show()
    );
    place
        .shell("touch -d '+90 seconds' conf/secrets.yaml")
        .exits(0);
    let ran = place.tool("chaos-backup-check", &[]).exits(1);
    let (found, message) = status(
        &ran.record("chaos.backup/1"),
        "backup.live",
        "conf/secrets.yaml",
    );
    assert!(
        found == "fail" && message.contains("has not changed since"),
        "{}",
        ran.show()
    );
    assert!(
        !ran.show().contains("hunter") && !ran.show().contains("aHVudGVy"),
        "no value: {}",
        ran.show()
    );

    // What the runbook's own command writes conflicts when it is applied; a namespace without any
    // keeps the old backup.
    let runbook = cluster.kubectl(&["get", "configmaps", "-n", OWN, "-o", "yaml"]);
    fs::write(
        place.path().join("conf/configmaps.yaml"),
        format!("{runbook}\n"),
    )
    .expect("written");
    let ran = place.tool("chaos-backup-check", &[]);
    let (found, message) = status(
        &ran.record("chaos.backup/1"),
        "backup.restorable",
        "conf/configmaps.yaml",
    );
    assert!(
        found == "warn" && message.contains("resourceVersion in 2"),
        "{}",
        ran.show()
    );
    let before = fs::read(place.path().join("conf/secrets.yaml")).expect("there");
    let ran = place
        .tool(
            "chaos-backup-check",
            &["export", "secrets", "-n", "no-such-namespace"],
        )
        .exits(1);
    assert!(
        status(
            &ran.record("chaos.backup/1"),
            "backup.exported",
            "conf/secrets.yaml"
        )
        .1
        .contains("nothing was written")
    );
    assert_eq!(
        fs::read(place.path().join("conf/secrets.yaml")).expect("there"),
        before
    );

    // Who may not list Secrets can't tell, and is told why.
    let nobody = cluster.as_user("nobody");
    let ran = place
        .tool("chaos-backup-check", &["--kubeconfig", &nobody])
        .exits(3);
    assert_eq!(
        status(
            &ran.record("chaos.backup/1"),
            "backup.live",
            "conf/secrets.yaml"
        )
        .0,
        "unknown",
        "{}",
        ran.show()
    );

    // An object that the API server would not take.
    let bad = fs::read_to_string(place.path().join("conf/configmaps.yaml"))
        .expect("there")
        .replace("name: odd", "name: Odd_Name");
    fs::write(place.path().join("conf/configmaps.yaml"), bad).expect("written");
    let ran = place
        .tool("chaos-backup-check", &["drill", "configmaps"])
        .exits(1);
    assert!(
        status(
            &ran.record("chaos.backup/1"),
            "drill.restored",
            "conf/configmaps.yaml"
        )
        .1
        .contains("ConfigMap Odd_Name"),
        "{}",
        ran.show()
    );
}
