//! Who is asked: a Service, or a pod itself.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{self, Credential, HttpAccess, Monitoring, MonitoringSystem, Place};
use crate::record::Vantage;

/// A Service to be asked, or a host that is outside of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    /// Namespace of the Service; empty for a host.
    pub namespace: String,
    /// The Service, or the host.
    pub service: String,
    /// Its port.
    pub port: u16,
    /// It speaks https.
    pub tls: bool,
    /// File with the certificates that are trusted instead of the system's, in PEM.
    pub ca: Option<PathBuf>,
    /// From where.
    pub vantage: Vantage,
    /// What is put before every path: empty, or `/prometheus`.
    pub prefix: String,
    /// What it is shown besides, where it wants anything.
    pub access: Option<Arc<HttpAccess>>,
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
            ..Endpoint::default()
        }
    }

    /// Where one of the monitoring systems answers.
    pub fn of_monitoring(monitoring: &Monitoring, system: &MonitoringSystem) -> Endpoint {
        let access = (system.access != HttpAccess::default()).then(|| system.access.clone());
        let common = Endpoint {
            ca: system.access.ca.clone(),
            prefix: system.prefix.clone(),
            access: access.map(Arc::new),
            ..Endpoint::default()
        };
        match system.place.clone() {
            Place::Service {
                name,
                port,
                https,
                vantage,
            } => Endpoint {
                namespace: monitoring.namespace.clone(),
                service: name,
                port,
                tls: https,
                vantage,
                ..common
            },
            Place::Host { host, port, https } => Endpoint {
                service: host,
                port,
                tls: https,
                vantage: Vantage::Direct,
                ..common
            },
        }
    }

    /// Whether it is a host outside of the cluster.
    pub fn is_outside(&self) -> bool {
        self.namespace.is_empty()
    }

    /// Its name: `SERVICE.NAMESPACE`, or the host's.
    pub fn host(&self) -> String {
        match self.namespace.as_str() {
            "" => self.service.clone(),
            namespace => format!("{}.{namespace}", self.service),
        }
    }

    /// The Secrets of the cluster that asking it reads: namespace and name.
    pub fn secrets(&self) -> Vec<(&str, &str)> {
        let access = self.access.iter();
        let credentials = access.flat_map(|access| access.credentials());
        let named = credentials.filter_map(Credential::in_cluster);
        named
            .map(|(namespace, name)| (namespace.unwrap_or(&self.namespace), name))
            .collect()
    }

    /// What the API server calls it in `services/NAME/proxy`.
    pub fn proxied(&self) -> String {
        proxied(self.tls, &self.service, self.port)
    }

    /// A path as it is asked for there.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// What a person would call a path of it: `http://shop.prod:8000/health`.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let (host, path) = (self.host(), self.path(path));
        format!("{scheme}://{host}:{}{path}", self.port)
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
