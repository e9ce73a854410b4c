//! `chaos-backup-check` with a real cluster and a real PostgreSQL: drills, exports, backups
//! elsewhere.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use chaos_tests::cluster::{Cluster, OwnNamespace, kubectl_command, repository};
use chaos_tests::run::{Place, Ran, check, until};
use chaos_tests::schedule::Needs;
use serde_json::Value;

/// The namespace that these tests put things into.
const OWN: &str = "chaos-test-backup";

fn status(record: &Value, id: &str, object: &str) -> (String, String) {
    let found = check(record, id, object);
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message"))
}

fn fixture(name: &str) -> Vec<u8> {
    let path = repository()
        .join("tools/chaos-backup-check/tests/fixtures")
        .join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A place with one dump and a scratch folder of its own for drills.
fn dump_place(drill: &str) -> Place {
    let place = Place::needing(Needs::machine());
    let scratch = place.path().join("scratch");
    fs::create_dir(&scratch).expect("made");
    // Whoever the scratch database belongs to must get there.
    for folder in [place.path(), scratch.as_path()] {
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .expect("ours");
    }
    fs::write(place.path().join("db.dump"), fixture("pgdump/gzip.dump")).expect("written");
    place.file(
        "chaos.toml",
        &format!(
            "[application]\nnamespace = 'shop'\n[[backup]]\nname = 'db'\nkind = 'postgres'\npath = 'db.dump'\n[drill]\nevidence = 'drills'\n{drill}"
        ),
    );
    place.env("TMPDIR", scratch)
}

/// What a drill has left: folders, and processes that know them.
fn left(place: &Place) -> Vec<String> {
    let scratch = place.path().join("scratch");
    let mut left: Vec<String> = fs::read_dir(&scratch)
        .expect("there")
        .flatten()
        .map(|entry| entry.path().display().to_string())
        .collect();
    let scratch = scratch.display().to_string();
    for process in fs::read_dir("/proc").expect("Linux").flatten() {
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        // A session of PostgreSQL does not name the folder that it works in.
        let folder = fs::read_link(process.path().join("cwd")).unwrap_or_default();
        let session = command.starts_with("postgres:") && folder.starts_with(&scratch);
        if command.contains(&scratch) || session {
            left.push(command);
        }
    }
    left
}

#[track_caller]
fn nothing_left(place: &Place) {
    until("the end of all that the drill made", || {
        left(place).is_empty().then_some(())
    });
}

/// Starts a drill that does not end by itself, and waits until it is in the middle of it.
fn started(place: &Place) -> Child {
    let mut command = place.command("chaos-backup-check");
    command
        .arg("drill")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let child = command.spawn().expect("the tool starts");
    until("the drill's query", || {
        let asks = |line: &String| line.contains("chaos_drill_") && line.contains("SELECT");
        left(place).iter().any(asks).then_some(())
    });
    child
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .arg(name)
        .arg(child.id().to_string())
        .status()
        .expect("kill is there");
    assert!(sent.success());
}

#[test]
#[ignore = "needs PostgreSQL's server programs: make test"]
fn a_drill_restores_and_later_checks_want_its_evidence() {
    let place = dump_place("[[drill.query]]\nsql = 'SELECT count(*) = 100 FROM users'\n");
    let ran = place.tool("chaos-backup-check", &[]).exits(3);
    let (found, message) = status(
        &ran.record("chaos.backup/1"),
        "backup.restore_tested",
        "db.dump",
    );
    assert_eq!(
        (found.as_str(), message.as_str()),
        ("unknown", "no drill has restored it")
    );

    let ran = place.tool("chaos-backup-check", &["drill", "db"]);
    let record = ran.record("chaos.backup/1");
    assert_eq!(record["data"]["action"], "drill");
    for id in ["drill.restored", "drill.rows", "drill.evidence"] {
        assert_eq!(status(&record, id, "db.dump").0, "pass", "{}", ran.show());
    }
    assert_eq!(
        record["data"]["items"][0]["drill"]["rows"],
        395,
        "{}",
        ran.show()
    );
    nothing_left(&place);

    let ran = place.tool("chaos-backup-check", &[]).exits(0);
    let record = ran.record("chaos.backup/1");
    let (found, message) = status(&record, "backup.restore_tested", "db.dump");
    assert_eq!(found, "pass");
    assert!(
        message.starts_with("this very file was restored in "),
        "{message}"
    );
    assert_eq!(record["data"]["action"], "check");

    // A question with the wrong answer: what was proven is no more.
    place
        .shell("sed -i 's/count(.) = 100/count(*) = 6/' chaos.toml")
        .exits(0);
    let ran = place.tool("chaos-backup-check", &["drill"]).exits(1);
    assert_eq!(
        status(&ran.record("chaos.backup/1"), "drill.query", "").0,
        "fail",
        "{}",
        ran.show()
    );
    let ran = place.tool("chaos-backup-check", &[]).exits(1);
    assert_eq!(
        status(
            &ran.record("chaos.backup/1"),
            "backup.restore_tested",
            "db.dump"
        )
        .0,
        "fail",
        "{}",
        ran.show()
    );

    // Old evidence proves nothing.
    place
        .shell("sed -i 's/count(.) = 6/count(*) = 100/' chaos.toml")
        .exits(0);
    place.tool("chaos-backup-check", &["drill"]).exits(0);
    place
        .shell("sed -i 's/\"time\":\"2[0-9]*/\"time\":\"2020/' drills/*.json")
        .exits(0);
    let ran = place.tool("chaos-backup-check", &[]).exits(1);
    let (found, message) = status(
        &ran.record("chaos.backup/1"),
        "backup.restore_tested",
        "db.dump",
    );
    assert!(
        found == "fail" && message.contains("is the limit"),
        "{}",
        ran.show()
    );
    place
        .tool("chaos-backup-check", &["drill", "no-such"])
        .exits(2)
        .says("no backup is called");
}

#[test]
#[ignore = "needs PostgreSQL's server programs: make test"]
fn nothing_is_left_of_a_drill_that_is_stopped() {
    let place = dump_place("[[drill.query]]\nsql = 'SELECT pg_sleep(600) IS NULL'\n");
    for (name, code) in [("-TERM", Some(6)), ("-KILL", None)] {
        let mut child = started(&place);
        signal(&child, name);
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), code, "{name}");
        nothing_left(&place);
        assert!(
            !place.path().join("drills").exists(),
            "a drill that was stopped proves nothing"
        );
    }
    let ran = place
        .tool("chaos-backup-check", &["drill", "--deadline", "8s"])
        .exits(3);
    assert!(
        status(&ran.record("chaos.backup/1"), "drill.restored", "db.dump")
            .1
            .contains("not finished in 8s")
    );
    nothing_left(&place);
}

