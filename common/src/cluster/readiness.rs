//! How a Service that nobody configured is asked: found by its ports and the readiness probes of the
//! pods behind it.

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, PodSpec, Service};

use super::endpoint::Endpoint;
use super::ports;

/// How a Service is asked, as the pods behind it tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The Service's port.
    pub port: u16,
    /// It speaks https.
    pub tls: bool,
    /// The path.
    pub path: String,
}

impl Readiness {
    /// The Service, to be asked so.
    pub fn endpoint(&self, namespace: &str, service: &str) -> Endpoint {
        Endpoint {
            namespace: namespace.to_owned(),
            service: service.to_owned(),
            port: self.port,
            tls: self.tls,
            ..Endpoint::default()
        }
    }
}

/// Why it is not known how a Service is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKnown {
    /// Whoever asks it through the API server meets any of its pods, also one that is about to go.
    #[error("its clients choose among the pods themselves: it has no address of its own")]
    Headless,
    /// No probe asks by HTTP.
    #[error("its pods have no readiness probe by HTTP")]
    Probe,
    /// What the probe asks is not what the Service leads to.
    #[error("none of its ports leads to the readiness probe of its pods")]
    Port,
}

/// The first port of a Service that leads to a readiness probe by HTTP of such pods; pure.
///
/// # Errors
/// There is none.
pub fn of(service: &Service, pods: &PodSpec) -> Result<Readiness, NotKnown> {
    let spec = service.spec.as_ref();
    let address = spec.and_then(|spec| spec.cluster_ip.as_ref());
    if address.is_some_and(|address| address == "None") {
        return Err(NotKnown::Headless);
    }
    let probes: Vec<(&Container, &HTTPGetAction)> = pods
        .containers
        .iter()
        .filter_map(|one| Some((one, one.readiness_probe.as_ref()?.http_get.as_ref()?)))
        .collect();
    if probes.is_empty() {
        return Err(NotKnown::Probe);
    }
    let listed = spec.and_then(|spec| spec.ports.as_ref());
    for port in listed.into_iter().flatten() {
        let target = ports::target(port);
        let found = probes.iter().find(|(container, probe)| {
            let leads_to = ports::number(&target, &pods.containers);
            leads_to.is_some()
                && leads_to == ports::number(&probe.port, std::slice::from_ref(*container))
        });
        if let (Some((_, probe)), Ok(port)) = (found, u16::try_from(port.port)) {
            return Ok(Readiness {
                port,
                tls: probe.scheme.as_deref() == Some("HTTPS"),
                path: probe.path.clone().unwrap_or_else(|| "/".to_owned()),
            });
        }
    }
    Err(NotKnown::Port)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn probed(port: &Value, scheme: &str) -> Value {
        json!({ "containers": [{
            "name": "main", "ports": [{ "name": "web", "containerPort": 8000 }],
            "readinessProbe": { "httpGet": { "path": "/ready", "port": port, "scheme": scheme } },
        }] })
    }

    fn ports(target: &Value) -> Value {
        json!({ "ports": [
            { "name": "metrics", "port": 9100, "targetPort": 9100 },
            { "name": "http", "port": 80, "targetPort": target },
        ] })
    }

    fn found(service: &Value, pods: &Value) -> Result<Readiness, NotKnown> {
        let service = serde_json::from_value(json!({ "metadata": {}, "spec": service }));
        let pods = serde_json::from_value(pods.clone()).expect("a spec");
        of(&service.expect("a Service"), &pods)
    }

    #[test]
    fn port_path_and_scheme_come_from_the_readiness_probe() {
        for target in [json!(8000), json!("web")] {
            for port in [json!(8000), json!("web")] {
                let found = found(&ports(&target), &probed(&port, "HTTPS"));
                let expected = Readiness {
                    port: 80,
                    tls: true,
                    path: "/ready".to_owned(),
                };
                assert_eq!(found, Ok(expected));
            }
        }
        let plain = found(&ports(&json!(8000)), &probed(&json!(8000), "HTTP"));
        assert!(!plain.expect("found").tls);
    }

    #[test]
    fn what_is_not_known_is_said() {
        let other = found(&ports(&json!(5432)), &probed(&json!(8000), "HTTP"));
        assert_eq!(other, Err(NotKnown::Port));
        let none = json!({ "containers": [] });
        assert_eq!(found(&ports(&json!(8000)), &none), Err(NotKnown::Probe));
        let mut headless = ports(&json!(8000));
        headless["clusterIP"] = "None".into();
        let headless = found(&headless, &probed(&json!(8000), "HTTP"));
        assert_eq!(headless, Err(NotKnown::Headless));
    }
}
