//! What is handed out, on a real cluster: the tools as plugins of kubectl, and the image.

use chaos_tests::cluster::{Cluster, OwnNamespace, kubectl_command, repository};
use chaos_tests::run::{Ran, bin};
use serde_json::{Value, json};

/// The name of the image, which no registry has.
const IMAGE: &str = "chaos.test/chaos-runbook:1";

#[test]
#[ignore = "needs the cluster: make test"]
fn kubectl_takes_the_tools_for_its_own_commands() {
    let cluster = Cluster::with_shop();
    let place = &cluster.place;
    let prefix = place.path().join("prefix").display().to_string();
    let install = repository().join("scripts/install.sh");
    let kubectl = kubectl_command();
    let kubectl = kubectl.get_program().to_string_lossy();
    let run = |line: &str| -> Ran {
        place.shell(&format!(
            "export PREFIX='{prefix}' PROGRAMS='{}' PATH='{prefix}/bin':/usr/bin:/bin\n{line}",
            bin().display()
        ))
    };
    run(&install.display().to_string()).exits(0);
    run(&format!("'{kubectl}' plugin list")).prints("kubectl-chaos-backup_check");
    let namespace = cluster.shop();
    let health = run(&format!(
        "'{kubectl}' chaos health -n {namespace} -o json --skip node.usage"
    ));
    let record = health.record("chaos.health/1");
    assert_eq!(record["data"]["namespace"], namespace, "{}", health.show());
    run(&format!("'{kubectl}' chaos backup-check --version"))
        .exits(0)
        .prints("chaos-backup-check");
    run(&format!("'{kubectl}' chaos inject status -n {namespace}")).exits(0);
}

/// Makes the image of two tools of this build and gives it to the node.
fn load_image(cluster: &Cluster) {
    let place = &cluster.place;
    // What a debugger wants would make it ten times as large.
    let make = format!(
        "mkdir programs && for tool in chaos-health chaos-verify; do \
         strip -o programs/$tool '{}'/$tool || exit; done\n\
         DIST=dist PROGRAMS=programs TOOLS='chaos-health chaos-verify' IMAGE={IMAGE} \
         SOURCE_DATE_EPOCH=1 '{}'",
        bin().display(),
        repository().join("scripts/image.sh").display(),
    );
    place.shell(&make).exits(0).prints(IMAGE);
    let socket = cluster.state().join("containerd.sock");
    let import = format!(
        "ctr -a '{}' -n k8s.io images import dist/chaos-runbook-*-image.tar",
        socket.display()
    );
    place.shell(&import).exits(0);
}

/// A pod that may do nothing, not even write, and runs this.
fn pod(name: &str, command: &[&str]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            "serviceAccountName": "reader",
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": true,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": "tool", "image": IMAGE, "imagePullPolicy": "Never", "command": command,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
            }],
        },
    })
}

/// The logs of a pod that runs this, and its exit status.
fn ran(cluster: &Cluster, namespace: &str, name: &str, command: &[&str]) -> (String, i64) {
    let of = |args: &[&str]| cluster.kubectl(&[args, &["-n", namespace]].concat());
    let file = cluster
        .place
        .file("pod.json", &pod(name, command).to_string());
    of(&["apply", "-f", &file.display().to_string()]);
    let state = cluster.until("the pod has ended", || {
        let state = of(&["get", "pod", name, "-o", "json"]);
        let pod: Value = serde_json::from_str(&state).expect("a pod");
        let state = pod["status"]["containerStatuses"][0]["state"].clone();
        state.get("terminated").is_some().then_some(state)
    });
    let status = state["terminated"]["exitCode"].as_i64().expect("a number");
    (of(&["logs", name]), status)
}

#[test]
#[ignore = "needs the cluster: make test"]
fn the_image_runs_under_restricted_pod_security_and_finds_names() {
    let cluster = Cluster::new();
    load_image(&cluster);
    let own = OwnNamespace::new(&cluster, "chaos-test-image");
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    cluster.kubectl(&["label", "namespace", own.name, enforce]);
    cluster.kubectl(&["create", "serviceaccount", "reader", "-n", own.name]);
    let account = format!("--serviceaccount={}:reader", own.name);
    let binding = ["create", "rolebinding", "reader", "--clusterrole=view"];
    cluster.kubectl(&[&binding[..], &[&account, "-n", own.name]].concat());

    let (version, status) = ran(&cluster, own.name, "v", &["chaos-health", "--version"]);
    assert!(
        version.starts_with("chaos-health ") && status == 0,
        "{version}"
    );
    let health = ["chaos-health", "-n", own.name, "--skip", "node.usage"];
    let (records, status) = ran(&cluster, own.name, "health", &health);
    let last = records.lines().rfind(|line| line.starts_with('{'));
    let record = chaos_tests::strict::read(last.unwrap_or_default());
    let record = record.unwrap_or_else(|why| panic!("{why}: {records}"));
    assert_eq!(record["data"]["namespace"], own.name, "{records}");
    let reached = chaos_tests::run::check(&record, "cluster.reachable", "");
    assert_eq!(reached["status"], "pass", "{status}: {records}");
    // Names that the cluster's name server knows, and does not. What answers speaks TLS, and says
    // so; how quick it is says nothing on a busy machine.
    let answers = |name: &str, host: &str| {
        let load = [
            "chaos-verify",
            "load",
            "--duration",
            "1s",
            "--expect-status",
            "400",
        ];
        let url = format!("http://{host}:443/");
        let (said, _) = ran(&cluster, own.name, name, &[&load[..], &[&url]].concat());
        // A pod's log holds standard error, too.
        let last = said.lines().rfind(|line| line.starts_with('{'));
        let record = chaos_tests::strict::read(last.unwrap_or_default());
        let record = record.unwrap_or_else(|why| panic!("{why}: {said}"));
        let timing = &record["data"]["timings"][0];
        timing["requests"].as_u64() > timing["errors"].as_u64()
    };
    assert!(answers("known", "kubernetes.default.svc"));
    assert!(!answers("unknown", "kubernetes.nowhere.svc"));
}
