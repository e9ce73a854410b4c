//! `chaos-health` on the real cluster.

use std::process::Command;

use chaos_tests::cluster::Cluster;
use chaos_tests::run::{Place, check, in_time};
use chaos_tests::schedule::{Needs, Resource, Use};

/// What the shop's backend is asked for its health.
fn backend(cluster: &Cluster) -> String {
    format!(
        "http://ecommerce-backend-service.{}:8000/health",
        cluster.shop()
    )
}

#[test]
#[ignore = "needs the cluster: make test"]
fn the_whole_shop_is_healthy_and_every_check_of_the_chapter_is_made() {
    let cluster = Cluster::with_shop();
    cluster.whole();
    let ran = in_time(|| cluster.place.tool("chaos-health", &[])).exits(0);
    let record = ran.record("chaos.health/1");
    assert_eq!(record["verdict"], "pass");
    let (shop, monitoring) = (cluster.shop(), cluster.monitoring());
    let backend = backend(&cluster);
    let namespace = format!("namespace/{shop}");
    let prometheus = format!("http://prometheus-service.{monitoring}:9090/api/v1/query?query=up");
    let grafana = format!("http://grafana-service.{monitoring}:3000/api/health");
    for (id, object) in [
        ("workload.ready", "deployment/ecommerce-backend-deployment"),
        ("pods.ready", &namespace),
        ("service.endpoints", "service/ecommerce-frontend-service"),
        ("service.http", &backend),
        ("node.conditions", "node/node1"),
        ("node.usage", "node/node1"),
        ("pods.usage", &namespace),
        ("monitoring.prometheus", &prometheus),
        ("monitoring.grafana", &grafana),
        (
            "monitoring.alertmanager",
            "deployment/alertmanager-deployment",
        ),
    ] {
        assert_eq!(
            check(&record, id, object)["status"],
            "pass",
            "{}",
            ran.show()
        );
    }
    // Without a file a tool works on what its flags name.
    let bare = Place::new().env("KUBECONFIG", cluster.state().join("admin.kubeconfig"));
    let ran = bare.tool("chaos-health", &["-n", monitoring]);
    let record = ran.record("chaos.health/1");
    assert_eq!(
        check(
            &record,
            "workload.ready",
            "deployment/prometheus-deployment"
        )["status"],
        "pass",
        "{}",
        ran.show()
    );
    assert_eq!(
        check(&record, "service.endpoints", "service/grafana-service")["status"],
        "pass",
        "{}",
        ran.show()
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn health_while_a_pod_is_down_fails() {
    let cluster = Cluster::with_shop();
    cluster.whole();
    let shop = cluster.shop();
    let pod = cluster.pods("ecommerce-backend").remove(0);
    // Nothing can take its place, however long this machine takes to look.
    cluster.apply(&format!(
        "{{apiVersion: v1, kind: ResourceQuota, metadata: {{name: none, namespace: {shop}}}, spec: {{hard: {{pods: '0'}}}}}}"
    ));
    cluster.until("the quota is in force", || {
        let hard = [
            "get",
            "quota",
            "none",
            "-n",
            shop,
            "-o",
            "jsonpath={.status.hard.pods}",
        ];
        (cluster.kubectl(&hard) == "0").then_some(())
    });
    cluster.kubectl(&["delete", "pod", "-n", shop, &pod, "--wait=false"]);
    let ran = cluster.until("a health record that fails", || {
        let ran = cluster.place.tool("chaos-health", &[]);
        ran.stdout().contains("\"verdict\":\"fail\"").then_some(ran)
    });
    // Whatever this test says of it, the next one wants a whole shop.
    cluster.kubectl(&["delete", "quota", "none", "-n", shop]);
    let ran = ran.exits(1);
    let record = ran.record("chaos.health/1");
    let backend = check(
        &record,
        "workload.ready",
        "deployment/ecommerce-backend-deployment",
    );
    assert_eq!(backend["status"], "fail", "{}", ran.show());
    let message = backend["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("has 2 of 3 ready pods"), "{message}");
    // Its controller tries again when its object changes, and else only after a pause that grows.
    let labels = ["-l", "app=ecommerce-backend", "chaos.test/quota=gone"];
    cluster.kubectl(&[&["annotate", "replicasets", "-n", shop], &labels[..]].concat());
    cluster.until("health", || {
        let ran = cluster.place.tool("chaos-health", &[]);
        ran.stdout().contains("\"verdict\":\"pass\"").then_some(ran)
    });
}

#[test]
#[ignore = "needs the cluster: make test"]
fn what_cannot_be_seen_is_unknown_and_named() {
    let cluster = Cluster::with_shop();
    let place = &cluster.place;

    let ran = place.tool("chaos-health", &["-n", "nowhere"]).exits(3);
    let record = ran.record("chaos.health/1");
    assert_eq!(
        check(&record, "namespace.exists", "namespace/nowhere")["message"],
        "there is no such namespace"
    );

    let nobody = cluster.as_user("nobody");
    let ran = place
        .tool("chaos-health", &["--kubeconfig", &nobody])
        .exits(3);
    let record = ran.record("chaos.health/1");
    let pods = check(&record, "pods.ready", "");
    assert_eq!(pods["status"], "unknown");
    assert!(
        pods["message"]
            .as_str()
            .is_some_and(|m| m.contains("forbidden") && m.contains("nobody")),
        "{}",
        ran.show()
    );
    assert!(
        pods["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("can-i")),
        "{}",
        ran.show()
    );
    assert_eq!(
        check(&record, "service.http", "")["status"],
        "unknown",
        "{}",
        ran.show()
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn without_a_metrics_api_usage_is_unknown() {
    let cluster = Cluster::needing(Needs::shop().and(Resource::Node, Use::Exclusive));
    cluster.whole();
    let service = cluster.kubectl(&["get", "apiservice", "v1beta1.metrics.k8s.io", "-o", "yaml"]);
    cluster.kubectl(&["delete", "apiservice", "v1beta1.metrics.k8s.io"]);
    let ran = cluster.place.tool("chaos-health", &[]);
    cluster.apply(&service);
    let ran = ran.exits(3);
    let record = ran.record("chaos.health/1");
    assert_eq!(check(&record, "node.usage", "")["status"], "unknown");
    let pods = check(&record, "pods.usage", "");
    assert_eq!(pods["status"], "unknown");
    assert!(
        pods["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("metrics-server")),
        "{}",
        ran.show()
    );
    cluster.until("the metrics API", || {
        let ran = cluster.place.tool("chaos-health", &[]);
        ran.stdout().contains("\"verdict\":\"pass\"").then_some(ran)
    });
}

#[test]
#[ignore = "needs the cluster: make test"]
fn an_expired_certificate_is_named_as_such() {
    let cluster = Cluster::new();
    let pki = cluster.state().join("pki");
    let script = format!(
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout old.key -out old.csr -subj /O=system:masters/CN=old 2>/dev/null &&
         printf 'extendedKeyUsage=clientAuth\\n' > old.ext &&
         openssl x509 -req -in old.csr -CA {0}/ca.crt -CAkey {0}/ca.key -set_serial 7 -days -1 -extfile old.ext -out old.crt 2>/dev/null",
        pki.display()
    );
    let made = Command::new("bash")
        .arg("-c")
        .arg(script)
        .current_dir(cluster.place.path())
        .status()
        .expect("bash is there");
    assert!(made.success());
    let server = cluster.kubectl(&[
        "config",
        "view",
        "-o",
        "jsonpath={.clusters[0].cluster.server}",
    ]);
    let kubeconfig = format!(
        "{{apiVersion: v1, kind: Config, current-context: old, contexts: [{{name: old, context: {{cluster: c, user: u}}}}],
          clusters: [{{name: c, cluster: {{server: '{server}', certificate-authority: {}/ca.crt}}}}],
          users: [{{name: u, user: {{client-certificate: {1}/old.crt, client-key: {1}/old.key}}}}]}}",
        pki.display(),
        cluster.place.path().display()
    );
    let path = cluster
        .place
        .file("old-kubeconfig", &kubeconfig)
        .display()
        .to_string();
    let ran = cluster
        .place
        .tool("chaos-health", &["--kubeconfig", &path])
        .exits(3);
    assert!(ran.stdout().contains("expired"), "{}", ran.show());
}

#[test]
#[ignore = "needs the cluster: make test"]
fn inside_the_cluster_it_is_the_service_account_and_asks_directly() {
    let cluster = Cluster::with_shop();
    cluster.whole();
    cluster.apply(
        "{apiVersion: v1, kind: List, items: [
           {apiVersion: v1, kind: ServiceAccount, metadata: {name: looker, namespace: default}},
           {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: chaos-test-looker},
            roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view},
            subjects: [{kind: ServiceAccount, name: looker, namespace: default}]},
           {apiVersion: v1, kind: Pod, metadata: {name: looker, namespace: default}, spec: {serviceAccountName: looker,
            terminationGracePeriodSeconds: 0, containers: [{name: looker, image: 'chaos.test/shop:1', command: [sleep, '300']}]}}]}",
    );
    cluster.kubectl(&[
        "wait",
        "--for=condition=Ready",
        "pod/looker",
        "-n",
        "default",
        "--timeout=240s",
    ]);
    let inside = ["exec", "-i", "-n", "default", "looker", "--", "sh", "-c"];
    let bring = |file: &std::path::Path, to: &str| {
        cluster.kubectl_fed(
            file,
            &[&inside[..], &[&format!("cat > {to} && chmod 755 {to}")]].concat(),
        );
    };
    bring(
        &chaos_tests::run::bin().join("chaos-health"),
        "/tmp/chaos-health",
    );
    bring(&cluster.place.path().join("chaos.toml"), "/tmp/chaos.toml");
    let run = "cd /tmp && ./chaos-health < /dev/null > out 2> err; echo $?; cat out";
    let said = cluster.kubectl(&[&inside[..], &[run]].concat());
    cluster.kubectl(&[
        "delete",
        "pod/looker",
        "serviceaccount/looker",
        "-n",
        "default",
        "--wait=false",
    ]);
    cluster.kubectl(&["delete", "clusterrolebinding", "chaos-test-looker"]);
    // That account may not look at nodes, so the verdict is unknown; everything else can be seen.
    assert!(said.starts_with("3\n"), "{said}");
    let record = chaos_tests::strict::read(said.lines().last().unwrap_or_default())
        .unwrap_or_else(|why| panic!("{why}: {said}"));
    assert!(record["data"]["cluster"].get("context").is_none(), "{said}");
    let http = check(&record, "service.http", &backend(&cluster));
    assert_eq!(
        (http["status"].as_str(), http["vantage"].as_str()),
        (Some("pass"), Some("direct")),
        "{said}"
    );
    let nodes = check(&record, "node.conditions", "");
    assert!(
        nodes["message"]
            .as_str()
            .is_some_and(|message| message.contains("system:serviceaccount:default:looker")),
        "{said}"
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn every_vantage_reaches_the_services_and_is_named() {
    let cluster = Cluster::with_shop();
    cluster.whole();
    cluster.config(&|text| {
        text.replace(
            "port = 3000\n# namespace",
            "port = 3000\nvantage = \"port-forward\"\n# namespace",
        )
        .replace(
            "port = 8000\n",
            "port = 8000\nvantage = \"exec:deployment/ecommerce-frontend-deployment\"\n",
        )
    });
    let ran = in_time(|| cluster.place.tool("chaos-health", &[])).exits(0);
    let record = ran.record("chaos.health/1");
    let (shop, monitoring) = (cluster.shop(), cluster.monitoring());
    for (id, url, vantage) in [
        (
            "service.http",
            format!("http://ecommerce-frontend-service.{shop}:3000/health"),
            "port-forward",
        ),
        (
            "service.http",
            backend(&cluster),
            "exec:deployment/ecommerce-frontend-deployment",
        ),
        (
            "monitoring.prometheus",
            format!("http://prometheus-service.{monitoring}:9090/-/ready"),
            "api-proxy",
        ),
    ] {
        let http = check(&record, id, &url);
        assert_eq!(
            (http["status"].as_str(), http["vantage"].as_str()),
            (Some("pass"), Some(vantage)),
            "{}",
            ran.show()
        );
    }
    // Outside the cluster its names resolve to nothing, which says nothing of the Service.
    cluster.config(&|text| text.replace("port = 8000\n", "port = 8000\nvantage = \"direct\"\n"));
    let ran = in_time(|| cluster.place.tool("chaos-health", &[])).exits(3);
    let record = ran.record("chaos.health/1");
    let http = check(&record, "service.http", &backend(&cluster));
    assert_eq!(http["status"], "unknown", "{}", ran.show());
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_probe_in_the_users_own_terms_decides_and_says_what_it_saw() {
    const PROBE: &str = "the shop has products";
    let cluster = Cluster::with_shop();
    cluster.whole();
    let ran = in_time(|| cluster.place.tool("chaos-health", &[])).exits(0);
    let record = ran.record("chaos.health/1");
    assert_eq!(check(&record, "probe.holds", PROBE)["status"], "pass");
    let more = format!("probe.{PROBE:?}.is=>= 1000000");
    let ran = in_time(|| cluster.place.tool("chaos-health", &["--set", &more]));
    let ran = ran.exits(1);
    let record = ran.record("chaos.health/1");
    let found = check(&record, "probe.holds", PROBE);
    assert_eq!(found["status"], "fail", "{}", ran.show());
    let message = found["message"].as_str().unwrap_or_default();
    assert!(message.ends_with("(>= 1000000 is wanted)"), "{message}");
}
