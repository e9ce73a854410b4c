//! The manifests of scripts/kubernetes on a real cluster: they are taken without a complaint, and
//! every CronJob does its work as it stands, in restricted pods, with the rights that it has.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;

use chaos_tests::cluster::{Cluster, OwnNamespace};
use chaos_tests::manifests::{Manifests, TOOLS};
use chaos_tests::run::{bin, until};

/// Where pods of the cluster find this machine.
const HOST: &str = "10.89.0.2";
const CRON_JOBS: [&str; 4] = [
    "backup-check",
    "backup-drill",
    "experiment",
    "monthly-review",
];

/// A webhook's receiver that pods can reach; it takes everything, and gives its port.
fn receiver() -> u16 {
    fn answer(mut caller: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(caller.try_clone()?);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        reader.take(length).read_to_end(&mut Vec::new())?;
        caller.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    }
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for caller in listener.incoming().flatten() {
            thread::spawn(move || answer(caller));
        }
    });
    port
}

/// Changes of the example for a machine that is small and busy; and a host that is no pod.
fn example(name: &str, text: String, image: &str, port: u16) -> String {
    match name {
        "kustomization.yaml" => {
            let (image, tag) = image.rsplit_once(':').expect("a tag");
            text.replace("registry.example.com/chaos-runbook-scripts", image)
                .replace("registry.example.com/chaos-runbook", image)
                .replace("newTag: \"1\"", &format!("newTag: {tag:?}"))
        }
        "traffic.yaml" => {
            format!("{text}  - ports: [{{port: {port}}}]\n    to: [{{ipBlock: {{cidr: {HOST}/32}}}}]\n")
                .replace("{chaos-runbook/api: allowed}", "{}")
        }
        "chaos.toml" => {
            text.replace("postgres:17", "chaos.test/shop:1").replace(
                "[limits]\n",
                "[performance]\nallowance_ms = 2000.0\n\n[experiment]\nprobe_interval = \"300ms\"\n\
                 min_availability_percent = 30.0\nguard_percent = 20.0\nguard_window = \"60s\"\n\n[limits]\nnode_cpu_percent = 110.0\n",
            )
        }
        _ => text,
    }
}

/// Volumes for the claims, as folders of this machine that the pods may write to.
fn volumes(cluster: &Cluster) {
    for (claim, size) in [("chaos-reports", "5Gi"), ("backups", "20Gi")] {
        let folder = cluster.state().join(format!("volumes/{TOOLS}-{claim}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        if claim == "backups" {
            let made = cluster.script("backup.sh").arg(&folder).output();
            assert!(made.expect("bash is there").status.success());
        }
        open_up(&folder);
        let path = folder.display();
        let name = format!("{TOOLS}-{claim}");
        cluster.kubectl(&["delete", "persistentvolume", &name, "--ignore-not-found"]);
        cluster.apply(&format!(
            "{{apiVersion: v1, kind: PersistentVolume, metadata: {{name: {name}}}, spec: {{capacity: {{storage: {size}}},
               accessModes: [ReadWriteOnce], persistentVolumeReclaimPolicy: Retain, hostPath: {{path: '{path}'}},
               claimRef: {{namespace: {TOOLS}, name: {claim}}}}}}}"
        ));
    }
}

/// For everybody, as the pods are nobody that this machine knows.
fn open_up(folder: &Path) {
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    open(folder, 0o777);
    for entry in std::fs::read_dir(folder).expect("readable").flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => open_up(&entry.path()),
            Ok(kind) if kind.is_file() => open(&entry.path(), 0o644),
            _ => {}
        }
    }
}

