//! Who is asked: a Service, or a pod itself.

use std::path::PathBuf;

use crate::config::{self, Monitoring, MonitoringSystem};
use crate::record::Vantage;

/// A Service to be asked.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Namespace of the Service.
    pub namespace: String,
    /// The Service.
    pub service: String,
    /// Its port.
    pub port: u16,
    /// It speaks https.
    pub tls: bool,
    /// File with the certificates that are trusted instead of the system's, in PEM.
    pub ca: Option<PathBuf>,
    /// From where.
    pub vantage: Vantage,
}

impl Endpoint {
    /// Where a configured Service answers; it is in `namespace` unless its table says otherwise.
    pub fn of_service(service: &config::Service, namespace: &str) -> Endpoint {
        Endpoint {
            namespace: service
                .namespace
                .clone()
                .unwrap_or_else(|| namespace.to_owned()),
            service: service.name.clone(),
            port: service.port,
            tls: service.https,
            ca: service.ca.clone(),
            vantage: service.vantage.clone(),
        }
    }

    /// Where one of the monitoring systems answers.
    pub fn of_monitoring(monitoring: &Monitoring, system: &MonitoringSystem) -> Endpoint {
        Endpoint {
            namespace: monitoring.namespace.clone(),
            service: system.service.clone(),
            port: system.port,
            tls: false,
            ca: None,
            vantage: system.vantage.clone(),
        }
    }

    /// What the API server calls it in `services/NAME/proxy`.
    pub fn proxied(&self) -> String {
        proxied(self.tls, &self.service, self.port)
    }

    /// What a person would call a path of it: `http://shop.prod:8000/health`.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!(
            "{scheme}://{}.{}:{}{path}",
            self.service, self.namespace, self.port
        )
    }
}

/// A pod to be asked itself.
#[derive(Clone, Debug)]
pub struct PodEndpoint {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// The port that it listens on.
    pub port: u16,
    /// It speaks https.
    pub tls: bool,
}

impl PodEndpoint {
    /// What the API server calls it in `pods/NAME/proxy`.
    pub fn proxied(&self) -> String {
        proxied(self.tls, &self.pod, self.port)
    }
}

/// A Service or pod in the API server's words.
fn proxied(tls: bool, name: &str, port: u16) -> String {
    let scheme = if tls { "https:" } else { "" };
    format!("{scheme}{name}:{port}")
}
