//! How pods, credentials and servers that want credentials are reached, against real servers on the
//! loopback interface and an API server in memory.

mod api;
mod http;

#[path = "../scratch/mod.rs"]
mod scratch;

use std::io::Write as _;
use std::process::{Command, Stdio};

use api::{Api, pod};
use chaos_common::cli::block_on;
use chaos_common::config::{Credential, Database};
use chaos_common::postgres::Session;
use chaos_common::record::PodSource;
use serde_json::{Value, json};

const NAMESPACE: &str = "/api/v1/namespaces/shop";
const APPS: &str = "/apis/apps/v1/namespaces/shop";

fn pods(source: &str, api: &Api) -> Result<Vec<String>, String> {
    let source: PodSource = source.parse().expect(source);
    block_on(async {
        let found = api.cluster().ready_pods("shop", &source).await;
        let found = found.map_err(|error| error.to_string())?.into_iter();
        Ok(found.filter_map(|pod| pod.metadata.name).collect())
    })
}

fn selector() -> Value {
    json!({ "selector": { "matchLabels": { "app": "db" } } })
}

#[test]
fn the_pods_of_any_workload_are_found_and_no_others() {
    let api = Api::default();
    let set = json!({ "metadata": { "name": "db", "uid": "set" }, "spec": selector() });
    api.answer(&format!("{APPS}/statefulsets/db"), 200, &set);
    api.answer(&format!("{APPS}/daemonsets/db"), 200, &set);
    let deployment = json!({ "metadata": { "name": "db", "uid": "d" }, "spec": selector() });
    api.answer(&format!("{APPS}/deployments/db"), 200, &deployment);
    let sets = json!({ "metadata": {}, "items": [
        { "metadata": { "name": "db-1", "uid": "rs", "ownerReferences": [
            { "apiVersion": "apps/v1", "kind": "Deployment", "name": "db", "uid": "d", "controller": true }] } },
        { "metadata": { "name": "of-another", "uid": "other" } },
    ] });
    api.answer(&format!("{APPS}/replicasets"), 200, &sets);
    let all = json!({ "metadata": {}, "items": [
        pod("db-1", "set", true), pod("db-0", "set", true), pod("db-2", "set", false),
        pod("db-xyz", "rs", true), pod("alien", "other", true),
    ] });
    api.answer(&format!("{NAMESPACE}/pods"), 200, &all);
    assert_eq!(pods("sts/db", &api), Ok(vec!["db-0".into(), "db-1".into()]));
    assert_eq!(pods("ds/db", &api), Ok(vec!["db-0".into(), "db-1".into()]));
    assert_eq!(pods("db", &api), Ok(vec!["db-xyz".into()]));
    let labelled = pods("selector=app=db", &api).expect("found");
    assert_eq!(labelled, ["alien", "db-0", "db-1", "db-xyz"]);
    assert!(api.asked("labelSelector=app%3Ddb"), "by the labels");
    let missing = pods("sts/gone", &api).expect_err("none");
    assert!(missing.contains("statefulset/gone"), "{missing}");
}

/// The kinds of `apps/v1` that are needed here.
fn apps() -> Value {
    json!({ "groupVersion": "apps/v1", "resources": [
        { "name": "replicasets", "singularName": "replicaset", "kind": "ReplicaSet",
          "namespaced": true, "verbs": ["get"] }] })
}

#[test]
fn a_custom_resource_tells_its_pods_by_its_scale() {
    let api = Api::default();
    let groups = json!({ "groups": [{ "name": "argoproj.io",
        "versions": [{ "groupVersion": "argoproj.io/v1alpha1", "version": "v1alpha1" }],
        "preferredVersion": { "groupVersion": "argoproj.io/v1alpha1", "version": "v1alpha1" } }] });
    api.answer("/apis", 200, &groups);
    let resource = |name: &str, kind: &str| {
        json!({ "name": name, "singularName": "", "kind": kind,
        "namespaced": true, "verbs": ["get"] })
    };
    let listed = json!({ "groupVersion": "argoproj.io/v1alpha1", "resources": [
        resource("rollouts", "Rollout"), resource("rollouts/scale", "Scale"),
        resource("analysisruns", "AnalysisRun") ] });
    api.answer("/apis/argoproj.io/v1alpha1", 200, &listed);
    let scale = json!({ "metadata": { "name": "shop", "uid": "rollout" }, "spec": { "replicas": 1 },
        "status": { "replicas": 1, "selector": "app=shop" } });
    let rollouts = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts";
    api.answer(&format!("{rollouts}/shop/scale"), 200, &scale);
    // It owns its pods through a ReplicaSet; another one's bear the same labels.
    api.answer("/apis/apps/v1", 200, &apps());
    let owner = json!([{ "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "shop",
        "uid": "rollout", "controller": true }]);
    let own = json!({ "metadata": { "name": "own", "uid": "own", "ownerReferences": owner } });
    api.answer(&format!("{APPS}/replicasets/own"), 200, &own);
    let alien = json!({ "metadata": { "name": "alien", "uid": "alien" } });
    api.answer(&format!("{APPS}/replicasets/alien"), 200, &alien);
    let of_set = |name: &str, set: &str, ready: bool| {
        let mut pod = pod(name, set, ready);
        let owner = &mut pod["metadata"]["ownerReferences"][0];
        owner["apiVersion"] = "apps/v1".into();
        owner["kind"] = "ReplicaSet".into();
        owner["name"] = set.into();
        pod
    };
    let items = json!({ "metadata": {}, "items": [
        of_set("shop-1", "own", true), of_set("shop-2", "own", false),
        of_set("other", "alien", true), pod("bare", "x", true)] });
    api.answer(&format!("{NAMESPACE}/pods"), 200, &items);
    assert_eq!(
        pods("rollout.argoproj.io/shop", &api),
        Ok(vec!["shop-1".into()])
    );
    assert!(api.asked("labelSelector=app%3Dshop"));
    let unscaled = pods("analysisrun.argoproj.io/a", &api).expect_err("no scale");
    assert!(unscaled.contains("no subresource scale"), "{unscaled}");
    let unknown = pods("cluster.postgresql.cnpg.io/db", &api).expect_err("no group");
    assert!(
        unknown.contains("no API group postgresql.cnpg.io"),
        "{unknown}"
    );
}

