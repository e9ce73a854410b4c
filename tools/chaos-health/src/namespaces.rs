//! The namespaces and clusters that are looked at in one call.

use std::path::PathBuf;
use std::time::Duration;

use chaos_common::cli::{ActAs, ClusterArgs};
use chaos_common::cluster::probe::HttpProbe;
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::config::{Config, Loaded};
use chaos_common::exit::Failure;
use chaos_common::record::{Health, NamespaceState};
use chaos_health::checks::{self, Place};
use futures::future::join_all;

/// Arguments that say where to look. Other tools take one of each.
#[derive(clap::Args, Debug)]
pub(crate) struct NamespaceArgs {
    /// Look at this namespace instead of the configured one; several with commas
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    namespace: Vec<String>,
    /// Use this context of the kubeconfig; several with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    context: Vec<String>,
    /// Use this kubeconfig [default: $KUBECONFIG, ~/.kube/config, or the pod's service account]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    act_as: ActAs,
}

/// Every namespace of every cluster; the first of each is the application's.
#[derive(Debug)]
pub(crate) struct Namespaces {
    clusters: Vec<(Cluster, HttpProbe)>,
    names: Vec<String>,
    /// Whether what nobody configured is looked for.
    find: bool,
}

impl Namespaces {
    /// Prepares the connections; nothing is sent yet.
    pub(crate) async fn connect(
        args: &NamespaceArgs,
        loaded: &Loaded,
    ) -> Result<Namespaces, Failure> {
        let config = &loaded.config;
        let of = |context: Option<String>, namespace: Option<String>| ClusterArgs {
            namespace,
            context,
            kubeconfig: args.kubeconfig.clone(),
            act_as: args.act_as.clone(),
        };
        let named = |namespace| of(args.context.first().cloned(), namespace).namespace(config);
        let mut namespaces = Vec::new();
        for name in &args.namespace {
            let name = named(Some(name.clone()))?;
            if !namespaces.contains(&name) {
                namespaces.push(name);
            }
        }
        if namespaces.is_empty() {
            namespaces.push(named(None)?);
        }
        let mut contexts: Vec<_> = args.context.iter().cloned().map(Some).collect();
        if contexts.is_empty() {
            contexts.push(None);
        }
        let mut clusters: Vec<(Cluster, HttpProbe)> = Vec::new();
        for context in contexts {
            let access = of(context, None).access();
            let cluster = Cluster::connect(&access).await.map_err(ReadError::usage)?;
            if !clusters
                .iter()
                .any(|(other, _)| other.context == cluster.context)
            {
                let asker = HttpProbe::new(&cluster);
                clusters.push((cluster, asker));
            }
        }
        Ok(Namespaces {
            clusters,
            names: namespaces,
            // What a configuration leaves out is not checked.
            find: loaded.path.is_none(),
        })
    }

    /// NamespaceArgs it is looked at, for people.
    pub(crate) fn title(&self) -> String {
        let contexts: Vec<_> = self
            .clusters
            .iter()
            .map(|(cluster, _)| cluster.context.as_deref().unwrap_or("this cluster"))
            .collect();
        format!("{} in {}", self.names.join(", "), contexts.join(", "))
    }

    /// Looks at all of them at the same time, until the deadline. The record is the first's; the
    /// others' checks are added.
    pub(crate) async fn examine(&self, config: &Config, deadline: Duration) -> Health {
        let looks = self
            .clusters
            .iter()
            .enumerate()
            .flat_map(|(at, (cluster, asker))| {
                self.names
                    .iter()
                    .enumerate()
                    .map(move |(nth, namespace)| async move {
                        let place = Place {
                            cluster,
                            probe: asker,
                            namespace,
                            also: &self.names,
                            find: self.find,
                        };
                        let mut health = if nth == 0 {
                            Box::pin(checks::examine_within(place, config, deadline)).await
                        } else {
                            Box::pin(checks::examine_more(place, config, deadline)).await
                        };
                        let place = match (nth, at, &cluster.context) {
                            (0, 0, _) => return health,
                            (_, 0, _) | (_, _, None) => format!("namespace {namespace}"),
                            (0, _, Some(context)) => format!("context {context}"),
                            (_, _, Some(context)) => {
                                format!("namespace {namespace}, context {context}")
                            }
                        };
                        for check in &mut health.checks {
                            check.object = Some(match check.object.take() {
                                Some(object) => format!("{object} ({place})"),
                                None => place.clone(),
                            });
                        }
                        health
                    })
            });
        let mut looks = join_all(looks).await.into_iter();
        let mut first = looks
            .next()
            .expect("there is at least one namespace and one cluster");
        for Health {
            cluster,
            namespace,
            checks,
            state,
            ..
        } in looks
        {
            first.checks.extend(checks);
            first.also.push(NamespaceState {
                cluster,
                namespace,
                state,
            });
        }
        first
    }
}
