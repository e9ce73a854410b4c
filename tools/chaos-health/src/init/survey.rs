//! Looks at a namespace, and tries what it found.

use std::time::Duration;

use chaos_common::cluster::probe::{Endpoint, HttpProbe};
use chaos_common::cluster::{Cluster, ListRequest, ReadError, ReadErrorKind};
use chaos_common::config::{Database, Monitoring};
use chaos_common::exit::{Exit, Failure};
use chaos_common::postgres::Session;
use chaos_health::discovery::{self, Inventory};
use futures::future::{OptionFuture, join_all};
use futures::join;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;

use super::draft::{Asked, Draft, FoundDatabase, FoundMonitoring, FoundService};

/// Time that an answer may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Tables of the user in a database, as SQL names them, each as JSON.
const TABLES: &str = "SELECT to_json(CASE WHEN n.nspname = 'public' THEN format('%I', c.relname) \
     ELSE format('%I.%I', n.nspname, c.relname) END) FROM pg_class c JOIN pg_namespace n ON n.oid = \
     c.relnamespace WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT LIKE 'pg\\_%' \
     AND n.nspname <> 'information_schema' ORDER BY 1::text LIMIT 50";

/// The monitoring in the namespace that is named, or in the usual ones.
async fn find_monitoring(
    cluster: &Cluster,
    application: &str,
    named: Option<&str>,
) -> Result<Option<Monitoring>, Failure> {
    let Some(named) = named else {
        return Ok(discovery::monitoring::find(cluster, application).await);
    };
    let found = discovery::monitoring::look(cluster, named).await;
    found.map(Some).ok_or_else(|| {
        let message =
            format!("no Prometheus, Alertmanager or Grafana was found in namespace {named}");
        Failure::usage(message).hint(format!("kubectl get services -n {named}"))
    })
}

/// Looks at a namespace. `monitoring` names that of the monitoring.
///
/// # Errors
/// It is not there, or nothing of it can be read.
pub(super) async fn survey(
    probe: &HttpProbe,
    namespace: &str,
    monitoring: Option<&str>,
) -> Result<Draft, Failure> {
    let cluster = probe.cluster();
    there_is(cluster, namespace).await?;
    let (inventory, monitoring, scaled) = join!(
        Inventory::read(cluster, namespace),
        find_monitoring(cluster, namespace, monitoring),
        scaled(cluster, namespace),
    );
    if let ([error, ..], true) = (inventory.unread.as_slice(), inventory.runners.is_empty()) {
        return Err(unknown(error));
    }
    let database = discovery::database::find(&inventory);
    let services = inventory.asked();
    let services = services
        .into_iter()
        .map(|(name, runner, readiness)| async move {
            let asked = match readiness {
                Err(why) => Asked::Unknown(format!("{why} ({})", runner.name)),
                Ok(found) => {
                    let endpoint = found.endpoint(namespace, name);
                    let (port, https, path) = (found.port, found.tls, found.path);
                    match why_not(probe, &endpoint, &path).await {
                        None => Asked::Well { port, https, path },
                        Some(why) => Asked::Badly {
                            port,
                            https,
                            path,
                            why,
                        },
                    }
                }
            };
            let name = name.to_owned();
            FoundService { name, asked }
        });
    let monitoring = monitoring?;
    let (services, monitoring, database) = join!(
        join_all(services),
        OptionFuture::from(monitoring.map(|found| try_monitoring(probe, found))),
        OptionFuture::from(database.map(|found| try_database(cluster, namespace, found))),
    );
    Ok(Draft {
        namespace: namespace.to_owned(),
        services,
        unread: inventory.unread.iter().map(ToString::to_string).collect(),
        workloads: inventory.runners,
        scaled,
        monitoring,
        database,
    })
}

/// Whether there is such a namespace. Not to be allowed to know is no reason to stop.
async fn there_is(cluster: &Cluster, namespace: &str) -> Result<(), Failure> {
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    let what = format!("read namespace {namespace}");
    match cluster.read(&what, || api.get_metadata(namespace)).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ReadErrorKind::Forbidden => Ok(()),
        Err(error) if error.kind == ReadErrorKind::NotFound => {
            let message = format!("there is no namespace {namespace}");
            Err(Failure::usage(message).hint("kubectl get namespaces lists them"))
        }
        Err(error) => Err(unknown(&error)),
    }
}

fn unknown(error: &ReadError) -> Failure {
    Failure {
        exit: Exit::Unknown,
        message: error.to_string(),
        hint: error.next_step().map(str::to_owned),
    }
}

/// Why a path does not answer well; `None` if it does.
async fn why_not(probe: &HttpProbe, endpoint: &Endpoint, path: &str) -> Option<String> {
    match probe.get_again(endpoint, path, LIMIT).await {
        Ok(answer) if (200..300).contains(&answer.status) => None,
        Ok(answer) if matches!(answer.status, 401 | 403) => Some(format!(
            "answers {}: it wants to know who asks",
            answer.status
        )),
        Ok(answer) => Some(format!("answers {}", answer.status)),
        Err(error) => Some(error.to_string()),
    }
}

async fn try_monitoring(probe: &HttpProbe, monitoring: Monitoring) -> FoundMonitoring {
    let ask = monitoring.systems().map(|(name, system)| {
        let endpoint = Endpoint::of_monitoring(&monitoring, system);
        async move {
            let path = if name == "grafana" {
                "/api/health"
            } else {
                "/-/ready"
            };
            Some((name, why_not(probe, &endpoint, path).await?))
        }
    });
    let closed = join_all(ask).await.into_iter().flatten().collect();
    FoundMonitoring { monitoring, closed }
}

async fn try_database(cluster: &Cluster, namespace: &str, database: Database) -> FoundDatabase {
    let asked = async {
        let mut session = Session::open(cluster, namespace, &database).await?;
        Ok::<_, ReadError>(session.rows::<String>(TABLES).await?)
    };
    let tables = asked.await.map_err(|error| error.to_string());
    FoundDatabase { database, tables }
}

/// The workloads that a HorizontalPodAutoscaler scales, as `deployment/NAME`.
async fn scaled(cluster: &Cluster, namespace: &str) -> Vec<String> {
    let keep = |found: &mut Vec<HorizontalPodAutoscaler>, object| found.push(object);
    let request = ListRequest::namespaced(namespace);
    let listed = cluster
        .fold(request, Vec::new, keep)
        .await
        .unwrap_or_default();
    let specs = listed.into_iter().filter_map(|one| one.spec);
    let target = |spec: k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerSpec| {
        let target = spec.scale_target_ref;
        format!("{}/{}", target.kind.to_lowercase(), target.name)
    };
    specs.map(target).collect()
}
