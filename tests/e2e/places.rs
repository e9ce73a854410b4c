//! `chaos-backup-check` with backups in pods.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use chaos_tests::cluster::{Cluster, OwnNamespace, repository};
use chaos_tests::run::{Place, Ran, until};
use serde_json::{Value, json};

use crate::drills::{fixture, found};
use crate::postgres::Dumps;

/// A Deployment with backups in its pod.
struct Store<'c> {
    cluster: &'c Cluster,
    place: Place,
    own: OwnNamespace<'c>,
}

impl Store<'_> {
    /// In a namespace of its own: one that is on its way out takes what comes late along.
    fn new<'c>(cluster: &'c Cluster, name: &'static str) -> Store<'c> {
        let own = OwnNamespace::new(cluster, name);
        let labels = json!({"app": "store"});
        let pod = |name: &str, image: &str, command: Value| json!({"name": name, "image": image, "command": command, "imagePullPolicy": "IfNotPresent"});
        let containers = [
            pod("bare", "chaos.test/pause:1", json!(["/pause"])),
            pod(
                "store",
                "chaos.test/shop:1",
                json!(["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"]),
            ),
        ];
        cluster.apply(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "store", "namespace": name},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"containers": containers, "terminationGracePeriodSeconds": 1}}},
        }).to_string());
        cluster.kubectl(&[
            "rollout",
            "status",
            "deployment/store",
            "-n",
            name,
            "--timeout=240s",
        ]);
        let place = Place::new().env("KUBECONFIG", cluster.state().join("admin.kubeconfig"));
        let store = Store {
            cluster,
            place,
            own,
        };
        store.shell("mkdir -p /backup/db");
        store
    }

    fn shell(&self, line: &str) -> String {
        self.cluster.kubectl(&[
            "exec",
            "-n",
            self.own.name,
            "deployment/store",
            "-c",
            "store",
            "--",
            "sh",
            "-c",
            line,
        ])
    }

    /// Copies a folder's files into one of the pod.
    fn copy(&self, from: &std::path::Path, to: &str) {
        let tar = self.place.path().join("copy.tar");
        let packed = Command::new("tar")
            .arg("-cf")
            .arg(&tar)
            .arg("-C")
            .arg(from)
            .arg(".")
            .status()
            .expect("tar is there");
        assert!(packed.success());
        self.shell(&format!("mkdir -p {to}"));
        let into = [
            "exec",
            "-i",
            "-n",
            self.own.name,
            "deployment/store",
            "-c",
            "store",
            "--",
            "tar",
            "-xf",
            "-",
            "-C",
            to,
        ];
        self.cluster.kubectl_fed(&tar, &into);
    }

    fn config(&self, backup: &str) {
        let text = format!(
            "[application]\nnamespace = '{}'\n[[backup]]\nname = 'x'\npod = 'deployment/store'\ncontainer = 'store'\n{backup}",
            self.own.name
        );
        self.place.file("chaos.toml", &text);
    }

    #[track_caller]
    fn checked(&self, code: i32) -> Ran {
        self.place.tool("chaos-backup-check", &[]).exits(code)
    }

    /// A `cat` for the pod, in the place of the real one.
    fn cat(&self, script: &str) {
        self.shell(&format!(
            "printf '%s\\n' '#!/bin/sh' '{script}' >/usr/local/bin/cat && chmod 755 /usr/local/bin/cat"
        ));
    }
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_backup_in_a_pod_is_read_through_exec() {
    let cluster = Cluster::new();
    let store = Store::new(&cluster, "chaos-test-store-read");
    let folder = store.place.path().join("copy");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("shop-2.dump"), fixture("pgdump/gzip.dump")).expect("written");
    fs::write(folder.join("shop-1.dump"), vec![b'x'; 60_000]).expect("written");
    store.copy(&folder, "/backup/db");
    store.shell("cd /backup/db; touch shop-2.dump; touch -d '2 days ago' shop-1.dump; ln -s shop-2.dump latest.dump; ln -s none dangling; ln -s loop loop; mkfifo fifo; mkdir folder; : >empty");
    let db = "kind = 'postgres'\npath = '/backup/db/latest.dump'\n[drill]\nevidence = 'drills'\n";
    store.config(db);
    let record = store.checked(3).record("chaos.backup/1");
    let item = &record["data"]["items"][0];
    assert_eq!(
        (&item["path"], &item["resolved"]),
        (
            &"deployment/store:/backup/db/latest.dump".into(),
            &"/backup/db/shop-2.dump".into()
        )
    );
    assert_eq!(item["contents"]["tables"].as_array().map(Vec::len), Some(7));
    for id in [
        "backup.present",
        "backup.complete",
        "backup.fresh",
        "backup.restorable",
    ] {
        assert_eq!(found(&record, id).0, "pass", "{record:#}");
    }
    assert_eq!(
        found(&record, "backup.size").0,
        "warn",
        "it is smaller than the one before"
    );
    let drilled = store
        .place
        .tool("chaos-backup-check", &["drill"])
        .exits(0)
        .record("chaos.backup/1");
    assert_eq!(found(&drilled, "drill.rows").0, "pass", "{drilled:#}");
    assert_eq!(
        found(
            &store.checked(0).record("chaos.backup/1"),
            "backup.restore_tested"
        )
        .0,
        "pass"
    );

    // A manifest that was copied with it.
    let dump = fixture("pgdump/gzip.dump");
    fs::write(store.place.path().join("shop-2.dump"), dump).expect("written");
    store
        .place
        .tool("chaos-backup-check", &["seal", "shop-2.dump"])
        .exits(0);
    let sealed = store.place.path().join("sealed");
    fs::create_dir(&sealed).expect("made");
    fs::rename(
        store.place.path().join("shop-2.dump.manifest.json"),
        sealed.join("shop-2.dump.manifest.json"),
    )
    .expect("ours");
    store.copy(&sealed, "/backup/db");
    assert_eq!(
        found(&store.checked(0).record("chaos.backup/1"), "backup.sealed").0,
        "pass"
    );
    store
        .place
        .tool("chaos-backup-check", &["seal", "x"])
        .exits(2)
        .says("nothing is written into pods");

    // Old by its own time.
    store.shell("rm /backup/db/*.json; touch -d '25 hours ago' /backup/db/shop-2.dump");
    assert_eq!(
        found(&store.checked(1).record("chaos.backup/1"), "backup.fresh").0,
        "fail"
    );

    // What is no file, by name.
    for (name, word) in [
        ("absent", "does not exist"),
        ("dangling", "to none that leads nowhere"),
        ("loop", "cannot be followed"),
        ("fifo", "a FIFO"),
        ("folder", "has nothing in it, and no backup"),
        ("latest.dump/x", "does not exist"),
    ] {
        store.config(&format!("kind = 'tar'\npath = '/backup/db/{name}'\n"));
        let (status, message) = found(&store.checked(1).record("chaos.backup/1"), "backup.present");
        assert!(
            status == "fail" && message.contains(word),
            "{name}: {status} {message}"
        );
    }
    store.config("kind = 'tar'\npath = '/backup/db/empty'\n");
    assert!(
        found(
            &store.checked(1).record("chaos.backup/1"),
            "backup.complete"
        )
        .1
        .contains("empty")
    );

    // One that still grows.
    store.shell(
        "cd /backup/db; (while :; do echo more >>shop-2.dump; sleep 0.2; done) >/dev/null 2>&1 & echo $! >/tmp/growing",
    );
    store.config(db);
    let (status, message) = found(
        &store.checked(3).record("chaos.backup/1"),
        "backup.complete",
    );
    store.shell("kill $(cat /tmp/growing)");
    assert!(
        status == "unknown" && message.contains("still being written"),
        "{message}"
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_dump_in_directory_format_in_a_pod() {
    let cluster = Cluster::new();
    let store = Store::new(&cluster, "chaos-test-store-folder");
    let dumps = Dumps::new(&store.place);
    store.copy(&dumps.path("folder"), "/backup/folder");
    store.config("kind = 'postgres'\npath = '/backup/folder'\n[drill]\nevidence = 'drills'\n");
    let drilled = store
        .place
        .tool("chaos-backup-check", &["drill"])
        .exits(0)
        .record("chaos.backup/1");
    assert_eq!(found(&drilled, "drill.rows").0, "pass", "{drilled:#}");
    let record = store.checked(0).record("chaos.backup/1");
    assert_eq!(
        found(&record, "backup.restore_tested").0,
        "pass",
        "{record:#}"
    );
    // The same as on this machine.
    let here = Place::new();
    here.file(
        "chaos.toml",
        &format!(
            "[application]\nnamespace = 'x'\n[[backup]]\nname = 'x'\nkind = 'postgres'\npath = '{}'\n",
            dumps.path("folder").display()
        ),
    );
    let local = here
        .tool("chaos-backup-check", &[])
        .record("chaos.backup/1");
    assert_eq!(
        local["data"]["items"][0]["blake3"],
        record["data"]["items"][0]["blake3"]
    );
    // A file of it is gone.
    store.shell("cd /backup/folder; rm $(ls | grep '^[0-9]' | head -n 1)");
    let (status, message) = found(
        &store.checked(1).record("chaos.backup/1"),
        "backup.complete",
    );
    assert!(
        status == "fail" && message.contains("is missing"),
        "{message}"
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_stream_from_a_pod_that_is_cut_is_never_whole() {
    let cluster = Cluster::new();
    let store = Store::new(&cluster, "chaos-test-store-cut");
    // Of its end, which is zeros, tar minds only the first two blocks: the cut shows in nothing
    // that is read.
    store.shell("cd /backup; head -c 3000000 /dev/urandom >data; tar -cf app.tar data; ls -l app.tar; wc -c <app.tar");
    store.config("kind = 'tar'\npath = '/backup/app.tar'\n");
    store.checked(0);
    for (script, word) in [
        ("head -c 1000000 \"$2\"; exit 1", "ended with status 1"),
        ("head -c 1000000 \"$2\"; kill -9 $$", "137"),
        ("head -c 1000000 \"$2\"", "gave 1000000 bytes"),
        ("head -c -512 \"$2\"", "bytes of a file of"),
    ] {
        store.cat(script);
        let (status, message) = found(
            &store.checked(3).record("chaos.backup/1"),
            "backup.complete",
        );
        assert!(
            status == "unknown" && message.contains(word),
            "{script}: {status} {message}"
        );
    }
    // The pod goes away in the middle.
    store.cat("head -c 1000000 \"$2\"; sleep 600");
    let mut command = store.place.command("chaos-backup-check");
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    until("its cat", || {
        store.shell("ps ax").contains("sleep 600").then_some(())
    });
    cluster.kubectl(&[
        "delete",
        "pods",
        "-n",
        store.own.name,
        "-l",
        "app=store",
        "--force",
        "--grace-period=0",
    ]);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let record: Value =
        serde_json::from_str(said.lines().last().unwrap_or_default()).expect("a record");
    assert_eq!(
        (
            output.status.code(),
            found(&record, "backup.complete").0.as_str()
        ),
        (Some(3), "unknown"),
        "{said}"
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn what_keeps_a_pod_from_being_asked_is_named() {
    let cluster = Cluster::new();
    let store = Store::new(&cluster, "chaos-test-store-asked");
    store.shell("cd /backup; tar -cf app.tar db");
    let backup = "kind = 'tar'\npath = '/backup/app.tar'\n";
    store.config(backup);
    let text = fs::read_to_string(store.place.path().join("chaos.toml")).expect("there");
    let told = |change: (&str, &str), args: &[&str], word: &str| {
        store
            .place
            .file("chaos.toml", &text.replace(change.0, change.1));
        let ran = store.place.tool("chaos-backup-check", args).exits(3);
        let (status, message) = found(&ran.record("chaos.backup/1"), "backup.present");
        assert!(
            status == "unknown" && ran.stdout().contains(word),
            "{message} {}",
            ran.show()
        );
    };
    told(("deployment/store", "deployment/none"), &[], "named right");
    told(("deployment/store", "pod/none"), &[], "named right");
    told(
        ("container = 'store'", "container = 'bare'"),
        &[],
        "the container needs stat",
    );
    told(
        ("", ""),
        &["--kubeconfig", &cluster.as_user("nobody")],
        "get and create on pods/exec",
    );
    store
        .place
        .file("chaos.toml", &text.replace("deployment/store", "store"));
    store
        .place
        .tool("chaos-backup-check", &[])
        .exits(2)
        .says("deployment/NAME");

    // The least that it takes.
    let rules = json!([
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
        {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create", "get"]},
    ]);
    let (role, binding) = (
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader", "namespace": store.own.name}, "rules": rules}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "reader", "namespace": store.own.name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "reader"}]}),
    );
    cluster
        .apply(&json!({"apiVersion": "v1", "kind": "List", "items": [role, binding]}).to_string());
    store.config("kind = 'tar'\npath = '/backup/app.tar'\nlive = false\n");
    let ran = store.place.tool(
        "chaos-backup-check",
        &["--kubeconfig", &cluster.as_user("reader")],
    );
    assert_eq!(
        found(&ran.record("chaos.backup/1"), "backup.present").0,
        "pass",
        "{}",
        ran.show()
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_folder_in_a_pod_is_the_newest_backup_in_it() {
    let cluster = Cluster::new();
    let store = Store::new(&cluster, "chaos-test-store-newest");
    let fixtures = repository().join("tools/chaos-backup-check/tests/fixtures/pgdump");
    let folder = store.place.path().join("copy");
    fs::create_dir(&folder).expect("made");
    for (fixture, name) in [("gzip.dump", "shop-1.dump"), ("none.dump", "shop-2.dump")] {
        fs::copy(fixtures.join(fixture), folder.join(name)).expect("copied");
    }
    store.copy(&folder, "/backup/db");
    store.copy(&fixtures.join("blobs-gzip.folder"), "/backup/db/today");
    store.shell(
        "cd /backup/db; touch -d '3 hours ago' shop-1.dump; touch -d '2 hours ago' shop-2.dump; \
         touch -d '1 hour ago' today/* today; echo x >shop-2.dump.sha256; ln -s shop-1.dump latest.dump; \
         ln -s nowhere dangling.dump; mkfifo fifo; mkdir empty",
    );
    for (more, newest) in [
        ("", "/backup/db/today"),
        ("include = '*.dump'", "/backup/db/shop-2.dump"),
        ("exclude = ['*-2.*', 'today']", "/backup/db/shop-1.dump"),
    ] {
        // The fixtures are old by their own headers.
        store.config(&format!(
            "kind = 'postgres'\npath = '/backup/db'\nmax_age = '3650d'\n{more}\n"
        ));
        let record = store.checked(0).record("chaos.backup/1");
        assert_eq!(record["data"]["items"][0]["resolved"], newest, "{more}");
    }
    store.config("kind = 'postgres'\npath = '/backup/db'\ninclude = 'other-*'\n");
    let (status, message) = found(&store.checked(1).record("chaos.backup/1"), "backup.present");
    assert!(
        status == "fail" && message.contains("no backup like other-*"),
        "{message}"
    );
}

/// A claim in a namespace of its own, and the folder that it holds.
fn claim(cluster: &Cluster, namespace: &str) -> std::path::PathBuf {
    let folder = cluster.state().join("volumes").join(namespace);
    // What a run that was killed left.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("db")).expect("made");
    let delete = ["delete", "pv", namespace, "--ignore-not-found"];
    cluster.kubectl(&delete);
    cluster.kubectl(&[
        "label",
        "namespace",
        namespace,
        "pod-security.kubernetes.io/enforce=restricted",
    ]);
    let common = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "chaos-claims"});
    let mut volume = common.clone();
    volume["capacity"] = json!({"storage": "1Gi"});
    volume["claimRef"] = json!({"namespace": namespace, "name": "backups"});
    volume["hostPath"] = json!({"path": folder});
    let mut claim = common;
    claim["resources"] = json!({"requests": {"storage": "1Gi"}});
    for object in [
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": namespace}, "spec": volume}),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "backups", "namespace": namespace}, "spec": claim}),
    ] {
        cluster.apply(&object.to_string());
    }
    folder
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_claim_is_read_by_a_pod_of_ours_which_is_gone_afterwards_however_it_ends() {
    const NAMESPACE: &str = "chaos-test-claims";
    let cluster = Cluster::new();
    let _own = OwnNamespace::new(&cluster, NAMESPACE);
    let folder = claim(&cluster, NAMESPACE);
    let dump = folder.join("db/shop-2.dump");
    fs::write(&dump, fixture("pgdump/gzip.dump")).expect("written");
    // As the database's own user writes it, and where its pods see it.
    std::os::unix::fs::chown(&dump, Some(999), Some(999)).expect("we are root");
    fs::set_permissions(&dump, fs::Permissions::from_mode(0o600)).expect("ours");
    std::os::unix::fs::symlink("/backup/db/shop-2.dump", folder.join("db/latest.dump"))
        .expect("made");
    let place = Place::new().env("KUBECONFIG", cluster.state().join("admin.kubeconfig"));
    let config = |claim: &str, reader: &str, more: &str| {
        let text = format!(
            "[application]\nnamespace = '{NAMESPACE}'\n[[backup]]\nname = 'x'\npod = 'claim/{claim}'\n\
             reader = {{ image = 'chaos.test/shop:1'{reader} }}\n{more}\n\
             [[backup]]\nname = 'y'\npod = 'claim/{claim}'\n\
             reader = {{ image = 'chaos.test/shop:1'{reader} }}\npath = '/backup/db/'\n"
        );
        place.file("chaos.toml", &text);
    };
    let nothing_left = || {
        let of = "app.kubernetes.io/name=chaos-reader";
        until("the end of the pod that read", || {
            let left =
                cluster.kubectl(&["get", "jobs,pods", "-n", NAMESPACE, "-o", "name", "-l", of]);
            left.is_empty().then_some(())
        });
    };
    let latest = "path = '/backup/db/latest.dump'";
    config("backups", ", user = 999", latest);
    let ran = place.tool("chaos-backup-check", &[]).exits(0);
    let record = ran.record("chaos.backup/1");
    let items = record["data"]["items"].as_array().expect("items");
    assert_eq!(items[0]["path"], "claim/backups:/backup/db/latest.dump");
    for item in items {
        assert_eq!(item["resolved"], "/backup/db/shop-2.dump", "{record:#}");
        assert_eq!(item["contents"]["tables"].as_array().map(Vec::len), Some(7));
    }
    nothing_left();
    // Nobody's user may not read it, which says nothing of the backup.
    config("backups", "", latest);
    let ran = place.tool("chaos-backup-check", &[]).exits(3);
    assert!(ran.stdout().contains("Permission denied"), "{}", ran.show());
    nothing_left();
    config("none", "", latest);
    let ran = place.tool("chaos-backup-check", &[]).exits(1);
    assert!(
        ran.stdout().contains("is in the claim none, which is not"),
        "{}",
        ran.show()
    );
    // Killed while it reads a large file.
    let large = fs::File::create(folder.join("large.tar")).expect("made");
    large.set_len(8 << 30).expect("sparse");
    config("backups", "", "path = '/backup/large.tar'\nkind = 'tar'");
    let mut child = place
        .command("chaos-backup-check")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let deadline = ["-o", "jsonpath={.items[*].spec.activeDeadlineSeconds}"];
    until("the pod is held", || {
        let get = [&["get", "jobs", "-n", NAMESPACE][..], &deadline[..]].concat();
        (cluster.kubectl(&get) == "21600").then_some(())
    });
    child
        .kill()
        .and_then(|()| child.wait())
        .expect("it is ours");
    nothing_left();
    cluster.kubectl(&["delete", "pv", NAMESPACE, "--wait=false"]);
}