#[test]
#[ignore = "needs PostgreSQL's server programs: make test"]
fn what_keeps_a_drill_from_being_made_is_unknown_and_named() {
    let place = dump_place("");
    // A server that is older than the dump.
    let mut dump = fixture("pgdump/gzip.dump");
    let at = dump
        .windows(3)
        .position(|window| window == b"15.")
        .expect("the server's version is in the header");
    dump[at..at + 2].copy_from_slice(b"99");
    fs::write(place.path().join("db.dump"), &dump).expect("written");
    let ran = place.tool("chaos-backup-check", &["drill"]).exits(3);
    let (found, message) = status(&ran.record("chaos.backup/1"), "drill.restored", "db.dump");
    assert!(
        found == "unknown" && message.contains("the dump was made of 99."),
        "{}",
        ran.show()
    );
    nothing_left(&place);
    // Damage is seen before anything is restored.
    fs::write(
        place.path().join("db.dump"),
        &fixture("pgdump/gzip.dump")[..9000],
    )
    .expect("written");
    let ran = place.tool("chaos-backup-check", &["drill"]).exits(1);
    let (found, message) = status(&ran.record("chaos.backup/1"), "drill.restored", "db.dump");
    assert!(
        found == "fail" && message.contains("was not restored"),
        "{}",
        ran.show()
    );
    fs::write(place.path().join("db.dump"), fixture("pgdump/gzip.dump")).expect("written");
    assert!(
        !place.path().join("drills").exists(),
        "nothing was restored, and nothing is proven"
    );
}

#[test]
#[ignore = "needs root, to mount a small disk: make test"]
fn a_full_disk_is_unknown_and_leaves_nothing() {
    let place = dump_place("");
    let line = format!(
        "mount -t tmpfs -o size=24m,mode=1777 none {0}/scratch && chaos-backup-check drill; code=$?; find {0}/scratch -mindepth 1; exit $code",
        place.path().display()
    );
    let ran = place.run_in_own_mounts(&line).exits(3);
    let said = ran.stdout();
    let record: Value = serde_json::from_str(
        said.lines()
            .find(|line| line.contains("drill.restored"))
            .unwrap_or("{}"),
    )
    .unwrap_or_else(|error| panic!("{error}: {}", ran.show()));
    let (found, message) = status(&record, "drill.restored", "db.dump");
    assert!(
        found == "unknown" && message.contains("is full"),
        "{}",
        ran.show()
    );
    assert!(
        !said.lines().any(|line| line.starts_with('/')),
        "it left files: {}",
        ran.show()
    );
}

trait OwnMounts {
    fn run_in_own_mounts(&self, line: &str) -> Ran;
}

impl OwnMounts for Place {
    fn run_in_own_mounts(&self, line: &str) -> Ran {
        self.file("line.sh", line);
        self.shell("unshare -m bash line.sh </dev/null")
    }
}

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
