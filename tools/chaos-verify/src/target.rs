//! What is looked at, and the means to look.

use chaos_common::cli::ClusterArgs;
use chaos_common::cluster::probe::{Endpoint, HttpProbe};
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::config::{Config, Service, Wanted};
use chaos_common::exit::Failure;

/// What a [`Target`] borrows: the configuration, and the connections that it asks for.
#[derive(Debug)]
pub(crate) struct Connections {
    config: Config,
    cluster: Cluster,
    probe: HttpProbe,
    namespace: String,
}

impl Connections {
    /// Connects to the cluster that the arguments name.
    ///
    /// # Errors
    /// No namespace is named, or there is no kubeconfig with such a context.
    pub(crate) async fn open(config: Config, args: &ClusterArgs) -> Result<Connections, Failure> {
        let namespace = args.namespace(&config)?;
        let cluster = Cluster::connect(&args.access())
            .await
            .map_err(ReadError::usage)?;
        let probe = HttpProbe::new(&cluster);
        Ok(Connections {
            config,
            cluster,
            probe,
            namespace,
        })
    }

    /// The application that they lead to.
    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            cluster: &self.cluster,
            probe: &self.probe,
            config: &self.config,
            namespace: &self.namespace,
        }
    }
}

/// The application and the way to it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The cluster that it runs in.
    pub cluster: &'a Cluster,
    /// Sends HTTP requests to its Services.
    pub probe: &'a HttpProbe,
    /// What is known of it.
    pub config: &'a Config,
    /// Its namespace.
    pub namespace: &'a str,
}

/// A path of a Service that is asked.
#[derive(Clone, Debug)]
pub(crate) struct ServiceUrl {
    pub(crate) endpoint: Endpoint,
    pub(crate) path: String,
    /// The Service as records name it.
    pub(crate) service: String,
    /// The vantage that is really used.
    pub(crate) vantage: String,
    /// What a good answer is.
    pub(crate) wanted: Wanted,
}

impl ServiceUrl {
    /// As a person would write it.
    pub(crate) fn text(&self) -> String {
        self.endpoint.url(&self.path)
    }
}

impl Target<'_> {
    /// The URLs that `paths` picks from the configured Services, in their order.
    pub(crate) fn urls<'a>(
        &'a self,
        paths: impl Fn(&'a Service) -> Vec<&'a str>,
    ) -> Vec<ServiceUrl> {
        let of = |service: &'a Service| {
            let endpoint = Endpoint::of_service(service, self.namespace);
            let vantage = self.probe.resolve(&endpoint.vantage).to_string();
            let name = label(service, &self.config.services);
            let url = move |path: &str| ServiceUrl {
                endpoint: endpoint.clone(),
                path: path.to_owned(),
                service: name.clone(),
                vantage: vantage.clone(),
                wanted: service.wanted(path),
            };
            paths(service).into_iter().map(url).collect::<Vec<_>>()
        };
        self.config.services.iter().flat_map(of).collect()
    }
}

/// The paths of a Service whose response times are measured.
pub(crate) fn timed_paths(service: &Service) -> Vec<&str> {
    service.timed.iter().map(String::as_str).collect()
}

/// The name of a Service, with port and namespace where the configuration has several of that name.
fn label(service: &Service, all: &[Service]) -> String {
    if all
        .iter()
        .filter(|other| other.name == service.name)
        .count()
        < 2
    {
        return service.name.clone();
    }
    match &service.namespace {
        Some(namespace) => format!("{}.{namespace}:{}", service.name, service.port),
        None => format!("{}:{}", service.name, service.port),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use chaos_common::cluster::Access;

    /// A cluster that is nowhere, for what is asked directly.
    pub(crate) async fn unreachable_cluster() -> Cluster {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kubeconfig");
        let text = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{ "name": "c", "context": { "cluster": "k", "user": "u" } }],
            "clusters": [{ "name": "k", "cluster": { "server": "https://127.0.0.1:1" } }],
            "users": [{ "name": "u", "user": { "token": "t" } }],
        });
        std::fs::write(&path, text.to_string()).expect("room on the disk");
        Cluster::connect(&Access {
            context: None,
            kubeconfig: Some(path),
            ..Access::default()
        })
        .await
        .expect("a client")
    }

    fn service(name: &str, port: u16) -> Service {
        serde_json::from_value(serde_json::json!({ "name": name, "port": port }))
            .expect("a service")
    }

    #[test]
    fn services_that_share_a_name_are_told_apart_by_port() {
        let all = [service("a", 1), service("b", 1), service("b", 2)];
        assert_eq!(
            all.each_ref().map(|one| label(one, &all)),
            ["a", "b:1", "b:2"]
        );
    }
}
