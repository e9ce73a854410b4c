use super::*;

fn slices() -> Vec<EndpointSlice> {
    vec![
        serde_saphyr::from_str(
            "{metadata: {name: a-1, namespace: prod, labels: {kubernetes.io/service-name: a}}, addressType: IPv4, endpoints: [
              {addresses: [10.0.0.1], conditions: {ready: true}}, {addresses: [10.0.0.2], conditions: {ready: false}}, {addresses: [10.0.0.3]}]}",
        )
        .expect("a slice"),
        serde_saphyr::from_str(
            "{metadata: {name: a-2, namespace: prod, labels: {kubernetes.io/service-name: a}}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}}]}",
        )
        .expect("a slice"),
    ]
}

fn endpoints() -> Endpoints {
    let mut endpoints = Endpoints::new();
    for slice in slices() {
        add(&mut endpoints, &slice);
    }
    endpoints
}

fn service(name: &str, spec: &str) -> ServiceSummary {
    let yaml = format!("{{metadata: {{name: {name}}}, spec: {{{spec}}}}}");
    let service: Service = serde_saphyr::from_str(&yaml).expect("a service");
    ServiceSummary::from(&service)
}

/// What is said of Services by their names, where `named` are configured.
fn judged(services: &[ServiceSummary], named: &[&str]) -> Vec<(String, Status)> {
    let routing = Routing {
        services: Ok(services.to_vec()),
        endpoints: Ok(endpoints()),
        doubts: BTreeMap::new(),
    };
    let tables = named
        .iter()
        .map(|name| format!("[[service]]\nname = \"{name}\"\nport = 80\n"));
    let config = toml::from_str(&tables.collect::<String>()).expect("a configuration");
    let (checks, _) = routing.judge(&config, "prod");
    let said = |check: Check| (check.object.unwrap_or_default(), check.status);
    checks.into_iter().map(said).collect()
}

fn of(object: &str, status: Status) -> (String, Status) {
    (object.to_owned(), status)
}

#[test]
fn endpoints_count_once_and_only_if_ready() {
    let backends = &endpoints()["a"];
    assert_eq!((backends.ready.len(), backends.not_ready.len()), (2, 1));
}

#[test]
fn a_service_with_nobody_behind_it_fails_and_only_warns_if_others_are_configured() {
    let services = ["a", "b"].map(|name| service(name, &format!("selector: {{app: {name}}}")));
    let [a, b] = ["service/a", "service/b"];
    let (pass, fail, warn) = (Status::Pass, Status::Fail, Status::Warn);
    assert_eq!(judged(&services, &[]), [of(a, pass), of(b, fail)]);
    assert_eq!(judged(&services, &["a"]), [of(a, pass), of(b, warn)]);
    assert_eq!(judged(&services, &["b"]), [of(b, fail)]);
}

#[test]
fn a_service_without_a_selector_needs_an_endpoint_unless_it_only_keeps_a_name() {
    let port = "ports: [{port: 80}]";
    let fail = [of("service/a", Status::Pass), of("service/b", Status::Fail)];
    let services = [service("a", "selector: {app: a}"), service("b", port)];
    assert_eq!(judged(&services, &[]), fail);
    assert_eq!(judged(&services, &["a"]), fail);
    let name_only = [
        service("a", "selector: {app: a}"),
        service("b", "clusterIP: None"),
    ];
    assert_eq!(judged(&name_only, &[]), fail[..1]);
    assert_eq!(judged(&name_only, &["b"]), fail[1..], "it is configured");
}

#[test]
fn a_name_for_something_outside_is_not_judged() {
    let outside = "type: ExternalName, externalName: db.example.com";
    let services = [service("b", outside)];
    assert_eq!(
        judged(&services, &["b"]),
        [of("service/b", Status::Skipped)]
    );
    assert_eq!(
        judged(&services, &[]),
        [of("namespace/prod", Status::Skipped)]
    );
}

#[test]
fn a_pod_is_known_by_its_uid_and_elsewhere_by_its_name() {
    let key = |yaml: &str| {
        let endpoint: Endpoint = serde_saphyr::from_str(yaml).expect("an endpoint");
        Key::of(&endpoint, Some("prod"))
    };
    let uid = "6f1d2a53-1f2e-4f0e-8d07-000000000001";
    let parsed: Uuid = uid.parse().expect("a UID");
    let pod =
        |more: &str| format!("{{addresses: [10.0.0.1], targetRef: {{kind: Pod, name: p{more}}}}}");
    let node = "{spec: {podCIDR: 10.0.0.0/24}}";
    let mut addresses = PodRanges::default();
    addresses.add(&serde_saphyr::from_str(node).expect("a node"));
    let nobody = HashSet::new();
    let alive = HashSet::from([parsed]);
    let suspect = |key: &Key, pods: &HashSet<Uuid>| {
        key.is_suspect(Living {
            pods,
            addresses: &addresses,
        })
    };
    let here = key(&pod(&format!(", namespace: prod, uid: {uid}")));
    assert_eq!((&here, suspect(&here, &alive)), (&Key::Pod(parsed), false));
    assert!(suspect(&here, &nobody));
    for more in [
        "",
        ", namespace: other, uid: 6f1d2a53-1f2e-4f0e-8d07-000000000001",
    ] {
        let named = key(&pod(more));
        assert_eq!(
            (&named, suspect(&named, &alive)),
            (&Key::NamedPod("p".into()), true)
        );
    }
    let outside = key("{addresses: [192.0.2.1], targetRef: {kind: Node, name: n}}");
    assert!(!suspect(&outside, &nobody));
    let of_a_pod = key("{addresses: [10.0.0.9]}");
    assert!(suspect(&of_a_pod, &nobody));
}