fn secret(password: &str) -> Value {
    let bytes = k8s_openapi::ByteString(password.as_bytes().to_vec());
    json!({ "metadata": { "name": "db" }, "data": { "password": bytes } })
}

#[test]
fn a_password_may_be_a_key_of_a_secret() {
    let Some(server) = scratch::Server::start() else {
        return;
    };
    let statements = [
        "CREATE ROLE shop LOGIN PASSWORD 'right'",
        "CREATE DATABASE shop OWNER shop",
    ];
    server.sql("postgres", &statements);
    let database = |key: &str| -> Database {
        serde_json::from_value(json!({
            "vantage": "direct", "host": "127.0.0.1", "port": server.port, "tls": "none",
            "name": "shop", "user": "shop", "password": { "secret": "db", "key": key },
        }))
        .expect("a database")
    };
    let api = Api::default();
    let open = |key: &str| {
        block_on(async {
            let session = Session::open(&api.cluster(), "shop", &database(key)).await;
            let said = session
                .map_err(|error| error.to_string())?
                .query("SELECT 1")
                .await;
            said.map_err(|error| error.to_string())
        })
    };
    let path = format!("{NAMESPACE}/secrets/db");
    api.answer(&path, 200, &secret("right\n"));
    assert_eq!(open("password"), Ok(vec!["1".to_owned()]));
    let missing = open("pasword").expect_err("no such key");
    assert!(missing.contains("it has password"), "{missing}");
    assert!(!missing.contains("right"), "{missing}");
    api.answer(&path, 200, &secret("hunter2"));
    let wrong = open("password").expect_err("another password");
    assert!(wrong.contains("password authentication failed"), "{wrong}");
    assert!(!wrong.contains("hunter2"), "{wrong}");
    let status = json!({ "kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403,
        "message": "secrets \"db\" is forbidden" });
    api.answer(&path, 403, &status);
    let forbidden = open("password").expect_err("we may not");
    assert!(
        forbidden.contains("database.password") && forbidden.contains("forbidden"),
        "{forbidden}"
    );
}

/// What the vantage `exec` relies on: without a terminal psql takes the password from its input,
/// and goes on reading there.
#[test]
fn psql_without_a_terminal_reads_the_password_and_then_statements() {
    let Some(server) = scratch::Server::start() else {
        return;
    };
    server.sql("postgres", &["CREATE ROLE shop LOGIN PASSWORD 'right'"]);
    let connection = format!(
        "host=127.0.0.1 port={} dbname=postgres user=shop",
        server.port
    );
    let ask = |password: &str| {
        let mut psql = Command::new("setsid")
            .args(["psql", "-X", "-W", "-q", "-A", "-t", "-d", &connection])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("setsid and psql are there");
        let mut input = psql.stdin.take().expect("it was asked for");
        let text = format!("{password}\nSELECT current_user;\n");
        input.write_all(text.as_bytes()).expect("it reads");
        drop(input);
        let done = psql.wait_with_output().expect("it ends");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    };
    assert_eq!(ask("right"), "shop");
    assert_eq!(ask("wrong"), "");
}

#[test]
fn a_credential_on_this_machine_needs_no_cluster() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "  word \n").expect("room on the disk");
    let credential: Credential =
        serde_json::from_value(json!({ "file": file.path() })).expect("a credential");
    let api = Api::default();
    let read = block_on(async { api.cluster().credential("shop", ("x", &credential)).await });
    assert_eq!(read.expect("readable"), "word");
    assert!(!api.asked("secrets"));
}
