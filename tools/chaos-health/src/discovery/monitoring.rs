//! Monitoring in the usual places: as the chart kube-prometheus-stack, the Prometheus operator and
//! the charts of Prometheus and Grafana lay it out.

use chaos_common::cluster::{Cluster, ports};
use chaos_common::config::{HttpAccess, Monitoring, MonitoringSystem, Place};
use chaos_common::record::Vantage;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, PodSpec, Service};

use super::Inventory;

/// Namespaces that monitoring usually has.
pub const USUAL: [&str; 7] = [
    "monitoring",
    "observability",
    "prometheus",
    "kube-prometheus-stack",
    "metrics",
    "cattle-monitoring-system",
    "openshift-monitoring",
];

/// What one of the systems usually looks like.
struct Looks {
    /// A word in the Service's name or in its label `app` or `app.kubernetes.io/name`.
    word: &'static str,
    /// The port that it listens on.
    port: i32,
    /// The path that its readiness probe asks for.
    ready: &'static str,
}

const PROMETHEUS: Looks = Looks {
    word: "prometheus",
    port: 9090,
    ready: "/-/ready",
};
const ALERTMANAGER: Looks = Looks {
    word: "alertmanager",
    port: 9093,
    ready: "/-/ready",
};
const GRAFANA: Looks = Looks {
    word: "grafana",
    port: 3000,
    ready: "/api/health",
};

/// Looks in the usual places, the application's own namespace among them. The first with a
/// Prometheus is taken, else the first with anything.
pub async fn find(cluster: &Cluster, application: &str) -> Option<Monitoring> {
    let others = USUAL.into_iter().filter(|usual| *usual != application);
    let places = others.chain([application]);
    let mut found: Vec<Monitoring> = join_all(places.map(|place| look(cluster, place)))
        .await
        .into_iter()
        .flatten()
        .collect();
    found.sort_by_key(|monitoring| monitoring.prometheus.is_none());
    found.into_iter().next()
}

/// Looks in one namespace.
pub async fn look(cluster: &Cluster, namespace: &str) -> Option<Monitoring> {
    let inventory = Inventory::read(cluster, namespace).await;
    in_namespace(namespace, &inventory)
}

/// The systems in a namespace; pure.
fn in_namespace(namespace: &str, inventory: &Inventory) -> Option<Monitoring> {
    let monitoring = Monitoring {
        namespace: namespace.to_owned(),
        alerts: None,
        prometheus: system(inventory, &PROMETHEUS),
        grafana: system(inventory, &GRAFANA),
        alertmanager: system(inventory, &ALERTMANAGER),
    };
    let any = monitoring.systems().next().is_some();
    any.then_some(monitoring)
}

/// The Service that looks most like a system: one with an address of its own, and the shortest name.
fn system(inventory: &Inventory, looks: &Looks) -> Option<MonitoringSystem> {
    let mut fitting: Vec<(&Service, u16)> = inventory
        .services
        .iter()
        .filter_map(|service| Some((service, port(inventory, service, looks)?)))
        .collect();
    let headless = |service: &Service| {
        let address = service
            .spec
            .as_ref()
            .and_then(|spec| spec.cluster_ip.as_deref());
        address == Some("None")
    };
    let length = |service: &Service| service.metadata.name.as_ref().map(String::len);
    fitting.sort_by_key(|(service, _)| (headless(service), length(service)));
    let (service, port) = fitting.first()?;
    let runner = inventory.behind(service);
    let (prefix, https) =
        runner.map_or_else(Default::default, |runner| of_pods(&runner.pods, looks));
    Some(MonitoringSystem {
        workload: runner.map(|runner| runner.name.clone()),
        place: Place::Service {
            name: service.metadata.name.clone()?,
            port: *port,
            https,
            vantage: Vantage::Auto,
        },
        prefix,
        access: HttpAccess::default(),
    })
}

/// The port on which a Service leads to the system, if it looks like one that does.
fn port(inventory: &Inventory, service: &Service, looks: &Looks) -> Option<u16> {
    if !is_named(service, looks.word) {
        return None;
    }
    let containers = inventory
        .behind(service)
        .map(|runner| runner.pods.containers.as_slice());
    let listed = service.spec.as_ref()?.ports.as_ref()?;
    let leads = |port: &&k8s_openapi::api::core::v1::ServicePort| {
        let target = ports::number(&ports::target(port), containers.unwrap_or_default());
        port.port == looks.port || target == Some(looks.port)
    };
    let found = listed.iter().find(leads)?;
    u16::try_from(found.port).ok()
}

/// Whether a Service is called so. What works beside Prometheus has its name, too.
fn is_named(service: &Service, word: &str) -> bool {
    const BESIDES: [&str; 6] = [
        "operator",
        "exporter",
        "adapter",
        "pushgateway",
        "thanos",
        "state-metrics",
    ];
    let labels = service.metadata.labels.iter().flatten();
    let labels = labels.filter(|(key, _)| matches!(key.as_str(), "app" | "app.kubernetes.io/name"));
    let labels = labels.map(|(_, value)| value.as_str());
    let names: Vec<&str> = service
        .metadata
        .name
        .as_deref()
        .into_iter()
        .chain(labels)
        .collect();
    // Of "kube-prometheus-stack-alertmanager" the last word says what it is.
    let last = |name: &&str| {
        let words = [PROMETHEUS.word, ALERTMANAGER.word, GRAFANA.word];
        let last = words.into_iter().max_by_key(|word| name.rfind(word));
        name.contains(word) && last == Some(word)
    };
    let other = |name: &&str| BESIDES.iter().any(|beside| name.contains(beside));
    names.iter().any(last)
        && !names
            .iter()
            .any(|name| other(name) && !name.ends_with("-operated"))
}