/// The image with all tools and scripts, in the cluster.
pub(crate) fn image(cluster: &Cluster) -> String {
    let mut script = cluster.script("tools.sh");
    let output = script
        .arg(bin())
        .arg("all")
        .output()
        .expect("bash is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs a CronJob's Job now, and gives its log if it ended well.
fn job(cluster: &Cluster, cron_job: &str) -> Result<String, String> {
    let job = format!("{cron_job}-now");
    let in_tools = |words: &[&str]| cluster.kubectl(&[words, &["-n", TOOLS]].concat());
    in_tools(&["delete", "job", &job, "--ignore-not-found"]);
    in_tools(&["create", "job", &job, &format!("--from=cronjob/{cron_job}")]);
    let conditions = "jsonpath={.status.conditions[?(@.status=='True')].type}";
    let ended = until(&format!("an end of {job}"), || {
        let now = in_tools(&["get", "job", &job, "-o", conditions]);
        ["Complete", "Failed"]
            .into_iter()
            .find(|end| now.contains(end))
    });
    let log = in_tools(&["logs", &format!("job/{job}"), "--tail=-1"]);
    if ended == "Complete" {
        Ok(log)
    } else {
        Err(log)
    }
}

#[test]
#[ignore = "needs the cluster: make test"]
fn what_is_in_the_cluster_works_as_it_stands() {
    let cluster = Cluster::with_shop();
    cluster.whole();
    let own = OwnNamespace::new(&cluster, TOOLS);
    let (image, port) = (image(&cluster), receiver());
    let manifests = Manifests::copy(&cluster, &|name, text| example(name, text, &image, port));
    roles_are_as_printed(&cluster, &manifests);
    for part in ["base", "example"] {
        let (built, said) = manifests.kubectl(&["kustomize", &manifests.folder(part)]);
        assert!(built, "{said}");
    }
    let example = manifests.folder("example");
    let namespace = format!("{}/namespace.yaml", manifests.folder("base"));
    cluster.kubectl(&["apply", "-f", &namespace]);
    let (taken, said) = manifests.kubectl(&["apply", "--dry-run=server", "-k", &example]);
    // Pod Security only warns of what it would not let in.
    assert!(taken && !said.contains("Warning"), "{said}");
    assert!(
        said.contains("cronjob.batch/experiment") && said.contains("(server dry run)"),
        "{said}"
    );
    volumes(&cluster);
    let hook = format!("--from-literal=slack-webhook=http://{HOST}:{port}/slack/T0");
    cluster.kubectl(&[
        "create",
        "secret",
        "generic",
        "chaos-secrets",
        "-n",
        TOOLS,
        &hook,
    ]);
    cluster.kubectl(&["apply", "-k", &example]);

    let watch = [
        "rollout",
        "status",
        "deployment/watch",
        "-n",
        TOOLS,
        "--timeout=240s",
    ];
    cluster.kubectl(&watch);
    until("a watcher", || {
        let leases = cluster.kubectl(&["get", "leases", "-n", cluster.shop(), "-o", "name"]);
        leases.contains("chaos-watch").then_some(())
    });
    every_cron_job_does_its_work(&cluster);
    let suspended = "jsonpath={.spec.suspend}";
    let experiment = ["get", "cronjob", "experiment", "-n", TOOLS, "-o", suspended];
    assert_eq!(
        cluster.kubectl(&experiment),
        "true",
        "nobody asked for experiments"
    );
    cluster.kubectl(&[
        "delete",
        "-k",
        &example,
        "--wait=false",
        "--ignore-not-found",
    ]);
    drop(own);
}

/// What stands in the example as printed is what is printed.
fn roles_are_as_printed(cluster: &Cluster, manifests: &Manifests<'_>) {
    let folder = manifests.folder("example");
    let config = format!("{folder}/chaos.toml");
    for (file, words, account) in [
        (
            "pod-failure.yaml",
            &["plan", "pod-failure"][..],
            "chaos-experiment",
        ),
        ("watch.yaml", &["watch"], "chaos-watch"),
    ] {
        let rbac = format!("--rbac={TOOLS}/{account}");
        let args = [words, &[&rbac, "--config", &config]].concat();
        let printed = cluster.place.tool("chaos-inject", &args).exits(0).stdout();
        let kept = std::fs::read_to_string(format!("{folder}/{file}")).expect("readable");
        let (comment, kept) = kept.split_once('\n').expect("lines");
        assert!(
            comment.starts_with("# Printed by: chaos-inject "),
            "{comment}"
        );
        assert_eq!(kept, printed, "{file} is not what {args:?} prints");
    }
}

/// Drills first: checks want their evidence. The review is of what the experiment left.
fn every_cron_job_does_its_work(cluster: &Cluster) {
    for cron_job in [
        "backup-drill",
        "backup-check",
        "experiment",
        "monthly-review",
    ] {
        assert!(CRON_JOBS.contains(&cron_job));
        let mut log = Err(String::new());
        // What this machine is too busy for can't be told, and is made again.
        for _ in 0..3 {
            if cron_job == "experiment" {
                cluster.whole();
            }
            log = job(cluster, cron_job);
            if log.is_ok() || cron_job != "experiment" {
                break;
            }
        }
        let log = log.unwrap_or_else(|log| panic!("{cron_job}: {log}"));
        println!(
            "{cron_job}:\n{}",
            log.lines()
                .filter(|line| !line.starts_with('{'))
                .collect::<Vec<_>>()
                .join("\n")
        );
        assert!(log.contains("pass: "), "{cron_job}: {log}");
    }
}