/// What is put before every path, and whether it speaks https: by the readiness probe, else by the
/// arguments of the program.
fn of_pods(pods: &PodSpec, looks: &Looks) -> (String, bool) {
    let probes = pods
        .containers
        .iter()
        .filter_map(|one| one.readiness_probe.as_ref()?.http_get.as_ref());
    let mut asked = probes.filter_map(|get| {
        let prefix = get.path.as_deref()?.strip_suffix(looks.ready)?;
        Some((prefix.to_owned(), get.scheme.as_deref() == Some("HTTPS")))
    });
    let by_arguments = || {
        pods.containers
            .iter()
            .find_map(prefix_of)
            .unwrap_or_default()
    };
    asked.next().unwrap_or_else(|| (by_arguments(), false))
}

/// The route prefix; where none is given, it is the path of the external URL.
/// Source: `prometheus --help`, `alertmanager --help`.
fn prefix_of(container: &Container) -> Option<String> {
    let arguments = || container.args.iter().chain(&container.command).flatten();
    let value = |flag: &str| arguments().find_map(|argument| argument.strip_prefix(flag));
    let prefix = value("--web.route-prefix=")
        .map(str::to_owned)
        .or_else(|| {
            let url: http::Uri = value("--web.external-url=")?.parse().ok()?;
            Some(url.path().to_owned())
        })?;
    Some(prefix.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{inventory, service, set};
    use super::*;

    /// As the chart kube-prometheus-stack lays it out.
    fn stack() -> Inventory {
        let web = |port: i32| {
            json!([{ "name": "http-web", "port": port, "targetPort": port },
            { "name": "reloader-web", "port": 8080, "targetPort": "reloader-web" }])
        };
        let mut operated = service("prometheus-operated", "prometheus", &web(9090));
        operated["spec"]["clusterIP"] = json!("None");
        let ready = json!({ "name": "prometheus",
            "readinessProbe": { "httpGet": { "port": 9090, "path": "/prom/-/ready" } } });
        let args = json!({ "name": "alertmanager", "args": ["--web.external-url=http://x/am/"] });
        inventory(
            &[
                service(
                    "kps-grafana",
                    "grafana",
                    &json!([{ "name": "http-web", "port": 80, "targetPort": 3000 }]),
                ),
                service(
                    "kps-kube-prometheus-alertmanager",
                    "alertmanager",
                    &web(9093),
                ),
                service("kps-kube-prometheus-operator", "operator", &web(9090)),
                service("kps-kube-prometheus-prometheus", "prometheus", &web(9090)),
                service("kps-kube-state-metrics", "ksm", &web(8080)),
                service("kps-prometheus-node-exporter", "node", &web(9090)),
                operated,
            ],
            &[
                set("prometheus-kps", "prometheus", &ready),
                set("alertmanager-kps", "alertmanager", &args),
                set("grafana", "grafana", &json!({ "name": "grafana" })),
            ],
        )
    }

    fn place(system: Option<&MonitoringSystem>) -> (String, u16, String, String) {
        let system = system.expect("found");
        let Place::Service { name, port, .. } = &system.place else {
            panic!("it is a Service: {system:?}")
        };
        let workload = system.workload.as_ref().map(ToString::to_string);
        (
            name.clone(),
            *port,
            system.prefix.clone(),
            workload.unwrap_or_default(),
        )
    }

    #[test]
    fn the_stack_of_the_usual_chart_is_found() {
        let found = in_namespace("monitoring", &stack()).expect("it is there");
        assert_eq!(
            place(found.prometheus.as_ref()),
            (
                "kps-kube-prometheus-prometheus".into(),
                9090,
                "/prom".into(),
                "statefulset/prometheus-kps".into()
            )
        );
        assert_eq!(
            place(found.alertmanager.as_ref()),
            (
                "kps-kube-prometheus-alertmanager".into(),
                9093,
                "/am".into(),
                "statefulset/alertmanager-kps".into()
            )
        );
        assert_eq!(
            place(found.grafana.as_ref()),
            (
                "kps-grafana".into(),
                80,
                String::new(),
                "statefulset/grafana".into()
            )
        );
    }

    #[test]
    fn what_only_has_the_name_is_not_taken() {
        let mut inventory = stack();
        let kept = [
            "kps-kube-prometheus-operator",
            "kps-prometheus-node-exporter",
            "prometheus-operated",
        ];
        inventory
            .services
            .retain(|one| kept.contains(&one.metadata.name.as_deref().unwrap_or_default()));
        let found = in_namespace("monitoring", &inventory).expect("the operator's own Service");
        assert_eq!(place(found.prometheus.as_ref()).0, "prometheus-operated");
        assert!(found.grafana.is_none() && found.alertmanager.is_none());
        inventory
            .services
            .retain(|one| one.metadata.name.as_deref() != Some("prometheus-operated"));
        assert!(in_namespace("monitoring", &inventory).is_none());
    }
}
